"""Lesson 10, initialization: what arrives in each layer, and the clinic's table of fates."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from alexnet_edu import paper
from alexnet_edu.data.images import Images
from alexnet_edu.model.architecture import fan_ins, variant
from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing, PictureWidget, choice, explorer
from alexnet_edu.show.plots import BLUE, NEUTRAL, SKY, YELLOW, frame, short
from alexnet_edu.studies import clinic
from alexnet_edu.studies.record import Record

# Face, letter colour and word of a fate: told apart by light, by colour and by the word.
FATES = {
    "learns": (BLUE, "white"),
    "learns, then leaps": (SKY, "black"),
    "stands still": ("#E3EEF7", "black"),
    "explodes": (YELLOW, "black"),
}

# --- pictures ---------------------------------------------------------------------------------

CHANCE = math.log(clinic.CLASSES)
FAN_IN_CONV1 = fan_ins(variant("paper"))["conv1"]
INPUT_STYLES = dict(zip(clinic.INPUTS, (plots.SERIES[1], plots.SERIES[2], plots.SERIES[3]), strict=True))


def three_inputs(record: clinic.Clinic) -> Drawing:
    """The recorded losses of the paper's start on three scales of the pixels, ten images by heart."""
    figure, ((ax,),) = plots.panels(1, 1, height=3.8)
    for inputs, style in INPUT_STYLES.items():
        losses = record.narrow[clinic.Setting(inputs)].losses
        label = f"pixels {clinic.INPUTS[inputs]}"
        ax.plot(losses, **(style.kwargs() | {"label": label, "linewidth": 2}))
    plots.level(ax, CHANCE, "chance: ln 10", line="--")
    frame(ax, x="steps of SGD, ε = 0.01", y="loss (nats)", legend="lower left")
    ax.set_yscale("log")
    ax.set_yticks([0.1, 1, 10], ["0.1", "1", "10"])
    return figure, (
        "The paper's weights and biases learn ten images from raw pixels only; from the pixels of today's "
        f"data loaders they learn nothing ({record.divisor} times narrower network, recorded)."
    )


def signal_by_layer(
    record: clinic.Clinic, theory: Callable[[float], Mapping[str, float]], guess: float | None = None
) -> Drawing:
    """What differs between ten images in each layer before the first step: measured, and by theory.

    theory: root mean square of what differs between pixels -> the same of each layer's output, before ReLU.
    guess: of the difference in the logits, drawn at fc8.
    """
    figure, ((ax,),) = plots.panels(1, 1, height=4)
    last = {}
    for inputs in ("raw", "unit"):
        layers, style = record.full[clinic.Setting(inputs)].layers, INPUT_STYLES[inputs]
        names, measured = [layer.name for layer in layers], [layer.signal for layer in layers]
        predicted = list(theory(measured[0] / (FAN_IN_CONV1**0.5 * paper.INIT_STD)).values())
        label = f"pixels {clinic.INPUTS[inputs]}"
        ax.plot(measured, style.marker, color=style.color, markersize=8, label=f"{label}: measured")
        ax.plot(predicted, color=style.color, linestyle=style.line, label=f"{label}: theory")
        last[inputs] = measured[-1], predicted[-1]
    if guess is not None:
        ax.plot([6.6, 7.4], [guess, guess], ":", color=plots.PINK, linewidth=2.5)
        plots.note(ax, f"your guess: {guess:g}", (6.6, guess), (-4, 0), ha="right", va="center")
    ax.set_yscale("log")
    ax.set_xticks(range(len(names)), names)
    frame(ax, y="root mean square of what differs\nbetween ten images, in Wx + b", legend="lower left")
    return figure, (
        f"From raw pixels a difference of {short(last['raw'][0])} reaches the logits (theory: "
        f"{short(last['raw'][1])}), from pixels of 0–1 one of {short(last['unit'][0])} (theory: "
        f"{short(last['unit'][1])}); the paper's size, recorded."
    )


def patient(losses: Mapping[str, Sequence[float]], images: Images) -> Drawing:
    """Losses before each step: name of the weights -> losses; the patient first, the healed one last."""
    figure, ((ax,),) = plots.panels(1, 1, height=3.4)
    draw_lines(ax, range(max(map(len, losses.values()))), losses, ("steps", "loss (nats)"))
    plots.level(ax, CHANCE, line="--")
    ax.set_ylim(0, None)
    ends = [values[-1] for values in losses.values()]
    return figure, (
        f"Ten images by heart: with {next(iter(losses))} the loss ends at {ends[0]:.2f}, with the one change "
        f"at {ends[-1]:.2f} (chance is {CHANCE:.2f}).{images.caveat}"
    )


def fates(record: clinic.Clinic) -> Drawing:
    """The recorded clinic as a table: inputs and weights down, rules and biases across."""
    rows = [(inputs, init) for inputs in clinic.INPUTS for init in clinic.INITS]
    columns = [(biases, rule) for rule in clinic.RULES for biases in clinic.BIASES]
    figure, ((ax,),) = plots.panels(1, 1, height=6.4)
    counts: Counter[str] = Counter()
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            cell = record.narrow[clinic.Setting(*row, *column)]
            counts[cell.fate] += 1
            face, ink = FATES[cell.fate]
            ax.add_patch(Rectangle((j, i), 1, 1, facecolor=face, edgecolor="white", linewidth=2))
            text = f"{cell.fate}\n{max(cell.losses):.2f} … {cell.losses[-1]:.2f}"
            ax.text(j + 0.5, i + 0.5, text, ha="center", va="center", color=ink, fontsize=9)
    ax.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
    names = [
        f"{clinic.RULES[rule].split(',')[0]}, biases {clinic.BIASES[biases][0]}" for biases, rule in columns
    ]
    ax.set_xticks([j + 0.5 for j in range(len(columns))], names)
    words = [f"{clinic.INPUTS[inputs]}\n{clinic.INITS[init]}" for inputs, init in rows]
    ax.set_yticks([i + 0.5 for i in range(len(rows))], words, fontsize=8.5)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    flat = sum(
        record.narrow[clinic.Setting(inputs, "paper", biases)].fate == "stands still"
        for inputs in ("unit", "standardized")
        for biases in clinic.BIASES
    )
    return figure, (
        f"{counts['stands still']} of {len(clinic.SETTINGS)} ways to start stand still, all under SGD; "
        f"the paper's weights on today's pixels in {flat} of 4 (highest … last loss; recorded)."
    )


