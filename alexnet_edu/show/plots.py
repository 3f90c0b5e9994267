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
from matplotlib.ticker import MaxNLocator
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
    falls = bool((np.asarray(slope) < -0.01).any())
    ax.set_ylim(-1.1 if falls else -0.05, 1.45)  # room for the legend
    ax.set_yticks([-1, -0.5, 0, 0.5, 1] if falls else [0, 0.25, 0.5, 0.75, 1])
    ax.legend(fontsize=FONT_SIZE - 1, frameon=False, loc="upper left", handlelength=2.4)


def draw_shares(
    ax: Axes, std: ArrayLike, shares: Mapping[str, ArrayLike], chosen: str, at: tuple[float, float]
) -> None:
    """Share of the gradient that gets through, in percent, against the inputs' scale.

    std: (M,) standard deviations; shares: activation -> (M,) in 0–1; at: the point
    (std, share) of the `chosen` activation that the controls stand at.
    """
    drawn: list[NDArray[np.float64]] = []
    for name, values in shares.items():
        percent = 100 * np.asarray(values)
        same = any(np.allclose(percent, other) for other in drawn)
        style = STYLES[name].kwargs() | {"label": STYLES[name].label + (" (the same)" if same else "")}
        ax.plot(std, percent, linewidth=2.6 if name == chosen else 1.2, **style)
        drawn.append(percent)
    marker, color = STYLES[chosen].marker, STYLES[chosen].color
    ax.plot([at[0]], [100 * at[1]], marker, color=color, markersize=9, markeredgecolor="black")
    ax.set_xscale("log")
    ax.set_ylim(0, 150)  # room for the legend
    ax.set_yticks([0, 25, 50, 75, 100])
    ax.margins(x=0)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.legend(fontsize=FONT_SIZE - 1, frameon=False, handlelength=2.6, loc="upper right")


def draw_histogram(
    ax: Axes,
    counts: ArrayLike,
    edges: ArrayLike,
    *,
    activation: str,
    shaded: Sequence[tuple[float, float]] = (),
) -> None:
    """Counts (B,) over edges (B + 1,) as a filled outline in the activation's colour, peak at 1.

    shaded: intervals of the x axis to shade, such as those where the slope is (nearly) 0;
    an end may be infinite. Ticks on the y axis are left out: only the shape matters.
    """
    color = STYLES[activation].color
    counts, edges = np.asarray(counts), np.asarray(edges)
    heights = counts / max(counts.max(), 1)
    low, high = float(edges[0]), float(edges[-1])
    for start, stop in shaded:
        start, stop = max(start, low), min(stop, high)
        if start < stop:
            ax.axvspan(start, stop, color=SATURATED_COLOR, linewidth=0, zorder=0)
    ax.stairs(heights, edges, fill=True, color=color, alpha=0.55)
    ax.stairs(heights, edges, color=color, linewidth=1.2)
    _bare_frequency_axis(ax, low, high)


def draw_gradients(
    ax: Axes,
    edges: ArrayLike,
    arriving: ArrayLike,
    leaving: ArrayLike,
    *,
    activation: str,
    legend: bool = False,
) -> None:
    """Sizes of gradients: outlined what arrives at f, filled what f′ leaves of it.

    edges: (B + 1,) exponents of ten; arriving, leaving: (B,) values per bin.
    """
    arriving, leaving, edges = np.asarray(arriving), np.asarray(leaving), np.asarray(edges)
    top = max(arriving.max(), leaving.max(), 1)
    color = STYLES[activation].color
    ax.stairs(leaving / top, edges, fill=True, color=color, alpha=0.55, label="after f′")
    ax.stairs(arriving / top, edges, color="black", linewidth=1.3, label="before f′")
    _bare_frequency_axis(ax, float(edges[0]), float(edges[-1]))
    # Without ticks at the ends, whose labels would run into those of the neighbouring picture.
    ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], prune="both"))
    ax.xaxis.set_major_formatter(lambda exponent, _: power_of_ten(exponent))
    if legend:
        ax.legend(fontsize=FONT_SIZE - 1, frameon=False, loc="upper left", handlelength=1.2)


def _bare_frequency_axis(ax: Axes, low: float, high: float) -> None:
    ax.set_xlim(low, high)
    ax.set_ylim(0, 1.08)
    ax.set_yticks([])
    ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter("{x:g}")


def short(value: float) -> str:
    """Two significant digits, the way a reader writes them: 0.074, 93, 760, 5.1×10⁻⁵."""
    rounded = float(f"{value:.2g}")
    if rounded == 0 or 1e-3 <= abs(rounded) < 1e5:
        return f"{rounded:g}"
    mantissa, exponent = f"{rounded:e}".split("e")
    return f"{float(mantissa):g}×{power_of_ten(int(exponent))}"


def power_of_ten(exponent: float) -> str:
    """10⁻³ for −3, in plain characters: quicker to draw than mathematical text."""
    return "10" + f"{exponent:g}".translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
