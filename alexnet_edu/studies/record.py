"""Reading the recorded studies of `ablations`: records in, numbers and tables out."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alexnet_edu import files as json_files
from alexnet_edu.environment import results_dir
from alexnet_edu.studies.statistics import Interval, paired, welch

if TYPE_CHECKING:
    import pandas as pd

PARTS = {"experiment", "cells", "epochs", "provenance"}


def load_record(path: Path, study: str) -> dict[str, Any]:
    """The record of a study. Raises ValueError with advice when there is none or it is damaged."""
    return json_files.load_record(path, study, PARTS)


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


def table(record: Mapping[str, Any]) -> str:
    """One line per variant: rate, parameters, errors over the seeds, seconds an epoch; as text."""
    width = max(len(c["title"]) for c in record["cells"]) + 2
    head = f"{'variant':<{width}}{'parameters':>11}{'ε':>8}{'seeds':>7}{'test error':>18}"
    head += f"{'training error':>18}{'s/epoch':>9}"
    lines = [head, "-" * len(head)]
    for cell in record["cells"]:
        seconds = statistics.fmean(last(cell, "cpu_seconds")) / record["epochs"]
        lines.append(
            f"{cell['title']:<{width}}{cell['parameters']:>11,}{cell['rate']:>8g}{len(cell['runs']):>7}"
            f"{spread(last(cell)):>18}{spread(last(cell, 'train_error')):>18}{seconds:>9.1f}"
        )
    return "\n".join(lines)


def table_by_rate(record: Mapping[str, Any], baseline: str) -> str:
    """Every variant at each shared learning rate, against the baseline at the same rate; as text.

    A star marks the rate that the search chose for the variant.
    """
    width = max(len(c["title"]) for c in record["cells"]) + 2
    head = f"{'ε':<8}{'variant':<{width}}{'test error':>16}{'training error':>17}{'against ' + baseline:>26}"
    lines = [head, "-" * len(head)]
    for rate, names in shared_rates(record).items():
        same = at_rate(record, rate)
        for name, cell in zip(names, same["cells"], strict=True):
            star = "*" if find_cell(record, name)["rate"] == rate else " "
            line = f"{rate:<7g}{star}{cell['title']:<{width}}{spread(last(cell)):>16}"
            line += f"{spread(last(cell, 'train_error')):>17}"
            if name != baseline and baseline in names:
                line += f"{interval(gap(same, name, baseline)):>26}"
            lines.append(line)
    return "\n".join(lines)


def interval(found: Interval) -> str:
    """A difference with its 95% interval, in points: "-2.79 [-3.49, -2.09]"."""
    return found.signed


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation of shares: "26.4% ± 0.3"."""
    mean = 100 * statistics.fmean(values)
    return f"{mean:.2f}%" + (f" ± {100 * statistics.stdev(values):.2f}" if len(values) > 1 else "")


def origin(record: Mapping[str, Any]) -> str:
    """One sentence: when, where, on what the record was made."""
    made = record["provenance"]
    drops = ", ".join(f"{d:g}" for d in record["drops"])
    falls = f", ε / 10 after {drops}" if drops else ""
    return (
        f"recorded {', '.join(made['dates'])} at commit {', '.join(made['commits'])} on "
        f"{', '.join(made['hardware'])} ({', '.join(str(t) for t in made['threads'])} thread a run, torch "
        f"{', '.join(made['torch'])}, {', '.join(made['precision'])}); {record['epochs']:g} epochs of "
        f"{made['data']['images']:,} images{falls}; data: {made['data']['source']}"
    )


# --- records as tables --------------------------------------------------------------------------

KEYS = ("variant", "title", "condition", "activation", "rate", "chosen", "seed")  # of a run, in every table


