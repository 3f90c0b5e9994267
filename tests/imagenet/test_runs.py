"""A training as a process of its own: really started, stopped, resumed, found again."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alexnet_edu.files import DataError, locked
from alexnet_edu.imagenet import checkpoint as checkpoints
from alexnet_edu.imagenet import runs
from alexnet_edu.imagenet.log import METRICS, Follower, append, last
from alexnet_edu.imagenet.runs import RunError, Status, announced, ask_to_stop, start, status, stop, wait

SMALL = {"narrow": 16, "batch_size": 8, "schedule": "constant", "log_every": 1, "workers": 1}
LIMIT = 180.0  # seconds; a start takes about five on a quiet machine


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Whatever a test leaves running there is stopped."""
    yield tmp_path / "run"
    if status(tmp_path / "run").running:
        stop(tmp_path / "run", LIMIT)


@pytest.fixture(scope="module")
def ended() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def lines(folder: Path, *rows: dict[str, Any]) -> None:
    (folder / METRICS).write_text("".join(json.dumps(row) + "\n" for row in rows))


def named(folder: Path, pid: int, born: float | None = 1.0, **changes: Any) -> None:
    """A process.json that names some process."""
    process = {"pid": pid, "born": born, "host": platform.node(), "time": 10.0, "command": ["a", "b"]}
    (folder / runs.PROCESS).write_text(json.dumps({**process, "cwd": ".", "output": 0, **changes}))


def this_process(folder: Path, **changes: Any) -> None:
    named(folder, os.getpid(), runs._born(os.getpid()), **changes)


def silent(folder: Path, seconds: float) -> None:
    """The process there was not heard of for so long."""
    then = time.time() - seconds
    os.utime(folder / runs.PROCESS, (then, then))


START = {"kind": "start", "time": 11.0, "step": 0, "steps": 40}
STEP = {"kind": "step", "time": 12.0, "step": 7, "epoch": 1.2}
STOPPED = {"kind": "stop", "time": 13.0, "step": 8, "status": "stopped"}


# --- a real one -------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_columns_are_started_stopped_resumed_and_finished(data: Path, folder: Path) -> None:
    assert start(data, folder, parallel="columns", epochs=5, rehearsal_steps=0, **SMALL).running
    assert wait(folder, lambda now: now.step >= 3, LIMIT).steps == 30
    stopped = stop(folder, LIMIT)
    assert stopped.state == "stopped"
    assert checkpoints.saved_steps(folder)[-1] == stopped.step >= 3
    with pytest.raises(RunError, match="holds a run"):
        start(data, folder, parallel="columns", **SMALL)

    assert runs.resume(folder).running
    done = wait(folder, seconds=LIMIT)
    assert (done.state, done.step, done.steps) == ("finished", 30, 30)
    trained = [row["step"] for row in done.rows if row["kind"] == "step"]
    assert trained == sorted(set(trained))
    assert last(done.rows, "final") is not None
    with pytest.raises(RunError, match="has finished"):
        runs.resume(folder)


@pytest.mark.slow
def test_it_outlives_the_one_that_started_it_and_is_resumed_after_a_kill(data: Path, folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from alexnet_edu.imagenet.runs import start; "
        f"start(Path(sys.argv[1]), Path(sys.argv[2]), epochs=400, rehearsal_steps=0, **{SMALL!r})"
    )
    subprocess.run([sys.executable, "-c", code, str(data), str(folder)], check=True, timeout=LIMIT)
    assert wait(folder, lambda now: now.step >= 1, LIMIT).running
    with pytest.raises(DataError, match="another process"), locked(folder):
        pass
    process = json.loads((folder / runs.PROCESS).read_text())
    os.kill(process["pid"], signal.SIGKILL)
    died = wait(folder, seconds=LIMIT)
    assert died.state == "died"
    moved = process | {"host": "gpu-box", "machine": "another"}
    (folder / runs.PROCESS).write_text(json.dumps(moved))
    with pytest.raises(RunError, match=rf"process {process['pid']} on gpu-box.*two minutes"):
        runs.resume(folder)
    silent(folder, runs.SILENT_S + 1)
    assert status(folder).state == "died"
    (folder / runs.PROCESS).write_text(json.dumps(process | {"host": "the name before"}))
    assert runs.resume(folder).running
    starts = [row["kind"] for row in died.rows].count("start")
    assert wait(folder, lambda now: [r["kind"] for r in now.rows].count("start") > starts, LIMIT).running
    ask_to_stop(folder)
    assert status(folder).stopping
    assert wait(folder, seconds=LIMIT).state == "stopped"


@pytest.mark.slow
def test_a_rehearsal_leaves_no_run_and_a_start_that_fails_says_why(data: Path, folder: Path) -> None:
    assert runs.rehearse(data, folder, steps=2, epochs=2, **SMALL).startswith("rehearsal of 2 steps: ")
    assert [row["kind"] for row in status(folder).rows] == ["rehearsal"]
    assert status(folder).state == "none"
    start(data / "not there", folder, **SMALL)
    died = wait(folder, seconds=LIMIT)
    assert died.state == "died"
    assert died.why.startswith(f"there is no folder {data}")


