"""What augmentation costs is measured on what it says, and sharing crops moves the gradient more."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from alexnet_edu import paper
from alexnet_edu.data.augment import STRENGTHS, ColorPCA
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.studies import augmenting
from alexnet_edu.studies.record import load, write

IMAGES = synthetic_images(120, 20, seed=5).train


def test_a_batch_is_cropped_and_recoloured() -> None:
    raw = torch.randint(0, 256, (3, 3, 256, 256), dtype=torch.uint8)
    colors = ColorPCA.fit(IMAGES.pixels)
    made = augmenting.augmented(raw, colors, torch.Generator().manual_seed(1))
    assert made.shape == (3, 3, paper.INPUT_SIDE, paper.INPUT_SIDE)
    assert made.dtype == torch.float32
    shift = made - made.floor()  # pixels are whole numbers, so what is left is the shift, one for each map
    assert (shift.amax((2, 3)) - shift.amin((2, 3)) < 1e-3).float().mean() > 0.7


@pytest.mark.slow
def test_the_record_holds_times_and_strengths(tmp_path: Path) -> None:
    write(augmenting.record(IMAGES, batch=2, rounds=1), tmp_path / "augmenting.json")
    made = load("augmenting", tmp_path)
    assert list(made.tables["seconds"]["what"]) == ["augment", "step", "in turn", "side by side"]
    assert (made.tables["seconds"]["seconds"] > 0).all()
    assert set(made.tables["colours"]) >= set(STRENGTHS)
    assert made.is_synthetic


class _AtOnePixel(nn.Module):
    """Logits that depend on the first pixel alone, so images that are the same react alike."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.line(x[:, 0, 0, :1])
        return out


def _spread(model: nn.Module, *, shared: int, draws: int = 300) -> float:
    images = torch.randint(0, 256, (1, 3, 12, 12), generator=torch.Generator().manual_seed(2))
    pixels = images.to(torch.uint8).expand(16, -1, -1, -1)
    labels = torch.zeros(16, dtype=torch.int64)
    return augmenting.gradient_spread(
        model, pixels, labels, lambda x: x.float() / 255, 6, shared=shared, draws=draws
    )


def test_where_all_images_react_alike_sharing_costs_the_full_factor() -> None:
    """16 copies of one image: with own draws the variance is v/16, with all sharing one draw it is v."""
    torch.manual_seed(0)
    model = _AtOnePixel()
    ratio = _spread(model, shared=16) / _spread(model, shared=1)
    assert 12 < ratio < 21
