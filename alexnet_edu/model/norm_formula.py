"""§3.3's formula and its gradient on whole tensors, in as many passes over memory as they have steps.

What a GPU runs, what is differentiated twice, and what the quicker forms are tested against.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

Window = tuple[int, int]  # maps before, maps after


def normalized(x: Tensor, window: Window, k: float, c: float, beta: float, columns: int) -> Tensor:
    """x d^−β with d = k + c Σ x². x: (N, C, …) of any floating type, computed in float32 at least."""
    a = wide(x)
    return (a * power(k + c * window_sum(a * a, window, columns), beta)).to(x.dtype)


def gradient(x: Tensor, g: Tensor, window: Window, k: float, c: float, beta: float, columns: int) -> Tensor:
    """What `normalized` makes of the gradient g of its result.

    With q = g d^−β that is q − 2cβ x Σ(q x / d), the sum over the maps whose window holds this
    one: the same window, turned round.
    """
    a = wide(x)
    d = k + c * window_sum(a * a, window, columns)
    q = wide(g) * power(d, beta)
    return (q - 2 * c * beta * a * window_sum(q * a / d, window[::-1], columns)).to(x.dtype)


def wide(x: Tensor) -> Tensor:
    """Half precision as float32, all else as it is."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def power(d: Tensor, beta: float) -> Tensor:
    """d^−β; for the paper's 3/4 by two square roots, quicker than `pow` for what lies in the cache."""
    if beta == 0.75:
        root = d.rsqrt()
        return root * root.sqrt()
    return d.pow(-beta)


def window_sum(x: Tensor, window: Window, columns: int) -> Tensor:
    """Sums over the maps from i − window[0] to i + window[1], inside each column."""
    maps = x.shape[1] // columns
    parts = []
    for column in x.split(maps, dim=1) if columns > 1 else (x,):
        padded = F.pad(column, (0, 0) * (x.dim() - 2) + window)
        total = padded[:, :maps]
        for i in range(1, 1 + sum(window)):
            total = total + padded[:, i : i + maps]
        parts.append(total)
    return torch.cat(parts, dim=1) if columns > 1 else parts[0]
