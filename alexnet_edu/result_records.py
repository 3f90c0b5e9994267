"""The recorded study of §6 read: the rows of Table 2 in small, and what each step gains.

Records in, numbers and tables out. Errors are shares (0–1), gains are points: negative is better.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from alexnet_edu import json_files, paper
from alexnet_edu.ablation_records import Gap, interval, mean_gap, spread

EXPERIMENT = "results"
ROWS = {  # Table 2's networks: how many trained on the problem alone, how many pre-trained as well
    "1 CNN": (1, 0),
    "5 CNNs": (5, 0),
    "1 CNN*": (0, 1),
    "7 CNNs*": (5, 2),
}
PUBLISHED = {  # on the validation images
    "1 CNN": paper.CNN_2012_VALIDATION,
    "5 CNNs": paper.FIVE_CNNS_VALIDATION,
    "1 CNN*": paper.PRETRAINED_CNN_VALIDATION,
    "7 CNNs*": paper.SEVEN_CNNS_VALIDATION,
}
KINDS = {
    "plain": "from scratch",
    "sixth": "from scratch, sixth convolution",
    "long": "the same, as long as pre-training and fine-tuning",
    "starred": "sixth convolution, pre-trained (*)",
    "starred-long": "pre-trained, and fine-tuned as long",
}


def load_record(path: Path) -> dict[str, Any]:
    """The record of the study. Raises ValueError with advice when there is none or it is damaged."""
    return json_files.load_record(path, EXPERIMENT, {"plan", "members", "problems", "provenance"})


# --- networks on all classes -----------------------------------------------------------------


def view_gap(record: Mapping[str, Any], view: str, baseline: str = "centre") -> Gap:
    """What a view of the test images gains over another, network by network, in points."""
    patches = record["members"]["patches"]
    if view not in patches or baseline not in patches:
        raise ValueError(f"views are {', '.join(patches)}; got {view!r} and {baseline!r}")
    return mean_gap([100 * (a - b) for a, b in zip(patches[view], patches[baseline], strict=True)])


def subset_errors(record: Mapping[str, Any], size: int, view: str = "ten") -> list[float]:
    """Errors of the averages of all subsets of `size` networks."""
    subsets = record["members"]["subsets"][view]
    if str(size) not in subsets:
        raise ValueError(f"{len(subsets)} networks were trained; they have no subset of {size!r}")
    return [float(error) for error in subsets[str(size)]]


def group_gaps(record: Mapping[str, Any], view: str = "ten") -> list[Gap]:
    """For each group of networks that shares none: its average against the mean of its members.

    Points; the interval is that of other test images, not of other networks.
    """
    found = []
    for group in record["members"]["groups"]:
        value = 100 * (group[view]["average"] - group[view]["members"])
        reach = 196 * group[view]["standard_error"]
        found.append(Gap(value, value - reach, value + reach))
    return found


# --- Table 2 in small ------------------------------------------------------------------------


def mixed_errors(record: Mapping[str, Any], plain: int, starred: int, view: str = "ten") -> list[list[float]]:
    """Averages of so many networks of each kind: for each problem one error for each choice of them."""
    name = f"{plain}+{starred}"
    found = []
    for problem in record["problems"]:
        if name not in problem["mixed"][view]:
            most = max(problem["mixed"][view], key=lambda key: sum(map(int, key.split("+"))))
            raise ValueError(f"there are {most} networks from scratch and pre-trained; asked were {name}")
        found.append([float(error) for error in problem["mixed"][view][name]])
    return found


def row_errors(record: Mapping[str, Any], row: str, view: str = "ten") -> list[float]:
    """The error of a row of `ROWS` for each problem: the mean over the choices of its networks."""
    return [statistics.fmean(errors) for errors in mixed_errors(record, *ROWS[row], view)]


def row_gap(record: Mapping[str, Any], row: str, baseline: str = "1 CNN", view: str = "ten") -> Gap:
    """What a row gains over another, problem by problem, in points."""
    return _paired(row_errors(record, row, view), row_errors(record, baseline, view))


def kind_errors(record: Mapping[str, Any], kind: str, view: str = "ten") -> list[float]:
    """The error of one of `KINDS` for each problem: the mean over its networks."""
    if kind not in KINDS:
        raise ValueError(f"there is no kind {kind!r}; there are {', '.join(KINDS)}")
    return [statistics.fmean(problem["networks"][kind][view]) for problem in record["problems"]]


def kind_gap(record: Mapping[str, Any], kind: str, baseline: str, view: str = "ten") -> Gap:
    """What one of `KINDS` gains over another, problem by problem, in points."""
    return _paired(kind_errors(record, kind, view), kind_errors(record, baseline, view))


def shortfall(record: Mapping[str, Any], view: str = "ten") -> Gap:
    """By how much 7 CNNs* gain less than 5 CNNs and 1 CNN* gain together, in points; 0 if gains add up."""
    one, five, star, seven = (row_errors(record, row, view) for row in ROWS)
    return mean_gap([100 * (s + o - f - p) for o, f, p, s in zip(one, five, star, seven, strict=True)])


def _paired(errors: Sequence[float], baseline: Sequence[float]) -> Gap:
    return mean_gap([100 * (a - b) for a, b in zip(errors, baseline, strict=True)])


# --- as text ---------------------------------------------------------------------------------


def table(record: Mapping[str, Any], view: str = "ten") -> str:
    """The four rows over the problems: mean and standard deviation of the error, and the gain over one."""
    head = f"{'networks averaged':<20}{'test error':>18}{'against 1 CNN, points':>30}"
    lines = [head, "-" * len(head)]
    for row in ROWS:
        gain = "" if row == "1 CNN" else interval(row_gap(record, row, view=view))
        lines.append(f"{row:<20}{spread(row_errors(record, row, view)):>18}{gain:>30}")
    return "\n".join(lines)


def kinds_table(record: Mapping[str, Any], view: str = "ten") -> str:
    """Single networks by how they were trained, and how long training took; as text."""
    width = max(map(len, KINDS.values())) + 2
    head = f"{'one network':<{width}}{'ε':>6}{'test error':>18}{'training error':>18}{'seconds':>9}"
    lines = [head, "-" * len(head)]
    for kind, words in KINDS.items():
        runs = [run for problem in record["problems"] for run in problem["runs"][kind]]
        seconds = [run["cpu_seconds"] for run in runs]
        if kind.startswith("starred"):  # each after the pre-trained network of its number
            before = [
                run
                for problem in record["problems"]
                for run in problem["runs"]["source"][: len(problem["runs"][kind])]
            ]
            seconds = [a + b["cpu_seconds"] for a, b in zip(seconds, before, strict=True)]
        rates = ", ".join(f"{rate:g}" for rate in sorted({run["rate"] for run in runs}))
        lines.append(
            f"{words:<{width}}{rates:>6}{spread(kind_errors(record, kind, view)):>18}"
            f"{spread([run['train_error'] for run in runs]):>18}{statistics.fmean(seconds):>9.0f}"
        )
    return "\n".join(lines)


def origin(record: Mapping[str, Any]) -> str:
    """One sentence: when, where, on what the record was made."""
    made, plan = record["provenance"], record["plan"]
    return (
        f"recorded {', '.join(made['dates'])} at commit {', '.join(made['commits'])} on "
        f"{', '.join(made['hardware'])} ({', '.join(str(t) for t in made['threads'])} thread a run, torch "
        f"{', '.join(made['torch'])}, {', '.join(made['precision'])}); {plan['networks']} networks for "
        f"{plan['epochs']:g} epochs of {made['data']['images']:,} images; {len(record['problems'])} "
        f"problems of {5 * plan['few']:,} images for {plan['few_epochs']:g} epochs; "
        f"data: {made['data']['source']}"
    )
