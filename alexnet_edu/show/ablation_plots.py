"""Drawings of the studies of `ablations`: records in, marks on the given `Axes` out."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from alexnet_edu.show.plots import NEUTRAL

# Colour, line and marker of a variant, by its place in the study (palette of Okabe and Ito).
SERIES = (
    ("#4D4D4D", "-", "o"),
    ("#0072B2", "--", "s"),
    ("#D55E00", "-.", "^"),
    ("#009E73", ":", "D"),
    ("#CC79A7", (0, (5, 1, 1, 1, 1, 1)), "v"),
    ("#E69F00", (0, (1, 1)), "P"),
)
WORDS = {
    "test_error": "test error",
    "train_error": "training error",
    "validation_error": "validation error",
    "gap": "test error − training error",
}


def draw_spread(
    ax: Axes, cells: Sequence[Mapping[str, Any]], values: Sequence[Sequence[float]], what: str, title: str
) -> None:
    """One line per variant: a mark for each seed, a bar at the mean.

    values: per variant, a share (0–1) for each seed. what: a key of `WORDS`, or an axis label.
    """
    for place, (series, style) in enumerate(zip(values, _styles(len(cells)), strict=True)):
        color, _, marker = style
        ax.plot(series, [place] * len(series), linestyle="", marker=marker, color=color, alpha=0.75)
        mean = statistics.fmean(series)
        ax.plot([mean, mean], [place - 0.28, place + 0.28], color=color, linewidth=2.5)
        ax.annotate(f"{mean:.1%}", (mean, place - 0.3), ha="center", va="bottom", fontsize=9)
    ax.set_yticks(range(len(cells)), [cell["title"] for cell in cells])
    ax.set_ylim(len(cells) - 0.4, -0.75)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))  # as many decimals as the ticks need
    ax.margins(x=0.12)
    ax.set_xlabel(WORDS.get(what, what))
    ax.set_title(title)


def draw_curves(ax: Axes, cells: Sequence[Mapping[str, Any]], what: str, title: str) -> None:
    """Learning curves, the mean over the seeds, with the span of the seeds shaded."""
    for cell, (color, line, marker) in zip(cells, _styles(len(cells)), strict=True):
        epochs = cell["runs"][0]["curve"]["epoch"]
        rows = list(zip(*(run["curve"][what] for run in cell["runs"]), strict=True))
        means = [statistics.fmean(row) for row in rows]
        ax.plot(
            epochs,
            means,
            color=color,
            linestyle=line,
            marker=marker,
            markevery=max(1, len(epochs) // 12),
            markersize=4,
            label=cell["title"],
            linewidth=1.8,
        )
        ax.fill_between(epochs, [min(r) for r in rows], [max(r) for r in rows], color=color, alpha=0.15)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel("epochs")
    ax.set_ylabel(WORDS.get(what, what))
    ax.set_title(title)
    ax.grid(color=NEUTRAL, alpha=0.15)
    ax.legend(frameon=False, fontsize=9)


def _styles(count: int) -> list[tuple[str, Any, str]]:
    return [SERIES[i % len(SERIES)] for i in range(count)]
