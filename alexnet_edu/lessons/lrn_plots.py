"""The drawings of notebook 02: numbers in, marks on the given `Axes` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.image import AxesImage
from matplotlib.ticker import FixedLocator, MaxNLocator
from numpy.typing import ArrayLike, NDArray

from alexnet_edu.show.plots import NEUTRAL, power_of_ten

BEFORE, AFTER, WINDOW = "#B8B8B8", "#0072B2", "#FBE3A6"
SECOND = "#D55E00"
# (colour, line) of a reading of the formula; the order is that of the text.
LINES = (("#0072B2", "-"), ("#D55E00", "--"), ("#009E73", "-."), ("#4D4D4D", ":"))
MARKERS = ("o", "s", "^", "D", "v", "P")
COLORS = "cividis"  # dark is small, in greyscale too


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
        ax.axvspan(window[0] - 0.5, window[1] + 0.5, color=WINDOW, linewidth=0, zorder=0)
    _bars(ax, before, 0.9, BEFORE, "before (a)")
    _bars(ax, after, 0.5, AFTER, "after (b)")
    low, high = min(before.min(), after.min(), 0.0), max(before.max(), after.max(), 1e-9)
    for place, letter in (marks or {}).items():
        ax.annotate(letter, (place, max(before[place], after[place])), ha="center", va="bottom", fontsize=10)
    ax.axhline(0, color=NEUTRAL, linewidth=0.6)
    ax.set_xlim(-0.8, len(before) - 0.2)
    ax.set_ylim(1.1 * low, high + 0.32 * (high - low))  # room for the legend
    on_the_left = before.argmax() <= len(before) // 2  # the tallest bar
    ax.legend(fontsize=9, frameon=False, loc="upper right" if on_the_left else "upper left", handlelength=1.2)


def _bars(ax: Axes, heights: NDArray[np.float64], width: float, color: str, label: str) -> None:
    """One bar per height, at 0, 1, 2 …; as one object, many times quicker to draw than `Axes.bar`."""
    left = np.arange(len(heights)) - width / 2
    x = np.stack([left, left, left + width, left + width], 1)
    y = np.stack([0 * heights, heights, heights, 0 * heights], 1)
    ax.add_collection(PolyCollection(list(np.stack([x, y], 2)), facecolor=color, linewidth=0, label=label))


def draw_influence(ax: Axes, distances: ArrayLike, series: Mapping[str, ArrayLike]) -> None:
    """∂b_i/∂a_j as bars side by side, against the distance j − i in maps."""
    distances = np.asarray(distances)
    width = 0.8 / len(series)
    for place, (label, values) in enumerate(series.items()):
        shift = (place - (len(series) - 1) / 2) * width
        color, hatch = (AFTER, None) if place == 0 else (SECOND, "///")
        ax.bar(
            distances + shift,
            np.asarray(values),
            width=width,
            color=color,
            hatch=hatch,
            edgecolor="white",
            linewidth=0.5,
            label=label,
        )
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set_xticks(distances)
    ax.legend(fontsize=9, frameon=False)


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
    for (label, factors), (color, line) in zip(curves.items(), LINES, strict=False):
        ax.plot(rms, np.asarray(factors), color=color, linestyle=line, linewidth=2, label=label)
    for (label, pair), marker in zip(marks.items(), MARKERS, strict=False):
        at = np.interp(np.log(pair), np.log(rms), on)
        ax.plot(pair[:1], at[:1], marker, color="black", markersize=7, linestyle="", label=label, zorder=3)
        ax.plot(pair[1:], at[1:], marker, color="black", markerfacecolor="white", markersize=7, zorder=3)
    ax.set_xscale("log")
    ax.set_ylim(0, 1.08)
    ax.margins(x=0)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.grid(color=NEUTRAL, alpha=0.15)
    ax.legend(fontsize=9, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))


def draw_map(ax: Axes, values: ArrayLike, limits: tuple[float, float] | None = None) -> AxesImage:
    """One map (H, W) as an image; places that are NaN are left white. Returns it for a colour bar."""
    ax.set_facecolor("white")
    low, high = limits if limits is not None else (None, None)
    shown = ax.imshow(np.asarray(values), cmap=COLORS, vmin=low, vmax=high, interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    return shown


def draw_image(ax: Axes, pixels: ArrayLike, place: tuple[int, int] | None = None) -> None:
    """An image (3, H, W) uint8; place: (row, column) to frame."""
    ax.imshow(np.asarray(pixels).transpose(1, 2, 0), interpolation="nearest")
    if place is not None:
        for color, width in (("black", 3), ("white", 1)):  # seen on light and on dark images
            ax.plot(
                place[1],
                place[0],
                "s",
                markersize=11,
                markerfacecolor="none",
                markeredgecolor=color,
                markeredgewidth=width,
            )
    ax.set_xticks([])
    ax.set_yticks([])


def draw_factor_histogram(
    ax: Axes, counts: ArrayLike, edges: ArrayLike, marks: Sequence[tuple[float, str]] = ()
) -> None:
    """How often each factor b/a occurs, on a logarithmic axis. marks: (factor, letter)."""
    counts = np.asarray(counts)
    ax.stairs(np.maximum(counts, 0.5), np.asarray(edges), fill=True, color=AFTER, alpha=0.6, baseline=0.5)
    ax.set_yscale("log")
    top = max(float(counts.max()), 1.0)
    exponents = range(0, 1 + int(np.log10(top)), 1 + int(np.log10(top) > 4))
    ax.yaxis.set_major_locator(FixedLocator([10.0**e for e in exponents]))
    ax.yaxis.set_minor_locator(FixedLocator([]))
    ax.yaxis.set_major_formatter(lambda value, _: power_of_ten(round(np.log10(value))))
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_ylim(0.5, 30 * top)  # room for the letters
    for value, letter in marks:
        ax.axvline(value, ymax=0.86, color="black", linewidth=1, linestyle=":")
        ax.annotate(letter, (value, 4 * top), ha="center", va="bottom", fontsize=10)


def draw_row(ax: Axes, before: ArrayLike, after: ArrayLike) -> None:
    """One row of a map before and after: (W,) each."""
    ax.plot(np.asarray(before), color=NEUTRAL, linestyle="--", linewidth=1.8, label="before (a)")
    ax.plot(np.asarray(after), color=AFTER, linewidth=2, label="after (b)")
    ax.set_ylim(bottom=0)
    ax.margins(x=0)
    ax.legend(fontsize=9, frameon=False)
