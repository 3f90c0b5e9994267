"""The exercises of notebook 05."""

from __future__ import annotations

import torch
from torch import Tensor

from alexnet_edu.exercises.judge import Function, Judge, normal


def _ungroup(w: Tensor) -> Tensor:
    first, second = w.chunk(2)
    return torch.cat([torch.cat([first, 0 * first], 1), torch.cat([0 * second, second], 1)])


def _own_halves(a: Tensor, b: Tensor) -> Tensor:
    return torch.cat([a.chunk(2, 1)[0], b.chunk(2, 1)[1]], 1)


JUDGES: dict[str, Judge] = {
    "05.2": Function(
        lambda a, b: a + b,
        [normal(6, (2, 6, 4, 4), (2, 6, 4, 4))],
        {
            "each half lacks what came back through the other column's kernels": _own_halves,
            "that is what came back through the other column's kernels alone": lambda a, b: _own_halves(b, a),
            "gradients of one value add up: no mean": lambda a, b: (a + b) / 2,
        },
    ),
    "05.3": Function(
        _ungroup,
        [(w,) for w in normal(5, (6, 4, 3, 3), (2, 1, 1, 1))],
        {
            "every kernel reads both halves now; it must have zeros for the other column": (
                lambda w: torch.cat([w, w], 1)
            )
        },
    ),
}
