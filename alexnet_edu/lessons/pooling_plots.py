"""The figures of notebook 03: windows on a grid, output sizes, shifts, errors against each other.

Numbers in, marks on the given `Axes` out; nothing here pools, trains or loads.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch, Rectangle
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.ticker import MultipleLocator, PercentFormatter
from numpy.typing import NDArray

from alexnet_edu.show.ablation_plots import SERIES, WORDS
from alexnet_edu.show.plots import FONT_SIZE, NEUTRAL

CHOSEN = "#D55E00"  # the window that is looked at, and its output
SHADES = ("#FFFFFF", "#E3EEF7", "#B5D2E8", "#7FB0D5", "#4A8ABD", "#2B6CA3")  # few windows … many
DARK_FROM = 4  # shades on which numbers are written in white

Span = tuple[float, float, float, float]  # left, top, width, height, in cells


# --- the grid of the widget ------------------------------------------------------------------


def draw_inputs(
    ax: Axes,
    values: NDArray[Any],
    seen: NDArray[Any],
    windows: Sequence[Span],
    chosen: Span | None,
    neighbour: Span | None,
) -> None:
    """The inputs as cells with their numbers, shaded by how many windows see them.

    The axes must stand and be framed (`frame_grid`) already. values, seen: (n, n). windows:
    all of them; chosen: the one that is looked at; neighbour: the next one. What hangs over
    the edge is drawn outside of the grid.
    """
    n = len(values)
    shade = _shades(seen)
    tones = np.vectorize(shade.__getitem__)(seen)
    _cells(ax, tones)
    _numbers(ax, values, tones < DARK_FROM, "black", 0)
    _numbers(ax, values, tones >= DARK_FROM, "white", 0)
    for row, column in np.argwhere(seen == 0):
        ax.add_patch(Rectangle((column, row), 1, 1, fill=False, hatch="////", edgecolor="#BBBBBB", lw=0))
    ax.add_collection(LineCollection([_outline(w, 0.07) for w in windows], colors=NEUTRAL, linewidths=0.9))
    _border(ax, (0, 0, n, n), "black", 1.4)
    if neighbour is not None:
        _border(ax, neighbour, "white", 3.6)
        _border(ax, neighbour, "black", 1.8, (0, (4, 2)))
    if chosen is not None:
        _border(ax, chosen, CHOSEN, 3.2)
    _legend_of_shades(ax, shade)


def draw_outputs(ax: Axes, values: NDArray[Any], chosen: tuple[int, int] | None, digits: int) -> None:
    """The outputs as cells with their numbers; `chosen`: (row, column) of the one looked at."""
    if not values.size:
        return
    _cells(ax, np.zeros(values.shape, dtype=int))
    _numbers(ax, values, np.ones(values.shape, dtype=bool), "black", digits)
    height, width = values.shape
    _border(ax, (0, 0, width, height), "black", 1.4)
    if chosen is not None:
        row, column = chosen
        ax.add_patch(Rectangle((column, row), 1, 1, facecolor="#FBE0CF", zorder=0.5))
        _border(ax, (column, row, 1, 1), CHOSEN, 3.2)


def frame_grid(ax: Axes, side: float) -> None:
    """Square cells, row 1 at the top, no axes: the same scale on both grids."""
    ax.set_xlim(-0.15, side + 0.15)
    ax.set_ylim(side + 0.15, -0.15)
    ax.set_aspect("equal", anchor="NW")
    ax.axis("off")


def _shades(seen: NDArray[Any]) -> dict[int, int]:
    """A shade for each number of windows, light to dark: 0 only for 0, spread over the rest."""
    counts = sorted({int(c) for c in seen.flat})
    rest = [c for c in counts if c]
    darkest = len(SHADES) - 1
    tones = {c: 1 + round(i * (darkest - 1) / max(1, len(rest) - 1)) for i, c in enumerate(rest)}
    return {0: 0, **tones} if 0 in counts else tones


def _legend_of_shades(ax: Axes, shade: Mapping[int, int]) -> None:
    """Below the grid: how many windows a shade stands for."""
    handles = []
    for tone in sorted(set(shade.values())):
        counts = [c for c, t in shade.items() if t == tone]
        label = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"
        hatch, label = ("////", "none") if tone == 0 else (None, label)
        handles.append(Patch(facecolor=SHADES[tone], edgecolor="#888888", hatch=hatch, label=label))
    ax.legend(
        handles=handles,
        title="windows that see an input:",
        title_fontsize=FONT_SIZE - 1,
        fontsize=FONT_SIZE - 1,
        ncols=6,
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(0, 0),
        borderaxespad=0.2,
        alignment="left",
        handlelength=1.2,
        columnspacing=1.0,
    )


def _cells(ax: Axes, tones: NDArray[Any]) -> None:
    """One square per entry of tones, (h, w) indices into SHADES."""
    height, width = tones.shape
    edges = np.arange(width + 1), np.arange(height + 1)
    colors = ListedColormap(SHADES)
    ax.pcolormesh(
        *edges, tones, cmap=colors, vmin=0, vmax=len(SHADES) - 1, edgecolors="#BBBBBB", lw=0.5, zorder=0
    )


def _border(ax: Axes, span: Span, color: str, width: float, line: Any = "-") -> None:
    left, top, right, down = span
    ax.add_patch(
        Rectangle((left, top), right, down, fill=False, edgecolor=color, linewidth=width, linestyle=line)
    )


def _numbers(ax: Axes, values: NDArray[Any], where: NDArray[Any], color: str, digits: int) -> None:
    """The values at the places `where`, in the middle of their cells, as one shape.

    Hundreds of texts would take longer to draw than a hand that moves a slider waits.
    """
    left, right = ax.get_xlim()
    points = 72 / ax.figure.dpi * min(ax.bbox.width, ax.bbox.height) / (right - left)  # a cell's side
    size = (FONT_SIZE - 1) / points
    shapes = []
    for row, column in np.argwhere(where):
        glyphs = _glyphs(f"{values[row, column]:.{digits}f}")
        middle = np.array([column + 0.5, row + 0.5])
        shapes.append(Path(np.asarray(glyphs.vertices) * [size, -size] + middle, glyphs.codes))
    if shapes:
        drawn = PathCollection([Path.make_compound_path(*shapes)], facecolors=color, linewidths=0, zorder=3)
        ax.add_collection(drawn, autolim=False)  # the limits stand already; finding them takes long


@cache
def _glyphs(text: str) -> Path:
    """The outline of a text one point high, with its middle at the origin."""
    path = TextPath((0, 0), text, size=1)
    box = path.get_extents()
    middle = np.array([(box.x0 + box.x1) / 2, _glyph_height() / 2])
    return Path(np.asarray(path.vertices) - middle, path.codes)


@cache
def _glyph_height() -> float:
    return float(TextPath((0, 0), "0", size=1).get_extents().y1)


def _outline(span: Span, inset: float) -> list[tuple[float, float]]:
    left, top, width, height = span
    x0, y0, x1, y1 = left + inset, top + inset, left + width - inset, top + height - inset
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]


# --- sizes -------------------------------------------------------------------------------------


def draw_same_size(ax: Axes, rows: Mapping[str, Mapping[int, bool]], marked: Mapping[int, str]) -> None:
    """Which sides n give equal outputs, one row of cells per rule.

    rows: rule -> {n: whether both windows give the same size}. marked: n -> a word for it.
    """
    for place, (_, same) in enumerate(rows.items()):
        for n, equal in same.items():
            face = "#0072B2" if equal else "white"
            ax.add_patch(Rectangle((n - 0.5, place), 1, 0.8, facecolor=face, edgecolor="#888888", lw=0.5))
    sides = list(next(iter(rows.values())))
    for n, word in marked.items():
        ax.annotate(
            f"{n}\n{word}",
            (n, -0.02),
            (0, 8),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=9,
            arrowprops={"arrowstyle": "-", "color": NEUTRAL, "shrinkB": 0},
        )
    ax.set_xlim(min(sides) - 1, max(sides) + 1)
    ax.set_ylim(len(rows), -1.0)
    ax.set_yticks([i + 0.4 for i in range(len(rows))], list(rows))
    ax.xaxis.set_major_locator(MultipleLocator(5))
    ax.set_xlabel("side n of the input")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)


# --- shifts --------------------------------------------------------------------------------------


def draw_changes(ax: Axes, groups: Mapping[str, Mapping[str, Sequence[float]]], title: str) -> None:
    """The change under a shift, group by group: the mean over images and its 95% interval.

    groups: group -> series -> one value per image.
    """
    names = list(next(iter(groups.values())))
    for k, name in enumerate(names):
        color, _, marker = SERIES[k]
        offset = 0.18 * (k - (len(names) - 1) / 2)
        for place, series in enumerate(groups.values()):
            values = series[name]
            mean, error = statistics.fmean(values), 1.96 * statistics.stdev(values) / len(values) ** 0.5
            ax.errorbar(
                place + offset,
                mean,
                error,
                color=color,
                marker=marker,
                markersize=7,
                capsize=4,
                linestyle="none",
                label=name if place == 0 else None,
            )
            ax.annotate(
                f"{mean:.2f}",
                (place + offset, mean),
                (-9 if k == 0 else 9, 0),
                textcoords="offset points",
                ha="right" if k == 0 else "left",
                va="center",
                fontsize=9,
            )
    ax.set_xticks(range(len(groups)), list(groups))
    ax.set_xlim(-0.6, len(groups) - 0.4)
    ax.set_ylim(0, 1.25 * ax.get_ylim()[1])
    ax.set_ylabel("change of the pooled maps\n(share of their own variation)")
    ax.set_title(title)
    ax.grid(axis="y", color=NEUTRAL, alpha=0.15)
    ax.legend(frameon=False, loc="upper right", fontsize=9)


def draw_shifted(ax: Axes, cells: Sequence[Mapping[str, Any]], title: str) -> None:
    """Share of predictions that change with the shift: the mean over seeds, each seed as a mark."""
    for cell, (color, line, marker) in zip(cells, SERIES, strict=False):
        shifts = sorted(cell["runs"][0]["shifted"], key=int)
        places = [int(s) for s in shifts]
        rows = [[run["shifted"][s] for run in cell["runs"]] for s in shifts]
        means = [statistics.fmean(row) for row in rows]
        ax.plot(places, means, color=color, linestyle=line, linewidth=1.8)
        for place, row in zip(places, rows, strict=True):
            ax.plot([place] * len(row), row, linestyle="", marker=marker, color=color, alpha=0.7)
        ax.plot([], [], color=color, linestyle=line, marker=marker, label=cell["title"])
    ax.xaxis.set_major_locator(MultipleLocator(1))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_ylim(0, 1.12 * ax.get_ylim()[1])
    ax.set_xlabel("shift (pixels)")
    ax.set_ylabel("test images whose prediction changes")
    ax.set_title(title)
    ax.grid(color=NEUTRAL, alpha=0.15)
    ax.legend(frameon=False, fontsize=9, loc="upper left")


# --- one error against the other -------------------------------------------------------------------


FIRST_SHOWN = 0.33  # training error from which on the gaps are drawn


def draw_gap_against_training(ax: Axes, cells: Sequence[Mapping[str, Any]], drop: float, title: str) -> None:
    """Each seed's way through (training error, test error − training error), from right to left.

    drop: the epoch after which the rate falls; an open mark there, a filled one at the end.
    """
    for cell, (color, line, marker) in zip(cells, SERIES, strict=False):
        for run in cell["runs"]:
            curve = run["curve"]
            x = curve["train_error"]
            y = [test - train for test, train in zip(curve["test_error"], x, strict=True)]
            start = next((i for i, value in enumerate(x) if value <= FIRST_SHOWN), len(x) - 1)
            ax.plot(x[start:], y[start:], color=color, linestyle=line, linewidth=1.4, alpha=0.7)
            before = sum(epoch <= drop for epoch in curve["epoch"]) - 1
            for i, face in ((before, "white"), (len(x) - 1, color)):
                ax.plot(x[i], y[i], marker=marker, markersize=7, color=color, markerfacecolor=face)
        ax.plot([], [], color=color, linestyle=line, marker=marker, label=cell["title"])
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel(WORDS["train_error"])
    ax.set_ylabel(WORDS["gap"])
    ax.set_title(title)
    ax.grid(color=NEUTRAL, alpha=0.15)
    ax.legend(frameon=False, fontsize=9, loc="upper right")
