"""Two columns on two devices against the grouped network: outputs, gradients, bytes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from alexnet_edu.model.alexnet import AlexNet, Column, join_columns, split_columns
from alexnet_edu.model.architecture import Architecture, talking, variant
from alexnet_edu.two_gpus.one_process import TwoDeviceAlexNet
from tests.small import tiny

PATTERNS = {
    "conv3 (the paper)": ("conv3", "fc6", "fc7"),
    "conv4": ("conv4", "fc6", "fc7"),
    "both": ("conv3", "conv4", "fc6", "fc7"),
    "nowhere": (),
    "everywhere": ("conv2", "conv3", "conv4", "conv5", "fc6", "fc7"),
}


def pair(table: Architecture, dtype: torch.dtype) -> tuple[AlexNet, TwoDeviceAlexNet]:
    grouped = AlexNet(table, generator=torch.Generator().manual_seed(0)).to(dtype).eval()
    return grouped, TwoDeviceAlexNet.from_grouped(grouped, ("cpu", "cpu"))


def gradients(model: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    logits = model(images)
    nn.functional.cross_entropy(logits, torch.arange(len(images))).backward()
    return logits.detach(), images.grad if images.grad is not None else torch.empty(0)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_outputs_and_all_gradients_are_those_of_the_grouped_network(
    pattern: str, dtype: torch.dtype, tolerance: float
) -> None:
    grouped, split = pair(tiny(talking(PATTERNS[pattern])), dtype)
    images = 60 * torch.randn(3, 3, 224, 224, dtype=dtype, generator=torch.Generator().manual_seed(1))
    results = [gradients(model, images.clone().requires_grad_()) for model in (grouped, split)]
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
    halves = [{n: p.grad for n, p in column.named_parameters()} for column in split.columns]
    joined = join_columns(*halves)  # type: ignore[arg-type]
    for name, p in grouped.named_parameters():
        assert p.grad is not None
        torch.testing.assert_close(joined[name], p.grad, rtol=tolerance, atol=tolerance, msg=name)


@pytest.mark.parametrize("name", ["run145", "conv6"])
def test_other_tables_on_two_devices(name: str) -> None:
    grouped, split = pair(tiny(variant(name)), torch.float64)
    images = 60 * torch.randn(2, 3, 224, 224, dtype=torch.float64)
    torch.testing.assert_close(split(images), grouped(images), rtol=1e-10, atol=1e-10)


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


def test_weights_go_to_columns_and_back_without_loss() -> None:
    grouped, split = pair(tiny(variant("paper")), torch.float32)
    state = grouped.state_dict()
    back = join_columns(*split_columns(state))
    assert list(back) == list(state)
    assert all(torch.equal(back[name], state[name]) for name in state)
    again = split.grouped_state()
    assert all(torch.equal(again[name], state[name]) for name in state)
    a, b = split_columns(back)
    assert all(torch.equal(a[name], split_columns(state)[0][name]) for name in a)
    assert sum(t.numel() for t in (*a.values(), *b.values())) == sum(t.numel() for t in state.values())


def test_columns_that_do_not_belong_together_are_named() -> None:
    with pytest.raises(ValueError, match="only one of the two columns holds b"):
        join_columns({"a": torch.zeros(1), "b": torch.zeros(1)}, {"a": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"a has the shapes \(2, 3\) and \(2, 4\)"):
        join_columns({"a": torch.zeros(2, 3)}, {"a": torch.zeros(2, 4)})


def test_the_same_seed_draws_the_same_network() -> None:
    table = tiny(variant("paper"))
    split = TwoDeviceAlexNet(("cpu", "cpu"), table, generator=torch.Generator().manual_seed(5))
    grouped = AlexNet(table, generator=torch.Generator().manual_seed(5))
    state = split.grouped_state()
    assert all(torch.equal(state[name], tensor) for name, tensor in grouped.state_dict().items())


def test_what_cannot_be_split_is_refused() -> None:
    with pytest.raises(ValueError, match=r"two columns need two devices, got 1: \['cpu'\]"):
        TwoDeviceAlexNet(("cpu",), tiny(variant("paper")))
    with pytest.raises(ValueError, match=r"'one_gpu' has 1 column\(s\), not 2"):
        TwoDeviceAlexNet(("cpu", "cpu"), "one_gpu")
    with pytest.raises(ValueError, match="has 1 column"):
        Column(variant("ungrouped"), 0)
    for name in ("cuda:7", "gpu"):
        with pytest.raises(ValueError, match=f"there is no device '{name}' here; there are cpu"):
            TwoDeviceAlexNet(("cpu", name), tiny(variant("paper")))


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_on_two_gpus() -> None:
    grouped = AlexNet(tiny(variant("paper"))).eval()
    split = TwoDeviceAlexNet.from_grouped(grouped, ("cuda:0", "cuda:1"))
    images = 60 * torch.randn(4, 3, 224, 224)
    torch.testing.assert_close(split(images).cpu(), grouped(images), rtol=1e-3, atol=1e-3)
