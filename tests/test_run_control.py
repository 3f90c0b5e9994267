"""A training as a process of its own: really started, stopped, taken up again, found again."""

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

from alexnet_edu.imagenet import checkpoint as checkpoints
from alexnet_edu.imagenet import log as run_log
from alexnet_edu.imagenet import process_life
from alexnet_edu.imagenet import runs as run_control
from alexnet_edu.imagenet.runs import RunError, Status, announce, ask_to_stop, start, status, stop, wait
from tests import prepared

SMALL = {"narrow": 16, "batch_size": 8, "schedule": "constant", "log_every": 1, "workers": 1}
LIMIT = 180.0  # seconds; a start takes about five on a quiet machine


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared.small(tmp_path_factory.mktemp("data") / "prepared")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Whatever a test leaves running there is stopped."""
    yield tmp_path / "run"
    if status(tmp_path / "run").running:
        stop(tmp_path / "run", LIMIT)


def lines(folder: Path, *rows: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / run_log.METRICS).write_text("".join(json.dumps(row) + "\n" for row in rows))


def named(folder: Path, pid: int, born: str | None, host: str = "", **changes: Any) -> None:
    """A process.json that names some process."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {"pid": pid, "born": born, "host": host or platform.node(), "time": 10.0, "command": ["a", "b"]}
    (folder / run_control.PROCESS).write_text(json.dumps({**found, "cwd": ".", "output": 0, **changes}))


ENDED = subprocess.Popen([sys.executable, "-c", ""])
ENDED.wait()
START = {"kind": "start", "time": 11.0, "step": 0, "steps": 40}
STEP = {"kind": "step", "time": 12.0, "step": 7, "epoch": 1.2}


# --- a process --------------------------------------------------------------------------------


def test_a_process_is_known_by_its_number_and_its_birth() -> None:
    own = process_life.born(os.getpid())
    assert own
    assert process_life.is_alive(os.getpid(), own)
    assert not process_life.is_alive(os.getpid(), "of another time")
    assert not process_life.is_alive(os.getpid(), None)
    assert process_life.born(ENDED.pid) is None


def test_a_process_that_nobody_has_taken_note_of_is_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        deadline = time.monotonic() + 60
        while process_life.born(child.pid) is not None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert child.returncode is None  # it has not been waited for


@pytest.mark.skipif(sys.platform == "win32", reason="there is no ps")
def test_ps_says_the_same_where_there_is_no_proc() -> None:
    own = process_life._born_by_ps(os.getpid())
    assert own == process_life._born_by_ps(os.getpid())
    assert own
    assert process_life._born_by_ps(ENDED.pid) is None


# --- a real one -------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_columns_are_started_stopped_taken_up_and_finished(data: Path, folder: Path) -> None:
    before = start(data, folder, parallel="columns", epochs=5, rehearsal_steps=0, **SMALL)
    assert before.state == "running"
    assert before.where.startswith("process ")
    with pytest.raises(RunError, match="is being trained in"):
        start(data, folder, parallel="columns", **SMALL)
    some = wait(folder, lambda now: now.step >= 3, LIMIT)
    assert some.running
    assert some.steps == 30

    stopped = stop(folder, LIMIT)
    assert stopped.state == "stopped"
    assert stopped.step >= 3
    assert checkpoints.saved_steps(folder)[-1] == stopped.step
    with pytest.raises(RunError, match="nothing is trained"):
        ask_to_stop(folder)
    with pytest.raises(RunError, match="holds a run"):
        start(data, folder, parallel="columns", **SMALL)

    assert run_control.resume(folder).running
    done = wait(folder, seconds=LIMIT)
    assert done.state == "finished"
    assert done.step == done.steps == 30
    trained = [row["step"] for row in done.rows if row["kind"] == "step"]
    assert trained == sorted(set(trained))
    assert run_log.last(done.rows, "final") is not None
    with pytest.raises(RunError, match="has finished"):
        run_control.resume(folder)


