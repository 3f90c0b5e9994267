"""Lesson 13, the ledger: every verdict at a glance, gains side by side, the authors' later runs, and luck."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
import pandas as pd
import torch
from matplotlib.patches import Rectangle
from torch import Tensor

from alexnet_edu import paper
from alexnet_edu.data.images import Images
from alexnet_edu.ledger.claims import CLAIMS, DATES_2012, HOLDS, NOT_HERE, PARTLY, RUNS_2012, UNDECIDED
from alexnet_edu.ledger.table import NEEDS_IMAGENET, SIGNS, word
from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing, choice, explores, slider
from alexnet_edu.show.plots import BLUE, GREEN, NEUTRAL, ORANGE, Style, frame, level, note
from alexnet_edu.studies import ensemble_record as results
from alexnet_edu.studies.record import load
from alexnet_edu.studies.statistics import Interval

# --- verdicts at a glance -----------------------------------------------------------------------

COLUMNS = {  # heading -> verdicts, and the colour of their tiles
    "holds, or exact": ((HOLDS, "exact"), "#9CCFB8"),
    "partly": ((PARTLY,), "#F2D58B"),
    "not here": ((NOT_HERE,), "#E0A080"),
    "not decided": ((UNDECIDED,), "#D9C7E0"),
    "needs ImageNet": ((NEEDS_IMAGENET,), "#C6DBEF"),
}
OTHER = ("not judged", "#E3E3E3")


def verdicts() -> dict[str, str]:
    """Each claim's verdict in words."""
    return {claim.id: word(claim) for claim in CLAIMS}


def scoreboard() -> Drawing:
    """A tile for each claim, in a column for each verdict."""
    words = verdicts()
    columns = {
        heading: [name for name, verdict in words.items() if verdict in wanted]
        for heading, (wanted, _) in COLUMNS.items()
    }
    judged = set(itertools.chain(*columns.values()))
    columns[OTHER[0]] = [name for name in words if name not in judged]
    colors = [color for _, color in COLUMNS.values()] + [OTHER[1]]
    figure, ((ax,),) = plots.panels(1, 1, height=5.2)
    for place, ((heading, names), color) in enumerate(zip(columns.items(), colors, strict=True)):
        sign = SIGNS.get(words[names[0]], "○") if names else "○"
        note(ax, f"{sign} {heading}: {len(names)}", (place, -0.9), va="center")
        for row, name in enumerate(names):
            ax.add_patch(Rectangle((place, row - 0.42), 0.94, 0.84, facecolor=color, edgecolor="none"))
            exact = " (exact)" if words[name] == "exact" else ""
            note(ax, name + exact, (place + 0.03, row), va="center")
    ax.set(xlim=(0, len(columns)), ylim=(max(map(len, columns.values())) - 0.4, -1.4))
    plots.bare(ax)
    ax.axis("off")
    counted = sum(verdict == "exact" for verdict in words.values())
    holds, partly, not_here, undecided, needs, others = map(len, columns.values())
    return figure, (
        f"Of {len(CLAIMS)} claims {holds - counted} hold and {counted} are computed exactly; {partly} hold "
        f"in part, or in a small version; {not_here} does not hold here, {undecided} is not decided, {needs} "
        f"need ImageNet, and {others} are not judged."
    )


# --- the paper, the log, and ours on one axis ------------------------------------------------------

PAPER, LOG = Style("black", "", "D", "paper"), Style(ORANGE, "", "s", "2012 log")
OURS = Style(BLUE, "", "o", "ours, small, 95%")


def _gain(better: str, worse: str) -> float:
    return 100 * (RUNS_2012[worse].top1 - RUNS_2012[better].top1)


def _published() -> dict[str, tuple[float | None, float | None]]:
    """What was changed -> points of top-1 error that it gains, in the paper and in the log."""
    five = paper.CNN_2012_VALIDATION.top1 - paper.FIVE_CNNS_VALIDATION.top1
    starred = paper.CNN_2012_VALIDATION.top1 - paper.PRETRAINED_CNN_VALIDATION.top1
    ten = paper.WITHOUT_TEN_PATCHES.top1 - paper.CNN_2010.top1
    return {
        "two GPUs (§3.2)": (paper.TWO_GPU_GAIN.top1, _gain("145-2010", "145-half")),
        "normalization (§3.3)": (paper.LRN_GAIN.top1, _gain("145", "148")),
        "overlapping pooling (§3.4)": (paper.POOL_GAIN.top1, _gain("145", "147")),
        "colour PCA (§4.1)": (paper.COLOR_PCA_GAIN_TOP1, None),
        "ten patches (§4.1)": (ten, _gain("145-2010", "145-2010 centre")),
        "five networks (§6)": (five, None),
        "pre-training (§6)": (starred, _gain("146-2012-2011", "145")),
    }


