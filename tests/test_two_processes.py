"""Two ranks against the grouped network; and what is left when one of them dies."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from alexnet_edu.model.alexnet import join_columns
from alexnet_edu.two_gpus.two_processes import joined
from tests import two_ranks

ROOT = Path(__file__).resolve().parent.parent
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed"),
    pytest.mark.skipif(sys.platform == "win32", reason="the ranks are killed by POSIX signals"),
]
Ranks = list["subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str, str], Ranks]]:
    """Starts both ranks of a job with the variables that torchrun would set; leaves none behind."""
    processes: Ranks = []

    def started(job: str, dtype: str) -> Ranks:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        common = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
        command = [sys.executable, "-m", "tests.two_ranks", job, str(tmp_path), dtype]
        processes.extend(
            subprocess.Popen(
                command, cwd=ROOT, env={**common, "RANK": str(rank)}, stderr=subprocess.PIPE, text=True
            )
            for rank in range(2)
        )
        return processes

    yield started
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-4)])
def test_two_ranks_equal_the_grouped_network(
    start: Callable[[str, str], Ranks], tmp_path: Path, dtype: str, tolerance: float
) -> None:
    for process in start("compare", dtype):
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    first, second = (torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2))
    assert len(first) == 3
    for pattern, (logits, gradients, state, sent) in first.items():
        model = two_ranks.grouped(pattern, getattr(torch, dtype))
        expected = two_ranks.step(model, two_ranks.inputs(getattr(torch, dtype)))
        for found in (logits, second[pattern][0]):
            torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
        joint = join_columns(gradients, second[pattern][1])
        for name, p in model.named_parameters():
            assert p.grad is not None
            torch.testing.assert_close(joint[name], p.grad, rtol=tolerance, atol=tolerance, msg=name)
        for name, weight in model.state_dict().items():
            assert torch.equal(state[name], weight)
            assert torch.equal(second[pattern][2][name], weight)
        assert_bytes(pattern, sent, torch.empty(0, dtype=getattr(torch, dtype)).element_size())


def assert_bytes(pattern: tuple[str, ...], sent: dict[tuple[str, str], int], size: int) -> None:
    """A batch of 3: half of what the layer reads, once each way."""
    halves = {"conv2": 6 * 27 * 27, "conv3": 16 * 13 * 13, "conv4": 24 * 13 * 13, "conv5": 24 * 13 * 13}
    halves |= {"fc6": 16 * 6 * 6, "fc7": 64, "fc8": 64}
    expected = {
        (name, way): 3 * halves[name] * size for name in (*pattern, "fc8") for way in ("forward", "backward")
    }
    assert sent == {**expected, ("logits", "forward"): 3 * 6 * size}  # 11 classes: 6 and 5


def test_when_a_rank_is_killed_the_other_says_so_and_ends(start: Callable[[str, str], Ranks]) -> None:
    began = time.monotonic()
    survivor, victim = start("die", "float32")
    _, message = survivor.communicate(timeout=60)
    victim.communicate(timeout=10)
    assert victim.returncode == -9
    assert survivor.returncode == 1
    assert "ColumnLostError: rank 1 is gone or silent: rank 0 waited for it at fc6." in message
    assert "from the last checkpoint" in message
    assert time.monotonic() - began < 60


def test_a_silent_rank_is_not_waited_for_without_end(start: Callable[[str, str], Ranks]) -> None:
    survivor, _ = start("hang", "float32")
    _, message = survivor.communicate(timeout=60)
    assert survivor.returncode == 1
    assert "ColumnLostError: rank 1 is gone or silent: rank 0 waited for it at conv3." in message


def test_one_process_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(ValueError, match="started alone: torchrun --nproc-per-node 2"), joined():
        pass
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(ValueError, match="WORLD_SIZE is 4"), joined():
        pass
