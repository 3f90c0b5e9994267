"""Lesson 11, results: averages of patches and of networks, pre-training, and the paper's Table 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing, PictureWidget, choice, explorer, slider
from alexnet_edu.show.plots import BLUE, GREEN, NEUTRAL, ORANGE, SKY, YELLOW, Style, frame
from alexnet_edu.studies import ensemble_record as results
from alexnet_edu.studies.record import Record

CHOSEN = ORANGE
BARS = {"top-1": (SKY, ""), "top-5": ("#F0E442", "//")}  # colour, hatch
STYLES = (Style(BLUE, "-", "o"), Style(YELLOW, "--", "^"), Style(GREEN, "-.", "s"))
VIEWS = {"ten": "ten patches", "centre": "the centre alone"}

# --- pictures --------------------------------------------------------------------------------


def draw_subsets(
    ax: Axes, errors: Mapping[str, Mapping[int, Sequence[float]]], *, chosen: int | None = None
) -> None:
    """Every subset of networks as a dot over its size, and the mean of each size as a line.

    errors: label -> size -> errors (0–1) of all subsets of that size. chosen: the size to point out.
    """
    means = {}
    for place, (label, by_size) in enumerate(errors.items()):
        shift = 0.16 * (place - (len(errors) - 1) / 2)
        for size, values in by_size.items():
            dot: dict[str, Any] = {"color": STYLES[place].color, "alpha": 0.25, "markersize": 4}
            ax.plot([size + shift] * len(values), values, ".", **dot)
            if size == chosen:
                _point_out(ax, (size + shift, fmean(values)))
        means[label] = [size + shift for size in by_size], [fmean(values) for values in by_size.values()]
    plots.lines(ax, means, styles=STYLES)
    ax.set_xticks(sorted({size for by_size in errors.values() for size in by_size}))
    frame(ax, percent="y", grid="y")


def _point_out(ax: Axes, at: tuple[float, float]) -> None:
    ax.plot(*at, "o", color=CHOSEN, markersize=13, markerfacecolor="none", markeredgewidth=2.2)
    look = {"color": CHOSEN, "fontweight": "bold", "bbox": plots.BEHIND_WORDS}
    plots.note(ax, f"{at[1]:.1%}", at, (9, 9), **look)


def draw_paired(ax: Axes, errors: Mapping[str, Sequence[float]]) -> None:
    """Columns of errors (0–1) with a bar at each mean; those of one seed or problem are joined by a line."""
    ax.plot(np.array(list(errors.values())), "-", color=NEUTRAL, alpha=0.35, linewidth=0.8)
    plots.strip(ax, errors, upright=True, styles=STYLES[:1])
    frame(ax, percent="y", grid="y")


def draw_choices(ax: Axes, errors: Sequence[Sequence[float]], baseline: Sequence[float]) -> None:
    """For each problem the errors (0–1) of all choices of networks, their mean, and a baseline to compare."""
    problems = {str(problem): values for problem, values in enumerate(errors, start=1)}
    for place, (values, before) in enumerate(zip(errors, baseline, strict=True)):
        ax.plot([place, place], [before, fmean(values)], color=NEUTRAL, linewidth=0.8, alpha=0.6)
    plots.strip(ax, problems, upright=True, styles=STYLES[:1])
    ax.plot([], [], color=BLUE, linewidth=2.5, label="chosen: mean")
    ax.plot(baseline, "D", color=NEUTRAL, markerfacecolor="white", label="one from scratch")
    frame(ax, percent="y", grid="y", legend="upper right")


def draw_published(ax: Axes, rows: Mapping[str, tuple[float, float]], chosen: str | None = None) -> None:
    """Top-1 and top-5 error in percent of each row as bars, the first on top; `chosen` is pointed out."""
    edges = [(CHOSEN, 2.4) if row == chosen else (NEUTRAL, 0.6) for row in rows]
    colors, widths = zip(*edges, strict=True)
    for shift, values, (color, hatch) in zip(
        (-0.19, 0.19), zip(*rows.values(), strict=True), BARS.values(), strict=True
    ):
        places = [place + shift for place in range(len(rows))]
        look: dict[str, Any] = {"edgecolor": colors, "linewidth": widths, "hatch": hatch}
        ax.bar_label(ax.barh(places, values, 0.36, color=color, **look), fmt="{:.1f}", padding=4)
    plots.rows(ax, list(rows))
    ax.set_ylim(len(rows) - 0.35, -1.05)  # room for the legend
    ax.set_xlim(0, 1.22 * max(top1 for top1, _ in rows.values()))
    keys = [Patch(facecolor=c, edgecolor=NEUTRAL, hatch=h, label=name) for name, (c, h) in BARS.items()]
    ax.legend(handles=keys, loc="upper right", ncols=2)


# --- the explorer ----------------------------------------------------------------------------------


def results_explorer(record: Record, **start: Any) -> PictureWidget:
    """Errors of averages in the record, over all choices of networks, beside the paper's Table 2."""
    plan = record.settings["plan"]

    def draw(
        plain: int = slider(
            "From scratch", range(plan["plain"] + 1), 1, "networks that saw the problem's images alone"
        ),
        starred: int = slider(
            "Pre-trained (*)", range(plan["starred"] + 1), 0, "networks first trained on other classes"
        ),
        view: str = choice("Patches", VIEWS, "ten", "what is averaged"),
    ) -> Drawing:
        figure, ((left, middle, right),) = plots.panels(1, 3, height=3.9, width_ratios=[1.15, 1, 1])
        words = f"{plain} from scratch, {starred} pre-trained, {VIEWS[view]}"
        sentences = [
            _draw_members(left, record, plain, view),
            _draw_problems(middle, record, plain, starred, view),
            _draw_paper(right, plain, starred),
        ]
        note = "SYNTHETIC images, " if record.is_synthetic else ""
        plots.heading(figure, f"averaged: {words} ({note}recorded)")
        return figure, f"{words}: {'; '.join(sentences)}."

    return explorer(draw, **start)


