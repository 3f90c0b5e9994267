"""Lesson 01, ReLU: learning curves and rates of Figure 1, one neuron, and the layers of a network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import ArrayLike

from alexnet_edu import paper
from alexnet_edu.data.images import Images
from alexnet_edu.model.cifar import ACTIVATIONS, INITS
from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing, PictureWidget, choice, explorer, explores, log_slider, slider
from alexnet_edu.show.plots import NEUTRAL, STYLES, frame, short
from alexnet_edu.studies import signals
from alexnet_edu.studies.figure1 import TARGET_ERROR
from alexnet_edu.studies.record import Record
from alexnet_edu.studies.signals import INPUT_SCALES, STEPS, LayerProbe, LayerView, NetworkView, Settings

LAYER_LINES = ("-", "--", ":")  # from the input up

# --- Figure 1 ----------------------------------------------------------------------------------


def figure_1(record: Record) -> Drawing:
    """Recorded training errors on raw pixels, seed by seed, and what is known of the printed figure."""
    figure, ((ax,),) = plots.panels(1, 1, height=4.2)
    published = {"relu": paper.APPROXIMATE_RELU_CROSSING_EPOCH, "tanh": paper.APPROXIMATE_TANH_CROSSING_EPOCH}
    for name, at in published.items():
        style = STYLES[name]
        for _, curve in record.of(variant=f"2012 {name}").curves.groupby("seed"):
            learning_curve(ax, curve["epoch"], curve["train_error"], name, thin=True)
        ax.plot(at, TARGET_ERROR, style.marker, color=style.color, fillstyle="none", markersize=11, mew=2)
        plots.note(ax, "in print", (at, TARGET_ERROR), (8, -16), color=style.color)
    plots.note(ax, "ReLU", (4, 0.3), (-14, -14), color=STYLES["relu"].color, ha="right", fontsize=11)
    plots.note(ax, "tanh", (20, 0.33), (0, 10), color=STYLES["tanh"].color, fontsize=11)
    plots.level(ax, TARGET_ERROR, line="--")
    frame(ax, x="epochs (passes over the training images)", y="training error", percent="y")
    ax.set(xlim=(0, None), ylim=(0, None))
    row = ratio(record, "2012")
    return figure, (
        f"On raw pixels tanh takes {row['epochs']:.1f} times as many epochs as ReLU to reach 25% training "
        f"error (95% interval {row['epochs_low']:.1f} to {row['epochs_high']:.1f}; real CIFAR-10, recorded)."
    )


def ratio(record: Record, condition: str) -> pd.Series[Any]:
    """The row of the record's table "ratios" that compares tanh with ReLU under a condition."""
    rows = record.tables["ratios"]
    return rows[(rows["condition"] == condition) & (rows["numerator"] == "tanh")].iloc[0]


def learning_curve(
    ax: Axes, x: ArrayLike, errors: ArrayLike, activation: str, *, thin: bool = False, **look: Any
) -> None:
    """One curve of training errors (0–1); `thin` for one seed among several."""
    width, alpha = (0.9, 0.55) if thin else (2, 1)
    ax.plot(x, errors, **(STYLES[activation].kwargs() | {"linewidth": width, "alpha": alpha} | look))


def live_curves(errors: Mapping[tuple[str, str], Sequence[float]], images: Images) -> Drawing:
    """Training errors batch by batch, smoothed: (condition, activation) -> errors (0–1) of the batches."""
    titles = {"2012": "raw pixels", "standardized": "standardized pixels"}
    figure, (axes,) = plots.panels(1, 2, height=3.6, sharey=True)
    ends = {}
    for (condition, name), values in errors.items():
        window = min(50, len(values))
        smooth = np.convolve(values, np.ones(window) / window, "valid")  # (steps - window + 1,)
        ax = axes[list(titles).index(condition)]
        learning_curve(ax, np.arange(len(smooth)) + window, smooth, name)
        frame(ax, titles[condition], "batches of 128", "" if ax is axes[1] else "training error", percent="y")
        ends[condition, name] = smooth[-1]
    for ax in axes:
        ax.legend(loc="upper right")
    gaps = [100 * (ends[c, "tanh"] - ends[c, "relu"]) for c in titles]
    on_raw, on_scaled = (f"{abs(gap):.0f} points {'above' if gap > 0 else 'below'}" for gap in gaps)
    return figure, (
        f"After {len(values)} batches the error of tanh is {on_raw} that of ReLU on raw pixels, "
        f"{on_scaled} it on standardized ones.{images.caveat}"
    )


