"""What a run writes down while it goes on: one JSON object a line, readable at any moment.

Each line has "kind": "start", "step", "evaluation", "checkpoint", "warning", "stop". A reader may come
while a line is being written, and a killed run may leave half a line: both are passed over.
Needs no torch.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

METRICS = "metrics.jsonl"


def append(path: Path, kind: str, **values: Any) -> dict[str, Any]:
    """Writes one line, with the time in seconds since 1970, and gives it back."""
    row = {"kind": kind, "time": round(time.time(), 3), **values}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    return row


def read(path: Path) -> list[dict[str, Any]]:
    """All whole lines, in their order; none where there is no file."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return [row for line in text.splitlines() if (row := _row(line)) is not None]


class Follower:
    """A log read again and again: each time only what is new since, so it may be as long as it likes.

    A log that was replaced (`forget_after`) or cut is read anew. Half a line waits for its end.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: list[dict[str, Any]] = []
        self._file, self._offset = -1, 0  # which file, by its number on the disk, and how far

    def rows(self) -> list[dict[str, Any]]:
        """All whole lines so far, in their order; none where there is no file."""
        try:
            with self.path.open("rb") as file:
                about = os.fstat(file.fileno())
                if about.st_ino != self._file or about.st_size < self._offset:
                    self._rows, self._file, self._offset = [], about.st_ino, 0
                file.seek(self._offset)
                whole, end, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            self._rows, self._file, self._offset = [], -1, 0
            return []
        self._offset += len(whole) + len(end)
        lines = whole.decode("utf-8", errors="replace").splitlines()
        self._rows += [row for line in lines if (row := _row(line)) is not None]
        return list(self._rows)


def _row(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and "kind" in row else None


def forget_after(path: Path, step: int) -> int:
    """Takes out steps and evaluations after `step`, which a run that goes on there does again.

    Also ends a half-written last line. Gives the number of lines taken out. The file is replaced
    as a whole, so nothing is lost if this is interrupted.
    """
    rows = read(path)
    kept = [row for row in rows if row["kind"] not in ("step", "evaluation") or row.get("step", 0) <= step]
    if path.exists():
        partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
        partial.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
        partial.replace(path)
    return len(rows) - len(kept)


def last(rows: Iterable[dict[str, Any]], kind: str) -> dict[str, Any] | None:
    """The last line of a kind, or None."""
    found = None
    for row in rows:
        if row["kind"] == kind:
            found = row
    return found
