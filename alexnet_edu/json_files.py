"""Records as JSON files that are never half written. Needs no torch."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Set
from pathlib import Path
from typing import Any


def write_json(path: Path, value: Any) -> None:
    """Writes `value` so that the file is either whole or as before; ValueError if it cannot."""
    partial = path.with_name(path.name + f".partial-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8") as file:
            file.write(json.dumps(value, indent=None, separators=(",", ":")) + "\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise ValueError(f"could not write {path}: {error}. What was there before is kept.") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """What `write_json` wrote. Raises ValueError, with the file's name, if it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}). Delete it and run the same thing again.") from error


def load_record(path: Path, experiment: str, parts: Set[str]) -> dict[str, Any]:
    """The record of an experiment in `data/results`: an object that names it and has all of `parts`.

    Raises ValueError with advice where there is none, it is damaged, or it is another's.
    """
    back = "`git checkout data/results` brings it back"
    if not path.exists():
        raise ValueError(
            f"{path} is not there; {back}, and `alexnet-edu experiment {experiment}` makes it anew"
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}); {back}") from error
    if not isinstance(found, dict) or found.get("experiment") != experiment or not found.keys() >= parts:
        raise ValueError(f"{path} is not a record of {experiment!r}; {back}")
    return found
