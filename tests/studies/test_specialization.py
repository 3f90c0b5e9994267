"""The study of the columns: its conditions build, its order is balanced; a reader finds what was trained."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from alexnet_edu.files import DataError
from alexnet_edu.model.architecture import CONNECTIONS
from alexnet_edu.studies import specialization
from alexnet_edu.studies import specialization_record as records
from alexnet_edu.studies.engine import Runs
from alexnet_edu.studies.kernels import colour_share, compare_columns, pooled
from alexnet_edu.studies.record import Record, load, write
from alexnet_edu.studies.run import build
from alexnet_edu.studies.shipped import seeded, train_with_snapshots
from alexnet_edu.studies.specialization import (
    assemble,
    conditions,
    in_rounds,
    load_kernels,
    snapshot_steps,
    train_all,
)
from alexnet_edu.studies.statistics import p_text
from tests import kernels_sample

EVERY = conditions()
CLASSES = {"cifar10": 10, "tiny-imagenet-20": 20}
SIDES = {"cifar10": 32, "tiny-imagenet-20": 64}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As these networks are trained: for so small ones several threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", list(EVERY))
def test_every_condition_builds(name: str) -> None:
    condition = EVERY[name]
    run, classes = condition.run, CLASSES[condition.pack]
    assert condition.name == name
    assert run.side is not None
    assert run.side <= SIDES[condition.pack]  # crops may be smaller
    model = build(run.network, run.side, classes, 1).eval()
    assert model(torch.zeros(1, 3, run.side, run.side)).shape == (1, classes)


def test_conditions_differ_and_the_paper_comes_first() -> None:
    assert next(iter(EVERY)) == "paper"
    assert len({c.title for c in EVERY.values()}) == len(EVERY)
    assert len({repr(replace(c.run, name="")) for c in EVERY.values()}) == len(EVERY)
    assert EVERY.keys() >= CONNECTIONS.keys()


def test_a_study_that_is_cut_short_is_balanced() -> None:
    order = in_rounds(EVERY.values())
    assert len(order) == len({(c.name, seed) for c, seed in order}) == sum(c.seeds for c in EVERY.values())
    done = dict.fromkeys(EVERY, 0)
    for condition, seed in order:
        assert seed == done[condition.name] + 1  # each in the order of its seeds
        done[condition.name] = seed
        furthest = max(done.values())
        assert all(count >= min(furthest - 1, EVERY[name].seeds) for name, count in done.items())


@pytest.mark.parametrize(
    ("epochs", "an_epoch", "expected"),
    [(6, 391, (391, 782, 1564)), (4, 2, (2, 4)), (4.5, 2, (2, 4, 8)), (1, 391, ()), (0.5, 1, ())],
)
def test_snapshots_double_as_far_as_the_run_goes(
    epochs: float, an_epoch: int, expected: tuple[int, ...]
) -> None:
    assert snapshot_steps(replace(EVERY["paper"].run, epochs=epochs), an_epoch) == expected


# --- the record -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, Path]:
    """The record as it is read from its file, and the file of the kernels."""
    folder = tmp_path_factory.mktemp("study")
    record, kernels = kernels_sample.sample(folder)
    write(record, folder / "specialization.json")
    return load("specialization", folder), kernels


def test_a_reader_of_the_kernels_finds_the_numbers_of_the_record(made: tuple[Record, Path]) -> None:
    record, path = made
    kernels = load_kernels(path)
    assert {name: list(each) for name, each in kernels.items()} == {"paper": [1, 2, 3], "joint": [1, 2, 3]}
    for name, each in kernels.items():
        rows = records.columns_of(record, name).itertuples()
        for (seed, w), row in zip(each.items(), rows, strict=True):
            test = compare_columns(colour_share(w), seed=seed)
            assert (row.seed, row.first, row.second) == pytest.approx(
                (seed, test.first, test.second), abs=1e-4
            )
            assert row.p == pytest.approx(test.p, abs=1e-4)
        assert records.pooled_test(record, name) == pooled([colour_share(w) for w in each.values()])


def test_it_holds_the_snapshots_all_measures_and_where_it_is_from(made: tuple[Record, Path]) -> None:
    record = made[0]
    curve = records.over_training(record, "joint")
    assert list(curve["epoch"]) == [0, 1, 2, 4]
    assert asdict(records.pooled_test(record, "joint", snapshot=0))["networks"] == 3
    plain, by_energy = (
        records.columns_of(record, "paper", m)["first"] for m in ("colour", "colour by energy")
    )
    assert list(plain) != list(by_energy)
    assert "6 networks" in records.origin(record)
    lines = records.table(record).splitlines()
    assert [line.split("  ")[0] for line in lines[2:]] == ["as in the paper", "nothing kept"]
    test = records.pooled_test(record, "joint", "frequency")
    p = p_text(test.p, record.settings["permutations"])
    assert records.measures_table(record).endswith(f"{test.mean / test.chance:.2f} ({p})")
    with pytest.raises(ValueError, match="'wide'; there are paper, joint"):
        records.pooled_test(record, "wide")
    with pytest.raises(ValueError, match="'shape'; there are colour, colour by energy, hue, frequency"):
        records.pooled_test(record, "paper", "shape")


def test_a_p_value_that_is_as_small_as_it_can_be_is_written_as_a_bound() -> None:
    assert [p_text(p, 4000) for p in (1 / 4001, 0.0123, 1.0)] == ["< 0.0005", "0.012", "1"]


def test_a_study_that_was_cut_short_is_assembled_of_what_is_there(tmp_path: Path) -> None:
    chosen, runs = kernels_sample.conditions(2), Runs(kernels_sample.IMAGES, tmp_path)
    with pytest.raises(ValueError, match="no network of the study is finished"):
        assemble(chosen, lambda _: runs, tmp_path / "k")
    train_with_snapshots(runs, seeded(chosen[0].run, 2))
    record = assemble(chosen, lambda _: runs, tmp_path / "k")
    assert record.variants == ["paper"]
    assert list(record.runs["seed"]) == [2]


def test_a_record_states_the_machine_that_trained(tmp_path: Path) -> None:
    """Not the one that assembles it, nor that one's precision."""
    chosen, runs = kernels_sample.conditions(1)[0], Runs(kernels_sample.IMAGES, tmp_path)
    other = "bfloat16" if runs.resolved(chosen.run).config.precision == "float32" else "float32"
    run = runs.resolved(seeded(chosen.run, 1), other)
    train_with_snapshots(runs, run)
    path = runs.path(run)
    here = json.loads(path.read_text())["provenance"]["hardware"]
    path.write_text(path.read_text().replace(json.dumps(here), '"another machine"'))
    made = assemble([chosen], lambda _: runs, tmp_path / "kernels").provenance
    assert (made["hardware"], made["precision"]) == (["another machine"], [other])


