"""Small networks trained with snapshots, resumed to the last bit; how shipped ones are made and judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from alexnet_edu.data.images import ImageSet
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.environment import WEIGHTS_VARIABLE
from alexnet_edu.files import DataError
from alexnet_edu.model.architecture import kernel_net
from alexnet_edu.studies import shipped
from alexnet_edu.studies.engine import Runs
from alexnet_edu.studies.networks import FACTS, SHIPPED, first_kernels, load_weights, weights_path
from alexnet_edu.studies.shipped import (
    RECIPES,
    SEEDS,
    Trained,
    compared,
    finished,
    kernel_run,
    seeded,
    ship,
    stand_in,
    train_seeds,
    train_with_snapshots,
)
from alexnet_edu.training.loop import error_rate

IMAGES = synthetic_images(300, 60, size=18)
NETWORK = kernel_net(kernels=8, side=16)
RUN = seeded(kernel_run("own", NETWORK, 0.02, 3, drops=(2,), augment=("crop", "flip")), 3)
STEPS = (1, 2, 5, 7)  # of 9, 3 an epoch


@pytest.fixture(scope="module")
def whole() -> Trained:
    """Trained in one go."""
    return train_with_snapshots(Runs(IMAGES, None), RUN, STEPS)


def same(one: Trained, other: Trained) -> bool:
    """Weights, snapshots and errors, bit by bit."""
    first, second = (each.result.network.state_dict() for each in (one, other))
    return (
        all(torch.equal(first[name], second[name]) for name in first)
        and one.snapshots.keys() == other.snapshots.keys()
        and all(torch.equal(kernels, other.snapshots[step]) for step, kernels in one.snapshots.items())
        and one.test_error == other.test_error
    )


def after(steps: int) -> Callable[[], bool]:
    """A `stop` that answers True once it was asked so many times."""
    asked = iter(range(steps))
    return lambda: next(asked, None) is None


# --- one network ------------------------------------------------------------------------------


def test_kernels_are_kept_from_the_first_to_the_last_and_change_nothing(whole: Trained) -> None:
    runs, test = Runs(IMAGES, None), IMAGES.test
    assert list(whole.snapshots) == [0, *STEPS, 9]
    assert torch.equal(whole.snapshots[0], first_kernels(runs.build(RUN)))
    assert torch.equal(whole.kernels, first_kernels(whole.result.network))
    assert all(not torch.equal(a, b) for a, b in pairwise(whole.snapshots.values()))
    prepare = runs.prepare(16, "standardized")
    assert whole.test_error == error_rate(whole.result.network, test.pixels, test.labels, prepare=prepare)
    staged = whole.result.network.state_dict()
    for name, value in runs.train(RUN).network.state_dict().items():  # velocities and images went on
        assert torch.equal(value, staged[name])


def test_a_snapshot_is_taken_at_its_step_also_where_division_rounds() -> None:
    """29 / 7 · 7 is a little more than 29."""
    images = ImageSet(synthetic_images(7 * 128, 10, size=16).train, synthetic_images(10, 10, size=16).test)
    run = replace(RUN, network=kernel_net(kernels=2, kernel=3, side=16), epochs=5)
    trained = train_with_snapshots(Runs(images, None), run, (29,))
    assert list(trained.snapshots) == [0, 29, 35]
    assert 29 in [point.iteration for point in trained.result.curve.points]


class Killed(BaseException):
    """No code of the run sees it, as when the process is killed."""


@pytest.mark.parametrize("steps", [0, 1, 6, 8])
def test_a_run_that_was_stopped_ends_where_an_uninterrupted_one_does(
    steps: int, whole: Trained, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_with_snapshots(Runs(IMAGES, tmp_path), RUN, STEPS, stop=after(steps))
    assert finished(Runs(IMAGES, tmp_path), RUN) is None
    assert same(train_with_snapshots(Runs(IMAGES, tmp_path), RUN, STEPS), whole)
    again = train_with_snapshots(Runs(IMAGES, tmp_path), RUN, STEPS, stop=lambda: True)  # read, not trained
    kept = finished(Runs(IMAGES, tmp_path), RUN)
    assert kept is not None
    assert same(again, whole)
    assert (kept.test_error, list(kept.snapshots)) == (whole.test_error, list(whole.snapshots))


@pytest.mark.parametrize("which", [0, 2, 4])
def test_a_run_that_was_killed_before_a_snapshot_is_written_does_too(
    which: int, whole: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint is ahead of the snapshots then."""
    real, written = shipped.write_tensors, iter(range(which))

    def write(*arguments: object) -> object:
        if next(written, None) is None:
            raise Killed
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(shipped, "write_tensors", write)
    with pytest.raises(Killed):
        train_with_snapshots(Runs(IMAGES, tmp_path), RUN, STEPS)
    monkeypatch.setattr(shipped, "write_tensors", real)
    assert same(train_with_snapshots(Runs(IMAGES, tmp_path), RUN, STEPS), whole)


