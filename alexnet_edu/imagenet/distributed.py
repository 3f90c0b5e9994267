"""One training on one device, on two columns, or on copies of the network that share each batch.

The three have the same interface, so the training does not ask which it has. All draws (weights,
order, crops, colours, dropout) are made for the whole batch and the whole network, and each process
takes its part. So all three compute the same sums in another order.

Started by torchrun, each process enters `place`; NCCL between GPUs, gloo on processors.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from alexnet_edu.imagenet.feed import Partner
from alexnet_edu.model import compiling
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.architecture import Architecture
from alexnet_edu.model.layers import Dropout, GroupedLinear, compile_norms
from alexnet_edu.training.loop import seed_of_layer
from alexnet_edu.two_gpus.two_processes import OneColumnAlexNet, answering, joined, swap

STEP_S = 180.0  # longer than a step, and than one process compiles after another
WRITING_S = 1800.0  # longer than one process writes a checkpoint, to a slow disk, while the others wait


class Single:
    """The whole network on one device, and what the other two share with it.

    network: holds this process's parameters, by the names that a checkpoint has. module: what is
    called in training; judge: in evaluation. rank, world: of the rows of a batch. processes: how
    many take part; main: whether this one speaks and writes. loss_scale: what the loss, a sum over
    this process's rows over the batch's size, is multiplied with. partner: who decodes half of its rows.
    """

    name = "single"
    partner: Partner | None = None

    def __init__(
        self, table: Architecture, device: torch.device, seed: int, dtype: torch.dtype = torch.float32
    ) -> None:
        self.device, self.rank, self.world, self.processes, self.main = device, 0, 1, 1, True
        self.loss_scale = 1.0
        self.network: nn.Module = AlexNet(table, generator=torch.Generator().manual_seed(seed))
        self.network.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.module: nn.Module = self.network
        self.judge: nn.Module = self.network

    def begin_step(self, seed: int, start: int, stop: int, total: int) -> None:
        """Draws the masks of each dropout, for the rows and units of the whole that are here."""
        for place, (layer, width) in enumerate(_dropouts(self.network)):
            seed_here, rows = seed_of_layer(seed, place), (start, stop, total)
            layer.draw(seed_here, rows, self.units(width), self.device)

    def units(self, width: int) -> tuple[int, int, int]:
        """(start, stop, of how many) units of a layer of which `width` are here."""
        return 0, width, width

    def sum_rows(self, numbers: Tensor) -> Tensor:
        """Sums over rows of a batch, added up over the processes that share its rows."""
        return numbers

    def any(self, flag: bool) -> bool:
        """Whether it is true in any process; all wait for each other here."""
        return flag

    def collect(self, value: Any) -> list[Any]:
        """The values of all processes, in the order of their ranks."""
        return [value]

    def gather(self, part: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors like this process's parameters -> those of the whole network; all must call it."""
        return dict(part)

    def part_of(self, whole: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The inverse of `gather`."""
        return dict(whole)

    def compile(self, what: str) -> None:
        """Lets `torch.compile` rewrite the "norms" or all of the "network"; the first step then takes longer.

        Raises ValueError for anything else, CannotCompile where that does not work here.
        """
        if what == "norms":
            compile_norms(self.network)
        elif what == "network":
            compiling.check(self.device)
            self.module = torch.compile(self.module)  # type: ignore[assignment]
        else:
            raise ValueError(f"{what!r} cannot be compiled; choose one of {', '.join(compiling.WHAT)}")


class _Several(Single):
    """What processes of one group do together.

    Small messages go over gloo, also where NCCL is used. So does whatever waits for one process to write.
    All ask `any` after every step: there a process that died is missed, of which NCCL itself says nothing.
    """

    def join(self) -> None:
        self._gloo: Any = dist.new_group(backend="gloo", timeout=timedelta(seconds=WRITING_S))
        self.processes = dist.get_world_size()
        self.main = dist.get_rank() == 0

    def any(self, flag: bool) -> bool:
        largest = torch.tensor(int(flag))
        with answering("the end of a step or of writing"):
            dist.all_reduce(largest, op=dist.ReduceOp.MAX, group=self._gloo)
        return bool(largest)

    def collect(self, value: Any) -> list[Any]:
        values: list[Any] = [None] * self.processes
        with answering("a line of the log"):
            dist.all_gather_object(values, value, group=self._gloo)
        return values


class Data(_Several):
    """A copy of the network in each process; each has some rows, and the gradients are added up."""

    name = "data"

    def __init__(
        self, table: Architecture, device: torch.device, seed: int, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(table, device, seed, dtype)
        self.join()
        self.rank, self.world = dist.get_rank(), self.processes
        self.loss_scale = float(self.world)  # DistributedDataParallel takes the mean over the processes
        self.module = DistributedDataParallel(
            self.network, device_ids=[device] if device.type == "cuda" else None, gradient_as_bucket_view=True
        )

    def sum_rows(self, numbers: Tensor) -> Tensor:
        total = numbers.clone()
        with answering("the sums of a batch"):
            dist.all_reduce(total)
        return total


class Columns(_Several):
    """The paper's two GPUs: a column in each of two processes, all rows in both (§3.2)."""

    name = "columns"

    def __init__(
        self, table: Architecture, device: torch.device, seed: int, dtype: torch.dtype = torch.float32
    ) -> None:
        if dist.get_world_size() != 2:
            raise ValueError(f"two columns need two processes, not {dist.get_world_size()}")
        self.join()
        self.device, self.rank, self.world, self.loss_scale = device, 0, 1, 1.0
        self._halves = OneColumnAlexNet(table, device=device, generator=torch.Generator().manual_seed(seed))
        self.partner = Partner(self._halves.rank, functools.partial(swap, where="its half of the images"))
        self.module = self.judge = self._halves
        self.network = self._halves.column
        self.network.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def units(self, width: int) -> tuple[int, int, int]:
        return width * self._halves.rank, width * (self._halves.rank + 1), 2 * width

    def gather(self, part: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self._halves.joined(part)

    def part_of(self, whole: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self._halves.half_of(whole)

    def compile(self, what: str) -> None:
        if what == "network":
            raise ValueError(
                "--compile network works on one device and with --parallel data, not with columns; "
                "--compile norms does"
            )
        super().compile(what)


def _dropouts(network: nn.Module) -> Iterator[tuple[Dropout, int]]:
    """Each dropout, and the units before it, in their order."""
    width = 0
    for module in network.modules():
        if isinstance(module, nn.Linear | GroupedLinear):
            width = len(module.weight)
        elif isinstance(module, Dropout):
            yield module, width


FORMS: dict[str, type[Single]] = {form.name: form for form in (Single, Columns, Data)}


@contextlib.contextmanager
def place(parallel: str, device: str = "auto") -> Iterator[tuple[torch.device, bool]]:
    """This process's device, and whether it is the first; joins the others while it lasts.

    parallel: one of FORMS. device: "auto" takes a GPU for each process where there are
    enough, else the processor; or "cpu", "cuda", "mps".
    Raises ValueError where the number of processes or of GPUs does not fit, and says what does.
    """
    world, local = (int(os.environ.get(name, 0)) for name in ("WORLD_SIZE", "LOCAL_RANK"))
    if parallel not in FORMS:
        raise ValueError(f"unknown --parallel {parallel!r}; choose one of {', '.join(FORMS)}")
    if parallel == "single":
        if world > 1:
            raise ValueError(f"torchrun started {world} processes: choose --parallel columns or data")
        here = device_of(device)
        _tune(here)
        yield here, True
        return
    here = device_of(device, local, int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
    _tune(here)
    processes = 2 if parallel == "columns" else None
    with joined(here, STEP_S, processes, f"-m alexnet_edu.cli train --parallel {parallel} …") as rank:
        yield here, rank == 0


def _tune(device: torch.device) -> None:
    """Lets cuDNN try its algorithms for each shape once: batches, but for the last of an epoch, are alike."""
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True


def device_of(name: str, local_rank: int = 0, local_world: int = 1) -> torch.device:
    """The device of one of `local_world` processes of this machine.

    Raises ValueError where there are GPUs but too few, or no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.device_count() else "cpu"
    if name == "cuda" and torch.cuda.device_count() < local_world:
        raise ValueError(
            f"{local_world} processes need as many GPUs, but torch sees {torch.cuda.device_count()}; "
            "choose --device cpu, or fewer processes"
        )
    if name == "cuda":
        return torch.device("cuda", local_rank)
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"the device {name!r} cannot be used here: {reason}") from error
    return torch.device(name)
