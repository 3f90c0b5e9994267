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
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, ScalarFormatter
from numpy.typing import ArrayLike

from alexnet_edu.data.images import Images
from alexnet_edu.model.cifar import ACTIVATIONS, INITS
from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing, PictureWidget, choice, explorer, explores, log_slider, slider
from alexnet_edu.show.plots import NEUTRAL, STYLES, frame, short
from alexnet_edu.studies import signals
from alexnet_edu.studies.signals import INPUT_SCALES, STEPS, LayerProbe, LayerView, NetworkView, Settings

LAYER_LINES = ("-", "--", ":")  # from the input up

# --- learning curves (Figure 1) ----------------------------------------------------------------


def learning_curve(
    ax: Axes,
    epochs: ArrayLike,
    errors: ArrayLike,
    activation: str,
    *,
    label: str | None = None,
    thin: bool = False,
) -> None:
    """One training error curve (errors 0–1); `thin` for one seed among several."""
    style = STYLES[activation]
    dots = style.line == ":"  # hard to see when they are thin and pale
    width, alpha = ((1.5, 0.9) if dots else (0.9, 0.55)) if thin else (2, 1)
    ax.plot(epochs, errors, **(style.kwargs() | {"label": label}), linewidth=width, alpha=alpha)


def finish_learning_curves(ax: Axes, target: float, title: str) -> None:
    """Axes, target line and legend of a figure of learning curves."""
    plots.level(ax, target, line="--")
    words = "epochs (passes over the training images)"
    frame(ax, title, words, "training error", percent="y", legend="best")
    ax.set_ylim(bottom=0.0)
    ax.set_xlim(left=0.0)


def mark_published(ax: Axes, crossings: Mapping[str, float], target: float) -> None:
    """The points of the published figure that are known: where each curve meets the target."""
    for activation, epoch in crossings.items():
        style = STYLES[activation]
        look: dict[str, Any] = {
            "markersize": 11,
            "markerfacecolor": "none",
            "markeredgewidth": 2,
            "linestyle": "none",
        }
        label = f"published, {style.label}: near epoch {epoch:g}"
        ax.plot(epoch, target, style.marker, markeredgecolor=style.color, label=label, **look)


def draw_rate_search(ax: Axes, searches: Mapping[str, pd.DataFrame], title: str) -> None:
    """Epochs to the target against the learning rate, one series per activation.

    searches: activation -> rows with "rate", "epochs" (NaN if not reached) and "epochs_run". A run that did
    not reach the target is drawn open, with an arrow upwards, where it was given up.
    """
    for activation, rows in searches.items():
        style = STYLES[activation]
        heights = rows["epochs"].fillna(rows["epochs_run"])
        ax.plot(rows["rate"], heights, color=style.color, linestyle=style.line, linewidth=0.8, alpha=0.6)
        for rate, height, given_up in zip(rows["rate"], heights, rows["epochs"].isna(), strict=True):
            face = "white" if given_up else style.color
            ax.plot(rate, height, style.marker, color=style.color, markersize=8, markerfacecolor=face)
            if given_up:
                arrow = {"arrowstyle": "->", "color": style.color}
                ax.annotate("", (rate, height * 1.32), (rate, height * 1.06), arrowprops=arrow)
        ax.plot([], [], style.marker, color=style.color, label=style.label)
    tried = pd.concat(searches.values())
    _rate_axes(ax, list(tried["rate"]), list(tried["epochs"].fillna(tried["epochs_run"])))
    frame(ax, title, "learning rate ε", "epochs to 25% training error", legend="best")


def _rate_axes(ax: Axes, rates: Sequence[float], heights: Sequence[float]) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(0.6 * min(heights), 1.8 * max(heights))
    ax.xaxis.set_major_locator(FixedLocator(sorted(set(rates))))
    ax.yaxis.set_major_locator(FixedLocator([1, 2, 5, 10, 20, 50]))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_major_formatter(ScalarFormatter())


def draw_ratios(ax: Axes, rows: pd.DataFrame, published: float, title: str) -> None:
    """How many times as many epochs tanh needs as ReLU, one line per condition.

    rows: of the record's table "ratios": "title", "epochs" with "epochs_low" and "epochs_high", or NaN, and
    "at_least", drawn as an arrow to the right, or else "relu_not_within", said in words.
    """
    color = STYLES["tanh"].color
    for place, (_, row) in enumerate(rows.iterrows()):
        value, least = row["epochs"], row["at_least"]
        if value > 0:
            ax.plot([row["epochs_low"], row["epochs_high"]], [place, place], color=color, linewidth=2)
            ax.plot(value, place, "o", markersize=8, color=color)
            text, end = f"{value:.1f}", max(row["epochs_high"], value)
        elif least > 0:
            ax.plot(least, place, ">", markersize=9, color=color)
            text, end = f"at least {least:.1f}", least
        else:
            text, end = f"ReLU not within {row['relu_not_within']:g} epochs", 1.0
        plots.note(ax, text, (end, place), (8, 0), va="center", bbox=plots.BEHIND_WORDS)
    ax.axvline(published, color=NEUTRAL, linestyle="--", linewidth=1, label=f"the paper: {published:g}")
    ax.axvline(1, color=NEUTRAL, linewidth=0.8)
    plots.rows(ax, list(rows["title"]))
    ax.set_ylim(len(rows) + 0.2, -0.6)  # room for the legend
    ax.set_xlim(0, max(9.0, ax.get_xlim()[1] * 1.15))
    frame(ax, title, "epochs of tanh / epochs of ReLU to 25% training error", legend="lower right")


def draw_layers(ax: Axes, layers: pd.DataFrame, what: str, activation: str, *, percent: bool) -> None:
    """One quantity of each layer over training. layers: rows of a run in the record's table "layers"."""
    style = STYLES[activation]
    for line, (layer, rows) in zip(LAYER_LINES, layers.groupby("layer"), strict=False):
        label = f"{style.label}, layer {layer}"
        ax.plot(rows["epoch"], rows[what], color=style.color, linestyle=line, label=label)
    frame(ax, x="epochs", percent="y" if percent else "")
    ax.autoscale(axis="y")  # a limit set by an earlier call would cut this one's curves
    ax.set_ylim(-0.03 if percent else 0, 1.03 if percent else None)


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
    "gaussian-0.01": "N(0, 0.01)",
    "cuda-convnet": "N(0, 0.0001), later N(0, 0.01)",
    "scaled": "scaled to the fan-in",
}


def activation_explorer(images: Images, *, seed: int = 0, **start: Any) -> PictureWidget:
    """The activations and gradients in the layers of the four-layer network on `images`.

    images, seed: see `LayerProbe`, whose errors are raised.
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

    return explorer(draw, notice="computing …", **start)


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
