"""Lesson 07, kernels: sheets of kernels, what two columns share, and what excites a unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike
from torch import Tensor

from alexnet_edu.data.augment import Preparation
from alexnet_edu.data.images import Images
from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing, PictureWidget, choice, explorer, slider
from alexnet_edu.show.plots import BLUE, NEUTRAL, ORANGE, frame, heading
from alexnet_edu.studies.kernels import (
    SCALES,
    Field,
    colour_share,
    column_differences,
    excited,
    fields,
    pictures,
    tuning,
)
from alexnet_edu.studies.networks import Network
from alexnet_edu.studies.record import Record
from alexnet_edu.studies.specialization import Kernels
from alexnet_edu.studies.statistics import p_text

PER_ROW = 16  # kernels in a row, as in Figure 3 and shownet.py
COLUMN_WORDS = ("first column", "second column")
COLUMN_COLORS, COLUMN_MARKERS = (BLUE, ORANGE), ("o", "^")
ORDERS = {
    "learned": "as they lie in the file",
    "colour": "by colour share",
    "frequency": "by frequency",
    "orientation": "by direction",
}
EXCITED = 12  # images shown for a unit

# --- pictures --------------------------------------------------------------------------------


def draw_sheet(ax: Axes, colours: Tensor, title: str = "", columns: int = PER_ROW) -> None:
    """Pictures of kernels side by side. colours: (K, h, w, 3), 0–1; `columns` of them in a row."""
    plots.images(ax, 255 * colours.permute(0, 3, 1, 2), title, columns=columns)


def draw_tuning(
    ax: Any, frequency: ArrayLike, orientation: ArrayLike, colour: ArrayLike, columns: Sequence[slice]
) -> Any:
    """Kernels in a half disc: distance from the middle is the frequency, the angle that of the stripes.

    frequency: (K,) cycles a pixel; orientation: (K,) degrees; colour: (K,) 0–1, the shade of the mark.
    ax: polar. columns: which kernels belong to each column. Returns the last marks, for a colour bar.
    """
    angle, r, shade = np.deg2rad(np.asarray(orientation)), np.asarray(frequency), np.asarray(colour)
    look: dict[str, Any] = {"cmap": "viridis", "vmin": 0, "vmax": 1, "s": 46, "linewidths": 0.5}
    marks: Any = None
    for part, marker, words in zip(columns, COLUMN_MARKERS, COLUMN_WORDS, strict=False):
        label = words if len(columns) > 1 else None
        marks = ax.scatter(
            angle[part], r[part], c=shade[part], marker=marker, edgecolors=NEUTRAL, label=label, **look
        )
    most = max(0.3, 1.08 * float(r.max()))
    ax.set(thetamin=0, thetamax=180, ylim=(0, most))
    ax.set_thetagrids(range(0, 181, 45))
    ax.set_rgrids([tick / 10 for tick in range(1, 8) if tick / 10 < most], angle=0)
    ax.tick_params(axis="y", labelsize=8, pad=1)
    return marks


def draw_colour_counts(ax: Axes, values: Sequence[ArrayLike], chance: float | None = None) -> None:
    """How many kernels of each column have which colour share: one (K,) for each column, 0–1."""
    shares = [np.asarray(each) for each in values]
    labels = [f"{words} (mean {s.mean():.2f})" for words, s in zip(COLUMN_WORDS, shares, strict=False)]
    colors = list(COLUMN_COLORS[: len(shares)])
    ax.hist(shares, np.linspace(0, 1, 11).tolist(), color=colors, label=labels, rwidth=0.85)  # side by side
    for share, color, line in zip(shares, colors, ("-", "--"), strict=False):
        ax.axvline(float(share.mean()), color=color, linestyle=line, linewidth=2)
    if chance is not None:
        ax.axvline(chance, 0, 0.75, color=NEUTRAL, linestyle=":", linewidth=1.5, label="random weights")
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.3 * ax.get_ylim()[1])  # room for the legend
    ax.legend(loc="upper right")


def draw_null(ax: Axes, null: ArrayLike, own: float, words: str) -> None:
    """Differences of permuted columns, (permutations,), and the network's own."""
    drawn = np.asarray(null)
    edges = np.linspace(0, 1.08 * max(float(drawn.max()), own), 40)
    plots.histogram(ax, np.histogram(drawn, edges)[0], edges, color="#9A9A9A")
    ax.axvline(own, 0, 0.85, color=ORANGE, linewidth=2.5, label=words)
    ax.set_ylim(0, 1.35)  # room for the legend
    ax.legend(loc="upper right")


