"""AlexNet: as many parameters as counted, the ceil rule, the initialization, the order of the steps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from alexnet_edu import paper
from alexnet_edu.model.alexnet import AlexNet, CeilConv2d, GroupedLinear, initialize
from alexnet_edu.model.architecture import VARIANTS, count, talking, variant
from alexnet_edu.model.layers import local_response_norm, map_response_norm
from tests.small import narrow


@pytest.mark.parametrize("name", VARIANTS)
def test_the_network_has_the_parameters_that_were_counted(name: str) -> None:
    with torch.device("meta"):
        model = AlexNet(name)
        logits = model(torch.empty(2, 3, 224, 224))
    assert logits.shape == (2, 1000)
    for size in count(model.architecture):
        module = model.weights(size.name)
        assert (module.get_parameter("weight").numel(), module.get_parameter("bias").numel()) == (
            size.weights,
            size.biases,
        )
    assert sum(p.numel() for p in model.parameters()) == sum(c.parameters for c in count(model.architecture))


def test_every_layer_gives_the_shape_that_was_counted() -> None:
    model = AlexNet(narrow(variant("paper")))
    x = torch.zeros(1, 3, 224, 224)
    for size in count(model.architecture):
        x = model.weights(size.name)(x.flatten(1) if len(size.outputs) == 1 else x)
        assert x.shape[1:] == size.outputs
        if size.pooled != size.outputs:
            x = model.stages[size.name].pool(x)  # type: ignore[operator]
        assert x.shape[1:] == size.pooled


def test_three_ways_to_55_and_which_agree() -> None:
    torch.manual_seed(0)
    ours = CeilConv2d(3, 4, 11, 4)
    x = torch.randn(2, 3, 224, 224)
    y = ours(x)
    assert y.shape[-2:] == (55, 55)
    plain = lambda v, padding: nn.functional.conv2d(v, ours.weight, ours.bias, 4, padding)  # noqa: E731
    assert plain(x, 0).shape[-1] == 54
    padded = plain(nn.functional.pad(x, (0, 3, 0, 3)), 0)  # three zeros right and below
    assert torch.equal(y, padded)
    assert torch.allclose(y[..., :54, :54], plain(x, 0), atol=1e-5)  # inside, nothing was added
    torchvision = plain(x, 2)  # two zeros all around: other places are looked at
    assert torchvision.shape == y.shape
    assert not torch.allclose(torchvision, y, atol=0.1)
    larger = torch.randn(2, 3, 227, 227)
    larger[..., :224, :224] = x  # 227 pixels: the same but for the last row and column of places
    assert torch.allclose(plain(larger, 0)[..., :54, :54], y[..., :54, :54], atol=1e-5)
    assert not torch.allclose(plain(larger, 0)[..., 54, :], y[..., 54, :], atol=0.1)


def test_even_sizes_need_no_padding() -> None:
    conv = CeilConv2d(3, 4, 3, 2, 1)
    x = torch.randn(1, 3, 9, 9)
    assert torch.equal(conv(x), nn.Conv2d.forward(conv, x))
    assert conv(torch.randn(1, 3, 8, 10)).shape[-2:] == (5, 6)


@pytest.mark.parametrize("name", ["paper", "run145"])
def test_weights_start_as_the_table_says(name: str) -> None:
    model = AlexNet(name, generator=torch.Generator().manual_seed(0))
    for layer in model.architecture.layers:
        weight = model.weights(layer.name).get_parameter("weight")
        assert weight.std().item() == pytest.approx(layer.std, rel=0.02)
        assert abs(weight.mean().item()) < 0.05 * layer.std
        bias = model.weights(layer.name).get_parameter("bias")
        assert torch.equal(bias, torch.full_like(bias, layer.bias))
    ones = {x.name for x in model.architecture.layers if x.bias == 1}
    assert ones == set(paper.BIAS_ONE_LAYERS)


def test_a_seed_gives_the_same_weights_again() -> None:
    a, b = (AlexNet(narrow(variant("paper")), generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    initialize(b, torch.Generator().manual_seed(4))
    assert not torch.equal(a.weights("conv1").weight, b.weights("conv1").weight)


def by_hand(model: AlexNet, x: torch.Tensor) -> torch.Tensor:
    """The first two layers, written out."""
    f, conv1, conv2 = nn.functional, model.weights("conv1"), model.weights("conv2")
    if model.architecture.name == "run145":
        x = local_response_norm(conv1(x), convention="code", columns=2)
        x = f.relu(f.max_pool2d(x, 3, 2))
        x = local_response_norm(f.relu(conv2(x)), convention="code", columns=2)
        return f.max_pool2d(map_response_norm(x), 3, 2)
    x = f.max_pool2d(local_response_norm(f.relu(conv1(x)), columns=2), 3, 2)
    return f.max_pool2d(local_response_norm(f.relu(conv2(x)), columns=2), 3, 2)


@pytest.mark.parametrize("name", ["paper", "run145"])
def test_the_steps_come_in_the_order_of_the_source(name: str) -> None:
    model = AlexNet(narrow(variant(name))).eval()
    x = 60 * torch.randn(1, 3, 224, 224)
    assert torch.allclose(model.stages["conv2"](model.stages["conv1"](x)), by_hand(model, x), rtol=1e-5)


def test_a_column_depends_on_the_other_only_where_they_talk() -> None:
    model = AlexNet(narrow(variant("paper"))).eval()
    stages = list(model.stages.values())
    x = torch.randn(1, 3, 224, 224)
    maps = stages[0](x)
    for name, stage in list(model.stages.items())[1:5]:
        half = maps.shape[1] // 2
        changed = maps.clone()
        changed[:, half:] += 1.0
        first = [stage(v)[:, : stage(v).shape[1] // 2] for v in (maps, changed)]
        assert torch.equal(*first) == (name != "conv3"), name
        maps = stage(maps)


def test_grouped_units_are_two_small_layers() -> None:
    torch.manual_seed(0)
    layer = GroupedLinear(6, 4, 2)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    x = torch.randn(5, 6)
    parts = [
        nn.functional.linear(x[:, 3 * i : 3 * i + 3], *(t.chunk(2)[i] for t in (layer.weight, layer.bias)))
        for i in (0, 1)
    ]
    torch.testing.assert_close(layer(x), torch.cat(parts, 1))
    with torch.device("meta"):
        silent = AlexNet(talking(()))
    assert sum(p.numel() for p in silent.parameters()) == 33_259_880


def test_training_moves_every_weight() -> None:
    model = AlexNet(narrow(variant("paper")), generator=torch.Generator().manual_seed(0))
    x = 60 * torch.randn(4, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(2)
    nn.functional.cross_entropy(model(x), torch.arange(4)).backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().max() > 0, name


@pytest.mark.parametrize("shape", [(3, 224, 224), (1, 1, 224, 224), (1, 3, 227, 227)])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    model = AlexNet(narrow(variant("paper")))
    with pytest.raises(ValueError, match=r"expected images of shape \(N, 3, 224, 224\), got"):
        model(torch.zeros(shape))
