"""What the full training costs by arithmetic. Peaks of GPUs are those of their vendors' data sheets."""

from __future__ import annotations

from dataclasses import dataclass

from alexnet_edu import paper
from alexnet_edu.model.architecture import Architecture, count
from alexnet_edu.two_gpus.traffic import GTX_580

OFFICIAL_COUNTS = {"train": 1_281_167, "val": 50_000}  # of ILSVRC 2012
TRAINING_IMAGES = OFFICIAL_COUNTS["train"]  # files in the tars of 2012; §2 says "roughly 1.2 million"
DAY = 86_400  # seconds
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

    Backwards each layer computes as much as forwards for its weights, and as much again for its inputs;
    conv1 not, for nobody asks for the gradient of pixels.
    """
    sizes = count(table)
    forward = OPERATIONS * sum(size.multiply_adds for size in sizes)
    return (1 + BACKWARD) * forward - OPERATIONS * sizes[0].multiply_adds


def operations(table: Architecture, epochs: float = paper.EPOCHS, images: int = TRAINING_IMAGES) -> float:
    """Of a whole training."""
    return operations_per_image(table) * epochs * images


def seconds(wanted: float, peak: float, share: float, devices: int = 1) -> float:
    """How long so many operations take. share: of the peak that is reached, above 0 up to 1."""
    return wanted / (devices * peak * share)
