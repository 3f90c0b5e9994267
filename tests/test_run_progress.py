"""What is read from the log of a training."""

from __future__ import annotations

import math
from typing import Any

import pytest

from alexnet_edu.imagenet import run_progress

Row = dict[str, Any]


def start(step: int = 0) -> Row:
    return {"kind": "start", "step": step}


def line(step: int, rate: float = 0.01, **changes: Any) -> Row:
    found = {
        "kind": "step",
        "step": step,
        "epoch": step / 4,
        "time": 100.0 + 2 * step,
        "loss": 3.0,
        "rate": rate,
    }
    return {**found, "images_per_s": 50.0, "waited": 0.25, "memory": [5, 7], **changes}


def judged(step: int, top1: float = 0.5) -> Row:
    return {"kind": "evaluation", "step": step, "epoch": step / 4, "top1": top1}


def test_what_was_done_again_counts_once() -> None:
    rows = [
        start(),
        line(1),
        line(2),
        judged(2),
        line(3),
        judged(3),
        start(2),
        line(3, loss=1.0),
        judged(3, 0.4),
    ]
    kept = run_progress.valid(rows)
    assert [r["step"] for r in kept if r["kind"] == "step"] == [1, 2, 3]
    assert [r["top1"] for r in kept if r["kind"] == "evaluation"] == [0.5, 0.4]
    assert run_progress.curve(kept, "step", "loss")[1] == [3.0, 3.0, 1.0]


def test_a_run_that_begins_anew_takes_all_back() -> None:
    assert run_progress.valid([start(), line(1), judged(1), start()]) == [start(), start()]


def test_a_curve_is_thinned_by_means_of_neighbours() -> None:
    rows = [line(i, loss=float(i)) for i in range(1, 8)]
    x, y = run_progress.curve(rows, "step", "loss", most=4)
    assert x == [1.5 / 4, 3.5 / 4, 5.5 / 4, 7 / 4]
    assert y == [1.5, 3.5, 5.5, 7.0]
    assert run_progress.curve(rows, "step", "loss", most=7) == run_progress.curve(rows, "step", "loss")


def test_a_loss_that_is_no_number_is_not_drawn() -> None:
    assert run_progress.curve([line(1), line(2, loss="nan"), line(3, loss="inf")], "step", "loss") == (
        [0.25],
        [3.0],
    )


def test_the_rate_falls_where_it_is_lower_than_before() -> None:
    rows = [line(1), line(2), line(3, 0.001), judged(3), line(4, 0.001), line(5, 0.0001), line(6, 0.01)]
    assert run_progress.falls(rows) == [0.75, 1.25]


def test_where_a_run_went_on() -> None:
    rows = [{**start(s), "steps_per_epoch": 4} for s in (0, 6, 10)]
    assert run_progress.taken_up(rows) == [1.5, 2.5]


def test_the_pace_is_that_of_the_last_part_with_its_evaluations() -> None:
    rows = [start(), line(1), line(2), start(2), line(3), judged(3), line(5, time=116.0, images_per_s=60.0)]
    found = run_progress.pace(rows, 11)
    assert found is not None
    assert found.images_per_s == 60
    assert found.waited == 0.25
    assert found.memory == (5, 7)
    assert found.seconds_left == pytest.approx(6 * (116 - 106) / 2)


def test_the_pace_forgets_how_fast_it_was_long_ago() -> None:
    slow = [line(i, time=100.0 * i) for i in range(1, 100)]
    fast = [line(i, time=9900.0 + i) for i in range(100, 100 + run_progress.PACE_ROWS)]
    found = run_progress.pace([start(), *slow, *fast], 200)
    assert found is not None
    assert found.seconds_left is not None
    assert math.isclose(found.seconds_left, 200 - fast[-1]["step"])


def test_no_pace_before_the_first_line_and_no_time_left_from_one() -> None:
    assert run_progress.pace([start(), line(1), start(1)], 10) is None
    found = run_progress.pace([start(), line(1)], 10)
    assert found is not None
    assert found.seconds_left is None
