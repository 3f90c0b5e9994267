"""The explorer of notebook 11: every choice draws, says what it shows, and a bad one is refused."""

from __future__ import annotations

import statistics
from typing import Any

import pytest

from alexnet_edu import paper
from alexnet_edu.lessons.result_widgets import results_explorer
from alexnet_edu.show.explorer import PictureWidget
from alexnet_edu.studies import result_records as results
from alexnet_edu.studies.result_trials import Plan
from tests.results_sample import sample_record


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    return sample_record(images=100)


@pytest.fixture(scope="module")
def explorer(record: dict[str, Any]) -> PictureWidget:
    return results_explorer(record)


def put(explorer: PictureWidget, **values: Any) -> str:
    for name, value in values.items():
        explorer.controls[name].value = value
    assert explorer.error is None
    assert explorer.png is not None
    assert explorer.png.startswith(b"\x89PNG")
    return explorer.alt


@pytest.mark.parametrize(
    ("plain", "starred", "row"), [(1, 0, "1 CNN"), (5, 0, "5 CNNs"), (0, 1, "1 CNN*"), (5, 2, "7 CNNs*")]
)
def test_the_rows_of_table_2_are_found(
    explorer: PictureWidget, record: dict[str, Any], plain: int, starred: int, row: str
) -> None:
    alt = put(explorer, plain=plain, starred=starred, view="ten")
    assert alt.startswith(f"{plain} from scratch, {starred} pre-trained, ten patches")
    assert f"the paper has {row}: {results.PUBLISHED[row]}" in alt
    mean = statistics.fmean(results.row_errors(record, row))
    problems = len(record["problems"])
    assert f"{problems} problems of five classes {mean:.1%} on the mean" in alt


def test_other_choices_have_no_row_in_the_paper(explorer: PictureWidget, record: dict[str, Any]) -> None:
    alt = put(explorer, plain=3, starred=1, view="centre")
    assert "the centre alone" in alt
    assert "the paper has no such row" in alt
    mean = statistics.fmean(results.subset_errors(record, 3, "centre"))
    assert f"on all ten classes {mean:.1%} on the mean of 120 choices" in alt


def test_no_network_at_all_is_told(explorer: PictureWidget) -> None:
    alt = put(explorer, plain=0, starred=0)
    assert "on the problems no network is chosen" in alt
    assert "on all ten classes nothing is averaged" in alt


def test_each_control_changes_the_picture(explorer: PictureWidget) -> None:
    put(explorer, plain=2, starred=1, view="ten")
    before = explorer.png
    for change in ({"plain": 4}, {"starred": 2}, {"view": "centre"}):
        put(explorer, **change)
        assert explorer.png != before
        before = explorer.png


def test_where_the_sliders_start_is_checked(record: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"up to 5 networks from scratch, 2 pre-trained.*got 6, 0, 'ten'"):
        results_explorer(record, plain=6)
    with pytest.raises(ValueError, match="the views ten, centre; got 1, 0, 'nine'"):
        results_explorer(record, view="nine")


def test_the_stand_in_is_named() -> None:
    plan = Plan(networks=2, problems=1, plain=1, starred=1)
    explorer = results_explorer(sample_record(plan, 60, synthetic=True), plain=1)
    figure, _ = explorer.draw(plain=1, starred=0, view="ten")
    assert "SYNTHETIC" in figure.get_suptitle()


def test_published_rows_are_table_2() -> None:
    assert results.PUBLISHED["7 CNNs*"] == paper.SEVEN_CNNS_VALIDATION
    assert list(results.PUBLISHED) == list(results.ROWS)
