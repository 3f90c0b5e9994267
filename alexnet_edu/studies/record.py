"""What a study found: one JSON file in `data/results`, read as tidy tables; and where one is published."""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alexnet_edu import files
from alexnet_edu.environment import results_dir
from alexnet_edu.files import DataError
from alexnet_edu.studies.statistics import Interval, crossing, paired, welch

if TYPE_CHECKING:
    import pandas as pd

PARTS = {"experiment", "title", "settings", "provenance", "tables"}
KEYS = ("variant", "title", "rate", "chosen", "seed")  # of a run, added to every table that has "run"
BACK = "`git checkout data/results` brings the published one back"


@dataclass(frozen=True)
class Record:
    """What a study found.

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
    def variants(self) -> list[str]:
        """The variants' names, in the order of the study."""
        return list(self.runs["variant"].unique())

    @property
    def is_synthetic(self) -> bool:
        """Whether the images were the stand-in."""
        return bool(self.provenance["data"]["synthetic"])

    def of(self, **wanted: Any) -> Record:
        """The record with the runs alone that have these values, or one of a list: `of(variant="lrn")`.

        Raises ValueError, with the values that there are, where no run is left.
        """
        tables = dict(self.tables)
        for name, value in wanted.items():
            values = value if isinstance(value, list) else [value]
            left = {n: t[t[name].isin(values)] if name in t else t for n, t in tables.items()}
            if left["runs"].empty:
                known = ", ".join(map(str, tables["runs"][name].unique()))
                raise ValueError(f"the record holds nothing about {name} {value!r}; it holds {known}")
            tables = left
        return replace(self, tables=tables)

    def rows(self, table: str, **wanted: Any) -> pd.DataFrame:
        """The rows of a table that have these values. Raises ValueError, with those there are, for none."""
        rows = self.tables[table]
        for name, value in wanted.items():
            left = rows[rows[name] == value]
            if left.empty:
                known = ", ".join(map(str, rows[name].unique()))
                raise ValueError(f"the record has no {table} of {name} {value!r}; it has {known}")
            rows = left
        return rows

    def shared_rates(self) -> dict[float, list[str]]:
        """Learning rates at which two variants or more were run -> these variants."""
        rates = sorted(float(rate) for rate in self.runs["rate"].unique())
        known = {rate: set(self.runs["variant"][self.runs["rate"] == rate]) for rate in rates}
        ordered = {rate: [v for v in self.variants if v in some] for rate, some in known.items()}
        return {rate: names for rate, names in ordered.items() if len(names) > 1}

    def at_rate(self, rate: float) -> Record:
        """The record with the runs at one learning rate, as if it had been chosen for all variants.

        Raises ValueError if fewer than two variants were run at that rate.
        """
        if rate not in (rates := self.shared_rates()):
            known = ", ".join(f"{r:g}" for r in rates) or "none"
            raise ValueError(f"no two variants share the learning rate {rate:g}; shared rates: {known}")
        tables = self.of(rate=rate).tables
        same = {name: t.assign(chosen=True) if "chosen" in t else t for name, t in tables.items()}
        return replace(self, tables=same)

    def rate(self, variant: str) -> float:
        """The learning rate that the search chose for a variant."""
        return float(self.of(variant=variant, chosen=True).runs["rate"].iloc[0])

    def values(self, variant: str, what: str = "test_error") -> list[float]:
        """A column of "runs" for each seed of a variant, at the rate that was chosen for it.

        what: "test_error", "train_error", "gap" (the first minus the second), "cpu_seconds", …
        """
        return [float(x) for x in self.of(variant=variant, chosen=True).runs[what]]

    def gap(self, variant: str, baseline: str, what: str = "test_error") -> Interval:
        """By how much a variant's mean lies above the baseline's, in points: Welch's interval.

        Each at the rate chosen for it; for both at one rate ask `at_rate(rate)`.
        """
        return welch(*([100 * x for x in self.values(name, what)] for name in (variant, baseline)))

    def paired_gap(self, variant: str, baseline: str, what: str = "test_error") -> Interval:
        """The mean of the differences seed by seed, in points.

        For variants that start from the same weights and see the same images in the same order under one
        seed: what the seed does to both cancels. Raises ValueError where the seeds differ.
        """
        seeds = [self.values(name, "seed") for name in (variant, baseline)]
        if seeds[0] != seeds[1]:
            raise ValueError(f"{variant!r} was run with the seeds {seeds[0]}, {baseline!r} with {seeds[1]}")
        return paired(*([100 * x for x in self.values(name, what)] for name in (variant, baseline)))

    def crossings(self, variant: str, level: float | None = None, axis: str = "epoch") -> list[float | None]:
        """Where the training error of each run of a variant first reaches `level`; None if it never does.

        level: the study's target if None. axis: "epoch", "iteration" or "cpu_seconds".
        """
        goal = self.settings["target_error"] if level is None else level
        curves = self.of(variant=variant).curves.groupby("run")
        return [crossing(list(curve[axis]), list(curve["train_error"]), goal) for _, curve in curves]

    def mean_crossing(self, variant: str, level: float | None = None, axis: str = "epoch") -> float | None:
        """The mean of `crossings`; None if one run never gets there."""
        reached = self.crossings(variant, level, axis)
        known = [x for x in reached if x is not None]
        return statistics.fmean(known) if known and len(known) == len(reached) else None

    def origin(self, about: str | None = None) -> str:
        """One sentence: when, where, on what the record was made. about: how it was trained, in words."""
        made, settings, data = self.provenance, self.settings, self.provenance["data"]
        if about is None and "epochs" in settings:
            drops = ", ".join(f"{d:g}" for d in settings["drops"])
            about = f"{settings['epochs']:g} epochs{f', ε / 10 after {drops}' if drops else ''}"
        elif about is None:
            plan = settings.get("plan", settings)
            numbers = [
                f"{key.replace('_', ' ')} {n:g}" for key, n in plan.items() if isinstance(n, int | float)
            ]
            about = ", ".join([f"{len(self.runs)} runs", *numbers])
        threads = "".join(f"{n} thread{'s' * (n > 1)} a run, " for n in made.get("threads", ()))
        images = f"{data['images']:,} images of " if "images" in data else ""
        return (
            f"recorded {', '.join(made['dates'])} at commit {', '.join(made['commits'])} on "
            f"{', '.join(made['hardware'])} ({threads}torch {', '.join(made['torch'])}, "
            f"{', '.join(made['precision'])}); {about + '; ' if about else ''}{images}{data['source']}"
        )


