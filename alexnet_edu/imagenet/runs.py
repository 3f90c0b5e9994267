"""A full training as a process of its own: started, looked at, stopped, taken up again.

Closing the notebook, or its kernel, does not end it. All that is known about a run lies in its
folder, so anything that knows the folder can find it again:

    process.json     which process trains here, and the command that started it
    metrics.jsonl    what it said so far (`run_log`)
    output.log       what it printed
    stop             is there once someone asked it to stop

A stop is asked for by a file and not by a signal: a training saves before it ends, however long
that takes, on every system, and torchrun kills what has not ended 30 seconds after its signal.
"""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from alexnet_edu.environment import usable_cores
from alexnet_edu.files import read_json, write_json
from alexnet_edu.imagenet import log as run_log
from alexnet_edu.imagenet import process_life

PROCESS, OUTPUT, STOP = "process.json", "output.log", "stop"
PROCESSES = {"single": 1, "columns": 2, "data": 2}
CLI = ("-m", "alexnet_edu.cli")
# The address is named, because a laptop's own name often leads nowhere.
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node")
TAIL_LINES = 15
WAIT_S, EVERY_S = 120.0, 0.3

Row = dict[str, Any]
_children: list[subprocess.Popen[bytes]] = []  # started here; asked now and then whether they ended


class RunError(ValueError):
    """What was asked for cannot be done with this folder; the message says why and what can."""


@dataclass(frozen=True)
class Status:
    """What is known of the run in a folder.

    state: "none", nothing was trained here; "running"; "finished"; "stopped", with a checkpoint;
        "diverged"; "died", it ended without a word.
    step, steps: done, and of the whole run; steps is 0 until the training itself has begun.
    rows: the lines of the log. why: it diverged or died, in its own words or the end of its output.
    where: which process. stopping: it was asked to stop and has not ended yet.
    """

    folder: Path
    state: str
    step: int = 0
    steps: int = 0
    rows: tuple[Row, ...] = ()
    why: str = ""
    where: str = ""
    stopping: bool = False

    @property
    def running(self) -> bool:
        return self.state == "running"

    def text(self) -> str:
        """One line for a person."""
        state = "stopping" if self.stopping else {"none": "no training yet"}.get(self.state, self.state)
        parts = [state, f"step {self.step:,} of {self.steps:,}" if self.steps else "", self.where, self.why]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True)
class _Process:
    """What process.json holds. born: as in `process_life`; time: of the start, seconds since 1970.

    command, cwd: what starts it again. output: where its part of output.log begins, in bytes.
    """

    pid: int
    born: str | None
    host: str
    time: float
    command: list[str]
    cwd: str
    output: int

    @property
    def elsewhere(self) -> bool:
        return self.host != platform.node()

    @property
    def alive(self) -> bool:
        """Whether it still runs; taken for true on another machine, where nobody here can look."""
        return self.elsewhere or process_life.is_alive(self.pid, self.born)

    def where(self) -> str:
        there = f" on {self.host}, which cannot be seen from here" if self.elsewhere else ""
        return f"process {self.pid}{there}"


# --- starting -------------------------------------------------------------------------------


def start(
    data: Path, folder: Path, *, parallel: str = "single", processes: int | None = None, **settings: Any
) -> Status:
    """Starts `alexnet-edu train` on its own and gives its status at once.

    data: a prepared folder. folder: of the run. parallel: "single", "columns" or "data"; processes:
    of "data", 2 if None. settings: the other options of the command, such as batch_size=16 or
    tensorboard=True.

    The processes share the cores, unless OMP_NUM_THREADS says otherwise. Raises RunError where the
    folder holds a run; errors of the training itself show in its status.
    """
    now = status(folder)
    if now.running:
        raise RunError(f"{folder} is being trained in ({now.where}): stop it first, or choose another folder")
    if now.state != "none":
        raise RunError(f"{folder} holds a run ({now.text()}): resume it, or choose another folder")
    command = _command(data, folder, parallel, processes, settings)
    return _launch(folder, command, Path.cwd())


