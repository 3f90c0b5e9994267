"""The two columns in two processes: each rank holds one, and they talk through `torch.distributed`.

Start a script that calls `joined` with `torchrun --nproc-per-node 2 SCRIPT`: NCCL between two
GPUs, gloo on processors. Ranks exchange halves where a layer reads both columns; backwards
each sends the other the gradient of the other's half, and adds what it gets to its own.
"""

from __future__ import annotations

import contextlib
import os
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


class ColumnLostError(RuntimeError):
    """The other rank died, or is silent; the message says which, and where this one waited."""


@contextlib.contextmanager
def joined(
    backend: str | None = None,
    timeout_s: float = TIMEOUT_S,
    processes: int | None = 2,
    command: str = "SCRIPT",
) -> Iterator[int]:
    """Joins the group that torchrun started, gives this process's rank, and leaves again.

    backend: "nccl" or "gloo"; None takes NCCL where there are two GPUs. processes: how many the group
    must have; None takes any number. command: what torchrun should have started, for the error.
    Raises ValueError when this process was started alone, or as one of another number.
    """
    world = os.environ.get("WORLD_SIZE")
    if world is None or processes not in (None, int(world)):
        started = "this one was started alone" if world is None else f"there are {world}"
        number = processes or "N"
        raise ValueError(
            f"{number} processes are needed, but {started}: torchrun --nproc-per-node {number} {command}"
        )
    backend = backend or ("nccl" if torch.cuda.device_count() >= 2 else "gloo")
    dist.init_process_group(backend, timeout=timedelta(seconds=timeout_s))
    try:
        yield dist.get_rank()
    finally:
        dist.destroy_process_group()


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
    """Sends a tensor to the other rank and gives the one that it sent, of as many rows if None."""
    rank = dist.get_rank()
    mine = mine.detach().contiguous()
    theirs = mine.new_empty((rows or mine.shape[0], *mine.shape[1:]))
    try:
        both = [dist.P2POp(dist.isend, mine, 1 - rank), dist.P2POp(dist.irecv, theirs, 1 - rank)]
        for work in dist.batch_isend_irecv(both):
            work.wait()
    except RuntimeError as error:
        raise ColumnLostError(
            f"rank {1 - rank} is gone or silent: rank {rank} waited for it at {where}. "
            f"Start both again from the last checkpoint. ({str(error).splitlines()[0]})"
        ) from error
    return theirs


def _in_order(mine: Tensor, theirs: Tensor, rank: int) -> Tensor:
    return torch.cat([mine, theirs] if rank == 0 else [theirs, mine], dim=1)


def _halves(count: int) -> tuple[int, int]:
    """The sizes of the two parts that `Tensor.chunk` makes."""
    return (count + 1) // 2, count // 2
