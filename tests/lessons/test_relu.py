"""Lesson 01: the slopes of one neuron, the two explorers, and that nothing measured is out of sight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alexnet_edu.data.images import Images
from alexnet_edu.lessons import relu
from alexnet_edu.model.cifar import ACTIVATIONS


@pytest.fixture
def ax() -> Axes:
    return Figure().add_subplot()


# --- one neuron ------------------------------------------------------------------------


def test_function_explorer_follows_both_controls() -> None:
    widget = relu.function_explorer()
    alts, pngs = [widget.alt], [widget.png]
    for name, value in (("std", 10.0), ("activation", "relu")):
        widget.controls[name].value = value
        alts.append(widget.alt)
        pngs.append(widget.png)
    assert [alt.rsplit("so ")[1][:3] for alt in alts] == ["61%", "8% ", "50%"]
    assert len(set(pngs)) == 3


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


def test_every_activation_is_drawn_and_divergence_is_named(images: Images) -> None:
    widget = relu.activation_explorer(images, rate=0.1, init="scaled", steps=10)
    for activation in ACTIVATIONS:
        widget.controls["activation"].value = activation
        assert widget.error is None, (activation, widget.error)
    widget.controls["activation"].value = "relu"
    assert "DIVERGED at step" in widget.alt


# --- learning curves --------------------------------------------------------------------------


def in_sight(ax: Axes) -> bool:
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    points = np.concatenate([line.get_xydata() for line in ax.lines])
    return bool(((points >= (left, min(bottom, top))) & (points <= (right, max(bottom, top)))).all())


def legend(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.legend().get_texts()]


def test_a_rate_that_was_given_up_is_open_and_points_upwards(ax: Axes) -> None:
    tried = pd.DataFrame({"rate": [0.001, 0.002, 0.005], "epochs": [np.nan, 5.6, np.nan], "epochs_run": 6.0})
    never = pd.DataFrame({"rate": [0.05], "epochs": [np.nan], "epochs_run": [3.0]})
    relu.draw_rate_search(ax, {"relu": tried, "sigmoid": never}, "search")
    marks = [line for line in ax.lines if line.get_marker() == "o" and len(line.get_xdata())]
    assert [mark.get_markerfacecolor() == "white" for mark in marks] == [True, False, True]
    assert len(ax.texts) == 3  # arrows
    assert legend(ax) == ["ReLU", "sigmoid"]
    assert in_sight(ax)
