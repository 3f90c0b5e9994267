"""The widgets of notebook 07: kernels over the training, two columns compared, what excites a unit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from alexnet_edu.data.augment import Preparation
from alexnet_edu.data.images import Images
from alexnet_edu.lessons import kernels as draw
from alexnet_edu.show.explorer import PictureWidget, choice, slider
from alexnet_edu.show.plots import FONT_SIZE, label_axes, widget_axes
from alexnet_edu.studies import specialization_records as records
from alexnet_edu.studies.kernels import (
    SCALES,
    colour_share,
    column_differences,
    excited,
    fields,
    pictures,
    tiled,
    tuning,
)
from alexnet_edu.studies.networks import Network
from alexnet_edu.studies.specialization import Kernels

ORDERS = {
    "learned": "as they lie in the file",
    "colour": "by colour share",
    "frequency": "by frequency",
    "orientation": "by direction",
}
EXCITED = 12  # images shown for a unit


def training_explorer(
    network: Network, *, step: int | None = None, scale: str = "each", order: str = "learned"
) -> PictureWidget:
    """The first kernels at several steps of the training, each column by itself.

    step: one of `network.looks`, where the slider starts; one in their middle if None. scale: a key of
    `kernels.SCALES`; order: one of `ORDERS`, by the kernels after training, so that a kernel keeps
    its place. Raises ValueError for another of these, and for a network that kept no earlier kernels.
    """
    if len(network.looks) < 2:
        raise ValueError(f"{network.name!r} has no kernels from the time of its training")
    if scale not in SCALES or order not in ORDERS:
        raise ValueError(
            f"scales: {', '.join(SCALES)}; orders: {', '.join(ORDERS)}; got {scale!r}, {order!r}"
        )
    steps = [step for step, _ in network.looks]
    step = steps[len(steps) // 2] if step is None else step
    if step not in steps:
        raise ValueError(f"the kernels were kept at the steps {', '.join(map(str, steps))}; got {step!r}")
    last = tuning(network.looks[-1][1])
    controls = {
        "step": slider("Step", [(f"{s:,}", s) for s in steps], step, "updates of the weights so far"),
        "scale": choice(
            "Scale", [(w, name) for name, w in SCALES.items()], scale, "what black and white mean"
        ),
        "order": choice("Order", [(w, name) for name, w in ORDERS.items()], order, "of the kernels"),
    }

    def drawn(step: int, scale: str, order: str) -> tuple[Figure, str]:
        kernels = dict(network.looks)[step]
        parts = column_slices(len(kernels), network.columns)
        figure, grid = widget_axes(len(parts), 1, height=1.9 * len(parts))
        now = tuning(kernels)
        colours = pictures(kernels, scale)
        said = []
        for (ax,), part, words in zip(grid, parts, draw.COLUMN_WORDS, strict=False):
            places = torch.arange(len(kernels))[part]
            if order != "learned":
                places = places[getattr(last, order)[places].argsort()]
            mean = now.colour[places].mean().item()
            title = f"{words}: colour share {mean:.2f} on the mean"
            draw.draw_sheet(ax, tiled(colours[places]).numpy(), title)
            said.append(title)
        figure.suptitle(f"after {step:,} updates of the weights", fontsize=FONT_SIZE, x=0.02, ha="left")
        figure.subplots_adjust(left=0.02, right=0.98, top=0.86, bottom=0.02, hspace=0.2)
        return figure, f"{len(kernels)} kernels after {step:,} updates; {'; '.join(said)}."

    return PictureWidget(controls, drawn)


def _options(words: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(shown, name) for name, shown in words.items()]


def column_slices(kernels: int, columns: int) -> list[slice]:
    """Which kernels belong to each column: [0–47, 48–95] for 96 and 2."""
    half = kernels // columns
    return [slice(i * half, (i + 1) * half) for i in range(columns)]


def specialization_explorer(
    record: Mapping[str, Any], kernels: Kernels, *, condition: str = "paper", seed: int = 1
) -> PictureWidget:
    """The two columns of any network of the recorded study, and how they would differ by chance.

    A seed that the condition does not have counts as its last one. Raises ValueError for another condition.
    """
    records.condition(record, condition)
    names = [part["name"] for part in record["conditions"]]
    most = max(max(kernels[name]) for name in names)
    seeds = [(str(i), i) for i in range(1, most + 1)]
    titles = [(part["title"], part["name"]) for part in record["conditions"]]
    controls = {
        "condition": choice("Condition", titles, condition, "how the networks were made"),
        "seed": slider("Seed", seeds, seed, "which network; each was drawn and trained anew"),
    }

    def drawn(condition: str, seed: int) -> tuple[Figure, str]:
        of = kernels[condition]
        seed = min(seed, max(of))
        return _draw_network(records.condition(record, condition), of[seed], seed, record["deals"])

    return PictureWidget(controls, drawn)


def _draw_network(part: Mapping[str, Any], kernels: Tensor, seed: int, deals: int) -> tuple[Figure, str]:
    run = next(run for run in part["runs"] if run["seed"] == seed)
    first, second, p = run["columns"]["colour"]
    own, null = column_differences(colour_share(kernels), None, deals, seed)
    figure, (axes,) = widget_axes(1, 3, height=3.5)
    grid = axes[0].get_gridspec()
    assert grid is not None
    grid.set_width_ratios([1, 1, 1.15])
    colours = pictures(kernels, "each")
    slices = column_slices(len(kernels), 2)
    for ax, where, mean, words in zip(axes, slices, (first, second), draw.COLUMN_WORDS, strict=False):
        draw.draw_sheet(ax, tiled(colours[where], 6).numpy(), f"{words}: colour share {mean:.2f}")
    shown = records.p_text(p, deals)
    draw.draw_null(axes[2], null.numpy(), own, f"this network: {own:.3f} (p {_equals(shown)})")
    label_axes(axes[2], "difference of the columns by chance", "|difference of the mean colour shares|", "")
    title = f"{part['title']}, seed {seed}: test error {run['test_error']:.1%} (recorded)"
    figure.suptitle(title, fontsize=FONT_SIZE, x=0.02, ha="left")
    figure.subplots_adjust(left=0.02, right=0.98, top=0.82, bottom=0.16, wspace=0.08)
    return figure, f"{title}: colour shares {first:.2f} and {second:.2f}, p {_equals(shown)}."


def _equals(p: str) -> str:
    return p if p.startswith("<") else f"= {p}"


def excitation_explorer(
    network: Network, images: Images, *, layer: str | None = None, unit: int = 0, device: str = "cpu"
) -> PictureWidget:
    """The images that excite a unit most, each with the square of pixels that the unit saw.

    images: those that are searched. layer: the second convolution if None. A unit beyond the last one of the
    layer counts as the last. Each layer is computed when it is first chosen.
    """
    squares = fields(network)
    names = network.layers
    start = layer or names[min(1, len(names) - 1)]
    if start not in names:
        raise ValueError(f"{network.name} has no layer {start!r}; there are {', '.join(names)}")
    found = lru_cache(maxsize=None)(lambda name: excited(network, images.pixels, name, device=device))
    most = max(found(start).strength.shape[1], 256)
    controls = {
        "layer": choice("Layer", [(name, name) for name in names], start, "whose units are looked at"),
        "unit": slider("Unit", [(str(i), i) for i in range(most)], min(unit, most - 1), "or kernel, from 0"),
    }

    def drawn(layer: str, unit: int) -> tuple[Figure, str]:
        own = found(layer)
        units = own.strength.shape[1]
        unit = min(unit, units - 1)
        order = own.best(unit, EXCITED).tolist()
        figure, grid = widget_axes(2, EXCITED // 2, height=3.6)
        # The place of what the network sees within the image is known where it takes the middle.
        middle = network.prepare.side if isinstance(network.prepare, Preparation) else None
        for i, ax in zip(order, (ax for row in grid for ax in row), strict=False):
            box = None
            if layer in squares and middle is not None:
                border = (images.pixels.shape[2] - middle) // 2
                place = int(own.row[i, unit]), int(own.column[i, unit])
                top, left, bottom, right = squares[layer].box(*place, middle)
                box = (top + border, left + border, bottom + border, right + border)
            name = images.classes[int(images.labels[i])]
            title = f"{name}, {own.strength[i, unit]:.1f}"
            draw.draw_excited(ax, images.pixels[i].permute(1, 2, 0).numpy(), box, title)
        names_of = [images.classes[int(images.labels[i])] for i in order]
        words = ", ".join(f"{names_of.count(n)} × {n}" for n in dict.fromkeys(names_of))
        note = ", synthetic stand-in" if images.synthetic else ""
        title = f"{layer}, unit {unit} of {units}: the {len(order)} of {len(images):,} test images{note}"
        figure.suptitle(f"{title} that excite it most", fontsize=FONT_SIZE, x=0.02, ha="left")
        figure.subplots_adjust(left=0.02, right=0.98, top=0.83, bottom=0.02, wspace=0.08, hspace=0.22)
        return figure, f"{title} that excite it most: {words}."

    return PictureWidget(controls, drawn, notice="computing …")
