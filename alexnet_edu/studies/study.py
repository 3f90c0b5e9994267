"""Variants that are compared: the learning rate of each searched, the best one repeated with fresh seeds.

A `Study` is data. `train` runs it, `assemble` makes a record of what was run, `live` trains some of it now.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from alexnet_edu.environment import joint_provenance
from alexnet_edu.studies.engine import NotTrained, Result, Runs
from alexnet_edu.studies.record import Record, of_rows
from alexnet_edu.studies.run import INITIAL, Network, Run, Sample
from alexnet_edu.training import loop
from alexnet_edu.training.loop import TrainConfig

CROPS = ("crop", "flip")
SEARCH_SEED = 0  # the seed that chose the rate is not one of the seeds that are reported
LEARNED_NOTHING = 0.85  # a training error above this is chance: it says nothing of other rates
RATE_STEPS = (1.0, 2.0, 5.0)
Train = Callable[[Run], Result]  # trains a run, or reads what is kept of it


@dataclass(frozen=True)
class Variant:
    """One form of the network, or of its training.

    start_rate: where the search of the learning rate begins, on the grid 1, 2, 5 × a power of ten.
    more_rates: rates at which the seeds are run besides the chosen one, so that variants can be compared
    at one and the same rate. augment: steps of `augment.STEPS`; None crops and mirrors where the study has
    crops. changes: (name, value), settings of `TrainConfig` of its own.
    epochs, seeds, inputs: of its own; None takes the study's.
    """

    name: str
    title: str
    network: Network
    start_rate: float
    more_rates: tuple[float, ...] = ()
    augment: tuple[str, ...] | None = None
    changes: tuple[tuple[str, Any], ...] = ()
    epochs: float | None = None
    seeds: int | None = None
    inputs: str | None = None


@dataclass(frozen=True)
class Study:
    """Variants that are compared, and how all of them are trained.

    epochs, drops: of a run that is reported; the rate falls to a tenth at each of `drops`.
    search_epochs: of a run that searches the rate, without drops, judged on held-out images; 0 takes
    `start_rate`. most_rates: a search that has tried so many stops.
    target_error: where runs stop, and then the best rate is the one that gets there in the fewest epochs.
    inputs: as in `Run`. crop: side of random crops, mirrored half of the time; None takes images whole.
    decays: as in `TrainConfig`. train_images: how many a run sees, drawn by its seed; None is all.
    validates: whether images are held out of training for "validation_error".
    measured, at_end: names in `engine.MEASURES` and `engine.AT_END`.
    """

    name: str
    title: str
    variants: tuple[Variant, ...]
    epochs: float
    drops: tuple[float, ...]
    seeds: int
    search_epochs: float
    inputs: str = "raw"
    crop: int | None = None
    decays: tuple[tuple[str, float], ...] = ()
    train_images: int | None = None
    evals_per_epoch: int = 1
    validates: bool = False
    target_error: float | None = None
    most_rates: int = 6
    measured: tuple[str, ...] = ("test_error",)
    at_end: tuple[str, ...] = ()

    def variant(self, name: str) -> Variant:
        """The variant of this name. Raises ValueError, with the names, where there is none."""
        for variant in self.variants:
            if variant.name == name:
                return variant
        known = ", ".join(v.name for v in self.variants)
        raise ValueError(f"the study {self.name!r} has no variant {name!r}; it has {known}")

    def run(
        self,
        variant: Variant,
        rate: float,
        seed: int,
        *,
        searching: bool = False,
        epochs: float | None = None,
        **changes: Any,
    ) -> Run:
        """One run of a variant. changes: other values for `TrainConfig`."""
        settings: dict[str, Any] = {
            "seed": seed,
            "evals_per_epoch": self.evals_per_epoch,
            "decays": self.decays,
            "drops": () if searching else self.drops,
            **dict(variant.changes),
            **changes,
        }
        by_target = self.target_error is not None
        usual = self.search_epochs if searching and not by_target else variant.epochs or self.epochs
        kind = "search" if searching else "run"
        augment = (CROPS if self.crop else ()) if variant.augment is None else variant.augment
        held_out = searching and not by_target
        return Run(
            f"{self.name}-{variant.name}-{kind}-{rate:g}-seed{seed}",
            variant.network,
            TrainConfig(rate, **settings),
            epochs or usual,
            INITIAL + seed,
            Sample(seed, self.train_images, held_out or self.validates),
            held_out=held_out,
            side=self.crop,
            inputs=variant.inputs or self.inputs,
            augment=augment,
            target_error=self.target_error,
            measured=self.measured,
            at_end=() if searching else self.at_end,
        )


# --- the search of the rate ---------------------------------------------------------------------


def next_rate(rate: float, steps: int) -> float:
    """The rate `steps` places up (or down) the grid … 0.001, 0.002, 0.005, 0.01 …"""
    decade = math.floor(math.log10(rate) + 1e-9)
    mantissa = rate / 10**decade
    place = min(range(3), key=lambda i: abs(RATE_STEPS[i] - mantissa))
    if abs(RATE_STEPS[place] - mantissa) > 1e-6 * mantissa:
        raise ValueError(f"learning rate {rate!r} is not on the grid 1, 2, 5 × a power of ten")
    up, place = divmod(place + steps, 3)
    return float(f"{RATE_STEPS[place] * 10.0 ** (decade + up):.6g}")


def search_rate(
    start: float,
    most: int,
    run: Callable[[float, Sequence[Result]], Result],
    merit: Callable[[Result], Any],
) -> list[Result]:
    """Runs rates around `start` until the best has a worse one on each side, `most` in all.

    run: trains at a rate; it gets what was tried before. merit: the smaller the better. While no rate has
    learned anything, smaller ones are tried. The first of the returned results is the best.
    """
    tried: dict[float, Result] = {}
    missing = [start]
    while missing and len(tried) < most:
        tried[missing[0]] = run(missing[0], list(tried.values()))
        best = min(tried, key=lambda rate: (merit(tried[rate]), rate))
        missing = [rate for rate in (next_rate(best, 1), next_rate(best, -1)) if rate not in tried]
        if not missing and min(result.lowest_error for result in tried.values()) > LEARNED_NOTHING:
            missing = [next_rate(min(tried), -1)]
    return sorted(tried.values(), key=lambda result: (merit(result), result.rate))


def lowest_error(result: Result) -> tuple[bool, float]:
    """Merit of a rate: the last error on the held-out images; a diverged run is never best."""
    return result.curve.status == "diverged", result.column("test_error")[-1]


def fewest_epochs(result: Result) -> tuple[bool, bool, float]:
    """Merit of a rate: epochs to the target; where it is not reached, the lowest error on the way."""
    reached = result.crossing(result.run.target_error or 0.0)
    if reached is not None:
        return False, False, reached
    return True, result.curve.status == "diverged", result.lowest_error


def search(study: Study, variant: Variant, train: Train) -> list[Result]:
    """The runs that search a variant's rate, the best first; none where the study searches none.

    Where runs stop at a target, a rate is given up once it has used as many epochs as the best so far.
    """
    if study.target_error is None and not study.search_epochs:
        return []

    def run(rate: float, before: Sequence[Result]) -> Result:
        asked = study.run(variant, rate, SEARCH_SEED, searching=True)
        if study.target_error is None:
            return train(asked)
        reached = [c for r in before if (c := r.crossing(study.target_error)) is not None]
        return train(replace(asked, epochs=min([asked.epochs, *(math.ceil(2 * c) / 2 for c in reached)])))

    merit = lowest_error if study.target_error is None else fewest_epochs
    return search_rate(variant.start_rate, study.most_rates, run, merit)


def repeats(study: Study, variant: Variant, rate: float, train: Train) -> list[Result]:
    """The runs with fresh seeds at one rate."""
    seeds = range(1, (variant.seeds or study.seeds) + 1)
    return [train(study.run(variant, rate, seed)) for seed in seeds]


# --- a whole study ------------------------------------------------------------------------------


def together(work: Iterable[Callable[[], Any]], workers: int | None, stop: threading.Event) -> None:
    """Does all of it, so many at a time, each in a thread that computes on one core.

    workers: as many as there are cores if None. The first failure, or an interrupt, sets `stop`, cancels
    what has not begun, waits for the rest and is raised.
    """
    threads = torch.get_num_threads()
    count = workers or os.cpu_count() or 1
    with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        futures = [pool.submit(each) for each in work]
        try:
            for future in as_completed(futures):  # so that a failure is told at once
                future.result()
        except BaseException:
            stop.set()
            for future in futures:
                future.cancel()
            raise
        finally:
            torch.set_num_threads(threads)


def trainer(runs: Runs, stop: threading.Event, say: Callable[[str], None]) -> Train:
    """Trains a run in `runs`, and says how far it is; raises KeyboardInterrupt once `stop` is set."""

    def tell(run: Run, curve: loop.Run) -> None:
        point = curve.points[-1]
        tested = f", test error {point.extra['test_error'][0]:.1%}" if "test_error" in point.extra else ""
        say(f"{run.name}: epoch {point.epoch:.1f}, training error {point.train_error:.1%}{tested}")

    def train(run: Run) -> Result:
        result = runs.train(run, tell=tell, stop=stop.is_set)
        if result.curve.status == "interrupted":
            raise KeyboardInterrupt
        return result

    return train


def train(
    study: Study,
    runs: Runs,
    *,
    variants: Sequence[str] = (),
    workers: int | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Runs a study's variants (all if none are named), `workers` at a time, each on one thread.

    Everything already run is taken from the folder of `runs`; killing it loses at most what was trained
    since the last point of each run in progress.
    """
    stop = threading.Event()
    one = trainer(runs, stop, say)

    def work(variant: Variant) -> None:
        searched = search(study, variant, one)
        chosen = searched[0].rate if searched else variant.start_rate
        for rate in dict.fromkeys((chosen, *variant.more_rates)):
            errors = [result.column("train_error")[-1] for result in repeats(study, variant, rate, one)]
            listed = ", ".join(f"{error:.2%}" for error in errors)
            say(f"finished {study.name} {variant.name} at ε = {rate:g}: training error {listed}")

    chosen = [study.variant(name) for name in variants] or study.variants
    together([partial(work, variant) for variant in chosen], workers, stop)


