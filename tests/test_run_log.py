from __future__ import annotations

from pathlib import Path

from alexnet_edu.imagenet import log as run_log


def test_lines_come_back_in_order_with_their_time(tmp_path: Path) -> None:
    path = tmp_path / "new" / run_log.METRICS
    run_log.append(path, "step", step=1, loss=6.9)
    run_log.append(path, "evaluation", step=2, top1=0.9)
    rows = run_log.read(path)
    assert [(r["kind"], r["step"]) for r in rows] == [("step", 1), ("evaluation", 2)]
    assert rows[0]["time"] <= rows[1]["time"]
    assert run_log.last(rows, "step") == rows[0]
    assert run_log.last(rows, "stop") is None


def test_no_file_is_no_rows(tmp_path: Path) -> None:
    assert run_log.read(tmp_path / "none") == []


def test_half_a_line_and_foreign_lines_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "m"
    run_log.append(path, "step", step=1)
    with path.open("a") as file:
        file.write('[1, 2]\n{"no": "kind"}\n{"kind": "step", "st')
    assert [r["step"] for r in run_log.read(path)] == [1]


def test_what_is_done_again_is_forgotten_and_the_rest_stays(tmp_path: Path) -> None:
    path = tmp_path / "m"
    for step in (10, 20, 30):
        run_log.append(path, "step", step=step)
    run_log.append(path, "warning", step=30, text="the disk was full")
    with path.open("a") as file:
        file.write('{"kind": "step", "st')
    assert run_log.forget_after(path, 20) == 1
    run_log.append(path, "start", step=20)
    assert [(r["kind"], r["step"]) for r in run_log.read(path)] == [
        ("step", 10),
        ("step", 20),
        ("warning", 30),
        ("start", 20),
    ]


# --- read again and again -----------------------------------------------------------------------


def test_a_follower_gives_what_a_reader_gives_and_reads_only_what_is_new(tmp_path: Path) -> None:
    path = tmp_path / run_log.METRICS
    follower = run_log.Follower(path)
    assert follower.rows() == []
    for step in range(5):
        run_log.append(path, "step", step=step)
        assert follower.rows() == run_log.read(path)
    first = path.read_bytes()
    path.write_bytes(b"x" * len(first))  # in place: what was read once is not read again
    run_log.append(path, "step", step=5)
    assert [row["step"] for row in follower.rows()] == [0, 1, 2, 3, 4, 5]


def test_a_follower_waits_for_the_end_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / run_log.METRICS
    follower = run_log.Follower(path)
    run_log.append(path, "start", step=0)
    with path.open("a") as file:
        file.write('{"kind": "st')
        file.flush()
        assert len(follower.rows()) == 1
        file.write('ep", "step": 1}\n')
    assert [row["kind"] for row in follower.rows()] == ["start", "step"]


def test_a_follower_sees_that_the_log_was_replaced_or_is_gone(tmp_path: Path) -> None:
    path = tmp_path / run_log.METRICS
    follower = run_log.Follower(path)
    for step in (1, 2, 3):
        run_log.append(path, "step", step=step)
    follower.rows()
    run_log.forget_after(path, 1)
    run_log.append(path, "step", step=2)
    assert [row["step"] for row in follower.rows()] == [1, 2]
    path.write_text("")
    assert follower.rows() == []
    run_log.append(path, "step", step=9)
    assert [row["step"] for row in follower.rows()] == [9]
    path.unlink()
    assert follower.rows() == []
