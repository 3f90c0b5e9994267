"""Lesson 10, SGD and initialization: velocities, schedules, noise, and the clinic's table of fates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing, PictureWidget, choice, explorer, slider
from alexnet_edu.show.plots import BLUE, NEUTRAL, ORANGE, YELLOW, frame, short
from alexnet_edu.studies import clinic
from alexnet_edu.studies.record import Record
from alexnet_edu.training.schedules import LOGGED, LoggedSchedule, PlateauSchedule

# Face, letter colour and word of a fate: told apart by light, by colour and by the word.
FATES = {
    "learns": (BLUE, "white"),
    "stands still": ("#E3EEF7", "black"),
    "explodes": (YELLOW, "black"),
}
LENGTHS = (5, 10, 12, 20, 30, 45, 60, 90)  # epochs into which a schedule can be compressed
PATIENCE = (1, 2, 3, 4, 5)
MARGINS = {m: f"{100 * m:g} points" for m in (0.0, 0.001, 0.002, 0.005, 0.01)}
POINTS = 400  # of a schedule's line
CONSTANT, PLATEAU = "constant", "plateau"
KINDS = {name: f"run {name} (2012)" for name in LOGGED}
KINDS |= {PLATEAU: "when the validation error stalls (§5)", CONSTANT: "never"}
VARIANTS = {CONSTANT: CONSTANT, PLATEAU: PLATEAU, "145-2010": "logged"}  # of the study "schedule", by kind

# --- pictures --------------------------------------------------------------------------------


def draw_lines(
    ax: Axes,
    x: Sequence[float],
    series: Mapping[str, Sequence[float]],
    labels: tuple[str, str],
    title: str = "",
    *,
    markers: bool = False,
    log: bool = False,
) -> None:
    """Series over one x axis: name -> values, as many as x or fewer.

    labels: of the x axis and of the y axis, with their units. log: a logarithmic y axis.
    """
    plots.lines(ax, {name: (x[: len(y)], y) for name, y in series.items()}, markers=markers)
    if log:
        ax.set_yscale("log")
    frame(ax, title, *labels, grid="xy", legend="best")


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
    frame(ax, percent="y", grid="xy", legend="best")


def draw_fates(
    ax: Axes,
    rows: Sequence[str],
    columns: Sequence[str],
    fates: Sequence[Sequence[str]],
    words: Sequence[Sequence[str]],
) -> None:
    """A table of fates: one cell per setting, its face the fate, a few words below it.

    fates: rows × columns, keys of FATES; words: as many, "" for none.
    """
    for i, row in enumerate(fates):
        for j, fate in enumerate(row):
            face, ink = FATES[fate]
            ax.add_patch(Rectangle((j, i), 1, 1, facecolor=face, edgecolor="white", linewidth=2))
            text = f"{fate}\n{words[i][j]}".strip()
            ax.text(j + 0.5, i + 0.5, text, ha="center", va="center", color=ink, fontsize=8.5)
    ax.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
    ax.set_xticks([j + 0.5 for j in range(len(columns))], columns)
    ax.set_yticks([i + 0.5 for i in range(len(rows))], rows)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def draw_noise(ax: Axes, sizes: Sequence[float], noise: Sequence[float], whole: float, marked: float) -> None:
    """The noise of the batch's gradient against the batch size, with the law 1/√B through the first point.

    noise: relative to the length of the mean gradient. whole: size of the whole set; marked: the size
    that the paper takes.
    """
    ax.plot(sizes, noise, "o", color=BLUE, label="measured")
    law = [noise[0] * (sizes[0] / size) ** 0.5 for size in sizes]
    ax.plot(sizes, law, color=ORANGE, linestyle="--", label="∝ 1/√B")
    ax.axvline(marked, color=NEUTRAL, linestyle=":", label=f"B = {marked:g} (§5)")
    plots.level(ax, 1, line="-")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(sizes, [f"{size:g}" for size in sizes])
    x, y = f"images in a batch, B (of {whole:,.0f})", "noise / length of the mean gradient"
    frame(ax, "", x, y, grid="xy", legend="best")


# --- schedules -------------------------------------------------------------------------------


def schedule_explorer(record: Record | None = None, **start: Any) -> PictureWidget:
    """The learning rate over the epochs, and under it what a recorded network made of it.

    record: that of the study "schedule", where there is one; §5's rule is applied to its validation errors of
    the constant rate.
    """

    def draw(
        epochs: int = slider("Epochs", LENGTHS, 12, "length of the training"),
        kind: str = choice("The rate falls", KINDS, "145-2010", "which schedule is drawn"),
        patience: int = slider("Patience", PATIENCE, 2, "epochs without a new best, of §5's rule"),
        margin: float = slider("Margin", MARGINS, 0.0, "by how much a new best must be better, of §5's rule"),
    ) -> Drawing:
        return _draw_run(record, epochs, kind, PlateauSchedule(patience, margin))

    return explorer(draw, **start)


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
        falls = [epochs[fall - 1] for fall in PlateauSchedule().falls(list(errors[0]))]
        title += " (falls of the first)"
    elif kind in LOGGED:
        falls = LOGGED[kind].compressed(math.ceil(epochs[-1])).drops
    draw_validation(ax, epochs, errors, falls)
    frame(ax, title, "epoch", "validation error")


# --- the clinic ------------------------------------------------------------------------------


def clinic_explorer(record: clinic.Clinic, **start: Any) -> PictureWidget:
    """One setting of the recorded clinic: the scale in every layer, the losses, and the reason."""

    def draw(
        inputs: str = choice("Inputs", clinic.INPUTS, "raw", "inputs"),
        init: str = choice("Weights", clinic.INITS, "paper", "init"),
        biases: str = choice("Biases", clinic.BIASES, "ones", "biases"),
        rule: str = choice("Rule", clinic.RULES, "sgd", "rule"),
    ) -> Drawing:
        return _draw_setting(record, clinic.Setting(inputs, init, biases, rule))

    return explorer(draw, **start)


def _draw_setting(record: clinic.Clinic, setting: clinic.Setting) -> Drawing:
    layers, cell = {layer.name: layer for layer in record.full[setting].layers}, record.narrow[setting]
    figure, ((left, right),) = plots.panels(1, 2, height=4.0)
    output, signal = [layer.output for layer in layers.values()], [layer.signal for layer in layers.values()]
    scales = {"all of Wx + b": output, "what differs between images": signal}
    title = "the paper's size, before the first step"
    draw_lines(left, range(len(layers)), scales, ("", "root mean square"), title, markers=True, log=True)
    left.set_ylim(min(*signal, 1e-2) / 3, max(*output, 1.0) * 30)
    left.set_xticks(range(len(layers)), list(layers))
    _draw_losses(right, [loss if math.isfinite(loss) else clinic.EXPLODED for loss in cell.losses])
    title = f"{record.divisor} times narrower, ten images (recorded)"
    frame(right, title, "step", "loss (nats)", grid="xy")
    verdict = f"{cell.fate}: {cell.reason}"
    note = " (SYNTHETIC images)" if record.provenance["data"]["synthetic"] else ""
    plots.heading(figure, verdict + note)
    by_layer = ", ".join(f"{name} {short(s)}" for name, s in zip(layers, signal, strict=True))
    return figure, f"{setting.words()}. {verdict}. What differs between images, by layer: {by_layer}{note}"


def _draw_losses(ax: Axes, losses: Sequence[float]) -> None:
    """The loss before each step, and the line of a network that cannot tell the images apart."""
    chance = math.log(clinic.CLASSES)
    ax.plot(losses, color=BLUE, marker="o", markersize=3, label="loss")
    ax.axhline(chance, color=NEUTRAL, linestyle="--", linewidth=1.2, label="chance: ln 10 = 2.303")
    if max(losses) > 6 * chance:
        ax.set_yscale("symlog", linthresh=chance)
    ax.set_ylim(bottom=0)
    ax.legend()
