"""What this project measured for the claims of §6, in small; `measured` has the others.

Importing this module makes its readers known; `claims` does.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from alexnet_edu import result_records as results
from alexnet_edu.ablation_records import interval
from alexnet_edu.measured import on_stand_in, reads

RESULTS = "results.json"


def _of(record: Mapping[str, Any]) -> None:
    if record["experiment"] != results.EXPERIMENT:
        raise ValueError(f"experiment {record['experiment']!r} is not {results.EXPERIMENT!r}")


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
    gain = interval(results.row_gap(record, "5 CNNs"))
    return (
        f"small version, five averaged against one: {', '.join(texts)} (groups that share no network; "
        f"{_on_all(record)}); {gain} points in {_on_problems(record)}"
    )


@reads("table2-1s", RESULTS)
def _read_pre_trained(record: dict[str, Any]) -> str | None:
    _of(record)
    one, star = (results.row_errors(record, row) for row in ("1 CNN", "1 CNN*"))
    return (
        f"small version, pre-trained on the other five classes: {_percent(star)} against {_percent(one)}, "
        f"{interval(results.row_gap(record, '1 CNN*'))} points; against the same network from scratch "
        f"{interval(results.kind_gap(record, 'starred', 'sixth'))}, trained as long in all "
        f"{interval(results.kind_gap(record, 'starred', 'long'))} ({_on_problems(record)})"
    )


@reads("table2-7s", RESULTS)
def _read_seven(record: dict[str, Any]) -> str | None:
    _of(record)
    seven = results.row_errors(record, "7 CNNs*")
    return (
        f"small version: {_percent(seven)}, {interval(results.row_gap(record, '7 CNNs*'))} points against "
        f"one, {interval(results.row_gap(record, '7 CNNs*', '1 CNN*'))} against one pre-trained "
        f"({_on_problems(record)})"
    )
