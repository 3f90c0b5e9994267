"""Lesson 03, overlapping pooling: windows counted, what a shift of the image does, errors at equal fit.

z is the side of a window and s the distance between two, as in §3.4; the explorer stands at the end.
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
from matplotlib.collections import PatchCollection
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MultipleLocator
from numpy.typing import NDArray
from torch import Tensor

from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing, PictureWidget, choice, explorer, slider
from alexnet_edu.show.plots import BLUE, FONT_SIZE, NEUTRAL, ORANGE, SERIES, WORDS, frame, note
from alexnet_edu.studies.record import Record
from alexnet_edu.studies.statistics import crossing, mean_interval

KINDS = {"max": "maximum", "avg": "average"}

# --- windows -----------------------------------------------------------------------------------


def output_side(n: int, z: int, s: int, *, up: bool = True) -> int:
    """Side of the output for n inputs a side: 1 + (n − z)/s, rounded up (2012) or down.

    A window that would begin beyond the last input is left out, as PyTorch does; that
    happens only where z < s. 0 where no window fits. Raises ValueError for n, z or s below 1.
    """
    if min(n, z, s) < 1:
        raise ValueError(f"n, z and s must be at least 1, got n={n!r}, z={z!r}, s={s!r}")
    steps = (n - z) / s
    side = 1 + (math.ceil(steps) if up else math.floor(steps))
    return max(0, min(side, 1 + (n - 1) // s))


def coverage(n: int, z: int, s: int, *, up: bool = True) -> Tensor:
    """How many windows see each of n × n inputs: (n, n) int64."""
    seen = torch.zeros(n, dtype=torch.int64)
    for start in range(0, s * output_side(n, z, s, up=up), s):
        seen[start : start + z] += 1
    return seen[:, None] * seen[None, :]


def pool(x: Tensor, z: int, s: int, kind: str = "max", *, up: bool = True) -> Tensor:
    """Pools the last two dimensions of x: (…, H, W) -> (…, h, w).

    A window that hangs over the edge takes the maximum, or the mean, of what it holds.
    kind: "max" or "avg". Where no window fits the output has a side of 0.
    """
    sides = [output_side(n, z, s, up=up) for n in x.shape[-2:]]
    if 0 in sides:
        return x.new_empty(*x.shape[:-2], *sides)
    function: Any = {"max": F.max_pool2d, "avg": F.avg_pool2d}[kind]
    flat = x.reshape(-1, 1, *x.shape[-2:])
    return function(flat, z, s, ceil_mode=up).reshape(*x.shape[:-2], *sides)


def draw_same_size(ax: Axes, rules: Mapping[str, Mapping[int, bool]], marked: Mapping[int, str]) -> None:
    """Which sides n give equal outputs, one row of cells per rule.

    rules: rule -> {n: whether both windows give the same size}. marked: n -> a word for it.
    """
    for place, same in enumerate(rules.values()):
        for n, equal in same.items():
            face = BLUE if equal else "white"
            ax.add_patch(Rectangle((n - 0.5, place), 1, 0.8, facecolor=face, edgecolor="#888888", lw=0.5))
    line = {"arrowstyle": "-", "color": NEUTRAL, "shrinkB": 0}
    for n, word in marked.items():
        note(ax, f"{n}\n{word}", (n, -0.02), (0, 8), ha="center", va="bottom", arrowprops=line)
    sides = list(next(iter(rules.values())))
    ax.set_xlim(min(sides) - 1, max(sides) + 1)
    ax.set_ylim(len(rules), -1.0)
    ax.set_yticks([i + 0.4 for i in range(len(rules))], list(rules))
    ax.xaxis.set_major_locator(MultipleLocator(5))
    ax.set_xlabel("side n of the input")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)


# --- shifts --------------------------------------------------------------------------------------


def shift_change(images: Tensor, z: int, kind: str = "max") -> Tensor:
    """By how much the pooled maps change when the image moves one pixel to the left: (N,).

    images: (N, C, H, W) floating point. Both views are cut from the image, so nothing is
    invented at the edge. The change is a share of the maps' own variation,
    ‖P(shifted) − P‖ / ‖P − mean of P‖: √2 is expected of two unrelated maps.
    """
    views = images[..., :-1, :-1], images[..., :-1, 1:]
    still, moved = (pool(view, z, 2, kind, up=False).flatten(1) for view in views)
    variation = (still - still.mean(1, keepdim=True)).norm(dim=1)
    return (moved - still).norm(dim=1) / variation.clamp(min=1e-12)


def draw_changes(ax: Axes, groups: Mapping[str, Mapping[str, Sequence[float]]], title: str) -> None:
    """The change under a shift, group by group: the mean over images and its 95% interval.

    groups: group -> series -> one value per image.
    """
    names = list(next(iter(groups.values())))
    for k, name in enumerate(names):
        shown = {group: astuple(mean_interval(series[name])) for group, series in groups.items()}
        shift = 0.18 * (k - (len(names) - 1) / 2)
        plots.intervals(ax, shown, form="{:.2f}", upright=True, shift=shift, style=SERIES[k], label=name)
    words = "change of the pooled maps\n(share of their own variation)"
    frame(ax, title, y=words, grid="y", legend="upper right")
    ax.set_ylim(0, 1.25 * ax.get_ylim()[1])


def draw_shifted(ax: Axes, record: Record, title: str) -> None:
    """Share of predictions that change with the shift: the mean over seeds, each seed as a mark."""
    columns = [name for name in map(str, record.runs) if name.startswith("shifted_")]
    shifts = [int(name.removeprefix("shifted_")) for name in columns]
    groups = record.runs.groupby("title", sort=False)
    plots.lines(ax, {str(name): (shifts, runs[columns]) for name, runs in groups}, spread="marks")
    y = "test images whose prediction changes"
    frame(ax, title, "shift (pixels)", y, percent="y", grid="xy", legend="upper left")
    ax.xaxis.set_major_locator(MultipleLocator(1))
    ax.set_ylim(0, 1.12 * ax.get_ylim()[1])


# --- one error against the other -------------------------------------------------------------------

FIRST_SHOWN = 0.33  # training error from which on the gaps are drawn


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


def draw_gap_against_training(ax: Axes, record: Record, drop: float, title: str) -> None:
    """Each seed's way through (training error, test error − training error), from right to left.

    drop: the epoch after which the rate falls; an open mark there, a filled one at the end.
    """
    for (name, curves), style in zip(record.curves.groupby("title", sort=False), SERIES, strict=False):
        for _, curve in curves.groupby("run"):
            x, y = curve["train_error"].to_numpy(), (curve["test_error"] - curve["train_error"]).to_numpy()
            start = int((x <= FIRST_SHOWN).argmax()) if (x <= FIRST_SHOWN).any() else len(x) - 1
            ax.plot(x[start:], y[start:], color=style.color, linestyle=style.line, linewidth=1.4, alpha=0.7)
            before = int((curve["epoch"] <= drop).sum()) - 1
            for i, face in ((before, "white"), (len(x) - 1, style.color)):
                ax.plot(x[i], y[i], style.marker, markersize=7, color=style.color, markerfacecolor=face)
        ax.plot([], [], marker=style.marker, **(style.kwargs() | {"label": name}))
    words = WORDS["train_error"], WORDS["gap"]
    frame(ax, title, *words, percent="xy", grid="xy", legend="upper right")


# --- the explorer: windows on a grid -----------------------------------------------------------------

SIDES, WINDOWS, STRIDES = range(4, 16), range(1, 7), range(1, 6)
SHADES = ("#FFFFFF", "#E3EEF7", "#B5D2E8", "#7FB0D5", "#4A8ABD", "#2B6CA3")  # few windows … many
DARK_FROM = 4  # shades on which numbers are written in white

Span = tuple[float, float, float, float]  # left, top, width, height, in cells


def pooling_explorer(*, seed: int = 0, **start: Any) -> PictureWidget:
    """Windows of side z, s apart, on n × n inputs: who sees what, and what comes out.

    The inputs are numbers from 0 to 99, drawn by `seed`. Beyond the last output the last one is looked at.
    """
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randint(100, (SIDES[-1], SIDES[-1]), generator=generator).float()
    outputs = range(1, SIDES[-1] + 1)
    rules = {True: "up (2012)", False: "down (PyTorch's default)"}

    def draw(
        n: int = slider("Side n", SIDES, 8, "inputs a side"),
        z: int = slider("Window z", WINDOWS, 3, "side of the window"),
        s: int = slider("Stride s", STRIDES, 2, "distance between two windows"),
        row: int = slider("Output row", outputs, 1, "row of the output that is looked at"),
        column: int = slider("Output column", outputs, 1, "column of the output that is looked at"),
        up: bool = choice("Round sizes", rules, True, "what happens to a window that hangs over the edge"),
        kind: str = choice("Pooling", KINDS, "max", "what is taken of each window"),
    ) -> Drawing:
        return _draw_grids(numbers[:n, :n], z, s, (row, column), up, kind)

    return explorer(draw, **start)


def _draw_grids(x: Tensor, z: int, s: int, at: tuple[int, int], up: bool, kind: str) -> Drawing:
    n, seen, pooled = len(x), coverage(len(x), z, s, up=up), pool(x, z, s, kind, up=up)
    m = len(pooled)
    chosen = (min(at[0], m) - 1, min(at[1], m) - 1) if m else None
    has_next = chosen is not None and chosen[1] + 1 < m
    figure, ((left, right),) = plots.panels(1, 2, height=5.4)
    reach = max(n, s * (m - 1) + z)  # as far as the last window hangs over
    for ax in (left, right):
        _frame_grid(ax, reach)
    _draw_inputs(left, x.numpy(), seen.numpy())
    corners = [(s * j + 0.07, s * i + 0.07) for i in range(m) for j in range(m)]
    windows = [Rectangle(corner, z - 0.14, z - 0.14) for corner in corners]
    left.add_collection(PatchCollection(windows, facecolor="none", edgecolor=NEUTRAL, linewidths=0.9))
    _draw_outputs(right, pooled.numpy(), chosen, digits=0 if kind == "max" or reach > 11 else 1)
    _border(left, (0, 0, n, n), "black", 1.4)
    if chosen is not None:
        span = s * chosen[1], s * chosen[0]
        if has_next:
            _border(left, (span[0] + s, span[1], z, z), "white", 3.6)
            _border(left, (span[0] + s, span[1], z, z), "black", 1.8, (0, (4, 2)))
        _border(left, (*span, z, z), ORANGE, 3.2)
    left.set_title(f"inputs: n = {n}, z = {z}, s = {s}")
    right.set_title(_size_sentence(n, z, s, m, up))
    overlap, edge = _facts(n, z, s, m)
    marks = " (thick: the window of the marked output; dashed: the next one)" if has_next else ""
    plots.heading(figure, f"{overlap}{marks}\n{edge}")
    return figure, _description(x, z, s, up, kind, chosen)


def _frame_grid(ax: Axes, side: float) -> None:
    """Square cells, row 1 at the top, no axes: the same scale on both grids."""
    ax.set_xlim(-0.15, side + 0.15)
    ax.set_ylim(side + 0.15, -0.15)
    ax.set_aspect("equal", anchor="NW")
    ax.axis("off")


def _draw_inputs(ax: Axes, values: NDArray[Any], seen: NDArray[Any]) -> None:
    """The inputs as cells with their numbers, shaded by how many windows see them; values, seen: (n, n)."""
    shade = _shades(seen)
    tones = np.vectorize(shade.__getitem__)(seen)
    _cells(ax, values, tones, 0)
    for row, column in np.argwhere(seen == 0):
        ax.add_patch(Rectangle((column, row), 1, 1, fill=False, hatch="////", edgecolor="#BBBBBB", lw=0))
    handles = []
    for tone in sorted(set(shade.values())):
        counts = [c for c, t in shade.items() if t == tone]
        label = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"
        hatch, label = ("////", "none") if tone == 0 else (None, label)
        handles.append(Patch(facecolor=SHADES[tone], edgecolor="#888888", hatch=hatch, label=label))
    look: dict[str, Any] = {"ncols": 6, "handlelength": 1.2, "columnspacing": 1.0, "alignment": "left"}
    words = "windows that see an input:"
    ax.figure.legend(handles=handles, title=words, title_fontsize=9, loc="outside lower left", **look)


def _draw_outputs(ax: Axes, values: NDArray[Any], chosen: tuple[int, int] | None, digits: int) -> None:
    """The outputs as cells with their numbers; `chosen`: (row, column) of the one looked at."""
    if chosen is None:
        return
    _cells(ax, values, np.zeros(values.shape, dtype=int), digits)
    _border(ax, (0, 0, *values.shape[::-1]), "black", 1.4)
    place = chosen[::-1]
    ax.add_patch(Rectangle(place, 1, 1, facecolor="#FBE0CF", zorder=0.5))
    _border(ax, (*place, 1, 1), ORANGE, 3.2)


def _shades(seen: NDArray[Any]) -> dict[int, int]:
    """A shade for each number of windows, light to dark: 0 only for 0, spread over the rest."""
    counts = sorted({int(c) for c in seen.flat})
    rest = [c for c in counts if c]
    darkest = len(SHADES) - 1
    tones = {c: 1 + round(i * (darkest - 1) / max(1, len(rest) - 1)) for i, c in enumerate(rest)}
    return {0: 0, **tones} if 0 in counts else tones


def _cells(ax: Axes, values: NDArray[Any], tones: NDArray[Any], digits: int) -> None:
    """One square with its number per value, (h, w); tones: (h, w) indices into SHADES."""
    height, width = tones.shape
    edges = np.arange(width + 1), np.arange(height + 1)
    look: dict[str, Any] = {"cmap": ListedColormap(SHADES), "vmin": 0, "vmax": len(SHADES) - 1}
    ax.pcolormesh(*edges, tones, edgecolors="#BBBBBB", lw=0.5, zorder=0, **look)
    words: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": FONT_SIZE - 1}
    for row, column in np.ndindex(height, width):
        color = "white" if tones[row, column] >= DARK_FROM else "black"
        text = ax.text(column + 0.5, row + 0.5, f"{values[row, column]:.{digits}f}", color=color, **words)
        text.set_in_layout(False)  # it lies within the axes; hundreds of them would take long to measure


def _border(ax: Axes, span: Span, color: str, width: float, line: Any = "-") -> None:
    left, top, right, down = span
    look: dict[str, Any] = {"edgecolor": color, "linewidth": width, "linestyle": line}
    ax.add_patch(Rectangle((left, top), right, down, fill=False, **look))


def _size_sentence(n: int, z: int, s: int, m: int, up: bool) -> str:
    left, right = ("⌈", "⌉") if up else ("⌊", "⌋")
    formula = f"1 + {left}({n} − {z})/{s}{right}"
    if not m:
        return f"no output: {formula} is below 1"
    plain = m == 1 + (-((z - n) // s) if up else (n - z) // s)
    return f"outputs: {formula} = {m}" if plain else f"outputs: {m} (one more would begin outside)"


def _facts(n: int, z: int, s: int, m: int) -> tuple[str, str]:
    """What this window and stride do between windows, and at the edge."""
    if z > s:
        overlap = f"z > s: neighbouring windows overlap by {z - s} of {z}"
    else:
        overlap = "z = s: no overlap" if z == s else "z < s: inputs between the windows are seen by none"
    reach = s * (m - 1) + z if m else 0
    if not m:
        edge = "the window is larger than the grid, and nothing comes out"
    elif z > n:
        edge = "the window is larger than the grid and takes all of it"
    elif reach > n:
        edge = f"the last windows hang over the edge by {reach - n} and take what they hold"
    elif reach < n:
        left_out = "row and column are" if n - reach == 1 else f"{n - reach} rows and columns are"
        edge = f"the last {left_out} seen by no window"
    else:
        edge = "the windows end exactly at the edge"
    return overlap, edge


def _description(x: Tensor, z: int, s: int, up: bool, kind: str, chosen: tuple[int, int] | None) -> str:
    """The facts of the picture, as its alternative text."""
    n = len(x)
    seen, m = coverage(n, z, s, up=up), output_side(n, z, s, up=up)
    tally = zip(*seen.unique(return_counts=True), strict=True)
    counts = ", ".join(f"{count} by {windows}" for windows, count in tally)
    facts = [
        f"{n} × {n} inputs, windows z = {z}, stride s = {s}, sizes rounded {'up' if up else 'down'}: "
        f"{m} × {m} outputs",
        *_facts(n, z, s, m),
        f"inputs by the number of windows that see them: {counts} (on average {seen.float().mean():.2f})",
    ]
    if chosen is not None:
        i, j = chosen
        inside = x[i * s : i * s + z, j * s : j * s + z]
        value = inside.max() if kind == "max" else inside.mean()
        word = f"the {KINDS[kind]} of {inside.numel()} inputs: {value:.3g}"
        facts.append(f"output row {i + 1}, column {j + 1} is {word}")
    return "; ".join(facts)
