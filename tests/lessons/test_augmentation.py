"""Lesson 04: what the explorers say is what the package computes, wherever the controls stand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from alexnet_edu.data.augment import STRENGTHS, ColorPCA, center_crop
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.lessons.augmentation import color_explorer, crop_explorer, patch_explorer
from alexnet_edu.show.photograph import photograph

PORTRAIT = photograph(side=64)
TEST = synthetic_images(60, 40, seed=3).test
COLORS = ColorPCA.fit(synthetic_images(60, 40, seed=3).train.pixels)


@pytest.mark.parametrize("kind", STRENGTHS)
def test_the_shift_is_named_in_grey_levels(kind: str) -> None:
    widget = color_explorer(PORTRAIT, COLORS)
    widget.controls["kind"].value = kind
    widget.controls["alpha1"].value, widget.controls["alpha2"].value = -0.2, 0.15
    assert widget.error is None
    alpha = torch.tensor([-0.2, 0.15, 0.0], dtype=torch.float64)
    red, green, blue = (COLORS.eigenvectors @ (alpha * COLORS.strengths(kind))).tolist()
    assert f"red {red:+.1f}, green {green:+.1f}, blue {blue:+.1f} grey levels" in widget.alt


def test_without_any_shift_nothing_lies_outside_of_the_scale() -> None:
    widget = color_explorer(PORTRAIT, COLORS, alpha1=0.0)
    assert "0% of the values lie outside" in widget.alt
    before = widget.png
    widget.controls["divided"].value = True
    assert widget.error is None
    assert widget.png != before
    assert "added to all pixels, then divided by 1.1" in widget.alt


def test_crops_are_numbered_from_the_first_to_the_last() -> None:
    widget = crop_explorer(photograph())
    assert "number 1 of 2,178: 224 × 224, from row 0" in widget.alt
    widget.controls["top"].value = widget.controls["left"].value = 32
    assert "number 2,177 of 2,178" in widget.alt
    widget.controls["mirrored"].value = True
    assert "number 2,178 of 2,178: 224 × 224, mirrored, from row 32 and column 32 on" in widget.alt


def test_ten_patches_and_their_average() -> None:
    def by_brightness(patches: Tensor) -> Tensor:
        """Class 0 for dark patches, class 1 for the others: two classes disagree within one image."""
        bright = patches.float().mean((1, 2, 3)) > TEST.pixels[0].float().mean()
        return torch.eye(10)[bright.long()] * 0.8 + 0.02

    widget = patch_explorer(TEST.subset(torch.arange(3)), 24, by_brightness)
    middle = int(by_brightness(center_crop(TEST.pixels[:1], 24)).argmax())
    assert f"the middle one for {TEST.classes[middle]}" in widget.alt
    assert f"the true class, {TEST.classes[int(TEST.labels[0])]}" in widget.alt
    assert "SYNTHETIC" in widget.alt
    widget.controls["image"].value = 2
    assert widget.error is None
    assert f"the true class, {TEST.classes[int(TEST.labels[2])]}" in widget.alt
