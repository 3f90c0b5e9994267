"""What the ledger says of the studies of §3.2 to §3.4: the words follow the record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from alexnet_edu.files import write_json
from alexnet_edu.ledger.ours import RecordError, ours

PROVENANCE = {
    "commits": ["abc"],
    "dates": ["2026-01-02"],
    "hardware": ["a machine"],
    "precision": ["float32"],
    "data": {"images": 50_000, "source": "CIFAR-10", "synthetic": False},
}


def study(name: str, /, **errors: tuple[list[float], list[float]]) -> dict[str, Any]:
    """errors: variant -> (test errors, training errors), one per seed."""
    cells = [
        {
            "variant": variant.replace("_", "-"),
            "rate": 0.01,
            "runs": [
                {"curve": {"test_error": [0.9, test], "train_error": [0.9, train]}, "nine_views": test - 0.01}
                for test, train in zip(*pair, strict=True)
            ],
        }
        for variant, pair in errors.items()
    ]
    return {"experiment": name, "epochs": 8, "cells": cells, "provenance": PROVENANCE}


PAIR = ([0.20, 0.22], [0.10, 0.12])
BETTER = ([0.18, 0.20], [0.11, 0.13])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ALEXNET_EDU_RESULTS", str(tmp_path))
    return tmp_path


def said(folder: Path, claim: str, record: dict[str, Any], file: str) -> str | None:
    write_json(folder / file, record)
    found = ours(claim)
    return found.value if found else None


@pytest.mark.parametrize(
    ("claim", "file", "record", "expected"),
    [
        (
            "lrn-gain",
            "norms.json",
            study("norms", none=PAIR, lrn=BETTER, batch=BETTER),
            "small version: test error without 21.0%, LRN 19.0%, batch norm 19.0% "
            "(on CIFAR-10, 8 epochs, 2 seeds)",
        ),
        (
            "lrn-cifar",
            "lrn-long.json",
            study("lrn-long", none=([0.15], [0.1]), lrn=([0.14], [0.1])),
            "with LRN 14.0% against 15.0% without, test error of the middle crop; nine crops 13.0% against "
            "14.0% (on CIFAR-10, 8 epochs, 1 seed)",
        ),
        (
            "pool-overlap",
            "pooling.json",
            study("pooling", z2=PAIR, z3=BETTER),
            "small version: z = 3 19.0% against 21.0% at z = 2, test error (on CIFAR-10, 8 epochs, 2 seeds)",
        ),
        (
            "pool-overfit",
            "pooling.json",
            study("pooling", z2=PAIR, z3=BETTER),
            "test minus training error: 7.0 points at z = 3, 10.0 at z = 2, training error 12.0% against "
            "11.0% (on CIFAR-10, 8 epochs, 2 seeds)",
        ),
        (
            "two-gpu-gain",
            "exchange.json",
            study("exchange", conv3=BETTER, half=PAIR),
            "small version: two columns 19.0% against 21.0% for the half network, test error "
            "(on CIFAR-10, 8 epochs, 2 seeds)",
        ),
        (
            "connectivity",
            "exchange.json",
            study("exchange", conv3=BETTER, conv4=PAIR, conv3_conv4=PAIR, nowhere=PAIR, everywhere=PAIR),
            "test error talking at conv3 19.0%, conv4 21.0%, both 21.0%, nowhere 21.0%, everywhere 21.0% "
            "(on CIFAR-10, 8 epochs, 2 seeds)",
        ),
    ],
)
def test_the_words_follow_the_record(
    folder: Path, claim: str, file: str, record: dict[str, Any], expected: str
) -> None:
    assert said(folder, claim, record, file) == expected


def at_two_rates(record: dict[str, Any], first: str, other: list[float]) -> dict[str, Any]:
    """`first` chose 0.02, all others 0.01; each was run at the other rate, too, with these errors."""
    for cell in record["cells"]:
        cell["rate"], swapped = (0.02, 0.01) if cell["variant"] == first else (0.01, 0.02)
        runs = [{"curve": {"test_error": [e], "train_error": [e]}} for e in other]
        cell["more"] = [{"rate": swapped, "runs": runs}]
    return record


def test_where_rates_differ_the_ledger_compares_at_one_rate(folder: Path) -> None:
    pooling = at_two_rates(study("pooling", z2=PAIR, z3=BETTER), "z2", [0.30, 0.32])
    assert str(said(folder, "pool-overlap", pooling, "pooling.json")).endswith(
        "2 seeds); at one rate for both: 19.0% against 31.0% (ε = 0.01); 31.0% against 21.0% (ε = 0.02)"
    )
    assert str(said(folder, "pool-overfit", pooling, "pooling.json")).endswith(
        "; at one rate for both: 7.0 points at z = 3, 0.0 at z = 2, training error 12.0% against 31.0% "
        "(ε = 0.01); 0.0 points at z = 3, 10.0 at z = 2, training error 31.0% against 11.0% (ε = 0.02)"
    )
    norms = at_two_rates(study("norms", none=PAIR, lrn=BETTER, batch=PAIR), "lrn", [0.30])
    assert "; at one rate for LRN and none: 30.0% against 21.0% (ε = 0.01)" in str(
        said(folder, "lrn-gain", norms, "norms.json")
    )
    names = {"conv3": PAIR, "conv4": PAIR, "conv3_conv4": PAIR, "nowhere": BETTER, "everywhere": PAIR}
    exchange = at_two_rates(study("exchange", **names), "nowhere", [0.40])
    assert str(said(folder, "connectivity", exchange, "exchange.json")).endswith(
        "; at one rate for all: at conv3 21.0%, conv4 21.0%, both 21.0%, nowhere 40.0%, everywhere 21.0% "
        "(ε = 0.01); at conv3 40.0%, conv4 40.0%, both 40.0%, nowhere 19.0%, everywhere 40.0% (ε = 0.02)"
    )


def test_the_time_of_two_columns(folder: Path) -> None:
    seconds = {"one process, one thread": [2.0, 2.2, 9.0], "two processes, one thread each": [1.1]}
    provenance = {**PROVENANCE, "data": "random images"}
    record = {"experiment": "two-columns", "batch": 32, "seconds": seconds, "provenance": provenance}
    assert said(folder, "two-gpu-time", record, "two-columns.json") == (
        "a step of 32 images on processors: one process, one thread 2.20 s, "
        "two processes, one thread each 1.10 s"
    )


@pytest.mark.parametrize(
    ("claim", "file", "record"),
    [
        ("lrn-gain", "norms.json", study("norms", lrn=PAIR)),
        ("lrn-cifar", "lrn-long.json", study("lrn-long", none=PAIR)),
        ("pool-overlap", "pooling.json", study("pooling", z3=PAIR)),
        ("pool-overfit", "pooling.json", study("pooling", z2=PAIR)),
        ("two-gpu-gain", "exchange.json", study("exchange", conv3=PAIR)),
        ("connectivity", "exchange.json", study("exchange", conv3=PAIR, conv4=PAIR)),
    ],
)
def test_half_a_comparison_says_nothing(folder: Path, claim: str, file: str, record: dict[str, Any]) -> None:
    assert said(folder, claim, record, file) is None


@pytest.mark.parametrize(
    ("claim", "file"),
    [
        ("lrn-gain", "norms.json"),
        ("lrn-cifar", "lrn-long.json"),
        ("pool-overlap", "pooling.json"),
        ("connectivity", "exchange.json"),
        ("two-gpu-time", "two-columns.json"),
    ],
)
def test_another_studys_record_is_refused(folder: Path, claim: str, file: str) -> None:
    with pytest.raises(RecordError, match="experiment 'other' is not"):
        said(folder, claim, {**study("other", none=PAIR, z2=PAIR), "seconds": {}, "batch": 1}, file)


def test_what_is_counted() -> None:
    values = {claim: ours(claim) for claim in ("memory-3gb", "two-gpu-comm", "lrn-formula")}
    assert all(found is not None and found.record is None for found in values.values())
    texts = {claim: found.value for claim, found in values.items() if found is not None}
    assert texts["memory-3gb"] == "3,206 MiB on one GPU, 1,723 and 1,687 on two (estimate)"
    assert texts["two-gpu-comm"] == ("conv3 11.08 MB, fc6 2.36 MB, fc7 1.05 MB each way; 60 MB a step")
    assert "rms of 63 (printed formula), of 141" in texts["lrn-formula"]
