"""The explorers of notebook 10: what they say is what the schedules and the record hold."""

from __future__ import annotations

import math
from typing import Any

import pytest

from alexnet_edu.lessons.sgd_widgets import LENGTHS, MARGINS, PATIENCE, clinic_explorer, schedule_explorer
from alexnet_edu.studies import clinic
from alexnet_edu.training.schedules import LOGGED, PlateauSchedule

ERRORS = [0.60, 0.50, 0.45, 0.46, 0.45, 0.40, 0.41, 0.42, 0.41, 0.43, 0.42, 0.41]


def study_cells() -> list[dict[str, Any]]:
    curve = {"epoch": [float(i) for i in range(1, 13)], "validation_error": ERRORS}
    titles = {"constant": "never", "plateau": "when it stalls", "logged": "as logged"}
    return [
        {"variant": name, "title": title, "runs": [{"curve": curve}] * 3} for name, title in titles.items()
    ]


def clinic_record(losses: tuple[float, ...] = (2.303,) * 5, synthetic: bool = False) -> clinic.Clinic:
    layers = tuple(
        clinic.LayerScale(name, 10.0 / 2**i, 1.0 / 10**i, 0.1, 0.01)
        for i, name in enumerate(("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"))
    )
    cells = dict.fromkeys(clinic.SETTINGS, clinic.Cell(layers, losses))
    return clinic.Clinic(cells, cells, 8, {"data": {"synthetic": synthetic}})


# --- schedules -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOGGED)
def test_a_logged_run_pressed_into_any_length(name: str) -> None:
    widget = schedule_explorer(kind=name)
    for epochs in LENGTHS[::3]:
        widget.controls["epochs"].value = epochs
        assert widget.error is None
        assert f"in {epochs} epochs" in widget.alt
        for drop in LOGGED[name].compressed(epochs).drops:
            assert f"{drop:.3g}" in widget.alt
    assert ("frozen from" in widget.alt) == (LOGGED[name].conv1_frozen is not None)


def test_the_rule_follows_patience_and_margin() -> None:
    widget = schedule_explorer(study_cells(), kind="plateau")
    for patience, margin in (
        (PATIENCE[0], MARGINS[0]),
        (PATIENCE[-1], MARGINS[0]),
        (PATIENCE[1], MARGINS[-1]),
    ):
        widget.controls["patience"].value, widget.controls["margin"].value = patience, margin
        falls = PlateauSchedule(patience, margin).falls(ERRORS)
        told = ", ".join(f"{fall:.3g}" for fall in falls) or "no epoch"
        assert f"divided by ten at {told}" in widget.alt
        assert widget.error is None


def test_a_recorded_curve_stands_under_its_schedule() -> None:
    widget = schedule_explorer(study_cells())
    assert "the variant 'as logged'" in widget.alt
    widget.controls["kind"].value = "constant"
    assert "the variant 'never'" in widget.alt
    assert "never falls" in widget.alt
    widget.controls["kind"].value = "147"
    assert "the variant" not in widget.alt  # nothing was trained by that one


def test_without_a_record_the_rule_says_so() -> None:
    widget = schedule_explorer(kind="plateau")
    assert widget.error is None
    assert "no validation errors are recorded" in widget.alt


def test_a_length_that_is_not_offered_is_refused() -> None:
    with pytest.raises(ValueError, match="13"):
        schedule_explorer(epochs=13)


# --- the clinic ----------------------------------------------------------------------------


def test_every_setting_can_be_looked_at() -> None:
    record = clinic_record()
    for setting in clinic.SETTINGS[::11]:
        widget = clinic_explorer(record, setting)
        assert widget.error is None
        assert setting.words() in widget.alt
        assert "stands still: the images differ by 1e-07 in the logits" in widget.alt
        assert "conv1 1, conv2 0.1" in widget.alt


def test_a_control_changes_the_setting() -> None:
    widget = clinic_explorer(clinic_record())
    before = widget.png
    widget.controls["init"].value = "he"
    assert widget.error is None
    assert clinic.Setting(init="he").words() in widget.alt
    assert widget.png is not None
    assert before is not None


def test_losses_beyond_any_number_are_drawn() -> None:
    widget = clinic_explorer(clinic_record((2.3, 1e9, math.inf)))
    assert widget.error is None
    assert "explodes" in widget.alt
    assert math.isfinite(len(widget.png))


def test_synthetic_images_are_told() -> None:
    assert "SYNTHETIC" in clinic_explorer(clinic_record(synthetic=True)).alt
