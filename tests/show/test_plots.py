"""The shared drawings: marks stand at the numbers, and series are told apart by more than colour."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alexnet_edu.show import plots


@pytest.fixture
def ax() -> Axes:
    return Figure().add_subplot()


@pytest.fixture
def curves() -> pd.DataFrame:
    """Two variants with two seeds and two epochs each."""
    rows = [("none", 1, 0.25), ("none", 2, 0.27), ("LRN", 1, 0.24), ("LRN", 2, 0.26)]
    points = [(t, s, e, v) for t, s, last in rows for e, v in ((1.0, 0.5), (2.0, last))]
    return pd.DataFrame(points, columns=["title", "seed", "epoch", "test_error"])


def test_learning_curves_are_means_with_the_span_of_the_seeds(ax: Axes, curves: pd.DataFrame) -> None:
    plots.learning_curves(ax, curves, "test_error", "a title")
    assert {str(line.get_label()): list(line.get_ydata()) for line in ax.lines} == {
        "none": pytest.approx([0.5, 0.26]),
        "LRN": pytest.approx([0.5, 0.25]),
    }
    low, high = ax.collections[0].get_paths()[0].get_extents().intervaly
    assert (low, high) == pytest.approx((0.25, 0.5))
    assert ax.get_ylabel() == "test error"


def test_a_mean_needs_all_runs_and_marks_show_each(ax: Axes) -> None:
    plots.lines(ax, {"a": ([1, 2], [[3, np.nan], [5, 6]])}, spread="marks")
    marks, mean = ax.lines
    assert np.array_equal(marks.get_ydata(), [3, np.nan, 5, 6], equal_nan=True)
    assert np.array_equal(mean.get_ydata(), [4, np.nan], equal_nan=True)


def test_images_beyond_the_scale_are_shown_at_its_ends(ax: Axes) -> None:
    shown = plots.images(ax, np.stack([np.full((3, 4, 4), value) for value in (-20.0, 127.4, 300.0)]))
    sheet = np.asarray(shown.get_array())
    assert sheet.shape == (6, 16, 3)  # three in a row, a white line around each
    assert [int(sheet[3, column, 0]) for column in (3, 8, 13)] == [0, 127, 255]


def test_styles_differ_in_more_than_colour() -> None:
    for part in ("color", "line", "marker"):
        assert len({getattr(style, part) for style in plots.SERIES}) == len(plots.SERIES)


@pytest.mark.parametrize(
    ("share", "words"), [(0.235, "23.5%"), (0.27, "27%"), (0.001, "0.1%"), (1 / 3, "33.3333%")]
)
def test_percent_ticks_have_as_many_digits_as_they_need(share: float, words: str) -> None:
    assert plots.percent_tick(share) == words
