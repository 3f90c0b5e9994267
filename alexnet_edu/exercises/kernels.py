"""The exercises of notebook 07."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from alexnet_edu.exercises.judge import Function, Judge


def _by_chance(s: float, kernels: int) -> float:
    return 2 * s / math.sqrt(kernels) * math.sqrt(2 / math.pi)


def _p_value(own: Tensor, null: Tensor) -> Tensor:
    return (1 + (null.abs() >= own.abs()).sum()) / (1 + len(null))


JUDGES: dict[str, Judge] = {
    "07.3": Function(
        _by_chance,
        [(0.3, 48), (0.3, 96), (1.0, 4)],
        {
            "that is the standard deviation; its mean absolute value is √(2/π) of it": (
                lambda s, kernels: 2 * s / math.sqrt(kernels)
            ),
            "each column has half of the kernels, and both means scatter": (
                lambda s, kernels: _by_chance(s, 2 * kernels)
            ),
        },
    ),
    "07.4": Function(
        _p_value,
        [
            (torch.tensor(-0.3), torch.arange(-0.5, 0.6, 0.01)),
            (torch.tensor(2.0), torch.linspace(-1, 1, 99)),
            (torch.tensor(0.5), torch.tensor([0.5, -0.5, 0.1])),
        ],
        {
            "the columns as they are could have been dealt too: count them as well, (1 + …)/(1 + n)": (
                lambda own, null: (null.abs() >= own.abs()).double().mean()
            ),
            "nothing says which column should have more: compare sizes, not signed numbers": (
                lambda own, null: (1 + (null >= own).sum()) / (1 + len(null))
            ),
            "both mistakes are still in it": lambda own, null: (null >= own).double().mean(),
            "deals that are just as far apart count too: ≥, not >": (
                lambda own, null: (1 + (null.abs() > own.abs()).sum()) / (1 + len(null))
            ),
        },
    ),
}
