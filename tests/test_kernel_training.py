"""One small network trained: taken up where it was left, to the last bit; its kernels kept on the way."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from alexnet_edu.data.images import Images, ImageSet
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.files import DataError
from alexnet_edu.model.architecture import kernel_net
from alexnet_edu.studies import kernel_training
from alexnet_edu.studies.kernel_training import Interrupted, Recipe, Trained, digest, train_network
from alexnet_edu.training.loop import Run, error_rate

IMAGES = synthetic_images(300, 60, size=18)
RECIPE = Recipe(kernel_net(kernels=8, side=16), rate=0.02, epochs=3, drops=(2,), steps=("crop", "flip"))
LOOKS = (1, 2, 5, 7)  # of 9 steps, 3 an epoch
SEED = 3


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As these networks are trained: for so small ones several threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def whole() -> Trained:
    """Trained in one go, nothing kept."""
    return train_network(RECIPE, IMAGES, SEED, looks=LOOKS)


def same(one: Trained, other: Trained) -> bool:
    """Weights, kernels on the way and errors, bit by bit."""
    mine, theirs = one.model.state_dict(), other.model.state_dict()
    return (
        mine.keys() == theirs.keys()
        and all(torch.equal(mine[name], theirs[name]) for name in mine)
        and [step for step, _ in one.looks] == [step for step, _ in other.looks]
        and all(torch.equal(a, b) for (_, a), (_, b) in zip(one.looks, other.looks, strict=True))
        and (one.test_error, one.train_error, one.status)
        == (other.test_error, other.train_error, other.status)
    )


def after(steps: int) -> Callable[[], bool]:
    """A `stop` that answers True once it was asked so many times."""
    asked = iter(range(steps))
    return lambda: next(asked, None) is None


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def flipped(path: Path) -> None:
    """Changes one bit of its last byte."""
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


# --- what comes out -----------------------------------------------------------------------


def test_kernels_are_kept_from_the_first_to_the_last(whole: Trained) -> None:
    assert [step for step, _ in whole.looks] == [0, *LOOKS, 9]
    fresh = kernel_training._new(RECIPE, IMAGES, SEED)
    assert torch.equal(whole.looks[0][1], fresh.weights("conv1").get_parameter("weight"))
    assert torch.equal(whole.looks[-1][1], whole.model.weights("conv1").get_parameter("weight"))
    kernels = [kernels for _, kernels in whole.looks]
    assert all(not torch.equal(a, b) for a, b in pairwise(kernels))
    assert {tuple(k.shape) for k in kernels} == {(8, 3, 7, 7)}


def test_the_errors_are_those_of_the_network(whole: Trained) -> None:
    test = IMAGES.test
    found = error_rate(whole.model, test.pixels, test.labels, prepare=whole.prepare)
    assert whole.test_error == found
    assert whole.status == "limit"
    assert 0 <= whole.train_error <= 1
    assert whole.provenance.keys() >= {"commit", "date", "hardware", "torch", "threads"}


def test_looking_changes_nothing_with_or_without_a_folder(whole: Trained, tmp_path: Path) -> None:
    """Each stage between two looks goes on with the velocities and the images of the one before."""
    blind = train_network(RECIPE, IMAGES, SEED)
    assert [step for step, _ in blind.looks] == [0, 9]
    assert same(replace(whole, looks=[whole.looks[0], whole.looks[-1]]), blind)
    assert same(whole, train_network(RECIPE, IMAGES, SEED, folder=tmp_path, looks=LOOKS))
    assert not same(blind, train_network(RECIPE, IMAGES, SEED + 1))


def test_a_look_is_taken_at_its_step_also_where_division_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """29 / 7 · 7 is a little more than 29."""
    seen: list[int] = []
    real = kernel_training.fit

    def noted(*arguments: Any, **options: Any) -> Run:
        run = real(*arguments, **options)
        seen.append(run.points[-1].iteration)
        return run

    monkeypatch.setattr(kernel_training, "fit", noted)
    recipe = replace(RECIPE, network=kernel_net(kernels=2, kernel=3, side=16), epochs=5)
    images = ImageSet(synthetic_images(7 * 128, 10, size=16).train, synthetic_images(10, 10, size=16).test)
    found = train_network(recipe, images, 1, looks=(29,))
    assert seen == [29, 35]
    assert [step for step, _ in found.looks] == [0, 29, 35]


# --- stopped and taken up -----------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, 1, 4, 6, 8])
def test_a_run_that_was_stopped_ends_where_an_uninterrupted_one_does(
    steps: int, whole: Trained, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted, match="kernels, seed 3, was stopped"):
        train_network(RECIPE, IMAGES, SEED, folder=tmp_path, looks=LOOKS, stop=after(steps))
    assert not list(tmp_path.glob("*.json"))
    asked: list[int] = []
    again = train_network(
        RECIPE, IMAGES, SEED, folder=tmp_path, looks=LOOKS, stop=lambda: bool(asked.append(1))
    )
    assert same(again, whole)
    assert len(asked) <= 9 - steps + 2  # at most what was run since the last look or epoch is run again


class Killed(BaseException):
    """No code of the run sees it, as when the process is killed."""


@pytest.mark.parametrize("which", range(6))
def test_a_run_that_was_killed_between_two_stages_too(
    which: int, whole: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed just before the kernels of a stage are written: the checkpoint is ahead of them."""
    real, written = kernel_training.write_tensors, iter(range(which))

    def write(*arguments: Any) -> Any:
        if next(written, None) is None:
            raise Killed
        return real(*arguments)

    monkeypatch.setattr(kernel_training, "write_tensors", write)
    with pytest.raises(Killed):
        train_network(RECIPE, IMAGES, SEED, folder=tmp_path, looks=LOOKS)
    monkeypatch.setattr(kernel_training, "write_tensors", real)
    assert same(train_network(RECIPE, IMAGES, SEED, folder=tmp_path, looks=LOOKS), whole)


