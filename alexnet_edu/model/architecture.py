"""The layers as a table: who reads what, in which order; and what it all counts.

The variants are rows, not branches: the paper read literally, the network that the authors'
configuration 145 describes, the half network of §3.2 for one GPU, the whole network with nothing
kept apart, and those that the paper compares it with; any other pattern of exchange between the two
columns (`talking`); and a small network of two columns whose first kernels are large enough to be
looked at (`kernel_net`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from alexnet_edu import paper

POOLS = {"pool": paper.POOL_SIZE, "plain_pool": paper.PLAIN_POOL_SIZE}  # side of the window, stride 2
STEPS = ("relu", "lrn", "map_norm", *POOLS, "dropout", "inverted_dropout")  # after a layer


def one_of(what: str, word: str, allowed: Collection[str]) -> str:
    """The word itself, if it is allowed; else a ValueError that names those that are."""
    if word not in allowed:
        raise ValueError(f"unknown {what} {word!r}; choose one of {', '.join(allowed)}")
    return word


@dataclass(frozen=True)
class Layer:
    """One layer with weights, over all columns, and what follows it.

    outputs: kernels, or units. kernel: side of the kernel; None in a fully connected layer.
    reads: "own", each column reads what it made itself; "both", every column reads all.
        The first layer reads the image, which every column has.
    after: steps of `STEPS`, in their order.
    std: of the zero-mean Gaussian that the weights start from. bias: where biases start.
    """

    name: str
    outputs: int
    kernel: int | None
    stride: int = 1
    padding: int = 0
    reads: str = "both"
    after: tuple[str, ...] = ("relu",)
    std: float = paper.INIT_STD
    bias: float = 0.0

    def __post_init__(self) -> None:
        one_of(f"reads of {self.name}", self.reads, ("own", "both"))
        for step in self.after:
            one_of(f"step after {self.name}", step, STEPS)


@dataclass(frozen=True)
class Architecture:
    """A table of layers.

    columns: parts of equal width; one per GPU in 2012. Normalization never leaves a column.
    lrn: "paper" or "code", see `layers.local_response_norm`.
    side: height and width of the image in pixels.
    """

    name: str
    layers: tuple[Layer, ...]
    columns: int = 2
    lrn: str = "paper"
    side: int = paper.INPUT_SIDE

    def __post_init__(self) -> None:
        for layer in self.layers[:-1]:
            if layer.outputs % self.columns:
                raise ValueError(
                    f"{layer.outputs} outputs of {layer.name} cannot be split into {self.columns}"
                )

    def groups(self, layer: Layer) -> int:
        """Into how many parts a layer falls that read nothing of each other."""
        return 1 if layer.reads == "both" or layer is self.layers[0] else self.columns


# --- the paper's network and its variants -------------------------------------------------------

VARIANTS = ("paper", "run145", "one_gpu", "ungrouped")  # the eight layers of §3.5
WITHOUT = ("no_conv3", "no_conv4", "no_conv5")  # the middle layers of §1 and §7
COMPARED = ("no_lrn", "plain_pooling", *WITHOUT)  # what §3.3, §3.4 and §7 compare the network with
CONV6 = "conv6"  # the variant of nine layers, and its additional one
TALKERS = ("conv2", "conv3", "conv4", "conv5", "fc6", "fc7")  # the classifier always reads both
PAPERS_TALK = ("conv3", "fc6", "fc7")
RUN_145: dict[
    str, dict[str, Any]
] = {  # what the configuration says where it differs from the paper (`layers-145.cfg`)
    "conv1": {"after": ("lrn", "pool", "relu")},
    "conv2": {"after": ("relu", "lrn", "map_norm", "pool")},
    "conv3": {"std": 0.03},
    "conv4": {"std": 0.03},
    "conv5": {"std": 0.03, "after": ("pool", "relu")},
}


def _layers(
    classes: int, kernels: tuple[int, int, int, int, int] = (96, 256, 384, 384, 256)
) -> tuple[Layer, ...]:
    """The layers as §3.5 and §5 describe them."""
    c1, c2, c3, c4, c5 = kernels
    layers = (
        Layer("conv1", c1, 11, 4, after=("relu", "lrn", "pool")),
        Layer("conv2", c2, 5, 1, 2, after=("relu", "lrn", "pool"), bias=1.0),
        Layer("conv3", c3, 3, 1, 1),
        Layer("conv4", c4, 3, 1, 1, bias=1.0),
        Layer("conv5", c5, 3, 1, 1, after=("relu", "pool"), bias=1.0),
        Layer("fc6", 4096, None, after=("relu", "dropout"), bias=1.0),
        Layer("fc7", 4096, None, after=("relu", "dropout"), bias=1.0),
        Layer("fc8", classes, None, after=()),
    )
    return exchanging(layers, PAPERS_TALK)


def exchanging(layers: Iterable[Layer], talk: Collection[str]) -> tuple[Layer, ...]:
    """The layers, of which those named in `talk`, the first and the last read both columns."""
    first, *inner, last = layers
    inner = [replace(layer, reads="both" if layer.name in talk else "own") for layer in inner]
    return (first, *inner, last)


def talking(layers: Iterable[str], classes: int = paper.CLASSES) -> Architecture:
    """The paper's network with its columns talking at these layers, and at the classifier.

    layers: names of `TALKERS`. The paper's own pattern is `PAPERS_TALK`.
    """
    talk = [one_of("layer to talk at", name, TALKERS) for name in layers]
    name = "talking at " + (", ".join(talk) or "nothing")
    return Architecture(name, exchanging(_layers(classes), talk))


def variant(name: str | Architecture, classes: int = paper.CLASSES) -> Architecture:
    """An architecture by its name; an `Architecture` is given back as it is.

    "paper": §3.5 and §5, read literally. "run145": what the authors' code of that network
    did. "one_gpu": half as many kernels but in the last convolution (§3.2, a footnote).
    "ungrouped": the kernels of the paper with no columns. "no_lrn": no normalization (run 148).
    "plain_pooling": windows of 2×2 that do not overlap, with the paddings of run 147, which keep the
    later maps as large. "no_conv3" and so on: see `without`. "conv6": the paper's with the sixth
    convolution that §6 puts over the last pooling layer, see `with_conv6`.
    """
    if isinstance(name, Architecture):
        return name
    one_of("variant", name, (*VARIANTS, *COMPARED, CONV6))
    table = Architecture(name, _layers(classes))
    if name == "run145":
        layers = tuple(replace(layer, **RUN_145.get(layer.name, {})) for layer in table.layers)
        return replace(table, layers=layers, lrn="code")
    if name == "one_gpu":
        return Architecture(name, _layers(classes, (48, 128, 192, 192, 256)), columns=1)
    if name == "ungrouped":
        return replace(table, columns=1)
    if name == "no_lrn":
        return with_steps(table, {"lrn": ()})
    if name == "plain_pooling":
        paddings = {"conv2": 1, "conv5": 0}
        layers = tuple(replace(x, padding=paddings.get(x.name, x.padding)) for x in table.layers)
        return with_steps(replace(table, layers=layers), {"pool": ("plain_pool",)})
    if name in WITHOUT:
        return without(table, name.removeprefix("no_"))
    return with_conv6(table) if name == CONV6 else table


def with_steps(base: Architecture, changes: Mapping[str, tuple[str, ...]]) -> Architecture:
    """The same with other steps in place of some."""
    steps = [[s for step in layer.after for s in changes.get(step, (step,))] for layer in base.layers]
    layers = (replace(layer, after=tuple(after)) for layer, after in zip(base.layers, steps, strict=True))
    return replace(base, layers=tuple(layers))


def without(base: Architecture, name: str) -> Architecture:
    """The paper's network, or a narrower one, without one of its middle layers: conv3, conv4 or conv5.

    Without conv5 the layer before it takes over its pooling and its number of kernels, so that fc6 reads as
    many maps. Where the layer read both columns, the one after it does. Raises ValueError for another name.
    """
    one_of("middle layer", name, [layer.removeprefix("no_") for layer in WITHOUT])
    place = next(i for i, layer in enumerate(base.layers) if layer.name == name)
    before, gone, after = base.layers[place - 1 : place + 2]
    if "pool" in gone.after:
        before = replace(before, after=gone.after, outputs=gone.outputs)
    if gone.reads == "both":
        after = replace(after, reads="both")
    layers = (*base.layers[: place - 1], before, after, *base.layers[place + 2 :])
    return replace(base, name=f"no_{name}", layers=layers)


def with_conv6(base: Architecture) -> Architecture:
    """The same with a sixth convolution over the last pooling layer (§6), named `CONV6`.

    Its kernels are those of run 146: 3×3, as many as the layer below has, reading both columns.
    §5 lists no bias of 1 for it and no other spread, so it starts like conv3: biases 0.
    """
    convolutions = [layer for layer in base.layers if layer.kernel is not None]
    sixth = Layer(CONV6, convolutions[-1].outputs, 3, 1, 1)
    layers = (*convolutions, sixth, *base.layers[len(convolutions) :])
    return replace(base, name=CONV6, layers=layers)


# --- a small network of two columns --------------------------------------------------------------

CONNECTIONS = {  # which layers read both columns
    "paper": ("conv3", "fc5"),  # §3.5: not conv2, not conv4
    "joint": ("conv2", "conv3", "conv4", "fc5"),  # nothing is restricted
    "apart": (),  # no exchange before the classifier
}
STARTS = ("fan-in", "2012")
HIDDEN = "fc5"  # the last hidden layer, whose outputs are the features of §6.1


def kernel_net(
    connect: str = "paper",
    *,
    kernel: int = 7,
    stride: int = 2,
    kernels: int = 48,
    side: int = 32,
    classes: int = 10,
    norm: bool = False,
    start: str = "fan-in",
) -> Architecture:
    """Four convolutions, a hidden layer and a classifier; what §6.1 is repeated on.

    connect: a key of `CONNECTIONS`. kernel, stride, kernels: of the first convolution, both columns
    together. side: of the image in pixels. norm: response normalization after the first two, inside
    a column (§3.3). start: "fan-in", weights from N(0, 2 / fan-in) and biases 0, but the first kernels
    from N(0, 0.01²): where they start larger, what they learn is lost among what they were drawn as.
    "2012", N(0, 0.01²) and biases 1 in conv2, conv4 and the hidden layer (§5), for undivided pixels.
    With the defaults 169,354 parameters. Raises ValueError for other words.
    """
    one_of("connections", connect, CONNECTIONS)
    one = 1.0 if one_of("start", start, STARTS) == "2012" else 0.0
    pooled = ("relu", "lrn", "pool") if norm else ("relu", "pool")
    layers = (
        Layer("conv1", kernels, kernel, stride, kernel // 2, after=pooled),
        Layer("conv2", 64, 5, 1, 2, after=pooled, bias=one),
        Layer("conv3", 64, 3, 1, 1),
        Layer("conv4", 64, 3, 1, 1, after=("relu", "pool"), bias=one),
        Layer(HIDDEN, 256, None, bias=one),
        Layer("fc6", classes, None, after=()),
    )
    talking = exchanging(layers, CONNECTIONS[connect])
    table = Architecture(f"kernels, {connect}", talking, paper.GPUS, side=side)
    if start == "2012":
        return table
    first, *others = scaled_by_fan_in(table).layers
    return replace(table, layers=(replace(first, std=paper.INIT_STD), *others))


# --- counting ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Count:
    """What one layer comes to. Shapes are (channels, height, width), or (units,)."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    pooled: tuple[int, ...]  # what the next layer reads
    weights: int
    biases: int
    multiply_adds: int  # for one image, biases not counted
    receptive_field: int  # side of the square of the image that one output depends on, in pixels

    @property
    def parameters(self) -> int:
        return self.weights + self.biases

    @property
    def units(self) -> int:
        return math.prod(self.outputs)


