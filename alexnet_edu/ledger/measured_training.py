"""What this project measured or counted for the claims of §4 and §5; `measured` has the others.

Importing this module makes its readers known; `claims` does.
"""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from alexnet_edu import paper as p
from alexnet_edu.ledger.ours import (
    COUNTS,
    against,
    at_one_rate,
    described,
    last_errors,
    on_stand_in,
    positive,
    reads,
)
from alexnet_edu.studies.convergence import epochs_to
from alexnet_edu.studies.record import at_rate, find_cell, interval, paired_gap, shared_rates

AUGMENTATION, DROPOUT, DECAY = "augmentation-long.json", "dropout.json", "decay.json"
START, SCHEDULE, AUGMENTING = "start.json", "schedule.json", "augmenting.json"
PREPARED_SIDE = 256  # §2


def _of(record: Mapping[str, Any], experiment: str) -> None:
    if record["experiment"] != experiment:
        raise ValueError(f"experiment {record['experiment']!r} is not {experiment!r}")


# --- augmentation (§4.1) ------------------------------------------------------------------


def _count_crops() -> str:
    places = PREPARED_SIDE - p.INPUT_SIDE + 1
    return f"{places} × {places} places × 2 directions = {2 * places**2:,}"


@reads("aug-needed", AUGMENTATION)
def _read_needed(record: dict[str, Any]) -> str | None:
    compared = _overfitting(record)
    if compared is None:
        return None
    same = at_one_rate(record, ("none", "crops-flips"), "both", _overfitting)
    return f"test minus training error: {compared} ({described(record)}){same}"


def _overfitting(record: Mapping[str, Any]) -> str | None:
    _of(record, "augmentation-long")
    gaps = []
    for name in ("none", "crops-flips"):
        test, train = last_errors(record, name), last_errors(record, name, "train_error")
        if test is None or train is None:
            return None
        gaps.append(100 * (statistics.fmean(test) - statistics.fmean(train)))
    tests = against(record, "augmentation-long", "none", "crops-flips")
    return f"{gaps[0]:.1f} points without, {gaps[1]:.1f} with crops and reflections; test error {tests}"


@reads("pca-gain", AUGMENTATION)
def _read_color_gain(record: dict[str, Any]) -> str | None:
    _of(record, "augmentation-long")
    texts = []
    for rate, names in shared_rates(record).items():
        if {"crops-flips", "crops-flips-colour"} <= set(names):
            same = at_rate(record, rate)
            texts.append(
                f"{interval(paired_gap(same, 'crops-flips-colour', 'crops-flips'))} points (ε = {rate:g})"
            )
    if not texts:
        return None
    found = f"{'; '.join(texts)} ({described(record)})"
    return f"small version, test error against crops and reflections alone, seed by seed: {found}"


@reads("pca-formula", AUGMENTING)
def _read_strengths(record: dict[str, Any]) -> str | None:
    _of(record, "augmenting")
    words = {"stdevs": "√λ", "eigenvalues": "λ of pixels 0–255", "eigenvalues of 0–1": "λ of pixels 0–1"}
    texts = []
    for kind, text in words.items():
        size = p.COLOR_PCA_STD * positive(record["strengths"][kind][0])
        texts.append(f"{size:,.0f} with {text}" if size >= 100 else f"{size:.1f} with {text}")
    return (
        f"standard deviation of the shift along p₁, in grey levels: {', '.join(texts)}{on_stand_in(record)}"
    )


@reads("aug-free", AUGMENTING)
def _read_free(record: dict[str, Any]) -> str | None:
    _of(record, "augmenting")
    seconds = {name: positive(value) for name, value in record["seconds"].items()}
    turns, side, step = seconds["in turn"], seconds["side by side"], seconds["step"]
    return (
        f"a batch of {record['batch']} takes {seconds['augment'] / step:.1%} of the time of a step on the "
        f"same processor; the two in turn {turns / step:.2f} steps, side by side {side / step:.2f}"
    )


COUNTS["aug-2048"] = _count_crops


# --- dropout (§4.2) -----------------------------------------------------------------------

LEVELS = (0.4, 0.3)  # training errors, both within reach of all runs


@reads("dropout-iters", DROPOUT)
def _read_iterations(record: dict[str, Any]) -> str | None:
    compared = against(record, "dropout", "2012", "none")
    if compared is None:
        return None
    trained = against(record, "dropout", "2012", "none", "train_error")
    same = at_one_rate(record, ("2012", "none"), "both", _slower)
    levels = " and ".join(f"{level:.0%}" for level in LEVELS)
    return (
        f"with dropout {compared} without, test error; training error {trained}; epochs to a training error "
        f"of {levels}: {_slower(record)} ({described(record)}){same}"
    )


def _slower(record: Mapping[str, Any]) -> str:
    """ "2.1 times as many, not reached by all": means over the seeds, for each of `LEVELS`."""
    texts = []
    for level in LEVELS:
        with_it, without = (
            [epochs_to(run["curve"], level) for run in find_cell(record, name)["runs"]]
            for name in ("2012", "none")
        )
        slow, fast = [e for e in with_it if e is not None], [e for e in without if e is not None]
        if len(slow) < len(with_it) or len(fast) < len(without):
            texts.append("not reached by all")
        else:
            texts.append(f"{statistics.fmean(slow) / statistics.fmean(fast):.1f} times as many")
    return ", ".join(texts)


