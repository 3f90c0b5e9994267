"""The architecture explorer: what it says of every layer, and that every picture is whole."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from alexnet_edu.model import architecture
from alexnet_edu.model.architecture import VARIANTS, Architecture, Count
from alexnet_edu.show import network
from alexnet_edu.show.explorer import PictureWidget
from alexnet_edu.show.network import architecture_explorer, facts

HEADINGS = {
    "paper": "60,965,224 parameters, 659,272 units, 724.4 million multiply-adds",
    "run145": "60,965,224 parameters, 659,272 units, 724.4 million multiply-adds",
    "one_gpu": "59,798,312 parameters, 355,864 units, 391.5 million multiply-adds",
    "ungrouped": "62,378,344 parameters, 659,272 units, 1,135.3 million multiply-adds",
}
LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
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


def test_what_is_said_of_fully_connected_layers() -> None:
    fc6 = facts(PAPER, "fc6")
    assert (fc6["input"], fc6["reads"], fc6["weights"]) == ("6×6×256", "both columns", "4096 × 9216")
    assert (fc6["output"], fc6["after pooling"]) == ("4096 units", "no pooling here")
    assert fc6["one unit sees"] == "224×224 pixels, the whole image"
    assert fc6["then"] == "ReLU, dropout 0.5"
    assert facts(PAPER, "fc8")["then"] == "the softmax over the classes"


def test_blocks_and_the_lines_between_them() -> None:
    blocks = network.blocks(PAPER, architecture.count(PAPER))
    assert [b.rows for b in blocks] == [1, 2, 2, 2, 2, 2, 2, 2, 1]
    assert [b.outputs for b in blocks] == [3, 48, 128, 192, 192, 128, 2048, 2048, 1000]
    assert [b.name for b in blocks if not b.crossing] == ["conv2", "conv4", "conv5"]
    # 2 from the image, 2 or 4 into each layer with two columns, 2 into the classifier
    assert _lines("paper") == 2 + 2 + 4 + 2 + 2 + 4 + 4 + 2
    assert _lines("ungrouped") == 8


def _lines(variant: str) -> int:
    figure, _ = network._draw(variant, "conv1")
    return sum(type(patch).__name__ == "FancyArrowPatch" for patch in figure.axes[0].patches)


@pytest.mark.parametrize(
    ("variant", "layer"), [("paper", "conv1"), ("run145", "conv2"), ("ungrouped", "fc6")]
)
def test_no_words_are_cut_off_small_or_on_top_of_others(variant: str, layer: str) -> None:
    figure, _ = network._draw(variant, layer)
    texts = _texts(figure)
    boxes = [text.get_window_extent() for text in texts]
    assert min(text.get_fontsize() for text in texts) >= 9
    for text, box in zip(texts, boxes, strict=True):
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text.get_text()
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text.get_text()
    for number, box in enumerate(boxes):
        over = [texts[other].get_text() for other in range(number) if box.overlaps(boxes[other])]
        assert not over, (texts[number].get_text(), over)


def _texts(figure: Figure) -> list[Text]:
    """All that is written on a figure, without the ticks that lie beyond the ends of their axis."""
    figure.draw_without_rendering()
    beyond: set[Text] = set()
    for ax in figure.axes:
        (left, right), (low, high) = sorted(ax.get_xlim()), sorted(ax.get_ylim())
        beyond |= {t for t in ax.get_xticklabels() if not left <= t.get_position()[0] <= right}
        beyond |= {t for t in ax.get_yticklabels() if not low <= t.get_position()[1] <= high}
    found = (artist for artist in figure.findobj(Text) if isinstance(artist, Text))
    return [text for text in found if text not in beyond and text.get_visible() and text.get_text()]


def test_unknown_variants_and_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="vgg"):
        architecture_explorer(variant="vgg")
    with pytest.raises(ValueError, match="conv9"):
        architecture_explorer(layer="conv9")
