"""The same training in several processes, really started by torchrun."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from alexnet_edu.imagenet import checkpoint as checkpoints
from alexnet_edu.imagenet import log as run_log
from alexnet_edu.imagenet.distributed import Single, device_of, joined
from alexnet_edu.model.architecture import narrow, variant
from alexnet_edu.model.layers import Dropout
from tests import prepared

pytestmark = pytest.mark.slow

TIMEOUT_S = 300
SETTINGS = ("--narrow", "16", "--batch-size", "17", "--epochs", "2", "--rate", "0.003", "--log-every", "2")
QUICK = ("--rehearsal-steps", "0", "--workers", "1")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
Process = subprocess.Popen[str]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared.small(tmp_path_factory.mktemp("prepared"), val=7)


def _start(data: Path, folder: Path, *more: str, torchrun: tuple[str, ...] = ()) -> Process:
    launch = ["-m", "torch.distributed.run", *torchrun] if torchrun else []
    command = [sys.executable, *launch, "-m", "alexnet_edu.cli", "train"]
    command += ["--data", str(data), "--folder", str(folder), *SETTINGS, *QUICK, *more]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT
    )


def _end(process: Process) -> str:
    try:
        output, _ = process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
    return output


def _run(data: Path, folder: Path, *more: str, torchrun: tuple[str, ...] = ()) -> str:
    process = _start(data, folder, *more, torchrun=torchrun)
    output = _end(process)
    assert process.returncode == 0, output
    return output


TWO = ("--standalone", "--nproc-per-node", "2")


def _largest_difference(a: Path, b: Path) -> float:
    """Of all weights and velocities, relative to the largest value of each."""
    (one, _), (two, _) = checkpoints.newest(a), checkpoints.newest(b)
    assert one is not None
    assert two is not None
    assert one.state["step"] == two.state["step"] == 6
    assert one.tensors.keys() == two.tensors.keys()
    assert [e["top1"] for e in one.state["evaluations"]] == [e["top1"] for e in two.state["evaluations"]]
    parts = ((one.tensors[k], two.tensors[k]) for k in one.tensors)
    return max(float((x - y).abs().max() / x.abs().max().clamp(min=1e-30)) for x, y in parts)


@pytest.fixture(scope="module")
def alone(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six steps in float64 in one process. Batches of 17, 17 and 14 images: no half is even."""
    folder = tmp_path_factory.mktemp("alone")
    _run(data, folder, "--precision", "float64")
    return folder


@pytest.mark.parametrize("parallel", ["columns", "data"])
def test_two_processes_end_with_the_weights_of_one(
    data: Path, alone: Path, tmp_path: Path, parallel: str
) -> None:
    """Dropout, crops and colours included: all are drawn for the whole batch and the whole layer."""
    _run(data, tmp_path, "--parallel", parallel, "--precision", "float64", torchrun=TWO)
    assert _largest_difference(tmp_path, alone) < 1e-12


def test_two_agents_as_two_machines_end_with_the_weights_of_one(
    data: Path, alone: Path, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    agents = []
    for rank in (0, 1):
        torchrun = ("--nnodes", "2", "--nproc-per-node", "1", "--node-rank", str(rank))
        torchrun += ("--master-addr", "127.0.0.1", "--master-port", str(port))
        more = ("--parallel", "data", "--precision", "float64")
        agents.append(_start(data, tmp_path, *more, torchrun=torchrun))
    outputs = [_end(agent) for agent in agents]
    assert [agent.returncode for agent in agents] == [0, 0], outputs
    assert _largest_difference(tmp_path, alone) < 1e-12


@pytest.mark.parametrize("parallel", ["columns", "data"])
def test_sigterm_saves_and_one_process_goes_on_with_it(
    data: Path, alone: Path, tmp_path: Path, parallel: str
) -> None:
    """A checkpoint is of the whole network: any form may go on with what another began."""
    process = _start(
        data, tmp_path, "--parallel", parallel, "--precision", "float64", "--log-every", "1", torchrun=TWO
    )
    log, deadline = tmp_path / run_log.METRICS, time.monotonic() + TIMEOUT_S
    while run_log.last(run_log.read(log), "step") is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _end(process)
    steps = checkpoints.saved_steps(tmp_path)
    assert steps, "nothing was saved"
    assert steps[-1] < 6
    _run(data, tmp_path, "--precision", "float64", "--resume", "auto")
    assert _largest_difference(tmp_path, alone) < 1e-12


def test_a_process_that_dies_ends_the_run_soon(data: Path, tmp_path: Path) -> None:
    process = _start(data, tmp_path, "--parallel", "columns", "--epochs", "500", torchrun=TWO)
    log, deadline = tmp_path / run_log.METRICS, time.monotonic() + TIMEOUT_S
    while run_log.last(run_log.read(log), "step") is None and time.monotonic() < deadline:
        time.sleep(0.05)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        process.kill()
        pytest.skip("the children of a process cannot be listed here")
    workers = [
        int(pid)
        for pid in children.read_text().split()
        if b"alexnet_edu.cli" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    os.kill(workers[1], signal.SIGKILL)
    began = time.monotonic()
    output = _end(process)
    assert time.monotonic() - began < 60
    assert process.returncode != 0
    assert "exitcode  : -9" in output or "Signal 9" in output


# --- in this process --------------------------------------------------------------------------


def test_dropout_is_told_its_part_before_each_step() -> None:
    group = Single(narrow(variant("paper", 5), 16), torch.device("cpu"), seed=0)
    group.begin_step(3, 1, 3, 4)
    drops = [m for m in group.network.modules() if isinstance(m, Dropout)]
    assert len(drops) == 2
    assert drops[0](torch.ones(2, 256)).shape == (2, 256)
    group.begin_step(3, 0, 4, 4)
    whole = drops[0](torch.ones(4, 256))
    group.begin_step(3, 1, 3, 4)
    assert torch.equal(drops[0](torch.ones(2, 256)), whole[1:3])
    other = drops[1](torch.ones(2, 256))
    assert not torch.equal(whole[1:3], other)  # each has draws of its own


@pytest.mark.parametrize(
    ("parallel", "environment", "message"),
    [
        ("columns", {}, "needs 2 processes, but this process was started alone: torchrun --nproc-per-node 2"),
        ("columns", {"WORLD_SIZE": "3"}, "needs 2 processes, but there are 3"),
        ("data", {}, "needs N processes"),
        ("single", {"WORLD_SIZE": "2"}, "torchrun started 2 processes: choose --parallel columns or data"),
        ("pipeline", {}, "unknown --parallel 'pipeline'; choose one of single, columns, data"),
    ],
)
def test_a_wrong_number_of_processes_is_said_with_the_command(
    monkeypatch: pytest.MonkeyPatch, parallel: str, environment: dict[str, str], message: str
) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=message), joined(parallel, "cpu"):
        pass


def test_too_few_gpus_are_an_error_and_no_gpu_is_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match="2 processes need as many GPUs, but torch sees 1; choose"):
        device_of("auto", 1, 2)
    assert device_of("cpu", 1, 2) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert device_of("auto") == torch.device("cpu")
    with pytest.raises(ValueError, match="1 processes need as many GPUs, but torch sees 0"):
        device_of("cuda")
    with pytest.raises(ValueError, match="'toaster' cannot be used here"):
        device_of("toaster")