def resume(folder: Path) -> Status:
    """Goes on with a run that was stopped, died or diverged: the same command, from the last checkpoint.

    Raises RunError where there is none, it is running or has finished, or nothing says how it
    was started.
    """
    now, process = status(folder), _read(folder)
    if now.state in ("none", "running", "finished"):
        words = {"none": "holds no run: start one", "running": f"is being trained in ({now.where})"}
        raise RunError(f"{folder} {words.get(now.state, 'holds a run that has finished')}")
    if process is None:
        raise RunError(f"{folder} has no {PROCESS}: give its command again, with --resume auto")
    command = process.command
    if "--resume" not in command:
        command = [*command, "--resume", "auto"]
    return _launch(folder, command, Path(process.cwd))


def rehearse(
    data: Path,
    folder: Path,
    *,
    parallel: str = "single",
    processes: int | None = None,
    steps: int = 20,
    **settings: Any,
) -> str:
    """Measures a few steps as `start` would take them, and gives what the command said.

    Also adds its numbers to the log of `folder`. Raises RunError, in the command's own words, where
    the run would not fit or cannot be made.
    """
    settings = {**settings, "rehearse_only": True, "rehearsal_steps": steps}
    command = _command(data, folder, parallel, processes, settings)
    done = subprocess.run(command, env=_environment(command), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RunError(_reason(done.stdout + done.stderr))
    return done.stdout.strip()


def _command(
    data: Path, folder: Path, parallel: str, processes: int | None, settings: dict[str, Any]
) -> list[str]:
    if parallel not in PROCESSES:
        raise RunError(f"unknown parallel={parallel!r}; choose one of {', '.join(PROCESSES)}")
    count = processes or PROCESSES[parallel]
    if parallel != "data" and count != PROCESSES[parallel]:
        raise RunError(f"parallel={parallel!r} takes {PROCESSES[parallel]} processes, not {count}")
    if "resume" in settings:
        raise RunError("a run is taken up by `resume`, not by start(resume=…)")
    # `--folder` and `--data` are written out: torchrun would take `--run` for an option of its own.
    train = [
        "train",
        "--parallel",
        parallel,
        "--data",
        str(data.absolute()),
        "--folder",
        str(folder.absolute()),
    ]
    for name, value in settings.items():
        if value is not None and value is not False:
            train += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return [*_beginning(count), *train]


def _beginning(processes: int) -> list[str]:
    """Python, and torchrun where there are several processes."""
    return [sys.executable, *((*TORCHRUN, str(processes)) if processes > 1 else ()), *CLI]


def _environment(command: Sequence[str]) -> dict[str, str]:
    """Ours, with the cores shared out: torchrun would give each process one thread and a warning."""
    processes = int(command[command.index("--nproc-per-node") + 1]) if "--nproc-per-node" in command else 1
    threads = str(max(1, usable_cores() // processes))
    return {"OMP_NUM_THREADS": threads, **os.environ, "PYTHONUNBUFFERED": "1"}


def _launch(folder: Path, command: list[str], cwd: Path) -> Status:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / STOP).unlink(missing_ok=True)
    began = round(time.time(), 3)
    with (folder / OUTPUT).open("ab") as output:
        at = output.tell()
        child = subprocess.Popen(
            command,
            cwd=cwd if cwd.is_dir() else None,
            env=_environment(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            **_on_its_own(),
        )
    _children.append(child)
    born = process_life.born(child.pid)
    _write(folder, _Process(child.pid, born, platform.node(), began, command, str(cwd), at))
    return status(folder)


def _on_its_own() -> dict[str, Any]:
    """Arguments of Popen with which the process outlives the one that starts it, and its terminal."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


# --- looking --------------------------------------------------------------------------------


def status(folder: Path, read: Callable[[], Sequence[Row]] | None = None) -> Status:
    """What is known of the run in `folder`. read: gives the rows of its log; None reads them all."""
    for child in [c for c in _children if c.poll() is not None]:
        _children.remove(child)
    process = _read(folder)
    alive = process is not None and process.alive  # asked before the log is read: its last word is in there
    rows = tuple(run_log.read(folder / run_log.METRICS) if read is None else read())
    trained = [row for row in rows if row["kind"] != "rehearsal"]
    if process is None and not trained:
        return Status(folder, "none", rows=rows)
    steps = run_log.last(trained, "start")
    step = next((row["step"] for row in reversed(trained) if "step" in row), 0)
    state, why = _state(folder, process, alive, trained)
    return Status(
        folder,
        state,
        int(step),
        int(steps["steps"]) if steps else 0,
        rows,
        why,
        process.where() if process is not None and state == "running" else "",
        state == "running" and (folder / STOP).exists(),
    )


def _state(folder: Path, process: _Process | None, alive: bool, rows: Sequence[Row]) -> tuple[str, str]:
    """The state and why. A last word that is older than the process belongs to an earlier one."""
    end = run_log.last(rows, "stop")
    begun = (
        process.time
        if process is not None
        else max((r["time"] for r in rows if r["kind"] == "start"), default=0)
    )
    if end is not None and end["time"] >= begun:
        return str(end["status"]), str(end.get("why", ""))
    if alive:
        return "running", ""
    return "died", _reason(_output(folder, process.output)) if process is not None else "nothing says why"


def _output(folder: Path, begin: int) -> str:
    with contextlib.suppress(OSError), (folder / OUTPUT).open("rb") as file:
        file.seek(begin)
        return file.read().decode(errors="replace")
    return ""


def _reason(output: str) -> str:
    """The line that was written for a person, or else the last lines."""
    lines = [line for line in output.splitlines() if line.strip()]
    for line in lines:
        head, found, words = line.partition(": ")
        if found and head.split(" ")[0] == "alexnet-edu":
            return words
    return "\n".join(lines[-TAIL_LINES:]) or "it said nothing; it may have been killed, or memory ran out"


def wait(
    folder: Path, until: Callable[[Status], bool] = lambda now: False, seconds: float = WAIT_S
) -> Status:
    """Waits until `until` is true or the training has ended, and gives its status.

    Raises RunError where it still runs after so many seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        now = status(folder)
        if not now.running or until(now):
            return now
        if time.monotonic() > deadline:
            raise RunError(
                f"{folder} still trains after {seconds:g} s ({now.text()}); wait again, or look there"
            )
        time.sleep(EVERY_S)


# --- stopping -------------------------------------------------------------------------------


def ask_to_stop(folder: Path) -> None:
    """Asks the training to save and end after the step, or the part of an evaluation, that it is at.

    Raises RunError where nothing is running.
    """
    now = status(folder)
    if not now.running:
        raise RunError(f"nothing is trained in {folder} ({now.text()})")
    (folder / STOP).touch()


def stop(folder: Path, seconds: float = WAIT_S) -> Status:
    """Asks it to stop and waits until it has saved and ended. Raises RunError as `wait` does."""
    ask_to_stop(folder)
    return wait(folder, seconds=seconds)


def data_of(folder: Path) -> Path | None:
    """The prepared images that the run's own command names; None where nothing is known of it."""
    process = _read(folder)
    if process is None:
        return None
    for word, following in pairwise([*process.command, ""]):
        option, _, value = word.partition("=")
        if option == "--data" and (value or following):
            return Path(process.cwd) / (value or following)
    return None


# --- what the training itself calls ----------------------------------------------------------


def announce(folder: Path, arguments: Sequence[str]) -> Callable[[], bool]:
    """Says in `folder` that this process trains there; gives a function: was it asked to stop?

    arguments: of `alexnet-edu`, from "train" on; with them the run can be taken up from a notebook,
    though it was started in a terminal. Called by the first process of a training.
    Raises RunError where another process trains there.
    """
    before = _read(folder)
    launched = before is not None and before.pid in (os.getpid(), os.getppid())
    if before is not None and not launched and status(folder).running:
        raise RunError(
            f"{before.where()} trains in {folder} already: stop it first, or choose another folder"
        )
    if before is not None and launched:
        own, born = before, process_life.born(os.getpid())
        _write(folder, _Process(os.getpid(), born, own.host, own.time, own.command, own.cwd, own.output))
    else:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STOP).unlink(missing_ok=True)
        _write(folder, _of_this_process(folder, arguments))
    return (folder / STOP).exists


def _of_this_process(folder: Path, arguments: Sequence[str]) -> _Process:
    beginning = _beginning(int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
    born, cwd = process_life.born(os.getpid()), str(Path.cwd())
    now, output = round(time.time(), 3), folder / OUTPUT
    size = output.stat().st_size if output.exists() else 0
    return _Process(os.getpid(), born, platform.node(), now, [*beginning, *arguments], cwd, size)


def _write(folder: Path, process: _Process) -> None:
    write_json(folder / PROCESS, asdict(process))


def _read(folder: Path) -> _Process | None:
    """None where there is none, or none that can be read."""
    try:
        return _Process(**read_json(folder / PROCESS))
    except (ValueError, TypeError):
        return None
