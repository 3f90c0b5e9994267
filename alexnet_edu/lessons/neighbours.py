"""The drawings of notebook 08: numbers in, marks on the given `Axes` out."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from alexnet_edu.show.plots import FONT_SIZE, NEUTRAL

TRUE_COLOR, OTHER_COLOR = "#ffaaaa", "#aaaaff"  # shownet.py, plot_predictions
SAME, ANOTHER = "#0072B2", "#D55E00"  # frames: of the query's class, of another
# Okabe and Ito's colours (a brown for the yellow, which is pale as a dot), two of them twice: every class has
# a marker of its own, so that the ten are told apart without colour, too.
CLASS_MARKS = tuple(
    (color, marker)
    for color, marker in zip(
        (
            "#0072B2",
            "#E69F00",
            "#009E73",
            "#D55E00",
            "#CC79A7",
            "#56B4E9",
            "#000000",
            "#8C6D1F",
            "#0072B2",
            "#D55E00",
        ),
        "osD^vPX*<>",
        strict=True,
    )
)
CODE_STYLES = {  # (source, kind): colour, marker, line
    ("features", "auto-encoder"): ("#0072B2", "o", "-"),
    ("features", "random"): ("#56B4E9", "^", "--"),
    ("pixels", "auto-encoder"): ("#D55E00", "s", "-"),
    ("pixels", "random"): ("#E69F00", "D", "--"),
}


def draw_image(
    ax: Axes,
    pixels: ArrayLike,
    title: str = "",
    *,
    frame: str | None = None,
    dashed: bool = False,
    size: float = FONT_SIZE,
) -> None:
    """An image (3, H, W) uint8 with a coloured frame, dashed so that it is told apart without colour."""
    ax.imshow(np.asarray(pixels).transpose(1, 2, 0), interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title(title, fontsize=size, pad=3)
    for spine in ax.spines.values():
        spine.set_visible(frame is not None)
        if frame is not None:
            spine.set(color=frame, linewidth=3, linestyle=(0, (2, 1.2)) if dashed else "-")


def draw_bars(
    ax: Axes, names: Sequence[str], probabilities: Sequence[float], true: str | None, size: float = FONT_SIZE
) -> None:
    """Labels and their probabilities, the most probable on top, as in Figure 4: the true one reddish."""
    places = range(len(names))
    colors = [TRUE_COLOR if name == true else OTHER_COLOR for name in names]
    ax.barh(places, probabilities, color=colors, edgecolor=NEUTRAL, linewidth=0.5)
    for place, (name, value) in enumerate(zip(names, probabilities, strict=True)):
        mark = " ✓" if name == true else ""
        ax.text(0.02, place, f"{name}{mark}  {value:.0%}", va="center", fontsize=size)
    ax.set_xlim(0, 1)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[["top", "right", "bottom"]].set_visible(False)


def draw_precisions(ax: Axes, precisions: Mapping[str, Sequence[float]], chance: float) -> None:
    """One bar for each place of search, its networks as dots, and chance as a line. Shares, 0–1."""
    for place, (name, values) in enumerate(precisions.items()):
        mean = statistics.fmean(values)
        ax.bar(
            place,
            mean,
            color="#E69F00" if name == "pixels" else "#56B4E9",
            hatch="//" if name == "pixels" else None,
            edgecolor=NEUTRAL,
            linewidth=0.6,
        )
        ax.plot([place] * len(values), values, ".", color="black", markersize=5)
        ax.annotate(
            f"{mean:.0%}",
            (place, max(values)),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            fontsize=FONT_SIZE,
        )
    ax.axhline(chance, color=NEUTRAL, linestyle=":", linewidth=1.4)
    ax.annotate(
        "chance",
        (len(precisions) - 0.55, chance),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        fontsize=FONT_SIZE - 1,
        color="black",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5},
    )
    ax.set_xticks(range(len(precisions)), list(precisions))
    ax.set_ylim(0, 1.12 * max(max(values) for values in precisions.values()))
    ax.yaxis.set_major_formatter(_percent)


def draw_codes(
    ax: Axes,
    bits: Sequence[int],
    values: Mapping[tuple[str, str], Sequence[Sequence[float]]],
    exact: Mapping[str, float],
) -> None:
    """Precision, or recall, against the bits of a code: a line through the means, a dot for each run.

    values: (source, kind) of `CODE_STYLES` -> for each number of bits its runs. exact: label -> a level.
    """
    for key, groups in values.items():
        color, marker, line = CODE_STYLES[key]
        label = f"{'auto-encoder' if key[1] == 'auto-encoder' else 'random planes'}, {key[0]}"
        ax.plot(
            bits,
            [statistics.fmean(group) for group in groups],
            line,
            marker=marker,
            color=color,
            label=label,
            markersize=6,
        )
        for place, group in zip(bits, groups, strict=True):
            ax.plot([place] * len(group), group, ".", color=color, alpha=0.45, markersize=4)
    for label, level in exact.items():
        ax.axhline(level, color=NEUTRAL, linewidth=1, linestyle=":")
        ax.annotate(
            label, (bits[0], level), xytext=(0, 3), textcoords="offset points", fontsize=FONT_SIZE - 1
        )
    ax.set_xscale("log", base=2)
    ax.set_xticks(bits, [str(b) for b in bits])
    ax.minorticks_off()
    ax.yaxis.set_major_formatter(_percent)
    ax.set_ylim(bottom=0)


def draw_batches(ax: Axes, rows: Sequence[Mapping[str, float]], kept: int) -> None:
    """How many of the true nearest the search of findsimilar.py finds, against the number of batches."""
    batches = [row["batches"] for row in rows]
    ax.plot(batches, [row["expected"] for row in rows], "-", color=NEUTRAL, label="expected, shuffled")
    for name, color, marker, label in (
        ("shuffled", "#0072B2", "o", "measured, shuffled"),
        ("in_order", "#D55E00", "s", "measured, in class order"),
    ):
        ax.plot(batches, [row[name] for row in rows], marker, color=color, label=label, markersize=6)
    ax.axhline(kept, color=NEUTRAL, linestyle=":", linewidth=1)
    ax.set_xscale("log")
    ax.set_xticks(batches, [f"{int(b):,}" for b in batches])
    ax.minorticks_off()
    ax.set_ylim(0, kept * 1.06)
    ax.legend(frameon=False, fontsize=FONT_SIZE, loc="lower right")


def draw_map(
    ax: Axes, points: ArrayLike, labels: ArrayLike, classes: Sequence[str], centers: ArrayLike | None = None
) -> None:
    """Points (N, 2) by class, each with its own colour and marker.

    centers: (classes, 2), where the names of the classes stand; none without it, for a legend.
    """
    points, labels = np.asarray(points), np.asarray(labels)
    for label, name in enumerate(classes):
        color, marker = CLASS_MARKS[label % len(CLASS_MARKS)]
        own = points[labels == label]
        ax.plot(*own.T, marker, color=color, markersize=4, alpha=0.65, markeredgewidth=0, label=name)
    for name, (x, y) in zip(classes, np.asarray(centers), strict=True) if centers is not None else ():
        if np.isfinite(x):
            box = {"facecolor": "white", "edgecolor": NEUTRAL, "alpha": 0.85, "pad": 1.5, "linewidth": 0.4}
            ax.text(x, y, name, ha="center", va="center", fontsize=FONT_SIZE - 2, bbox=box)
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_color("#C0C0C0")


def _percent(share: float, _: object = None) -> str:
    return f"{100 * share:.6g}%"
