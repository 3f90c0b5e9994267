"""The architecture explorer: every layer of every variant, to the last parameter.

All numbers are counted from the tables of `architecture` when the picture is drawn.
"""

from __future__ import annotations

from matplotlib.figure import Figure

from alexnet_edu import paper
from alexnet_edu.model import architecture
from alexnet_edu.model.architecture import VARIANTS, Architecture, Count, Layer
from alexnet_edu.show import network as network_plots
from alexnet_edu.show import plots
from alexnet_edu.show.explorer import PictureWidget, choice, slider
from alexnet_edu.show.network import Block, percent

VARIANT_LABELS = {
    "paper": "The paper, read literally",
    "run145": "Run 145, as the authors' code did it",
    "one_gpu": "One GPU, half the kernels in conv1 to conv4 (§3.2)",
    "ungrouped": "The paper's kernels in one column",
}
STEP_LABELS = {
    "relu": "ReLU",
    "lrn": "normalization across maps",
    "map_norm": "normalization within maps",
    "pool": f"{paper.POOL_SIZE}×{paper.POOL_SIZE} pooling with stride {paper.POOL_STRIDE}",
    "dropout": f"dropout {paper.DROPOUT:g}",
    "inverted_dropout": f"inverted dropout {paper.DROPOUT:g}",
}


def architecture_explorer(variant: str = "paper", layer: str = "conv2") -> PictureWidget:
    """The network as blocks, the shares of its layers, and everything about one of them.

    variant: one of `architecture.VARIANTS`; layer: its name, "conv1" to "fc8". Both are where
    the controls start. Raises ValueError for any other.
    """
    names = [row.name for row in architecture.variant(variant).layers]
    if layer not in names:
        raise ValueError(f"unknown layer {layer!r}; choose one of {', '.join(names)}")
    options = [(VARIANT_LABELS[name], name) for name in VARIANTS]
    controls = {
        "variant": choice("Network", options, variant, "which table of layers"),
        "layer": slider("Layer", [(name, name) for name in names], layer, "the layer that is described"),
    }
    return PictureWidget(controls, _draw)


def facts(table: Architecture, name: str) -> dict[str, str]:
    """What there is to say about one layer of a table: what -> value, in words and numbers."""
    counts = architecture.count(table)
    layer, size = next(
        (layer, size) for layer, size in zip(table.layers, counts, strict=True) if layer.name == name
    )
    share = size.parameters / sum(c.parameters for c in counts)
    work = size.multiply_adds / sum(c.multiply_adds for c in counts)
    pooled = _shape(size.pooled) if "pool" in layer.after else "no pooling here"
    return {
        "input": _shape(size.inputs),
        "reads": _reads(table, layer),
        "kernels" if layer.kernel else "weights": _kernels(table, layer, size),
        "output": _shape(size.outputs),
        "after pooling": pooled,
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


# --- the picture ---------------------------------------------------------------------------

# Left, bottom, width and height of the four parts, as shares of the figure.
PLACES = {
    "network": (0.01, 0.50, 0.98, 0.43),
    "parameters": (0.065, 0.085, 0.22, 0.34),
    "multiply-adds": (0.31, 0.085, 0.22, 0.34),
    "facts": (0.56, 0.02, 0.43, 0.405),
}


def _draw(variant: str, layer: str) -> tuple[Figure, str]:
    table = architecture.variant(variant)
    counts = architecture.count(table)
    described = facts(table, layer)
    figure, (row,) = plots.widget_axes(1, len(PLACES), height=7.0)
    axes = dict(zip(PLACES, row, strict=True))
    for name, place in PLACES.items():
        axes[name].set_position(place)
    network_plots.draw_network(axes["network"], blocks(table, counts), layer)
    shares = _shares(counts)
    for number, (what, values) in enumerate(shares.items()):
        network_plots.draw_share_bars(axes[what], values, layer, what, names=number == 0)
    network_plots.draw_facts(axes["facts"], layer, described)
    heading = f"{VARIANT_LABELS[variant]}: {_totals(counts)}"
    figure.suptitle(heading, fontsize=plots.FONT_SIZE, x=0.015, y=0.985, ha="left")
    return figure, _description(heading, table, layer, described, shares)


def blocks(table: Architecture, counts: list[Count]) -> list[Block]:
    """The image, then the layers; the classes, of which a column has no part, are one block."""
    image = counts[0].inputs
    made = [Block("image", 1, image[0], image[1])]
    for layer, size in zip(table.layers, counts, strict=True):
        rows = 1 if layer is table.layers[-1] else table.columns
        side = size.outputs[1] if len(size.outputs) > 1 else 0
        crossing = table.groups(layer) == 1
        made.append(Block(layer.name, rows, size.outputs[0] // rows, side, crossing))
    return made


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
    heading: str,
    table: Architecture,
    layer: str,
    described: dict[str, str],
    shares: dict[str, dict[str, float]],
) -> str:
    own = [row.name for row in table.layers if table.groups(row) > 1]
    columns = f"{table.columns} column{'s' if table.columns > 1 else ''}"
    kept_apart = f", which {', '.join(own)} keep apart" if own else ""
    sentences = [
        heading,
        f"The network has {columns}{kept_apart}",
        f"{layer}: " + "; ".join(f"{what} {value}" for what, value in described.items()),
        *(
            f"Share of the {what}: " + ", ".join(f"{name} {percent(share)}" for name, share in values.items())
            for what, values in shares.items()
        ),
    ]
    return ". ".join(sentences) + "."
