"""What one part of the network or its training is worth: §3.2 to §5, one part changed at a time.

A study holds variants of one network. For each the learning rate is searched on training
images that were held out; then the best rate is repeated with fresh seeds, on all training
images, and the test error is measured. Variants whose best rates differ are run at each
other's rates as well, so that an effect of the rate does not pass for one of the part.
`record` runs a study, `assemble` gathers what was run into one record of `data/results`,
which the notebooks show as "recorded".
"""

from __future__ import annotations

import hashlib
import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from threading import Event
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from alexnet_edu.data.augment import ColorPCA, Preparation, composed
from alexnet_edu.data.images import Images
from alexnet_edu.environment import provenance
from alexnet_edu.files import read_json, write_json
from alexnet_edu.studies.ablations import CROPS, Study, Variant, build
from alexnet_edu.studies.rates import next_rate
from alexnet_edu.training.loop import Augment, Run, TrainConfig, autocast, error_rate, fit, resolve_precision

EVALUATED = 5_000  # training images on which the training error is measured
HELD_OUT = 5_000  # training images that choose the rate; never trained on in a search
MOST_RATES = 6  # a search that has tried so many rates stops
SEARCH_SEED = 0  # the seed that chose the rate is not one of the seeds that are reported
SHIFTS = (1, 2, 3, 4)  # pixels by which test images are moved
SHIFTED_IMAGES = 2_000

# --- one run ----------------------------------------------------------------------------------


