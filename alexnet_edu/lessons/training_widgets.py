"""The dashboard of a training: its curves, its pace, and buttons that stop it and take it up again.

It knows nothing but the folder of the run, so it finds a training again that was started earlier,
elsewhere, or from a terminal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from alexnet_edu.imagenet import log as run_log
from alexnet_edu.imagenet import runs as run_control
from alexnet_edu.imagenet.rehearsal import GIB, duration
from alexnet_edu.imagenet.runs import Status
from alexnet_edu.lessons import training_plots
from alexnet_edu.show.explorer import LiveWidget, button
from alexnet_edu.show.plots import FONT_SIZE, label_axes, widget_axes

POINTS = 400  # of a curve
HEIGHT = 5.6  # inches
Row = dict[str, Any]


def dashboard(
    folder: Path, begin: Callable[[], object] | None = None, *, note: str = "", every: float = 2.0
) -> LiveWidget:
    """The training in `folder`, looked at every `every` seconds until it has ended.

    begin: starts one there, for a button "Start"; None: there is none. note: on the images, such as
    "synthetic stand-in, not ImageNet"; it stands in the title.
    Its `alt` says in words what the picture shows.
    """
    follower = run_log.Follower(folder / run_log.METRICS)
    stop = button("Stop", lambda: run_control.ask_to_stop(folder), "saves first; Resume goes on from there")
    resume = button("Resume", lambda: run_control.resume(folder), "goes on from the last checkpoint")
    buttons = [stop, resume]
    start = None if begin is None else button("Start", begin, "starts a process of its own")
    if start is not None:
        buttons.insert(0, start)
    seen = [Status(folder, "none")]

    def look() -> tuple[str, bool]:
        now = seen[0] = run_control.status(folder, follower.rows)
        stop.disabled = not now.running or now.stopping
        resume.disabled = now.state not in ("stopped", "died", "diverged")
        if start is not None:
            start.disabled = now.state != "none"
        return facts(now), now.running

    return LiveWidget(look, lambda: draw_run(seen[0], note), buttons, every=every)


def facts(now: Status) -> str:
    """One line: state, place in the run, time left, speed, memory."""
    rows = list(now.rows)
    pace, last = run_log.pace(rows, now.steps), run_log.last(rows, "step")
    parts = [now.text()]
    if last is not None:
        parts.append(f"epoch {last['epoch']:.2f}")
    if now.running and pace is None:
        parts.append("the first line of its log comes soon")
    if pace is not None:
        if now.running and pace.seconds_left is not None:
            parts.append(f"{duration(pace.seconds_left)} left")
        parts.append(f"{pace.images_per_s:,.0f} images/s, {pace.waited:.0%} of the time waiting for images")
        parts.append("memory " + " + ".join(f"{m / GIB:.2f}" for m in pace.memory) + " GiB")
    return "; ".join(parts)


def draw_run(now: Status, note: str = "") -> tuple[Figure, str]:
    """Loss, errors, learning rate and speed of a run, and all that in words."""
    rows = list(now.rows)
    heading = f"{now.folder.name}: {_state(now)}{f' ({note})' if note else ''}"
    begun = any(row["kind"] == "step" for row in rows)
    figure = _curves(rows) if begun else _no_curves()
    figure.suptitle(heading, fontsize=FONT_SIZE, x=0.02, ha="left")
    return figure, f"{heading}; {_numbers(now, rows)}"


def _no_curves() -> Figure:
    figure, ((ax,),) = widget_axes(1, 1, height=1.1)
    training_plots.draw_words(ax, "no step yet")
    return figure


def _curves(rows: list[Row]) -> Figure:
    def steps(name: str) -> run_log.Curve:
        return run_log.curve(rows, "step", name, POINTS)

    def judged(name: str) -> run_log.Curve:
        return run_log.curve(rows, "evaluation", name)

    figure, ((loss, errors), (rate, speed)) = widget_axes(2, 2, height=HEIGHT)
    training_plots.draw_loss(loss, steps("loss"), judged("loss"), _guessing(rows))
    training_plots.draw_errors(errors, steps("top1"), judged("top1"), judged("top5"))
    training_plots.draw_rate(rate, steps("rate"))
    training_plots.draw_speed(speed, steps("images_per_s"), run_log.resumptions(rows))
    label_axes(loss, "loss", "", "nats")
    label_axes(errors, "share of wrong answers", "", "")
    label_axes(rate, "learning rate ε", "epoch", "")
    label_axes(speed, "images per second", "epoch", "")
    figure.subplots_adjust(left=0.075, right=0.985, top=0.88, bottom=0.09, hspace=0.36, wspace=0.2)
    return figure


def _state(now: Status) -> str:
    stages = f", step {now.step:,} of {now.steps:,}" if now.steps else ""
    return f"{'stopping' if now.stopping else now.state if now.state != 'none' else 'not started'}{stages}"


def _guessing(rows: list[Row]) -> float | None:
    """The loss of one who gives all classes the same probability."""
    start = run_log.last(rows, "start")
    return math.log(start["classes"]) if start is not None else None


def _numbers(now: Status, rows: list[Row]) -> str:
    """The last numbers of each curve, in words."""
    step, judged = (run_log.last(rows, kind) for kind in ("step", "evaluation"))
    if step is None:
        return "no step yet"
    parts = [f"epoch {step['epoch']:.2f}: training loss {float(step['loss']):.2f}"]
    parts.append(f"learning rate {step['rate']:g}, {step['images_per_s']:,.0f} images/s")
    if judged is not None:
        parts.append(
            f"validation after epoch {judged['epoch']:.2f}: loss {judged['loss']:.2f}, "
            f"top-1 error {judged['top1']:.1%}, top-5 error {judged['top5']:.1%}"
        )
    if now.why:
        parts.append(now.why)
    return "; ".join(parts)