def factors(record: Record, guess: float | None = None) -> Drawing:
    """Epochs to 25% training error of ReLU and tanh, one line per condition, on an axis of factors.

    guess: how many times as many epochs tanh needs on standardized pixels, drawn into that line.
    """
    rows = record.tables["ratios"]
    rows = rows[rows["numerator"] == "tanh"].reset_index(drop=True)
    figure, ((ax,),) = plots.panels(1, 1, height=0.5 * len(rows) + 1.2)
    for place, row in rows.iterrows():
        names = {name: f"{row['condition']} {name}" for name in ("relu", "tanh")}
        epochs = {name: record.mean_crossing(variant) for name, variant in names.items()}
        limits = {name: float(record.of(variant=v).runs["epochs"].iloc[0]) for name, v in names.items()}
        at = {name: epochs[name] or limits[name] for name in names}
        ax.plot(list(at.values()), [place, place], color=NEUTRAL, linewidth=1, zorder=1)
        for name, x in at.items():
            style, never = STYLES[name], epochs[name] is None
            shift = 0.13 if at["relu"] == at["tanh"] else 0.0
            y = place + (shift if name == "tanh" else -shift)
            face = "white" if never else style.color
            ax.plot(x, y, style.marker, color=style.color, markersize=8, markerfacecolor=face, mew=1.8)
            rate, side = record.rate(names[name]), -1 if name == "relu" else 1
            words = f"ε = {rate:g}{' →' if never and name == 'tanh' else ''}"
            if at["relu"] != at["tanh"] or name == "tanh":
                align = "right" if side < 0 else "left"
                plots.note(ax, words, (x, y), (7 * side, 0), va="center", ha=align, fontsize=8)
        plots.note(ax, _factor(row), (130, place), va="center")
        if guess is not None and row["condition"] == "standardized":
            ax.plot(
                [guess * at["relu"]] * 2, [place - 0.4, place + 0.4], ":", color=plots.PINK, linewidth=2.5
            )
            plots.note(ax, f"your guess: {guess:g}", (guess * at["relu"], place - 0.25), (4, 0))
    for name in ("relu", "tanh"):
        style = STYLES[name]
        ax.plot([], [], style.marker, color=style.color, label=style.label)
    ax.plot([], [], "o", color=NEUTRAL, fillstyle="none", mew=1.8, label="not within these epochs")
    plots.rows(ax, [title.replace("0.01)", "0.01²)") for title in rows["title"]])
    ax.set_xscale("log")
    ax.set_xticks([4, 6, 10, 20, 40], ["4", "6", "10", "20", "40"])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(2.2, 300)
    frame(ax, x="epochs to 25% training error (equal distances are equal factors)")
    figure.legend(loc="outside lower center", ncols=3)
    first, second = ratio(record, "2012")["epochs"], ratio(record, "standardized")["epochs"]
    return figure, (
        f"Standardized inputs alone shrink tanh's handicap from a factor of {first:.1f} to {second:.1f} "
        "(real CIFAR-10, recorded; 95% intervals over the seeds)."
    )


def _factor(row: pd.Series[Any]) -> str:
    """How many times as many epochs tanh takes, in words."""
    if row["epochs"] > 0:
        return f"× {row['epochs']:.1f}  [{row['epochs_low']:.1f}, {row['epochs_high']:.1f}]"
    return f"× {row['at_least']:.1f} or more" if row["at_least"] > 0 else "neither gets there"


