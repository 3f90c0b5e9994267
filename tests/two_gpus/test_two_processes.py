"""Two ranks against the grouped network; and what is left when one of them dies."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import pytest
import torch
from torch import nn

from alexnet_edu.model.alexnet import AlexNet, join_columns
from alexnet_edu.model.architecture import talking, variant
from alexnet_edu.two_gpus.two_processes import ColumnLostError, OneColumnAlexNet, joined
from tests.ranks import Died, Ranks
from tests.small import tiny

pytestmark = [
    pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed"),
    pytest.mark.skipif(sys.platform == "win32", reason="the ranks are killed by POSIX signals"),
]
PATTERNS = ((), ("conv3", "fc6", "fc7"), ("conv2", "conv3", "conv4", "conv5", "fc6", "fc7"))


def inputs(dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return 60 * torch.randn(3, 3, 224, 224, dtype=dtype, generator=generator)


def grouped(pattern: tuple[str, ...], dtype: torch.dtype) -> AlexNet:
    return AlexNet(tiny(talking(pattern)), generator=torch.Generator().manual_seed(0)).to(dtype).eval()


def step(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = model(images)
    nn.functional.cross_entropy(logits, torch.arange(len(images))).backward()
    return logits.detach()


def gradients(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.grad for name, p in module.named_parameters() if p.grad is not None}


def column_step(pattern: tuple[str, ...], dtype: torch.dtype) -> tuple[Any, ...]:
    with joined("gloo"):
        model = OneColumnAlexNet(tiny(talking(pattern))).to(dtype).eval()
        model.load_grouped(grouped(pattern, dtype).state_dict())
        logits = step(model, inputs(dtype))
        return logits, gradients(model.column), model.grouped_state(), dict(model.sent)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_two_ranks_equal_the_grouped_network(
    ranks: Ranks, pattern: tuple[str, ...], dtype: torch.dtype, tolerance: float
) -> None:
    first, second = ranks.run(column_step, pattern, dtype)
    model = grouped(pattern, dtype)
    logits = step(model, inputs(dtype))
    joint = join_columns(first[1], second[1])
    torch.testing.assert_close(joint, gradients(model), rtol=tolerance, atol=tolerance)
    for rank in (first, second):
        torch.testing.assert_close(rank[0], logits, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(rank[2], dict(model.state_dict()), rtol=0, atol=0)
    assert first[3] == expected_bytes(pattern, dtype.itemsize)


def expected_bytes(pattern: tuple[str, ...], size: int) -> dict[tuple[str, str], int]:
    """For a batch of 3: half of what the layer reads, once each way."""
    halves = {"conv2": 6 * 27 * 27, "conv3": 16 * 13 * 13, "conv4": 24 * 13 * 13, "conv5": 24 * 13 * 13}
    halves |= {"fc6": 16 * 6 * 6, "fc7": 64, "fc8": 64}
    sent = {
        (name, way): 3 * halves[name] * size for name in (*pattern, "fc8") for way in ("forward", "backward")
    }
    return {**sent, ("logits", "forward"): 3 * 6 * size}  # 11 classes: 6 and 5


def die_between_layers() -> None:
    """Rank 1 is killed in the middle of its second step."""
    with joined("gloo", timeout_s=20) as rank:
        model = OneColumnAlexNet(tiny(variant("paper")))
        step(model, inputs(torch.float32))
        if rank == 1:
            kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
            model.column.stages["conv4"].register_forward_hook(kill)
        step(model, inputs(torch.float32))


def fall_silent() -> None:
    """Rank 1 lives, but does not answer."""
    with joined("gloo", timeout_s=2) as rank:
        model = OneColumnAlexNet(tiny(variant("paper")))
        if rank == 1:
            time.sleep(4)
        else:
            step(model, inputs(torch.float32))


def test_when_a_rank_is_killed_the_other_says_so_and_ends(ranks: Ranks) -> None:
    began = time.monotonic()
    survivor, victim = ranks.outcomes(die_between_layers)
    assert isinstance(victim, Died)
    assert victim.exitcode == -signal.SIGKILL
    assert isinstance(survivor, ColumnLostError)
    assert "rank 1 is gone or silent: rank 0 waited for it at fc6" in str(survivor)
    assert time.monotonic() - began < 60


def test_a_silent_rank_is_not_waited_for_without_end(ranks: Ranks) -> None:
    ranks.run(os.getpid)  # a rank that died before has started again
    survivor, _ = ranks.outcomes(fall_silent)
    assert isinstance(survivor, ColumnLostError)
    assert "rank 0 waited for it at conv3" in str(survivor)


@pytest.mark.parametrize("world", [None, "4"])
def test_one_process_is_not_enough(monkeypatch: pytest.MonkeyPatch, world: str | None) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    if world is not None:
        monkeypatch.setenv("WORLD_SIZE", world)
    with pytest.raises(ValueError, match=world or "alone"), joined():
        pass
