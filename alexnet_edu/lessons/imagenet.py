"""Lesson 06, the full training: what it costs by arithmetic, and what a long training needs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from alexnet_edu import paper
from alexnet_edu.data.images import ImageSet
from alexnet_edu.imagenet.cost import DAY, DEVICES, TRAINING_IMAGES, operations, seconds
from alexnet_edu.imagenet.cost import operations_per_image as operations_per_image
from alexnet_edu.imagenet.recipe import Recipe
from alexnet_edu.model.architecture import variant
from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing, choice, explores, slider
from alexnet_edu.show.plots import BLUE, GREEN, NEUTRAL, ORANGE, PINK, Style, frame, level, note
from alexnet_edu.training.schedules import LOGGED

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
    frame(ax, "", "days, by arithmetic", legend="below", ncols=2)
    first, *_, last = (f"{in_words(max(took, reading))} on {name}" for name, took in days.items())
    plots.heading(figure, f"At {share:.0%} of the peak, {paper.EPOCHS} epochs take {first} and {last}")
    times = ", ".join(f"{name} {in_words(max(took, reading))}" for name, took in days.items())
    late = [name for name, took in days.items() if reading > took]
    waits = f"; reading the images sets the pace for {', '.join(late)}" if late else ""
    alt = f"{paper.EPOCHS} epochs by arithmetic, {KINDS[kind]}, at {share:.0%} of the peak: {times}"
    return figure, f"{alt}; images read per second: {FEEDS[feed]}{waits}"


def draw_days(ax: Axes, days: Mapping[str, float], reading: float, published: tuple[float, float]) -> None:
    """A mark for each machine, on a logarithmic axis of days, with its time in words.

    days: by arithmetic. reading: days that reading the images takes, as a line unless it is 0; a machine
    that waits for it has a line up to there. published: the range of days that the paper states, as a band.
    """
    took = [max(value, reading) for value in days.values()]
    for place, (value, end) in enumerate(zip(days.values(), took, strict=True)):
        ax.plot([value, end], [place] * 2, color=ORANGE)
        ax.plot(value, place, "o", color=BLUE, markersize=8)
        note(ax, in_words(end), (end, place), (8, 0), va="center", bbox=plots.BEHIND_WORDS)
    plots.rows(ax, list(days))
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


# --- the training of 2012, and what a long training needs -------------------------------------------

RATES = {
    "weights": Style(BLUE, "-", "", "weights of the other layers"),
    "conv1": Style(ORANGE, "--", "", "weights of conv1"),
    "biases": Style(GREEN, "-.", "", "biases"),
}


def schedule_2012() -> Drawing:
    """Learning rates of run 145 over its epochs, from the notes at the end of its parameter file."""
    log = LOGGED["145"]
    recipe, epochs = Recipe(schedule="run145", epochs=log.stop), [e / 4 for e in range(4 * int(log.stop))]
    rates = [recipe.rates(epoch, []) for epoch in epochs]
    figure, ((ax,),) = plots.panels(1, 1, height=3.6)
    for name, style in RATES.items():
        values = [getattr(rate, name) or math.nan for rate in rates]  # a rate of 0 ends the line
        ax.step(epochs, values, where="post", linewidth=1.8, **style.kwargs())
    ax.set_yscale("log")
    for drop in log.drops:
        note(ax, f"epoch {drop:g}", (drop, 0.03), ha="center", color=NEUTRAL)
    frame(ax, "", "epoch", "learning rate ε", grid="y", legend="lower left")
    ax.set_ylim(top=0.06)
    whole = sum(paper.TRAINING_DAYS) / 2
    to_days = whole / log.stop
    days = ax.secondary_xaxis("top", (lambda x: np.multiply(x, to_days), lambda x: np.divide(x, to_days)))
    days.set_xlabel(f"days, if {whole:g} in all")
    frozen = next(e for e, rate in zip(epochs, rates, strict=True) if rate.conv1 == 0)
    return figure, (
        f"Run 145, as its notes say: the rate falls {len(log.drops)} times in {log.stop:g} epochs, conv1 is "
        f"frozen from {frozen:g}, the biases keep {rates[-1].biases:g}."
    )


def false_falls(
    errors: Sequence[float],
    sets: Mapping[int, Sequence[Sequence[float]]],
    fell: Mapping[int, int],
    images: ImageSet,
    guess: float | None = None,
) -> Drawing:
    """The rule of §5 with few validation images.

    errors: of all validation images (0–1), after each epoch. sets: size -> the same of each set of so many
    images. fell: size -> on how many of them the rate fell. guess: of the second size, drawn as a line.
    """
    asked, draws, epochs = list(sets)[1], len(next(iter(sets.values()))), range(1, len(errors) + 1)
    figure, ((left, right),) = plots.panels(1, 2, height=3.4)
    for curve in sets[asked]:
        left.plot(epochs, curve, color=NEUTRAL, linewidth=0.6, alpha=0.7)
    left.plot([], [], color=NEUTRAL, linewidth=0.6, label=f"sets of {asked}")
    left.plot(epochs, errors, color=BLUE, linewidth=2.5, label="all images")
    frame(left, "", "epochs", "validation error", percent="y", legend="upper right")
    words = [f"{count} of {draws}" for count in fell.values()]
    plots.bars(right, {f"{size:,} images": count for size, count in fell.items()}, words=words)
    if guess is not None:
        right.axvline(guess, color=PINK, linestyle=":", linewidth=2.5)
        note(right, f"your guess: {guess:g}", (guess, len(fell) - 0.5), (4, 0), color=PINK)
    right.set_xlim(0, 1.2 * draws)
    right.set_xticks(range(0, draws + 1, 5))
    frame(right, "", "sets on which the rate fell")
    size, count = list(fell.items())[-1]
    return figure, (
        f"No plateau in sight, yet the rule lowers the rate on {fell[asked]} of {draws} sets of "
        f"{asked:,} images; with {size:,}, on {count or 'none'}.{images.caveat}"
    )


def resumed(
    whole: Sequence[float], killed: Sequence[float], at: int, same: bool, images: ImageSet
) -> Drawing:
    """Validation errors (0–1) after each epoch of a training, and of the same one killed after epoch `at`."""
    figure, ((ax,),) = plots.panels(1, 1, height=3.2)
    epochs = range(1, len(whole) + 1)
    ax.plot(epochs, whole, color=BLUE, linewidth=2.5, label="never stopped")
    marks = {"before it was killed": slice(0, at), "resumed from its file": slice(at, None)}
    for (name, part), mark in zip(marks.items(), ("s", "o"), strict=True):
        ax.plot(epochs[part], killed[part], mark, color=ORANGE, fillstyle="none", label=name)
    level(ax, at + 0.5, "killed", axis="x")
    frame(ax, "", "epochs", "validation error", percent="y", legend="upper right")
    ends = "the same weights, bit for bit" if same else "other weights"
    return figure, (
        f"Killed after epoch {at} and resumed, it ends with {ends}: "
        f"{killed[-1]:.1%} validation error, {whole[-1]:.1%} if never stopped.{images.caveat}"
    )
