"""Figure 1: where runs cross the target, how many times slower each activation was, two precisions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.studies import figure1
from alexnet_edu.studies.engine import Runs
from alexnet_edu.studies.figure1 import STUDY
from alexnet_edu.studies.record import Record, of_rows


def record(limit: float = 40, **epochs: list[float | None]) -> Record:
    """activation -> epochs to the target of each seed, None if it never gets there."""
    runs: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    for activation, reached in epochs.items():
        for seed, epoch in enumerate(reached, start=1):
            ends = [(0.0, 0.9), (limit, 0.4) if epoch is None else (epoch, 0.25)]
            curves += [
                {"run": len(runs), "epoch": at, "train_error": error, "iteration": at, "cpu_seconds": 2 * at}
                for at, error in ends
            ]
            about = {"variant": f"2012 {activation}", "title": "raw pixels", "rate": 0.01, "chosen": True}
            runs.append(about | {"seed": seed, "epochs": limit})
    tables = {"runs": runs, "curves": curves}
    return of_rows("figure1", "", {"target_error": 0.25}, {}, tables)


def test_ratios_are_those_of_the_means_and_a_run_that_never_gets_there_gives_a_bound() -> None:
    both = record(relu=[5, 7], tanh=[30, 42])
    (row,) = figure1.ratios(both).to_dict("records")
    assert (row["epochs"], row["seconds"], row["runs"]) == (6, 6, 2)
    assert row["epochs_low"] < 6 < row["epochs_high"]
    assert "6.0 [" in figure1.ratios_table(figure1.ratios(both))
    assert both.mean_crossing("2012 relu", axis="cpu_seconds") == pytest.approx(12)
    assert "40" not in figure1.crossings_table(both)


@pytest.mark.parametrize(
    ("relu", "tanh", "column", "value", "words"),
    [
        ([5, 5], [30, None], "at_least", 7.0, "at least 7.0"),
        ([5.6, 5.6], [30, None], "at_least", 6.2, "at least 6.2"),  # 35 / 5.6 = 6.25: never rounded up
        ([5, None], [30, 30], "relu_not_within", 40, "ReLU not within 40"),
    ],
)
def test_what_never_gets_there_gives_a_bound(
    relu: list[float | None], tanh: list[float | None], column: str, value: float, words: str
) -> None:
    made = record(relu=relu, tanh=tanh)
    rows = figure1.ratios(made)
    assert rows[column].tolist() == [value]
    assert rows["epochs"].isna().all()
    assert words in figure1.ratios_table(rows)
    assert "not within 40" in figure1.crossings_table(made)


def test_a_study_from_search_to_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trains for real: the tables, and nothing more after a second call."""
    variants = tuple(
        replace(v, seeds=2, epochs=2, network=replace(v.network, channels=(4, 4, 4)))  # type: ignore[type-var]
        for v in STUDY.variants
        if v.name in ("modern relu", "modern tanh")
    )
    tiny = replace(STUDY, variants=variants, most_rates=1, target_error=0.88)
    check = replace(tiny.run(variants[1], variants[1].start_rate, 1, epochs=1), target_error=None)
    monkeypatch.setattr(figure1, "STUDY", tiny)
    monkeypatch.setattr(figure1, "PRECISION_CHECK", check)
    runs, lines = Runs(synthetic_images(256, 50), tmp_path), list[str]()
    figure1.train(runs, workers=2, say=lines.append)
    made = figure1.assemble(runs)
    assert made.variants == ["modern relu", "modern tanh"]
    assert list(made.runs["seed"]) == [1, 2, 1, 2]
    assert set(made.tables["layers"]["layer"]) == {1, 2, 3}
    assert len(made.tables["searches"]) == 2
    assert len(made.tables["ratios"]) == 1
    count = len(lines)
    figure1.train(runs, workers=1, say=lines.append)
    assert len(lines) == count + 2  # nothing is trained again, only "finished …"
