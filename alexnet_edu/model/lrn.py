"""§3.3's normalization, and its sister within a map: the formula, and how it is computed quickly.

A GPU gets the formula on the whole batch. A processor gets it image by image, in a core's own
cache; or, where a compiler is at work, in the form that it makes the quickest loops of.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from alexnet_edu.model import compiling


class AcrossMaps(NamedTuple):
    """d = k + c Σ a² over the maps from i − before to i + after, inside each of the columns."""

    before: int
    after: int
    columns: int
    k: float
    c: float
    beta: float

    def around(self, x: Tensor) -> Tensor:
        """The sum over the window of each map."""
        maps = x.shape[1] // self.columns
        parts = []
        for column in x.split(maps, dim=1) if self.columns > 1 else (x,):
            padded = F.pad(column, (0, 0) * (x.dim() - 2) + (self.before, self.after))
            total = padded[:, :maps]
            for i in range(1, 1 + self.before + self.after):
                total = total + padded[:, i : i + maps]
            parts.append(total)
        return torch.cat(parts, dim=1) if self.columns > 1 else parts[0]

    def turned(self) -> AcrossMaps:
        """The window of those maps whose own window holds this one."""
        return self._replace(before=self.after, after=self.before)


class WithinMap(NamedTuple):
    """d = k + c · mean of a² over size × size places of the map; outside of it there are zeros."""

    size: int
    k: float
    c: float
    beta: float

    def around(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, self.size, stride=1, padding=self.size // 2) if x.numel() else x

    def turned(self) -> WithinMap:
        return self


Norm = AcrossMaps | WithinMap

# --- the formula ------------------------------------------------------------------------------


def normalized(x: Tensor, norm: Norm) -> Tensor:
    """x d^−β. x: (N, C, …) of any floating type, computed in float32 at least."""
    a = wide(x)
    return (a * power(norm.k + norm.c * norm.around(a * a), norm.beta)).to(x.dtype)


def gradient(x: Tensor, g: Tensor, norm: Norm) -> Tensor:
    """What `normalized` makes of the gradient g of its result.

    With q = g d^−β that is q − 2cβ x Σ(q x / d), the sum over the maps whose window holds this
    one: the same window, turned round.
    """
    a = wide(x)
    d = norm.k + norm.c * norm.around(a * a)
    q = wide(g) * power(d, norm.beta)
    return (q - 2 * norm.c * norm.beta * a * norm.turned().around(q * a / d)).to(x.dtype)


def wide(x: Tensor) -> Tensor:
    """Half precision as float32, all else as it is."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def power(d: Tensor, beta: float) -> Tensor:
    """d^−β; for the paper's 3/4 by two square roots, quicker than `pow` for what lies in the cache."""
    if beta == 0.75:
        root = d.rsqrt()
        return root * root.sqrt()
    return d.pow(-beta)


# --- as autograd runs it ------------------------------------------------------------------------


