"""What this project measured for the claims: one small reader each gives the figures and a verdict.

The words around the figures stand in `claims.toml`. Nothing measured is ever typed by hand: without a
record in `data/results` there is no value.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median
from types import SimpleNamespace
from typing import Any

from alexnet_edu import paper as p
from alexnet_edu.environment import results_dir
from alexnet_edu.files import DataError
from alexnet_edu.ledger import trainings
from alexnet_edu.ledger.claims import FIGURES, HOLDS, NOT_HERE, UNDECIDED, Claim, Figures, claim_named, judged
from alexnet_edu.ledger.counted import COUNTS
from alexnet_edu.studies import ensemble_record as results
from alexnet_edu.studies import record as studies
from alexnet_edu.studies.record import Record
from alexnet_edu.studies.statistics import Interval, p_text
from alexnet_edu.two_gpus.traffic import COLUMNS, HALF


@dataclass(frozen=True)
class Ours:
    """What was measured or counted for one claim: in words, where it comes from, the record, the verdict.

    record: None where the value is computed each time, and not read from a file.
    verdict: None where no rule judges it. imagenet: whether trainings on ImageNet gave it.
    """

    value: str
    provenance: str
    record: Path | None
    verdict: str | None
    imagenet: bool = False


Reader = Callable[[Record], Figures | None]
READERS: dict[str, Reader] = {}  # claim -> its figures, from the record


def reader(claim_id: str) -> Callable[[Reader], Reader]:
    """Registers the function that reads the figures of a claim from its record."""
    return lambda function: READERS.setdefault(claim_named(claim_id).id, function)


def ours(claim_id: str) -> Ours | None:
    """What was counted or recorded for a claim; None where nothing is recorded yet.

    A training on ImageNet takes precedence over a small version. Raises ValueError for an unknown claim,
    DataError for a damaged record.
    """
    claim = claim_named(claim_id)
    if claim_id in COUNTS:
        figures = COUNTS[claim_id]()
        return Ours(_words(claim, figures), "computed each time", None, figures.get("verdict"))
    small = _read(claim, claim.ours["record"], _recorded) if claim.ours else None
    full = _read(claim, trainings.RECORD, _trained) if claim.imagenet else None
    if full is None or small is None:
        return full or small
    both = f"{full.provenance}; the small version: {small.provenance}"
    return replace(full, value=f"{full.value}; {small.value}", provenance=both, record=small.record)


def _read(claim: Claim, name: str, read: Callable[[Claim, Path], Ours | None]) -> Ours | None:
    """What a record says of a claim; None where there is none."""
    path = results_dir() / f"{name}.json"
    if not path.exists():
        return None
    try:
        return read(claim, path)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DataError(_unreadable(path, error)) from error


def _trained(claim: Claim, path: Path) -> Ours | None:
    record = studies.load(path.stem)
    if (figures := trainings.figures(claim, record.runs)) is None:
        return None
    return Ours(figures["text"], record.origin(""), path, figures["verdict"], imagenet=True)


def _recorded(claim: Claim, path: Path) -> Ours | None:
    record = studies.load(path.stem)
    if "variants" not in claim.ours:
        figures = READERS[claim.id](record)
    else:
        whole = set(claim.ours["variants"]) <= set(record.runs["variant"])
        figures = of_study(claim, record) if whole else None
    if figures is None:
        return None
    figures["stand_in"] = _stand_in(record)
    return Ours(_words(claim, figures), record.origin(""), path, figures.get("verdict"))


def _words(claim: Claim, figures: Figures, text: str = "text") -> str:
    return str(claim.ours[text]).format(**FIGURES, **figures)


def _unreadable(path: Path, error: Exception) -> str:
    """One sentence without the folder's path: it may be saved in a notebook."""
    if isinstance(error, DataError):
        return str(error).replace(f"{path.parent}{os.sep}", "")
    again = "record it again, or `git checkout data/results` for the published one"
    if path.stem == trainings.RECORD:
        again = "call `alexnet-edu claims add` again for its trainings"
    return f"{path.name} is not a complete record ({type(error).__name__}: {error}); delete it and {again}"


def _stand_in(record: Record) -> str:
    """A remark for results that do not come from photographs."""
    return "; on the synthetic stand-in" if record.is_synthetic else ""


def lower(gaps: Sequence[Interval]) -> str:
    """The verdict on "lower than": whole where every interval lies below 0, in part where every mean does.

    It does not hold where an interval lies above 0; where all contain it, nothing is decided.
    """
    clear = all(gap.high is not None and gap.high < 0 for gap in gaps)
    if clear or all(gap.value < 0 for gap in gaps):
        return judged(clear, True)
    return NOT_HERE if any(gap.low is not None and gap.low > 0 for gap in gaps) else UNDECIDED


