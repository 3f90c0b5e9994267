"""Two explorers of notebook 10: when the learning rate falls, and the table of the clinic.

Nothing is trained here. The clinic and the curves under the schedules come from records.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from alexnet_edu.lessons import sgd as sgd_plots
from alexnet_edu.show.explorer import PictureWidget, choice, slider
from alexnet_edu.show.plots import FONT_SIZE, label_axes, short, widget_axes
from alexnet_edu.studies import clinic
from alexnet_edu.training.schedules import LOGGED, LoggedSchedule, PlateauSchedule

LENGTHS = (5, 10, 12, 20, 30, 45, 60, 90)  # epochs into which a schedule can be compressed
PATIENCE = (1, 2, 3, 4, 5)
MARGINS = (0.0, 0.001, 0.002, 0.005, 0.01)
POINTS = 400  # of a schedule's line
CONSTANT, PLATEAU = "constant", "plateau"

# --- schedules -------------------------------------------------------------------------------


def schedule_explorer(
    cells: Sequence[Mapping[str, Any]] = (),
    *,
    epochs: int = 12,
    kind: str = "145-2010",
    patience: int = 2,
    margin: float = 0.0,
) -> PictureWidget:
    """The learning rate over the epochs, and under it what a recorded network made of it.

    cells: those of the record of the study "schedule", where there is one; each of their runs holds a
    curve of "validation_error". epochs: one of LENGTHS. kind: a key of `LOGGED`, "constant", or
    "plateau", the rule of §5 applied to the recorded validation errors of the constant rate.
    patience, margin: of that rule, of PATIENCE and MARGINS; the logged schedules do not have them.
    These are where the controls start; a value that is no option raises ipywidgets' TraitError.
    """
    kinds = [(f"run {name} (2012)", name) for name in LOGGED]
    kinds += [("when the validation error stalls (§5)", PLATEAU), ("never", CONSTANT)]
    controls = {
        "epochs": slider("Epochs", [(str(e), e) for e in LENGTHS], epochs, "length of the training"),
        "kind": choice("The rate falls", kinds, kind, "which schedule is drawn"),
        "patience": slider(
            "Patience", [(str(p), p) for p in PATIENCE], patience, "epochs without a new best, of §5's rule"
        ),
        "margin": slider(
            "Margin",
            [(f"{100 * m:g} points", m) for m in MARGINS],
            margin,
            "by how much a new best must be better, of §5's rule",
        ),
    }

    def draw(epochs: int, kind: str, patience: int, margin: float) -> tuple[Figure, str]:
        return _draw_schedule(cells, epochs, kind, PlateauSchedule(patience, margin))

    return PictureWidget(controls, draw)


def _draw_schedule(
    cells: Sequence[Mapping[str, Any]], epochs: int, kind: str, rule: PlateauSchedule
) -> tuple[Figure, str]:
    judged = next((cell for cell in cells if cell["variant"] == CONSTANT), None)
    chosen = _schedule(kind, epochs, judged, rule)
    cell = next((c for c in cells if c["variant"] == _variant(kind)), None)
    figure, rows = widget_axes(2 if cell else 1, 1, height=6.0 if cell else 3.6)
    places = [epochs * i / POINTS for i in range(POINTS)]
    weights, conv1 = [chosen.at(e) for e in places], [chosen.conv1_at(e) for e in places]
    sgd_plots.draw_schedule(rows[0][0], places, weights, conv1, chosen.noise_off)
    title = _title(kind, epochs, chosen, rule, judged)
    label_axes(rows[0][0], title, "epoch", "learning rate ε")
    rows[0][0].set_xlim(0, epochs)
    if cell:
        _draw_curve(rows[1][0], cell, kind, rule)
    figure.subplots_adjust(left=0.09, right=0.97, top=0.92, bottom=0.09 if cell else 0.16, hspace=0.42)
    under = f"; under it the recorded network of the variant {cell['title']!r}" if cell else ""
    return figure, f"{title}; {_facts(chosen)}{under}"


def _schedule(
    kind: str, epochs: float, judged: Mapping[str, Any] | None, rule: PlateauSchedule
) -> LoggedSchedule:
    """The schedule of a kind over so many epochs."""
    if kind in LOGGED:
        return LOGGED[kind].compressed(epochs)
    drops: tuple[float, ...] = ()
    if kind == PLATEAU and judged is not None:
        curve = judged["runs"][0]["curve"]
        whole = curve["epoch"][-1]
        falls = rule.falls(curve["validation_error"])
        drops = tuple(curve["epoch"][fall - 1] * epochs / whole for fall in falls)
    return LoggedSchedule(kind, drops, epochs, "")


def _variant(kind: str) -> str:
    """The variant of the study "schedule" whose curve belongs under a kind."""
    return {CONSTANT: CONSTANT, PLATEAU: PLATEAU, "145-2010": "logged"}.get(kind, "")


def _title(
    kind: str, epochs: int, chosen: LoggedSchedule, rule: PlateauSchedule, judged: Mapping[str, Any] | None
) -> str:
    if kind in LOGGED:
        whole = LOGGED[kind]
        return f"Run {kind}: its {whole.stop:g} epochs in {epochs} epochs"
    if kind == CONSTANT:
        return f"The rate never falls, {epochs} epochs"
    if judged is None:
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


def _draw_curve(ax: Any, cell: Mapping[str, Any], kind: str, rule: PlateauSchedule) -> None:
    curves = [run["curve"] for run in cell["runs"]]
    epochs, errors = curves[0]["epoch"], [curve["validation_error"] for curve in curves]
    falls: Sequence[float] = ()
    if kind == PLATEAU:  # as it was run: by the rule as the study has it
        falls = [epochs[f - 1] for f in PlateauSchedule().falls(errors[0])]
    elif kind in LOGGED:
        falls = LOGGED[kind].compressed(math.ceil(epochs[-1])).drops
    sgd_plots.draw_validation(ax, epochs, errors, falls)
    words = f"recorded: {cell['title']}, {len(curves)} seeds"
    label_axes(ax, words + (" (falls of the first)" if kind == PLATEAU else ""), "epoch", "validation error")


# --- the clinic ------------------------------------------------------------------------------


def clinic_explorer(record: clinic.Clinic, setting: clinic.Setting | None = None) -> PictureWidget:
    """One setting of the recorded clinic: the scale in every layer, the losses, and the reason.

    record: as `clinic.load_record` gives it. setting: where the controls start; the paper's, if None.
    """
    start = setting or clinic.Setting()
    labels = {"inputs": "Inputs", "init": "Weights", "biases": "Biases", "rule": "Rule"}
    controls = {
        name: choice(labels[name], [(w, key) for key, w in known.items()], getattr(start, name), name)
        for name, known in clinic.WORDS.items()
    }

    def draw(inputs: str, init: str, biases: str, rule: str) -> tuple[Figure, str]:
        return _draw_setting(record, clinic.Setting(inputs, init, biases, rule))

    return PictureWidget(controls, draw)


def _draw_setting(record: clinic.Clinic, setting: clinic.Setting) -> tuple[Figure, str]:
    layers, cell = record.full[setting].layers, record.narrow[setting]
    figure, ((left, right),) = widget_axes(1, 2, height=4.0)
    names, signal = [layer.name for layer in layers], [layer.signal for layer in layers]
    sgd_plots.draw_scales(left, names, [layer.output for layer in layers], signal)
    label_axes(left, "the paper's size, before the first step", "", "root mean square")
    losses = [loss if math.isfinite(loss) else clinic.EXPLODED for loss in cell.losses]
    sgd_plots.draw_losses(right, losses, math.log(clinic.CLASSES))
    label_axes(right, f"{record.divisor} times narrower, ten images (recorded)", "step", "loss (nats)")
    verdict = f"{cell.fate}: {cell.reason}"
    note = " (SYNTHETIC images)" if record.provenance["data"]["synthetic"] else ""
    figure.suptitle(verdict + note, fontsize=FONT_SIZE, x=0.02, ha="left")
    figure.subplots_adjust(left=0.085, right=0.98, top=0.84, bottom=0.13, wspace=0.22)
    scales = ", ".join(f"{n} {short(s)}" for n, s in zip(names, signal, strict=True))
    return figure, f"{setting.words()}. {verdict}. What differs between images, by layer: {scales}{note}"
