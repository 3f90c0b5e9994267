"""Two columns on two devices against the grouped network: outputs, gradients, bytes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from alexnet_edu.model.alexnet import AlexNet, join_columns
from alexnet_edu.model.architecture import TALKERS, Architecture, talking, variant
from alexnet_edu.two_gpus.one_process import TwoDeviceAlexNet
from tests.small import tiny

PAPER = tiny(variant("paper"))


def pair(table: Architecture, dtype: torch.dtype) -> tuple[AlexNet, TwoDeviceAlexNet]:
    grouped = AlexNet(table, generator=torch.Generator().manual_seed(0)).to(dtype).eval()
    return grouped, TwoDeviceAlexNet.from_grouped(grouped, ("cpu", "cpu"))


def step(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor | None]:
    """Logits, and the gradient of the images."""
    images = images.clone().requires_grad_()
    logits = model(images)
    nn.functional.cross_entropy(logits, torch.arange(len(images))).backward()
    return logits.detach(), images.grad


@pytest.mark.parametrize(
    "table",
    [
        *map(talking, [("conv3", "fc6", "fc7"), ("conv4", "fc6"), (), TALKERS]),
        *map(variant, ["run145", "conv6"]),
    ],
    ids=lambda table: table.name,
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_outputs_and_all_gradients_are_those_of_the_grouped_network(
    table: Architecture, dtype: torch.dtype, tolerance: float
) -> None:
    grouped, split = pair(tiny(table), dtype)
    images = 60 * torch.randn(3, 3, 224, 224, dtype=dtype, generator=torch.Generator().manual_seed(1))
    for ours, theirs in zip(step(split, images), step(grouped, images), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
    halves = [{n: p.grad for n, p in column.named_parameters()} for column in split.columns]
    joined = join_columns(*halves)  # type: ignore[arg-type]
    for name, p in grouped.named_parameters():
        assert p.grad is not None
        torch.testing.assert_close(joined[name], p.grad, rtol=tolerance, atol=tolerance, msg=name)


def test_the_bytes_are_those_of_the_arithmetic() -> None:
    """§3.2's pattern at a batch of 128 in float32, in units of 2²⁰ bytes and of 10⁶."""
    with torch.device("meta"):
        model = TwoDeviceAlexNet(("meta", "meta"))
        model(torch.empty(128, 3, 224, 224))
    a_column = {"conv3": 128 * 13 * 13, "fc6": 128 * 6 * 6, "fc7": 2048, "fc8": 2048}
    for name, numbers in a_column.items():
        assert model.sent[name, 0] == model.sent[name, 1] == 128 * numbers * 4
    assert [round(model.sent[n, 0] / 1e6, 2) for n in ("conv3", "fc6", "fc7")] == [11.08, 2.36, 1.05]
    assert model.sent["logits", 1] == 128 * 500 * 4
    assert len(model.sent) == 9


def test_silent_columns_send_nothing_before_the_classifier() -> None:
    _, split = pair(tiny(talking(())), torch.float32)
    split(torch.zeros(2, 3, 224, 224))
    assert {name for name, _ in split.sent} == {"fc8", "logits"}


def test_the_same_seed_draws_the_same_network() -> None:
    split = TwoDeviceAlexNet(("cpu", "cpu"), PAPER, generator=torch.Generator().manual_seed(5))
    grouped = AlexNet(PAPER, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(split.grouped_state(), dict(grouped.state_dict()), rtol=0, atol=0)


@pytest.mark.parametrize("devices", [("cpu",), ("cpu", "cuda:7"), ("cpu", "gpu")])
def test_bad_devices_are_quoted(devices: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=f"'{devices[-1]}'"):
        TwoDeviceAlexNet(devices, PAPER)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_on_two_gpus() -> None:
    grouped = AlexNet(PAPER).eval()
    split = TwoDeviceAlexNet.from_grouped(grouped, ("cuda:0", "cuda:1"))
    images = 60 * torch.randn(4, 3, 224, 224)
    torch.testing.assert_close(split(images).cpu(), grouped(images), rtol=1e-3, atol=1e-3)
