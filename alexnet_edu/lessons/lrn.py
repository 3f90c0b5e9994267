"""Lesson 02, response normalization: its pictures, recorded and live, its explorer, and what it costs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from alexnet_edu import paper
from alexnet_edu.data.images import Images
from alexnet_edu.model.layers import local_response_norm, map_response_norm
from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing, PictureWidget, choice, explorer, slider
from alexnet_edu.show.plots import BLUE, NEUTRAL, ORANGE, Style, frame, note
from alexnet_edu.studies.record import Record
from alexnet_edu.studies.signals import LayerProbe, Settings
from alexnet_edu.studies.statistics import signed


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

    def __init__(self, images: Images, seed: int = 0) -> None:
        super().__init__(images, seed)
        self.caveat = images.caveat

    def before_relu(self, scale: str = "raw", steps: int = STEPS) -> Tensor:
        """z: (N, C, H, W). scale: "raw" or "standardized"."""
        return self.first_responses(Settings("relu", LEARNING_RATES[scale], "gaussian-0.01", scale), steps)

    def activities(self, scale: str = "raw", steps: int = STEPS) -> Tensor:
        """a = max(0, z): (N, C, H, W)."""
        return self.before_relu(scale, steps).relu()


# --- the lesson's figures ------------------------------------------------------------------------

BEFORE = "#B8B8B8"
QUIET = paper.LRN_K**-paper.LRN_BETA  # b/a where the window is silent
READING_STYLES = (Style(BLUE, "-"), Style(ORANGE, "--"))
MARKERS = ("o", "s", "^")
Band = Sequence[Sequence[float]]  # per step: a low quantile, the median, a high quantile


def errors(record: Record) -> Drawing:
    """Recorded test and training errors, seed by seed, without and with LRN, each at its own rate."""
    figure, ((ax,),) = plots.panels(1, 1, height=2.7)
    for place, what in enumerate(("test_error", "train_error")):
        for name, shift, style in (("none", -0.13, plots.SERIES[0]), ("lrn", 0.13, plots.SERIES[1])):
            label = {"none": "without", "lrn": "with LRN"}[name] if place == 0 else None
            values = record.values(name, what)
            look: dict[str, Any] = {"color": style.color, "markersize": 8, "label": label}
            ax.plot(values, [place + shift] * len(values), style.marker, **look)
            mean = statistics.fmean(values)
            ax.plot(
                [mean] * 2, [place + shift - 0.12, place + shift + 0.12], color=style.color, linewidth=2.5
            )
    plots.rows(ax, ["test error", "training error"])
    frame(ax, x="error of each seed (bar: the mean)", percent="x", legend="upper center")
    falls = {what: record.gap("lrn", "none", what) for what in ("test_error", "train_error", "gap")}
    test, train, gap = (f"{interval.signed.replace(',', ' to')}" for interval in falls.values())
    return figure, (
        f"LRN changes the test error by {test} points and the training error by {train}; the gap between "
        f"them by {gap} (95% intervals, {len(record.values('lrn'))} seeds, real CIFAR-10, recorded)."
    )


def inhibition(normalize: Callable[[Tensor], Tensor]) -> Drawing:
    """One strong map among weak ones, before and after, and the slope of each map's b by every other's a.

    normalize: (N, C, H, W) -> the same shape.
    """
    a = torch.full((11,), 20.0, dtype=torch.float64)
    a[5] = 100.0

    def across(a: Tensor) -> Tensor:
        return normalize(a.reshape(1, -1, 1, 1)).flatten()

    b = across(a)
    slopes: Tensor = torch.autograd.functional.jacobian(across, a)  # [i, j] is ∂b_i/∂a_j
    figure, ((left, right),) = plots.panels(1, 2, height=3.5)
    draw_before_after(left, a, b, window=(3, 7))
    frame(left, "shaded: the strong map is in their window", "map", "activity", legend="upper left")
    looks: tuple[dict[str, Any], ...] = ({"color": BLUE}, {"color": ORANGE, "hatch": "///"})
    for i, shift, look in zip((5, 6), (-0.2, 0.2), looks, strict=True):
        label = f"on map {i} (a = {a[i]:g})"
        right.bar(
            np.arange(-3, 4) + shift,
            slopes[i, i - 3 : i + 4].numpy(),
            0.4,
            edgecolor="white",
            label=label,
            **look,
        )
    right.axhline(0, color="black", linewidth=0.8)
    frame(right, "what a little more of map j does to map i", "distance j − i in maps", "∂b / ∂a")
    right.legend(loc="upper left")
    return figure, (
        f"A weak map beside the strong one keeps {b[6] / a[6]:.2f} of its activity, a weak map out of its "
        f"reach {b[2] / a[2]:.2f}; beyond two maps there is no influence."
    )


def live(
    factors: Mapping[str, Band], errors: Mapping[str, Sequence[float]], images: Images, guess: float | None
) -> Drawing:
    """b/a of a first layer while it trains, and training errors with LRN and with its constant.

    factors: inputs -> for each batch the 1%, 50% and 99% quantiles of b/a. errors: network -> error (0–1)
    of each batch. guess: the middle b/a on standardized pixels, drawn as a line.
    """
    figure, ((left, right),) = plots.panels(1, 2, height=3.7)
    lowest = {}
    for (inputs, band), style in zip(factors.items(), (plots.SERIES[2], plots.SERIES[1]), strict=True):
        low, middle, high = np.asarray(band).T
        left.fill_between(range(len(low)), low, high, color=style.color, alpha=0.25, linewidth=0)
        left.plot(middle, color=style.color, linestyle=style.line, label=f"{inputs} pixels")
        lowest[inputs] = low[-1]
    if guess is not None:
        left.axhline(guess, color=plots.PINK, linestyle=":", linewidth=2.5, label=f"your guess: {guess:g}")
    left.set_ylim(0, max(0.7, 1.1 * (guess or 0)))
    frame(left, "first layer: median, and 98% of the units (band)", "batches", "b / a", legend="lower left")
    ends, window = [], 1
    for (name, values), style in zip(errors.items(), (plots.SERIES[1], plots.SERIES[0]), strict=True):
        window = min(50, len(values))
        smooth = np.convolve(values, np.ones(window) / window, "valid")  # (steps - window + 1,)
        look: dict[str, Any] = {"linewidth": 4, "alpha": 0.35} if name == "LRN" else {"linewidth": 1.2}
        right.plot(np.arange(len(smooth)) + window, smooth, color=style.color, label=name, **look)
        ends.append(smooth)
    frame(right, "standardized pixels", "batches", "training error", percent="y", legend="upper right")
    apart = 100 * np.abs(ends[0] - ends[1]).max()
    return figure, (
        f"On standardized pixels 99% of the units keep {lowest['standardized']:.3f} of a or more, and the "
        f"constant in place of LRN trains within {apart:.1f} points of it (means of {window} batches); on "
        f"raw pixels 1% keep less than {lowest['raw']:.2f}.{images.caveat}"
    )


def by_size(responses: Responses) -> Drawing:
    """b/a against the root mean square of a window, with what a first layer has on two kinds of input."""
    figure, ((ax,),) = plots.panels(1, 1, height=3.7)
    rms = torch.logspace(-2, 3, 300)
    curves = {
        "as printed: α Σ a²": (rms, Constants().factor(rms)),
        "2012 code: α/n Σ a²": (rms, Constants(reading="code").factor(rms)),
    }
    plots.lines(ax, curves, styles=READING_STYLES, markers=False)
    shares = {}
    for (source, words), marker in zip(reversed(SOURCES.items()), MARKERS, strict=True):
        a = responses.activities(*source)
        large = window_rms(a).flatten()[::7].quantile(0.999).item()
        pair = torch.tensor([a.square().mean().sqrt().item(), large])
        at = Constants().factor(pair)
        look: dict[str, Any] = {"color": "black", "markersize": 8, "linestyle": "none"}
        ax.plot(pair[:1], at[:1], marker, label=words, **look)
        ax.plot(pair[1:], at[1:], marker, markerfacecolor="white", **look)
        shares[source] = paper.LRN_ALPHA * paper.LRN_N * large**2 / paper.LRN_K
    ax.set_xscale("log")
    ax.set_ylim(0, 0.7)
    ax.margins(x=0)
    ax.xaxis.set_major_formatter("{x:g}")
    x = "root mean square of the five activities (filled: of all; open: only 0.1% of the windows exceed it)"
    frame(ax, x=x, y="b / a", grid="xy", legend="lower left")
    raw, scaled = shares["raw", STEPS], shares["standardized", STEPS]
    return figure, (
        f"In the strongest windows α Σ a² comes to {raw:.1f} times k on raw pixels, and to "
        f"{scaled:.1g} times k on standardized ones.{responses.caveat}"
    )


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


def draw_map(ax: Axes, values: ArrayLike, limits: tuple[float, float] | None = None) -> AxesImage:
    """One map (H, W), dark where small; NaN is left white. Returns the image, for a colour bar."""
    low, high = limits if limits is not None else (None, None)
    shown = ax.imshow(np.asarray(values), vmin=low, vmax=high)
    plots.bare(ax)
    return shown


# --- what goes deeper ----------------------------------------------------------------------------


def _strongest(a: Tensor) -> tuple[int, int]:
    """Of the first ten images the one with the strongest activity, and the map that has it."""
    picture = int(a[:SHOWN].amax((1, 2, 3)).argmax())
    return picture, int(a[picture].amax((1, 2)).argmax())


def three_readings(responses: Responses) -> Drawing:
    """An image, one map of a first layer, and b/a in it by the three readings of the formula."""
    a = responses.activities()
    picture, map_ = _strongest(a)
    figure, (axes,) = plots.panels(1, 5, height=2.7)
    plots.images(axes[0], responses.probed[picture], "the image")
    figure.colorbar(draw_map(axes[1], a[picture, map_]), ax=axes[1], location="bottom")
    axes[1].set_title(f"a of map {map_}")
    names = {"paper": "α Σ, 5 maps", "code": "α/n Σ, 5 maps", "one map": "misread: 5×5 places"}
    factors = {how: Constants(reading=how).normalize(a) / a for how in names}
    smallest = {how: t[a > 0].min().item() for how, t in factors.items()}
    for ax, (how, t) in zip(axes[2:], factors.items(), strict=True):
        shown = draw_map(ax, t[picture, map_], (min(smallest.values()), QUIET))
        ax.set_title(names[how])
    figure.colorbar(shown, ax=axes[2:], location="bottom", shrink=0.6, label="b/a (white: a = 0)")
    return figure, (
        f"Of the same activities the formula as printed leaves {smallest['paper']:.2f} at least, the 2012 "
        f"code {smallest['code']:.2f}, the misreading {smallest['one map']:.2f}.{responses.caveat}"
    )


def within_map(responses: Responses) -> Drawing:
    """One map before and after the normalization within maps of run 145, and one row of it."""
    a = responses.activities()
    b = map_response_norm(a)
    picture, map_ = _strongest(a)
    row = int(a[picture, map_].amax(1).argmax())
    figure, (axes,) = plots.panels(1, 3, height=3, width_ratios=(1, 1, 1.6))
    for ax, words, t in zip(axes, ("before (a)", "after (b)"), (a, b), strict=False):
        figure.colorbar(draw_map(ax, t[picture, map_]), ax=ax, location="bottom")
        ax.axhline(row, color="white", linestyle=":", linewidth=1.2)
        ax.set_title(f"map {map_} {words}")
    axes[2].plot(a[picture, map_, row], color=NEUTRAL, linestyle="--", label="before (a)")
    axes[2].plot(b[picture, map_, row], color=BLUE, label="after (b)")
    axes[2].set_ylim(0, 1.3 * a[picture, map_, row].max().item())  # room for the legend
    frame(axes[2], "the dotted row", "column", "activity", legend="upper center", ncols=2)
    on = (t[t > 0][::5] for t in (a, local_response_norm(a), b))
    before, across, within = ((t.quantile(0.99) / t.median()).item() for t in on)
    return figure, (
        f"The strongest 1% of the activities are {before:.1f} times the middle one; {across:.1f} times after "
        f"the normalization across maps, {within:.1f} times after that within maps.{responses.caveat}"
    )


def all_norms(record: Record) -> Drawing:
    """What each normalization changes in test and training error, in points, against none."""
    titles = {name: record.of(variant=name).runs["title"].iloc[0] for name in record.variants[1:]}
    figure, ((ax,),) = plots.panels(1, 1, height=3.2)
    for what, shift, style in (
        ("test_error", -0.13, plots.SERIES[1]),
        ("train_error", 0.13, plots.SERIES[2]),
    ):
        gaps = {titles[name]: record.gap(name, "none", what) for name in titles}
        values = {title: (gap.value, gap.low or 0.0, gap.high or 0.0) for title, gap in gaps.items()}
        plots.intervals(ax, values, shift=shift, style=style, label=plots.WORDS[what])
    plots.level(ax, 0, axis="x")
    frame(ax, x="points against no normalization (95% intervals; left is better)", legend="right of")
    best = record.gap("batch", "none")
    return figure, (
        f"Each at its own rate: batch normalization changes the test error by {best.signed} points, LRN by "
        f"{record.gap('lrn', 'none').signed} ({len(record.values('none'))} seeds, 8 epochs, recorded)."
    )


def by_rate(record: Record) -> Drawing:
    """LRN against none at one rate for both, and at the rate that was chosen for each."""
    gaps = {
        f"both at ε = {rate:g}": record.at_rate(rate).gap("lrn", "none") for rate in record.shared_rates()
    }
    gaps["each at its own"] = record.gap("lrn", "none")
    figure, ((ax,),) = plots.panels(1, 1, height=2.4)
    values = {name: (gap.value, gap.low or 0.0, gap.high or 0.0) for name, gap in gaps.items()}
    plots.intervals(ax, values, form="{:+.2f}")
    plots.level(ax, 0, axis="x")
    frame(ax, x="test error of LRN − test error of none, in points (95% intervals)")
    low, high, fair = (signed(gap.value) for gap in gaps.values())
    return (
        figure,
        f"LRN changes the test error by {low} or by {high} points at one rate, by {fair} at two (recorded).",
    )


# --- the explorer: the constants of §3.3 -----------------------------------------------------------

READING_LABELS = {"paper": "as printed: α Σ", "code": "2012 code, PyTorch: α/n Σ"}
SOURCES = {
    ("raw", STEPS): f"raw pixels, after {STEPS} steps",
    ("raw", 0): "raw pixels, before the first step",
    ("standardized", STEPS): f"standardized, after {STEPS} steps",
}
SHOWN = 10  # images to choose from; b/a is that of all of them


def lrn_explorer(layer: Responses, **options: Any) -> PictureWidget:
    """What k, n, α and the reading of the formula do to the outputs of a first layer.

    The constants start at those of §3.3, image and place at the strongest activity of all. options: of
    `explorer`.
    """
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
        reading: str = choice("Formula", READING_LABELS, "paper", "over what the squares are summed"),
        source: tuple[str, int] = choice(
            "Activities", SOURCES, ("raw", STEPS), "which network they come from"
        ),
        image: int = slider("Image", range(SHOWN), i, "which image is shown"),
        row: int = slider("Row", places, r, "row of the place, from the top"),
        column: int = slider("Column", places, c, "column of the place, from the left"),
    ) -> Drawing:
        constants = Constants(k, n, alpha, reading=reading)
        note = " (SYNTHETIC images)" if layer.caveat else ""
        words = f"{_formula(constants)}; {SOURCES[source]}{note}"
        a = layer.before_relu(*source)[:SHOWN].relu()
        return _draw(words, constants, a, layer.probed, image, (row, column))

    return explorer(draw, notice="computing …", **options)


def _draw(
    words: str, constants: Constants, a: Tensor, pixels: Tensor, image: int, place: tuple[int, int]
) -> Drawing:
    b = constants.normalize(a)
    factors = b / a  # NaN where a unit is off
    values, here = factors[~factors.isnan()], factors[image, :, place[0], place[1]]
    extremes = _extremes(here)
    marks = dict(zip(extremes, "ML", strict=False))
    figure, ((picture, lowest, profile),) = plots.panels(1, 3, 3.2, width_ratios=[1, 1, 2.2])
    plots.images(picture, pixels[image], f"image {image}, the place framed")
    plots.box(picture, place[0] - 1, place[1] - 1, 3, 3)
    draw_map(lowest, factors[image].nan_to_num(nan=torch.inf).amin(0), (0.0, constants.k**-constants.beta))
    frame(lowest, "smallest b/a at each place", "dark: inhibited most")
    half, window = constants.n // 2, None
    if extremes:
        window = (max(0, extremes[0] - half), min(len(here) - 1, extremes[0] + half))
    before, after = (t[image, :, place[0], place[1]] for t in (a, b))
    draw_before_after(profile, before, after, window=window, marks=marks)
    frame(profile, "all maps at that place; M: inhibited most, L: least", "map", "activity")
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


def _formula(c: Constants) -> str:
    weight = f"{c.alpha:g}" if c.reading == "paper" else f"{c.alpha:g}/{c.n}"
    return f"b = a / ({c.k:g} + {weight} · Σ a² over {c.n} map{'s' * (c.n > 1)})^{c.beta:g}"
