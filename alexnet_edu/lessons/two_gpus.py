"""Lesson 05, two GPUs: where the two columns talk, and what lies in the memory of a GPU; two explorers.

All numbers are counted by `model.architecture` and `two_gpus.traffic` when the picture is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import compress
from typing import Any

from matplotlib.axes import Axes

from alexnet_edu import paper
from alexnet_edu.model.architecture import PAPERS_TALK, TALKERS, Architecture, count, talking, variant
from alexnet_edu.show.explorer import Drawing, checkbox, explores, slider
from alexnet_edu.show.network import blocks, draw_network
from alexnet_edu.show.plots import BLUE, FONT_SIZE, NEUTRAL, bars, frame, heading, level, mosaic, panels, rows
from alexnet_edu.two_gpus.traffic import (
    GTX_580,
    KINDS,
    memory_2012,
    mib,
    sent_each_way,
    sent_per_step,
    step_time,
)

BATCHES = (16, 32, 64, 96, 112, 120, 128, 160, 192, 256)
BATCH = slider("Batch", BATCHES, paper.BATCH_SIZE, "images per step")
ASSUMPTIONS = (
    f"Assumed, for two GTX 580: {GTX_580.flops / 1e12:.2f} TFLOP/s each, {GTX_580.efficiency:.0%} of it "
    f"reached; backwards costs twice as\nmuch as forwards; PCIe moves {GTX_580.link / 1e9:g} GB/s each way "
    "at the same time; no copy is hidden behind computing."
)

# --- where the columns talk --------------------------------------------------------------------


def _reads_both(name: str) -> Any:
    return checkbox(f"{name} reads both", name in PAPERS_TALK, "whether this layer reads both columns")


@explores
def exchange_explorer(
    conv2: bool = _reads_both("conv2"),
    conv3: bool = _reads_both("conv3"),
    conv4: bool = _reads_both("conv4"),
    conv5: bool = _reads_both("conv5"),
    fc6: bool = _reads_both("fc6"),
    fc7: bool = _reads_both("fc7"),
    batch: int = BATCH,
) -> Drawing:
    """The network with its columns talking where one likes: parameters, work, traffic, time."""
    table = talking(compress(TALKERS, (conv2, conv3, conv4, conv5, fc6, fc7)))
    yours, theirs = _facts(table, batch), _facts(talking(PAPERS_TALK), batch)
    figure, axes = mosaic([["network"] * len(yours), list(yours)], 6.4, height_ratios=(2, 1))
    draw_network(axes["network"], blocks(table, count(table)), "")
    for what, mine in yours.items():
        both = {"the paper": theirs[what], "yours": mine}
        values = {name: value for name, (value, _) in both.items()}
        bars(axes[what], values, colors=(NEUTRAL, BLUE), words=[words for _, words in both.values()])
        axes[what].set_xlim(0, 1.9 * max(values.values()))
        axes[what].set_xticks([])
        if what != next(iter(yours)):
            axes[what].set_yticklabels([])
        frame(axes[what], what)
    figure.supxlabel(ASSUMPTIONS, x=0.012, ha="left", fontsize=FONT_SIZE - 1)
    title = f"{table.name}, and at the classifier; batches of {batch} images"
    heading(figure, title)
    pairs = {what: (words, theirs[what][1]) for what, (_, words) in yours.items()}
    compared = "; ".join(
        f"{what}: {mine}, the paper's pattern {papers}" for what, (mine, papers) in pairs.items()
    )
    each = ", ".join(f"{name} {n / 1e6:.2f} MB" for name, n in sent_each_way(table, batch).items())
    return figure, f"{title}. {compared}. Each way forward: {each}.".replace("\n", " ")


def _facts(table: Architecture, batch: int) -> dict[str, tuple[float, str]]:
    """What is drawn as bars: title -> (value, words)."""
    sizes = count(table)
    parameters, work = sum(s.parameters for s in sizes), sum(s.multiply_adds for s in sizes)
    sent, time = sent_per_step(table, batch), step_time(table, batch)
    share = time.copying / time.total
    return {
        "parameters": (parameters, f"{parameters / 1e6:.2f} M"),
        "multiply-adds per image": (work, f"{work / 1e6:.0f} M"),
        "sent per step": (sent, f"{sent / 1e6:.1f} MB"),
        "time per step, estimated": (time.total, f"{1e3 * time.total:.0f} ms,\n{share:.1%} copies"),
    }


# --- memory ------------------------------------------------------------------------------------

CARD_MIB = 1024 * paper.GPU_MEMORY_GB
FILLS = {  # colour and hatching of what lies in memory, in the order of the bars
    "images": ("#999999", ""),
    "outputs": ("#0072B2", ""),
    "gradients": ("#56B4E9", "///"),
    "denominators": ("#009E73", ""),
    "masks": ("#F0E442", ""),
    "copies": ("#CC79A7", "xxx"),
    "weights": ("#E69F00", "..."),
    "partial sums": ("#D55E00", "\\\\\\"),
}


@explores
def memory_explorer(batch: int = BATCH) -> Drawing:
    """What training held in the memory of each GPU, and of one GPU alone, at a batch size."""
    places = {"GPU 0 of two": 0, "GPU 1 of two": 1, "one GPU alone": None}
    arrays = {name: memory_2012(variant("run145"), batch, gpu) for name, gpu in places.items()}
    figure, ((ax,),) = panels(1, 1, height=3.8)
    kinds = {name: {kind: mib(held, kind) for kind in KINDS} for name, held in arrays.items()}
    draw_memory(ax, kinds, CARD_MIB)
    title = f"Training with batches of {batch}: an estimate of what the code of 2012 held"
    heading(figure, title)
    words = "; ".join(f"{name} {mib(held):,.0f} MiB" for name, held in arrays.items())
    return figure, f"{title}. {words}. The card has {CARD_MIB:,} MiB."


def draw_memory(ax: Axes, places: Mapping[str, Mapping[str, float]], limit: float) -> None:
    """A horizontal bar for each place, stacked by kind. places: place -> kind -> MiB; limit: MiB."""
    starts = dict.fromkeys(places, 0.0)
    for kind, (color, hatch) in FILLS.items():
        sizes = [kinds.get(kind, 0.0) for kinds in places.values()]
        drawn = ax.barh(range(len(places)), sizes, left=list(starts.values()), color=color, label=kind)
        for bar in drawn:
            bar.set(hatch=hatch, edgecolor="white", linewidth=0.5)
        starts = {name: start + size for (name, start), size in zip(starts.items(), sizes, strict=True)}
    words = [f"{total:,.0f} MiB" + (": too much" if total > limit else "") for total in starts.values()]
    ax.bar_label(drawn, words, padding=5, fontsize=FONT_SIZE)
    rows(ax, list(places))
    level(ax, limit, f"the card: {limit:,.0f} MiB", axis="x", line="--")
    ax.set_xlim(0, 1.3 * max(limit, *starts.values()))
    frame(ax, x="MiB", legend="below", ncols=4)