# --- what a folder says -----------------------------------------------------------------------


@pytest.mark.parametrize("end", ["finished", "stopped", "diverged"])
def test_the_last_word_is_the_trainings(tmp_path: Path, ended: int, end: str) -> None:
    lines(tmp_path, START, STEP, {**STOPPED, "status": end, "why": "so"})
    this_process(tmp_path)  # about to end, or a test's own
    assert status(tmp_path) == Status(tmp_path, end, 8, 40, status(tmp_path).rows, "so")
    (tmp_path / runs.PROCESS).unlink()
    assert status(tmp_path).state == end
    lines(tmp_path, START, {**STOPPED, "status": end, "time": 9.0})  # from before this process
    this_process(tmp_path)
    assert status(tmp_path).running
    with pytest.raises(RunError, match=f"process {os.getpid()}"):
        runs.resume(tmp_path)
    for pid, born in ((ended, 1.0), (os.getpid(), 1.0), (os.getpid(), None)):  # others have that number now
        named(tmp_path, pid, born)
        assert status(tmp_path).state == "died"


def test_a_process_that_nobody_has_taken_note_of_is_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        deadline = time.monotonic() + 60
        while runs._born(child.pid) is not None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert child.returncode is None  # it has not been waited for


def test_the_last_word_is_read_after_it_was_asked_whether_the_process_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines(tmp_path, START, STEP)
    named(tmp_path, 1)

    def ends(*_: object) -> bool:
        append(tmp_path / METRICS, "stop", step=8, status="finished")
        return False

    monkeypatch.setattr(runs._Process, "lives", ends)
    assert status(tmp_path, Follower(tmp_path / METRICS).rows).state == "finished"


def test_a_death_is_explained_by_the_end_of_its_own_output(tmp_path: Path, ended: int) -> None:
    lines(tmp_path, START, STEP)
    earlier = b"alexnet-edu: an old complaint\n"
    (tmp_path / runs.OUTPUT).write_bytes(earlier + b"one\n\nKilled by nobody\n")
    named(tmp_path, ended, output=len(earlier))
    assert status(tmp_path).why == "one\nKilled by nobody"
    (tmp_path / runs.OUTPUT).write_bytes(earlier)
    assert "may have been killed" in status(tmp_path).why


def test_a_damaged_process_file_is_as_none(tmp_path: Path) -> None:
    lines(tmp_path, START, STEP, STOPPED)
    (tmp_path / runs.PROCESS).write_text('{"pid": 3')
    assert status(tmp_path).state == "stopped"
    for folder, quoted in ((tmp_path, "--resume auto"), (tmp_path / "not there", "no run")):
        with pytest.raises(RunError, match=quoted):
            runs.resume(folder)


# --- another machine ----------------------------------------------------------------------------


def test_another_machines_training_lives_while_it_is_heard_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines(tmp_path, START, STEP)
    named(tmp_path, 1, host="gpu-box")
    now = status(tmp_path)
    assert (now.running, now.where) == (True, "process 1 on gpu-box")
    with pytest.raises(RunError, match="still trains after"):
        wait(tmp_path, seconds=0)
    for begin in (lambda: runs.resume(tmp_path), lambda: announced(tmp_path, ["train"]).__enter__()):
        with pytest.raises(RunError, match=r"gpu-box.*force"):
            begin()
    launched: list[list[str]] = []
    monkeypatch.setattr(runs, "_launch", lambda folder, command, cwd: launched.append(command))
    runs.resume(tmp_path, force=True)
    silent(tmp_path, runs.SILENT_S + 1)
    assert status(tmp_path).state == "died"
    runs.resume(tmp_path)
    assert launched == [["a", "b", "--resume", "auto", "--force"], ["a", "b", "--resume", "auto"]]


def test_a_machine_with_a_new_name_knows_its_own_processes(
    tmp_path: Path, ended: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines(tmp_path, START, STEP)
    here = {"host": "the name before", "machine": runs._machine()}
    named(tmp_path, ended, **here)
    assert status(tmp_path).state == "died"
    this_process(tmp_path, **here)
    assert status(tmp_path).where == f"process {os.getpid()}"
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(RunError, match="Stop it first"):  # what is seen to live cannot be overridden
        announced(tmp_path, ["train"], force=True).__enter__()


def test_a_lock_that_was_left_behind_can_be_overridden_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def left_behind(folder: Path) -> None:
        raise DataError(f"another process is writing to {folder}.")

    monkeypatch.setattr(runs, "locked", left_behind)
    lines(tmp_path, START, STEP)
    named(tmp_path, 1, host="gpu-box")
    silent(tmp_path, runs.SILENT_S + 1)
    with pytest.raises(RunError, match=r"another process is writing .*--force.*lost"):
        announced(tmp_path, ["train"]).__enter__()
    with announced(tmp_path, ["train", "--force"], force=True):
        assert json.loads((tmp_path / runs.PROCESS).read_text())["command"][-1] == "train"


def test_a_training_is_heard_of_while_it_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "BEAT_S", 0.01)
    with announced(tmp_path, ["train"]):
        silent(tmp_path, 1000)
        deadline = time.monotonic() + 30
        while time.time() - (tmp_path / runs.PROCESS).stat().st_mtime > 500:
            assert time.monotonic() < deadline
            time.sleep(0.01)


