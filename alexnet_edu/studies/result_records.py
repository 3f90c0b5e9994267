"""The recorded study of §6 read: the rows of Table 2 in small, and what each step gains.

Records in, numbers and tables out. Errors are shares (0–1), gains are points: negative is better.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from alexnet_edu import files as json_files
from alexnet_edu import paper
from alexnet_edu.studies.record import interval, spread
from alexnet_edu.studies.statistics import Interval, mean_interval

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


def view_gap(record: Mapping[str, Any], view: str, baseline: str = "centre") -> Interval:
    """What a view of the test images gains over another, network by network, in points."""
    patches = record["members"]["patches"]
    if view not in patches or baseline not in patches:
        raise ValueError(f"views are {', '.join(patches)}; got {view!r} and {baseline!r}")
    return mean_interval([100 * (a - b) for a, b in zip(patches[view], patches[baseline], strict=True)])


def subset_errors(record: Mapping[str, Any], size: int, view: str = "ten") -> list[float]:
    """Errors of the averages of all subsets of `size` networks."""
    subsets = record["members"]["subsets"][view]
    if str(size) not in subsets:
        raise ValueError(f"{len(subsets)} networks were trained; they have no subset of {size!r}")
    return [float(error) for error in subsets[str(size)]]


def group_gaps(record: Mapping[str, Any], view: str = "ten") -> list[Interval]:
    """For each group of networks that shares none: its average against the mean of its members.

    Points; the interval is that of other test images, not of other networks.
    """
    found = []
    for group in record["members"]["groups"]:
        value = 100 * (group[view]["average"] - group[view]["members"])
        reach = 196 * group[view]["standard_error"]
        found.append(Interval(value, value - reach, value + reach))
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


def kind_errors(record: Mapping[str, Any], kind: str, view: str = "ten") -> list[float]:
    """The error of one of `KINDS` for each problem: the mean over its networks."""
    if kind not in KINDS:
        raise ValueError(f"there is no kind {kind!r}; there are {', '.join(KINDS)}")
    return [statistics.fmean(problem["networks"][kind][view]) for problem in record["problems"]]


def gaps(record: Mapping[str, Any], name: str, baseline: str, view: str = "ten") -> list[Interval]:
    """For each problem what one network, or average, gains over another, in points.

    name, baseline: one of `KINDS`, a single network; or "five", all from scratch averaged, or "seven",
    the pre-trained ones with them. The interval is that of other test images.
    """
    found = []
    for problem in record["problems"]:
        known = problem["differences"][view]
        if f"{name} - {baseline}" not in known:
            names = sorted({pair.split(" - ")[0] for pair in known})
            raise ValueError(
                f"{name!r} and {baseline!r} cannot be compared; choose two of {', '.join(names)}"
            )
        value, error = known[f"{name} - {baseline}"]
        found.append(Interval(100 * value, 100 * value - 196 * error, 100 * value + 196 * error))
    return found


def shortfalls(record: Mapping[str, Any], view: str = "ten") -> list[float]:
    """For each problem by how much the seven gain less than the five and one pre-trained gain together.

    Points; 0 where the two gains add up.
    """
    parts = [
        [gap.value for gap in gaps(record, name, "plain", view)] for name in ("seven", "five", "starred")
    ]
    return [seven - five - star for seven, five, star in zip(*parts, strict=True)]


def intervals(found: Sequence[Interval]) -> str:
    """Several differences with their intervals: "-2.10 [-3.00, -1.20]; -1.90 [-2.80, -1.00]"."""
    return "; ".join(interval(gap) for gap in found)


# --- as text ---------------------------------------------------------------------------------


def table(record: Mapping[str, Any], view: str = "ten") -> str:
    """The four rows: the error in each problem, and what is gained over one network; as text."""
    head = f"{'averaged':<10}{_heads(record)}   against 1 CNN, points"
    lines = [head, "-" * (len(head) + 26)]
    for row, name in zip(ROWS, (None, "five", "starred", "seven"), strict=True):
        errors = "".join(f"{error:>12.2%}" for error in row_errors(record, row, view))
        gain = "" if name is None else "   " + intervals(gaps(record, name, "plain", view))
        lines.append(f"{row:<10}{errors}{gain}")
    return "\n".join(lines)


def kinds_table(record: Mapping[str, Any], view: str = "ten") -> str:
    """Single networks by how they were trained, and how long training took; as text."""
    width = max(map(len, KINDS.values())) + 2
    head = f"{'one network':<{width}}{'ε':>6}{_heads(record)}{'training error':>18}{'seconds':>9}"
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
            f"{words:<{width}}{rates:>6}"
            + "".join(f"{error:>12.2%}" for error in kind_errors(record, kind, view))
            + f"{spread([run['train_error'] for run in runs]):>18}{statistics.fmean(seconds):>9.0f}"
        )
    return "\n".join(lines)


def _heads(record: Mapping[str, Any]) -> str:
    return "".join(f"   problem {problem['problem']}" for problem in record["problems"])


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
