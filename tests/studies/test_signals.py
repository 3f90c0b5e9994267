"""What flows through layers, against values worked out by hand; alike whatever the way a training took."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from alexnet_edu.data.images import Images
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.architecture import variant
from alexnet_edu.studies import signals
from alexnet_edu.studies.signals import LayerProbe, Settings, capture, layer_statistics
from tests.small import smooth_images, tiny


class Layers(nn.Module):
    def __init__(self, function: nn.Module, bias: float) -> None:
        super().__init__()
        self.linear, self.function, self.out = nn.Linear(1, 2), function, nn.Linear(2, 2)
        nn.init.ones_(self.linear.weight)
        nn.init.constant_(self.linear.bias, bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.function(self.linear(x)))


def test_saturation_counts_flat_places() -> None:
    x = torch.tensor([[-4.0], [-1.0], [0.5], [5.0]])
    labels = torch.tensor([0, 1, 0, 1])
    for function, expected in ((nn.Tanh(), 2 / 4), (nn.ReLU(), 2 / 4)):
        model = Layers(function, bias=0.0)
        (row,) = layer_statistics(model, {"a": (model.function, model.linear)}, x, labels)
        assert (row.saturated, row.dead) == (expected, 0.0)
        assert row.input_std == pytest.approx(x.repeat(1, 2).std().item())
        assert row.weight_norm == pytest.approx(math.sqrt(2))
    model = Layers(nn.ReLU(), bias=-10.0)
    (row,) = layer_statistics(model, {"a": (model.function, model.linear)}, x, labels)
    assert (row.saturated, row.dead, row.gradient_norm) == (1.0, 1.0, 0.0)


def test_capture_returns_inputs_outputs_and_gradients() -> None:
    model = Layers(nn.Tanh(), bias=0.1)
    x, labels = torch.randn(6, 1), torch.tensor([0, 1, 1, 0, 1, 0])
    seen = capture(model, {"a": model.function}, x, labels)
    torch.testing.assert_close(seen.inputs["a"], model.linear(x).detach())
    torch.testing.assert_close(seen.outputs["a"], torch.tanh(seen.inputs["a"]))
    error = (model(x).softmax(1) - nn.functional.one_hot(labels, 2)) / 6
    torch.testing.assert_close(seen.gradients["a"], (error @ model.out.weight).detach())


def test_capture_of_a_convolution_is_what_it_gave_before_its_activation() -> None:
    model, x = AlexNet(tiny(variant("paper"))), 60 * torch.randn(2, 3, 224, 224)
    seen = capture(model, {"conv1": model.weights("conv1")}, x, torch.tensor([0, 1])).outputs["conv1"]
    weight, bias = (model.weights("conv1").get_parameter(name) for name in ("weight", "bias"))
    by_hand = nn.functional.conv2d(nn.functional.pad(x, (0, 3, 0, 3)), weight, bias, stride=4)
    torch.testing.assert_close(seen, by_hand.detach())
    assert seen.min() < 0


def test_statistics_leave_weights_and_gradients_as_they_were() -> None:
    model = Layers(nn.Tanh(), bias=0.1)
    before = [p.detach().clone() for p in model.parameters()]
    layer_statistics(
        model, {"a": (model.function, model.linear)}, torch.randn(4, 1), torch.tensor([0, 1, 1, 0])
    )
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(p.grad is None for p in model.parameters())


# --- a network trained a few steps ---------------------------------------------------------------


@pytest.fixture(scope="module")
def images() -> Images:
    return smooth_images()


def test_same_numbers_by_whichever_way_and_number_of_threads(images: Images) -> None:
    settings = Settings("tanh", 0.01, "gaussian-0.01", "raw")
    probe = LayerProbe(images)
    probe.view(settings, 3)
    stepwise = probe.view(settings, 10)  # goes on from step 3
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2 if before == 1 else 1)
        at_once = LayerProbe(images).view(settings, 10)
    finally:
        torch.set_num_threads(before)
    assert stepwise.loss == at_once.loss
    assert [v.statistics for v in stepwise.layers] == [v.statistics for v in at_once.layers]
    assert probe.view(settings, 10) is stepwise
    assert torch.get_num_threads() == before


def test_it_trains_like_sgd_with_momentum(images: Images) -> None:
    training = signals._Training(LayerProbe(images), Settings("relu", 0.001, "scaled", "standardized"))
    reference = signals._Training(LayerProbe(images), Settings("relu", 0.001, "scaled", "standardized"))
    optimizer = torch.optim.SGD(reference.net.parameters(), lr=0.001, momentum=0.9)
    training.train_to(4)
    for reference.step in range(4):
        optimizer.zero_grad()
        reference._forward().backward()
        optimizer.step()
    for mine, theirs in zip(training.net.parameters(), reference.net.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_diverged_network_is_measured_as_it_was_before(images: Images) -> None:
    view = LayerProbe(images).view(Settings("relu", 0.1, "scaled", "raw"), 30)
    assert view.diverged
    assert view.step < 30
    assert np.isfinite([v.statistics.gradient_norm for v in view.layers]).all()


def test_raw_pixels_saturate_tanh_and_standardized_ones_do_not(images: Images) -> None:
    probe = LayerProbe(images)
    raw = probe.view(Settings("tanh", 0.01, "gaussian-0.01", "raw"), 0).layers[0]
    standardized = probe.view(Settings("tanh", 0.01, "gaussian-0.01", "standardized"), 0).layers[0]
    assert raw.statistics.input_std == pytest.approx(probe.std * standardized.statistics.input_std, rel=1e-4)
    assert raw.statistics.saturated > 0.3
    assert standardized.statistics.saturated == 0
    assert raw.passed < 0.6 < 0.95 < standardized.passed <= 1
