"""The checkpoints of a full training: a folder of steps, the best one, and what may go on from them.

Tensors are those of the whole network, in whatever form it was trained, so any form may go on with
what another began.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import torch
from torch import Tensor

from alexnet_edu.files import DataError, PermissionDenied, remove_partials
from alexnet_edu.imagenet.prepared import PreparedSet
from alexnet_edu.imagenet.recipe import Recipe
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.architecture import Architecture
from alexnet_edu.training.checkpoint import Checkpoint as Checkpoint
from alexnet_edu.training.checkpoint import fingerprint
from alexnet_edu.training.checkpoint import load as load
from alexnet_edu.training.checkpoint import save as save

BEST = "best.safetensors"
MAY_BE_NEW = ("fc8", "conv6")  # layers that fine-tuning may draw anew
_NAME = re.compile(r"step-(\d{9})\.safetensors")


def path_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return folder / f"step-{step:09d}.safetensors"


def saved_steps(folder: Path) -> list[int]:
    """The steps that a folder has checkpoints of, the newest last."""
    names = (_NAME.fullmatch(path.name) for path in folder.glob("step-*.safetensors"))
    return sorted(int(match[1]) for match in names if match)


def newest(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest whole checkpoint of a folder, or None, and a sentence for each newer one that is not.

    Raises DataError where there are some and none is whole.
    """
    problems: list[str] = []
    for step in reversed(saved_steps(folder)):
        try:
            return load(path_of(folder, step)), problems
        except PermissionDenied:  # what it holds would be lost
            raise
        except DataError as error:
            problems.append(f"{error}; the one before it is used")
    if problems:
        raise DataError(
            f"none of the {len(problems)} checkpoints in {folder} is whole; choose another folder, or "
            f"delete them to start anew. The newest: {problems[0]}"
        )
    return None, problems


def keep_last(folder: Path, count: int) -> None:
    """Deletes all but the last `count` checkpoints, and what killed writers left. `best` stays."""
    with contextlib.suppress(OSError):
        for step in saved_steps(folder)[:-count]:
            path_of(folder, step).unlink(missing_ok=True)
    remove_partials(folder)


def check_free(folder: Path, resume: str) -> None:
    """Raises DataError where the folder holds a run and `resume` is "never"."""
    steps = saved_steps(folder)
    if steps and resume == "never":
        raise DataError(
            f"{folder} holds a run at step {steps[-1]:,}: --resume auto goes on with it; "
            "or choose another folder"
        )


def check_full(saved: Checkpoint) -> None:
    """Raises DataError where the checkpoint is not of a full training."""
    if not {"recipe", "classes", "images"} <= saved.state.keys():
        raise DataError(f"{saved.path} is not a checkpoint of a full training; choose another")


def check_same(saved: Checkpoint, recipe: Recipe, prepared: PreparedSet) -> None:
    """Raises DataError where the checkpoint is of another run, and says what differs."""
    check_full(saved)
    folder, theirs = saved.path.parent, saved.state["recipe"]
    for name, ours in recipe.identity().items():
        if ours != theirs.get(name):
            raise DataError(
                f"{folder} holds a run with {name} = {theirs.get(name)!r}, not {ours!r}: "
                "give the same settings to go on, or choose another folder"
            )
    if saved.state["images"] != prepared.fingerprint:
        raise DataError(
            f"{folder} holds a run on other images than {prepared.root}: choose the folder that it "
            "began with, or another one for the run"
        )


def starting_weights(path: Path, table: Architecture, seed: int) -> tuple[dict[str, Tensor], str, str]:
    """Weights to begin fine-tuning with (§6), a fingerprint of them, and a sentence that says which are new.

    Layers whose weights fit keep them. The classifier is drawn anew where the classes differ, and
    so is a sixth convolution that the other network did not have.

    path: a checkpoint of `alexnet-edu train`. seed: of what is drawn anew.
    Raises DataError where another layer does not fit: half a network by mistake would train, only worse.
    """
    there = load(path).part("model")
    weights = dict(AlexNet(table, generator=torch.Generator().manual_seed(seed)).state_dict())
    drawn: list[str] = []
    for name, tensor in weights.items():
        layer = name.split(".")[1]
        if name in there and there[name].shape == tensor.shape:
            weights[name] = there[name]
        elif layer in MAY_BE_NEW:
            drawn += [layer] if layer not in drawn else []
        else:
            shape = tuple(there[name].shape) if name in there else "nothing of that name"
            raise DataError(
                f"{path} does not fit: {name} is {tuple(tensor.shape)} here and {shape} there. Only "
                f"{', '.join(MAY_BE_NEW)} may differ; choose the --variant and --narrow it was trained with"
            )
    new = ", ".join(drawn) or "nothing"
    return weights, fingerprint(weights), f"weights from {path}; drawn anew: {new}"
