"""Two ranks against the grouped network; and what is left when one of them dies."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

from alexnet_edu.model.alexnet import AlexNet, join_columns
from alexnet_edu.model.architecture import talking, variant
from alexnet_edu.two_gpus import two_processes
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
    with joined():
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


def swapped_maps(channels_last: bool) -> tuple[torch.Tensor, tuple[int, ...]]:
    """What came from the other rank, and its strides: half of some maps, as in the backward pass."""
    with joined() as rank:
        maps = torch.arange(2 * 8 * 3 * 3).reshape(2, 8, 3, 3) + 1000 * rank
        maps = maps.contiguous(
            memory_format=torch.channels_last if channels_last else torch.contiguous_format
        )
        got = two_processes._swapped(maps.chunk(2, dim=1)[1 - rank], "conv3")
        return got, got.stride()


@pytest.mark.parametrize("channels_last", [False, True])
def test_maps_travel_in_the_order_in_which_they_lie(ranks: Ranks, channels_last: bool) -> None:
    whole = torch.arange(2 * 8 * 3 * 3).reshape(2, 8, 3, 3)
    for rank, (got, strides) in enumerate(ranks.run(swapped_maps, channels_last)):
        assert torch.equal(got, whole.chunk(2, dim=1)[rank] + 1000 * (1 - rank))
        assert strides == ((36, 1, 12, 4) if channels_last else (36, 9, 3, 1))


def die_between_layers() -> None:
    """Rank 1 is killed in the middle of its second step."""
    with joined(timeout_s=20) as rank:
        model = OneColumnAlexNet(tiny(variant("paper")))
        step(model, inputs(torch.float32))
        if rank == 1:
            kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
            model.column.stages["conv4"].register_forward_hook(kill)
        step(model, inputs(torch.float32))


def fall_silent() -> None:
    """Rank 1 lives, but does not answer."""
    with joined(timeout_s=2) as rank:
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


def test_a_gpu_is_chosen_and_named_to_nccl(monkeypatch: pytest.MonkeyPatch) -> None:
    """With torch pretended: no GPU is needed."""
    said: list[Any] = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "set_device", said.append)
    monkeypatch.setattr(dist, "init_process_group", lambda backend, **how: said.extend((backend, how)))
    monkeypatch.setattr(dist, "get_rank", lambda: 1)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: said.append("left"))
    with joined("cuda:1") as rank:
        assert rank == 1
    device, backend, how, left = said
    assert (device, backend, left) == (torch.device("cuda:1"), "nccl", "left")
    assert how["device_id"] == device


@pytest.mark.parametrize("hangs", [False, True])
def test_after_an_error_a_group_is_left_without_waiting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], hangs: bool
) -> None:
    """The first error comes out, whatever leaving does; where that hangs, the process ends."""
    never, ended = threading.Event(), list[int]()

    def destroy() -> None:
        never.wait(20 if hangs else 0)
        raise RuntimeError("the communicator was aborted")

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(dist, "init_process_group", lambda *_, **__: None)
    monkeypatch.setattr(dist, "get_rank", lambda: 0)
    monkeypatch.setattr(dist, "destroy_process_group", destroy)
    monkeypatch.setattr(two_processes, "ABORT_S", 0.2 if hangs else 20)
    monkeypatch.setattr(two_processes.os, "_exit", ended.append)
    with pytest.raises(KeyError, match="the first"), joined():
        raise KeyError("the first")
    never.set()
    assert ended == ([1] if hangs else [])
    assert ("the first" in capsys.readouterr().err) == hangs
