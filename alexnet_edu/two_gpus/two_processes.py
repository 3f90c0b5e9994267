"""The two columns in two processes: each rank holds one, and they talk through `torch.distributed`.

Start a script that calls `joined` with `torchrun --nproc-per-node 2 SCRIPT`: NCCL between two
GPUs, gloo on processors. Ranks exchange halves where a layer reads both columns; backwards
each sends the other the gradient of the other's half, and adds what it gets to its own.

When a rank dies, the other one's exchange raises ColumnLostError on gloo, at once. NCCL's exchanges run on
the GPU and raise nothing. There the next wait over gloo says so (in a training there is one after every
step); failing that, NCCL's watchdog ends the process with signal 6 and the words "collective operation
timeout" once an exchange has taken `timeout_s`, unless TORCH_NCCL_ASYNC_ERROR_HANDLING is set to 0 or 2.
"""

from __future__ import annotations

import contextlib
import os
import threading
import traceback
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from alexnet_edu.model.alexnet import AlexNet, Column, State, join_columns, split_columns
from alexnet_edu.model.architecture import Architecture, variant

Sent = Counter[tuple[str, str]]  # (layer that reads, "forward" or "backward") -> bytes
TIMEOUT_S = 45.0  # longer than any step; a rank that is silent for so long is taken for dead
ABORT_S = 20.0


class ColumnLostError(RuntimeError):
    """Another rank died, or is silent; the message says which, and where this one waited."""


@contextlib.contextmanager
def joined(
    device: torch.device | str = "cpu",
    timeout_s: float = TIMEOUT_S,
    processes: int | None = 2,
    command: str = "SCRIPT",
) -> Iterator[int]:
    """Joins the group that torchrun started, gives this process's rank, and leaves again.

    device: of this process. Ranks talk through NCCL where it is a GPU, which becomes the current one,
    through gloo otherwise. timeout_s: of one exchange. processes: how many the group must have;
    None takes any number. command: what torchrun should have started, for the error.
    Raises ValueError when this process was started alone, or as one of another number.
    """
    world = os.environ.get("WORLD_SIZE")
    if world is None or processes not in (None, int(world)):
        started = "this one was started alone" if world is None else f"there are {world}"
        number = processes or "N"
        raise ValueError(
            f"{number} processes are needed, but {started}: torchrun --nproc-per-node {number} {command}"
        )
    device = torch.device(device)
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(device)
    dist.init_process_group(
        "nccl" if on_gpu else "gloo",
        timeout=timedelta(seconds=timeout_s),
        device_id=device if on_gpu else None,
    )
    try:
        yield dist.get_rank()
    except BaseException as error:
        _leave_at_once(error)
        raise
    dist.destroy_process_group()


def _leave_at_once(error: BaseException) -> None:
    """Leaves a group in which something failed, without waiting for the other ranks.

    `destroy_process_group` alone waits in NCCL for exchanges that a lost rank will never answer. Aborting
    should not, but may; so may the end of Python. Then only ending this process lets torchrun see it.
    """

    def leave() -> None:
        with contextlib.suppress(Exception):  # the first error is the one to show
            if dist.group.WORLD is not None:
                dist.group.WORLD.abort()
            dist.destroy_process_group()

    leaving = threading.Thread(target=leave, daemon=True)
    leaving.start()
    leaving.join(ABORT_S)
    if leaving.is_alive():
        traceback.print_exception(error)
        os._exit(1)


@contextlib.contextmanager
def answering(where: str) -> Iterator[None]:
    """For waiting for other ranks: ColumnLostError, which says where, in place of torch's RuntimeError."""
    try:
        yield
    except RuntimeError as error:
        rank = dist.get_rank()
        other = f"rank {1 - rank}" if dist.get_world_size() == 2 else "another rank"
        raise ColumnLostError(
            f"{other} is gone or silent: rank {rank} waited for it at {where}. "
            f"Start all again from the last checkpoint. ({str(error).splitlines()[0]})"
        ) from error


