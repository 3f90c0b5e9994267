"""Intervals of what a handful of runs say, and where learning curves cross a level.

Every interval is one of 95%. Where seeds or images are shared, pair them: what they do to both cancels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95% interval, in the unit of the values.

    low, high: None where there is no interval, with one run a side.
    """

    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        return f"{self.value:.1f}" + ("" if self.low is None else f" [{self.low:.1f}, {self.high:.1f}]")

    @property
    def signed(self) -> str:
        """A difference in words: "−2.79 [−3.49, −2.09]"."""
        if self.low is None or self.high is None:
            return signed(self.value)
        return f"{signed(self.value)} [{signed(self.low)}, {signed(self.high)}]"


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign, "+0.50" or "−2.79", with the minus that axes have."""
    return f"{value:+.{digits}f}".replace("-", "−")


def mean_interval(values: Sequence[float]) -> Interval:
    """The mean of independent values, by Student's t."""
    mean, error = float(np.mean(values)), _standard_error(values)
    if len(values) < 2:
        return Interval(mean)
    reach = _quantile(len(values) - 1) * error
    return Interval(mean, mean - reach, mean + reach)


def paired(a: Sequence[float], b: Sequence[float]) -> Interval:
    """The mean of a - b, pair by pair. Raises ValueError where one is longer than the other."""
    return mean_interval([x - y for x, y in zip(a, b, strict=True)])


def welch(a: Sequence[float], b: Sequence[float]) -> Interval:
    """mean(a) - mean(b) for independent runs, by Student's t for unequal variances."""
    difference = float(np.mean(a) - np.mean(b))
    if min(len(a), len(b)) < 2:
        return Interval(difference)
    parts = [_standard_error(x) ** 2 for x in (a, b)]
    if (error := sum(parts) ** 0.5) == 0:
        return Interval(difference, difference, difference)
    freedom = sum(parts) ** 2 / sum(p**2 / (len(x) - 1) for p, x in zip(parts, (a, b), strict=True))
    reach = _quantile(freedom) * error
    return Interval(difference, difference - reach, difference + reach)


def bootstrap_ratio(
    numerator: Sequence[float], denominator: Sequence[float], *, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """mean(numerator) / mean(denominator) with a percentile bootstrap interval.

    Both sides are resampled independently over their runs. With a handful of runs the interval is a rough
    one, and it can never reach outside what those runs span. Raises ValueError for one run on a side.
    """
    a, b = np.asarray(numerator, float), np.asarray(denominator, float)
    if len(a) < 2 or len(b) < 2:
        raise ValueError(f"a bootstrap interval needs two runs on each side, got {len(a)} and {len(b)}")
    rng = np.random.default_rng(seed)
    tops = a[rng.integers(0, len(a), (resamples, len(a)))].mean(1)
    bottoms = b[rng.integers(0, len(b), (resamples, len(b)))].mean(1)
    low, high = np.quantile(tops / bottoms, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(a.mean() / b.mean()), float(low), float(high))


def _quantile(freedom: float) -> float:
    """Half the width of an interval in standard errors."""
    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))


def _standard_error(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0


def crossing(x: Sequence[float], y: Sequence[float], level: float) -> float | None:
    """Where a falling curve first reaches `level`; None if it never does.

    Linear between the last point above and the first point at or below the level. A curve whose first point
    is already there crosses at that point. Raises ValueError where the two differ in length.
    """
    before = None
    for at, value in zip(x, y, strict=True):
        if value <= level:
            if before is None or before[1] == value:
                return float(at)
            share = (before[1] - level) / (before[1] - value)
            return float(before[0] + share * (at - before[0]))
        before = (at, value)
    return None


# --- two columns against chance ------------------------------------------------------------------


@dataclass(frozen=True)
class ColumnTest:
    """Two columns of one network compared in one measure.

    first, second: the mean of the measure in each column. p: how often columns made by a random
    permutation of the kernels differ at least as much, the actual ones counted as one more; never 0.
    """

    first: float
    second: float
    p: float

    @property
    def difference(self) -> float:
        """|first − second|."""
        return abs(self.first - self.second)


@dataclass(frozen=True)
class PooledTest:
    """Many networks together: do their columns differ more than by chance?

    mean: of |difference| over the networks. chance: what it is for permuted kernels, with
    low and high, where 95% of the random means lie. p: as in `ColumnTest`, for the mean.
    effect: (mean − chance) in standard deviations of one network's random differences, averaged: 0 is chance,
        and it does not grow with the number of networks.
    clear: networks whose own p is below 0.05, where chance alone gives 5% of them.
    """

    networks: int
    mean: float
    chance: float
    low: float
    high: float
    p: float
    effect: float
    clear: int


def p_text(p: float, permutations: int) -> str:
    """A p-value in words, "= 0.012"; the least that so many permutations can give is written as "<"."""
    least = 1 / (1 + permutations)
    return f"< {2 * least:.1g}" if p < 1.5 * least else f"= {p:.2g}"