# --- studies of variants, rates and seeds ---------------------------------------------------------

MEANS = {
    "test": "test_error",
    "train": "train_error",
    "gap": "gap",  # the first minus the second, here in points
    "early": "early_error",  # of the training images after one epoch
    "nine": "nine_views",
}


def of_study(claim: Claim, record: Record) -> Figures | None:
    """The figures at the rate chosen for each variant, and how they read at each shared one.

    Where the claim has "rate_of", all are taken at the rate that was chosen for that variant.
    """
    runs, curves, rule = record.runs, record.curves, claim.ours
    runs["early_error"] = curves[curves["epoch"] >= 0.99].groupby("run")["train_error"].first()
    if "rate_of" in rule:
        record = record.at_rate(record.rate(rule["rate_of"]))
    figures = _at(claim, record)
    rates = [rate for rate, known in record.shared_rates().items() if set(rule["variants"]) <= set(known)]
    same = {rate: record.at_rate(rate) for rate in rates}
    if "each" in rule:
        chosen = {record.rate(name) for name in rule["variants"]}
        texts = [f"{_words(claim, _at(claim, one), 'each')} (ε = {rate:g})" for rate, one in same.items()]
        figures["by_rate"] = "; ".join(texts)
        differ = len(chosen) > 1 and texts and "whom" in rule
        figures["at_one_rate"] = f"; at one rate for {rule['whom']}: {figures['by_rate']}" if differ else ""
        figures["each"] = _words(claim, figures, "each")
    if "lower" in rule:
        figures["verdict"] = lower([record.gap(*rule["lower"])])
    if "differ" in rule:
        others = [name for name in rule["variants"] if name != rule["differ"]]
        gaps = [record.gap(name, rule["differ"]) for name in others]
        clear = [gap.low is not None and gap.high is not None and gap.low * gap.high > 0 for gap in gaps]
        figures["verdict"] = judged(all(clear), True) if any(clear) else UNDECIDED
    if "paired" in rule:
        if not rates:
            return None
        figures["verdict"] = lower([one.paired_gap(*rule["paired"]) for one in same.values()])
    return figures


def _at(claim: Claim, record: Record) -> Figures:
    """Means over the seeds, what the study is, and what the claim's own reader adds."""
    groups = record.runs[record.runs["chosen"]].groupby("variant")
    means = {name: groups[column].mean() for name, column in MEANS.items() if column in record.runs}
    figures: Figures = {name: SimpleNamespace(**column) for name, column in means.items()}
    figures["gap"] = SimpleNamespace(**(100 * means["gap"]))
    seeds = groups.size().min()
    figures["study"] = (
        f"on CIFAR-10, {record.settings['epochs']:g} epochs, {seeds} seed{'s' if seeds > 1 else ''}"
        f"{_stand_in(record)}"
    )
    if "paired" in claim.ours:
        figures["difference"] = record.paired_gap(*claim.ours["paired"])
    figures["rate"] = record.runs["rate"].iloc[0]
    return figures | (READERS[claim.id](record) or {} if claim.id in READERS else {})


@reader("dropout-iters")
def _iterations(record: Record) -> Figures:
    factors = [_times_as_many(record, level) for level in (0.4, 0.3)]  # within reach of all runs
    slower = ["not reached by all" if f is None else f"{f:.1f} times as many" for f in factors]
    helps = lower([record.gap("2012", "none")]) == HOLDS
    near = all(f is not None and f >= 0.8 * p.DROPOUT_ITERATIONS_FACTOR for f in factors)
    return {"slower": ", ".join(slower), "verdict": judged(helps and near, helps or near)}


def _times_as_many(record: Record, level: float) -> float | None:
    """Epochs to a training error with dropout over those without; None where a run never got there."""
    slow, fast = (record.of(chosen=True).mean_crossing(name, level) for name in ("2012", "none"))
    return slow / fast if slow and fast else None


# --- Figure 1 (§3.1) ------------------------------------------------------------------------------

NETWORKS = ("2012", "max-pooling", "narrow", "standardized")  # other networks, and other inputs


def _tanh_to_relu(record: Record, *conditions: str) -> list[Any]:
    """The ratios of tanh against ReLU at the paper's training error; those that were run."""
    if record.settings["target_error"] != p.TARGET_TRAINING_ERROR:
        return []
    ratios = record.tables["ratios"]
    known = {row["condition"]: row for _, row in ratios.iterrows() if row["numerator"] == "tanh"}
    return [known[name] for name in conditions if name in known]


