"""The study of the columns: its conditions build, its order is balanced; a reader finds what was trained."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from alexnet_edu.files import DataError, read_json, write_json, write_tensors
from alexnet_edu.model.architecture import CONNECTIONS
from alexnet_edu.studies import specialization
from alexnet_edu.studies.engine import Runs
from alexnet_edu.studies.kernels import colour_share, compare_columns, pooled
from alexnet_edu.studies.record import Record
from alexnet_edu.studies.run import build
from alexnet_edu.studies.shipped import seeded, train_with_snapshots
from alexnet_edu.studies.specialization import (
    add_kernels,
    assemble,
    conditions,
    in_rounds,
    load_kernels,
    snapshot_steps,
    train_all,
)
from alexnet_edu.studies.statistics import p_text
from tests.studies import samples

EVERY = conditions()
SIDES = {"cifar10": (32, 10), "tiny-imagenet-20": (64, 20)}  # and classes
Study = tuple[Record, Path]


@pytest.mark.parametrize("name", list(EVERY))
def test_every_condition_builds(name: str) -> None:
    run, (side, classes) = EVERY[name].run, SIDES[EVERY[name].pack]
    assert run.side is not None
    assert run.side <= side  # crops may be smaller
    model = build(run.network, run.side, classes, 1).eval()
    assert model(torch.zeros(1, 3, run.side, run.side)).shape == (1, classes)


def test_conditions_differ_and_a_study_that_is_cut_short_is_balanced() -> None:
    assert next(iter(EVERY)) == "paper"
    assert len({repr(replace(c.run, name="")) for c in EVERY.values()}) == len(EVERY)
    assert EVERY.keys() >= CONNECTIONS.keys()
    done = dict.fromkeys(EVERY, 0)
    for condition, seed in in_rounds(EVERY.values()):
        assert seed == done[condition.name] + 1  # each in the order of its seeds
        done[condition.name] = seed
        furthest = max(done.values())
        assert all(count >= min(furthest - 1, EVERY[name].seeds) for name, count in done.items())
    assert done == {name: condition.seeds for name, condition in EVERY.items()}


@pytest.mark.parametrize(
    ("epochs", "an_epoch", "expected"),
    [(6, 391, (391, 782, 1564)), (4, 2, (2, 4)), (4.5, 2, (2, 4, 8)), (1, 391, ()), (0.5, 1, ())],
)
def test_snapshots_double_as_far_as_the_run_goes(
    epochs: float, an_epoch: int, expected: tuple[int, ...]
) -> None:
    assert snapshot_steps(replace(EVERY["paper"].run, epochs=epochs), an_epoch) == expected


# --- the record -------------------------------------------------------------------------------


def test_a_reader_of_the_kernels_finds_the_numbers_of_the_record(columns_study: Study) -> None:
    record, path = columns_study
    kernels = load_kernels(path)
    assert {name: list(each) for name, each in kernels.items()} == {"paper": [1, 2], "joint": [1, 2]}
    for name, each in kernels.items():
        rows = record.rows("columns", variant=name, measure="colour").itertuples()
        for (seed, w), row in zip(each.items(), rows, strict=True):
            test = compare_columns(colour_share(w), seed=seed)
            expected = (seed, test.first, test.second, test.p)
            assert (row.seed, row.first, row.second, row.p) == pytest.approx(expected, abs=1e-4)
        assert specialization.pooled_test(record, name) == pooled([colour_share(w) for w in each.values()])


def test_it_holds_the_snapshots_and_all_measures(columns_study: Study) -> None:
    record = columns_study[0]
    assert list(record.rows("pooled", variant="joint", measure="colour")["epoch"]) == [0, 1, 2, 4]
    assert specialization.pooled_test(record, "joint", snapshot=0).networks == 2
    measures = [
        record.rows("columns", variant="paper", measure=name) for name in ("colour", "colour by energy")
    ]
    assert list(measures[0]["first"]) != list(measures[1]["first"])
    lines = specialization.table(record).splitlines()
    assert [line.split("  ")[0] for line in lines[2:]] == ["as in the paper", "nothing kept"]


def test_a_p_value_that_is_as_small_as_it_can_be_is_written_as_a_bound() -> None:
    assert [p_text(p, 4000) for p in (1 / 4001, 0.0123, 1.0)] == ["< 0.0005", "= 0.012", "= 1"]


def test_a_study_that_was_cut_short_is_assembled_of_what_is_there(tmp_path: Path) -> None:
    chosen, runs = samples.conditions(), Runs(samples.IMAGES, tmp_path)
    with pytest.raises(ValueError, match="no network of the study is finished"):
        assemble(chosen, lambda _: runs, tmp_path / "k")
    train_with_snapshots(runs, seeded(chosen[0].run, 2))
    record = assemble(chosen, lambda _: runs, tmp_path / "k")
    assert record.variants == ["paper"]
    assert list(record.runs["seed"]) == [2]


def test_a_record_states_the_machine_that_trained(tmp_path: Path) -> None:
    """Not the one that assembles it, nor that one's precision."""
    chosen, runs = samples.conditions()[0], Runs(samples.IMAGES, tmp_path)
    other = "bfloat16" if runs.resolved(chosen.run).config.precision == "float32" else "float32"
    run = runs.resolved(seeded(chosen.run, 1), other)
    train_with_snapshots(runs, run)
    path = runs.path(run)
    kept = read_json(path, sealed=True)
    kept["provenance"]["hardware"] = "another machine"
    write_json(path, kept, sealed=True)
    made = assemble([chosen], lambda _: runs, tmp_path / "kernels").provenance
    assert (made["hardware"], made["precision"]) == (["another machine"], [other])