class Normalized(torch.autograd.Function):
    """`normalized`, of which nothing but the input is kept for the backward pass.

    It is quicker to compute d again than to write it to the memory and read it back.
    compiled: by loops that `torch.compile` makes, where nothing is to be differentiated twice.
    """

    @staticmethod
    def forward(x: Tensor, norm: Norm, compiled: bool) -> Tensor:
        return _computed(norm, compiled, x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, *ctx.settings = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is asked for
            return gradient(x, g, ctx.settings[0]), None, None
        return _computed(*ctx.settings, x, g), None, None


def _computed(norm: Norm, compiled: bool, x: Tensor, *g: Tensor) -> Tensor:
    """`normalized`, or with g `gradient`, in the quickest form."""
    compiled = compiled and len(x) >= compiling.FEWEST and x.numel() > 0
    whole = torch.compiler.is_compiling()  # somebody compiles all of the network
    on_cpu = x.device.type == "cpu"
    function: Callable[..., Tensor] = gradient if g else normalized
    if on_cpu and (compiled or whole) and isinstance(norm, AcrossMaps):
        function = fused_gradient if g else fused_normalized
    if compiled and not whole:
        return compiling.for_batches(function)(x, *g, norm)
    if whole or not on_cpu or x.numel() == 0:
        return function(x, *g, norm)
    return _image_by_image(norm, x, *g)


# --- on a processor: image by image --------------------------------------------------------------

PART_BYTES = 1 << 20  # 1 MiB: a core's own cache holds a few tensors of this size


def _image_by_image(norm: Norm, x: Tensor, *g: Tensor) -> Tensor:
    """A dozen passes over tens of megabytes wait for the memory; these find their numbers in the cache."""
    images = max(1, PART_BYTES // (4 * x[0].numel()))
    if isinstance(norm, WithinMap):
        function = partial(gradient if g else normalized, norm=norm)
    else:
        function = partial(_normalized_in_place, norm=norm, squares=_PaddedSums(x[:images], norm))
        if g:
            products = _PaddedSums(x[:images], norm.turned())
            function = partial(_gradient_in_place, **function.keywords, products=products)
    out = torch.empty_like(x)
    for part, *inputs in zip(*(t.split(images) for t in (out, x, *g)), strict=True):
        part.copy_(function(*inputs))
    return out


def _normalized_in_place(x: Tensor, norm: AcrossMaps, squares: _PaddedSums) -> Tensor:
    a = wide(x)
    return power(squares.base(a, norm), norm.beta).mul_(a)


def _gradient_in_place(
    x: Tensor, g: Tensor, norm: AcrossMaps, squares: _PaddedSums, products: _PaddedSums
) -> Tensor:
    a = wide(x)
    d = squares.base(a, norm)
    q = power(d, norm.beta).mul_(wide(g))
    inhibition = products.sum_of(torch.div, q * a, d)
    squares.by_column(q).addcmul_(inhibition, squares.by_column(a), value=-2 * norm.c * norm.beta)
    return q


class _PaddedSums:
    """Sums over neighbouring maps, for part after part of a batch.

    The numbers go into `inside` a buffer that has zeros on either side of each column.
    x: the first part, the largest.
    """

    def __init__(self, x: Tensor, norm: AcrossMaps) -> None:
        self.columns, self.maps = norm.columns, x.shape[1] // norm.columns
        self.low, high = (min(side, self.maps - 1) for side in (norm.before, norm.after))
        self.width = self.low + 1 + high
        shape = (len(x), self.columns * (self.low + self.maps + high), *x.shape[2:])
        buffer = torch.empty(shape, dtype=wide(x[:0]).dtype, memory_format=layout(x)).zero_()
        self.flat = buffer.as_strided((buffer.numel(),), (1,))
        self.buffer = buffer.unflatten(1, (self.columns, -1))
        self.step = self.buffer.stride(2)  # from a map to the next

    def by_column(self, t: Tensor) -> Tensor:
        """(N, C, …) as (N, columns, maps, …)."""
        return t.unflatten(1, (self.columns, self.maps))

    def base(self, x: Tensor, norm: AcrossMaps) -> Tensor:
        """k + c Σ x², in the shape of x."""
        d = torch.empty_like(x)
        squares = self.sum_of(torch.mul, x, x)
        torch.add(torch.tensor(norm.k, dtype=d.dtype), squares, alpha=norm.c, out=self.by_column(d))
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


def layout(x: Tensor) -> torch.memory_format:
    """Channels-last where x lies so, else contiguous."""
    for dims, last in ((4, torch.channels_last), (5, torch.channels_last_3d)):
        if x.dim() == dims and not x.is_contiguous() and x.is_contiguous(memory_format=last):
            return last
    return torch.contiguous_format


# --- on a processor: for a compiler ----------------------------------------------------------------
#
# `torch.compile` fuses the dozen passes of the formula: one loop forward, two backward. But of the
# obvious form it makes slow ones: a slice of padded maps becomes a load under a mask of 64-bit
# indices, and in the gradient each summand is computed again for every neighbour that it serves.
# So here a neighbour is the same memory some places on. What that reaches beyond the end of a
# column, a mask in floating point leaves out. At the two ends of the memory, beyond which there
# is nothing to reach, the obvious form stands in.


def fused_normalized(x: Tensor, norm: AcrossMaps) -> Tensor:
    """`normalized`, for the compiler."""
    rows = _rows(x)
    if len(rows) < 3 or x.numel() == 0:
        return normalized(x, norm)
    first, last = (normalized(end, norm) for end in (rows[:1], rows[-1:]))
    d = norm.k + norm.c * _sum_inside(rows, norm, squared=True)
    middle = (wide(rows[1:-1]) * power(d, norm.beta)).to(x.dtype)
    return _like(torch.cat([first, middle, last]), x)


def fused_gradient(x: Tensor, g: Tensor, norm: AcrossMaps) -> Tensor:
    """`gradient`, for the compiler."""
    rows, g_rows = _rows(x), _rows(g.contiguous(memory_format=layout(x)))
    if len(rows) < 5 or x.numel() == 0:
        return gradient(x, g, norm)
    first, last = (gradient(rows[end], g_rows[end], norm) for end in (slice(None, 2), slice(-2, None)))
    d = norm.k + norm.c * _sum_inside(rows, norm, squared=True)
    q = wide(g_rows[1:-1]) * power(d, norm.beta)
    inhibition = _sum_inside(_stored(q * wide(rows[1:-1]) / d), norm.turned())
    middle = (q[1:-1] - 2 * norm.c * norm.beta * wide(rows[2:-2]) * inhibition).to(x.dtype)
    return _like(torch.cat([first, middle, last]), x)


def _rows(x: Tensor) -> Tensor:
    """(rows, maps, places), as it lies in memory: rows are images, or places where channels lie last."""
    if layout(x) == torch.contiguous_format:
        return x.reshape(len(x), x.shape[1], math.prod(x.shape[2:]))
    return x.movedim(1, -1).reshape(-1, x.shape[1], 1)


def _like(rows: Tensor, x: Tensor) -> Tensor:
    """The inverse of `_rows`: the shape and the layout of x."""
    if layout(x) == torch.contiguous_format:
        return rows.view(x.shape)
    return rows.view(len(x), *x.shape[2:], x.shape[1]).movedim(-1, 1)


def _sum_inside(rows: Tensor, norm: AcrossMaps, squared: bool = False) -> Tensor:
    """Sums, of the squares if `squared`, over neighbouring maps, for all rows but the first and the last."""

    def term(x: Tensor) -> Tensor:
        return wide(x) * wide(x) if squared else x

    count, maps, places = rows.shape
    flat, row, size = rows.reshape(-1), maps * places, maps // norm.columns
    total = term(rows[1:-1])
    for step in range(-min(norm.before, size - 1), min(norm.after, size - 1) + 1):
        if step:
            start = row + step * places
            neighbour = flat[start : start + (count - 2) * row].view(count - 2, maps, places)
            place = torch.arange(maps, device=rows.device) % size + step  # in its column, or beyond
            counts = _stored(((place >= 0) & (place < size)).float().unsqueeze(1))  # (maps, 1)
            total = total + torch.where(counts > 0, term(neighbour), 0.0)
    return total


def _stored(x: Tensor) -> Tensor:
    """x itself; the compiler then writes it down once, and does not compute it for every neighbour."""
    return x.as_strided(x.shape, x.stride())