def _ratio(row: Any, unit: str = " times", interval: bool = True) -> tuple[str, float]:
    """How many times longer tanh took, in epochs: "6.4 times [5.9, 7.0]"; and the least it may be."""
    if row["epochs"] > 0:
        bounds = f" [{row['epochs_low']:.1f}, {row['epochs_high']:.1f}]" if interval else ""
        return f"{row['epochs']:.1f}{unit}{bounds}", row["epochs_low"]
    if row["at_least"] > 0:
        return f"at least {row['at_least']:.1f}{unit}", row["at_least"]
    return f"no ratio, for ReLU did not always reach {p.TARGET_TRAINING_ERROR:.0%}", 0.0


@reader("relu-6x")
def _six_times(record: Record) -> Figures | None:
    if not (rows := _tanh_to_relu(record, "2012")):
        return None
    (text, least), tanh, relu = _ratio(rows[0]), rows[0]["runs"], rows[0]["relu_runs"]
    modern = [_ratio(row, unit="", interval=False)[0] for row in _tanh_to_relu(record, "modern")]
    most = rows[0]["epochs_high"] if rows[0]["epochs"] > 0 else least
    return {
        "times": text,
        "seeds": f"{tanh} seeds" if tanh == relu else f"{tanh} tanh and {relu} ReLU seeds",
        "modern": "".join(f"; {words} under modern conditions" for words in modern),
        "verdict": judged(most >= p.RELU_SPEEDUP, least > 1),
    }


@reader("relu-several")
def _several(record: Record) -> Figures | None:
    rows = _tanh_to_relu(record, *NETWORKS)
    if len(rows) < 2:  # one network cannot show that the effect depends on the network
        return None
    ratios = [_ratio(row) for row in rows]
    texts = [f"{text} ({row['title']})" for (text, _), row in zip(ratios, rows, strict=True)]
    several = [least >= 2 for _, least in ratios]
    return {"networks": "; ".join(texts), "verdict": judged(all(several), any(several))}


@reader("relu-saturate")
def _saturate(record: Record) -> Figures | None:
    wanted = [f"{c} {name}" for name in ("relu", "tanh") for c in ("2012", "standardized")]
    if record.settings["target_error"] != p.TARGET_TRAINING_ERROR or not set(wanted) <= set(record.variants):
        return None
    epochs = [record.mean_crossing(name) for name in wanted]
    texts = []
    for name, mean in zip(wanted, epochs, strict=True):
        reached = [epoch is not None for epoch in record.crossings(name)]
        texts.append(f"({sum(reached)} of {len(reached)} runs reached it)" if mean is None else f"{mean:.1f}")
    raw, standard = (math.inf if mean is None else mean for mean in epochs[:2])
    return {"relu": texts[:2], "tanh": texts[2:], "verdict": judged(raw <= 1.1 * standard)}


# --- timed: two columns (§3.2), augmentation (§4.1) ------------------------------------------------


@reader("two-gpu-time")
def _two_gpu_time(record: Record) -> Figures:
    seconds = {name: list(part) for name, part in record.tables["seconds"].groupby("what")["seconds"]}
    ratios = [two / half for two, half in zip(seconds[COLUMNS], seconds[HALF], strict=True)]  # a round each
    about = {"batch": record.settings["batch"], "rounds": len(ratios), "ratio": median(ratios)}
    return about | {"verdict": judged(max(ratios) < 1, median(ratios) < 1)}


@reader("pca-formula")
def _strengths(record: Record) -> Figures:
    strengths = record.tables["colours"].iloc[0].drop(["eigenvalue", "red", "green", "blue"])
    return {"size": (p.COLOR_PCA_STD * strengths).to_dict()}


@reader("aug-free")
def _free(record: Record) -> Figures:
    seconds = record.tables["seconds"].set_index("what")["seconds"]
    step = seconds["step"]
    turns, side = seconds["in turn"] / step, seconds["side by side"] / step
    figures = {
        "batch": record.settings["batch"],
        "share": seconds["augment"] / step,
        "turns": turns,
        "side": side,
    }
    return figures | {"verdict": judged(min(turns, side) <= 1.05)}


# --- results (§6) ---------------------------------------------------------------------------------


def _on_all(record: Record) -> str:
    plan, remark = record.settings["plan"], _stand_in(record)
    return f"on CIFAR-10, {plan['epochs']:g} epochs, {plan['networks']} seeds{remark}"


def _on_problems(record: Record) -> str:
    plan, remark = record.settings["plan"], _stand_in(record)
    return f"{plan['problems']} problems of five classes of CIFAR-10 with {plan['few']} images each{remark}"


