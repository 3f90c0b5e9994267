"""Networks and images small enough for a test."""

from __future__ import annotations

from dataclasses import replace

import torch

from alexnet_edu.data.images import Images
from alexnet_edu.model.architecture import Architecture


def tiny(table: Architecture, classes: int = 11) -> Architecture:
    """The same table with an eighth of the kernels, a thirty-second of the units, few classes."""
    layers = [replace(x, outputs=x.outputs // (8 if x.kernel else 32)) for x in table.layers[:-1]]
    return replace(table, layers=(*layers, replace(table.layers[-1], outputs=classes)))


def smooth_images() -> Images:
    """200 smooth random images of 16×16 pixels; class c is brighter in colour channel c."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (200,), generator=generator)
    coarse = 60 * torch.randn(200, 3, 4, 4, generator=generator)
    coarse[torch.arange(200), labels] += 40
    pixels = torch.nn.functional.interpolate(coarse + 110, size=16, mode="bilinear")
    return Images(pixels.clamp(0, 255).to(torch.uint8), labels, ("a", "b", "c"), "test images")