def output_side(side: int, window: int, stride: int = 1, padding: int = 0) -> int:
    """Side of the maps after a convolution or pooling, by the authors' rule, which rounds up.

    Source: `layer.py` 1004 and 1164.
    """
    return 1 + math.ceil((2 * padding + side - window) / stride)


def count(architecture: Architecture) -> list[Count]:
    """Shapes, parameters, multiply-adds and receptive fields, layer by layer."""
    counts: list[Count] = []
    shape: tuple[int, ...] = (3, architecture.side, architecture.side)
    field, jump = 1, 1  # of one input of the layer, in pixels of the image
    for layer in architecture.layers:
        groups = architecture.groups(layer)
        if layer.kernel is None:
            inputs = math.prod(shape)
            field = architecture.side
            weights = inputs // groups * layer.outputs
            outputs: tuple[int, ...] = (layer.outputs,)
            pooled, work = outputs, weights
        else:
            side = output_side(shape[1], layer.kernel, layer.stride, layer.padding)
            field, jump = field + (layer.kernel - 1) * jump, jump * layer.stride
            weights = layer.kernel**2 * shape[0] // groups * layer.outputs
            outputs = pooled = (layer.outputs, side, side)
            work = weights * side**2
        seen = field
        for window in (POOLS[step] for step in layer.after if step in POOLS):
            side = output_side(outputs[1], window, paper.POOL_STRIDE)
            pooled = (layer.outputs, side, side)
            field, jump = field + (window - 1) * jump, jump * paper.POOL_STRIDE
        counts.append(Count(layer.name, shape, outputs, pooled, weights, layer.outputs, work, seen))
        shape = pooled
    return counts


