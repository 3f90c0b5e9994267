"""The small network of two columns: what it counts, who reads whom, and where it starts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.architecture import Architecture, count
from alexnet_edu.model.kernel_net import CONNECTIONS, HIDDEN, kernel_net

NAMES = ["conv1", "conv2", "conv3", "conv4", "fc5", "fc6"]


def network(table: Architecture) -> AlexNet:
    return AlexNet(table, classes=10, generator=torch.Generator().manual_seed(0)).eval()


def test_the_default_has_the_parameters_that_it_states() -> None:
    table = kernel_net()
    assert [layer.name for layer in table.layers] == NAMES
    assert table.layers[-2].name == HIDDEN
    assert sum(size.parameters for size in count(table)) == 169_354
    assert sum(p.numel() for p in network(table).parameters()) == 169_354
    assert tuple(network(table).weights("conv1").get_parameter("weight").shape) == (48, 3, 7, 7)


@pytest.mark.parametrize(
    ("connect", "groups"),
    [("paper", [1, 2, 1, 2, 1, 1]), ("joint", [1, 1, 1, 1, 1, 1]), ("apart", [1, 2, 2, 2, 2, 1])],
)
def test_who_reads_both_columns(connect: str, groups: list[int]) -> None:
    table = kernel_net(connect)
    assert [table.groups(layer) for layer in table.layers] == groups
    assert table.columns == 2
    assert network(table)(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def crossing(connect: str, layer: str) -> bool:
    """Whether the first column of a layer depends on the first kernels of the second."""
    model = network(kernel_net(connect, kernels=8, side=16))
    x = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    for name, stage in model.stages.items():
        x = stage(x)
        if name == layer:
            break
    x[:, : x.shape[1] // 2].sum().backward()
    gradient = model.weights("conv1").get_parameter("weight").grad
    assert gradient is not None
    assert gradient[:4].abs().max() > 0  # its own kernels matter
    return bool((gradient[4:] != 0).any())


@pytest.mark.parametrize("connect", list(CONNECTIONS))
def test_columns_meet_where_the_connections_say_and_not_before(connect: str) -> None:
    meets = [name for name in NAMES if crossing(connect, name)]
    first = {"paper": 2, "joint": 1, "apart": 5}[connect]
    assert meets == NAMES[first:]


def test_a_wider_kernel_another_stride_and_more_classes() -> None:
    table = kernel_net(kernel=11, stride=4, kernels=16, side=64, classes=20)
    model = AlexNet(table, classes=20)
    weight = model.weights("conv1")
    assert isinstance(weight, nn.Conv2d)
    assert (weight.kernel_size, weight.stride, weight.padding) == ((11, 11), (4, 4), (5, 5))
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 20)


def test_weights_start_by_fan_in_or_as_in_2012() -> None:
    ours, theirs = kernel_net(), kernel_net(start="2012", norm=True)
    assert {layer.bias for layer in ours.layers} == {0.0}
    assert ours.layers[0].std == 0.01
    for layer, size in list(zip(ours.layers, count(ours), strict=True))[1:]:
        assert layer.std == pytest.approx((2 * layer.outputs / size.weights) ** 0.5)
    assert {layer.std for layer in theirs.layers} == {0.01}
    assert [layer.bias for layer in theirs.layers] == [0, 1, 0, 1, 1, 0]
    assert [("lrn" in layer.after) for layer in theirs.layers] == [True, True] + [False] * 4
    assert not any("lrn" in layer.after for layer in ours.layers)
    assert [("pool" in layer.after) for layer in ours.layers] == [True, True, False, True, False, False]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"connect": "both"}, "unknown connections 'both'; choose one of paper, joint, apart"),
        ({"start": "xavier"}, "unknown start 'xavier'; choose one of fan-in, 2012"),
        ({"kernels": 47}, "47 outputs of conv1 cannot be split into 2"),
    ],
)
def test_other_words_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        kernel_net(**options)
