"""The widget of notebook 03: a pooling window and its stride, drawn on a grid."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor

from alexnet_edu.lessons import pooling_plots
from alexnet_edu.lessons.pooling import coverage, output_side, pool
from alexnet_edu.show.explorer import PictureWidget, choice, slider
from alexnet_edu.show.plots import FONT_SIZE, widget_axes

SIDES = tuple(range(4, 16))
WINDOWS = tuple(range(1, 7))
STRIDES = tuple(range(1, 6))
HEIGHT = 5.4  # inches


def pooling_explorer(
    *,
    n: int = 8,
    z: int = 3,
    s: int = 2,
    row: int = 1,
    column: int = 1,
    up: bool = True,
    kind: str = "max",
    seed: int = 0,
) -> PictureWidget:
    """Windows of side z, s apart, on n × n inputs: who sees what, and what comes out.

    row, column: the output that is looked at, from 1; beyond the last output the last one is
    taken. up: sizes are rounded up, as in 2012, or down. kind: "max" or "avg". These are where
    the controls start; a value that is no option raises ipywidgets' TraitError. The inputs
    are numbers from 0 to 99, drawn by `seed`.
    """
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randint(100, (SIDES[-1], SIDES[-1]), generator=generator).float()
    sides = [(str(i), i) for i in SIDES]
    outputs = [(str(i), i) for i in range(1, SIDES[-1] + 1)]
    rules = [("up (2012)", True), ("down (PyTorch's default)", False)]
    kinds = [("maximum", "max"), ("average", "avg")]
    controls = {
        "n": slider("Side n", sides, n, "inputs a side"),
        "z": slider("Window z", [(str(i), i) for i in WINDOWS], z, "side of the window"),
        "s": slider("Stride s", [(str(i), i) for i in STRIDES], s, "distance between two windows"),
        "row": slider("Output row", outputs, row, "row of the output that is looked at"),
        "column": slider("Output column", outputs, column, "column of the output that is looked at"),
        "up": choice("Round sizes", rules, up, "what happens to a window that hangs over the edge"),
        "kind": choice("Pooling", kinds, kind, "what is taken of each window"),
    }

    def draw(n: int, z: int, s: int, row: int, column: int, up: bool, kind: str) -> tuple[Figure, str]:
        return _draw_grids(numbers[:n, :n], z, s, (row, column), up, kind)

    return PictureWidget(controls, draw)


def _draw_grids(
    x: Tensor, z: int, s: int, looked_at: tuple[int, int], up: bool, kind: str
) -> tuple[Figure, str]:
    n = len(x)
    seen, pooled = coverage(n, z, s, up=up), pool(x, z, s, kind, up=up)
    m = len(pooled)
    spans = [(s * j, s * i, z, z) for i in range(m) for j in range(m)]
    chosen = (min(looked_at[0], m) - 1, min(looked_at[1], m) - 1) if m else None
    span = (s * chosen[1], s * chosen[0], z, z) if chosen else None
    neighbour = (s * chosen[1] + s, s * chosen[0], z, z) if chosen and chosen[1] + 1 < m else None
    figure, ((left, right),) = widget_axes(1, 2, height=HEIGHT)
    figure.subplots_adjust(left=0.02, right=0.985, top=0.84, bottom=0.1, wspace=0.06)
    reach = max(n, s * (m - 1) + z)  # as far as the last window hangs over
    for ax in (left, right):
        pooling_plots.frame_grid(ax, reach)
    pooling_plots.draw_inputs(left, x.numpy(), seen.numpy(), spans, span, neighbour)
    pooling_plots.draw_outputs(right, pooled.numpy(), chosen, digits=0 if kind == "max" or m > 8 else 1)
    left.set_title(f"inputs: n = {n}, z = {z}, s = {s}", fontsize=FONT_SIZE, loc="left")
    right.set_title(_size_sentence(n, z, s, m, up), fontsize=FONT_SIZE, loc="left")
    overlap, edge = _heading(n, z, s, m, up)
    marks = " (thick: the window of the marked output; dashed: the next one)" if neighbour else ""
    figure.suptitle(f"{overlap}{marks}\n{edge}", fontsize=FONT_SIZE, x=0.02, ha="left")
    return figure, _description(x, z, s, up, kind, chosen)


def _size_sentence(n: int, z: int, s: int, m: int, up: bool) -> str:
    left, right = ("⌈", "⌉") if up else ("⌊", "⌋")
    formula = f"1 + {left}({n} − {z})/{s}{right}"
    if not m:
        return f"no output: {formula} is below 1"
    plain = output_side(n, z, s, up=up) == 1 + (-((z - n) // s) if up else (n - z) // s)
    return f"outputs: {formula} = {m}" if plain else f"outputs: {m} (one more would begin outside)"


def _heading(n: int, z: int, s: int, m: int, up: bool) -> list[str]:
    """What this window and stride do, in at most two lines."""
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
    return [overlap, edge]


def _description(x: Tensor, z: int, s: int, up: bool, kind: str, chosen: tuple[int, int] | None) -> str:
    """The facts of the picture, as its alternative text."""
    n = len(x)
    seen, m = coverage(n, z, s, up=up), output_side(n, z, s, up=up)
    counts = ", ".join(f"{count} by {c}" for c, count in zip(*_tally(seen), strict=True))
    facts = [
        f"{n} × {n} inputs, windows z = {z}, stride s = {s}, sizes rounded {'up' if up else 'down'}: "
        f"{m} × {m} outputs",
        *_heading(n, z, s, m, up),
        f"inputs by the number of windows that see them: {counts} (on average {seen.float().mean():.2f})",
    ]
    if chosen is not None:
        i, j = chosen
        inside = x[i * s : i * s + z, j * s : j * s + z]
        value = inside.max() if kind == "max" else inside.mean()
        word = "maximum" if kind == "max" else "average"
        facts.append(
            f"output row {i + 1}, column {j + 1} is the {word} of {inside.numel()} inputs: {value:.3g}"
        )
    return "; ".join(facts)


def _tally(seen: Tensor) -> tuple[list[int], list[int]]:
    """(numbers of windows, how many inputs have each)."""
    values, counts = seen.unique(return_counts=True)
    return values.tolist(), counts.tolist()
