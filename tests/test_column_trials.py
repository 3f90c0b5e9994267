"""The trials of notebook 05: both forms on a narrow network, and a rank that dies."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from alexnet_edu.model.architecture import count, variant
from alexnet_edu.two_gpus import check as column_trials
from alexnet_edu.two_gpus.check import compare_devices, difference, in_one_process, in_two_processes, narrow
from alexnet_edu.two_gpus.traffic import sent_each_way

needs_ranks = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed"),
    pytest.mark.skipif(sys.platform == "win32", reason="the ranks are killed by POSIX signals"),
]


def expected_bytes(batch: int, size: int) -> dict[str, int]:
    each = sent_each_way(narrow(variant("paper"), 16), batch)
    return {name: n * size // 4 for name, n in each.items()}


def test_narrow_keeps_the_pattern() -> None:
    table, thin = variant("paper"), narrow(variant("paper"), 16)
    assert [layer.reads for layer in thin.layers] == [layer.reads for layer in table.layers]
    assert [s.outputs[0] for s in count(thin)] == [6, 16, 24, 24, 16, 256, 256, 1000]


def test_two_devices_equal_the_grouped_network_and_send_what_the_arithmetic_says() -> None:
    found = compare_devices(("cpu", "cpu"), torch.float64, batch=2, divisor=16)
    assert found["logits"] < 1e-10
    assert found["gradients"] < 1e-10
    for name, n in expected_bytes(2, 8).items():
        assert found["sent"][f"{name} from 0"] == found["sent"][f"{name} from 1"] == n


def test_the_difference_is_seen() -> None:
    a, b = torch.zeros(2), {"w": torch.tensor([1.0, -4.0])}
    assert difference((a + 0.5, {"w": torch.tensor([2.0, -4.0])}), (a, b)) == {
        "logits": 0.5,
        "gradients": 0.25,
    }


@pytest.mark.parametrize("mark", [pytest.param(None, marks=needs_ranks)])
def test_two_processes_equal_the_grouped_network(mark: None) -> None:
    ranks = in_two_processes("compare", dtype="float64", batch=2, divisor=16)
    for rank in ranks:
        assert rank["returncode"] == 0, rank["message"]
        assert max(rank["logits"], rank["gradients"]) < 1e-10
        for name, n in expected_bytes(2, 8).items():
            assert rank["sent"][f"{name} forward"] == rank["sent"][f"{name} backward"] == n


@pytest.mark.parametrize("mark", [pytest.param(None, marks=needs_ranks)])
def test_a_lost_rank_is_named_within_a_minute(mark: None) -> None:
    survivor, victim = in_two_processes("lose", divisor=16)
    assert victim["returncode"] == -9
    assert survivor["returncode"] == 1
    assert "rank 1 is gone or silent: rank 0 waited for it at fc6" in survivor["message"]
    assert survivor["seconds"] < 60


@pytest.mark.parametrize("mark", [pytest.param(None, marks=needs_ranks)])
def test_steps_are_timed_in_one_process_and_in_two(mark: None) -> None:
    options = {"batch": 2, "steps": 2, "divisor": 16}
    for found in (in_one_process("time", **options), *in_two_processes("time", **options)):
        assert found["returncode"] == 0, found["message"]
        assert len(found["steps"]) == 2
        assert min(found["steps"]) > 0


def test_a_record_holds_both_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the processes pretended: what is gathered, and that a failed rank is not passed over."""

    def pretend(trial: str, world: int, threads: int, options: object) -> list[dict[str, object]]:
        steps = {"steps": [0.3 / world / threads] * 3}
        equal = {"logits": 1e-15, "gradients": 2e-15 * world, "sent": {"conv3 forward": 1}}
        return [{"rank": r, "returncode": code, "message": "lost", **steps, **equal} for r in range(world)]

    code = 0
    monkeypatch.setattr(column_trials, "_run", pretend)
    monkeypatch.setattr(column_trials, "compare_devices", lambda *_: {"logits": 0.0, "gradients": 0.0})
    made = column_trials.record(rounds=2)
    assert made["equality"]["two processes"]["float64"]["gradients"] == 4e-15
    assert made["seconds"]["one process, two threads"] == [0.15, 0.15]
    assert json.loads(json.dumps(made)) == made
    code = 1
    with pytest.raises(RuntimeError, match="lost"):
        column_trials.record(rounds=1)


def test_an_unknown_trial_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no trial 'fly'; choose one of compare, time, lose"):
        in_two_processes("fly")
