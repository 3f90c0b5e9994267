"""The architecture explorer: a network's layers as blocks, their shares as bars, one layer in words."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, Rectangle

from alexnet_edu import paper
from alexnet_edu.model import architecture
from alexnet_edu.model.architecture import POOLS, Architecture, Count, Layer
from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing, choice, explores, slider
from alexnet_edu.show.plots import BLUE, FONT_SIZE, NEUTRAL

VARIANT_LABELS = {
    "paper": "The paper's network, counted",
    "run145": "Run 145, as the authors' code did it",
    "one_gpu": "One GPU, half the kernels in conv1 to conv4 (§3.2)",
    "ungrouped": "The paper's kernels in one column",
}
STEP_LABELS = {
    "relu": "ReLU",
    "lrn": "normalization across maps",
    "map_norm": "normalization within maps",
    **{step: f"{side}×{side} pooling with stride {paper.POOL_STRIDE}" for step, side in POOLS.items()},
    "dropout": f"dropout {paper.DROPOUT:g}",
    "inverted_dropout": f"inverted dropout {paper.DROPOUT:g}",
}
OTHER_COLOR = "#D0D0D0"  # of a layer that is not the chosen one
SMALL = FONT_SIZE - 1  # points
WIDEST_TEXT = 36  # characters of a fact in one line


LAYERS = [layer.name for layer in paper.LAYERS]


@explores
def architecture_explorer(
    variant: str = choice("Network", VARIANT_LABELS, "paper", "which table of layers"),
    layer: str = slider("Layer", LAYERS, "conv2", "the layer that is described"),
) -> Drawing:
    """The network as blocks, the shares of its layers, and everything about one of them."""
    table = architecture.variant(variant)
    counts = architecture.count(table)
    described, shares = facts(table, layer), _shares(counts)
    figure, axes = plots.mosaic(
        [["network"] * 3, [*shares, "facts"]], 7.0, height_ratios=[5, 4], width_ratios=[1, 0.85, 1.9]
    )
    draw_network(axes["network"], blocks(table, counts), layer)
    for number, (what, values) in enumerate(shares.items()):
        _draw_shares(axes[what], values, layer, what, names=number == 0)
    _draw_facts(axes["facts"], layer, described)
    words = f"{VARIANT_LABELS[variant]}: {_totals(counts)}"
    plots.heading(figure, words)
    return figure, _description(words, table, layer, described, shares)


# --- what is counted ---------------------------------------------------------------------------


def facts(table: Architecture, name: str) -> dict[str, str]:
    """What there is to say about one layer of a table: what -> value, in words and numbers."""
    counts = architecture.count(table)
    layer, size = next(
        (layer, size) for layer, size in zip(table.layers, counts, strict=True) if layer.name == name
    )
    share = size.parameters / sum(c.parameters for c in counts)
    work = size.multiply_adds / sum(c.multiply_adds for c in counts)
    pooled = {"after pooling": _shape(size.pooled)} if POOLS.keys() & set(layer.after) else {}
    return {
        "input": _shape(size.inputs),
        "reads": _reads(table, layer),
        "kernels" if layer.kernel else "weights": _kernels(table, layer, size),
        "output": _shape(size.outputs),
        **pooled,
        "parameters": f"{size.parameters:,} ({percent(share)} of all)",
        "units": f"{size.units:,}",
        "multiply-adds": f"{size.multiply_adds:,} ({percent(work)} of all)",
        "one unit sees": _field(table, size),
        "starts from": f"weights N(0, {layer.std:g}²), biases {layer.bias:g}",
        "then": ", ".join(STEP_LABELS[step] for step in layer.after) or "the softmax over the classes",
    }


def _shape(shape: tuple[int, ...]) -> str:
    """Height × width × maps, the order of the paper."""
    return "×".join(map(str, [*shape[1:], shape[0]])) if len(shape) > 1 else f"{shape[0]} units"


def _reads(table: Architecture, layer: Layer) -> str:
    if layer is table.layers[0]:
        return "the image"
    if table.columns == 1:
        return "all, there is one column"
    return "own column only" if table.groups(layer) > 1 else "both columns"


def _kernels(table: Architecture, layer: Layer, size: Count) -> str:
    depth = size.inputs[0] // table.groups(layer)
    if layer.kernel is None:
        return f"{layer.outputs} × {size.weights // layer.outputs}"
    kernel = f"{layer.outputs} of {layer.kernel}×{layer.kernel}×{depth}"
    return f"{kernel}, stride {layer.stride}, padding {layer.padding}"


def _field(table: Architecture, size: Count) -> str:
    whole = ", the whole image" if size.receptive_field >= table.side else ""
    return f"{size.receptive_field}×{size.receptive_field} pixels{whole}"


def _shares(counts: list[Count]) -> dict[str, dict[str, float]]:
    """For parameters and multiply-adds: layer -> share of the network, 0–1."""
    sizes = {
        "parameters": {c.name: c.parameters for c in counts},
        "multiply-adds": {c.name: c.multiply_adds for c in counts},
    }
    return {
        what: {name: value / sum(values.values()) for name, value in values.items()}
        for what, values in sizes.items()
    }


def _totals(counts: list[Count]) -> str:
    work = sum(c.multiply_adds for c in counts) / 1e6
    parameters, units = sum(c.parameters for c in counts), sum(c.units for c in counts)
    return f"{parameters:,} parameters, {units:,} units, {work:,.1f} million multiply-adds"


def _description(
    words: str,
    table: Architecture,
    layer: str,
    described: dict[str, str],
    shares: dict[str, dict[str, float]],
) -> str:
    apart = [row.name for row in table.layers if table.groups(row) > 1]
    columns = f"{table.columns} column{'s' if table.columns > 1 else ''}"
    kept_apart = f", which {', '.join(apart)} keep apart" if apart else ""
    sentences = [
        words,
        f"The network has {columns}{kept_apart}",
        f"{layer}: " + "; ".join(f"{what} {value}" for what, value in described.items()),
        *(
            f"Share of the {what}: " + ", ".join(f"{name} {percent(share)}" for name, share in values.items())
            for what, values in shares.items()
        ),
    ]
    return ". ".join(sentences) + "."


# --- the picture ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """One layer as it is drawn: in how many rows, so many outputs in each.

    side: of a map in pixels; 0 for units. crossing: whether it reads all rows of the layer before.
    """

    name: str
    rows: int
    outputs: int
    side: int = 0
    crossing: bool = True

    def caption(self) -> str:
        """The shape in two short lines."""
        if not self.side:
            return f"{self.outputs}\nunits"
        return f"{self.side}×{self.side}\n×{self.outputs}"


def blocks(table: Architecture, counts: list[Count]) -> list[Block]:
    """The image, then the layers; the classes, of which a column has no part, are one block."""
    image = counts[0].inputs
    row = [Block("image", 1, image[0], image[1])]
    for layer, size in zip(table.layers, counts, strict=True):
        rows = 1 if layer is table.layers[-1] else table.columns
        side = size.outputs[1] if len(size.outputs) > 1 else 0
        crossing = table.groups(layer) == 1
        row.append(Block(layer.name, rows, size.outputs[0] // rows, side, crossing))
    return row


def draw_network(ax: Axes, blocks: Sequence[Block], chosen: str) -> None:
    """Blocks from left to right, lines for what reads what, the layer `chosen` highlighted, none if "".

    Lines that lead from one column to another are black, those into the chosen layer blue and heavy.
    """
    rows = max(block.rows for block in blocks)
    plots.bare(ax)
    ax.set(xlim=(-0.5, len(blocks) - 0.5), ylim=(-0.1 * rows, rows))
    for x, (before, block) in enumerate(itertools.pairwise(blocks)):
        _draw_lines(ax, x, before, block, rows, chosen=block.name == chosen)
    for x, block in enumerate(blocks):
        _draw_block(ax, x, block, rows, chosen=block.name == chosen)
    lines = ["blue into the chosen layer"] if chosen else []
    lines += ["black from column to column"] if rows > 1 else []
    note = "Blocks: higher for larger maps, wider for more of them. Lines: " + ", ".join(lines)
    if rows > 1:
        ax.text(-0.45, rows - 0.38, "column 1", va="center", fontsize=SMALL)
        ax.text(-0.45, 0.3, f"column {rows}", va="center", fontsize=SMALL)
    ax.text(-0.45, -0.1 * rows, f"{note}.", va="bottom", fontsize=SMALL, color=NEUTRAL)


def _heights(block: Block, rows: int) -> list[float]:
    """Where the middles of a layer's blocks lie, from the upper row down."""
    if block.rows < rows:
        return [rows / 2]
    return [rows - 0.5 - row for row in range(rows)]


