"""The exercises of notebook 06."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from alexnet_edu.exercises.judge import Exercise, number, same_function
from alexnet_edu.training.schedules import PlateauSchedule

IMAGES, BATCH, EPOCHS = 1_281_167, 128, 90
MULTIPLY_ADDS = 724_406_816  # of one image, forwards
PER_IMAGE = 4_135_610_496  # operations, see `training_cost.operations_per_image`
PEAK, DAYS = 1.581e12, 5.5  # of a GTX 580 in operations per second; the middle of five to six
SHARE = IMAGES * EPOCHS * PER_IMAGE / (2 * PEAK * DAYS * 86_400)
SAVE_S, BETWEEN_S = 4.0, 86_400.0  # of exercise 5: seconds for a checkpoint, and between two crashes
INTERVAL = math.sqrt(2 * SAVE_S * BETWEEN_S)


def _falls(errors: Tensor, patience: Tensor) -> Tensor:
    return torch.tensor(len(PlateauSchedule(int(patience)).falls(errors.tolist())))


def _falls_cases() -> list[tuple[Tensor, ...]]:
    curves = (
        [0.9, 0.8, 0.8, 0.8, 0.7, 0.71, 0.72, 0.69],
        [0.5] * 12,
        [0.9, 0.8, 0.7],
        [0.6, 0.5, 0.55, 0.52, 0.51, 0.53, 0.5, 0.49],
        [0.9],
    )
    return [(torch.tensor(c), torch.tensor(p)) for c in curves for p in (1, 2, 3)]


def _compared_with_the_last(errors: Tensor, patience: Tensor) -> Tensor:
    """A frequent misunderstanding: the error before takes the place of the best one."""
    falls = waited = 0
    values = errors.tolist()
    for before, now in zip([math.inf, *values], values, strict=False):
        waited = 0 if now < before else waited + 1
        if waited == int(patience) and falls < 3:
            falls, waited = falls + 1, 0
    return torch.tensor(falls)


def _without_a_limit(errors: Tensor, patience: Tensor) -> Tensor:
    return torch.tensor(len(PlateauSchedule(int(patience), most=10**6).falls(errors.tolist())))


def _judge_rows(answer: Any) -> str | None:
    """rows(order, step, batch, rank, world): all images of a step once, over all processes."""
    if not callable(answer):
        return f"a function is asked for, not {type(answer).__name__}"
    for count, batch, world in ((12, 4, 2), (23, 6, 2), (23, 6, 4), (9, 5, 3), (7, 7, 1)):
        order = torch.randperm(count, generator=torch.Generator().manual_seed(count))
        for step in range(math.ceil(count / batch)):
            parts = [_as_list(answer(order.clone(), step, batch, rank, world)) for rank in range(world)]
            fault = _fault_of_step(parts, order[step * batch : (step + 1) * batch].tolist())
            if fault is not None:
                return f"{fault} ({count} images, batches of {batch}, {world} processes, step {step})"
    return None


def _as_list(rows: Any) -> list[int]:
    return [int(row) for row in torch.as_tensor(rows).flatten().tolist()]


def _fault_of_step(parts: list[list[int]], wanted: list[int]) -> str | None:
    seen = [row for part in parts for row in part]
    if len(seen) > len(set(seen)):
        return "an image comes twice in one step"
    if missing := set(wanted) - set(seen):
        return f"{len(missing)} of the images of this step are in no process"
    if set(seen) - set(wanted):
        return "a process has an image of another step"
    if max(map(len, parts)) - min(map(len, parts)) > 1:
        counts = ", ".join(str(len(part)) for part in parts)
        return f"the processes have {counts} images: the work is not shared evenly"
    return None


EXERCISES = (
    Exercise(
        "06.1",
        number(
            EPOCHS * math.ceil(IMAGES / BATCH),
            tolerance=1e-6,
            faults={
                EPOCHS * IMAGES: "that is the number of images; an update takes 128 of them",
                math.ceil(IMAGES / BATCH): "that is one epoch",
                EPOCHS * (IMAGES // BATCH): "the last batch of an epoch is smaller, but it is used, too",
                EPOCHS * IMAGES / BATCH: "an epoch has a whole number of updates; the last one is smaller",
            },
        ),
        ("How many batches has one epoch, when the last one may be smaller?", "⌈1,281,167 / 128⌉, 90 times."),
        "About 0.9 million updates: as many as the notes of 2012 imply.",
    ),
    Exercise(
        "06.2",
        number(
            SHARE,
            tolerance=0.02,
            faults={
                2 * SHARE: "there were two GPUs",
                SHARE / 2: "a multiply-add is two operations",
                SHARE * 2 * MULTIPLY_ADDS / PER_IMAGE: "that is forwards alone",
                100 * SHARE: "give it as a share, between 0 and 1",
                1 / SHARE: "the other way round: what was done, over what could have been done",
            },
        ),
        (
            "Operations done: 4.14·10⁹ for an image, 1,281,167 images, 90 epochs.",
            "Operations that were possible: 2 · 1.581·10¹² a second, for 5.5 · 86,400 seconds.",
        ),
        "About a third of the peak: hand-written kernels of 2012, and a good figure today, too.",
    ),
    Exercise(
        "06.3",
        same_function(
            _falls,
            _falls_cases(),
            faults=[
                (_compared_with_the_last, "compare with the best error so far, not with the one before"),
                (_without_a_limit, "the rate falls three times at most"),
                (
                    lambda errors, patience: _falls(errors, patience + 1),
                    "the rate falls at the measurement that makes the patience full, not one later",
                ),
            ],
        ),
        (
            "Keep three numbers: the best error, for how many measurements it has stood, and the falls.",
            "After a fall the best error stays the mark to beat, and the waiting begins anew.",
        ),
        "It is a function of the errors alone. So a run that was killed takes up the schedule exactly.",
    ),
    Exercise(
        "06.4",
        _judge_rows,
        (
            "Cut the batch out of the order first. It may be short at the end of the epoch.",
            "batch_of_step[rank::world] deals the images out like cards.",
        ),
        "Nothing depends on how many processes there are, so a run may be taken up with another number.",
    ),
    Exercise(
        "06.5",
        number(
            INTERVAL,
            tolerance=0.03,
            faults={
                math.sqrt(
                    SAVE_S * BETWEEN_S
                ): "on average half an interval is lost in a crash, not a whole one",
                INTERVAL / 60: "give seconds",
                BETWEEN_S: "then half a day is lost in every crash",
            },
        ),
        (
            "With a checkpoint every T seconds, saving takes 4/T of the time. What does a crash cost?",
            "A crash loses T/2 on average, once in 86,400 s. Minimize 4/T + T/(2·86,400).",
            "The derivative is 0 at T = √(2 · 4 · 86,400).",
        ),
        "About fourteen minutes. The minimum is flat: half or twice as long costs a quarter more.",
    ),
)
