"""Trainings on ImageNet as evidence: who is refused, and how errors become verdicts."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from alexnet_edu import cli, paper
from alexnet_edu.files import DataError
from alexnet_edu.imagenet import log as run_log
from alexnet_edu.imagenet.cost import OFFICIAL_COUNTS
from alexnet_edu.imagenet.recipe import Recipe
from alexnet_edu.ledger import ours as module
from alexnet_edu.ledger import trainings
from alexnet_edu.ledger.claims import CLAIMS, HOLDS, NOT_HERE, PARTLY, claim_named
from alexnet_edu.ledger.table import word

PUBLISHED = Path(__file__).resolve().parents[2] / "data" / "results"
PLACES = {"top1": 0.41, "top5": 0.18, "loss": 1.7, "epoch": 90.0, "step": 10}


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for the records."""
    folder = tmp_path / "results"
    folder.mkdir()
    for place in (module, trainings):
        monkeypatch.setattr(place, "results_dir", lambda: folder)
    monkeypatch.setattr("alexnet_edu.studies.record.results_dir", lambda: folder)
    return folder


def run(
    folder: Path,
    top1: float = 0.41,
    *,
    images: dict[str, int] = OFFICIAL_COUNTS,
    classes: int = paper.CLASSES,
    unread: int = 0,
    finished: bool = True,
    **recipe: Any,
) -> Path:
    """A folder with the log of a training."""
    start = {"recipe": Recipe(**recipe).identity(), "images": images, "classes": classes}
    machine = {"parallel": "data", "processes": 2, "device_name": "a GPU", "precision": "bfloat16"}
    run_log.append(folder / run_log.METRICS, "start", step=0, steps=10, **start, **machine)
    errors = PLACES | {"top1": top1 + 0.015, "images": images["val"]}
    run_log.append(folder / run_log.METRICS, "evaluation", **errors)
    if finished:
        errors = PLACES | {"top1": top1, "images": images["val"] - unread}
        run_log.append(folder / run_log.METRICS, "final", **errors)
    return folder


def add(*folders: Path) -> None:
    trainings.add([trainings.row_of(folder) for folder in folders])


# --- what is asked for --------------------------------------------------------------------------


def test_every_claim_that_needs_imagenet_says_which_trainings_and_how_they_judge() -> None:
    for claim in CLAIMS:
        assert bool(claim.imagenet) == ("imagenet" in claim.check), claim.id
        assert bool(trainings.rule_in_words(claim)) == bool(claim.imagenet)
        for name in claim.imagenet.get("of", ()):
            assert set(trainings.AVERAGES.get(name, {name: 1})) <= set(trainings.TRAININGS)


