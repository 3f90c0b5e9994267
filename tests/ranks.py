"""Two processes that are started once, as torchrun would, and run the functions sent to them.

A process that imports torch takes seconds to start, so all distributed tests share one pair: the
fixture `ranks` of `conftest.py`. A rank that dies is started again for the next call.
"""

from __future__ import annotations

import os
import pickle
import socket
import traceback
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

WORLD = 2
TIMEOUT_S = 300.0  # longer than any call; a rank that has not answered by then is killed


class Died(RuntimeError):
    """A rank ended without an answer. exitcode: −9 for a process killed by signal 9."""

    def __init__(self, rank: int, exitcode: int | None) -> None:
        super().__init__(f"rank {rank} ended with exit code {exitcode}")
        self.exitcode = exitcode


class Ranks:
    """The pair of processes. Functions must stand at the top of a module, as for any `pickle`."""

    def __init__(self) -> None:
        self._ranks: list[tuple[BaseProcess, Connection] | None] = [None] * WORLD

    def run(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """What `function(*arguments)` returns on rank 0 and on rank 1; raises what one of them raised."""
        answers = self.outcomes(function, *arguments)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def outcomes(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """The same, with an exception, or `Died`, in the place of what a rank did not return."""
        call = pickle.dumps((_free_port(), function, arguments))
        ranks = [self._started(rank) for rank in range(WORLD)]
        for _, connection in ranks:
            connection.send_bytes(call)
        return [self._answer(rank, *started) for rank, started in enumerate(ranks)]

    def close(self) -> None:
        for rank, started in enumerate(self._ranks):
            if started is not None:
                self._end(rank, *started)

    def _started(self, rank: int) -> tuple[BaseProcess, Connection]:
        started = self._ranks[rank]
        if started is None:
            context = get_context("spawn")
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(rank, theirs))
            process.start()
            theirs.close()
            started = self._ranks[rank] = (process, ours)
        return started

    def _answer(self, rank: int, process: BaseProcess, connection: Connection) -> Any:
        try:
            if not connection.poll(TIMEOUT_S):
                process.kill()
            return pickle.loads(connection.recv_bytes())
        except (EOFError, ConnectionError):
            self._end(rank, process, connection)
            return Died(rank, process.exitcode)

    def _end(self, rank: int, process: BaseProcess, connection: Connection) -> None:
        connection.close()
        process.join(timeout=10)
        process.kill()
        process.join()
        self._ranks[rank] = None


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def _serve(rank: int, connection: Connection) -> None:
    """A rank: runs what it is sent, in the environment that torchrun would give it, until the pipe closes."""
    import torch

    torch.set_num_threads(1)
    sizes = {"WORLD_SIZE": str(WORLD), "LOCAL_WORLD_SIZE": str(WORLD)}
    os.environ.update(sizes, RANK=str(rank), LOCAL_RANK=str(rank), MASTER_ADDR="127.0.0.1")
    while True:
        try:
            call = connection.recv_bytes()
        except EOFError:
            return
        try:
            os.environ["MASTER_PORT"], function, arguments = pickle.loads(call)
            answer = pickle.dumps(function(*arguments))
        except Exception as error:
            answer = _pickled(error)
        connection.send_bytes(answer)


def _pickled(error: Exception) -> bytes:
    """The error itself, or its traceback where it cannot travel."""
    try:
        data = pickle.dumps(error)
        pickle.loads(data)
    except Exception:
        return pickle.dumps(RuntimeError("".join(traceback.format_exception(error))))
    return data
