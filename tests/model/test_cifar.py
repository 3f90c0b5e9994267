"""The networks of the authors' CIFAR-10 files: their counts, identities, initializations."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from alexnet_edu.model.cifar import (
    Activation,
    CifarNetConfig,
    ConvLocalNet,
    FourLayerNet,
    LocallyConnected2d,
)


@pytest.mark.parametrize(
    ("net", "parameters"),
    [
        (FourLayerNet(CifarNetConfig(image_size=32)), 89_578),  # "19pct"
        (FourLayerNet(CifarNetConfig(image_size=24)), 85_098),
        (ConvLocalNet(size=24), 1_116_490),  # "conv-local-13pct"
        (ConvLocalNet(size=32), 1_901_386),
    ],
)
def test_parameters_are_those_of_the_2012_files(net: nn.Module, parameters: int) -> None:
    assert sum(p.numel() for p in net.parameters()) == parameters


@pytest.mark.parametrize("f", [torch.relu, torch.tanh, torch.sigmoid])
def test_a_monotone_activation_commutes_with_the_maximum(f: torch.nn.Module) -> None:
    """max f(x) = f(max x), value and gradient: why f may come after the pooling."""
    x = torch.randn(2, 3, 9, 9, dtype=torch.float64, requires_grad=True)
    pool = nn.MaxPool2d(3, 2, ceil_mode=True)
    before, after = pool(f(x)), f(pool(x))
    assert torch.equal(before, after)
    gradients = [torch.autograd.grad(y.square().sum(), x)[0] for y in (before, after)]
    torch.testing.assert_close(*gradients)


def kinds(net: FourLayerNet) -> list[str]:
    return [type(module).__name__ for module in net.features][:4]


USUAL = ["Conv2d", "MaxPool2d", "Activation"]


@pytest.mark.parametrize(
    ("config", "order"),
    [
        (CifarNetConfig("tanh"), [*USUAL, "Conv2d"]),
        (CifarNetConfig("abs-tanh"), ["Conv2d", "Activation", "MaxPool2d", "Conv2d"]),
        (CifarNetConfig(norms=("batch",) * 3), ["Conv2d", "BatchNorm2d", "Activation", "MaxPool2d"]),
        (CifarNetConfig(norms=("within-map",) * 3), [*USUAL, "MapResponseNorm"]),
        (CifarNetConfig(norms=("lrn-9",) * 3), [*USUAL, "LocalResponseNorm"]),
    ],
)
def test_the_order_of_layers(config: CifarNetConfig, order: list[str]) -> None:
    """The activation last where it commutes; batch normalization before it, other norms after the pooling."""
    assert kinds(FourLayerNet(config)) == order


def test_saturation_keeps_its_slope_in_bfloat16() -> None:
    """In bfloat16 alone tanh(4) rounds to 1 and the gradient would be exactly 0."""
    x = torch.full((1,), 4.0, dtype=torch.bfloat16, requires_grad=True)
    Activation("tanh")(x).sum().backward()
    assert x.grad is not None
    assert x.grad.item() == pytest.approx(1 - torch.tanh(torch.tensor(4.0)).item() ** 2, rel=0.01)


@pytest.mark.parametrize(
    ("init", "stds"),
    [
        ("gaussian-0.01", (0.01, 0.01, 0.01, 0.01)),
        ("cuda-convnet", (0.0001, 0.01, 0.01, 0.01)),
        ("scaled", ((2 / 75) ** 0.5, (2 / 800) ** 0.5, (2 / 800) ** 0.5, 1024**-0.5)),
    ],
)
def test_initializations(init: str, stds: tuple[float, ...]) -> None:
    nets = [FourLayerNet(CifarNetConfig("relu", init), torch.Generator().manual_seed(s)) for s in (0, 0, 1)]
    layers = [[m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)] for net in nets]
    for layer, again, other, std in zip(*layers, stds, strict=True):
        assert layer.weight.std().item() == pytest.approx(std, rel=0.06)
        assert not layer.bias.any()
        assert torch.equal(layer.weight, again.weight)
        assert not torch.equal(layer.weight, other.weight)


def test_a_locally_connected_layer_is_a_convolution_whose_kernels_differ_by_place() -> None:
    layer = LocallyConnected2d(2, 3, 4).double()
    for p in layer.parameters():
        nn.init.normal_(p)
    x = torch.randn(2, 2, 4, 4, dtype=torch.float64)
    y = layer(x)
    for place in range(16):
        kernels = layer.weight[place].T.reshape(3, 2, 3, 3)
        here = nn.functional.conv2d(x, kernels, layer.bias[:, place], padding=1)
        row, column = divmod(place, 4)
        assert torch.allclose(y[:, :, row, column], here[:, :, row, column])


@pytest.mark.parametrize(
    ("options", "quoted"),
    [
        ({"activation": "gelu"}, "'gelu'"),
        ({"init": "he"}, "'he'"),
        ({"pools": ("max", "min", "avg")}, "'min'"),
        ({"norms": ("none", "none", "instance")}, "'instance'"),
        ({"channels": (32, 0, 64)}, r"\(32, 0, 64\)"),
        ({"image_size": 4}, "image_size=4"),
        ({"window": 4}, "window=4"),
    ],
)
def test_bad_configurations_are_quoted(options: dict[str, object], quoted: str) -> None:
    with pytest.raises(ValueError, match=quoted):
        CifarNetConfig(**options)  # type: ignore[arg-type]
