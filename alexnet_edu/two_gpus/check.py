"""The two forms of the two columns put to the test: equality, bytes, seconds per step, a lost rank.

    torchrun --nproc-per-node 2 -m alexnet_edu.two_gpus.check compare

runs one trial in two processes; `in_two_processes` starts both without torchrun, from a
notebook. `record` gathers all trials of the paper's network for `data/results`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet_edu import files as json_files
from alexnet_edu.environment import provenance
from alexnet_edu.model.alexnet import AlexNet, join_columns
from alexnet_edu.model.architecture import Architecture, variant
from alexnet_edu.two_gpus.one_process import TwoDeviceAlexNet
from alexnet_edu.two_gpus.two_processes import OneColumnAlexNet, joined

Tensors = Mapping[str, Tensor]

TRIALS = ("compare", "time", "lose")
WAIT_S = 300.0  # longer than any trial; a rank that has not ended by then is ended


def narrow(architecture: Architecture, divisor: int = 8) -> Architecture:
    """The same table with so many times fewer kernels and units: quick to run, same pattern."""
    layers = [replace(layer, outputs=layer.outputs // divisor) for layer in architecture.layers[:-1]]
    return replace(architecture, layers=(*layers, architecture.layers[-1]))


def _network(divisor: int) -> Architecture:
    return variant("paper") if divisor == 1 else narrow(variant("paper"), divisor)


def _images(batch: int, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return 60 * torch.randn(batch, 3, 224, 224, dtype=dtype, generator=generator)


def _step(model: nn.Module, images: Tensor) -> Tensor:
    logits: Tensor = model(images)
    F.cross_entropy(logits, torch.arange(len(images), device=logits.device)).backward()
    return logits.detach()


# --- equality -------------------------------------------------------------------------------


def difference(a: tuple[Tensor, Tensors], b: tuple[Tensor, Tensors]) -> dict[str, float]:
    """The largest differences between two steps: of the logits, and of the gradients.

    a, b: logits, and gradients by their names. Those of the gradients are relative to the
    largest number in the same tensor of b.
    """
    relative = [((a[1][name] - g).abs().max() / g.abs().max()).item() for name, g in b[1].items()]
    return {"logits": (a[0] - b[0]).abs().max().item(), "gradients": max(relative)}


def _gradients(module: nn.Module) -> dict[str, Tensor]:
    return {n: p.grad.cpu() for n, p in module.named_parameters() if p.grad is not None}


def _grouped(architecture: Architecture, dtype: torch.dtype) -> AlexNet:
    return AlexNet(architecture, generator=torch.Generator().manual_seed(0)).to(dtype).eval()


def compare_devices(
    devices: Sequence[str], dtype: torch.dtype, batch: int = 2, divisor: int = 1
) -> dict[str, Any]:
    """One step of the network on two devices in one process, against the grouped network.

    divisor: 1 for the paper's network, more for one that is so many times narrower.
    Returns `difference`, and "sent": "reader from column" -> bytes.
    """
    model, images = _grouped(_network(divisor), dtype), _images(batch, dtype)
    expected = _step(model, images)
    two = TwoDeviceAlexNet.from_grouped(model, devices)
    logits = _step(two, images).cpu()
    joint = join_columns(*(_gradients(column) for column in two.columns))
    found = difference((logits, joint), (expected, _gradients(model)))
    return {**found, "sent": {f"{name} from {column}": n for (name, column), n in two.sent.items()}}


def _compare(rank: int, dtype: torch.dtype, batch: int, divisor: int) -> dict[str, Any]:
    model, images = _grouped(_network(divisor), dtype), _images(batch, dtype)
    expected = _step(model, images)
    mine = OneColumnAlexNet(_network(divisor)).to(dtype).eval()
    mine.load_grouped(model.state_dict())
    logits = _step(mine, images)
    half = {name: g.chunk(2)[rank] for name, g in _gradients(model).items()}
    found = difference((logits, _gradients(mine.column)), (expected, half))
    sent = {f"{name} {way}": n for (name, way), n in mine.sent.items()}
    return {**found, "sent": sent}


# --- seconds ----------------------------------------------------------------------------------


def _time(model: nn.Module, batch: int, steps: int) -> list[float]:
    """Seconds of each of `steps` training steps, after one that is not counted."""
    images, labels = _images(batch, torch.float32), torch.zeros(batch, dtype=torch.int64)
    optimizer = torch.optim.SGD(model.parameters(), 1e-6, momentum=0.9, weight_decay=5e-4)
    seconds = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        loss = F.cross_entropy(model.train()(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


def _lose(dtype: torch.dtype, batch: int, divisor: int) -> None:
    """Rank 1 is killed in the middle of its second step, between two layers."""
    model = OneColumnAlexNet(_network(divisor)).to(dtype)
    images = _images(batch, dtype)
    _step(model, images)
    if model.rank == 1:
        model.column.stages["conv4"].register_forward_hook(lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    _step(model, images)


# --- starting processes --------------------------------------------------------------------------


def in_two_processes(trial: str, *, threads: int = 1, **options: Any) -> list[dict[str, Any]]:
    """Runs a trial in two processes on this machine and gives what each rank found.

    options: dtype="float64", batch=2, divisor=1, steps=3, as on the command line.
    Each result holds "rank", "returncode", "message" (its last line of errors), "seconds" until
    it ended, and, for a rank that ended well, what the trial found.
    """
    return _run(trial, 2, threads, options)


def in_one_process(trial: str, *, threads: int = 1, **options: Any) -> dict[str, Any]:
    """The same for the grouped network in one process; "time" is the only trial of this kind."""
    return _run(trial, 1, threads, options)[0]


def _run(trial: str, world: int, threads: int, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    if trial not in TRIALS:
        raise ValueError(f"there is no trial {trial!r}; choose one of {', '.join(TRIALS)}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    arguments = [f"--{name}={value}" for name, value in options.items()]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "alexnet_edu.two_gpus.check", trial, "--output", folder, *arguments]
        common = {**os.environ, "OMP_NUM_THREADS": str(threads), "WORLD_SIZE": str(world)}
        common |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        start = time.monotonic()
        processes = [
            subprocess.Popen(command, env={**common, "RANK": str(rank)}, stderr=subprocess.PIPE, text=True)
            for rank in range(world)
        ]
        return [_ended(p, rank, Path(folder), start) for rank, p in enumerate(processes)]


def _ended(process: subprocess.Popen[str], rank: int, folder: Path, start: float) -> dict[str, Any]:
    try:
        _, errors = process.communicate(timeout=WAIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        _, errors = process.communicate()
    lines = [line for line in errors.splitlines() if line.strip()]
    found = {
        "rank": rank,
        "returncode": process.returncode,
        "message": lines[-1] if lines and process.returncode else "",
        "seconds": round(time.monotonic() - start, 1),
    }
    result = folder / f"rank{rank}.json"
    return {**found, **(json.loads(result.read_text(encoding="utf-8")) if result.exists() else {})}


# --- the record ---------------------------------------------------------------------------------

SETTINGS = {  # how the network of the paper is timed: (processes, threads each)
    "one process, one thread": (1, 1),
    "one process, two threads": (1, 2),
    "two processes, one thread each": (2, 1),
}


def record(batch: int = 32, steps: int = 3, rounds: int = 3) -> dict[str, Any]:
    """Equality, bytes and seconds per step of the paper's network; a few minutes on two cores.

    The settings take turns, one start of each a round; a step of two processes takes as long
    as that of the slower rank.
    """
    kinds = ("float64", "float32")
    equality = {
        "two devices": {kind: compare_devices(("cpu", "cpu"), getattr(torch, kind)) for kind in kinds},
        "two processes": {kind: _worse(in_two_processes("compare", dtype=kind)) for kind in kinds},
    }
    seconds: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for _ in range(rounds):
        for name, (processes, threads) in SETTINGS.items():
            ranks = _run("time", processes, threads, {"batch": batch, "steps": steps})
            if any(r["returncode"] for r in ranks):
                raise RuntimeError(f"{name}: {'; '.join(r['message'] for r in ranks)}")
            seconds[name].append(max(statistics.median(r["steps"]) for r in ranks))
    return {
        "experiment": "two-columns",
        "batch": batch,
        "equality": equality,
        "seconds": seconds,
        "provenance": _provenance(),
    }


def load_record(path: Path) -> dict[str, Any]:
    """What `record` gave, read from a file. Raises ValueError with advice when it cannot be."""
    return json_files.load_record(path, "two-columns", {"equality", "seconds", "provenance"})


def _worse(ranks: list[dict[str, Any]]) -> dict[str, Any]:
    if any(r["returncode"] for r in ranks):
        raise RuntimeError("; ".join(r["message"] for r in ranks if r["message"]))
    return {
        "logits": max(r["logits"] for r in ranks),
        "gradients": max(r["gradients"] for r in ranks),
        "sent": ranks[0]["sent"],
    }


def _provenance() -> dict[str, Any]:
    made = provenance()
    plural = {"commits": [made["commit"]], "dates": [made["date"]], "hardware": [made["hardware"]]}
    return {**plural, "torch": [made["torch"]], "precision": ["float32"], "data": "random images"}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("trial", choices=TRIALS)
    parser.add_argument("--dtype", default="float32", choices=("float32", "float64"))
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--divisor", type=int, default=1, help="so many times fewer kernels")
    parser.add_argument("--output", type=Path, help="a folder for rank0.json and rank1.json")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    rank, dtype = int(os.environ.get("RANK", "0")), getattr(torch, chosen.dtype)
    if chosen.trial == "time" and os.environ.get("WORLD_SIZE") == "1":
        found: dict[str, Any] = {
            "steps": _time(AlexNet(_network(chosen.divisor)), chosen.batch, chosen.steps)
        }
    else:
        with joined("gloo", timeout_s=20):
            if chosen.trial == "compare":
                found = _compare(rank, dtype, chosen.batch, chosen.divisor)
            elif chosen.trial == "time":
                model = OneColumnAlexNet(_network(chosen.divisor))
                found = {"steps": _time(model, chosen.batch, chosen.steps)}
            else:
                _lose(dtype, chosen.batch, chosen.divisor)
                found = {}
    text = json.dumps(found)
    if chosen.output is not None:
        (chosen.output / f"rank{rank}.json").write_text(text, encoding="utf-8")
    else:
        print(f"rank {rank}: {text}")


if __name__ == "__main__":
    main()
