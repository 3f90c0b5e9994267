"""Drawings of notebook 05: memory in stacked bars, what a step sends and how long it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from alexnet_edu.show.plots import FONT_SIZE, NEUTRAL

# Colour and hatching of what lies in memory (palette of Okabe and Ito), in the order of the bars.
FILLS = {
    "images": ("#999999", ""),
    "outputs": ("#0072B2", ""),
    "gradients": ("#56B4E9", "///"),
    "denominators": ("#009E73", ""),
    "masks": ("#F0E442", ""),
    "copies": ("#CC79A7", "xxx"),
    "weights": ("#E69F00", "..."),
    "partial sums": ("#D55E00", "\\\\\\"),
}


def draw_memory(ax: Axes, bars: Mapping[str, Mapping[str, float]], limit: float) -> None:
    """A horizontal bar for each place, stacked by kind. bars: place -> kind -> MiB; limit: MiB."""
    for y, kinds in enumerate(bars.values()):
        start = 0.0
        for kind, (color, hatch) in FILLS.items():
            size = kinds.get(kind, 0.0)
            ax.barh(
                y,
                size,
                left=start,
                color=color,
                hatch=hatch,
                edgecolor="white",
                linewidth=0.5,
                label=kind if y == 0 else None,
            )
            start += size
        words = f"{start:,.0f} MiB" + (": too much" if start > limit else "")
        ax.text(start + 0.01 * limit, y, words, va="center", fontsize=FONT_SIZE)
    ax.axvline(limit, color="black", linestyle="--", linewidth=1.2)
    ax.annotate(
        f"the card: {limit:,.0f} MiB",
        (limit, -0.62),
        ha="center",
        va="bottom",
        fontsize=FONT_SIZE,
        annotation_clip=False,
    )
    ax.set_yticks(range(len(bars)), list(bars), fontsize=FONT_SIZE)
    ax.set_ylim(len(bars) - 0.5, -0.6)
    largest = max(sum(kinds.values()) for kinds in bars.values())
    ax.set_xlim(0, 1.3 * max(limit, largest))
    ax.set_xlabel("MiB", fontsize=FONT_SIZE)
    ax.legend(frameon=False, fontsize=FONT_SIZE - 1, ncols=4, loc="upper center", bbox_to_anchor=(0.45, -0.2))


def draw_bars(
    ax: Axes, names: Sequence[str], values: Sequence[float], words: Sequence[str], title: str
) -> None:
    """A bar for each name, the first one the paper's, with words behind it."""
    colors = ["#4D4D4D", "#0072B2"]
    for y, (value, text) in enumerate(zip(values, words, strict=True)):
        ax.barh(y, value, color=colors[y % 2], edgecolor="black", linewidth=0.6)
        ax.text(value + 0.02 * max(values, default=1), y, text, va="center", fontsize=FONT_SIZE - 1)
    ax.set_yticks(range(len(names)), list(names), fontsize=FONT_SIZE - 1)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(0, 1.9 * max([*values, 1e-12]))
    ax.set_xticks([])
    ax.set_title(title, fontsize=FONT_SIZE, loc="left")
    ax.spines[["top", "right", "bottom"]].set_visible(False)
    ax.spines["left"].set_color(NEUTRAL)
