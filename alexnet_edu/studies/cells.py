"""The records of `record` as nested cells, for readers that still want them so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from alexnet_edu.studies.record import Record, load
from alexnet_edu.studies.statistics import Interval, crossing, first_near_best, paired, welch

Curve = Mapping[str, Sequence[float]]


def load_record(path: Path, study: str) -> dict[str, Any]:
    """The cells of a study's record."""
    return as_cells(load(study, path.parent))


def as_cells(record: Record) -> dict[str, Any]:
    """A record as one cell a variant, each with its runs, each with its curve."""
    if record.experiment == "results":
        return {"experiment": "results", "record": record, "provenance": record.provenance}
    cells = []
    for name in record.variants:
        own = record.of(variant=name)
        groups = [(rate, own.of(rate=rate)) for rate in own.runs["rate"].unique()]
        first = own.runs.iloc[0]
        cells.append(
            {
                "variant": name,
                "title": first["title"],
                "parameters": int(first.get("parameters", 0)),
                "rate": float(first["rate"]),
                "runs": _runs(groups[0][1]),
                "more": [{"rate": float(rate), "runs": _runs(part)} for rate, part in groups[1:]],
            }
        )
    parts = {"experiment": record.experiment, "title": record.title, **record.settings}
    if "ratios" in record.tables:
        for cell in cells:
            cell["condition"], cell["activation"] = cell["variant"].split()
        parts["summary"] = [_ratio(row) for _, row in record.tables["ratios"].iterrows()]
    return {**parts, "cells": cells, "provenance": record.provenance}


def _ratio(row: Any) -> dict[str, Any]:
    names = ("condition", "title", "numerator", "denominator")
    ends = {"value": "", "low": "_low", "high": "_high"}
    parts = {
        name: {key: row[name + end] for key, end in ends.items()} if row[name] > 0 else None
        for name in ("epochs", "seconds")
    }
    least = row["at_least"] if row["at_least"] > 0 else None
    return {**{n: row[n] for n in names}, "runs": [row["runs"], row["relu_runs"]], **parts, "at_least": least}


def _runs(part: Record) -> list[dict[str, Any]]:
    runs = []
    for number, row in part.runs.iterrows():
        curve = part.curves[part.curves["run"] == number]
        shifted = {n.split("_")[1]: float(row[n]) for n in row.index if n.startswith("shifted_")}
        numbers = curve.drop(columns=["run", "variant", "title", "rate", "chosen", "seed"])
        runs.append(
            {
                "seed": int(row["seed"]),
                "rate": float(row["rate"]),
                "status": row["status"],
                "curve": {column: [float(x) for x in numbers[column]] for column in numbers},
                "shifted": shifted,
                "nine_views": row.get("nine_views"),
            }
        )
    return runs


def find_cell(record: Mapping[str, Any], variant: str, rate: float | None = None) -> dict[str, Any]:
    """The part of a record about one variant, with the runs at its own learning rate, or at `rate`.

    Raises ValueError if the variant was not run, or not at that rate.
    """
    for cell in record["cells"]:
        if cell["variant"] == variant:
            groups = {cell["rate"]: cell["runs"], **{m["rate"]: m["runs"] for m in cell.get("more", ())}}
            if rate is not None and rate not in groups:
                known = ", ".join(f"{r:g}" for r in sorted(groups))
                raise ValueError(f"{variant!r} was not run at the learning rate {rate:g}; it was at {known}")
            wanted = cell["rate"] if rate is None else rate
            return {**cell, "rate": wanted, "runs": groups[wanted]}
    known = ", ".join(c["variant"] for c in record["cells"])
    raise ValueError(f"the record holds nothing about {variant!r}; it holds {known}")


def shared_rates(record: Mapping[str, Any]) -> dict[float, list[str]]:
    """Learning rates at which at least two variants were run with all seeds -> these variants."""
    found: dict[float, list[str]] = {}
    for cell in record["cells"]:
        for rate in (cell["rate"], *(m["rate"] for m in cell.get("more", ()))):
            found.setdefault(rate, []).append(cell["variant"])
    return {rate: names for rate, names in sorted(found.items()) if len(names) > 1}


