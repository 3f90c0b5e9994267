"""The figures of notebook 01: what is drawn, and that nothing measured is left out of sight."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes

from alexnet_edu.lessons import figure1_plots


@pytest.fixture
def ax() -> Iterator[Axes]:
    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


def _in_sight(ax: Axes) -> bool:
    ax.figure.canvas.draw()
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    return all(
        (np.asarray(line.get_xdata()) >= left).all()
        and (np.asarray(line.get_xdata()) <= right).all()
        and (np.asarray(line.get_ydata()) >= min(bottom, top)).all()
        and (np.asarray(line.get_ydata()) <= max(bottom, top)).all()
        for line in ax.lines
    )


def _legend(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


@pytest.mark.parametrize("order", [("relu", "tanh"), ("tanh", "relu")])
def test_layers_of_both_networks_are_in_sight_whichever_comes_first(ax: Axes, order: tuple[str, ...]) -> None:
    norms = {"relu": [[0.5, 1.0, 1.5], [0.4, 0.9, 1.2]], "tanh": [[9.0, 3.0, 2.0], [8.0, 2.5, 1.0]]}
    for name in order:
        figure1_plots.draw_layers(ax, [0.5, 1.0], norms[name], name, percent=False)
    assert len(ax.lines) == 6
    assert ax.get_ylim()[0] == 0
    assert _in_sight(ax)


def test_a_share_is_drawn_from_nothing_to_all(ax: Axes) -> None:
    figure1_plots.draw_layers(ax, [1, 2], [[0.0, 1.0], [0.2, 0.9]], "tanh", percent=True)
    assert _in_sight(ax)
    ax.legend()
    assert _legend(ax) == ["tanh, layer 1", "tanh, layer 2"]


def _row(rate: float, epochs: float | None, run: float) -> dict[str, Any]:
    return {"learning_rate": rate, "epochs": epochs, "epochs_run": run}


def test_a_rate_that_was_given_up_is_open_and_points_upwards(ax: Axes) -> None:
    rows = [_row(0.001, None, 6.0), _row(0.002, 5.6, 6.0), _row(0.005, None, 6.0)]
    figure1_plots.draw_rate_search(ax, {"relu": rows}, "search")
    marks = [line for line in ax.lines if line.get_marker() == "o"]
    assert [mark.get_markerfacecolor() == "white" for mark in marks] == [True, False, True]
    assert [float(mark.get_ydata()[0]) for mark in marks] == [6.0, 5.6, 6.0]
    assert len(ax.texts) == 2  # two arrows
    assert _legend(ax) == ["ReLU"]
    assert _in_sight(ax)


def test_an_activation_that_reached_the_target_at_no_rate_is_in_the_legend(ax: Axes) -> None:
    searches = {"relu": [_row(0.002, 5.6, 6.0)], "sigmoid": [_row(0.05, None, 6.0), _row(0.1, None, 3.0)]}
    figure1_plots.draw_rate_search(ax, searches, "search")
    assert _legend(ax) == ["ReLU", "sigmoid"]
    assert _in_sight(ax)


def test_ratios_say_when_there_is_none(ax: Axes) -> None:
    rows = [
        {"title": "measured", "epochs": {"value": 6.7, "low": 6.3, "high": 7.3}, "at_least": None},
        {"title": "far off", "epochs": {"value": 20.0, "low": 15.0, "high": 30.0}, "at_least": None},
        {"title": "given up", "epochs": None, "at_least": 2.2},
        {"title": "neither", "epochs": None, "at_least": None, "relu_not_within": 25.0},
    ]
    figure1_plots.draw_ratios(ax, rows, 6, "ratios")
    assert [text.get_text() for text in ax.texts] == [
        "6.7",
        "20.0",
        "at least 2.2",
        "ReLU not within 25 epochs",
    ]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == [row["title"] for row in rows]
    assert ax.get_xlim()[1] > 30
    assert _legend(ax) == ["the paper: 6"]


def test_learning_curves_show_all_points_the_target_and_the_published_marks(ax: Axes) -> None:
    figure1_plots.draw_learning_curve(ax, [0.5, 1, 2], [0.9, 0.5, 0.2], "tanh", label="tanh", thin=True)
    figure1_plots.mark_published(ax, {"relu": 6, "tanh": 36}, 0.25)
    figure1_plots.finish_learning_curves(ax, 0.25, "curves")
    assert (ax.get_xlim()[0], ax.get_ylim()[0]) == (0, 0)
    assert ax.get_ylim()[1] > 0.9
    assert ax.get_xlim()[1] > 36
    assert _legend(ax) == ["tanh", "published, ReLU: near epoch 6", "published, tanh: near epoch 36"]
    assert any(np.allclose(line.get_ydata(), 0.25) and len(line.get_ydata()) == 2 for line in ax.lines)
