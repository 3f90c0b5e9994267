"""The judges: right answers in several forms, wrong ones with the reason, hints in turn."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from alexnet_edu.exercises import check as checks
from alexnet_edu.exercises.check import EXERCISES, check, hint


def numpy_style_relu(z: torch.Tensor) -> Any:
    return z * (z > 0)


RIGHT: list[tuple[str, Any]] = [
    ("00.1", numpy_style_relu),
    ("00.1", lambda z: (z + z.abs()) / 2),
    ("00.2", 2.178),
    ("00.2", 2.2),
    ("00.2", torch.atanh(torch.tensor(0.95).sqrt())),
    ("00.3", 614_656),
    ("00.4", 63),
    ("01.1", 1 / 64),
    ("01.1", "0.0156"),
    ("01.2", 89_578),
    ("01.3", lambda g, z: torch.where(z > 0, g, torch.zeros_like(g))),
    ("01.4", lambda z: sum(1 - math.tanh(v) ** 2 < 0.05 for v in z.tolist()) / len(z)),
    ("01.5", (-3.0, 0.1)),
]
WRONG: list[tuple[str, Any, str]] = [
    ("00.1", torch.abs, "differ from the right ones, by up to 5"),
    ("00.1", 3.0, "a function is asked for, not float"),
    ("00.2", 1.0, "there the slope is 0.420, not 0.05"),
    ("00.2", -2.178, "give the positive input"),
    ("00.3", 307_456, "conv2 as it is"),
    ("00.3", 614_400, "the biases are missing"),
    ("00.4", 62, "rounded down"),
    ("01.1", "1/64", "a number is asked for, not '1/64'"),
    ("01.1", 0.25, "that is one layer"),
    ("01.1", 0.75, "slopes multiply"),
    ("01.2", 89_577, "too small"),
    ("01.2", 89_440, "the biases are missing"),
    ("01.2", 85_098, "4×4, not 3×3"),
    ("01.3", lambda g, z: g, "differ from the right ones"),
    ("01.3", lambda g, z: g[0], "the shape is"),
    ("01.3", lambda g, z: None, "returns nothing"),
    ("01.4", lambda z: z.no_such_thing, "it raised AttributeError"),
    ("01.4", lambda z: (z.abs() > 2.2).double().mean(), "2.2, which is rounded"),
    ("01.4", lambda z: z.mean(), "some values differ"),
    ("01.5", (1.0, 2.0), "both orders give"),
    ("01.5", 3.0, "a pair of numbers is asked for"),
    ("01.5", "10", "a pair of numbers is asked for"),
    ("01.5", (1.0, "x"), "a number is asked for"),
    ("01.5", (float("nan"), 1.0), "a finite number"),
]


@pytest.mark.parametrize(("exercise", "answer"), RIGHT)
def test_right_answers_are_recognised(exercise: str, answer: Any) -> None:
    judgement = check(exercise, answer)
    assert judgement
    assert "right" in repr(judgement)


@pytest.mark.parametrize(("exercise", "answer", "reason"), WRONG)
def test_wrong_answers_are_told_why(exercise: str, answer: Any, reason: str) -> None:
    judgement = check(exercise, answer)
    assert not judgement
    assert reason in repr(judgement)
    assert f"hint('{exercise}')" in repr(judgement)


def test_every_exercise_has_a_right_and_a_wrong_answer_here() -> None:
    mine = {e for e in EXERCISES if e[:2] in ("00", "01")}  # later notebooks have files of their own
    assert {e for e, _ in RIGHT} == {e for e, *_ in WRONG} == mine


def test_no_answer_yet_is_no_fault() -> None:
    assert "not answered yet" in repr(check("01.1", None))


def test_hints_come_one_at_a_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "_given", {})
    for _ in range(3):
        hint("01.1")
    lines = capsys.readouterr().out.splitlines()
    assert [line[:11] for line in lines] == ["Hint 1 of 2", "Hint 2 of 2", "Hint 1 of 2"]


def test_an_unknown_exercise_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no exercise '99\.9'; there are 00\.1"):
        check("99.9", 1)