def first_layer(images: Images) -> Drawing:
    """The inputs z of the first tanh layer, on raw and on standardized pixels, before and after 100 steps."""
    probe, limit = LayerProbe(images), 15.0
    figure, rows = plots.panels(2, 2, height=4.4, sharex=True)
    flat = {}
    for row, inputs in zip(rows, INPUT_SCALES, strict=True):
        for ax, steps in zip(row, (0, 100), strict=True):
            z = probe.first_responses(Settings("tanh", 0.01, INITS[0], inputs), steps)
            counts, edges = np.histogram(z.clamp(-limit, limit).numpy(), 60, (-limit, limit))
            draw_histogram(ax, counts, edges, "tanh")
            flat[inputs, steps] = (1 - torch.tanh(z) ** 2 < signals.SATURATED_SLOPE).float().mean().item()
            words = f"{inputs}, {'before training' if steps == 0 else f'after {steps} steps'}"
            title = f"{words}: {flat[inputs, steps]:.0%} saturated (σ = {z.std():.2g})"
            frame(ax, title, y="" if steps else "share of values")
    for ax in rows[-1]:
        ax.set_xlabel(f"input z of tanh (beyond ±{limit:g}: in the last bar)")
    return figure, (
        f"The first tanh layer: {flat['raw', 0]:.0%} saturated before training on raw pixels, "
        f"{flat['standardized', 0]:.0%} on standardized ones.{images.caveat}"
    )


# --- what goes deeper ---------------------------------------------------------------------------


def layers_over_training(record: Record) -> Drawing:
    """Saturation and gradient norms of each layer while the first-seed networks train."""
    figure, rows = plots.panels(2, 2, height=6.4, sharex="col")
    for row, condition, words in zip(
        rows, ("2012", "standardized"), ("raw pixels", "standardized pixels"), strict=True
    ):
        for name in ("relu", "tanh"):
            layers = record.of(variant=f"{condition} {name}", seed=1).tables["layers"]
            draw_layers(row[0], layers, "saturated", name, percent=True)
            draw_layers(row[1], layers, "gradient_norm", name, percent=False)
        row[0].set(title=words, ylabel="share on a flat part of f")
        row[1].set(title=words, ylabel="gradient norm of the weights")
    top = max(row[1].get_ylim()[1] for row in rows)
    for row in rows:
        row[1].set_ylim(0, top)
    rows[0][1].legend(fontsize=8, ncols=2)
    return figure, (
        "On raw pixels the first tanh layer (solid) is saturated from the first half-epoch to the last; on "
        "standardized pixels it saturates slowly (recorded, first seeds)."
    )


def draw_layers(ax: Axes, layers: pd.DataFrame, what: str, activation: str, *, percent: bool) -> None:
    """One quantity of each layer over training. layers: rows of a run in the record's table "layers"."""
    style = STYLES[activation]
    for line, (layer, rows) in zip(LAYER_LINES, layers.groupby("layer"), strict=False):
        label = f"{style.label}, layer {layer}"
        ax.plot(rows["epoch"], rows[what], color=style.color, linestyle=line, label=label)
    frame(ax, x="epochs", percent="y" if percent else "")
    ax.autoscale(axis="y")  # a limit set by an earlier call would cut this one's curves
    ax.set_ylim(-0.03 if percent else 0, 1.03 if percent else None)


