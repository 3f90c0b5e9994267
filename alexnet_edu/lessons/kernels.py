"""The drawings of notebook 07: numbers and colours in, marks on the given axes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from alexnet_edu.show.plots import FONT_SIZE, NEUTRAL

COLUMN_COLORS = ("#0072B2", "#D55E00")  # first and second column
COLUMN_MARKERS = ("o", "^")
COLUMN_WORDS = ("first column", "second column")


def draw_sheet(ax: Axes, sheet: ArrayLike, title: str = "") -> None:
    """A sheet of pictures (H, W, 3), every pixel a square."""
    ax.imshow(np.asarray(sheet), interpolation="nearest")
    ax.set_axis_off()
    if title:
        ax.set_title(title, fontsize=FONT_SIZE, loc="left")


def draw_tuning(
    ax: Axes, frequency: ArrayLike, orientation: ArrayLike, colour: ArrayLike, columns: Sequence[slice]
) -> Any:
    """Kernels in a half disc: distance from the middle is the frequency, the angle that of the stripes.

    frequency: (K,) cycles a pixel; orientation: (K,) degrees; colour: (K,) 0–1, the shade of the mark.
    ax: polar. columns: which kernels belong to each column; the marks differ. Returns the last marks, for
    a colour bar.
    """
    angle, r, shade = np.deg2rad(np.asarray(orientation)), np.asarray(frequency), np.asarray(colour)
    marks: Any = None
    for part, marker, words in zip(columns, COLUMN_MARKERS, COLUMN_WORDS, strict=False):
        marks = ax.scatter(
            angle[part],
            r[part],
            c=shade[part],
            marker=marker,
            cmap="viridis",
            vmin=0,
            vmax=1,
            s=46,
            edgecolors=NEUTRAL,
            linewidths=0.5,
            label=words if len(columns) > 1 else None,
        )
    polar: Any = ax
    polar.set_thetamin(0)
    polar.set_thetamax(180)
    polar.set_thetagrids(range(0, 181, 45))
    most = max(0.3, float(r.max()) * 1.08) if len(r) else 0.5
    ax.set_ylim(0, most)
    polar.set_rgrids([tick for tick in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7) if tick < most], angle=0)
    polar.tick_params(axis="y", labelsize=FONT_SIZE - 2, pad=1)
    ax.tick_params(labelsize=FONT_SIZE - 1)
    return marks


def draw_colour_counts(ax: Axes, values: Sequence[ArrayLike], chance: float | None = None) -> None:
    """How many kernels of each column have which colour share: one (K,) for each column, 0–1."""
    edges = np.linspace(0, 1, 11).tolist()
    shares = [np.asarray(each) for each in values]
    means = [float(share.mean()) for share in shares]
    labels = [f"{words} (mean {mean:.2f})" for words, mean in zip(COLUMN_WORDS, means, strict=False)]
    colors = list(COLUMN_COLORS[: len(shares)])
    ax.hist(shares, edges, color=colors, label=labels, rwidth=0.85)  # side by side
    for mean, color, line in zip(means, colors, ("-", "--"), strict=False):
        ax.axvline(mean, color=color, linestyle=line, linewidth=2)
    if chance is not None:
        ax.axvline(chance, color=NEUTRAL, linestyle=":", linewidth=1.5, label="random weights")
    ax.set_xlim(0, 1)
    ax.legend(fontsize=FONT_SIZE - 1, frameon=False)


def draw_null(ax: Axes, null: ArrayLike, own: float, words: str) -> None:
    """Differences of randomly dealt columns, (deals,), and the network's own."""
    drawn = np.asarray(null)
    reach = max(float(drawn.max()), own) * 1.08
    ax.hist(drawn, np.linspace(0, reach, 40).tolist(), color="#C8C8C8", edgecolor="#9A9A9A", linewidth=0.4)
    ax.axvline(own, color=COLUMN_COLORS[1], linewidth=2.5, label=words)
    ax.set_xlim(0, reach)
    ax.set_yticks([])
    ax.margins(y=0.3)
    ax.legend(fontsize=FONT_SIZE - 1, frameon=False, loc="upper right")


def draw_conditions(ax: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """One row a condition: each network's difference, their mean, and where chance would put the mean.

    rows: with "title", "differences" and "clear" (p < 0.05 alone) of each network, "mean", "low", "high".
    """
    for i, row in enumerate(rows):
        n = len(row["differences"])
        height = i + (np.arange(n) / max(n - 1, 1) - 0.5) * 0.44
        ax.add_patch(
            Rectangle((row["low"], i - 0.36), row["high"] - row["low"], 0.72, color="#D9D9D9", zorder=1)
        )
        clear = np.asarray(row["clear"], bool)
        values = np.asarray(row["differences"])
        ax.plot(
            values[~clear],
            height[~clear],
            "o",
            color="white",
            markeredgecolor=NEUTRAL,
            markersize=5,
            zorder=2,
        )
        ax.plot(values[clear], height[clear], "o", color=COLUMN_COLORS[1], markersize=6, zorder=3)
        ax.plot([row["mean"]] * 2, [i - 0.4, i + 0.4], color=COLUMN_COLORS[0], linewidth=3, zorder=4)
    ax.set_yticks(range(len(rows)), [row["title"] for row in rows], fontsize=FONT_SIZE)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlim(left=0)
    marks = [
        ax.plot([], [], "o", color="white", markeredgecolor=NEUTRAL, label="a network")[0],
        ax.plot([], [], "o", color=COLUMN_COLORS[1], label="a network with p < 0.05 of its own")[0],
        ax.plot([], [], color=COLUMN_COLORS[0], linewidth=3, label="mean of the networks")[0],
        ax.add_patch(Rectangle((0, 0), 0, 0, color="#D9D9D9", label="95% of such means by chance")),
    ]
    below: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.45, -0.12), "ncols": 4}
    ax.legend(handles=marks, fontsize=FONT_SIZE - 1, frameon=False, **below)


def draw_over_training(ax: Axes, lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> None:
    """Mean difference over the mean by chance, against epochs: title -> (epochs, ratios)."""
    colors = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#4D4D4D", "#000000")
    dashes = ("-", "--", "-.", ":", "-", "--", "-.", ":")
    markers = ("o", "s", "^", "D", "v", "P", "X", "*")
    for i, (title, (epochs, ratios)) in enumerate(lines.items()):
        k = i % len(colors)
        ax.plot(epochs, ratios, dashes[k], color=colors[k], marker=markers[k], label=title, markersize=6)
    ax.axhline(1, color=NEUTRAL, linewidth=1)
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.legend(fontsize=FONT_SIZE - 1, frameon=False)


def draw_excited(ax: Axes, pixels: ArrayLike, box: tuple[int, int, int, int] | None, title: str) -> None:
    """An image (H, W, 3) uint8 with the square that the unit saw: (top, left, bottom, right) in pixels."""
    ax.imshow(np.asarray(pixels), interpolation="nearest")
    if box is not None:
        top, left, bottom, right = box
        place = (left - 0.5, top - 0.5)
        for color, width in (("black", 3.2), ("#FFD500", 1.6)):
            ax.add_patch(
                Rectangle(place, right - left, bottom - top, fill=False, edgecolor=color, linewidth=width)
            )
    ax.set_axis_off()
    ax.set_title(title, fontsize=FONT_SIZE - 2, pad=2)
