"""The normalizations as autograd runs them: what is kept, and which form is computed where.

A GPU gets the formula on the whole batch. A processor gets it image by image, in a core's own
cache, or, where a compiler is at work, in the form that it makes the quickest loops of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from alexnet_edu.model import compiling, fused_norm, norm_formula
from alexnet_edu.model.fused_norm import layout
from alexnet_edu.model.norm_formula import Window, power, wide


class _KeepsInput(torch.autograd.Function):
    """A function that keeps nothing but its first argument, where autograd would keep much more."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, *ctx.settings = inputs
        ctx.save_for_backward(x)


class AcrossMaps(_KeepsInput):
    """`norm_formula.normalized`; only its input is kept.

    It is quicker to compute d again than to write it to the memory and read it back.
    compiled: by loops that `torch.compile` makes, where nothing is to be differentiated twice.
    """

    @staticmethod
    def forward(
        x: Tensor, window: Window, k: float, c: float, beta: float, columns: int, compiled: bool
    ) -> Tensor:
        compiled = compiled and _can_be_compiled(x)
        if compiled or _in_one_piece(x):
            return _form(x, compiled).normalized(x, window, k, c, beta, columns)
        out, sums = torch.empty_like(x), _PaddedSums(x, window, columns)
        for part, x_part in zip(_parts(out), _parts(x), strict=True):
            a = wide(x_part)
            part.copy_(power(sums.base(a, k, c), beta).mul_(a))
        return out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        window, k, c, beta, columns, compiled = ctx.settings
        twice = torch.is_grad_enabled()  # a second derivative is asked for
        compiled = compiled and not twice and _can_be_compiled(x)
        if twice or compiled or _in_one_piece(x):
            return _form(x, compiled).gradient(x, g, window, k, c, beta, columns), *[None] * 6
        out = torch.empty_like(x)
        squares, products = (_PaddedSums(x, w, columns) for w in (window, window[::-1]))
        for part, g_part, x_part in zip(*(_parts(t) for t in (out, g, x)), strict=True):
            a = wide(x_part)
            d = squares.base(a, k, c)
            q = power(d, beta).mul_(wide(g_part))
            inhibition = products.sum_of(torch.div, q * a, d)
            squares.by_column(q).addcmul_(inhibition, squares.by_column(a), value=-2 * c * beta)
            part.copy_(q)
        return out, *[None] * 6


class _Form(NamedTuple):
    """One way to compute the formula and its gradient on a whole batch."""

    normalized: Callable[..., Tensor]
    gradient: Callable[..., Tensor]


PLAIN = _Form(norm_formula.normalized, norm_formula.gradient)
FOR_A_COMPILER = _Form(fused_norm.normalized, fused_norm.gradient)


def _form(x: Tensor, compiled: bool) -> _Form:
    """How the whole batch x is computed. On a processor the two forms compile very differently."""
    inside = torch.compiler.is_compiling()  # somebody compiles all of the network
    form = FOR_A_COMPILER if (inside or compiled) and x.device.type == "cpu" else PLAIN
    return _Form(*map(compiling.for_batches, form)) if compiled and not inside else form


def _can_be_compiled(x: Tensor) -> bool:
    return len(x) >= compiling.FEWEST and x.numel() > 0


class WithinMaps(_KeepsInput):
    """The same with the mean over size × size places in place of the sum."""

    @staticmethod
    def forward(x: Tensor, size: int, k: float, alpha: float, beta: float) -> Tensor:
        def normalized(x: Tensor) -> Tensor:
            a = wide(x)
            return (a * power(k + alpha * _mean_around(a * a, size), beta)).to(x.dtype)

        return _in_parts(normalized, x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        size, k, alpha, beta = ctx.settings

        def gradient(x: Tensor, g: Tensor) -> Tensor:
            a = wide(x)
            d = k + alpha * _mean_around(a * a, size)
            q = g * power(d, beta)
            return (q - 2 * alpha * beta * a * _mean_around(q * a / d, size)).to(x.dtype)

        return _in_parts(gradient, x, g), *[None] * 4


def _mean_around(x: Tensor, size: int) -> Tensor:
    """The mean over size × size places of a map; zeros outside of it."""
    return F.avg_pool2d(x, size, stride=1, padding=size // 2) if x.numel() else x


def _in_parts(function: Callable[..., Tensor], x: Tensor, *more: Tensor) -> Tensor:
    """function(x, *more), image by image where that is quicker and nothing is to be differentiated."""
    if _in_one_piece(x) or torch.is_grad_enabled():
        return function(x, *more)
    out = torch.empty_like(x)
    for part, *inputs in zip(*(_parts(t) for t in (out, x, *more)), strict=True):
        part.copy_(function(*inputs))
    return out


PART_BYTES = 1 << 20  # 1 MiB: a core's own cache holds a few tensors of this size


def _in_one_piece(x: Tensor) -> bool:
    """Whether to compute the whole batch at once.

    On a processor a dozen passes over tens of megabytes wait for the memory; image by image
    the same passes find their numbers in the cache, in half the time. A compiler fuses the
    passes, and a GPU wants the whole batch.
    """
    return torch.compiler.is_compiling() or x.device.type != "cpu" or x.numel() == 0


def _images_at_once(x: Tensor) -> int:
    return max(1, PART_BYTES // (4 * x[0].numel()))


def _parts(x: Tensor) -> tuple[Tensor, ...]:
    return x.split(_images_at_once(x))


class _PaddedSums:
    """Sums over neighbouring maps, for part after part of a batch.

    The numbers go into `inside` a buffer that has zeros on either side of each column.
    """

    def __init__(self, x: Tensor, window: Window, columns: int) -> None:
        self.columns, self.maps = columns, x.shape[1] // columns
        low, high = (min(side, self.maps - 1) for side in window)
        self.low, self.width = low, low + 1 + high
        shape = (min(len(x), _images_at_once(x)), columns * (low + self.maps + high), *x.shape[2:])
        buffer = torch.empty(shape, dtype=wide(x[:0]).dtype, memory_format=layout(x)).zero_()
        self.flat = buffer.as_strided((buffer.numel(),), (1,))
        self.buffer = buffer.unflatten(1, (columns, -1))
        self.step = self.buffer.stride(2)  # from a map to the next

    def by_column(self, t: Tensor) -> Tensor:
        """(N, C, …) as (N, columns, maps, …)."""
        return t.unflatten(1, (self.columns, self.maps))

    def base(self, x: Tensor, k: float, c: float) -> Tensor:
        """k + c Σ x², in the shape of x."""
        d = torch.empty_like(x)
        squares = self.sum_of(torch.mul, x, x)
        torch.add(torch.tensor(k, dtype=d.dtype), squares, alpha=c, out=self.by_column(d))
        return d

    def sum_of(self, operation: Callable[..., Tensor], a: Tensor, b: Tensor) -> Tensor:
        """(N, columns, maps, …): the sum of operation(a, b) over each map's window.

        The buffer is added to itself, shifted by one map, then by two, four, eight …; as one
        long row, for what runs over the end of a column ends up in its zeros.
        """
        inside = self.buffer[: len(a)].narrow(2, self.low, self.maps)
        operation(self.by_column(a), self.by_column(b), out=inside)
        part, size, start = self.flat, 1, 0
        total: Tensor | None = None
        while True:
            if self.width & size:
                here = part[start * self.step :]
                total = here if total is None else total[: len(here)] + here[: len(total)]
                start += size
            if 2 * size > self.width:
                assert total is not None
                return total.as_strided(inside.shape, self.buffer.stride())
            part = part[: -size * self.step] + part[size * self.step :]
            size *= 2