def at_rate(record: Mapping[str, Any], rate: float) -> dict[str, Any]:
    """The record with the runs at one learning rate alone, as if it had been chosen for all variants.

    Raises ValueError if fewer than two variants were run at that rate.
    """
    rates = shared_rates(record)
    if rate not in rates:
        known = ", ".join(f"{r:g}" for r in rates) or "none"
        raise ValueError(f"no two variants share the learning rate {rate:g}; shared rates: {known}")
    return {**record, "cells": [find_cell(record, name, rate) | {"more": []} for name in rates[rate]]}


def last(cell: Mapping[str, Any], what: str = "test_error") -> list[float]:
    """The last value of each seed's curve: "test_error", "train_error" (0–1), "cpu_seconds" …

    "gap" is the test error minus the training error.
    """
    if what == "gap":
        return [t - s for t, s in zip(last(cell, "test_error"), last(cell, "train_error"), strict=True)]
    return [run["curve"][what][-1] for run in cell["runs"]]


def gap(
    record: Mapping[str, Any], variant: str, baseline: str, what: str = "test_error", scale: float = 100.0
) -> Interval:
    """By how much a variant's mean lies above the baseline's, times `scale`: in points, by default.

    Each is taken at its own learning rate; for both at one rate give it `at_rate(record, rate)`.
    """
    return welch(*([scale * x for x in last(find_cell(record, name), what)] for name in (variant, baseline)))


def paired_gap(
    record: Mapping[str, Any], variant: str, baseline: str, what: str = "test_error", scale: float = 100.0
) -> Interval:
    """The mean of the differences seed by seed, with the 95% interval of that mean.

    For variants that start from the same weights and see the same images in the same order under
    one seed: what the seed does to both cancels. Raises ValueError where the seeds differ.
    """
    cells = [find_cell(record, name) for name in (variant, baseline)]
    seeds = [[run["seed"] for run in cell["runs"]] for cell in cells]
    if seeds[0] != seeds[1]:
        raise ValueError(f"{variant!r} was run with the seeds {seeds[0]} and {baseline!r} with {seeds[1]}")
    return paired(*([scale * x for x in last(cell, what)] for cell in cells))


def interval(found: Interval) -> str:
    """A difference with its 95% interval, in points: "-2.79 [-3.49, -2.09]"."""
    return found.signed


def epochs_to(curve: Curve, level: float, what: str = "train_error") -> float | None:
    """The epoch at which an error first is at or below `level`, linear between two points; None if never."""
    if not 0 <= level <= 1:
        raise ValueError(f"an error is a share from 0 to 1, got {level!r}")
    return crossing(curve["epoch"], curve[what], level)


def epochs_to_best(curve: Curve, slack: float = 0.0, what: str = "test_error") -> float:
    """The first epoch at which an error is no more than `slack` (0–1) above its lowest value."""
    if not 0 <= slack <= 1:
        raise ValueError(f"slack is a difference of errors from 0 to 1, got {slack!r}")
    return first_near_best(curve["epoch"], curve[what], slack)


def ratios(
    slow: Mapping[str, Any], fast: Mapping[str, Any], epochs: Callable[[Curve], float | None]
) -> list[float | None]:
    """epochs(slow) / epochs(fast) for each seed; None where one of the two never gets there.

    slow, fast: cells of a record with the same seeds: a seed draws the same images, the same
    order and, for networks of one size, the same weights, so runs belong together in pairs.
    """
    pairs = zip(slow["runs"], fast["runs"], strict=True)
    found: list[float | None] = []
    for a, b in pairs:
        if a["seed"] != b["seed"]:
            raise ValueError(f"runs of the same seed are compared, got {a['seed']} and {b['seed']}")
        times = epochs(a["curve"]), epochs(b["curve"])
        found.append(None if times[0] is None or times[1] is None else times[0] / times[1])
    return found
