"""Lesson 02, response normalization: what it does to given activities, what it costs, its pictures."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.image import AxesImage
from matplotlib.ticker import FixedLocator, MaxNLocator
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from alexnet_edu import paper
from alexnet_edu.data.images import Images
from alexnet_edu.model.layers import LocalResponseNorm, local_response_norm, map_response_norm
from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing, PictureWidget, choice, explorer, slider
from alexnet_edu.show.plots import BLUE, GREEN, NEUTRAL, ORANGE, Style, frame, note
from alexnet_edu.studies.signals import LayerProbe, Settings


@dataclass(frozen=True)
class Constants:
    """The constants of §3.3, and how the sum is read.

    reading: "paper", α times the sum over n maps; "code", α/n times it; "one map", the common
    misreading, α times the sum over n × n places of the same map (n odd).
    """

    k: float = paper.LRN_K
    n: int = paper.LRN_N
    alpha: float = paper.LRN_ALPHA
    beta: float = paper.LRN_BETA
    reading: str = "paper"

    def normalize(self, a: Tensor) -> Tensor:
        """a: (N, C, H, W) of any floating type; the result has its shape."""
        if self.reading == "one map":  # map_response_norm divides α by n²
            return map_response_norm(a, self.n, self.k, self.alpha * self.n**2, self.beta)
        return local_response_norm(a, self.n, self.k, self.alpha, self.beta, convention=self.reading)

    def factor(self, rms: Tensor) -> Tensor:
        """b/a where all of a unit's neighbours have this root mean square."""
        members = {"paper": self.n, "code": 1, "one map": self.n**2}[self.reading]
        return (self.k + self.alpha * members * rms**2) ** -self.beta