def _count_geometric_mean(units: int = 8, classes: int = 5) -> str:
    """One softmax layer, all masks: the halved network against the renormalized geometric mean."""
    draw = random.Random(2012)
    h = [draw.gauss(0, 2) for _ in range(units)]
    w = [[draw.gauss(0, 1) for _ in range(units)] for _ in range(classes)]

    def log_softmax(inputs: Sequence[float]) -> list[float]:
        z = [math.fsum(a * b for a, b in zip(row, inputs, strict=True)) for row in w]
        top = max(z)
        norm = top + math.log(math.fsum(math.exp(v - top) for v in z))
        return [v - norm for v in z]

    masks = list(itertools.product((0, 1), repeat=units))
    thinned = [log_softmax([m * v for m, v in zip(mask, h, strict=True)]) for mask in masks]
    means = [math.exp(math.fsum(column) / len(masks)) for column in zip(*thinned, strict=True)]
    total = math.fsum(means)
    halved = [math.exp(v) for v in log_softmax([v / 2 for v in h])]
    worst = max(abs(m / total - v) for m, v in zip(means, halved, strict=True))
    return f"one softmax layer, all {len(masks)} masks of {units} units: largest difference {_below(worst)}"


def _below(value: float) -> str:
    """A rounding error as a bound: the same words on every machine; what is larger is told."""
    return "less than 1e-12" if value < 1e-12 else f"{value:.1e}"


COUNTS["dropout-geomean"] = _count_geometric_mean


# --- learning (§5) ------------------------------------------------------------------------


def _count_rule(steps: int = 100) -> str:
    """The printed rule and PyTorch's on 1/2 h w², before and after ε falls to a tenth."""

    def run(inside: bool, drop: int | None) -> list[float]:
        w, v, path = 1.0, 0.0, []
        for i in range(steps):
            rate = p.LEARNING_RATE / (10 if drop is not None and i >= drop else 1)
            g = 2.0 * w + p.WEIGHT_DECAY * w
            v = p.MOMENTUM * v - rate * g if inside else p.MOMENTUM * v + g
            w += v if inside else -rate * v
            path.append(w)
        return path

    same = max(abs(a - b) for a, b in zip(run(True, None), run(False, None), strict=True))
    apart = max(abs(a - b) for a, b in zip(run(True, 50), run(False, 50), strict=True))
    coast = p.MOMENTUM / (1 - p.MOMENTUM)
    return (
        f"on ½·2w² the rule and PyTorch's differ by {_below(same)} while ε is constant, by {apart:.2g} after "
        f"a drop; an old velocity runs on for {coast:.1f} times its size, in PyTorch for {coast / 10:.2g}"
    )


COUNTS["sgd-rule"] = _count_rule


@reads("wd-trains", DECAY)
def _read_decay(record: dict[str, Any]) -> str | None:
    _of(record, "decay")
    texts = []
    for rate, names in shared_rates(record).items():
        if {"0", "0.0005"} <= set(names):
            same = at_rate(record, rate)
            change = interval(paired_gap(same, "0.0005", "0", "train_error"))
            texts.append(f"{change} points (ε = {rate:g})")
    if not texts:
        return None
    found = f"{'; '.join(texts)} ({described(record)})"
    return f"training error with a decay of {p.WEIGHT_DECAY:g} against none, seed by seed: {found}"


@reads("init", START)
def _read_start(record: dict[str, Any]) -> str | None:
    _of(record, "start")
    texts = []
    for rate, names in shared_rates(record).items():
        if {"ones", "zeros"} <= set(names):
            early = [_after(find_cell(record, name, rate), 1.0) for name in ("ones", "zeros")]
            texts.append(f"{early[0]:.1%} against {early[1]:.1%} (ε = {rate:g})")
    if not texts:
        return None
    return f"training error after one epoch, biases 1 against 0: {'; '.join(texts)} ({described(record)})"


def _after(cell: Mapping[str, Any], epoch: float) -> float:
    """The mean training error at the first measurement at or after `epoch`."""
    found = []
    for run in cell["runs"]:
        pairs = zip(run["curve"]["epoch"], run["curve"]["train_error"], strict=True)
        found.append(next(error for at, error in pairs if at >= epoch - 0.01))
    return statistics.fmean(found)


@reads("lr-schedule", SCHEDULE)
def _read_schedule(record: dict[str, Any]) -> str | None:
    _of(record, "schedule")
    words = {"constant": "never", "plateau": "by the rule", "logged": "as logged in 2012, compressed"}
    errors = {text: last_errors(record, name) for name, text in words.items()}
    texts = [f"{text} {statistics.fmean(found):.1%}" for text, found in errors.items() if found is not None]
    if len(texts) < len(words):
        return None
    return f"test error where ε falls {', '.join(texts)} ({described(record)})"