def test_all_answers_of_a_network_that_diverged_are_wrong(tmp_path: Path) -> None:
    run = replace(RUN, config=replace(RUN.config, learning_rate=1e6))
    for _ in range(2):
        trained = train_with_snapshots(Runs(IMAGES, tmp_path), run, STEPS)
        assert (trained.diverged, trained.test_error) == (True, 1.0)


def test_snapshots_that_are_damaged_or_lost_are_told(whole: Trained, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_with_snapshots(Runs(IMAGES, tmp_path), RUN, STEPS, stop=after(6))
    (path,) = tmp_path.glob("*.snapshots.safetensors")
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(DataError, match=path.name):
        train_with_snapshots(Runs(IMAGES, tmp_path), RUN, STEPS)
    path.unlink()  # but not the checkpoint: later kernels must not pass for earlier ones
    with pytest.raises(DataError, match=r"step 1 .* at step 6: delete .*\.json and .*\.safetensors") as told:
        train_with_snapshots(Runs(IMAGES, tmp_path), RUN, STEPS)
    for name in str(told.value).split(": delete ")[1].split(" to train")[0].split(" and "):
        Path(name).unlink()
    assert same(train_with_snapshots(Runs(IMAGES, tmp_path), RUN, STEPS), whole)


# --- the shipped ones -------------------------------------------------------------------------


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Runs:
    """A recipe of two epochs in the place of the stand-in's, and a folder of weights of its own."""
    monkeypatch.setitem(RECIPES, "stand-in", kernel_run("stand-in", NETWORK, 0.02, 2, augment=("crop",)))
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path / "weights"))
    return Runs(IMAGES, tmp_path / "runs")


def test_the_first_seed_is_shipped_with_what_it_is_worth(tiny: Runs) -> None:
    said: list[str] = []
    trained = train_seeds("stand-in", tiny, seeds=(2, 1), workers=2, say=said.append)
    assert list(trained) == [1, 2]
    assert sorted(line.split(":")[0] for line in said) == ["stand-in-seed1", "stand-in-seed2"]
    facts = ship("stand-in", tiny, trained, weights_path("stand-in"))
    network = load_weights("stand-in")
    assert network.facts == facts
    assert facts.keys() >= FACTS
    assert facts["errors"] == [each.test_error for each in trained.values()]
    assert (facts["seed"], facts["seeds"], facts["test_error"]) == (1, [1, 2], trained[1].test_error)
    assert (facts["images"], facts["test_images"], facts["synthetic"]) == (300, 60, True)
    assert torch.equal(network.kernels, trained[1].kernels)
    assert list(network.snapshots) == [0, 3, 6]
    wrong = network.outputs(IMAGES.test.pixels, "fc6").argmax(1) != IMAGES.test.labels
    assert wrong.double().mean().item() == pytest.approx(trained[1].test_error, abs=1 / 60)


def test_a_network_of_no_numbers_is_not_shipped(tiny: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RECIPES["stand-in"]
    wild = replace(run, config=replace(run.config, learning_rate=1e6))
    monkeypatch.setitem(RECIPES, "stand-in", wild)
    trained = train_seeds("stand-in", tiny, seeds=(1,), say=lambda _: None)
    with pytest.raises(ValueError, match="diverged"):
        ship("stand-in", tiny, trained, weights_path("stand-in"))
    assert not weights_path("stand-in").exists()


@pytest.mark.parametrize("name", list(SHIPPED))
def test_a_shipped_file_holds_the_network_of_its_recipe(name: str) -> None:
    network, run = load_weights(name), RECIPES[name]
    facts = network.facts
    assert torch.allclose(network.snapshots[max(network.snapshots)], network.kernels, rtol=1e-3, atol=1e-5)
    assert "+" not in facts["commit"]
    assert facts["seeds"] == list(SEEDS)
    made = (run.config.learning_rate, run.epochs, list(run.config.drops), list(run.augment))
    assert tuple(facts[name] for name in ("rate", "epochs", "drops", "steps")) == made
    lowest, highest = min(facts["errors"]), max(facts["errors"])
    inside = (lowest, highest, highest + 0.9 * (highest - lowest) / 2)
    assert [compared(name, error)[0] for error in (*inside, 0.0, 2 * highest)] == [True] * 3 + [False] * 2


def test_the_shipped_network_of_the_stand_in_errs_as_its_file_states() -> None:
    network, images = load_weights("stand-in"), stand_in()
    assert network.facts["fingerprint"] == images.train.fingerprint()
    wrong = network.outputs(images.test.pixels, "fc6").argmax(1) != images.test.labels
    assert wrong.double().mean().item() == pytest.approx(network.facts["test_error"], abs=0.002)
