"""Images that several lessons look at."""

from __future__ import annotations

import pytest
import torch

from alexnet_edu.data.images import Images


@pytest.fixture(scope="session")
def images() -> Images:
    """200 smooth random images of 16×16 pixels; class c is brighter in colour channel c."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (200,), generator=generator)
    coarse = 60 * torch.randn(200, 3, 4, 4, generator=generator)
    coarse[torch.arange(200), labels] += 40
    pixels = torch.nn.functional.interpolate(coarse + 110, size=16, mode="bilinear")
    return Images(pixels.clamp(0, 255).to(torch.uint8), labels, ("a", "b", "c"), "test images")