class Laboratory:
    """The images of a study, on the scale that its networks see, and where runs are kept.

    runs_dir: every run keeps a checkpoint and its curve there; None keeps nothing.
    """

    def __init__(self, study: Study, train: Images, test: Images, runs_dir: Path | None) -> None:
        self.study, self.train, self.test, self.runs_dir = study, train, test, runs_dir
        self.side = study.crop or train.pixels.shape[-1]
        self.prepare = Preparation.of(train, self.side, standardized=study.standardized)
        self.fingerprint = train.fingerprint()

    def data(self) -> dict[str, Any]:
        """Names the data in a record, and how many of the images a run of the study trains on."""
        kept_out = self._held_out() if self.study.validates else 0
        left = len(self.train) - kept_out
        return {
            "source": self.train.source,
            "synthetic": self.train.synthetic,
            "images": min(left, self.study.train_images or left),
            "test_images": len(self.test),
            "fingerprint": self.fingerprint,
        }

    @cached_property
    def colors(self) -> ColorPCA:
        """The principal directions of the training images' colours."""
        return ColorPCA.fit(self.train.pixels)

    def augment(self, variant: Variant) -> Augment | None:
        """What is done to uint8 batches (B, 3, H, W) that are trained on; None for nothing."""
        steps = (CROPS if self.study.crop else ()) if variant.augment is None else variant.augment
        return composed(steps, self.side, self.colors if "colour" in steps else None) if steps else None

    def network(self, variant: Variant, seed: int) -> nn.Module:
        """The variant's network as `seed` draws it, untrained."""
        return build(variant.network, self.side, len(self.train.classes), seed)

    def path(self, variant: Variant, config: TrainConfig, searching: bool) -> Path | None:
        """Where a run's curve is kept; the name ends in a digest of all that determines it."""
        if self.runs_dir is None:
            return None
        network = variant.network
        what = network if isinstance(network, str) else asdict(network)
        study = self.study
        settings: list[Any] = [study.standardized, study.crop, searching, self.fingerprint]
        later = {"augment": variant.augment, "images": study.train_images, "validates": study.validates}
        settings += [[k, v] for k, v in later.items() if v not in (None, False)]
        text = json.dumps([what, config.identity(), settings], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        kind = "search" if searching else "run"
        name = f"{self.study.name}-{variant.name}-{kind}-{config.learning_rate:g}-seed{config.seed}-{digest}"
        return self.runs_dir / f"{name}.json"

    def config(
        self, variant: Variant, rate: float, seed: int, *, searching: bool = False, **changes: Any
    ) -> TrainConfig:
        settings: dict[str, Any] = {
            "seed": seed,
            "evals_per_epoch": self.study.evals_per_epoch,
            "decays": self.study.decays,
            "drops": () if searching else self.study.drops,
            **dict(variant.changes),
            **changes,
        }
        return replace(TrainConfig(rate, **settings), precision=resolve_precision("auto"))

    def split(self, seed: int, *, holding_out: bool) -> tuple[Images, Images]:
        """(images to train on, images held out): drawn by the seed; none are held out unless asked."""
        order = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(seed))
        count = self._held_out() if holding_out else 0
        held_out, rest = order[:count], order[count:]
        wanted = self.study.train_images
        if wanted is not None and wanted < len(rest):
            return self.train.subset(rest[:wanted]), self.train.subset(held_out)
        return self.train.subset(rest) if holding_out else self.train, self.train.subset(held_out)

    def _held_out(self) -> int:
        return min(HELD_OUT, len(self.train) // 10)

    def run(
        self,
        variant: Variant,
        rate: float,
        seed: int,
        *,
        searching: bool = False,
        epochs: float | None = None,
        device: str = "cpu",
        tell: Callable[[Run], None] | None = None,
        stop: Callable[[], bool] | None = None,
        **changes: Any,
    ) -> tuple[dict[str, Any], nn.Module]:
        """Trains one network, or goes on where an earlier call stopped; its record, and the network.

        searching: train without the held-out images, and measure the error on them.
        epochs: other than the study's. changes: other values for `TrainConfig`.
        Raises KeyboardInterrupt when stopped; what was run is kept.
        """
        config = self.config(variant, rate, seed, searching=searching, **changes)
        path = self.path(variant, config, searching)
        trained, held_out = self.split(seed, holding_out=searching or self.study.validates)
        judged = held_out if searching else self.test
        pixels, labels = judged.pixels.to(device), judged.labels.to(device)
        validation = [t.to(device) for t in (held_out.pixels, held_out.labels)]
        model = self.network(variant, seed)
        origin = provenance(device)

        def measure(network: nn.Module) -> dict[str, list[float]]:
            errors = {"test_error": [error_rate(network, pixels, labels, prepare=self.prepare)]}
            if self.study.validates:
                errors["validation_error"] = [error_rate(network, *validation, prepare=self.prepare)]
            return errors

        allowed = epochs or (self.study.search_epochs if searching else self.study.epochs)
        run = fit(
            model,
            trained.pixels,
            trained.labels,
            config,
            prepare=self.prepare,
            max_epochs=allowed,
            evaluate_on=torch.randperm(len(trained), generator=torch.Generator().manual_seed(seed))[
                :EVALUATED
            ],
            augment=self.augment(variant),
            device=device,
            checkpoint=path.with_suffix(".safetensors") if path else None,
            on_point=tell,
            measure=measure,
            stop=stop,
        )
        if run.status == "interrupted":
            raise KeyboardInterrupt
        old = read_json(path) if path is not None and path.exists() else None
        if old is not None and run.resumed_at == run.points[-1].iteration:
            record = dict(old)  # nothing new was trained: it keeps saying when it was made
        else:
            record = {
                "variant": variant.name,
                "searching": searching,
                "seed": seed,
                "rate": rate,
                "status": run.status,
                "curve": _curve(run),
                "data": self.data(),
                "provenance": origin,
            }
        is_whole = not searching and run.status == "limit"
        if is_whole and self.study.shifts and "shifted" not in record:
            some = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))[:SHIFTED_IMAGES]
            record["shifted"] = shift_sensitivity(model, pixels[some.to(device)], self.prepare)
            record["shifted_commit"] = origin["commit"]  # it may be later than that of the training
        if is_whole and self.study.crop and "nine_views" not in record:
            record["nine_views"] = self.error_over_views(model, pixels, labels)
        if path is not None and record != old:
            write_json(path, record)
        return record, model

    @torch.no_grad()
    def error_over_views(self, model: nn.Module, pixels: Tensor, labels: Tensor) -> float:
        """Test error (0–1) when the softmax outputs of nine crops are averaged.

        The places are those of a 3 × 3 grid over the border, not mirrored: `convdata_cifar.py` 83.
        """
        border = pixels.shape[-1] - self.side
        places = (0, border // 2, border)
        model.eval()
        wrong = 0
        for x, y in zip(pixels.split(500), labels.split(500), strict=True):
            total = torch.zeros(len(x), len(self.train.classes))
            for top in places:
                for left in places:
                    view = x[:, :, top : top + self.side, left : left + self.side]
                    with autocast(x.device, "auto"):
                        total += model(self.prepare(view)).float().softmax(1).cpu()
            wrong += int((total.argmax(1) != y.cpu()).sum())
        return wrong / len(pixels)


def _curve(run: Run) -> dict[str, list[float]]:
    curve = {
        name: [getattr(p, name) for p in run.points]
        for name in ("epoch", "train_error", "running_error", "loss", "cpu_seconds")
    }
    for name in ("test_error", "validation_error"):
        if all(name in p.extra for p in run.points):
            curve[name] = [p.extra[name][0] for p in run.points]
    return curve


@torch.no_grad()
def shift_sensitivity(
    model: nn.Module, pixels: Tensor, prepare: Callable[[Tensor], Tensor], shifts: Sequence[int] = SHIFTS
) -> dict[str, float]:
    """Share (0–1) of images whose predicted class changes when they move by so many pixels.

    pixels: (N, 3, H, W) uint8. The mean over moves to the left, right, up and down; what
    comes in from outside repeats the edge.
    """
    model.eval()

    def predicted(images: Tensor) -> Tensor:
        with autocast(images.device, "auto"):
            return torch.cat([model(prepare(part)).argmax(1) for part in images.split(500)])

    still = predicted(pixels)
    found = {}
    for shift in shifts:
        moved = [
            (predicted(shifted(pixels, shift * dy, shift * dx)) != still).float().mean().item()
            for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0))
        ]
        found[str(shift)] = round(statistics.fmean(moved), 5)
    return found


