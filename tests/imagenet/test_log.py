"""What a run writes down, and what is read from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from alexnet_edu.imagenet import log as run_log
from alexnet_edu.imagenet.log import MAX_LISTED, METRICS, PACE_ROWS, Follower, Log, Row, append, read


def steps(path: Path) -> list[int]:
    return [row["step"] for row in read(path)]


# --- lines ------------------------------------------------------------------------------------


def test_lines_come_back_in_order_with_their_time(tmp_path: Path) -> None:
    path = tmp_path / "new" / METRICS
    assert read(path) == []
    append(path, "step", step=1, loss=6.9)
    append(path, "evaluation", step=2, top1=0.9)
    first, second = read(path)
    assert (first["kind"], first["step"], first["loss"]) == ("step", 1, 6.9)
    assert first["time"] <= second["time"]
    assert run_log.last([first, second], "step") == first
    assert run_log.last([first, second], "stop") is None


def test_half_a_line_and_foreign_lines_are_passed_over_and_what_follows_is_whole(tmp_path: Path) -> None:
    append(tmp_path / "m", "step", step=1)
    with (tmp_path / "m").open("a") as file:
        file.write('[1, 2]\n{"no": "kind"}\n{"kind": "step", "st')
    assert steps(tmp_path / "m") == [1]
    append(tmp_path / "m", "step", step=2)
    assert steps(tmp_path / "m") == [1, 2]


def test_what_was_done_again_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "m"
    for kind, step in (("start", 0), ("step", 10), ("step", 20), ("evaluation", 20), ("warning", 20)):
        append(path, kind, step=step)
    append(path, "start", step=10)
    append(path, "step", step=20)
    kept = [("start", 0), ("step", 10), ("warning", 20), ("start", 10), ("step", 20)]
    assert [(row["kind"], row["step"]) for row in read(path)] == kept


def test_a_follower_reads_only_what_is_new_and_waits_for_the_end_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / METRICS
    follower = Follower(path)
    assert follower.rows() == []
    for step in range(3):
        append(path, "step", step=step)
        assert follower.rows() == read(path)
    path.write_bytes(b"x" * (path.stat().st_size - 1) + b"\n")  # what was read once is not read again
    with path.open("a") as file:
        file.write('{"kind": "st')
        file.flush()
        assert len(follower.rows()) == 3
        file.write('ep", "step": 3}\n')
    assert [row["step"] for row in follower.rows()] == [0, 1, 2, 3]
    path.write_text("")
    append(path, "step", step=9)
    assert [row["step"] for row in follower.rows()] == [9]
    path.unlink()
    assert follower.rows() == []


# --- one process speaks -------------------------------------------------------------------------


def test_only_one_process_speaks_and_a_line_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    Log(tmp_path, False, said.append).warn("something", step=3)
    assert not (tmp_path / METRICS).exists()
    Log(tmp_path, True, said.append).warn("something", step=3)
    assert said == ["warning: something"]
    assert read(tmp_path / METRICS)[0]["text"] == "something"
    (tmp_path / "full" / METRICS).mkdir(parents=True)
    Log(tmp_path / "full", True, said.append).write("step", step=1)
    assert len(said) == 2


def test_an_image_is_named_once_and_not_all_of_thousands(tmp_path: Path) -> None:
    log = Log(tmp_path, True, lambda line: None)
    for _ in range(2):
        log.name_unreadable([f"image {i} is damaged." for i in range(MAX_LISTED + 5)], 1)
    assert len(log.unreadable) == MAX_LISTED + 5
    rows = read(tmp_path / METRICS)
    assert len(rows) == MAX_LISTED
    assert rows[0]["text"] == "image 0 is damaged. It is left out."


# --- curves and pace ----------------------------------------------------------------------------


def line(step: int, rate: float = 0.01, **changes: Any) -> Row:
    row = {"kind": "step", "step": step, "epoch": step / 4, "time": 100.0 + 2 * step, "loss": 3.0}
    return {**row, "rate": rate, "images_per_s": 50.0, "waited": 0.25, "memory": [5, 7], **changes}


START = {"kind": "start", "step": 0}


def test_a_curve_is_thinned_by_means_of_neighbours() -> None:
    rows = [line(i, loss=float(i)) for i in range(1, 8)] + [line(9, loss="nan"), line(10, loss="inf")]
    x, y = run_log.curve(rows, "step", "loss", most=4)
    assert x == [1.5 / 4, 3.5 / 4, 5.5 / 4, 7 / 4]
    assert y == [1.5, 3.5, 5.5, 7.0]
    assert run_log.curve(rows, "step", "loss")[1] == [1, 2, 3, 4, 5, 6, 7]


def test_where_the_rate_fell_and_where_a_run_was_resumed() -> None:
    rows = [line(1), line(2), line(3, 0.001), line(4, 0.001), line(5, 0.0001), line(6, 0.01)]
    assert run_log.falls(rows) == [0.75, 1.25]
    starts = [{"kind": "start", "step": step, "steps_per_epoch": 4} for step in (0, 6, 10)]
    assert run_log.resumptions(starts) == [1.5, 2.5]


def test_the_pace_is_that_of_the_last_part_with_its_evaluations() -> None:
    assert run_log.pace([START, line(1), START], 10) is None
    one = run_log.pace([START, line(1)], 10)
    assert one is not None
    assert one.seconds_left is None
    rows = [START, line(1), line(2), START, line(3), line(5, time=116.0, images_per_s=60.0)]
    pace = run_log.pace(rows, 11)
    assert pace == run_log.Pace(60, 0.25, 6 * (116 - 106) / 2, (5, 7))
    slow = [line(i, time=100.0 * i) for i in range(1, 100)]
    fast = [line(i, time=9900.0 + i) for i in range(100, 100 + PACE_ROWS)]
    pace = run_log.pace([START, *slow, *fast], 200)
    assert pace is not None
    assert pace.seconds_left == pytest.approx(200 - fast[-1]["step"])