def test_a_network_that_diverged_is_told_and_not_compared(tmp_path: Path) -> None:
    """Its snapshots end early: the others must not be judged by what they were before their training."""
    (chosen,), runs = kernels_sample.conditions(2)[:1], Runs(kernels_sample.IMAGES, tmp_path)
    train_all([chosen], lambda _: runs, workers=1, say=lambda _: None)
    path = runs.path(seeded(chosen.run, 2))
    path.write_text(path.read_text().replace('"status":"limit"', '"status":"diverged"'))
    record = assemble([chosen], lambda _: runs, tmp_path / "kernels")
    assert list(record.runs["status"]) == ["limit", "diverged"]
    assert list(records.over_training(record, "paper")["epoch"]) == [0, 1, 2, 4]
    assert list(records.columns_of(record, "paper")["seed"]) == [1]
    assert list(load_kernels(tmp_path / "kernels")["paper"]) == [1]


def test_damaged_and_missing_kernels_are_told(made: tuple[Record, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    with pytest.raises(DataError, match=r"broken.*git checkout"):
        load_kernels(broken)
    whole = made[1].read_bytes()
    broken.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(DataError, match="broken"):
        load_kernels(broken)


def test_kernels_of_columns_that_divide_colour_are_found() -> None:
    """The whole chain on kernels that are as the paper says: one column grey, one in colour."""
    generator = torch.Generator().manual_seed(0)
    networks = []
    for _ in range(5):
        kernels = torch.randn(16, 3, 7, 7, generator=generator)
        kernels[:8] = kernels[:8].mean(1, keepdim=True) + 0.2 * kernels[:8]
        networks.append(kernels)
    test = pooled([specialization.measures(k)["colour"][0] for k in networks])
    assert test.clear == 5
    assert test.p < 0.001
    assert test.mean > test.high