def first_losses(images: Images, record: Record) -> Drawing:
    """The loss before the first step on raw pixels, by activation and initialization."""
    probe, losses = LayerProbe(images), {}
    for name in ("relu", "tanh"):
        for init in ("gaussian-0.01", "scaled"):
            settings = Settings(name, record.rate(f"2012 {name}"), init, "raw")
            losses[f"{STYLES[name].label}, {INIT_LABELS[init]}"] = probe.view(settings, 0).loss
    figure, ((ax,),) = plots.panels(1, 1, height=2.4)
    ax.plot(list(losses.values()), range(len(losses)), "o", color=plots.BLUE, markersize=8)
    for place, loss in enumerate(losses.values()):
        plots.note(ax, f"{loss:.1f}", (loss, place), (8, 0), va="center")
    plots.rows(ax, list(losses))
    ax.set_xscale("log")
    ax.set_xlim(1, 4 * max(losses.values()))
    frame(ax, x="loss before the first step (2.3: guessing)")
    worst = max(losses, key=lambda name: losses[name])
    return figure, f"Raw pixels: the loss of {worst}, starts at {losses[worst]:.0f}.{images.caveat}"


def four_activations(record: Record) -> Drawing:
    """Training errors of four activations, seed by seed, under two conditions."""
    figure, (axes,) = plots.panels(1, 2, height=3.8, sharey=True)
    titles = {"2012": "raw pixels, N(0, 0.01²)", "modern": "standardized pixels, scaled weights"}
    for ax, (condition, words) in zip(axes, titles.items(), strict=True):
        for name in STYLES:
            for seed, curve in record.of(variant=f"{condition} {name}").curves.groupby("seed"):
                label = STYLES[name].label if seed == 1 else None
                learning_curve(ax, curve["epoch"], curve["train_error"], name, thin=True, label=label)
        frame(ax, words, "epochs", "" if ax is axes[1] else "training error", percent="y")
        ax.set(xlim=(0, 12), ylim=(0, 1))
    axes[1].legend(loc="upper right")
    return figure, "ReLU is first under both conditions (real CIFAR-10, each at its own rate, recorded)."


# --- one activation, without a network -----------------------------------------------------------


def mean_slope(activation: str, stds: Sequence[float]) -> list[float]:
    """Mean of |f′(z)| over z ~ N(0, std²), for each std: the share of a gradient that f lets through.

    Taken over 4,000 quantiles of the normal distribution, so it is the same every time.
    """
    ranks = (torch.arange(4_000, dtype=torch.float64) + 0.5) / 4_000
    z = torch.tensor(stds, dtype=torch.float64)[:, None] * torch.special.ndtri(ranks)  # (stds, 4000)
    return signals.slope(ACTIVATIONS[activation], z).abs().double().mean(1).tolist()


@cache
def flat_zones(activation: str) -> tuple[tuple[float, float], ...]:
    """Intervals of z in which a unit counts as saturated (see `signals.SATURATED_SLOPE`)."""
    z = torch.arange(-12, 12, 0.01) + 0.005
    slopes = signals.slope(ACTIVATIONS[activation], z).abs()
    steep = z[slopes >= signals.SATURATED_SLOPE * slopes.max()]
    zones = ((-math.inf, steep[0].item()), (steep[-1].item(), math.inf))
    return zones if steep[-1] < z[-1] else zones[:1]  # ReLU is flat on its left only


def draw_histogram(ax: Axes, counts: ArrayLike, edges: ArrayLike, activation: str, flat: bool = True) -> None:
    """Inputs or outputs of an activation; shaded where it is flat, if these are inputs."""
    shaded = flat_zones(activation) if flat else ()
    plots.histogram(ax, counts, edges, color=STYLES[activation].color, shaded=shaded)


EXPONENTS = (-1.0, 2.0)  # inputs from 0.1 to 100, the range that images and weights give


def _activation(start: str) -> Any:
    options = {name: STYLES[name].label for name in ACTIVATIONS}
    return choice("Activation f", options, start, "the function that every neuron applies")


