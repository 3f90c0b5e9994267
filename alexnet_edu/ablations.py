"""What one part of the network is worth: §3.2 to §3.4 on CIFAR-10, one part changed at a time.

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
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from threading import Event
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from alexnet_edu.architecture import Architecture, Layer, count
from alexnet_edu.augment import center_crop, random_crop_flip
from alexnet_edu.cifar_net import CifarNetConfig, ConvLocalNet, FourLayerNet
from alexnet_edu.images import Images
from alexnet_edu.json_files import read_json, write_json
from alexnet_edu.model import AlexNet
from alexnet_edu.provenance import provenance
from alexnet_edu.rates import next_rate
from alexnet_edu.train import Run, TrainConfig, autocast, error_rate, fit, resolve_precision

EVALUATED = 5_000  # training images on which the training error is measured
HELD_OUT = 5_000  # training images that choose the rate; never trained on in a search
MOST_RATES = 6  # a search that has tried so many rates stops
SEARCH_SEED = 0  # the seed that chose the rate is not one of the seeds that are reported
SHIFTS = (1, 2, 3, 4)  # pixels by which test images are moved
SHIFTED_IMAGES = 2_000

Network = CifarNetConfig | Architecture | str  # a str: the norm of `ConvLocalNet`


@dataclass(frozen=True)
class Variant:
    """One form of the network.

    network: what `build` makes; start_rate: where the search of the learning rate begins, on
    the grid 1, 2, 5 × a power of ten. more_rates: rates at which the seeds are run besides
    the one that the search chose, so that variants can be compared at one and the same rate.
    """

    name: str
    title: str
    network: Network
    start_rate: float
    more_rates: tuple[float, ...] = ()


@dataclass(frozen=True)
class Study:
    """Variants of one network that are compared, and how all of them are trained.

    epochs, drops: of a run that is reported; the rate falls to a tenth at each of `drops`.
    search_epochs: of a run that searches the rate, without drops; 0 takes `start_rate`.
    standardized: inputs divided by the standard deviation of all pixels; else raw 0–255
        minus the mean image, as in 2012.
    crop: side of the random crops, mirrored half of the time; None takes images whole.
    decays: as in `train.TrainConfig`. shifts: whether trained networks see shifted test images.
    """

    name: str
    title: str
    variants: tuple[Variant, ...]
    epochs: float
    drops: tuple[float, ...]
    seeds: int
    search_epochs: float
    standardized: bool = False
    crop: int | None = None
    decays: tuple[tuple[str, float], ...] = ()
    shifts: bool = False


# --- the studies ----------------------------------------------------------------------------


def _four_layers(norm: str = "none", window: int = 3, pool: str = "avg") -> CifarNetConfig:
    return CifarNetConfig(pools=("max", pool, pool), norms=(norm, norm, "none"), window=window)


def columns_net(talk: Sequence[str], width: int = 96, columns: int = 2, kernels: int = 1) -> Architecture:
    """Four convolutions and a classifier in two columns, for images of 32 × 32 pixels.

    talk: the layers after the first that read both columns; the classifier always does.
    width: kernels of the third and the fourth convolution. kernels: what all numbers of
    kernels but the last are divided by. Weights N(0, 2 / fan-in).
    """
    read = {name: "both" if name in talk else "own" for name in ("conv2", "conv3", "conv4")}
    conv, pooled = ("relu",), ("relu", "pool")
    layers = (
        Layer("conv1", 32 // kernels, 5, 1, 2, "both", pooled),
        Layer("conv2", 64 // kernels, 5, 1, 2, read["conv2"], pooled),
        Layer("conv3", width // kernels, 3, 1, 1, read["conv3"], conv),
        Layer("conv4", width, 3, 1, 1, read["conv4"], pooled),
        Layer("fc5", 10, None, after=()),
    )
    plain = Architecture("columns", layers, columns, side=32)
    fan_ins = [size.weights // layer.outputs for size, layer in zip(count(plain), layers, strict=True)]
    scaled = (replace(layer, std=(2 / n) ** 0.5) for layer, n in zip(layers, fan_ins, strict=True))
    return replace(plain, layers=tuple(scaled))


PATTERNS: dict[str, tuple[str, ...]] = {
    "conv3": ("conv3",),
    "conv4": ("conv4",),
    "conv3-conv4": ("conv3", "conv4"),
    "nowhere": (),
    "everywhere": ("conv2", "conv3", "conv4"),
}
_PATTERN_TITLES = {
    "conv3": "at conv3 (the paper's place)",
    "conv4": "at conv4",
    "conv3-conv4": "at conv3 and conv4",
    "nowhere": "nowhere before the classifier",
    "everywhere": "everywhere",
}


def parameters(network: Network) -> int:
    """How many parameters `build` gives this network, for images of 32 × 32 pixels."""
    return sum(p.numel() for p in build(network, 32, 10, 0).parameters())


def equal_width(talk: Sequence[str], goal: int) -> int:
    """The even width of conv3 and conv4 that brings `columns_net` nearest to `goal` parameters."""
    totals = {w: sum(s.weights + s.biases for s in count(columns_net(talk, w))) for w in range(32, 161, 2)}
    return min(totals, key=lambda w: abs(totals[w] - goal))


def _exchange_variants() -> tuple[Variant, ...]:
    paper = columns_net(PATTERNS["conv3"])
    goal = sum(s.weights + s.biases for s in count(paper))
    found = [
        Variant(
            name,
            _PATTERN_TITLES[name],
            columns_net(talk, equal_width(talk, goal)),
            0.01,
            (0.002, 0.005, 0.01),
        )
        for name, talk in PATTERNS.items()
    ]
    half = columns_net(("conv2", "conv3", "conv4"), columns=1, kernels=2)
    return (*found, Variant("half", "one column, half the kernels (§3.2)", half, 0.01, (0.002, 0.005, 0.01)))


STUDIES = {
    s.name: s
    for s in (
        Study(
            "norms",
            "Normalization in the four-layer network",
            (
                Variant("none", "none", _four_layers("none"), 0.002, (0.002, 0.005)),
                Variant("lrn", "LRN (§3.3 as printed)", _four_layers("lrn"), 0.005, (0.002, 0.005)),
                Variant("batch", "batch normalization", _four_layers("batch"), 0.01),
                Variant(
                    "within-map",
                    "within a map (run 145)",
                    _four_layers("within-map"),
                    0.002,
                    (0.002, 0.005),
                ),
                Variant("lrn-code", "LRN (the authors' α/n)", _four_layers("lrn-code"), 0.005),
            ),
            epochs=8,
            drops=(6.0,),
            seeds=3,
            search_epochs=3,
        ),
        Study(
            "pooling",
            "Overlapping pooling in the four-layer network",
            (
                Variant("z2", "z = 2, s = 2", _four_layers(window=2, pool="max"), 0.002, (0.001, 0.002)),
                Variant(
                    "z3",
                    "z = 3, s = 2 (overlapping)",
                    _four_layers(window=3, pool="max"),
                    0.002,
                    (0.001, 0.002),
                ),
            ),
            epochs=10,
            drops=(8.0,),
            seeds=4,
            search_epochs=3,
            shifts=True,
        ),
        Study(
            "exchange",
            "Where two columns read each other",
            _exchange_variants(),
            epochs=4,
            drops=(3.0,),
            seeds=3,
            search_epochs=1,
            standardized=True,
        ),
        Study(
            "lrn-long",
            "The network of 13% test error, with and without LRN",
            (
                Variant("none", "none", "none", 0.001),
                Variant("lrn", "LRN (n = 9, α = 0.001, β = 0.75, k = 1, α/n)", "lrn-9", 0.001),
            ),
            epochs=36,
            drops=(28.0, 33.0),
            seeds=1,
            search_epochs=0,
            crop=24,
            decays=(("local", 0.004), ("classifier", 0.004)),
        ),
    )
}


def build(network: Network, side: int, classes: int, seed: int) -> nn.Module:
    """The network with the weights that `seed` draws, for images of side × side pixels."""
    generator = torch.Generator().manual_seed(1_000_003 + seed)
    if isinstance(network, CifarNetConfig):
        return FourLayerNet(replace(network, image_size=side, classes=classes), generator)
    if isinstance(network, str):
        return ConvLocalNet(network, side, classes, generator)
    layers = (*network.layers[:-1], replace(network.layers[-1], outputs=classes))
    return AlexNet(replace(network, side=side, layers=layers), generator=generator)


# --- one run ----------------------------------------------------------------------------------


class Laboratory:
    """The images of a study, on the scale that its networks see, and where runs are kept.

    runs_dir: every run keeps a checkpoint and its curve there; None keeps nothing.
    """

    def __init__(self, study: Study, train: Images, test: Images, runs_dir: Path | None) -> None:
        self.study, self.train, self.test, self.runs_dir = study, train, test, runs_dir
        pixels = train.pixels.float()
        self.mean = pixels.mean(0)  # (3, H, W), 0–255
        self.std = (pixels - self.mean).std().item()
        self.fingerprint = train.fingerprint()
        self.side = study.crop or pixels.shape[-1]

    def data(self) -> dict[str, Any]:
        """Names the data in a record."""
        return {
            "source": self.train.source,
            "synthetic": self.train.synthetic,
            "images": len(self.train),
            "test_images": len(self.test),
            "fingerprint": self.fingerprint,
        }

    def prepare(self, batch: Tensor) -> Tensor:
        """uint8 (B, 3, H, W) -> float (B, 3, side, side): the middle of each, minus the mean's middle."""
        mean = center_crop(self.mean[None], self.side).to(batch.device)
        x = center_crop(batch, self.side).float() - mean
        return x / self.std if self.study.standardized else x

    def augment(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """uint8 (B, 3, H, W) -> uint8 (B, 3, side, side)."""
        return random_crop_flip(batch, self.side, generator)

    def network(self, variant: Variant, seed: int) -> nn.Module:
        """The variant's network as `seed` draws it, untrained."""
        return build(variant.network, self.side, len(self.train.classes), seed)

    def path(self, variant: Variant, config: TrainConfig, searching: bool) -> Path | None:
        """Where a run's curve is kept; the name ends in a digest of all that determines it."""
        if self.runs_dir is None:
            return None
        network = variant.network
        what = network if isinstance(network, str) else asdict(network)
        settings = [self.study.standardized, self.study.crop, searching, self.fingerprint]
        text = json.dumps([what, asdict(config), settings], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        kind = "search" if searching else "run"
        name = f"{self.study.name}-{variant.name}-{kind}-{config.learning_rate:g}-seed{config.seed}-{digest}"
        return self.runs_dir / f"{name}.json"

    def config(self, rate: float, seed: int, *, searching: bool = False, **changes: Any) -> TrainConfig:
        drops = () if searching else self.study.drops
        made = TrainConfig(
            rate, seed=seed, evals_per_epoch=1, decays=self.study.decays, drops=drops, **changes
        )
        return replace(made, precision=resolve_precision("auto"))

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
        config = self.config(rate, seed, searching=searching, **changes)
        path = self.path(variant, config, searching)
        held_out = min(HELD_OUT, len(self.train) // 10)
        chosen = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(seed))
        trained = self.train.subset(chosen[held_out:]) if searching else self.train
        judged = self.train.subset(chosen[:held_out]) if searching else self.test
        pixels, labels = judged.pixels.to(device), judged.labels.to(device)
        model = self.network(variant, seed)
        origin = provenance(device)

        def measure(network: nn.Module) -> dict[str, list[float]]:
            return {"test_error": [error_rate(network, pixels, labels, prepare=self.prepare)]}

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
            augment=self.augment if self.study.crop else None,
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
    return {**curve, "test_error": [p.extra["test_error"][0] for p in run.points]}


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
    kept = [read_json(path) for path in sorted(runs_dir.glob(f"{study.name}-*.json"))]
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

    rates: variant -> learning rate. changes: as in `Laboratory.run`. The rate falls to a tenth
    at three quarters of the epochs. Interrupting keeps what was measured, where the laboratory
    keeps runs; the same call goes on from there. Returns variant -> (record, network).
    """
    study = replace(lab.study, drops=(math.floor(0.75 * epochs) or 0.75 * epochs,))
    live = Laboratory(study, lab.train, lab.test, lab.runs_dir)
    stop, threads = Event(), torch.get_num_threads()
    bar = tqdm(
        total=epochs * len(rates), bar_format="{l_bar}{bar}| {n:.0f} of {total:.0f} epochs [{elapsed}]"
    )

    def work(name: str) -> tuple[dict[str, Any], nn.Module]:
        torch.set_num_threads(1)  # of this worker
        variant = next(v for v in study.variants if v.name == name)
        seen = 0.0

        def tell(run: Run) -> None:
            nonlocal seen
            bar.update(run.points[-1].epoch - seen)
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
