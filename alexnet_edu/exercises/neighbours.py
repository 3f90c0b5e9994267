"""The exercises of notebook 08."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from alexnet_edu.exercises.judge import Function, Judge, normal
from alexnet_edu.studies.neighbours import expected_by_batches

U, V, FEW = (codes.sign() for codes in normal(8, (4, 32), (7, 32), (3, 8)))
GENERATOR = torch.Generator().manual_seed(8)
TIED = torch.randint(0, 6, (40,), generator=GENERATOR), torch.randint(0, 2, (40,), generator=GENERATOR).bool()


def _expected(k: Tensor, batches: Tensor) -> float:
    return expected_by_batches(int(k), int(batches))


def _shared_precision(distances: Tensor, same: Tensor, k: Tensor) -> Tensor:
    last = distances.sort().values[k - 1]
    surely, tied = distances < last, distances == last
    return (same[surely].sum() + (k - surely.sum()) * same[tied].float().mean()) / k


def _first_come(distances: Tensor, same: Tensor, k: Tensor) -> Tensor:
    return same[distances.argsort(stable=True)[:k]].float().mean()


def _all_tied(distances: Tensor, same: Tensor, k: Tensor) -> Tensor:
    return same[distances <= distances.sort().values[k - 1]].float().mean()


JUDGES: dict[str, Judge] = {
    "08.2": Function(
        lambda u, v: (u.shape[1] - u @ v.T) / 2,
        [(U, V), (FEW, FEW)],
        {
            "that is bits that agree minus bits that differ": lambda u, v: u @ v.T,
            "that counts each bit that differs twice": lambda u, v: u.shape[1] - u @ v.T,
            "that counts the bits that agree": lambda u, v: (u.shape[1] + u @ v.T) / 2,
        },
    ),
    "08.3": Function(
        _expected,
        [(torch.tensor(k), torch.tensor(b)) for k, b in ((16, 1334), (6, 10), (1, 4), (2, 2))],
        {
            "that counts neighbours alone in their batch; the nearest of a batch is found as well": (
                lambda k, b: k * (1 - 1 / b) ** (k - 1)
            ),
            "that lets each neighbour be in the way of one other one; it may be any nearer one": (
                lambda k, b: k * (1 - 1 / b)
            ),
            "that is the chance that one batch holds any of them": lambda k, b: 1 - (1 - 1 / b) ** k,
            "those are the batches that hold none": lambda k, b: (1 - 1 / b) ** k * b,
        },
    ),
    "08.4": Function(
        _shared_precision,
        [
            (*TIED, torch.tensor(6)),
            (torch.full((10,), 3), torch.arange(10) < 2, torch.tensor(2)),
            (torch.arange(8), torch.arange(8) % 3 == 0, torch.tensor(4)),
        ],
        {
            "of equal distances that takes those that come first; they should share": _first_come,
            "that counts everything up to the last distance, more than k": _all_tied,
            "that is a number of images, not a share": lambda d, s, k: k * _shared_precision(d, s, k),
        },
    ),
    "08.5": Function(
        lambda c: torch.acos(c) / math.pi,
        [(torch.tensor([1.0, 0.5, 0.0, -0.5, -1.0], dtype=torch.float64),)],
        {
            "right at 0°, 90° and 180°, but the chance grows with the angle": lambda c: (1 - c) / 2,
            "divide the angle by the largest one": torch.acos,
            "that is the share of bits that agree": lambda c: 1 - torch.acos(c) / math.pi,
            "a plane has two sides: a half turn is all there is": lambda c: torch.acos(c) / (2 * math.pi),
        },
    ),
}