def test_a_run_that_was_killed_at_its_very_end_too(
    whole: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise Killed

    real = kernel_training.write_json
    monkeypatch.setattr(kernel_training, "write_json", killed)
    with pytest.raises(Killed):
        train_network(RECIPE, IMAGES, SEED, folder=tmp_path, looks=LOOKS)
    monkeypatch.setattr(kernel_training, "write_json", real)
    assert same(train_network(RECIPE, IMAGES, SEED, folder=tmp_path, looks=LOOKS, stop=lambda: True), whole)


def test_a_finished_run_is_read_and_not_trained(whole: Trained, tmp_path: Path) -> None:
    train_network(RECIPE, IMAGES, SEED, folder=tmp_path, name="own", looks=LOOKS)
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json", ".safetensors"]
    assert only(tmp_path, "*.json").name == f"own-seed3-{digest(RECIPE, IMAGES, SEED)}.json"
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = train_network(RECIPE, IMAGES, SEED, folder=tmp_path, name="own", looks=LOOKS, stop=lambda: True)
    assert same(again, whole)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_a_network_that_diverges_errs_on_everything_and_is_kept_so(tmp_path: Path) -> None:
    recipe = replace(RECIPE, rate=1e6)
    found = train_network(recipe, IMAGES, SEED, folder=tmp_path, looks=LOOKS)
    assert (found.status, found.test_error) == ("diverged", 1.0)
    assert found.looks[0][0] == 0
    assert all(kernels.isfinite().all() for _, kernels in found.looks[:1])
    again = train_network(recipe, IMAGES, SEED, folder=tmp_path, looks=LOOKS, stop=lambda: True)
    assert (again.status, again.test_error, len(again.looks)) == ("diverged", 1.0, len(found.looks))


def test_the_learning_curve_is_told() -> None:
    told: list[float] = []
    train_network(RECIPE, IMAGES, SEED, tell=lambda run: told.append(run.points[-1].epoch))
    assert told == [1, 2, 3]


# --- damage -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "harm"),
    [("*.json", "cut"), *(("*-network.safetensors", harm) for harm in ("cut", "changed", "gone"))],
)
def test_damage_names_all_files_to_delete(pattern: str, harm: str, whole: Trained, tmp_path: Path) -> None:
    train_network(RECIPE, IMAGES, SEED, folder=tmp_path, looks=LOOKS)
    path = only(tmp_path, pattern)
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-40])
    elif harm == "changed":
        flipped(path)
    else:
        path.unlink()
    with pytest.raises(DataError, match=re.escape(str(path))) as told:
        train_network(RECIPE, IMAGES, SEED, folder=tmp_path, looks=LOOKS)
    advised = str(told.value).split(": delete ")[1].split(", and the same command")[0].split(" and ")
    for name in advised:
        Path(name).unlink()
    assert same(train_network(RECIPE, IMAGES, SEED, folder=tmp_path, looks=LOOKS), whole)


def test_a_record_that_is_gone_is_made_again(whole: Trained, tmp_path: Path) -> None:
    train_network(RECIPE, IMAGES, SEED, folder=tmp_path, looks=LOOKS)
    only(tmp_path, "*.json").unlink()
    assert same(train_network(RECIPE, IMAGES, SEED, folder=tmp_path, looks=LOOKS), whole)


@pytest.mark.parametrize("record", ["{}", "[]", '{"test_error": 1}'])
def test_a_record_of_something_else_is_refused(record: str, tmp_path: Path) -> None:
    train_network(RECIPE, IMAGES, SEED, folder=tmp_path)
    path = only(tmp_path, "*.json")
    path.write_text(record)
    with pytest.raises(DataError, match=re.escape(f"{path} is damaged (")):
        train_network(RECIPE, IMAGES, SEED, folder=tmp_path)


