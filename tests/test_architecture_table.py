"""The table of layers: every count of the 2012 source, exactly."""

from __future__ import annotations

import pytest

from alexnet_edu import paper
from alexnet_edu.model.architecture import (
    TALKERS,
    VARIANTS,
    Architecture,
    Layer,
    convolved_side,
    count,
    pooled_side,
    talking,
    variant,
    with_conv6,
)

TOTALS = {  # parameters, units, multiply-adds for one image
    "paper": (60_965_224, 659_272, 724_406_816),
    "run145": (60_965_224, 659_272, 724_406_816),
    "one_gpu": (59_798_312, 355_864, 391_514_384),
    "ungrouped": (62_378_344, 659_272, 1_135_256_096),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_totals(name: str) -> None:
    counts = count(variant(name))
    sums = (
        sum(c.parameters for c in counts),
        sum(c.units for c in counts),
        sum(c.multiply_adds for c in counts),
    )
    assert sums == TOTALS[name]


@pytest.mark.parametrize(
    ("name", "published"),
    [("paper", paper.LAYERS), ("run145", paper.LAYERS), ("one_gpu", paper.ONE_GPU_LAYERS)],
)
def test_layer_by_layer_as_published(name: str, published: tuple[paper.Layer, ...]) -> None:
    for mine, theirs in zip(count(variant(name)), published, strict=True):
        assert mine.name == theirs.name
        assert (mine.weights, mine.parameters) == (theirs.weights, theirs.parameters)
        assert (mine.units, mine.multiply_adds) == (theirs.neurons, theirs.multiply_adds)


def test_what_the_layers_see() -> None:
    counts = count(variant("paper"))
    assert [c.receptive_field for c in counts] == [11, 51, 99, 131, 163, 224, 224, 224]
    assert [c.outputs[-1] for c in counts[:5]] == [55, 27, 13, 13, 13]
    assert [c.pooled[-1] for c in counts[:5]] == [27, 13, 13, 13, 6]
    assert counts[5].inputs == (256, 6, 6)


def test_sides_are_rounded_up() -> None:
    assert convolved_side(224, 11, 4, 0) == convolved_side(227, 11, 4, 0) == 55
    assert convolved_side(223, 11, 4, 0) == 54
    assert convolved_side(224, 11, 4, 2) == 56  # padding by two needs rounding down to give 55
    assert [pooled_side(n) for n in (55, 27, 13, 56)] == [27, 13, 6, 28]


def test_run_145_differs_where_the_source_says_so() -> None:
    theirs, ours = variant("run145"), variant("paper")
    differing = [a.name for a, b in zip(theirs.layers, ours.layers, strict=True) if a != b]
    assert differing == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    assert theirs.layers[0].after == ("lrn", "pool", "relu")
    assert theirs.layers[1].after == ("relu", "lrn", "map_norm", "pool")
    assert [layer.std for layer in theirs.layers] == [0.01, 0.01, 0.03, 0.03, 0.03, 0.01, 0.01, 0.01]
    assert (theirs.lrn, ours.lrn) == ("code", "paper")


def test_the_sixth_convolution_is_that_of_run_146() -> None:
    table = variant("conv6")
    assert [layer.name for layer in table.layers][4:7] == ["conv5", "conv6", "fc6"]
    assert [layer for layer in table.layers if layer.name != "conv6"] == list(variant("paper").layers)
    counts = {c.name: c for c in count(table)}
    assert counts["conv6"].inputs == counts["conv6"].pooled == (256, 6, 6)
    assert counts["conv6"].parameters == 256 * 256 * 9 + 256
    assert counts["fc6"].weights == counts["fc6"].inputs[0] * 36 * 4096
    assert sum(c.parameters for c in counts.values()) == 61_555_304
    assert sum(c.multiply_adds for c in counts.values()) == 745_640_480
    assert variant("conv6", classes=7).layers[-1].outputs == 7
    assert [table.groups(layer) for layer in table.layers] == [1, 2, 1, 2, 2, 1, 1, 1, 1]


def test_conv6_needs_a_pooling_layer_to_stand_on() -> None:
    dense = Architecture("dense", (Layer("fc1", 8, None), Layer("fc2", 4, None)))
    for table in (dense, variant("conv6")):
        with pytest.raises(ValueError, match=f"'{table.name}' has no pooling layer below"):
            with_conv6(table)


def test_any_pattern_of_talking() -> None:
    layers = talking(("conv3", "fc6", "fc7")).layers
    assert layers == variant("paper").layers
    silent, everywhere = talking(()), talking(TALKERS)
    assert [silent.groups(layer) for layer in silent.layers] == [1, 2, 2, 2, 2, 2, 2, 1]
    assert sum(c.parameters for c in count(everywhere)) == TOTALS["ungrouped"][0]
    less, more = (sum(c.weights for c in count(talking(names))) for names in ((), ("conv4",)))
    assert more - less == 384 * 192 * 9
    with pytest.raises(ValueError, match="cannot talk at 'conv1'; choose among conv2, conv3"):
        talking(("conv1",))


def test_bad_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown variant 'alex'; choose one of paper, run145"):
        variant("alex")
    with pytest.raises(ValueError, match="conv1 reads 'all'; choose 'own' or 'both'"):
        Layer("conv1", 96, 11, reads="all")
    with pytest.raises(ValueError, match="conv1 is followed by 'norm'; there are relu, lrn"):
        Layer("conv1", 96, 11, after=("norm",))
    with pytest.raises(ValueError, match="97 outputs of conv1 cannot be split into 2"):
        Architecture("odd", (Layer("conv1", 97, 11), Layer("fc8", 10, None)))