class OneColumnAlexNet(nn.Module):
    """This rank's column of the network of two columns; the other rank holds the other one.

    table: a name for `architecture.variant`, or an `Architecture`, with two columns.
    Input: (N, 3, 224, 224), the same on both ranks. Output: (N, classes) logits on both, so
    both compute the same loss, and its gradient reaches each weight once.

    Dropout draws for each column on its own rank: seed the ranks apart.
    sent: bytes that this rank sent in the last forward and backward pass,
        (layer that reads them, "forward" or "backward") -> bytes.
    """

    def __init__(
        self,
        table: str | Architecture = "paper",
        *,
        device: str | torch.device = "cpu",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.rank = dist.get_rank()
        self.architecture = variant(table)
        self.column = Column(self.architecture, self.rank)
        self.load_grouped(AlexNet(self.architecture, generator=generator).state_dict())
        self.column.to(device)
        self.sent: Sent = Counter()

    def load_grouped(self, state: State) -> None:
        """Takes this rank's half of the weights from the state dict of an `AlexNet`."""
        self.column.load_state_dict(self.half_of(state))

    def half_of(self, whole: State) -> dict[str, Tensor]:
        """This rank's half of tensors that are like the weights of an `AlexNet`."""
        return split_columns(whole)[self.rank]

    def grouped_state(self) -> dict[str, Tensor]:
        """The weights of both columns as a state dict for an `AlexNet`; called by both ranks."""
        return self.joined(self.column.state_dict())

    def joined(self, mine: State) -> dict[str, Tensor]:
        """Tensors like this column's weights, put together with the other's; called by both ranks."""
        rows = {layer.name: _halves(layer.outputs)[1 - self.rank] for layer in self.architecture.layers}
        theirs = {
            name: _swapped(tensor, "the weights", rows[name.split(".")[1]]) for name, tensor in mine.items()
        }
        return join_columns(*((mine, theirs) if self.rank == 0 else (theirs, mine)))

    def forward(self, images: Tensor) -> Tensor:
        self.sent.clear()
        x = images
        for i, layer in enumerate(self.architecture.layers):
            if i > 0 and layer.reads == "both":
                x = _Exchange.apply(x, layer.name, self.rank, self.sent)
            x = self.column(layer.name, x)
        classes = self.architecture.layers[-1].outputs
        logits: Tensor = _Gather.apply(x, self.rank, self.sent, _halves(classes))
        return logits


class _Exchange(torch.autograd.Function):
    """Own half -> both halves, in the order of the ranks. Each reader has a gradient for both."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor, reader: str, rank: int, sent: Sent) -> Tensor:
        ctx.reader, ctx.rank, ctx.sent = reader, rank, sent
        sent[reader, "forward"] += mine.nbytes
        return _in_order(mine, _swapped(mine, reader), rank)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        halves = g.chunk(2, dim=1)
        mine, others = halves[ctx.rank], halves[1 - ctx.rank]
        ctx.sent[ctx.reader, "backward"] += others.nbytes
        return mine + _swapped(others, ctx.reader), None, None, None


class _Gather(torch.autograd.Function):
    """Own logits -> all of them. Both ranks compute the same loss, so nothing is added backwards."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor, rank: int, sent: Sent, sizes: tuple[int, int]) -> Tensor:
        ctx.rank, ctx.sizes = rank, sizes
        sent["logits", "forward"] += mine.nbytes
        return _in_order(mine, _swapped(mine.T, "logits", sizes[1 - rank]).T, rank)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        return g.split(ctx.sizes, dim=1)[ctx.rank], None, None, None


def _swapped(mine: Tensor, where: str, rows: int | None = None) -> Tensor:
    """Sends a tensor to the other rank and gives the one that it sent, of as many rows if None.

    Maps in channels-last order travel, and arrive, as they lie in memory.
    """
    channels_last = mine.dim() == 4 and mine.stride(1) == 1
    mine = (mine.movedim(1, 3) if channels_last else mine).detach().contiguous()
    theirs = mine.new_empty((rows or mine.shape[0], *mine.shape[1:]))
    swap(mine, theirs, where)
    return theirs.movedim(3, 1) if channels_last else theirs


def swap(mine: Tensor, theirs: Tensor, where: str) -> None:
    """Sends `mine` to the other of two ranks and writes what that one sends to `theirs`; both contiguous."""
    other = 1 - dist.get_rank()
    with answering(where):
        both = [dist.P2POp(dist.isend, mine, other), dist.P2POp(dist.irecv, theirs, other)]
        for work in dist.batch_isend_irecv(both):
            work.wait()


def _in_order(mine: Tensor, theirs: Tensor, rank: int) -> Tensor:
    return torch.cat([mine, theirs] if rank == 0 else [theirs, mine], dim=1)


def _halves(count: int) -> tuple[int, int]:
    """The sizes of the two parts that `Tensor.chunk` makes."""
    return (count + 1) // 2, count // 2