def narrow_and_wide(record: clinic.Clinic) -> Drawing:
    """What differs between ten images in each layer: the narrow network against the paper's, all settings."""
    figure, ((ax,),) = plots.panels(1, 1, height=4)
    pairs = [
        (wide.signal, thin.signal)
        for setting in clinic.SETTINGS
        for wide, thin in zip(record.full[setting].layers, record.narrow[setting].layers, strict=True)
    ]
    wide, thin = zip(*pairs, strict=True)
    ax.plot(wide, thin, "o", color=BLUE, markersize=4, alpha=0.5)
    ax.plot([min(wide), max(wide)], [min(wide), max(wide)], color=NEUTRAL, linewidth=1)
    ax.set_xscale("log")
    ax.set_yscale("log")
    frame(ax, x="the paper's size", y=f"{record.divisor} times narrower")
    worst = max(max(a / b, b / a) for a, b in pairs)
    return figure, (
        f"What differs between images agrees in both sizes to a factor of {worst:.1f} at worst, over "
        f"{len(clinic.SETTINGS)} settings and eight layers (root mean squares, recorded)."
    )


def signals(record: clinic.Clinic) -> Drawing:
    """What differs between ten images in each layer, by inputs and weights, biases 1, at the paper's size."""
    figure, (axes,) = plots.panels(1, len(clinic.INPUTS), height=3.6, sharey=True)
    for ax, (inputs, words) in zip(axes, clinic.INPUTS.items(), strict=True):
        layers = {init: record.full[clinic.Setting(inputs, init)].layers for init in clinic.INITS}
        lines = {clinic.INITS[init]: [layer.signal for layer in each] for init, each in layers.items()}
        draw_lines(ax, range(8), lines, ("", ""), words, markers=True, log=True)
        ax.set_xticks(range(8), [layer.name for layer in layers["paper"]], rotation=60)
        if legend := ax.get_legend():
            legend.remove()
    axes[0].set_ylabel("what differs, root mean square")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure, (
        "N(0, 0.01²) loses a factor of more than a thousand from conv1 to fc8, He's rule less than a hundred "
        "(before the first step, the paper's size, recorded)."
    )


def early_learning(record: Record) -> Drawing:
    """Training errors of the study "start": biases of 1 against biases of 0."""
    rate = min(record.shared_rates())
    same = record.at_rate(rate)
    figure, ((ax,),) = plots.panels(1, 1, height=3.6)
    plots.learning_curves(ax, same.curves, "train_error")
    epoch = sorted(same.curves["epoch"].unique())[1]  # the second measurement
    errors = same.curves[same.curves["epoch"] == epoch].groupby("variant")["train_error"].mean()
    return figure, (
        f"After {epoch:.1f} epochs the training error is {errors['ones']:.0%} with biases of 1 and "
        f"{errors['zeros']:.0%} with biases of 0 (ε = {rate:g}, recorded)."
    )


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


# --- the clinic ------------------------------------------------------------------------------


def clinic_explorer(record: clinic.Clinic, **options: Any) -> PictureWidget:
    """One setting of the recorded clinic: the scale in every layer, the losses, and the reason."""

    def draw(
        inputs: str = choice("Inputs", clinic.INPUTS, "raw", "inputs"),
        init: str = choice("Weights", clinic.INITS, "paper", "init"),
        biases: str = choice("Biases", clinic.BIASES, "ones", "biases"),
        rule: str = choice("Rule", clinic.RULES, "sgd", "rule"),
    ) -> Drawing:
        return _draw_setting(record, clinic.Setting(inputs, init, biases, rule))

    return explorer(draw, **options)


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
    note = " (SYNTHETIC images)" if record.provenance["data"]["synthetic"] else ""
    words, verdict = setting.words(), f"The narrow network {cell.fate}: {cell.reason}{note}"
    plots.heading(figure, "\n".join(textwrap.fill(line, plots.TITLE_WIDTH) for line in (words, verdict)))
    by_layer = ", ".join(f"{name} {short(s)}" for name, s in zip(layers, signal, strict=True))
    return figure, f"{words}. {verdict}. What differs between images, by layer: {by_layer}"


def _draw_losses(ax: Axes, losses: Sequence[float]) -> None:
    """The loss before each step, and the line of a network that cannot tell the images apart."""
    chance = math.log(clinic.CLASSES)
    ax.plot(losses, color=BLUE, marker="o", markersize=3, label="loss")
    ax.axhline(chance, color=NEUTRAL, linestyle="--", linewidth=1.2, label="chance: ln 10 = 2.303")
    if max(losses) > 6 * chance:
        ax.set_yscale("symlog", linthresh=chance)
    ax.set_ylim(0, 1.2 * max(losses))
    ax.legend()
