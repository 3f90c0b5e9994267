"""Lesson 04: figures and explorers say what the package computes and what the records hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from alexnet_edu.data.augment import STRENGTHS, ColorPCA, center_crop
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.lessons import augmentation as lesson
from alexnet_edu.lessons.augmentation import color_explorer, patch_explorer
from alexnet_edu.show.photograph import photograph
from alexnet_edu.studies.record import load
from alexnet_edu.studies.statistics import signed

PORTRAIT = photograph(side=64)
TRAIN, TEST = (images := synthetic_images(60, 40, seed=3)).train, images.test
COLORS = ColorPCA.fit(TRAIN.pixels)


@pytest.mark.parametrize("kind", STRENGTHS)
def test_the_shift_is_named_in_grey_levels(kind: str) -> None:
    widget = color_explorer(PORTRAIT, COLORS)
    widget.controls["kind"].value = kind
    widget.controls["alpha1"].value, widget.controls["alpha2"].value = -0.2, 0.1
    assert widget.error is None
    alpha = torch.tensor([-0.2, 0.1, 0.0], dtype=torch.float64)
    red, green, blue = (COLORS.eigenvectors @ (alpha * COLORS.strengths(kind))).tolist()
    assert f"red {signed(red, 1)}, green {signed(green, 1)}, blue {signed(blue, 1)} grey levels" in widget.alt


def test_without_any_shift_nothing_lies_outside_of_the_scale() -> None:
    widget = color_explorer(PORTRAIT, COLORS, alpha1=0.0, alpha2=0.0)
    assert "0% of the values lie outside" in widget.alt
    before = widget.png
    widget.controls["divided"].value = True
    assert widget.error is None
    assert widget.png != before
    assert "added to all pixels, then divided by 1.1" in widget.alt


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


def test_what_the_records_say_is_what_the_lesson_says() -> None:
    long, short = load("augmentation-long"), load("augmentation")
    assert "42.6% without augmentation, 34.2% with" in lesson.errors_by_epoch(long, short, 0.3)[1]
    assert max(long.values("none", "train_error")) < 0.0005
    assert -10 < long.paired_gap("crops-flips", "none").value < -8
    colours = long.paired_gap("crops-flips-colour", "crops-flips")
    assert colours.low is not None
    assert colours.high is not None
    assert -1.7 < colours.low < colours.high < -0.5
    fifth = long.curves[long.curves["epoch"] == 5].pivot(index="seed", columns="variant", values="test_error")
    assert (fifth["crops-flips"] > fifth["none"]).all()
    assert "worse: noise and vertical reflections" in lesson.each_change(short)[1]
    cost = dict(load("augmenting").tables["seconds"].itertuples(index=False, name=None))
    assert cost["augment"] < 0.01 * cost["step"]


def test_the_figures_of_images_say_what_they_are_made_of() -> None:
    assert "24 different inputs with 3 labels. SYNTHETIC" in lesson.versions(TEST, COLORS)[1]
    share = COLORS.eigenvalues[0] / COLORS.eigenvalues.sum()
    assert f"{share:.0%} of the variance" in lesson.color_cloud(TRAIN, COLORS)[1]
    assert "has 125 different crops" in lesson.crops_in_a_batch({1: [124, 126], 32: [4, 4]})[1]
    errors = {"nothing": (0.0, 0.5), "crops": (0.2, 0.4)}
    assert "0% of the 60 training images are wrong in the end, and 50% of" in lesson.gaps(errors, TRAIN)[1]


def test_invariance_counts_changed_answers() -> None:
    test = TEST.subset(torch.arange(4))
    right = test.labels
    wrong_twice = torch.cat([right[:2], (right[2:] + 1) % 10])
    same = {0.0: right, 4.0: right}
    steady = {"shift": same, "mirror": same, "colours": same}
    moved = steady | {"shift": {0.0: right, 4.0: wrong_twice}}
    figure, sentence = lesson.invariance({"nothing": moved, "crops": steady}, test)
    assert sentence.startswith(
        "Moved by 4 pixels, 50% of the answers change if the network was trained with no"
    )
    assert sentence.endswith("0% with crops; mirrored, 0% and 0%. SYNTHETIC images.")
    assert np.asarray(figure.axes[0].lines[0].get_ydata())[-1] == 0.5
