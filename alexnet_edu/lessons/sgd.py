"""Lesson 10b, the update rule: velocities, noise, schedules, and weight decay."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from alexnet_edu import paper
from alexnet_edu.data.images import Images
from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing, PictureWidget, choice, explorer, slider
from alexnet_edu.show.plots import BLUE, NEUTRAL, ORANGE, frame
from alexnet_edu.studies.ablations import STUDIES
from alexnet_edu.studies.record import Record
from alexnet_edu.training.schedules import LOGGED, LoggedSchedule, PlateauSchedule

LENGTHS = (5, 10, 12, 20, 30, 45, 60, 93)  # epochs into which a schedule can be compressed
PATIENCE = (1, 2, 3, 4, 5)
MARGINS = {m: f"{100 * m:g} points" for m in (0.0, 0.001, 0.002, 0.005, 0.01)}
POINTS = 400  # of a schedule's line
CONSTANT, PLATEAU = "constant", "plateau"
KINDS = {name: f"run {name} (2012)" for name in LOGGED}
KINDS |= {PLATEAU: "when the validation error stalls (§5)", CONSTANT: "never"}
VARIANTS = {CONSTANT: CONSTANT, PLATEAU: PLATEAU, "145-2010": "logged"}  # of the study "schedule", by kind

# --- the update rule -------------------------------------------------------------------------


def coasting(distances: Mapping[str, Sequence[float]], guess: float | None = None) -> Drawing:
    """How far an old velocity still carries the weights: form of the rule -> distance after 0, 1, 2 … steps.

    guess: of the distance in the paper's form, drawn as a line.
    """
    figure, ((ax,),) = plots.panels(1, 1, height=3.4)
    steps = range(max(map(len, distances.values())))
    plots.lines(ax, {name: (steps, values) for name, values in distances.items()}, markers=False)
    for (name, values), line in zip(distances.items(), ax.lines, strict=True):
        plots.note(ax, name, (steps[-1], values[-1]), (0, -14), ha="right", color=line.get_color())
    frame(ax, x="steps after ε fell to a tenth", y="distance so far\n(in old velocities)", grid="xy")
    if guess is not None:
        ax.axhline(guess, color=plots.PINK, linestyle=":", linewidth=2.5)
        plots.note(ax, f"your guess: {guess:g}", (steps[-1] / 2, guess), (0, 4))
    ends = ", ".join(f"{values[-1]:.1f} times its size in {name}" for name, values in distances.items())
    return figure, f"After a drop of ε an old velocity still carries the weights {ends}."


def noise(sizes: Sequence[int], ratios: Sequence[float], images: Images) -> Drawing:
    """The noise of a batch's gradient, over the length of the mean gradient, against the batch size."""
    figure, ((ax,),) = plots.panels(1, 1, height=3.4)
    ax.plot(sizes, ratios, "o", color=BLUE, markersize=8, label="measured")
    law = [ratios[0] * (sizes[0] / size) ** 0.5 for size in sizes]
    ax.plot(sizes, law, color=ORANGE, linestyle="--", label="∝ 1/√B")
    plots.level(ax, 1, line="-")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log", base=2)
    ax.set_xticks(sizes, [f"{size:g}" for size in sizes])
    ax.yaxis.set_major_formatter("{x:g}")
    words = "length of the noise /\nlength of the gradient"
    frame(ax, "", "images in a batch, B", words, legend="upper right")
    at = dict(zip(sizes, ratios, strict=True))[paper.BATCH_SIZE]
    return figure, (
        f"With B = {paper.BATCH_SIZE} the noise is {at:.1f} times as long as the gradient; it falls as 1/√B."
        f"{images.caveat}"
    )


def cliff(errors: Mapping[str, Sequence[float]], fork: int, images: Images) -> Drawing:
    """Training errors of batches, smoothed: name -> errors (0–1); all go the same way up to step `fork`."""
    figure, ((ax,),) = plots.panels(1, 1, height=3.6)
    window, ends = min(40, fork), {}
    for (name, values), style in zip(errors.items(), plots.SERIES[1:], strict=False):
        smooth = np.convolve(values, np.ones(window) / window, "valid")
        ax.plot(np.arange(len(smooth)) + window, smooth, **(style.kwargs() | {"label": name, "linewidth": 2}))
        ends[name] = smooth[-1]
    ax.axvline(fork, color=NEUTRAL, linestyle=":")
    frame(ax, x="batches of 128", y="training error", percent="y", legend="upper right")
    first, second = ends.items()
    return figure, (
        f"The same network from batch {fork} on: {first[0]}, {first[1]:.0%} training error; "
        f"{second[0]}, {second[1]:.0%}.{images.caveat}"
    )


