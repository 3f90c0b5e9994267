"""Figure 1 as an experiment: conditions × activations × rates × seeds -> a record.

One run is one training of the four-layer network. It lives in two files of its own
under `data/runs`: a checkpoint, so that it can be killed at any moment and go on, and
its curve. A study searches the learning rate of one activation under one condition, then
repeats the best rate with fresh seeds. `assemble` gathers all finished studies into
`data/results/figure1.json`, which is what notebooks show as "recorded".
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from alexnet_edu import analysis
from alexnet_edu.cifar_net import Activation, CifarNetConfig, FourLayerNet
from alexnet_edu.images import Images
from alexnet_edu.provenance import provenance
from alexnet_edu.train import Point, Prepare, Run, TrainConfig, fit, resolve_precision

TARGET_ERROR = 0.25  # §3.1: the training error at which the paper compares
INPUT_SCALES = ("raw", "standardized")
RATE_STEPS = (1.0, 2.0, 5.0)  # learning rates are searched on 1, 2, 5, 10, 20, 50 …
EVALUATED_IMAGES = 5_000
PROBED_IMAGES = 250
SEARCH_SEED = 0  # the seed that chose the rate is not one of the seeds that are reported


@dataclass(frozen=True)
class Condition:
    """What surrounds the activation: input, initialization, architecture.

    input_scale: "raw", 0–255 minus the mean image, as in 2012; "standardized", the same
        divided by the standard deviation of all training pixels (one number, about 64).
    """

    name: str
    title: str
    input_scale: str = "raw"
    init: str = "gaussian-0.01"
    pools: tuple[str, str, str] = ("max", "avg", "avg")
    channels: tuple[int, int, int] = (32, 32, 64)


CONDITIONS = {
    c.name: c
    for c in (
        Condition("2012", "2012: raw pixels, N(0, 0.01)"),
        Condition("standardized", "only the inputs standardized", input_scale="standardized"),
        Condition("scaled-init", "only the initialization scaled", init="scaled"),
        Condition("modern", "both: inputs and initialization", "standardized", "scaled"),
        Condition("cuda-convnet", "raw pixels, the authors' CIFAR-10 initialization", init="cuda-convnet"),
        Condition("max-pooling", "2012, maximum pooling everywhere", pools=("max", "max", "max")),
        Condition("narrow", "2012, half as many kernels", channels=(16, 16, 32)),
    )
}


@dataclass(frozen=True)
class Spec:
    """Everything that determines one run's curve, data aside."""

    activation: str
    learning_rate: float
    seed: int
    condition: Condition = CONDITIONS["2012"]
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
    """A finished or half-finished run with what is needed to judge it."""

    spec: Spec
    run: Run
    data: dict[str, Any]
    provenance: dict[str, Any] = field(default_factory=dict)

    def crossing(self, level: float = TARGET_ERROR, axis: str = "epoch") -> float | None:
        """Where the training error first reaches `level`, in units of `axis` of `Point`."""
        points = self.run.points
        return analysis.crossing([getattr(p, axis) for p in points], [p.train_error for p in points], level)


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

    def path(self, spec: Spec) -> Path | None:
        """Where the curve of a run is kept; None if nothing is to be kept."""
        if self.runs_dir is None:
            return None
        resolved = replace(spec, precision=resolve_precision(spec.precision))
        text = json.dumps([asdict(resolved), self.data["fingerprint"]], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        name = f"{spec.condition.name}-{spec.activation}-{spec.learning_rate:g}-seed{spec.seed}-{digest}.json"
        return self.runs_dir / name

    def run(
        self,
        spec: Spec,
        max_epochs: float,
        *,
        target_error: float | None = TARGET_ERROR,
        device: str = "cpu",
        on_point: Callable[[Run], None] | None = None,
    ) -> Record:
        """Trains one network, or goes on where an earlier call stopped.

        max_epochs counts from the start of the run, so a run that is asked for again with
        the same or a smaller number returns at once.
        """
        path = self.path(spec)
        chosen = torch.randperm(len(self.images), generator=torch.Generator().manual_seed(spec.seed))
        prepare = self.prepare(spec.condition.input_scale)
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
            on_point=on_point,
            measure=lambda model: _layer_numbers(model, x, y),
        )
        record = Record(spec, run, self.data, provenance(device))
        if path is not None and run.points:
            write_json(path, to_json(record))
        return record


def _layer_numbers(model: nn.Module, x: Tensor, y: Tensor) -> dict[str, list[float]]:
    """For each activation layer, from the input up: saturation, scales, gradient norms."""
    statistics = analysis.layer_statistics(model, activation_layers(model), x, y)
    names = ("saturated", "dead", "input_std", "output_std", "gradient_norm", "weight_norm")
    return {name: [float(f"{getattr(s, name):.4g}") for s in statistics] for name in names}


