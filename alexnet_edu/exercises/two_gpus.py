"""The exercises of notebook 05."""

from __future__ import annotations

import torch
from torch import Tensor

from alexnet_edu.exercises.judge import Function, Judge, normal


def _ungroup(w: Tensor) -> Tensor:
    first, second = w.chunk(2)
    return torch.cat([torch.cat([first, 0 * first], 1), torch.cat([0 * second, second], 1)])


JUDGES: dict[str, Judge] = {
    "05.3": Function(
        _ungroup,
        [(w,) for w in normal(5, (6, 4, 3, 3), (2, 1, 1, 1))],
        {
            "every kernel reads both halves now; it must have zeros for the other column": (
                lambda w: torch.cat([w, w], 1)
            )
        },
    ),
    "05.5": Function(
        lambda own, received: own + received,
        [normal(6, (2, 3, 4, 4), (2, 3, 4, 4))],
        {
            "the other rank read this half, too": lambda own, received: own,
            "this rank read its own half, too": lambda own, received: received,
            "gradients of one value add up: no mean": lambda own, received: (own + received) / 2,
        },
    ),
}
