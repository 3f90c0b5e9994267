"""How the small two-column networks are trained: their first kernels kept on the way; those that are shipped.

Of several seeds the first is shipped; the spread of all says how close a repetition comes.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from alexnet_edu.data.cifar10 import STAND_IN
from alexnet_edu.data.images import ImageSet
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.files import DataError, checked, write_tensors
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.architecture import Architecture, kernel_net
from alexnet_edu.studies.ablations import PAPER_RULE
from alexnet_edu.studies.engine import NotTrained, Result, Runs
from alexnet_edu.studies.networks import SHIPPED, Network, first_kernels, load_weights, save_weights
from alexnet_edu.studies.run import Run
from alexnet_edu.studies.study import together
from alexnet_edu.training.loop import TrainConfig

KERNELS = 96  # as many as in Figure 3
SIDE = 30  # crops of 32 × 32 images
SEEDS = (1, 2, 3, 4, 5)
SNAPSHOTS = (3, 10, 30, 100, 300, 1_000, 3_000)  # steps before which the first kernels are kept
EVALUATED = 1_000  # training images on which the training error is measured


# --- one network ------------------------------------------------------------------------------


def kernel_run(
    name: str,
    network: Architecture,
    rate: float,
    epochs: float,
    *,
    drops: tuple[float, ...] = (),
    augment: tuple[str, ...] = (),
    inputs: str = "standardized",
) -> Run:
    """A training by §5's rule, with the seed 0; `seeded` gives it another.

    network: its side is that of the crops; the images may be larger. The rest as in `Run`.
    """
    config = TrainConfig(rate, evals_per_epoch=1, drops=drops, **PAPER_RULE)
    return Run(
        name,
        network,
        config,
        epochs,
        initial_seed=0,
        side=network.side,
        inputs=inputs,
        augment=augment,
        evaluated=EVALUATED,
    )


def seeded(run: Run, seed: int) -> Run:
    """The same run with another seed for the weights and for the order of the images."""
    config = replace(run.config, seed=seed)
    return replace(run, name=f"{run.name}-seed{seed}", config=config, initial_seed=seed)


RECIPES = {
    "cifar10": kernel_run(
        "cifar10",
        kernel_net(kernels=KERNELS, side=SIDE),
        rate=0.01,
        epochs=16,
        drops=(12, 15),
        augment=("crop", "flip"),
    ),
    # No reflections: they would turn rising stripes into falling ones, which are another class.
    "stand-in": kernel_run(
        "stand-in",
        kernel_net(kernels=KERNELS, side=SIDE),
        rate=0.01,
        epochs=20,
        drops=(16, 19),
        augment=("crop",),
    ),
}


@dataclass(frozen=True)
class Trained:
    """A run that has ended, and its first kernels on the way.

    snapshots: step -> (K, 3, h, w) float32, before that step; from random ones to the last.
    """

    result: Result
    snapshots: dict[int, Tensor]

    @property
    def diverged(self) -> bool:
        return self.result.curve.status == "diverged"

    @property
    def test_error(self) -> float:
        """0–1; all answers of a network that diverged are wrong, since its outputs are no numbers."""
        return 1.0 if self.diverged else self.result.column("test_error")[-1]

    @property
    def kernels(self) -> Tensor:
        """The last first kernels."""
        return self.snapshots[max(self.snapshots)]


def train_with_snapshots(
    runs: Runs, run: Run, steps: Sequence[int] = (), *, stop: Callable[[], bool] | None = None
) -> Trained:
    """Trains a run, or goes on where an earlier call stopped, in stages from one snapshot to the next.

    steps: before which the first kernels are kept, beside the first and the last ones. Raises
    KeyboardInterrupt when stopped; DataError, or CheckpointError, where a kept file is damaged.
    """
    path, an_epoch = _snapshots_path(runs, run), steps_an_epoch(runs, run)
    snapshots = _read_snapshots(path) if path.exists() else {0: first_kernels(runs.build(run))}
    last = math.ceil(run.epochs * an_epoch)
    for step in (*(step for step in sorted(steps) if step < last and step not in snapshots), last):
        # The number of steps is rounded up: 30 / 79 · 79 is more than 30.
        result = runs.train(replace(run, epochs=(step - 0.5) / an_epoch), stop=stop)
        if result.curve.status == "interrupted":
            raise KeyboardInterrupt
        if result.curve.status == "diverged":
            break
        if result.curve.resumed_at > step:
            kept = [str(each) for each in sorted(path.parent.glob(f"{runs.path(run).stem}.*"))]
            raise DataError(
                f"the kernels of step {step:,} are lost, and {run.name} is at step "
                f"{result.curve.resumed_at:,}: delete {' and '.join(kept)} to train it again"
            )
        if step not in snapshots:
            snapshots[step] = first_kernels(result.network)
            write_tensors(path, {str(s): kernels.numpy() for s, kernels in snapshots.items()}, {})
    return Trained(replace(result, run=runs.resolved(run)), snapshots)


def train_together(
    jobs: Sequence[tuple[Runs, Run, Sequence[int]]],
    *,
    workers: int | None = None,
    say: Callable[[str], None] = print,
) -> list[Trained]:
    """Trains runs with snapshots at steps, `workers` at a time, each on one thread; the results in order.

    Whatever is done already is taken from the folder of its `runs`: being killed loses at most an epoch
    of each worker. Raises as `train_with_snapshots` does.
    """
    stop, trained = threading.Event(), dict[int, Trained]()

    def one(number: int, runs: Runs, run: Run, steps: Sequence[int]) -> None:
        trained[number] = done = train_with_snapshots(runs, run, steps, stop=stop.is_set)
        seconds = done.result.column("cpu_seconds")[-1]
        say(f"{run.name}: test error {done.test_error:.2%} after {seconds:.0f} s")

    together([partial(one, number, *job) for number, job in enumerate(jobs)], workers, stop)
    return [trained[number] for number in range(len(jobs))]


def finished(runs: Runs, run: Run) -> Trained | None:
    """What is kept of a run that has ended, on a machine of whatever precision; None where there is none."""
    for precision in ("auto", "bfloat16", "float32"):
        here = runs.resolved(run, precision)
        try:
            result = runs.kept(here)
        except NotTrained:
            continue
        path = _snapshots_path(runs, here)
        snapshots = _read_snapshots(path) if path.exists() else {}
        if result.curve.status == "diverged" or result.curve.points[-1].iteration in snapshots:
            return Trained(result, snapshots)
    return None


def steps_an_epoch(runs: Runs, run: Run) -> int:
    return math.ceil(len(runs.images.train) / run.config.batch_size)


def _snapshots_path(runs: Runs, run: Run) -> Path:
    return runs.path(run).with_suffix(".snapshots.safetensors")


def _read_snapshots(path: Path) -> dict[int, Tensor]:
    """Raises DataError where they are not what was written."""
    checked(path)
    return dict(sorted((int(step), kernels) for step, kernels in load_file(path).items()))


# --- the shipped ones -------------------------------------------------------------------------


def stand_in() -> ImageSet:
    """The stand-in that an offline machine gets at scale `laptop`: 10,000 training and 2,000 test images."""
    return synthetic_images(*STAND_IN["other"])


def train_seeds(
    name: str,
    runs: Runs,
    *,
    seeds: Sequence[int] = SEEDS,
    workers: int | None = None,
    say: Callable[[str], None] = print,
) -> dict[int, Trained]:
    """Trains a recipe of `RECIPES` with these seeds, as `train_together` does; by their seeds, in order."""
    jobs = [(runs, seeded(RECIPES[name], seed), SNAPSHOTS) for seed in sorted(seeds)]
    return dict(zip(sorted(seeds), train_together(jobs, workers=workers, say=say), strict=True))


def as_network(name: str, runs: Runs, trained: Trained) -> Network:
    """A trained network, to be looked into."""
    run = trained.result.run
    stages = trained.result.network.eval().requires_grad_(False).get_submodule("stages")
    assert isinstance(stages, torch.nn.ModuleDict)
    prepare = runs.prepare(run.side, run.inputs)
    title = f"{name}, seed {run.config.seed}"
    return Network(name, title, stages, prepare, runs.images.train.classes, 2, trained.snapshots)


def ship(name: str, runs: Runs, trained: dict[int, Trained], path: Path) -> dict[str, Any]:
    """Writes the network of the first seed to `path`; what the file says of it.

    Raises ValueError where it diverged.
    """
    first, images = next(iter(trained.values())), runs.images
    if first.diverged:
        raise ValueError(f"{first.result.run.name} diverged: a network of no numbers is not shipped")
    result, made = first.result, first.result.provenance
    run, model = result.run, result.network
    assert isinstance(model, AlexNet)
    facts = {
        "seed": run.config.seed,
        "seeds": list(trained),
        "errors": [each.test_error for each in trained.values()],
        "test_error": first.test_error,
        "train_error": result.column("train_error")[-1],
        "seconds": result.column("cpu_seconds")[-1],
        "rate": result.rate,
        "epochs": RECIPES[name].epochs,
        "drops": list(run.config.drops),
        "steps": list(run.augment),
        "images": len(images.train),
        "test_images": len(images.test),
        "data": images.source,
        "synthetic": images.synthetic,
        "fingerprint": images.train.fingerprint(),
        "command": f"alexnet-edu weights train {name}",
        **{key: made[key] for key in ("commit", "date", "hardware", "torch", "threads")},
    }
    save_weights(
        path,
        model.cpu(),
        runs.prepare(run.side, run.inputs),
        name=name,
        title=f"{len(first.kernels)} kernels in two columns, trained on {SHIPPED[name]}",
        classes=images.train.classes,
        snapshots=first.snapshots,
        facts=facts,
    )
    return facts


def compared(name: str, error: float) -> tuple[bool, str]:
    """Whether a repetition's error is as the shipped file states, and both in words.

    It may lie outside of the range of all seeds by half of that range, and one standard error of a share of
    the test images. Raises DataError without the file.
    """
    facts = load_weights(name).facts
    lowest, highest = min(facts["errors"]), max(facts["errors"])
    chance = (error * (1 - error) / facts["test_images"]) ** 0.5
    tolerance = chance + (highest - lowest) / 2
    as_stated = lowest - tolerance <= error <= highest + tolerance
    return as_stated, (
        f"{name}: test error {error:.2%}; the file states {facts['test_error']:.2%}, its seeds {lowest:.2%} "
        f"to {highest:.2%}, give or take {tolerance:.2%}: {'as stated' if as_stated else 'NOT as stated'}"
    )
