"""First-layer kernels as numbers: how much colour, which frequency, which direction; and whether two
columns differ in them more than chance makes them.

Kernels are (K, 3, h, w): K kernels over red, green and blue. Tensors in, numbers out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from alexnet_edu.studies.column_tests import ColumnTest, PooledTest

GRID = 64  # points a side of the transform: kernels are padded with zeros to it
CHANCE_COLOUR = 2 / 3  # of a kernel whose weights are drawn independently: two axes of three
DEALS = 4_000


def colour_share(kernels: Tensor) -> Tensor:
    """Share of a kernel's energy off the grey axis: (K, 3, h, w) -> (K,), between 0 and 1.

    At each place the three weights are a vector; its part along (1, 1, 1) sees brightness, the rest sees
    colour. 0: the same kernel for red, green and blue. 1: blind to any grey image. Independent random
    weights have 2/3 on average, and so has a kernel of zeros by convention (it is nothing yet).
    """
    _check(kernels)
    w = kernels.double()
    total = w.square().sum((1, 2, 3))
    grey = 3 * w.mean(1).square().sum((1, 2))
    return torch.where(total > 0, 1 - grey / total.clamp_min(1e-300), CHANCE_COLOUR).clamp(0, 1)


def hue_share(kernels: Tensor) -> tuple[Tensor, Tensor]:
    """Which colours a kernel tells apart: (K, 3, h, w) -> share and colour energy, both (K,) float64.

    Off the grey axis there are two more: orange against blue, (R − B) / √2, and magenta against green,
    (R − 2G + B) / √6. The share is that of the second in a kernel's energy along both, 0 to 1: 0 for a kernel
    that tells orange from blue alone; 1/2 for a grey one by convention, whose energy is 0.
    """
    _check(kernels)
    red, green, blue = kernels.double().unbind(1)
    orange_blue = ((red - blue) / 2**0.5).square().sum((1, 2))
    magenta_green = ((red - 2 * green + blue) / 6**0.5).square().sum((1, 2))
    energy = orange_blue + magenta_green
    return torch.where(energy > 0, magenta_green / energy.clamp_min(1e-300), 0.5), energy


@dataclass(frozen=True)
class Tuning:
    """What a set of K kernels answers to; all (K,) float64.

    frequency: of the strongest sine wave, in cycles per pixel, 0 to about 0.7 (0.5 along an axis).
    orientation: of its stripes, in degrees, 0 ≤ φ < 180: 0 is horizontal stripes, 90 upright ones,
        45 stripes that rise to the right. Means nothing where the frequency is 0.
    selectivity: 0 to 1, how far the kernel prefers that direction to all others: 1 for a sine wave,
        0 for a round blob.
    colour: `colour_share`. norm: √ of the sum of squares.
    """

    frequency: Tensor
    orientation: Tensor
    selectivity: Tensor
    colour: Tensor
    norm: Tensor


def tuning(kernels: Tensor) -> Tuning:
    """Fourier peak, direction, colour and size of each kernel: (K, 3, h, w) -> `Tuning`.

    The power is summed over the three channels, after the transform, so that red against green counts
    like light against dark. Selectivity is |Σ P e^{2iθ}| / Σ P over all frequencies but 0, θ the
    direction of each.
    """
    _check(kernels)
    w = kernels.double()
    power = torch.fft.fft2(w, s=(GRID, GRID)).abs().square().sum(1)  # (K, GRID, GRID)
    along = torch.fft.fftfreq(GRID, dtype=torch.float64)
    down, right = torch.meshgrid(along, along, indexing="ij")
    peak = power.flatten(1).argmax(1)
    u, v = right.flatten()[peak], down.flatten()[peak]
    # Rows count downwards: a wave that runs to (right, down) has stripes that rise if both are alike.
    orientation = (90 + torch.rad2deg(torch.atan2(-v, u))) % 180
    direction = torch.polar(torch.ones_like(down), 2 * torch.atan2(-down, right))
    power[:, 0, 0] = 0
    total = power.sum((1, 2))
    pull = (power * direction).sum((1, 2)).abs()
    selectivity = torch.where(total > 0, pull / total.clamp_min(1e-300), 0.0)
    norm = w.square().sum((1, 2, 3)).sqrt()
    return Tuning(torch.hypot(u, v), orientation, selectivity, colour_share(kernels), norm)


STRIPED = 0.5  # selectivity from which a kernel counts as one of a direction
GREY, COLOURED = 0.25, 0.5  # colour shares below and above which it counts as grey, as coloured


@dataclass(frozen=True)
class Kinds:
    """What the kernels of one network, or of several together, are.

    striped: share (0–1) that prefers one direction. blobs: share that is coloured and prefers none.
    rest: the others. grey_frequency, coloured_frequency: median in cycles a pixel of the grey and of the
    coloured ones; None where there are none.
    """

    striped: float
    blobs: float
    rest: float
    grey_frequency: float | None
    coloured_frequency: float | None


def kinds(kernels: Tensor) -> Kinds:
    """Stripes, coloured blobs and the rest among kernels (K, 3, h, w)."""
    found = tuning(kernels)
    striped = (found.selectivity >= STRIPED) & (found.frequency > 0)
    blobs = ~striped & (found.colour > COLOURED)
    medians = [
        found.frequency[which].median().item() if which.any() else None
        for which in (found.colour < GREY, found.colour > COLOURED)
    ]
    shares = [which.double().mean().item() for which in (striped, blobs, ~striped & ~blobs)]
    return Kinds(*shares, *medians)


# --- two columns ------------------------------------------------------------------------------


def compare_columns(
    values: Tensor, weights: Tensor | None = None, *, deals: int = DEALS, seed: int = 0
) -> ColumnTest:
    """Whether the two halves of `values`, (K,), one number a kernel, differ more than by chance.

    The first half is the first column's. The null distribution deals the kernels to two columns of
    equal size at random. weights: (K,), not negative, for weighted means, such as each kernel's energy;
    None takes all alike. Raises ValueError for an odd number of kernels, fewer than 4, or numbers that
    are none.
    """
    own, null = column_differences(values, weights, deals, seed)
    half = len(values) // 2
    wide, mass = _masses(values, weights)
    first, second = (_mean(wide[part], mass[part]).item() for part in (slice(half), slice(half, None)))
    spread = null.std().item()
    p = _share_as_large(own, null)
    return ColumnTest(first, second, p, (own - null.mean().item()) / spread if spread > 0 else 0.0)


def pooled(
    values: Sequence[Tensor],
    weights: Sequence[Tensor] | None = None,
    *,
    deals: int = DEALS,
    seed: int = 0,
) -> PooledTest:
    """`compare_columns` over several networks: their mean |difference| against random deals of all.

    values, weights: (K,) for each network, K may differ. Each network's kernels are dealt anew within it.
    Raises ValueError without networks, and as `compare_columns` does.
    """
    if not values:
        raise ValueError("there are no networks to compare")
    heavy: Sequence[Tensor | None] = [None] * len(values) if weights is None else weights
    if len(heavy) != len(values):
        raise ValueError(f"there are weights for {len(heavy)} of {len(values)} networks")
    found = [
        column_differences(each, w, deals, seed + i)
        for i, (each, w) in enumerate(zip(values, heavy, strict=True))
    ]
    mean = sum(own for own, _ in found) / len(found)
    null = torch.stack([each for _, each in found])  # (networks, deals)
    means = null.mean(0)
    low, high = means.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    clear = sum(_share_as_large(own, each) < 0.05 for own, each in found)
    spread = null.std(1).mean().item()
    return PooledTest(
        len(found),
        mean,
        means.mean().item(),
        low,
        high,
        _share_as_large(mean, means),
        (mean - means.mean().item()) / spread if spread > 0 else 0.0,
        clear,
    )


def _share_as_large(own: float, null: Tensor) -> float:
    """The p of `ColumnTest`."""
    # Sums of the same numbers in another order differ in the last digit: those count as equal.
    return (1 + int((null >= own * (1 - 1e-9)).sum())) / (1 + len(null))


def column_differences(values: Tensor, weights: Tensor | None, deals: int, seed: int) -> tuple[float, Tensor]:
    """|difference of the columns' means|: as it is, and for `deals` random deals, (deals,).

    As in `compare_columns`, whose null distribution this is.
    """
    if values.dim() != 1 or len(values) < 4 or len(values) % 2:
        raise ValueError(
            f"two columns need one number a kernel, an even number of at least 4; got {tuple(values.shape)}"
        )
    if not values.isfinite().all():
        raise ValueError("some of the kernels' values are not numbers; did the network diverge?")
    if deals < 1:
        raise ValueError(f"deals must be at least 1, got {deals!r}")
    wide, mass = _masses(values, weights)
    half = len(values) // 2
    orders = torch.rand(deals, len(values), generator=torch.Generator().manual_seed(seed)).argsort(1)
    first, second = orders[:, :half], orders[:, half:]  # (deals, K / 2)
    null = (_mean(wide[first], mass[first]) - _mean(wide[second], mass[second])).abs()
    own = (_mean(wide[:half], mass[:half]) - _mean(wide[half:], mass[half:])).abs().item()
    nothing = 1e-12 * wide.abs().max().item()  # two equal sums, added in another order
    return own if own > nothing else 0.0, torch.where(null > nothing, null, 0.0)


def _masses(values: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """Values and weights in float64, (K,) both."""
    mass = torch.ones(len(values), dtype=torch.float64) if weights is None else weights.double()
    if mass.shape != values.shape or not (mass.isfinite() & (mass >= 0)).all() or not mass.sum() > 0:
        raise ValueError(
            f"weights must be {len(values)} numbers of 0 or more, not all 0; got {tuple(mass.shape)}"
        )
    return values.double(), mass


def _mean(values: Tensor, mass: Tensor) -> Tensor:
    """The weighted mean over the last dimension; 0 where there is no weight at all."""
    return (values * mass).sum(-1) / mass.sum(-1).clamp_min(1e-300)


def _check(kernels: Tensor) -> None:
    if kernels.dim() != 4 or kernels.shape[1] != 3 or not len(kernels):
        raise ValueError(f"kernels must be (K, 3, h, w), K at least 1; got {tuple(kernels.shape)}")
    if min(kernels.shape[2:]) < 2 or max(kernels.shape[2:]) > GRID:
        raise ValueError(f"kernels must be 2 to {GRID} pixels a side, got {tuple(kernels.shape[2:])}")
    if not kernels.isfinite().all():
        raise ValueError("some weights are not numbers; did the network diverge?")


def degrees_apart(a: float, b: float) -> float:
    """Between two orientations, 0 to 90 degrees."""
    return 90 - abs(90 - abs(a - b) % 180) if math.isfinite(a - b) else math.nan
