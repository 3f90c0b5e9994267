"""Lesson 05, two GPUs: memory, traffic and time of two columns, and where they had best talk.

What is not recorded is counted by `model.architecture` and `two_gpus.traffic` when the picture is drawn.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any

from matplotlib.axes import Axes
from torch import nn

from alexnet_edu import paper
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.architecture import (
    PAPERS_TALK,
    TALKERS,
    Architecture,
    count,
    narrow,
    talking,
    variant,
)
from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing, checkbox, explores, slider
from alexnet_edu.show.network import blocks, draw_network
from alexnet_edu.show.plots import BLUE, FONT_SIZE, NEUTRAL, bars, frame, heading, level, mosaic, panels, rows
from alexnet_edu.studies.ablations import PATTERNS
from alexnet_edu.studies.record import Record
from alexnet_edu.two_gpus.one_process import TwoDeviceAlexNet
from alexnet_edu.two_gpus.traffic import (
    GTX_580,
    KINDS,
    busier_column,
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

# --- the lesson's figures ----------------------------------------------------------------------


def split() -> Drawing:
    """The network in two columns, and what each GPU would have to hold."""
    figure, axes = mosaic([["network"], ["memory"]], 5.6, height_ratios=(1.5, 1))
    table = variant("paper")
    draw_network(axes["network"], blocks(table, count(table)), "")
    held = _held(paper.BATCH_SIZE)
    draw_memory(axes["memory"], held, CARD_MIB)
    totals = [sum(kinds.values()) for kinds in held.values()]
    return figure, (
        f"At {paper.BATCH_SIZE} images the whole network needs {totals[-1]:,.0f} MiB and the card has "
        f"{CARD_MIB:,}; cut into two columns, no GPU needs more than {max(totals[:-1]):,.0f} (an estimate)."
    )


def sent_by_layer() -> Drawing:
    """MB that each GPU sends per step, if the columns talked at a layer; in the paper; with copies of all."""
    table, everywhere = variant("paper"), talking(TALKERS)
    each = {name: 2 * n / 1e6 for name, n in sent_each_way(everywhere).items() if name in TALKERS}
    total = sent_per_step(table) / 2 / 1e6
    gradients = 4 * sum(size.parameters for size in count(table)) / 1e6
    values = each | {"two columns, as in the paper": total, "data parallelism, all gradients": gradients}
    talks = [name in PAPERS_TALK or name not in TALKERS for name in values]
    figure, ((ax,),) = panels(1, 1, height=3.6)
    colors = [BLUE if yes else "#D0D0D0" for yes in talks]
    bars(ax, values, colors=colors, words=[f"{size:.1f}" for size in values.values()])
    ax.set_xlim(0, 1.1 * gradients)
    frame(ax, x=f"MB that each GPU sends per step of {paper.BATCH_SIZE} images (grey: not in the paper)")
    return figure, (
        f"In two columns each GPU sends {total:.0f} MB per step, mostly for conv3; if each trained the whole "
        f"network on half of the images, it would send {gradients:.0f} MB."
    )


TIMED = {  # what is timed -> its words, its table
    "half": ("the half network, on one device", variant("one_gpu")),
    "columns": ("one of the two columns", variant("paper")),
    "joint": ("one of two columns that always read both", talking(TALKERS)),
}


def timed_network(name: str, divisor: int = 1) -> nn.Module:
    """A network of `TIMED` with random weights, so many times narrower; columns take turns."""
    table = narrow(TIMED[name][1], divisor)
    return AlexNet(table) if table.columns == 1 else TwoDeviceAlexNet(("cpu", "cpu"), table)


def step_times(seconds: Mapping[str, Sequence[float]], guess: float | None = None) -> Drawing:
    """Busy time of one device per step, over that of the half network; open marks: by multiply-adds.

    seconds: name of `TIMED` -> seconds of each step, of one device. guess: of the last one, as a factor.
    """
    half = statistics.median(seconds["half"])
    times = {name: [s / half for s in seconds[name]] for name in TIMED}
    figure, ((ax,),) = panels(1, 1, height=2.8)
    work = {
        name: busier_column(table) / busier_column(TIMED["half"][1]) for name, (_, table) in TIMED.items()
    }
    for place, name in enumerate(TIMED):
        middle = statistics.median(times[name])
        ax.plot(times[name], [place] * len(times[name]), "o", color=BLUE, alpha=0.4, markersize=6)
        ax.plot([middle] * 2, [place - 0.25, place + 0.25], color=BLUE, linewidth=3)
        plots.note(ax, f"{middle:.2f}", (middle, place - 0.27), ha="center", va="bottom")
        ax.plot(work[name], place, "D", color=NEUTRAL, fillstyle="none", markersize=8, mew=1.6)
    if guess is not None:
        last = len(TIMED) - 1
        ax.plot([guess] * 2, [last - 0.4, last + 0.4], ":", color=plots.PINK, linewidth=2.5)
        plots.note(ax, f"your guess: {guess:g}", (guess, last + 0.2), (4, 0))
    ax.plot([], [], "o", color=BLUE, label="measured: a step each, and the median")
    ax.plot(
        [], [], "D", color=NEUTRAL, fillstyle="none", mew=1.6, label="by multiply-adds of the busier device"
    )
    rows(ax, [words for words, _ in TIMED.values()])
    ax.set_xlim(0, 1.15 * max(2.0, guess or 0, *work.values(), *map(max, times.values())))
    frame(ax, x="time per step, of one device (the half network: 1)")
    figure.legend(loc="outside lower center", ncols=2)
    column, joint = (statistics.median(times[name]) for name in ("columns", "joint"))
    return figure, (
        f"One of two columns takes {column:.2f} times as long as the half network; if both always read "
        f"everything, {joint:.2f} times."
    )


def patterns_at_one_rate(record: Record) -> Drawing:
    """Test errors of the study "exchange" at the rate that its search chose for the paper's pattern."""
    rate = record.rate("conv3")
    same = record.at_rate(rate)
    figure, ((ax,),) = panels(1, 1, height=3.4)
    plots.last_errors(ax, same.runs, "test_error")
    gap = same.gap("half", "conv3")
    others = [same.gap(name, "conv3") for name in PATTERNS if name != "conv3"]
    clear = sum(not other.low <= 0 <= other.high for other in others)  # type: ignore[operator]
    return figure, (
        f"At ε = {rate:g}, {clear or 'none'} of four other patterns can be told from talking at conv3; the "
        f"half network's error differs by {gap.signed} points (real CIFAR-10, recorded)."
    )


