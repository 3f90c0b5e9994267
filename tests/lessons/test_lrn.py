"""Notebook 02: what normalization does to given activities, its drawings, and its explorer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from alexnet_edu.data.images import Images
from alexnet_edu.lessons.lrn import (
    SHOWN,
    Constants,
    Responses,
    kept_bytes,
    lrn_explorer,
    moved_bytes,
    shrinking,
)
from alexnet_edu.model.cifar import CifarNetConfig, FourLayerNet
from alexnet_edu.model.layers import (
    LocalResponseNorm,
    MapResponseNorm,
    local_response_norm,
)
from alexnet_edu.studies.signals import LayerProbe


@pytest.fixture(scope="module")
def responses(images: Images) -> Responses:
    return Responses(images)


def activities(*shape: int) -> torch.Tensor:
    return 60 * torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).relu()


# --- numbers ---------------------------------------------------------------------------------


def test_the_three_readings() -> None:
    a = activities(2, 8, 6, 7)
    assert torch.equal(Constants().normalize(a), local_response_norm(a))
    assert torch.allclose(Constants(reading="code").normalize(a), nn.LocalResponseNorm(5, 1e-4, 0.75, 2.0)(a))
    places = sum(
        nn.functional.pad(a**2, (2, 2, 2, 2))[:, :, i : i + 6, j : j + 7] for i in range(5) for j in range(5)
    )
    assert torch.allclose(Constants(reading="one map").normalize(a), a / (2 + 1e-4 * places) ** 0.75)


@pytest.mark.parametrize("reading", ["paper", "code", "one map"])
def test_the_factor_is_that_of_equal_neighbours(reading: str) -> None:
    constants = Constants(1.0, 3, 1e-3, 0.5, reading)
    a = torch.full((1, 7, 7, 7), 40.0, dtype=torch.float64)
    middle = (constants.normalize(a) / a)[0, 3, 3, 3]
    assert torch.isclose(middle, constants.factor(a[0, 3, 3, 3]))


def test_responses_are_those_of_the_networks_first_layer(images: Images, responses: Responses) -> None:
    net = FourLayerNet(
        CifarNetConfig(image_size=16, classes=3), torch.Generator().manual_seed(1_000_003)
    )  # as `LayerProbe` draws it
    probe = LayerProbe(images)
    with torch.no_grad():
        expected = net.features[0](probe.pixels[:100])
    assert torch.allclose(responses.before_relu("raw", 0), expected, atol=1e-4)
    assert torch.equal(responses.activities("raw", 0), responses.before_relu("raw", 0).relu())
    shown = responses.probed[0].float() - probe.pixels[0]
    assert torch.allclose(shown, responses.probed[7].float() - probe.pixels[7], atol=1e-4)  # the mean image
    assert (responses.activities("raw") != responses.activities("raw", 0)).any()


def test_shrinking_in_a_network() -> None:
    config = CifarNetConfig(norms=("lrn", "lrn-code", "none"))
    net = FourLayerNet(config, torch.Generator().manual_seed(0))
    x = 60 * torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    first, second = shrinking(net.features, x)
    a = net.features[:3](x)
    assert first.rms == pytest.approx(a.square().mean().sqrt().item())
    assert 0 < first.low <= first.median <= first.high <= 2**-0.75 + 1e-6
    assert second.rms < first.rms
    assert second.high == pytest.approx(2**-0.75, abs=1e-3)


def test_bytes_kept_for_the_backward_pass() -> None:
    x = torch.randn(2, 6, 9, 9)
    assert kept_bytes(LocalResponseNorm(), x) == kept_bytes(MapResponseNorm(), x) == 1.0
    assert kept_bytes(nn.Identity(), x) == 0.0
    assert kept_bytes(nn.ReLU(), x) == 1.0
    assert kept_bytes(nn.LocalResponseNorm(5), x) > 2.0


def test_what_the_steps_of_a_function_move() -> None:
    x = torch.rand(2, 8, 5, 5)
    assert moved_bytes(lambda x: x + 1, x) == 2.0
    assert moved_bytes(lambda x: x + x, x) == 3.0
    assert moved_bytes(lambda x: x.flatten()[::2].view(-1), x) == 0.0
    assert moved_bytes(lambda x: x.double(), x) == 3.0
    assert moved_bytes(lambda x: x.clone().add_(1), x) == 2.0 + 2.0
    assert moved_bytes(nn.LocalResponseNorm(5), x) > 10


# --- the explorer ----------------------------------------------------------------------------


def test_the_explorer_says_what_the_numbers_are(images: Images, responses: Responses) -> None:
    widget = lrn_explorer(images, responses=responses)
    image, row, column = (widget.controls[name].value for name in ("image", "row", "column"))
    a = responses.activities()[:SHOWN]
    here = (local_response_norm(a) / a)[image, :, row, column]
    most = int(here.nan_to_num(nan=1.0).argmin())
    assert f"map {most} is inhibited most ({here[most]:.3g})" in widget.alt
    assert a[image, :, row, column].max() == a.max()  # it starts at the strongest place


def test_a_place_where_every_map_is_off(images: Images, responses: Responses) -> None:
    z = responses.before_relu()
    z[0, :, 5, 6] = -1.0
    widget = lrn_explorer(images, responses=responses)
    widget.controls["image"].value = 0
    widget.controls["row"].value, widget.controls["column"].value = 5, 6
    assert widget.error is None
    assert "every map is 0" in widget.alt
