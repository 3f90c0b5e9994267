"""The eight layers as a table: who reads what, in which order; and what it all counts.

The variants are rows, not branches: the paper read literally, the network that the authors'
configuration 145 describes, the half network of §3.2 for one GPU, and the whole network with
nothing kept apart. `talking` gives any other pattern of exchange between the two columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from alexnet_edu import paper

STEPS = ("relu", "lrn", "map_norm", "pool", "dropout", "inverted_dropout")  # after a layer


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
        if self.reads not in ("own", "both"):
            raise ValueError(f"{self.name} reads {self.reads!r}; choose 'own' or 'both'")
        if unknown := [step for step in self.after if step not in STEPS]:
            raise ValueError(f"{self.name} is followed by {unknown[0]!r}; there are {', '.join(STEPS)}")


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


def _layers(
    kernels: tuple[int, int, int, int, int] = (96, 256, 384, 384, 256),
    talk: Iterable[str] = ("conv3", "fc6", "fc7", "fc8"),
    classes: int = paper.CLASSES,
) -> tuple[Layer, ...]:
    """The layers as §3.5 and §5 describe them; `talk`: those that read both columns."""

    def reads(name: str) -> str:
        return "both" if name in talk else "own"

    c1, c2, c3, c4, c5 = kernels
    return (
        Layer("conv1", c1, 11, 4, 0, "both", ("relu", "lrn", "pool")),
        Layer("conv2", c2, 5, 1, 2, reads("conv2"), ("relu", "lrn", "pool"), bias=1.0),
        Layer("conv3", c3, 3, 1, 1, reads("conv3")),
        Layer("conv4", c4, 3, 1, 1, reads("conv4"), bias=1.0),
        Layer("conv5", c5, 3, 1, 1, reads("conv5"), ("relu", "pool"), bias=1.0),
        Layer("fc6", 4096, None, reads=reads("fc6"), after=("relu", "dropout"), bias=1.0),
        Layer("fc7", 4096, None, reads=reads("fc7"), after=("relu", "dropout"), bias=1.0),
        Layer("fc8", classes, None, reads=reads("fc8"), after=()),
    )


TALKERS = ("conv2", "conv3", "conv4", "conv5", "fc6", "fc7")  # the classifier always reads both


def talking(layers: Iterable[str], classes: int = paper.CLASSES) -> Architecture:
    """The paper's network with its columns talking at these layers, and at the classifier.

    layers: names of `TALKERS`. The paper's own pattern is ("conv3", "fc6", "fc7").
    """
    chosen = tuple(layers)
    if unknown := [name for name in chosen if name not in TALKERS]:
        raise ValueError(f"columns cannot talk at {unknown[0]!r}; choose among {', '.join(TALKERS)}")
    return Architecture(
        "talking at " + (", ".join(chosen) or "nothing"), _layers(talk=(*chosen, "fc8"), classes=classes)
    )


def _as_in_run_145(layer: Layer) -> Layer:
    """What the configuration says where it differs from the paper (`layers-145.cfg`)."""
    differs = {
        "conv1": {"after": ("lrn", "pool", "relu")},
        "conv2": {"after": ("relu", "lrn", "map_norm", "pool")},
        "conv3": {"std": 0.03},
        "conv4": {"std": 0.03},
        "conv5": {"std": 0.03, "after": ("pool", "relu")},
    }
    return replace(layer, **differs.get(layer.name, {}))  # type: ignore[arg-type]


def variant(name: str, classes: int = paper.CLASSES) -> Architecture:
    """An architecture by its name.

    "paper": §3.5 and §5, read literally. "run145": what the authors' code of that network
    did. "one_gpu": half as many kernels but in the last convolution (§3.2, a footnote).
    "ungrouped": the kernels of the paper with no columns. "conv6": the paper's with the sixth
    convolution that §6 puts over the last pooling layer, see `with_conv6`.
    """
    if name == "paper":
        return Architecture(name, _layers(classes=classes))
    if name == "run145":
        return Architecture(name, tuple(map(_as_in_run_145, _layers(classes=classes))), lrn="code")
    if name == "one_gpu":
        return Architecture(name, _layers((48, 128, 192, 192, 256), classes=classes), columns=1)
    if name == "ungrouped":
        return Architecture(name, _layers(classes=classes), columns=1)
    if name == CONV6:
        return with_conv6(variant("paper", classes))
    raise ValueError(f"unknown variant {name!r}; choose one of {', '.join((*VARIANTS, CONV6))}")


def with_conv6(base: Architecture) -> Architecture:
    """The same with a sixth convolution over the last pooling layer (§6), named `CONV6`.

    Its kernels are those of run 146: 3×3, as many as the layer below has, reading both columns.
    §5 lists no bias of 1 for it and no other spread, so it starts like conv3: biases 0. Raises
    ValueError where no pooling is followed by a fully connected layer.
    """
    kernels = [layer for layer in base.layers if layer.kernel is not None]
    if not kernels or "pool" not in kernels[-1].after or len(kernels) == len(base.layers):
        raise ValueError(f"{base.name!r} has no pooling layer below fully connected ones to put conv6 over")
    sixth = Layer(CONV6, kernels[-1].outputs, 3, 1, 1, "both")
    layers = (*base.layers[: len(kernels)], sixth, *base.layers[len(kernels) :])
    return replace(base, name=CONV6, layers=layers)


def chosen(name: str | Architecture, classes: int = paper.CLASSES) -> Architecture:
    """An architecture that is passed on as it is, or the variant of that name."""
    return name if isinstance(name, Architecture) else variant(name, classes)


VARIANTS = ("paper", "run145", "one_gpu", "ungrouped")  # the eight layers of §3.5
CONV6 = "conv6"  # the variant of nine layers, and its additional one


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


def convolved_side(side: int, kernel: int, stride: int, padding: int) -> int:
    """Side of a convolution's maps by the authors' rule, which rounds up (`layer.py` 1004)."""
    return 1 + math.ceil((2 * padding + side - kernel) / stride)


def pooled_side(side: int) -> int:
    """Side after overlapping pooling, 3×3 with stride 2, rounded up (`layer.py` 1164)."""
    return 1 + math.ceil((side - paper.POOL_SIZE) / paper.POOL_STRIDE)


def fan_ins(architecture: Architecture) -> dict[str, int]:
    """How many inputs one output of each layer reads: layer -> number."""
    rows = zip(architecture.layers, count(architecture), strict=True)
    return {layer.name: size.weights // layer.outputs for layer, size in rows}


def scaled_by_fan_in(architecture: Architecture) -> Architecture:
    """The same with all weights drawn from N(0, 2 / fan-in), He's rule of 2015."""
    reads = fan_ins(architecture)
    layers = tuple(replace(layer, std=(2 / reads[layer.name]) ** 0.5) for layer in architecture.layers)
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


