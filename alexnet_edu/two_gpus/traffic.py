"""What the two columns cost by arithmetic: memory on each GPU, bytes sent, time on two GTX 580.

Nothing here runs a network. `one_process` and `two_processes` count what is really sent, and the
tests hold the two next to each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from alexnet_edu import paper
from alexnet_edu.model.architecture import POOLS, Architecture, Count, Layer, count

HALF, COLUMNS = "the half network, one thread", "two processes, one thread each"  # timed for the record
FLOAT = 4  # bytes
MIB = 1 << 20

# `partialSum` of conv1 to conv5 in layers-145.cfg: how many places one partial sum of the
# weights' gradient covers. All partial sums are held until they are added up.
PARTIAL_SUMS = {"conv1": 5, "conv2": 3, "conv3": 13, "conv4": 13, "conv5": 13}


@dataclass(frozen=True)
class Array:
    """Something that lies in the memory of a GPU. bytes: for the whole batch."""

    layer: str
    what: str
    bytes: int


KINDS = {
    "images": "the batch, and the next one on its way",
    "outputs": "what every step of a layer gives",
    "gradients": "the gradient of each of them",
    "denominators": "the bases of the normalizations, for the way back",
    "masks": "which units dropout kept",
    "copies": "maps of the other column, and their gradients",
    "weights": "weights and velocities; for convolutions the gradients, too",
    "partial sums": "the weights' gradients before they are added up",
}


def memory_2012(
    architecture: Architecture, batch: int = paper.BATCH_SIZE, gpu: int | None = None
) -> list[Array]:
    """What the authors' code held in float32 while training, array by array.

    architecture: two columns, `variant("run145")` for the network of the paper.
    gpu: 0 or 1 for one of two; None for the whole network on one. As in 2012, the classifier
        lies on GPU 0. Every step (normalization, pooling, ReLU, dropout) keeps its outputs and
        their gradients; biases, the context of CUDA and workspaces are not counted.
    Source: `layer.cu`, `weights.cu`, `layers-145.cfg`, as far as the release shows; an estimate.
    Raises ValueError for a batch below 1, another gpu, or another number of columns.
    """
    if batch < 1:
        raise ValueError(f"a batch holds at least 1 image, got {batch!r}")
    if gpu not in (None, 0, 1) or architecture.columns != 2:
        raise ValueError(f"gpu must be None, 0 or 1 of two columns, got {gpu!r} of {architecture.columns}")
    arrays = [Array("data", "images", 2 * 3 * architecture.side**2 * batch * FLOAT)]
    sent, classifier = sent_each_way(architecture, batch), architecture.layers[-1]
    for column in (0, 1) if gpu is None else (gpu,):
        for layer, size in zip(architecture.layers, count(architecture), strict=True):
            if layer is classifier and column == 1:
                continue
            share = 1 if layer is classifier else 2  # the classifier is not split
            arrays += _of_layer(layer, size, batch, share, layer.name in sent)
            if gpu is not None and layer.name in sent:
                arrays.append(Array(layer.name, "copies", 2 * sent[layer.name]))
    return [a for a in arrays if a.bytes]


def _of_layer(layer: Layer, size: Count, batch: int, share: int, reads_both: bool) -> list[Array]:
    """One column's arrays of one layer; `share`: into how many parts the layer falls."""
    here, weights = size.units // share, size.weights // share
    kept, denominators, masks = here, 0, 0
    for step in layer.after or ("softmax",):
        here = math.prod(size.pooled) // share if step in POOLS else here
        kept += here
        denominators += here if step in ("lrn", "map_norm") else 0
        masks += here if step in ("dropout", "inverted_dropout") else 0
    copies, sums = 2, 0
    if layer.kernel is not None:
        places = math.ceil(size.outputs[1] ** 2 / PARTIAL_SUMS.get(layer.name, 1))
        copies, sums = 3, places * weights // (2 if reads_both else 1)
    floats = {
        "outputs": kept * batch,
        "gradients": kept * batch,
        "denominators": denominators * batch,
        "masks": masks * batch,
        "weights": copies * weights,
        "partial sums": sums,
    }
    return [Array(layer.name, what, FLOAT * n) for what, n in floats.items()]


def mib(arrays: list[Array], what: str | None = None) -> float:
    """The sum in MiB, of one of `KINDS` or of all."""
    return sum(a.bytes for a in arrays if what in (None, a.what)) / MIB


# --- what is sent ------------------------------------------------------------------------------


def sent_each_way(architecture: Architecture, batch: int = paper.BATCH_SIZE) -> dict[str, int]:
    """Layer that reads both columns -> bytes that each column sends the other, forward, in float32.

    The way back sends the same number. In 2012 the classifier lay on GPU 0 alone, so that its
    inputs went one way only: see `sent_per_step`.
    """
    rows = list(zip(architecture.layers, count(architecture), strict=True))[1:]  # the first reads the image
    return {
        layer.name: math.prod(size.inputs) // 2 * batch * FLOAT
        for layer, size in rows
        if layer.reads == "both"
    }


def sent_per_step(architecture: Architecture, batch: int = paper.BATCH_SIZE) -> int:
    """Bytes between the GPUs in one training step as in 2012: both directions, forward and back."""
    each = sent_each_way(architecture, batch)
    classifier = architecture.layers[-1].name
    return sum(2 * n * (1 if name == classifier else 2) for name, n in each.items())


# --- an estimate of time -----------------------------------------------------------------------


@dataclass(frozen=True)
class Machine:
    """What the estimate of time assumes; none of it is in the paper.

    flops: peak of one GPU in single precision, multiplications and additions per second.
    efficiency: share (0–1) of the peak that the convolutions reach.
    link: bytes per second between the GPUs, one way. overlap: share (0–1) of the copies that
    is hidden behind computing.
    """

    flops: float = 1.581e12  # GTX 580: 512 cores × 1.544 GHz × 2
    efficiency: float = 0.35
    link: float = 6e9  # PCIe 2.0 with 16 lanes: 8 GB/s by the standard, about 6 reached
    overlap: float = 0.0


GTX_580 = Machine()


@dataclass(frozen=True)
class StepTime:
    """Seconds of one training step: computing on the busier GPU, and copies that are not hidden."""

    computing: float
    copying: float

    @property
    def total(self) -> float:
        return self.computing + self.copying


def busier_column(architecture: Architecture) -> int:
    """Multiply-adds per image of the first column, which in 2012 had the whole classifier."""
    sizes = count(architecture)
    if architecture.columns == 1:
        return sum(s.multiply_adds for s in sizes)
    return sum(s.multiply_adds for s in sizes[:-1]) // 2 + sizes[-1].multiply_adds


def step_time(
    architecture: Architecture, batch: int = paper.BATCH_SIZE, machine: Machine = GTX_580
) -> StepTime:
    """An estimate for the columns of `architecture`, each on a GPU of `machine`.

    Backwards costs twice as much as forwards, and a multiply-add is two operations. Copies in
    both directions run at the same time.
    """
    computing = 3 * 2 * busier_column(architecture) * batch / (machine.flops * machine.efficiency)
    if architecture.columns == 1:
        return StepTime(computing, 0.0)
    one_way = 2 * sum(sent_each_way(architecture, batch).values())
    return StepTime(computing, (1 - machine.overlap) * one_way / machine.link)
