"""Intervals and crossings against values worked out by hand and by scipy."""

from __future__ import annotations

import random

import pytest
from scipy import stats

from alexnet_edu.studies.statistics import (
    bootstrap_ratio,
    crossing,
    mean_interval,
    paired,
    welch,
)


def test_intervals_are_those_of_student() -> None:
    a, b = [1.0, 2.0, 4.0, 4.5], [0.5, 1.0, 1.5]
    interval = mean_interval(a)
    low, high = stats.t.interval(0.95, 3, interval.value, stats.sem(a))
    assert (interval.low, interval.high) == pytest.approx((low, high))
    expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    found = welch(a, b)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert paired(a[:3], b).value == pytest.approx(4 / 3)


def test_one_run_has_no_interval_and_equal_runs_one_without_width() -> None:
    assert (mean_interval([3.0]).low, welch([3.0], [1.0, 2.0]).high) == (None, None)
    assert welch([3.0, 3.0], [1.0, 1.0]).high == 2
    assert welch([3.0, 3.0], [1.0, 2.0]).low is not None  # one side alone is constant
    assert [str(mean_interval([3.0])), mean_interval([3.0]).signed] == ["3.0", "+3.00"]
    assert mean_interval([-1.0, -1.0]).signed == "−1.00 [−1.00, −1.00]"


def test_bootstrap_interval_covers_the_true_ratio_about_as_often_as_it_says() -> None:
    """200 repetitions of ten runs a side; percentile intervals are a little too narrow."""
    draw, hits = random.Random(0), 0
    for i in range(200):
        slow, fast = ([draw.gauss(mean, mean / 10) for _ in range(10)] for mean in (30, 5))
        interval = bootstrap_ratio(slow, fast, resamples=500, seed=i)
        hits += interval.low <= 6 <= interval.high  # type: ignore[operator]
    assert 0.82 <= hits / 200 <= 0.99
    assert bootstrap_ratio([12, 12], [2, 2]).high == 6


@pytest.mark.parametrize(
    ("level", "expected"), [(0.8, 1.0), (0.7, 1.5), (0.6, 2.0), (0.5, 2.5), (0.1, None), (0.9, 1.0)]
)
def test_where_a_curve_crosses_a_level(level: float, expected: float | None) -> None:
    assert crossing([1, 2, 3, 4], [0.8, 0.6, 0.4, 0.5], level) == (
        expected if expected is None else pytest.approx(expected)
    )
