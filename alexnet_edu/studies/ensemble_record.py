"""The recorded study of §6 read: the rows of Table 2 in a small version, and what each step gains.

Errors are shares (0–1), gains are points: negative is better.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from alexnet_edu import paper
from alexnet_edu.studies.record import Record
from alexnet_edu.studies.statistics import Interval, paired

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
    "long": "the same, as long in all",
    "starred": "pre-trained (*)",
    "starred-long": "pre-trained, fine-tuned as long",
}


def _problems(record: Record) -> range:
    return range(1, record.settings["plan"]["problems"] + 1)


# --- networks on all classes --------------------------------------------------------------------


def view_errors(record: Record, view: str) -> list[float]:
    """The error of each member for a view of the test images."""
    return list(record.rows("errors", variant="member", view=view)["error"])


def view_gap(record: Record, view: str) -> Interval:
    """What a view of the test images gains over the centre, network by network, in points."""
    return paired(*([100 * x for x in view_errors(record, one)] for one in (view, "centre")))


def subset_errors(record: Record, size: int, view: str = "ten") -> list[float]:
    """Errors of the averages of all subsets of `size` networks."""
    return list(record.rows("subsets", view=view, size=size)["error"])


def groups(record: Record, view: str = "ten") -> list[dict[str, Any]]:
    """Each group of networks that shares none: as `ensemble_numbers.gain` gives it."""
    return record.rows("groups", view=view).to_dict("records")


def group_gaps(record: Record, view: str = "ten") -> list[Interval]:
    """For each group of networks that shares none: its average against the mean of its members.

    Points; the interval is that of other test images, not of other networks.
    """
    return [_of_images(g["average"] - g["members"], g["standard_error"]) for g in groups(record, view)]


def _of_images(difference: float, standard_error: float) -> Interval:
    """A difference of shares as points, with the interval that many test images give."""
    value, reach = 100 * difference, 196 * standard_error
    return Interval(value, value - reach, value + reach)


# --- Table 2 ------------------------------------------------------------------------------------


def mixed_errors(record: Record, plain: int, starred: int, view: str = "ten") -> list[list[float]]:
    """Averages of so many networks of each kind: for each problem one error for each choice of them."""
    some = record.rows("mixed", view=view, plain=plain, starred=starred)
    return [list(some[some["problem"] == problem]["error"]) for problem in _problems(record)]


def row_errors(record: Record, row: str, view: str = "ten") -> list[float]:
    """The error of a row of `ROWS` for each problem: the mean over the choices of its networks."""
    return [statistics.fmean(errors) for errors in mixed_errors(record, *ROWS[row], view)]


def network_errors(record: Record, kind: str, problem: int, view: str = "ten") -> list[float]:
    """The errors of all networks of one of `KINDS` on a problem."""
    return list(record.rows("errors", variant=kind, view=view, problem=problem)["error"])


def kind_errors(record: Record, kind: str, view: str = "ten") -> list[float]:
    """The error of one of `KINDS` for each problem: the mean over its networks."""
    return [statistics.fmean(network_errors(record, kind, number, view)) for number in _problems(record)]


def gaps(record: Record, name: str, baseline: str, view: str = "ten") -> list[Interval]:
    """For each problem what one network, or average, gains over another, in points.

    name, baseline: one of `KINDS`, a single network; or "five", all from scratch averaged, or "seven",
    the pre-trained ones with them. The interval is that of other test images.
    """
    rows = record.rows("differences", view=view, name=name, baseline=baseline)
    return [_of_images(*pair) for pair in zip(rows["difference"], rows["standard_error"], strict=True)]


def intervals(several: Sequence[Interval]) -> str:
    """Several differences with their intervals: "−2.10 [−3.00, −1.20]; −1.90 [−2.80, −1.00]"."""
    return "; ".join(gap.signed for gap in several)
