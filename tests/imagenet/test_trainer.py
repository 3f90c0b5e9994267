"""The full training: stopped, killed and resumed to the same bits; full disks, damage, divergence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from alexnet_edu.files import DataError
from alexnet_edu.imagenet import checkpoint as checkpoints
from alexnet_edu.imagenet.checkpoint import Checkpoint
from alexnet_edu.imagenet.diagnosis import diagnose
from alexnet_edu.imagenet.distributed import Single
from alexnet_edu.imagenet.log import METRICS, Row, read
from alexnet_edu.imagenet.prepared import PreparedSet, Split
from alexnet_edu.imagenet.recipe import Recipe, Running
from alexnet_edu.imagenet.trainer import Diverged, Training

RECIPE = Recipe(narrow=16, batch_size=18, epochs=2, rate=0.003, evaluations=1, patience=1)  # 3 steps an epoch
RUNNING = Running(precision="float32", workers=1, log_every=2, save_every=100)
RESUMING = replace(RUNNING, resume="auto")


def training(
    images: PreparedSet,
    folder: Path,
    recipe: Recipe = RECIPE,
    running: Running = RUNNING,
    **options: Any,
) -> Training:
    options.setdefault("say", lambda line: None)
    group = Single(recipe.architecture(len(images.wnids)), torch.device("cpu"), recipe.seed)
    return Training(recipe, images, group, folder, running, **options)


def contents(folder: Path) -> Checkpoint:
    saved, problems = checkpoints.newest(folder)
    assert saved is not None
    assert not problems
    return saved


def assert_same(folder: Path, whole: Path) -> None:
    """Bit by bit, and the same state but for the seconds it took."""
    a, b = contents(folder), contents(whole)
    assert a.state | {"seconds": 0} == b.state | {"seconds": 0}
    assert a.tensors.keys() == b.tensors.keys()
    assert all(torch.equal(tensor, b.tensors[name]) for name, tensor in a.tensors.items())


def rows(folder: Path, kind: str) -> list[Row]:
    return [row for row in read(folder / METRICS) if row["kind"] == kind]


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
    kinds = [row["kind"] for row in read(whole / METRICS)]
    assert (kinds[0], kinds[-2:]) == ("start", ["final", "stop"])
    assert rows(whole, "final")[0]["patches"] == 10
    assert rows(whole, "stop")[0]["status"] == "finished"
    assert [row["step"] for row in rows(whole, "step")] == [2, 3, 4, 6]
    assert (whole / checkpoints.BEST).exists()


def _after(calls: int) -> Callable[[], bool]:
    """False so many times, then True."""
    answers = iter([False] * calls)
    return lambda: next(answers, True)


@pytest.mark.parametrize(
    ("calls", "step", "evaluated"),  # in a step; at the last one of an epoch; while judging; in a later epoch
    [(0, 1, []), (2, 3, []), (3, 3, []), (5, 5, [3])],
)
def test_a_run_that_was_stopped_anywhere_ends_with_the_same_bits(
    images: PreparedSet, whole: Path, tmp_path: Path, calls: int, step: int, evaluated: list[int]
) -> None:
    assert training(images, tmp_path, should_stop=_after(calls)).run() == "stopped"
    stopped = contents(tmp_path)
    assert stopped.state["step"] == step
    assert [e["step"] for e in stopped.state["evaluations"]] == evaluated
    assert training(images, tmp_path, running=RESUMING).run() == "finished"
    assert_same(tmp_path, whole)
    assert [row["step"] for row in rows(tmp_path, "evaluation")] == [3, 6]


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before_and_says_so(
    images: PreparedSet, whole: Path, tmp_path: Path
) -> None:
    training(images, tmp_path, should_stop=_after(5)).run()
    newest = checkpoints.path_of(tmp_path, 5)
    newest.write_bytes(newest.read_bytes()[:-100])
    said: list[str] = []
    run = training(images, tmp_path, running=RESUMING, say=said.append)
    assert run.step == 3
    assert "step-000000005.safetensors" in said[0]
    assert run.run() == "finished"
    assert_same(tmp_path, whole)


def test_a_folder_that_holds_another_run_is_refused_and_left_alone(
    images: PreparedSet, whole: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="at step 6: --resume auto"):
        training(images, whole)
    with pytest.raises(DataError, match=r"rate = 0\.003, not 0\.01"):
        training(images, whole, replace(RECIPE, rate=0.01), RESUMING)
    manifest = {**images.manifest, "source": {"label": "x", "fingerprint": "another"}}
    with pytest.raises(DataError, match="other images"):
        training(replace(images, manifest=manifest), whole, running=RESUMING)
    checkpoints.path_of(tmp_path, 5).write_bytes(b"rubbish")
    with pytest.raises(DataError, match="none of the 1 checkpoints"):
        training(images, tmp_path, running=RESUMING)
    assert checkpoints.path_of(tmp_path, 5).read_bytes() == b"rubbish"


def test_the_rate_falls_by_the_validation_errors(
    images: PreparedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = training(images, tmp_path, replace(RECIPE, epochs=4))
    errors = iter([0.5, 0.6, 0.4, 0.4])
    real = run.evaluate
    monkeypatch.setattr(run, "evaluate", lambda patches=1: replace(real(patches), top1=next(errors, 0.4)))
    run.run()
    rates = {row["epoch"]: row["rate"] for row in rows(tmp_path, "step")}
    assert rates[2.0] == 0.003
    assert rates[3.0] == pytest.approx(0.0003)  # after the second error, 0.6 > 0.5
    assert rates[4.0] == pytest.approx(0.0003)
    best = checkpoints.load(tmp_path / checkpoints.BEST)
    assert best.state["step"] == 9  # 0.4 for the first time is a best; the second time it is as good


def test_divergence_ends_with_a_diagnosis_and_saves_nothing(images: PreparedSet, tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"--rate .* no checkpoint yet"):
        training(images, tmp_path, replace(RECIPE, rate=1e6)).run()
    assert checkpoints.saved_steps(tmp_path) == []
    assert rows(tmp_path, "stop")[0]["status"] == "diverged"


@pytest.mark.parametrize("full", [range(1, 2), range(3, 9)])  # calls of `save`, counted from 1
def test_a_full_disk_is_said_and_a_run_without_its_last_checkpoint_has_not_finished(
    images: PreparedSet, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: range
) -> None:
    said, calls, real = list[str](), 0, checkpoints.save

    def save(path: Path, *rest: Any) -> None:
        nonlocal calls
        calls += 1
        if calls in full:
            raise DataError(f"the disk is full: {path}")
        real(path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", save)
        if full[0] == 1:  # the checkpoint of step 3
            assert training(images, tmp_path, say=said.append).run() == "finished"
            assert sum("the disk is full" in line for line in said) == 1
        else:  # that of step 6; those of step 3 and the best one fit
            with pytest.raises(DataError, match=r"step 6, .* step 3"):
                training(images, tmp_path).run()
    assert training(images, tmp_path, running=RESUMING).run() == "finished"
    assert_same(tmp_path, whole)


def test_an_unreadable_image_is_named_and_its_gradient_is_nothing(
    images: PreparedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Split.decode_into

    def broken(self: Split, index: int, out: Any) -> None:
        if self.name == "train" and index == 5:
            raise DataError("image 5 is damaged.")
        real(self, index, out)

    monkeypatch.setattr(Split, "decode_into", broken)
    assert training(images, tmp_path).run() == "finished"
    assert contents(tmp_path).state["unreadable"] == ["image 5 is damaged."]
    assert [row["text"] for row in rows(tmp_path, "warning")] == ["image 5 is damaged. It is left out."]


def test_the_loss_falls(images: PreparedSet, tmp_path: Path) -> None:
    recipe = replace(RECIPE, batch_size=16, rate=0.02, epochs=16, schedule="constant")
    training(images, tmp_path, recipe, replace(RUNNING, log_every=3)).run()
    losses = [row["loss"] for row in rows(tmp_path, "step")]
    assert sum(losses[-4:]) / 4 < 0.7 * sum(losses[:4]) / 4


@pytest.mark.parametrize(
    ("layer", "factor", "pixel", "named"),
    [
        ("conv4", torch.nan, 60.0, "the weights of conv4"),
        ("conv3", 1e9, 60.0, "at conv3"),
        ("conv3", 1.0, torch.nan, "the pixels themselves"),
        ("conv3", 1.0, 60.0, "the loss is out of all range"),
    ],
)
def test_a_diagnosis_names_what_fails_first(layer: str, factor: float, pixel: float, named: str) -> None:
    group = Single(RECIPE.architecture(5), torch.device("cpu"), seed=0)
    group.network.get_parameter(f"stages.{layer}.weights.weight").detach().mul_(factor)
    x = pixel * torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    assert named in diagnose(group, x, 0.03)
    assert not any(module._forward_hooks for module in group.network.modules())
