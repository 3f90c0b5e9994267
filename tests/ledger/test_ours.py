"""From a record to figures and a verdict. The words for the published records are golden values."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from alexnet_edu.files import DataError
from alexnet_edu.ledger import ours as module
from alexnet_edu.ledger.claims import CLAIMS, HOLDS, NOT_HERE, PARTLY, UNDECIDED, claim_named
from alexnet_edu.ledger.counted import COUNTS
from alexnet_edu.ledger.ours import READERS, lower, of_study, ours
from alexnet_edu.studies import record as studies
from alexnet_edu.studies.record import Record
from alexnet_edu.studies.statistics import Interval
from alexnet_edu.two_gpus.traffic import COLUMNS, HALF

PUBLISHED = Path(__file__).resolve().parents[2] / "data" / "results"
RECORDED = {claim.id: claim.ours["record"] for claim in CLAIMS if "record" in claim.ours}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ALEXNET_EDU_RESULTS", str(tmp_path))
    return tmp_path


def test_without_records_only_what_is_counted_has_a_value(folder: Path) -> None:
    assert {claim.id for claim in CLAIMS if ours(claim.id)} == set(COUNTS)
    assert set(COUNTS) | set(RECORDED) == {claim.id for claim in CLAIMS if claim.ours}


@pytest.mark.parametrize("name", sorted(set(RECORDED.values())))
def test_the_stand_in_is_named(name: str, folder: Path) -> None:
    record = json.loads((PUBLISHED / f"{name}.json").read_text())
    record["provenance"]["data"]["synthetic"] = True
    (folder / f"{name}.json").write_text(json.dumps(record))
    texts = {claim_id: ours(claim_id) for claim_id, file in RECORDED.items() if file == name}
    silent = {claim_id for claim_id, found in texts.items() if found and "stand-in" not in found.value}
    assert silent <= {"aug-free", "two-gpu-time"}  # times: the images do not matter


def published(name: str, **changed: Any) -> str:
    return json.dumps(json.loads((PUBLISHED / f"{name}.json").read_text()) | changed)


@pytest.mark.parametrize(
    "damage",
    [
        lambda name: "",
        lambda name: published(name)[:1000],
        lambda name: "[1, 2]",
        lambda name: published(name, experiment="figure4"),
        lambda name: published(name, tables={"runs": {}}),
        lambda name: published(name, provenance={}),
    ],
    ids=["empty", "cut", "list", "another study", "nothing in it", "no provenance"],
)
def test_a_damaged_record_is_named_without_its_folder(damage: Any, folder: Path) -> None:
    (folder / "pooling.json").write_text(damage("pooling"))
    with pytest.raises(DataError, match=r"pooling\.json") as caught:
        ours("pool-overlap")
    assert str(folder) not in str(caught.value)


# --- rules ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gaps", "verdict"),
    [
        ([Interval(-2, -3, -1)], HOLDS),
        ([Interval(-2, -3, -1), Interval(-1, -2, 0.5)], PARTLY),
        ([Interval(-2)], PARTLY),  # one seed has no interval
        ([Interval(-2, -3, -1), Interval(1, 0.5, 3)], NOT_HERE),
        ([Interval(-2, -3, -1), Interval(1, -2, 3)], UNDECIDED),
    ],
)
def test_lower(gaps: list[Interval], verdict: str) -> None:
    assert lower(gaps) == verdict


# --- studies --------------------------------------------------------------------------------------


def study(**errors: dict[float, list[tuple[float, float]]]) -> Record:
    """errors: variant -> rate -> (test, training error) of each seed; the first rate is the chosen one.

    Training errors fall in a straight line from 0.9 at the start, in four epochs.
    """
    runs, curves = [], []
    for name, by_rate in errors.items():
        for rate, seeds in by_rate.items():
            for seed, (test, train) in enumerate(seeds, start=1):
                key = {"variant": name.lstrip("_"), "rate": rate, "chosen": rate == next(iter(by_rate))}
                key["seed"] = seed
                for epoch in range(1, 5):
                    error = 0.9 + (train - 0.9) * epoch / 4
                    curves.append({"run": len(runs), **key, "epoch": float(epoch), "train_error": error})
                runs.append(key | {"test_error": test, "train_error": train, "gap": test - train})
    data = {"synthetic": False, "source": "photographs", "images": 10}
    tables = {"runs": pd.DataFrame(runs), "curves": pd.DataFrame(curves)}
    return Record("a study", "", {"epochs": 4}, {"data": data}, tables)


WORSE, BETTER, BAD = [(0.20, 0.10), (0.22, 0.12)], [(0.18, 0.11), (0.20, 0.13)], [(0.30, 0.30), (0.32, 0.32)]


def test_means_over_the_seeds_at_the_chosen_rate() -> None:
    figures = of_study(claim_named("pool-overfit"), study(z2={0.01: WORSE}, z3={0.01: BETTER}))
    assert figures is not None
    assert figures["each"] == "7.0 points at z = 3, 10.0 at z = 2, training error 12.0% against 11.0%"
    assert figures["verdict"] == HOLDS


def test_where_the_chosen_rates_differ_both_are_shown_at_each() -> None:
    record = study(z3={0.01: BETTER, 0.02: BAD}, z2={0.02: WORSE, 0.01: BAD})
    figures = of_study(claim_named("pool-overlap"), record)
    assert figures is not None
    assert figures["each"] == "19.0% against 21.0%"
    assert figures["at_one_rate"] == (
        "; at one rate for both: 19.0% against 31.0% (ε = 0.01); 31.0% against 21.0% (ε = 0.02)"
    )


def test_all_at_the_rate_of_one_of_them() -> None:
    record = study(conv3={0.01: BETTER, 0.02: BAD}, half={0.02: BETTER, 0.01: WORSE})
    figures = of_study(claim_named("two-gpu-gain"), record)
    assert figures is not None
    assert figures["each"] == "19.0% against 21.0%"
    assert figures["rate"] == 0.01
    assert figures["verdict"] == PARTLY


def test_differences_seed_by_seed_at_each_shared_rate() -> None:
    same = {"0": {0.01: WORSE, 0.02: BAD}, "0.0005": {0.01: BETTER}}
    figures = of_study(claim_named("wd-trains"), study(**same))
    assert figures is not None
    assert figures["by_rate"] == "+1.00 [+1.00, +1.00] points (ε = 0.01)"
    assert figures["verdict"] == NOT_HERE
    assert of_study(claim_named("wd-trains"), study(**(same | {"0.0005": {0.03: BETTER}}))) is None


def test_errors_after_one_epoch() -> None:
    figures = of_study(claim_named("init"), study(ones={0.01: WORSE}, zeros={0.01: BAD}))
    assert figures is not None
    assert figures["each"] == "70.2% against 75.2%"  # a quarter of the way from 90%
    assert figures["verdict"] == HOLDS


@pytest.mark.parametrize(
    ("train", "words", "verdict"),
    [
        (0.28, "1.3 times as many, 1.3 times as many", PARTLY),
        (0.35, "1.5 times as many, not reached by all", PARTLY),
        (0.48, "not reached by all, not reached by all", PARTLY),
    ],
)
def test_how_many_times_the_epochs_dropout_takes(train: float, words: str, verdict: str) -> None:
    record = study(none={0.01: [(0.5, 0.1), (0.51, 0.1)]}, _2012={0.01: [(0.4, train), (0.41, train)]})
    figures = of_study(claim_named("dropout-iters"), record)
    assert figures is not None
    assert (figures["slower"], figures["verdict"]) == (words, verdict)


def test_half_a_comparison_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.studies, "load", lambda name: study(z3={0.01: BETTER}))
    assert ours("pool-overlap") is None


# --- Figure 1 -------------------------------------------------------------------------------------


def ratio(condition: str, low: float | None, at_least: float | None = None, runs: int = 5) -> dict[str, Any]:
    epochs = (math.nan,) * 3 if low is None else (low + 0.5, low, low + 1)
    names = {"condition": condition, "title": condition, "numerator": "tanh", "denominator": "relu"}
    numbers = dict(zip(("epochs", "epochs_low", "epochs_high"), epochs, strict=True))
    return names | numbers | {"runs": 5, "relu_runs": runs, "at_least": at_least or math.nan}


def figure1(target: float, *rows: dict[str, Any], **tables: pd.DataFrame) -> Record:
    return Record("figure1", "", {"target_error": target}, {}, {"ratios": pd.DataFrame(list(rows)), **tables})


@pytest.mark.parametrize(
    ("row", "words", "verdict"),
    [
        (ratio("2012", 5.5), "6.0 times [5.5, 6.5]", HOLDS),
        (ratio("2012", 2.0), "2.5 times [2.0, 3.0]", PARTLY),
        (ratio("2012", 0.5), "1.0 times [0.5, 1.5]", NOT_HERE),
        (ratio("2012", None, 4.0), "at least 4.0 times", PARTLY),
        (ratio("2012", None), "no ratio, for ReLU did not always reach 25%", NOT_HERE),
    ],
)
def test_six_times(row: dict[str, Any], words: str, verdict: str) -> None:
    figures = READERS["relu-6x"](figure1(0.25, row))
    assert figures is not None
    assert (figures["times"], figures["verdict"]) == (words, verdict)


def test_another_target_and_a_single_network_say_nothing() -> None:
    assert READERS["relu-6x"](figure1(0.4, ratio("2012", 5.5))) is None
    assert READERS["relu-several"](figure1(0.25, ratio("2012", 5.5))) is None


def reaching(**epochs: tuple[float, ...]) -> Record:
    """Runs whose training error falls from 0.9 to 0.25 at these epochs; 0: it never gets there."""
    runs: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    for name, seeds in epochs.items():
        for at in seeds:
            run = {"run": len(runs), "variant": name.replace("_", " ").strip()}
            curves += [run | {"epoch": 0.0, "train_error": 0.9}]
            curves += [run | {"epoch": at or 9.0, "train_error": 0.25 if at else 0.3}]
            runs.append(run)
    return figure1(0.25, runs=pd.DataFrame(runs), curves=pd.DataFrame(curves))


@pytest.mark.parametrize(
    ("raw", "words", "verdict"),
    [
        ((5.0, 6.0), "5.5", HOLDS),
        ((9.0, 9.0), "9.0", NOT_HERE),
        ((5.0, 0), "(1 of 2 runs reached it)", NOT_HERE),
    ],
)
def test_inputs_that_relu_needs_not(raw: tuple[float, float], words: str, verdict: str) -> None:
    others = {"standardized_relu": (5.0, 6.0), "_2012_tanh": (33.0,), "standardized_tanh": (9.0,)}
    figures = READERS["relu-saturate"](reaching(_2012_relu=raw, **others))
    assert figures == {"relu": [words, "5.5"], "tanh": ["33.0", "9.0"], "verdict": verdict}


@pytest.mark.parametrize(
    ("columns", "verdict"),
    [([0.9, 0.8, 0.95], HOLDS), ([0.9, 0.8, 1.1], PARTLY), ([0.9, 1.2, 1.1], NOT_HERE)],
)
def test_two_columns_must_take_less_time_in_every_round(columns: list[float], verdict: str) -> None:
    seconds = {"what": [HALF] * 3 + [COLUMNS] * 3, "seconds": [1.0] * 3 + columns}
    record = Record("two-columns", "", {"batch": 4}, {}, {"seconds": pd.DataFrame(seconds)})
    assert READERS["two-gpu-time"](record)["verdict"] == verdict  # type: ignore[index]


def test_patterns_that_nobody_can_tell_apart_decide_nothing() -> None:
    claim = claim_named("connectivity")
    for scale, verdict in ((1.0, UNDECIDED), (0.0, HOLDS)):
        record = studies.load("exchange")
        conv3 = record.runs["variant"] == "conv3"
        record.runs.loc[conv3, "test_error"] *= scale
        assert of_study(claim, record)["verdict"] == verdict  # type: ignore[index]