def draw_conditions(ax: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """One row a condition: each network's difference, their mean, and where chance would put the mean.

    rows: with "title", "differences" and "clear" (p < 0.05 alone) of each network, "mean", "low", "high".
    """
    dot: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 5}
    clear_dot, dot = dot | {"color": ORANGE}, dot | {"color": "white", "markeredgecolor": NEUTRAL}
    for i, row in enumerate(rows):
        values, clear = np.asarray(row["differences"]), np.asarray(row["clear"], bool)
        heights = i + 0.44 * (np.linspace(0, 1, len(values)) - 0.5)
        size = row["high"] - row["low"], 0.72
        ax.add_patch(Rectangle((row["low"], i - 0.36), *size, color="#D9D9D9", zorder=1))
        ax.plot(values[~clear], heights[~clear], **dot)
        ax.plot(values[clear], heights[clear], **clear_dot)
        ax.plot([row["mean"]] * 2, [i - 0.4, i + 0.4], color=BLUE, linewidth=3)
    ax.plot([], [], label="a network", **dot)
    ax.plot([], [], label="a network with p < 0.05 of its own", **clear_dot)
    ax.plot([], [], color=BLUE, linewidth=3, label="mean of the networks")
    ax.add_patch(Rectangle((0, 0), 0, 0, color="#D9D9D9", label="95% of such means by chance"))
    plots.rows(ax, [row["title"] for row in rows])
    ax.set_xlim(left=0)
    ax.legend(loc="upper center", bbox_to_anchor=(0.45, -0.12), ncols=4)


