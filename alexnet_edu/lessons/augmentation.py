"""The drawings of notebook 04: numbers in, marks on the given `Axes` out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from alexnet_edu.show.plots import FONT_SIZE, NEUTRAL

AXES_COLORS = ("#D55E00", "#0072B2", "#009E73")  # p1, p2, p3
USE_COLORS = "viridis"


def draw_picture(ax: Axes, pixels: ArrayLike, title: str = "") -> None:
    """An image (3, H, W), values 0–255 of any type; what lies outside is shown as 0 or 255."""
    shown = np.clip(np.asarray(pixels, dtype=np.float64), 0, 255).round().astype(np.uint8)
    ax.imshow(shown.transpose(1, 2, 0), interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    if title:
        ax.set_title(title, fontsize=FONT_SIZE)


def draw_frame(ax: Axes, top: float, left: float, size: float, *, dashed: bool = False) -> None:
    """The border of a crop of size × size pixels on an image."""
    line = "--" if dashed else "-"
    for color, width in (("black", 3.2), ("white", 1.4)):  # seen on light and on dark images
        ax.add_patch(
            Rectangle(
                (left - 0.5, top - 0.5),
                size,
                size,
                fill=False,
                edgecolor=color,
                linewidth=width,
                linestyle=line,
            )
        )


def draw_color_cloud(
    ax: Axes,
    colors: ArrayLike,
    center: ArrayLike,
    directions: ArrayLike,
    lengths: ArrayLike,
    channels: tuple[int, int] = (0, 1),
) -> None:
    """Pixels' colours in two of the three channels, with the principal directions as arrows.

    colors: (M, 3), 0–255. center: (3,). directions: (3, 3), p1, p2, p3 as columns; lengths: (3,)
    grey levels, how long each arrow is.
    """
    colors, center = np.asarray(colors), np.asarray(center)
    directions, lengths = np.asarray(directions), np.asarray(lengths)
    a, b = channels
    ax.scatter(colors[:, a], colors[:, b], c=np.clip(colors / 255, 0, 1), s=6, linewidths=0)
    for place, color in enumerate(AXES_COLORS):
        reach = directions[:, place] * lengths[place]
        for sign in (1, -1):
            ax.annotate(
                "",
                xy=(center[a] + sign * reach[a], center[b] + sign * reach[b]),
                xytext=(center[a], center[b]),
                arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 2.2},
            )
        ax.plot(
            [], [], color=color, linewidth=2.2, label=f"p{place + 1} · √λ{place + 1} = {lengths[place]:.0f}"
        )
    names = ("red", "green", "blue")
    ax.set_xlabel(f"{names[a]}, grey levels")
    ax.set_ylabel(f"{names[b]}, grey levels")
    ax.set_xlim(0, 255)
    ax.set_ylim(0, 255)
    ax.set_aspect("equal")
    ax.legend(fontsize=9, loc="upper left", framealpha=0.9)


def draw_use(ax: Axes, shares: ArrayLike, title: str) -> AxesImage:
    """In which share (0–1) of all crops each pixel (H, W) is used. Returns the image for a colour bar."""
    shown = ax.imshow(np.asarray(shares), cmap=USE_COLORS, vmin=0, vmax=1)
    ax.set_title(title, fontsize=FONT_SIZE)
    ax.set_xlabel("column, pixels")
    ax.set_ylabel("row, pixels")
    return shown


def draw_bars(ax: Axes, names: Sequence[str], values: Sequence[float], marked: int | None = None) -> None:
    """Probabilities (0–1) as horizontal bars, the first on top; `marked`: the true class."""
    places = np.arange(len(names))
    ax.barh(places, values, color="#56B4E9", edgecolor=NEUTRAL, linewidth=0.6)
    if marked is not None:
        ax.barh(
            [marked],
            [values[marked]],
            color="#E69F00",
            edgecolor="black",
            linewidth=0.8,
            hatch="//",
            label="true class",
        )
        ax.legend(fontsize=FONT_SIZE - 2, frameon=False, loc="lower right")
    ax.set_yticks(places, names, fontsize=FONT_SIZE - 1)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(0, 1)
    ax.set_xlabel("probability", fontsize=FONT_SIZE)


def draw_gains(
    ax: Axes,
    names: Sequence[str],
    values: Sequence[float],
    lows: Sequence[float],
    highs: Sequence[float],
    filled: Sequence[bool],
) -> None:
    """Differences in points with their intervals, one line each; filled: what the paper used."""
    for place, (value, low, high, fill) in enumerate(zip(values, lows, highs, filled, strict=True)):
        color = AXES_COLORS[1] if fill else NEUTRAL
        ax.plot([low, high], [place, place], color=color, linewidth=2)
        ax.plot(
            [value],
            [place],
            "o" if fill else "s",
            color=color,
            markersize=8,
            markerfacecolor=color if fill else "white",
        )
    ax.axvline(0, color=NEUTRAL, linewidth=0.9)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(axis="x", color=NEUTRAL, alpha=0.15)
