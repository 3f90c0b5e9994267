"""Reading the recorded studies of `ablations`: records in, numbers and tables out."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alexnet_edu import files as json_files

PARTS = {"experiment", "cells", "epochs", "provenance"}


@dataclass(frozen=True)
class Gap:
    """A difference of two means over seeds, in the unit of the values.

    low, high: 95% interval by Student's t for unequal variances; None with one seed a side.
    """

    value: float
    low: float | None
    high: float | None


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
) -> Gap:
    """By how much a variant's mean lies above the baseline's, times `scale`: in points, by default.

    Each is taken at its own learning rate; for both at one rate give it `at_rate(record, rate)`.
    """
    a, b = ([scale * x for x in last(find_cell(record, name), what)] for name in (variant, baseline))
    difference = statistics.fmean(a) - statistics.fmean(b)
    if min(len(a), len(b)) < 2:
        return Gap(difference, None, None)
    parts = [statistics.variance(x) / len(x) for x in (a, b)]
    error = sum(parts) ** 0.5
    if error == 0:
        return Gap(difference, difference, difference)
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(x) - 1) for part, x in zip(parts, (a, b), strict=True) if part > 0
    )
    reach = t_quantile(freedom) * error
    return Gap(difference, difference - reach, difference + reach)


def paired_gap(
    record: Mapping[str, Any], variant: str, baseline: str, what: str = "test_error", scale: float = 100.0
) -> Gap:
    """The mean of the differences seed by seed, with the 95% interval of that mean.

    For variants that start from the same weights and see the same images in the same order under
    one seed: what the seed does to both cancels. Raises ValueError where the seeds differ.
    """
    cells = [find_cell(record, name) for name in (variant, baseline)]
    seeds = [[run["seed"] for run in cell["runs"]] for cell in cells]
    if seeds[0] != seeds[1]:
        raise ValueError(f"{variant!r} was run with the seeds {seeds[0]} and {baseline!r} with {seeds[1]}")
    return mean_gap(
        [scale * (a - b) for a, b in zip(last(cells[0], what), last(cells[1], what), strict=True)]
    )


def mean_gap(differences: Sequence[float]) -> Gap:
    """The mean of independent differences with its 95% interval by Student's t; None with one alone."""
    mean, count = statistics.fmean(differences), len(differences)
    if count < 2:
        return Gap(mean, None, None)
    reach = t_quantile(count - 1) * statistics.stdev(differences) / count**0.5
    return Gap(mean, mean - reach, mean + reach)


# Two-sided 95% quantiles of Student's t, by degrees of freedom.
_T = ((1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (6, 2.447), (8, 2.306), (12, 2.179))


def t_quantile(freedom: float) -> float:
    """Half the width of a 95% interval in standard errors; between table rows, linear in 1/freedom."""
    rows = [*_T, (float("inf"), 1.960)]
    for (low, high_value), (high, low_value) in itertools.pairwise(rows):
        if freedom <= high:
            share = (1 / max(freedom, 1.0) - 1 / high) / (1 / low - 1 / high)
            return low_value + share * (high_value - low_value)
    return 1.960


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


def interval(found: Gap) -> str:
    """A difference with its 95% interval, in points: "-2.79 [-3.49, -2.09]"."""
    reach = "" if found.low is None else f" [{found.low:+.2f}, {found.high:+.2f}]"
    return f"{found.value:+.2f}{reach}"


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