@dataclass(frozen=True)
class Record:
    """What a study found: one JSON file in `data/results`, read as tidy tables.

    settings: what was chosen before: epochs, drops, … provenance: of the machines that trained: "commits",
    "dates", "hardware", "torch", "threads", "precision", each a list, and "data".
    tables: pandas frames by name. "runs" has one row for each reported run; its index is the number that
    other tables have as "run", beside what names the run (`KEYS`). Errors are shares (0–1), seconds those
    of one processor. "chosen" marks the rate that the search chose for the variant.
    """

    experiment: str
    title: str
    settings: dict[str, Any]
    provenance: dict[str, Any]
    tables: dict[str, pd.DataFrame]

    @property
    def runs(self) -> pd.DataFrame:
        """One row per reported run: variant, title, rate, chosen, seed, last errors, cpu_seconds, …"""
        return self.tables["runs"]

    @property
    def curves(self) -> pd.DataFrame:
        """One row per measurement: run, variant, title, rate, chosen, seed, epoch, train_error, …"""
        return self.tables["curves"]

    @property
    def is_synthetic(self) -> bool:
        """Whether the images were the stand-in."""
        return bool(self.provenance["data"]["synthetic"])

    def of(self, **wanted: Any) -> Record:
        """The record with the runs alone that have these values: `of(variant="lrn", rate=0.005)`.

        Raises ValueError, with the values that there are, where no run is left.
        """
        tables = dict(self.tables)
        for name, value in wanted.items():
            left = {n: t[t[name] == value] if name in t else t for n, t in tables.items()}
            if left["runs"].empty:
                known = ", ".join(
                    f"{v:g}" if isinstance(v, float) else str(v) for v in self.runs[name].unique()
                )
                raise ValueError(f"the record holds nothing about {name} {value!r}; it holds {known}")
            tables = left
        return replace(self, tables=tables)

    def shared_rates(self) -> dict[float, list[str]]:
        """Learning rates at which two variants or more were run -> these variants."""
        rates = sorted(float(rate) for rate in self.runs["rate"].unique())
        names = {rate: list(self.runs["variant"][self.runs["rate"] == rate].unique()) for rate in rates}
        return {rate: known for rate, known in names.items() if len(known) > 1}

    def at_rate(self, rate: float) -> Record:
        """The record with the runs at one learning rate, as if it had been chosen for all variants.

        Raises ValueError if fewer than two variants were run at that rate.
        """
        if rate not in (rates := self.shared_rates()):
            known = ", ".join(f"{r:g}" for r in rates) or "none"
            raise ValueError(f"no two variants share the learning rate {rate:g}; shared rates: {known}")
        same = self.of(rate=rate)
        return replace(
            same, tables={n: t.assign(chosen=True) if "chosen" in t else t for n, t in same.tables.items()}
        )

    def rate(self, variant: str) -> float:
        """The learning rate that the search chose for a variant."""
        return float(self.of(variant=variant, chosen=True).runs["rate"].iloc[0])

    def values(self, variant: str, what: str = "test_error") -> list[float]:
        """A column of "runs" for each seed of a variant, at the rate that was chosen for it.

        what: "test_error", "train_error", "gap" (the first minus the second), "cpu_seconds", …
        """
        return [float(x) for x in self.of(variant=variant, chosen=True).runs.sort_values("seed")[what]]

    def gap(self, variant: str, baseline: str, what: str = "test_error", scale: float = 100.0) -> Interval:
        """By how much a variant's mean lies above the baseline's, in points: Welch's interval.

        Each at the rate chosen for it; for both at one rate ask `at_rate(rate)`.
        """
        return welch(*([scale * x for x in self.values(name, what)] for name in (variant, baseline)))

    def paired_gap(
        self, variant: str, baseline: str, what: str = "test_error", scale: float = 100.0
    ) -> Interval:
        """The mean of the differences seed by seed, in points.

        For variants that start from the same weights and see the same images in the same order under one
        seed: what the seed does to both cancels. Raises ValueError where the seeds differ.
        """
        seeds = [self.values(name, "seed") for name in (variant, baseline)]
        if seeds[0] != seeds[1]:
            raise ValueError(
                f"{variant!r} was run with the seeds {seeds[0]} and {baseline!r} with {seeds[1]}"
            )
        return paired(*([scale * x for x in self.values(name, what)] for name in (variant, baseline)))


def load(name: str, folder: Path | None = None) -> Record:
    """The recorded study of this name. Raises DataError with advice where there is none, or it is damaged.

    folder: other than that of the results.
    """
    found = json_files.load_record((folder or results_dir()) / f"{name}.json", name, PARTS - {"epochs"})
    runs, curves, searches = _frames(found)
    settings = {
        key: value
        for key, value in found.items()
        if key not in ("experiment", "title", "cells", "summary", "precision", "provenance")
    }
    tables = {"runs": runs, "curves": curves, "searches": searches}
    return Record(name, found.get("title", ""), settings, found["provenance"], tables)


def _frames(found: Mapping[str, Any]) -> list[pd.DataFrame]:
    """The cells of a file as the tables "runs", "curves", "searches"."""
    import pandas as pd

    runs: list[dict[str, Any]] = []
    curves, searches = [], []
    for cell in found["cells"]:
        about = {k: v for k, v in cell.items() if not isinstance(v, list)}
        about.setdefault("variant", f"{about.get('condition')} {about.get('activation')}")
        groups = [(cell["rate"], cell["runs"]), *((m["rate"], m["runs"]) for m in cell.get("more", ()))]
        searches += [{"variant": about["variant"], **row} for row in cell["search"]]
        for rate, group in groups:
            for run in group:
                curve = run["curve"]
                last = {k: v[-1] for k, v in curve.items()}
                key = about | {"rate": rate, "chosen": rate == cell["rate"]}
                key["seed"] = run["seed"] if "seed" in run else run["spec"]["seed"]
                ends = {f"shifted_{k}": v for k, v in run.get("shifted", {}).items()}
                ends |= {k: run[k] for k in ("status", "nine_views") if k in run}
                names = {k: v for k, v in key.items() if k in KEYS}
                curves.append(pd.DataFrame({"run": len(runs), **names, **curve}))
                runs.append(key | ends | last)
    frame = pd.DataFrame(runs)
    if "test_error" in frame:
        frame["gap"] = frame["test_error"] - frame["train_error"]
    return [frame, pd.concat(curves, ignore_index=True), pd.DataFrame(searches)]