def window_rms(a: Tensor, n: int = paper.LRN_N) -> Tensor:
    """Root mean square over the n maps around each unit, in the shape of a: (N, C, H, W).

    Beyond the first and the last map there are zeros, as in the sum of §3.3. n: odd.
    """
    squares = (a * a)[:, None]  # (N, 1, C, H, W)
    mean = F.avg_pool3d(squares, (n, 1, 1), stride=1, padding=(n // 2, 0, 0))
    return mean[:, 0].sqrt()


# --- the activities of a first layer -----------------------------------------------------------

LEARNING_RATES = {"raw": 0.002, "standardized": 0.02}  # of the few steps; raw pixels want a smaller one
STEPS = 100


class Responses(LayerProbe):
    """Outputs of the first convolution of the four-layer network, for the images that the probe measures.

    The network has §5's weights, N(0, 0.01²), and ReLU; it is taken before its first step and
    after STEPS steps of 32 images, on both scales of the inputs.
    """

    def before_relu(self, scale: str = "raw", steps: int = STEPS) -> Tensor:
        """z: (N, C, H, W). scale: "raw" or "standardized"."""
        return self.first_responses(Settings("relu", LEARNING_RATES[scale], "gaussian-0.01", scale), steps)

    def activities(self, scale: str = "raw", steps: int = STEPS) -> Tensor:
        """a = max(0, z): (N, C, H, W)."""
        return self.before_relu(scale, steps).relu()


# --- in a network, and its cost ------------------------------------------------------------------


@dataclass(frozen=True)
class Shrinking:
    """One normalization layer at work, over all units that are on.

    rms: of its inputs; median, low, high: of b/a, and its 1% and 99% quantiles.
    """

    rms: float
    median: float
    low: float
    high: float


@torch.no_grad()
def shrinking(features: nn.Sequential, x: Tensor) -> list[Shrinking]:
    """What each `LocalResponseNorm` among `features` does to the batch x, in order."""
    found = []
    for layer in features:
        y = layer(x)
        if isinstance(layer, LocalResponseNorm):
            found.append(_shrinking(x, y))
        x = y
    return found


def _shrinking(a: Tensor, b: Tensor) -> Shrinking:
    factors = (b / a)[a > 0]
    factors = factors[:: len(factors) // 1_000_000 + 1]
    low, median, high = factors.quantile(torch.tensor([0.01, 0.5, 0.99])).tolist()
    return Shrinking(a.square().mean().sqrt().item(), median, low, high)


def kept_bytes(layer: nn.Module, x: Tensor) -> float:
    """What a layer keeps for its backward pass, in bytes for each byte of its input x."""
    kept: dict[int, int] = {}
    alive: list[Tensor] = []  # so that no place in memory is used twice

    def keep(t: Tensor) -> Tensor:
        alive.append(t)
        kept[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    x = x.detach().clone().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        layer(x)
    return sum(kept.values()) / (x.numel() * x.element_size())


class _Traffic(TorchDispatchMode):
    """Adds up the bytes that operations read and write; a view moves none."""

    def __init__(self) -> None:
        super().__init__()
        self.moved = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        read, written = ([t for t in tree_leaves(x) if isinstance(t, Tensor)] for x in ((args, kwargs), out))
        places = {t.untyped_storage().data_ptr() for t in read}
        view = all(t.untyped_storage().data_ptr() in places for t in written)
        if func._schema.is_mutable or not view:
            self.moved += sum(t.numel() * t.element_size() for t in (*read, *written))
        return out


def moved_bytes(function: Callable[[Tensor], object], x: Tensor) -> float:
    """What the steps of a function read and write, one after the other, in bytes for each byte of x.

    As if nothing were kept near the processor in between.
    """
    with torch.no_grad(), _Traffic() as traffic:
        function(x)
    return traffic.moved / (x.numel() * x.element_size())


def seconds_in_turn(functions: Mapping[str, Callable[[], object]], rounds: int = 5) -> dict[str, float]:
    """Median seconds of a call of each; they take turns, after one call of each that is not counted."""
    took: dict[str, list[float]] = {name: [] for name in functions}
    for round_ in range(rounds + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if round_:
                took[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in took.items()}


# --- pictures ------------------------------------------------------------------------------------

BEFORE = "#B8B8B8"
READING_STYLES = (Style(BLUE, "-"), Style(ORANGE, "--"), Style(GREEN, "-."), Style(NEUTRAL, ":"))
MARKERS = ("o", "s", "^", "D", "v", "P")


def draw_before_after(
    ax: Axes,
    before: ArrayLike,
    after: ArrayLike,
    *,
    window: tuple[float, float] | None = None,
    marks: Mapping[int, str] | None = None,
) -> None:
    """Activities of all maps at one place: grey before, coloured and narrower after.

    before, after: (C,). window: first and last map to shade. marks: map -> a letter above it.
    """
    before, after = np.asarray(before, float), np.asarray(after, float)
    if window is not None:
        ax.axvspan(window[0] - 0.5, window[1] + 0.5, color="#FBE3A6", linewidth=0, zorder=0)
    _bars(ax, before, 0.9, BEFORE, "before (a)")
    _bars(ax, after, 0.5, BLUE, "after (b)")
    low, high = min(before.min(), after.min(), 0.0), max(before.max(), after.max(), 1e-9)
    for place, letter in (marks or {}).items():
        note(ax, letter, (place, max(before[place], after[place])), ha="center", va="bottom", fontsize=10)
    ax.axhline(0, color=NEUTRAL, linewidth=0.6)
    ax.set_xlim(-0.8, len(before) - 0.2)
    ax.set_ylim(1.1 * low, high + 0.32 * (high - low))  # room for the legend
    tallest_is_left = before.argmax() <= len(before) // 2
    ax.legend(loc="upper right" if tallest_is_left else "upper left", handlelength=1.2)


def _bars(ax: Axes, heights: NDArray[np.float64], width: float, color: str, label: str) -> None:
    """One bar per height, at 0, 1, 2 …; as one object, many times quicker to draw than `Axes.bar`."""
    left = np.arange(len(heights)) - width / 2
    x = np.stack([left, left, left + width, left + width], 1)
    y = np.stack([0 * heights, heights, heights, 0 * heights], 1)
    ax.add_collection(PolyCollection(list(np.stack([x, y], 2)), facecolor=color, linewidth=0, label=label))


def draw_influence(ax: Axes, distances: ArrayLike, series: Mapping[str, ArrayLike]) -> None:
    """∂b_i/∂a_j of two readings as bars side by side, against the distance j − i in maps."""
    distances = np.asarray(distances)
    looks: tuple[dict[str, Any], ...] = ({"color": BLUE}, {"color": ORANGE, "hatch": "///"})
    for (label, values), shift, look in zip(series.items(), (-0.2, 0.2), looks, strict=False):
        ax.bar(distances + shift, np.asarray(values), 0.4, edgecolor="white", lw=0.5, label=label, **look)
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set_xticks(distances)
    ax.legend()


def draw_factors(
    ax: Axes,
    rms: ArrayLike,
    curves: Mapping[str, ArrayLike],
    marks: Mapping[str, tuple[float, float]],
    on: ArrayLike,
) -> None:
    """b/a against the root mean square of the neighbours, with marks for what networks have.

    rms: (M,); curves: label -> (M,). marks: label -> (a typical rms, a large one), drawn on
    the curve `on` (M,): filled, and open.
    """
    rms, on = np.asarray(rms), np.asarray(on)
    series = {label: (rms, factors) for label, factors in curves.items()}
    plots.lines(ax, series, styles=READING_STYLES, markers=False)
    for (label, pair), marker in zip(marks.items(), MARKERS, strict=False):
        at = np.interp(np.log(pair), np.log(rms), on)
        ax.plot(pair[:1], at[:1], marker, color="black", markersize=7, label=label, zorder=3)
        ax.plot(pair[1:], at[1:], marker, color="black", markerfacecolor="white", markersize=7, zorder=3)
    ax.set_xscale("log")
    ax.set_ylim(0, 1.08)
    ax.margins(x=0)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.grid()
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))


def draw_map(ax: Axes, values: ArrayLike, limits: tuple[float, float] | None = None) -> AxesImage:
    """One map (H, W), dark where small; NaN is left white. Returns the image, for a colour bar."""
    low, high = limits if limits is not None else (None, None)
    shown = ax.imshow(np.asarray(values), vmin=low, vmax=high)
    plots.bare(ax)
    return shown


def draw_row(ax: Axes, before: ArrayLike, after: ArrayLike) -> None:
    """One row of a map before and after: (W,) each."""
    ax.plot(np.asarray(before), color=NEUTRAL, linestyle="--", label="before (a)")
    ax.plot(np.asarray(after), color=BLUE, label="after (b)")
    ax.set_ylim(bottom=0)
    ax.margins(x=0)
    ax.legend()


# --- the explorer: the constants of §3.3 -----------------------------------------------------------

READING_LABELS = {
    "paper": "paper: α Σ over n maps",
    "code": "2012 code, PyTorch: α/n Σ",
    "one map": "misread: n × n places of one map",
}
SOURCES = {
    ("raw", STEPS): f"raw pixels, after {STEPS} steps",
    ("raw", 0): "raw pixels, before the first step",
    ("standardized", STEPS): f"standardized, after {STEPS} steps",
}
SHOWN = 10  # images to choose from; all of them are in the histogram
BINS = 80


def lrn_explorer(images: Images, *, responses: Responses | None = None, seed: int = 0) -> PictureWidget:
    """What k, n, α, β and the reading of the formula do to the outputs of a first layer.

    images, seed: see `Responses`, which is made of them unless it is given. The constants start
    at those of §3.3, image and place at the strongest activity of all.
    """
    layer = responses or Responses(images, seed)
    for source in SOURCES:
        layer.before_relu(*source)  # now, so that every later change is drawn at once
    places = range(layer.image_size)
    strongest = np.unravel_index(
        int(layer.activities()[:SHOWN].amax(1).argmax()), (SHOWN, len(places), len(places))
    )
    i, r, c = map(int, strongest)

    def draw(
        k: float = slider("k", (0.5, 1.0, 2.0, 4.0), paper.LRN_K, "the constant of the base"),
        n: int = slider("n", (1, 3, 5, 7, 9, 15), paper.LRN_N, "width of the window"),
        alpha: float = slider(
            "α", (0.0, 1e-5, 2e-5, 1e-4, 5e-4, 1e-3, 1e-2), paper.LRN_ALPHA, "weight of the sum"
        ),
        beta: float = slider("β", (0.0, 0.25, 0.5, 0.75, 1.0), paper.LRN_BETA, "the power"),
        reading: str = choice("Formula", READING_LABELS, "paper", "over what the squares are summed"),
        source: tuple[str, int] = choice(
            "Activities", SOURCES, ("raw", STEPS), "which network they come from"
        ),
        image: int = slider("Image", range(SHOWN), i, "which image is shown"),
        row: int = slider("Row", places, r, "row of the place, from the top"),
        column: int = slider("Column", places, c, "column of the place, from the left"),
    ) -> Drawing:
        constants = Constants(k, n, alpha, beta, reading)
        note = " (SYNTHETIC images)" if images.synthetic else ""
        words = f"{_formula(constants)}; {SOURCES[source]}{note}"
        a = layer.before_relu(*source)[:SHOWN].relu()
        return _draw(words, constants, a, layer.probed, image, (row, column))

    return explorer(draw, notice="computing …")


def _draw(
    words: str, constants: Constants, a: Tensor, pixels: Tensor, image: int, place: tuple[int, int]
) -> Drawing:
    b = constants.normalize(a)
    factors = b / a  # NaN where a unit is off
    values, here = factors[~factors.isnan()], factors[image, :, place[0], place[1]]
    extremes = _extremes(here)
    marks = dict(zip(extremes, "ML", strict=False))
    figure, ((picture, profile), (lowest, histogram)) = plots.panels(2, 2, 6.2, width_ratios=[1, 2.4])
    plots.images(picture, pixels[image], f"image {image}, the place framed")
    plots.box(picture, place[0] - 1, place[1] - 1, 3, 3)
    window = None
    if extremes and constants.reading != "one map":
        half = constants.n // 2
        window = (max(0, extremes[0] - half), min(len(here) - 1, extremes[0] + half))
    before, after = (t[image, :, place[0], place[1]] for t in (a, b))
    draw_before_after(profile, before, after, window=window, marks=marks)
    frame(profile, "all maps at that place; M: inhibited most, L: least", "map", "activity")
    limits = min(values.min().item(), 0.98 * values.max().item()), values.max().item()
    draw_map(lowest, factors[image].nan_to_num(nan=torch.inf).amin(0), limits)
    frame(lowest, "smallest b/a at each place", "dark: inhibited most")
    _draw_histogram(histogram, values, limits, {letter: here[i].item() for i, letter in marks.items()})
    frame(histogram, f"b/a of all units that are on, {SHOWN} images", "b / a", "units")
    plots.heading(figure, words)
    text = (
        f"{words}: b/a lies between {values.min():.3g} and {values.max():.3g}, median {values.median():.3g}"
    )
    if not extremes:
        return figure, f"{text}; at the place that is framed every map is 0."
    most, least = extremes
    return figure, (
        f"{text}; at the place that is framed map {most} is inhibited most ({here[most]:.3g}) and map "
        f"{least} least ({here[least]:.3g})."
    )


def _extremes(factors: Tensor) -> tuple[int, ...]:
    """The most and the least inhibited of the maps that are on; none where all are off."""
    if factors.isnan().all():
        return ()
    return int(factors.nan_to_num(nan=torch.inf).argmin()), int(factors.nan_to_num(nan=-torch.inf).argmax())


def _draw_histogram(
    ax: Axes, values: Tensor, limits: tuple[float, float], marks: Mapping[str, float]
) -> None:
    """How often each factor b/a occurs, on a logarithmic axis. marks: letter -> factor."""
    margin = 0.06 * (limits[1] - limits[0])
    low, high = limits[0] - margin, limits[1] + margin
    counts = torch.histc(values, BINS, low, high)
    edges = np.linspace(low, high, BINS + 1)
    ax.stairs(counts.clamp(min=0.5).numpy(), edges, fill=True, color=BLUE, alpha=0.6, baseline=0.5)
    ax.set_yscale("log")
    top = max(float(counts.max()), 1.0)
    exponents = range(0, 1 + int(np.log10(top)), 1 + int(np.log10(top) > 4))
    ax.yaxis.set_major_locator(FixedLocator([10.0**e for e in exponents]))
    ax.yaxis.set_minor_locator(FixedLocator([]))
    ax.yaxis.set_major_formatter(lambda value, _: plots.power_of_ten(round(np.log10(value))))
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_ylim(0.5, 30 * top)  # room for the letters
    for letter, value in marks.items():
        ax.axvline(value, ymax=0.86, color="black", linewidth=1, linestyle=":")
        note(ax, letter, (value, 4 * top), ha="center", va="bottom", fontsize=10)


def _formula(c: Constants) -> str:
    weight = {"paper": f"{c.alpha:g}", "code": f"{c.alpha:g}/{c.n}", "one map": f"{c.alpha:g}"}[c.reading]
    over = f"{c.n}×{c.n} places" if c.reading == "one map" else f"{c.n} map{'s' * (c.n > 1)}"
    return f"b = a / ({c.k:g} + {weight} · Σ a² over {over})^{c.beta:g}"