def activation_layers(model: nn.Module) -> dict[str, tuple[nn.Module, nn.Module]]:
    """name -> (activation, the convolution before it), in order from the input."""
    found: dict[str, tuple[nn.Module, nn.Module]] = {}
    weighted: nn.Module | None = None
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            weighted = module
        elif isinstance(module, Activation) and weighted is not None:
            found[f"layer {len(found) + 1}"] = (module, weighted)
    return found


# --- a study: search the rate, then repeat with fresh seeds ---------------------------


@dataclass(frozen=True)
class Study:
    """One activation under one condition.

    start_rate: where the search begins, on the 1-2-5 grid.
    seeds: how many fresh seeds repeat the chosen rate.
    max_epochs: a run that has not reached the target by then never counts as reaching it.
    """

    condition: str
    activation: str
    start_rate: float
    seeds: int
    max_epochs: float


def next_rate(rate: float, steps: int) -> float:
    """The rate `steps` places up (or down) the grid … 0.001, 0.002, 0.005, 0.01 …"""
    decade = math.floor(math.log10(rate) + 1e-9)
    mantissa = rate / 10**decade
    place = min(range(3), key=lambda i: abs(RATE_STEPS[i] - mantissa))
    if abs(RATE_STEPS[place] - mantissa) > 1e-6 * mantissa:
        raise ValueError(f"learning rate {rate!r} is not on the grid 1, 2, 5 × a power of ten")
    up, place = divmod(place + steps, 3)
    return float(f"{RATE_STEPS[place] * 10.0 ** (decade + up):.6g}")


def search_rate(bench: Bench, study: Study, run: Callable[[Spec, float], Record]) -> list[Record]:
    """Runs rates around `start_rate` until the best one has a worse one on each side.

    The best is the one that reaches the target in the fewest epochs or, where none does,
    the one with the lowest final error. A rate is given up as soon as it has used as many
    epochs as the best so far needed. Every run uses SEARCH_SEED. Returns all runs.
    """
    condition = CONDITIONS[study.condition]
    records: dict[float, Record] = {}

    def limit() -> float:
        crossings = [c for r in records.values() if (c := r.crossing()) is not None]
        return min([study.max_epochs, *(math.ceil(2 * c) / 2 for c in crossings)])

    def measure(rate: float) -> None:
        if rate not in records:
            records[rate] = run(Spec(study.activation, rate, SEARCH_SEED, condition), limit())

    measure(study.start_rate)
    while True:
        best = best_rate(records.values())
        missing = [r for r in (next_rate(best, 1), next_rate(best, -1)) if r not in records]
        if not missing or len(records) >= 7:
            return list(records.values())
        measure(missing[0])


def best_rate(records: Iterable[Record]) -> float:
    """The learning rate of the run that was fastest to the target (see `search_rate`)."""

    def merit(record: Record) -> tuple[bool, bool, float]:
        crossing = record.crossing()
        if crossing is not None:
            return (False, False, crossing)
        errors = [p.train_error for p in record.run.points]
        return (True, record.run.status == "diverged", min(errors, default=1.0))

    return min(records, key=merit).spec.learning_rate


def run_study(
    bench: Bench,
    study: Study,
    *,
    device: str = "cpu",
    on_point: Callable[[Spec, Run], None] | None = None,
) -> dict[str, list[Record]]:
    """Search and repetitions of one study: {"search": […], "seeds": […]}."""

    def run(spec: Spec, max_epochs: float) -> Record:
        def tell(partial: Run) -> None:
            if on_point is not None:
                on_point(spec, partial)

        record = bench.run(spec, max_epochs, device=device, on_point=tell)
        if record.run.status == "interrupted":
            raise KeyboardInterrupt
        return record

    search = search_rate(bench, study, run)
    rate = best_rate(search)
    condition = CONDITIONS[study.condition]
    seeds = [
        run(Spec(study.activation, rate, SEARCH_SEED + 1 + i, condition), study.max_epochs)
        for i in range(study.seeds)
    ]
    return {"search": search, "seeds": seeds}


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
    )


def write_json(path: Path, value: Any) -> None:
    """Writes `value` so that the file is either whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + f".partial-{os.getpid()}")
    partial.write_text(json.dumps(value, indent=None, separators=(",", ":")) + "\n")
    partial.replace(path)


def read_records(runs_dir: Path) -> list[Record]:
    """All runs kept in a folder, whole or not, in the order of their names."""
    return [from_json(json.loads(p.read_text())) for p in sorted(runs_dir.glob("*.json"))]


def describe(specs: Sequence[Spec]) -> str:
    """One line for a progress display."""
    return ", ".join(f"{s.activation} ε={s.learning_rate:g} seed {s.seed}" for s in specs)
