"""Lesson 00: photographs and their labels, the figures of the counting, four ways to 55 places."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from alexnet_edu import paper
from alexnet_edu.lessons import start
from alexnet_edu.model.layers import CeilConv2d

COUNTS = {layer.name: (layer.parameters, layer.neurons, layer.multiply_adds) for layer in paper.LAYERS}


def test_the_first_figure_needs_no_images_of_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALEXNET_EDU_SCALE", "quick")
    figure, sentence = start.top_five()
    assert "SYNTHETIC" in sentence
    assert len(figure.axes) == 2 * (start.SHOWN + 1)


def test_convolutions_hold_little_and_work_much() -> None:
    (plain,), (guessed,) = (start.where_they_are(COUNTS, guess)[0].axes for guess in (None, 0.5))
    assert len(guessed.lines) == len(plain.lines) + 1
    assert "your guess: 50%" in [text.get_text() for text in guessed.texts]
    sentence = start.where_they_are(COUNTS)[1]
    assert "hold 3.8% of the parameters and do 91.9% of the multiplications" in sentence
    assert start.against_one_percent(COUNTS)[1].startswith("conv3 and conv4 hold more than 1%")


def test_the_last_window_hangs_over_the_edge() -> None:
    assert "55 windows need 227 pixels, and the image has 224" in start.last_windows()[1]


def test_where_four_ways_to_55_places_agree() -> None:
    random = torch.Generator().manual_seed(0)
    crop = torch.randint(256, (1, 3, 227, 227), generator=random) - 128.0
    image, rule = crop[..., :224, :224], CeilConv2d(3, 4, 11, stride=4, bias=False)
    kernels = 0.01 * torch.randn(4, 3, 11, 11, generator=random)
    rule.weight = torch.nn.Parameter(kernels, requires_grad=False)
    ways = {
        "rule": rule(image),
        "zeros": F.conv2d(F.pad(image, (0, 3, 0, 3)), kernels, stride=4),
        "227": F.conv2d(crop, kernels, stride=4),
        "padding": F.conv2d(image, kernels, stride=4, padding=2),
    }
    assert torch.equal(ways["rule"], ways["zeros"])
    assert "at 3025 with zeros, at 2916 with 227, at 0 with padding" in start.agreement(ways)[1]
