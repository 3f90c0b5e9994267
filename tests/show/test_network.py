"""The architecture explorer: what it says of every layer, and that every picture is whole."""

from __future__ import annotations

import pytest

from alexnet_edu.model import architecture
from alexnet_edu.model.architecture import VARIANTS, Architecture, Count
from alexnet_edu.show.explorer import PictureWidget
from alexnet_edu.show.network import architecture_explorer, facts

HEADINGS = {
    "paper": "60,965,224 parameters, 659,272 units, 724.4 million multiply-adds",
    "run145": "60,965,224 parameters, 659,272 units, 724.4 million multiply-adds",
    "one_gpu": "59,798,312 parameters, 355,864 units, 391.5 million multiply-adds",
    "ungrouped": "62,378,344 parameters, 659,272 units, 1,135.3 million multiply-adds",
}
PAPER = architecture.variant("paper")


def _count(table: Architecture, name: str) -> Count:
    return next(size for size in architecture.count(table) if size.name == name)


@pytest.fixture(scope="module")
def explorer() -> PictureWidget:
    return architecture_explorer()


@pytest.mark.parametrize(
    ("variant", "layer"), [*zip(VARIANTS, ("conv1", "conv2", "conv5", "fc8"), strict=True)]
)
def test_a_layer_of_every_variant_is_described(explorer: PictureWidget, variant: str, layer: str) -> None:
    explorer.controls["variant"].value = variant
    explorer.controls["layer"].value = layer
    assert explorer.error is None
    alt = explorer.alt
    size = _count(architecture.variant(variant), layer)
    assert HEADINGS[variant] in alt
    assert f"{layer}: input " in alt
    assert f"parameters {size.parameters:,} (" in alt
    assert f"units {size.units:,};" in alt
    assert f"multiply-adds {size.multiply_adds:,} (" in alt


def test_what_is_said_of_conv2() -> None:
    assert facts(PAPER, "conv2") == {
        "input": "27×27×96",
        "reads": "own column only",
        "kernels": "256 of 5×5×48, stride 1, padding 2",
        "output": "27×27×256",
        "after pooling": "13×13×256",
        "parameters": "307,456 (0.5% of all)",
        "units": "186,624",
        "multiply-adds": "223,948,800 (30.9% of all)",
        "one unit sees": "51×51 pixels",
        "starts from": "weights N(0, 0.01²), biases 1",
        "then": "ReLU, normalization across maps, 3×3 pooling with stride 2",
    }


def test_unknown_variants_and_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="vgg"):
        architecture_explorer(variant="vgg")
    with pytest.raises(ValueError, match="conv9"):
        architecture_explorer(layer="conv9")


@pytest.mark.parametrize("name", architecture.COMPARED)
def test_every_step_of_the_compared_networks_has_its_words(name: str) -> None:
    table = architecture.variant(name)
    for layer in table.layers:
        words = str(facts(table, layer.name))
        assert ("2×2 pooling" in words) == ("plain_pool" in layer.after)
        assert ("after pooling" in words) == bool(architecture.POOLS.keys() & set(layer.after))
