"""Variants in processes of their own that take turns: one works, the others wait."""

from __future__ import annotations

import multiprocessing
import statistics
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

Measure = Callable[[], float]


class Child:
    """A process that calls `prepare(*arguments)` once, and what that returns whenever it is asked.

    Settings of a whole process, such as that of the allocator, are then the variant's own.
    prepare: a function that other processes can import. Raises RuntimeError if the process dies.
    """

    def __init__(self, title: str, prepare: Callable[..., Measure], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.title = title
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, prepare, arguments))
        self.process.start()
        theirs.close()

    def ask(self) -> float:
        """One more measurement."""
        try:
            self.pipe.send("measure")
            return float(self.pipe.recv())
        except (EOFError, OSError) as error:
            raise RuntimeError(f"the process of {self.title!r} died; see its message above") from error

    def close(self) -> None:
        self.pipe.close()
        self.process.join()


def serve(pipe: Connection, prepare: Callable[..., Measure], arguments: tuple[Any, ...]) -> None:
    """What a child does, until the other end of the pipe is closed."""
    measure = prepare(*arguments)
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        pipe.send(measure())


def take_turns(asks: Mapping[str, Measure], rounds: int) -> dict[str, list[float]]:
    """name -> one measurement per round, after a round that is not counted.

    Every other round goes backwards, so that no variant always follows the same one.
    """
    names = list(asks)
    measured: dict[str, list[float]] = {name: [] for name in names}
    for round_ in range(rounds + 1):
        for name in names if round_ % 2 == 0 else reversed(names):
            value = asks[name]()
            if round_ > 0:
                measured[name].append(value)
    return measured


def median_ratio(measured: Mapping[str, list[float]], above: str, below: str) -> float:
    """The median over the rounds of the ratio within a round."""
    return statistics.median(a / b for a, b in zip(measured[above], measured[below], strict=True))
