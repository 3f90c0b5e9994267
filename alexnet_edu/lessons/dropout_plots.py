"""The figures of notebook 09: thinned networks and their means, ratios of epochs, single units.

Numbers in, marks on the given `Axes` out; nothing here draws masks, trains or loads.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike

from alexnet_edu.show.ablation_plots import SERIES
from alexnet_edu.show.plots import FONT_SIZE, NEUTRAL

ONE = "#B8B8B8"  # one thinned network
# What stands for all networks at once: label, colour, marker (palette of Okabe and Ito).
MEANS = {
    "whole": ("all units, outputs scaled", "#D55E00", "D"),
    "geometric": ("geometric mean of all", "#0072B2", "o"),
    "drawn": ("geometric mean of those drawn", "#009E73", "^"),
    "arithmetic": ("arithmetic mean of those drawn", "#CC79A7", "v"),
}
FLOOR = 1e-6  # nats; a divergence below is drawn here


# --- the widget ------------------------------------------------------------------------------


def draw_masks(ax: Axes, masks: ArrayLike, dropped: str) -> None:
    """Masks as rows of squares, dark where a unit is kept; masks: (rows, units) of 0 and 1."""
    masks = np.asarray(masks)
    rows, units = masks.shape
    colors = ListedColormap(["#FFFFFF", "#2B6CA3"])
    ax.pcolormesh(masks, cmap=colors, vmin=0, vmax=1, edgecolors="#BBBBBB", linewidth=0.5)
    ax.set_xlim(0, units)
    ax.set_ylim(rows, 0)
    ax.set_aspect("equal", anchor="N")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlabel(dropped, fontsize=FONT_SIZE - 1)


def draw_distributions(
    ax: Axes, each: ArrayLike, means: Mapping[str, ArrayLike], weights: ArrayLike | None = None
) -> None:
    """Probabilities of every class: a grey dot for each network, a mark for each mean.

    each: (M, K) in 0–1; means: key of MEANS -> (K,). weights: (M,) darkness of the dots, or None.
    """
    each = np.asarray(each)
    count, classes = each.shape
    spread = np.linspace(-0.16, 0.16, count) if count > 1 else np.zeros(1)
    size, alpha = (9.0, 0.7) if count <= 60 else (4.0, 0.35)
    for k in range(classes):
        ax.scatter(k + spread, each[:, k], s=size, color=ONE, alpha=alpha, linewidth=0, zorder=1)
    places = np.linspace(-0.27, 0.27, len(means))
    for place, (name, values) in zip(places, means.items(), strict=True):
        label, color, marker = MEANS[name]
        x = np.arange(classes) + place
        ax.plot(x, values, marker, color=color, markersize=7, markeredgecolor="white", label=label, zorder=3)
    ax.scatter([], [], s=9, color=ONE, label="one thinned network")
    ax.set_xticks(range(classes), [str(k + 1) for k in range(classes)])
    ax.set_xlim(-0.5, classes - 0.5)
    ax.set_ylim(-0.02, 1.02)
    ax.legend(fontsize=FONT_SIZE - 1, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2)


def draw_divergence(
    ax: Axes, counts: ArrayLike, drawn: Mapping[str, ArrayLike], whole: float, at: int | None = None
) -> None:
    """KL from the geometric mean of all networks, against the number of masks drawn.

    counts: (P,); drawn: key of MEANS -> (P,) nats; whole: nats, of the scaled network, as a
    line. at: the number of masks that the controls stand at. What is below FLOOR is drawn there.
    """
    for name, values in drawn.items():
        label, color, marker = MEANS[name]
        ax.plot(
            counts,
            np.maximum(np.asarray(values), FLOOR),
            marker,
            linestyle="-",
            color=color,
            markersize=4.5,
            label=label,
        )
    _, color, _ = MEANS["whole"]
    ax.axhline(max(whole, FLOOR), color=color, linestyle="--", linewidth=1.8, label=MEANS["whole"][0])
    if whole < FLOOR:
        ax.annotate(
            "exact (below 10⁻⁶)",
            (0.03, FLOOR),
            xycoords=("axes fraction", "data"),
            xytext=(0, 4),
            textcoords="offset points",
            fontsize=FONT_SIZE - 1,
            color=color,
        )
    if at is not None:
        ax.axvline(at, color=NEUTRAL, linewidth=0.9, linestyle=":")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.grid(color=NEUTRAL, alpha=0.15)


# --- the notebook ------------------------------------------------------------------------------


def draw_ratios(
    ax: Axes, ratios: Mapping[str, Sequence[Sequence[float | None]]], levels: Sequence[str]
) -> None:
    """Ratios of epochs: a mark for each seed, a line through the means; a level none reaches is empty.

    ratios: label -> for each level, one value per seed, None where it was not reached.
    """
    places = np.linspace(-0.16, 0.16, max(1, len(ratios)))
    for place, (label, rows), (color, line, marker) in zip(places, ratios.items(), SERIES[1:], strict=False):
        found = [[value for value in row if value is not None] for row in rows]
        for x, values in enumerate(found):
            ax.plot([x + place] * len(values), values, marker, color=color, alpha=0.6, markersize=6)
        whole = [
            (x + place, statistics.fmean(values))
            for x, (values, row) in enumerate(zip(found, rows, strict=True))
            if values and len(values) == len(row)
        ]
        if whole:
            ax.plot(*zip(*whole, strict=True), color=color, linestyle=line, linewidth=1.6)
        ax.plot([], [], color=color, linestyle=line, marker=marker, label=label)
    ax.axhline(1, color=NEUTRAL, linewidth=0.9)
    ax.axhline(2, color=NEUTRAL, linewidth=0.9, linestyle=":")
    ax.annotate(
        "§4.2: about 2",
        (len(levels) - 0.55, 2),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        fontsize=9,
        color=NEUTRAL,
    )
    ax.set_xticks(range(len(levels)), levels)
    ax.set_xlim(-0.5, len(levels) - 0.5)
    ax.set_ylabel("epochs with dropout / epochs without")
    ax.grid(axis="y", color=NEUTRAL, alpha=0.15)
    ax.legend(frameon=False, fontsize=9)


def draw_sorted(ax: Axes, values: Mapping[str, ArrayLike], x: str, y: str, title: str) -> None:
    """Share of the units (0–1) that reach a value or more, one step line for each network.

    values: label -> (n,) one number for each unit; units that change nothing are left of the axis.
    """
    for (label, numbers), (color, line, _) in zip(values.items(), SERIES, strict=False):
        ordered = np.sort(np.asarray(numbers))[::-1]
        shares = np.arange(1, len(ordered) + 1) / len(ordered)
        ax.step(ordered, shares, where="post", color=color, linestyle=line, linewidth=1.8, label=label)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.set_xlim(left=0)
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.set_title(title)
    ax.grid(color=NEUTRAL, alpha=0.15)
    ax.legend(frameon=False, fontsize=9)


def draw_errors_with_masks(
    ax: Axes, found: Mapping[str, Mapping[float, Sequence[float]]], chance: float, title: str
) -> None:
    """Test error of networks of which only a share of the units is left; a mark for each draw.

    found: label -> share kept -> errors (0–1). chance: error of guessing, as a line.
    """
    for (label, by_share), (color, line, marker) in zip(found.items(), SERIES, strict=False):
        for share, errors in by_share.items():
            ax.plot([100 * (1 - share)] * len(errors), errors, marker, color=color, alpha=0.25, markersize=4)
        dropped = [100 * (1 - share) for share in by_share]
        means = [statistics.fmean(errors) for errors in by_share.values()]
        ax.plot(dropped, means, color=color, linestyle=line, marker=marker, linewidth=1.8, label=label)
    ax.axhline(chance, color=NEUTRAL, linewidth=0.9, linestyle=":")
    ax.annotate(
        "guessing",
        (0, chance),
        xytext=(0, 3),
        textcoords="offset points",
        fontsize=9,
        color=NEUTRAL,
    )
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel("units left out of each hidden layer (%)")
    ax.set_ylabel("test error")
    ax.set_title(title)
    ax.grid(color=NEUTRAL, alpha=0.15)
    ax.legend(frameon=False, fontsize=9, loc="lower right")


def draw_live_curves(ax: Axes, runs: Mapping[str, Mapping[str, Any]], what: str, y: str, title: str) -> None:
    """Learning curves of one seed each: label -> curve; `what`: which of its values."""
    for (label, curve), (color, line, marker) in zip(runs.items(), SERIES, strict=False):
        ax.plot(
            curve["epoch"],
            curve[what],
            color=color,
            linestyle=line,
            marker=marker,
            markersize=4,
            linewidth=1.8,
            label=label,
        )
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel("epochs")
    ax.set_ylabel(y)
    ax.set_title(title)
    ax.grid(color=NEUTRAL, alpha=0.15)
    ax.legend(frameon=False, fontsize=9)
