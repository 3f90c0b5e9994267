"""Kernels as pictures, and what a unit deeper in the network answers to most.

Tensors in, arrays of colours or places out; nothing is drawn here. Source of the first part:
`shownet.py`, plot_filters, of the 2012 code.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from alexnet_edu.studies.networks import Network

PER_ROW = 16  # kernels in a row, as in Figure 3 and shownet.py
SCALES = {"global": "one for all kernels", "each": "each kernel its own"}


def pictures(kernels: Tensor, scale: str = "global") -> Tensor:
    """Kernels as colours: (K, 3, h, w) -> (K, h, w, 3) float32, 0–1.

    scale: "global", the smallest of all weights becomes 0 and the largest 1; "each", every kernel is
    first set to mean 0 and standard deviation 1 (`--norm-filters` in 2012), then the same. A kernel whose
    weights are all equal is grey. Raises ValueError for another word or shape.
    """
    if scale not in SCALES:
        raise ValueError(f"unknown scale {scale!r}; choose one of {', '.join(SCALES)}")
    if kernels.dim() != 4 or kernels.shape[1] != 3 or not len(kernels):
        raise ValueError(f"kernels must be (K, 3, h, w), K at least 1; got {tuple(kernels.shape)}")
    w = kernels.detach().double()
    if scale == "each":
        centred = w - w.mean((1, 2, 3), keepdim=True)
        spread = centred.square().mean((1, 2, 3), keepdim=True).sqrt()
        w = centred / torch.where(spread > 0, spread, 1.0)
    low, high = w.min(), w.max()
    grey = torch.full_like(w, 0.5)
    return ((w - low) / (high - low) if high > low else grey).permute(0, 2, 3, 1).float()


def tiled(colours: Tensor, per_row: int = PER_ROW) -> Tensor:
    """Pictures side by side with one white pixel between them: (K, h, w, 3) -> (H, W, 3)."""
    count, high, wide, _ = colours.shape
    across = min(per_row, count)
    down = -(-count // across)
    sheet = torch.ones(down * (high + 1) - 1, across * (wide + 1) - 1, 3)
    for i, picture in enumerate(colours):
        top, left = i // across * (high + 1), i % across * (wide + 1)
        sheet[top : top + high, left : left + wide] = picture
    return sheet


# --- what excites a unit ----------------------------------------------------------------------


@dataclass(frozen=True)
class Field:
    """The square of pixels that one output of a layer depends on.

    size: its side. jump: from one output to the next. start: the first pixel of the first output's
    square; negative where it hangs over the edge. All in pixels of what the network reads.
    """

    size: int
    jump: int
    start: int

    def box(self, row: int, column: int, side: int) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) of the output at (row, column), cut off at the edges 0 and `side`."""
        top, left = self.start + row * self.jump, self.start + column * self.jump
        return max(top, 0), max(left, 0), min(top + self.size, side), min(left + self.size, side)


def fields(network: Network) -> dict[str, Field]:
    """The field of each convolution of a network, after its pooling: layer -> `Field`."""
    found: dict[str, Field] = {}
    size, jump, start = 1, 1, 0
    for name in network.layers:
        stage = network.stages[name]
        steps = [m for m in stage.modules() if isinstance(m, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d)]
        if any(isinstance(m, nn.Linear) for m in stage.modules()) or not steps:
            break
        for step in steps:
            kernel, stride, padding = (_one(x) for x in (step.kernel_size, step.stride, step.padding))
            size, start = size + (kernel - 1) * jump, start - padding * jump
            jump *= stride
        found[name] = Field(size, jump, start)
    return found


def _one(value: int | tuple[int, ...] | str) -> int:
    return int(value[0] if isinstance(value, tuple) else value)


@dataclass(frozen=True)
class Excited:
    """How strongly each unit of a layer answers to each image at its best place.

    strength: (N, C); row, column: (N, C) int64, that place; 0 in a fully connected layer.
    """

    layer: str
    strength: Tensor
    row: Tensor
    column: Tensor

    def best(self, unit: int, count: int) -> Tensor:
        """The images that excite a unit most, strongest first: (count,) int64; of equal ones the first."""
        units = self.strength.shape[1]
        if not 0 <= unit < units:
            raise ValueError(f"{self.layer} has the units 0 to {units - 1}, got {unit!r}")
        return self.strength[:, unit].argsort(descending=True, stable=True)[:count]


def excited(network: Network, pixels: Tensor, layer: str, **options: object) -> Excited:
    """What each unit of a layer says to images, at the place where it says most.

    pixels: (N, 3, H, W) uint8. options: of `Network.outputs`. Raises ValueError for an unknown layer.
    """
    outputs = network.outputs(pixels, layer, **options)  # type: ignore[arg-type]
    if outputs.dim() == 2:
        nowhere = torch.zeros_like(outputs, dtype=torch.int64)
        return Excited(layer, outputs, nowhere, nowhere)
    strength, place = outputs.flatten(2).max(2)  # (N, C)
    wide = outputs.shape[3]
    return Excited(layer, strength, place // wide, place % wide)


def silent(found: Excited) -> int:
    """How many units say nothing at all to any of the images."""
    return int((found.strength <= 0).all(0).sum())
