"""The exercises of notebook 06."""

from __future__ import annotations

import math
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
    [0.70, 0.69, 0.68, 0.67, 0.66, 0.65, 0.64, 0.63],
)
MARGINS = (0.0, 0.015, 0.035)  # no multiple of a step of CURVES: rounding decides nothing


def _falls(errors: Tensor, patience: Tensor | int, margin: Tensor | float, most: int = 3) -> int:
    rule = PlateauSchedule(int(patience), margin=float(margin), most=most)
    return len(rule.falls(errors.tolist()))


def _best_moves(errors: Tensor, patience: Tensor, margin: Tensor) -> int:
    """The best error is lowered by every small gain, too, so that a slow descent never counts."""
    falls, waited, best = 0, 0, math.inf
    for error in errors.tolist():
        waited = 0 if error < best - float(margin) else waited + 1
        best = min(best, error)
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
        [
            (torch.tensor(c), torch.tensor(p), torch.tensor(m))
            for c in CURVES
            for p in (1, 2, 3)
            for m in MARGINS
        ],
        {
            "the margin makes no difference": lambda e, patience, margin: _falls(e, patience, 0.0),
            "small gains add up: the best error stays until the margin is passed": _best_moves,
            "the rate falls three times at most": lambda e, patience, m: _falls(e, patience, m, most=10**6),
            "the rate falls at the measurement that makes the patience full, not one later": (
                lambda e, patience, margin: _falls(e, patience + 1, margin)
            ),
        },
    ),
    "06.4": _rows,
}
