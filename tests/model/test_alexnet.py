"""AlexNet: as many parameters as counted, the initialization, the order of the steps, two columns."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from alexnet_edu import paper
from alexnet_edu.model.alexnet import AlexNet, Column, join_columns, split_columns
from alexnet_edu.model.architecture import VARIANTS, count, kernel_net, variant
from alexnet_edu.model.cifar import NORMS, CifarNetConfig, ConvLocalNet, FourLayerNet
from alexnet_edu.model.layers import local_response_norm, map_response_norm
from tests.small import tiny


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_network_has_the_parameters_that_were_counted(name: str) -> None:
    with torch.device("meta"):
        model = AlexNet(name)
        assert model(torch.empty(2, 3, 224, 224)).shape == (2, 1000)
    for size in count(model.architecture):
        weight, bias = (model.weights(size.name).get_parameter(what) for what in ("weight", "bias"))
        assert (weight.numel(), bias.numel()) == (size.weights, size.biases)


def test_every_layer_gives_the_shape_that_was_counted() -> None:
    model = AlexNet(tiny(variant("paper")))
    x = torch.zeros(1, 3, 224, 224)
    for size in count(model.architecture):
        x = model.weights(size.name)(x.flatten(1) if len(size.outputs) == 1 else x)
        assert x.shape[1:] == size.outputs
        if size.pooled != size.outputs:
            x = model.stages[size.name].pool(x)  # type: ignore[operator]
        assert x.shape[1:] == size.pooled


@pytest.mark.parametrize("name", ["paper", "run145"])
def test_weights_start_as_the_table_says(name: str) -> None:
    model = AlexNet(name, generator=seeded(0))
    for layer in model.architecture.layers:
        weight, bias = (model.weights(layer.name).get_parameter(what) for what in ("weight", "bias"))
        assert weight.std().item() == pytest.approx(layer.std, rel=0.02)
        assert abs(weight.mean().item()) < 0.05 * layer.std
        assert bias.unique().tolist() == [float(layer.name in paper.BIAS_ONE_LAYERS)]


def by_hand(model: AlexNet, x: Tensor) -> Tensor:
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
    model = AlexNet(tiny(variant(name))).eval()
    x = 60 * torch.randn(1, 3, 224, 224)
    assert torch.allclose(model.stages["conv2"](model.stages["conv1"](x)), by_hand(model, x), rtol=1e-5)


@pytest.mark.parametrize(
    ("model", "side"),
    [
        (AlexNet(tiny(variant("paper"))), 224),
        (AlexNet(tiny(variant("run145"))), 224),
        (AlexNet(kernel_net()), 32),
        (ConvLocalNet("lrn"), 24),
        *((FourLayerNet(CifarNetConfig(norms=(norm, norm, norm))), 32) for norm in NORMS),
    ],
)
def test_hooks_see_what_every_layer_gave_and_its_gradient(model: nn.Module, side: int) -> None:
    """Nothing writes over what a forward hook kept, and full backward hooks work on every layer."""
    kept: dict[str, tuple[Tensor, Tensor]] = {}
    gradients: dict[str, Tensor] = {}
    for name, layer in model.named_modules():
        if not list(layer.children()):
            layer.register_forward_hook(lambda _, __, y, name=name: kept.update({name: (y, y.clone())}))
            layer.register_full_backward_hook(lambda _, __, g, name=name: gradients.update({name: g[0]}))
    x = 60 * torch.randn(2, 3, side, side, generator=seeded(0))
    model.train()(x.requires_grad_()).square().mean().backward()
    assert all(torch.equal(now, then) for now, then in kept.values())
    assert gradients.keys() == kept.keys()
    first = next(name for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d))
    assert kept[first][0].min() < 0  # before the activation


@pytest.mark.parametrize("shape", [(3, 224, 224), (1, 1, 224, 224), (1, 3, 227, 227)])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=f"224, 224.*{shape[-1]}"):
        AlexNet(tiny(variant("paper")))(torch.zeros(shape))


def test_weights_go_to_columns_and_back_without_loss() -> None:
    state = AlexNet(tiny(variant("paper"))).state_dict()
    first, second = split_columns(state)
    back = join_columns(first, second)
    assert list(back) == list(state)
    assert all(torch.equal(back[name], state[name]) for name in state)
    for i, half in enumerate((first, second)):  # 11 classes: 6 and 5
        Column(tiny(variant("paper")), i).load_state_dict(half)


@pytest.mark.parametrize("name", ["one_gpu", "ungrouped"])
def test_one_column_cannot_be_split(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Column(variant(name), 0)
