"""What this project measured or counted for the claims, mostly read from `data/results`.

One small function per claim turns a record into words. Nothing measured is ever typed by
hand: without a record there is no value.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alexnet_edu import paper as p
from alexnet_edu.environment import results_dir
from alexnet_edu.ledger.claims import claim_named
from alexnet_edu.model.architecture import variant
from alexnet_edu.paper import TARGET_TRAINING_ERROR
from alexnet_edu.studies.convergence import epochs_to
from alexnet_edu.studies.record import at_rate, shared_rates
from alexnet_edu.two_gpus import traffic


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


def ours(claim_id: str) -> Ours | None:
    """What the recorded results say about a claim; None where nothing is recorded yet.

    Raises ValueError for an unknown claim, RecordError for a damaged record.
    """
    claim_named(claim_id)
    if claim_id in COUNTS:
        return Ours(COUNTS[claim_id](), "by arithmetic, each time anew", None)
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


def positive(value: object) -> float:
    """A positive, finite number. Raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{value!r} is not a positive number")
    return float(value)


def _share(value: object) -> float:
    """A number from 0 to 1. Raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{value!r} is not a share from 0 to 1")
    return float(value)


def _times(row: Mapping[str, Any], *, interval: bool = True, unit: str = " times") -> str:
    """How many times longer tanh took, in epochs: "6.4 times [5.9, 7.0]"."""
    ratio = row["epochs"]
    if ratio is not None:
        low, high = positive(ratio["low"]), positive(ratio["high"])
        bounds = f" [{low:.1f}, {high:.1f}]" if interval else ""
        return f"{positive(ratio['value']):.1f}{unit}{bounds}"
    if row["at_least"] is not None:
        return f"at least {positive(row['at_least']):.1f}{unit}"
    return f"no ratio, for ReLU did not always reach {TARGET_TRAINING_ERROR:.0%}"


def _seeds(runs: Sequence[int]) -> str:
    tanh, relu = runs
    return f"{tanh} seeds" if tanh == relu else f"{tanh} tanh and {relu} ReLU seeds"


def on_stand_in(record: Mapping[str, Any]) -> str:
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
    return text + on_stand_in(record)


@reads("relu-several", FIGURE1)
def _read_several(record: dict[str, Any]) -> str | None:
    rows = [_tanh_to_relu(record, name) for name in NETWORKS] if _at_target(record) else []
    measured = [row for row in rows if row is not None]
    if len(measured) < 2:  # one network cannot show that the effect depends on the network
        return None
    return "in epochs: " + "; ".join(f"{_times(r)} ({r['title']})" for r in measured) + on_stand_in(record)


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
    return f"{target}: {'; '.join(texts)}{on_stand_in(record)}"


def _epochs(cell: Mapping[str, Any]) -> str:
    """The mean epochs to the target over a cell's runs, or how many runs got there."""
    found = [epochs_to(run["curve"], TARGET_TRAINING_ERROR) for run in cell["runs"]]
    reached = [epochs for epochs in found if epochs is not None]
    if len(reached) < len(found):
        return f"({len(reached)} of {len(found)} runs reached it)"
    return f"{sum(reached) / len(reached):.1f}"


# --- readers: the studies of §3.2 to §3.4 ---------------------------------------------------


def last_errors(record: Mapping[str, Any], variant: str, what: str = "test_error") -> list[float] | None:
    """The last error (0–1) of each seed of a variant; None if it was not run."""
    for cell in record["cells"]:
        if cell["variant"] == variant:
            return [_share(run["curve"][what][-1]) for run in cell["runs"]]
    return None


def described(record: Mapping[str, Any]) -> str:
    """What the study is, for the end of a sentence: epochs, seeds, data."""
    runs = {len(cell["runs"]) for cell in record["cells"]}
    seeds = f"{min(runs)} seed{'s' if min(runs) > 1 else ''}"
    return f"on CIFAR-10, {record['epochs']:g} epochs, {seeds}{on_stand_in(record)}"


def against(
    record: Mapping[str, Any], experiment: str, variant: str, baseline: str, what: str = "test_error"
) -> str | None:
    """ "25.9% against 25.2% test error": means over the seeds; None if one was not run."""
    if record["experiment"] != experiment:
        raise ValueError(f"experiment {record['experiment']!r} is not {experiment!r}")
    pair = [last_errors(record, name, what) for name in (variant, baseline)]
    if pair[0] is None or pair[1] is None:
        return None
    means = [100 * sum(errors) / len(errors) for errors in (pair[0], pair[1])]
    return f"{means[0]:.1f}% against {means[1]:.1f}%"


def at_one_rate(
    record: Mapping[str, Any],
    variants: Sequence[str],
    of_whom: str,
    describe: Callable[[dict[str, Any]], str | None],
) -> str:
    """ "; at one rate for both: 24.8% against 26.9% (ε = 0.001); …": each rate that all were run at.

    describe: the words for a record. Empty where all variants chose the same rate.
    """
    if len({cell["rate"] for cell in record["cells"] if cell["variant"] in variants}) == 1:
        return ""
    texts = [
        f"{describe(at_rate(record, rate))} (ε = {rate:g})"
        for rate, names in shared_rates(record).items()
        if set(variants) <= set(names)
    ]
    return f"; at one rate for {of_whom}: {'; '.join(texts)}" if texts else ""


