"""The exercises of notebook 10."""

from __future__ import annotations

import torch
from torch import Tensor

from alexnet_edu.exercises.judge import Function, Judge, normal


def _weights(*shapes: tuple[int, ...]) -> list[tuple[Tensor, ...]]:
    return [normal(0, shape) for shape in shapes]


JUDGES: dict[str, Judge] = {
    "10.2": Function(
        lambda b, old, new: b * old / new,
        [(*normal(10, (40, 3), dtype=torch.float64), 0.01, 0.001), (torch.ones(2), 0.3, 0.1)],
        {
            "that makes the next step smaller still; the paper's velocity stays as it is": (
                lambda b, old, new: b * new / old
            ),
            "left alone, PyTorch's step shrinks with the rate": lambda b, old, new: b,
        },
    ),
    "10.6": Function(
        lambda weight: (2 / weight[0].numel()) ** 0.5,
        _weights((96, 3, 11, 11), (256, 48, 5, 5), (40, 900)),
        {
            "that counts the outputs; the fan-in counts what ONE output reads": (
                lambda weight: (2 / (weight.shape[0] * weight[0, 0].numel())) ** 0.5
            ),
            "that is the rule without the 2 for ReLU": lambda weight: weight[0].numel() ** -0.5,
            "that is the variance; a standard deviation is asked for": lambda weight: 2 / weight[0].numel(),
        },
    ),
}
