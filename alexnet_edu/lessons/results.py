"""Lesson 11, results: averages of patches and of networks, pre-training, and the paper's Table 2."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from alexnet_edu import paper
from alexnet_edu.data.augment import TEN_PATCHES
from alexnet_edu.data.images import Images
from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing, PictureWidget, choice, explorer, slider
from alexnet_edu.show.plots import BLUE, NEUTRAL, ORANGE, PINK, frame
from alexnet_edu.studies import ensemble_record as results
from alexnet_edu.studies.record import Record
from alexnet_edu.studies.statistics import signed
from alexnet_edu.training.predictions import average, top_errors

VIEWS = {"ten": "ten patches", "centre": "the centre alone"}
# The ten patches: the centre, then opposite corners, each with its reflection.
ONE_BY_ONE = (2, 7, 0, 5, 4, 9, 1, 6, 3, 8)

# --- what is measured --------------------------------------------------------------------------


def pictures(images: Images, classes: Sequence[int], each: int | None = None) -> tuple[Tensor, Tensor]:
    """The first `each` images of every class (None: all), about −2 to 2, and their labels 0, 1, 2 …"""
    places = [(images.labels == label).nonzero()[:each, 0] for label in classes]
    labels = torch.cat([torch.full((len(some),), new) for new, some in enumerate(places)])
    return (images.pixels[torch.cat(places)].float() - 128) / 64, labels


def error(probabilities: Tensor, labels: Tensor) -> float:
    """Top-1 error (0–1) of the average of M predictions, (M, N, C)."""
    return float(top_errors(average(probabilities), labels, 1).mean())


def errors_by_size(probabilities: Tensor, labels: Tensor) -> dict[int, list[float]]:
    """Errors of the averages of all subsets of M predictions, (M, N, C): size -> errors (0–1)."""
    count = len(probabilities)
    return {
        size: [
            error(probabilities[list(some)], labels) for some in itertools.combinations(range(count), size)
        ]
        for size in range(1, count + 1)
    }


def through_two(by_size: Mapping[int, Sequence[float]]) -> tuple[float, float]:
    """(a, b) of the curve a + b/M through the mean errors of one network and of two."""
    one, two = (fmean(by_size[size]) for size in (1, 2))
    return 2 * two - one, 2 * (one - two)


# --- pictures --------------------------------------------------------------------------------


def three_gains(record: Record) -> Drawing:
    """What each of the three steps gains in the record, with intervals, and in the paper (top-1)."""
    plain, long = paper.CNN_2012_VALIDATION.top1, ("starred-long", "long")
    gains = {
        "ten patches\nin place of the centre": (
            [results.view_gap(record, "ten")],
            paper.CNN_2010.top1 - paper.WITHOUT_TEN_PATCHES.top1,
        ),
        "five networks\nin place of one": (
            results.group_gaps(record),
            paper.FIVE_CNNS_VALIDATION.top1 - plain,
        ),
        "other classes first\nin place of a longer training": (
            results.gaps(record, *long),
            paper.PRETRAINED_CNN_VALIDATION.top1 - plain,
        ),
    }
    figure, ((ax,),) = plots.panels(1, 1, height=3.1)
    for place, (several, theirs) in enumerate(gains.values()):
        for i, gap in enumerate(several):
            at = place + 0.16 * (i - (len(several) - 1) / 2) - 0.1
            ax.plot([gap.low, gap.high], [at, at], color=BLUE, linewidth=2)  # type: ignore[arg-type]
            ax.plot(gap.value, at, "o", color=BLUE, markersize=7)
        ax.plot(theirs, place + 0.22, "D", color=ORANGE, fillstyle="none", markersize=8, mew=1.8)
    ax.plot([], [], "o-", color=BLUE, label="recorded on CIFAR-10 (each repetition, 95%)")
    ax.plot([], [], "D", color=ORANGE, fillstyle="none", mew=1.8, label="the paper on ImageNet")
    plots.rows(ax, list(gains))
    plots.level(ax, 0, axis="x", line="-")
    ax.set_xlim(-4.2, 0.3)
    frame(ax, x="change of the top-1 error (points); further left is better")
    figure.legend(loc="outside lower center", ncols=2)
    ours = [fmean(gap.value for gap in several) for several, _ in gains.values()]
    patches, networks, classes = (f"{-gain:.1f}" for gain in ours)
    theirs_in_words = ", ".join(f"{-theirs:.1f}" for _, theirs in gains.values())
    return figure, (
        f"Ten patches save {patches} points, five networks {networks}, other classes first {classes} points "
        f"(recorded); the paper: {theirs_in_words}."
    )


def limits(record: Record) -> str:
    """What the record cannot say, with its numbers."""
    errors = [record.of(variant=kind).runs["train_error"].mean() for kind in ("member", "plain", "long")]
    member, plain, long = (f"{error:.0%}" for error in errors)
    each = len(results.network_errors(record, "long", 1))
    problems = len(record.settings["problems"])
    return (
        f"The ten networks stop at a training error of {member}, those on five classes at {plain}. "
        f"Only {each} network per problem was trained longer, to {long}. "
        f"The {problems} problems come from {problems // 2} split of the classes, taken in both directions."
    )


def patch_by_patch(patches: Tensor, labels: Tensor, images: Images) -> Drawing:
    """Each patch alone, and the average of the first k patches; patches: (M, 10, N, C) of M networks."""
    alone = [[error(network[i, None], labels) for network in patches] for i in ONE_BY_ONE]
    first = [
        [error(network[list(ONE_BY_ONE[:k])], labels) for network in patches]
        for k in range(1, len(ONE_BY_ONE) + 1)
    ]
    figure, ((ax,),) = plots.panels(1, 1, height=3.8)
    steps = range(1, len(ONE_BY_ONE) + 1)
    ax.plot(steps, np.mean(alone, 1), "s", color=NEUTRAL, fillstyle="none", mew=1.6, label="this patch alone")
    ax.plot(steps, np.mean(first, 1), "o-", color=BLUE, label="the average of all patches so far")
    names = [TEN_PATCHES[i].replace(", mirrored", "") for i in ONE_BY_ONE]
    ax.set_xticks(steps, ["mirrored" if k % 2 else n.replace(" ", "\n") for k, n in enumerate(names)])
    frame(ax, x="one patch after another", y="test error", percent="y", grid="y", legend="center right")
    before, after = fmean(first[0]), fmean(first[-1])
    better = sum(b < a for a, b in zip(first[0], first[-1], strict=True))
    return figure, (
        f"Ten patches lower the error from {before:.1%} to {after:.1%}, for {better} of {len(patches)} "
        f"networks, although the corners alone have {fmean(map(fmean, alone[2:])):.1%}.{images.caveat}"
    )


def curve_of_two(
    probabilities: Tensor, labels: Tensor, record: Record, images: Images, guess: float | None
) -> Drawing:
    """Errors of all averages and the curve through one and two networks: live (M, N, C), and in the record.

    guess: how many times the gain of two networks all of them have, drawn as a line.
    """
    count = record.settings["plan"]["networks"]
    recorded = {size: results.subset_errors(record, size, "centre") for size in range(1, count + 1)}
    live = errors_by_size(probabilities, labels)
    figure, (axes,) = plots.panels(1, 2, height=3.8)
    words = []
    for ax, by_size, title in zip(
        axes, (live, recorded), ("your networks", "recorded: all classes"), strict=True
    ):
        a, b = through_two(by_size)
        draw_subsets(ax, by_size)
        sizes = np.linspace(1, len(by_size), 100)
        ax.plot(sizes, a + b / sizes, color=ORANGE, linestyle="--", label="a + b/M through M = 1 and 2")
        plots.level(ax, a, "a: infinitely many")
        frame(ax, title, "networks averaged, M", "test error", percent="y", grid="y", legend="upper right")
        words.append((len(by_size), a + b / len(by_size), fmean(by_size[len(by_size)])))
    if guess is not None:
        one, two = (fmean(live[size]) for size in (1, 2))
        axes[0].axhline(
            one - guess * (one - two), color=PINK, linestyle=":", linewidth=2.5, label="your guess"
        )
        axes[0].legend(loc="upper right")
    (m, curve, measured), (many, curve_r, recorded_r) = words
    return figure, (
        f"Through one and two networks the curve leads to {curve:.1%} for {m}; measured {measured:.1%}. "
        f"(Recorded, {many} networks: {curve_r:.1%} and {recorded_r:.1%}.){images.caveat}"
    )


def draw_subsets(ax: Axes, by_size: Mapping[int, Sequence[float]]) -> None:
    """Every subset of networks as a dot over its size, with a larger mark at the mean of each size."""
    for size, values in by_size.items():
        ax.plot([size] * len(values), values, ".", color=BLUE, alpha=0.25, markersize=4)
    ax.plot(list(by_size), [fmean(values) for values in by_size.values()], "o", color=BLUE, label="mean")
    ax.set_xticks(list(by_size))
    frame(ax, percent="y", grid="y")


def table_two(plain: Tensor, starred: Tensor, labels: Tensor, record: Record, images: Images) -> Drawing:
    """The rows of Table 2: live, M networks (M, N, C) and a pre-trained one (1, N, C); and in the record."""
    everyone = torch.cat([plain, starred])
    live = {
        "1 CNN": [error(one[None], labels) for one in plain],
        f"{len(plain)} CNNs": [error(plain, labels)],
        "1 CNN*": [error(starred, labels)],
        f"{len(everyone)} CNNs*": [error(everyone, labels)],
    }
    recorded = {row: results.row_errors(record, row) for row in results.ROWS}
    figure, (axes,) = plots.panels(1, 2, height=3.2, sharex=True)
    titles = ("your networks", "recorded: each problem, more images")
    for ax, rows, title in zip(axes, (live, recorded), titles, strict=True):
        plots.strip(ax, rows, styles=plots.SERIES[1:2])
        frame(ax, title, "test error, ten patches", percent="x", grid="x")
    one, many, star, every = (fmean(values) for values in live.values())
    return figure, (
        f"{one:.1%} alone, {many:.1%} averaged, {star:.1%} pre-trained, {every:.1%} all together. "
        f"Recorded: {', '.join(f'{fmean(values):.1%}' for values in recorded.values())}.{images.caveat}"
    )


def head_start(record: Record) -> Drawing:
    """Test errors of single networks by how they were trained, each problem a mark, with training errors."""
    figure, (axes,) = plots.panels(1, 2, height=3.4, sharey=True)
    tested = {words: results.kind_errors(record, kind) for kind, words in results.KINDS.items()}
    trained = {w: record.of(variant=kind).runs["train_error"] for kind, w in results.KINDS.items()}
    for ax, errors, what in zip(axes, (tested, trained), ("test", "training"), strict=True):
        plots.strip(ax, errors, styles=plots.SERIES[1:2])
        frame(ax, x=f"{what} error, " + ("each problem" if what == "test" else "each network"), percent="x")
    first, rest = (
        fmean(gap.value for gap in results.gaps(record, *pair))
        for pair in (("starred", "plain"), ("starred-long", "long"))
    )
    short, long = (record.of(variant=kind).runs["epochs"].mean() for kind in ("starred", "starred-long"))
    return figure, (
        f"Having learned other classes saves {-first:.1f} points after a short training, and {-rest:.1f} "
        f"where both train {long / short:.0f} times as long (recorded)."
    )


def ways_to_average(record: Record) -> Drawing:
    """What other ways to average five recorded networks change, in points against the plain mean."""
    groups, halves = record.tables["groups"], record.tables["weights"]
    changes = {
        "logits averaged": groups["logits"] - groups["average"],
        "coefficients searched,\nwhere they were searched": halves["searched_here"] - halves["equal_here"],
        "coefficients searched,\non the other half of the images": halves["searched_there"]
        - halves["equal_there"],
    }
    figure, ((ax,),) = plots.panels(1, 1, height=3.0)
    plots.strip(
        ax,
        {words: 100 * values for words, values in changes.items()},
        form="{:+.2f}",
        styles=plots.SERIES[1:2],
    )
    plots.level(ax, 0, axis="x", line="-")
    frame(ax, x="change of the top-1 error against equal votes (points); further left is better")
    logits, here, there = (signed(100 * values.mean()) for values in changes.values())
    return figure, (
        f"Searched coefficients change the error by {here} points where they were searched and by {there} "
        f"elsewhere; logits in place of probabilities by {logits} (recorded)."
    )


# --- the explorer ----------------------------------------------------------------------------------


def results_explorer(
    record: Record, frames: Mapping[str, Sequence[Any]] | None = None, **start: Any
) -> PictureWidget:
    """Errors of averages in the record, over all choices of networks, beside the paper's Table 2."""
    plan = record.settings["plan"]

    def draw(
        plain: int = slider(
            "From scratch", range(plan["plain"] + 1), 1, "networks that saw the problem's images alone"
        ),
        starred: int = slider(
            "Pre-trained (*)", range(plan["starred"] + 1), 0, "networks first trained on other classes"
        ),
        view: str = choice("Patches", VIEWS, "ten", "what is averaged"),
    ) -> Drawing:
        figure, (axes,) = plots.panels(1, 2, height=3.9, width_ratios=[1.5, 1])
        words = f"{plain} from scratch, {starred} pre-trained, {VIEWS[view]}"
        sentences = [
            _draw_problems(axes[0], record, plain, starred, view),
            _draw_paper(axes[1], plain, starred),
        ]
        note = "SYNTHETIC images, " if record.is_synthetic else ""
        plots.heading(figure, f"{words} ({note}recorded):\n{sentences[0]}")
        return figure, f"{words}: {'; '.join(sentences)}."

    return explorer(draw, frames=frames, **start)