@explores
def function_explorer(
    activation: str = _activation("tanh"),
    std: float = log_slider(
        "Standard deviation of the inputs", EXPONENTS, 1.0, "standard deviation of the inputs z"
    ),
) -> Drawing:
    """One neuron with inputs from N(0, std²): its function, its slope, and what is left of a gradient."""
    f, style = ACTIVATIONS[activation], STYLES[activation]
    z = torch.linspace(-1, 1, 801) * max(4.0, 3 * std)
    (share,) = mean_slope(activation, [std])
    figure, ((left, middle, right),) = plots.panels(1, 3, height=3.5)
    left.plot(z, f(z), **style.kwargs())
    frame(left, f"the function: {style.label}", "input z", "output f(z)")
    _draw_slope(middle, z, signals.slope(f, z), torch.exp(-0.5 * (z / std) ** 2), activation)
    frame(middle, f"inputs: standard deviation {std:.2g}", "input z", "slope f′(z)", legend="upper left")
    for ax in (left, middle):
        ax.axhline(0, color=NEUTRAL, linewidth=0.6)
        ax.margins(x=0)
    _draw_shares(right, activation, std, share)
    words = f"{share:.0%} of the gradient gets through"
    frame(right, words, "standard deviation of z", "mean of |f′(z)| (%)", legend="upper right")
    return figure, (
        f"{style.label} with inputs of standard deviation {std:.2g}: "
        f"the mean slope is {share:.2f}, so {share:.0%} of the gradient gets through."
    )


def _draw_slope(
    ax: Axes, z: torch.Tensor, slope: torch.Tensor, density: torch.Tensor, activation: str
) -> None:
    """f′(z) as a line over the density of the inputs as a hill of height 1: only its place matters."""
    ax.fill_between(z, density / density.max(), color="#C8C8C8", linewidth=0, label="inputs z")
    ax.plot(z, slope, **(STYLES[activation].kwargs() | {"label": "slope f′(z)"}))
    falls = bool((slope < -0.01).any())
    ax.set_ylim(-1.1 if falls else -0.05, 1.45)  # room for the legend
    ax.set_yticks([-1, -0.5, 0, 0.5, 1] if falls else [0, 0.25, 0.5, 0.75, 1])


@cache
def _share_curves() -> tuple[list[float], dict[str, list[float]]]:
    """Standard deviations over the slider's range, and the mean slope of each activation there."""
    stds = np.logspace(*EXPONENTS, 61).tolist()
    return stds, {name: mean_slope(name, stds) for name in ACTIVATIONS}


def _draw_shares(ax: Axes, activation: str, std: float, share: float) -> None:
    """The share of the gradient that gets through, against the inputs' scale, of every activation."""
    stds, shares = _share_curves()
    same = {"abs-tanh": " (the same)"}  # |f′| as of tanh
    for name, values in shares.items():
        look = STYLES[name].kwargs() | {"label": STYLES[name].label + same.get(name, "")}
        ax.plot(stds, [100 * v for v in values], linewidth=2.6 if name == activation else 1.2, **look)
    style = STYLES[activation]
    ax.plot([std], [100 * share], style.marker, color=style.color, markersize=9, markeredgecolor="black")
    ax.set_xscale("log")
    ax.set_ylim(0, 150)  # room for the legend
    ax.set_yticks([0, 25, 50, 75, 100])
    ax.margins(x=0)
    ax.xaxis.set_major_formatter("{x:g}")


# --- the layers of the four-layer network ----------------------------------------------------------

RATES = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1)
SCALE_LABELS = {"raw": "raw: 0–255 minus the mean", "standardized": "standardized"}
INIT_LABELS = {
    "gaussian-0.01": "N(0, 0.01²)",
    "cuda-convnet": "N(0, 0.0001²), later N(0, 0.01²)",
    "scaled": "scaled to the fan-in",
}