def _size(block: Block) -> tuple[float, float]:
    """Width and height: logarithm of the number of maps, root of their side."""
    return 0.06 + 0.045 * math.log2(block.outputs), 0.1 + 0.035 * math.sqrt(block.side or 1)


def _draw_lines(ax: Axes, x: int, before: Block, block: Block, rows: int, *, chosen: bool) -> None:
    starts, ends = _heights(before, rows), _heights(block, rows)
    for start, end in itertools.product(starts, ends):
        other_row = len(starts) > 1 and start != end
        if other_row and not block.crossing:
            continue
        arrow = FancyArrowPatch(
            (x + _size(before)[0] / 2, start),
            (x + 1 - _size(block)[0] / 2, end),
            arrowstyle="-|>",
            mutation_scale=9,
            shrinkA=1,
            shrinkB=1,
            linewidth=2.6 if chosen else 1.6 if other_row else 0.9,
            color=BLUE if chosen else "black" if other_row else NEUTRAL,
            zorder=1,
        )
        ax.add_patch(arrow)


def _draw_block(ax: Axes, x: int, block: Block, rows: int, *, chosen: bool) -> None:
    width, height = _size(block)
    weight = "bold" if chosen else "normal"
    middles = _heights(block, rows)
    for middle in middles:
        color, line = (BLUE, 2) if chosen else (OTHER_COLOR, 0.8)
        place = (x - width / 2, middle - height / 2)
        ax.add_patch(
            Rectangle(place, width, height, facecolor=color, edgecolor="black", linewidth=line, zorder=2)
        )
        words: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": SMALL, "weight": weight}
        ax.text(x, middle - height / 2 - 0.04, block.caption(), **words)
    ax.text(x, rows, block.name, ha="center", va="top", fontsize=FONT_SIZE, weight=weight)


