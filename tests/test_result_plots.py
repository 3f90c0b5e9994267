"""The drawings of notebook 11: what is on the axes is what was given."""

from __future__ import annotations

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from alexnet_edu.lessons import results as draw


@pytest.fixture
def ax() -> Axes:
    return Figure().subplots()


def annotations(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts if isinstance(text, Annotation)]


def test_every_subset_is_a_dot_and_the_chosen_size_is_named(ax: Axes) -> None:
    draw.draw_subsets(ax, {"mean": {1: [0.3, 0.2], 2: [0.15]}}, chosen=1)
    dots = [line for line in ax.lines if line.get_marker() == "."]
    assert [list(line.get_ydata()) for line in dots] == [[0.3, 0.2], [0.15]]
    (means,) = [line for line in ax.lines if line.get_label() == "mean"]
    assert list(means.get_ydata()) == [0.25, 0.15]
    assert annotations(ax) == ["25.0%"]
    assert list(ax.get_xticks()) == [1, 2]


def test_pairs_are_joined_and_means_named(ax: Axes) -> None:
    draw.draw_paired(ax, {"a": [0.1, 0.2], "b": [0.3, 0.1]})
    joined = [list(line.get_ydata()) for line in ax.lines if line.get_linewidth() == 0.8]
    assert joined == [[0.1, 0.3], [0.2, 0.1]]
    assert annotations(ax) == ["15.0%", "20.0%"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b"]


def test_choices_stand_beside_their_baseline(ax: Axes) -> None:
    draw.draw_choices(ax, [[0.2, 0.4], [0.1]], [0.5, 0.3])
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["one from scratch", "chosen: mean"]
    assert [list(line.get_ydata()) for line in ax.lines if line.get_marker() == "D"] == [[0.5], [0.3]]


@pytest.mark.parametrize("chosen", [None, "second"])
def test_published_rows_are_bars_of_two_kinds(ax: Axes, chosen: str | None) -> None:
    draw.draw_published(ax, {"first": (40.0, 18.0), "second": (38.0, 16.0)}, chosen)
    assert [round(bar.get_width()) for bar in ax.patches] == [40, 18, 38, 16]
    heavy = [bar.get_linewidth() > 2 for bar in ax.patches]
    assert heavy == ([False] * 4 if chosen is None else [False, False, True, True])
    assert annotations(ax) == ["40.0", "18.0", "38.0", "16.0"]


def test_ticks_have_the_digits_that_they_need() -> None:
    assert [draw._percent(x) for x in (0.275, 0.27, 0.0)] == ["27.5%", "27%", "0%"]
