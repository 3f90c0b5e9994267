"""How the shipped networks are made: several seeds, one file, a verdict on a repetition; those files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from alexnet_edu.data.images import ImageSet
from alexnet_edu.data.synthetic import CLASSES, synthetic_images
from alexnet_edu.files import DataError
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.architecture import count, kernel_net
from alexnet_edu.studies import networks as weights
from alexnet_edu.studies import weight_recipes
from alexnet_edu.studies.kernel_training import Recipe, Trained
from alexnet_edu.studies.networks import SHIPPED, load_weights, weights_path
from alexnet_edu.studies.weight_recipes import (
    RECIPES,
    SEEDS,
    Retrained,
    compared,
    ship,
    stand_in,
    train_seeds,
)
from alexnet_edu.training.loop import error_rate

TINY = Recipe(kernel_net(kernels=8, side=16), rate=0.02, epochs=2, steps=("crop",))
IMAGES = synthetic_images(300, 60, size=18)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As these networks are trained, whatever `train_seeds` left behind."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A recipe of two epochs in the place of the stand-in's, and a folder of weights of its own."""
    monkeypatch.setitem(RECIPES, "stand-in", TINY)
    monkeypatch.setenv("ALEXNET_EDU_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


def trained(folder: Path, seeds: tuple[int, ...] = (1, 2), images: ImageSet = IMAGES) -> dict[int, Trained]:
    return train_seeds("stand-in", images, folder, seeds=seeds, say=lambda _: None)


# --- the recipes --------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(SHIPPED))
def test_a_recipe_builds_96_kernels_in_two_columns(name: str) -> None:
    recipe = RECIPES[name]
    model = AlexNet(recipe.network, classes=10)
    assert tuple(model.weights("conv1").get_parameter("weight").shape) == (96, 3, 7, 7)
    assert recipe.network.columns == 2
    assert sum(p.numel() for p in model.parameters()) == sum(c.parameters for c in count(recipe.network))
    assert recipe.config(1).seed == 1
    assert all(0 < drop < recipe.epochs for drop in recipe.drops)
    assert "flip" not in recipe.steps or name == "cifar10"  # reflections change the stand-in's classes


def test_there_is_a_recipe_for_every_shipped_network_and_five_seeds() -> None:
    assert RECIPES.keys() == SHIPPED.keys()
    assert len(set(SEEDS)) == len(SEEDS) == 5


# --- training and shipping ----------------------------------------------------------------


def test_seeds_are_trained_side_by_side_and_come_in_order(tiny: Path, tmp_path: Path) -> None:
    said: list[str] = []
    found = train_seeds("stand-in", IMAGES, tmp_path / "runs", seeds=(2, 1), workers=2, say=said.append)
    assert list(found) == [1, 2]
    assert sorted(line.split(":")[0] for line in said) == ["stand-in, seed 1", "stand-in, seed 2"]
    alone = train_seeds("stand-in", IMAGES, tmp_path / "alone", seeds=(2,), say=said.append)
    mine, theirs = found[2].model.state_dict(), alone[2].model.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_what_goes_wrong_with_one_seed_stops_the_others(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def train(*arguments: Any, **options: Any) -> None:
        asked.append(arguments[2])
        raise DataError("the disk is full")

    monkeypatch.setattr(weight_recipes, "train_network", train)
    with pytest.raises(DataError, match="the disk is full"):
        train_seeds("stand-in", IMAGES, tmp_path, seeds=tuple(range(50)), workers=1)
    assert len(asked) < 50


def test_the_first_seed_is_shipped_with_what_it_is_worth(tiny: Path, tmp_path: Path) -> None:
    found = trained(tmp_path / "runs")
    facts = ship("stand-in", IMAGES, found, weights_path("stand-in"))
    network = load_weights("stand-in")
    assert network.facts == facts
    assert facts.keys() >= weights.FACTS
    assert facts["errors"] == [found[1].test_error, found[2].test_error]
    assert (facts["seed"], facts["seeds"], facts["test_error"]) == (1, [1, 2], found[1].test_error)
    assert (facts["images"], facts["test_images"], facts["synthetic"]) == (300, 60, True)
    assert facts["fingerprint"] == IMAGES.train.fingerprint()
    assert network.title == "8 kernels in two columns, trained on the synthetic stand-in"
    assert torch.equal(network.kernels, found[1].looks[-1][1])
    wrong = network.outputs(IMAGES.test.pixels, "fc6").argmax(1) != IMAGES.test.labels
    assert wrong.double().mean().item() == pytest.approx(found[1].test_error, abs=1 / 60)
    assert f"test error {found[1].test_error:.2%} with seed 1; 2 seeds" in network.text()


def test_a_network_of_no_numbers_is_not_shipped(tiny: Path, tmp_path: Path) -> None:
    (seed, found), *_ = trained(tmp_path / "runs", seeds=(1,)).items()
    with pytest.raises(ValueError, match="stand-in, seed 1, diverged"):
        ship("stand-in", IMAGES, {seed: replace(found, status="diverged")}, weights_path("stand-in"))
    assert not weights_path("stand-in").exists()


# --- the verdict on a repetition ----------------------------------------------------------


def test_a_repetition_is_judged_by_the_spread_of_the_seeds(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--ship"):
        compared("stand-in", 0.5)
    found = trained(tmp_path / "runs")
    for seed, error in ((1, 0.30), (2, 0.40)):
        found[seed] = replace(found[seed], test_error=error)
    ship("stand-in", IMAGES, found, weights_path("stand-in"))
    chance = (0.35 * 0.65 / 60) ** 0.5
    same = compared("stand-in", 0.35)
    assert (same.stated, same.lowest, same.highest) == (0.30, 0.30, 0.40)
    assert same.tolerance == pytest.approx(chance + 0.05)
    assert same.as_stated
    assert same.text().endswith(": as stated")
    for other in (0.9, 0.0):
        judged = compared("stand-in", other)
        assert not judged.as_stated
        assert judged.text().endswith(": NOT as stated")


@pytest.mark.parametrize(("error", "fine"), [(0.18, True), (0.17, False), (0.42, True), (0.43, False)])
def test_the_tolerance_lies_on_both_sides(error: float, fine: bool) -> None:
    assert Retrained("x", error, 0.3, lowest=0.2, highest=0.4, tolerance=0.025).as_stated == fine


# --- the files that are shipped -----------------------------------------------------------


@pytest.fixture
def shipped(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> weights.Network:
    monkeypatch.delenv("ALEXNET_EDU_WEIGHTS", raising=False)
    return load_weights(request.param)


@pytest.mark.parametrize("shipped", list(SHIPPED), indirect=True)
def test_a_shipped_file_holds_the_network_of_its_recipe(shipped: weights.Network) -> None:
    name, recipe = shipped.name, RECIPES[shipped.name]
    assert tuple(shipped.kernels.shape) == (96, 3, 7, 7)
    assert shipped.columns == 2
    steps = [step for step, _ in shipped.looks]
    assert steps[0] == 0
    assert steps == sorted(steps)
    assert len(steps) > 3
    assert torch.allclose(shipped.looks[-1][1], shipped.kernels, rtol=1e-3, atol=1e-5)
    facts = shipped.facts
    assert facts.keys() >= weights.FACTS
    assert "+" not in facts["commit"]
    assert facts["commit"] != "unknown"
    assert facts["seeds"] == list(SEEDS)
    assert len(facts["errors"]) == 5
    assert facts["errors"][0] == facts["test_error"] < 0.5
    assert (facts["rate"], facts["epochs"], facts["drops"]) == (
        recipe.rate,
        recipe.epochs,
        list(recipe.drops),
    )
    assert facts["steps"] == list(recipe.steps)
    assert facts["synthetic"] == (name == "stand-in")
    assert facts["command"] == f"alexnet-edu weights train {name}"
    assert shipped.stages["conv1"][0].weight.shape[0] == weight_recipes.KERNELS
    model = AlexNet(recipe.network, classes=10)
    model.stages.load_state_dict(shipped.stages.state_dict())


def test_the_shipped_files_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALEXNET_EDU_WEIGHTS", raising=False)
    files = [weights_path(name) for name in SHIPPED]
    assert sum(path.stat().st_size for path in files) < 4_000_000


@pytest.mark.parametrize("shipped", ["stand-in"], indirect=True)
def test_the_shipped_network_of_the_stand_in_errs_as_its_file_states(shipped: weights.Network) -> None:
    images = stand_in()
    assert images.train.classes == shipped.classes == CLASSES
    assert shipped.facts["fingerprint"] == images.train.fingerprint()
    assert shipped.facts["test_images"] == len(images.test)
    model = AlexNet(RECIPES["stand-in"].network, classes=10)
    model.stages.load_state_dict(shipped.stages.state_dict())
    test = images.test
    found = error_rate(model, test.pixels, test.labels, prepare=shipped.prepare, precision="float32")
    assert found == pytest.approx(shipped.facts["test_error"], abs=0.002)