def _draw_shares(ax: Axes, shares: Mapping[str, float], chosen: str, title: str, *, names: bool) -> None:
    """Shares of a whole (0–1) as bars, in percent; names: whether the layers are named at the left."""
    colors = [BLUE if name == chosen else OTHER_COLOR for name in shares]
    values = {name: 100 * share for name, share in shares.items()}
    plots.bars(ax, values, colors=colors, words=[percent(share) for share in shares.values()])
    ax.texts[list(shares).index(chosen)].set_fontweight("bold")
    ax.set_xlim(0, 145 * max(shares.values()))  # room for the words behind the longest bar
    plots.frame(ax, title, "share (%)")
    if not names:
        ax.set_yticklabels([])


def _draw_facts(ax: Axes, title: str, facts: Mapping[str, str]) -> None:
    """A list in two columns, what and its value; long values go on in the next line."""
    plots.bare(ax)
    ax.set(xlim=(0, 1), ylim=(13.3, -0.9))  # y counts lines
    ax.set_title(title, weight="bold", color=BLUE)
    height = 0
    for what, value in facts.items():
        ax.text(0, height, what, va="baseline", color=NEUTRAL)
        for line in textwrap.wrap(value, WIDEST_TEXT):
            ax.text(0.27, height, line, va="baseline")
            height += 1


def percent(share: float) -> str:
    """A share (0–1) in percent with one decimal, or with two where one would be nearly nothing."""
    return f"{share:.1%}" if share >= 0.001 else f"{share:.2%}"
