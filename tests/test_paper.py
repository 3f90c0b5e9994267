"""The published figures against each other: identities first, then the ones that do not hold."""

import math
from pathlib import Path

from alexnet_edu import paper

SOURCE = Path(paper.__file__)


def test_the_layer_table_gives_the_exact_sizes() -> None:
    # Layer by layer as counted from the authors' configuration of the network.
    parameters = [34_944, 307_456, 885_120, 663_936, 442_624, 37_752_832, 16_781_312, 4_097_000]
    neurons = [290_400, 186_624, 64_896, 64_896, 43_264, 4_096, 4_096, 1_000]
    work = [105_415_200, 223_948_800, 149_520_384, 112_140_288, 74_760_192, 37_748_736, 16_777_216, 4_096_000]
    assert [layer.parameters for layer in paper.LAYERS] == parameters
    assert [layer.neurons for layer in paper.LAYERS] == neurons
    assert [layer.multiply_adds for layer in paper.LAYERS] == work
    assert sum(layer.weights for layer in paper.LAYERS) == 60_954_656
    assert sum(layer.parameters for layer in paper.LAYERS) == 60_965_224
    assert sum(layer.neurons for layer in paper.LAYERS) == 659_272
    assert sum(layer.multiply_adds for layer in paper.LAYERS) == 724_406_816


def test_rounded_sizes_of_the_abstract() -> None:
    parameters = sum(layer.parameters for layer in paper.LAYERS)
    neurons = sum(layer.neurons for layer in paper.LAYERS)
    assert abs(parameters - paper.PARAMETERS) / paper.PARAMETERS < 0.02
    assert abs(neurons - paper.NEURONS) / paper.NEURONS < 0.02
    assert parameters * 4 == 243_860_896  # bytes in float32


def test_the_slip_in_figure_2() -> None:
    published, counted = paper.FIGURE2_NEURONS, [layer.neurons for layer in paper.LAYERS]
    conv1 = paper.LAYERS[0]
    assert paper.INPUT_NEURONS == 3 * paper.INPUT_SIDE**2
    assert sum(published) == 622_312
    assert list(published[1:]) == counted[1:]
    assert published[0] == 55 * 48 * 96 == 253_440
    assert conv1.neurons == conv1.side**2 * conv1.outputs == 55 * 55 * 96 == 290_400
    assert sum(published) - published[0] + conv1.neurons == 659_272


def test_only_three_convolutions_keep_to_one_percent() -> None:
    total = sum(layer.parameters for layer in paper.LAYERS)
    over = [x.name for x in paper.LAYERS[:5] if x.parameters / total > paper.CONV_SHARE_LIMIT]
    assert over == ["conv3", "conv4"]


def test_224_gives_55_only_when_rounded_up_or_padded() -> None:
    stride, size = paper.CONV1_STRIDE, paper.CONV1_SIZE

    def side(image: int, padding: int = 0) -> float:
        return (image + padding - size) / stride + 1

    assert math.floor(side(paper.INPUT_SIDE)) == 54
    assert math.ceil(side(paper.INPUT_SIDE)) == paper.LAYERS[0].side == 55
    assert side(paper.INPUT_SIDE, 3) == side(227) == 55
    assert math.floor(side(paper.INPUT_SIDE, 2 * 2)) == 55


def test_2048_variants_are_really_2178() -> None:
    offsets = paper.IMAGE_SIDE - paper.INPUT_SIDE + 1
    assert offsets * offsets * 2 == 33 * 33 * 2 == 2178
    assert paper.AUGMENTATION_FACTOR == 32 * 32 * 2 == 2048


def test_figure_1_is_consistent_with_itself() -> None:
    ratio = paper.APPROXIMATE_TANH_CROSSING_EPOCH / paper.APPROXIMATE_RELU_CROSSING_EPOCH
    assert ratio == paper.RELU_SPEEDUP
    assert paper.TARGET_TRAINING_ERROR == 0.25
