"""The command that checks two columns: on two ranks here, and what it says where something is wrong."""

from __future__ import annotations

import signal
import sys
from typing import Any

import pytest
import torch

from alexnet_edu import cli
from alexnet_edu.model.architecture import narrow, variant
from alexnet_edu.two_gpus import check, report
from alexnet_edu.two_gpus.check import Case
from alexnet_edu.two_gpus.traffic import sent_each_way
from tests.ranks import Died, Ranks

needs_ranks = pytest.mark.skipif(
    not torch.distributed.is_available() or sys.platform == "win32",
    reason="needs torch.distributed and POSIX signals",
)
FORWARD = {name: 2 * n for name, n in sent_each_way(narrow(variant("paper"), 16), batch=2).items()}


def checked(run: report.Runner, device: str = "cpu") -> tuple[bool, dict[str, str]]:
    """Whether all was well, and what was looked at -> the line that says so."""
    lines: list[str] = []
    well = report.report(device, lines.append, divisor=16, run=run)
    return well, {line[6:19].strip(): line[:6].strip() + " " + line[19:] for line in lines}


@needs_ranks
def test_two_processes_equal_one_come_back_and_are_timed(ranks: Ranks) -> None:
    def run(trial: str, case: Case) -> list[dict[str, Any]]:
        found = []
        for rank, outcome in enumerate(ranks.outcomes(check._tried, trial, case)):
            code = outcome.exitcode if isinstance(outcome, Died) else int(isinstance(outcome, Exception))
            measured = outcome if isinstance(outcome, dict) else {"message": str(outcome)}
            found.append({"rank": rank, "returncode": code, "message": "", **measured})
        return found

    well, lines = checked(run)
    assert well, lines
    assert "rank 1 is gone or silent: rank 0 waited for it at fc6" in lines["lost rank"]
    assert "weights differ by 0 from" in lines["resumed"]
    assert "11.08 MB each way (conv3, batch 128)" in lines["exchange"]
    assert "31.1 MB of a step" in lines["exchange"]
    assert lines["transport"] == "ok gloo, over TCP"


def pretended(trial: str, case: Case) -> list[dict[str, Any]]:
    """What two ranks give where all is well."""
    if trial == "lose":
        return [{"rank": r, "returncode": (1, -signal.SIGKILL)[r], "message": "lost"} for r in (0, 1)]
    sent = {f"{name} {way}": n for name, n in FORWARD.items() for way in ("forward", "backward")}
    gave: dict[str, Any] = {"logits": 1e-15, "gradients": 1e-15, "weights": 0.0, "sent": sent}
    gave |= {"exchange": {"bytes": 10**9, "steps": [0.5]}, "steps": [0.1]}
    return [{"rank": rank, "returncode": 0, "message": "", **gave} for rank in (0, 1)]


@pytest.mark.parametrize(
    ("trial", "rank_1", "about"),
    [
        ("first", {"gradients": 1e-3}, "two ranks"),
        ("first", {"logits": float("nan")}, "two ranks"),
        ("first", {"sent": {}}, "two ranks"),
        ("first", {"returncode": 1, "message": "no network"}, "two ranks"),
        ("lose", {"returncode": 0}, "lost rank"),
        ("resume", {"weights": 1e-3}, "resumed"),
        ("resume", {"returncode": 1}, "resumed"),
    ],
)
def test_what_is_wrong_fails_and_is_named(trial: str, rank_1: dict[str, Any], about: str) -> None:
    def run(asked: str, case: Case) -> list[dict[str, Any]]:
        first, second = pretended(asked, case)
        return [first, {**second, **rank_1}] if asked == trial else [first, second]

    well, lines = checked(run)
    assert not well
    assert [name for name, text in lines.items() if text.startswith("FAIL")] == [about]


def test_on_two_gpus_speed_and_connection_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the GPUs pretended. By hand: 1,280 images/s of 4.34 GFLOP, half on each GPU of 10 TFLOP/s."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "can_device_access_peer", lambda a, b: False)
    monkeypatch.setattr(torch.cuda.nccl, "version", lambda: (2, 29, 3))
    monkeypatch.setattr(report, "hardware", lambda name: "a GPU")
    monkeypatch.setattr(report, "_peak", lambda dtype: 1e13)
    equal = pretended("first", Case())[0] | {
        "sent": {f"{n} from {i}": b for n, b in FORWARD.items() for i in (0, 1)}
    }
    monkeypatch.setattr(report, "compare_devices", lambda devices, **options: equal)
    lines: list[str] = []
    assert report.report("auto", lines.append, divisor=16, run=pretended)
    told = [line[6:] for line in lines if "batch 128: " in line]
    assert told == [
        f"throughput   {t}, batch 128: 1,280 images/s, on each GPU 28% of what large matrix products reach"
        for t in ("float32", "bfloat16")
    ]
    assert any("peer access  no" in line for line in lines)
    assert any("NCCL 2.29.3" in line for line in lines)
    assert any("NCCL_P2P_DISABLE=1" in line for line in lines)


def test_the_transport_is_read_from_what_nccl_says() -> None:
    line = "host:7:9 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[1] via {}\n"
    assert report.transport_in(line.format("P2P/CUMEM") + line.format("P2P/CUMEM")) == "via P2P/CUMEM"
    assert report.transport_in(line.format("SHM/direct/direct")) == "via SHM/direct/direct"


@pytest.mark.parametrize("there", [0, 1])
def test_without_two_gpus_it_says_what_there_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], there: int
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: there)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "GTX 580")
    assert cli.main(["two-gpus", "check", "--device", "cuda"]) == 2
    said = capsys.readouterr().err
    assert f"torch sees {there}" in said
    assert ("GTX 580" in said) == (there == 1)


def test_the_exit_status_is_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    for well in (True, False):
        monkeypatch.setattr(report, "report", lambda device, say, well=well: asked.append(device) or well)
        assert cli.main(["two-gpus", "check"]) == (0 if well else 1)
    assert asked == ["auto", "auto"]
