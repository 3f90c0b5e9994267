"""The project's drawings: numbers in, marks on the given `Axes` out; what is special stands in its lesson.

Series are told apart by colour, line and marker, for greyscale and for readers who do not see all colours.
Importing this module switches to the project's style sheet, `alexnet.mplstyle`.
"""

from __future__ import annotations

import base64
import io
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.ticker import Formatter, MaxNLocator
from numpy.typing import ArrayLike

STYLE_SHEET = Path(__file__).with_name("alexnet.mplstyle")
matplotlib.style.use(STYLE_SHEET)

# --- style -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Style:
    """How one series is drawn in every figure."""

    color: str
    line: Any = "-"
    marker: str = "o"
    label: str = ""

    def kwargs(self) -> dict[str, Any]:
        """Arguments for `Axes.plot`; the marker is left to the caller."""
        return {"color": self.color, "linestyle": self.line, "label": self.label}


NEUTRAL = "#4D4D4D"  # what is compared with, and what belongs to no series
BLUE, ORANGE, GREEN, PINK, YELLOW, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
# The first is what the others are compared with.
SERIES = (
    Style(NEUTRAL, "-", "o"),
    Style(BLUE, "--", "s"),
    Style(ORANGE, "-.", "^"),
    Style(GREEN, ":", "D"),
    Style(PINK, (0, (5, 1, 1, 1, 1, 1)), "v"),
    Style(YELLOW, (0, (3, 1)), "P"),
    Style(SKY, (0, (1, 1)), "X"),
    Style("#000000", (0, (6, 2)), "*"),
)
# Solid for ReLU and dashed for tanh, as in Figure 1 of the paper.
STYLES = {
    "relu": Style(BLUE, "-", "o", "ReLU"),
    "tanh": Style(ORANGE, "--", "s", "tanh"),
    "sigmoid": Style(GREEN, "-.", "^", "sigmoid"),
    "abs-tanh": Style(PINK, ":", "D", "|tanh|"),
}
WORDS = {
    "test_error": "test error",
    "train_error": "training error",
    "validation_error": "validation error",
    "gap": "test error − training error",
}
FONT_SIZE = 10  # points, 14 pixels
TITLE_WIDTH = 120  # characters of a line of the title of a figure
WIDTH, DPI = 9.0, 100  # of a widget's picture: 900 pixels
BEHIND_WORDS = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0}


def styled(names: Iterable[str], styles: Sequence[Style] | Mapping[str, Style] = SERIES) -> list[Style]:
    """A style for each name: its own, or the one of its place."""
    if isinstance(styles, Mapping):
        return [styles[name] for name in names]
    return [styles[place % len(styles)] for place, _ in enumerate(names)]


# --- figures and axes --------------------------------------------------------------------------


def panels(rows: int, columns: int, height: float, **grid: Any) -> tuple[Figure, list[list[Axes]]]:
    """A figure of its own with rows × columns empty axes; height in inches. grid: as `Figure.subplots`.

    pyplot would keep every figure alive until it is closed; this one goes when it is dropped.
    """
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **grid)
    return figure, [list(row) for row in axes]


def mosaic(layout: Sequence[Sequence[str]], height: float, **grid: Any) -> tuple[Figure, dict[str, Axes]]:
    """As `panels`, with axes by name: a name that stands several times in the layout spans them."""
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    return figure, figure.subplot_mosaic([list(row) for row in layout], **grid)


def heading(figure: Figure, text: str) -> None:
    """The title of a whole figure, at its left."""
    figure.suptitle(text, x=0.012, ha="left", fontsize=FONT_SIZE)


def show(figure: Figure, sentence: str) -> None:
    """Shows a figure in a notebook. sentence: its title, unless it has one, and its alternative text.

    What is saved holds the sentence too, so a reader who cannot see the figure is told what it says.
    """
    from IPython.display import display

    picture = {"image/png": base64.b64encode(png(figure, sentence)).decode(), "text/plain": sentence}
    display(picture, metadata=alternative(sentence), raw=True)