# --- the record ---------------------------------------------------------------------------------


def assemble(study: Study, runs: Runs) -> Record:
    """All that was run for a study on these images, as a record; nothing is trained here.

    It may have been run on a machine of another precision. Variants without all of their seeds are left out.
    Raises NotTrained when none is whole.
    """
    here = runs.resolved(study.run(study.variants[0], 1.0, 0)).config.precision
    made = [_assemble(study, runs, p) for p in dict.fromkeys((here, "bfloat16", "float32"))]
    record = max(made, key=lambda r: 0 if r is None else len(r.runs))
    if record is None:
        raise NotTrained(f"{runs.folder} holds no whole variant of the study {study.name!r} yet")
    return record


def _assemble(study: Study, runs: Runs, precision: str) -> Record | None:
    def kept(run: Run) -> Result:
        return runs.kept(runs.resolved(run, precision))

    results, rows, searches = [], [], []
    for variant in study.variants:
        try:
            searched = search(study, variant, kept)
            chosen = searched[0].rate if searched else variant.start_rate
            groups = {chosen: repeats(study, variant, chosen, kept)}
        except NotTrained:
            continue
        for rate in sorted(set(variant.more_rates) - {chosen}):
            with suppress(NotTrained):
                groups[rate] = repeats(study, variant, rate, kept)
        about = {"variant": variant.name, "title": variant.title}
        searches += [about | _searched(result) for result in sorted(searched, key=lambda r: r.rate)]
        for rate, group in groups.items():
            results += group
            rows += [about | {"chosen": rate == chosen} | _reported(runs, result) for result in group]
    if not results:
        return None
    tables = _tables(results, rows, searches)
    return of_rows(study.name, study.title, settings_of(study), joint(results), tables)


