"""The tests that the exercises of every notebook have in common, made from their answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from alexnet_edu.exercises.check import EXERCISES, check

Tests = tuple[Callable[..., None], Callable[..., None], Callable[[], None]]


def tried(
    number: str, exercises: int, right: Sequence[tuple[str, Any]], wrong: Sequence[tuple[str, Any, str]]
) -> Tests:
    """Right answers are recognised, wrong ones told why, and each exercise is tried both ways.

    number: of the notebook, "04". exercises: how many it has. right: (exercise, answer).
    wrong: (exercise, answer, words of the reason).
    """

    @pytest.mark.parametrize(("exercise", "answer"), right)
    def recognised(exercise: str, answer: Any) -> None:
        judgement = check(exercise, answer)
        assert judgement, judgement.text

    @pytest.mark.parametrize(("exercise", "answer", "reason"), wrong)
    def told_why(exercise: str, answer: Any, reason: str) -> None:
        judgement = check(exercise, answer)
        assert not judgement
        assert reason in judgement.text

    def both_ways() -> None:
        ids = {name for name in EXERCISES if name.startswith(f"{number}.")}
        assert len(ids) == exercises
        assert {name for name, *_ in right} == {name for name, *_ in wrong} == ids

    return recognised, told_why, both_ways
