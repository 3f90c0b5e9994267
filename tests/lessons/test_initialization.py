"""Lesson 10: the theory of the gains against the record, the table of fates, and the explorer."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

import pytest

from alexnet_edu.lessons import initialization as lesson
from alexnet_edu.model.architecture import fan_ins, variant
from alexnet_edu.studies import clinic
from alexnet_edu.studies.clinic import Setting


def clinic_record(losses: tuple[float, ...] = (2.303,) * 5, synthetic: bool = False) -> clinic.Clinic:
    layers = tuple(
        clinic.LayerScale(name, 10.0 / 2**i, 1.0 / 10**i, 0.1, 0.01)
        for i, name in enumerate(("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"))
    )
    cells = dict.fromkeys(clinic.SETTINGS, clinic.Cell(layers, losses))
    return clinic.Clinic(cells, cells, 8, {"data": {"synthetic": synthetic}})


def test_every_setting_of_the_clinic_can_be_looked_at() -> None:
    record = clinic_record()
    for setting in clinic.SETTINGS[::11]:
        widget = lesson.clinic_explorer(record, **asdict(setting))
        assert setting.words() in widget.alt
        assert "stands still: the images differ by 0.0000001 in the logits" in widget.alt
        assert "conv1 1, conv2 0.1" in widget.alt
    widget.controls["init"].value = "run145"
    assert clinic.INITS["run145"] in widget.alt
    assert "SYNTHETIC" not in widget.alt
    assert "SYNTHETIC" in lesson.clinic_explorer(clinic_record(synthetic=True)).alt


@pytest.fixture(scope="module")
def record() -> clinic.Clinic:
    return clinic.load()


def test_the_record_bears_out_the_theory_of_the_gains(record: clinic.Clinic) -> None:
    gains = {name: (n / 2) ** 0.5 * 0.01 for name, n in fan_ins(variant("paper")).items()}
    assert all(gain < 1 for gain in gains.values())
    for inputs in clinic.INPUTS:
        paper, he = ([x.signal for x in record.full[Setting(inputs, i)].layers] for i in ("paper", "he"))
        assert paper[0] > 1000 * paper[-1]
        assert he[0] < 100 * he[-1]
    for inputs in ("raw", "unit"):  # five layers without the factor √(1/2): √2⁵ = 5.7
        ones, zeros = (record.full[Setting(inputs, biases=b)].layers[-1].signal for b in clinic.BIASES)
        assert 3 < ones / zeros < 10


def test_a_narrow_network_stands_for_the_papers(record: clinic.Clinic) -> None:
    assert "to a factor of 1.5" in lesson.narrow_and_wide(record)[1]


def test_the_fates_are_those_that_lesson_10_tells(record: clinic.Clinic) -> None:
    fates = {tuple(asdict(s).values()): cell.fate for s, cell in record.narrow.items()}
    assert Counter(fates.values()) == {
        "learns": 25,
        "stands still": 8,
        "learns, then leaps": 2,
        "explodes": 1,
    }
    assert all(fate == "learns" for (*_, rule), fate in fates.items() if rule == "adam")
    assert fates["raw", "paper", "ones", "sgd"] == "learns, then leaps"
    assert fates["raw", "he", "ones", "sgd"] == "explodes"
    first_below = [
        next(i for i, loss in enumerate(record.narrow[Setting(init=init)].losses) if loss < 2)
        for init in ("paper", "run145")
    ]
    assert first_below[0] > 25 > 12 > first_below[1]
    assert max(record.full[Setting("raw", "he")].losses) > 1e4
    assert max(record.full[Setting("unit", "he")].losses) > 10
    assert record.full[Setting(rule="adam")].losses[1] > 20


def test_the_guess_stands_at_the_logits(record: clinic.Clinic) -> None:
    theory = dict.fromkeys(fan_ins(variant("paper")), 1.0)
    (ax,) = lesson.signal_by_layer(record, lambda pixels: theory, 0.5)[0].axes
    assert "your guess: 0.5" in [text.get_text() for text in ax.texts]
