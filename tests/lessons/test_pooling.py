"""Notebook 03's parts: sizes and windows, the change under a shift, curves cut, the widget."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from alexnet_edu.lessons.pooling import (
    coverage,
    cut_at,
    lowest_common_level,
    output_side,
    pool,
    shift_change,
    up_to,
)
from alexnet_edu.studies.record import Record


@pytest.mark.parametrize("up", [True, False])
def test_sizes_are_those_of_torch(up: bool) -> None:
    for n in range(1, 20):
        for z in range(1, n + 1):
            for s in range(1, 6):
                want = F.max_pool2d(torch.zeros(1, 1, n, n), z, s, ceil_mode=up).shape[-1]
                assert output_side(n, z, s, up=up) == want, (n, z, s)


def test_a_window_larger_than_the_grid_fits_only_when_sizes_are_rounded_up() -> None:
    assert (output_side(4, 5, 2), output_side(4, 5, 2, up=False), output_side(4, 9, 2)) == (1, 0, 0)
    x = torch.arange(16.0).reshape(4, 4)
    assert pool(x, 5, 2).tolist() == [[15.0]]
    assert pool(x, 5, 2, "avg").item() == pytest.approx(7.5)
    assert pool(x, 5, 2, up=False).shape == (0, 0)


@pytest.mark.parametrize(
    ("z", "s", "up"), [(2, 2, True), (3, 2, True), (3, 2, False), (2, 3, True), (6, 1, True)]
)
def test_coverage_counts_the_windows_of_each_input(z: int, s: int, up: bool) -> None:
    for n in (6, 7, 11):
        x = torch.zeros(1, 1, n, n, requires_grad=True)
        side = output_side(n, z, s, up=up)
        padded = F.pad(x, (0, 20, 0, 20))[..., : s * (side - 1) + z, : s * (side - 1) + z]
        padded.unfold(2, z, s).unfold(3, z, s).sum().backward()  # every window adds one to what it sees
        assert x.grad is not None
        assert torch.equal(x.grad[0, 0].long(), coverage(n, z, s, up=up))


def test_a_pooled_map_takes_what_its_windows_hold() -> None:
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for kind, take in (("max", torch.amax), ("avg", torch.mean)):
        got = pool(x, 3, 2, kind)
        for i in range(4):
            for j in range(4):
                window = x[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
                torch.testing.assert_close(got[:, :, i, j], take(window, (2, 3)))


def test_shift_changes_of_noise_are_what_the_arithmetic_gives() -> None:
    noise = torch.randn(50, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    for z in (2, 3):
        assert shift_change(noise, z, kind="avg").mean().item() == pytest.approx((2 / z) ** 0.5, abs=0.02)
    assert shift_change(noise, 3).mean() < shift_change(noise, 2).mean() < 2**0.5
    assert shift_change(torch.ones(2, 3, 9, 9), 2).tolist() == [0.0, 0.0]  # nothing moves


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