# --- on disk ------------------------------------------------------------------------------------


def of_rows(
    experiment: str,
    title: str,
    settings: Mapping[str, Any],
    provenance: Mapping[str, Any],
    tables: Mapping[str, Any],
) -> Record:
    """A record of tables given as rows, or as columns: what names a run is added to what has "run".

    "runs" gets the last values of the curves, and "gap", the test error minus the training error.
    """
    import pandas as pd

    frames = {name: pd.DataFrame(rows) for name, rows in tables.items() if len(rows)}
    if "curves" in frames:
        last = frames["curves"].groupby("run", sort=False).last()
        frames["runs"] = frames["runs"].join(last[[c for c in last if c not in frames["runs"]]])
    if {"test_error", "train_error"} <= set(frames.get("runs", ())):
        frames["runs"]["gap"] = frames["runs"]["test_error"] - frames["runs"]["train_error"]
    for name, frame in frames.items():
        if "run" in frame:
            named = frames["runs"][[key for key in KEYS if key in frames["runs"]]]
            frames[name] = frame.join(named, on="run")
    return Record(experiment, title, dict(settings), dict(provenance), frames)


def load(name: str, folder: Path | None = None) -> Record:
    """The recorded study of this name. Raises DataError with advice where there is none, or it is damaged.

    folder: other than that of the results.
    """
    path = (folder or results_dir()) / f"{name}.json"
    found = files.load_record(path, name, PARTS)
    try:
        return of_rows(*(found[key] for key in ("experiment", "title", "settings", "provenance", "tables")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged ({type(error).__name__}: {error}); {BACK}") from error


def write(record: Record, path: Path) -> None:
    """Writes a record, for `load` to read: each table as one list a column."""
    measured = set(record.tables.get("curves", ())) - {*KEYS, "run"}  # their last values stand in "runs"
    tables = {}
    for name, frame in record.tables.items():
        derived = {*KEYS} if "run" in frame else {"gap"} | measured if name == "runs" else set()
        columns = [column for column in frame if column not in derived]
        tables[name] = {column: [_plain(value) for value in frame[column]] for column in columns}
    names = ("experiment", "title", "settings", "provenance")
    files.write_json(path, {n: getattr(record, n) for n in names} | {"tables": tables})


def _plain(value: Any) -> Any:
    """A cell as JSON has it; what is missing is null."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and math.isnan(value) else value


def publish(record: Record, runs_dir: Path, output: Path | None = None, *, part: bool = False) -> Path:
    """Writes a record to `data/results`, unless that would lose something, and gives the place.

    output: a file to write to, whatever is there. part: the record is of some variants only; what is
    published of the others, made on the same images with the same settings, stays beside them. Made on
    the stand-in, on other images than what is published, or of fewer runs, a record goes to a file
    beside `runs_dir`, and why is printed.
    """
    name = record.experiment
    path = output or results_dir() / f"{name}.json"
    if part and output is None and path.exists():
        there = load(name)
        if _same_images(there, record) and json.dumps(there.settings) == json.dumps(record.settings):
            record = joined(there, record)
    if output is None and (reason := _reason_to_keep(path, record)):
        print(f"{path} is left as it is: {reason}.")
        path = runs_dir.with_name(
            f"{runs_dir.name}.json" if name in runs_dir.name else f"{runs_dir.name}-{name}.json"
        )
    write(record, path)
    return path


def joined(before: Record, record: Record) -> Record:
    """A record, and in front of it what an earlier one holds of other variants."""
    import pandas as pd

    others = [name for name in before.variants if name not in record.variants]
    if not others:
        return record
    kept = before.of(variant=others).tables
    places, tables = {run: place for place, run in enumerate(kept["runs"].index)}, {}
    for name, new in record.tables.items():
        old = kept.get(name, new[:0])
        if "run" in new:
            old, new = old.assign(run=old["run"].map(places)), new.assign(run=new["run"] + len(places))
        tables[name] = pd.concat([part for part in (old, new) if len(part)], ignore_index=True)
    made, new = before.provenance, record.provenance
    lists = {key: sorted({*made[key], *new[key]}) for key in made if isinstance(made[key], list)}
    return replace(record, provenance={**new, **lists, "data": made["data"]}, tables={**kept, **tables})


def _same_images(first: Record, second: Record) -> bool:
    one, other = (made.provenance["data"].get("fingerprint") for made in (first, second))
    return bool(one == other)


def _reason_to_keep(published: Path, record: Record) -> str | None:
    """Why a published record should not be replaced by this one; None where it may be."""
    if record.is_synthetic:
        return "these runs were made on the stand-in"
    if not published.exists():
        return None
    there = load(published.stem, published.parent)
    if not _same_images(there, record):
        return "it was made on other images"
    kept, counts = (
        Counter(made.runs["variant"]) if "runs" in made.tables else Counter() for made in (there, record)
    )
    lost = [f"{name} ({kept[name]} runs)" for name in kept - counts]
    return f"it holds more, {', '.join(lost)}" if lost else None


# --- as text ------------------------------------------------------------------------------------


def as_text(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table: heads, a rule, a line a row; words in the first column at the left, all else at the right."""
    lines = [list(heads), *([c if isinstance(c, str) else f"{c:,.10g}" for c in row] for row in rows)]
    first, *others = (max(map(len, column)) for column in zip(*lines, strict=True))
    text = ["  ".join([line[0].ljust(first), *map(str.rjust, line[1:], others)]).rstrip() for line in lines]
    return "\n".join([text[0], "-" * max(map(len, text)), *text[1:]])


def table(record: Record) -> str:
    """One line per variant: parameters, rate, errors over the seeds, seconds an epoch; as text."""
    rows = []
    for name in record.variants:
        runs = record.of(variant=name, chosen=True).runs
        first, seconds = runs.iloc[0], runs["cpu_seconds"].mean() / record.settings["epochs"]
        errors = spread(runs["test_error"]), spread(runs["train_error"])
        rows.append(
            (first["title"], first["parameters"], first["rate"], len(runs), *errors, f"{seconds:.1f}")
        )
    heads = "variant", "parameters", "ε", "seeds", "test error", "training error", "s/epoch"
    return as_text(heads, rows)


def table_by_rate(record: Record, baseline: str) -> str:
    """Every variant at each shared learning rate, against the baseline at the same rate; as text.

    A star marks the rate that the search chose for the variant.
    """
    rows = []
    for rate, names in record.shared_rates().items():
        same = record.at_rate(rate)
        for name in names:
            runs, star = same.of(variant=name).runs, " *" if record.rate(name) == rate else "  "
            errors = spread(runs["test_error"]), spread(runs["train_error"])
            compared = same.gap(name, baseline).signed if name != baseline and baseline in names else ""
            rows.append((runs["title"].iloc[0], f"{rate:g}{star}", *errors, compared))
    return as_text(("variant", "ε", "test error", "training error", f"against {baseline}"), rows)


def spread(shares: Iterable[float]) -> str:
    """Mean and standard deviation of shares: "26.40% ± 0.31"."""
    values = list(shares)
    mean = 100 * statistics.fmean(values)
    return f"{mean:.2f}%" + (f" ± {100 * statistics.stdev(values):.2f}" if len(values) > 1 else "")