def shifted(images: Tensor, down: int, right: int) -> Tensor:
    """Images (N, C, H, W) moved by whole pixels; the edge is repeated."""
    rows = (torch.arange(images.shape[2]) - down).clamp(0, images.shape[2] - 1)
    columns = (torch.arange(images.shape[3]) - right).clamp(0, images.shape[3] - 1)
    return images[:, :, rows][:, :, :, columns]


# --- a whole study ----------------------------------------------------------------------------


def search(study: Study, variant: Variant, run: Callable[[float], dict[str, Any]]) -> list[dict[str, Any]]:
    """Runs rates around `start_rate` until the best has a worse one on each side, or MOST_RATES."""
    tried: dict[float, dict[str, Any]] = {}
    missing = [variant.start_rate]
    while missing and len(tried) < MOST_RATES and study.search_epochs:
        tried[missing[0]] = run(missing[0])
        best = best_rate(tried.values())
        missing = [r for r in (next_rate(best, 1), next_rate(best, -1)) if r not in tried]
    return list(tried.values())


def best_rate(searched: Any) -> float:
    """The rate with the lowest last error on the held-out images; a diverged run is never best."""
    rows = [(r["status"] == "diverged", r["curve"]["test_error"][-1], r["rate"]) for r in searched]
    return float(min(rows)[2])