def _measured() -> dict[str, list[Interval]]:
    """The same, small, on CIFAR-10, as recorded: the error of the better minus that of the worse, in points.

    Two where two groups of networks, or two problems, were judged apart.
    """
    small, exchange = load("results"), load("exchange")
    return {
        "two GPUs (§3.2)": [exchange.at_rate(exchange.rate("conv3")).gap("conv3", "half")],
        "normalization (§3.3)": [load("norms").gap("lrn", "none")],
        "overlapping pooling (§3.4)": [load("pooling").gap("z3", "z2")],
        "colour PCA (§4.1)": [load("augmentation-long").paired_gap("crops-flips-colour", "crops-flips")],
        "ten patches (§4.1)": [results.view_gap(small, "ten")],
        "five networks (§6)": results.group_gaps(small),
        "pre-training (§6)": results.gaps(small, "starred", "plain"),
    }


def gains() -> Drawing:
    """Points of top-1 error gained: the paper, the log, and the small versions here."""
    published, measured = _published(), _measured()
    figure, ((ax,),) = plots.panels(1, 1, height=4.6)
    clear = inside = 0
    for place, (name, (said, logged)) in enumerate(published.items()):
        gaps = [(-gap.value, -_bound(gap.high, gap), -_bound(gap.low, gap)) for gap in measured[name]]
        for number, (value, low, high) in enumerate(gaps):
            at = place + 0.14 + 0.16 * number
            ax.plot([low, high], [at, at], color=OURS.color, linewidth=2)
            ax.plot(value, at, OURS.marker, color=OURS.color, markersize=7)
        clear += all(low > 0 for _, low, _ in gaps)
        inside += said is not None and all(low <= said <= high for _, low, high in gaps)
        for point, style, at in ((said, PAPER, -0.22), (logged, LOG, -0.05)):
            if point is not None:
                ax.plot(point, place + at, style.marker, color=style.color, markersize=7)
    for style in (PAPER, LOG, OURS):
        ax.plot([], [], style.marker, color=style.color, label=style.label)
    plots.rows(ax, list(published))
    level(ax, 0, axis="x")
    frame(ax, x="points of top-1 error gained", grid="x", legend="lower right")
    return figure, (
        f"Of {len(published)} small gains {clear} are clearly above 0; the published gain lies within the "
        f"interval of {inside}."
    )


def _bound(bound: float | None, gap: Interval) -> float:
    return gap.value if bound is None else bound


def readings(rows: Mapping[str, Sequence[float]]) -> pd.DataFrame:
    """A table: what is computed -> the paper's reading, that of the code of 2012, PyTorch's."""
    texts = {name: [f"{float(value):,.4g}" for value in values] for name, values in rows.items()}
    return pd.DataFrame(texts, index=["paper", "2012 code", "PyTorch"]).T


# --- what the authors did afterwards -----------------------------------------------------------------


def _from_scratch() -> dict[str, float]:
    """Runs on ILSVRC 2012 without pre-training, judged on its validation images: name -> top-1 error."""
    tuned = ("141-2009", "146-2012")
    runs = {n: r for n, r in RUNS_2012.items() if r.on == "2012 validation" and not n.startswith(tuned)}
    return {name: run.top1 for name, run in runs.items() if "centre" not in name}


def later_runs() -> Drawing:
    """The authors' runs by their number, which is their order, and the error of each."""
    errors = _from_scratch()
    figure, ((ax,),) = plots.panels(1, 1, height=4.4)
    published = errors["145"]
    better = {name for name, error in errors.items() if error < published}
    for name, error in errors.items():
        color, marker = (GREEN, "o") if name in better else (NEUTRAL, "x")
        color, marker = ("black", "D") if name == "145" else (color, marker)
        ax.plot(_number(name), error, marker, color=color, markersize=7)
    level(ax, published)
    words = {"145 continued": "145, trained on", "148": "148, no normalization"}
    words |= {"150": "150, no exchange", "170 fade": "170, crops mixed"}
    for name, text in words.items():
        note(ax, text, (_number(name), errors[name]), (7, 3))
    for name, text in {"145": "145, the paper's", "167": "167, no normalization in conv2"}.items():
        note(ax, text, (_number(name), errors[name]), (-8, -9 if name == "145" else -4), ha="right")
    for name, side in (("135", "center"), ("145", "right"), ("148", "left")):
        note(ax, f"{DATES_2012[name]:%-d %b}", (_number(name), 0.4245), ha=side, color=NEUTRAL)
        ax.plot([_number(name)] * 2, [0.4228, 0.424], color=NEUTRAL, linewidth=0.8)
    ax.set(xlim=(117, 186), ylim=(0.4, 0.4265))
    frame(
        ax,
        x="number of the run, in the order in which they were set up",
        y="top-1 error, ten patches",
        percent="y",
    )
    after = [name for name in errors if _number(name) > 145]
    return figure, (
        f"Of {len(after)} later runs in the notes {len(better & set(after))} are better than the published "
        f"network, and so is the network itself, trained on: {errors['145 continued']:.2%} against "
        f"{published:.2%}."
    )


