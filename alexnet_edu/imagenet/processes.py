"""A list of tasks done by several processes, with a word from each as it goes on.

Not `concurrent.futures`: its processes outlive a parent that is killed, and go on writing. Here
each has a pipe of its own to the parent; when the parent is gone, the pipe breaks and it ends.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import torch

from alexnet_edu.files import DataError

Task = TypeVar("Task")
Answer = TypeVar("Answer")
Tick = Callable[[int], object]  # so many more units are done


def run_all(
    function: Callable[[Task, Tick], Answer], tasks: Sequence[Task], workers: int, tick: Tick
) -> list[Answer]:
    """[function(task, tick) for task in tasks], by up to `workers` processes.

    function: found by its module and name, since the processes are started anew ("spawn").
    With one worker no process is started at all.
    Raises the DataError of a task; RuntimeError, with the other process's traceback, for any other
    error; DataError where a process is killed. All processes have ended by then.
    """
    if workers == 1 or len(tasks) <= 1:
        return [function(task, tick) for task in tasks]
    crew = [_Worker(function) for _ in range(min(workers, len(tasks)))]
    answers: dict[int, Answer] = {}
    waiting = deque(enumerate(tasks))
    busy: dict[Any, _Worker] = {}
    try:
        while waiting or busy:
            for worker in crew:
                if waiting and worker.pipe not in busy:
                    worker.give(*waiting.popleft())
                    busy[worker.pipe] = worker
            for pipe in wait(list(busy)):
                kind, value = busy[pipe].hear()
                if kind == "tick":
                    tick(value)
                else:
                    answers[busy.pop(pipe).place] = value
    except BaseException:
        for worker in crew:
            worker.process.kill()
        raise
    finally:
        for worker in crew:
            worker.end()
    return [answers[place] for place in range(len(tasks))]


class _Worker:
    """One process and this end of its pipe. place: of the task that it has."""

    def __init__(self, function: Callable[..., Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(theirs, function), daemon=True)
        self.process.start()
        theirs.close()  # now reading fails as soon as the process is gone
        self.place = -1

    def give(self, place: int, task: object) -> None:
        self.place = place
        with contextlib.suppress(OSError):  # a dead process: `hear` says so
            self.pipe.send(task)

    def hear(self) -> tuple[str, Any]:
        try:
            kind, value = self.pipe.recv()
        except (EOFError, OSError) as error:
            self.process.join()
            raise DataError(
                f"a process ended before its work was done (exit code {self.process.exitcode}). If memory "
                "ran out, use fewer --workers. What was finished is kept: the same command goes on."
            ) from error
        if kind == "refused":
            raise DataError(value)
        if kind == "failed":
            raise RuntimeError(f"in another process:\n{value}")
        return kind, value

    def end(self) -> None:
        self.pipe.close()
        self.process.join()


def _serve(pipe: Connection, function: Callable[[Any, Tick], Any]) -> None:
    """What a process does until the other end of its pipe is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent ends the others
    torch.set_num_threads(1)  # the other cores are the other processes'
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            task = pipe.recv()
            try:
                answer = ("done", function(task, lambda count: pipe.send(("tick", count))))
            except DataError as error:
                answer = ("refused", str(error))
            except ConnectionError:
                raise
            except Exception:
                answer = ("failed", traceback.format_exc())
            pipe.send(answer)
