"""What this project measured for §6.1's retrieval, in small; `measured` has the others.

Importing this module makes its readers known; `claims` does.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from alexnet_edu.ledger.ours import on_stand_in, reads
from alexnet_edu.studies import retrieval_records as records

RETRIEVAL = "retrieval.json"


def _of(record: Mapping[str, Any]) -> None:
    if record["experiment"] != records.EXPERIMENT:
        raise ValueError(f"experiment {record['experiment']!r} is not {records.EXPERIMENT!r}")
    if not record["networks"]:
        raise ValueError("it holds no networks")


def _percent(values: Sequence[float]) -> str:
    return f"{100 * statistics.fmean(values):.1f}%"


def _where(record: Mapping[str, Any]) -> str:
    data, networks = record["provenance"]["data"], len(record["networks"])
    return f"CIFAR-10, {data['test']:,} test images, {networks} networks{on_stand_in(record)}"


@reads("top5-panel", RETRIEVAL)
def _read_panel(record: dict[str, Any]) -> str | None:
    _of(record)
    first, five = ([1 - net[f"top{n}_error"] for net in record["networks"]] for n in (1, 5))
    return (
        f"drawn for networks trained here; the label is the most probable one for {_percent(first)}, among "
        f"the five for {_percent(five)} ({_where(record)}; ten classes, so five are half of them)"
    )


@reads("neighbours", RETRIEVAL)
def _read_neighbours(record: dict[str, Any]) -> str | None:
    _of(record)
    features, pixels = (
        _percent(records.precisions(record, layer)) for layer in (records.hidden(record), records.PIXELS)
    )
    k = record["plan"]["k"]
    return (
        f"small version: of {k} nearest training images {features} have the query's class by "
        f"the last hidden layer, {pixels} by pixels; for the median neighbour in features "
        f"{records.closeness(record):.0%} of the training images are nearer in pixels ({_where(record)})"
    )


@reads("binary-codes", RETRIEVAL)
def _read_codes(record: dict[str, Any]) -> str | None:
    _of(record)

    def reached(source: str, kind: str, bits: int) -> str:
        return _percent(records.code_values(record, source, kind, bits))

    parts = [
        f"{bits} bits {reached('features', 'auto-encoder', bits)} (random planes "
        f"{reached('features', 'random', bits)}, auto-encoder on pixels "
        f"{reached(records.PIXELS, 'auto-encoder', bits)})"
        for bits in record["plan"]["bits"]
    ]
    exact, k = _percent(records.precisions(record, records.hidden(record))), record["plan"]["k"]
    return (
        f"tried in small: precision at {k} with {'; '.join(parts)}; exact search in features {exact} "
        f"({_where(record)})"
    )