@pytest.mark.slow
def test_it_outlives_the_one_that_started_it_and_can_be_found_again(data: Path, folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from alexnet_edu.imagenet.runs import start; "
        f"start(Path(sys.argv[1]), Path(sys.argv[2]), epochs=400, rehearsal_steps=0, **{SMALL!r})"
    )
    subprocess.run([sys.executable, "-c", code, str(data), str(folder)], check=True, timeout=LIMIT)
    assert wait(folder, lambda now: now.step >= 1, LIMIT).running
    trains = json.loads((folder / run_control.PROCESS).read_text())["pid"]
    os.kill(trains, signal.SIGKILL)
    assert wait(folder, seconds=LIMIT).state == "died"
    assert run_control.resume(folder).running
    before = len(status(folder).rows)
    assert wait(folder, lambda now: len(now.rows) > before + 3, LIMIT).running
    ask_to_stop(folder)
    assert status(folder).stopping
    assert wait(folder, seconds=LIMIT).state == "stopped"


@pytest.mark.slow
def test_a_rehearsal_says_how_fast_and_leaves_no_run(data: Path, folder: Path) -> None:
    text = run_control.rehearse(data, folder, steps=2, epochs=2, **SMALL)
    assert text.startswith("rehearsal of 2 steps: ")
    assert "images/s" in text
    now = status(folder)
    assert now.state == "none"
    assert [row["kind"] for row in now.rows] == ["rehearsal"]


@pytest.mark.slow
def test_what_the_command_refuses_is_told_in_its_own_words(data: Path, folder: Path) -> None:
    start(data / "not there", folder, **SMALL)
    died = wait(folder, seconds=LIMIT)
    assert died.state == "died"
    assert died.why.startswith("there is no folder ")
    assert "Traceback" not in died.why
    with pytest.raises(RunError, match="unknown variant 'paperr'"):
        run_control.rehearse(data, folder, variant="paperr", **SMALL)


# --- what a folder says -----------------------------------------------------------------------


def test_nothing_has_been_trained(tmp_path: Path) -> None:
    assert status(tmp_path / "not there") == Status(tmp_path / "not there", "none")
    assert status(tmp_path).text() == "no training yet"


@pytest.mark.parametrize(("end", "state"), [("finished", "finished"), ("stopped", "stopped")])
def test_the_last_word_is_the_trainings(tmp_path: Path, end: str, state: str) -> None:
    lines(tmp_path, START, STEP, {"kind": "stop", "time": 13.0, "step": 8, "status": end})
    named(tmp_path, os.getpid(), process_life.born(os.getpid()))  # about to end, or a test's own
    now = status(tmp_path)
    assert (now.state, now.step, now.steps) == (state, 8, 40)
    (tmp_path / run_control.PROCESS).unlink()
    assert status(tmp_path).state == state


def test_a_last_word_from_before_this_process_does_not_count(tmp_path: Path) -> None:
    lines(tmp_path, START, {"kind": "stop", "time": 9.0, "step": 8, "status": "stopped"})
    named(tmp_path, os.getpid(), process_life.born(os.getpid()))
    assert status(tmp_path).running
    named(tmp_path, ENDED.pid, "1")
    assert status(tmp_path).state == "died"


def test_the_last_word_is_read_after_it_was_asked_whether_the_process_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines(tmp_path, START, STEP)
    named(tmp_path, 1, "1")

    def ends(process: object) -> bool:
        run_log.append(tmp_path / run_log.METRICS, "stop", step=8, status="finished")
        return False

    monkeypatch.setattr(run_control._Process, "alive", property(ends))
    assert status(tmp_path, run_log.Follower(tmp_path / run_log.METRICS).rows).state == "finished"


def test_a_number_that_another_process_has_now_is_not_this_training(tmp_path: Path) -> None:
    lines(tmp_path, START, STEP)
    named(tmp_path, os.getpid(), "of another time")
    assert status(tmp_path).state == "died"


def test_a_training_that_diverged_says_why(tmp_path: Path) -> None:
    lines(tmp_path, START, {"kind": "stop", "time": 13.0, "step": 8, "status": "diverged", "why": "too fast"})
    now = status(tmp_path)
    assert (now.state, now.why) == ("diverged", "too fast")


def test_the_end_of_its_own_output_says_why_it_died(tmp_path: Path) -> None:
    lines(tmp_path, START, STEP)
    earlier = b"alexnet-edu: an old complaint\n"
    (tmp_path / run_control.OUTPUT).write_bytes(earlier + b"one\n\nKilled by nobody\n")
    named(tmp_path, ENDED.pid, "1", output=len(earlier))
    assert status(tmp_path).why == "one\nKilled by nobody"
    (tmp_path / run_control.OUTPUT).write_bytes(earlier)
    assert "may have been killed" in status(tmp_path).why


