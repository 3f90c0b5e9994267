"""The exercises of notebook 03."""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from alexnet_edu.exercises.judge import Function, Judge, as_function, as_tensor, normal


def _over_mixed_channels(x: Tensor) -> Tensor:
    columns = F.unfold(x, 3, stride=2)
    height, width = (x.shape[2] - 3) // 2 + 1, (x.shape[3] - 3) // 2 + 1
    return columns.unflatten(1, (9, x.shape[1])).amax(1).unflatten(2, (height, width))


def _rounding(answer: Any) -> str | None:
    """A function of n, z and s: whether rounding up and down give different output sides."""
    function = as_function(answer)
    for n, z, s in product(range(2, 31), range(1, 31), range(1, 6)):
        if z > n:
            continue
        got, want = function(n, z, s), (n - z) % s != 0
        if got is None:
            return "the function returns nothing"
        if bool(got) != want:
            return f"for n = {n}, z = {z}, s = {s} it says {bool(got)}, but ({n} − {z})/{s} = {(n - z) / s:g}"
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
        lambda x: F.max_pool2d(x, 3, 2),
        [(x - 1,) for x in normal(3, (2, 3, 7, 7), (1, 2, 9, 5), (2, 1, 3, 3))],
        {
            "that is z = 2; the window is 3×3": lambda x: F.max_pool2d(x, 2, 2),
            "that is the average; the maximum is asked for": lambda x: F.avg_pool2d(x, 3, 2),
            "the values of one window lie together within each channel: the second "
            "dimension of F.unfold is (C, 9), not (9, C)": _over_mixed_channels,
        },
    ),
    "03.4": _rounding,
    "03.5": _two_averages,
}
