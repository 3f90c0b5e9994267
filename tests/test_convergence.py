"""Epochs until an error, and their ratios by seed."""

from __future__ import annotations

from typing import Any

import pytest

from alexnet_edu.studies import convergence
from alexnet_edu.studies.convergence import crossing

# --- epochs --------------------------------------------------------------------------------------

CURVE = {
    "epoch": [1.0, 2.0, 3.0, 4.0],
    "train_error": [0.6, 0.4, 0.3, 0.2],
    "test_error": [0.6, 0.5, 0.46, 0.45],
}


def test_epochs_until_an_error() -> None:
    assert convergence.epochs_to(CURVE, 0.5) == pytest.approx(1.5)
    assert convergence.epochs_to(CURVE, 0.4) == pytest.approx(2)
    assert convergence.epochs_to(CURVE, 0.1) is None
    assert convergence.epochs_to(CURVE, 0.48, "test_error") == pytest.approx(2.5)
    with pytest.raises(ValueError, match=r"0 to 1, got 40"):
        convergence.epochs_to(CURVE, 40)


def test_epochs_until_the_best() -> None:
    assert convergence.epochs_to_best(CURVE) == 4
    assert convergence.epochs_to_best(CURVE, 0.011) == 3
    with pytest.raises(ValueError, match=r"0 to 1, got -0\.1"):
        convergence.epochs_to_best(CURVE, -0.1)


def cell(*factors: float) -> dict[str, Any]:
    runs = []
    for seed, factor in enumerate(factors, 1):
        runs.append({"seed": seed, "curve": {**CURVE, "epoch": [factor * e for e in CURVE["epoch"]]}})
    return {"runs": runs}


def test_ratios_belong_together_by_seed() -> None:
    slow, fast = cell(2, 3), cell(1, 2)
    assert convergence.ratios(slow, fast, convergence.epochs_to_best) == pytest.approx([2, 1.5])
    assert convergence.ratios(slow, fast, lambda c: convergence.epochs_to(c, 0.01)) == [None, None]
    fast["runs"].reverse()
    with pytest.raises(ValueError, match="same seed are compared, got 1 and 2"):
        convergence.ratios(slow, fast, convergence.epochs_to_best)


def test_crossing_interpolates_between_the_points_around_the_level() -> None:
    assert crossing([0, 1, 2, 3], [0.9, 0.5, 0.3, 0.1], 0.2) == pytest.approx(2.5)
    assert crossing([0, 1, 2], [0.9, 0.5, 0.3], 0.25) is None
    assert crossing([4, 5], [0.2, 0.1], 0.25) == 4.0
    assert crossing([], [], 0.25) is None


def test_crossing_is_the_first_one_of_a_noisy_curve() -> None:
    assert crossing([1, 2, 3, 4], [0.4, 0.2, 0.4, 0.1], 0.3) == pytest.approx(1.5)


def test_crossing_refuses_lists_of_different_length() -> None:
    with pytest.raises(ValueError, match="differ in length: 2 and 1"):
        crossing([1, 2], [0.5], 0.3)
