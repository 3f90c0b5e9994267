"""A study: the search of the rate, what is repeated, the record of it, and the part run live."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from alexnet_edu import environment
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.model.cifar import CifarNetConfig
from alexnet_edu.studies import study as studies
from alexnet_edu.studies.engine import NotTrained, Result, Runs
from alexnet_edu.studies.record import load, write
from alexnet_edu.studies.study import Study, Variant, next_rate
from alexnet_edu.training import loop
from alexnet_edu.training.loop import Point

IMAGES = synthetic_images(400, 100, seed=1)
SMALL = CifarNetConfig(channels=(4, 4, 4))
VARIANTS = (Variant("a", "the a", SMALL, 0.002), Variant("b", "the b", replace(SMALL, init="scaled"), 0.001))
TINY = Study("tiny", "a tiny study", VARIANTS, epochs=1, drops=(), seeds=2, search_epochs=0)


def pretended(study: Study, rate: float, curve: list[float], status: str = "limit", **last: float) -> Result:
    """A result whose training error passes through these values, one an epoch, and then `last`."""
    points = [Point(int(10 * e), float(e), x, x, 1.0, e, e, {"test_error": [x]}) for e, x in enumerate(curve)]
    for error, epoch in last.items():
        points.append(Point(int(10 * epoch), epoch, float(error.strip("_")) / 100, 0.0, 1.0, epoch, epoch))
    return Result(study.run(study.variants[0], rate, 0), loop.Run(points, status), {}, {})


# --- the search -----------------------------------------------------------------------------------


def test_rates_lie_on_the_grid() -> None:
    expected = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1]
    assert [next_rate(0.01, k) for k in range(-3, 4)] == expected


@pytest.mark.parametrize(
    ("errors", "diverged", "tried"),
    [
        ({0.002: 0.4, 0.005: 0.3, 0.01: 0.35}, (), [0.005, 0.01, 0.002]),  # a worse one on either side
        ({0.002: 0.4, 0.005: 0.1, 0.001: 0.5}, (0.005,), [0.002, 0.001, 0.005]),  # diverged: never best
        ({0.002: 0.9, 0.001: 0.8, 0.0005: 0.7}, (), [0.0005, 0.001]),  # `most` ends it
    ],
)
def test_the_search_ends_with_a_worse_rate_on_either_side(
    errors: dict[float, float], diverged: tuple[float, ...], tried: list[float]
) -> None:
    study = replace(TINY, search_epochs=1, most_rates=4 if 0.0005 in errors else 6)

    def train(run: Any) -> Result:
        rate = run.config.learning_rate
        assert run.held_out
        assert not run.config.drops
        status = "diverged" if rate in diverged else "limit"
        return pretended(study, rate, [0.5, errors.get(rate, 0.95)], status)

    found = studies.search(study, study.variants[0], train)
    assert [r.rate for r in found][: len(tried)] == tried


TARGET = replace(TINY, target_error=0.25, epochs=50, most_rates=7)


def test_a_search_for_speed_gives_up_slower_rates() -> None:
    epochs = {0.001: 30.0, 0.002: 20.0, 0.005: 12.0, 0.01: 15.0, 0.02: 40.0}
    allowed = []

    def train(run: Any) -> Result:
        rate = run.config.learning_rate
        allowed.append((rate, run.epochs))
        end = {"_25": epochs[rate]} if epochs[rate] <= run.epochs else {"_30": run.epochs}
        return pretended(TARGET, rate, [0.9], **end)

    variant = replace(VARIANTS[0], start_rate=0.001)
    assert studies.search(TARGET, variant, train)[0].rate == 0.005
    assert allowed == [(0.001, 50), (0.002, 30), (0.005, 20), (0.01, 12)]


def test_a_search_goes_down_while_no_rate_has_learned_anything() -> None:
    tried = []

    def train(run: Any) -> Result:
        tried.append(run.config.learning_rate)
        return pretended(TARGET, tried[-1], [0.9, 0.5 - tried[-1] if tried[-1] <= 0.001 else 0.9])

    variant = replace(VARIANTS[0], start_rate=0.01)
    assert studies.search(TARGET, variant, train)[0].rate == 0.001
    assert tried == [0.01, 0.02, 0.005, 0.002, 0.001, 0.0005]


def test_the_fastest_is_best_then_the_lowest_then_not_the_diverged() -> None:
    fast, slow = (pretended(TARGET, 0.1, [0.9, 0.9 - x]) for x in (0.9, 0.7))
    high, low = (pretended(TARGET, 0.1, [0.9, x]) for x in (0.4, 0.3))
    gone = pretended(TARGET, 0.1, [0.9, 0.26], "diverged")
    ordered = [fast, slow, low, high, gone]
    assert sorted([gone, high, slow, low, fast], key=studies.fewest_epochs) == ordered


# --- run and recorded -----------------------------------------------------------------------------


def test_a_study_becomes_a_record(tmp_path: Path) -> None:
    """Searched, run at the other one's rate, too; and assembled from what is kept alone."""
    variants = tuple(replace(v, more_rates=(0.001, 0.002)) for v in VARIANTS)
    study = replace(TINY, variants=variants)
    runs, lines = Runs(IMAGES, tmp_path), list[str]()
    with pytest.raises(NotTrained, match="'tiny'"):
        studies.assemble(study, runs)
    studies.train(study, runs, workers=2, say=lines.append)
    assert sum("finished tiny" in line for line in lines) == 4
    record = studies.assemble(study, runs)
    write(record, tmp_path / "tiny.json")
    record = load("tiny", tmp_path)
    assert (record.title, record.variants) == ("a tiny study", ["a", "b"])
    assert record.shared_rates() == {0.001: ["a", "b"], 0.002: ["a", "b"]}
    assert [record.rate(name) for name in record.variants] == [0.002, 0.001]
    assert list(record.at_rate(0.001).runs["seed"]) == [1, 2, 1, 2]
    assert set(record.curves["epoch"]) == {1.0}
    assert record.provenance["precision"] == [runs.resolved(study.run(variants[0], 1.0, 0)).config.precision]
    next(tmp_path.glob("tiny-a-run-0.001-seed2-*.json")).unlink()
    assert studies.assemble(study, runs).shared_rates() == {0.002: ["a", "b"]}  # a seed is missing
    next(tmp_path.glob("tiny-a-run-0.002-seed2-*.json")).unlink()
    assert studies.assemble(study, runs).variants == ["b"]
    count = len(lines)
    studies.train(study, runs, variants=["b"], workers=1, say=lines.append)
    assert len(lines) == count + 2  # nothing is trained again, only "finished …"


