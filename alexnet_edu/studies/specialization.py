"""Does one column learn colour and the other not, on every run (§6.1)? Many small networks, to find out.

Each condition is one recipe, trained with many seeds. Kept are the first kernels themselves, after each
doubling of the training, so that any measure can be taken of them later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from alexnet_edu.files import DataError, checked, head_of, write_tensors
from alexnet_edu.model.architecture import Architecture, kernel_net
from alexnet_edu.studies.engine import Result, Runs
from alexnet_edu.studies.kernels import (
    PERMUTATIONS,
    compare_columns,
    hue_share,
    kinds,
    pooled,
    tuning,
)
from alexnet_edu.studies.record import Record, as_text, of_rows
from alexnet_edu.studies.run import Run
from alexnet_edu.studies.shipped import (
    RECIPES,
    SEEDS,
    Trained,
    finished,
    kernel_run,
    seeded,
    steps_an_epoch,
    train_together,
)
from alexnet_edu.studies.statistics import PooledTest, p_text
from alexnet_edu.studies.study import joint, reported

EXPERIMENT, TITLE = "specialization", "Do the two columns divide colour between them?"
CIFAR10 = "cifar10"
RATE = 0.01
EPOCHS = 6
FORMAT = "alexnet-edu-kernels-1"
Kernels = dict[str, dict[int, Tensor]]  # condition -> seed -> (K, 3, h, w)
KERNELS_FILE = "specialization.safetensors"  # beside the trained networks


@dataclass(frozen=True)
class Condition:
    """One setting of the study.

    title: for a table. run: how each network is made, with the seed 0. seeds: networks are trained with
    the seeds from 1 to this one. differs: what sets it apart from the first condition. pack: the name of
    the data set.
    """

    name: str
    title: str
    run: Run
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
        inputs: str = "standardized",
        **net: Any,
    ) -> Condition:
        run = kernel_run(f"{EXPERIMENT}-{name}", kernel_net(**net), rate, epochs, inputs=inputs)
        return Condition(name, title, run, seeds, differs, pack)

    shipped = replace(RECIPES[CIFAR10], name=f"{EXPERIMENT}-shipped")
    every = (
        of("paper", "as in the paper", "conv2 and conv4 read their own column", 20),
        of("joint", "nothing restricted", "every layer reads both: no columns at all", 20, connect="joint"),
        of("apart", "no exchange", "no layer before the classifier reads both", 20, connect="apart"),
        of("kernel-11", "kernels 11 × 11", "as large as the paper's", 8, kernel=11),
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
        Condition(
            "shipped",
            "96 kernels, 16 epochs",
            shipped,
            len(SEEDS),
            "the shipped network; crops and reflections too",
        ),
        of(
            "2012",
            "as in 2012",
            "LRN, raw pixels, N(0, 0.01), biases 1",
            8,
            rate=0.005,
            inputs="raw",
            norm=True,
            start="2012",
        ),
    )
    return {condition.name: condition for condition in every}


# --- training ---------------------------------------------------------------------------------


def snapshot_steps(run: Run, an_epoch: int) -> tuple[int, ...]:
    """Steps at which the kernels are kept: after 1, 2, 4, … epochs, as far as the run goes."""
    return tuple(an_epoch * 2**i for i in range(20) if 2**i < run.epochs)


def in_rounds(chosen: Iterable[Condition]) -> list[tuple[Condition, int]]:
    """(condition, seed): all first seeds, then all second ones, so that a study cut short is balanced."""
    every = list(chosen)
    most = max((condition.seeds for condition in every), default=0)
    return [(c, seed) for seed in range(1, most + 1) for c in every if seed <= c.seeds]


def train_all(
    chosen: Sequence[Condition],
    runs: Callable[[str], Runs],
    *,
    workers: int | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Trains the networks of these conditions by `train_together`. runs: those on a pack, by its name."""
    jobs = []
    for condition, seed in in_rounds(chosen):
        on_pack, run = runs(condition.pack), seeded(condition.run, seed)
        steps = snapshot_steps(run, steps_an_epoch(on_pack, run))
        jobs.append((on_pack, run, steps))
    train_together(jobs, workers=workers, say=say)


# --- one record of what was run ---------------------------------------------------------------


def measures(kernels: Tensor) -> dict[str, tuple[Tensor, Tensor | None]]:
    """What is compared between the columns: name -> (values (K,), weights (K,) or None).

    "colour": the colour share of each kernel, all alike. "colour by energy": the share of a column's
    whole energy, in which a kernel that learned little counts little. "hue": the share of magenta against
    green in a column's colour energy, see `hue_share`. "frequency": of the Fourier peak.
    """
    each = tuning(kernels)
    return {
        "colour": (each.colour, None),
        "colour by energy": (each.colour, each.norm.square()),
        "hue": hue_share(kernels),
        "frequency": (each.frequency, None),
    }


def assemble(chosen: Sequence[Condition], runs: Callable[[str], Runs], kernels: Path) -> Record:
    """One record of all finished networks; their last kernels go to the file `kernels`, in half precision.

    The tests use them in that precision, too. A network that diverged has no kernels to compare: it appears
    in "runs" alone. Raises ValueError where nothing is finished.
    """
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in ("runs", "conditions", "columns", "pooled")}
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    results: list[Result] = []
    for condition in chosen:
        every = {}
        for seed in range(1, condition.seeds + 1):
            if (trained := finished(runs(condition.pack), seeded(condition.run, seed))) is not None:
                every[seed] = trained
        whole = {seed: trained for seed, trained in every.items() if not trained.diverged}
        if not whole:
            continue
        results += [trained.result for trained in every.values()]
        arrays |= {f"{condition.name}.{s}": trained.kernels.half().numpy() for s, trained in whole.items()}
        _add_rows(rows, condition, runs(condition.pack), every, whole)
    if not results:
        raise ValueError("no network of the study is finished; train some first")
    write_tensors(kernels, arrays, {"format": FORMAT})
    return of_rows(EXPERIMENT, TITLE, {"permutations": PERMUTATIONS}, joint(results), rows)


