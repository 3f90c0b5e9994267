"""First-layer kernels: as numbers, as pictures, and compared between two columns; what excites a unit.

Kernels are (K, 3, h, w): K kernels over red, green and blue. Tensors in, numbers or colours out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from alexnet_edu.studies.networks import Network
from alexnet_edu.studies.statistics import ColumnTest, PooledTest

GRID = 64  # points a side of the transform: kernels are padded with zeros to it
CHANCE_COLOUR = 2 / 3  # of a kernel whose weights are drawn independently: two axes of three
PERMUTATIONS = 4_000
SCALES = {"global": "one for all kernels", "each": "each kernel its own"}


# --- numbers of one kernel --------------------------------------------------------------------


def colour_share(kernels: Tensor) -> Tensor:
    """Share of a kernel's energy off the grey axis: (K, 3, h, w) -> (K,), between 0 and 1.

    At each place the three weights are a vector; its part along (1, 1, 1) sees brightness, the rest sees
    colour. 0: the same kernel for red, green and blue. 1: blind to any grey image. Independent random
    weights have 2/3 on average, and so has a kernel of zeros by convention (it is nothing yet).
    """
    w = _checked(kernels)
    total = w.square().sum((1, 2, 3))
    grey = 3 * w.mean(1).square().sum((1, 2))
    return torch.where(total > 0, 1 - grey / total.clamp_min(1e-300), CHANCE_COLOUR).clamp(0, 1)


def hue_share(kernels: Tensor) -> tuple[Tensor, Tensor]:
    """Which colours a kernel tells apart: (K, 3, h, w) -> share and colour energy, both (K,) float64.

    Off the grey axis there are two more: orange against blue, (R − B) / √2, and magenta against green,
    (R − 2G + B) / √6. The share is that of the second in a kernel's energy along both, 0 to 1: 0 for a kernel
    that tells orange from blue alone; 1/2 for a grey one by convention, whose energy is 0.
    """
    red, green, blue = _checked(kernels).unbind(1)
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
    w = _checked(kernels)
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


def _checked(kernels: Tensor) -> Tensor:
    """The kernels in float64. Raises ValueError where they are none."""
    if kernels.dim() != 4 or kernels.shape[1] != 3 or not len(kernels):
        raise ValueError(f"kernels must be (K, 3, h, w), K at least 1; got {tuple(kernels.shape)}")
    if min(kernels.shape[2:]) < 2 or max(kernels.shape[2:]) > GRID:
        raise ValueError(f"kernels must be 2 to {GRID} pixels a side, got {tuple(kernels.shape[2:])}")
    if not kernels.isfinite().all():
        raise ValueError("some weights are not numbers; did the network diverge?")
    return kernels.detach().double()


STRIPED = 0.5  # selectivity from which a kernel counts as striped
GREY, COLOURED = 0.25, 0.5  # colour shares below and above which it counts as grey, as coloured


def kinds(kernels: Tensor) -> dict[str, float | None]:
    """What the kernels (K, 3, h, w) of one network, or of several together, are.

    "striped": the share (0–1) that prefers one direction. "blobs": the share that is coloured and prefers
    none. "rest": the others. "grey_frequency", "coloured_frequency": the medians of the grey and of the
    coloured kernels in cycles per pixel; None where there are none.
    """
    each = tuning(kernels)
    striped = (each.selectivity >= STRIPED) & (each.frequency > 0)
    blobs = ~striped & (each.colour > COLOURED)
    shares = {"striped": striped, "blobs": blobs, "rest": ~striped & ~blobs}
    groups = {"grey_frequency": each.colour < GREY, "coloured_frequency": each.colour > COLOURED}
    return {name: which.double().mean().item() for name, which in shares.items()} | {
        name: each.frequency[which].median().item() if which.any() else None for name, which in groups.items()
    }


# --- two columns ------------------------------------------------------------------------------


def compare_columns(
    values: Tensor, weights: Tensor | None = None, *, permutations: int = PERMUTATIONS, seed: int = 0
) -> ColumnTest:
    """Whether the two halves of `values`, (K,), one number a kernel, differ more than by chance.

    The first half is the first column's. weights: (K,), not negative, for weighted means, such as each
    kernel's energy; None for plain ones. Raises ValueError as `column_differences`.
    """
    actual, random = column_differences(values, weights, permutations, seed)
    wide, mass = _weighted(values, weights)
    first, second = _mean(wide.view(2, -1), mass.view(2, -1)).tolist()
    return ColumnTest(first, second, _share_as_large(actual, random))


def pooled(
    values: Sequence[Tensor],
    weights: Sequence[Tensor] | None = None,
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> PooledTest:
    """`compare_columns` over several networks: their mean |difference| against that of permuted kernels.

    values, weights: (K,) for each network, K may differ. Each network's kernels are permuted within it.
    Raises ValueError as `column_differences` does.
    """
    masses: Sequence[Tensor | None] = weights or [None] * len(values)
    tests = [
        column_differences(each, mass, permutations, seed + i)
        for i, (each, mass) in enumerate(zip(values, masses, strict=True))
    ]
    mean = sum(actual for actual, _ in tests) / len(tests)
    random = torch.stack([each for _, each in tests])  # (networks, permutations)
    means = random.mean(0)
    chance = means.mean().item()
    low, high = means.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    spread = random.std(1).mean().item()
    effect = (mean - chance) / spread if spread > 0 else 0.0
    clear = sum(_share_as_large(actual, each) < 0.05 for actual, each in tests)
    return PooledTest(len(tests), mean, chance, low, high, _share_as_large(mean, means), effect, clear)


def column_differences(
    values: Tensor, weights: Tensor | None, permutations: int, seed: int
) -> tuple[float, Tensor]:
    """|difference of the columns' means|: the actual one, and after random permutations, (permutations,).

    values, weights: as in `compare_columns`, whose null distribution this is. Raises ValueError for
    values that are no numbers.
    """
    if not values.isfinite().all():
        raise ValueError("some of the kernels' values are not numbers; did the network diverge?")
    wide, mass = _weighted(values, weights)
    half = len(values) // 2
    orders = torch.rand(permutations, len(values), generator=torch.Generator().manual_seed(seed)).argsort(1)
    first, second = orders[:, :half], orders[:, half:]  # (permutations, K / 2)
    random = (_mean(wide[first], mass[first]) - _mean(wide[second], mass[second])).abs()
    actual = (_mean(wide[:half], mass[:half]) - _mean(wide[half:], mass[half:])).abs().item()
    nothing = 1e-12 * wide.abs().max().item()  # two equal sums, added in another order
    return actual if actual > nothing else 0.0, torch.where(random > nothing, random, 0.0)


def _share_as_large(actual: float, random: Tensor) -> float:
    """The p of `ColumnTest`."""
    # Sums of the same numbers in another order differ in the last digit: those count as equal.
    return (1 + int((random >= actual * (1 - 1e-9)).sum())) / (1 + len(random))


def _weighted(values: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """Values and weights in float64, (K,) both."""
    mass = torch.ones(len(values), dtype=torch.float64) if weights is None else weights.double()
    return values.double(), mass


def _mean(values: Tensor, mass: Tensor) -> Tensor:
    """The weighted mean over the last dimension; 0 where there is no weight at all."""
    return (values * mass).sum(-1) / mass.sum(-1).clamp_min(1e-300)


# --- pictures ---------------------------------------------------------------------------------


def pictures(kernels: Tensor, scale: str = "global") -> Tensor:
    """Kernels as colours: (K, 3, h, w) -> (K, h, w, 3) float32, 0–1, as `shownet.py` draws them.

    scale: "global", the smallest of all weights becomes 0 and the largest 1; "each", every kernel is
    first set to mean 0 and standard deviation 1 (`--norm-filters` in 2012), then the same. A kernel whose
    weights are all equal is grey.
    """
    w = _checked(kernels)
    if scale == "each":
        centred = w - w.mean((1, 2, 3), keepdim=True)
        spread = centred.square().mean((1, 2, 3), keepdim=True).sqrt()
        w = centred / torch.where(spread > 0, spread, 1.0)
    low, high = w.min(), w.max()
    grey = torch.full_like(w, 0.5)
    return ((w - low) / (high - low) if high > low else grey).permute(0, 2, 3, 1).float()


# --- what excites a unit ----------------------------------------------------------------------


@dataclass(frozen=True)
class Field:
    """The square of pixels that one output of a layer depends on.

    size: its side. jump: from one output to the next. start: the first pixel of the first output's
    square; negative where it hangs over the edge. All in pixels of what the network reads.
    """

    size: int
    jump: int
    start: int

    def box(self, row: int, column: int, side: int) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) of the output at (row, column), cut off at the edges 0 and `side`."""
        top, left = self.start + row * self.jump, self.start + column * self.jump
        return max(top, 0), max(left, 0), min(top + self.size, side), min(left + self.size, side)


