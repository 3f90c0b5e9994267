"""The picture of a whole network: its layers as blocks, their shares as bars, one in words.

Numbers in, marks on the given `Axes` out; nothing here counts. The chosen layer differs from
the others in darkness, in the strength of its outline and in bold type, not in hue alone.
"""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, Rectangle

from alexnet_edu.show.plots import FONT_SIZE, NEUTRAL

CHOSEN_COLOR = "#0072B2"
OTHER_COLOR = "#D0D0D0"
SMALL = FONT_SIZE - 1  # points
WIDEST_TEXT = 36  # characters of a fact in one line


@dataclass(frozen=True)
class Block:
    """One layer as it is drawn.

    rows: of the drawing that the layer falls into, one for each column of the network.
    outputs: maps, or units, in one row. side: of a map in pixels; 0 for units.
    crossing: whether it reads all rows of the layer before.
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


def draw_network(ax: Axes, blocks: Sequence[Block], chosen: str) -> None:
    """Blocks from left to right, lines for what reads what, the layer `chosen` highlighted, none if "".

    A block's height grows with the side of the maps and its width with their number, both
    much slower than in proportion. Lines that lead from one column to another are black,
    those into the chosen layer blue and heavy.
    """
    rows = max(block.rows for block in blocks)
    ax.set(xlim=(-0.5, len(blocks) - 0.5), ylim=(-0.1 * rows, rows), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
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
            color=CHOSEN_COLOR if chosen else "black" if other_row else NEUTRAL,
            zorder=1,
        )
        ax.add_patch(arrow)


def _draw_block(ax: Axes, x: int, block: Block, rows: int, *, chosen: bool) -> None:
    width, height = _size(block)
    weight = "bold" if chosen else "normal"
    middles = _heights(block, rows)
    for middle in middles:
        box = Rectangle(
            (x - width / 2, middle - height / 2),
            width,
            height,
            facecolor=CHOSEN_COLOR if chosen else OTHER_COLOR,
            edgecolor="black",
            linewidth=2 if chosen else 0.8,
            zorder=2,
        )
        ax.add_patch(box)
        ax.text(
            x,
            middle - height / 2 - 0.04,
            block.caption(),
            ha="center",
            va="top",
            fontsize=SMALL,
            weight=weight,
        )
    ax.text(x, rows, block.name, ha="center", va="top", fontsize=FONT_SIZE, weight=weight)


def draw_share_bars(
    ax: Axes, shares: Mapping[str, float], chosen: str, title: str, *, names: bool = True
) -> None:
    """Shares of a whole (0–1) as horizontal bars from the first layer down, in percent.

    names: whether the layers are named at the left of the bars.
    """
    top = max(shares.values())
    for y, (name, share) in enumerate(shares.items()):
        color = CHOSEN_COLOR if name == chosen else OTHER_COLOR
        ax.barh(y, 100 * share, color=color, edgecolor="black", linewidth=0.6)
        weight = "bold" if name == chosen else "normal"
        ax.text(100 * (share + 0.02 * top), y, percent(share), va="center", fontsize=SMALL, weight=weight)
    ax.set_yticks(range(len(shares)), list(shares) if names else [], fontsize=SMALL)
    ax.set_ylim(len(shares) - 0.4, -0.6)
    ax.set_xlim(0, 140 * top)  # room for the words behind the longest bar
    ax.set_title(title, fontsize=FONT_SIZE, loc="left")
    ax.set_xlabel("share (%)", fontsize=FONT_SIZE)


def draw_facts(ax: Axes, title: str, facts: Mapping[str, str]) -> None:
    """A list in two columns, what and its value; long values go on in the next line."""
    ax.set(xlim=(0, 1), ylim=(13.3, -0.9), xticks=[], yticks=[])  # y counts lines
    ax.spines[:].set_visible(False)
    ax.set_title(title, fontsize=FONT_SIZE, loc="left", weight="bold", color=CHOSEN_COLOR)
    height = 0
    for what, value in facts.items():
        ax.text(0, height, what, va="baseline", fontsize=FONT_SIZE, color=NEUTRAL)
        for line in textwrap.wrap(value, WIDEST_TEXT):
            ax.text(0.27, height, line, va="baseline", fontsize=FONT_SIZE)
            height += 1


def percent(share: float) -> str:
    """A share (0–1) in percent with one decimal, or with two where one would be nearly nothing."""
    return f"{share:.1%}" if share >= 0.001 else f"{share:.2%}"
