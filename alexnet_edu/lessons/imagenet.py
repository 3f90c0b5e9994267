"""What the full training costs by arithmetic: operations, and days on the GPUs of then and of now.

Nothing here is measured, and the figures of GPUs are those of their vendors' data sheets. How much
of a peak a training reaches is an argument: the paper's five to six days say what it was in 2012.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from alexnet_edu import paper
from alexnet_edu.imagenet.sources import OFFICIAL_COUNTS
from alexnet_edu.model.architecture import Architecture, count
from alexnet_edu.two_gpus.traffic import GTX_580

TRAINING_IMAGES = OFFICIAL_COUNTS["train"]  # files in the tars of 2012; §2 says "roughly 1.2 million"
DAY, TERA = 86_400, 1e12
OPERATIONS = 2  # a multiply-add: one multiplication and one addition
BACKWARD = 2  # times as many as forwards: the gradients of the weights, and those of the inputs


@dataclass(frozen=True)
class Device:
    """One GPU as its data sheet has it: dense peaks in operations per second, without sparsity.

    float32: outside of the tensor cores. bfloat16: on them, None where there are none.
    """

    name: str
    year: int
    float32: float
    bfloat16: float | None
    source: str

    def peak(self, kind: str) -> float:
        """Operations per second in "float32" or "bfloat16"; float32 where the GPU has no other."""
        if kind not in ("float32", "bfloat16"):
            raise ValueError(f"kind must be 'float32' or 'bfloat16', got {kind!r}")
        return self.bfloat16 if kind == "bfloat16" and self.bfloat16 is not None else self.float32


DEVICES = {
    d.name: d
    for d in (
        Device("GTX 580", 2010, GTX_580.flops, None, "512 cores × 1.544 GHz × 2"),
        Device("RTX 4090", 2022, 82.6e12, 165.2e12, "NVIDIA Ada architecture paper"),
        Device("A100", 2020, 19.5e12, 312e12, "NVIDIA A100 data sheet"),
        Device("H100 SXM", 2022, 67e12, 989e12, "NVIDIA H100 data sheet"),
    )
}


def operations_per_image(table: Architecture) -> int:
    """Additions and multiplications of one image in training, in convolutions and matrices alone.

    Backwards each layer computes as much as forwards for its weights, and as much again for its
    inputs; conv1 not, for nobody asks for the gradient of pixels. ReLU, normalization, pooling
    and the update of the weights are left out: they move memory rather than compute.
    """
    sizes = count(table)
    forward = OPERATIONS * sum(size.multiply_adds for size in sizes)
    return (1 + BACKWARD) * forward - OPERATIONS * sizes[0].multiply_adds


def operations(table: Architecture, epochs: float = paper.EPOCHS, images: int = TRAINING_IMAGES) -> float:
    """Of a whole training. Raises ValueError for a number below 0."""
    if epochs < 0 or images < 0:
        raise ValueError(f"epochs and images must be 0 or more, got {epochs!r} and {images!r}")
    return operations_per_image(table) * epochs * images


def steps(epochs: int = paper.EPOCHS, images: int = TRAINING_IMAGES, batch: int = paper.BATCH_SIZE) -> int:
    """Updates of the weights; the last batch of an epoch may be smaller."""
    return epochs * math.ceil(images / batch)


def seconds(wanted: float, peak: float, share: float, devices: int = 1) -> float:
    """How long so many operations take. share: of the peak that is reached, above 0 up to 1."""
    if not 0 < share <= 1:
        raise ValueError(f"a share of the peak is above 0 and at most 1, got {share!r}")
    return wanted / (devices * peak * share)


def share_reached(wanted: float, peak: float, took: float, devices: int = 1) -> float:
    """The share (0–1) of the peak that a training of `took` seconds has reached."""
    if took <= 0:
        raise ValueError(f"a training takes more than 0 seconds, got {took!r}")
    return wanted / (devices * peak * took)


def fed_seconds(computing: float, images: float, images_per_s: float) -> tuple[float, bool]:
    """(seconds of a training that images are read for meanwhile, whether the reading sets the pace).

    computing: seconds of the arithmetic alone. images: of all epochs. images_per_s: what the feed
    brings, `math.inf` for one that is never late.
    """
    if images_per_s <= 0:
        raise ValueError(f"a feed brings more than 0 images/s, got {images_per_s!r}")
    reading = images / images_per_s
    return max(computing, reading), reading > computing
