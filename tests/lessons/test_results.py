"""Lesson 11: what is drawn is what was given; every choice of the explorer draws and says what it shows."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest
import torch

from alexnet_edu.data.images import Images
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.lessons import results as lesson
from alexnet_edu.show.explorer import PictureWidget
from alexnet_edu.studies import ensemble_record as results
from alexnet_edu.studies.ensembles import Plan
from alexnet_edu.studies.record import Record
from tests.results_sample import invented, sample_record

LABELS = torch.arange(60) % 5
PATCHES = invented(LABELS, 4, 2.0, 5, torch.Generator().manual_seed(1))  # (4, 10, 60, 5)


@pytest.fixture(scope="module")
def record() -> Record:
    return sample_record(Plan(networks=7), images=60)


@pytest.fixture(scope="module")
def images() -> Images:
    return synthetic_images(200, 60).train


# --- what is measured --------------------------------------------------------------------------


def test_pictures_are_the_first_of_each_class_with_new_labels(images: Images) -> None:
    pixels, labels = lesson.pictures(images, [7, 2], 3)
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]
    first = (images.labels == 2).nonzero()[0, 0]
    assert torch.equal(pixels[3], (images.pixels[first].float() - 128) / 64)
    every, _ = lesson.pictures(images, range(10))
    assert len(every) == len(images)


def test_the_curve_goes_through_one_network_and_two() -> None:
    by_size = lesson.errors_by_size(PATCHES[:, 2], LABELS)
    assert {size: len(errors) for size, errors in by_size.items()} == {
        k: math.comb(4, k) for k in range(1, 5)
    }
    a, b = lesson.through_two(by_size)
    assert (a + b, a + b / 2) == pytest.approx([statistics.fmean(by_size[size]) for size in (1, 2)])


# --- pictures ------------------------------------------------------------------------------------


def test_every_figure_says_its_numbers_and_whose_images_they_are(record: Record, images: Images) -> None:
    ten = PATCHES.mean(1)
    live = {
        "patches": lesson.patch_by_patch(PATCHES, LABELS, images),
        "curve": lesson.curve_of_two(PATCHES[:, 2], LABELS, record, images, 2.0),
        "table": lesson.table_two(ten[:3], ten[3:], LABELS, record, images),
    }
    assert all("SYNTHETIC" in sentence for _, sentence in live.values())
    one = statistics.fmean(lesson.error(network[None], LABELS) for network in ten[:3])
    assert live["table"][1].startswith(f"{one:.1%} alone, {lesson.error(ten[:3], LABELS):.1%} averaged")
    assert f"measured {lesson.error(PATCHES[:, 2], LABELS):.1%}" in live["curve"][1]
    gain = -results.view_gap(record, "ten").value
    assert f"Ten patches save {gain:.1f} points" in lesson.three_gains(record)[1]
    for draw in (lesson.head_start, lesson.ways_to_average):
        assert "recorded" in draw(record)[1]
    assert "Only 1 network per problem" in lesson.limits(record)


# --- the explorer ----------------------------------------------------------------------------


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
    means = ", ".join(f"{error:.1%}" for error in results.row_errors(record, row))
    assert f"mean {means}" in alt
    assert ("better than" in alt) == bool(plain and starred)


def test_other_choices_have_no_row_in_the_paper(explorer: PictureWidget) -> None:
    alt = put(explorer, plain=3, starred=1, view="centre")
    assert "the centre alone" in alt
    assert "the paper has no such row" in alt
    assert "no network is chosen" in put(explorer, plain=0, starred=0)


def test_the_stand_in_is_named() -> None:
    plan = Plan(networks=2, problems=1, plain=1, starred=1)
    figure, _ = lesson.results_explorer(sample_record(plan, 60, synthetic=True)).draw(
        plain=1, starred=0, view="ten"
    )
    assert "SYNTHETIC" in figure.get_suptitle()
