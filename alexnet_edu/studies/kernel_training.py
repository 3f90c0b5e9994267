"""One small two-column network trained, and its first kernels kept on the way.

A recipe says all that decides the weights but the images and the seed. A run that was stopped goes on
from its checkpoint and ends exactly where an uninterrupted one would.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from alexnet_edu.data.augment import Preparation, composed
from alexnet_edu.data.images import Images, ImageSet
from alexnet_edu.environment import provenance
from alexnet_edu.files import DataError, checked, read_json, write_json, write_tensors
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.architecture import Architecture
from alexnet_edu.studies.ablations import PAPER_RULE
from alexnet_edu.training.loop import Run, TrainConfig, error_rate, fit, resolve_precision

EVALUATED = 1_000  # training images on which the training error is measured
LOOKS = (0, 3, 10, 30, 100, 300, 1_000, 3_000)  # steps before which the first kernels are kept, and the end


@dataclass(frozen=True)
class Recipe:
    """How one network is made.

    network: its table; its side is that of the crops, and the images may be larger. rate: ε of §5.
    epochs: passes over the training images. drops: epochs at which the rate falls to a tenth.
    steps: of `augment.composed`, what is done to images that are trained on. standardized: pixels minus
    the mean image are divided by their standard deviation; otherwise they stay at ±255, as in 2012.
    """

    network: Architecture
    rate: float
    epochs: float
    drops: tuple[float, ...] = ()
    steps: tuple[str, ...] = ()
    standardized: bool = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.epochs) and self.epochs > 0):
            raise ValueError(f"epochs must be a positive number, got {self.epochs!r}")

    def config(self, seed: int) -> TrainConfig:
        """§5's rule at this rate."""
        config = TrainConfig(self.rate, seed=seed, evals_per_epoch=1, drops=self.drops, **PAPER_RULE)
        return replace(config, precision=resolve_precision("auto"))


@dataclass(frozen=True)
class Trained:
    """A network after its training.

    looks: (step, first kernels before it (K, 3, h, w)), from random ones to the last. test_error: 0–1,
    on the middle of the test images. train_error: on some training images.
    """

    model: AlexNet
    prepare: Preparation
    looks: list[tuple[int, Tensor]]
    test_error: float
    train_error: float
    status: str
    seconds: float
    provenance: dict[str, Any] = field(default_factory=dict)


class Interrupted(Exception):
    """Training was stopped from outside; what was run is kept where there is a folder."""


