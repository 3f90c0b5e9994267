"""The checkpoints of a full training: a folder of steps, the best one, and what may go on from them.

Tensors are those of the whole network, in whatever form it was trained, so any form may go on with
what another began.
"""

from __future__ import annotations

import contextlib
import math
import re
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from alexnet_edu.environment import resolve_precision
from alexnet_edu.files import DataError, PermissionDenied, remove_partials, replacing
from alexnet_edu.imagenet.log import Log
from alexnet_edu.imagenet.prepared import PreparedSet
from alexnet_edu.imagenet.recipe import STRETCHED, Recipe, Running
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.architecture import Architecture
from alexnet_edu.training.checkpoint import Checkpoint as Checkpoint
from alexnet_edu.training.checkpoint import fingerprint, state_of
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


def newest(
    folder: Path, collect: Callable[[Any], list[Any]] = lambda value: [value]
) -> tuple[Checkpoint | None, list[str]]:
    """The newest whole checkpoint of a folder, or None, and a sentence for each newer one that is not.

    collect: gives the values of all processes, the first one's first; a file that one of them cannot
    read, such as a copy that is under way, is taken by none.
    Raises DataError where there are some and none is whole.
    """
    problems: list[str] = []
    for step in reversed(collect(saved_steps(folder))[0]):
        saved, problem = _tried(path_of(folder, step))
        found = [each for each in collect(problem) if each]
        if not found:
            return saved, problems
        problems.append(f"{found[0]}; the one before it is used")
    if problems:
        raise DataError(
            f"none of the {len(problems)} checkpoints in {folder} is whole; choose another folder, or "
            f"delete them to start anew. The newest: {problems[0]}"
        )
    return None, problems


def _tried(path: Path) -> tuple[Checkpoint | None, str]:
    """A checkpoint, or what is wrong with it."""
    try:
        return load(path), ""
    except PermissionDenied:  # what it holds would be lost
        raise
    except DataError as error:
        return None, str(error)


def keep_last(folder: Path, count: int) -> None:
    """Deletes all but the last `count` checkpoints, and what killed writers left. `best` stays."""
    with contextlib.suppress(OSError):
        for step in saved_steps(folder)[:-count]:
            path_of(folder, step).unlink(missing_ok=True)
    remove_partials(folder)


class Keeper:
    """Writes the checkpoints of a run beside its training, one at a time and in their order.

    The training waits while the tensors are copied, and for a file that is not yet written; hashing and
    writing go on in a thread. A file that cannot be written is a warning in the log.
    """

    def __init__(self, folder: Path, keep: int, log: Log) -> None:
        self._folder, self._keep, self._log = folder, keep, log
        self._writer = ThreadPoolExecutor(1)
        self._last: Future[bool] | None = None

    def save(self, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any], best: bool) -> None:
        """Begins to write the checkpoint of a step; best: it is the best one so far, too."""
        self.saved()
        copies = {name: torch.empty(t.shape, dtype=t.dtype).copy_(t) for name, t in tensors.items()}
        self._last = self._writer.submit(self._write, step, copies, state, best)

    def saved(self) -> bool:
        """Whether the last one could be written; waits for it."""
        return self._last is None or self._last.result()

    def mend_best(self, step: int | None) -> None:
        """Makes good a kill between the file of the best step and its second name."""
        try:
            there = state_of(self._folder / BEST).get("step")
        except DataError:
            there = None
        if step is not None and step != there and path_of(self._folder, step).exists():
            try:
                make_best(self._folder, step)
            except DataError as error:
                self._log.warn(str(error), step=step)

    def close(self) -> None:
        """Waits until nothing is being written."""
        self._writer.shutdown()

    def _write(self, step: int, tensors: dict[str, Tensor], state: Mapping[str, Any], best: bool) -> bool:
        path = path_of(self._folder, step)
        try:
            save(path, tensors, state)
            if best:
                make_best(self._folder, step)
        except DataError as error:
            self._log.warn(str(error), step=step)
            return False
        keep_last(self._folder, self._keep)
        self._log.write("checkpoint", step=step, file=path.name)
        return True


