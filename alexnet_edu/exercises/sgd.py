"""The exercises of notebook 10."""

from __future__ import annotations

import torch
from torch import Tensor

from alexnet_edu.exercises.judge import Function, Judge, normal

DECAY = 0.0005


def _state(seed: int, rate: float) -> tuple[Tensor, ...]:
    """(v, w, g, ε); weights large enough for the decay to be seen."""
    v, w, g = normal(seed, (40, 3), (40, 3), (40, 3), dtype=torch.float64)
    return v, 100 * w, g, torch.tensor(rate)


JUDGES: dict[str, Judge] = {
    "10.2": Function(
        lambda v, w, g, rate: 0.9 * v - DECAY * rate * w - rate * g,
        [_state(10, 0.01), _state(11, 0.2)],
        {
            "that is PyTorch's buffer; ε is missing": lambda v, w, g, rate: 0.9 * v + DECAY * w + g,
            "the decay is multiplied by ε as well, in §5": (
                lambda v, w, g, rate: 0.9 * v - DECAY * w - rate * g
            ),
            "the signs are turned round: the velocity is added to the weights": (
                lambda v, w, g, rate: 0.9 * v + DECAY * rate * w + rate * g
            ),
            "the weight decay is missing": lambda v, w, g, rate: 0.9 * v - rate * g,
        },
    ),
}
