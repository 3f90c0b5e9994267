from __future__ import annotations

import pytest
import torch

from alexnet_edu.imagenet.diagnosis import diagnose
from alexnet_edu.imagenet.distributed import Single
from alexnet_edu.model.architecture import narrow, variant

X = 60 * torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def group() -> Single:
    return Single(narrow(variant("paper", 5), 16), torch.device("cpu"), seed=0)


def _weight(group: Single, layer: str) -> torch.Tensor:
    return group.network.get_parameter(f"stages.{layer}.weights.weight").detach()


def test_weights_that_are_no_numbers_are_named(group: Single) -> None:
    _weight(group, "conv4")[0, 0, 0, 0] = torch.nan
    assert diagnose(group, X, 0.03).startswith("the weights of conv4 are no longer finite")
    assert "try --rate 0.01" in diagnose(group, X, 0.03)


def test_the_first_layer_that_grows_is_named(group: Single) -> None:
    _weight(group, "conv3").mul_(1e9)
    assert "(root mean square) at conv3" in diagnose(group, X, 0.01)


def test_pixels_that_are_no_numbers_are_blamed(group: Single) -> None:
    assert "the pixels themselves" in diagnose(group, X * torch.nan, 0.01)


def test_a_sound_network_is_said_to_be_sound_and_left_as_it_was(group: Single) -> None:
    assert "finite, but the loss is out of all range" in diagnose(group, X, 0.01)
    assert not any(module._forward_hooks for module in group.network.modules())