def _number(name: str) -> int:
    return int(name.split()[0].split("-")[0])


# --- luck -------------------------------------------------------------------------------------------


def luck(wrong: Tensor, images: Images, guess: float | None = None) -> Drawing:
    """Differences between networks that differ by their seed alone, and what the choice of images makes.

    wrong: (networks, N) bool, whether each image is. guess: of the typical difference, in points.
    """
    errors, count = wrong.float().mean(1), wrong.shape[1]
    pairs = list(itertools.combinations(range(len(wrong)), 2))
    apart = np.array([100 * (errors[i] - errors[j]).abs().item() for i, j in pairs])
    disagree = fmean((wrong[i] ^ wrong[j]).float().mean().item() for i, j in pairs)
    by_images = 100 * (disagree / count) ** 0.5
    figure, ((left, right),) = plots.panels(1, 2, height=3.2, width_ratios=[1, 1.4])
    plots.strip(left, {"error": errors.tolist()}, upright=True)
    frame(left, "the networks", y="test error", percent="y")
    typical = float(np.sqrt((apart**2).mean()))
    right.plot(apart, np.zeros(len(apart)), "o", color=BLUE, alpha=0.6)
    level(right, typical, "typical", axis="x", line="-")
    level(right, by_images, "√(d/n)", axis="x", line="--")
    if guess is not None:
        level(right, guess, axis="x")
        note(right, f"your guess: {guess:g}", (guess, -0.8), (4, 0), bbox=plots.BEHIND_WORDS)
    right.set(xlim=(0, None), ylim=(-1, 1.6), yticks=[])
    frame(right, "pairs of networks", x="points of test error between two of them")
    return figure, (
        f"Networks that differ by their seed alone are {typical:.1f} points apart on {count:,} test images "
        f"(root mean square); the choice of the images alone would make it {by_images:.1f}.{images.caveat}"
    )


def standard_error(wrong: Tensor, other: Tensor) -> float:
    """Of the difference of two error rates on the same n images: √((d − δ²) / n).

    wrong, other: (N,) bool. d: the share on which only one of them is wrong; δ: the difference.
    """
    difference = wrong.float() - other.float()
    return float((difference.var(unbiased=False) / len(difference)).sqrt())


def two_classifiers(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Two classifiers (n,) bool that are wrong on about 40% of the images, mostly on the same ones."""
    random = torch.Generator().manual_seed(seed)
    hard = torch.rand(n, generator=random)
    return tuple(hard + 0.15 * torch.randn(n, generator=random) > 0.6 for _ in range(2))  # type: ignore[return-value]


GAINS = {
    0.1: "0.1",
    0.394: "0.394, overlapping pooling",
    1.37: "1.37, normalization",
    1.695: "1.695, two GPUs",
}
COUNTS = {1_000: "1,000", 10_000: "10,000", 50_000: "50,000, validation 2012", 150_000: "150,000, test 2010"}


@explores
def gain_explorer(
    gain: float = choice("Gain", GAINS, 0.394, "points of top-1 error, by the log"),
    images: int = choice("Images", COUNTS, 50_000, "on which both networks were judged"),
    disagree: float = slider(
        "Disagreement",
        (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4),
        0.15,
        "on so many one alone is wrong",
        "{:.0%}",
    ),
) -> Drawing:
    """A measured gain, and how far the choice of the images alone moves it."""
    error = 100 * (disagree / images - (gain / 100) ** 2 / images) ** 0.5
    figure, ((ax,),) = plots.panels(1, 1, height=2.6)
    x = np.linspace(gain - 4 * error, gain + 4 * error, 201)
    ax.fill_between(x, np.exp(-(((x - gain) / error) ** 2) / 2), color=BLUE, alpha=0.3)
    ax.plot([gain - 1.96 * error, gain + 1.96 * error], [0.02, 0.02], color=BLUE, linewidth=4)
    level(ax, 0, "no gain", axis="x")
    ax.set(yticks=[], ylim=(0, 1.15), xlim=(min(-1.0, x[0]), max(2.5, x[-1])))
    frame(ax, x="points of top-1 error")
    return figure, (
        f"A gain of {gain:g} points on {images:,} images is {gain / error:.1f} standard errors if the two "
        f"networks disagree about {disagree:.0%} of the images."
    )
