"""Lesson 07, kernels: sheets of kernels, how they grow, what two columns share, what excites a unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike
from torch import Tensor

from alexnet_edu.data.augment import Preparation
from alexnet_edu.data.images import Images
from alexnet_edu.environment import weights_dir
from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing, PictureWidget, choice, explorer, slider
from alexnet_edu.show.plots import BLUE, NEUTRAL, ORANGE, frame, heading
from alexnet_edu.studies import specialization
from alexnet_edu.studies.kernels import (
    CHANCE_COLOUR,
    COLOURED,
    GREY,
    SCALES,
    STRIPED,
    Field,
    colour_share,
    column_differences,
    excited,
    fields,
    kinds,
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

# --- the lesson's figures ----------------------------------------------------------------------


SMOOTH = 0.15  # cycles per pixel, below which a kernel without a direction counts as a blob


def sheets(network: Network) -> Drawing:
    """The first kernels of a network of two columns, a sheet for each column, as in Figure 3."""
    kernels = network.kernels
    colours, order = pictures(kernels, "each"), torch.arange(len(kernels))
    figure = _draw_columns(colours, COLUMN_WORDS[: network.columns], order)
    above = ", one column above the other" if network.columns > 1 else ""
    striped, blobs = (share.double().mean() for share in stripes_and_blobs(kernels))
    return figure, (
        f"{len(kernels)} learned kernels of {kernels.shape[2]}×{kernels.shape[3]} pixels{above}: "
        f"{striped:.0%} are stripes of one direction, {blobs:.0%} are coloured blobs."
    )


def stripes_and_blobs(kernels: Tensor) -> tuple[Tensor, Tensor]:
    """Which kernels prefer one direction; which are coloured, smooth, and prefer none: (K,) bool both.

    `studies.kernels.kinds` does not ask for smoothness, so that noise counts as a blob there.
    """
    each = tuning(kernels)
    striped = (each.selectivity >= STRIPED) & (each.frequency > 0)
    return striped, ~striped & (each.colour > COLOURED) & (each.frequency < SMOOTH)


def draw_sheet(ax: Axes, colours: Tensor, title: str = "", columns: int = PER_ROW) -> None:
    """Pictures of kernels side by side. colours: (K, h, w, 3), 0–1; `columns` of them in a row."""
    plots.images(ax, 255 * colours.permute(0, 3, 1, 2), title, columns=columns)


FILMED = 16  # kernels of a film


def film(snapshots: Mapping[int, Tensor], images: Images) -> Drawing:
    """The strongest kernels at some steps of a training, a row each. snapshots: step -> (K, 3, h, w)."""
    first, last = min(snapshots), max(snapshots)
    strongest = tuning(snapshots[last]).norm.argsort(descending=True)[:FILMED]
    colours = torch.cat([pictures(kernels[strongest], "each") for kernels in snapshots.values()])
    figure, ((ax,),) = plots.panels(1, 1, height=0.7 + 0.46 * len(snapshots))
    draw_sheet(ax, colours, columns=len(strongest))
    side = colours.shape[1] + 1
    counts = {step: int(stripes_and_blobs(kernels)[0].sum()) for step, kernels in snapshots.items()}
    words = [f"{step:,} steps: {striped} striped" for step, striped in counts.items()]
    ax.set_yticks([0.5 + side * (row + 0.5) for row in range(len(words))], words)
    ax.tick_params(axis="y", length=0)
    return figure, (
        f"From noise to stripes: {counts[first]} of {len(snapshots[first])} kernels prefer one direction "
        f"before training, {counts[last]} after {last:,} steps (the strongest are shown).{images.caveat}"
    )


def tuned(network: Network) -> Drawing:
    """Frequency, direction and colour of the kernels: a half disc, and colour against frequency."""
    each, parts = tuning(network.kernels), kinds(network.kernels)
    columns = column_slices(len(network.kernels), network.columns)
    polar = {"left": {"projection": "polar"}}
    figure, axes = plots.mosaic([["left", "right"]], 3.6, per_subplot_kw=polar, width_ratios=(1.1, 1))
    draw_tuning(axes["left"], each.frequency, each.orientation, columns)
    axes["left"].set_title("direction of the stripes; outwards: cycles per pixel", pad=0)
    for part, marker, color, words in zip(columns, COLUMN_MARKERS, COLUMN_COLORS, COLUMN_WORDS, strict=False):
        axes["right"].plot(
            each.frequency[part], each.colour[part], marker, color=color, alpha=0.7, label=words
        )
    plots.level(axes["right"], CHANCE_COLOUR)
    at = (float(each.frequency.max()), CHANCE_COLOUR)
    plots.note(axes["right"], "mean of random weights", at, (0, 3), ha="right")
    axes["right"].set_ylim(-0.03, 1.03)
    frame(axes["right"], "", "frequency (cycles per pixel)", "colour share", legend="upper right")
    fine, coarse = parts["grey_frequency"], parts["coloured_frequency"]
    return figure, (
        f"Grey kernels see fine stripes, coloured ones see coarsely: median frequency {fine:.2f} cycles per "
        f"pixel below a colour share of {GREY:g}, {coarse:.2f} above {COLOURED:g}."
    )


def draw_tuning(ax: Any, frequency: Tensor, orientation: Tensor, columns: Sequence[slice]) -> None:
    """Kernels in a half disc: distance from the middle is the frequency, the angle that of the stripes.

    frequency: (K,) cycles per pixel; orientation: (K,) degrees. ax: polar. columns: which kernels are whose.
    """
    angle = torch.deg2rad(orientation)
    for part, marker, color in zip(columns, COLUMN_MARKERS, COLUMN_COLORS, strict=False):
        ax.plot(angle[part], frequency[part], marker, color=color, alpha=0.7, markersize=6)
    most = max(0.3, 1.08 * float(frequency.max()))
    ax.set(thetamin=0, thetamax=180, ylim=(0, most))
    ax.set_thetagrids(range(0, 181, 45))
    ax.set_rgrids([tick / 10 for tick in range(1, 8) if tick / 10 < most], angle=0)
    ax.tick_params(axis="y", labelsize=8, pad=1)


def columns_part(record: Record, guess: float | None = None) -> Drawing:
    """Each condition: how far the columns' colour shares lie apart, and which networks show it alone.

    guess: how many of the first condition's networks are clear, drawn into its row.
    """
    conditions = record.tables["conditions"]
    figure, ((left, right),) = plots.panels(1, 2, height=0.5 * len(conditions) + 1.4, width_ratios=(2, 1))
    dot: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 5}
    tests = [specialization.pooled_test(record, name) for name in conditions["variant"]]
    for i, (name, test) in enumerate(zip(conditions["variant"], tests, strict=True)):
        rows = record.rows("columns", variant=name, measure="colour")
        values, clear = np.asarray((rows["first"] - rows["second"]).abs()), np.asarray(rows["p"] < 0.05)
        heights = i + 0.5 * (np.linspace(0, 1, len(values)) - 0.5)
        left.add_patch(Rectangle((test.low, i - 0.36), test.high - test.low, 0.72, color="#D9D9D9", zorder=1))
        left.plot(values[~clear], heights[~clear], **dot, color="white", markeredgecolor=NEUTRAL)
        left.plot(values[clear], heights[clear], **dot, color=ORANGE)
        left.plot([test.mean] * 2, [i - 0.4, i + 0.4], color=BLUE, linewidth=3)
        right.barh(i, test.clear / test.networks, color=ORANGE, height=0.5)
        plots.note(right, f"{test.clear} of {test.networks}", (0.98, i), va="center", ha="right")
    left.plot([], [], **dot, color="white", markeredgecolor=NEUTRAL, label="a network")
    left.plot([], [], **dot, color=ORANGE, label="a network with p < 0.05 of its own")
    left.plot([], [], color=BLUE, linewidth=3, label="mean of the networks")
    left.add_patch(Rectangle((0, 0), 0, 0, color="#D9D9D9", label="95% of such means by chance"))
    plots.rows(left, list(conditions["title"]))
    plots.rows(right, [""] * len(conditions))
    left.set_xlim(left=0)
    right.set_xlim(0, 1)
    plots.level(right, 0.05, axis="x", line="--")
    if guess is not None:
        at = guess / tests[0].networks
        right.plot([at, at], [-0.4, 0.4], ":", color=plots.PINK, linewidth=2.5)
        plots.note(right, f"your guess: {guess:g}", (at, -0.42), (2, 2))
    frame(left, "", "difference of the columns' mean colour shares")
    frame(right, "", "clear networks (dashed: by chance)", percent="x")
    figure.legend(loc="outside lower center", ncols=4, fontsize=9)
    first = tests[0]
    shown = p_text(first.p, record.settings["permutations"])
    return figure, (
        f"With columns as in the paper, colour differs {first.mean / first.chance:.1f} times as much as by "
        f"chance (p {shown}), and clearly in {first.clear} of {first.networks} networks (recorded)."
    )


# --- what goes deeper ---------------------------------------------------------------------------


def two_scales(network: Network) -> Drawing:
    """One column, drawn in both ways of `shownet.py`."""
    part = column_slices(len(network.kernels), network.columns)[0]
    figure, grid = plots.panels(2, 1, height=4.2)
    for (ax,), scale, words in zip(grid, ("global", "each"), ("as they are", "--norm-filters"), strict=True):
        draw_sheet(ax, pictures(network.kernels[part], scale), words)
    norms = tuning(network.kernels[part]).norm
    return figure, (
        f"The same kernels twice: the strongest is {norms.max() / norms.min():.0f} times as large as the "
        "weakest, and only one of the pictures shows it."
    )


def measures(record: Record) -> Drawing:
    """How many times as far as by chance the columns lie apart, by other numbers of a kernel."""
    names = list(record.tables["pooled"]["measure"].unique())
    conditions = record.tables["conditions"]
    figure, (axes,) = plots.panels(
        1, len(names), height=0.4 * len(conditions) + 1.0, sharey=True, sharex=True
    )
    for ax, name in zip(axes, names, strict=True):
        for i, variant in enumerate(conditions["variant"]):
            test = specialization.pooled_test(record, variant, name)
            low, high = test.low / test.chance, test.high / test.chance
            ax.add_patch(Rectangle((low, i - 0.3), high - low, 0.6, color="#D9D9D9", zorder=1))
            clear, ratio = test.mean > test.high, test.mean / test.chance
            ax.plot(ratio, i, "o", color=ORANGE if clear else "white", markeredgecolor=NEUTRAL, markersize=7)
        plots.level(ax, 1, axis="x", line="-")
        frame(ax, name, "times chance")
    plots.rows(axes[0], list(conditions["title"]))
    first, apart = (
        {name: specialization.pooled_test(record, variant, name) for name in names}
        for variant in ("paper", "apart")
    )
    outside = [[name for name, test in each.items() if test.mean > test.high] for each in (first, apart)]
    beyond = [" and ".join(", ".join(names).rsplit(", ", 1)) or "nothing" for names in outside]
    return figure, (
        f"Beyond what chance allows (grey: 95%): {beyond[0]} with columns as in the paper; {beyond[1]} where "
        "they do not talk before the classifier (recorded)."
    )


def over_training(record: Record) -> Drawing:
    """The difference of the columns over that by chance, against epochs, of each condition."""
    figure, ((ax,),) = plots.panels(1, 1, height=4)
    curves = record.rows("pooled", measure="colour").query("epoch >= 0.5")
    titles = dict(record.tables["conditions"][["variant", "title"]].to_numpy())
    lines = {
        titles[name]: (rows["epoch"], rows["mean"] / rows["chance"])
        for name, rows in curves.groupby("variant", sort=False)
    }
    plots.lines(ax, lines)
    plots.level(ax, 1, line="-")
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter("{x:g}")
    frame(ax, "", "epochs (doubling)", "difference / difference by chance", legend="right of")
    start, *_, end = lines[titles["paper"]][1]
    return figure, (
        f"Columns as in the paper part early: {start:.1f} times chance after the first epoch, {end:.1f} at "
        "the end (recorded)."
    )


# --- kernels over the training ------------------------------------------------------------------


def training_explorer(network: Network, **start: Any) -> PictureWidget:
    """The first kernels at several steps of the training, column by column, all in one order and one scale.

    Raises ValueError for a network that kept no earlier kernels.
    """
    if len(network.snapshots) < 2:
        raise ValueError(f"{network.name!r} has no kernels from the time of its training")
    steps = {step: f"{step:,}" for step in network.snapshots}
    middle = list(steps)[len(steps) // 2]
    last = tuning(network.snapshots[max(steps)])
    every = torch.cat(list(network.snapshots.values()))

    def draw(
        step: int = slider("Step", steps, middle, "updates of the weights so far"),
        scale: str = choice("Scale", SCALES, "each", "what black and white mean"),
        order: str = choice("Order", ORDERS, "learned", "of the kernels"),
    ) -> Drawing:
        kernels = network.snapshots[step]
        colours = dict(zip(steps, pictures(every, scale).split(len(kernels)), strict=True))[step]
        shares = colour_share(kernels).view(network.columns, -1).mean(1)
        named = zip(COLUMN_WORDS, shares, strict=False)
        titles = [f"{words}: mean colour share {share:.2f}" for words, share in named]
        places = torch.arange(len(kernels)) if order == "learned" else getattr(last, order).argsort()
        figure = _draw_columns(colours, titles, places)
        heading(figure, f"after {step:,} updates of the weights")
        return figure, f"{len(kernels)} kernels after {step:,} updates; {'; '.join(titles)}."

    return explorer(draw, **start)


def _draw_columns(colours: Tensor, titles: Sequence[str], order: Tensor) -> Figure:
    """A sheet for each column. colours: as `pictures`; order: (K,), how each column is sorted."""
    figure, grid = plots.panels(len(titles), 1, height=1.9 * len(titles))
    for (ax,), part, title in zip(grid, column_slices(len(colours), len(titles)), titles, strict=True):
        draw_sheet(ax, colours[order[(order >= part.start) & (order < part.stop)]], title)
    return figure


def column_slices(kernels: int, columns: int) -> list[slice]:
    """Which kernels belong to each column: [0–47, 48–95] for 96 and 2."""
    size = kernels // columns
    return [slice(i * size, (i + 1) * size) for i in range(columns)]


# --- do columns divide colour between them? -------------------------------------------------------


def draw_null(ax: Axes, null: ArrayLike, own: float, words: str) -> None:
    """Differences of permuted columns, (permutations,), and the network's own."""
    drawn = np.asarray(null)
    edges = np.linspace(0, 1.08 * max(float(drawn.max()), own), 40)
    plots.histogram(ax, np.histogram(drawn, edges)[0], edges, color="#9A9A9A")
    ax.axvline(own, 0, 0.85, color=ORANGE, linewidth=2.5, label=words)
    ax.set_ylim(0, 1.35)  # room for the legend
    ax.legend(loc="upper right")


def recorded_kernels() -> Kernels:
    """The first kernels of every network of the recorded study."""
    return specialization.load_kernels(weights_dir() / specialization.KERNELS_FILE)


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
