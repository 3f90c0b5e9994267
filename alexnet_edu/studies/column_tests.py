"""What comparing the kernels of two columns came to, for one network and for many; no tensors here."""

from __future__ import annotations

from dataclasses import dataclass


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
