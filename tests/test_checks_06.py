"""The exercises of notebook 06 and the table of a run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from alexnet_edu import paper
from alexnet_edu.exercises import training as exercises_training
from alexnet_edu.exercises.check import EXERCISES, check
from alexnet_edu.imagenet import log as run_log
from alexnet_edu.lessons import imagenet as training_cost
from alexnet_edu.lessons.run_report import OTHER_IMAGES, SMALLER, report
from alexnet_edu.model.architecture import variant


def deal(order: Tensor, step: int, batch: int, rank: int, world: int) -> Tensor:
    return order[step * batch : (step + 1) * batch][rank::world]


def in_blocks(order: Tensor, step: int, batch: int, rank: int, world: int) -> list[int]:
    return order[step * batch : (step + 1) * batch].tensor_split(world)[rank].tolist()


def falls(errors: Tensor, patience: Tensor) -> Tensor:
    best, waited, fallen = math.inf, 0, 0
    for error in errors.tolist():
        best, waited = (error, 0) if error < best else (best, waited + 1)
        if waited == int(patience) and fallen < 3:
            fallen, waited = fallen + 1, 0
    return torch.tensor(fallen)


RIGHT: dict[str, list[Any]] = {
    "06.1": [900_900],
    "06.2": [0.3174, 0.32],
    "06.3": [falls, lambda e, p: int(falls(e, p))],
    "06.4": [deal, in_blocks],
    "06.5": [831.4, 820],
}


def test_numbers_are_those_of_the_arithmetic() -> None:
    table = variant("paper")
    assert training_cost.TRAINING_IMAGES == exercises_training.IMAGES
    assert training_cost.operations_per_image(table) == exercises_training.PER_IMAGE
    assert sum(layer.multiply_adds for layer in paper.LAYERS) == exercises_training.MULTIPLY_ADDS
    peak = training_cost.DEVICES[paper.GPU_NAME].float32
    assert peak == exercises_training.PEAK
    took = exercises_training.DAYS * training_cost.DAY
    share = training_cost.share_reached(training_cost.operations(table), peak, took, paper.GPUS)
    assert share == pytest.approx(exercises_training.SHARE)
    assert training_cost.steps() == 900_900


def test_the_interval_between_checkpoints_is_the_cheapest() -> None:
    def cost(interval: float) -> float:
        return exercises_training.SAVE_S / interval + interval / (2 * exercises_training.BETWEEN_S)

    best = exercises_training.INTERVAL
    assert cost(best) < min(cost(0.98 * best), cost(1.02 * best))
    assert cost(2 * best) == pytest.approx(1.25 * cost(best))
    assert cost(best / 2) == pytest.approx(1.25 * cost(best))


def test_every_exercise_has_an_answer_here() -> None:
    assert {i for i in EXERCISES if i.startswith("06.")} == set(RIGHT)


@pytest.mark.parametrize(("exercise", "answer"), [(i, a) for i, answers in RIGHT.items() for a in answers])
def test_right_answers(exercise: str, answer: Any) -> None:
    judgement = check(exercise, answer)
    assert judgement, judgement


@pytest.mark.parametrize(
    ("exercise", "answer", "words"),
    [
        ("06.1", 90 * 1_281_167, "an update takes 128"),
        ("06.1", 10_010, "that is one epoch"),
        ("06.1", 900_810, "the last batch of an epoch is smaller"),
        ("06.2", 0.635, "there were two GPUs"),
        ("06.2", 0.1587, "two operations"),
        ("06.2", 0.1112, "forwards alone"),
        ("06.2", 31.7, "between 0 and 1"),
        ("06.3", exercises_training._compared_with_the_last, "with the best error so far"),
        ("06.3", exercises_training._without_a_limit, "three times at most"),
        ("06.3", lambda errors, patience: falls(errors, patience + 1), "not one later"),
        ("06.4", lambda o, s, b, r, w: o[s * b : (s + 1) * b], "an image comes twice"),
        ("06.4", lambda o, s, b, r, w: o[s * b : (s + 1) * b][r : len(o) : w][:-1], "are in no process"),
        ("06.4", lambda o, s, b, r, w: o[r::w], "of another step"),
        ("06.4", lambda o, s, b, r, w: o[s * b : (s + 1) * b] if r == 0 else o[:0], "not shared evenly"),
        ("06.4", 3, "a function is asked for"),
        ("06.5", 587.9, "half an interval"),
        ("06.5", 13.86, "give seconds"),
    ],
)
def test_wrong_answers_are_told_what_is_off(exercise: str, answer: Any, words: str) -> None:
    judgement = check(exercise, answer)
    assert not judgement
    assert words in judgement.text


# --- the table of a run -----------------------------------------------------------------------


RECIPE = {
    "variant": "paper",
    "narrow": 1,
    "batch_size": 128,
    "epochs": 90.0,
    "rate": 0.01,
    "schedule": "plateau",
}
IMAGENET = {"recipe": RECIPE, "classes": 1000, "images": {"train": 1_281_167, "val": 50_000}}


def write(folder: Path, **start: Any) -> Path:
    path = folder / run_log.METRICS
    first = {"step": 0, "steps": 20, "processes": 2, "device_name": "GPU X", "parallel": "columns"}
    run_log.append(path, "start", **{**first, **IMAGENET, **start})
    for step, rate in ((10, 0.01), (20, 0.001)):
        run_log.append(path, "step", step=step, epoch=step / 10, rate=rate, seconds=60.0 * step)
        run_log.append(path, "evaluation", step=step, epoch=step / 10, top1=0.42, top5=0.1957)
    return folder


def test_a_run_on_imagenet_stands_beside_the_paper(tmp_path: Path) -> None:
    run_log.append(write(tmp_path) / run_log.METRICS, "final", step=20, top1=0.4071, top5=0.1822)
    ten, middle, rate, length, time = report(tmp_path).rows
    assert (ten.paper, ten.ours, ten.why) == ("40.7% / 18.2% (validation)", "40.7% / 18.2%", "")
    assert "0.406640 / 0.182100" in ten.log
    assert middle.ours == "42.0% / 19.6%"
    assert rate.ours == "0.01, fell after epoch 2 (plateau)"
    assert "25, 51, 79" in rate.log
    assert length.ours == "2 of 90 epochs, 20 updates with batches of 128"
    assert time.ours == "20 min, columns, 2 × GPU X"
    assert "5–6 days on two GTX 580 3 GB" in time.paper


def test_other_images_and_smaller_networks_say_that_they_cannot_be_compared(tmp_path: Path) -> None:
    few = write(tmp_path / "few", classes=10, images={"train": 60, "val": 20})
    row = report(few, "stand-in").rows[0]
    assert row.why == OTHER_IMAGES
    assert row.ours == "not reached yet"
    assert row.provenance.startswith("stand-in: 60 training and 20 validation images in 10 classes; ")
    thin = write(tmp_path / "thin", recipe={**RECIPE, "narrow": 8})
    assert report(thin).rows[0].why == SMALLER
    assert "8 times narrower" in report(thin).rows[0].provenance


def test_no_run_has_no_table(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no training has begun in "):
        report(tmp_path)
