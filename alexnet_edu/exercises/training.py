"""The exercises of notebook 06."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from alexnet_edu.exercises.judge import Function, Judge, as_function
from alexnet_edu.training.schedules import PlateauSchedule

CURVES = (
    [0.9, 0.8, 0.8, 0.8, 0.7, 0.71, 0.72, 0.69],
    [0.5] * 12,
    [0.9, 0.8, 0.7],
    [0.6, 0.5, 0.55, 0.52, 0.51, 0.53, 0.5, 0.49],
    [0.9],
)


def _falls(errors: Tensor, patience: Tensor | int, most: int = 3) -> int:
    return len(PlateauSchedule(int(patience), most=most).falls(errors.tolist()))


def _compared_with_the_last(errors: Tensor, patience: Tensor) -> int:
    """The error before takes the place of the best one."""
    falls = waited = 0
    for before, now in pairwise([math.inf, *errors.tolist()]):
        waited = 0 if now < before else waited + 1
        if waited == int(patience) and falls < 3:
            falls, waited = falls + 1, 0
    return falls


def _rows(answer: Any) -> str | None:
    """rows(order, step, batch, rank, world): all images of a step once, over all processes."""
    function = as_function(answer)
    for count, batch, world in ((12, 4, 2), (23, 6, 2), (23, 6, 4), (9, 5, 3), (7, 7, 1)):
        order = torch.randperm(count, generator=torch.Generator().manual_seed(count))
        for step, wanted in enumerate(order.split(batch)):
            shares = [torch.as_tensor(function(order.clone(), step, batch, r, world)) for r in range(world)]
            fault = _fault_of_step([share.flatten().long().tolist() for share in shares], wanted.tolist())
            if fault is not None:
                return f"{fault} ({count} images, batches of {batch}, {world} processes, step {step})"
    return None


def _fault_of_step(shares: list[list[int]], wanted: list[int]) -> str | None:
    seen = [row for share in shares for row in share]
    if len(seen) > len(set(seen)):
        return "an image comes twice in one step"
    if missing := set(wanted) - set(seen):
        return f"{len(missing)} of the images of this step are in no process"
    if set(seen) - set(wanted):
        return "a process has an image of another step"
    if max(map(len, shares)) - min(map(len, shares)) > 1:
        counts = ", ".join(str(len(share)) for share in shares)
        return f"the processes have {counts} images: the work is not shared evenly"
    return None


JUDGES: dict[str, Judge] = {
    "06.3": Function(
        _falls,
        [(torch.tensor(curve), torch.tensor(patience)) for curve in CURVES for patience in (1, 2, 3)],
        {
            "compare with the best error so far, not with the one before": _compared_with_the_last,
            "the rate falls three times at most": lambda e, patience: _falls(e, patience, most=10**6),
            "the rate falls at the measurement that makes the patience full, not one later": (
                lambda e, patience: _falls(e, patience + 1)
            ),
        },
    ),
    "06.4": _rows,
}
