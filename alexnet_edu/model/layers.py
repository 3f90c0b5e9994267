"""The layers that torch does not have as the paper's code had them.

Response normalization across maps (§3.3) and within one map (in the 2012 code, not in the paper),
dropout (§4.2) in its two forms, a convolution that rounds up, a fully connected layer in groups.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet_edu import paper
from alexnet_edu.model import compiling
from alexnet_edu.model.architecture import one_of
from alexnet_edu.model.lrn import AcrossMaps, Normalized, WithinMap

# --- normalization ----------------------------------------------------------------------------

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
    _check(x, n, k, alpha, beta)
    if columns < 1 or x.shape[1] % columns:
        raise ValueError(f"{x.shape[1]} maps cannot be split into {columns!r} equal columns")
    printed = one_of("convention", convention, CONVENTIONS) == "paper"
    after, c = (n // 2, alpha) if printed else ((n - 1) // 2, alpha / n)
    out: Tensor = Normalized.apply(x, AcrossMaps(n // 2, after, columns, k, c, beta), compiled)
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
    """
    _check(x, size, k, alpha, beta)
    if x.dim() != 4 or size % 2 == 0:
        raise ValueError(f"expected maps (N, C, H, W) and an odd size, got {tuple(x.shape)} and {size}")
    out: Tensor = Normalized.apply(x, WithinMap(size, k, alpha, beta), False)
    return out


def _check(x: Tensor, n: int, k: float, alpha: float, beta: float) -> None:
    if not x.is_floating_point():
        raise TypeError(f"expected a floating-point tensor, got {x.dtype}; convert it with .float()")
    if x.dim() < 3:
        raise ValueError(f"expected maps of shape (N, C, …) with at least 3 dimensions, got {tuple(x.shape)}")
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"the window must be a whole number, at least 1; got {n!r}")
    if not (0 < k < math.inf and 0 <= alpha < math.inf and math.isfinite(beta)):
        raise ValueError(
            f"k must be above 0, alpha 0 or more, beta finite; got {k!r}, {alpha!r} and {beta!r}"
        )


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
        self.settings: dict[str, Any] = {"n": n, "k": k, "alpha": alpha, "beta": beta}
        self.settings |= {"convention": convention, "columns": columns}
        self.compiled = False  # until `compile_norms`

    def forward(self, x: Tensor) -> Tensor:
        return local_response_norm(x, **self.settings, compiled=self.compiled)

    def extra_repr(self) -> str:
        return _listed(self.settings) + (", compiled=True" if self.compiled else "")


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
        self.settings: dict[str, Any] = {"size": size, "k": k, "alpha": alpha, "beta": beta}

    def forward(self, x: Tensor) -> Tensor:
        return map_response_norm(x, **self.settings)

    def extra_repr(self) -> str:
        return _listed(self.settings)


def _listed(settings: Mapping[str, Any]) -> str:
    words = {name: f"{v:g}" if isinstance(v, float) else repr(v) for name, v in settings.items()}
    return ", ".join(f"{name}={word}" for name, word in words.items())


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


# --- dropout ----------------------------------------------------------------------------------

DROPOUT_FORMS = ("2012", "inverted")
Part = tuple[int, int, int]  # start, stop, of how many


