"""What the ledger says of §4 and §5: the words follow the record, and what is counted is right."""

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
    "data": {"images": 10_000, "source": "CIFAR-10", "synthetic": False},
}
SHAPE = "(on CIFAR-10, 4 epochs, 2 seeds)"


def study(name: str, /, rate: float = 0.005, **errors: tuple[list[float], list[float]]) -> dict[str, Any]:
    """errors: variant -> (last test errors, last training errors), one per seed.

    Training errors fall in a straight line from 0.9 before the first epoch, in four epochs.
    """
    cells = [
        {
            "variant": variant.lstrip("_").replace("_", "-").replace("dot", "."),
            "rate": rate,
            "runs": [_run(seed, *pair) for seed, pair in enumerate(zip(*pair, strict=True), start=1)],
        }
        for variant, pair in errors.items()
    ]
    return {"experiment": name, "epochs": 4, "cells": cells, "provenance": PROVENANCE}


def _run(seed: int, test: float, train: float) -> dict[str, Any]:
    falling = [0.9 + (train - 0.9) * i / 4 for i in range(1, 5)]
    curve = {"epoch": [1.0, 2.0, 3.0, 4.0], "test_error": [test] * 4, "train_error": falling}
    return {"seed": seed, "curve": curve}


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
            "aug-needed",
            "augmentation-long.json",
            study("augmentation-long", none=([0.5, 0.5], [0.1, 0.2]), crops_flips=([0.4, 0.42], [0.3, 0.3])),
            "test minus training error: 35.0 points without, 11.0 with crops and reflections; test error "
            f"50.0% against 41.0% {SHAPE}",
        ),
        (
            "pca-gain",
            "augmentation-long.json",
            study(
                "augmentation-long",
                crops_flips=([0.4, 0.4], [0.3, 0.3]),
                crops_flips_colour=([0.39, 0.39], [0.3, 0.3]),
            ),
            "small version, test error against crops and reflections alone, seed by seed: -1.00 "
            "[-1.00, -1.00] points "
            f"(ε = 0.005) {SHAPE}",
        ),
        (
            "dropout-iters",
            "dropout.json",
            study("dropout", none=([0.5, 0.5], [0.1, 0.1]), _2012=([0.4, 0.4], [0.28, 0.28])),
            "with dropout 40.0% against 50.0% without, test error; training error 28.0% against 10.0%; "
            f"epochs to a training error of 40% and 30%: 1.3 times as many, 1.3 times as many {SHAPE}",
        ),
        (
            "dropout-iters",
            "dropout.json",
            study("dropout", none=([0.5, 0.5], [0.1, 0.1]), _2012=([0.4, 0.4], [0.35, 0.28])),
            "with dropout 40.0% against 50.0% without, test error; training error 31.5% against 10.0%; "
            f"epochs to a training error of 40% and 30%: 1.4 times as many, not reached by all {SHAPE}",
        ),
        (
            "wd-trains",
            "decay.json",
            study("decay", _0=([0.3, 0.3], [0.2, 0.2]), _0dot0005=([0.3, 0.3], [0.21, 0.21])),
            "training error with a decay of 0.0005 against none, seed by seed: +1.00 [+1.00, +1.00] "
            "points (ε = 0.005) "
            f"{SHAPE}",
        ),
        (
            "init",
            "start.json",
            study("start", ones=([0.3, 0.3], [0.1, 0.1]), zeros=([0.3, 0.3], [0.5, 0.5])),
            f"training error after one epoch, biases 1 against 0: 70.0% against 80.0% (ε = 0.005) {SHAPE}",
        ),
        (
            "lr-schedule",
            "schedule.json",
            study(
                "schedule",
                constant=([0.3, 0.32], [0.1, 0.1]),
                plateau=([0.25, 0.25], [0.1, 0.1]),
                logged=([0.26, 0.26], [0.1, 0.1]),
            ),
            "test error where ε falls never 31.0%, by the rule 25.0%, as logged in 2012, compressed 26.0% "
            f"{SHAPE}",
        ),
    ],
)
def test_records_become_words(
    claim: str, file: str, record: dict[str, Any], expected: str, folder: Path
) -> None:
    assert said(folder, claim, record, file) == expected


def test_a_training_error_of_nothing_is_a_result(folder: Path) -> None:
    record = study("augmentation-long", none=([0.5, 0.5], [0.0, 0.0]), crops_flips=([0.4, 0.4], [0.3, 0.3]))
    assert "50.0 points without" in (said(folder, "aug-needed", record, "augmentation-long.json") or "")
    record["cells"][0]["runs"][0]["curve"]["train_error"][-1] = 1.5
    with pytest.raises(RecordError, match="is not a share from 0 to 1"):
        said(folder, "aug-needed", record, "augmentation-long.json")


@pytest.mark.parametrize(
    ("claim", "file", "name", "variant"),
    [
        ("aug-needed", "augmentation-long.json", "augmentation-long", "none"),
        ("pca-gain", "augmentation-long.json", "augmentation-long", "crops-flips"),
        ("dropout-iters", "dropout.json", "dropout", "none"),
        ("wd-trains", "decay.json", "decay", "0.005"),
        ("init", "start.json", "start", "ones"),
        ("lr-schedule", "schedule.json", "schedule", "plateau"),
    ],
)
def test_half_a_comparison_says_nothing(claim: str, file: str, name: str, variant: str, folder: Path) -> None:
    record = study(name, x=([0.5, 0.5], [0.1, 0.2]))
    record["cells"][0]["variant"] = variant
    assert said(folder, claim, record, file) is None
    record["experiment"] = "another"
    with pytest.raises(RecordError, match="experiment 'another' is not"):
        said(folder, claim, record, file)


COST: dict[str, Any] = {
    "experiment": "augmenting",
    "batch": 128,
    "strengths": {
        "stdevs": [100.0, 20, 10],
        "eigenvalues": [10_000.0, 400, 100],
        "eigenvalues of 0–1": [39.2, 1, 1],
    },
    "seconds": {"augment": 0.02, "step": 2.0, "in turn": 2.03, "side by side": 2.01},
    "provenance": PROVENANCE,
}


def test_colours_and_costs(folder: Path) -> None:
    assert said(folder, "pca-formula", COST, "augmenting.json") == (
        "standard deviation of the shift along p₁, in grey levels: 10.0 with √λ, 1,000 with λ of "
        "pixels 0–255, 3.9 with λ of pixels 0–1"
    )
    assert said(folder, "aug-free", COST, "augmenting.json") == (
        "a batch of 128 takes 1.0% of the time of a step on the same processor; the two in turn 1.01 steps, "
        "side by side 1.00"
    )


def test_what_is_counted() -> None:
    for claim, words in {
        "aug-2048": "33 × 33 places × 2 directions = 2,178",
        "dropout-geomean": "all 256 masks of 8 units: largest difference less than 1e-12",
        "sgd-rule": "an old velocity runs on for 9.0 times its size, in PyTorch for 0.9",
    }.items():
        found = ours(claim)
        assert found is not None
        assert words in found.value