# --- more epochs --------------------------------------------------------------------------------


def test_a_finished_run_is_given_more_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launched: list[list[str]] = []
    monkeypatch.setattr(runs, "_launch", lambda folder, command, cwd: launched.append(command))
    named(tmp_path, 1, command=["train", "--epochs", "2", "--force"])
    for schedule, epochs in (("plateau", 2), ("run145", 2)):
        start_row = START | {"recipe": {"schedule": schedule, "epochs": epochs}}
        lines(tmp_path, start_row, STEP, STOPPED | {"status": "finished"})
        with pytest.raises(RunError, match="epochs=…"):
            runs.resume(tmp_path)
        if schedule == "plateau":
            runs.resume(tmp_path, epochs=3)
    with pytest.raises(RunError, match=r"'run145'.* 2 epochs.* 3 "):
        runs.resume(tmp_path, epochs=3)
    assert launched == [["train", "--epochs", "2", "--resume", "auto", "--epochs", "3"]]


# --- what the training says of itself ------------------------------------------------------------


def test_a_training_from_a_terminal_can_be_resumed_from_a_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert status(tmp_path) == Status(tmp_path, "none")
    with announced(tmp_path, ["train", "--folder", "runs/x"]) as asked:
        process = json.loads((tmp_path / runs.PROCESS).read_text())
        assert process["pid"] == os.getpid()
        assert process["command"] == [sys.executable, "-m", "alexnet_edu.cli", "train", "--folder", "runs/x"]
        assert process["cwd"] == str(Path.cwd())
        assert not asked()
        ask_to_stop(tmp_path)
        assert asked()
    with announced(tmp_path, ["train"]) as asked:  # the same process once more
        assert asked(), "a stop that came while it was starting is not forgotten"
    (tmp_path / runs.PROCESS).unlink()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with announced(tmp_path, ["train"]):
        command = json.loads((tmp_path / runs.PROCESS).read_text())["command"]
    assert command[1:4] == ["-m", "torch.distributed.run", "--standalone"]
    assert command[command.index("--nproc-per-node") + 1 :] == ["2", "-m", "alexnet_edu.cli", "train"]


@pytest.mark.parametrize(
    ("error", "why"), [(OSError("no room"), "OSError: no room"), (MemoryError(), "MemoryError")]
)
def test_a_training_that_ends_by_an_error_says_so(tmp_path: Path, error: Exception, why: str) -> None:

    def trains(kind: str, **values: Any) -> None:
        with announced(tmp_path, ["train"]):
            append(tmp_path / METRICS, kind, **values)
            raise error

    with pytest.raises(type(error)):
        trains("start", step=0, steps=9)
    assert (status(tmp_path).state, status(tmp_path).why) == ("died", why)
    with pytest.raises(type(error)):
        trains("stop", status="diverged", why="so")
    assert (status(tmp_path).state, status(tmp_path).why) == ("diverged", "so")


def test_two_trainings_do_not_share_a_folder(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        named(tmp_path, other.pid, runs._born(other.pid))
        lines(tmp_path, START)
        for force in (False, True):  # what is seen to live cannot be overridden
            with pytest.raises(RunError, match=f"process {other.pid} trains in"):
                announced(tmp_path, ["train"], force).__enter__()
        other.communicate(b"\n")
    (tmp_path / runs.STOP).touch()
    with announced(tmp_path, ["train"]) as asked:  # the other has ended
        assert not asked(), "it was meant for the other"


# --- commands -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "quoted"),
    [
        ({"parallel": "rows"}, "'rows'"),
        ({"resume": "auto"}, "`resume`"),
    ],
)
def test_bad_settings_are_refused_before_anything_starts(
    tmp_path: Path, settings: dict[str, Any], quoted: str
) -> None:
    with pytest.raises(RunError, match=quoted):
        start(tmp_path, tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_settings_become_options_and_cores_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"batch_size": 16, "rehearse_only": True, "compile": False, "rate": None}
    command = runs._command(Path("/d"), Path("/f"), "data", settings)
    assert command[command.index("--nproc-per-node") + 1] == "2"
    words = "train --parallel data --data /d --folder /f --batch-size 16 --rehearse-only"
    assert command[command.index("train") :] == words.split()
    monkeypatch.setattr(runs, "usable_cores", lambda: 8)
    for users, threads in ((None, "4"), ("5", "5")):
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        if users:
            monkeypatch.setenv("OMP_NUM_THREADS", users)
        assert runs._environment(command)["OMP_NUM_THREADS"] == threads