# --- what goes deeper --------------------------------------------------------------------------


def seconds_by_form(record: Record) -> Drawing:
    """Recorded seconds per step of the paper's network in one process and in two, on two cores."""
    forms = {
        name: list(part["seconds"]) for name, part in record.tables["seconds"].groupby("what", sort=False)
    }
    figure, ((ax,),) = panels(1, 1, height=2.4)
    plots.strip(ax, forms, form="{:.2f} s")
    ax.set_xlim(0, 1.2 * max(map(max, forms.values())))
    frame(ax, x=f"seconds per step of {record.settings['batch']} images")
    _, alone, threads, processes = (statistics.fmean(seconds) for seconds in forms.values())
    return figure, (
        f"On two cores, two processes are {alone / processes:.1f} times as fast as one core, and two threads "
        f"{alone / threads:.1f} times (means, recorded)."
    )


def patterns_by_rate(record: Record) -> Drawing:
    """Test errors of the study "exchange": each at the rate of its search, then all at each shared rate."""
    rates = record.shared_rates()
    figure, (axes,) = panels(1, 1 + len(rates), height=3.8, sharey=True)
    cases = {"each at its own": record.of(chosen=True)}
    cases |= {f"all at ε = {rate:g}": record.at_rate(rate) for rate in rates}
    for ax, (words, same) in zip(axes, cases.items(), strict=True):
        plots.strip(
            ax, {t: part["test_error"] for t, part in same.runs.groupby("title", sort=False)}, form=""
        )
        frame(ax, words, "test error", percent="x")
        ax.locator_params(axis="x", nbins=4)
        ax.set_xlim(0.3, 0.52)
    own = record.gap("nowhere", "conv3")
    better = [record.at_rate(rate).gap("conv3", "nowhere").value for rate in rates]
    return figure, (
        f"Never talking looks {own.value:.1f} points worse than talking at conv3, each at the rate of a "
        f"short search; at one rate for both it is {min(better):.1f} to {max(better):.1f} points better "
        "(recorded)."
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
    held = _held(batch)
    figure, ((ax,),) = panels(1, 1, height=3.8)
    draw_memory(ax, held, CARD_MIB)
    title = f"Training with batches of {batch}: an estimate of what the code of 2012 held"
    heading(figure, title)
    words = "; ".join(f"{name} {sum(kinds.values()):,.0f} MiB" for name, kinds in held.items())
    return figure, f"{title}. {words}. The card has {CARD_MIB:,} MiB."


def _held(batch: int) -> dict[str, dict[str, float]]:
    """Place -> kind -> MiB that training held in 2012."""
    places = {"GPU 0 of two": 0, "GPU 1 of two": 1, "one GPU alone": None}
    arrays = {name: memory_2012(variant("run145"), batch, gpu) for name, gpu in places.items()}
    return {name: {kind: mib(held, kind) for kind in KINDS} for name, held in arrays.items()}


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
