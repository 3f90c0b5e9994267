"""Drawing with matplotlib: numbers in, marks on the given `Axes` out.

No function here computes, trains or loads anything. Every activation has one colour, one
line style and one marker in all figures, so that a figure can be read in greyscale and by
readers who do not see all colours (palette of Okabe and Ito, 2008).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

# --- shared style ------------------------------------------------------------------------


@dataclass(frozen=True)
class LineStyle:
    """How one series is drawn in every figure."""

    label: str
    color: str
    line: str
    marker: str

    def kwargs(self) -> dict[str, Any]:
        """Arguments for `Axes.plot`; the marker is left to the caller."""
        return {"color": self.color, "linestyle": self.line, "label": self.label}


# Solid for ReLU and dashed for tanh, as in Figure 1 of the paper.
STYLES = {
    "relu": LineStyle("ReLU", "#0072B2", "-", "o"),
    "tanh": LineStyle("tanh", "#D55E00", "--", "s"),
    "sigmoid": LineStyle("sigmoid", "#009E73", "-.", "^"),
    "abs-tanh": LineStyle("|tanh|", "#CC79A7", ":", "D"),
}
NEUTRAL = "#4D4D4D"  # what belongs to no activation
SATURATED_COLOR = "#E0E0E0"

# --- activation widgets ------------------------------------------------------------------

# Set on the figure itself: a widget must look the same whatever the notebook's rcParams say.
WIDGET_WIDTH = 9.0  # inches; at 100 dots per inch 900 pixels
WIDGET_DPI = 100
FONT_SIZE = 10  # points, 14 pixels


@dataclass(frozen=True)
class Histogram:
    """counts: (B,) values per bin; edges: (B + 1,) in units of the quantity, increasing."""

    counts: NDArray[np.float64]
    edges: NDArray[np.float64]


def widget_axes(rows: int, columns: int, height: float) -> tuple[Figure, list[list[Axes]]]:
    """A figure of its own, outside pyplot, with rows × columns empty axes; height in inches.

    pyplot would keep every figure alive until it is closed; this one goes when it is dropped.
    """
    figure = Figure(figsize=(WIDGET_WIDTH, height), dpi=WIDGET_DPI)
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.tick_params(labelsize=FONT_SIZE - 1)
        ax.spines[["top", "right"]].set_visible(False)
    return figure, [list(row) for row in axes]


def label_axes(ax: Axes, title: str, x: str, y: str) -> None:
    """Title and axis labels in the widgets' font size."""
    ax.set_title(title, fontsize=FONT_SIZE, loc="left")
    ax.set_xlabel(x, fontsize=FONT_SIZE)
    ax.set_ylabel(y, fontsize=FONT_SIZE)


def draw_function(ax: Axes, activation: str, z: ArrayLike, f: ArrayLike) -> None:
    """The curve f(z); z, f: (M,)."""
    ax.plot(z, f, linewidth=2, **STYLES[activation].kwargs())
    ax.axhline(0, color=NEUTRAL, linewidth=0.6)
    ax.margins(x=0)


def draw_slope_over_inputs(
    ax: Axes, activation: str, z: ArrayLike, slope: ArrayLike, density: ArrayLike
) -> None:
    """f′(z) as a line over the density of the inputs as a filled hill; all (M,).

    The density is drawn to a height of 1, since only its place matters here.
    """
    density = np.asarray(density)
    ax.fill_between(z, density / density.max(), color="#C8C8C8", linewidth=0, label="inputs z")
    style = STYLES[activation].kwargs() | {"label": "slope f′(z)"}
    ax.plot(z, slope, linewidth=2, **style)
    ax.axhline(0, color=NEUTRAL, linewidth=0.6)
    ax.margins(x=0)
    ax.legend(fontsize=FONT_SIZE - 1, frameon=False, loc="upper right", handlelength=2.4)


def draw_shares(
    ax: Axes, std: ArrayLike, shares: Mapping[str, ArrayLike], chosen: str, at: tuple[float, float]
) -> None:
    """Share of the gradient that gets through, in percent, against the inputs' scale.

    std: (M,) standard deviations; shares: activation -> (M,) in 0–1; at: the point
    (std, share) of the `chosen` activation that the controls stand at.
    """
    for name, values in shares.items():
        width = 2.4 if name == chosen else 1.2
        ax.plot(std, 100 * np.asarray(values), linewidth=width, **STYLES[name].kwargs())
    style = STYLES[chosen]
    ax.plot([at[0]], [100 * at[1]], style.marker, color=style.color, markersize=9, markeredgecolor="black")
    ax.set_xscale("log")
    ax.set_ylim(0, 105)
    ax.margins(x=0)
    ax.legend(fontsize=FONT_SIZE - 1, frameon=False, handlelength=2.6, loc="upper right")


def draw_histogram(
    ax: Axes,
    histogram: Histogram,
    *,
    activation: str,
    flat: Sequence[tuple[float, float]] = (),
) -> None:
    """Counts as a filled outline in the activation's colour, peak at 1.

    flat: intervals of the x axis to shade, where the slope of the activation is (nearly) 0;
    an end may be infinite. Ticks on the y axis are left out: only the shape matters.
    """
    edges, style = histogram.edges, STYLES[activation]
    heights = histogram.counts / max(histogram.counts.max(), 1)
    low, high = float(edges[0]), float(edges[-1])
    for start, stop in flat:
        start, stop = max(start, low), min(stop, high)
        if start < stop:
            ax.axvspan(start, stop, color=SATURATED_COLOR, linewidth=0, zorder=0)
    ax.stairs(heights, edges, fill=True, color=style.color, alpha=0.55)
    ax.stairs(heights, edges, color=style.color, linewidth=1.2)
    ax.set_xlim(low, high)
    ax.set_ylim(0, 1.08)
    ax.set_yticks([])
    ax.locator_params(axis="x", nbins=5)


def draw_gradients(ax: Axes, arriving: Histogram, passed: Histogram, *, activation: str) -> None:
    """Sizes of gradients on a logarithmic axis: outline arriving at f, filled what f lets through.

    Both histograms share their edges, which are powers of ten (the exponents are binned).
    """
    style = STYLES[activation]
    top = max(arriving.counts.max(), passed.counts.max(), 1)
    ax.stairs(passed.counts / top, passed.edges, fill=True, color=style.color, alpha=0.55, label="after f′")
    ax.stairs(arriving.counts / top, arriving.edges, color="black", linewidth=1.3, label="before f′")
    ax.set_xlim(float(arriving.edges[0]), float(arriving.edges[-1]))
    ax.set_ylim(0, 1.08)
    ax.set_yticks([])
    ax.locator_params(axis="x", nbins=5)
    ax.xaxis.set_major_formatter(lambda exponent, _: f"$10^{{{exponent:g}}}$")
