"""The two forms of the two columns put to the test: equality, bytes, a lost rank, seconds.

`in_two_processes` runs one trial, from a notebook; `report.report` all that say whether a machine is fit to
train, for the command `alexnet-edu two-gpus check`. `record` gathers trials of the paper's network for
`data/results`.
"""

from __future__ import annotations

import itertools
import os
import signal
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet_edu.environment import autocast, joint_provenance, provenance
from alexnet_edu.model.alexnet import AlexNet, join_columns
from alexnet_edu.model.architecture import narrow, one_of, variant
from alexnet_edu.training import checkpoint as checkpoints
from alexnet_edu.training.sgd import PaperSGD
from alexnet_edu.two_gpus.one_process import TwoDeviceAlexNet
from alexnet_edu.two_gpus.traffic import COLUMNS, FLOAT, HALF, sent_each_way
from alexnet_edu.two_gpus.two_processes import OneColumnAlexNet, joined, swap

WAIT_S = 300.0  # longer than any trial; a rank that has not ended by then is ended
SILENT_S = 40.0  # longer than any exchange
SAVED = 2  # steps of a training after which a checkpoint is written
RATE = 0.01


@dataclass(frozen=True)
class Case:
    """What a trial runs.

    dtype: "float32", "float64", or "bfloat16", where the weights are float32. batch: images. steps: those
    that are timed. divisor: 1 for the paper's network, more for one that is so many times narrower.
    updates: steps of a training whose weights are compared. device: "cpu", or "cuda", a GPU for each
    rank. folder: where a checkpoint is kept, and what NCCL says; none without it. table: a name that
    `model.architecture.variant` knows.
    """

    dtype: str = "float32"
    batch: int = 2
    steps: int = 3
    divisor: int = 1
    updates: int = 0
    device: str = "cpu"
    folder: str = ""
    table: str = "paper"

    @property
    def here(self) -> torch.device:
        """This rank's device."""
        rank = os.environ.get("LOCAL_RANK", 0)
        return torch.device(f"cuda:{rank}" if self.device == "cuda" else self.device)

    @property
    def weights(self) -> torch.dtype:
        return torch.float64 if self.dtype == "float64" else torch.float32

    def grouped(self) -> AlexNet:
        table = narrow(variant(self.table), self.divisor)
        model = AlexNet(table, generator=torch.Generator().manual_seed(0))
        return model.to(self.here, self.weights).eval()

    def column(self) -> OneColumnAlexNet:
        """This rank's column of the same network."""
        model = self.grouped()
        half = OneColumnAlexNet(model.architecture).to(self.here, self.weights).eval()
        half.load_grouped(model.state_dict())
        return half

    def images(self, step: int = 0) -> Tensor:
        shape, generator = (self.batch, 3, 224, 224), torch.Generator().manual_seed(1 + step)
        return (60 * torch.randn(shape, dtype=self.weights, generator=generator)).to(self.here)


# --- equality -------------------------------------------------------------------------------


def compare_devices(devices: Sequence[str], **options: Any) -> dict[str, Any]:
    """One step of the network on two devices in one process, against the grouped network.

    options: fields of `Case`. Returns the largest differences of the "logits", and of the
    "gradients" relative to the largest one of the same weights; the same of the "weights" after `updates`
    of them; and "sent": "reader from column" -> bytes.
    """
    case = Case(**options)
    model, images = case.grouped(), case.images()
    expected = _step(model, images)
    two = TwoDeviceAlexNet.from_grouped(model, devices)
    logits = _step(two, images).cpu()
    gradients = join_columns(*(_gradients(column) for column in two.columns))
    sent = {f"{name} from {column}": n for (name, column), n in two.sent.items()}
    found = _difference((logits, gradients), (expected.cpu(), _gradients(model)))
    for each in (model, two):
        _updates(case, each, range(case.updates))
    weights = join_columns(*(_weights(column) for column in two.columns))
    return {**found, "weights": _largest(weights, _weights(model)), "sent": sent}


