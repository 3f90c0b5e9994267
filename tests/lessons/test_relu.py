"""Lesson 01: the slopes of one neuron, the two explorers, and that nothing measured is out of sight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from alexnet_edu.data.images import Images
from alexnet_edu.lessons import relu
from alexnet_edu.studies.record import load

# --- one neuron ------------------------------------------------------------------------


def test_mean_slope_has_its_exact_values() -> None:
    assert relu.mean_slope("relu", [0.01, 1.0, 100.0]) == [0.5, 0.5, 0.5]
    # Far from 0 only a strip around it counts: ∫ f′ dz times the density at 0, which is 1/(std √2π).
    strip = (2 * torch.pi) ** -0.5 / 50
    assert relu.mean_slope("tanh", [50.0]) == pytest.approx([2 * strip], rel=5e-3)
    assert relu.mean_slope("sigmoid", [50.0]) == pytest.approx([strip], rel=5e-3)
    assert relu.mean_slope("sigmoid", [1e-4]) == pytest.approx([0.25], rel=1e-6)
    assert relu.mean_slope("abs-tanh", [0.5, 7.0]) == relu.mean_slope("tanh", [0.5, 7.0])


def test_flat_zones_are_where_the_slope_is_five_percent_of_its_maximum() -> None:
    ((low, off),) = relu.flat_zones("relu")
    assert low == -np.inf
    assert off == pytest.approx(0, abs=0.01)
    edge = np.arctanh(0.95**0.5)
    for name, factor in (("tanh", 1), ("sigmoid", 2)):
        (_, left), (right, _) = relu.flat_zones(name)
        assert (left, right) == pytest.approx((-factor * edge, factor * edge), abs=0.01)


# --- figures ----------------------------------------------------------------------------


def test_a_guess_is_drawn_into_the_row_that_answers_it() -> None:
    record = load("figure1")
    (plain,), (guessed,) = (relu.factors(record, guess)[0].axes for guess in (None, 3.0))
    texts = [text.get_text() for text in guessed.texts]
    assert "your guess: 3" in texts
    assert len(guessed.lines) == len(plain.lines) + 1
    standardized = relu.ratio(record, "standardized")
    assert f"× {standardized['epochs']:.1f}  [{standardized['epochs_low']:.1f}, " in " ".join(texts)
    (drawn,) = [line for line in guessed.lines if line.get_linestyle() == ":"]
    epochs = record.mean_crossing("standardized relu")
    assert epochs is not None
    assert np.asarray(drawn.get_xdata()) == pytest.approx(np.full(2, 3 * epochs))


def test_the_live_figure_says_which_is_ahead(images: Images) -> None:
    errors = {("2012", "relu"): [0.5] * 60, ("2012", "tanh"): [0.6] * 60}
    errors |= {("standardized", "relu"): [0.5] * 60, ("standardized", "tanh"): [0.48] * 60}
    _, sentence = relu.live_curves(errors, images)
    assert "10 points above that of ReLU on raw pixels, 2 points below it on standardized" in sentence
    assert "SYNTHETIC" in relu.live_curves(errors, replace(images, synthetic=True))[1]


# --- the layers of the network -----------------------------------------------------------


def test_activation_explorer_follows_every_control(images: Images) -> None:
    widget = relu.activation_explorer(images)
    alts, pngs = [widget.alt], [widget.png]
    changes = {"steps": 3, "activation": "relu", "rate": 0.001, "init": "scaled", "scale": "standardized"}
    for name, value in changes.items():
        widget.controls[name].value = value
        assert widget.error is None
        alts.append(widget.alt)
        pngs.append(widget.png)
    assert len(set(alts)) == len(set(pngs)) == 6
    words = ("layer 3 ", "after 3 steps", " off,", "ε = 0.001", "scaled to the fan-in", "input standardized")
    assert all(word in alt for word, alt in zip(words, alts, strict=True))
    widget.controls["scale"].value = "raw"
    assert widget.alt == alts[4]
    assert "SYNTHETIC" not in widget.alt
    assert "SYNTHETIC" in relu.activation_explorer(replace(images, synthetic=True)).alt
