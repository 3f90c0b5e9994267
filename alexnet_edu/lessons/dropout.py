"""Lesson 09, dropout: errors with and without it, how many times the epochs, and the explorer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike
from torch import Tensor

from alexnet_edu.data.images import Images
from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing, PictureWidget, choice, explorer, slider
from alexnet_edu.show.plots import BLUE, GREEN, NEUTRAL, ORANGE, PINK, SERIES, Style, frame, note, short
from alexnet_edu.studies.record import Record
from alexnet_edu.studies.statistics import crossing
from alexnet_edu.studies.thinned import (
    Layers,
    all_masks,
    arithmetic_mean,
    divergence,
    geometric_mean,
    probabilities,
    thinned_logits,
    whole_logits,
)

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


TITLES = {"none": "without dropout", "2012": "with dropout"}
LOOKS = {"without dropout": SERIES[2], "with dropout": SERIES[1]}
FORMS_TRAINED = {"without dropout": None, "with dropout": "dropout"}  # label -> step of `small_alexnet`


def _pair(record: Record) -> tuple[float, Record]:
    """The lowest rate at which both were run, and the runs there."""
    rate = min(rate for rate, names in record.shared_rates().items() if set(TITLES) <= set(names))
    return rate, record.at_rate(rate)


def overfitting(record: Record) -> Drawing:
    """Recorded training and test errors with and without dropout, seed by seed."""
    figure, ((ax,),) = plots.panels(1, 1, height=4.2)
    _, same = _pair(record)
    ends = {}
    for name, label in TITLES.items():
        look, part = LOOKS[label], same.of(variant=name)
        for what, width in (("test_error", 1.6), ("train_error", 0.8)):
            for _, curve in part.curves.groupby("seed"):
                ax.plot(curve["epoch"], curve[what], color=look.color, linestyle=look.line, linewidth=width)
            ends[name, what] = float(np.mean(same.values(name, what)))
            words = f"{label}: {plots.WORDS[what]}"
            x = float(part.curves["epoch"].max())
            note(ax, words, (x, ends[name, what]), (6, 0), va="center", color=look.color)
    frame(ax, x="epochs", y="error", percent="y")
    ax.set(xlim=(0, 1.42 * x), ylim=(0, None))
    ax.set_xticks(range(0, int(x) + 1, 6))
    ax.spines["bottom"].set_bounds(0, x)
    without, with_it = (ends[name, "test_error"] for name in TITLES)
    return figure, (
        f"Without dropout the training error falls to {ends['none', 'train_error']:.0%}, the test error to "
        f"{without:.0%}; with it to {ends['2012', 'train_error']:.0%} and {with_it:.0%} "
        "(recorded, seed by seed)."
    )


def live_curves(curves: Mapping[str, Sequence[Sequence[float]]], images: Images) -> Drawing:
    """label -> (training error, test error) after each epoch, without masks."""
    figure, (axes,) = plots.panels(1, 2, height=3.4, sharey=True)
    gaps = {}
    for label, errors in curves.items():
        values, look = np.array(errors), LOOKS[label]
        for ax, column in zip(axes, values.T, strict=True):
            ax.plot(range(1, len(column) + 1), column, look.marker, **(look.kwargs() | {"label": label}))
        gaps[label] = 100 * (values[-1, 1] - values[-1, 0])
    for ax, words in zip(axes, ("training error", "test error"), strict=True):
        frame(ax, words, "epochs", percent="y", grid="y")
    axes[0].legend(loc="lower left")
    return figure, (
        "Test error minus training error in the end: "
        + ", ".join(f"{gap:.0f} points {label}" for label, gap in gaps.items())
        + f".{images.caveat}"
    )


LEVELS = {"train_error": (0.6, 0.5, 0.4, 0.3), "test_error": (0.6, 0.55, 0.5, 0.48)}


def times_as_many(record: Record, guess: float | None = None) -> Drawing:
    """How many times the epochs it takes with dropout until an error is reached, a mark for each seed."""
    rate, same = _pair(record)
    with_it, without = (same.of(variant=name) for name in ("2012", "none"))
    figure, ((ax,),) = plots.panels(1, 1, height=3.8)
    names: list[str] = []
    counted: list[float] = []
    for what, levels in LEVELS.items():
        for level in levels:
            found = [ratio for ratio in ratios(with_it, without, level, what) if ratio is not None]
            place, style = len(names), LOOKS["with dropout"] if what == "train_error" else SERIES[3]
            ax.plot([place] * len(found), found, style.marker, color=style.color, alpha=0.7)
            if found:
                ax.plot([place - 0.25, place + 0.25], [np.mean(found)] * 2, color=style.color, linewidth=2.5)
            names.append(
                f"{what.split('_')[0]}ing\n{level:.0%}" if what == "train_error" else f"test\n{level:.0%}"
            )
            counted += found if what == "train_error" else []
    plots.level(ax, 1, line="-")
    plots.level(ax, 2)
    note(ax, "the paper: about 2", (len(names) - 0.45, 2), (0, 3), ha="right", color=NEUTRAL)
    if guess is not None:
        ax.axhline(guess, color=plots.PINK, linestyle=":", linewidth=2.5)
        note(ax, f"your guess: {guess:g}", (len(names) - 0.6, guess), (0, 4), ha="right")
    ax.set_xticks(range(len(names)), names)
    ax.set_xlim(-0.6, len(names) - 0.4)
    frame(ax, x="until this error is reached", y="epochs with dropout / without", grid="y")
    return figure, (
        f"With dropout it takes {min(counted):.1f} to {max(counted):.1f} times as many epochs to get to "
        f"the same training error (both at ε = {rate:g}, a mark for each seed, recorded)."
    )


def test_errors(record: Record) -> Drawing:
    """Recorded test errors in the end, seed by seed, and the paired difference."""
    rate, same = _pair(record)
    figure, ((ax,),) = plots.panels(1, 1, height=2.6)
    values = {label: same.values(name) for name, label in TITLES.items()}
    plots.strip(ax, values, styles=LOOKS)
    ax.plot(list(values.values()), [0, 1], color=NEUTRAL, linewidth=0.6, zorder=0)
    frame(ax, x="test error in the end", percent="x")
    gap = same.paired_gap("2012", "none")
    return figure, (
        f"Dropout changes the test error by {gap.signed} points (paired by seed, ε = {rate:g}, "
        f"{len(values['with dropout'])} seeds, recorded)."
    )


def both_forms(record: Record) -> Drawing:
    """Recorded test errors of the three forms at one rate: the inverted form is another experiment."""
    rate, same = _pair(record)
    figure, ((ax,),) = plots.panels(1, 1, height=2.8)
    plots.last_errors(ax, same.runs, "test_error")
    gap = same.paired_gap("inverted", "2012")
    return figure, (
        f"At the same rate, ε = {rate:g}, the test error of the inverted form differs from that of 2012 by "
        f"{gap.signed} points (paired by seed, recorded)."
    )


def nearness(
    counts: Sequence[int], drawn: Mapping[str, Sequence[float]], whole: float, images: Images
) -> Drawing:
    """As `draw_divergence`, for a trained network all of whose thinned networks are known."""
    figure, ((ax,),) = plots.panels(1, 1, height=4)
    draw_divergence(ax, counts, drawn, whole)
    words = "KL from the mean of\nall 65,536 networks (nats)"
    frame(ax, x="masks drawn", y=words, legend="lower left")
    enough = next((c for c, far in zip(counts, drawn["drawn"], strict=True) if far <= whole), None)
    words = f"about {enough}" if enough else f"more than {counts[-1]}"
    return (
        figure,
        f"One pass through the halved network is worth the mean of {words} thinned networks.{images.caveat}",
    )


def single_units(
    change: Mapping[str, ArrayLike], kept: Mapping[str, Mapping[float, Sequence[float]]], images: Images
) -> Drawing:
    """What one unit is worth, and what becomes of the error when many are left out."""
    figure, ((left, right),) = plots.panels(1, 2, height=4)
    title = "One of the 512 units of fc4 off"
    draw_sorted(left, change, "change of the logits / their spread", "units that matter as much", title)
    draw_errors_with_masks(right, kept, 0.9, "Many units off at once")
    means = {label: float(np.mean(np.asarray(values))) for label, values in change.items()}
    first, second = means.items()
    return figure, (
        f"One unit moves the logits by {first[1]:.1%} of their spread {first[0]}, by {second[1]:.1%} "
        f"{second[0]}.{images.caveat}"
    )


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


def dropout_explorer(*, seed: int = 0, **options: Any) -> PictureWidget:
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

    return explorer(draw, **options)


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