def count(architecture: Architecture) -> list[Count]:
    """Shapes, parameters, multiply-adds and receptive fields, layer by layer."""
    counts: list[Count] = []
    shape: tuple[int, ...] = (3, architecture.side, architecture.side)
    field, jump = 1, 1  # of one input of the layer, in pixels of the image
    for layer in architecture.layers:
        groups = architecture.groups(layer)
        if layer.kernel is None:
            inputs = math.prod(shape)
            field, jump = architecture.side, jump
            weights = inputs // groups * layer.outputs
            outputs: tuple[int, ...] = (layer.outputs,)
            pooled, work = outputs, weights
        else:
            side = convolved_side(shape[1], layer.kernel, layer.stride, layer.padding)
            field, jump = field + (layer.kernel - 1) * jump, jump * layer.stride
            weights = layer.kernel**2 * shape[0] // groups * layer.outputs
            outputs = pooled = (layer.outputs, side, side)
            work = weights * side**2
        seen = field
        if "pool" in layer.after:
            pooled = (layer.outputs, pooled_side(outputs[1]), pooled_side(outputs[1]))
            field, jump = field + (paper.POOL_SIZE - 1) * jump, jump * paper.POOL_STRIDE
        counts.append(Count(layer.name, shape, outputs, pooled, weights, layer.outputs, work, seen))
        shape = pooled
    return counts
