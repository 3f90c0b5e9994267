"""What a layer or a function costs: bytes kept for the backward pass, bytes moved, seconds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def kept_bytes(layer: nn.Module, x: Tensor) -> float:
    """What a layer keeps for its backward pass, in bytes for each byte of its input x."""
    kept: dict[int, int] = {}
    alive: list[Tensor] = []  # so that no place in memory is used twice

    def keep(t: Tensor) -> Tensor:
        alive.append(t)
        kept[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    x = x.detach().clone().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        layer(x)
    return sum(kept.values()) / (x.numel() * x.element_size())


class _Traffic(TorchDispatchMode):
    """Adds up the bytes that operations read and write; a view moves none."""

    def __init__(self) -> None:
        super().__init__()
        self.moved = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        read, written = ([t for t in tree_leaves(x) if isinstance(t, Tensor)] for x in ((args, kwargs), out))
        places = {t.untyped_storage().data_ptr() for t in read}
        view = all(t.untyped_storage().data_ptr() in places for t in written)
        if func._schema.is_mutable or not view:
            self.moved += sum(t.numel() * t.element_size() for t in (*read, *written))
        return out


def moved_bytes(function: Callable[[Tensor], object], x: Tensor) -> float:
    """What the steps of a function read and write, one after the other, in bytes for each byte of x.

    As if nothing were kept near the processor in between.
    """
    with torch.no_grad(), _Traffic() as traffic:
        function(x)
    return traffic.moved / (x.numel() * x.element_size())


def seconds_in_turn(functions: Mapping[str, Callable[[], object]], rounds: int = 5) -> dict[str, float]:
    """Median seconds of a call of each; they take turns, after one call of each that is not counted."""
    took: dict[str, list[float]] = {name: [] for name in functions}
    for round_ in range(rounds + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if round_:
                took[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in took.items()}
