"""Further, 06, the runbook: a training watched, how it ended, and what goes wrong.

The dashboard and the report know nothing but the folder of a run, so they find a training again that was
started earlier, elsewhere, or from a terminal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from alexnet_edu import paper
from alexnet_edu.data.images import ImageSet
from alexnet_edu.imagenet import log as run_log
from alexnet_edu.imagenet import runs
from alexnet_edu.imagenet.rehearsal import GIB, duration
from alexnet_edu.imagenet.runs import Status
from alexnet_edu.ledger.claims import RUNS_2012
from alexnet_edu.ledger.table import Row, Verdict
from alexnet_edu.ledger.trainings import reservation
from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing, LiveWidget, button
from alexnet_edu.show.plots import BLUE, GREEN, NEUTRAL, ORANGE, PINK, SKY, Style, frame, level, note
from alexnet_edu.training.schedules import LOGGED

Entry = dict[str, Any]  # one line of a run's log

# --- the dashboard ------------------------------------------------------------------------------------

POINTS = 400  # of a curve
TRAINED = Style(SKY, "-", ".")
TOP1, TOP5 = Style(BLUE, "-", "o"), Style(ORANGE, "--", "s")


def dashboard(
    folder: Path, begin: Callable[[], object] | None = None, *, note: str = "", every: float = 2.0
) -> LiveWidget:
    """The training in `folder`: curves, pace, buttons; looked at every `every` seconds until it has ended.

    begin: starts one there, for a button "Start"; None: there is none. note: on the images, in the title.
    """
    follower = run_log.Follower(folder / run_log.METRICS)
    stop = button("Stop", lambda: runs.ask_to_stop(folder), "saves first; Resume goes on from there")
    resume = button("Resume", lambda: runs.resume(folder), "goes on from the last checkpoint")
    start = button("Start", begin, "starts a process of its own") if begin is not None else None
    now = Status(folder, "none")

    def report() -> tuple[str, bool]:
        nonlocal now
        now = runs.status(folder, follower.rows)
        stop.disabled = not now.running or now.stopping
        resume.disabled = now.state not in ("stopped", "died", "diverged")
        if start is not None:
            start.disabled = now.state != "none"
        return facts(now), now.running

    buttons = [each for each in (start, stop, resume) if each is not None]
    return LiveWidget(report, lambda: draw_run(now, note), buttons, every=every)


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


def draw_run(now: Status, note: str = "") -> Drawing:
    """Loss, errors, learning rate and speed of a run, and all that in words."""
    rows = list(now.rows)
    state = "stopping" if now.stopping else now.state if now.state != "none" else "not started"
    place = f", step {now.step:,} of {now.steps:,}" if now.steps else ""
    title = f"{now.folder.name}: {state}{place}{f' ({note})' if note else ''}"
    figure = _curves(rows)
    plots.heading(figure, title)
    return figure, f"{title}; {_last_numbers(now, rows)}"


def _curves(rows: Sequence[Entry]) -> Figure:
    if run_log.last(rows, "step") is None:
        figure, ((ax,),) = plots.panels(1, 1, height=1.1)
        ax.axis("off")
        note(ax, "no step yet", (0.5, 0.5), ha="center", color=NEUTRAL)
        return figure

    def trained(name: str) -> run_log.Curve:
        return run_log.curve(rows, "step", name, POINTS)

    def judged(name: str) -> run_log.Curve:
        return run_log.curve(rows, "evaluation", name)

    figure, ((loss, errors), (rate, speed)) = plots.panels(2, 2, height=5.6)
    curves = {"training batches": trained("loss"), "validation": judged("loss")}
    plots.lines(loss, curves, styles=(TRAINED, TOP1))
    if (start := run_log.last(rows, "start")) is not None:
        chance = math.log(start["classes"])  # of one who gives all classes the same probability
        level(loss, chance, f"guessing: {chance:.2f}")
        loss.margins(y=0.15)  # room for these words
    curves = {"training batches": trained("top1")}
    curves |= {f"validation, top-{k}": judged(f"top{k}") for k in (1, 5)}
    plots.lines(errors, curves, styles=(TRAINED, TOP1, TOP5))
    plots.lines(rate, {"": trained("rate")}, styles=(Style(GREEN, "-", "."),), drawstyle="steps-post")
    plots.lines(speed, {"": trained("images_per_s")}, styles=(Style(PINK, "-", "."),))
    for number, epoch in enumerate(run_log.resumptions(rows)):
        level(speed, epoch, "stopped, and resumed" if number == 0 else "", axis="x")
    errors.set(ylim=(-0.03, 1.5), yticks=(0, 0.25, 0.5, 0.75, 1))  # room for the legend
    rate.set_yscale("log")
    speed.set_ylim(0, 1.3 * max(trained("images_per_s")[1]))
    for ax in (loss, errors, rate, speed):
        ax.set_xlim(left=0)
    frame(loss, "loss", y="nats", legend="upper right")
    frame(errors, "share of wrong answers", percent="y", legend="upper right")
    frame(rate, "learning rate ε", "epoch")
    frame(speed, "images per second", "epoch")
    return figure


def _last_numbers(now: Status, rows: Sequence[Entry]) -> str:
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
    return "; ".join([*parts, now.why] if now.why else parts)


# --- the end of a training as a table -----------------------------------------------------------------

NOT_YET = "not reached yet"


def report(folder: Path, note: str = "") -> Verdict:
    """The paper, the log of 2012, and the run in `folder`, finished or not, side by side.

    note: what its images are, where not ImageNet. Raises ValueError where nothing was trained there.
    """
    rows = run_log.read(folder / run_log.METRICS)
    start = run_log.last(rows, "start")
    if start is None:
        raise ValueError(f"no training has begun in {folder}: start one there, or name another folder")
    why = reservation(start)
    ten, middle = (_errors(run_log.last(rows, kind)) for kind in ("final", "evaluation"))
    ten_2012, middle_2012 = f"145: {RUNS_2012['145']}", f"145-2010: {RUNS_2012['145-2010 centre']}"
    table2, footnote = f"{paper.CNN_2012_VALIDATION} (validation)", f"{paper.WITHOUT_TEN_PATCHES} (2010 test)"
    only_2010 = why and f"{why} The paper and the log have it for 2010 only."
    ten_patches, one_patch = "Top-1 / top-5 error by ten patches", "The same by the middle patch alone"
    return Verdict(
        (
            Row("6, Table 2", ten_patches, "", table2, ten_2012, ten, _images(start, note), why),
            Row("6", one_patch, "", footnote, middle_2012, middle, "", only_2010),
            *_recipe_rows(rows, start),
        )
    )


def _images(start: Entry, note: str) -> str:
    images, recipe = start["images"], start["recipe"]
    width = "" if recipe["narrow"] == 1 else f", {recipe['narrow']} times narrower"
    counts = f"{images.get('train', 0):,} training and {images.get('val', 0):,} validation images"
    title = f"{note}: " if note else ""
    return f"{title}{counts} in {start['classes']:,} classes; variant {recipe['variant']}{width}"


def _errors(row: Entry | None) -> str:
    return NOT_YET if row is None else str(paper.Errors(100 * row["top1"], 100 * row["top5"]))


def _recipe_rows(rows: Sequence[Entry], start: Entry) -> tuple[Row, ...]:
    """The learning rate, the length and the time of the training."""
    recipe, log, falls = start["recipe"], LOGGED["145"], run_log.falls(rows)
    fell = f"fell after epoch {', '.join(f'{e:.0f}' for e in falls)}" if falls else "has not fallen"
    rate = (
        f"{paper.LEARNING_RATE:g}, divided by {paper.LEARNING_RATE_DIVISOR} when the validation error "
        f"stalls, {paper.LEARNING_RATE_DROPS} times",
        f"145: at epochs {', '.join(f'{e:g}' for e in log.drops)}",
        f"{recipe['rate']:g}, {fell} ({recipe['schedule']})",
    )
    last = run_log.last(rows, "step") or {"epoch": 0.0, "step": 0}
    updates = f"{last['step']:,} updates with batches of {recipe['batch_size']}"
    length = (
        f"about {paper.EPOCHS} epochs with batches of {paper.BATCH_SIZE}",
        f"145: {log.stop:g} epochs",
        f"{last['epoch']:.0f} of {recipe['epochs']:g} epochs, {updates}",
    )
    took = duration(last["seconds"]) if "seconds" in last else NOT_YET
    time = (
        "{}–{} days on two {} {} GB".format(*paper.TRAINING_DAYS, paper.GPU_NAME, paper.GPU_MEMORY_GB),
        "no times are noted",
        f"{took}, {start['parallel']}, {start['processes']} × {start['device_name']}",
    )
    by_hand = "The rule is that of the paper; in 2012 a person applied it."
    return (
        Row("5", "The learning rate", "", *rate, "", by_hand),
        Row("5", "How long", "", *length, ""),
        Row("5", "Time of the steps", "", *time, "", "Evaluations are not counted."),
    )


# --- what goes wrong ---


def failures(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], images: ImageSet) -> Drawing:
    """Trainings side by side, the first healthy: name -> loss by batch, validation error (0–1) by epoch."""
    figure, axes = plots.panels(2, len(curves), height=4.8, sharex="row", sharey="row")
    classes = len(images.train.classes)
    for (name, (losses, errors)), above, below in zip(curves.items(), *axes, strict=True):
        above.plot(losses, color=SKY, linewidth=1)
        level(above, math.log(classes))
        below.plot(range(1, len(errors) + 1), errors, "o-", color=BLUE)
        level(below, 1 - 1 / classes)
        frame(above, name, "batches")
        frame(below, x="epochs", percent="y")
    axes[0][0].set_ylabel("training loss")
    healthy, _ = next(iter(curves.values()))
    axes[0][0].set_ylim(0, 1.1 * max(healthy))  # a loss that diverges leaves the picture
    axes[1][0].set_ylabel("validation error")
    return figure, (
        "Each fault leaves its mark: a loss that ends, a loss that stays at guessing (dotted), an error that "
        f"hardly falls.{images.caveat}"
    )
