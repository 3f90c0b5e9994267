"""The dashboard: what it shows, when it looks, and what its buttons do."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from alexnet_edu.imagenet import log as run_log
from alexnet_edu.imagenet import runs as run_control
from alexnet_edu.imagenet.runs import RunError
from alexnet_edu.lessons import training_plots
from alexnet_edu.lessons.training_widgets import dashboard
from alexnet_edu.show.explorer import LiveWidget

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


# --- what it shows ----------------------------------------------------------------------------


def test_a_finished_run_is_shown_from_its_folder_alone(tmp_path: Path) -> None:
    add(tmp_path, START, line(4), judged(4), line(8, rate=0.001), judged(8), stopped(8, "finished"))
    widget = dashboard(tmp_path, note="stand-in")
    assert widget.error is None
    assert widget.alt == (
        f"{tmp_path.name}: finished, step 8 of 8 (stand-in); epoch 2.00: training loss 1.70; "
        "learning rate 0.001, 38 images/s; validation after epoch 2.00: loss 2.20, top-1 error 62.5%, "
        "top-5 error 25.0%"
    )
    assert widget.line.value == (
        "finished, step 8 of 8; epoch 2.00; 38 images/s, 10% of the time waiting for images; "
        "memory 1.00 + 0.50 GiB"
    )
    assert enabled(widget) == []
    assert not widget.following


def test_the_output_of_a_cell_is_the_picture_of_now(tmp_path: Path) -> None:
    add(tmp_path, START, line(1))
    widget = dashboard(tmp_path)
    add(tmp_path, stopped(1))
    bundle = widget._repr_mimebundle_()
    assert "stopped, step 1 of 8" in bundle["text/plain"]
    assert bundle["image/png"]


def test_nothing_yet(tmp_path: Path) -> None:
    widget = dashboard(tmp_path / "new")
    assert widget.alt == "new: not started; no step yet"
    assert enabled(widget) == []
    assert [b.description for b in widget.buttons] == ["Stop", "Resume"]


def test_a_run_that_diverged_says_why(tmp_path: Path) -> None:
    add(tmp_path, START, line(1, loss="nan"), stopped(1, "diverged", why="The rate is too high."))
    widget = dashboard(tmp_path)
    assert widget.error is None
    assert "The rate is too high." in widget.alt
    assert "The rate is too high." in widget.line.value
    assert enabled(widget) == ["Resume"]


# --- when it looks, and its buttons ---------------------------------------------------------------


def test_it_follows_a_run_until_that_has_ended(run: Pretended) -> None:
    run.launch()
    threads = threading.active_count()
    widget = dashboard(run.folder, every=0.01)
    assert widget.following
    assert "the first line of its log comes soon" in widget.line.value
    add(run.folder, START, line(1), line(2))
    eventually(lambda: "step 2 of 8" in widget.alt)
    assert "6 s left" in widget.line.value
    assert enabled(widget) == ["Stop"]
    add(run.folder, stopped(2, "finished"))
    eventually(lambda: not widget.following)
    assert "finished" in widget.alt
    eventually(lambda: threading.active_count() == threads)


def test_start_stop_and_resume(run: Pretended) -> None:
    widget = dashboard(run.folder, begin=run.launch, every=0.01)
    assert enabled(widget) == ["Start"]
    assert not widget.following
    press(widget, "Start")
    assert widget.following
    assert enabled(widget) == ["Stop"]
    add(run.folder, START, line(1))
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
    eventually(lambda: not widget.following)
    assert enabled(widget) == []


def test_what_goes_wrong_after_a_click_is_said_in_the_line(run: Pretended) -> None:
    def begin() -> None:
        raise RunError("there is no room")

    widget = dashboard(run.folder, begin=begin)
    press(widget, "Start")
    assert widget.line.value == "RunError: there is no room"
    assert enabled(widget) == ["Start"]


def test_closing_ends_the_looking(run: Pretended) -> None:
    run.launch()
    threads = threading.active_count()
    widget = dashboard(run.folder, every=0.01)
    widget.close()
    eventually(lambda: threading.active_count() == threads)


def test_a_picture_is_drawn_only_when_something_is_new(
    run: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.launch()
    add(run.folder, START, line(1))
    widget = dashboard(run.folder, every=1e6)
    drawn: list[object] = []
    monkeypatch.setattr(widget, "_redraw", drawn.append)
    assert widget.refresh()
    assert drawn == []
    add(run.folder, line(2))
    assert widget.refresh()
    assert len(drawn) == 1
    widget.close()


# --- the drawings ----------------------------------------------------------------------------------


def test_a_rate_of_zero_ends_the_line() -> None:
    _, ax = plt.subplots()
    training_plots.draw_rates(ax, [0, 1, 2], {"weights": [0.1, 0.01, 0.001], "conv1": [0.1, 0.01, 0]}, "t")
    shown = {str(drawn.get_label()): np.asarray(drawn.get_ydata()) for drawn in ax.lines}
    assert np.isnan(shown["weights of conv1"][-1])
    assert shown["weights"][-1] == 0.001
    assert ax.get_yscale() == "log"
    plt.close("all")


def test_days_begin_at_the_axis_and_carry_their_words() -> None:
    _, ax = plt.subplots()
    training_plots.draw_days(ax, {"a": 5.0, "b": 0.1}, 0.5, (5, 6))
    assert [bar.get_width() for bar in ax.patches[:2]] == [5.0, 0.1]
    assert [t.get_text() for t in ax.texts] == ["5.0 days", "12.0 h"]
    plt.close("all")


def test_a_single_point_is_seen() -> None:
    _, axes = plt.subplots(1, 4)
    one = ([0.5], [0.01])
    training_plots.draw_loss(axes[0], one, ([], []), None)
    training_plots.draw_errors(axes[1], one, one, one)
    training_plots.draw_rate(axes[2], one)
    training_plots.draw_speed(axes[3], one)
    for ax in axes:
        assert any(drawn.get_marker() != "None" and drawn.get_marker() for drawn in ax.lines)
    plt.close("all")
