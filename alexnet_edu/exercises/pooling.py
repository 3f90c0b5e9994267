"""The exercises of notebook 03."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from alexnet_edu.exercises.judge import Function, Judge, as_function, as_tensor, normal


def _mean_with_zeros(x: Tensor, z: int, s: int) -> Tensor:
    over_h, over_w = ((z - n) % s for n in x.shape[2:])
    return F.pad(x, (0, over_w, 0, over_h)).unfold(2, z, s).unfold(3, z, s).mean((4, 5))


def _same_size(answer: Any) -> str | None:
    """A function of n, z and s: whether windows of side z and z + 1 give equally many outputs."""
    function = as_function(answer)
    for n, z, s in product(range(2, 31), range(1, 30), range(1, 6)):
        if z + 1 > n:
            continue
        sizes = [1 + math.ceil((n - side) / s) for side in (z, z + 1)]
        got = function(n, z, s)
        if got is None:
            return "the function returns nothing"
        if bool(got) != (sizes[0] == sizes[1]):
            found = f"the sizes are {sizes[0]} and {sizes[1]}"
            return f"for n = {n}, z = {z}, s = {s} it says {bool(got)}, but {found}"
    return None


def _two_averages(answer: Any) -> str | None:
    kernel = as_tensor(answer, "a 3×3 tensor is").squeeze()
    if kernel.shape != (3, 3):
        return f"the kernel has the shape {tuple(kernel.shape)}, it should be (3, 3)"
    row = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)
    want = torch.outer(row, row) / 16
    if torch.allclose(kernel, want, atol=1e-3):
        return None
    if torch.allclose(kernel, torch.full_like(kernel, 1 / 9), atol=1e-3):
        return "that is one average over 3×3; here the pixel in the middle enters more often than a corner"
    if abs(kernel.sum() - 1) > 1e-3:
        return f"the weights of an average sum to 1, these to {kernel.sum():.3g}"
    worst = (kernel - want).abs().argmax().item()
    return f"the weight in row {worst // 3 + 1}, column {worst % 3 + 1} is not right"


JUDGES: dict[str, Judge] = {
    "03.2": Function(
        lambda x, z, s: F.avg_pool2d(x, z, s, ceil_mode=True),
        [(x + 2, z, 2) for z in (3, 2) for x in normal(3, (2, 3, 8, 8), (1, 2, 9, 6))],
        {
            "windows that hang over the edge still count zeros there as pixels": _mean_with_zeros,
            "that is the maximum; the average is asked for": lambda x, z, s: F.max_pool2d(
                x, z, s, ceil_mode=True
            ),
        },
    ),
    "03.3": Function(
        lambda z: (2 / z) ** 0.5,
        [(3,), (2,), (5,)],
        {
            "that is the square of it: take the root": lambda z: 2 / z,
            "that is for two maps that share nothing; these share z − 1 columns": lambda z: 2**0.5,
            "both outputs vary: one column of z comes in, and one goes": lambda z: (1 / z) ** 0.5,
        },
    ),
    "03.4": _same_size,
    "03.5": _two_averages,
}
