"""What this project measured or counted for the claims, mostly read from `data/results`.

One small function per claim turns a record into words. Nothing measured is ever typed by
hand: without a record there is no value.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alexnet_edu import paper as p
from alexnet_edu.ledger import claim_named
from alexnet_edu.paper import TARGET_TRAINING_ERROR

RESULTS_VARIABLE = "ALEXNET_EDU_RESULTS"

_ROOT = Path(__file__).resolve().parent.parent


class RecordError(Exception):
    """A recorded result is there but cannot be used; the message says what to do.

    brief: the same without the folder's path, for tables that are saved in notebooks.
    """

    def __init__(self, path: Path, reason: str) -> None:
        advice = "delete it and record it again, or `git checkout data/results` for the published one"
        super().__init__(f"{path} cannot be read as a result: {reason}; {advice}")
        self.brief = f"{path.name} cannot be read: {reason}; {advice}"


@dataclass(frozen=True)
class Ours:
    """What was measured or counted for one claim: in words, where it comes from, the record.

    record: None where the value is counted, each time anew, and not read from a file.
    """

    value: str
    provenance: str
    record: Path | None


# What the paper's claim comes to in a record, in words; None if the record does not say.
Reader = Callable[[dict[str, Any]], str | None]
READERS: dict[str, tuple[str, Reader]] = {}  # claim -> (file in results_dir(), its reader)


def reads(claim_id: str, file: str) -> Callable[[Reader], Reader]:
    """Registers a function as the reader of one claim's result in `file`.

    The file is a JSON object with "provenance"; the function may raise KeyError,
    TypeError or ValueError where the object is not as it should be.
    """
    claim_named(claim_id)

    def register(reader: Reader) -> Reader:
        READERS[claim_id] = (file, reader)
        return reader

    return register


def results_dir() -> Path:
    """The folder of recorded results: ALEXNET_EDU_RESULTS, or the checkout's data/results."""
    chosen = os.environ.get(RESULTS_VARIABLE)
    return Path(chosen).expanduser() if chosen else _ROOT / "data" / "results"


def ours(claim_id: str) -> Ours | None:
    """What the recorded results say about a claim; None where nothing is recorded yet.

    Raises ValueError for an unknown claim, RecordError for a damaged record.
    """
    claim_named(claim_id)
    if claim_id in COUNTS:
        return Ours(COUNTS[claim_id](), "counted from the layer table", None)
    if claim_id not in READERS:
        return None
    file, reader = READERS[claim_id]
    path = results_dir() / file
    record = _load(path)
    if record is None:
        return None
    try:
        value = reader(record)
        return None if value is None else Ours(value, _provenance(record["provenance"]), path)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise RecordError(path, f"it is not a complete record ({type(error).__name__}: {error})") from error


# --- what is counted ------------------------------------------------------------------------


def _count_parameters() -> str:
    return f"{sum(layer.parameters for layer in p.LAYERS):,}"


def _count_neurons() -> str:
    return f"{sum(layer.neurons for layer in p.LAYERS):,}"


def _count_neurons_by_layer() -> str:
    return " – ".join(f"{n:,}" for n in (3 * p.INPUT_SIDE**2, *(layer.neurons for layer in p.LAYERS)))


def _count_shares() -> str:
    total = sum(layer.parameters for layer in p.LAYERS)
    convolutions = [layer for layer in p.LAYERS if layer.name.startswith("conv")]
    return ", ".join(f"{c.name} {c.parameters / total:.2%}" for c in convolutions)


def _count_first_side() -> str:
    steps = (p.INPUT_SIDE - p.CONV1_SIZE) / p.CONV1_STRIDE
    return f"1 + {steps:g}: {1 + math.floor(steps)} rounded down, {1 + math.ceil(steps)} rounded up"


COUNTS: dict[str, Callable[[], str]] = {
    "size-params": _count_parameters,
    "size-neurons": _count_neurons,
    "fig2-neurons": _count_neurons_by_layer,
    "conv-share": _count_shares,
    "size-224": _count_first_side,
}


