"""Tasks by several processes: answers in order, errors in words, and none that outlives its parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from alexnet_edu.files import DataError
from alexnet_edu.imagenet import processes
from alexnet_edu.imagenet.processes import Tick, run_all


def work(task: str, tick: Tick) -> str:
    """What the tests have done elsewhere; found by this module's name."""
    tick(2)
    if task == "refuse":
        raise DataError("the disk is full")
    if task == "fail":
        raise KeyError("nobody has foreseen it")
    if task == "die":
        os._exit(3)
    return f"{task} in {os.getpid()}"


class Kept:
    """A thread's end of a pipe. A process would have its own when the parent closes it; here there is one."""

    def __init__(self, pipe: Connection) -> None:
        self.recv, self.send = pipe.recv, pipe.send

    def close(self) -> None:
        """Does nothing."""


class ThreadContext:
    """Threads in place of processes: the same conversation over the same pipes, but no imports."""

    @staticmethod
    def Pipe() -> tuple[Connection, Kept]:
        ours, theirs = multiprocessing.Pipe()
        return ours, Kept(theirs)

    class Process(threading.Thread):
        def kill(self) -> None:
            """The pipe is closed next, which ends a thread as well."""


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.multiprocessing, "get_context", lambda _: ThreadContext)
    monkeypatch.setattr(processes.signal, "signal", lambda *_: None)
    monkeypatch.setattr(processes.torch, "set_num_threads", lambda _: None)


@pytest.mark.usefixtures("threads")
def test_answers_come_in_the_order_of_the_tasks() -> None:
    ticks: list[int] = []
    answers = run_all(work, list("abcdef"), 2, ticks.append)
    assert answers == [f"{task} in {os.getpid()}" for task in "abcdef"]
    assert ticks == [2] * 6


@pytest.mark.parametrize(("tasks", "workers"), [(["a", "b"], 1), (["a"], 4), ([], 4)])
def test_one_worker_is_this_process(tasks: list[str], workers: int) -> None:
    assert run_all(work, tasks, workers, lambda _: None) == [f"{t} in {os.getpid()}" for t in tasks]


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(
    ("task", "error", "message"),
    [
        ("refuse", DataError, "^the disk is full$"),
        ("fail", RuntimeError, r"in another process:\n(?s:.*)KeyError: 'nobody has foreseen it'"),
    ],
)
def test_an_error_ends_all_of_it(task: str, error: type[Exception], message: str) -> None:
    before = threading.active_count()
    with pytest.raises(error, match=message):
        run_all(work, ["a", task, "b", "c"], 2, lambda _: None)
    assert threading.active_count() == before


@pytest.mark.slow
def test_a_process_that_dies_is_spoken_of() -> None:
    with pytest.raises(DataError, match=r"a process ended before its work was done \(exit code 3\)"):
        run_all(work, ["a", "b", "die", "c"], 2, lambda _: None)
    assert not multiprocessing.active_children()


ORPHANS = """
import sys, time
from alexnet_edu.processes import run_all

def sleeps(task, tick):
    while True:
        tick(1)
        time.sleep(0.05)

if __name__ == "__main__":
    run_all(sleeps, [1, 2], 2, lambda count: print("tick", flush=True))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to find processes")
def test_no_process_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"tick\n"
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        assert len(children) >= 2
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while alive := [c for c in children if _runs(c)]:
        assert time.monotonic() < deadline, f"{alive} go on by themselves"
        time.sleep(0.05)


def _runs(number: str) -> bool:
    """Whether a process of that number is there and no zombie."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