def schedules(record: Record) -> Drawing:
    """Validation errors of the study "schedule", seed by seed, and where the logged rate fell."""
    figure, ((ax,),) = plots.panels(1, 1, height=4.2)
    last = {}
    for name, style in zip(record.variants, (plots.SERIES[0], plots.SERIES[1], plots.SERIES[2]), strict=True):
        part = record.of(variant=name)
        title = part.runs["title"].iloc[0]
        for seed, curve in part.curves.groupby("seed"):
            label = title if seed == 1 else None
            look = style.kwargs() | {"label": label, "linewidth": 1.1}
            ax.plot(curve["epoch"], curve["validation_error"], **look)
        last[name] = float(np.mean(part.values(name, "validation_error")))
    for drop in LOGGED["145-2010"].drops:
        ax.axvline(drop, color=NEUTRAL, linewidth=0.6, linestyle=":")
    frame(ax, x="epochs", y="validation error", percent="y")
    ax.legend(loc="upper right", frameon=True, facecolor="white", edgecolor="none", framealpha=1)
    return figure, (
        f"Validation error at the end: {last['constant']:.1%} if the rate never falls, {last['plateau']:.1%} "
        f"by §5's rule, {last['logged']:.1%} with the drops of run 145-2010 (recorded, two seeds)."
    )


def decay(record: Record) -> Drawing:
    """Training errors of the study "decay", without and with weight decay; a line joins a seed's two."""
    figure, (axes,) = plots.panels(1, len(record.shared_rates()), height=2.8, sharex=True)
    gaps = []
    for ax, rate in zip(axes, record.shared_rates(), strict=True):
        same = record.at_rate(rate)
        plots.last_errors(ax, same.runs, "train_error", f"ε = {rate:g}")
        pairs = [same.values(name, "train_error") for name in ("0", "0.0005")]
        ax.plot(pairs, [0, 1], color=NEUTRAL, linewidth=0.6, zorder=0)
        gap = same.paired_gap("0.0005", "0", "train_error")
        gaps.append(f"{gap.signed} points at ε = {rate:g}")
    return figure, f"Weight decay changes the training error by {', '.join(gaps)} (paired by seed, recorded)."


# --- schedules -------------------------------------------------------------------------------


def draw_schedule(ax: Axes, chosen: LoggedSchedule, epochs: float) -> None:
    """Learning rates over the epochs, as steps; conv1 lies over the weights until it parts from them."""
    places = [epochs * i / POINTS for i in range(POINTS)]
    conv1 = [chosen.conv1_at(epoch) for epoch in places]
    look: dict[str, Any] = {"where": "post", "linewidth": 2.4}
    ax.step(places, [chosen.at(epoch) for epoch in places], color=BLUE, label="ε of all weights", **look)
    moving = [rate or math.nan for rate in conv1]  # a rate of 0 has no logarithm
    look |= {"color": ORANGE, "linewidth": 1.6}
    ax.step(places, moving, linestyle="--", label="ε of conv1", **look)
    if 0 in conv1:
        frozen = conv1.index(0)
        ax.plot(places[frozen], conv1[frozen - 1], "X", color=ORANGE, markersize=9, label="conv1 frozen")
    if chosen.noise_off is not None:
        ax.axvline(chosen.noise_off, color=NEUTRAL, linestyle=":", linewidth=1.4, label="colour noise off")
    ax.set_yscale("log")
    ax.set_ylim(chosen.at(places[-1]) / 30, chosen.at(0) * 3)
    ax.set_xlim(0, epochs)
    ax.grid()
    ax.legend(ncols=2, loc="lower left")


def draw_validation(
    ax: Axes, epochs: Sequence[float], runs: Sequence[Sequence[float]], falls: Sequence[float]
) -> None:
    """Validation errors (0–1) of each seed, with a line where the rate fell."""
    ax.plot(epochs, np.transpose(runs), color=BLUE, alpha=0.7, marker="o", markersize=3, linewidth=1.2)
    ax.lines[0].set_label("one line per seed")
    for place, fall in enumerate(falls):
        label = None if place else "the rate falls"
        ax.axvline(fall, color=ORANGE, linestyle="--", linewidth=1.2, label=label)
    ax.set_xlim(0, epochs[-1])
    frame(ax, percent="y", grid="xy", legend="best")


