"""Lesson 10: what the explorers say is what the schedules and the record hold."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from alexnet_edu.lessons import sgd as lesson
from alexnet_edu.studies import clinic
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


def clinic_record(losses: tuple[float, ...] = (2.303,) * 5, synthetic: bool = False) -> clinic.Clinic:
    layers = tuple(
        clinic.LayerScale(name, 10.0 / 2**i, 1.0 / 10**i, 0.1, 0.01)
        for i, name in enumerate(("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"))
    )
    cells = dict.fromkeys(clinic.SETTINGS, clinic.Cell(layers, losses))
    return clinic.Clinic(cells, cells, 8, {"data": {"synthetic": synthetic}})


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
    widget = lesson.schedule_explorer(recorded(), kind="plateau", patience=patience, margin=margin)
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


def test_every_setting_of_the_clinic_can_be_looked_at() -> None:
    record = clinic_record()
    for setting in clinic.SETTINGS[::11]:
        widget = lesson.clinic_explorer(record, **asdict(setting))
        assert setting.words() in widget.alt
        assert "stands still: the images differ by 1e-07 in the logits" in widget.alt
        assert "conv1 1, conv2 0.1" in widget.alt
    widget.controls["init"].value = "run145"
    assert clinic.INITS["run145"] in widget.alt
    assert "SYNTHETIC" not in widget.alt
    assert "SYNTHETIC" in lesson.clinic_explorer(clinic_record(synthetic=True)).alt
