"""The stand-in: the same bytes everywhere, nothing for a linear classifier, hard for tanh."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from alexnet_edu.data.images import Images, ImageSet
from alexnet_edu.data.synthetic import CLASSES, synthetic_images
from alexnet_edu.studies.engine import Runs
from alexnet_edu.studies.figure1 import STUDY
from alexnet_edu.training.loop import TrainConfig, error_rate, fit


def test_the_same_arguments_give_the_same_bytes_on_every_machine() -> None:
    images = synthetic_images(600, 30)
    assert images.train.fingerprint() == "87328f799ac8bbf8"
    assert images.test.fingerprint() == "31b436224e132e95"
    a, b = synthetic_images(20, 20, seed=0), synthetic_images(20, 20, seed=1)
    assert len({i.fingerprint() for i in (a.train, a.test, b.train, b.test)}) == 4


def test_it_says_what_it_is() -> None:
    images = synthetic_images(50, 20)
    for split, count in ((images.train, 50), (images.test, 20)):
        assert split.synthetic
        assert split.source == "synthetic stand-in, generated from a seed"
        assert split.classes == CLASSES
        assert tuple(split.pixels.shape) == (count, 3, 32, 32)
        assert torch.bincount(split.labels, minlength=10).tolist() == [count // 10] * 10


@pytest.mark.parametrize("size", [16, 33, 64])
def test_other_sizes_show_the_same_scene(size: int) -> None:
    small = synthetic_images(20, 10, size=size).train.pixels
    assert tuple(small.shape) == (20, 3, size, size)
    flat = [images.float().mean((2, 3)) for images in (small, synthetic_images(20, 10).train.pixels)]
    assert (flat[0] - flat[1]).abs().mean() < 6  # grey levels; noise and edges differ


@pytest.mark.parametrize(("train", "test", "size"), [(0, 5, 32), (5, 0, 32), (5, 5, 8), (5, 5, 999)])
def test_impossible_arguments_are_refused(train: int, test: int, size: int) -> None:
    with pytest.raises(ValueError, match=r"at least one image, got|must be 16 to 256 pixels, got"):
        synthetic_images(train, test, size=size)


def test_pixels_are_spread_like_those_of_photographs_and_no_class_has_a_mean_of_its_own() -> None:
    images = synthetic_images(4_000, 10).train
    assert 110 < images.pixels.float().mean() < 140
    assert 50 < images.pixels.float().std() < 70  # CIFAR-10: 64
    pixels = images.pixels.float().mean(1)  # (N, H, W) brightness
    means = torch.stack([pixels[images.labels == c].mean(0) for c in range(10)])
    spread = means.std(0).mean().item()
    by_chance = pixels.std(0).mean().item() / (len(images) / 10) ** 0.5
    assert spread < 1.1 * by_chance


def linear_error(train: Images, test: Images) -> tuple[float, float]:
    """Training and test error of a linear classifier on standardized pixels."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))
    prepare = Runs(ImageSet(train, test), None).prepare(inputs="population")
    config = TrainConfig(learning_rate=0.0005, batch_size=64, evals_per_epoch=1)
    run = fit(net, train.pixels, train.labels, config, prepare=prepare, max_epochs=15)
    return run.points[-1].train_error, error_rate(net, test.pixels, test.labels, prepare=prepare)


@pytest.mark.slow
def test_a_linear_classifier_is_lost_and_relu_is_ahead_of_tanh() -> None:
    images = synthetic_images(2_000, 500)
    runs = Runs(images, None)
    errors, unseen = {}, {}
    for activation, rate in (("relu", 0.0005), ("tanh", 0.002)):  # about the best for each at this batch size
        variant = STUDY.variant(f"2012 {activation}")
        run = STUDY.run(variant, rate, 1, epochs=6, batch_size=16, evals_per_epoch=1)
        result = runs.train(replace(run, target_error=None, measured=("test_error",)))
        errors[activation] = result.column("train_error")[-1]
        unseen[activation] = result.column("test_error")[-1]
    assert errors["relu"] < 0.4
    assert errors["tanh"] > errors["relu"] + 0.15
    linear, linear_unseen = linear_error(images.train, images.test)
    assert linear_unseen > 0.8
    assert linear_unseen > unseen["relu"] + 0.4
    assert linear > errors["relu"]
