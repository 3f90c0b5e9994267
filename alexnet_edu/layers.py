"""The normalization layers of the paper and of its code: across maps, and within one map.

§3.3 divides each activity by a power of the summed squares of its neighbours, the same
place in the adjacent kernel maps of its column. The network that the authors ran also
normalized within each map (`rnorm` in `layers-145.cfg`), which the paper does not mention.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet_edu import paper

Window = tuple[int, int]  # maps before, maps after

CONVENTIONS = ("paper", "code")
MAP_NORM_ALPHA = 1e-3  # `scale` of cnorm2 at the end of layer-params-145.cfg
MAP_NORM_SIZE = 5  # layers-145.cfg


def local_response_norm(
    x: Tensor,
    n: int = paper.LRN_N,
    k: float = paper.LRN_K,
    alpha: float = paper.LRN_ALPHA,
    beta: float = paper.LRN_BETA,
    *,
    convention: str = "paper",
    columns: int = 1,
) -> Tensor:
    """b_i = a_i / (k + α Σ_j a_j²)^β over the maps j next to map i (§3.3).

    x: (N, C, *) of any floating type, at least one dimension after the channels; the
        result has its shape, type and memory layout. Half precision is computed in float32.
    convention: "paper", the formula as printed: α times the plain sum, over the maps
        i − n/2 … i + n/2. "code", what the authors ran and what `torch.nn.LocalResponseNorm`
        computes: α/n times the sum, over n maps. For odd n the windows are the same; for
        even n the printed one holds n + 1 maps, and the other ends one map earlier above.
    columns: how many equal parts the maps have that do not see each other: 2 where the
        network of two GPUs lies on one device.

    The sum is clipped at the first and last map of a column, also where n exceeds C.
    The gradient is the closed form, and can be differentiated again.
    Source: `layer.py` 1183 (α/n), `layers-145.cfg` (the window stays in the column).
    Raises ValueError or TypeError, with the value, for what is none of this.
    """
    _check(x, n, k, alpha, beta, columns)
    if convention not in CONVENTIONS:
        raise ValueError(f"unknown convention {convention!r}; choose one of {', '.join(CONVENTIONS)}")
    before, after = (n // 2, n // 2) if convention == "paper" else (n // 2, (n - 1) // 2)
    scale = alpha if convention == "paper" else alpha / n
    out: Tensor = _AcrossMaps.apply(x, (before, after), k, scale, beta, columns)
    return out


def map_response_norm(
    x: Tensor,
    size: int = MAP_NORM_SIZE,
    k: float = 1.0,
    alpha: float = MAP_NORM_ALPHA,
    beta: float = paper.LRN_BETA,
) -> Tensor:
    """The same within one map: a / (k + α/size² Σ a²)^β over size × size neighbours.

    x: (N, C, H, W) of any floating type; outside the map there are zeros. size: odd.
    Not in the paper: `rnorm` after the other norm of layer 2 in `layers-145.cfg`, with α/size²
    by `layer.py` 1183. k = 1 is not in the release; older code of the authors fixed it so.
    The gradient is the closed form, and can be differentiated again.
    """
    _check(x, size, k, alpha, beta, 1)
    if x.dim() != 4:
        raise ValueError(f"expected maps of shape (N, C, H, W), got {tuple(x.shape)}")
    if size % 2 == 0:
        raise ValueError(f"size must be odd, so that the window has a middle, got {size}")
    out: Tensor = _WithinMaps.apply(x, size, k, alpha, beta)
    return out


class LocalResponseNorm(nn.Module):
    """`local_response_norm` as a layer; the arguments are those of the function."""

    def __init__(
        self,
        n: int = paper.LRN_N,
        k: float = paper.LRN_K,
        alpha: float = paper.LRN_ALPHA,
        beta: float = paper.LRN_BETA,
        *,
        convention: str = "paper",
        columns: int = 1,
    ) -> None:
        super().__init__()
        self.n, self.k, self.alpha, self.beta = n, k, alpha, beta
        self.convention, self.columns = convention, columns

    def forward(self, x: Tensor) -> Tensor:
        return local_response_norm(
            x, self.n, self.k, self.alpha, self.beta, convention=self.convention, columns=self.columns
        )

    def extra_repr(self) -> str:
        numbers = f"n={self.n}, k={self.k:g}, alpha={self.alpha:g}, beta={self.beta:g}"
        return f"{numbers}, convention={self.convention!r}, columns={self.columns}"


class MapResponseNorm(nn.Module):
    """`map_response_norm` as a layer; the arguments are those of the function."""

    def __init__(
        self,
        size: int = MAP_NORM_SIZE,
        k: float = 1.0,
        alpha: float = MAP_NORM_ALPHA,
        beta: float = paper.LRN_BETA,
    ) -> None:
        super().__init__()
        self.size, self.k, self.alpha, self.beta = size, k, alpha, beta

    def forward(self, x: Tensor) -> Tensor:
        return map_response_norm(x, self.size, self.k, self.alpha, self.beta)

    def extra_repr(self) -> str:
        return f"size={self.size}, k={self.k:g}, alpha={self.alpha:g}, beta={self.beta:g}"


# --- the arithmetic ------------------------------------------------------------------------


class _KeepsInput(torch.autograd.Function):
    """A function that keeps nothing but its first argument, where autograd would keep much more."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, *ctx.settings = inputs
        ctx.save_for_backward(x)


