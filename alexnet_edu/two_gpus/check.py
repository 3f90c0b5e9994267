"""The two forms of the two columns put to the test: equality, bytes, seconds per step, a lost rank.

    torchrun --nproc-per-node 2 -m alexnet_edu.two_gpus.check compare

runs one trial in two processes; `in_two_processes` starts both without torchrun, from a
notebook. `record` gathers all trials of the paper's network for `data/results`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import socket
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet_edu.environment import joint_provenance, provenance
from alexnet_edu.model.alexnet import AlexNet, join_columns
from alexnet_edu.model.architecture import narrow, one_of, variant
from alexnet_edu.two_gpus.one_process import TwoDeviceAlexNet
from alexnet_edu.two_gpus.two_processes import OneColumnAlexNet, joined

WAIT_S = 300.0  # longer than any trial; a rank that has not ended by then is ended


@dataclass(frozen=True)
class Case:
    """What a trial runs.

    dtype: "float32" or "float64". batch: images. steps: those that are timed. divisor: 1 for the
    paper's network, more for one that is so many times narrower.
    """

    dtype: str = "float32"
    batch: int = 2
    steps: int = 3
    divisor: int = 1

    def grouped(self) -> AlexNet:
        table = narrow(variant("paper"), self.divisor)
        model = AlexNet(table, generator=torch.Generator().manual_seed(0))
        return model.to(getattr(torch, self.dtype)).eval()

    def column(self) -> OneColumnAlexNet:
        """This rank's column of the same network."""
        model = self.grouped()
        half = OneColumnAlexNet(model.architecture).to(getattr(torch, self.dtype)).eval()
        half.load_grouped(model.state_dict())
        return half

    def images(self) -> Tensor:
        shape, generator = (self.batch, 3, 224, 224), torch.Generator().manual_seed(1)
        return 60 * torch.randn(shape, dtype=getattr(torch, self.dtype), generator=generator)


# --- equality -------------------------------------------------------------------------------


def compare_devices(devices: Sequence[str], **options: Any) -> dict[str, Any]:
    """One step of the network on two devices in one process, against the grouped network.

    options: fields of `Case`. Returns the largest differences of the "logits", and of the
    "gradients" relative to the largest one of the same weights; and "sent": "reader from column"
    -> bytes.
    """
    case = Case(**options)
    model, images = case.grouped(), case.images()
    expected = _step(model, images)
    two = TwoDeviceAlexNet.from_grouped(model, devices)
    logits = _step(two, images).cpu()
    gradients = join_columns(*(_gradients(column) for column in two.columns))
    sent = {f"{name} from {column}": n for (name, column), n in two.sent.items()}
    return {**_difference((logits, gradients), (expected, _gradients(model))), "sent": sent}


def _compare(case: Case) -> dict[str, Any]:
    """The same for this rank's column. "sent": "reader forward" or "reader backward" -> bytes."""
    model, mine, images = case.grouped(), case.column(), case.images()
    expected, logits = _step(model, images), _step(mine, images)
    half = mine.half_of(_gradients(model))
    sent = {f"{name} {way}": n for (name, way), n in mine.sent.items()}
    return {**_difference((logits, _gradients(mine.column)), (expected, half)), "sent": sent}


def _difference(
    a: tuple[Tensor, Mapping[str, Tensor]], b: tuple[Tensor, Mapping[str, Tensor]]
) -> dict[str, float]:
    """Between two steps. a, b: logits, and gradients by their names."""
    relative = [((a[1][name] - g).abs().max() / g.abs().max()).item() for name, g in b[1].items()]
    return {"logits": (a[0] - b[0]).abs().max().item(), "gradients": max(relative)}


def _step(model: nn.Module, images: Tensor) -> Tensor:
    logits: Tensor = model(images)
    F.cross_entropy(logits, torch.arange(len(images), device=logits.device)).backward()
    return logits.detach()


def _gradients(module: nn.Module) -> dict[str, Tensor]:
    return {n: p.grad.cpu() for n, p in module.named_parameters() if p.grad is not None}


# --- seconds, and a lost rank -------------------------------------------------------------------


