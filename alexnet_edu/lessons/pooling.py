"""What a pooling layer sees: its windows counted, and what a shift of the image does to it.

z is the side of a window and s the distance between two of them, as in §3.4. Without
overlap z = s, with overlap z > s; z < s leaves inputs out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from alexnet_edu.studies.convergence import crossing

KINDS = ("max", "avg")


def output_side(n: int, z: int, s: int, *, up: bool = True) -> int:
    """Side of the output for n inputs a side: 1 + (n − z)/s, rounded up (2012) or down.

    A window that would begin beyond the last input is left out, as PyTorch does; that
    happens only where z < s. 0 where no window fits. Raises ValueError for n, z or s below 1.
    """
    if min(n, z, s) < 1:
        raise ValueError(f"n, z and s must be at least 1, got n={n!r}, z={z!r}, s={s!r}")
    steps = (n - z) / s
    side = 1 + (math.ceil(steps) if up else math.floor(steps))
    return max(0, min(side, 1 + (n - 1) // s))


def coverage(n: int, z: int, s: int, *, up: bool = True) -> Tensor:
    """How many windows see each of n × n inputs: (n, n) int64."""
    seen = torch.zeros(n, dtype=torch.int64)
    for start in range(0, s * output_side(n, z, s, up=up), s):
        seen[start : start + z] += 1
    return seen[:, None] * seen[None, :]


def pool(x: Tensor, z: int, s: int, kind: str = "max", *, up: bool = True) -> Tensor:
    """Pools the last two dimensions of x: (…, H, W) -> (…, h, w).

    A window that hangs over the edge takes the maximum, or the mean, of what it holds.
    kind: "max" or "avg". Where no window fits the output has a side of 0.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}; choose one of {', '.join(KINDS)}")
    sides = [output_side(n, z, s, up=up) for n in x.shape[-2:]]
    if 0 in sides:
        return x.new_empty(*x.shape[:-2], *sides)
    function = F.max_pool2d if kind == "max" else F.avg_pool2d
    flat = x.reshape(-1, 1, *x.shape[-2:])
    return function(flat, z, s, ceil_mode=up).reshape(*x.shape[:-2], *sides)


def shift_change(images: Tensor, z: int, s: int = 2, kind: str = "max") -> Tensor:
    """By how much the pooled maps change when the image moves one pixel to the left: (N,).

    images: (N, C, H, W) floating point. Both views are cut from the image, so nothing is
    invented at the edge. The change is a share of the maps' own variation,
    ‖P(shifted) − P‖ / ‖P − mean of P‖: √2 is expected of two unrelated maps.
    """
    views = images[..., :-1, :-1], images[..., :-1, 1:]
    still, moved = (pool(view, z, s, kind, up=False).flatten(1) for view in views)
    variation = (still - still.mean(1, keepdim=True)).norm(dim=1)
    return (moved - still).norm(dim=1) / variation.clamp(min=1e-12)


def cut_at(record: Mapping[str, Any], level: float) -> dict[str, Any]:
    """The record with every curve cut down to the point where the training error is `level`.

    Each run keeps one value, its test error there (linear between two points of the curve).
    So runs can be compared that fit the training images equally well. Raises ValueError
    when a run never comes down to `level`.
    """
    cells = []
    for cell in record["cells"]:
        runs = []
        for run in cell["runs"]:
            curve = run["curve"]
            test_error = crossing(curve["test_error"], curve["train_error"], level)
            if test_error is None:
                name = f"{cell['variant']}, seed {run['seed']}"
                raise ValueError(f"{name}: the training error never comes down to {level:.1%}")
            runs.append({**run, "curve": {"test_error": [test_error], "train_error": [level]}})
        cells.append({**cell, "runs": runs})
    return {**record, "cells": cells}


def up_to(record: Mapping[str, Any], epoch: float) -> dict[str, Any]:
    """The record with every curve cut off after an epoch: at a drop of the rate, for example."""
    cells = []
    for cell in record["cells"]:
        runs = []
        for run in cell["runs"]:
            kept = sum(e <= epoch for e in run["curve"]["epoch"])
            runs.append({**run, "curve": {name: values[:kept] for name, values in run["curve"].items()}})
        cells.append({**cell, "runs": runs})
    return {**record, "cells": cells}


def lowest_common_level(record: Mapping[str, Any]) -> float:
    """The lowest training error (0–1) that all runs of a record come down to."""
    return max(min(run["curve"]["train_error"]) for cell in record["cells"] for run in cell["runs"])