def train_network(
    recipe: Recipe,
    images: ImageSet,
    seed: int,
    *,
    folder: Path | None = None,
    name: str = "kernels",
    looks: tuple[int, ...] = (),
    device: str = "cpu",
    tell: Callable[[Run], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Trained:
    """Trains one network, or takes up one of `folder`, or reads what is finished there.

    folder: None keeps nothing. name: begins the names of its files, which end in a digest of all that
    decides the weights. looks: steps before which the first kernels are kept; the first and the last ones
    always are, and a finished run has those that it was trained with.
    tell: called with the learning curve after each epoch and look. stop: asked before every step.
    Raises Interrupted when stopped; DataError where a file of the folder is damaged;
    ValueError where the network has another number of classes than the images.
    """
    if folder is None:  # the stages between two looks hand over by a checkpoint
        with TemporaryDirectory() as scratch:
            return train_network(
                recipe,
                images,
                seed,
                folder=Path(scratch),
                name=name,
                looks=looks,
                device=device,
                tell=tell,
                stop=stop,
            )
    prepare = Preparation.of(images.train, recipe.network.side, standardized=recipe.standardized)
    model = _new(recipe, images, seed)
    files = _Files(folder / f"{name}-seed{seed}-{digest(recipe, images, seed)}")
    if files.record.exists():
        return _read(files, model, prepare)
    folder.mkdir(parents=True, exist_ok=True)
    made = provenance(device)
    kept = files.looks() if files.tensors.exists() else {0: _kernels(model)}
    steps_an_epoch = math.ceil(len(images.train) / recipe.config(seed).batch_size)
    last = math.ceil(recipe.epochs * steps_an_epoch)
    run = Run()
    for step in [*(s for s in sorted(looks) if 0 < s < last and s not in kept), last]:
        run = fit(
            model,
            images.train.pixels,
            images.train.labels,
            recipe.config(seed),
            prepare=prepare,
            max_epochs=(step - 0.5) / steps_an_epoch,  # `fit` rounds up: 30 / 79 · 79 is more than 30
            evaluate_on=_some(images.train, seed),
            augment=composed(recipe.steps, recipe.network.side, None) if recipe.steps else None,
            device=device,
            checkpoint=files.checkpoint,
            on_point=tell,
            stop=stop,
        )
        if run.status == "interrupted":
            raise Interrupted(f"{name}, seed {seed}, was stopped")
        if run.status == "diverged":
            break
        if run.resumed_at > step:
            raise DataError(
                f"{files.checkpoint} is at step {run.resumed_at:,}, and the kernels of step {step:,} are "
                f"not kept: {files.advice()}"
            )
        kept[step] = _kernels(model)
        write_tensors(files.tensors, _look_arrays(kept), {})
    found = _judged(model, prepare, images, run, kept, made)
    write_tensors(files.tensors, {**_weight_arrays(model), **_look_arrays(kept)}, {})
    write_json(files.record, _record(recipe, found, seed))
    files.checkpoint.unlink(missing_ok=True)
    return found


def finished_networks(
    recipe: Recipe, images: ImageSet, seeds: Iterable[int], *, folder: Path, name: str = "kernels"
) -> dict[int, Trained]:
    """Those of these seeds whose training has ended in `folder`; nothing is trained.

    name, errors: as for `train_network`.
    """
    fingerprint = images.train.fingerprint()  # once for all: it reads every pixel
    files = {
        seed: _Files(folder / f"{name}-seed{seed}-{digest(recipe, images, seed, fingerprint)}")
        for seed in seeds
    }
    ended = {seed: each for seed, each in files.items() if each.record.exists()}
    if not ended:
        return {}
    prepare = Preparation.of(images.train, recipe.network.side, standardized=recipe.standardized)
    return {seed: _read(each, _new(recipe, images, seed), prepare) for seed, each in ended.items()}


def digest(recipe: Recipe, images: ImageSet, seed: int, fingerprint: str | None = None) -> str:
    """Ten hex digits that change with anything that decides the weights.

    fingerprint: that of the training images, where it is known already.
    """
    what = [asdict(recipe), recipe.config(seed).identity(), fingerprint or images.train.fingerprint()]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:10]


def _new(recipe: Recipe, images: ImageSet, seed: int) -> AlexNet:
    classes = len(images.train.classes)
    table = recipe.network
    if table.layers[-1].outputs != classes:
        raise ValueError(f"the network has {table.layers[-1].outputs} outputs, the images {classes} classes")
    return AlexNet(table, classes=classes, generator=torch.Generator().manual_seed(seed))


def _some(train: Images, seed: int) -> Tensor:
    """Training images on which the training error is measured: (M,)."""
    return torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[:EVALUATED]


def _kernels(model: AlexNet) -> Tensor:
    """A copy of the first layer's kernels, (K, 3, h, w) float32."""
    weight = model.weights(model.architecture.layers[0].name).get_parameter("weight")
    return weight.detach().float().cpu().clone(memory_format=torch.contiguous_format)


def _judged(
    model: AlexNet,
    prepare: Preparation,
    images: ImageSet,
    run: Run,
    kept: dict[int, Tensor],
    made: dict[str, Any],
) -> Trained:
    device = next(model.parameters()).device
    pixels, labels = images.test.pixels.to(device), images.test.labels.to(device)
    # A network that diverged errs on everything: its outputs are no numbers.
    wrong = 1.0 if run.status == "diverged" else error_rate(model, pixels, labels, prepare=prepare)
    assert run.last is not None
    looks = sorted(kept.items())
    point = run.last
    return Trained(model.cpu(), prepare, looks, wrong, point.train_error, run.status, point.cpu_seconds, made)


# --- what is kept -----------------------------------------------------------------------------


class _Files:
    """The files of one run. start: their common beginning."""

    def __init__(self, start: Path) -> None:
        self.record = start.with_name(f"{start.name}.json")  # there is none before the run has ended
        self.tensors = start.with_name(f"{start.name}-network.safetensors")
        self.checkpoint = start.with_name(f"{start.name}.safetensors")

    def advice(self) -> str:
        """What to do where one of them is damaged; one alone would not be made again."""
        there = [str(p) for p in (self.record, self.tensors, self.checkpoint) if p.exists()]
        return f"delete {' and '.join(there)}, and the same command trains that network again"

    def read(self) -> dict[str, Tensor]:
        """The tensors by their names. Raises DataError where they are not what was written."""
        try:
            checked(self.tensors)
            return load_file(self.tensors)
        except (DataError, SafetensorError, OSError) as error:
            raise DataError(f"{error}: {self.advice()}") from error

    def looks(self) -> dict[int, Tensor]:
        return _looks_in(self.read())


def _looks_in(tensors: dict[str, Tensor]) -> dict[int, Tensor]:
    return {int(name.split(".")[1]): value for name, value in tensors.items() if name.startswith("look.")}


def _look_arrays(kept: dict[int, Tensor]) -> dict[str, np.ndarray[Any, Any]]:
    return {f"look.{step}": kernels.numpy() for step, kernels in sorted(kept.items())}


def _weight_arrays(model: AlexNet) -> dict[str, np.ndarray[Any, Any]]:
    return {f"weight.{name}": value.contiguous().numpy() for name, value in model.state_dict().items()}


def _record(recipe: Recipe, found: Trained, seed: int) -> dict[str, Any]:
    return {
        "recipe": asdict(recipe),
        "seed": seed,
        "test_error": found.test_error,
        "train_error": found.train_error,
        "status": found.status,
        "seconds": found.seconds,
        "provenance": found.provenance,
    }


def _read(files: _Files, model: AlexNet, prepare: Preparation) -> Trained:
    """A finished run. Raises DataError where its files are damaged."""
    tensors = files.read()
    weights = {name[7:]: value for name, value in tensors.items() if name.startswith("weight.")}
    keys = ("test_error", "train_error", "status", "seconds", "provenance")
    try:
        record = read_json(files.record)
        model.load_state_dict(weights)
        return Trained(model, prepare, sorted(_looks_in(tensors).items()), *(record[key] for key in keys))
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise DataError(f"{files.record} is damaged ({reason}): {files.advice()}") from error
