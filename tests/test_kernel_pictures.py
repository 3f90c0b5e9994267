"""Kernels as pictures, the square of pixels behind an output, and the images that excite a unit."""

from __future__ import annotations

import pytest
import torch

from alexnet_edu.data.preparation import Preparation
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.architecture import count
from alexnet_edu.model.kernel_net import kernel_net
from alexnet_edu.studies.kernel_pictures import Field, excited, fields, pictures, silent, tiled
from alexnet_edu.studies.networks import Network

TABLE = kernel_net(kernels=8, kernel=7, side=32)


@pytest.fixture(scope="module")
def network() -> Network:
    model = AlexNet(TABLE, classes=10, generator=torch.Generator().manual_seed(3)).eval()
    for stage in model.stages.values():
        stage.get_submodule("weights").get_parameter("weight").requires_grad_(False)
    return Network(
        "test", "a test", model.stages, Preparation(torch.zeros(3, 32, 32), 60.0, 32), tuple("abcdefghij")
    )


def test_one_scale_keeps_sizes_and_its_own_scale_does_not() -> None:
    kernels = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    kernels[1] *= 0.01
    together, each = pictures(kernels), pictures(kernels, "each")
    assert together.shape == each.shape == (4, 5, 5, 3)
    for sheet in (together, each):
        assert (sheet.min().item(), sheet.max().item()) == pytest.approx((0, 1))
    assert together[1].std() < 0.02 * together[0].std()
    assert each[1].std() == pytest.approx(each[0].std().item(), rel=1e-4)
    assert torch.allclose(pictures(100 * kernels - 3, "each"), each, atol=1e-5)


def test_a_kernel_of_equal_weights_is_grey() -> None:
    assert torch.equal(pictures(torch.zeros(2, 3, 4, 4)), torch.full((2, 4, 4, 3), 0.5))
    flat = torch.randn(3, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    flat[2] = 7.0
    assert pictures(flat, "each")[2].std() == 0


@pytest.mark.parametrize(
    ("kernels", "scale", "words"),
    [
        (torch.zeros(2, 3, 4, 4), "best", "unknown scale 'best'; choose one of global, each"),
        (torch.zeros(2, 1, 4, 4), "each", "kernels must be"),
        (torch.zeros(0, 3, 4, 4), "each", "K at least 1"),
    ],
)
def test_other_scales_and_shapes_are_refused(kernels: torch.Tensor, scale: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        pictures(kernels, scale)


def test_sheets_have_one_white_pixel_between_kernels() -> None:
    sheet = tiled(torch.zeros(20, 7, 7, 3))
    assert sheet.shape == (2 * 8 - 1, 16 * 8 - 1, 3)
    assert sheet[:, 7].eq(1).all()
    assert sheet[7].eq(1).all()
    assert sheet[:7, :7].eq(0).all()
    assert sheet[8:, 4 * 8 :].eq(1).all()  # the places that are left over
    assert tiled(torch.zeros(3, 5, 5, 3)).shape == (5, 17, 3)


def test_the_field_before_pooling_is_that_of_the_table(network: Network) -> None:
    """Pooling 3 × 3 widens a field by two jumps of its inputs; the table counts it before that."""
    found = fields(network)
    assert list(found) == ["conv1", "conv2", "conv3", "conv4"]
    seen = {size.name: size.receptive_field for size in count(TABLE)}
    for name, field in found.items():
        pools = "pool" in next(layer for layer in TABLE.layers if layer.name == name).after
        assert field.size - (field.jump if pools else 0) == seen[name]


def test_pixels_outside_of_the_field_change_nothing(network: Network) -> None:
    generator = torch.Generator().manual_seed(5)
    image = torch.randint(256, (1, 3, 32, 32), dtype=torch.uint8, generator=generator)
    for layer, field in fields(network).items():
        before = network.outputs(image, layer)
        row, column = before.shape[2] // 2, before.shape[3] // 2
        top, left, bottom, right = field.box(row, column, 32)
        outside = torch.ones(32, 32, dtype=torch.bool)
        outside[top:bottom, left:right] = False
        other = torch.where(outside, 255 - image, image)
        after = network.outputs(other, layer)
        assert torch.equal(before[0, :, row, column], after[0, :, row, column])
        if outside.any():
            assert not torch.equal(before, after)
        inside = torch.where(outside, image, 255 - image)
        assert not torch.equal(before[0, :, row, column], network.outputs(inside, layer)[0, :, row, column])


def test_boxes_end_at_the_edge_of_the_image() -> None:
    assert Field(7, 4, -3).box(0, 0, 32) == (0, 0, 4, 4)
    assert Field(7, 4, -3).box(2, 7, 32) == (5, 25, 12, 32)


def test_the_image_that_excites_a_unit_is_found(network: Network) -> None:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(100, 140, (9, 3, 32, 32), dtype=torch.uint8, generator=generator)
    found = excited(network, images, "conv1")
    assert found.strength.shape == (9, 8)
    outputs = network.outputs(images, "conv1")
    for unit in range(8):
        best = found.best(unit, 3).tolist()
        strengths = outputs[:, unit].amax((1, 2))
        assert best[0] == int(strengths.argmax())
        row, column = int(found.row[best[0], unit]), int(found.column[best[0], unit])
        assert outputs[best[0], unit, row, column] == strengths.max()
    fully = excited(network, images, "fc5")
    assert fully.strength.shape == (9, 256)
    assert not fully.row.any()


def test_units_that_say_nothing_are_counted(network: Network) -> None:
    found = excited(network, torch.zeros(2, 3, 32, 32, dtype=torch.uint8), "conv1")
    assert silent(found) == 8  # an image that is its own mean


def test_a_unit_that_is_not_there_is_refused(network: Network) -> None:
    found = excited(network, torch.zeros(2, 3, 32, 32, dtype=torch.uint8), "conv1")
    with pytest.raises(ValueError, match="conv1 has the units 0 to 7, got 8"):
        found.best(8, 1)
    with pytest.raises(ValueError, match="no layer 'conv9'"):
        excited(network, torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "conv9")
