"""One training as a record: what was run, on what, and the curve that came out.

A run lives in two files of its own under `data/runs`: a checkpoint, so that it can be
killed at any moment and go on, and its curve. Asking for a run that is already there
costs nothing. Studies made of many runs (`figure1.py`) build on this module.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from alexnet_edu.data.images import Images
from alexnet_edu.environment import provenance
from alexnet_edu.files import write_json
from alexnet_edu.model.cifar import CifarNetConfig, FourLayerNet, activation_layers
from alexnet_edu.studies import signals
from alexnet_edu.studies.convergence import crossing
from alexnet_edu.training.loop import Point, Prepare, Run, TrainConfig, fit, resolve_precision

INPUT_SCALES = ("raw", "standardized")
FINISHED = ("reached", "limit", "diverged")  # states of a run that will not go on by itself
EVALUATED_IMAGES = 5_000  # training images on which the training error is measured
PROBED_IMAGES = 250  # of these, the ones on which saturation and gradients are measured


@dataclass(frozen=True)
class Condition:
    """What surrounds the activation: input, initialization, architecture.

    input_scale: "raw", 0–255 minus the mean image, as in 2012; "standardized", the same
        divided by the standard deviation of all training pixels (one number, about 63 for CIFAR-10).
    """

    name: str
    title: str
    input_scale: str = "raw"
    init: str = "gaussian-0.01"
    pools: tuple[str, str, str] = ("max", "avg", "avg")
    channels: tuple[int, int, int] = (32, 32, 64)

    def is_same(self, other: Condition) -> bool:
        """Whether the two give the same curve: name and title are words for people."""
        return replace(self, name="", title="") == replace(other, name="", title="")


@dataclass(frozen=True)
class Spec:
    """Everything that determines one run's curve, data aside."""

    activation: str
    learning_rate: float
    seed: int
    condition: Condition
    precision: str = "auto"
    batch_size: int = 128
    evals_per_epoch: int = 2

    def net(self, image_size: int, classes: int) -> CifarNetConfig:
        return CifarNetConfig(
            activation=self.activation,
            init=self.condition.init,
            channels=self.condition.channels,
            pools=self.condition.pools,
            image_size=image_size,
            classes=classes,
        )

    def train(self) -> TrainConfig:
        return TrainConfig(
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            seed=self.seed,
            evals_per_epoch=self.evals_per_epoch,
            precision=resolve_precision(self.precision),
        )


@dataclass
class Record:
    """A finished or half-finished run with what is needed to judge it.

    device: the kind of device that it ran on, "cpu" or "cuda"; each rounds in its own way.
    """

    spec: Spec
    run: Run
    data: dict[str, Any]
    provenance: dict[str, Any] = field(default_factory=dict)
    device: str = "cpu"

    def crossing(self, level: float, axis: str = "epoch") -> float | None:
        """Where the training error first reaches `level`, in units of `axis` of `Point`."""
        points = self.run.points
        return crossing([getattr(p, axis) for p in points], [p.train_error for p in points], level)


