"""The texts of the claims against the paper's figures and the authors' notes."""

from __future__ import annotations

import re

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

# The figures of the paper, copied once more from the list of its claims.
FIGURES: dict[str, list[float]] = {
    "size-params": [60],
    "size-neurons": [650_000],
    "fig2-neurons": [150_528, 253_440, 186_624, 64_896, 64_896, 43_264, 4096, 4096, 1000],
    "conv-share": [1],
    "size-224": [224, 224, 11, 11, 4],
    "memory-3gb": [3],
    "relu-6x": [6, 25],
    "two-gpu-gain": [1.7, 1.2],
    "lrn-gain": [1.4, 1.2],
    "lrn-cifar": [13, 11],
    "lrn-formula": [2, 5, 1e-4, 0.75],
    "pool-overlap": [0.4, 0.3, 3, 2, 2],
    "aug-2048": [2048],
    "ten-crop": [37.5, 17.0, 10, 39.0, 18.3],
    "pca-gain": [1],
    "pca-formula": [0, 0.1],
    "dropout-iters": [0.5, 2],
    "dropout-geomean": [0.5],
    "sgd-rule": [0.9, 0.0005, 128],
    "init": [0, 0.01, 1],
    "lr-schedule": [0.01, 10, 3, 90, 5, 6],
    "table1": [37.5, 17.0, 47.1, 28.2, 45.7, 25.7],
    "table2-1": [40.7, 18.2],
    "table2-5": [5, 38.1, 16.4, 16.4],
    "table2-1s": [39.0, 16.6],
    "table2-7s": [7, 36.7, 15.4, 15.3, 26.2],
    "fall2009": [67.4, 40.9, 10_184, 8.9, 78.1, 60.9],
    "kernels": [96, 11, 11, 3],
    "top5-panel": [5, 8],
    "neighbours": [5, 6],
    "binary-codes": [4096],
    "depth": [2],
}


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


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_figures_are_those_of_the_paper(claim: Claim) -> None:
    assert numbers(claim.paper) == FIGURES.get(claim.id, [])
    assert set(numbers(claim.paper)) <= constants() | {0.0, 1.0}  # N(0, …), biases of 1


def test_every_notebook_treats_a_claim() -> None:
    assert {claim.notebook for claim in CLAIMS} == set(NOTEBOOKS)


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


def test_gains_from_different_images_are_refused() -> None:
    with pytest.raises(ValueError, match="145-half"):
        log_gain("145", "145-half")


@pytest.mark.parametrize(
    ("claim_id", "figures"),
    [
        ("size-params", ["60,965,224"]),
        ("size-neurons", ["659,272"]),
        ("fig2-neurons", ["290,400"]),
        ("conv-share", ["1.45%", "1.09%"]),
        ("two-gpu-time", ["724.4M", "364.3M", "391.5M"]),
        ("two-gpu-comm", ["11.08 MB", "2.36 MB", "1.05 MB", "60 MB", "244 MB"]),
        ("two-gpu-gain", ["1.695 / 1.230"]),
        ("lrn-gain", ["1.370 / 1.152"]),
        ("pool-overlap", ["0.394 / 0.300"]),
        ("connectivity", ["1.16 / 1.12"]),
        ("aug-2048", ["33×33×2 = 2178"]),
        ("memory-3gb", ["3206 MiB", "3072"]),
    ],
)
def test_the_log_column(claim_id: str, figures: list[str]) -> None:
    for figure in figures:
        assert figure in claim_named(claim_id).log


def test_figure_1_rows_say_that_2012_left_no_tanh_run() -> None:
    for claim_id in ("relu-6x", "relu-several", "relu-saturate"):
        assert "no tanh run" in claim_named(claim_id).log


def test_five_runs_before_the_contest() -> None:
    """Table 2's average of five beats each of them, and their mean, by about as much as in the paper."""
    tops = [100 * RUNS_2012[name].top1 for name in BEFORE_THE_CONTEST]
    assert len(tops) == paper.FIVE_CNNS
    assert sum(tops) / len(tops) == pytest.approx(40.9, abs=0.01)
    assert min(tops) > paper.FIVE_CNNS_VALIDATION.top1
    assert ", ".join(BEFORE_THE_CONTEST) in claim_named("table2-5").log


def test_an_unknown_claim_comes_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"'relu-7x'.*relu-6x"):
        claim_named("relu-7x")