def run_variant(
    lab: Laboratory, variant: Variant, **options: Any
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(the runs of the search, the repetitions with fresh seeds). options: as in `Laboratory.run`.

    The repetitions at the rate that the search chose come first, then those at `more_rates`.
    """
    searched = search(
        lab.study, variant, lambda rate: lab.run(variant, rate, SEARCH_SEED, searching=True, **options)[0]
    )
    chosen = best_rate(searched) if searched else variant.start_rate
    rates = (chosen, *(rate for rate in variant.more_rates if rate != chosen))
    seeds = range(1, lab.study.seeds + 1)
    return searched, [lab.run(variant, rate, seed, **options)[0] for rate in rates for seed in seeds]


def record(
    lab: Laboratory,
    *,
    variants: Sequence[str] | None = None,
    workers: int | None = None,
    device: str = "cpu",
    say: Callable[[str], None] = print,
) -> None:
    """Runs a study's variants (all if None), `workers` at a time, each on one thread.

    Everything already run is taken from `lab.runs_dir`; killing it loses at most an epoch
    of each run in progress.
    """
    chosen = [v for v in lab.study.variants if not variants or v.name in variants]
    stop = Event()

    def work(variant: Variant) -> None:
        torch.set_num_threads(1)  # of this worker

        def tell(run: Run) -> None:
            point = run.points[-1]
            say(
                f"{lab.study.name} {variant.name}: epoch {point.epoch:.1f}, training error "
                f"{point.train_error:.1%}, test error {point.extra['test_error'][0]:.1%}"
            )

        _, repeats = run_variant(lab, variant, device=device, tell=tell, stop=stop.is_set)
        for rate, group in groupby(repeats, key=lambda r: r["rate"]):
            errors = ", ".join(f"{r['curve']['test_error'][-1]:.2%}" for r in group)
            say(f"finished {lab.study.name} {variant.name} at ε = {rate:g}: test error {errors}")

    with ThreadPoolExecutor(max(1, workers or 1)) as pool:
        futures = [pool.submit(work, variant) for variant in chosen]
        try:
            for future in as_completed(futures):  # so that a failure is told at once
                future.result()
        except BaseException:
            stop.set()
            for future in futures:
                future.cancel()
            raise


def assemble(study: Study, runs_dir: Path, fingerprint: str) -> dict[str, Any]:
    """All that was run for a study on these data, as one record; nothing is trained here.

    Variants without all of their seeds are left out. Raises ValueError when none is whole.
    """
    # By the variants' names, too: another study's name may begin like this one's.
    starts = tuple(f"{study.name}-{v.name}-{kind}-" for v in study.variants for kind in ("run", "search"))
    paths = (path for path in runs_dir.glob(f"{study.name}-*.json") if path.name.startswith(starts))
    kept = [read_json(path) for path in sorted(paths)]
    kept = [r for r in kept if r["data"]["fingerprint"] == fingerprint]
    cells = [cell for variant in study.variants if (cell := _cell(study, variant, kept)) is not None]
    if not cells:
        raise ValueError(f"{runs_dir} holds no whole variant of the study {study.name!r} yet")
    runs = [run for cell in cells for group in (cell, *cell["more"]) for run in group["runs"]]
    origins = [run.pop("provenance") for run in runs]
    data = [run.pop("data") for run in runs]
    commits = {o["commit"] for o in origins} | {c for run in runs if (c := run.pop("shifted_commit", None))}
    return {
        "experiment": study.name,
        "title": study.title,
        "epochs": study.epochs,
        "drops": list(study.drops),
        "search_epochs": study.search_epochs,
        "standardized": study.standardized,
        "crop": study.crop,
        "cells": cells,
        "provenance": {
            "commits": sorted(commits),
            "dates": sorted({o["date"] for o in origins}),
            **{name: sorted({o[name] for o in origins}) for name in ("hardware", "torch", "threads")},
            "precision": [resolve_precision("auto")],
            "data": data[0],
        },
    }


def _cell(study: Study, variant: Variant, kept: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    mine = [r for r in kept if r["variant"] == variant.name]
    searched = [r for r in mine if r["searching"]]
    rate = best_rate(searched) if searched else variant.start_rate
    runs = {r: _repeats(study, mine, r) for r in (rate, *variant.more_rates)}
    if not runs[rate]:
        return None
    return {
        "variant": variant.name,
        "title": variant.title,
        "parameters": sum(p.numel() for p in build(variant.network, study.crop or 32, 10, 0).parameters()),
        "rate": rate,
        "search": [
            {"rate": r["rate"], "held_out_error": r["curve"]["test_error"][-1], "status": r["status"]}
            for r in sorted(searched, key=lambda r: r["rate"])
        ],
        "runs": runs[rate],
        "more": [{"rate": r, "runs": found} for r, found in sorted(runs.items()) if found and r != rate],
    }


def _repeats(study: Study, mine: Sequence[Mapping[str, Any]], rate: float) -> list[dict[str, Any]]:
    """The finished runs of all seeds at a rate; none if a seed is missing."""
    seeds = range(1, study.seeds + 1)
    runs = [dict(r) for r in mine if not r["searching"] and r["rate"] == rate and r["seed"] in seeds]
    runs = [r for r in runs if r["curve"]["epoch"][-1] >= study.epochs or r["status"] == "diverged"]
    return sorted(runs, key=lambda r: int(r["seed"])) if len(runs) == study.seeds else []


# --- live, in the notebook ----------------------------------------------------------------

LIVE_SEED = 2012  # none of the recorded runs has it: a live run is always a new one


def run_live(
    lab: Laboratory,
    rates: Mapping[str, float],
    epochs: float,
    *,
    device: str = "cpu",
    workers: int = 2,
    **changes: Any,
) -> dict[str, tuple[dict[str, Any], nn.Module]]:
    """Trains one network per variant, now, `workers` side by side, with a progress bar.

    rates: variant -> learning rate. changes: as in `Laboratory.run`. In a study whose rate falls, it
    falls to a tenth at three quarters of the epochs here. Interrupting keeps what was measured, where
    the laboratory keeps runs; the same call goes on from there. Returns variant -> (record, network).
    """
    study = lab.study
    if study.drops:
        study = replace(study, drops=(math.floor(0.75 * epochs) or 0.75 * epochs,))
    live = Laboratory(study, lab.train, lab.test, lab.runs_dir)
    stop, threads = Event(), torch.get_num_threads()
    total = epochs * len(rates)
    bar = tqdm(total=total, bar_format="{l_bar}{bar}| {n:.0f} of {total:.0f} epochs [{elapsed}]")

    def work(name: str) -> tuple[dict[str, Any], nn.Module]:
        torch.set_num_threads(1)  # of this worker
        variant = next(v for v in study.variants if v.name == name)
        seen = 0.0

        def tell(run: Run) -> None:
            nonlocal seen
            # A last step may pass the epochs asked for; tqdm would warn, with its lock held.
            bar.update(min(run.points[-1].epoch - seen, total - bar.n))
            seen = run.points[-1].epoch

        return live.run(
            variant,
            rates[name],
            LIVE_SEED,
            epochs=epochs,
            device=device,
            tell=tell,
            stop=stop.is_set,
            **changes,
        )

    with ThreadPoolExecutor(max(1, workers)) as pool:
        futures = {name: pool.submit(work, name) for name in rates}
        try:
            return {name: future.result() for name, future in futures.items()}
        except BaseException:
            stop.set()
            for future in futures.values():
                future.cancel()
            raise
        finally:
            pool.shutdown(wait=True)
            torch.set_num_threads(threads)
            bar.close()