class Bench:
    """The training images, ready for any condition: loaded once, used by many runs."""

    def __init__(self, images: Images, runs_dir: Path | None) -> None:
        self.images = images
        self.runs_dir = runs_dir

    @cached_property
    def mean(self) -> Tensor:
        """(3, H, W) float32: the mean image, 0–255."""
        return self.images.pixels.float().mean(0).contiguous(memory_format=torch.preserve_format)

    @cached_property
    def std(self) -> float:
        """Standard deviation of all mean-subtracted pixels, in grey levels."""
        total = sum(
            (chunk.float() - self.mean).double().square().sum().item()
            for chunk in self.images.pixels.split(5_000)
        )
        return math.sqrt(total / self.images.pixels.numel())

    @cached_property
    def data(self) -> dict[str, Any]:
        """Names the data in a record."""
        return {
            "source": self.images.source,
            "synthetic": self.images.synthetic,
            "images": len(self.images),
            "fingerprint": self.images.fingerprint(),
        }

    def warm_up(self) -> None:
        """Computes what all runs share, once, before several of them start at a time."""
        _ = self.mean, self.std, self.data

    def prepare(self, input_scale: str) -> Prepare:
        """uint8 batch -> float batch on the scale that the network is to see."""
        if input_scale not in INPUT_SCALES:
            raise ValueError(f"unknown input scale {input_scale!r}; choose one of {', '.join(INPUT_SCALES)}")
        divisor = 1.0 if input_scale == "raw" else self.std
        mean = self.mean.permute(1, 2, 0).contiguous().permute(2, 0, 1)  # channels last, like the batches

        def prepare(batch: Tensor) -> Tensor:
            return (batch.float() - mean.to(batch.device)) / divisor

        return prepare

    def network(self, spec: Spec) -> FourLayerNet:
        """The network of `spec` with the weights that its seed draws."""
        generator = torch.Generator().manual_seed(1_000_003 + spec.seed)
        config = spec.net(self.images.pixels.shape[-1], len(self.images.classes))
        return FourLayerNet(config, generator)

    def path(self, spec: Spec, device: str = "cpu") -> Path | None:
        """Where the curve of a run is kept; None if nothing is to be kept."""
        if self.runs_dir is None:
            return None
        identity = asdict(replace(spec, precision=resolve_precision(spec.precision, device)))
        if (kind := torch.device(device).type) != "cpu":  # another device rounds in another way
            identity["device"] = kind
        for words in ("name", "title"):  # words for people: they do not change the curve
            del identity["condition"][words]
        text = json.dumps([identity, self.data["fingerprint"]], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        name = f"{spec.condition.name}-{spec.activation}-{spec.learning_rate:g}-seed{spec.seed}-{digest}.json"
        return self.runs_dir / name

    def run(
        self,
        spec: Spec,
        max_epochs: float,
        *,
        target_error: float | None = None,
        device: str = "cpu",
        on_point: Callable[[Run], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> Record:
        """Trains one network, or goes on where an earlier call stopped.

        max_epochs counts from the start of the run, so a run that is asked for again with
        the same or a smaller number returns at once, and so does one that diverged.
        Arguments as in `train.fit`. Raises ValueError, with the file's
        name, for a damaged checkpoint or curve.
        """
        spec = replace(spec, precision=resolve_precision(spec.precision, device))
        path = self.path(spec, device)
        before = read_record(path) if path is not None and path.exists() else None
        if before is not None and before.run.status == "diverged":
            before.run.resumed_at = before.run.points[-1].iteration
            return before
        chosen = torch.randperm(len(self.images), generator=torch.Generator().manual_seed(spec.seed))
        prepare = self.prepare(spec.condition.input_scale)
        origin = provenance(device)
        record = Record(spec, Run(), self.data, origin, torch.device(device).type)

        def keep(run: Run) -> None:
            record.run = run
            record.provenance = _with_earlier(origin, before) if run.resumed_at and before else origin
            if path is not None:
                write_json(path, to_json(record))
            if on_point is not None:
                on_point(run)

        probe = chosen[:PROBED_IMAGES]
        x, y = prepare(self.images.pixels[probe]).to(device), self.images.labels[probe].to(device)
        run = fit(
            self.network(spec),
            self.images.pixels,
            self.images.labels,
            spec.train(),
            prepare=prepare,
            max_epochs=max_epochs,
            target_error=target_error,
            evaluate_on=chosen[:EVALUATED_IMAGES],
            device=device,
            checkpoint=path.with_suffix(".safetensors") if path else None,
            on_point=keep,
            measure=lambda model: _layer_numbers(model, x, y),
            stop=stop,
        )
        if before is not None and not record.run.points:
            # Nothing new: the record keeps saying when and where the numbers were made.
            record = replace(before, spec=spec)
        record.run = run
        if path is not None and run.points:
            write_json(path, to_json(record))
        return record


def _with_earlier(now: dict[str, Any], before: Record) -> dict[str, Any]:
    """Where a resumed run comes from: `now`, and what differs of its earlier parts."""
    parts = [*before.provenance.get("earlier", []), before.provenance]
    parts = [{k: v for k, v in part.items() if k != "earlier"} for part in parts]
    different = [p for i, p in enumerate(parts) if p != now and p not in parts[:i]]
    return {**now, "earlier": different} if different else now


def _layer_numbers(model: nn.Module, x: Tensor, y: Tensor) -> dict[str, list[float]]:
    """For each activation layer, from the input up: saturation, scales, gradient norms."""
    statistics = signals.layer_statistics(model, activation_layers(model), x, y)
    names = ("saturated", "dead", "input_std", "output_std", "gradient_norm", "weight_norm")
    return {name: [float(f"{getattr(s, name):.4g}") for s in statistics] for name in names}


# --- records on disk -------------------------------------------------------------------


def to_json(record: Record) -> dict[str, Any]:
    """A record as plain JSON values; curves as one list per quantity."""
    points = record.run.points
    columns = {
        name: [getattr(p, name) for p in points] for name in Point.__dataclass_fields__ if name != "extra"
    }
    extra = {key: [p.extra[key] for p in points] for key in (points[0].extra if points else {})}
    return {
        "spec": asdict(record.spec),
        "status": record.run.status,
        "curve": columns,
        "layers": extra,
        "data": record.data,
        "device": record.device,
        "provenance": record.provenance,
    }


def from_json(value: dict[str, Any]) -> Record:
    """The inverse of `to_json`."""
    spec = dict(value["spec"])
    condition = dict(spec.pop("condition"))
    condition["pools"], condition["channels"] = tuple(condition["pools"]), tuple(condition["channels"])
    columns, extra = value["curve"], value["layers"]
    points = [
        Point(
            **{name: column[i] for name, column in columns.items()},
            extra={key: rows[i] for key, rows in extra.items()},
        )
        for i in range(len(columns["iteration"]))
    ]
    return Record(
        Spec(**spec, condition=Condition(**condition)),
        Run(points, value["status"]),
        value["data"],
        value["provenance"],
        value.get("device", "cpu"),  # curves from before there was a choice
    )


def read_record(path: Path) -> Record:
    """One run that was kept. Raises ValueError, with the file's name, if it is damaged."""
    try:
        return from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(
            f"{path} is damaged ({type(error).__name__}: {error}). Delete it and run the same thing again: "
            "the checkpoint beside it holds the curve."
        ) from error


def read_records(runs_dir: Path) -> list[Record]:
    """All runs kept in a folder, whole or not, in the order of their names."""
    return [read_record(p) for p in sorted(runs_dir.glob("*.json"))]


# --- several runs at once ---------------------------------------------------------------


def run_together(
    bench: Bench,
    jobs: Sequence[tuple[Spec, float]],
    *,
    target_error: float | None = None,
    workers: int | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> list[Record]:
    """Trains several networks side by side, each on one thread, with a bar for each.

    jobs: (what to run, the epochs allowed), in the order of the returned records.
    workers: how many at once; as many as there are cores if None. Two small networks on
        a core each are faster than both cores on one network after the other.

    Interrupting the kernel ends every run, keeps what was measured and returns it; calling
    again with the same jobs goes on from there.
    """
    workers = max(1, min(len(jobs), workers or os.cpu_count() or 1))
    stop = threading.Event()
    bars = [_bar(spec, epochs, progress) for spec, epochs in jobs]
    news: queue.SimpleQueue[tuple[int, Run]] = queue.SimpleQueue()
    threads_before = torch.get_num_threads()

    def work(i: int) -> Record:
        torch.set_num_threads(1)  # of this worker; processor seconds are counted by the thread then
        spec, epochs = jobs[i]
        return bench.run(
            spec,
            epochs,
            target_error=target_error,
            device=device,
            on_point=lambda run: news.put((i, run)),
            stop=stop.is_set,
        )

    bench.warm_up()
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(work, i) for i in range(len(jobs))]
        try:
            while not all(f.done() for f in futures):
                _show_news(news, bars, wait=0.1)
        except KeyboardInterrupt:
            stop.set()
        records = [f.result() for f in futures]
    _show_news(news, bars, wait=0.0)
    for bar in bars:
        bar.close()
    torch.set_num_threads(threads_before)
    return records


def _bar(spec: Spec, epochs: float, progress: bool) -> tqdm[Any]:
    title = f"{spec.activation}, ε = {spec.learning_rate:g}, seed {spec.seed}"
    shape = "{desc}: {n:.1f} of at most {total:.1f} epochs [{elapsed}, {remaining} left]{postfix}"
    return tqdm(total=float(epochs), desc=title, bar_format=shape, disable=not progress)


def _show_news(news: queue.SimpleQueue[tuple[int, Run]], bars: list[tqdm[Any]], wait: float) -> None:
    """Moves the bars to the latest points; waits up to `wait` seconds for the first."""
    try:
        i, run = news.get(timeout=wait) if wait else news.get_nowait()
        for _ in range(news.qsize() + 1):
            if run.last is not None:
                bars[i].set_postfix_str(f"training error {run.last.train_error:.1%}", refresh=False)
                bars[i].update(run.last.epoch - bars[i].n)
            i, run = news.get_nowait()
    except queue.Empty:
        return
