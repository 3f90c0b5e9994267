"""Does one column learn colour and the other not, on every run (§6.1)? Many small networks, to find out.

Each condition is one recipe, trained with many seeds. Kept are the first kernels themselves, after each
doubling of the training, so that any measure can be taken of them later, and the test of a column's
colour against kernels that are dealt to the columns at random be made again by the reader.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from alexnet_edu.data.images import ImageSet
from alexnet_edu.environment import joint_provenance
from alexnet_edu.files import DataError, checked, write_tensors
from alexnet_edu.model.architecture import kernel_net
from alexnet_edu.studies.kernel_training import Recipe, Trained, finished_networks, train_network
from alexnet_edu.studies.kernels import PERMUTATIONS, compare_columns, hue_share, kinds, pooled, tuning
from alexnet_edu.studies.weight_recipes import RECIPES, SEEDS
from alexnet_edu.training.loop import resolve_precision

EXPERIMENT = "specialization"
CIFAR10 = "cifar10"
RATE = 0.01
EPOCHS = 6
FORMAT = "alexnet-edu-kernels-1"
Kernels = dict[str, dict[int, Tensor]]  # condition -> seed -> (K, 3, h, w)
KERNELS_FILE = "specialization.safetensors"  # beside the trained networks


@dataclass(frozen=True)
class Condition:
    """One setting of the study.

    title: for a table. recipe: how each network is made. seeds: 1 to so many. pack: the images, by the
    name of their pack. differs: what sets it apart from the first condition.
    """

    name: str
    title: str
    recipe: Recipe
    seeds: int
    differs: str
    pack: str = CIFAR10


def conditions() -> dict[str, Condition]:
    """The study: the paper's connections, and one thing changed at a time."""

    def of(
        name: str,
        title: str,
        differs: str,
        seeds: int,
        *,
        rate: float = RATE,
        epochs: float = EPOCHS,
        pack: str = CIFAR10,
        standardized: bool = True,
        **net: Any,
    ) -> Condition:
        recipe = Recipe(kernel_net(**net), rate, epochs, standardized=standardized)
        return Condition(name, title, recipe, seeds, differs, pack)

    found = (
        of("paper", "as in the paper", "conv2 and conv4 read their own column", 20),
        of("joint", "nothing restricted", "every layer reads both: no columns at all", 20, connect="joint"),
        of("apart", "no exchange", "no layer before the classifier reads both", 20, connect="apart"),
        of("kernel-11", "kernels 11 × 11", "as large as the paper's", 8, kernel=11),
        of("kernel-5", "kernels 5 × 5", "smaller", 8, kernel=5),
        of("rate", "three times the rate", "ε = 0.03: slow to learn", 8, rate=3 * RATE),
        of(
            "pixels-64",
            "images of 64 × 64",
            "20 classes of 200 images, kernels 11 × 11 at stride 4",
            8,
            pack="tiny-imagenet-20",
            epochs=60,
            kernel=11,
            stride=4,
            side=64,
            classes=20,
        ),
        of("long", "trained four times as long", "24 epochs", 4, epochs=4 * EPOCHS),
        Condition(
            "shipped",
            "96 kernels, 16 epochs",
            RECIPES["cifar10"],
            len(SEEDS),
            "the shipped network; crops and reflections too",
        ),
        of(
            "2012",
            "as in 2012",
            "LRN, raw pixels, N(0, 0.01), biases 1",
            4,
            rate=0.005,
            standardized=False,
            norm=True,
            start="2012",
        ),
    )
    return {condition.name: condition for condition in found}


def looks_of(recipe: Recipe, images: int) -> tuple[int, ...]:
    """Steps at which the kernels are kept: after 1, 2, 4, … epochs, as far as the recipe goes."""
    steps = math.ceil(images / recipe.config(0).batch_size)
    return tuple(steps * 2**i for i in range(20) if 2**i < recipe.epochs)


def in_rounds(chosen: Iterable[Condition]) -> list[tuple[Condition, int]]:
    """(condition, seed): all first seeds, then all second ones, so that a study cut short is balanced."""
    every = list(chosen)
    most = max((condition.seeds for condition in every), default=0)
    return [(c, seed) for seed in range(1, most + 1) for c in every if seed <= c.seeds]


def train_all(
    chosen: Sequence[Condition],
    images: Callable[[str], ImageSet],
    folder: Path,
    *,
    workers: int = 2,
    device: str = "cpu",
    say: Callable[[str], None] = print,
) -> None:
    """Trains the networks of these conditions, `workers` at a time, each on one thread.

    images: of a pack, by its name. Whatever is done already is taken from `folder`; killing it loses at most
    an epoch of each worker.
    """
    stop = Event()

    def one(condition: Condition, seed: int) -> None:
        torch.set_num_threads(1)
        found = run(condition, images(condition.pack), seed, folder, device=device, stop=stop.is_set)
        say(f"{condition.name}, seed {seed}: test error {found.test_error:.1%}, {found.seconds:.0f} s")

    with ThreadPoolExecutor(max(1, workers)) as pool:
        waiting = [pool.submit(one, condition, seed) for condition, seed in in_rounds(chosen)]
        try:
            for future in as_completed(waiting):
                future.result()
        except BaseException:
            stop.set()
            for future in waiting:
                future.cancel()
            raise


def run(condition: Condition, images: ImageSet, seed: int, folder: Path | None, **options: Any) -> Trained:
    """One network of the study, trained or taken from `folder`. options: of `train_network`."""
    looks = looks_of(condition.recipe, len(images.train))
    name = f"{EXPERIMENT}-{condition.name}"
    return train_network(condition.recipe, images, seed, folder=folder, name=name, looks=looks, **options)


