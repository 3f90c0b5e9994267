from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from alexnet_edu.imagenet import checkpoint as checkpoints
from alexnet_edu.imagenet import log as run_log
from alexnet_edu.imagenet import trainer as imagenet_train
from alexnet_edu.imagenet.distributed import Single
from alexnet_edu.imagenet.prepared import PreparedSet, open_prepared
from alexnet_edu.imagenet.recipe import Recipe
from alexnet_edu.imagenet.trainer import Diverged, Running, Training
from alexnet_edu.training.loop import CheckpointError
from tests import prepared

RECIPE = Recipe(narrow=16, batch_size=18, epochs=2, rate=0.003, evaluations=1, patience=1)  # 3 steps an epoch
RUNNING = Running(precision="float32", workers=1, log_every=2, save_every=100)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    return open_prepared(prepared.small(tmp_path_factory.mktemp("prepared"), val=7))


def training(
    images: PreparedSet,
    folder: Path,
    recipe: Recipe = RECIPE,
    running: Running = RUNNING,
    **options: Any,
) -> Training:
    table = recipe.architecture(len(images.wnids))
    options.setdefault("say", lambda line: None)
    group = Single(table, torch.device("cpu"), recipe.seed)
    return Training(recipe, images, group, folder, running, **options)


def contents(folder: Path) -> checkpoints.Checkpoint:
    found, problems = checkpoints.newest(folder)
    assert found is not None
    assert not problems
    return found


def same(a: checkpoints.Checkpoint, b: checkpoints.Checkpoint) -> bool:
    """Bit by bit, and the same state but for the seconds it took."""
    states = [{k: v for k, v in c.state.items() if k != "seconds"} for c in (a, b)]
    equal = a.tensors.keys() == b.tensors.keys() and all(
        torch.equal(tensor, b.tensors[name]) for name, tensor in a.tensors.items()
    )
    return equal and states[0] == states[1]


