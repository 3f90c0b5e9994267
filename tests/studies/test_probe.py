"""The layers of a network after a few steps: trained as said, and measured alike whatever the way there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from alexnet_edu.data.images import Images
from alexnet_edu.studies import probe as layer_probe
from alexnet_edu.studies.probe import LayerProbe, Settings


@pytest.fixture(scope="module")
def images() -> Images:
    """200 smooth random images of 16×16 pixels; class c is brighter in colour channel c."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (200,), generator=generator)
    coarse = 60 * torch.randn(200, 3, 4, 4, generator=generator)
    coarse[torch.arange(200), labels] += 40
    pixels = torch.nn.functional.interpolate(coarse + 110, size=16, mode="bilinear")
    return Images(pixels.clamp(0, 255).to(torch.uint8), labels, ("a", "b", "c"), "test images")


def test_same_numbers_by_whichever_way_and_number_of_threads(images: Images) -> None:
    settings = Settings("tanh", 0.01, "gaussian-0.01", "raw")
    probe = LayerProbe(images)
    probe.view(settings, 3)
    stepwise = probe.view(settings, 10)  # goes on from step 3
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2 if before == 1 else 1)
        at_once = LayerProbe(images).view(settings, 10)
    finally:
        torch.set_num_threads(before)
    assert stepwise.loss == at_once.loss
    assert [v.statistics for v in stepwise.layers] == [v.statistics for v in at_once.layers]
    assert probe.view(settings, 10) is stepwise
    assert torch.get_num_threads() == before


def test_it_trains_like_sgd_with_momentum(images: Images) -> None:
    training = layer_probe._Training(LayerProbe(images), Settings("relu", 0.001, "scaled", "standardized"))
    reference = layer_probe._Training(LayerProbe(images), Settings("relu", 0.001, "scaled", "standardized"))
    optimizer = torch.optim.SGD(reference.net.parameters(), lr=0.001, momentum=0.9)
    training.train_to(4)
    for reference.step in range(4):
        optimizer.zero_grad()
        reference._forward().backward()
        optimizer.step()
    for mine, theirs in zip(training.net.parameters(), reference.net.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_diverged_network_is_measured_as_it_was_before(images: Images) -> None:
    view = LayerProbe(images).view(Settings("relu", 0.1, "scaled", "raw"), 30)
    assert view.diverged
    assert view.step < 30
    assert np.isfinite([v.statistics.gradient_norm for v in view.layers]).all()


def test_raw_pixels_saturate_tanh_and_standardized_ones_do_not(images: Images) -> None:
    probe = LayerProbe(images)
    raw = probe.view(Settings("tanh", 0.01, "gaussian-0.01", "raw"), 0).layers[0]
    standardized = probe.view(Settings("tanh", 0.01, "gaussian-0.01", "standardized"), 0).layers[0]
    assert raw.statistics.input_std == pytest.approx(probe.std * standardized.statistics.input_std, rel=1e-4)
    assert raw.statistics.saturated > 0.3
    assert standardized.statistics.saturated == 0
    assert raw.passed < 0.6 < 0.95 < standardized.passed <= 1


@pytest.mark.parametrize(("count", "size", "value"), [(131, (16, 16), "131"), (140, (16, 20), r"\(16, 20\)")])
def test_unfit_images_are_refused(count: int, size: tuple[int, int], value: str) -> None:
    pixels = torch.zeros(count, 3, *size, dtype=torch.uint8)
    with pytest.raises(ValueError, match=value):
        LayerProbe(Images(pixels, torch.zeros(count, dtype=torch.int64), ("a",), "test images"))


@pytest.mark.parametrize("settings", [("tanh", 0.01, "scaled", "log"), ("softplus", 0.01, "scaled", "raw")])
def test_unknown_settings_are_refused(images: Images, settings: tuple[str, float, str, str]) -> None:
    with pytest.raises(ValueError, match=r"'log'|'softplus'"):
        LayerProbe(images).view(Settings(*settings), 0)
