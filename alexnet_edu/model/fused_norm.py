"""§3.3's normalization in a form of which a compiler makes few and quick loops on a processor.

`torch.compile` fuses the dozen passes of the formula: one loop forward, two backward. But of the
obvious form it makes slow ones: a slice of padded maps becomes a load under a mask of 64-bit
indices, and in the gradient each summand is computed again for every neighbour that it serves.
So here a neighbour is the same memory some places on. What that reaches beyond the end of a
column, a mask in floating point leaves out. At the two ends of the memory, beyond which there
is nothing to reach, the obvious form stands in.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from alexnet_edu.model import norm_formula
from alexnet_edu.model.norm_formula import Window, power, wide


def normalized(x: Tensor, window: Window, k: float, c: float, beta: float, columns: int) -> Tensor:
    """`norm_formula.normalized`, for the compiler."""
    rows = _rows(x)
    if len(rows) < 3 or x.numel() == 0:
        return norm_formula.normalized(x, window, k, c, beta, columns)
    first, last = (norm_formula.normalized(end, window, k, c, beta, columns) for end in (rows[:1], rows[-1:]))
    d = k + c * _sum_inside(rows, window, columns, _squared)
    middle = (wide(rows[1:-1]) * power(d, beta)).to(x.dtype)
    return _as_before(torch.cat([first, middle, last]), x)


def gradient(x: Tensor, g: Tensor, window: Window, k: float, c: float, beta: float, columns: int) -> Tensor:
    """`norm_formula.gradient`, for the compiler."""
    rows, g_rows = _rows(x), _rows(g.contiguous(memory_format=layout(x)))
    if len(rows) < 5 or x.numel() == 0:
        return norm_formula.gradient(x, g, window, k, c, beta, columns)
    first, last = (
        norm_formula.gradient(rows[end], g_rows[end], window, k, c, beta, columns)
        for end in (slice(None, 2), slice(-2, None))
    )
    d = k + c * _sum_inside(rows, window, columns, _squared)
    q = wide(g_rows[1:-1]) * power(d, beta)
    inhibition = _sum_inside(_in_memory(q * wide(rows[1:-1]) / d), window[::-1], columns)
    middle = (q[1:-1] - 2 * c * beta * wide(rows[2:-2]) * inhibition).to(x.dtype)
    return _as_before(torch.cat([first, middle, last]), x)


def layout(x: Tensor) -> torch.memory_format:
    """Channels-last where x lies so, else contiguous."""
    for dims, last in ((4, torch.channels_last), (5, torch.channels_last_3d)):
        if x.dim() == dims and not x.is_contiguous() and x.is_contiguous(memory_format=last):
            return last
    return torch.contiguous_format


def _rows(x: Tensor) -> Tensor:
    """(rows, maps, places), as it lies in memory: rows are images, or places where channels lie last."""
    if layout(x) == torch.contiguous_format:
        return x.reshape(len(x), x.shape[1], math.prod(x.shape[2:]))
    return x.movedim(1, -1).reshape(-1, x.shape[1], 1)


def _as_before(rows: Tensor, x: Tensor) -> Tensor:
    if layout(x) == torch.contiguous_format:
        return rows.view(x.shape)
    return rows.view(len(x), *x.shape[2:], x.shape[1]).movedim(-1, 1)


def _squared(x: Tensor) -> Tensor:
    return wide(x) * wide(x)


def _itself(x: Tensor) -> Tensor:
    return x


def _sum_inside(
    rows: Tensor, window: Window, columns: int, of: Callable[[Tensor], Tensor] = _itself
) -> Tensor:
    """Sums of `of(row)` over neighbouring maps, for all rows but the first and the last."""
    count, maps, places = rows.shape
    flat, row = rows.reshape(-1), maps * places
    total = of(rows[1:-1])
    for step in _steps(window, maps // columns):
        start = row + step * places
        neighbour = flat[start : start + (count - 2) * row].view(count - 2, maps, places)
        counts = _in_column(maps, columns, step, rows.device)
        total = total + torch.where(counts > 0, of(neighbour), 0.0)
    return total


def _steps(window: Window, maps: int) -> list[int]:
    """From a map to its neighbours, none of them further than a column has maps."""
    before, after = (min(side, maps - 1) for side in window)
    return [step for step in range(-before, after + 1) if step]


def _in_column(maps: int, columns: int, step: int, device: torch.device) -> Tensor:
    """(maps, 1): 1 where the map that many steps on lies in the same column, else 0.

    In floating point, as the numbers that it chooses from.
    """
    size = maps // columns
    place = torch.arange(maps, device=device) % size + step
    return _in_memory(((place >= 0) & (place < size)).float().unsqueeze(1))


def _in_memory(x: Tensor) -> Tensor:
    """x itself; the compiler then writes it down once, and does not compute it for every neighbour."""
    return x.as_strided(x.shape, x.stride())
