"""The full training: stopped, killed and resumed to the same bits; full disks, damage, divergence."""

from __future__ import annotations

import errno
import shutil
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
from alexnet_edu.imagenet.runs import status
from alexnet_edu.imagenet.trainer import Diverged, Training, train

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


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """Of the whole run's folder."""
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def test_a_finished_run_goes_on_as_if_it_had_been_longer_from_the_start(
    images: PreparedSet, copy: Path, tmp_path: Path
) -> None:
    for epochs in (2.5, 3):  # the evaluation at the end of 2.5 is none of a run of 3
        assert training(images, copy, replace(RECIPE, epochs=epochs), RESUMING).run() == "finished"
    assert training(images, tmp_path / "three", replace(RECIPE, epochs=3)).run() == "finished"
    assert_same(copy, tmp_path / "three")
    (found,), (expected,) = rows(copy, "final"), rows(tmp_path / "three", "final")
    assert found | {"time": 0} == expected | {"time": 0}
    assert status(copy).state == "finished"
    for recipe, quoted in (
        (replace(RECIPE, epochs=1), "step 9, beyond the 3 of 1"),
        (RECIPE, "beyond the 6"),
    ):
        with pytest.raises(DataError, match=quoted):
            training(images, copy, recipe, RESUMING)


def test_a_schedule_that_is_stretched_to_its_epochs_cannot_be_made_longer(
    images: PreparedSet, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, schedule="run145")
    training(images, tmp_path, recipe, should_stop=_after(0)).run()
    with pytest.raises(DataError, match=r"epochs = 2, not 3 \('run145' is stretched"):
        training(images, tmp_path, replace(recipe, epochs=3), RESUMING)


class Killed(BaseException):
    pass


def _kill(*_: object) -> None:
    raise Killed


def test_a_kill_between_a_checkpoint_and_its_second_name_leaves_no_old_best(
    images: PreparedSet, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "make_best", _kill)
        with pytest.raises(Killed):
            training(images, tmp_path).run()
    assert not (tmp_path / checkpoints.BEST).exists()
    assert training(images, tmp_path, running=RESUMING).run() == "finished"
    best, expected = (checkpoints.load(folder / checkpoints.BEST) for folder in (tmp_path, whole))
    assert best.state | {"seconds": 0} == expected.state | {"seconds": 0}
    assert checkpoints.fingerprint(best.tensors) == checkpoints.fingerprint(expected.tensors)


def test_where_a_file_has_one_name_the_best_one_is_a_copy(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (3, 6):
        monkeypatch.setattr(Path, "hardlink_to", _not_here if step == 6 else Path.hardlink_to)
        checkpoints.make_best(copy, step)
        assert (copy / checkpoints.BEST).read_bytes() == checkpoints.path_of(copy, step).read_bytes()


def _not_here(*_: object) -> None:
    raise OSError(errno.ENOTSUP, "")


@pytest.mark.parametrize(("spoilt", "save_every"), [(2, 2), (3, 100), (4, 100)])
@pytest.mark.parametrize("factor", [torch.nan, 1e12])
def test_weights_that_the_last_update_has_spoilt_are_neither_kept_nor_judged(
    images: PreparedSet, tmp_path: Path, spoilt: int, save_every: int, factor: float
) -> None:
    """At a save, at an evaluation, and where it was stopped: each loss was that before its update."""
    running = replace(RUNNING, save_every=save_every)
    run = training(images, tmp_path, running=running, should_stop=_after(4))
    real = run.optimizer.step

    def step() -> None:
        real()
        if run.step + 1 == spoilt:
            run.group.network.get_parameter("stages.fc8.weights.weight").detach().mul_(factor)

    run.optimizer.step = step  # type: ignore[method-assign, assignment]
    with pytest.raises(Diverged, match=f"at step {spoilt}"):
        run.run()
    assert checkpoints.saved_steps(tmp_path) == ([3] if spoilt == 4 else [])
    assert rows(tmp_path, "stop")[0]["status"] == "diverged"


def test_what_auto_came_to_holds_for_the_whole_run_unless_another_precision_is_named(
    images: PreparedSet, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert contents(copy).state["precision"] == rows(copy, "start")[0]["precision"] == "float32"
    monkeypatch.setattr(checkpoints, "resolve_precision", lambda *_: "bfloat16")
    with pytest.raises(DataError, match="in float32, and 'auto' is bfloat16 here: --precision float32"):
        training(images, copy, running=replace(RESUMING, precision="auto"))
    run = training(images, copy, running=replace(RESUMING, precision="bfloat16"))
    assert run.precision == "bfloat16"
    assert rows(copy, "warning")[0]["text"] == "goes on in bfloat16; up to here it was float32"


def test_without_validation_images_a_fixed_schedule_trains_and_the_papers_is_refused(
    images: PreparedSet, tmp_path: Path
) -> None:
    alone = replace(images, splits={"train": images.split("train")})
    with pytest.raises(DataError, match="--schedule run145 or constant"):
        train(RECIPE, RUNNING, alone, tmp_path / "plateau")
    assert not (tmp_path / "plateau").exists()
    said: list[str] = []
    recipe, running = replace(RECIPE, schedule="run145", epochs=1), replace(RUNNING, rehearsal_steps=1)
    assert train(recipe, running, alone, tmp_path / "run", say=said.append) == "finished"
    kinds = [row["kind"] for row in read(tmp_path / "run" / METRICS)]
    assert kinds == ["rehearsal", "start", "warning", "step", "step", "checkpoint", "stop"]
    assert any("no validation images" in line for line in said)
    assert status(tmp_path / "run").state == "finished"
    assert not (tmp_path / "run" / checkpoints.BEST).exists()
    assert contents(tmp_path / "run").state["evaluations"] == []


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


@pytest.mark.parametrize("full", [range(1, 2), range(2, 9)])  # calls of `save`, counted from 1
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


@pytest.mark.slow
def test_the_loss_falls(images: PreparedSet, tmp_path: Path) -> None:
    recipe = replace(RECIPE, batch_size=16, rate=0.02, epochs=40, schedule="constant")
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
