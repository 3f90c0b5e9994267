"""Crops and reflections: which pixels come out, and how often."""

from __future__ import annotations

import pytest
import torch

from alexnet_edu.augment import center_crop, random_crop_and_flip

COUNTED = torch.arange(2 * 3 * 6 * 7).reshape(2, 3, 6, 7).to(torch.uint8)


def test_the_middle_is_cut_out() -> None:
    assert torch.equal(center_crop(COUNTED, 4), COUNTED[:, :, 1:5, 1:5])
    assert torch.equal(center_crop(COUNTED, 6), COUNTED[:, :, :, 0:6])


def test_every_crop_is_a_window_of_its_own_image_and_all_occur() -> None:
    """3 × 3 places and 2 directions: 18 variants, each with about 1/18 of 1,800 draws."""
    image = torch.arange(25, dtype=torch.uint8).reshape(1, 1, 5, 5)
    windows = {}
    for top in range(3):
        for left in range(3):
            window = image[0, 0, top : top + 3, left : left + 3]
            windows[tuple(window.flatten().tolist())] = 0
            windows[tuple(window.flip(1).flatten().tolist())] = 0
    crops = random_crop_and_flip(image.expand(1_800, 1, 5, 5), 3, torch.Generator().manual_seed(0))
    for crop in crops:
        windows[tuple(crop.flatten().tolist())] += 1  # KeyError: no window of the image
    assert len(windows) == 18
    assert min(windows.values()) > 60


def test_the_generator_decides() -> None:
    images = torch.randint(0, 256, (16, 3, 8, 8), dtype=torch.uint8)
    first, again, other = (
        random_crop_and_flip(images, 6, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (16, 3, 6, 6)
    assert first.dtype == torch.uint8


def test_channels_last_stays() -> None:
    images = torch.zeros(4, 3, 8, 8, dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    crops = random_crop_and_flip(images, 6, torch.Generator())
    assert crops.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("size", [0, 9])
def test_a_crop_that_does_not_fit_is_refused(size: int) -> None:
    images = torch.zeros(1, 3, 8, 8)
    with pytest.raises(ValueError, match=f"cannot crop {size} × {size} pixels out of images of shape"):
        center_crop(images, size)
    with pytest.raises(ValueError, match=f"cannot crop {size} × {size}"):
        random_crop_and_flip(images, size, torch.Generator())