def _compare(case: Case) -> dict[str, Any]:
    """The same for this rank's column. "sent": "reader forward" or "reader backward" -> bytes."""
    model, mine, images = case.grouped(), case.column(), case.images()
    expected, logits = _step(model, images), _step(mine, images)
    half = mine.half_of(_gradients(model))
    sent = {f"{name} {way}": n for (name, way), n in mine.sent.items()}
    found = _difference((logits, _gradients(mine.column)), (expected, half))
    for each in (model, mine):
        _updates(case, each, range(case.updates))
    weights = mine.half_of(_weights(model))
    return {**found, "weights": _largest(_weights(mine.column), weights), "sent": sent}


def _difference(
    a: tuple[Tensor, Mapping[str, Tensor]], b: tuple[Tensor, Mapping[str, Tensor]]
) -> dict[str, float]:
    """Between two steps. a, b: logits, and gradients by their names."""
    return {"logits": (a[0] - b[0]).abs().max().item(), "gradients": _largest(a[1], b[1])}


def _largest(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    """The largest difference, relative to the largest value of the same tensor in b."""
    return max(((a[name] - x).abs().max() / x.abs().max()).item() for name, x in b.items())


def _step(model: nn.Module, images: Tensor) -> Tensor:
    logits: Tensor = model(images)
    F.cross_entropy(logits, torch.arange(len(images), device=logits.device)).backward()
    return logits.detach()


def _gradients(module: nn.Module) -> dict[str, Tensor]:
    return {n: p.grad.cpu() for n, p in module.named_parameters() if p.grad is not None}


# --- a training, and a lost rank -----------------------------------------------------------------


def _updates(
    case: Case, model: nn.Module, steps: Iterable[int], optimizer: PaperSGD | None = None
) -> PaperSGD:
    """Trains for these steps; each has images of its own."""
    optimizer = optimizer or PaperSGD(model.parameters(), RATE)
    for step in steps:
        optimizer.zero_grad()
        _step(model, case.images(step))
        optimizer.step()
    return optimizer


def _weights(module: nn.Module) -> dict[str, Tensor]:
    return {n: p.detach().cpu() for n, p in module.named_parameters()}


def _lose(case: Case) -> dict[str, Any]:
    """Rank 1 is killed in the middle of a step, between two layers, after a checkpoint was written."""
    model = case.column()
    optimizer = _updates(case, model, range(SAVED))
    if case.folder:
        tensors = checkpoints.tensors_of(model.column, optimizer, model.joined)
        if model.rank == 0:
            checkpoints.save(_checkpoint(case), tensors, {"step": SAVED})
    if model.rank == 1:
        model.column.stages["conv4"].register_forward_hook(lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    _updates(case, model, range(SAVED, SAVED + 1), optimizer)
    return {}


def _resume(case: Case) -> dict[str, Any]:
    """The training that `_lose` began goes on, and is compared with one that nothing interrupted."""
    model, unbroken = case.column(), case.column()
    optimizer, saved = PaperSGD(model.parameters(), RATE), checkpoints.load(_checkpoint(case))
    checkpoints.restore(saved, model.column, optimizer, model.half_of)
    _updates(case, model, range(saved.state["step"], case.updates), optimizer)
    _updates(case, unbroken, range(case.updates))
    return {"weights": _largest(_weights(model.column), _weights(unbroken.column))}


def _checkpoint(case: Case) -> Path:
    return Path(case.folder) / "checkpoint.safetensors"


# --- seconds --------------------------------------------------------------------------------------


def _time(case: Case) -> dict[str, Any]:
    """Seconds of each training step, of this rank's column or of the grouped network if it is alone."""
    alone = os.environ.get("WORLD_SIZE") == "1"
    model: nn.Module = case.grouped() if alone else case.column()
    images, labels = case.images(), torch.zeros(case.batch, dtype=torch.int64, device=case.here)
    optimizer = torch.optim.SGD(model.parameters(), 1e-6, momentum=0.9, weight_decay=5e-4)

    def step() -> None:
        with autocast(case.here, case.dtype):
            logits = model.train()(images)
        loss = F.cross_entropy(logits.float(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return {"steps": seconds_of(step, case)}


def _exchange(case: Case) -> dict[str, Any]:
    """Seconds of exchanging what conv3 reads of a batch of the paper's network, in float32."""
    size = sent_each_way(variant("paper"))["conv3"]
    mine, theirs = (torch.zeros(size // FLOAT, device=case.here) for _ in range(2))
    return {"bytes": mine.nbytes, "steps": seconds_of(lambda: swap(mine, theirs, "the exchange"), case)}


def seconds_of(function: Callable[[], object], case: Case) -> list[float]:
    """Of each call, until the device has done it; the first one is not counted."""
    seconds = []
    for _ in range(case.steps + 1):
        start = time.perf_counter()
        function()
        if case.here.type == "cuda":
            torch.cuda.synchronize(case.here)
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


def _first(case: Case) -> dict[str, Any]:
    """All that needs two ranks which stay alive, at one start. "exchange": what `_exchange` gives."""
    return {**_compare(case), "exchange": _exchange(case)}


TRIALS: dict[str, Callable[[Case], dict[str, Any]]] = {
    "compare": _compare,
    "first": _first,
    "lose": _lose,
    "resume": _resume,
    "time": _time,
}


# --- starting processes --------------------------------------------------------------------------


def in_two_processes(trial: str, **options: Any) -> list[dict[str, Any]]:
    """Runs a trial in two processes on this machine and gives what each rank measured.

    options: fields of `Case`. Each result holds "rank", "returncode", "message" (its error),
    "seconds" until it ended, and, for a rank that ended well, what the trial gives.
    """
    return run(trial, Case(**options))


def run(trial: str, case: Case, world: int = 2, threads: int = 1) -> list[dict[str, Any]]:
    """The same of any number of processes."""
    one_of("trial", trial, TRIALS)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    if case.folder:
        place |= {"NCCL_DEBUG": "INFO", "NCCL_DEBUG_FILE": f"{case.folder}/nccl.%p"}
    start, context = time.monotonic(), get_context("spawn")
    ranks = []
    for rank in range(world):
        environment = {**place, "WORLD_SIZE": str(world), "RANK": str(rank), "LOCAL_RANK": str(rank)}
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
    with joined(case.here, SILENT_S):
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

TIMED = {  # what is timed: the network, processes, threads each
    HALF: ("one_gpu", 1, 1),
    "one process, one thread": ("paper", 1, 1),
    "one process, two threads": ("paper", 1, 2),
    COLUMNS: ("paper", 2, 1),
}


def record(batch: int = 32, steps: int = 3, rounds: int = 3) -> dict[str, Any]:
    """Equality, bytes and seconds per step of the paper's network, and seconds of the half network.

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
    for _, (name, (table, processes, threads)) in itertools.product(range(rounds), TIMED.items()):
        timed = _all_well(run("time", Case(batch=batch, steps=steps, table=table), processes, threads))
        slower = max(statistics.median(rank["steps"]) for rank in timed)
        seconds.append({"what": name, "seconds": slower})
    made = joint_provenance([provenance()])
    del made["threads"]  # each form has its own
    data = {"source": "random images", "synthetic": False}
    return {
        "experiment": "two-columns",
        "title": "Two columns in one process and in two",
        "settings": {"batch": batch},
        "provenance": made | {"precision": ["float32"], "data": data},
        "tables": {"equality": equality, "sent": sent, "seconds": seconds},
    }


def _all_well(ranks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if any(rank["returncode"] for rank in ranks):
        raise RuntimeError("; ".join(rank["message"] for rank in ranks if rank["message"]))
    return ranks
