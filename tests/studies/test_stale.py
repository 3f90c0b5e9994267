"""Which records lack what their studies ask for now."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alexnet_edu.environment import results_dir
from alexnet_edu.studies import ablations
from alexnet_edu.studies.record import load
from alexnet_edu.studies.stale import changed

NAMES = sorted(path.stem for path in results_dir().glob("*.json"))


@pytest.mark.parametrize("name", NAMES)
def test_no_published_record_is_out_of_date(name: str) -> None:
    assert changed(load(name)) == ""


def test_what_is_asked_for_since_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    study = ablations.STUDIES["decay"]
    record = load("decay")
    for asked, words in (
        (replace(study, seeds=4), "0 has 3 of 4 runs; 0.0005 has 3 of 4 runs"),
        (replace(study, epochs=99), "epochs was 10.0, is 99"),
        (
            replace(study, variants=(*study.variants, replace(study.variants[0], name="new"))),
            "new has 0 of 3 runs",
        ),
    ):
        monkeypatch.setitem(ablations.STUDIES, "decay", asked)
        assert changed(record).replace("10 ", "10.0 ").replace("10,", "10.0,") == words


def test_another_plan_is_named() -> None:
    record = load("results")
    plan = record.settings["plan"] | {"networks": 3}
    assert changed(replace(record, settings={**record.settings, "plan": plan})) == "networks was 3, is 10"


def test_a_condition_without_all_of_its_seeds_is_named() -> None:
    record = load("specialization")
    left = record.of(variant=[name for name in record.variants if name != "2012"])
    assert changed(left).startswith("2012 has 0 of ")


def test_times_are_never_out_of_date() -> None:
    assert changed(load("two-columns")) == ""
