"""Lesson 11: what is on the axes is what was given; every choice draws and says what it shows."""

from __future__ import annotations

import statistics
from typing import Any

import pytest

from alexnet_edu.lessons import results as lesson
from alexnet_edu.show.explorer import PictureWidget
from alexnet_edu.studies import ensemble_record as results
from alexnet_edu.studies.ensembles import Plan
from alexnet_edu.studies.record import Record
from tests.results_sample import sample_record

# --- the explorer ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def record() -> Record:
    return sample_record(Plan(networks=7), images=60)


@pytest.fixture(scope="module")
def explorer(record: Record) -> PictureWidget:
    return lesson.results_explorer(record)


def put(explorer: PictureWidget, **values: Any) -> str:
    for name, value in values.items():
        explorer.controls[name].value = value
    assert explorer.error is None
    return explorer.alt


@pytest.mark.parametrize(
    ("plain", "starred", "row"), [(1, 0, "1 CNN"), (5, 0, "5 CNNs"), (0, 1, "1 CNN*"), (5, 2, "7 CNNs*")]
)
def test_the_rows_of_table_2_stand_beside_the_record(
    explorer: PictureWidget, record: Record, plain: int, starred: int, row: str
) -> None:
    alt = put(explorer, plain=plain, starred=starred, view="ten")
    assert alt.startswith(f"{plain} from scratch, {starred} pre-trained, ten patches")
    assert f"the paper has {row}: {results.PUBLISHED[row]}" in alt
    mean = statistics.fmean(results.row_errors(record, row))
    assert f"{len(record.settings['problems'])} problems of five classes {mean:.1%} on the mean" in alt


def test_other_choices_have_no_row_in_the_paper(explorer: PictureWidget, record: Record) -> None:
    alt = put(explorer, plain=3, starred=1, view="centre")
    assert "the centre alone" in alt
    assert "the paper has no such row" in alt
    mean = statistics.fmean(results.subset_errors(record, 3, "centre"))
    assert f"on all ten classes {mean:.1%} on the mean of 35 choices" in alt
    alt = put(explorer, plain=0, starred=0)
    assert "on the problems no network is chosen" in alt
    assert "on all ten classes nothing is averaged" in alt


def test_the_stand_in_is_named() -> None:
    plan = Plan(networks=2, problems=1, plain=1, starred=1)
    figure, _ = lesson.results_explorer(sample_record(plan, 60, synthetic=True)).draw(
        plain=1, starred=0, view="ten"
    )
    assert "SYNTHETIC" in figure.get_suptitle()