def _draw_problems(ax: Axes, record: Record, plain: int, starred: int, view: str) -> str:
    """Every choice of networks, problem by problem, and the pre-trained ones alone to compare with."""
    problems = [f"problem {problem['problem']}" for problem in record.settings["problems"]]
    title = f"five classes, {record.settings['plan']['few']} images each"
    frame(ax, title, y="test error", percent="y", grid="y")
    plots.rows(ax, problems, upright=True)
    if not plain + starred:
        ax.text(0.5, 0.5, "choose a network", ha="center", transform=ax.transAxes)
        return "no network is chosen"
    errors = results.mixed_errors(record, plain, starred, view)
    compared = {"one from scratch": (1, 0)} | ({f"{starred} pre-trained": (0, starred)} if starred else {})
    for (words, numbers), line in zip(compared.items(), (":", "-"), strict=False):
        alone = [fmean(values) for values in results.mixed_errors(record, *numbers, view)]
        for place, level in enumerate(alone):  # not to the right, where the words of the mean are
            label = None if place else words
            ax.plot([place - 0.4, place + 0.28], [level] * 2, line, color=NEUTRAL, linewidth=1.2, label=label)
    plots.strip(ax, dict(zip(problems, errors, strict=True)), upright=True, styles=plots.SERIES[1:2])
    every = record.tables["mixed"]["error"]
    ax.set_ylim(every.min() - 0.005, every.max() + 0.01)  # whatever is chosen: what moves is the error
    ax.plot([], [], color=BLUE, linewidth=2.5, label="chosen: mean")
    ax.legend(loc="upper right", ncols=3, handlelength=1.4, columnspacing=1.2)
    means = f"mean {', '.join(f'{fmean(values):.1%}' for values in errors)}"
    if not (plain and starred):
        return means
    better = [
        f"{sum(e < level for e in values)} of {len(values)}"
        for values, level in zip(errors, alone, strict=True)
    ]
    return f"{means}; choices better than the {starred} alone: {', '.join(better)}"


def _draw_paper(ax: Axes, plain: int, starred: int) -> str:
    row = next((name for name, numbers in results.ROWS.items() if numbers == (plain, starred)), None)
    values = {name: numbers.top1 for name, numbers in results.PUBLISHED.items()}
    colors = [ORANGE if name == row else plots.SKY for name in values]
    plots.bars(ax, values, colors=colors, words=[f"{numbers}" for numbers in results.PUBLISHED.values()])
    ax.set_xlim(0, 1.5 * max(values.values()))
    frame(ax, "the paper, Table 2: top-1 / top-5", "validation error, %")
    return f"the paper has {row}: {results.PUBLISHED[row]}" if row else "the paper has no such row"
