"""Notebook 13: what its pictures say follows from the ledger, the log and the numbers given."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.ledger import table
from alexnet_edu.ledger.claims import CLAIMS, RUNS_2012
from alexnet_edu.lessons import ledger as lesson

DOCS = Path(__file__).resolve().parents[2] / "docs"


def words(figure: object) -> list[str]:
    return [text.get_text() for ax in figure.axes for text in ax.texts]  # type: ignore[attr-defined]


def test_every_claim_has_one_tile_under_its_verdict() -> None:
    figure, sentence = lesson.scoreboard()
    said = words(figure)
    tiles = [text.removesuffix(" (exact)") for text in said]
    assert sorted(set(tiles) & {c.id for c in CLAIMS}) == sorted(c.id for c in CLAIMS)
    assert len(said) == len(CLAIMS) + len(lesson.COLUMNS) + 1
    holding = sum(table.word(claim) == "holds" for claim in CLAIMS)
    assert f"{holding} hold and" in sentence
    assert "lrn-formula (exact)" in said


def test_the_picture_of_the_readme_is_current() -> None:
    with Image.open(DOCS / "scoreboard.png") as picture:
        assert json.loads(picture.text["verdicts"]) == lesson.verdicts(), "run python tools/figures.py"  # type: ignore[attr-defined]


def test_gains_are_the_papers_and_the_logs() -> None:
    published = lesson._published()
    for said, logged in published.values():
        if said is not None and logged is not None:
            assert logged == pytest.approx(said, abs=0.07)  # to the rounding of two figures
    assert set(published) == set(lesson._measured())
    clear = sum(all(g.high is not None and g.high < 0 for g in gaps) for gaps in lesson._measured().values())
    assert f"{len(published)} small gains {clear} are clearly above 0" in lesson.gains()[1]


def test_later_runs_are_those_of_the_notes() -> None:
    errors = lesson._from_scratch()
    assert "145" in errors
    assert not {"141-2009", "146-2012-2011", "145-2010", "141-2009 centre"} & set(errors)
    sentence = lesson.later_runs()[1]
    better = [n for n in errors if errors[n] < RUNS_2012["145"].top1 and not n.startswith("145")]
    assert f"{len(better)} are better than the published" in sentence


def test_the_standard_error_is_that_of_the_bootstrap() -> None:
    wrong, other = lesson.two_classifiers(500, seed=1)
    drawn = torch.randint(500, (4000, 500), generator=torch.Generator().manual_seed(0))
    moved = (wrong[drawn].float().mean(1) - other[drawn].float().mean(1)).std().item()
    assert lesson.standard_error(wrong, other) == pytest.approx(moved, rel=0.06)


def test_luck_is_what_lies_between_the_networks() -> None:
    wrong = torch.zeros(3, 100, dtype=torch.bool)
    wrong[0, :20] = wrong[1, :22] = wrong[2, :26] = True  # 20%, 22%, 26%
    apart = [2.0, 6.0, 4.0]
    typical = (sum(a**2 for a in apart) / 3) ** 0.5
    by_images = 100 * (sum(a / 100 for a in apart) / 3 / 100) ** 0.5
    figure, sentence = lesson.luck(wrong, synthetic_images(20, 10).train, guess=3)
    assert f"{typical:.1f} points apart" in sentence
    assert f"would make it {by_images:.1f}. SYNTHETIC images." in sentence
    assert "your guess: 3" in words(figure)
    assert len(list(itertools.combinations(range(3), 2))) == 3


def test_readings_are_a_table_of_three() -> None:
    shown = lesson.readings({"side": (55, 55, 54)})
    assert shown.loc["side"].tolist() == ["55", "55", "54"]
