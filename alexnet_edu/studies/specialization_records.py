"""The recorded study of the two columns read: what each condition found.

Records in, numbers and tables out.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alexnet_edu import files as json_files
from alexnet_edu.studies.column_tests import PooledTest

EXPERIMENT = "specialization"


def load_record(path: Path) -> dict[str, Any]:
    """The record of the study. Raises ValueError with advice when there is none or it is damaged."""
    return json_files.load_record(path, EXPERIMENT, {"conditions", "deals", "provenance"})


def condition(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One condition of the record. Raises ValueError, with the names there are, for another."""
    for part in record["conditions"]:
        if part["name"] == name:
            return dict(part)
    raise ValueError(
        f"there is no condition {name!r}; choose from {', '.join(p['name'] for p in record['conditions'])}"
    )


def pooled_test(record: Mapping[str, Any], name: str, measure: str = "colour", look: int = -1) -> PooledTest:
    """What all networks of a condition say together, at one look of its "looks", the last one by default."""
    part = condition(record, name)
    if measure not in part["pooled"]:
        raise ValueError(f"there is no measure {measure!r}; there are {', '.join(part['pooled'])}")
    return PooledTest(**part["pooled"][measure][look])


def columns_of(
    record: Mapping[str, Any], name: str, measure: str = "colour"
) -> list[tuple[float, float, float]]:
    """(mean of the first column, of the second, p) for each network of a condition."""
    return [tuple(run["columns"][measure]) for run in condition(record, name)["runs"]]


def p_text(p: float, deals: int) -> str:
    """A p-value in words; the least that so many deals can give is written as "<"."""
    least = 1 / (1 + deals)
    return f"< {2 * least:.1g}" if p < 1.5 * least else f"{p:.2g}"


def table(record: Mapping[str, Any], measure: str = "colour") -> str:
    """Each condition in a line: its networks, how far their columns differ, and by chance; as text."""
    width = max(len(part["title"]) for part in record["conditions"]) + 2
    head = (
        f"{'condition':<{width}}{'networks':>9}{'test error':>12}{'difference':>12}{'by chance (95%)':>24}"
        f"{'effect':>8}{'p':>10}{'clear':>7}"
    )
    lines = [head, "-" * len(head)]
    for part in record["conditions"]:
        test = pooled_test(record, part["name"], measure)
        error = statistics.fmean(run["test_error"] for run in part["runs"])
        chance = f"{test.chance:.3f} [{test.low:.3f}, {test.high:.3f}]"
        lines.append(
            f"{part['title']:<{width}}{test.networks:>9}{error:>12.1%}{test.mean:>12.3f}{chance:>24}"
            f"{test.effect:>8.2f}{p_text(test.p, record['deals']):>10}{test.clear:>4}/{test.networks}"
        )
    return "\n".join(lines)


def measures_table(record: Mapping[str, Any]) -> str:
    """Each condition and measure: mean difference over the mean by chance, with its p; as text."""
    names = list(record["conditions"][0]["pooled"])
    width = max(len(part["title"]) for part in record["conditions"]) + 2
    head = f"{'times chance (p)':<{width}}" + "".join(f"{name:>20}" for name in names)
    lines = [head, "-" * len(head)]
    for part in record["conditions"]:
        cells = ""
        for name in names:
            test = pooled_test(record, part["name"], name)
            p = p_text(test.p, record["deals"])
            cells += f"{f'{test.mean / test.chance:.2f} ({p})':>20}"
        lines.append(f"{part['title']:<{width}}{cells}")
    return "\n".join(lines)


def origin(record: Mapping[str, Any]) -> str:
    """One sentence: when, where, on what the record was made, and how long it takes."""
    made = record["provenance"]
    seconds = sum(run["seconds"] for part in record["conditions"] for run in part["runs"])
    networks = sum(len(part["runs"]) for part in record["conditions"])
    return (
        f"recorded {', '.join(made['dates'])} at commit {', '.join(made['commits'])} on "
        f"{', '.join(made['hardware'])} (torch {', '.join(made['torch'])}, {', '.join(made['precision'])}); "
        f"{networks} networks, {seconds / 3600:.1f} hours of one core; repeated by `alexnet-edu experiment "
        f"{EXPERIMENT}`; data: {made['data']['source']}"
    )
