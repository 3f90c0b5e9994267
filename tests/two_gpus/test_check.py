"""The trials of notebook 05: both forms on a narrow network, and a rank that dies."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

from alexnet_edu.model.architecture import narrow, variant
from alexnet_edu.studies.record import of_rows
from alexnet_edu.two_gpus import check
from alexnet_edu.two_gpus.check import Case, compare_devices, in_two_processes
from alexnet_edu.two_gpus.traffic import sent_each_way
from tests.ranks import Ranks

needs_ranks = pytest.mark.skipif(
    not torch.distributed.is_available() or sys.platform == "win32",
    reason="needs torch.distributed and POSIX signals",
)
SMALL = {"dtype": "float64", "divisor": 16}
BYTES = {name: 2 * n for name, n in sent_each_way(narrow(variant("paper"), 16), batch=2).items()}


def test_two_devices_equal_the_grouped_network_and_send_what_the_arithmetic_says() -> None:
    found = compare_devices(("cpu", "cpu"), **SMALL)
    assert max(found["logits"], found["gradients"]) < 1e-10
    for name, n in BYTES.items():
        assert found["sent"][f"{name} from 0"] == found["sent"][f"{name} from 1"] == n


def test_the_difference_is_seen() -> None:
    a, b = torch.zeros(2), {"w": torch.tensor([1.0, -4.0])}
    off = check._difference((a + 0.5, {"w": torch.tensor([2.0, -4.0])}), (a, b))
    assert off == {"logits": 0.5, "gradients": 0.25}


@needs_ranks
def test_steps_are_timed_on_both_ranks(ranks: Ranks) -> None:
    for found in ranks.run(check._tried, "time", Case(steps=2, divisor=16)):
        assert len(found["steps"]) == 2
        assert min(found["steps"]) > 0


@needs_ranks
def test_a_lost_rank_is_named() -> None:
    survivor, victim = in_two_processes("lose", divisor=16)
    assert victim["returncode"] == -9
    assert survivor["returncode"] == 1
    assert "rank 1 is gone or silent: rank 0 waited for it at fc6" in survivor["message"]


def test_a_record_holds_both_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the processes pretended: what is gathered, and that a failed rank is not passed over."""

    def pretend(trial: str, case: Case, world: int = 2, threads: int = 1) -> list[dict[str, Any]]:
        steps = {"steps": [0.3 / world / threads] * 3}
        return [{"rank": r, "returncode": code, "message": "lost", **steps, **equal} for r in range(world)]

    code, equal = 0, {"logits": 1e-15, "gradients": 4e-15, "sent": {"conv3 forward": 1}}
    monkeypatch.setattr(check, "run", pretend)
    monkeypatch.setattr(check, "compare_devices", lambda *_, **__: equal)
    made = of_rows(**check.record(rounds=2))
    gradients = made.tables["equality"].set_index(["form", "dtype"])["gradients"]
    assert gradients["two processes", "float64"] == 4e-15
    seconds = made.tables["seconds"].groupby("what")["seconds"]
    assert list(seconds.get_group("one process, two threads")) == [0.15, 0.15]
    assert set(made.tables["sent"]["message"]) == {"conv3 forward"}
    code = 1
    with pytest.raises(RuntimeError, match="lost"):
        check.record(rounds=1)


def test_an_unknown_trial_is_quoted() -> None:
    with pytest.raises(ValueError, match="'fly'"):
        in_two_processes("fly")