def schedule_explorer(record: Record | None = None, **options: Any) -> PictureWidget:
    """The learning rate over the epochs, and under it what a recorded network made of it.

    record: that of the study "schedule", where there is one; §5's rule is applied to its validation errors of
    the constant rate.
    """

    def draw(
        epochs: int = slider("Epochs", LENGTHS, 93, "length of the training"),
        kind: str = choice("The rate falls", KINDS, "145-2010", "which schedule is drawn"),
        patience: int = slider("Patience", PATIENCE, 5, "epochs without a new best, of §5's rule"),
        margin: float = slider("Margin", MARGINS, 0.0, "by how much a new best must be better, of §5's rule"),
    ) -> Drawing:
        return _draw_run(record, epochs, kind, PlateauSchedule(patience, margin))

    return explorer(draw, **options)


def _draw_run(record: Record | None, epochs: int, kind: str, rule: PlateauSchedule) -> Drawing:
    curves = dict(list(record.curves.groupby("variant"))) if record else {}
    judged, curve = curves.get(CONSTANT), curves.get(VARIANTS.get(kind, ""))
    chosen = _schedule(kind, epochs, judged, rule)
    title = _title(kind, epochs, rule, judged is not None)
    figure, (above, *below) = plots.panels(1 if curve is None else 2, 1, height=3.6 if curve is None else 6.0)
    draw_schedule(above[0], chosen, epochs)
    frame(above[0], "", "epoch", "learning rate ε")
    under = ""
    if curve is not None:
        _draw_curve(below[0][0], curve, kind)
        under = f"; under it the recorded network of the variant {curve['title'].iloc[0]!r}"
    plots.heading(figure, title)
    return figure, f"{title}; {_facts(chosen)}{under}"


def _schedule(kind: str, epochs: float, judged: pd.DataFrame | None, rule: PlateauSchedule) -> LoggedSchedule:
    """The schedule of a kind over so many epochs. judged: whose validation errors the rule judges."""
    if kind in LOGGED:
        return LOGGED[kind].compressed(epochs)
    drops: tuple[float, ...] = ()
    if kind == PLATEAU and judged is not None:
        first = judged[judged["seed"] == 1]
        at, falls = list(first["epoch"]), rule.falls(list(first["validation_error"]))
        drops = tuple(at[fall - 1] * epochs / at[-1] for fall in falls)
    return LoggedSchedule(kind, drops, epochs, "")


def _title(kind: str, epochs: int, rule: PlateauSchedule, recorded: bool) -> str:
    if kind in LOGGED:
        return f"Run {kind}: its {LOGGED[kind].stop:g} epochs in {epochs} epochs"
    if kind == CONSTANT:
        return f"The rate never falls, {epochs} epochs"
    if not recorded:
        return f"§5's rule, {epochs} epochs: no validation errors are recorded that it could judge"
    when = f"patience {rule.patience}, margin {100 * rule.margin:g} points"
    return f"§5's rule, {when}, on the errors of a constant rate, in {epochs} epochs"


def _facts(chosen: LoggedSchedule) -> str:
    drops = ", ".join(f"{d:.3g}" for d in chosen.drops) or "no epoch"
    facts = [f"the rate starts at {chosen.rate:g} and is divided by ten at {drops}"]
    if chosen.conv1_slower is not None and chosen.conv1_frozen is not None:
        facts.append(
            f"conv1 ten times slower from {chosen.conv1_slower:.3g}, frozen from {chosen.conv1_frozen:.3g}"
        )
    if chosen.noise_off is not None:
        facts.append(f"colour noise off from {chosen.noise_off:.3g}")
    return "; ".join(facts)


def _draw_curve(ax: Axes, curves: pd.DataFrame, kind: str) -> None:
    ((title, (epochs, errors)),) = plots.per_seed(curves, "epoch", "validation_error").items()
    falls: Sequence[float] = ()
    title = f"recorded: {title}, {len(errors)} seeds"
    if kind == PLATEAU:  # as it was run: by the rule as the study has it
        rule = dict(STUDIES["schedule"].variant("plateau").changes)["plateau"]
        falls = [epochs[fall - 1] for fall in rule.falls(list(errors[0]))]
        title += " (falls of the first)"
    elif kind in LOGGED:
        falls = LOGGED[kind].compressed(math.ceil(epochs[-1])).drops
    draw_validation(ax, epochs, errors, falls)
    frame(ax, title, "epoch", "validation error")