def _add_rows(
    rows: dict[str, list[dict[str, Any]]],
    condition: Condition,
    runs: Runs,
    every: dict[int, Trained],
    whole: dict[int, Trained],
) -> None:
    name, an_epoch = {"variant": condition.name}, steps_an_epoch(runs, condition.run)
    steps = sorted(set.intersection(*(set(trained.snapshots) for trained in whole.values())))
    values = [[measures(_half(trained.snapshots[step])) for trained in whole.values()] for step in steps]
    for step, at in zip(steps, values, strict=True):
        for measure in at[0]:
            test = _pooled([one[measure] for one in at])
            rows["pooled"].append({**name, "epoch": round(step / an_epoch, 3), "measure": measure, **test})
    last = dict(zip(whole, values[-1], strict=True))
    for seed, trained in every.items():
        for measure, (of_kernels, weights) in last.get(seed, {}).items():
            columns = compare_columns(of_kernels, weights, seed=seed)
            means = {"first": round(columns.first, 4), "second": round(columns.second, 4)}
            row = {"run": len(rows["runs"]), "measure": measure, **means, "p": round(columns.p, 5)}
            rows["columns"].append(row)
        errors = {"test_error": trained.test_error}
        rows["runs"].append({**name, "title": condition.title, **errors, **reported(trained.result)})
    rows["conditions"].append(
        {**name, "title": condition.title, "differs": condition.differs, "pack": condition.pack}
        | _about(condition.run, len(runs.images.train))
        | kinds(torch.cat([_half(trained.kernels) for trained in whole.values()]))
    )


def _half(kernels: Tensor) -> Tensor:
    return kernels.half().float()


def _pooled(values: Sequence[tuple[Tensor, Tensor | None]]) -> dict[str, Any]:
    weights = [w for _, w in values if w is not None]
    return asdict(pooled([each for each, _ in values], weights or None))


def _about(run: Run, images: int) -> dict[str, Any]:
    assert isinstance(run.network, Architecture)
    first = run.network.layers[0]
    shape = {"kernel": first.kernel, "stride": first.stride, "kernels": first.outputs, "side": run.side}
    return {"images": images, **shape, "rate": run.config.learning_rate, "epochs": run.epochs}


# --- the record read --------------------------------------------------------------------------


def pooled_test(record: Record, condition: str, measure: str = "colour", snapshot: int = -1) -> PooledTest:
    """What all networks of a condition say together, at one of its snapshots, the last one by default."""
    rows = record.rows("pooled", variant=condition, measure=measure)
    numbers = rows.drop(columns=["variant", "epoch", "measure"]).to_dict("records")[snapshot]
    return PooledTest(**{str(name): value for name, value in numbers.items()})


def _titles(record: Record) -> Iterator[tuple[str, str]]:
    conditions = record.tables["conditions"]
    return zip(conditions["variant"], conditions["title"], strict=True)


def table(record: Record) -> str:
    """Each condition in a line: its networks, how far their columns differ, and by chance; as text."""
    rows = []
    for name, title in _titles(record):
        test, error = pooled_test(record, name), record.of(variant=name).runs["test_error"].mean()
        chance = f"{test.chance:.3f} [{test.low:.3f}, {test.high:.3f}]"
        p = p_text(test.p, record.settings["permutations"]).removeprefix("= ")
        found = f"{test.mean:.3f}", chance, f"{test.effect:.2f}", p, f"{test.clear}/{test.networks}"
        rows.append((title, test.networks, f"{error:.1%}", *found))
    heads = ("condition", "networks", "test error", "difference", "by chance (95%)", "effect", "p", "clear")
    return as_text(heads, rows)


def measures_table(record: Record) -> str:
    """Each condition and measure: mean difference over the mean by chance, with its p; as text."""
    measures, rows = list(record.tables["pooled"]["measure"].unique()), []
    for name, title in _titles(record):
        tests = [pooled_test(record, name, measure) for measure in measures]
        chances = [p_text(test.p, record.settings["permutations"]) for test in tests]
        cells = (f"{test.mean / test.chance:.2f} (p {p})" for test, p in zip(tests, chances, strict=True))
        rows.append((title, *cells))
    return as_text(("times chance", *measures), rows)


def add_kernels(made: Path, place: Path, *, part: bool) -> Path:
    """Moves a file of kernels to its place. part: what lies there of other conditions stays beside them."""
    kernels = load_kernels(made)
    if part and place.exists():
        kernels = load_kernels(place) | kernels
    arrays = {
        f"{name}.{seed}": k.half().numpy() for name, each in kernels.items() for seed, k in each.items()
    }
    place.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(place, arrays, {"format": FORMAT})
    made.unlink()
    return place


def load_kernels(path: Path) -> Kernels:
    """The last first-layer kernels of every network: condition -> seed -> (K, 3, h, w) float32.

    Raises DataError, with what to do, where the file is missing or damaged.
    """
    back = "`git checkout data/weights` brings it back"
    if not path.is_file():
        raise DataError(f"there are no kernels at {path}; {back}")
    head_of(path, FORMAT)
    checked(path)
    kernels: Kernels = {}
    for name, value in sorted(load_file(path).items()):
        condition, seed = name.rsplit(".", 1)
        kernels.setdefault(condition, {})[int(seed)] = value.float()
    return {condition: dict(sorted(each.items())) for condition, each in kernels.items()}
