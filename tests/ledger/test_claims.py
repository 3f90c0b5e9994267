"""The texts of the claims against the paper's figures and the authors' notes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from alexnet_edu import paper
from alexnet_edu.ledger.claims import (
    BEFORE_THE_CONTEST,
    CLAIMS,
    NOTEBOOKS,
    RUNS_2012,
    Claim,
    claim_named,
    log_gain,
)

LESSONS = Path(__file__).resolve().parents[2] / "notebooks" / "src"


def numbers(text: str) -> list[float]:
    """Numbers that stand alone: not the 1 of top-1, the 2 of conv2, the 580 of the card's name."""
    text = text.replace(paper.GPU_NAME, "")
    found = re.findall(r"(?<![\w.\-])(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?", text)
    return [float(whole.replace(",", "") + fraction) for whole, fraction in found]


def constants() -> set[float]:
    """All figures in `paper`, also as percent or in millions."""
    found: set[float] = set()

    def add(value: object) -> None:
        if isinstance(value, tuple):
            for item in value:
                add(item)
        elif isinstance(value, int | float):
            found.update((float(value), round(value * 100, 6), value / 1e6))

    for name, value in vars(paper).items():
        if name.isupper():
            add(value)
    return found


def test_every_claim_is_there_once() -> None:
    assert len(CLAIMS) == len({claim.id for claim in CLAIMS}) == 43


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_entries_are_well_formed(claim: Claim) -> None:
    part = r"(abstract|footnote|\d(\.\d)?|Fig\. \d( left| right)?|Table \d)"
    assert re.fullmatch(rf"{part}(, {part})*", claim.section)
    assert claim.notebook in NOTEBOOKS
    assert set(claim.check) <= {"exact", "small", "imagenet"}
    assert len(set(claim.check)) == len(claim.check)
    assert bool(claim.check) == (claim.id != "no-pretrain")
    assert claim.statement.endswith(".")
    assert claim.how.endswith(".")
    assert claim.paper
    assert claim.log


@pytest.mark.parametrize("claim", [c for c in CLAIMS if c.check], ids=lambda claim: claim.id)
def test_its_lesson_gives_the_verdict(claim: Claim) -> None:
    (lesson,) = LESSONS.glob(f"{claim.notebook}_*.py")
    assert f'"{claim.id}"' in lesson.read_text(encoding="utf-8")


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_figures_are_those_of_the_paper(claim: Claim) -> None:
    assert set(numbers(claim.paper)) <= constants() | {0.0, 1.0}  # N(0, …), biases of 1


def test_published_tables_are_the_logged_runs_rounded() -> None:
    published = {
        "145-2010": paper.CNN_2010,
        "145-2010 centre": paper.WITHOUT_TEN_PATCHES,
        "145": paper.CNN_2012_VALIDATION,
        "146-2012-2011": paper.PRETRAINED_CNN_VALIDATION,
    }
    for run, errors in published.items():
        logged = RUNS_2012[run]
        assert errors == (round(100 * logged.top1, 1), round(100 * logged.top5, 1))
    gains = {
        ("145-2010", "145-half"): paper.TWO_GPU_GAIN,
        ("145", "148"): paper.LRN_GAIN,
        ("145", "147"): paper.POOL_GAIN,
    }
    for (better, worse), gain in gains.items():
        assert log_gain(better, worse, digits=1) == f"{gain.top1} / {gain.top5}"


def test_logged_rates_are_whole_numbers_of_wrong_images() -> None:
    images = {"2012 validation": paper.VALIDATION_IMAGES, "2010 test": paper.TEST_IMAGES}
    for run in RUNS_2012.values():
        if run.on in images:
            # The notes print six decimals, which is coarser than one of 150,000 images.
            for rate in (run.top1, run.top5):
                assert abs(round(rate * images[run.on]) / images[run.on] - rate) <= 0.5e-6


def test_five_runs_before_the_contest() -> None:
    """Table 2's average of five beats each of them, and their mean, by about as much as in the paper."""
    tops = [100 * RUNS_2012[name].top1 for name in BEFORE_THE_CONTEST]
    assert len(tops) == paper.FIVE_CNNS
    assert sum(tops) / len(tops) == pytest.approx(40.9, abs=0.01)
    assert min(tops) > paper.FIVE_CNNS_VALIDATION.top1
    assert ", ".join(BEFORE_THE_CONTEST) in claim_named("table2-5").log
