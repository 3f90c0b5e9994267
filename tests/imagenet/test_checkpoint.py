"""The folder of a run's checkpoints, and weights to begin fine-tuning with."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from alexnet_edu.files import DataError, PermissionDenied
from alexnet_edu.imagenet import checkpoint as checkpoints
from alexnet_edu.imagenet.checkpoint import Checkpoint, starting_weights
from alexnet_edu.imagenet.recipe import Recipe
from alexnet_edu.model.alexnet import AlexNet

WEIGHTS = {"model.w": torch.ones(3)}


def test_the_newest_whole_one_is_taken_and_the_damaged_ones_are_named(tmp_path: Path) -> None:
    assert checkpoints.newest(tmp_path) == (None, [])
    for step in (10, 20, 30):
        checkpoints.save(checkpoints.path_of(tmp_path, step), WEIGHTS, {"step": step})
    newest = checkpoints.path_of(tmp_path, 30)
    newest.write_bytes(newest.read_bytes()[:-3])
    saved, (problem,) = checkpoints.newest(tmp_path)
    assert saved is not None
    assert saved.state["step"] == 20
    assert "step-000000030.safetensors" in problem


def test_what_another_process_cannot_read_is_taken_by_none(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        checkpoints.save(checkpoints.path_of(tmp_path, step), WEIGHTS, {"step": step})
    answers = iter([[10, 20], "it is still being copied", ""])  # the other's
    saved, problems = checkpoints.newest(tmp_path, lambda value: [value, next(answers)])
    assert saved is not None
    assert saved.state["step"] == 20
    assert problems == ["it is still being copied; the one before it is used"]


def test_a_recipe_of_another_version(tmp_path: Path) -> None:
    recipe = Recipe(narrow=16, epochs=2).identity()
    state = {"classes": [], "images": "", "recipe": recipe}
    older = Checkpoint(tmp_path, {}, state | {"recipe": {k: v for k, v in recipe.items() if k != "margin"}})
    assert checkpoints.recipe_of(older).identity() == recipe
    newer = Checkpoint(tmp_path, {}, state | {"recipe": recipe | {"warmth": 3, "zeal": 1}})
    with pytest.raises(DataError, match="warmth, zeal"):
        checkpoints.recipe_of(newer)


def test_what_may_not_be_read_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in (10, 20):
        checkpoints.save(checkpoints.path_of(tmp_path, step), WEIGHTS, {"step": step})
    real = Path.open

    def denied(path: Path, *rest: Any) -> Any:
        if "20" in path.name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, *rest)

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(PermissionDenied, match="step-000000020"):  # steps 11 to 20 would be lost
        checkpoints.newest(tmp_path)


def test_only_the_last_ones_stay_and_what_writers_left_goes(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        checkpoints.save(checkpoints.path_of(tmp_path, step), WEIGHTS, {})
    checkpoints.save(tmp_path / checkpoints.BEST, WEIGHTS, {})
    (tmp_path / "step-000000009.safetensors.partial-77").write_bytes(b"half")
    checkpoints.keep_last(tmp_path, 2)
    assert checkpoints.saved_steps(tmp_path) == [3, 4]
    assert len(list(tmp_path.iterdir())) == 3


def _saved(path: Path, variant: str, classes: int) -> dict[str, torch.Tensor]:
    weights = AlexNet(Recipe(variant=variant, narrow=16).architecture(classes)).state_dict()
    checkpoints.save(path, {f"model.{name}": tensor for name, tensor in weights.items()}, {})
    return dict(weights)


@pytest.mark.parametrize(
    ("before", "now", "drawn"),
    [
        (("conv6", 12), ("conv6", 5), {"fc8"}),
        (("paper", 5), ("paper", 5), set()),
        (("paper", 5), ("conv6", 5), {"conv6"}),
    ],
)
def test_what_fits_is_taken_over_and_the_rest_drawn_anew(
    tmp_path: Path, before: tuple[str, int], now: tuple[str, int], drawn: set[str]
) -> None:
    there = _saved(tmp_path / "c", *before)
    table = Recipe(variant=now[0], narrow=16).architecture(now[1])
    weights, mark, said = starting_weights(tmp_path / "c", table, seed=1)
    differ = {n.split(".")[1] for n, t in weights.items() if n not in there or not torch.equal(t, there[n])}
    assert differ == drawn
    assert said.endswith(f"drawn anew: {', '.join(drawn) or 'nothing'}")
    AlexNet(table).load_state_dict(weights)
    assert starting_weights(tmp_path / "c", table, seed=1)[1] == mark
    assert (starting_weights(tmp_path / "c", table, seed=2)[1] == mark) == (not drawn)


def test_half_a_network_is_refused(tmp_path: Path) -> None:
    _saved(tmp_path / "c", "paper", 5)
    with pytest.raises(DataError, match=r"stages\.conv1\.weights\.weight is \(12, 3, 11, 11\)"):
        starting_weights(tmp_path / "c", Recipe(narrow=8).architecture(5), seed=1)
