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