def test_a_searched_study_holds_its_search(tmp_path: Path) -> None:
    study = replace(TINY, variants=VARIANTS[:1], search_epochs=0.25, most_rates=2, seeds=1)
    runs = Runs(IMAGES, tmp_path)
    studies.train(study, runs, say=lambda _: None)
    record = studies.assemble(study, runs)
    assert list(record.tables["searches"]["rate"]) == [0.002, 0.005]
    assert record.rate("a") in set(record.tables["searches"]["rate"])


def test_a_record_names_the_machine_that_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is assembled, "auto" may mean another precision."""
    study = replace(TINY, variants=VARIANTS[:1], seeds=1)
    for fast in (True, False):
        monkeypatch.setattr(environment, "has_fast_bfloat16", lambda _, fast=fast: fast)
        runs = Runs(IMAGES, tmp_path)
        if fast:
            studies.train(study, runs, say=lambda _: None)
        assert studies.assemble(study, runs).provenance["precision"] == ["bfloat16"]


def test_the_first_failure_stops_the_rest_and_is_raised() -> None:
    stop, threads = threading.Event(), torch.get_num_threads()
    done = []

    def fail() -> None:
        raise OSError("the disk is full")

    def wait() -> None:
        done.append(stop.wait(20))

    with pytest.raises(OSError, match="the disk is full"):
        studies.together([fail, wait, *[wait] * 20], 2, stop)
    assert all(done)
    assert len(done) < 21
    assert torch.get_num_threads() == threads
