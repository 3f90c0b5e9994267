"""The study of the columns: its conditions build, its order is balanced, its looks double."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from alexnet_edu.files import DataError, read_json, write_json
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.architecture import CONNECTIONS
from alexnet_edu.studies.specialization import (
    assemble,
    conditions,
    in_rounds,
    load_kernels,
    looks_of,
    run,
    train_all,
)
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
    table, classes = condition.recipe.network, CLASSES[condition.pack]
    assert condition.name == name
    assert table.side <= SIDES[condition.pack]  # crops may be smaller
    assert table.columns == 2
    model = AlexNet(table, classes=classes, generator=torch.Generator().manual_seed(1)).eval()
    assert model(torch.zeros(1, 3, table.side, table.side)).shape == (1, classes)
    assert condition.recipe.config(1).learning_rate == condition.recipe.rate
    assert condition.seeds >= 2
    assert condition.title
    assert condition.differs


def test_conditions_differ_and_the_paper_comes_first() -> None:
    assert next(iter(EVERY)) == "paper"
    assert len({c.title for c in EVERY.values()}) == len(EVERY)
    assert len({(c.recipe, c.pack) for c in EVERY.values()}) == len(EVERY)
    assert EVERY.keys() >= CONNECTIONS.keys()
    for name in CONNECTIONS:
        assert EVERY[name].recipe.network.name == f"kernels, {name}"


def test_a_study_that_is_cut_short_is_balanced() -> None:
    order = in_rounds(EVERY.values())
    assert len(order) == len({(c.name, seed) for c, seed in order}) == sum(c.seeds for c in EVERY.values())
    done = dict.fromkeys(EVERY, 0)
    for condition, seed in order:
        assert seed == done[condition.name] + 1  # each in the order of its seeds
        done[condition.name] = seed
        furthest = max(done.values())
        behind = [name for name, count in done.items() if count < min(furthest - 1, EVERY[name].seeds)]
        assert not behind
    assert done == {name: c.seeds for name, c in EVERY.items()}
    assert in_rounds([]) == []


@pytest.mark.parametrize(
    ("epochs", "images", "expected"),
    [(6, 50_000, (391, 782, 1564)), (4, 256, (2, 4)), (4.5, 256, (2, 4, 8)), (1, 50_000, ()), (0.5, 100, ())],
)
def test_looks_double_as_far_as_the_recipe_goes(
    epochs: float, images: int, expected: tuple[int, ...]
) -> None:
    assert looks_of(replace(EVERY["paper"].recipe, epochs=epochs), images) == expected


def test_a_network_of_the_study_is_kept_under_its_condition(tmp_path: Path) -> None:
    condition = kernels_sample.conditions()[1]
    found = run(condition, kernels_sample.IMAGES, 2, tmp_path)
    assert [step for step, _ in found.looks] == [0, 3, 6, 12]
    (record,) = tmp_path.glob("*.json")
    assert record.name.startswith("specialization-joint-seed2-")


def test_a_network_that_diverged_is_named_and_not_compared(tmp_path: Path) -> None:
    """Its looks end early: the others must not be judged by what they were before their training."""
    chosen = kernels_sample.conditions(seeds=2)
    train_all(chosen, lambda _: kernels_sample.IMAGES, tmp_path, workers=1, say=lambda _: None)
    (path,) = tmp_path.glob("specialization-paper-seed2-*.json")
    write_json(path, {**read_json(path), "status": "diverged"})
    record = assemble(chosen, lambda _: kernels_sample.IMAGES, tmp_path, tmp_path / "kernels")
    paper, joint = record["conditions"]
    assert paper["diverged"] == [2]
    assert [run["seed"] for run in paper["runs"]] == [1]
    assert paper["looks"] == joint["looks"] == [0, 1, 2, 4]
    assert "diverged" not in joint
    assert {name: list(each) for name, each in load_kernels(tmp_path / "kernels").items()} == {
        "paper": [1],
        "joint": [1, 2],
    }


def test_a_failure_stops_all(tmp_path: Path) -> None:
    asked: list[str] = []

    def images(pack: str) -> object:
        asked.append(pack)
        raise DataError(f"no images {pack!r}")

    with pytest.raises(DataError, match="no images 'cifar10'"):
        train_all(kernels_sample.conditions(seeds=30), images, tmp_path, workers=1)  # type: ignore[arg-type]
    assert len(asked) < 60
