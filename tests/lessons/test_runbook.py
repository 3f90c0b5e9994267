"""The runbook of notebook 06: the dashboard of a training, and the table of a run."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alexnet_edu.imagenet import log as run_log
from alexnet_edu.imagenet import runs as run_control
from alexnet_edu.imagenet.recipe import Recipe
from alexnet_edu.imagenet.runs import RunError
from alexnet_edu.ledger.trainings import OTHER_IMAGES, SMALLER
from alexnet_edu.lessons.runbook import dashboard, report
from alexnet_edu.show.explorer import LiveWidget

# --- the dashboard: what it shows -------------------------------------------------------------------

Row = dict[str, Any]
START = {"kind": "start", "time": 1.0, "step": 0, "steps": 8, "classes": 10, "steps_per_epoch": 4}


def line(step: int, **changes: Any) -> Row:
    found = {"kind": "step", "time": 1.0 + step, "step": step, "epoch": step / 4, "loss": 2.5 - step / 10}
    found |= {"top1": 0.9, "top5": 0.5, "rate": 0.01, "images_per_s": 30.0 + step, "waited": 0.1}
    return {**found, "memory": [2**30, 2**29], **changes}


def judged(step: int) -> Row:
    found = {"kind": "evaluation", "time": 1.5 + step, "step": step, "epoch": step / 4}
    return {**found, "top1": 0.625, "top5": 0.25, "loss": 2.2, "images": 12, "patches": 1}


def add(folder: Path, *rows: Row) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / run_log.METRICS).open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def stopped(step: int, status: str = "stopped", **more: Any) -> Row:
    return {"kind": "stop", "time": 50.0, "step": step, "status": status, **more}


def press(widget: LiveWidget, label: str) -> None:
    next(b for b in widget.buttons if b.description == label).click()


def enabled(widget: LiveWidget) -> list[str]:
    return [b.description for b in widget.buttons if not b.disabled]


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Pretended:
    """A training that lives and dies as a test wants it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.alive = folder, False
        monkeypatch.setattr(run_control._Process, "lives", lambda *_: self.alive)
        monkeypatch.setattr(run_control, "_launch", self.launch)

    def launch(self, *_: object) -> None:
        self.alive = True
        found = {"pid": 7, "born": 1.0, "host": run_control.platform.node(), "time": 0.5}
        self.folder.mkdir(parents=True, exist_ok=True)
        place = self.folder / run_control.PROCESS
        (self.folder / run_control.STOP).unlink(missing_ok=True)
        began = 60.0 if place.exists() else 0.5
        place.write_text(json.dumps({**found, "time": began, "command": ["x"], "cwd": ".", "output": 0}))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pretended:
    return Pretended(tmp_path / "first", monkeypatch)


def test_a_finished_run_is_shown_from_its_folder_alone(tmp_path: Path) -> None:
    add(tmp_path, START, line(4), judged(4), line(8, rate=0.001), judged(8), stopped(8, "finished"))
    widget = dashboard(tmp_path, note="stand-in")
    assert widget.error is None
    for words in ("step 8 of 8 (stand-in)", "rate 0.001, 38 images/s", "top-1 error 62.5%"):
        assert words in widget.alt
    assert "10% of the time waiting for images; memory 1.00 + 0.50 GiB" in widget.line.value
    assert enabled(widget) == []
    assert not widget.following


def test_a_run_that_diverged_says_why(tmp_path: Path) -> None:
    add(tmp_path, START, line(1, loss="nan"), stopped(1, "diverged", why="The rate is too high."))
    widget = dashboard(tmp_path)
    assert widget.error is None
    assert "The rate is too high." in widget.alt
    assert "The rate is too high." in widget.line.value
    assert enabled(widget) == ["Resume"]


# --- when it looks, and its buttons ---------------------------------------------------------------


def test_start_stop_and_resume(run: Pretended) -> None:
    widget, threads = dashboard(run.folder, begin=run.launch, every=0.01), threading.active_count()
    assert enabled(widget) == ["Start"]
    assert not widget.following
    press(widget, "Start")
    assert widget.following
    assert enabled(widget) == ["Stop"]
    add(run.folder, START, line(1))
    eventually(lambda: "step 1 of 8" in widget.alt)
    press(widget, "Stop")
    assert enabled(widget) == []
    assert "stopping" in widget.line.value
    assert (run.folder / run_control.STOP).exists()
    add(run.folder, stopped(1))
    run.alive = False
    eventually(lambda: not widget.following)
    assert enabled(widget) == ["Resume"]
    press(widget, "Resume")
    assert widget.following
    assert "running" in widget.line.value
    add(run.folder, {**START, "time": 61.0, "step": 1}, line(8), {**stopped(8, "finished"), "time": 70.0})
    eventually(lambda: not widget.following and threading.active_count() == threads)
    assert enabled(widget) == []


def test_an_error_after_a_click_is_shown(run: Pretended) -> None:
    def begin() -> None:
        raise RunError("there is no room")

    widget = dashboard(run.folder, begin=begin)
    press(widget, "Start")
    assert widget.line.value == "RunError: there is no room"
    assert enabled(widget) == ["Start"]


# --- the table of a run -------------------------------------------------------------------------------

RECIPE = Recipe().identity()
IMAGENET = {"recipe": RECIPE, "classes": 1000, "images": {"train": 1_281_167, "val": 50_000}}


def write(folder: Path, **start: Any) -> Path:
    path = folder / run_log.METRICS
    first = {"step": 0, "steps": 20, "processes": 2, "device_name": "GPU X", "parallel": "columns"}
    run_log.append(path, "start", **{**first, **IMAGENET, **start})
    for step, rate in ((10, 0.01), (20, 0.001)):
        run_log.append(path, "step", step=step, epoch=step / 10, rate=rate, seconds=60.0 * step)
        run_log.append(path, "evaluation", step=step, epoch=step / 10, top1=0.42, top5=0.1957)
    return folder


def test_a_run_on_imagenet_stands_beside_the_paper(tmp_path: Path) -> None:
    run_log.append(write(tmp_path) / run_log.METRICS, "final", step=20, top1=0.4071, top5=0.1822)
    ten, middle, rate, length, time = report(tmp_path).rows
    assert (ten.paper, ten.ours, ten.why) == ("40.7% / 18.2% (validation)", "40.7% / 18.2%", "")
    assert "0.406640 / 0.182100" in ten.log
    assert middle.ours == "42.0% / 19.6%"
    assert rate.ours == "0.01, fell after epoch 2 (plateau)"
    assert length.ours == "2 of 90 epochs, 20 updates with batches of 128"
    assert time.ours == "20 min, columns, 2 × GPU X"


def test_other_images_and_smaller_networks_say_that_they_cannot_be_compared(tmp_path: Path) -> None:
    few = write(tmp_path / "few", classes=10, images={"train": 60, "val": 20})
    row = report(few, "stand-in").rows[0]
    assert row.why == OTHER_IMAGES
    assert "60 training and 20 validation images in 10 classes" in row.provenance
    thin = write(tmp_path / "thin", recipe={**RECIPE, "narrow": 8})
    assert report(thin).rows[0].why == SMALLER
    assert report(write(tmp_path / "short", recipe={**RECIPE, "epochs": 3.0})).rows[0].why == SMALLER
    assert "8 times narrower" in report(thin).rows[0].provenance