@pytest.fixture(scope="module")
def whole(images: PreparedSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of six steps that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    assert training(images, folder).run() == "finished"
    return folder


def test_a_run_leaves_weights_errors_and_a_log(whole: Path) -> None:
    last = contents(whole)
    assert last.state["step"] == 6
    assert [e["step"] for e in last.state["evaluations"]] == [3, 6]
    assert all(e["images"] == 7 for e in last.state["evaluations"])
    rows = run_log.read(whole / run_log.METRICS)
    kinds = [row["kind"] for row in rows]
    assert kinds[0] == "start"
    assert kinds[-2:] == ["final", "stop"]
    assert rows[-2]["patches"] == 10
    assert rows[-1]["status"] == "finished"
    assert [row["step"] for row in rows if row["kind"] == "step"] == [2, 3, 4, 6]
    assert (whole / checkpoints.BEST).exists()


@pytest.mark.parametrize("until", [1, 3, 5])
def test_a_run_that_was_stopped_anywhere_ends_with_the_same_bits(
    images: PreparedSet, whole: Path, tmp_path: Path, until: int
) -> None:
    assert training(images, tmp_path, running=replace(RUNNING, until=until)).run() == "stopped"
    assert contents(tmp_path).state["step"] == until
    again = replace(RUNNING, resume="auto")
    assert training(images, tmp_path, running=again).run() == "finished"
    assert same(contents(tmp_path), contents(whole))


def _after(calls: int) -> Callable[[], bool]:
    """False so many times, then True."""
    count = 0

    def told() -> bool:
        nonlocal count
        count += 1
        return count > calls

    return told


@pytest.mark.parametrize("calls", [0, 2, 3])  # in a step; at the last one of an epoch; while judging
def test_told_to_stop_it_saves_and_goes_on_later(
    images: PreparedSet, whole: Path, tmp_path: Path, calls: int
) -> None:
    assert training(images, tmp_path, should_stop=_after(calls)).run() == "stopped"
    stopped = contents(tmp_path)
    assert stopped.state["step"] == min(calls + 1, 3)
    assert stopped.state["evaluations"] == []
    assert training(images, tmp_path, running=replace(RUNNING, resume="auto")).run() == "finished"
    assert same(contents(tmp_path), contents(whole))


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before_and_says_so(
    images: PreparedSet, whole: Path, tmp_path: Path
) -> None:
    training(images, tmp_path, running=replace(RUNNING, until=5)).run()
    newest = checkpoints.path_of(tmp_path, 5)
    newest.write_bytes(newest.read_bytes()[:-100])
    said: list[str] = []
    run = training(images, tmp_path, running=replace(RUNNING, resume="auto"), say=said.append)
    assert run.step == 3
    assert "step-000000005.safetensors is damaged" in said[0]
    assert "goes on at step 3 of 6" in said[1]
    assert run.run() == "finished"
    assert same(contents(tmp_path), contents(whole))


def test_without_any_whole_checkpoint_nothing_is_overwritten(images: PreparedSet, tmp_path: Path) -> None:
    checkpoints.path_of(tmp_path, 5).write_bytes(b"rubbish")
    with pytest.raises(CheckpointError, match=r"none of the 1 checkpoints in .* is whole"):
        training(images, tmp_path, running=replace(RUNNING, resume="auto"))
    assert checkpoints.path_of(tmp_path, 5).read_bytes() == b"rubbish"


def test_a_folder_with_a_run_is_not_overwritten_by_accident(images: PreparedSet, whole: Path) -> None:
    with pytest.raises(CheckpointError, match="holds a run at step 6: --resume auto goes on"):
        training(images, whole)


def test_another_recipe_or_other_images_are_refused(images: PreparedSet, whole: Path, tmp_path: Path) -> None:
    again = replace(RUNNING, resume="auto")
    with pytest.raises(CheckpointError, match=r"a run with rate = 0\.003, not 0\.01"):
        training(images, whole, replace(RECIPE, rate=0.01), again)
    manifest = {**images.manifest, "source": {"label": "x", "fingerprint": "another"}}
    with pytest.raises(CheckpointError, match="other images"):
        training(replace(images, manifest=manifest), whole, running=again)


def test_the_rate_falls_by_the_validation_errors(images: PreparedSet, tmp_path: Path) -> None:
    run = training(images, tmp_path, replace(RECIPE, epochs=4))
    errors = iter([0.5, 0.6, 0.4, 0.4])
    real = run.evaluate
    run.evaluate = lambda patches=1: replace(real(patches), top1=next(errors, 0.4))  # type: ignore[method-assign]
    run.run()
    rates = {r["epoch"]: r["rate"] for r in run_log.read(tmp_path / run_log.METRICS) if r["kind"] == "step"}
    assert rates[2.0] == 0.003
    assert rates[3.0] == pytest.approx(0.0003)  # after the second error, 0.6 > 0.5
    assert rates[4.0] == pytest.approx(0.0003)
    best = checkpoints.load(tmp_path / checkpoints.BEST)
    assert best.state["step"] == 9  # 0.4 for the first time is a best; the second time it is as good


def test_divergence_ends_with_a_diagnosis_and_keeps_the_last_checkpoint(
    images: PreparedSet, tmp_path: Path
) -> None:
    with pytest.raises(Diverged, match=r"the loss was .* at step [\d,]+: .*try --rate") as caught:
        training(images, tmp_path, replace(RECIPE, rate=1e6)).run()
    assert "there is no checkpoint yet" in str(caught.value)
    assert checkpoints.saved_steps(tmp_path) == []
    assert run_log.read(tmp_path / run_log.METRICS)[-1]["status"] == "diverged"


def test_a_full_disk_is_said_and_the_run_goes_on(
    images: PreparedSet, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    _full(monkeypatch, first=1, last=1)
    assert training(images, tmp_path, say=said.append).run() == "finished"
    assert sum("there is no room" in line for line in said) == 1
    assert same(contents(tmp_path), contents(whole))


def test_a_run_whose_last_checkpoint_cannot_be_written_does_not_claim_to_have_finished(
    images: PreparedSet, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        _full(patch, first=3, last=9)  # the checkpoint of step 3 and the best one fit
        with pytest.raises(CheckpointError, match=r"step 6, the last one, .*goes on from step 3"):
            training(images, tmp_path).run()
    assert training(images, tmp_path, running=replace(RUNNING, resume="auto")).run() == "finished"
    assert same(contents(tmp_path), contents(whole))


def _full(monkeypatch: pytest.MonkeyPatch, first: int, last: int) -> None:
    """The disk is full for these calls of `save`, counted from 1."""
    real, calls = checkpoints.save, 0

    def save(path: Path, *rest: Any) -> None:
        nonlocal calls
        calls += 1
        if first <= calls <= last:
            raise checkpoints.DiskFullError(f"there is no room for {path}")
        real(path, *rest)

    monkeypatch.setattr(imagenet_train.checkpoints, "save", save)


def test_an_unreadable_image_is_named_and_its_gradient_is_nothing(
    images: PreparedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alexnet_edu.files import DataError
    from alexnet_edu.imagenet.prepared import Split

    real = Split.decode_into

    def broken(self: Split, index: int, out: Any) -> None:
        if self.name == "train" and index == 5:
            raise DataError("image 5 is damaged.")
        real(self, index, out)

    monkeypatch.setattr(Split, "decode_into", broken)
    run = training(images, tmp_path)
    assert run.run() == "finished"
    assert contents(tmp_path).state["unreadable"] == ["image 5 is damaged."]
    texts = [r["text"] for r in run_log.read(tmp_path / run_log.METRICS) if r["kind"] == "warning"]
    assert texts == ["image 5 is damaged. It is left out."]


def test_tensorboard_without_its_package_says_what_to_install(
    images: PreparedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match="pip install tensorboard"):
        training(images, tmp_path, running=replace(RUNNING, tensorboard=True))


@pytest.mark.slow
def test_the_loss_falls(images: PreparedSet, tmp_path: Path) -> None:
    recipe = replace(
        RECIPE, narrow=8, batch_size=16, rate=0.01, epochs=16, schedule="constant", evaluations=1
    )
    training(images, tmp_path, recipe, replace(RUNNING, log_every=3)).run()
    losses = [r["loss"] for r in run_log.read(tmp_path / run_log.METRICS) if r["kind"] == "step"]
    assert sum(losses[-4:]) / 4 < 0.7 * sum(losses[:4]) / 4
