"""Lesson 09, dropout: the thinned networks of one network, their means, single units; pictures, explorer.

A network stands in the form of 2012: a kept unit counts in full in training, every unit counts `keep` in
test.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike
from torch import Tensor, nn

from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing, PictureWidget, choice, explorer, slider
from alexnet_edu.show.plots import BLUE, GREEN, NEUTRAL, ORANGE, PINK, SERIES, Style, frame, note, short
from alexnet_edu.studies.record import Record
from alexnet_edu.studies.statistics import crossing

Layers = Sequence[tuple[Tensor, Tensor]]  # (weight (outputs, inputs), bias (outputs,)); ReLU between two

MOST_UNITS = 20  # 2^20 is a million networks
STEPS = ("dropout", "inverted_dropout")  # names of the steps of a stage; in the first nothing is rescaled

# --- masks -------------------------------------------------------------------------------------


def all_masks(n: int) -> Tensor:
    """Every mask of n units: (2^n, n) float64 of 0 and 1; row i holds the binary digits of i.

    Raises ValueError for n below 1 or above MOST_UNITS.
    """
    if not 1 <= n <= MOST_UNITS:
        raise ValueError(f"all masks are listed for 1 to {MOST_UNITS} units, got {n!r}")
    rows = torch.arange(2**n)[:, None] >> torch.arange(n - 1, -1, -1)
    return (rows & 1).double()


def draw_masks(count: int, n: int, keep: float, generator: torch.Generator) -> Tensor:
    """(count, n) float64 of 0 and 1: each unit is kept with probability `keep`.

    The same generator gives masks that grow with `keep`: what was kept stays kept.
    """
    return (torch.rand(count, n, dtype=torch.float64, generator=generator) < keep).double()


def probabilities(masks: Tensor, keep: float = 0.5) -> Tensor:
    """(M,): how probable each mask (M, n) is; over all masks they sum to 1."""
    kept = masks.sum(1)
    return keep**kept * (1 - keep) ** (masks.shape[1] - kept)


# --- networks ----------------------------------------------------------------------------------


def thinned_logits(x: Tensor, layers: Layers, masks: Sequence[Tensor]) -> Tensor:
    """(M, N, K): the logits of M thinned networks for N inputs.

    x: (N, n) what the first of `layers` reads. masks: for each layer (M, inputs), what is left
    of its inputs; a number other than 0 and 1 multiplies them.
    """
    h = x[None]
    for place, ((weight, bias), mask) in enumerate(zip(layers, masks, strict=True)):
        h = (h.relu() if place else h) * mask[:, None, :] @ weight.T + bias
    return h


def whole_logits(x: Tensor, layers: Layers, keep: float = 0.5) -> Tensor:
    """(N, K): the network of the test, with all units and what each layer reads times `keep`."""
    masks = [torch.full_like(weight[:1], keep) for weight, _ in layers]
    return thinned_logits(x, layers, masks)[0]


@torch.no_grad()
def read_head(network: nn.Module, inputs: Tensor, first: str) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """What the layer `first` reads before dropout (N, n), and the layers from there on; all float64.

    network: in test mode, as `model.AlexNet`. Where a layer reads through inverted dropout, or through none,
    its weights are doubled here: in the form of 2012 that is the same network. Raises ValueError if there is
    no such layer, and for a network in training mode.
    """
    stages = dict(network.stages.named_children())  # type: ignore[union-attr]
    if first not in stages:
        raise ValueError(f"the network has no layer {first!r}; it has {', '.join(stages)}")
    if network.training:
        raise ValueError("the network is in training mode and drops units at random; call network.eval()")
    names = list(stages)
    h = inputs
    layers: list[tuple[Tensor, Tensor]] = []
    for place, name in enumerate(names[: names.index(first)]):
        for step, part in stages[name].named_children():
            if step not in STEPS or names[place + 1] != first:  # not the dropout right before `first`
                h = part(h)
    for before, name in zip(("", *names), names, strict=False):
        if layers or name == first:
            weights = stages[name].get_submodule("weights")
            plain = before and hasattr(stages[before], STEPS[0])
            layers.append(
                (weights.weight.detach().double() * (1.0 if plain else 2.0), weights.bias.detach().double())
            )
    return h.flatten(1).double(), layers


# --- means over networks ---------------------------------------------------------------------


def geometric_mean(logits: Tensor, weights: Tensor | None = None) -> Tensor:
    """(N, K) logarithms: the geometric mean of the networks' distributions, divided by its sum.

    logits: (M, N, K); weights: (M,) that sum to 1, or None for equal ones.
    """
    return _mean(logits.log_softmax(-1), weights).log_softmax(-1)


def arithmetic_mean(logits: Tensor, weights: Tensor | None = None) -> Tensor:
    """(N, K) logarithms: the average of the networks' distributions; arguments as in `geometric_mean`."""
    return _mean(logits.softmax(-1), weights).log()


def divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p ‖ q) in nats over the last dimension; never below 0, but for rounding."""
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def _mean(values: Tensor, weights: Tensor | None) -> Tensor:
    return values.mean(0) if weights is None else torch.tensordot(weights, values, dims=([0], [0]))


# --- how much is lost with single units ----------------------------------------------------------


def without_each(x: Tensor, layers: Layers, keep: float = 0.5) -> Tensor:
    """(n, N, K): the logits in test when one of the n units of x (N, n) gives 0, each in turn."""
    (weight, bias), rest = layers[0], layers[1:]
    z = keep * x @ weight.T + bias
    without = (z - keep * x[:, unit, None] * weight[:, unit] for unit in range(x.shape[1]))
    return torch.stack([whole_logits(h.relu(), rest, keep) if rest else h for h in without])


def changed_predictions(logits: Tensor, whole: Tensor) -> Tensor:
    """(M,): share (0–1) of the N inputs whose largest logit is another one than in `whole` (N, K)."""
    return (logits.argmax(-1) != whole.argmax(-1)).double().mean(-1)


def relative_change(logits: Tensor, whole: Tensor) -> Tensor:
    """(M,): root mean square change of the logits, over their own spread around each input's mean.

    A number added to all logits of an input changes no probability, so it does not count.
    """
    centered, around = (t - t.mean(-1, keepdim=True) for t in (logits, whole))
    return (centered - around).square().mean((-1, -2)).sqrt() / around.square().mean().sqrt()


def errors_with_masks(
    x: Tensor,
    layers: Layers,
    labels: Tensor,
    kept: Iterable[float],
    draws: int,
    generator: torch.Generator,
    keep: float = 0.5,
) -> dict[float, list[float]]:
    """Share kept in test -> the error (0–1) of each of `draws` thinned networks.

    What is left is multiplied by keep / share, so that every layer reads as much as it does in
    test, in the mean. x: (N, n); labels: (N,) int64.
    """
    sizes = [weight.shape[1] for weight, _ in layers]

    def error(share: float) -> float:
        masks = [draw_masks(1, n, share, generator) * (keep / share) for n in sizes]
        predicted = thinned_logits(x, layers, masks)[0].argmax(-1)
        return (predicted != labels).double().mean().item()

    return {share: [error(share) for _ in range(draws)] for share in kept}


# --- how many times the epochs ----------------------------------------------------------------------


def curves_by_seed(record: Record) -> dict[Any, Any]:
    """Seed -> its learning curve as a table, of a record of one variant at one rate."""
    return dict(iter(record.curves.groupby("seed")))


def epochs_to_best(curve: Any) -> float:
    """The epoch at which the test error is lowest."""
    return float(curve["epoch"].loc[curve["test_error"].idxmin()])


Ratios = list[float | None]  # one for each seed


def ratios(slow: Record, fast: Record, level: float | None = None, what: str = "train_error") -> Ratios:
    """How many times the epochs `slow` takes to come down to a level; None where one never does.

    slow, fast: of one variant at one rate each, with the same seeds. level: of the error `what` (0–1),
    linear between two points of a curve; None for the epoch of the lowest test error.
    """

    def epochs(curve: Any) -> float | None:
        if level is None:
            return epochs_to_best(curve)
        return crossing(curve["epoch"].tolist(), curve[what].tolist(), level)

    times = [map(epochs, curves_by_seed(record).values()) for record in (slow, fast)]
    return [a / b if a is not None and b is not None else None for a, b in zip(*times, strict=True)]


# --- pictures --------------------------------------------------------------------------------------

MEANS = {  # what stands for all networks at once
    "whole": Style(ORANGE, "--", "D", "all units, outputs scaled"),
    "geometric": Style(BLUE, "-", "o", "geometric mean of all"),
    "drawn": Style(GREEN, "-", "^", "geometric mean of those drawn"),
    "arithmetic": Style(PINK, "-", "v", "arithmetic mean of those drawn"),
}
FLOOR = 1e-6  # nats; a divergence below is drawn here


def draw_divergence(
    ax: Axes, counts: ArrayLike, drawn: Mapping[str, ArrayLike], whole: float, at: int | None = None
) -> None:
    """KL from the geometric mean of all networks, against the number of masks drawn.

    counts: (P,); drawn: key of MEANS -> (P,) nats; whole: nats, of the scaled network, as a
    line. at: the number of masks that the controls stand at. What is below FLOOR is drawn there.
    """
    for name, values in drawn.items():
        style = MEANS[name]
        floored = np.maximum(np.asarray(values), FLOOR)
        ax.plot(counts, floored, marker=style.marker, markersize=4.5, **style.kwargs())
    style = MEANS["whole"]
    ax.axhline(max(whole, FLOOR), **style.kwargs())
    if whole < FLOOR:
        across = ("axes fraction", "data")
        note(ax, "exact (below 10⁻⁶)", (0.03, FLOOR), (0, 4), xycoords=across, color=style.color)
    if at is not None:
        plots.level(ax, at, axis="x")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.grid()


def draw_ratios(
    ax: Axes, ratios: Mapping[str, Sequence[Sequence[float | None]]], levels: Sequence[str]
) -> None:
    """Ratios of epochs: a mark for each seed, a line through the means; a level none reaches is empty.

    ratios: label -> for each level, one value per seed, None where it was not reached.
    """
    shifts = np.linspace(-0.16, 0.16, max(1, len(ratios)))
    series = {
        label: (np.arange(len(rows)) + shift, np.array(rows, float).T)
        for (label, rows), shift in zip(ratios.items(), shifts, strict=True)
    }
    plots.lines(ax, series, spread="marks", styles=SERIES[1:])
    plots.level(ax, 1, line="-")
    plots.level(ax, 2)
    note(ax, "§4.2: about 2", (len(levels) - 0.55, 2), (0, 3), ha="right", color=NEUTRAL)
    frame(ax, y="epochs with dropout / epochs without", grid="y", legend="best")
    ax.set_xticks(range(len(levels)), levels)
    ax.set_xlim(-0.5, len(levels) - 0.5)


def draw_sorted(ax: Axes, values: Mapping[str, ArrayLike], x: str, y: str, title: str) -> None:
    """Share of the units (0–1) that reach a value or more, one step line for each network.

    values: label -> (n,) one number for each unit; units that change nothing are left of the axis.
    """
    ordered = {label: np.sort(np.asarray(numbers))[::-1] for label, numbers in values.items()}
    series = {label: (v, np.arange(1, len(v) + 1) / len(v)) for label, v in ordered.items()}
    plots.lines(ax, series, markers=False, drawstyle="steps-post")
    frame(ax, title, x, y, percent="y", grid="xy", legend="best")
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.set_xlim(left=0)


def draw_errors_with_masks(
    ax: Axes, errors: Mapping[str, Mapping[float, Sequence[float]]], chance: float, title: str
) -> None:
    """Test error of networks of which only a share of the units is left; a mark for each draw.

    errors: label -> share kept -> errors (0–1). chance: error of guessing, as a line.
    """
    series = {
        label: ([100 * (1 - share) for share in by_share], np.array(list(by_share.values())).T)
        for label, by_share in errors.items()
    }
    plots.lines(ax, series, spread="marks")
    plots.level(ax, chance, "guessing")
    words = "units left out of each hidden layer (%)", "test error"
    frame(ax, title, *words, percent="y", grid="xy", legend="lower right")


# --- the explorer: masks of a small network, their mean, the scaled network --------------------------

COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
KEEPS = tuple(i / 10 for i in range(1, 10))
UNITS = (8, 6)  # of the layers that are dropped out; the second in the deeper network alone
CLASSES = 4
DEPTHS = {1: "one softmax layer", 2: "a hidden layer, then softmax"}
FORMS = {"2012": "2012: kept units count once", "inverted": "inverted: kept units count 1/keep"}
ROWS = 12  # masks that are shown


class SmallNetwork:
    """Activities (1, 8), layers of either depth and uniform numbers for 1,000 masks, all from a seed."""

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, dtype=torch.float64, generator=generator)

        self.x = draw(1, UNITS[0]).abs() + 0.2
        flat = [(1.1 * draw(CLASSES, UNITS[0]), 0.3 * draw(CLASSES))]
        hidden = (draw(UNITS[1], UNITS[0]), 0.3 * draw(UNITS[1]))
        deep = [hidden, (draw(CLASSES, UNITS[1]), 0.3 * draw(CLASSES))]
        self.layers: dict[int, Layers] = {1: flat, 2: deep}
        self.uniforms = torch.rand(COUNTS[-1], sum(UNITS), dtype=torch.float64, generator=generator)

    def masks(self, depth: int, keep: float) -> Tensor:
        """(1000, units) of 0 and 1."""
        return (self.uniforms[:, : sum(UNITS[:depth])] < keep).double()

    def logits(self, depth: int, masks: Tensor, gain: float) -> Tensor:
        """(M, 1, K); masks: (M, units); gain: what a kept unit counts in training."""
        parts = masks.split(list(UNITS[:depth]), dim=1)
        return thinned_logits(self.x, self.layers[depth], [gain * part for part in parts])

    def mean_of_all(self, depth: int, keep: float, gain: float) -> Tensor:
        """(K,) logarithms: the geometric mean over all 2^n networks, each as probable as its mask."""
        masks = all_masks(sum(UNITS[:depth]))
        return geometric_mean(self.logits(depth, masks, gain), probabilities(masks, keep))[0]


def dropout_explorer(*, seed: int = 0, **start: Any) -> PictureWidget:
    """Thinned networks of a small network, made by `seed`: some of them drawn, and all of them averaged."""
    network = SmallNetwork(seed)
    mean_of_all = lru_cache(maxsize=40)(network.mean_of_all)

    def draw(
        count: int = slider("Masks drawn", COUNTS, 20, "thinned networks drawn"),
        keep: float = slider("Keep", KEEPS, 0.5, "probability that a unit is kept"),
        depth: int = choice("Network", DEPTHS, 1, "what reads the dropped units"),
        form: str = choice("Form", FORMS, "2012", "what is scaled, and when"),
    ) -> Drawing:
        gain = 1.0 if form == "2012" else 1 / keep
        masks, every = network.masks(depth, keep), mean_of_all(depth, keep, gain)
        logits = network.logits(depth, masks, gain)
        whole = whole_logits(network.x, network.layers[depth], keep * gain).log_softmax(-1)[0]
        kinds = {"drawn": geometric_mean, "arithmetic": arithmetic_mean}
        means = {"whole": whole, "geometric": every}
        means |= {name: mean(logits[:count])[0] for name, mean in kinds.items()}
        far = {
            name: [divergence(every, mean(logits[:c])[0]).item() for c in COUNTS]
            for name, mean in kinds.items()
        }
        words = _facts(count, keep, depth, form, means, far)
        figure, ((left, middle, right),) = plots.panels(1, 3, height=4.7, width_ratios=[1, 2, 1.6])
        _draw_masks(left, masks[: min(count, ROWS)])
        left.set_title("the masks" if count <= ROWS else f"the first {ROWS} masks")
        _draw_distributions(middle, logits[:count, 0].softmax(-1), means)
        title = f"{count} draws from {2 ** masks.shape[1]:,} thinned networks"
        frame(middle, title, "class", "probability")
        figure.legend(*middle.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        draw_divergence(right, COUNTS, far, divergence(every, whole).item(), count)
        frame(right, "how far from the mean of all", "masks drawn", "KL divergence (nats)")
        plots.heading(figure, "\n".join(words[:2]))
        return figure, "; ".join(words)

    return explorer(draw, **start)


def _draw_masks(ax: Axes, masks: Tensor) -> None:
    """Masks (rows, units) of 0 and 1 as rows of squares, dark where a unit is kept."""
    rows, units = masks.shape
    colors = ListedColormap(["#FFFFFF", "#2B6CA3"])
    ax.pcolormesh(masks, cmap=colors, vmin=0, vmax=1, edgecolors="#BBBBBB", linewidth=0.5)
    ax.set(xlim=(0, units), ylim=(rows, 0), xlabel="blue: kept")
    ax.set_aspect("equal", anchor="N")
    plots.bare(ax)


def _draw_distributions(ax: Axes, each: Tensor, means: Mapping[str, Tensor]) -> None:
    """Probabilities of every class: a grey dot for each network, a mark for each mean.

    each: (M, K) in 0–1; means: key of MEANS -> (K,) logarithms.
    """
    count, classes = each.shape
    across = np.linspace(-0.16, 0.16, count)[:, None] if count > 1 else np.zeros((1, 1))
    size, alpha = (9.0, 0.7) if count <= 60 else (4.0, 0.35)
    look: dict[str, Any] = {"color": "#B8B8B8", "linewidth": 0, "zorder": 1}
    ax.scatter(np.arange(classes) + across, each, s=size, alpha=alpha, **look)
    for shift, (name, values) in zip(np.linspace(-0.27, 0.27, len(means)), means.items(), strict=True):
        style = MEANS[name]
        look = {"color": style.color, "markersize": 7, "markeredgecolor": "white", "zorder": 3}
        ax.plot(np.arange(classes) + shift, values.exp(), style.marker, label=style.label, **look)
    ax.scatter([], [], s=9, color="#B8B8B8", label="one thinned network")
    ax.set_xticks(range(classes), [str(k + 1) for k in range(classes)])
    ax.set_xlim(-0.5, classes - 0.5)
    ax.set_ylim(-0.02, 1.02)


def _facts(
    count: int,
    keep: float,
    depth: int,
    form: str,
    means: Mapping[str, Tensor],
    far: Mapping[str, list[float]],
) -> list[str]:
    """The heading in two lines, and what else the alternative text says."""
    units, factor = UNITS[:depth], "1" if form == "inverted" else f"{keep:g}"
    whole = divergence(means["geometric"], means["whole"]).item()
    where = "is" if whole < 1e-12 else f"lies {short(whole)} nats from"
    drawn, arithmetic = (short(far[name][COUNTS.index(count)]) for name in ("drawn", "arithmetic"))
    shares = ", ".join(f"{p:.1%}" for p in means["whole"].exp().tolist())
    return [
        f"{DEPTHS[depth]}, {' + '.join(map(str, units))} units, keep {keep:g}, {form} form; "
        f"masks drawn: {count}",
        f"all units with outputs times {factor}: the network of the test {where} the geometric mean of all",
        f"geometric mean of those drawn {drawn} nats from the geometric mean of all "
        f"{2 ** sum(units):,} networks, arithmetic mean {arithmetic}",
        f"classes in the network of the test: {shares}",
    ]
