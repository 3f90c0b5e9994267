"""The tables of layers: every count of the 2012 source, exactly; who reads whom; where weights start."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from alexnet_edu import paper
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.architecture import (
    CONNECTIONS,
    TALKERS,
    VARIANTS,
    Architecture,
    Layer,
    count,
    fan_ins,
    kernel_net,
    narrow,
    output_side,
    talking,
    variant,
    without,
)

TOTALS = {  # parameters, units, multiply-adds for one image
    "paper": (60_965_224, 659_272, 724_406_816),
    "run145": (60_965_224, 659_272, 724_406_816),
    "one_gpu": (59_798_312, 355_864, 391_514_384),
    "ungrouped": (62_378_344, 659_272, 1_135_256_096),
}


def total(table: Architecture, what: str) -> int:
    return sum(getattr(size, what) for size in count(table))


@pytest.mark.parametrize("name", VARIANTS)
def test_totals(name: str) -> None:
    table = variant(name)
    assert tuple(total(table, what) for what in ("parameters", "units", "multiply_adds")) == TOTALS[name]


@pytest.mark.parametrize(
    ("name", "published"),
    [("paper", paper.LAYERS), ("run145", paper.LAYERS), ("one_gpu", paper.ONE_GPU_LAYERS)],
)
def test_layer_by_layer_as_published(name: str, published: tuple[Any, ...]) -> None:
    for mine, theirs in zip(count(variant(name)), published, strict=True):
        assert mine.name == theirs.name
        assert (mine.weights, mine.parameters) == (theirs.weights, theirs.parameters)
        assert (mine.units, mine.multiply_adds) == (theirs.neurons, theirs.multiply_adds)


def test_sides_and_receptive_fields() -> None:
    counts = count(variant("paper"))
    assert [c.receptive_field for c in counts] == [11, 51, 99, 131, 163, 224, 224, 224]
    assert [c.outputs[-1] for c in counts[:5]] == [55, 27, 13, 13, 13]
    assert [c.pooled[-1] for c in counts[:5]] == [27, 13, 13, 13, 6]
    assert counts[5].inputs == (256, 6, 6)


@pytest.mark.parametrize(
    ("numbers", "side"),
    [
        ((224, 11, 4), 55),
        ((223, 11, 4), 54),
        ((224, 11, 4, 2), 56),  # padding by two needs rounding down to give 55
        ((56, 3, 2), 28),
    ],
)
def test_sides_are_rounded_up(numbers: tuple[int, ...], side: int) -> None:
    assert output_side(*numbers) == side


def test_run_145_differs_where_the_source_says_so() -> None:
    theirs, ours = variant("run145"), variant("paper")
    differing = [a.name for a, b in zip(theirs.layers, ours.layers, strict=True) if a != b]
    assert differing == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    assert theirs.layers[0].after == ("lrn", "pool", "relu")
    assert theirs.layers[1].after == ("relu", "lrn", "map_norm", "pool")
    assert [layer.std for layer in theirs.layers] == [0.01, 0.01, 0.03, 0.03, 0.03, 0.01, 0.01, 0.01]
    assert (theirs.lrn, ours.lrn) == ("code", "paper")


def test_the_sixth_convolution_is_that_of_run_146() -> None:
    table = variant("conv6", classes=7)
    assert [layer.name for layer in table.layers][4:7] == ["conv5", "conv6", "fc6"]
    assert [layer for layer in table.layers if layer.name != "conv6"] == list(variant("paper", 7).layers)
    sixth = {c.name: c for c in count(table)}["conv6"]
    assert sixth.inputs == sixth.pooled == (256, 6, 6)
    assert [table.groups(layer) for layer in table.layers] == [1, 2, 1, 2, 2, 1, 1, 1, 1]
    assert total(variant("conv6"), "parameters") == 61_555_304
    assert total(variant("conv6"), "multiply_adds") == 745_640_480


def test_pooling_without_overlap_is_that_of_run_147() -> None:
    table = variant("plain_pooling")
    assert total(table, "multiply_adds") == 686_891_552
    assert total(table, "parameters") == TOTALS["paper"][0]
    assert [c.pooled for c in count(table)] == [
        c.pooled if c.name != "conv1" else (96, 28, 28) for c in count(variant("paper"))
    ]


def test_nothing_is_normalized_in_run_148() -> None:
    steps = [layer.after for layer in variant("no_lrn").layers]
    assert steps[:2] == [("relu", "pool"), ("relu", "pool")]
    assert steps[2:] == [layer.after for layer in variant("paper").layers[2:]]


@pytest.mark.parametrize("name", ["conv3", "conv4", "conv5"])
def test_a_layer_in_between_is_left_out(name: str) -> None:
    whole, left = variant("paper"), variant(f"no_{name}")
    assert [layer.name for layer in left.layers] == [x.name for x in whole.layers if x.name != name]
    assert next(c.pooled for c in count(left) if c.name == "fc6") == (4096,)
    assert {c.name: c.inputs for c in count(left)}["fc6"] == (256, 6, 6)
    assert total(left, "parameters") < total(whole, "parameters")
    reads = [layer.name for layer in left.layers[1:] if layer.reads == "both"]
    assert reads == ["conv4" if name == "conv3" else "conv3", "fc6", "fc7", "fc8"]


def test_only_middle_layers_can_be_left_out() -> None:
    with pytest.raises(ValueError, match="'conv1'; choose one of conv3"):
        without(variant("paper"), "conv1")


def test_any_pattern_of_talking() -> None:
    assert talking(("conv3", "fc6", "fc7")).layers == variant("paper").layers
    silent = talking(())
    assert [silent.groups(layer) for layer in silent.layers] == [1, 2, 2, 2, 2, 2, 2, 1]
    assert total(silent, "parameters") == 33_259_880
    assert total(talking(TALKERS), "parameters") == TOTALS["ungrouped"][0]
    assert total(talking(("conv4",)), "weights") - total(silent, "weights") == 384 * 192 * 9


def test_narrow_keeps_the_pattern_and_the_scale() -> None:
    table, thin = variant("paper"), narrow(variant("paper"), 16)
    assert [layer.reads for layer in thin.layers] == [layer.reads for layer in table.layers]
    assert [size.outputs[0] for size in count(thin)] == [6, 16, 24, 24, 16, 256, 256, 1000]
    scales = [[x.std**2 * fan_ins(t)[x.name] for x in t.layers] for t in (table, thin)]
    assert scales[0] == pytest.approx(scales[1])


# --- the small network of two columns --------------------------------------------------------------


@pytest.mark.parametrize(
    ("connect", "groups", "first"),
    [("paper", [1, 2, 1, 2, 1, 1], 2), ("joint", [1] * 6, 1), ("apart", [1, 2, 2, 2, 2, 1], 5)],
)
def test_columns_meet_where_the_connections_say_and_not_before(
    connect: str, groups: list[int], first: int
) -> None:
    """Whether the first column of a layer depends on the first kernels of the second."""
    table = kernel_net(connect)
    assert [table.groups(layer) for layer in table.layers] == groups
    assert (connect == "paper") == (total(table, "parameters") == 169_354)
    model = AlexNet(kernel_net(connect, kernels=8, side=16)).eval()
    kernels = model.weights("conv1").get_parameter("weight")
    x = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    meets = []
    for stage in model.stages.values():
        x = stage(x)
        own = x[:, : x.shape[1] // 2].sum()
        (gradient,) = torch.autograd.grad(own, kernels, retain_graph=True)
        assert gradient[:4].any()  # its own kernels matter
        meets.append(bool(gradient[4:].any()))
    assert meets == [i >= first for i in range(6)]
    assert list(CONNECTIONS) == ["paper", "joint", "apart"]


def test_weights_start_by_fan_in_or_as_in_2012() -> None:
    ours, theirs = kernel_net(), kernel_net(start="2012", norm=True)
    assert {layer.bias for layer in ours.layers} == {0.0}
    assert ours.layers[0].std == 0.01
    for layer in ours.layers[1:]:
        assert layer.std == pytest.approx((2 / fan_ins(ours)[layer.name]) ** 0.5)
    assert {layer.std for layer in theirs.layers} == {0.01}
    assert [layer.bias for layer in theirs.layers] == [0, 1, 0, 1, 1, 0]
    assert ["lrn" in layer.after for layer in theirs.layers] == [True, True] + [False] * 4
    assert not any("lrn" in layer.after for layer in ours.layers)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "quoted"),
    [
        (lambda: variant("alex"), "'alex'"),
        (lambda: talking(("conv1",)), "'conv1'"),
        (lambda: Layer("conv1", 96, 11, reads="all"), "'all'"),
        (lambda: Layer("conv1", 96, 11, after=("norm",)), "'norm'"),
        (lambda: Architecture("odd", (Layer("conv1", 97, 11), Layer("fc8", 10, None))), "97"),
        (lambda: narrow(variant("paper"), 0), "0"),
        (lambda: kernel_net("both"), "'both'"),
        (lambda: kernel_net(start="xavier"), "'xavier'"),
        (lambda: kernel_net(kernels=47), "47"),
    ],
)
def test_bad_tables_are_refused(make: Any, quoted: str) -> None:
    with pytest.raises(ValueError, match=quoted):
        make()
