"""Notebook 03's parts: sizes and windows, the change under a shift, curves cut, the widget."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes

from alexnet_edu.lessons import pooling, pooling_plots
from alexnet_edu.lessons.pooling import (
    coverage,
    cut_at,
    lowest_common_level,
    output_side,
    pool,
    shift_change,
    up_to,
)
from alexnet_edu.lessons.pooling_widgets import SIDES, STRIDES, WINDOWS, pooling_explorer
from alexnet_edu.model.cifar import pooled_size


@pytest.mark.parametrize("up", [True, False])
def test_sizes_are_those_of_torch(up: bool) -> None:
    for n in range(1, 20):
        for z in range(1, n + 1):
            for s in range(1, 6):
                want = F.max_pool2d(torch.zeros(1, 1, n, n), z, s, ceil_mode=up).shape[-1]
                assert output_side(n, z, s, up=up) == want, (n, z, s)


def test_sizes_rounded_up_are_those_of_the_small_network() -> None:
    assert all(output_side(n, z, 2) == pooled_size(n, z) for n in range(3, 100) for z in (2, 3))
    assert [output_side(n, 3, 2) for n in (55, 27, 13)] == [27, 13, 6]
    assert [output_side(n, 2, 2) for n in (55, 26, 11)] == [28, 13, 6]  # run 147


def test_a_window_larger_than_the_grid_fits_only_when_sizes_are_rounded_up() -> None:
    assert (output_side(4, 5, 2), output_side(4, 5, 2, up=False), output_side(4, 9, 2)) == (1, 0, 0)
    x = torch.arange(16.0).reshape(4, 4)
    assert pool(x, 5, 2).tolist() == [[15.0]]
    assert pool(x, 5, 2, "avg").item() == pytest.approx(7.5)
    assert pool(x, 5, 2, up=False).shape == (0, 0)


def test_sizes_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, got n=8, z=0, s=2"):
        output_side(8, 0, 2)
    with pytest.raises(ValueError, match="unknown kind 'min'; choose one of max, avg"):
        pool(torch.zeros(4, 4), 2, 2, "min")


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


def _record() -> dict[str, Any]:
    def run(seed: int, shift: float) -> dict[str, Any]:
        curve = {"epoch": [1, 2, 3], "train_error": [0.5, 0.3, 0.1 + shift], "test_error": [0.52, 0.4, 0.3]}
        return {"seed": seed, "curve": curve, "shifted": {"1": 0.1 + shift, "2": 0.2}}

    titles = {"z2": "z = 2, s = 2", "z3": "z = 3, s = 2 (overlapping)"}
    cells = [
        {"variant": name, "title": title, "runs": [run(1, shift), run(2, shift)]}
        for (name, title), shift in zip(titles.items(), (0.0, 0.02), strict=True)
    ]
    return {"experiment": "pooling", "epochs": 3, "cells": cells, "provenance": {}}


def test_curves_are_cut_at_equal_training_error() -> None:
    cut = cut_at(_record(), 0.4)
    assert [r["curve"]["test_error"] for c in cut["cells"] for r in c["runs"]] == [[pytest.approx(0.46)]] * 4
    assert lowest_common_level(_record()) == pytest.approx(0.12)
    deepest = cut_at(_record(), lowest_common_level(_record()))
    assert deepest["cells"][1]["runs"][0]["curve"]["test_error"] == [pytest.approx(0.3)]
    with pytest.raises(ValueError, match=r"z3, seed 1: the training error never comes down to 11\.0%"):
        cut_at(_record(), 0.11)


def test_curves_end_where_the_rate_falls() -> None:
    curves = [run["curve"] for cell in up_to(_record(), 2)["cells"] for run in cell["runs"]]
    assert [c["train_error"] for c in curves] == [[0.5, 0.3]] * 4
    assert [c["test_error"] for c in curves] == [[0.52, 0.4]] * 4
    assert lowest_common_level(up_to(_record(), 2)) == 0.3


# --- drawings --------------------------------------------------------------------------------


@pytest.fixture
def ax() -> Iterator[Axes]:
    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


def test_both_variants_are_named_and_in_sight(ax: Axes) -> None:
    pooling_plots.draw_shifted(ax, _record()["cells"], "shifts (recorded)")
    assert ax.get_legend_handles_labels()[1] == ["z = 2, s = 2", "z = 3, s = 2 (overlapping)"]
    assert ax.get_ylim()[0] == 0
    assert ax.get_ylim()[1] > 0.2


def test_each_seed_has_its_way_through_the_errors(ax: Axes) -> None:
    pooling_plots.draw_gap_against_training(ax, _record()["cells"], 2, "gaps (recorded)")
    ways = [line for line in ax.lines if np.size(line.get_xdata()) == 2]
    assert len(ways) == 4  # from the first training error below a third
    assert np.allclose(ways[0].get_ydata(), [0.4 - 0.3, 0.3 - 0.1])
    ends = [line for line in ax.lines if np.size(line.get_xdata()) == 1]
    assert [line.get_markerfacecolor() == "white" for line in ends] == [True, False] * 4


def test_changes_have_a_mean_for_each_series(ax: Axes) -> None:
    values = {"z = 2": [0.5, 0.7], "z = 3": [0.3, 0.5]}
    pooling_plots.draw_changes(ax, {"noise": values, "images": values}, "changes")
    texts = [t.get_text() for t in ax.texts]
    assert texts == ["0.60", "0.60", "0.40", "0.40"]


def test_a_cell_for_each_side(ax: Axes) -> None:
    rows = {"up": {2: True, 3: False}, "down": {2: False, 3: True}}
    pooling_plots.draw_same_size(ax, rows, {3: "pool"})
    assert len(ax.patches) >= 4
    assert [t.get_text() for t in ax.get_yticklabels()] == ["up", "down"]


# --- the widget --------------------------------------------------------------------------------


def test_the_explorer_follows_every_control() -> None:
    widget = pooling_explorer()
    seen = [(widget.alt, widget.png)]
    assert "8 × 8 inputs, windows z = 3, stride s = 2, sizes rounded up: 4 × 4 outputs" in widget.alt
    assert "25 by 1, 30 by 2, 9 by 4" in widget.alt
    changes = {"n": 9, "z": 2, "s": 1, "row": 3, "column": 4, "up": False, "kind": "avg"}
    for name, value in changes.items():
        widget.controls[name].value = value
        assert widget.error is None
        seen.append((widget.alt, widget.png))
    assert len({alt for alt, _ in seen}) == len({png for _, png in seen}) == 8
    assert "output row 3, column 4 is the average of 4 inputs" in widget.alt


def test_every_position_of_the_sliders_is_drawn_or_said_to_be_empty() -> None:
    widget = pooling_explorer(n=4)
    for z in WINDOWS:
        for s in STRIDES:
            widget.controls["z"].value, widget.controls["s"].value = z, s
            assert widget.error is None, (z, s)
    widget.controls["up"].value = False
    assert "nothing comes out" in widget.alt
    assert "0 × 0 outputs" in widget.alt


def test_what_hangs_over_is_left_out_or_between_the_windows_is_said() -> None:
    assert "hang over the edge by 1" in pooling_explorer(n=8, z=3, s=2).alt
    assert "the last row and column are seen by no window" in pooling_explorer(n=8, z=3, s=2, up=False).alt
    assert "seen by none" in pooling_explorer(n=9, z=2, s=3).alt
    assert "no overlap" in pooling_explorer(z=2).alt
    assert "takes all of it" in pooling_explorer(n=4, z=5).alt


def test_beyond_the_last_output_the_last_is_taken() -> None:
    assert "output row 4, column 4" in pooling_explorer(n=8, row=15, column=15).alt


def test_the_fullest_grid_is_drawn_in_less_than_half_a_second() -> None:
    widget = pooling_explorer(n=SIDES[-1], z=2, s=1, kind="avg")
    times = []
    for row in (2, 3, 4):
        start = time.process_time()
        widget.controls["row"].value = row
        times.append(time.process_time() - start)
    assert min(times) < 0.5


def test_every_control_has_a_label_and_strange_values_are_refused() -> None:
    widget = pooling_explorer()
    assert all(control.description and control.tooltip for control in widget.controls.values())
    with pytest.raises(ValueError, match="must be one of"):
        pooling_explorer(n=40)


def test_shades_grow_with_the_number_of_windows() -> None:
    assert pooling_plots._shades(np.array([[1, 2], [2, 4]])) == {1: 1, 2: 3, 4: 5}
    assert pooling_plots._shades(np.array([[0, 1], [0, 1]])) == {0: 0, 1: 1}
    assert sorted(pooling_plots._shades(coverage(15, 6, 1).numpy()).values())[-1] == 5


def test_kinds_are_those_of_the_widget() -> None:
    assert [value for _, value in pooling_explorer().controls["kind"].options] == list(pooling.KINDS)
