"""The drawings of notebook 11: numbers in, marks on the given `Axes` out."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from alexnet_edu.show.plots import FONT_SIZE, NEUTRAL

CHOSEN = "#D55E00"
BARS = {"top-1": ("#56B4E9", ""), "top-5": ("#F0E442", "//")}  # colour, hatch
STYLES = (("#0072B2", "o", "-"), ("#E69F00", "^", "--"), ("#009E73", "s", "-."))  # colour, marker, line


def _percent(share: float, _: object = None) -> str:
    """A tick label with as many digits as it needs: 27.5%, 27%."""
    return f"{100 * share:.6g}%"


def draw_subsets(
    ax: Axes, errors: Mapping[str, Mapping[int, Sequence[float]]], *, chosen: int | None = None
) -> None:
    """Every subset of networks as a dot over its size, and the mean of each size as a line.

    errors: label -> size -> errors (0–1) of all subsets of that size. chosen: the size to point out.
    """
    for shift, (label, by_size) in enumerate(errors.items()):
        color, marker, line = STYLES[shift % len(STYLES)]
        place = 0.16 * (shift - (len(errors) - 1) / 2)
        for size, values in by_size.items():
            ax.plot([size + place] * len(values), values, ".", color=color, alpha=0.25, markersize=4)
        sizes = list(by_size)
        means = [statistics.fmean(by_size[size]) for size in sizes]
        ax.plot(
            [s + place for s in sizes], means, line, marker=marker, color=color, label=label, markersize=5
        )
        if chosen is not None and chosen in by_size:
            at = (chosen + place, statistics.fmean(by_size[chosen]))
            ax.plot(
                *at, "o", markersize=13, markerfacecolor="none", markeredgecolor=CHOSEN, markeredgewidth=2.2
            )
            ax.annotate(
                f"{at[1]:.1%}",
                at,
                xytext=(9, 9),
                textcoords="offset points",
                color=CHOSEN,
                fontsize=FONT_SIZE,
                fontweight="bold",
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.0},
            )
    ax.set_xticks(sorted({size for by_size in errors.values() for size in by_size}))
    ax.yaxis.set_major_formatter(_percent)
    ax.grid(axis="y", color=NEUTRAL, alpha=0.15)


def draw_paired(ax: Axes, errors: Mapping[str, Sequence[float]]) -> None:
    """Columns of errors (0–1), those of one seed or problem joined by a thin line, a bar at each mean."""
    places = range(len(errors))
    for series in zip(*errors.values(), strict=True):
        ax.plot(places, series, "-", color=NEUTRAL, alpha=0.35, linewidth=0.8)
    for place, values in zip(places, errors.values(), strict=True):
        color, marker, _ = STYLES[0]
        ax.plot([place] * len(values), values, marker, color=color, alpha=0.75, markersize=6)
        mean = statistics.fmean(values)
        ax.plot([place - 0.2, place + 0.2], [mean, mean], color=CHOSEN, linewidth=2.6)
        ax.annotate(
            f"{mean:.1%}",
            (place + 0.23, mean),
            va="center",
            fontsize=FONT_SIZE,
            color=CHOSEN,
            fontweight="bold",
        )
    ax.set_xticks(places, list(errors))
    ax.set_xlim(-0.5, len(errors) - 0.25)
    ax.yaxis.set_major_formatter(_percent)
    ax.grid(axis="y", color=NEUTRAL, alpha=0.15)


def draw_choices(ax: Axes, errors: Sequence[Sequence[float]], baseline: Sequence[float]) -> None:
    """For each problem the errors (0–1) of all choices of networks, their mean, and a baseline to compare."""
    color, marker, _ = STYLES[0]
    for place, (values, before) in enumerate(zip(errors, baseline, strict=True), start=1):
        mean = statistics.fmean(values)
        label = "one from scratch" if place == 1 else None
        ax.plot([place], [before], "D", color=NEUTRAL, markerfacecolor="white", markersize=6, label=label)
        ax.plot([place, place], [before, mean], color=NEUTRAL, linewidth=0.8, alpha=0.6)
        ax.plot([place] * len(values), values, marker, color=color, alpha=0.4, markersize=4)
        label = "chosen: mean" if place == 1 else None
        ax.plot([place - 0.3, place + 0.3], [mean, mean], color=CHOSEN, linewidth=2.6, label=label)
    ax.set_xticks(range(1, len(errors) + 1))
    ax.set_xlim(0.4, len(errors) + 0.6)
    ax.yaxis.set_major_formatter(_percent)
    ax.grid(axis="y", color=NEUTRAL, alpha=0.15)
    ax.legend(fontsize=FONT_SIZE - 2, frameon=False, loc="upper right")


def draw_published(ax: Axes, rows: Mapping[str, tuple[float, float]], chosen: str | None = None) -> None:
    """Top-1 and top-5 error in percent of each row as bars, the first on top; `chosen` is pointed out."""
    for place, (row, (top1, top5)) in enumerate(rows.items()):
        marked = row == chosen
        for shift, value, (color, hatch) in zip((-0.19, 0.19), (top1, top5), BARS.values(), strict=True):
            edge, width = (CHOSEN, 2.4) if marked else (NEUTRAL, 0.6)
            ax.barh(
                place + shift,
                value,
                0.36,
                color=color,
                edgecolor=edge,
                linewidth=width,
                hatch=hatch,
            )
            ax.annotate(f"{value:.1f}", (value + 0.6, place + shift), va="center", fontsize=FONT_SIZE - 1)
    ax.set_yticks(range(len(rows)), list(rows), fontsize=FONT_SIZE)
    ax.set_ylim(len(rows) - 0.35, -1.05)  # room for the legend
    ax.set_xlim(0, 1.22 * max(top1 for top1, _ in rows.values()))
    handles = [
        Patch(facecolor=color, edgecolor=NEUTRAL, hatch=hatch, label=label)
        for label, (color, hatch) in BARS.items()
    ]
    ax.legend(handles=handles, fontsize=FONT_SIZE - 2, frameon=False, loc="upper right", ncols=2)
