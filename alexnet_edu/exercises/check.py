"""Answers to the exercises are judged here, and hints are given.

    check("01.1", my_answer)   whether it is right, and if not, what is off
    hint("01.1")               the next hint, a little more each time

The exercises themselves are in the modules named `exercises_…`, one for each subject.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from alexnet_edu.exercises import augmentation as exercises_augment
from alexnet_edu.exercises import dropout as exercises_dropout
from alexnet_edu.exercises import kernels as exercises_kernels
from alexnet_edu.exercises import neighbours as exercises_neighbours
from alexnet_edu.exercises import norm as exercises_norm
from alexnet_edu.exercises import pooling as exercises_pooling
from alexnet_edu.exercises import relu as exercises_relu
from alexnet_edu.exercises import results as exercises_results
from alexnet_edu.exercises import sgd as exercises_sgd
from alexnet_edu.exercises import training as exercises_training
from alexnet_edu.exercises import two_gpus as exercises_columns
from alexnet_edu.exercises.judge import Exercise, Fault

_SUBJECTS = (
    exercises_relu,
    exercises_norm,
    exercises_pooling,
    exercises_augment,
    exercises_columns,
    exercises_training,
    exercises_kernels,
    exercises_neighbours,
    exercises_dropout,
    exercises_sgd,
    exercises_results,
)
EXERCISES: dict[str, Exercise] = {e.id: e for subject in _SUBJECTS for e in subject.EXERCISES}


@dataclass(frozen=True)
class Judgement:
    """What `check` says: shown as its text in a notebook, true if the answer is right."""

    right: bool
    text: str

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return self.text


_given: dict[str, int] = {}


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
    exercise = _find(exercise_id)
    turn = _given.get(exercise_id, 0)
    _given[exercise_id] = turn + 1
    place = turn % len(exercise.hints)
    print(f"Hint {place + 1} of {len(exercise.hints)}: {exercise.hints[place]}")


def _find(exercise_id: str) -> Exercise:
    if exercise_id not in EXERCISES:
        raise ValueError(f"there is no exercise {exercise_id!r}; there are {', '.join(EXERCISES)}")
    return EXERCISES[exercise_id]