def settings_of(study: Study) -> dict[str, Any]:
    names = ("epochs", "drops", "search_epochs", "inputs", "crop", "target_error")
    return {name: getattr(study, name) for name in names}


def _searched(result: Result) -> dict[str, Any]:
    """A row of the table "searches"."""
    row = {"rate": result.rate, "status": result.curve.status, "epochs_run": result.column("epoch")[-1]}
    if result.run.target_error is not None:
        return row | {"epochs": result.crossing(result.run.target_error), "lowest_error": result.lowest_error}
    return row | {"held_out_error": result.column("test_error")[-1]}


def reported(result: Result, *names: str) -> dict[str, Any]:
    """A row of the table "runs": what was run, and its last errors. names: what else of its provenance."""
    run, status = result.run, result.curve.status
    about = {"rate": result.rate, "seed": run.config.seed, "status": status, "epochs": run.epochs}
    about |= {name: result.provenance[name] for name in names}
    return about | {name: result.column(name)[-1] for name in ("train_error", "cpu_seconds")}


def _reported(runs: Runs, result: Result) -> dict[str, Any]:
    """A row with the network's size, and what was measured at the end."""
    made = reported(result, "commit", "date")
    made["parameters"] = sum(p.numel() for p in runs.build(result.run).parameters())
    for name, found in result.ends.items():
        parts = {f"{name}_{key}": x for key, x in found.items()} if isinstance(found, dict) else {name: found}
        made |= parts
    return made


def _tables(
    results: Sequence[Result], rows: list[dict[str, Any]], searches: list[dict[str, Any]]
) -> dict[str, Any]:
    import pandas as pd

    tables: dict[str, Any] = {"runs": rows, "searches": searches}
    for name, frames in (("curves", [r.frame for r in results]), ("layers", [r.layers for r in results])):
        numbered = [frame.assign(run=number) for number, frame in enumerate(frames)]
        tables[name] = pd.concat(numbered, ignore_index=True) if any(map(len, frames)) else []
    return tables


def joint(results: Sequence[Result]) -> dict[str, Any]:
    """Where the runs of a record come from: each different value once; the precision, the images."""
    parts = [p for r in results for p in (r.provenance, *r.provenance.get("earlier", ()))]
    precisions = sorted({r.run.config.precision for r in results})
    return joint_provenance(parts) | {"precision": precisions, "data": results[0].data}