def activation_explorer(images: Images, *, seed: int = 0, **options: Any) -> PictureWidget:
    """The activations and gradients in the layers of the four-layer network on `images`.

    images, seed: see `LayerProbe`, whose errors are raised. options: of `explorer`.
    """
    probe = LayerProbe(images, seed)

    def draw(
        activation: str = _activation("tanh"),
        scale: str = choice(
            "Input", {s: SCALE_LABELS[s] for s in INPUT_SCALES}, "raw", "scale of the pixels"
        ),
        init: str = choice("Weights", {i: INIT_LABELS[i] for i in INITS}, INITS[0], "how weights are drawn"),
        rate: float = slider("Learning rate ε", RATES, 0.01, "step size of SGD"),
        steps: int = slider("Steps taken", STEPS, 0, "steps of SGD so far"),
    ) -> Drawing:
        settings = Settings(activation, rate, init, scale)
        return _draw_network(settings, probe.view(settings, steps), images)

    return explorer(draw, notice="computing …", **options)


def _draw_network(settings: Settings, view: NetworkView, images: Images) -> Drawing:
    figure, rows = plots.panels(3, len(view.layers), height=6.6)
    for column, layer in enumerate(view.layers):
        _draw_layer([row[column] for row in rows], settings.activation, layer, first=column == 0)
    words = _heading(settings, view, images)
    plots.heading(figure, "\n".join(words))
    layers = [
        f"{v.statistics.name} {_saturation(settings.activation, v)}, "
        f"gradient norm {short(v.statistics.gradient_norm)}, {v.passed:.0%} of the gradient through"
        for v in view.layers
    ]
    return figure, "; ".join([*words, *layers])


def _draw_layer(axes: list[Axes], activation: str, layer: LayerView, *, first: bool) -> None:
    """The inputs, the outputs and the gradients of one layer, from the top down."""
    s, y = layer.statistics, "frequency" if first else ""
    draw_histogram(axes[0], *layer.inputs, activation)
    frame(axes[0], f"{s.name}: {_saturation(activation, layer)}", f"input z (std {short(s.input_std)})", y)
    draw_histogram(axes[1], *layer.outputs, activation, flat=False)
    zeros = f": {layer.off:.0%} are 0, not drawn" if layer.off >= 0.005 else ""
    output = f"output y (std {short(s.output_std)})"
    frame(axes[1], f"y = {STYLES[activation].label}(z){zeros}", output, y)
    _draw_gradients(axes[2], layer, STYLES[activation].color)
    title = f"‖∂L/∂W‖ = {short(s.gradient_norm)}, f′ passes {layer.passed:.0%}"
    legend = "upper left" if first else None
    frame(axes[2], title, "|∂L/∂y| before f′, |∂L/∂z| after f′", y, legend=legend)


def _draw_gradients(ax: Axes, layer: LayerView, color: str) -> None:
    """Sizes of gradients: outlined what arrives at f, filled what f′ leaves of it."""
    (arriving, edges), (leaving, _) = layer.arriving, layer.leaving
    top = max(arriving.max(), leaving.max(), 1)
    ax.stairs(leaving / top, edges, fill=True, color=color, alpha=0.55, label="after f′")
    ax.stairs(arriving / top, edges, color="black", linewidth=1.3, label="before f′")
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(0, 1.08)
    ax.set_yticks([])
    # Without ticks at the ends, whose labels would run into those of the neighbouring picture.
    ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], prune="both"))
    ax.xaxis.set_major_formatter(lambda exponent, _: plots.power_of_ten(exponent))


def _saturation(activation: str, layer: LayerView) -> str:
    return f"{layer.statistics.saturated:.0%} {'off' if activation == 'relu' else 'saturated'}"


def _heading(settings: Settings, view: NetworkView, images: Images) -> list[str]:
    fate = f"after {view.step} steps"
    if view.diverged:
        fate = f"DIVERGED at step {view.step + 1}, shown as it was before"
    source = "SYNTHETIC images" if images.synthetic else images.source
    return [
        f"{STYLES[settings.activation].label}, input {SCALE_LABELS[settings.scale]}, "
        f"weights {INIT_LABELS[settings.init]}, ε = {settings.rate:g}",
        f"{fate}: loss {view.loss:.2f}, classifier ‖∂L/∂W‖ = {short(view.classifier_gradient)} ({source})",
    ]
