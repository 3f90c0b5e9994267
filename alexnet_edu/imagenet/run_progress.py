"""What the log of a training says about it: its curves, its pace, when its rate fell. Numbers alone.

Rows are those of `run_log`; see `imagenet_train` for what each holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Row = dict[str, Any]
Curve = tuple[list[float], list[float]]  # epochs, values
PACE_ROWS = 60  # lines of the log over which the pace is measured


@dataclass(frozen=True)
class Pace:
    """How fast it goes now.

    images_per_s: over the last line of the log. waited: share (0–1) of that time in which it waited
    for images. seconds_left: to the end of the run with its evaluations, None while that is unknown.
    memory: bytes, the most that each process has held.
    """

    images_per_s: float
    waited: float
    seconds_left: float | None
    memory: tuple[int, ...]


def valid(rows: Iterable[Row]) -> list[Row]:
    """Without what was done again: a start at step s takes back all steps and evaluations after s."""
    kept: list[Row] = []
    for row in rows:
        if row["kind"] == "start":
            kept = [k for k in kept if k["kind"] not in ("step", "evaluation") or k["step"] <= row["step"]]
        kept.append(row)
    return kept


def curve(rows: Iterable[Row], kind: str, name: str, most: int = 0) -> Curve:
    """Epochs and values of one number. kind: "step" or "evaluation". most: points; 0 gives all.

    Where there are more, neighbours are averaged. A loss that is no number is left out.
    """
    pairs = [(float(row["epoch"]), float(row[name])) for row in rows if row["kind"] == kind]
    pairs = [pair for pair in pairs if math.isfinite(pair[1])]
    if most and len(pairs) > most:
        each = math.ceil(len(pairs) / most)
        parts = [pairs[i : i + each] for i in range(0, len(pairs), each)]
        pairs = [(sum(x for x, _ in p) / len(p), sum(y for _, y in p) / len(p)) for p in parts]
    return [x for x, _ in pairs], [y for _, y in pairs]


def falls(rows: Iterable[Row]) -> list[float]:
    """The epochs of the first lines with a lower rate than the line before."""
    rates = [(float(row["epoch"]), float(row["rate"])) for row in rows if row["kind"] == "step"]
    return [now for (_, before), (now, rate) in pairwise(rates) if rate < before]


def taken_up(rows: Iterable[Row]) -> list[float]:
    """The epochs at which a run that had been stopped went on."""
    return [
        row["step"] / row["steps_per_epoch"] for row in rows if row["kind"] == "start" and row["step"] > 0
    ]


def pace(rows: Sequence[Row], steps: int) -> Pace | None:
    """How fast the last part of a run goes, which has `steps` steps in all; None before its first line."""
    last_start = max((i for i, row in enumerate(rows) if row["kind"] == "start"), default=0)
    lines = [row for row in rows[last_start:] if row["kind"] == "step"]
    if not lines:
        return None
    first, last = lines[-PACE_ROWS:][0], lines[-1]
    left = None
    if last["step"] > first["step"] and steps:
        left = (steps - last["step"]) * (last["time"] - first["time"]) / (last["step"] - first["step"])
    return Pace(
        float(last["images_per_s"]), float(last["waited"]), left, tuple(int(m) for m in last["memory"])
    )
