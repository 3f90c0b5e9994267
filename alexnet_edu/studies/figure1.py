"""Figure 1 as a study: conditions × activations × learning rates × seeds -> one record.

§3.1 says that a four-layer network reaches 25% training error on CIFAR-10 six times
faster with ReLU than with tanh, each with its own learning rate. A study searches the
rate of one activation under one condition with one seed, then repeats the best rate with
fresh seeds. `record` runs studies; `assemble` gathers all that was run into
`data/results/figure1.json`, which the notebooks show as "recorded".
"""

from __future__ import annotations

import math
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from alexnet_edu import files as json_files
from alexnet_edu import paper
from alexnet_edu.files import write_json
from alexnet_edu.studies.engine import (
    FINISHED,
    Bench,
    Condition,
    Record,
    Spec,
    read_records,
    run_together,
    to_json,
)
from alexnet_edu.studies.rates import next_rate
from alexnet_edu.studies.statistics import CONFIDENCE, bootstrap_ratio, crossing
from alexnet_edu.training.loop import Run

TARGET_ERROR = paper.TARGET_TRAINING_ERROR  # §3.1: where the paper compares
SEARCH_SEED = 0  # the seed that chose the rate is not one of the seeds that are reported
MOST_RATES = 7  # a search that has tried so many rates stops
LEARNED_NOTHING = 0.85  # a training error above this is chance: it says nothing of other rates

CONDITIONS = {
    c.name: c
    for c in (
        Condition("2012", "2012: raw pixels, N(0, 0.01)"),
        Condition("standardized", "only the inputs standardized", input_scale="standardized"),
        Condition("scaled-init", "only the initialization scaled", init="scaled"),
        Condition("modern", "both: inputs and initialization", "standardized", "scaled"),
        Condition("cuda-convnet", "raw pixels, the authors' CIFAR-10 initialization", init="cuda-convnet"),
        Condition("max-pooling", "2012, maximum pooling everywhere", pools=("max", "max", "max")),
        Condition("narrow", "2012, half as many kernels", channels=(16, 16, 32)),
    )
}


# --- a study: search the rate, then repeat with fresh seeds ---------------------------


@dataclass(frozen=True)
class Study:
    """One activation under one condition.

    start_rate: where the search begins, on the 1-2-5 grid.
    seeds: how many fresh seeds repeat the chosen rate.
    max_epochs: a run that has not reached the target by then never counts as reaching it.
    """

    condition: str
    activation: str
    start_rate: float
    seeds: int
    max_epochs: float


def search_rate(study: Study, run: Callable[[Spec, float], Record]) -> list[Record]:
    """Runs rates around `start_rate` until the best one has a worse one on each side.

    The best is the one that reaches the target in the fewest epochs or, where none does,
    the one with the lowest error on its way. A rate is given up as soon as it has used as
    many epochs as the best so far needed. While no rate has learned anything, smaller ones
    are tried, MOST_RATES in all. Every run uses SEARCH_SEED. Returns all runs.
    """
    condition = CONDITIONS[study.condition]
    records: dict[float, Record] = {}

    def limit() -> float:
        crossings = [c for r in records.values() if (c := r.crossing(TARGET_ERROR)) is not None]
        return min([study.max_epochs, *(math.ceil(2 * c) / 2 for c in crossings)])

    def measure(rate: float) -> None:
        if rate not in records:
            records[rate] = run(Spec(study.activation, rate, SEARCH_SEED, condition), limit())

    measure(study.start_rate)
    while True:
        best = best_rate(records.values())
        missing = [r for r in (next_rate(best, 1), next_rate(best, -1)) if r not in records]
        if not missing and min(_lowest_error(r) for r in records.values()) > LEARNED_NOTHING:
            missing = [next_rate(min(records), -1)]
        if not missing or len(records) >= MOST_RATES:
            return list(records.values())
        measure(missing[0])


def best_rate(records: Iterable[Record]) -> float:
    """The learning rate of the run that was fastest to the target (see `search_rate`)."""

    def merit(record: Record) -> tuple[bool, bool, float]:
        crossing = record.crossing(TARGET_ERROR)
        if crossing is not None:
            return (False, False, crossing)
        return (True, record.run.status == "diverged", _lowest_error(record))

    return min(records, key=merit).spec.learning_rate