class _AcrossMaps(_KeepsInput):
    """y = x d^−β with d = k + c Σ x².

    With q = g d^−β the gradient is q − 2cβ x Σ(q x / d), the sum over the maps whose window
    holds this one: the same window, turned round. It is quicker to compute d again than to
    write it to the memory and read it back.
    """

    @staticmethod
    def forward(x: Tensor, window: Window, k: float, c: float, beta: float, columns: int) -> Tensor:
        if _in_one_piece(x):
            wide = _wide(x)
            return (wide * _power(k + c * _window_sum(wide * wide, window, columns), beta)).to(x.dtype)
        out, sums = torch.empty_like(x), _PaddedSums(x, window, columns)
        for part, x_part in zip(_parts(out), _parts(x), strict=True):
            wide = _wide(x_part)
            part.copy_(_power(sums.base(wide, k, c), beta).mul_(wide))
        return out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        window, k, c, beta, columns = ctx.settings
        back = (window[1], window[0])
        if torch.is_grad_enabled() or _in_one_piece(x):  # the former for a second derivative
            wide = _wide(x)
            d = k + c * _window_sum(wide * wide, window, columns)
            q = g * _power(d, beta)
            gradient = q - 2 * c * beta * wide * _window_sum(q * wide / d, back, columns)
            return gradient.to(x.dtype), *[None] * 5
        out, squares, products = torch.empty_like(x), *(_PaddedSums(x, w, columns) for w in (window, back))
        for part, g_part, x_part in zip(*(_parts(t) for t in (out, g, x)), strict=True):
            wide = _wide(x_part)
            d = squares.base(wide, k, c)
            q = _power(d, beta).mul_(_wide(g_part))
            inhibition = products.sum_of(torch.div, q * wide, d)
            squares.by_column(q).addcmul_(inhibition, squares.by_column(wide), value=-2 * c * beta)
            part.copy_(q)
        return out, *[None] * 5


