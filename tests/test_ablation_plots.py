"""Drawings of recorded studies: every seed has its mark, every variant its own style."""

from __future__ import annotations

from typing import Any

import pytest
from matplotlib.figure import Figure

from alexnet_edu.show.ablation_plots import SERIES, draw_curves, draw_spread


def cell(title: str, ends: list[float]) -> dict[str, Any]:
    return {
        "title": title,
        "runs": [{"curve": {"epoch": [1.0, 2.0], "test_error": [0.5, end]}} for end in ends],
    }


CELLS = [cell("none", [0.25, 0.27]), cell("LRN", [0.24, 0.26])]


def test_every_seed_has_a_mark_and_the_mean_its_number() -> None:
    ax = Figure().subplots()
    draw_spread(ax, CELLS, [[0.25, 0.27], [0.24, 0.26]], "test_error", "a title")
    assert [line.get_xdata().tolist() for line in ax.lines[::2]] == [[0.25, 0.27], [0.24, 0.26]]
    assert [text.get_text() for text in ax.texts] == ["26.0%", "25.0%"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["none", "LRN"]
    assert ax.get_xlabel() == "test error"


def test_curves_are_means_with_the_span_of_the_seeds() -> None:
    ax = Figure().subplots()
    draw_curves(ax, CELLS, "test_error", "a title")
    assert [list(line.get_ydata()) for line in ax.lines] == [
        pytest.approx([0.5, 0.26]),
        pytest.approx([0.5, 0.25]),
    ]
    low, high = ax.collections[0].get_paths()[0].get_extents().intervaly
    assert (low, high) == pytest.approx((0.25, 0.5))


def test_styles_differ_in_more_than_colour() -> None:
    assert len({line for _, line, _ in SERIES}) == len({marker for _, _, marker in SERIES}) == len(SERIES)