def _lowest_error(record: Record) -> float:
    return min((p.train_error for p in record.run.points), default=1.0)


def run_study(
    bench: Bench,
    study: Study,
    *,
    device: str = "cpu",
    on_point: Callable[[Spec, Run], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> tuple[list[Record], list[Record]]:
    """(the runs of the search, the repetitions with fresh seeds) of one study.

    Raises KeyboardInterrupt when interrupted or told to stop; what was run is kept.
    """

    def run(spec: Spec, max_epochs: float) -> Record:
        def tell(partial: Run) -> None:
            if on_point is not None:
                on_point(spec, partial)

        record = bench.run(
            spec, max_epochs, target_error=TARGET_ERROR, device=device, on_point=tell, stop=stop
        )
        if record.run.status == "interrupted":
            raise KeyboardInterrupt
        return record

    search = search_rate(study, run)
    rate, condition = best_rate(search), CONDITIONS[study.condition]
    specs = [Spec(study.activation, rate, seed, condition) for seed in range(1, study.seeds + 1)]
    return search, [run(spec, study.max_epochs) for spec in specs]


# The studies behind Figure 1's record, the ones that matter most first.
STUDIES = (
    Study("2012", "tanh", 0.01, seeds=5, max_epochs=50),
    Study("2012", "relu", 0.002, seeds=5, max_epochs=30),
    Study("modern", "relu", 0.01, seeds=3, max_epochs=25),
    Study("modern", "tanh", 0.01, seeds=3, max_epochs=25),
    Study("standardized", "relu", 0.05, seeds=3, max_epochs=25),
    Study("standardized", "tanh", 0.05, seeds=3, max_epochs=25),
    Study("scaled-init", "relu", 0.0005, seeds=2, max_epochs=25),
    Study("scaled-init", "tanh", 0.002, seeds=2, max_epochs=25),
    Study("cuda-convnet", "relu", 0.001, seeds=3, max_epochs=30),
    Study("cuda-convnet", "tanh", 0.01, seeds=3, max_epochs=50),
    Study("2012", "abs-tanh", 0.0005, seeds=2, max_epochs=12),
    Study("2012", "sigmoid", 0.02, seeds=2, max_epochs=6),
    Study("modern", "abs-tanh", 0.01, seeds=2, max_epochs=12),
    Study("modern", "sigmoid", 0.05, seeds=2, max_epochs=8),
    Study("max-pooling", "relu", 0.002, seeds=3, max_epochs=30),
    Study("max-pooling", "tanh", 0.01, seeds=3, max_epochs=50),
    Study("narrow", "relu", 0.002, seeds=3, max_epochs=50),
    Study("narrow", "tanh", 0.01, seeds=2, max_epochs=60),
)

# One tanh run in float32, to show that bfloat16 convolutions do not make tanh slow.
PRECISION_CHECK = (Spec("tanh", 0.01, 1, CONDITIONS["2012"], precision="float32"), 6.0)


def record(
    bench: Bench,
    *,
    conditions: Sequence[str] | None = None,
    activations: Sequence[str] | None = None,
    workers: int | None = None,
    device: str = "cpu",
    say: Callable[[str], None] = print,
) -> None:
    """Runs the chosen `STUDIES` (all if None), `workers` at a time, each on one thread.

    With all studies goes PRECISION_CHECK. Everything already run is taken from
    `bench.runs_dir`; killing it loses at most half an epoch of each run in progress.
    """
    chosen = choose_studies(conditions, activations)
    workers = max(1, min(len(chosen), workers or os.cpu_count() or 1))
    stop = threading.Event()

    def work(study: Study) -> None:
        torch.set_num_threads(1)  # of this worker; processor seconds are counted by the thread then
        _, repeats = run_study(
            bench, study, device=device, on_point=lambda s, r: say(_progress_line(s, r)), stop=stop.is_set
        )
        reached = [r.crossing(TARGET_ERROR) for r in repeats]
        say(f"finished {study.condition} {study.activation}: 25% training error after {reached} epochs")

    def check_precision() -> None:
        torch.set_num_threads(1)
        spec, epochs = PRECISION_CHECK
        bench.run(
            spec, epochs, device=device, on_point=lambda r: say(_progress_line(spec, r)), stop=stop.is_set
        )

    bench.warm_up()
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(work, study) for study in chosen]
        if not conditions and not activations:
            futures.append(pool.submit(check_precision))
        try:
            for future in as_completed(futures):  # so that a failure is told at once
                future.result()
        except BaseException:
            stop.set()
            for future in futures:
                future.cancel()
            raise


def choose_studies(conditions: Sequence[str] | None, activations: Sequence[str] | None) -> list[Study]:
    """The studies with these conditions and activations; ValueError if there are none."""
    chosen = [
        study
        for study in STUDIES
        if (not conditions or study.condition in conditions)
        and (not activations or study.activation in activations)
    ]
    if not chosen:
        known = ", ".join(f"{s.condition}/{s.activation}" for s in STUDIES)
        raise ValueError(
            f"no study has condition {conditions!r} and activation {activations!r}; there are {known}"
        )
    return chosen


def _progress_line(spec: Spec, run: Run) -> str:
    point = run.last
    assert point is not None
    return (
        f"{spec.condition.name} {spec.activation} ε={spec.learning_rate:g} seed {spec.seed}: "
        f"epoch {point.epoch:.1f}, training error {point.train_error:.1%}"
    )


# --- live, in the notebook ----------------------------------------------------------------

LIVE_SEED = 2012  # none of the recorded runs has it: a live run is always a new one


@dataclass(frozen=True)
class LivePlan:
    """What a notebook trains itself at one scale: the epochs allowed to each activation.

    rates: learning rates for this scale; None takes those that the caller found.
    """

    epochs: dict[str, float]
    minutes: str
    batch_size: int = 128
    rates: dict[str, float] | None = None


# The stand-in of scale "quick" has 2,000 images, which is 16 batches of 128 an epoch: too few
# to learn anything in seconds. Smaller batches, and rates found for them, give a curve.
LIVE = {
    "quick": LivePlan({"relu": 5, "tanh": 5}, "seconds", 16, {"relu": 0.0005, "tanh": 0.002}),
    "laptop": LivePlan({"relu": 8, "tanh": 12}, "about 3 minutes on two cores"),
    "gpu": LivePlan({"relu": 30, "tanh": 50}, "a few minutes on a GPU"),
    "paper": LivePlan({"relu": 30, "tanh": 50}, "a few minutes on a GPU, 12 on two cores"),
}


def run_live(
    bench: Bench,
    scale: str,
    rates: dict[str, float],
    *,
    condition: str = "2012",
    device: str = "cpu",
    progress: bool = True,
) -> dict[str, Record]:
    """Trains one network per activation side by side, now, with progress bars.

    scale: a key of `LIVE`. rates: activation -> learning rate, for every scale whose plan
    has none of its own. Interrupting keeps what was measured; the same call goes on from
    there. Returns activation -> record.
    """
    plan = LIVE[scale]
    chosen = plan.rates or rates
    jobs = [
        (Spec(name, chosen[name], LIVE_SEED, CONDITIONS[condition], batch_size=plan.batch_size), epochs)
        for name, epochs in plan.epochs.items()
    ]
    records = run_together(bench, jobs, target_error=TARGET_ERROR, device=device, progress=progress)
    return {r.spec.activation: r for r in records}


# --- the record -------------------------------------------------------------------------


def assemble(runs_dir: Path, fingerprint: str | None = None) -> dict[str, Any]:
    """All that was run for the studies, as one record; nothing is trained here.

    fingerprint: take only runs on these data; needed if the folder holds several.
    Runs on another kind of device or in another precision are not mixed: those of the
    kind with most runs are taken.
    Raises ValueError when there is nothing to assemble.
    """
    kept = [r for r in read_records(runs_dir) if fingerprint in (None, r.data["fingerprint"])]
    if len({r.data["fingerprint"] for r in kept}) > 1:
        raise ValueError(f"{runs_dir} holds runs on different data; say which by its fingerprint")
    usual = Counter((r.device, r.spec.precision) for r in kept).most_common(1)
    of_one_kind = [r for r in kept if (r.device, r.spec.precision) == usual[0][0]]
    order = [*CONDITIONS]
    studies = sorted(STUDIES, key=lambda s: (order.index(s.condition), s.activation != "relu"))
    cells = [cell for study in studies if (cell := _cell(study, of_one_kind)) is not None]
    if not cells:
        raise ValueError(f"{runs_dir} holds no finished study; run `alexnet-edu experiment figure1` first")
    runs = [run for cell in cells for run in cell["runs"]]
    origins = [o for run in runs for o in (run["provenance"], *run["provenance"].get("earlier", []))]
    return {
        "experiment": "figure1",
        "target_error": TARGET_ERROR,
        "cells": cells,
        "summary": summarize(cells),
        "precision": compare_precisions(kept),
        "provenance": {
            "commits": sorted({o["commit"] for o in origins}),
            "dates": sorted({o["date"] for o in origins}),
            "hardware": sorted({o["hardware"] for o in origins}),
            "torch": sorted({o["torch"] for o in origins}),
            "precision": sorted({r["spec"]["precision"] for r in runs}),
            "threads": sorted({o["threads"] for o in origins}),
            "data": runs[0]["data"],
        },
    }


def compare_precisions(kept: Sequence[Record]) -> list[dict[str, Any]]:
    """Runs that were made in float32 as well as in bfloat16, otherwise alike: their errors.

    running_error is compared, which averages over half an epoch of images.
    """
    by_spec = {(r.spec, r.device): r for r in kept}
    found = []
    for (spec, device), exact in by_spec.items():
        other = by_spec.get((replace(spec, precision="bfloat16"), device))
        if spec.precision == "float32" and other is not None:
            pairs = list(zip(exact.run.points, other.run.points, strict=False))
            found.append(
                {
                    "activation": spec.activation,
                    "condition": spec.condition.name,
                    "learning_rate": spec.learning_rate,
                    "seed": spec.seed,
                    "epochs": [a.epoch for a, _ in pairs],
                    "float32": [a.running_error for a, _ in pairs],
                    "bfloat16": [b.running_error for _, b in pairs],
                }
            )
    return found


def _cell(study: Study, kept: Sequence[Record]) -> dict[str, Any] | None:
    """One study's part of the record; None if it was not searched and repeated in full yet."""
    condition = CONDITIONS[study.condition]
    mine = [
        replace(r, spec=replace(r.spec, condition=condition))  # in the words that it has now
        for r in kept
        if r.spec.activation == study.activation and r.spec.condition.is_same(condition)
    ]
    mine = [r for r in mine if r.run.status in FINISHED]
    search = [r for r in mine if r.spec.seed == SEARCH_SEED]
    if not search:
        return None
    rate = best_rate(search)
    seeds = range(1, study.seeds + 1)
    repeats = [r for r in mine if r.spec.learning_rate == rate and r.spec.seed in seeds]
    if len(repeats) < study.seeds:
        return None
    return {
        "condition": condition.name,
        "title": condition.title,
        "activation": study.activation,
        "rate": rate,
        "max_epochs": study.max_epochs,
        "search": [
            {
                "learning_rate": r.spec.learning_rate,
                "status": r.run.status,
                "epochs": r.crossing(TARGET_ERROR),
                "epochs_run": r.run.points[-1].epoch,
                "lowest_error": _lowest_error(r),
            }
            for r in sorted(search, key=lambda r: r.spec.learning_rate)
        ],
        "runs": [to_json(r) for r in sorted(repeats, key=lambda r: r.spec.seed)],
    }


def summarize(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per condition: how many times slower than ReLU each other activation was."""
    by_name = {(c["condition"], c["activation"]): c for c in cells}
    rows = []
    for (condition, activation), cell in by_name.items():
        relu = by_name.get((condition, "relu"))
        if activation == "relu" or relu is None:
            continue
        rows.append(
            {
                "condition": condition,
                "title": cell["title"],
                "numerator": activation,
                "denominator": "relu",
                "runs": [len(cell["runs"]), len(relu["runs"])],
                **_ratio(cell, relu),
            }
        )
    return rows


def _ratio(cell: dict[str, Any], relu: dict[str, Any]) -> dict[str, Any]:
    """Ratios with intervals, or the least the ratio can be where a run never got there."""
    slow, fast = crossings(cell, "epoch"), crossings(relu, "epoch")
    known_fast = [x for x in fast if x is not None]
    if len(known_fast) < len(fast):
        return {"epochs": None, "seconds": None, "at_least": None, "relu_not_within": relu["max_epochs"]}
    if None in slow:
        bounded = [x if x is not None else cell["max_epochs"] for x in slow]
        least = (sum(bounded) / len(bounded)) / (sum(known_fast) / len(known_fast))
        return {"epochs": None, "seconds": None, "at_least": math.floor(10 * least) / 10}  # never up
    ratios = {}
    for name, axis in (("epochs", "epoch"), ("seconds", "cpu_seconds")):
        top, bottom = crossings(cell, axis), crossings(relu, axis)
        interval = bootstrap_ratio([x for x in top if x], [x for x in bottom if x])
        ratios[name] = {key: round(value, 3) for key, value in vars(interval).items()}
        ratios[name]["confidence"] = CONFIDENCE
    return {**ratios, "at_least": None}


def crossings(cell: Mapping[str, Any], axis: str) -> list[float | None]:
    """Where each repetition of a cell reaches the target: "epoch", "iteration", "cpu_seconds"."""
    return [crossing(run["curve"][axis], run["curve"]["train_error"], TARGET_ERROR) for run in cell["runs"]]


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Writes an assembled record, for `load_record` and the ledger to read."""
    write_json(path, record)


def load_record(path: Path) -> dict[str, Any]:
    """Reads what `write_record` wrote. Raises ValueError with advice when it cannot."""
    return json_files.load_record(path, "figure1", {"cells", "summary", "provenance"})


# --- reading a record ---------------------------------------------------------------------


def find_cell(record: Mapping[str, Any], condition: str, activation: str) -> dict[str, Any]:
    """The part of a record about one activation under one condition; ValueError if absent."""
    for cell in record["cells"]:
        if (cell["condition"], cell["activation"]) == (condition, activation):
            return dict(cell)
    known = ", ".join(f"{c['condition']}/{c['activation']}" for c in record["cells"])
    raise ValueError(f"the record holds nothing about {condition}/{activation}; it holds {known}")


def mean_crossing(cell: Mapping[str, Any], axis: str = "epoch") -> float | None:
    """Mean over the seeds of where the target is reached; None if one seed never gets there."""
    found = crossings(cell, axis)
    known = [x for x in found if x is not None]
    return sum(known) / len(known) if known and len(known) == len(found) else None


def crossings_table(record: Mapping[str, Any]) -> str:
    """Epochs, iterations and processor seconds to the target: one line per cell, as text."""
    head = f"{'condition':<52}{'activation':<11}{'ε':>7}{'seeds':>7}"
    head += f"{'epochs':>9}{'iterations':>12}{'seconds':>9}"
    lines = [head, "-" * len(head)]
    for cell in record["cells"]:
        numbers = [mean_crossing(cell, axis) for axis in ("epoch", "iteration", "cpu_seconds")]
        if numbers[0] is None:
            shown = f"{'not within ' + format(cell['max_epochs'], 'g'):>30}"
        else:
            shown = f"{numbers[0]:>9.1f}{numbers[1]:>12.0f}{numbers[2]:>9.0f}"
        lines.append(
            f"{cell['title']:<52}{cell['activation']:<11}{cell['rate']:>7g}{len(cell['runs']):>7}{shown}"
        )
    return "\n".join(lines)


def ratios_table(record: Mapping[str, Any]) -> str:
    """How many times slower than ReLU: one line per condition and activation, as text."""
    head = f"{'condition':<52}{'compared':<15}{'in epochs':>18}{'in seconds':>18}"
    lines = [head, "-" * len(head)]
    for row in record["summary"]:
        if row["at_least"] is not None:
            epochs, seconds = f"at least {row['at_least']:.1f}", "–"
        elif row["epochs"] is None:
            epochs, seconds = f"ReLU not within {row['relu_not_within']:g}", "–"
        else:
            epochs, seconds = (
                f"{x['value']:.1f} [{x['low']:.1f}, {x['high']:.1f}]" for x in (row["epochs"], row["seconds"])
            )
        lines.append(f"{row['title']:<52}{row['numerator'] + ' / relu':<15}{epochs:>18}{seconds:>18}")
    return "\n".join(lines)


def origin(record: Mapping[str, Any]) -> str:
    """One sentence: when, where, on what the record was made."""
    made = record["provenance"]
    return (
        f"recorded {', '.join(made['dates'])} at commit {', '.join(made['commits'])} on "
        f"{', '.join(made['hardware'])} ({', '.join(str(t) for t in made['threads'])} thread a run, "
        f"torch {', '.join(made['torch'])}, {', '.join(made['precision'])}); data: {made['data']['source']}"
    )
