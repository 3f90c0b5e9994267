"""Notebook 03's parts: the change under a shift, a row that moves, curves cut at equal errors."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
import torch

from alexnet_edu.lessons.pooling import (
    SHIFTS,
    at_each_rate,
    cut_at,
    lowest_common_level,
    missed,
    pool_row,
    shift_change,
    up_to,
)
from alexnet_edu.studies.record import Record, load


def test_shift_changes_of_noise_are_what_the_arithmetic_gives() -> None:
    noise = torch.randn(50, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    for z in (2, 3):
        assert shift_change(noise, z, kind="avg").mean().item() == pytest.approx((2 / z) ** 0.5, abs=0.02)
    assert shift_change(noise, 3).mean() < shift_change(noise, 2).mean() < 2**0.5
    assert shift_change(torch.ones(2, 3, 9, 9), 2).tolist() == [0.0, 0.0]  # nothing moves


def test_a_row_moved_by_the_stride_gives_the_old_outputs_and_blur_the_nearest_ones() -> None:
    scene = torch.randint(256, (40,), generator=torch.Generator().manual_seed(0)).float()
    off = {}
    for how in ("max", "avg", "blur"):
        before, *after = (pool_row(scene[4 - shift : 36 - shift], 2, 2, how).numpy() for shift in range(4))
        assert len(before) == 16
        assert after[1][2:-1].tolist() == before[1:-2].tolist()
        off[how] = [missed(before, moved, shift / 2) for shift, moved in enumerate(after, 1)]
        assert off[how][1] == 0
    assert off["blur"][0] < min(off["avg"][0], off["max"][0])
    assert pool_row(scene[:5], 3, 2, "max").tolist() == [scene[:3].max(), scene[2:5].max()]


def test_with_overlap_predictions_change_less_at_every_shift_and_rate() -> None:
    for same in at_each_rate(load("pooling")).values():
        for shift in SHIFTS:
            of_z2, of_z3 = (same.values(name, f"shifted_{shift}") for name in ("z2", "z3"))
            assert max(of_z3) < min(of_z2)
        assert same.gap("z3", "z2").value < 0


@pytest.fixture(scope="module")
def record() -> Record:
    """Two variants with two seeds each; z3 ends two points higher in training."""
    runs: list[dict[str, Any]] = []
    curves = []
    for variant, rise in (("z2", 0.0), ("z3", 0.02)):
        for seed in (1, 2):
            names = {"variant": variant, "title": variant, "rate": 0.1, "chosen": True, "seed": seed}
            curve = {
                "epoch": [1, 2, 3],
                "train_error": [0.5, 0.3, 0.1 + rise],
                "test_error": [0.52, 0.4, 0.3],
            }
            curves.append(pd.DataFrame({"run": len(runs), **names, **curve}))
            runs.append(names | {"test_error": 0.3, "shifted_1": 0.1 + rise, "shifted_2": 0.2})
    tables = {"runs": pd.DataFrame(runs), "curves": pd.concat(curves, ignore_index=True)}
    return Record("pooling", "", {}, {}, tables)


def test_curves_are_cut_at_equal_training_error(record: Record) -> None:
    assert cut_at(record, 0.4).runs["test_error"].tolist() == pytest.approx([0.46] * 4)
    assert lowest_common_level(record) == pytest.approx(0.12)
    assert cut_at(record, lowest_common_level(record)).values("z3") == pytest.approx([0.3, 0.3])
    with pytest.raises(ValueError, match=r"z3, seed 1: .* 11\.0%"):
        cut_at(record, 0.11)


def test_curves_end_where_the_rate_falls(record: Record) -> None:
    before = up_to(record, 2)
    assert before.curves["train_error"].tolist() == [0.5, 0.3] * 4
    assert lowest_common_level(before) == 0.3