@reads("lrn-gain", "norms.json")
def _read_lrn_gain(record: dict[str, Any]) -> str | None:
    texts = [
        f"{words} {compared.split(' against ')[0]}"
        for name, words in (
            ("lrn", "LRN"),
            ("lrn-code", "LRN with α/n"),
            ("batch", "batch norm"),
            ("within-map", "within a map"),
        )
        if (compared := against(record, "norms", name, "none")) is not None
    ]
    plain = last_errors(record, "none")
    if not texts or plain is None:
        return None
    mean = 100 * sum(plain) / len(plain)
    same = at_one_rate(
        record, ("lrn", "none"), "LRN and none", lambda one: against(one, "norms", "lrn", "none")
    )
    return f"small version: test error without {mean:.1f}%, {', '.join(texts)} ({described(record)}){same}"


@reads("lrn-cifar", "lrn-long.json")
def _read_lrn_cifar(record: dict[str, Any]) -> str | None:
    compared = against(record, "lrn-long", "lrn", "none")
    if compared is None:
        return None
    views = [
        100 * positive(run["nine_views"])
        for name in ("lrn", "none")
        for cell in record["cells"]
        if cell["variant"] == name
        for run in cell["runs"][:1]
    ]
    return (
        f"with LRN {compared} without, test error of the middle crop; nine crops {views[0]:.1f}% against "
        f"{views[1]:.1f}% ({described(record)})"
    )


@reads("pool-overlap", "pooling.json")
def _read_pool_overlap(record: dict[str, Any]) -> str | None:
    compared = against(record, "pooling", "z3", "z2")
    if compared is None:
        return None
    same = at_one_rate(record, ("z3", "z2"), "both", lambda one: against(one, "pooling", "z3", "z2"))
    return f"small version: z = 3 {compared} at z = 2, test error ({described(record)}){same}"


@reads("pool-overfit", "pooling.json")
def _read_pool_overfit(record: dict[str, Any]) -> str | None:
    compared = _gaps(record)
    if compared is None:
        return None
    same = at_one_rate(record, ("z3", "z2"), "both", _gaps)
    return f"test minus training error: {compared} ({described(record)}){same}"


def _gaps(record: Mapping[str, Any]) -> str | None:
    """ "7.0 points at z = 3, 10.0 at z = 2; training error 12.0% against 11.0%"."""
    gaps = []
    for z in ("z3", "z2"):
        test, train = last_errors(record, z), last_errors(record, z, "train_error")
        if test is None or train is None:
            return None
        gaps.append(100 * (sum(test) / len(test) - sum(train) / len(train)))
    trained = against(record, "pooling", "z3", "z2", "train_error")
    return f"{gaps[0]:.1f} points at z = 3, {gaps[1]:.1f} at z = 2, training error {trained}"


@reads("two-gpu-gain", "exchange.json")
def _read_two_gpu_gain(record: dict[str, Any]) -> str | None:
    compared = against(record, "exchange", "conv3", "half")
    if compared is None:
        return None
    same = at_one_rate(
        record, ("conv3", "half"), "both", lambda one: against(one, "exchange", "conv3", "half")
    )
    return (
        f"small version: two columns {compared} for the half network, test error ({described(record)}){same}"
    )


@reads("connectivity", "exchange.json")
def _read_connectivity(record: dict[str, Any]) -> str | None:
    if record["experiment"] != "exchange":
        raise ValueError(f"experiment {record['experiment']!r} is not 'exchange'")
    compared = _by_pattern(record)
    if compared is None:
        return None
    same = at_one_rate(record, list(_PATTERNS), "all", _by_pattern)
    return f"test error talking {compared} ({described(record)}){same}"


_PATTERNS = {
    "conv3": "at conv3",
    "conv4": "conv4",
    "conv3-conv4": "both",
    "nowhere": "nowhere",
    "everywhere": "everywhere",
}


def _by_pattern(record: Mapping[str, Any]) -> str | None:
    """ "at conv3 33.2%, conv4 33.0%, …"; None if one was not run."""
    texts = []
    for name, words in _PATTERNS.items():
        errors = last_errors(record, name)
        if errors is None:
            return None
        texts.append(f"{words} {100 * sum(errors) / len(errors):.1f}%")
    return ", ".join(texts)


TWO_COLUMNS = "two-columns.json"


@reads("two-gpu-time", TWO_COLUMNS)
def _read_two_gpu_time(record: dict[str, Any]) -> str | None:
    if record["experiment"] != "two-columns":
        raise ValueError(f"experiment {record['experiment']!r} is not 'two-columns'")
    texts = [f"{name} {positive(sorted(s)[len(s) // 2]):.2f} s" for name, s in record["seconds"].items()]
    return f"a step of {record['batch']} images on processors: {', '.join(texts)}"


def _count_memory() -> str:
    alone = traffic.mib(traffic.memory_2012(variant("run145")))
    halves = [traffic.mib(traffic.memory_2012(variant("run145"), gpu=gpu)) for gpu in (0, 1)]
    return f"{alone:,.0f} MiB on one GPU, {halves[0]:,.0f} and {halves[1]:,.0f} on two (estimate)"


def _count_traffic() -> str:
    each = traffic.sent_each_way(variant("paper"))
    texts = ", ".join(f"{name} {size / 1e6:.2f} MB" for name, size in each.items() if name != "fc8")
    return f"{texts} each way; {traffic.sent_per_step(variant('paper')) / 1e6:.0f} MB a step"


COUNTS |= {"memory-3gb": _count_memory, "two-gpu-comm": _count_traffic}


def _lrn_formula() -> str:
    loudest = math.sqrt(p.LRN_K / (p.LRN_ALPHA * p.LRN_N))
    return (
        f"α times the sum equals k where five neighbours have an rms of {loudest:.0f} (printed formula), of "
        f"{loudest * math.sqrt(p.LRN_N):.0f} (α/n, the code)"
    )


COUNTS["lrn-formula"] = _lrn_formula
