"""Lesson 10b: what the explorers say is what the schedules and the record hold."""

from __future__ import annotations

import pytest

from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.lessons import sgd as lesson
from alexnet_edu.studies.record import Record, of_rows
from alexnet_edu.training.schedules import LOGGED, PlateauSchedule

ERRORS = [0.60, 0.50, 0.45, 0.46, 0.45, 0.40, 0.41, 0.42, 0.41, 0.43, 0.42, 0.41]


def recorded() -> Record:
    titles = {"constant": "never", "plateau": "when it stalls", "logged": "as logged"}
    runs = [{"variant": v, "title": title, "seed": seed} for v, title in titles.items() for seed in (1, 2, 3)]
    curves = [
        {"run": run, "epoch": float(epoch), "validation_error": error}
        for run in range(len(runs))
        for epoch, error in enumerate(ERRORS, start=1)
    ]
    return of_rows("schedule", "", {}, {}, {"runs": runs, "curves": curves})


@pytest.mark.parametrize("name", LOGGED)
def test_a_logged_run_is_compressed_to_any_length(name: str) -> None:
    widget = lesson.schedule_explorer(kind=name)
    for epochs in lesson.LENGTHS[::3]:
        widget.controls["epochs"].value = epochs
        assert widget.error is None
        assert f"in {epochs} epochs" in widget.alt
        for drop in LOGGED[name].compressed(epochs).drops:
            assert f"{drop:.3g}" in widget.alt
    assert ("frozen from" in widget.alt) == (LOGGED[name].conv1_frozen is not None)


@pytest.mark.parametrize(("patience", "margin"), [(1, 0.0), (5, 0.0), (2, 0.01)])
def test_the_rule_follows_patience_and_margin(patience: int, margin: float) -> None:
    widget = lesson.schedule_explorer(recorded(), epochs=12, kind="plateau", patience=patience, margin=margin)
    falls = PlateauSchedule(patience, margin).falls(ERRORS)
    assert f"divided by ten at {', '.join(map(str, falls)) or 'no epoch'};" in widget.alt


def test_a_recorded_curve_stands_under_its_schedule() -> None:
    widget = lesson.schedule_explorer(recorded())
    assert "the variant 'as logged'" in widget.alt
    widget.controls["kind"].value = "constant"
    assert "never falls" in widget.alt
    assert "the variant 'never'" in widget.alt
    widget.controls["kind"].value = "147"
    assert "the variant" not in widget.alt  # nothing was trained by that one
    assert "no validation errors are recorded" in lesson.schedule_explorer(kind="plateau").alt


def test_a_guess_is_drawn_into_the_coasting_velocity() -> None:
    distances = {"the paper's form": [0.0, 0.9, 1.71], "PyTorch's form": [0.0, 0.09, 0.171]}
    (ax,), sentence = lesson.coasting(distances, 1.0)[0].axes, lesson.coasting(distances)[1]
    assert "your guess: 1" in [text.get_text() for text in ax.texts]
    assert "1.7 times its size in the paper's form, 0.2 times its size in PyTorch's form" in sentence


def test_the_figure_of_the_cliff_compares_the_ends() -> None:
    images = synthetic_images(10, 1).train
    errors = {"stays": [0.5] * 100, "falls": [0.5] * 50 + [0.2] * 50}
    assert "stays, 50% training error; falls, 20%" in lesson.cliff(errors, 50, images)[1]
