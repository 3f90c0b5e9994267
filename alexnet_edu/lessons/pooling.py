"""Lesson 03, overlapping pooling: errors, predictions that flicker under shifts, and the explorer.

z is the side of a window and s the distance between two, as in §3.4.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import MultipleLocator
from numpy.typing import NDArray
from torch import Tensor

from alexnet_edu.data.images import Images
from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing, choice, explores, slider
from alexnet_edu.show.plots import NEUTRAL, ORANGE, PINK, SERIES, frame, note
from alexnet_edu.studies.record import Record
from alexnet_edu.studies.statistics import Interval, crossing, mean_interval

TITLES = {"z2": "z = 2", "z3": "z = 3"}
LOOKS = dict(zip(("z = 2", "z = 3", "blurred"), SERIES, strict=False))

# --- what windows see, and the errors ------------------------------------------------------------

SHADES = {1: "white", 2: "#B5D2E8", 4: "#4A8ABD"}  # windows that see a pixel


def windows_and_errors(record: Record) -> Drawing:
    """How many windows see each pixel for z = 2 and 3, and the recorded test errors at one rate."""
    figure, ((*grids, ax),) = plots.panels(1, 3, height=3.3, width_ratios=[1, 1, 1.4])
    for grid, z in zip(grids, (2, 3), strict=True):
        _draw_windows(grid, z)
    rate, same = next(iter(at_each_rate(record).items()))
    plots.strip(ax, {name: same.values(v) for v, name in TITLES.items()}, upright=True, styles=LOOKS)
    frame(ax, "CIFAR-10, a mark for each seed", y="test error", percent="y", grid="y")
    gap, seeds = same.gap("z3", "z2"), len(same.values("z2"))
    return figure, (
        f"Windows that overlap: {-gap.value:.1f} points less test error on CIFAR-10 "
        f"({-(gap.high or 0):.1f} to {-(gap.low or 0):.1f}, {seeds} seeds each, ε = {rate:g}, recorded)."
    )


def _draw_windows(ax: Axes, z: int, side: int = 8) -> None:
    """A grid of pixels with the number of windows that see each; the stride is 2."""
    seen = np.zeros((side, side), dtype=int)
    for row in range(0, side, 2):
        for column in range(0, side, 2):
            seen[row : row + z, column : column + z] += 1
    for (row, column), count in np.ndenumerate(seen):
        look: dict[str, Any] = {"facecolor": SHADES[count], "edgecolor": "#BBBBBB", "linewidth": 0.5}
        ax.add_patch(Rectangle((column, row), 1, 1, **look))
        note(ax, f"{count}", (column + 0.5, row + 0.5), ha="center", va="center")
    for left, color, line in ((2, NEUTRAL, (0, (3, 1.5))), (0, ORANGE, "-")):
        ax.add_patch(Rectangle((left, 0), z, z, fill=False, edgecolor=color, linewidth=2.8, linestyle=line))
    ax.set(xlim=(-0.1, side + 0.1), ylim=(side + 0.1, -0.1), aspect="equal")
    plots.bare(ax)
    ax.set_title(f"z = {z}, s = 2")
    ax.set_xlabel("windows that see a pixel")


def at_each_rate(record: Record) -> dict[float, Record]:
    """The record at each rate that both windows were trained with."""
    return {rate: record.at_rate(rate) for rate in record.shared_rates()}


# --- shifts --------------------------------------------------------------------------------------

SHIFTS = (1, 2, 3, 4)


def flicker(
    live: Mapping[str, Sequence[float]], record: Record, images: Images, guess: float | None = None
) -> Drawing:
    """Share of predictions that change when the image moves: yours, and the recorded ones.

    live: name -> a share (0–1) for each of `SHIFTS`. guess: percent, for z = 2 and one pixel.
    """
    figure, ((left, right),) = plots.panels(1, 2, height=3.9, sharey=True)
    plots.lines(left, {name: (SHIFTS, values) for name, values in live.items()}, styles=LOOKS)
    rate, same = next(iter(at_each_rate(record).items()))
    columns = [[same.values(name, f"shifted_{shift}") for shift in SHIFTS] for name in TITLES]
    recorded = {name: (SHIFTS, np.transpose(values)) for name, values in zip(LOOKS, columns, strict=False)}
    plots.lines(right, recorded, spread="marks", styles=LOOKS)
    source = "your run, SYNTHETIC images" if images.synthetic else "your run, one seed"
    for ax, title in ((left, source), (right, f"recorded, ε = {rate:g}, a mark for each seed")):
        frame(ax, title, "image moved by (pixels)", percent="y", grid="y", legend="upper left")
        ax.xaxis.set_major_locator(MultipleLocator(1))
        if guess is not None:
            ax.axhline(guess / 100, color=PINK, linestyle=":", linewidth=2.5)
            words = f"your guess, z = 2, one pixel: {guess:g}%"
            note(ax, words, (4, guess / 100), (0, 5), ha="right", bbox=plots.BEHIND_WORDS)
    left.set_ylabel("predictions that change")
    left.set_ylim(bottom=0)
    first, last = next(iter(live.items())), list(live.items())[-1]
    return figure, (
        f"Move the image by one pixel: {first[1][0]:.0%} of the predictions change with {first[0]}, "
        + ", ".join(f"{values[0]:.0%} with {name}" for name, values in list(live.items())[1:-1])
        + f", {last[1][0]:.0%} {last[0]}."
    )


def shift_change(images: Tensor, z: int, kind: str = "max") -> Tensor:
    """By how much the pooled maps change when the image moves one pixel to the left: (N,).

    images: (N, C, H, W) floating point. kind: "max" or "avg". Both views are cut from the image, so
    nothing is invented at the edge. The change is a share of the maps' own variation,
    ‖P(shifted) − P‖ / ‖P − mean of P‖: √2 is expected of two unrelated maps.
    """
    pool: Any = {"max": F.max_pool2d, "avg": F.avg_pool2d}[kind]
    still, moved = (pool(view, z, 2).flatten(1) for view in (images[..., :-1, :-1], images[..., :-1, 1:]))
    variation = (still - still.mean(1, keepdim=True)).norm(dim=1)
    return (moved - still).norm(dim=1) / variation.clamp(min=1e-12)


def changed_maps(images: Images, count: int = 500) -> Drawing:
    """The change of a pooled map under a shift: noise and images, maxima and averages."""
    figure, (axes,) = plots.panels(1, 2, height=3.8, sharey=True)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:count]
    noise = torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    batches = {"noise": noise, "images": images.subset(order).pixels.float()}
    means: dict[Any, float] = {}
    for ax, (kind, word) in zip(axes, {"avg": "averages", "max": "maxima"}.items(), strict=True):
        for place, z in enumerate((2, 3)):
            shown = {
                what: astuple(mean_interval(shift_change(batch, z, kind).tolist()))
                for what, batch in batches.items()
            }
            look: dict[str, Any] = {"shift": 0.24 * place - 0.12, "style": SERIES[place], "label": f"z = {z}"}
            plots.intervals(ax, shown, form="{:.2f}", upright=True, **look)
            means |= {(kind, what, z): values[0] for what, values in shown.items()}
        frame(ax, f"pooling takes {word}", grid="y", legend="upper right")
        ax.set_ylim(0, 1.3)
    axes[0].set_ylabel("change of the pooled map /\nits own variation")
    return figure, (
        "Moved by one pixel, a map of maxima over images changes by "
        f"{means['max', 'images', 2]:.0%} of its variation with z = 2, "
        f"by {means['max', 'images', 3]:.0%} with z = 3 (s = 2, {count} images, 95% intervals)."
        f"{images.caveat}"
    )


# --- one error against the other -------------------------------------------------------------------


def lowest_common_level(record: Record) -> float:
    """The lowest training error (0–1) that all runs of a record come down to."""
    return float(record.curves.groupby("run")["train_error"].min().max())


def up_to(record: Record, epoch: float) -> Record:
    """The record with every curve cut off after an epoch: at a drop of the rate, for example."""
    curves = record.curves[record.curves["epoch"] <= epoch]
    return replace(record, tables={**record.tables, "curves": curves})


def cut_at(record: Record, level: float) -> Record:
    """The record with the test error of each run where its training error is `level`, as its last one.

    Linear between two points of the curve. So runs can be compared that fit the training images equally
    well. Raises ValueError when a run never comes down to `level`.
    """
    errors = {}
    for run, curve in record.curves.groupby("run"):
        errors[run] = crossing(curve["test_error"].tolist(), curve["train_error"].tolist(), level)
        if errors[run] is None:
            name = f"{curve['variant'].iloc[0]}, seed {curve['seed'].iloc[0]}"
            raise ValueError(f"{name}: the training error never comes down to {level:.1%}")
    runs = record.runs.assign(test_error=pd.Series(errors), train_error=level)
    return replace(record, tables={**record.tables, "runs": runs})


def equally_well_fitted(record: Record) -> Drawing:
    """z = 3 minus z = 2 in test error where the training errors are equal, at each rate, before it falls."""
    figure, ((ax,),) = plots.panels(1, 1, height=3.2)
    (drop,) = record.settings["drops"]
    gaps: list[Interval] = []
    rates = at_each_rate(record)
    for place, (rate, same) in enumerate(rates.items()):
        before = up_to(same, drop)
        deepest = lowest_common_level(before)
        highest = before.curves.groupby("run")["train_error"].first().min()
        levels = [deepest + share * (highest - deepest) for share in (0.5, 0.25, 0.0)]
        found = [cut_at(before, level).gap("z3", "z2") for level in levels]
        names = ("early in training", "later", "just before the rate falls")
        shown = dict(zip(names, map(astuple, found), strict=True))
        look: dict[str, Any] = {
            "shift": 0.26 * place - 0.13,
            "style": SERIES[place + 1],
            "label": f"ε = {rate:g}",
        }
        plots.intervals(ax, shown, **look)
        for row, (level, gap) in enumerate(zip(levels, found, strict=True)):
            at = (gap.low or 0, row + look["shift"])
            note(ax, f"training error {level:.0%}", at, (-8, 0), ha="right", va="center")
        gaps += found
    plots.level(ax, 0, axis="x", line="-")
    frame(ax, x="test error, z = 3 minus z = 2 (points)", legend="upper right")
    ax.set_xlim(min(gap.low or 0 for gap in gaps) - 1, 0.9)
    values, unclear = [-gap.value for gap in gaps], sum((gap.high or 0) > 0 for gap in gaps)
    return figure, (
        "Where both fit the training images equally well, z = 3 has "
        f"{min(values):.1f} to {max(values):.1f} points less test error; "
        f"{unclear} of {len(gaps)} intervals (95%) include 0 (recorded)."
    )


def curves_at_both_rates(record: Record) -> Drawing:
    """Recorded training and test errors by epoch, at each rate."""
    rates = at_each_rate(record)
    figure, axes = plots.panels(len(rates), 2, height=6.4, sharey="col", sharex=True)
    for row, (rate, same) in zip(axes, rates.items(), strict=True):
        for ax, what in zip(row, ("train_error", "test_error"), strict=True):
            plots.learning_curves(ax, same.curves, what, f"ε = {rate:g}")
    ahead = (f"{-same.gap('z3', 'z2').value:.1f} points at ε = {rate:g}" for rate, same in rates.items())
    behind = (f"{same.gap('z3', 'z2', 'train_error').value:.1f}" for same in rates.values())
    return figure, (
        f"In the end z = 3 has less test error, by {' and by '.join(ahead)}; its training error is higher, "
        f"by {' and by '.join(behind)} (recorded)."
    )


# --- the explorer: a row of pixels that moves ---------------------------------------------------------

BEFORE = 5  # pixels that wait to the left of the row
SCENE = (
    *(90, 60, 40, 40, 40, 40, 40, 230, 40, 40, 40, 70, 110, 150, 190, 190),
    *(60, 190, 60, 190, 60, 60, 120, 60, 60, 60, 90),
)
PIXELS = 20  # that are seen at once
HOW = {
    "max": "the maximum of each window",
    "avg": "the average of each window",
    "blur": "maxima at every place, blurred, then thinned out",
}


def pool_row(row: Tensor, z: int, s: int, how: str) -> Tensor:
    """A row of pixels (n,) pooled in one of the ways of `HOW`; sizes are rounded up, as in 2012."""
    x = row.view(1, 1, -1)
    if how == "blur":
        dense = F.max_pool1d(F.pad(x, (1, z - 1), mode="replicate"), z, 1)
        return F.avg_pool1d(F.avg_pool1d(dense, 2, 1), 2, s, ceil_mode=True).flatten()
    pool: Any = {"max": F.max_pool1d, "avg": F.avg_pool1d}[how]
    return pool(x, z, s, ceil_mode=True).flatten()


def missed(before: NDArray[Any], after: NDArray[Any], places: float, edge: int = 1) -> float:
    """The mean distance of outputs, in grey levels, from the line through the old ones moved by some places.

    The first output and the last `edge` ones are left out, for what lies beyond the row decides them.
    """
    old = np.arange(len(before)) + places
    inside = np.arange(np.ceil(places) + 1, len(after) - edge)
    line = np.interp(inside, old, before)
    return float(np.abs(after[inside.astype(int)] - line).mean())


@explores
def pooling_explorer(
    z: int = slider("Window z", range(1, 6), 2, "side of the window"),
    s: int = slider("Stride s", range(1, 5), 2, "distance between two windows"),
    shift: int = slider("Moved by", range(BEFORE), 0, "pixels that the row has moved to the right"),
    how: str = choice("Output", HOW, "max", "what is taken of each window"),
) -> Drawing:
    """A row of pixels, the windows on it, and what comes out, before and after the row has moved."""
    rows = [torch.tensor(SCENE[BEFORE - d :][:PIXELS]).float() for d in (0, shift)]
    before, after = (pool_row(row, z, s, how).numpy() for row in rows)
    figure, ((above,), (below,)) = plots.panels(2, 1, height=5, sharex=True)
    _draw_row(above, rows[1], z, *((1, PIXELS) if how == "blur" else (s, len(after))))
    centres = s * np.arange(len(after)) + z / 2
    below.bar(centres, after, width=0.55 * s, color=ORANGE, alpha=0.6, label="outputs now")
    label = f"outputs before, moved by {shift} pixel{'s' * (shift > 1)}"
    seen = centres + shift <= PIXELS
    below.plot(
        (centres + shift)[seen], before[seen], "D-", label=label, color="black", lw=0.8, mfc="none", ms=7
    )
    frame(below, "what comes out", "pixel", "grey level")
    below.set(ylim=(0, 260), yticks=(0, 100, 200))
    figure.legend(*below.get_legend_handles_labels(), loc="outside lower right", ncols=2)
    off = missed(before, after, shift / s, math.ceil(z / s))
    words = f"the outputs miss the old ones, moved along, by {off:.0f} grey levels on average"
    if off < 1e-3:
        words = f"the outputs are the old ones, {shift // s} further on" if shift else "nothing has moved"
    return figure, f"z = {z}, s = {s}, {HOW[how]}, moved by {shift}: {words}."


def _draw_row(ax: Axes, row: Tensor, z: int, step: int, windows: int) -> None:
    """A row of pixels as bars, and a line below it for each window of side z, `step` apart."""
    ax.bar(np.arange(PIXELS) + 0.5, row.numpy(), width=1, color="#B8B8B8", edgecolor="white")
    levels = 1 + (z - 1) // step
    for j in range(windows):
        ends, depth = (step * j + 0.12, min(step * j + z, PIXELS) - 0.12), -22 - 20 * (j % levels)
        ax.plot(ends, (depth, depth), color=ORANGE, linewidth=3.5)
    frame(ax, "the row of pixels, and the windows on it", y="grey level")
    ax.xaxis.set_major_locator(MultipleLocator(2))
    ax.set(xlim=(-0.5, PIXELS + 0.5), ylim=(-12 - 20 * levels, 260), yticks=(0, 100, 200))