def draw_over_training(ax: Axes, ratios: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> None:
    """Mean difference over the mean by chance, against epochs: title -> (epochs, ratios)."""
    plots.lines(ax, ratios)
    plots.level(ax, 1, line="-")
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.legend()


# --- kernels over the training ------------------------------------------------------------------


def training_explorer(network: Network, **start: Any) -> PictureWidget:
    """The first kernels at several steps of the training, each column by itself, in one order for all steps.

    Raises ValueError for a network that kept no earlier kernels.
    """
    if len(network.snapshots) < 2:
        raise ValueError(f"{network.name!r} has no kernels from the time of its training")
    steps = {step: f"{step:,}" for step in network.snapshots}
    middle = list(steps)[len(steps) // 2]
    last = tuning(network.snapshots[max(steps)])

    def draw(
        step: int = slider("Step", steps, middle, "updates of the weights so far"),
        scale: str = choice("Scale", SCALES, "each", "what black and white mean"),
        order: str = choice("Order", ORDERS, "learned", "of the kernels"),
    ) -> Drawing:
        kernels = network.snapshots[step]
        places = torch.arange(len(kernels)) if order == "learned" else getattr(last, order).argsort()
        return _draw_columns(kernels, network.columns, places, scale, step)

    return explorer(draw, **start)


def _draw_columns(kernels: Tensor, columns: int, order: Tensor, scale: str, step: int) -> Drawing:
    """order: (K,), how the kernels are sorted within their columns."""
    parts = column_slices(len(kernels), columns)
    figure, grid = plots.panels(columns, 1, height=1.9 * columns)
    colours, share = pictures(kernels, scale), colour_share(kernels)
    titles = []
    for (ax,), part, words in zip(grid, parts, COLUMN_WORDS, strict=False):
        places = order[(order >= part.start) & (order < part.stop)]
        titles.append(f"{words}: colour share {share[part].mean():.2f} on the mean")
        draw_sheet(ax, colours[places], titles[-1])
    heading(figure, f"after {step:,} updates of the weights")
    return figure, f"{len(kernels)} kernels after {step:,} updates; {'; '.join(titles)}."


def column_slices(kernels: int, columns: int) -> list[slice]:
    """Which kernels belong to each column: [0–47, 48–95] for 96 and 2."""
    size = kernels // columns
    return [slice(i * size, (i + 1) * size) for i in range(columns)]


# --- do columns divide colour between them? -------------------------------------------------------


def specialization_explorer(record: Record, kernels: Kernels, **start: Any) -> PictureWidget:
    """The two columns of any network of the recorded study, and how they would differ by chance.

    A seed that the condition does not have counts as its last one.
    """
    conditions = record.tables["conditions"]
    titles = dict(zip(conditions["variant"], conditions["title"], strict=True))
    seeds = range(1, max(max(kernels[name]) for name in titles) + 1)

    def draw(
        condition: str = choice("Condition", titles, "paper", "how the networks were made"),
        seed: int = slider("Seed", seeds, 1, "which network; each was drawn and trained anew"),
    ) -> Drawing:
        seed = min(seed, max(kernels[condition]))
        return _draw_network(record.of(variant=condition, seed=seed), kernels[condition][seed])

    return explorer(draw, **start)


def _draw_network(record: Record, kernels: Tensor) -> Drawing:
    """record: of this network alone."""
    run, permutations = record.runs.iloc[0], record.settings["permutations"]
    seed = int(run["seed"])
    test = record.rows("columns", measure="colour").iloc[0]
    shares = (test["first"], test["second"])
    actual, null = column_differences(colour_share(kernels), None, permutations, seed)
    figure, ((*sheets, right),) = plots.panels(1, 3, 3.5, width_ratios=[1, 1, 1.15])
    colours = pictures(kernels, "each")
    for ax, where, mean, words in zip(
        sheets, column_slices(len(kernels), 2), shares, COLUMN_WORDS, strict=True
    ):
        draw_sheet(ax, colours[where], f"{words}: colour share {mean:.2f}", columns=6)
    shown = p_text(test["p"], permutations)
    draw_null(right, null, actual, f"this network: {actual:.3f} (p {shown})")
    frame(right, "difference of the columns by chance", "|difference of the mean colour shares|")
    title = f"{run['title']}, seed {seed}: test error {run['test_error']:.1%} (recorded)"
    heading(figure, title)
    return figure, f"{title}: colour shares {shares[0]:.2f} and {shares[1]:.2f}, p {shown}."


# --- what excites a unit --------------------------------------------------------------------------


def excitation_explorer(
    network: Network, images: Images, *, device: str = "cpu", **start: Any
) -> PictureWidget:
    """The images that excite a unit most, each with the square of pixels that the unit saw.

    images: those that are searched. A unit beyond the last of the layer counts as the last. Each layer is
    computed when it is first chosen.
    """
    squares, names = fields(network), network.layers
    responses = cache(lambda name: excited(network, images.pixels, name, device=device))
    second = names[min(1, len(names) - 1)]
    units = range(max(responses(second).strength.shape[1], 256))

    def draw(
        layer: str = choice("Layer", names, second, "whose units are looked at"),
        unit: int = slider("Unit", units, 0, "or kernel, from 0"),
    ) -> Drawing:
        of_layer = responses(layer)
        unit = min(unit, of_layer.strength.shape[1] - 1)
        order = of_layer.best(unit, EXCITED).tolist()
        figure, grid = plots.panels(2, EXCITED // 2, height=3.6)
        for i, ax in zip(order, (ax for row in grid for ax in row), strict=False):
            name = images.classes[int(images.labels[i])]
            plots.images(ax, images.pixels[i], f"{name}, {of_layer.strength[i, unit]:.1f}")
            place = int(of_layer.row[i, unit]), int(of_layer.column[i, unit])
            _draw_field(ax, squares.get(layer), place, network, images.pixels.shape[2])
        classes = [images.classes[int(images.labels[i])] for i in order]
        counts = ", ".join(f"{classes.count(name)} × {name}" for name in dict.fromkeys(classes))
        note = ", synthetic stand-in" if images.synthetic else ""
        title = f"{layer}, unit {unit} of {of_layer.strength.shape[1]}: "
        title += f"the {len(order)} of {len(images):,} test images{note} that excite it most"
        heading(figure, title)
        return figure, f"{title}: {counts}."

    return explorer(draw, notice="computing …", **start)


def _draw_field(ax: Axes, field: Field | None, place: tuple[int, int], network: Network, side: int) -> None:
    """The square of pixels that an output sees, where it is known: the network takes the image's middle."""
    if field is None or not isinstance(network.prepare, Preparation):
        return
    border = (side - network.prepare.side) // 2
    top, left, bottom, right = field.box(*place, network.prepare.side)
    plots.box(ax, top + border, left + border, bottom - top, right - left)