def fields(network: Network) -> dict[str, Field]:
    """The field of each convolution of a network, after its pooling: layer -> `Field`."""
    by_layer: dict[str, Field] = {}
    size, jump, start = 1, 1, 0
    for name, stage in network.stages.items():
        steps = [m for m in stage.modules() if isinstance(m, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d)]
        if any(isinstance(m, nn.Linear) for m in stage.modules()) or not steps:
            break
        for step in steps:
            kernel, stride, padding = (_side(x) for x in (step.kernel_size, step.stride, step.padding))
            size, start = size + (kernel - 1) * jump, start - padding * jump
            jump *= stride
        by_layer[name] = Field(size, jump, start)
    return by_layer


def _side(value: int | tuple[int, ...] | str) -> int:
    return int(value[0] if isinstance(value, tuple) else value)


@dataclass(frozen=True)
class Excited:
    """How strongly each unit of a layer answers to each image at its best place.

    strength: (N, C); row, column: (N, C) int64, that place; 0 in a fully connected layer.
    """

    layer: str
    strength: Tensor
    row: Tensor
    column: Tensor

    def best(self, unit: int, count: int) -> Tensor:
        """The images that excite a unit most, strongest first: (count,) int64; of equal ones the first."""
        units = self.strength.shape[1]
        if not 0 <= unit < units:
            raise ValueError(f"{self.layer} has the units 0 to {units - 1}, got {unit!r}")
        return self.strength[:, unit].argsort(descending=True, stable=True)[:count]


def excited(network: Network, pixels: Tensor, layer: str, *, device: str = "cpu") -> Excited:
    """What each unit of a layer answers to images, at the place where it answers most.

    pixels: (N, 3, H, W) uint8. Raises ValueError for an unknown layer.
    """
    outputs = network.outputs(pixels, layer, device=device)
    maps = outputs if outputs.dim() == 4 else outputs[:, :, None, None]
    strength, place = maps.flatten(2).max(2)  # (N, C)
    width = maps.shape[3]
    return Excited(layer, strength, place // width, place % width)


def silent(answers: Excited) -> int:
    """How many units answer to none of the images."""
    return int((answers.strength <= 0).all(0).sum())