def test_the_commands_are_those_of_the_recipes() -> None:
    said = trainings.commands(claim_named("pca-gain"))
    assert said[1:] == [
        "alexnet-edu train --data DIR --folder runs/no_colours-0 --noise 0.0",
        "alexnet-edu claims add runs/paper-0 runs/no_colours-0",
    ]
    *said, add, weights = trainings.commands(claim_named("table2-7s"))
    assert len(said) == paper.SEVEN_CNNS
    assert add.endswith("runs/pretrained-1 --data DIR")
    assert "fall 2011, by --variant conv6" in weights
    assert "5.0 days at 35% of the peak of 2 GTX 580" in trainings.cost(claim_named("table2-1"))
    for name, changes in trainings.TRAININGS.items():
        assert Recipe(**changes).architecture(10), name


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (
            {"images": {"train": 230, "val": 20}, "classes": 20},
            "not ImageNet: 230 training and 20 validation",
        ),
        ({"images": {"train": 20_368, "val": 10_184}, "classes": 10_184}, "not ImageNet: 20,368 training"),
        ({"variant": "run145"}, "nearest is 'paper', and variant is 'run145'"),
        ({"rate": 0.02}, "nearest is 'paper', and rate is 0.02, not 0.01"),
        ({"narrow": 2}, "narrow is 2, not 1"),
        ({"epochs": 30}, "it has 30 epochs, not 90"),
        ({"schedule": "constant"}, "its schedule is 'constant', not plateau or run145"),
        ({"variant": "conv6"}, "does not start from the weights of a training on the ImageNet of fall 2011"),
        ({"finished": False}, "has not finished"),
        ({"unread": 3}, "3 of its images could not be read"),
    ],
)
def test_what_is_no_such_training_is_refused_with_the_reason(
    tmp_path: Path, results: Path, settings: dict[str, Any], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run(tmp_path / "run", **settings)
    assert cli.main(["claims", "add", str(folder)]) == 2
    said = capsys.readouterr().err
    assert reason in said
    assert str(folder) in said
    assert list(results.iterdir()) == []


def test_a_folder_without_a_training_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no training has begun"):
        trainings.row_of(tmp_path)


# --- verdicts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("top1", "judged"), [(0.38, HOLDS), (0.416, HOLDS), (0.43, PARTLY), (0.45, NOT_HERE)]
)
def test_one_network_is_held_against_table_2(
    tmp_path: Path, top1: float, judged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert word(claim_named("table2-1")) == "needs ImageNet"
    assert cli.main(["claims", "add", str(run(tmp_path / "run", top1))]) == 0
    said = capsys.readouterr().out
    assert re.search(rf"^table2-1 +{judged} ", said, re.MULTILINE)
    assert word(claim_named("table2-1")) == judged
    found = module.ours("table2-1")
    assert found is not None
    assert found.value == f"on ImageNet {paper.Errors(100 * top1, 18)} (1 × paper; plateau)"


@pytest.mark.parametrize(("worse", "judged"), [(0.425, HOLDS), (0.413, PARTLY), (0.40, NOT_HERE)])
def test_a_gain_is_judged_by_the_papers_and_takes_two_seeds_to_hold(
    tmp_path: Path, results: Path, worse: float, judged: str
) -> None:
    shutil.copy(PUBLISHED / "norms.json", results)
    add(run(tmp_path / "a", 0.41), run(tmp_path / "b", worse, variant="no_lrn"))
    found = module.ours("lrn-gain")
    assert found is not None
    assert "luck is not measured" in found.value
    assert "on CIFAR-10" in found.value  # the small version stays beside it
    assert word(claim_named("lrn-gain")) == (PARTLY if judged == HOLDS else judged)
    assert word(claim_named("depth")) == "needs ImageNet"  # not all of its trainings are there
    assert word(claim_named("ten-crop")) == HOLDS  # 1.5 points better than the middle patch
    add(run(tmp_path / "c", 0.411, seed=1), run(tmp_path / "d", worse + 0.001, variant="no_lrn", seed=1))
    assert word(claim_named("lrn-gain")) == judged


def test_trainings_by_different_schedules_are_not_compared(tmp_path: Path) -> None:
    add(run(tmp_path / "a", 0.41), run(tmp_path / "b", 0.43, variant="no_lrn", schedule="run145"))
    assert word(claim_named("lrn-gain")) == "needs ImageNet"
    add(run(tmp_path / "c", 0.409, schedule="run145"))
    found = module.ours("lrn-gain")
    assert found is not None
    assert "2.1 points better than no_lrn" in found.value
    assert "run145" in found.value


def test_the_paper_outdoes_the_earlier_methods_where_it_is_well_below_them(tmp_path: Path) -> None:
    images = {"train": 1_261_000, "val": 150_000}
    for top1, judged in ((0.41, HOLDS), (0.44, PARTLY), (0.46, NOT_HERE)):
        add(run(tmp_path / str(top1), top1, images=images, schedule="run145"))
        assert word(claim_named("table1")) == judged


def test_a_training_takes_the_place_of_one_with_its_seed_alone(tmp_path: Path, results: Path) -> None:
    add(run(tmp_path / "a", 0.45), run(tmp_path / "b", 0.43, seed=1))
    add(run(tmp_path / "c", 0.41))
    runs = json.loads((results / "imagenet.json").read_text(encoding="utf-8"))["tables"]["runs"]
    assert sorted(zip(runs["seed"], runs["top1"], strict=True)) == [(0, 0.41), (1, 0.43)]


def test_averages_are_those_of_table_2(tmp_path: Path) -> None:
    rows = [trainings.row_of(run(tmp_path / str(seed), seed=seed)) for seed in range(5)]
    row = trainings.average_of(rows[::-1], SimpleNamespace(top1=0.381, top5=0.164, images=50_000))
    assert (row["variant"], row["networks"], row["seed"]) == ("five", 5, 0)
    assert math.isnan(row["middle_top1"])
    trainings.add([*rows, row])
    assert word(claim_named("table2-5")) == HOLDS
    with pytest.raises(ValueError, match="average of 3 × paper; the paper's are 5 × paper"):
        trainings.average_name(rows[:3])
    with pytest.raises(ValueError, match="judged on 100 images, not 50,000"):
        trainings.average_of(rows, SimpleNamespace(top1=0.4, top5=0.2, images=100))


def test_a_run_named_twice_is_refused(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(run(tmp_path / "run"))
    assert cli.main(["--debug", "claims", "add", folder]) == 0
    with pytest.raises(ValueError, match="two of these runs are paper by 'plateau' with the seed 0"):
        trainings.distinct([trainings.row_of(Path(folder))] * 2)


def test_errors_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no numbers"):
        trainings.row_of(run(tmp_path / "run", math.nan))


def test_a_run_that_was_resumed_elsewhere_names_both_machines(tmp_path: Path) -> None:
    folder = run(tmp_path / "run", finished=False)
    log = folder / run_log.METRICS
    log.write_text(log.read_text().replace("a GPU", "another GPU"))
    row = trainings.row_of(run(folder))
    assert row["hardware"] == "2 × another GPU (data), 2 × a GPU (data)"


def test_a_damaged_record_says_how_to_make_it_again(tmp_path: Path, results: Path) -> None:
    add(run(tmp_path / "run"))
    path = results / "imagenet.json"
    path.write_text(path.read_text().replace('"top1"', '"top2"'))
    with pytest.raises(DataError, match="claims add` again"):
        module.ours("table2-1")


def test_other_years_are_told_by_their_numbers(tmp_path: Path) -> None:
    images = {"train": 1_261_000, "val": 150_000}
    assert trainings.row_of(run(tmp_path / "a", images=images))["variant"] == "paper-2010"
    many = {"train": 4_450_000, "val": 4_450_000}
    folder = run(tmp_path / "b", images=many, classes=10_184, variant="conv6")
    assert trainings.row_of(folder)["variant"] == "fall2009"
    tuned = run(tmp_path / "c", variant="conv6", rate=0.001, epochs=20, start="0123")
    assert trainings.row_of(tuned)["variant"] == "pretrained"