@reader("ten-crop")
def _ten_crop(record: Record) -> Figures:
    means = {name: fmean(results.view_errors(record, name)) for name in ("ten", "centre")}
    gap = results.view_gap(record, "ten")
    return means | {"difference": gap, "networks": _on_all(record), "verdict": lower([gap])}


@reader("table2-5")
def _five(record: Record) -> Figures:
    groups, gaps = results.groups(record, "ten"), results.group_gaps(record)
    return {
        "groups": ", ".join(f"{group['average']:.1%} against {group['members']:.1%}" for group in groups),
        "points": results.intervals(gaps),
        "networks": _on_all(record),
        "verdict": lower(gaps),
    }


@reader("table2-1s")
def _pre_trained(record: Record) -> Figures:
    pairs = {
        "plain": ("starred", "plain"),
        "sixth": ("starred", "sixth"),
        "long": ("starred", "long"),
        "both_long": ("starred-long", "long"),
    }
    gaps = {name: results.gaps(record, *pair) for name, pair in pairs.items()}
    points = {name: results.intervals(found) for name, found in gaps.items()}
    return points | {"problems": _on_problems(record), "verdict": lower(gaps["plain"])}


@reader("table2-7s")
def _seven(record: Record) -> Figures:
    gaps = {name: results.gaps(record, "seven", name) for name in ("plain", "starred")}
    errors = ", ".join(f"{error:.1%}" for error in results.row_errors(record, "7 CNNs*"))
    points = {name: results.intervals(found) for name, found in gaps.items()}
    about = {"errors": errors, "problems": _on_problems(record)}
    return points | about | {"verdict": lower(gaps["plain"])}


# --- inside (§6.1) --------------------------------------------------------------------------------


@reader("kernels")
def _kernels(record: Record) -> Figures:
    paper = record.of(variant="paper")
    part: Figures = {str(key): value for key, value in paper.tables["conditions"].iloc[0].items()}
    there = [part[kind] >= 0.1 for kind in ("striped", "blobs")]
    about = {"networks": len(paper.runs), "verdict": judged(all(there), any(there))}
    return part | about | {"side": part["kernel"]}


@reader("specialization")
def _specialization(record: Record) -> Figures:
    figures: Figures = {}
    pooled = record.rows("pooled", measure="colour").groupby("variant").last()
    for key, name in {"apart": "apart", "joint": "joint", "paper": "paper", "start_2012": "2012"}.items():
        test = pooled.loc[name]
        p = p_text(test["p"], record.settings["permutations"])
        times = f"{test['mean'] / test['chance']:.1f} times chance (p {p})"
        figures[key] = f"clear in {test['clear']} of {test['networks']}, {times}"
    columns = pooled.loc["paper"]
    return figures | {"verdict": judged(columns["clear"] == columns["networks"], columns["p"] < 0.05)}


def _searched(record: Record) -> str:
    images, networks = record.provenance["data"]["test_images"], len(record.of(variant="features").runs)
    return f"CIFAR-10, {images:,} test images, {networks} networks{_stand_in(record)}"


def _hidden(record: Record) -> Any:
    """Precision of exact search in the last hidden layer, one for each network."""
    layers = record.rows("layers", variant="features")
    return layers["precision"][layers["layer"] == layers["layer"].unique()[-2]]


@reader("top5-panel")
def _panel(record: Record) -> Figures:
    runs = record.of(variant="features").runs
    first, five = (fmean(1 - error for error in runs[f"top{n}_error"]) for n in (1, 5))
    return {"first": first, "five": five, "networks": _searched(record)}


@reader("neighbours")
def _neighbours(record: Record) -> Figures:
    features, (pixels,) = _hidden(record), record.rows("layers", layer="pixels")["precision"]
    return {
        "k": record.settings["plan"]["k"],
        "features": features.mean(),
        "pixels": pixels,
        "nearer": record.of(variant="features").runs["nearer_median"].mean(),
        "networks": _searched(record),
        "verdict": judged(min(features) > pixels),
    }


@reader("binary-codes")
def _codes(record: Record) -> Figures:
    texts, leads = [], []
    means = record.tables["codes"].groupby(["bits", "variant", "kind"])["precision"].mean()
    for bits in record.settings["plan"]["bits"]:
        learned, planes = means[bits, "features", "auto-encoder"], means[bits, "features", "random"]
        pixels = means[bits, "pixels", "auto-encoder"]
        others = f"random planes {planes:.1%}, auto-encoder on pixels {pixels:.1%}"
        texts.append(f"{bits} bits {learned:.1%} ({others})")
        leads.append(learned > pixels)
    return {
        "k": record.settings["plan"]["k"],
        "codes": "; ".join(texts),
        "exact": _hidden(record).mean(),
        "networks": _searched(record),
        "verdict": judged(all(leads), any(leads)),
    }
