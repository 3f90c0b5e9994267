"""The same training in several processes ends with the weights of one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from alexnet_edu.imagenet import checkpoint as checkpoints
from alexnet_edu.imagenet import distributed
from alexnet_edu.imagenet.distributed import Data, Single, device_of, place
from alexnet_edu.imagenet.log import METRICS, last, read
from alexnet_edu.imagenet.prepared import open_prepared
from alexnet_edu.imagenet.recipe import Recipe, Running
from alexnet_edu.imagenet.trainer import train
from alexnet_edu.model.architecture import narrow, variant
from alexnet_edu.two_gpus.two_processes import ColumnLostError
from tests.ranks import Ranks

# Batches of 17, 17 and 14 images: no half is even.
RECIPE = Recipe(narrow=16, batch_size=17, epochs=2, rate=0.003)
RUNNING = {"precision": "float64", "device": "cpu", "workers": 1, "log_every": 1, "rehearsal_steps": 0}
WORDS = ("--narrow", "16", "--batch-size", "17", "--epochs", "2", "--rate", "0.003", "--precision", "float64")
QUICK = ("--rehearsal-steps", "0", "--workers", "1", "--device", "cpu", "--log-every", "1")
TIMEOUT_S = 300


def trained(data: Path, folder: Path, parallel: str, resume: str = "never", stop_after: int = 99) -> str:
    """What each process of a training runs; stopped after so many questions."""
    answers = iter([False] * stop_after)
    running = Running(parallel=parallel, resume=resume, **RUNNING)  # type: ignore[arg-type]
    images, said = open_prepared(data), list[str]()
    return train(RECIPE, running, images, folder, say=said.append, should_stop=lambda: next(answers, True))


@pytest.fixture(scope="module")
def alone(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six steps in float64 in one process."""
    folder = tmp_path_factory.mktemp("alone")
    assert trained(data, folder, "single") == "finished"
    return folder


def largest_difference(a: Path, b: Path) -> float:
    """Of all weights and velocities, relative to the largest value of each."""
    (one, _), (two, _) = checkpoints.newest(a), checkpoints.newest(b)
    assert one is not None
    assert two is not None
    assert one.state["step"] == two.state["step"] == 6
    assert one.tensors.keys() == two.tensors.keys()
    assert [e["top1"] for e in one.state["evaluations"]] == [e["top1"] for e in two.state["evaluations"]]
    parts = ((one.tensors[k], two.tensors[k]) for k in one.tensors)
    return max(float((x - y).abs().max() / x.abs().max().clamp(min=1e-30)) for x, y in parts)


FORMS = pytest.mark.parametrize("parallel", ["columns", "data"])


@FORMS
def test_two_processes_end_with_the_weights_of_one(
    data: Path, alone: Path, tmp_path: Path, parallel: str, ranks: Ranks
) -> None:
    """Dropout, crops and colours included: all are drawn for the whole batch and the whole layer."""
    assert ranks.run(trained, data, tmp_path, parallel) == ["finished", "finished"]
    assert largest_difference(tmp_path, alone) < 1e-12


@FORMS
def test_one_process_goes_on_with_what_two_began(
    data: Path, alone: Path, tmp_path: Path, parallel: str, ranks: Ranks
) -> None:
    """A checkpoint is of the whole network, so any form may go on with what another began."""
    assert ranks.run(trained, data, tmp_path, parallel, "never", 2) == ["stopped", "stopped"]
    assert checkpoints.saved_steps(tmp_path)[-1] < 6
    assert trained(data, tmp_path, "single", "auto") == "finished"
    assert largest_difference(tmp_path, alone) < 1e-12


def left_alone() -> bool:
    """Rank 1 leaves without a word; rank 0 asks whether to stop."""
    with place("data", "cpu") as (device, main):
        group = Data(narrow(variant("paper", 5), 16), device, seed=0)
        return group.any(False) if main else True


