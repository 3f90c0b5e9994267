"""The four-layer network: the 2012 file's counts, identities, initializations."""

from __future__ import annotations

import pytest
import torch

from alexnet_edu.model.cifar import (
    ACTIVATIONS,
    NORMS,
    Activation,
    CifarNetConfig,
    ConvLocalNet,
    FourLayerNet,
    LocallyConnected2d,
    pooled_size,
)


def test_parameters_are_those_of_the_2012_file() -> None:
    """89,578 at 32 pixels and 85,098 at 24, as for the "19pct" configuration."""
    for size, count in ((32, 89_578), (24, 85_098)):
        net = FourLayerNet(CifarNetConfig(image_size=size))
        assert sum(p.numel() for p in net.parameters()) == count


def test_sizes_round_up_like_the_2012_code() -> None:
    assert [pooled_size(n) for n in (32, 16, 8)] == [16, 8, 4]


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("pool", ["max", "avg"])
def test_every_variant_maps_images_to_logits_and_learns(activation: str, pool: str) -> None:
    config = CifarNetConfig(activation, "scaled", (4, 4, 8), (pool, pool, pool), image_size=16)
    net = FourLayerNet(config, torch.Generator().manual_seed(0))
    logits = net(torch.randn(5, 3, 16, 16))
    assert logits.shape == (5, 10)
    logits.square().sum().backward()
    for parameter in net.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


def test_a_monotone_activation_commutes_with_the_maximum() -> None:
    """max f(x) = f(max x), value and gradient: why f may come after the pooling."""
    x = torch.randn(2, 3, 9, 9, dtype=torch.float64, requires_grad=True)
    pool = torch.nn.MaxPool2d(3, 2, ceil_mode=True)
    for f in (torch.relu, torch.tanh, torch.sigmoid):
        before, after = pool(f(x)), f(pool(x))
        assert torch.equal(before, after)
        for a, b in zip(
            torch.autograd.grad(before.square().sum(), x),
            torch.autograd.grad(after.square().sum(), x),
            strict=True,
        ):
            torch.testing.assert_close(a, b)
    assert not torch.equal(pool(torch.tanh(x).abs()), torch.tanh(pool(x)).abs())


def test_the_order_of_layers_follows_the_activation() -> None:
    first = [type(m).__name__ for m in FourLayerNet(CifarNetConfig("tanh")).features][:3]
    assert first == ["Conv2d", "MaxPool2d", "Activation"]
    first = [type(m).__name__ for m in FourLayerNet(CifarNetConfig("abs-tanh")).features][:3]
    assert first == ["Conv2d", "Activation", "MaxPool2d"]


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
    net = FourLayerNet(CifarNetConfig("relu", init), torch.Generator().manual_seed(0))
    layers = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    for layer, std in zip(layers, stds, strict=True):
        assert layer.weight.std().item() == pytest.approx(std, rel=0.06)
        assert torch.count_nonzero(layer.bias) == 0


def test_the_generator_decides_the_weights() -> None:
    a, b, c = (FourLayerNet(CifarNetConfig(), torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(a.classifier.weight, b.classifier.weight)
    assert not torch.equal(a.classifier.weight, c.classifier.weight)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "gelu"}, "unknown activation 'gelu'; choose one of relu"),
        ({"init": "he"}, "unknown init 'he'"),
        ({"pools": ("max", "min", "avg")}, "unknown pool 'min'"),
        ({"channels": (32, 0, 64)}, r"channels=\(32, 0, 64\)"),
        ({"image_size": 4}, "at least 8 pixels, got 4"),
    ],
)
def test_bad_configurations_are_quoted(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CifarNetConfig(**options)  # type: ignore[arg-type]


def test_the_network_of_13_percent_has_the_parameters_of_its_file() -> None:
    """1,116,490 at 24 pixels and 1,901,386 at 32, as for "conv-local-13pct"."""
    for size, count in ((24, 1_116_490), (32, 1_901_386)):
        assert sum(p.numel() for p in ConvLocalNet(size=size).parameters()) == count


def test_a_locally_connected_layer_is_a_convolution_whose_kernels_differ_by_place() -> None:
    layer = LocallyConnected2d(2, 3, 4).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        layer.weight.normal_(generator=generator)
        layer.bias.normal_(generator=generator)
    x = torch.randn(2, 2, 4, 4, dtype=torch.float64, generator=generator)
    y = layer(x)
    for place in range(16):
        kernels = layer.weight[place].T.reshape(3, 2, 3, 3)
        here = torch.nn.functional.conv2d(x, kernels, layer.bias[:, place], padding=1)
        row, column = divmod(place, 4)
        assert torch.allclose(y[:, :, row, column], here[:, :, row, column])


@pytest.mark.parametrize("norm", sorted(NORMS))
def test_every_norm_has_its_place(norm: str) -> None:
    """Batch normalization before the activation, the others after the pooling."""
    net = FourLayerNet(CifarNetConfig(norms=(norm, norm, "none")))
    kinds = [type(m).__name__ for m in net.features][:4]
    usual = ["Conv2d", "MaxPool2d", "Activation"]
    expected = {
        "none": [*usual, "Conv2d"],
        "batch": ["Conv2d", "BatchNorm2d", "Activation", "MaxPool2d"],
        "within-map": [*usual, "MapResponseNorm"],
    }.get(norm, [*usual, "LocalResponseNorm"])
    assert kinds == expected
    assert net(torch.randn(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize("window", [2, 3])
def test_both_windows_give_the_same_sizes(window: int) -> None:
    net = FourLayerNet(CifarNetConfig(window=window))
    assert [net.features[:n](torch.zeros(1, 3, 32, 32)).shape[-1] for n in (3, 6, 9)] == [16, 8, 4]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"norms": ("none", "none", "instance")}, "unknown norm 'instance'"), ({"window": 4}, "got window=4")],
)
def test_unknown_norms_and_windows_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CifarNetConfig(**wrong)  # type: ignore[arg-type]
