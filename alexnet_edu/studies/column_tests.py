"""What comparing the kernels of two columns came to, for one network and for many; no tensors here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ColumnTest:
    """Two columns of one network compared in one measure.

    first, second: the mean of the measure in each column. p: how often kernels dealt to two columns at
    random differ at least as much, the given deal counted once more; never 0.
    z: how many standard deviations of those random differences |first − second| lies above their mean.
    """

    first: float
    second: float
    p: float
    z: float

    @property
    def difference(self) -> float:
        """|first − second|."""
        return abs(self.first - self.second)


@dataclass(frozen=True)
class PooledTest:
    """Many networks together: do their columns differ more than by chance?

    mean: of |difference| over the networks. chance: what it is for kernels dealt at random, with
    low and high, where 95% of the random means lie. p: as in `ColumnTest`, for the mean.
    effect: (mean − chance) in standard deviations of one network's random differences, averaged: 0 is chance,
        and it does not grow with the number of networks.
    clear: networks with p < 0.05 of their own. expected_clear: 5% of them.
    """

    networks: int
    mean: float
    chance: float
    low: float
    high: float
    p: float
    effect: float
    clear: int

    @property
    def expected_clear(self) -> float:
        return 0.05 * self.networks
