"""Notebook 02: what normalization does to given activities, its drawings, and its explorer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from alexnet_edu.data.images import Images
from alexnet_edu.lessons import lrn
from alexnet_edu.lessons.lrn import SHOWN, Constants, Responses, lrn_explorer
from alexnet_edu.model.cifar import CifarNetConfig, FourLayerNet
from alexnet_edu.model.layers import local_response_norm
from alexnet_edu.studies.record import load
from alexnet_edu.studies.signals import LayerProbe
from alexnet_edu.studies.statistics import signed


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


# --- figures ---------------------------------------------------------------------------------


def test_neighbours_inhibit_and_maps_beyond_two_do_not() -> None:
    figure, sentence = lrn.inhibition(local_response_norm)
    strong, weak = ([bar.get_height() for bar in bars] for bars in figure.axes[1].containers)
    for slopes in (strong, weak):  # of maps −3 … 3 away
        assert slopes[0] == slopes[6] == 0
        assert all(slope < 0 for slope in (*slopes[1:3], *slopes[4:6]))
    assert strong[3] < 0.6 * weak[3]  # the own square takes off the more the larger a is
    assert "0.42 of its activity, a weak map out of its reach 0.55" in sentence


def test_the_record_says_what_the_lesson_says() -> None:
    record = load("norms")
    assert max(record.values("lrn")) < min(record.values("none"))  # every seed
    gap = record.gap("lrn", "none", "gap")
    assert gap.low is not None
    assert gap.high is not None
    assert gap.low < 0 < gap.high  # training and test error fall alike
    low, high = (record.at_rate(rate).gap("lrn", "none") for rate in record.shared_rates())
    assert low.low is not None
    assert low.low > 0.5  # worse at the rate that is best without it
    assert high.value < 0
    assert signed(gap.value) in lrn.errors(record)[1]
    assert "+1.54 or by −1.25" in lrn.by_rate(record)[1]
    assert record.gap("batch", "none").signed in lrn.all_norms(record)[1]


def test_the_live_figure_holds_the_guess_and_the_distance(images: Images) -> None:
    factors = {"raw": [[0.5, 0.55, 0.59], [0.3, 0.5, 0.59]], "standardized": [[0.594, 0.595, 0.595]] * 2}
    errors = {"LRN": [0.5] * 60, "× 0.595": [0.52] * 60}
    figure, sentence = lrn.live(factors, errors, images, 0.9)
    assert "0.594 of a or more" in sentence
    assert "within 2.0 points" in sentence
    assert "less than 0.30" in sentence
    assert "your guess: 0.9" in [line.get_label() for line in figure.axes[0].lines]


def test_figures_of_responses_say_what_is_synthetic(images: Images, responses: Responses) -> None:
    stand_in = Responses(replace(images, synthetic=True))
    for draw in (lrn.by_size, lrn.three_readings, lrn.within_map):
        assert "SYNTHETIC" not in draw(responses)[1]
        assert "SYNTHETIC" in draw(stand_in)[1]


# --- the explorer ----------------------------------------------------------------------------


def test_the_explorer_says_what_the_numbers_are(responses: Responses) -> None:
    widget = lrn_explorer(responses)
    image, row, column = (widget.controls[name].value for name in ("image", "row", "column"))
    a = responses.activities()[:SHOWN]
    here = (local_response_norm(a) / a)[image, :, row, column]
    most = int(here.nan_to_num(nan=1.0).argmin())
    assert f"map {most} is inhibited most ({here[most]:.3g})" in widget.alt
    assert a[image, :, row, column].max() == a.max()  # it starts at the strongest place


def test_a_place_where_every_map_is_off(responses: Responses) -> None:
    z = responses.before_relu()
    z[0, :, 5, 6] = -1.0
    widget = lrn_explorer(responses)
    widget.controls["image"].value = 0
    widget.controls["row"].value, widget.controls["column"].value = 5, 6
    assert widget.error is None
    assert "every map is 0" in widget.alt