def test_a_network_that_diverged_is_told_and_not_compared(tmp_path: Path) -> None:
    """Its snapshots end early: the others must not be judged by what they were before their training."""
    chosen, runs = samples.conditions()[0], Runs(samples.IMAGES, tmp_path)
    train_all([chosen], lambda _: runs, workers=1, say=lambda _: None)
    path = runs.path(seeded(chosen.run, 2))
    write_json(path, read_json(path, sealed=True) | {"status": "diverged"}, sealed=True)
    record = assemble([chosen], lambda _: runs, tmp_path / "kernels")
    assert list(record.runs["status"]) == ["limit", "diverged"]
    assert list(record.rows("pooled", variant="paper", measure="colour")["epoch"]) == [0, 1, 2, 4]
    assert list(record.rows("columns", variant="paper", measure="colour")["seed"]) == [1]
    assert list(load_kernels(tmp_path / "kernels")["paper"]) == [1]


def test_kernels_of_a_part_join_those_that_lie_there(columns_study: Study, tmp_path: Path) -> None:
    place, made = tmp_path / "weights" / "kernels.safetensors", tmp_path / "made.safetensors"
    for part in (False, True):
        shutil.copy(columns_study[1], made)
        assert add_kernels(made, place, part=part) == place
        assert not made.exists()
    write_tensors(made, {"joint.7": np.ones((2, 3, 4, 4), np.float16)}, {"format": specialization.FORMAT})
    add_kernels(made, place, part=True)
    before, after = load_kernels(columns_study[1]), load_kernels(place)
    assert after.pop("joint").keys() == {7}
    assert {name for name in before if name != "joint"} == set(after)
    assert all(torch.equal(k, after[name][s]) for name in after for s, k in before[name].items())


def test_damaged_and_missing_kernels_are_told(columns_study: Study, tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    with pytest.raises(DataError, match=r"broken.*git checkout"):
        load_kernels(broken)
    whole = columns_study[1].read_bytes()
    broken.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(DataError, match="broken"):
        load_kernels(broken)


def test_kernels_of_columns_that_divide_colour_are_found() -> None:
    """The whole chain on kernels that are as the paper says: one column grey, one in colour."""
    kernels = torch.randn(5, 16, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    kernels[:, :8] = kernels[:, :8].mean(2, keepdim=True) + 0.2 * kernels[:, :8]
    test = pooled([specialization.measures(each)["colour"][0] for each in kernels])
    assert test.clear == 5
    assert test.p < 0.001
    assert test.mean > test.high
