"""Where the two columns talk, and what lies in the memory of a GPU: two explorers of notebook 05.

All numbers are counted by `architecture` and `traffic` when the picture is drawn.
"""

from __future__ import annotations

from matplotlib.figure import Figure

from alexnet_edu import paper
from alexnet_edu.lessons import two_gpus as exchange_plots
from alexnet_edu.model.architecture import TALKERS, Architecture, count, talking, variant
from alexnet_edu.show import network as network_plots
from alexnet_edu.show import plots
from alexnet_edu.show.explorer import PictureWidget, checkbox, slider
from alexnet_edu.show.network import blocks
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
PAPERS_PLACES = ("conv3", "fc6", "fc7")  # §3.2; the classifier reads both columns in every pattern
ASSUMPTIONS = (
    f"Assumed, for two GTX 580: {GTX_580.flops / 1e12:.2f} TFLOP/s each, {GTX_580.efficiency:.0%} of it "
    f"reached; backwards costs twice as\nmuch as forwards; PCIe moves {GTX_580.link / 1e9:g} GB/s each way "
    "at the same time; no copy is hidden behind computing."
)


def exchange_explorer(talk: tuple[str, ...] = PAPERS_PLACES, batch: int = paper.BATCH_SIZE) -> PictureWidget:
    """The network with its columns talking where one likes: parameters, work, traffic, time.

    talk: names of `architecture.TALKERS`; batch: one of BATCHES. Both are where the controls
    start. Raises ValueError for any other.
    """
    if batch not in BATCHES:
        raise ValueError(f"batch must be one of {', '.join(map(str, BATCHES))}, got {batch!r}")
    talking(talk)  # refuses what is no place
    controls = {
        name: checkbox(f"{name} reads both", name in talk, "whether this layer reads both columns")
        for name in TALKERS
    }
    controls["batch"] = slider("Batch", [(str(b), b) for b in BATCHES], batch, "images per step")
    return PictureWidget(controls, _draw_exchange)


def _draw_exchange(batch: int, **places: bool) -> tuple[Figure, str]:
    chosen = talking(name for name, is_on in places.items() if is_on)
    tables = {"the paper": talking(PAPERS_PLACES), "yours": chosen}
    figure, (row,) = plots.widget_axes(1, 5, height=6.4)
    network, *rest = row
    network.set_position((0.01, 0.46, 0.98, 0.46))
    network_plots.draw_network(network, blocks(chosen, count(chosen)), "")
    facts = {name: _facts(table, batch) for name, table in tables.items()}
    for number, (ax, what) in enumerate(zip(rest, facts["yours"], strict=True)):
        ax.set_position((0.09 + 0.235 * number, 0.15, 0.185, 0.22))
        cells = [facts[name][what] for name in tables]
        names = list(tables) if number == 0 else [""] * len(tables)
        exchange_plots.draw_bars(ax, names, [v for v, _ in cells], [w for _, w in cells], what)
    figure.text(0.015, 0.035, ASSUMPTIONS, fontsize=plots.FONT_SIZE - 1)
    heading = f"{chosen.name}, and at the classifier; batches of {batch} images"
    figure.suptitle(heading, fontsize=plots.FONT_SIZE, x=0.015, y=0.985, ha="left")
    return figure, _in_words(heading, chosen, batch, facts)


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


def _in_words(
    heading: str, table: Architecture, batch: int, facts: dict[str, dict[str, tuple[float, str]]]
) -> str:
    each = ", ".join(f"{name} {n / 1e6:.2f} MB" for name, n in sent_each_way(table, batch).items())
    compared = "; ".join(
        f"{what}: {_line(words)}, the paper's pattern {_line(facts['the paper'][what][1])}"
        for what, (_, words) in facts["yours"].items()
    )
    return f"{heading}. {compared}. Each way forward: {each}."


def _line(words: str) -> str:
    return words.replace("\n", " ")


# --- memory ------------------------------------------------------------------------------------

CARD_MIB = 1024 * paper.GPU_MEMORY_GB


def memory_explorer(batch: int = paper.BATCH_SIZE) -> PictureWidget:
    """What training held in the memory of each GPU, and of one GPU alone, at a batch size.

    batch: one of BATCHES, where the slider starts. Raises ValueError for any other.
    """
    if batch not in BATCHES:
        raise ValueError(f"batch must be one of {', '.join(map(str, BATCHES))}, got {batch!r}")
    control = slider("Batch", [(str(b), b) for b in BATCHES], batch, "images per step")
    return PictureWidget({"batch": control}, _draw_memory)


def _draw_memory(batch: int) -> tuple[Figure, str]:
    places = {"GPU 0 of two": 0, "GPU 1 of two": 1, "one GPU alone": None}
    arrays = {name: memory_2012(variant("run145"), batch, gpu) for name, gpu in places.items()}
    bars = {name: {kind: mib(held, kind) for kind in KINDS} for name, held in arrays.items()}
    figure, ((ax,),) = plots.widget_axes(1, 1, height=3.8)
    ax.set_position((0.13, 0.34, 0.85, 0.5))
    exchange_plots.draw_memory(ax, bars, CARD_MIB)
    heading = f"Training with batches of {batch}: an estimate of what the code of 2012 held"
    figure.suptitle(heading, fontsize=plots.FONT_SIZE, x=0.015, y=0.985, ha="left")
    words = "; ".join(f"{name} {mib(held):,.0f} MiB" for name, held in arrays.items())
    return figure, f"{heading}. {words}. The card has {CARD_MIB:,} MiB."
