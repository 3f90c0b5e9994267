"""What flows through layers, against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from alexnet_edu.studies.signals import capture, layer_statistics, slope


def test_slope_is_the_derivative() -> None:
    z = torch.linspace(-3, 3, 13)
    torch.testing.assert_close(slope(torch.tanh, z), 1 - torch.tanh(z) ** 2)
    torch.testing.assert_close(slope(torch.relu, z), (z > 0).float())


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


def test_statistics_leave_weights_and_gradients_as_they_were() -> None:
    model = Layers(nn.Tanh(), bias=0.1)
    before = [p.detach().clone() for p in model.parameters()]
    layer_statistics(
        model, {"a": (model.function, model.linear)}, torch.randn(4, 1), torch.tensor([0, 1, 1, 0])
    )
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(p.grad is None for p in model.parameters())