def test_a_process_that_is_gone_is_missed_after_a_step(ranks: Ranks) -> None:
    survivor, _ = ranks.outcomes(left_alone)
    assert isinstance(survivor, ColumnLostError)
    assert "rank 1 is gone or silent: rank 0 waited for it at the end of a step" in str(survivor)


# --- really started by torchrun ---------------------------------------------------------------


def _start(data: Path, folder: Path, parallel: str, *torchrun: str) -> subprocess.Popen[str]:
    launch = [sys.executable, "-m", "torch.distributed.run", *torchrun, "-m", "alexnet_edu.cli", "train"]
    command = [*launch, "--parallel", parallel, "--data", str(data), "--folder", str(folder), *WORDS, *QUICK]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )


def _end(process: subprocess.Popen[str]) -> str:
    try:
        return process.communicate(timeout=TIMEOUT_S)[0]
    finally:
        process.kill()


@pytest.mark.slow
def test_a_killed_rank_ends_the_other_and_nothing_saved_is_lost(
    data: Path, alone: Path, tmp_path: Path
) -> None:
    process = _start(data, tmp_path, "columns", "--standalone", "--nproc-per-node", "2")
    deadline = time.monotonic() + TIMEOUT_S
    while last(read(tmp_path / METRICS), "step") is None and time.monotonic() < deadline:
        time.sleep(0.02)
    workers = [p for p in psutil.Process(process.pid).children() if "alexnet_edu.cli" in p.cmdline()]
    workers[1].kill()
    began = time.monotonic()
    output = _end(process)
    assert time.monotonic() - began < 150, output  # and not the ten minutes that gloo would wait
    assert process.returncode != 0
    assert trained(data, tmp_path, "single", "auto") == "finished"
    assert largest_difference(tmp_path, alone) < 1e-12


@pytest.mark.slow
def test_two_agents_as_two_machines_end_with_the_weights_of_one(
    data: Path, alone: Path, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    where = ("--nnodes", "2", "--nproc-per-node", "1", "--master-addr", "127.0.0.1", "--master-port", port)
    agents = [_start(data, tmp_path, "data", *where, "--node-rank", str(rank)) for rank in (0, 1)]
    outputs = [_end(agent) for agent in agents]
    assert [agent.returncode for agent in agents] == [0, 0], outputs
    assert largest_difference(tmp_path, alone) < 1e-12


# --- in this process --------------------------------------------------------------------------


def test_a_part_that_cannot_be_compiled_is_quoted() -> None:
    group = Single(narrow(variant("paper", 5), 16), torch.device("cpu"), seed=0)
    with pytest.raises(ValueError, match="'lrn'"):
        group.compile("lrn")


@pytest.mark.parametrize(
    ("parallel", "world", "message"),
    [
        (
            "columns",
            "",
            "2 processes are needed, .* alone: torchrun .* 2 -m alexnet_edu",
        ),
        ("columns", "3", "2 processes are needed, but there are 3"),
        ("data", "", "N processes are needed"),
        ("single", "2", "2 processes: choose --parallel columns or data"),
        ("pipeline", "", "'pipeline'; choose one of single, columns, data"),
    ],
)
def test_a_wrong_number_of_processes_is_said_with_the_command(
    monkeypatch: pytest.MonkeyPatch, parallel: str, world: str, message: str
) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    if world:
        monkeypatch.setenv("WORLD_SIZE", world)
    with pytest.raises(ValueError, match=message), place(parallel, "cpu"):
        pass


def test_too_few_gpus_are_an_error_and_no_gpu_is_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match=r"2 processes .* torch sees 1"):
        device_of("auto", 1, 2)
    assert device_of("cpu", 1, 2) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert device_of("auto") == torch.device("cpu")
    with pytest.raises(ValueError, match="'toaster'"):
        device_of("toaster")


def test_on_a_gpu_cudnn_looks_for_its_fastest_algorithms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    with place("single", "cpu"):
        assert not torch.backends.cudnn.benchmark
    monkeypatch.setattr(distributed, "device_of", lambda name: torch.device("cuda", 0))
    with place("single"):
        assert torch.backends.cudnn.benchmark