def png(figure: Figure, sentence: str) -> bytes:
    """A figure as PNG, with the sentence as its title unless it has one; pyplot lets go of it."""
    if not figure.get_suptitle():
        heading(figure, textwrap.fill(sentence, TITLE_WIDTH))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor="white")
    if "matplotlib.pyplot" in sys.modules:  # which would show it once more
        sys.modules["matplotlib.pyplot"].close(figure)
    return buffer.getvalue()


def alternative(sentence: str) -> dict[str, dict[str, str]]:
    """Metadata of a saved output that make the sentence the alternative text of its picture."""
    return {"image/png": {"alt": sentence}}


def frame(
    ax: Axes,
    title: str = "",
    x: str = "",
    y: str = "",
    *,
    percent: str = "",
    grid: str = "",
    legend: str | None = None,
    **options: Any,
) -> None:
    """Title, labels and what else axes need.

    percent: axes ("x", "y", "xy") on which shares (0–1) are shown in percent. grid: axes with grid lines.
    legend: its place, such as "upper left", "below" or "right of" the axes; options are passed to it.
    """
    ax.set_title(title)
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    for axis in percent:
        {"x": ax.xaxis, "y": ax.yaxis}[axis].set_major_formatter(percent_tick)
    for axis in grid:
        ax.grid(axis=axis)  # type: ignore[arg-type]
    outside = {
        "below": {"loc": "upper center", "bbox_to_anchor": (0.5, -0.17)},
        "right of": {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)},
    }
    if legend is not None:
        ax.legend(**(outside.get(legend, {"loc": legend}) | options))


def percent_tick(share: float, _: object = None) -> str:
    """A share (0–1) in percent with as many digits as it needs: 27.5%, 27%."""
    return f"{100 * share:.6g}%"


def level(ax: Axes, value: float, words: str = "", *, axis: str = "y", line: str = ":") -> None:
    """A thin line across the axes, with words at its start: chance, a limit, a number of the paper."""
    (ax.axhline if axis == "y" else ax.axvline)(value, color=NEUTRAL, linewidth=0.9, linestyle=line)
    if words and axis == "y":
        note(ax, words, (0, value), (4, 3), xycoords=("axes fraction", "data"), color=NEUTRAL)
    elif words:
        note(ax, words, (value, 1), (4, -10), xycoords=("data", "axes fraction"), color=NEUTRAL)


def note(
    ax: Axes, words: str, at: tuple[float, float], offset: tuple[float, float] = (0, 0), **options: Any
) -> None:
    """Small words at a point of the data, moved by `offset` points. options: for `Axes.annotate`."""
    ax.annotate(words, at, offset, textcoords="offset points", **({"fontsize": 9} | options))


# --- kinds of picture ----------------------------------------------------------------------------


def per_seed(frame: Any, x: str, y: str, by: str = "title") -> dict[str, tuple[Any, Any]]:
    """Series for `lines` from a tidy table: name -> (values of x (P,), values of y (seeds, P)).

    frame: a pandas table with a column "seed"; by: the column that names the series.
    """
    tables = {
        name: part.pivot(index="seed", columns=x, values=y)
        for name, part in frame.groupby(by, sort=False, observed=True)
    }
    return {name: (table.columns.to_numpy(), table.to_numpy(float)) for name, table in tables.items()}


def learning_curves(ax: Axes, curves: Any, what: str, title: str = "") -> None:
    """One column of a record's table "curves", the mean over seeds, with their span as a band."""
    lines(ax, per_seed(curves, "epoch", what))
    words = WORDS.get(what, what)
    frame(ax, title, "epochs", words, percent="y", grid="xy", legend="best")


def last_errors(ax: Axes, runs: Any, what: str, title: str = "") -> None:
    """One column of a record's table "runs": a mark for each seed, a bar at the mean."""
    strip(ax, {name: part[what] for name, part in runs.groupby("title", sort=False)})
    frame(ax, title, WORDS.get(what, what), percent="x")


