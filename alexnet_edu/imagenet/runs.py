"""A full training as a process of its own: started, looked at, stopped, resumed.

Closing the notebook, or its kernel, does not end it. All that is known about a run lies in its
folder, so anything that knows the folder can find it again:

    process.json     which process trains here, and the command that started it
    metrics.jsonl    its log so far (`log`)
    output.log       what it printed
    stop             is there once someone asked it to stop
    .lock            held while it trains

A stop is asked for by a file and not by a signal: a training saves before it ends, however long
that takes, on every system, and torchrun kills what has not ended 30 seconds after its signal.

On this machine, whatever it is called now, psutil says whether a run is alive. On another machine that
shares the folder, only the age of process.json is known, which a training touches every 20 seconds.
"""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from alexnet_edu.environment import usable_cores
from alexnet_edu.files import DataError, PermissionDenied, locked, read_json, write_json
from alexnet_edu.imagenet.log import METRICS, Row, append_death, last, read

PROCESS, OUTPUT, STOP = "process.json", "output.log", "stop"
PROCESSES = {"single": 1, "columns": 2, "data": 2}
CLI = ("-m", "alexnet_edu.cli")
# The address is named, because a laptop's own name often leads nowhere.
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node")
TAIL_LINES = 15
WAIT_S, EVERY_S = 120.0, 0.3
BEAT_S, SILENT_S = 20.0, 120.0  # a training of another machine that was silent for longer is dead
CLOCK_S = 5.0  # by so much the clock may have been set since a process was started
BOOT_ID, PIDS = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")  # of Linux
FORCE = "--force"
RISK = (
    f"If that machine is off, or has left its lock behind, {FORCE} (force=True) trains all the same. If it "
    "trains, each writes over the checkpoints of the other, and what one of them has trained is lost"
)

_children: list[subprocess.Popen[bytes]] = []  # started here; asked now and then whether they ended


class RunError(ValueError):
    """What was asked for cannot be done with this folder; the message says why and what can."""


@dataclass(frozen=True)
class Status:
    """What is known of the run in a folder.

    state: "none", nothing was trained here; "running"; "finished"; "stopped", with a checkpoint;
        "diverged"; "died", by an error or a kill.
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
    """What process.json holds. born, time: of the process and of the run, seconds since 1970.

    command, cwd: what starts it again. output: where its part of output.log begins, in bytes.
    machine: see `_machine`.
    """

    pid: int
    born: float | None
    host: str
    time: float
    command: list[str]
    cwd: str
    output: int
    machine: str = ""

    @property
    def elsewhere(self) -> bool:
        """Whether it is another machine's, so that its number says nothing here."""
        return self.host != platform.node() and self.machine != _machine()

    def where(self) -> str:
        return f"process {self.pid}" + (f" on {self.host}" if self.elsewhere else "")

    def lives(self, folder: Path) -> bool:
        """Whether it is alive; on another machine, whether it gave a sign of life lately."""
        if self.elsewhere:
            return time.time() - (folder / PROCESS).stat().st_mtime < SILENT_S
        born = _born(self.pid)
        return born is not None and self.born is not None and abs(born - self.born) < CLOCK_S


def _machine() -> str:
    """What stays when a machine is given another name, and no other one has: so numbers of processes count.

    On Linux, where containers see processes of their own, this start of the machine and that view of it.
    """
    try:
        return f"{BOOT_ID.read_text().strip()} {PIDS.readlink()}"
    except OSError:
        return f"{uuid.getnode():x}"


