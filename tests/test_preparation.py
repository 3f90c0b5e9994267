"""What a network reads of an image: the middle of it, minus the middle of the mean image."""

from __future__ import annotations

import math

import pytest
import torch

from alexnet_edu.data.preparation import Preparation
from alexnet_edu.data.synthetic import synthetic_images

TRAIN = synthetic_images(80, 10, size=16).train


@pytest.mark.parametrize("side", [16, 13, 12])
@pytest.mark.parametrize("standardized", [True, False])
def test_the_middle_minus_the_middle_of_the_mean(side: int, standardized: bool) -> None:
    found = Preparation.of(TRAIN, side, standardized=standardized)(TRAIN.pixels)
    first = (16 - side) // 2
    part = slice(first, first + side)
    centred = TRAIN.pixels.float() - TRAIN.pixels.float().mean(0)
    divisor = centred.std().item() if standardized else 1.0
    assert found.dtype == torch.float32
    assert torch.equal(found, centred[:, :, part, part] / divisor)


def test_the_training_images_are_centred_and_on_the_scale_that_was_asked_for() -> None:
    ours, theirs = (Preparation.of(TRAIN, 16, standardized=s) for s in (True, False))
    assert ours(TRAIN.pixels).mean(0).abs().max() < 1e-5
    assert ours(TRAIN.pixels).std().item() == pytest.approx(1, abs=1e-5)
    assert theirs.std == 1
    assert theirs(TRAIN.pixels).abs().max() > 100


def test_images_that_are_cropped_already_or_not_square_have_a_middle() -> None:
    """A crop is read whole; an image as high as the network's side and wider must be cut, too."""
    prepare = Preparation.of(TRAIN, 12)
    whole = prepare(TRAIN.pixels)
    assert torch.equal(prepare(TRAIN.pixels[:, :, 2:14, 2:14]), whole)
    assert torch.equal(prepare(TRAIN.pixels[:, :, 2:14]), whole)
    assert torch.equal(prepare(TRAIN.pixels[:, :, :, 2:14]), whole)
    with pytest.raises(
        ValueError, match=r"cannot crop 12 × 12 pixels out of images of shape \(80, 3, 11, 16\)"
    ):
        prepare(TRAIN.pixels[:, :, :11])


@pytest.mark.parametrize(
    ("shape", "std", "side", "said"),
    [
        ((3, 16, 16), 1.0, 17, r"at least 17 pixels a side; got \(3, 16, 16\)"),
        ((3, 16, 16), 1.0, 0, "at least 0 pixels"),
        ((1, 16, 16), 1.0, 12, r"got \(1, 16, 16\)"),
        ((16, 16), 1.0, 12, r"got \(16, 16\)"),
        ((3, 16, 16), 0.0, 12, "divided by a positive number, got 0.0"),
        ((3, 16, 16), math.nan, 12, "divided by a positive number, got nan"),
    ],
)
def test_what_cannot_be_a_mean_image_is_refused(
    shape: tuple[int, ...], std: float, side: int, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        Preparation(torch.zeros(shape), std, side)
