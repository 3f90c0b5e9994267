"""The normalization layers of the paper and of its code: across maps, and within one map.

§3.3 divides each activity by a power of the summed squares of its neighbours, the same
place in the adjacent kernel maps of its column. The network that the authors ran also
normalized within each map (`rnorm` in `layers-145.cfg`), which the paper does not mention.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from alexnet_edu import paper
from alexnet_edu.model import compiling
from alexnet_edu.model.lrn import AcrossMaps, WithinMaps

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
    compiled: bool = False,
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
    compiled: let `torch.compile` make one loop of the dozen passes over memory, and two of the
        gradient's. The first call of each shape takes long (on two busy cores a minute; less once
        torch has it on disk), and a processor needs a C++ compiler for it. Fewer than
        `compiling.FEWEST` images are computed as usual.

    The sum is clipped at the first and last map of a column, also where n exceeds C.
    The gradient is the closed form, and can be differentiated again.
    Source: `layer.py` 1183 (α/n), `layers-145.cfg` (the window stays in the column).
    Raises ValueError or TypeError, with the value, for what is none of this, and CannotCompile.
    """
    _check(x, n, k, alpha, beta, columns)
    if convention not in CONVENTIONS:
        raise ValueError(f"unknown convention {convention!r}; choose one of {', '.join(CONVENTIONS)}")
    before, after = (n // 2, n // 2) if convention == "paper" else (n // 2, (n - 1) // 2)
    scale = alpha if convention == "paper" else alpha / n
    out: Tensor = AcrossMaps.apply(x, (before, after), k, scale, beta, columns, compiled)
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
    out: Tensor = WithinMaps.apply(x, size, k, alpha, beta)
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
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self.n, self.k, self.alpha, self.beta = n, k, alpha, beta
        self.convention, self.columns, self.compiled = convention, columns, compiled

    def forward(self, x: Tensor) -> Tensor:
        return local_response_norm(
            x,
            self.n,
            self.k,
            self.alpha,
            self.beta,
            convention=self.convention,
            columns=self.columns,
            compiled=self.compiled,
        )

    def extra_repr(self) -> str:
        numbers = f"n={self.n}, k={self.k:g}, alpha={self.alpha:g}, beta={self.beta:g}"
        how = ", compiled=True" if self.compiled else ""
        return f"{numbers}, convention={self.convention!r}, columns={self.columns}{how}"


def compile_norms(model: nn.Module) -> int:
    """From now on every `LocalResponseNorm` of the model runs compiled; how many there are.

    The first step then takes longer, by half a minute or more where nothing lies on disk yet.
    Raises CannotCompile, and changes nothing, where compiling does not work on the device of the
    model's first parameter.
    """
    norms = [module for module in model.modules() if isinstance(module, LocalResponseNorm)]
    if norms:
        compiling.check(next((p.device for p in model.parameters()), torch.device("cpu")))
    for norm in norms:
        norm.compiled = True
    return len(norms)


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
