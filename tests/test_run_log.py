from __future__ import annotations

from pathlib import Path

from alexnet_edu import run_log


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