def fan_ins(architecture: Architecture) -> dict[str, int]:
    """How many inputs one output of each layer reads: layer -> number."""
    return {size.name: size.weights // size.outputs[0] for size in count(architecture)}


def scaled_by_fan_in(architecture: Architecture) -> Architecture:
    """The same with all weights drawn from N(0, 2 / fan-in), He's rule of 2015."""
    inputs = fan_ins(architecture)
    layers = tuple(replace(layer, std=(2 / inputs[layer.name]) ** 0.5) for layer in architecture.layers)
    return replace(architecture, layers=layers)


def narrow(architecture: Architecture, divisor: int = 8) -> Architecture:
    """So many times fewer kernels and units, and weights larger to match: σ·√fan-in is kept.

    So the numbers in every layer have the scale that they have in the wide network.
    """
    if divisor < 1:
        raise ValueError(f"the divisor must be 1 or more, got {divisor!r}")
    inner = [replace(layer, outputs=layer.outputs // divisor) for layer in architecture.layers[:-1]]
    thin = replace(architecture, layers=(*inner, architecture.layers[-1]))
    before, after = fan_ins(architecture), fan_ins(thin)
    layers = (replace(x, std=x.std * (before[x.name] / after[x.name]) ** 0.5) for x in thin.layers)
    return replace(thin, layers=tuple(layers))