class Dropout(nn.Module):
    """§4.2: half of the outputs are 0 in training; what the rest is multiplied by depends on the form.

    form: "2012", nothing in training, and all times 0.5 in test, as the paper writes and its code
    does (`HiddenSexLayer` in `layer.cu`); "inverted", twice in training and nothing in test, which is
    what `nn.Dropout` does. The outputs agree in the mean, up to the factor 2. But what the next layer
    sees in training is half as large in the form of 2012, and with the same weights and rates it
    learns at another scale.
    keep: the share that is left. The masks come from torch's own generator until `reseed` or `draw` says
    otherwise.
    """

    def __init__(self, keep: float = 1 - paper.DROPOUT, form: str = "2012") -> None:
        super().__init__()
        if not 0 < keep <= 1:
            raise ValueError(f"the share that is kept must lie above 0 and up to 1, got {keep!r}")
        self.keep, self.form = keep, one_of("form of dropout", form, DROPOUT_FORMS)
        self._seed: int | None = None
        self._generator: torch.Generator | None = None
        self._drawn: Tensor | None = None

    def reseed(self, seed: int) -> None:
        """From now on the masks are those of this seed, whatever else draws random numbers."""
        self._seed, self._generator, self._drawn = seed, None, None

    def draw(self, seed: int, rows: Part, units: Part, device: torch.device | str = "cpu") -> None:
        """Draws the mask of all that follows now: outside of a graph that is compiled, and whatever the type.

        rows, units: (start, stop, of how many). What comes in is this part of a larger (N, units) array,
        drawn for as a whole: processes that share a batch or a layer drop together what one would drop.
        """
        for what, (start, stop, total) in (("rows", rows), ("units", units)):
            if not 0 <= start <= stop <= total:
                raise ValueError(f"{what} {start} to {stop} are no part of {total}")
        generator = torch.Generator(device).manual_seed(seed)
        whole = torch.bernoulli(
            torch.full((rows[2], units[2]), self.keep, device=device), generator=generator
        )
        self._drawn = whole[slice(*rows[:2]), slice(*units[:2])]

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x * self.keep if self.form == "2012" else x
        mask = self._mask(x)
        return x * mask if self.form == "2012" else x * (mask / self.keep)

    def _mask(self, x: Tensor) -> Tensor:
        """0 or 1 for each output, of the shape and type of x."""
        if self._drawn is None:
            return torch.bernoulli(torch.full_like(x, self.keep), generator=self._generator_on(x.device))
        if self._drawn.shape != x.shape:
            raise ValueError(f"the mask was drawn for {tuple(self._drawn.shape)}, got {tuple(x.shape)}")
        return self._drawn.to(x.dtype)

    def _generator_on(self, device: torch.device) -> torch.Generator | None:
        """The layer's own generator, made where the layer is first used; None: torch's own."""
        moved = self._generator is not None and self._generator.device.type != device.type
        if self._seed is not None and (self._generator is None or moved):
            self._generator = torch.Generator(device).manual_seed(self._seed)
        return self._generator

    def extra_repr(self) -> str:
        return f"keep={self.keep:g}, form={self.form!r}"


# --- layers with weights ------------------------------------------------------------------------


class CeilConv2d(nn.Conv2d):
    """A convolution whose output side is rounded up, as in the 2012 code.

    Where the stride does not come out even, zeros are added at the right and at the bottom:
    three of them for 224 pixels, 11×11 kernels and stride 4, which gives 55 places and not
    54. After the mean is subtracted a zero is the mean pixel. Source: `layer.py` 1004.
    """

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) -> (N, K, H', W')
        down, right = (self._missing(side, axis) for axis, side in enumerate(x.shape[-2:]))
        if down or right:
            x = F.pad(x, (0, right, 0, down))
        return super().forward(x)

    def _missing(self, side: int, axis: int) -> int:
        padded = side + 2 * int(self.padding[axis])
        return (self.kernel_size[axis] - padded) % self.stride[axis]


class GroupedLinear(nn.Module):
    """A fully connected layer whose parts read each only their own part of the input.

    weight: (outputs, inputs / groups) and bias: (outputs,), as `nn.Conv2d` with groups has them.
    """

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.weight = nn.Parameter(torch.empty(outputs, inputs // groups))
        self.bias = nn.Parameter(torch.empty(outputs))

    def forward(self, x: Tensor) -> Tensor:  # (N, inputs) -> (N, outputs)
        inputs, weights, biases = (
            t.chunk(self.groups, d) for t, d in ((x, 1), (self.weight, 0), (self.bias, 0))
        )
        return torch.cat([F.linear(*part) for part in zip(inputs, weights, biases, strict=True)], dim=1)

    def extra_repr(self) -> str:
        outputs, inputs = self.weight.shape
        return f"{inputs * self.groups}, {outputs}, groups={self.groups}"