def test_a_training_on_another_machine_is_taken_for_alive_and_can_be_asked_to_stop(tmp_path: Path) -> None:
    lines(tmp_path, START, STEP)
    named(tmp_path, 1, "1", host="gpu-box")
    now = status(tmp_path)
    assert now.running
    assert "on gpu-box, which cannot be seen from here" in now.where
    ask_to_stop(tmp_path)
    assert status(tmp_path).stopping
    with pytest.raises(RunError, match="still trains after"):
        wait(tmp_path, seconds=0)


def test_a_damaged_process_file_is_as_none(tmp_path: Path) -> None:
    lines(tmp_path, START, STEP, {"kind": "stop", "time": 13.0, "step": 8, "status": "stopped"})
    (tmp_path / run_control.PROCESS).write_text('{"pid": 3')
    assert status(tmp_path).state == "stopped"
    with pytest.raises(RunError, match="give its command again, with --resume auto"):
        run_control.resume(tmp_path)


def test_only_what_can_be_taken_up_is(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no run"):
        run_control.resume(tmp_path)
    named(tmp_path, os.getpid(), process_life.born(os.getpid()))
    with pytest.raises(RunError, match="is being trained in"):
        run_control.resume(tmp_path)


def test_bad_settings_are_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="unknown parallel='rows'"):
        start(tmp_path, tmp_path / "run", parallel="rows")
    with pytest.raises(RunError, match="takes 2 processes, not 3"):
        start(tmp_path, tmp_path / "run", parallel="columns", processes=3)
    with pytest.raises(RunError, match="taken up by `resume`"):
        start(tmp_path, tmp_path / "run", resume="auto")
    assert not (tmp_path / "run").exists()


# --- what the training says of itself ------------------------------------------------------------


def test_a_training_from_a_terminal_can_be_taken_up_from_a_notebook(tmp_path: Path) -> None:
    asked = announce(tmp_path, ["train", "--folder", "runs/x"])
    found = json.loads((tmp_path / run_control.PROCESS).read_text())
    assert found["pid"] == os.getpid()
    assert found["command"] == [sys.executable, "-m", "alexnet_edu.cli", "train", "--folder", "runs/x"]
    assert found["cwd"] == str(Path.cwd())
    assert not asked()
    ask_to_stop(tmp_path)
    assert asked()
    announce(tmp_path, ["train"])  # the same process once more
    assert asked(), "a stop that came while it was starting is not forgotten"


def test_several_processes_are_started_again_by_torchrun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    announce(tmp_path, ["train"])
    command = json.loads((tmp_path / run_control.PROCESS).read_text())["command"]
    assert command[1:4] == ["-m", "torch.distributed.run", "--standalone"]
    assert command[command.index("--nproc-per-node") + 1 :] == ["2", "-m", "alexnet_edu.cli", "train"]


def test_two_trainings_do_not_share_a_folder(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        named(tmp_path, other.pid, process_life.born(other.pid))
        lines(tmp_path, START)
        with pytest.raises(RunError, match=f"process {other.pid} trains in"):
            announce(tmp_path, ["train"])
        other.communicate(b"\n")
    (tmp_path / run_control.STOP).touch()
    asked = announce(tmp_path, ["train"])  # the other has ended
    assert not asked(), "it was meant for the other"


def test_cores_are_shared_out_unless_the_user_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_control, "usable_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    two = run_control._command(Path("d"), Path("f"), "columns", None, {})
    assert run_control._environment(two)["OMP_NUM_THREADS"] == "4"
    one = run_control._command(Path("d"), Path("f"), "single", None, {})
    assert run_control._environment(one)["OMP_NUM_THREADS"] == "8"
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert run_control._environment(two)["OMP_NUM_THREADS"] == "3"


def test_settings_become_options() -> None:
    command = run_control._command(
        Path("/d"),
        Path("/f"),
        "data",
        3,
        {"batch_size": 16, "tensorboard": True, "compile": False, "rate": None},
    )
    assert command[command.index("--nproc-per-node") + 1] == "3"
    train = command[command.index("train") :]
    assert train[1:7] == ["--parallel", "data", "--data", "/d", "--folder", "/f"]
    assert train[7:] == ["--batch-size", "16", "--tensorboard"]
