"""What a run writes down while it goes on, one JSON object a line, and what can be read from that.

Each line has "kind": "start", "step", "evaluation", "final", "checkpoint", "warning", "rehearsal", "stop".
Lines are only ever added. A reader may come while a line is being written, and a killed run may leave
half a line: both are passed over. A run that went on from step s has done the steps after s again:
readers get the later ones alone. Needs no torch.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from alexnet_edu.files import DataError, unreadable

METRICS = "metrics.jsonl"
MAX_LISTED = 20  # unreadable images that are named in the log; all are in the checkpoint
PACE_ROWS = 60  # lines of the log over which the pace is measured

Row = dict[str, Any]
Curve = tuple[list[float], list[float]]  # epochs, values


# --- writing ----------------------------------------------------------------------------------


def append(path: Path, kind: str, **values: Any) -> None:
    """Writes one line, with the time in seconds since 1970. Half a line before it is ended first."""
    row = {"kind": kind, "time": round(time.time(), 3), **values}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        torn = b""
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            torn = b"" if file.read(1) == b"\n" else b"\n"
        file.write(torn + json.dumps(row).encode() + b"\n")


def append_death(path: Path, error: BaseException, since: float) -> None:
    """Writes that a training died, and why, unless it has said itself since then how it ended."""
    with contextlib.suppress(OSError, DataError):  # of a full disk, too
        end = last(read(path), "stop")
        if end is None or end["time"] < since - 0.001:  # it is told in thousandths
            append(path, "stop", status="died", why=f"{type(error).__name__}: {error}".rstrip(": "))


class Log:
    """Of the run in `folder`: lines of the log, and lines on the screen.

    speaks: whether this process does; only one of a group should. A line that cannot be written does not
    end a run of days.
    """

    def __init__(self, folder: Path, speaks: bool, say: Callable[[str], None]) -> None:
        self.path, self._speaks, self._say = folder / METRICS, speaks, say
        self.unreadable: set[str] = set()

    def write(self, kind: str, **values: Any) -> None:
        """One line of the log."""
        if not self._speaks:
            return
        try:
            append(self.path, kind, **values)
        except OSError as error:
            self.speak(f"warning: a line of the log was not written ({error})")

    def speak(self, line: str) -> None:
        """One line on the screen."""
        if self._speaks:
            self._say(line)

    def warn(self, sentence: str, **values: Any) -> None:
        """To both."""
        self.write("warning", text=sentence, **values)
        self.speak(f"warning: {sentence}")

    def name_unreadable(self, sentences: Iterable[str], step: int) -> None:
        """Says once of each image that it cannot be read; its gradient is 0."""
        for sentence in sorted(set(sentences) - self.unreadable):
            self.unreadable.add(sentence)
            if len(self.unreadable) <= MAX_LISTED:
                self.write("warning", step=step, text=f"{sentence} It is left out.")


# --- reading ----------------------------------------------------------------------------------


class Follower:
    """A log read again and again: each time only what is new since, so it may be as long as it likes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: list[Row] = []
        self._offset = 0  # bytes read so far

    def rows(self) -> list[Row]:
        """All whole lines so far that still count, in their order; none where there is no file."""
        try:
            with self.path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self._offset:  # another log of that name
                    self._rows, self._offset = [], 0
                file.seek(self._offset)
                whole, end, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            self._rows, self._offset = [], 0
            return []
        except OSError as error:
            raise unreadable(self.path, error) from error
        self._offset += len(whole) + len(end)
        for line in whole.decode("utf-8", errors="replace").splitlines():
            self._add(line)
        return list(self._rows)

    def _add(self, line: str) -> None:
        try:
            row = json.loads(line)
        except ValueError:
            return
        if not (isinstance(row, dict) and "kind" in row):
            return
        if row["kind"] == "start":  # takes back all that is done again
            self._rows = [r for r in self._rows if not _again(r, row["step"])]
        self._rows.append(row)


def _again(row: Row, step: int) -> bool:
    """Whether a run that goes on from `step` does it again; the last evaluation belongs to its end."""
    return row["kind"] == "final" or (row["kind"] in ("step", "evaluation") and row["step"] > step)


def read(path: Path) -> list[Row]:
    """All whole lines that still count, in their order; none where there is no file."""
    return Follower(path).rows()


def last(rows: Sequence[Row], kind: str) -> Row | None:
    """The last line of a kind, or None."""
    return next((row for row in reversed(rows) if row["kind"] == kind), None)


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


def resumptions(rows: Iterable[Row]) -> list[float]:
    """The epochs at which a run that had been stopped was resumed."""
    return [
        row["step"] / row["steps_per_epoch"] for row in rows if row["kind"] == "start" and row["step"] > 0
    ]


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


def pace(rows: Sequence[Row], steps: int) -> Pace | None:
    """How fast the last part of a run goes, which has `steps` steps in all; None before its first line."""
    started = max((i for i, row in enumerate(rows) if row["kind"] == "start"), default=0)
    lines = [row for row in rows[started:] if row["kind"] == "step"]
    if not lines:
        return None
    first, now = lines[-PACE_ROWS:][0], lines[-1]
    left = None
    if now["step"] > first["step"] and steps:
        left = (steps - now["step"]) * (now["time"] - first["time"]) / (now["step"] - first["step"])
    return Pace(float(now["images_per_s"]), float(now["waited"]), left, tuple(int(m) for m in now["memory"]))