def _load(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None if there is no such file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(path, error.strerror or "the system cannot open it") from error
    except ValueError as error:  # no JSON, no UTF-8, or NaN
        raise RecordError(path, f"it is damaged ({error})") from error
    if not isinstance(value, dict):
        raise RecordError(path, f"it holds a {type(value).__name__}, not an object")
    return value


def _refuse_constant(word: str) -> float:
    raise ValueError(f"{word} is not a measured value")


def _provenance(value: Mapping[str, Any]) -> str:
    """Date, commit, hardware, precision and data of a record, in one line."""
    data = value["data"]
    images = data if isinstance(data, str) else f"{data['images']:,} images of {data['source']}"
    dates = sorted(value["dates"])
    days = dates[0] if len(set(dates)) == 1 else f"{dates[0]} to {dates[-1]}"
    return (
        f"recorded {days}, commit {', '.join(value['commits'])}; {', '.join(value['hardware'])}; "
        f"{', '.join(value['precision'])}; {images}"
    )


# --- readers: Figure 1 --------------------------------------------------------------------

FIGURE1 = "figure1.json"
NETWORKS = ("2012", "max-pooling", "narrow")  # conditions that differ in the network alone


def _at_target(record: Mapping[str, Any]) -> bool:
    """Whether this Figure 1 was measured at the paper's training error. ValueError if it is none."""
    if record["experiment"] != "figure1":
        raise ValueError(f"experiment {record['experiment']!r} is not 'figure1'")
    return bool(record["target_error"] == TARGET_TRAINING_ERROR)


def _tanh_to_relu(record: Mapping[str, Any], condition: str) -> Mapping[str, Any] | None:
    """The summary of tanh against ReLU under a condition; None if it was not run."""
    for row in record["summary"]:
        if (row["condition"], row["numerator"], row["denominator"]) == (condition, "tanh", "relu"):
            return dict(row)
    return None


def _number(value: object) -> float:
    """A positive, finite number. Raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{value!r} is not a positive number")
    return float(value)


def _times(row: Mapping[str, Any], *, interval: bool = True, unit: str = " times") -> str:
    """How many times longer tanh took, in epochs: "6.4 times [5.9, 7.0]"."""
    ratio = row["epochs"]
    if ratio is not None:
        low, high = _number(ratio["low"]), _number(ratio["high"])
        bounds = f" [{low:.1f}, {high:.1f}]" if interval else ""
        return f"{_number(ratio['value']):.1f}{unit}{bounds}"
    if row["at_least"] is not None:
        return f"at least {_number(row['at_least']):.1f}{unit}"
    return f"no ratio, for ReLU did not always reach {TARGET_TRAINING_ERROR:.0%}"


def _seeds(runs: Sequence[int]) -> str:
    tanh, relu = runs
    return f"{tanh} seeds" if tanh == relu else f"{tanh} tanh and {relu} ReLU seeds"


def _on_stand_in(record: Mapping[str, Any]) -> str:
    """A remark for results that do not come from photographs."""
    data = record["provenance"]["data"]
    return "; on the synthetic stand-in" if not isinstance(data, str) and data["synthetic"] else ""


@reads("relu-6x", FIGURE1)
def _read_six_times(record: dict[str, Any]) -> str | None:
    row = _tanh_to_relu(record, "2012") if _at_target(record) else None
    if row is None:
        return None
    text = f"{_times(row)} in epochs (2012 conditions, {_seeds(row['runs'])})"
    modern = _tanh_to_relu(record, "modern")
    if modern is not None:
        text += f"; {_times(modern, interval=False, unit='')} under modern conditions"
    return text + _on_stand_in(record)


@reads("relu-several", FIGURE1)
def _read_several(record: dict[str, Any]) -> str | None:
    rows = [_tanh_to_relu(record, name) for name in NETWORKS] if _at_target(record) else []
    measured = [row for row in rows if row is not None]
    if len(measured) < 2:  # one network cannot show that the effect depends on the network
        return None
    return "in epochs: " + "; ".join(f"{_times(r)} ({r['title']})" for r in measured) + _on_stand_in(record)


@reads("relu-saturate", FIGURE1)
def _read_saturate(record: dict[str, Any]) -> str | None:
    if not _at_target(record):
        return None
    cells = {(cell["activation"], cell["condition"]): cell for cell in record["cells"]}
    texts = []
    for name, words in (("relu", "ReLU"), ("tanh", "tanh")):
        raw, standardized = cells.get((name, "2012")), cells.get((name, "standardized"))
        if raw is not None and standardized is not None:
            texts.append(f"{words} {_epochs(raw)} and {_epochs(standardized)}")
    if not texts or not texts[0].startswith("ReLU"):
        return None
    target = f"epochs to {TARGET_TRAINING_ERROR:.0%} on raw and on standardized inputs"
    return f"{target}: {'; '.join(texts)}{_on_stand_in(record)}"


def _epochs(cell: Mapping[str, Any]) -> str:
    """The mean epochs to the target over a cell's runs, or how many runs got there."""
    found = [_crossing(run["curve"]) for run in cell["runs"]]
    reached = [epochs for epochs in found if epochs is not None]
    if len(reached) < len(found):
        return f"({len(reached)} of {len(found)} runs reached it)"
    return f"{sum(reached) / len(reached):.1f}"


def _crossing(curve: Mapping[str, Sequence[float]]) -> float | None:
    """The epoch at which a curve first reaches the target, linear between measurements."""
    before: tuple[float, float] | None = None
    for epoch, error in zip(curve["epoch"], curve["train_error"], strict=True):
        if error <= TARGET_TRAINING_ERROR:
            if before is None:
                return float(epoch)
            share = (before[1] - TARGET_TRAINING_ERROR) / (before[1] - error)
            return float(before[0] + share * (epoch - before[0]))
        before = (epoch, error)
    return None
