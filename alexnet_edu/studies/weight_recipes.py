"""How the shipped networks are made: their recipes, and the training of all their seeds.

Several seeds of each are trained; the first is shipped, and the spread of the others says how exactly a
repetition may be expected to give the same error.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import torch

from alexnet_edu.data.cifar10 import STAND_IN
from alexnet_edu.data.images import ImageSet
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.model.architecture import kernel_net
from alexnet_edu.studies.kernel_training import LOOKS, Recipe, Trained, train_network
from alexnet_edu.studies.networks import SHIPPED, load_weights, save_weights

KERNELS = 96  # as many as in Figure 3
SIDE = 30  # crops of 32 × 32 images
SEEDS = (1, 2, 3, 4, 5)

RECIPES = {
    "cifar10": Recipe(
        kernel_net(kernels=KERNELS, side=SIDE), rate=0.01, epochs=16, drops=(12, 15), steps=("crop", "flip")
    ),
    # No reflections: they would turn rising stripes into falling ones, which are another class.
    "stand-in": Recipe(
        kernel_net(kernels=KERNELS, side=SIDE), rate=0.01, epochs=20, drops=(16, 19), steps=("crop",)
    ),
}


@dataclass(frozen=True)
class Retrained:
    """A shipped network trained again.

    stated, lowest, highest: error of the shipped file, and those of all recorded seeds (0–1).
    tolerance: how far outside of these a repetition may lie: the spread of the seeds, and one standard
    error of a share of so many test images.
    """

    name: str
    error: float
    stated: float
    lowest: float
    highest: float
    tolerance: float

    @property
    def as_stated(self) -> bool:
        return self.lowest - self.tolerance <= self.error <= self.highest + self.tolerance

    def text(self) -> str:
        verdict = "as stated" if self.as_stated else "NOT as stated"
        return (
            f"{self.name}: test error {self.error:.2%}; the file states {self.stated:.2%}, its seeds "
            f"{self.lowest:.2%} to {self.highest:.2%}, give or take {self.tolerance:.2%}: {verdict}"
        )


def stand_in() -> ImageSet:
    """The stand-in that an offline machine gets at scale `laptop`: 10,000 training and 2,000 test images."""
    return synthetic_images(*STAND_IN["other"])


def train_seeds(
    name: str,
    images: ImageSet,
    folder: Path,
    *,
    seeds: tuple[int, ...] = SEEDS,
    workers: int = 2,
    device: str = "cpu",
    say: Callable[[str], None] = print,
) -> dict[int, Trained]:
    """Trains a recipe of `RECIPES` with these seeds, `workers` at a time, each on one thread.

    Whatever is done already is taken from `folder`. Raises as `train_network` does.
    """
    stop = Event()

    def one(seed: int) -> Trained:
        torch.set_num_threads(1)
        found = train_network(
            RECIPES[name],
            images,
            seed,
            folder=folder,
            name=name,
            looks=LOOKS,
            device=device,
            stop=stop.is_set,
        )
        say(f"{name}, seed {seed}: test error {found.test_error:.2%} after {found.seconds:.0f} s")
        return found

    with ThreadPoolExecutor(max(1, workers)) as pool:
        waiting = {pool.submit(one, seed): seed for seed in seeds}
        try:
            return dict(sorted((waiting[done], done.result()) for done in as_completed(waiting)))
        except BaseException:
            stop.set()
            for future in waiting:
                future.cancel()
            raise


def ship(name: str, images: ImageSet, found: dict[int, Trained], path: Path) -> dict[str, Any]:
    """Writes the network of the first seed to `path`; what the file says of it.

    Raises ValueError where it diverged.
    """
    seed, trained = next(iter(found.items()))
    if trained.status == "diverged":
        raise ValueError(f"{name}, seed {seed}, diverged: a network of no numbers is not shipped")
    recipe, made = RECIPES[name], trained.provenance
    facts = {
        "seed": seed,
        "seeds": list(found),
        "errors": [each.test_error for each in found.values()],
        "test_error": trained.test_error,
        "train_error": trained.train_error,
        "seconds": trained.seconds,
        "rate": recipe.rate,
        "epochs": recipe.epochs,
        "drops": list(recipe.drops),
        "steps": list(recipe.steps),
        "images": len(images.train),
        "test_images": len(images.test),
        "data": images.source,
        "synthetic": images.synthetic,
        "fingerprint": images.train.fingerprint(),
        "command": f"alexnet-edu weights train {name}",
        **{key: made[key] for key in ("commit", "date", "hardware", "torch", "threads")},
    }
    title = f"{recipe.network.layers[0].outputs} kernels in two columns, trained on {SHIPPED[name]}"
    save_weights(
        path,
        trained.model,
        trained.prepare,
        name=name,
        title=title,
        classes=images.train.classes,
        looks=trained.looks,
        facts=facts,
    )
    return facts


def compared(name: str, error: float) -> Retrained:
    """A repetition's error beside what the shipped file states. Raises DataError without the file."""
    facts = load_weights(name).facts
    errors = facts["errors"]
    chance = (error * (1 - error) / facts["test_images"]) ** 0.5
    lowest, highest = min(errors), max(errors)
    return Retrained(name, error, facts["test_error"], lowest, highest, chance + (highest - lowest) / 2)