def lines(
    ax: Axes,
    series: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    spread: str = "band",
    markers: bool = True,
    styles: Sequence[Style] | Mapping[str, Style] = SERIES,
    **options: Any,
) -> None:
    """Curves over an axis: name -> (x (P,), y (P,) or (runs, P)).

    Of several runs the mean is drawn, where every run has a value; spread says how the runs are shown:
    "band" from the lowest to the highest, "marks" for each, or "". options: for `Axes.plot`.
    """
    for (name, (x, y)), style in zip(series.items(), styled(series, styles), strict=True):
        x, runs = np.asarray(x, float), np.atleast_2d(np.asarray(y, float))
        look = {"marker": style.marker if markers else "", "markevery": max(1, len(x) // 12), "markersize": 4}
        if len(runs) > 1 and spread == "band":
            ax.fill_between(x, runs.min(0), runs.max(0), color=style.color, alpha=0.15, linewidth=0)
        elif len(runs) > 1 and spread == "marks":
            places = np.broadcast_to(x, runs.shape)
            ax.plot(places.ravel(), runs.ravel(), style.marker, color=style.color, alpha=0.4, markersize=5)
        ax.plot(x, runs.mean(0), **(style.kwargs() | look | {"label": name} | options))


def strip(
    ax: Axes,
    groups: Mapping[str, ArrayLike],
    *,
    form: str = "{:.1%}",
    upright: bool = False,
    styles: Sequence[Style] | Mapping[str, Style] = SERIES,
) -> None:
    """A mark for each value (a seed, a network) and a bar with words at the mean, one line a group.

    upright: groups stand side by side, values go upwards. form: of the words, "" for none.
    """
    for place, (values, style) in enumerate(zip(groups.values(), styled(groups, styles), strict=True)):
        marks = np.asarray(values, float)
        mean, level_of = float(marks.mean()), np.full(len(marks), float(place))
        words = Formatter.fix_minus(form.format(mean))
        bar, across = np.array([mean, mean]), place + np.array([-0.28, 0.28])
        look: dict[str, Any] = {"linestyle": "", "marker": style.marker, "color": style.color, "alpha": 0.75}
        if upright:
            ax.plot(level_of, marks, **look)
            ax.plot(across, bar, color=style.color, linewidth=2.5)
            note(ax, words, (place + 0.28, mean), (4, 0), va="center")
        else:
            ax.plot(marks, level_of, **look)
            ax.plot(bar, across, color=style.color, linewidth=2.5)
            note(ax, words, (mean, place - 0.3), ha="center", va="bottom")
    rows(ax, list(groups), upright=upright)
    if upright:
        ax.margins(y=0.12)
    else:
        ax.margins(x=0.12)


def rows(ax: Axes, names: Sequence[str], *, upright: bool = False) -> None:
    """Names the lines of a picture, the first on top; upright: from left to right."""
    if upright:
        ax.set_xticks(range(len(names)), names)
        ax.set_xlim(-0.5, len(names) - 0.35)
    else:
        ax.set_yticks(range(len(names)), names)
        ax.set_ylim(len(names) - 0.4, -0.75)


def intervals(
    ax: Axes,
    values: Mapping[str, tuple[float, float, float]],
    *,
    filled: Iterable[str] | None = None,
    form: str = "",
    upright: bool = False,
    shift: float = 0.0,
    style: Style = SERIES[1],
    label: str | None = None,
) -> None:
    """A mark and a bar from low to high for each name: (value, low, high).

    filled: names whose mark is filled, all if None; the others are open. form: of words beside the mark.
    shift: moves the marks across, so that two series can stand side by side.
    """
    marked = set(values if filled is None else filled)
    for place, (name, (value, low, high)) in enumerate(values.items()):
        at, color = place + shift, style.color if name in marked else NEUTRAL
        bar, point = ([low, high], [at, at]), (value, at)
        if upright:
            bar, point = bar[::-1], point[::-1]
        ax.plot(*bar, color=color, linewidth=2)
        face = color if name in marked else "white"
        ax.plot(*point, style.marker, color=color, markersize=8, markerfacecolor=face, linestyle="none")
        if form:
            note(ax, Formatter.fix_minus(form.format(value)), point, (8, 6))
    ax.plot([], [], style.marker, color=style.color, label=label)
    rows(ax, list(values), upright=upright)


def bars(
    ax: Axes,
    values: Mapping[str, float],
    *,
    colors: str | Sequence[str] = SKY,
    words: Sequence[str] | None = None,
    hatches: Sequence[str] | None = None,
) -> None:
    """A horizontal bar for each name, the first on top, with words behind it."""
    every = [colors] * len(values) if isinstance(colors, str) else list(colors)
    drawn = ax.barh(range(len(values)), list(values.values()), color=every, edgecolor=NEUTRAL, linewidth=0.6)
    for bar, hatch in zip(drawn, hatches or (), strict=False):
        bar.set_hatch(hatch)
    if words is not None:
        ax.bar_label(drawn, words, padding=3, fontsize=FONT_SIZE - 1)
    rows(ax, list(values))
    ax.set_ylim(len(values) - 0.4, -0.6)


def images(ax: Axes, pixels: Any, title: str = "", *, columns: int = 8) -> AxesImage:
    """An image (3, H, W), or a sheet of them (N, 3, H, W), `columns` in a row; values 0–255.

    Values of any type; what lies outside is shown as 0 or 255.
    """
    values = np.clip(np.asarray(pixels, float), 0, 255).round().astype(np.uint8)
    if values.ndim == 4:
        import torch  # takes seconds, which no other picture needs
        from torchvision.utils import make_grid  # type: ignore[import-untyped]

        sheet = make_grid(torch.from_numpy(values), nrow=columns, padding=1, pad_value=255)
        values = sheet.numpy()
    shown = ax.imshow(values.transpose(1, 2, 0))
    bare(ax)
    ax.set_title(title)
    return shown


def bare(ax: Axes) -> None:
    """No ticks and no frame."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)


def box(ax: Axes, top: float, left: float, height: float, width: float, *, line: str = "-") -> None:
    """The border of a part of an image, in pixels; seen on light and on dark images."""
    for color, thickness in (("black", 3.2), ("white", 1.4)):
        place = (left - 0.5, top - 0.5)
        ax.add_patch(
            Rectangle(place, width, height, fill=False, edgecolor=color, linewidth=thickness, linestyle=line)
        )


def histogram(
    ax: Axes,
    counts: ArrayLike,
    edges: ArrayLike,
    *,
    color: str = BLUE,
    shaded: Sequence[tuple[float, float]] = (),
) -> None:
    """Counts (B,) over edges (B + 1,) as a filled outline with its peak at 1; only the shape matters.

    shaded: intervals of the x axis to shade, whose ends may be infinite.
    """
    heights, at = np.asarray(counts, float), np.asarray(edges, float)
    low, high = float(at[0]), float(at[-1])
    for start, stop in np.clip(np.asarray(shaded, float).reshape(-1, 2), low, high):
        if start < stop:
            ax.axvspan(start, stop, color="#E0E0E0", linewidth=0, zorder=0)
    ax.stairs(heights / max(heights.max(), 1), at, fill=True, color=color, alpha=0.55)
    ax.stairs(heights / max(heights.max(), 1), at, color=color, linewidth=1.2)
    ax.set_xlim(low, high)
    ax.set_ylim(0, 1.08)
    ax.set_yticks([])
    ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter("{x:g}")


# --- numbers in words -----------------------------------------------------------------------------


def short(value: float) -> str:
    """Two significant digits, the way a reader writes them: 0.074, 93, 760, 5.1×10⁻⁵."""
    rounded = float(f"{value:.2g}")
    if rounded == 0 or 1e-3 <= abs(rounded) < 1e5:
        return f"{rounded:g}"
    mantissa, exponent = f"{rounded:e}".split("e")
    return f"{float(mantissa):g}×{power_of_ten(int(exponent))}"


def power_of_ten(exponent: float) -> str:
    """10⁻³ for −3, in plain characters: quicker to draw than mathematical text."""
    return "10" + f"{exponent:g}".translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
