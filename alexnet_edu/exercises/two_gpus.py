"""The exercises of notebook 05."""

from __future__ import annotations

import torch
from torch import Tensor

from alexnet_edu.exercises.judge import Function, Judge, Number, normal

PARAMETERS = 60_965_224  # of the paper's network, see `architecture.count`


def _ungroup(w: Tensor) -> Tensor:
    first, second = w.chunk(2)
    return torch.cat([torch.cat([first, 0 * first], 1), torch.cat([0 * second, second], 1)])


JUDGES: dict[str, Judge] = {
    "05.1": Number(
        4 * 128 * 48 * 27**2,
        {
            "that is the whole input; a column sends its own half": 4 * 128 * 96 * 27**2,
            "those are numbers; each takes four bytes": 128 * 48 * 27**2,
            "that is one image; the batch has 128": 4 * 48 * 27**2,
            "give bytes, not megabytes": 17.9,
        },
        tolerance=0.005,
    ),
    "05.2": Number(
        PARAMETERS + 256 * 48 * 25 + 384 * 192 * 9 + 256 * 192 * 9,
        {"that is the paper's network, where conv2, conv4 and conv5 read one column": PARAMETERS},
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
    "05.4": Number(
        4 * PARAMETERS / (30.0e6 / 128),
        {
            "60 MB is what both GPUs send together": 4 * PARAMETERS / (60.0e6 / 128),
            "a gradient takes four bytes": PARAMETERS / (30.0e6 / 128),
        },
        tolerance=0.02,
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
