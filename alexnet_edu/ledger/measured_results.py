"""What this project measured for the claims of §6, in small; `measured` has the others.

Importing this module makes its readers known; `claims` does.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from alexnet_edu.ledger.ours import on_stand_in, reads
from alexnet_edu.studies import result_records as results
from alexnet_edu.studies.record import interval

RESULTS = "results.json"


def _of(record: Mapping[str, Any]) -> None:
    if record["experiment"] != results.EXPERIMENT:
        raise ValueError(f"experiment {record['experiment']!r} is not {results.EXPERIMENT!r}")
    if not record["members"] or not record["problems"]:
        raise ValueError("it holds no networks, or no problems")


def _percent(values: list[float]) -> str:
    return f"{100 * statistics.fmean(values):.1f}%"


def _on_all(record: Mapping[str, Any]) -> str:
    plan = record["plan"]
    return f"on CIFAR-10, {plan['epochs']:g} epochs, {plan['networks']} seeds{on_stand_in(record)}"


def _on_problems(record: Mapping[str, Any]) -> str:
    return (
        f"{len(record['problems'])} problems of five classes of CIFAR-10 with {record['plan']['few']} images "
        f"each{on_stand_in(record)}"
    )


@reads("ten-crop", RESULTS)
def _read_ten_crop(record: dict[str, Any]) -> str | None:
    _of(record)
    patches = record["members"]["patches"]
    gap = interval(results.view_gap(record, "ten"))
    return (
        f"small version: {_percent(patches['ten'])} with ten patches, {_percent(patches['centre'])} without; "
        f"{gap} points, network by network ({_on_all(record)})"
    )


@reads("table2-5", RESULTS)
def _read_five(record: dict[str, Any]) -> str | None:
    _of(record)
    groups = [group["ten"] for group in record["members"]["groups"]]
    texts = [f"{group['average']:.1%} against {group['members']:.1%}" for group in groups]
    gain = results.intervals(results.group_gaps(record))
    return (
        f"small version, five averaged against one: {', '.join(texts)}; {gain} points (groups that share no "
        f"network; {_on_all(record)})"
    )


@reads("table2-1s", RESULTS)
def _read_pre_trained(record: dict[str, Any]) -> str | None:
    _of(record)

    def points(name: str, baseline: str) -> str:
        return results.intervals(results.gaps(record, name, baseline))

    return (
        "small version, pre-trained on the other five classes, in points: against one from scratch "
        f"{points('starred', 'plain')}; against the same network from scratch {points('starred', 'sixth')}; "
        f"trained as long in all {points('starred', 'long')}; both trained long "
        f"{points('starred-long', 'long')} ({_on_problems(record)})"
    )


@reads("table2-7s", RESULTS)
def _read_seven(record: dict[str, Any]) -> str | None:
    _of(record)
    errors = ", ".join(f"{error:.1%}" for error in results.row_errors(record, "7 CNNs*"))
    return (
        f"small version: {errors}; against one from scratch "
        f"{results.intervals(results.gaps(record, 'seven', 'plain'))} points, against one pre-trained "
        f"{results.intervals(results.gaps(record, 'seven', 'starred'))} ({_on_problems(record)})"
    )
