"""Lesson 06, the full training: what it costs by arithmetic, how it goes on, and how it ended.

Peaks of GPUs are those of their vendors' data sheets. The dashboard and the report know nothing but the
folder of a run, so they find a training again that was started earlier, elsewhere, or from a terminal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alexnet_edu import paper
from alexnet_edu.imagenet import log as run_log
from alexnet_edu.imagenet import runs
from alexnet_edu.imagenet.rehearsal import GIB, duration
from alexnet_edu.imagenet.runs import Status
from alexnet_edu.imagenet.sources import OFFICIAL_COUNTS
from alexnet_edu.ledger.claims import RUNS_2012
from alexnet_edu.ledger.table import Row, Verdict
from alexnet_edu.model.architecture import Architecture, count, variant
from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing, LiveWidget, button, choice, explores, slider
from alexnet_edu.show.plots import BLUE, GREEN, NEUTRAL, ORANGE, PINK, SKY, Style, frame, level, note
from alexnet_edu.training.schedules import LOGGED
from alexnet_edu.two_gpus.traffic import GTX_580

TRAINING_IMAGES = OFFICIAL_COUNTS["train"]  # files in the tars of 2012; §2 says "roughly 1.2 million"
DAY = 86_400  # seconds
OPERATIONS = 2  # a multiply-add: one multiplication and one addition
BACKWARD = 2  # times as many as forwards: the gradients of the weights, and those of the inputs
Entry = dict[str, Any]  # one line of a run's log

# --- operations and days -----------------------------------------------------------------------


@dataclass(frozen=True)
class Device:
    """One GPU as its data sheet has it: dense peaks in operations per second, without sparsity.

    float32: outside of the tensor cores. bfloat16: on them, None where there are none.
    """

    name: str
    year: int
    float32: float
    bfloat16: float | None
    source: str

    def peak(self, kind: str) -> float:
        """Operations per second in "float32" or "bfloat16"; float32 where the GPU has no other."""
        return self.bfloat16 if kind == "bfloat16" and self.bfloat16 is not None else self.float32


DEVICES = {
    d.name: d
    for d in (
        Device("GTX 580", 2010, GTX_580.flops, None, "512 cores × 1.544 GHz × 2"),
        Device("RTX 4090", 2022, 82.6e12, 165.2e12, "NVIDIA Ada architecture paper"),
        Device("A100", 2020, 19.5e12, 312e12, "NVIDIA A100 data sheet"),
        Device("H100 SXM", 2022, 67e12, 989e12, "NVIDIA H100 data sheet"),
    )
}


def operations_per_image(table: Architecture) -> int:
    """Additions and multiplications of one image in training, in convolutions and matrices alone.

    Backwards each layer computes as much as forwards for its weights, and as much again for its inputs;
    conv1 not, for nobody asks for the gradient of pixels.
    """
    sizes = count(table)
    forward = OPERATIONS * sum(size.multiply_adds for size in sizes)
    return (1 + BACKWARD) * forward - OPERATIONS * sizes[0].multiply_adds


def operations(table: Architecture, epochs: float = paper.EPOCHS, images: int = TRAINING_IMAGES) -> float:
    """Of a whole training."""
    return operations_per_image(table) * epochs * images


def steps(epochs: int = paper.EPOCHS, images: int = TRAINING_IMAGES, batch: int = paper.BATCH_SIZE) -> int:
    """Updates of the weights; the last batch of an epoch may be smaller."""
    return epochs * math.ceil(images / batch)


def seconds(wanted: float, peak: float, share: float, devices: int = 1) -> float:
    """How long so many operations take. share: of the peak that is reached, above 0 up to 1."""
    return wanted / (devices * peak * share)


def share_reached(wanted: float, peak: float, took: float, devices: int = 1) -> float:
    """The share (0–1) of the peak that a training of `took` seconds, more than 0, has reached."""
    return wanted / (devices * peak * took)


# --- the explorer of days ------------------------------------------------------------------------

SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.8, 1.0)
FEEDS: dict[float, str] = {n: f"{n:,}" for n in (100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000)}
FEEDS |= {math.inf: "as many as it takes"}
KINDS = {"float32": "float32", "bfloat16": "bfloat16 where there is any"}


@explores
def cost_explorer(
    share: float = slider("Share of the peak", SHARES, 0.35, "that is reached", "{:.0%}"),
    feed: float = slider("Images read per second", FEEDS, math.inf, "by all cores"),
    kind: str = choice("Numbers", KINDS, "bfloat16", "type of the arithmetic"),
) -> Drawing:
    """Days of the full training on several machines."""
    wanted, reading = operations(variant("paper")), paper.EPOCHS * TRAINING_IMAGES / feed / DAY
    days = {}
    for device in DEVICES.values():
        devices = paper.GPUS if device.name == paper.GPU_NAME else 1
        name = f"{devices} × {device.name}" if devices > 1 else device.name
        days[f"{name} ({device.year})"] = seconds(wanted, device.peak(kind), share, devices) / DAY
    figure, ((ax,),) = plots.panels(1, 1, height=3.5)
    draw_days(ax, days, reading, paper.TRAINING_DAYS)
    frame(
        ax,
        f"{paper.EPOCHS} epochs at {share:.0%} of the peak",
        "days, by arithmetic",
        legend="below",
        ncols=2,
    )
    times = ", ".join(f"{name} {in_words(max(took, reading))}" for name, took in days.items())
    late = [name for name, took in days.items() if reading > took]
    waits = f"; reading the images sets the pace for {', '.join(late)}" if late else ""
    alt = f"{paper.EPOCHS} epochs by arithmetic, {KINDS[kind]}, at {share:.0%} of the peak: {times}"
    return figure, f"{alt}; images read per second: {FEEDS[feed]}{waits}"


def draw_days(ax: Axes, days: Mapping[str, float], reading: float, published: tuple[float, float]) -> None:
    """A bar for each machine, on a logarithmic axis of days, with its value in words.

    days: by arithmetic. reading: days that reading the images takes, as a line unless it is 0.
    published: the range of days that the paper states, as a band.
    """
    plots.bars(ax, days)
    took = [max(value, reading) for value in days.values()]
    for place, value in enumerate(took):
        note(ax, in_words(value), (value, place), (6, 0), va="center", bbox=plots.BEHIND_WORDS)
    ax.axvspan(*published, color="#F0E442", alpha=0.6, zorder=0, label="the paper: five to six days")
    if reading > 0:
        ax.axvline(reading, color=ORANGE, linestyle="--", linewidth=1.8, label="reading the images")
    ax.set_xscale("log")
    ax.set_xlim(min(0.005, min(took) / 2), max(40.0, 6 * max(took)))
    ax.xaxis.set_major_formatter("{x:g}")


def in_words(days: float) -> str:
    """ "5.5 days", "3.2 h", "41 min"."""
    if days >= 1:
        return f"{days:.1f} days"
    hours = 24 * days
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"


# --- learning rates --------------------------------------------------------------------------------

RATES = {
    "weights": Style(BLUE, "-", "", "weights"),
    "conv1": Style(ORANGE, "--", "", "weights of conv1"),
    "biases": Style(GREEN, "-.", "", "biases"),
}


def draw_rates(ax: Axes, epochs: Sequence[float], rates: Mapping[str, Sequence[float]], title: str) -> None:
    """Learning rates against epochs, each of RATES; a rate of 0 ends the line."""
    for name, values in rates.items():
        shown = [value if value > 0 else math.nan for value in values]
        ax.step(epochs, shown, where="post", linewidth=1.8, **RATES[name].kwargs())
    ax.set_yscale("log")
    frame(ax, title, "epoch", "learning rate ε", grid="y", legend="best")


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

OTHER_IMAGES = "Not comparable: other images, and another number of classes."
SMALLER = "Not comparable: the images of 2012, but not the paper's network or recipe."
NOT_YET = "not reached yet"


def report(folder: Path, note: str = "") -> Verdict:
    """The paper, the log of 2012, and the run in `folder`, finished or not, side by side.

    note: what its images are, where not ImageNet. Raises ValueError where nothing was trained there.
    """
    rows = run_log.read(folder / run_log.METRICS)
    start = run_log.last(rows, "start")
    if start is None:
        raise ValueError(f"no training has begun in {folder}: start one there, or name another folder")
    why = _reservation(start)
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


def _reservation(start: Entry) -> str:
    """Why the errors cannot be compared with the paper's; "" where they can."""
    if start["classes"] != paper.CLASSES or start["images"] != OFFICIAL_COUNTS:
        return OTHER_IMAGES
    recipe = start["recipe"]
    return "" if recipe["variant"] in ("paper", "run145") and recipe["narrow"] == 1 else SMALLER


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
