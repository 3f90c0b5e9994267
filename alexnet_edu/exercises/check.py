"""Judges answers to the exercises and gives hints: `check("01.1", my_answer)`, `hint("01.1")`.

Texts and numbers stand in exercises.toml; what takes a program to judge has its judge in one module a
notebook.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from alexnet_edu.exercises import (
    augmentation,
    dropout,
    kernels,
    ledger,
    neighbours,
    norm,
    pooling,
    relu,
    results,
    sgd,
    training,
    two_gpus,
)
from alexnet_edu.exercises.judge import Fault, Judge, Number


@dataclass(frozen=True)
class Exercise:
    """judge: of answers. hints: each tells a little more. praise: what the right answer teaches."""

    judge: Judge
    hints: list[str]
    praise: str


@dataclass(frozen=True)
class Judgement:
    """What `check` says: shown as its text in a notebook, true if the answer is right."""

    right: bool
    text: str

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return self.text


def _exercise(judge: Judge | None, hints: list[str], praise: str, **number: Any) -> Exercise:
    return Exercise(judge or Number(**number), hints, praise)


_JUDGES = relu.JUDGES | norm.JUDGES | pooling.JUDGES | augmentation.JUDGES | two_gpus.JUDGES
_JUDGES |= training.JUDGES | kernels.JUDGES | neighbours.JUDGES | dropout.JUDGES | sgd.JUDGES | results.JUDGES
_JUDGES |= ledger.JUDGES
_TABLE = tomllib.loads((files("alexnet_edu.exercises") / "exercises.toml").read_text(encoding="utf-8"))
EXERCISES = {name: _exercise(_JUDGES.get(name), **fields) for name, fields in _TABLE.items()}
_hinted: Counter[str] = Counter()


def check(exercise_id: str, answer: Any) -> Judgement:
    """Judges `answer`. None stands for "not answered yet"; an error that it raises is shown.

    Raises ValueError for an unknown exercise.
    """
    exercise = _find(exercise_id)
    if answer is None:
        return Judgement(False, f"Exercise {exercise_id}: not answered yet. hint({exercise_id!r}) helps.")
    try:
        fault = exercise.judge(answer)
    except Fault as reason:
        fault = str(reason)
    except Exception as error:
        fault = f"it raised {type(error).__name__}: {error}"
    if fault is None:
        return Judgement(True, f"Exercise {exercise_id}: right. {exercise.praise}")
    return Judgement(False, f"Exercise {exercise_id}: not yet, {fault}. hint({exercise_id!r}) helps.")


def hint(exercise_id: str) -> None:
    """Prints the next hint; after the last one it starts again."""
    hints = _find(exercise_id).hints
    place = _hinted[exercise_id] % len(hints)
    _hinted[exercise_id] += 1
    print(f"Hint {place + 1} of {len(hints)}: {hints[place]}")


def _find(exercise_id: str) -> Exercise:
    if exercise_id not in EXERCISES:
        raise ValueError(f"there is no exercise {exercise_id!r}; there are {', '.join(EXERCISES)}")
    return EXERCISES[exercise_id]