def make_best(folder: Path, step: int) -> None:
    """Gives the checkpoint of a step the name of the best one, too. Raises DataError as `files.replacing`."""
    with replacing(folder / BEST) as partial:
        try:
            partial.hardlink_to(path_of(folder, step))
        except (OSError, NotImplementedError):  # pathlib's, where a system has no second names for files
            shutil.copyfile(path_of(folder, step), partial)


# --- what may go on ---------------------------------------------------------------------------


def check_may_train(
    folder: Path, recipe: Recipe, running: Running, prepared: PreparedSet, device: torch.device
) -> None:
    """Raises DataError, before anything is written, where this recipe cannot be trained in this folder."""
    if recipe.schedule == "plateau" and not prepared.has("val"):
        raise DataError(
            f"{prepared.root} has no validation images, by whose errors the schedule 'plateau' lowers the "
            "rate: give --schedule run145 or constant, or prepare images with some held out"
        )
    steps = saved_steps(folder)
    if steps and running.resume == "never":
        raise DataError(
            f"{folder} holds a run at step {steps[-1]:,}: --resume auto goes on with it; "
            "or choose another folder"
        )
    for step in reversed(steps):
        path = path_of(folder, step)
        try:
            state = state_of(path)
        except PermissionDenied:
            raise
        except DataError:  # `newest` will say so
            continue
        auto = resolve_precision("auto", device) if running.precision == "auto" else ""
        check_same(Checkpoint(path, {}, state), recipe, prepared, auto)
        break


def recipe_of(saved: Checkpoint) -> Recipe:
    """The recipe of a checkpoint; settings that are newer than it have their defaults.

    Raises DataError where the checkpoint is not of a full training, or has settings that are unknown here.
    """
    if not {"recipe", "classes", "images"} <= saved.state.keys():
        raise DataError(f"{saved.path} is not a checkpoint of a full training; choose another")
    settings = saved.state["recipe"]
    unknown = sorted(settings.keys() - {each.name for each in fields(Recipe)})
    if unknown:
        raise DataError(
            f"{saved.path} was trained with {', '.join(unknown)}, which this version does not know: update it"
        )
    return Recipe(**settings)


def check_same(saved: Checkpoint, recipe: Recipe, prepared: PreparedSet, auto: str = "") -> None:
    """Raises DataError where the checkpoint is of another run, and says what differs.

    The epochs may differ where no rate depends on them. auto: the precision that "auto" comes to here,
    "" where one was named.
    """
    folder, theirs = saved.path.parent, recipe_of(saved)
    for name, ours in recipe.identity().items():
        there = getattr(theirs, name)
        if ours != there and (name != "epochs" or recipe.schedule == STRETCHED):
            why = f" ({STRETCHED!r} is stretched to its epochs)" if name == "epochs" else ""
            raise DataError(
                f"{folder} holds a run with {name} = {there!r}, not {ours!r}{why}: "
                "give the same settings to go on, or choose another folder"
            )
    steps = math.ceil(recipe.epochs * math.ceil(len(prepared.split("train")) / recipe.batch_size))
    if saved.state["step"] > steps:
        raise DataError(
            f"{folder} holds a run at step {saved.state['step']:,}, beyond the {steps:,} of "
            f"{recipe.epochs:g} epochs: give more --epochs, or choose another folder"
        )
    if saved.state["images"] != prepared.fingerprint:
        raise DataError(
            f"{folder} holds a run on other images than {prepared.root}: choose the folder that it "
            "began with, or another one for the run"
        )
    precision = saved.state.get("precision", auto)
    if auto and precision != auto:
        raise DataError(
            f"{folder} holds a run in {precision}, and 'auto' is {auto} here: --precision {precision} goes "
            f"on as before, --precision {auto} changes it from here on"
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