def _born(pid: int) -> float | None:
    """When a process was started, in seconds since 1970; None where there is none, or only its remains."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


# --- starting -------------------------------------------------------------------------------


def start(data: Path, folder: Path, *, parallel: str = "single", **settings: Any) -> Status:
    """Starts `alexnet-edu train` on its own and gives its status at once.

    data: a prepared folder. folder: of the run. parallel: "single", or "columns" or "data", which take two
    processes. settings: the other options of the command, such as batch_size=16.

    The processes share the cores, unless OMP_NUM_THREADS says otherwise. Raises RunError where the
    folder holds a run; errors of the training itself show in its status.
    """
    now = status(folder)
    if now.running:
        raise RunError(f"{folder} is being trained in ({now.where}): stop it first, or choose another folder")
    if now.state != "none":
        raise RunError(f"{folder} holds a run ({now.text()}): resume it, or choose another folder")
    return _launch(folder, _command(data, folder, parallel, settings), Path.cwd())


def resume(folder: Path, *, epochs: float | None = None, force: bool = False) -> Status:
    """Goes on with a run that was stopped, died or diverged: the same command, from the last checkpoint.

    epochs: of the whole run, where they are to be others than before; a finished run goes on with more, if
    none of its rates depends on them. force: even where another machine seems to train in the folder. If it
    does, each writes over the checkpoints of the other, and what one of them has trained is lost.
    Raises RunError where there is none, it is running or has finished, or nothing says how it
    was started.
    """
    now, process = status(folder), _read(folder)
    if now.state == "none":
        raise RunError(f"{folder} holds no run: start one")
    if now.state == "finished" and epochs is None:
        raise RunError(f"{folder} holds a run that has finished: epochs=… goes on with more of them")
    if process is None:
        raise RunError(f"{folder} has no {PROCESS}: give its command again, with --resume auto")
    if now.running and not (force and process.elsewhere):
        advice = f"; it was heard of in the last two minutes. {RISK}" if process.elsewhere else ""
        raise RunError(f"{folder} is being trained in ({now.where}){advice}")
    command = [word for word in process.command if word != FORCE]
    if "--resume" not in command:
        command += ["--resume", "auto"]
    if epochs is not None:
        _check_epochs(folder, now, epochs)
        command += ["--epochs", f"{epochs:g}"]  # the last one counts
    return _launch(folder, [*command, FORCE] if force else command, Path(process.cwd))


def _check_epochs(folder: Path, now: Status, epochs: float) -> None:
    """Raises RunError, before anything is written, where the run cannot have so many epochs."""
    from alexnet_edu.imagenet.recipe import STRETCHED

    recipe = (last(now.rows, "start") or {}).get("recipe", {})
    if recipe.get("schedule") == STRETCHED and recipe["epochs"] != epochs:
        raise RunError(
            f"{folder} was trained by {STRETCHED!r}, which is stretched to its {recipe['epochs']:g} epochs: "
            f"with {epochs:g} its rates would have been others from the start; train anew in another folder"
        )


def rehearse(data: Path, folder: Path, *, parallel: str = "single", steps: int = 20, **settings: Any) -> str:
    """Measures a few steps as `start` would take them, and gives what the command said.

    Also adds its numbers to the log of `folder`. Raises RunError, in the command's own words, where
    the run would not fit or cannot be made.
    """
    settings = {**settings, "rehearse_only": True, "rehearsal_steps": steps}
    command = _command(data, folder, parallel, settings)
    done = subprocess.run(command, env=_environment(command), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RunError(_reason(done.stdout + done.stderr))
    return done.stdout.strip()


def _command(data: Path, folder: Path, parallel: str, settings: dict[str, Any]) -> list[str]:
    if parallel not in PROCESSES:
        raise RunError(f"unknown parallel={parallel!r}; choose one of {', '.join(PROCESSES)}")
    if "resume" in settings:
        raise RunError("a run is resumed by `resume`, not by start(resume=…)")
    # `--folder` and `--data` are written out: torchrun would take `--run` for an option of its own.
    settings = {"parallel": parallel, "data": data.absolute(), "folder": folder.absolute(), **settings}
    words = [*_python(PROCESSES[parallel]), "train"]
    for name, value in settings.items():
        if value is not None and value is not False:
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return words


def _python(processes: int) -> list[str]:
    """Python with the command line, and torchrun between them where there are several processes."""
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
    _write(
        folder,
        _Process(child.pid, _born(child.pid), platform.node(), began, command, str(cwd), at, _machine()),
    )
    return status(folder)


def _on_its_own() -> dict[str, Any]:
    """Arguments of Popen with which the process outlives the one that starts it, and its terminal."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


# --- looking --------------------------------------------------------------------------------