def test_the_network_of_another_run_is_refused(tmp_path: Path) -> None:
    other = replace(RECIPE, network=kernel_net(kernels=4, side=16))
    for recipe, name in ((RECIPE, "a"), (other, "b")):
        train_network(recipe, IMAGES, SEED, folder=tmp_path, name=name)
    only(tmp_path, "b-*-network*").rename(only(tmp_path, "a-*-network*"))
    with pytest.raises(DataError, match=r"a-seed3-\w+\.json is damaged \(Error"):
        train_network(RECIPE, IMAGES, SEED, folder=tmp_path, name="a")


def test_kernels_of_the_way_that_are_lost_are_not_replaced_by_later_ones(
    whole: Trained, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        train_network(RECIPE, IMAGES, SEED, folder=tmp_path, looks=LOOKS, stop=after(6))
    tensors = only(tmp_path, "*-network.safetensors")
    flipped(tensors)
    with pytest.raises(
        DataError, match=r"its digest differs: delete .*-network\.safetensors and .*, and the"
    ):
        train_network(RECIPE, IMAGES, SEED, folder=tmp_path, looks=LOOKS)
    tensors.unlink()  # but not the checkpoint
    with pytest.raises(DataError, match="is at step 6, and the kernels of step 1 are not kept: delete"):
        train_network(RECIPE, IMAGES, SEED, folder=tmp_path, looks=LOOKS)
    only(tmp_path, "*.safetensors").unlink()
    assert same(train_network(RECIPE, IMAGES, SEED, folder=tmp_path, looks=LOOKS), whole)


def test_a_damaged_checkpoint_is_named(whole: Trained, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train_network(RECIPE, IMAGES, SEED, folder=tmp_path, looks=LOOKS, stop=after(4))
    (checkpoint,) = (p for p in tmp_path.glob("*.safetensors") if "network" not in p.name)
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    with pytest.raises(DataError, match=re.escape(str(checkpoint))):
        train_network(RECIPE, IMAGES, SEED, folder=tmp_path, looks=LOOKS)
    checkpoint.unlink()
    assert same(train_network(RECIPE, IMAGES, SEED, folder=tmp_path, looks=LOOKS), whole)


# --- recipes ------------------------------------------------------------------------------

OTHER_NETWORKS: dict[str, Any] = {
    "connect": "joint", "kernel": 5, "stride": 1, "kernels": 10, "side": 14, "norm": True, "start": "2012"
}  # fmt: skip


def test_the_digest_changes_with_all_that_decides_the_weights() -> None:
    train = IMAGES.train
    fewer = train.subset(torch.arange(299))
    swapped = Images(train.pixels, train.labels.flip(0), train.classes, train.source, True)
    found = [
        digest(RECIPE, IMAGES, SEED),
        digest(RECIPE, IMAGES, SEED + 1),
        *(
            digest(replace(RECIPE, **change), IMAGES, SEED)  # type: ignore[arg-type]
            for change in (
                {"rate": 0.03}, {"epochs": 4}, {"drops": (1,)}, {"steps": ("crop",)}, {"standardized": False}
            )
        ),
        *(
            digest(replace(RECIPE, network=kernel_net(**{"kernels": 8, "side": 16, **{k: v}})), IMAGES, SEED)
            for k, v in OTHER_NETWORKS.items()
        ),
        *(digest(RECIPE, ImageSet(other, IMAGES.test), SEED) for other in (fewer, swapped)),
    ]  # fmt: skip
    assert len(set(found)) == len(found)
    assert all(re.fullmatch("[0-9a-f]{10}", each) for each in found)
    assert digest(replace(RECIPE), IMAGES, SEED) == found[0]


def test_another_number_of_classes_is_refused(tmp_path: Path) -> None:
    recipe = replace(RECIPE, network=kernel_net(kernels=8, side=16, classes=20))
    with pytest.raises(ValueError, match="the network has 20 outputs, the images 10 classes"):
        train_network(recipe, IMAGES, SEED, folder=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("epochs", [0, -1, float("nan"), float("inf")])
def test_a_recipe_without_training_is_refused(epochs: float) -> None:
    with pytest.raises(ValueError, match="epochs must be a positive number, got"):
        replace(RECIPE, epochs=epochs)


def test_the_record_says_how_it_was_made(tmp_path: Path) -> None:
    found = train_network(RECIPE, IMAGES, SEED, folder=tmp_path)
    record = json.loads(only(tmp_path, "*.json").read_text())
    assert record["recipe"]["network"]["layers"][0]["outputs"] == 8
    assert (record["recipe"]["rate"], record["seed"]) == (0.02, 3)
    assert record["test_error"] == found.test_error
    assert record["provenance"] == found.provenance