def _draw_members(ax: Axes, record: Record, plain: int, view: str) -> str:
    """All classes: there is no pre-training here, and `plain` networks are averaged."""
    sizes = range(1, record.settings["plan"]["networks"] + 1)
    by_size = {size: results.subset_errors(record, size, view) for size in sizes}
    draw_subsets(ax, {"mean": by_size}, chosen=plain)
    _fix_limits(ax, list(record.tables["subsets"]["error"]))
    frame(ax, "all ten classes, all images", "networks averaged, from scratch", "test error")
    if not plain:
        return "on all ten classes nothing is averaged"
    return f"on all ten classes {fmean(by_size[plain]):.1%} on the mean of {len(by_size[plain])} choices"


def _draw_problems(ax: Axes, record: Record, plain: int, starred: int, view: str) -> str:
    title = f"five classes, {record.settings['plan']['few']} images each"
    if not plain + starred:
        ax.text(0.5, 0.5, "choose a network", ha="center", transform=ax.transAxes)
        plots.bare(ax)
        frame(ax, title, "problem")
        return "on the problems no network is chosen"
    errors = results.mixed_errors(record, plain, starred, view)
    draw_choices(ax, errors, results.row_errors(record, "1 CNN", view))
    _fix_limits(ax, list(record.tables["mixed"]["error"]))
    frame(ax, title, "problem")
    mean = fmean(fmean(values) for values in errors)
    return f"on {len(errors)} problems of five classes {mean:.1%} on the mean"


def _fix_limits(ax: Axes, errors: Sequence[float]) -> None:
    """The same scale whatever is chosen, with room for a legend, so that what moves is the error."""
    low, high = min(errors), max(errors)
    ax.set_ylim(low - 0.05 * (high - low), high + 0.25 * (high - low))


def _draw_paper(ax: Axes, plain: int, starred: int) -> str:
    row = next((name for name, numbers in results.ROWS.items() if numbers == (plain, starred)), None)
    draw_published(ax, results.PUBLISHED, row)
    frame(ax, "the paper, Table 2", "validation error, %")
    return f"the paper has {row}: {results.PUBLISHED[row]}" if row else "the paper has no such row"