def status(folder: Path, rows_of_log: Callable[[], Sequence[Row]] | None = None) -> Status:
    """What is known of the run in `folder`. rows_of_log: gives the rows of its log; None reads them all."""
    for child in [c for c in _children if c.poll() is not None]:
        _children.remove(child)
    process = _read(folder)
    alive = process is not None and process.lives(folder)  # asked before the log: its last word is in there
    rows = tuple(read(folder / METRICS) if rows_of_log is None else rows_of_log())
    trained = [row for row in rows if row["kind"] != "rehearsal"]
    if process is None and not trained:
        return Status(folder, "none", rows=rows)
    begun = last(trained, "start")
    state, why = _state(folder, process, alive, trained)
    return Status(
        folder,
        state,
        int(next((row["step"] for row in reversed(trained) if "step" in row), 0)),
        int(begun["steps"]) if begun else 0,
        rows,
        why,
        process.where() if process is not None and state == "running" else "",
        state == "running" and (folder / STOP).exists(),
    )


def _state(folder: Path, process: _Process | None, alive: bool, rows: Sequence[Row]) -> tuple[str, str]:
    """The state and why. A last word that is older than the process belongs to an earlier one."""
    end, begun = last(rows, "stop"), last(rows, "start")
    since = process.time if process is not None else begun["time"] if begun is not None else 0
    if end is not None and end["time"] >= since:
        return str(end["status"]), str(end.get("why", ""))
    if alive:
        return "running", ""
    return "died", "nothing says why" if process is None else _reason(_output(folder, process.output))


def _output(folder: Path, begin: int) -> str:
    with contextlib.suppress(OSError), (folder / OUTPUT).open("rb") as file:
        file.seek(begin)
        return file.read().decode(errors="replace")
    return ""


def _reason(output: str) -> str:
    """The line that was written for a person, or else the last lines."""
    lines = [line for line in output.splitlines() if line.strip()]
    for line in lines:
        head, colon, words = line.partition(": ")
        if colon and head.split(" ")[0] == "alexnet-edu":
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


# --- what the training itself calls ----------------------------------------------------------


@contextlib.contextmanager
def announced(folder: Path, arguments: Sequence[str], force: bool = False) -> Iterator[Callable[[], bool]]:
    """Says in `folder` that this process trains there; gives a function: was it asked to stop?

    arguments: of `alexnet-edu`, from "train" on; with them the run can be resumed from a notebook,
    though it was started in a terminal. Called by the first process of a training. force: as in `resume`.
    Raises RunError where another process trains there, DataError where the folder cannot be locked.
    """
    before = _read(folder)
    launched = before is not None and before.pid in (os.getpid(), os.getppid())
    forced = force and before is not None and before.elsewhere
    if before is not None and not (launched or forced) and status(folder).running:
        advice = RISK if before.elsewhere else "Stop it first, or choose another folder"
        raise RunError(f"{before.where()} trains in {folder} already. {advice}")
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(folder))
        except DataError as error:
            if not force:
                raise RunError(f"{error} {RISK}") from error
        if before is not None and launched:
            _write(folder, replace(before, pid=os.getpid(), born=_born(os.getpid())))
        else:
            (folder / STOP).unlink(missing_ok=True)
            _write(folder, _this_process(folder, arguments))
        ended, began = threading.Event(), time.time()
        threading.Thread(target=_beat, args=(folder / PROCESS, ended), daemon=True).start()
        try:
            yield (folder / STOP).exists
        except BaseException as error:
            append_death(folder / METRICS, error, began)
            raise
        finally:
            ended.set()


def _beat(path: Path, ended: threading.Event) -> None:
    """Lets other machines see that this process lives."""
    while not ended.wait(BEAT_S):
        with contextlib.suppress(OSError):
            os.utime(path)


def _this_process(folder: Path, arguments: Sequence[str]) -> _Process:
    words = [word for word in arguments if word != FORCE]  # which was meant for once
    command = [*_python(int(os.environ.get("LOCAL_WORLD_SIZE", 1))), *words]
    output = folder / OUTPUT
    size = output.stat().st_size if output.exists() else 0
    pid, now = os.getpid(), round(time.time(), 3)
    return _Process(pid, _born(pid), platform.node(), now, command, str(Path.cwd()), size, _machine())


def _write(folder: Path, process: _Process) -> None:
    write_json(folder / PROCESS, asdict(process))


def _read(folder: Path) -> _Process | None:
    """None where there is none, or a damaged one. Raises PermissionDenied where another user hides it."""
    try:
        return _Process(**read_json(folder / PROCESS))
    except PermissionDenied:
        raise
    except (ValueError, TypeError):
        return None
