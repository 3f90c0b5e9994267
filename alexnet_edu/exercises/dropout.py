"""The exercises of notebook 09."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from alexnet_edu.exercises.judge import Function, Judge, as_number, normal


def _noise_case(units: int, keep: float) -> tuple[Tensor, ...]:
    return *normal(units, (units,), (units,)), torch.tensor(keep)


def _one_unit(answer: Any) -> str | None:
    """A weight w: two thinned networks with the probabilities σ(0) and σ(w), halved σ(w/2)."""
    w = as_number(answer)

    def sigma(z: float) -> float:
        return 0.5 * (1 + math.tanh(z / 2))

    halved, average = sigma(w / 2), (sigma(0) + sigma(w)) / 2
    if abs(halved - average) >= 0.2:
        return None
    return f"for w = {w:g} the halved network says {halved:.3f} and the average is {average:.3f}"


JUDGES: dict[str, Judge] = {
    "09.2": Function(
        lambda z: z.mean(0).softmax(0),
        [(3 * z,) for z in normal(9, (2, 3), (5, 4), (1, 2))],
        {
            "that is the arithmetic mean of the distributions": lambda z: z.softmax(1).mean(0),
            "these are logarithms, and not yet divided by the sum": lambda z: z.log_softmax(1).mean(0),
            "that is the geometric mean, but it does not sum to 1: divide by the sum": (
                lambda z: z.log_softmax(1).mean(0).exp()
            ),
            "that is the product, not its M-th root": lambda z: z.sum(0).softmax(0),
        },
    ),
    "09.4": Function(
        lambda w, h, keep: keep * (1 - keep) * (w * h).square().sum(),
        [_noise_case(6, 0.5), _noise_case(9, 0.8), _noise_case(1, 0.3)],
        {
            "that is the inverted form, where a kept unit counts 1/p": (
                lambda w, h, keep: (1 - keep) / keep * (w * h).square().sum()
            ),
            "that is the mean of the square": lambda w, h, keep: keep * (w * h).square().sum(),
            "the masks of the units are independent: their variances add, not their deviations": (
                lambda w, h, keep: keep * (1 - keep) * (w * h).sum().square()
            ),
            "that is the standard deviation; the variance is asked for": (
                lambda w, h, keep: (keep * (1 - keep) * (w * h).square().sum()).sqrt()
            ),
        },
    ),
    "09.5": _one_unit,
}