# --- one record of what was run ---------------------------------------------------------------


def measures(kernels: Tensor) -> dict[str, tuple[Tensor, Tensor | None]]:
    """What is compared between the columns: name -> (values (K,), weights (K,) or None).

    "colour": the colour share of each kernel, all alike. "colour by energy": the share of a column's
    whole energy, in which a kernel that learned little counts little. "hue": the share of magenta against
    green in a column's colour energy, see `hue_share`. "frequency": of the Fourier peak.
    """
    found = tuning(kernels)
    return {
        "colour": (found.colour, None),
        "colour by energy": (found.colour, found.norm.square()),
        "hue": hue_share(kernels),
        "frequency": (found.frequency, None),
    }


def assemble(
    chosen: Sequence[Condition], images: Callable[[str], ImageSet], folder: Path, kernels: Path
) -> dict[str, Any]:
    """One record of all networks that are finished in `folder`; their last kernels go to the file `kernels`.

    Tests are made of kernels in half precision, as the file holds them, so that a reader of the file
    finds the same numbers. Networks that diverged have no kernels to compare: only their seeds are named.
    Raises ValueError where nothing is finished.
    """
    every = {condition.name: finished(condition, images, folder) for condition in chosen}
    lost = {name: [s for s, one in each.items() if one.status == "diverged"] for name, each in every.items()}
    found = {name: {s: one for s, one in each.items() if s not in lost[name]} for name, each in every.items()}
    found = {name: each for name, each in found.items() if each}
    if not found:
        raise ValueError(f"no network of the study is finished in {folder}")
    arrays = {
        f"{name}.{seed}": one.looks[-1][1].half().numpy()
        for name, each in found.items()
        for seed, one in each.items()
    }
    kernels.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(kernels, arrays, {"format": FORMAT})
    origins = [one.provenance for each in found.values() for one in each.values()]
    main = images(CIFAR10)
    return {
        "experiment": EXPERIMENT,
        "title": "Do the two columns divide colour between them?",
        "deals": PERMUTATIONS,
        "conditions": [
            {
                **_part(condition, len(images(condition.pack).train), found[condition.name]),
                **({"diverged": lost[condition.name]} if lost[condition.name] else {}),
            }
            for condition in chosen
            if condition.name in found
        ],
        "provenance": {
            **joint_provenance(origins),
            "precision": [resolve_precision("auto")],
            "data": {"source": main.source, "synthetic": main.synthetic, "images": len(main.train)},
        },
    }


def finished(condition: Condition, images: Callable[[str], ImageSet], folder: Path) -> dict[int, Trained]:
    """The networks of a condition that `folder` holds, by their seeds; nothing is trained."""
    name = f"{EXPERIMENT}-{condition.name}"
    seeds = range(1, condition.seeds + 1)
    if not any(folder.glob(f"{name}-seed*.json")):
        return {}
    return finished_networks(condition.recipe, images(condition.pack), seeds, folder=folder, name=name)


def _part(condition: Condition, images: int, found: dict[int, Trained]) -> dict[str, Any]:
    recipe = condition.recipe
    first = recipe.network.layers[0]
    steps = sorted(set.intersection(*({step for step, _ in one.looks} for one in found.values())))
    values = [[measures(_look(one, step)) for one in found.values()] for step in steps]
    return {
        "name": condition.name,
        "title": condition.title,
        "differs": condition.differs,
        "pack": condition.pack,
        "images": images,
        "kernel": first.kernel,
        "stride": first.stride,
        "kernels": first.outputs,
        "side": recipe.network.side,
        "rate": recipe.rate,
        "epochs": recipe.epochs,
        "looks": [round(step / math.ceil(images / recipe.config(0).batch_size), 3) for step in steps],
        "pooled": {name: [_pooled([one[name] for one in at]) for at in values] for name in values[-1][0]},
        "kinds": asdict(kinds(torch.cat([_look(one, steps[-1]) for one in found.values()]))),
        "runs": [
            {
                "seed": seed,
                "test_error": one.test_error,
                "train_error": one.train_error,
                "status": one.status,
                "seconds": one.seconds,
                "columns": {name: _compared(*own, seed) for name, own in values[-1][i].items()},
            }
            for i, (seed, one) in enumerate(found.items())
        ],
    }


def _look(one: Trained, step: int) -> Tensor:
    return dict(one.looks)[step].half().float()


def _pooled(values: Sequence[tuple[Tensor, Tensor | None]]) -> dict[str, Any]:
    weights = [w for _, w in values if w is not None]
    return asdict(pooled([each for each, _ in values], weights or None))


def _compared(values: Tensor, weights: Tensor | None, seed: int) -> list[float]:
    """[mean of the first column, of the second, p]."""
    test = compare_columns(values, weights, seed=seed)
    return [round(test.first, 4), round(test.second, 4), round(test.p, 5)]


# --- the kernels read again ---


def load_kernels(path: Path) -> Kernels:
    """The last first-layer kernels of every network: condition -> seed -> (K, 3, h, w) float32.

    Raises DataError, with what to do, where the file is missing or damaged.
    """
    back = "`git checkout data/weights` brings it back"
    if not path.is_file():
        raise DataError(f"there are no kernels at {path}; {back}")
    _, head = checked(path)
    if head.get("format") != FORMAT:
        raise DataError(f"{path} holds no kernels of this study (format {head.get('format')!r}); {back}")
    try:
        found = load_file(path)
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} is damaged ({error}); {back}") from error
    kernels: Kernels = {}
    for name, value in found.items():
        condition, seed = name.rsplit(".", 1)
        kernels.setdefault(condition, {})[int(seed)] = value.float()
    return {condition: dict(sorted(each.items())) for condition, each in kernels.items()}