def _time(case: Case) -> dict[str, Any]:
    """Seconds of each training step, of this rank's column or of the grouped network if it is alone."""
    alone = os.environ.get("WORLD_SIZE") == "1"
    model: nn.Module = case.grouped() if alone else case.column()
    images, labels = case.images(), torch.zeros(case.batch, dtype=torch.int64)
    optimizer = torch.optim.SGD(model.parameters(), 1e-6, momentum=0.9, weight_decay=5e-4)
    seconds = []
    for _ in range(case.steps + 1):
        start = time.perf_counter()
        loss = F.cross_entropy(model.train()(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    return {"steps": seconds[1:]}  # the first one is not counted


def _lose(case: Case) -> dict[str, Any]:
    """Rank 1 is killed in the middle of its second step, between two layers."""
    model, images = case.column(), case.images()
    _step(model, images)
    if model.rank == 1:
        model.column.stages["conv4"].register_forward_hook(lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    _step(model, images)
    return {}


TRIALS: dict[str, Callable[[Case], dict[str, Any]]] = {"compare": _compare, "time": _time, "lose": _lose}


# --- starting processes --------------------------------------------------------------------------


def in_two_processes(trial: str, **options: Any) -> list[dict[str, Any]]:
    """Runs a trial in two processes on this machine and gives what each rank measured.

    options: fields of `Case`. Each result holds "rank", "returncode", "message" (its error),
    "seconds" until it ended, and, for a rank that ended well, what the trial gives.
    """
    return _run(trial, 2, 1, Case(**options))


def _run(trial: str, world: int, threads: int, case: Case) -> list[dict[str, Any]]:
    one_of("trial", trial, TRIALS)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    start, context = time.monotonic(), get_context("spawn")
    ranks = []
    for rank in range(world):
        environment = {**place, "WORLD_SIZE": str(world), "RANK": str(rank)}
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_rank, args=(trial, case, environment, threads, theirs))
        process.start()
        theirs.close()
        ranks.append((process, ours))
    return [{"rank": i, **_ended(*rank), "seconds": time.monotonic() - start} for i, rank in enumerate(ranks)]


def _rank(trial: str, case: Case, environment: Mapping[str, str], threads: int, answer: Connection) -> None:
    os.environ.update(environment)
    torch.set_num_threads(threads)
    try:
        answer.send(_tried(trial, case))
    except Exception as error:
        answer.send({"message": f"{type(error).__name__}: {error}"})
        sys.exit(1)


def _tried(trial: str, case: Case) -> dict[str, Any]:
    if os.environ.get("WORLD_SIZE") == "1":
        return TRIALS[trial](case)
    with joined(timeout_s=20):
        return TRIALS[trial](case)


def _ended(process: BaseProcess, answer: Connection) -> dict[str, Any]:
    process.join(WAIT_S)
    process.kill()
    process.join()
    try:
        measured = answer.recv()
    except EOFError:  # it was killed
        measured = {}
    return {"returncode": process.exitcode, "message": "", **measured}


# --- the record ---------------------------------------------------------------------------------

TIMED = {  # how the network of the paper is timed: (processes, threads each)
    "one process, one thread": (1, 1),
    "one process, two threads": (1, 2),
    "two processes, one thread each": (2, 1),
}


def record(batch: int = 32, steps: int = 3, rounds: int = 3) -> dict[str, Any]:
    """Equality, bytes and seconds per step of the paper's network; a few minutes on two cores.

    The settings take turns, one start of each a round; a step of two processes takes as long
    as that of the slower rank. The parts of a `studies.record.Record`, with the tables as rows: "equality",
    differences from the whole network by form and dtype; "sent", bytes by message; "seconds", one a round.
    """
    equality, sent, seconds = [], [], []
    for form, kind in itertools.product(("two devices", "two processes"), ("float64", "float32")):
        if form == "two devices":
            compared = [compare_devices(("cpu", "cpu"), dtype=kind)]
        else:
            compared = _all_well(in_two_processes("compare", dtype=kind))
        about = {"form": form, "dtype": kind}
        worst = {what: max(rank[what] for rank in compared) for what in ("logits", "gradients")}
        equality.append(about | worst)
        sent += [about | {"message": name, "bytes": size} for name, size in compared[0]["sent"].items()]
    for _, (name, (processes, threads)) in itertools.product(range(rounds), TIMED.items()):
        timed = _all_well(_run("time", processes, threads, Case(batch=batch, steps=steps)))
        slower = max(statistics.median(rank["steps"]) for rank in timed)
        seconds.append({"what": name, "seconds": slower})
    data = {"source": "random images", "synthetic": False}
    return {
        "experiment": "two-columns",
        "title": "Two columns in one process and in two",
        "settings": {"batch": batch},
        "provenance": joint_provenance([provenance()]) | {"precision": ["float32"], "data": data},
        "tables": {"equality": equality, "sent": sent, "seconds": seconds},
    }


def _all_well(ranks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if any(rank["returncode"] for rank in ranks):
        raise RuntimeError("; ".join(rank["message"] for rank in ranks if rank["message"]))
    return ranks


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("trial", choices=TRIALS)
    for field in fields(Case):
        parser.add_argument(f"--{field.name}", type=type(field.default), default=field.default)
    options = vars(parser.parse_args(arguments))
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    measured = _tried(options.pop("trial"), Case(**options))
    print(f"rank {os.environ['RANK']}: {json.dumps(measured)}")


if __name__ == "__main__":
    main()