class _WithinMaps(_KeepsInput):
    """The same with the mean over size × size places in place of the sum."""

    @staticmethod
    def forward(x: Tensor, size: int, k: float, alpha: float, beta: float) -> Tensor:
        def normalized(x: Tensor) -> Tensor:
            wide = _wide(x)
            return (wide * _power(k + alpha * _mean_around(wide * wide, size), beta)).to(x.dtype)

        return _in_parts(normalized, x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        size, k, alpha, beta = ctx.settings

        def gradient(x: Tensor, g: Tensor) -> Tensor:
            wide = _wide(x)
            d = k + alpha * _mean_around(wide * wide, size)
            q = g * _power(d, beta)
            return (q - 2 * alpha * beta * wide * _mean_around(q * wide / d, size)).to(x.dtype)

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


def _wide(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


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
        buffer = torch.empty(shape, dtype=_wide(x[:0]).dtype, memory_format=_layout(x)).zero_()
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


def _layout(x: Tensor) -> torch.memory_format:
    for dims, layout in ((4, torch.channels_last), (5, torch.channels_last_3d)):
        if x.dim() == dims and not x.is_contiguous() and x.is_contiguous(memory_format=layout):
            return layout
    return torch.contiguous_format


def _window_sum(squares: Tensor, window: Window, columns: int) -> Tensor:
    """Sums over the maps from i − window[0] to i + window[1], inside each column."""
    maps = squares.shape[1] // columns
    parts = []
    for column in squares.split(maps, dim=1) if columns > 1 else (squares,):
        padded = F.pad(column, (0, 0) * (squares.dim() - 2) + window)
        total = padded[:, :maps]
        for i in range(1, 1 + sum(window)):
            total = total + padded[:, i : i + maps]
        parts.append(total)
    return torch.cat(parts, dim=1) if columns > 1 else parts[0]


def _power(d: Tensor, beta: float) -> Tensor:
    """d^−β; for the paper's 3/4 by two square roots, many times quicker than `pow`."""
    if beta == 0.75:
        root = d.rsqrt()
        return root * root.sqrt()
    return d.pow(-beta)


def _check(x: Tensor, n: int, k: float, alpha: float, beta: float, columns: int) -> None:
    if not x.is_floating_point():
        raise TypeError(f"expected a floating-point tensor, got {x.dtype}; convert it with .float()")
    if x.dim() < 3:
        raise ValueError(f"expected maps of shape (N, C, …) with at least 3 dimensions, got {tuple(x.shape)}")
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"the window must hold a whole number of maps, at least 1; got {n!r}")
    if not (math.isfinite(k) and k > 0):
        raise ValueError(f"k must be positive, or a place where all is zero divides by zero; got {k!r}")
    if not (math.isfinite(alpha) and alpha >= 0):
        raise ValueError(f"alpha must be 0 or more, or the base of the power can be negative; got {alpha!r}")
    if not math.isfinite(beta):
        raise ValueError(f"beta must be a finite number, got {beta!r}")
    if columns < 1 or x.shape[1] % columns:
        raise ValueError(f"{x.shape[1]} maps cannot be split into {columns!r} equal columns")


DROPOUT_FORMS = ("2012", "inverted")


class Dropout(nn.Module):
    """§4.2: half of the outputs are 0 in training; what the rest is multiplied by depends on the form.

    form: "2012", nothing in training, and all times 0.5 in test, as the paper writes and its code
    does (`HiddenSexLayer` in `layer.cu`); "inverted", twice in training and nothing in test, which is
    what `nn.Dropout` does. The outputs agree in the mean, up to the factor 2. But what the next layer
    sees in training is half as large in the form of 2012, and with the same weights and rates it
    learns at another scale.
    keep: the share that is left. The masks come from torch's own generator until `reseed` gives the
    layer one of its own.
    """

    def __init__(self, keep: float = 1 - paper.DROPOUT, form: str = "2012") -> None:
        super().__init__()
        if not 0 < keep <= 1:
            raise ValueError(f"the share that is kept must lie above 0 and up to 1, got {keep!r}")
        if form not in DROPOUT_FORMS:
            raise ValueError(f"unknown form of dropout {form!r}; choose one of {', '.join(DROPOUT_FORMS)}")
        self.keep, self.form = keep, form
        self._seed: int | None = None
        self._generator: torch.Generator | None = None
        self._part: tuple[slice, slice, tuple[int, int]] | None = None

    def reseed(self, seed: int) -> None:
        """From now on the masks are those of this seed, whatever else draws random numbers."""
        self._seed, self._generator = seed, None

    def be_part(self, rows: tuple[int, int, int], units: tuple[int, int, int]) -> None:
        """What comes in is a part of a larger (N, units) array, drawn for as a whole.

        rows, units: (start, stop, of how many). Processes that share a batch or a layer, and are
        seeded alike, so drop together what one process would drop.
        """
        for what, (start, stop, total) in (("rows", rows), ("units", units)):
            if not 0 <= start <= stop <= total:
                raise ValueError(f"{what} {start} to {stop} are no part of {total}")
        self._part = (slice(*rows[:2]), slice(*units[:2]), (rows[2], units[2]))

    def _own(self, device: torch.device) -> torch.Generator | None:
        moved = self._generator is not None and self._generator.device.type != device.type
        if self._seed is not None and (self._generator is None or moved):
            self._generator = torch.Generator(device).manual_seed(self._seed)
        return self._generator

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x * self.keep if self.form == "2012" else x
        mask = self._mask(x)
        return x * mask if self.form == "2012" else x * (mask / self.keep)

    def _mask(self, x: Tensor) -> Tensor:
        """0 or 1 for each output, of the shape of x."""
        generator = self._own(x.device)
        if self._part is None:
            return torch.bernoulli(torch.full_like(x, self.keep), generator=generator)
        rows, units, whole = self._part
        mask = torch.bernoulli(x.new_full(whole, self.keep), generator=generator)[rows, units]
        if mask.shape != x.shape:
            raise ValueError(f"expected the part {tuple(mask.shape)} of {whole}, got {tuple(x.shape)}")
        return mask

    def extra_repr(self) -> str:
        return f"keep={self.keep:g}, form={self.form!r}"
