"""Runs trained: once, kept by the hash of what decides them, resumed after a kill."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from alexnet_edu.data.augment import ColorPCA, Preparation, composed
from alexnet_edu.data.images import Images, ImageSet
from alexnet_edu.environment import provenance, resolve_precision
from alexnet_edu.files import DataError, read_json, unreadable, write_json, write_tensors
from alexnet_edu.studies.run import Run, build, copy_all_but_classifier
from alexnet_edu.studies.statistics import crossing
from alexnet_edu.training import loop
from alexnet_edu.training.loop import Point, fit

if TYPE_CHECKING:
    import pandas as pd

ENDED = ("limit", "reached", "diverged")  # states of a run that will not go on by itself
TENSOR = {"tensor": True}  # stands in the JSON file for one that lies beside it


# --- what is measured ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    """A run's images, on their device, and how its network reads them."""

    run: Run
    train: Images
    held_out: Images
    judged: Images
    prepare: Preparation

    @property
    def evaluated_on(self) -> Tensor:
        """(M,) int64: the training images that measure the training error."""
        order = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(self.run.config.seed))
        return order[: self.run.evaluated]

    def error(self, model: nn.Module, images: Images) -> float:
        """Share of wrong answers (0–1)."""
        precision = self.run.config.precision
        return loop.error_rate(model, images.pixels, images.labels, prepare=self.prepare, precision=precision)


# Names of what is measured at each point -> lists of numbers by name; at the end -> JSON, or a tensor.
MEASURES: dict[str, Callable[[nn.Module, Setting], dict[str, list[float]]]] = {
    "test_error": lambda model, setting: {"test_error": [setting.error(model, setting.judged)]},
    "validation_error": lambda model, setting: {"validation_error": [setting.error(model, setting.held_out)]},
}
AT_END: dict[str, Callable[[nn.Module, Setting], Any]] = {}


@dataclass
class Result:
    """A run, finished or on its way.

    curve: its points and how it ended. ends: what was measured at the end, by name.
    provenance: of the machine that trained it. device: its kind. model: None where it was read from disk.
    """

    run: Run
    curve: loop.Run
    data: dict[str, Any]
    provenance: dict[str, Any]
    device: str = "cpu"
    ends: dict[str, Any] = field(default_factory=dict)
    model: nn.Module | None = None

    @property
    def network(self) -> nn.Module:
        """The trained network. Raises ValueError where it was not kept: its training diverged."""
        if self.model is None:
            raise ValueError(f"{self.run.name} diverged, there is no network; choose a smaller learning rate")
        return self.model

    @property
    def rate(self) -> float:
        return self.run.config.learning_rate

    def column(self, name: str) -> list[float]:
        """A quantity at each point: a field of `Point`, or a measured number."""
        points = self.curve.points
        return [getattr(p, name) if hasattr(p, name) else p.extra[name][0] for p in points]

    @property
    def frame(self) -> pd.DataFrame:
        """The curve as a table: epoch, train_error, … one row per point."""
        import pandas as pd

        numbers = [n for n in Point.__dataclass_fields__ if n != "extra"]
        extra = self.curve.points[0].extra if self.curve.points else {}
        single = [n for n, values in extra.items() if len(values) == 1]
        return pd.DataFrame({name: self.column(name) for name in [*numbers, *single]})

    @property
    def layers(self) -> pd.DataFrame:
        """What was measured of each layer: epoch, layer (from 1), and the quantities by name."""
        import pandas as pd

        rows = []
        for point in self.curve.points:
            several = {name: values for name, values in point.extra.items() if len(values) > 1}
            for layer, values in enumerate(zip(*several.values(), strict=True), start=1):
                rows.append({"epoch": point.epoch, "layer": layer, **dict(zip(several, values, strict=True))})
        return pd.DataFrame(rows)

    def crossing(self, level: float, axis: str = "epoch") -> float | None:
        """Where the training error first reaches `level`, in units of `axis`."""
        return crossing(self.column(axis), self.column("train_error"), level)

    @property
    def lowest_error(self) -> float:
        return min(self.column("train_error"), default=1.0)


class NotTrained(DataError):
    """A run was asked for that is not kept, or not to its end, where nothing is to be trained."""


class Runs:
    """Trains runs on a set of images, and keeps each in a folder: its curve, and a checkpoint.

    folder: None keeps what is needed while this object lives, and no longer.
    """

    def __init__(self, images: ImageSet, folder: Path | None, device: str = "cpu") -> None:
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="alexnet-edu-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.images, self.folder, self.device = images, folder, device
        self.fingerprint = images.train.fingerprint()
        self._guard, self._locks = threading.Lock(), dict[str, threading.Lock]()
        self._standard = Preparation.of(images.train, images.train.pixels.shape[-1])

    @cached_property
    def colors(self) -> ColorPCA:
        """The principal directions of the training images' colours."""
        return ColorPCA.fit(self.images.train.pixels)

    @cached_property
    def _population_std(self) -> float:
        mean, pixels = self._standard.mean, self.images.train.pixels
        parts = [(some.float() - mean).double().square().sum().item() for some in pixels.split(5_000)]
        return math.sqrt(sum(parts) / pixels.numel())

    def prepare(self, side: int | None = None, inputs: str = "raw") -> Preparation:
        """What turns uint8 images into what a network reads. Raises ValueError for unknown inputs."""
        if inputs not in ("raw", "standardized", "population"):
            raise ValueError(f"inputs are raw, standardized or population, got {inputs!r}")
        divisor = {"raw": 1.0, "standardized": self._standard.std}.get(inputs) or self._population_std
        return Preparation(self._standard.mean, divisor, side or self._standard.side)

    def setting(self, run: Run) -> Setting:
        """The images of a run, and how they are read."""
        train, held_out = run.sample.split(self.images.train)
        judged = held_out if run.held_out else run.sample.of_classes(self.images.test)
        prepare = self.prepare(run.side, run.inputs)
        return Setting(run, train, self._there(held_out), self._there(judged), prepare)

    def _there(self, images: Images) -> Images:
        return replace(images, pixels=images.pixels.to(self.device), labels=images.labels.to(self.device))

    def build(self, run: Run) -> nn.Module:
        """The network of a run as its seed draws it, untrained."""
        classes = run.sample.classes or self.images.train.classes
        return build(run.network, run.side or self._standard.side, len(classes), run.initial_seed)

    def resolved(self, run: Run, precision: str | None = None) -> Run:
        """The run in a precision, "auto" in that of the device on which it runs."""
        chosen = resolve_precision(precision or run.config.precision, self.device)
        after = self.resolved(run.after, precision) if run.after else None
        return replace(run, config=replace(run.config, precision=chosen), after=after)

    def path(self, run: Run) -> Path:
        """Where the curve of a run is kept; the name ends in a digest of all that decides it."""
        identity = self.resolved(run).identity()
        if (kind := torch.device(self.device).type) != "cpu":  # another device rounds in another way
            identity["device"] = kind
        text = json.dumps([identity, self.fingerprint], sort_keys=True)
        return self.folder / f"{run.name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}.json"

    def kept(self, run: Run) -> Result:
        """What is kept of a run that has ended. Raises NotTrained where it has not, DataError for damage."""
        path = self.path(run)
        found = self._cut(read_result(path, run)) if path.exists() else None
        if found is None or found.curve.status not in ENDED:
            raise NotTrained(f"{run.name} is not in {self.folder}, or was stopped on its way: train it first")
        if found.curve.status != "diverged" and (missing := set(run.at_end) - set(found.ends)):
            raise NotTrained(f"{run.name} was stopped before {', '.join(sorted(missing))}: train it first")
        return found

    def train(
        self,
        run: Run,
        *,
        tell: Callable[[Run, loop.Run], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> Result:
        """Trains a run, or goes on where an earlier call stopped, after the one that it starts from.

        Two threads that need the same run do not train it twice. Stopped, it has the status "interrupted",
        and what was run is kept. Raises DataError, with the file's name, for damage.
        """
        run, path = self.resolved(run), self.path(run)
        with self._guard:
            lock = self._locks.setdefault(path.name, threading.Lock())
        with lock:
            before = read_result(path, run) if path.exists() else None
            if before is not None and before.curve.status == "diverged":
                before.curve.resumed_at = before.curve.points[-1].iteration
                return before
            return self._train(run, path, before, tell, stop)

    def _train(
        self,
        run: Run,
        path: Path,
        before: Result | None,
        tell: Callable[[Run, loop.Run], None] | None,
        stop: Callable[[], bool] | None,
    ) -> Result:
        setting, model = self.setting(run), self.build(run)
        if run.after is not None:
            source = self.train(run.after, tell=tell, stop=stop)
            if source.curve.status == "interrupted":
                return replace(source, run=run, curve=loop.Run(status="interrupted"))
            copy_all_but_classifier(source.network, model)
        now, kind = provenance(self.device), torch.device(self.device).type
        result = Result(run, loop.Run(), self._data(setting), now, kind, {}, model)
        if before is not None:  # where nothing new is trained, it keeps saying when and where it was made
            result.provenance, result.ends = before.provenance, before.ends

        def keep(curve: loop.Run) -> None:
            result.curve = curve
            if before is not None:
                result.provenance = _with_earlier(now, before.provenance)
            write_json(path, to_json(result), sealed=True)
            if tell is not None:
                tell(run, curve)

        result.curve = fit(
            model,
            setting.train.pixels,
            setting.train.labels,
            run.config,
            prepare=setting.prepare,
            max_epochs=run.epochs,
            target_error=run.target_error,
            evaluate_on=setting.evaluated_on,
            augment=self._augment(run, setting),
            device=self.device,
            checkpoint=path.with_suffix(".safetensors"),
            on_point=keep,
            measure=(lambda network: _measured(network, setting)) if run.measured else None,
            stop=stop,
        )
        if result.curve.status in ENDED and result.curve.status != "diverged":
            self._measure_end(result, setting, path)
        if result.curve.points and (before is None or to_json(before) != to_json(result)):
            write_json(path, to_json(result), sealed=True)
        return self._cut(result)

    def _augment(self, run: Run, setting: Setting) -> loop.Augment | None:
        if not run.augment:
            return None
        return composed(run.augment, setting.prepare.side, self.colors if "colour" in run.augment else None)

    def _measure_end(self, result: Result, setting: Setting, path: Path) -> None:
        for name in result.run.at_end:
            if name not in result.ends:
                found = result.ends[name] = AT_END[name](result.network, setting)
                if isinstance(found, Tensor):
                    write_tensors(_beside(path, name), {name: found.numpy()}, {})

    def _data(self, setting: Setting) -> dict[str, Any]:
        """Names the images in a record."""
        train = self.images.train
        about = {"source": train.source, "synthetic": train.synthetic, "fingerprint": self.fingerprint}
        return about | {"images": len(setting.train), "test_images": len(self.images.test)}

    def _cut(self, result: Result) -> Result:
        """The curve as long as it was asked for, where a longer or a shorter one is kept."""
        run, curve = result.run, result.curve
        steps = math.ceil(run.epochs * math.ceil(result.data["images"] / run.config.batch_size))
        points = [p for p in curve.points if p.iteration <= steps]
        if curve.status == "diverged" and len(points) == len(curve.points):
            status = "diverged"
        elif points and run.target_error is not None and points[-1].train_error <= run.target_error:
            status = "reached"
        elif curve.points and curve.points[-1].iteration >= steps:
            status = "limit"
        else:
            status = curve.status if curve.status == "interrupted" else "running"
        return replace(result, curve=loop.Run(points, status, curve.resumed_at))


def _measured(network: nn.Module, setting: Setting) -> dict[str, list[float]]:
    return {k: v for name in setting.run.measured for k, v in MEASURES[name](network, setting).items()}


def _with_earlier(now: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Where a resumed run comes from: `now`, and what differs of its earlier parts."""
    parts = [*before.get("earlier", []), before]
    parts = [{k: v for k, v in part.items() if k != "earlier"} for part in parts]
    different = [p for i, p in enumerate(parts) if p != now and p not in parts[:i]]
    return {**now, "earlier": different} if different else now


# --- on disk ------------------------------------------------------------------------------------


def to_json(result: Result) -> dict[str, Any]:
    """A result as plain values; tensors lie in files of their own."""
    points = result.curve.points
    numbers = [name for name in Point.__dataclass_fields__ if name != "extra"]
    return {
        "run": result.run.name,
        "identity": json.loads(json.dumps(result.run.identity())),
        "status": result.curve.status,
        "points": {name: [getattr(p, name) for p in points] for name in numbers},
        "extra": [p.extra for p in points],
        "ends": {k: TENSOR if isinstance(v, Tensor) else v for k, v in result.ends.items()},
        "data": result.data,
        "device": result.device,
        "provenance": result.provenance,
    }


def read_result(path: Path, run: Run) -> Result:
    """What is kept of a run. Raises DataError, with the file's name, if it is damaged."""
    try:
        value = read_json(path, sealed=True)
        columns = value["points"]
        rows = zip(*columns.values(), value["extra"], strict=True)
        points = [Point(**dict(zip([*columns, "extra"], row, strict=True))) for row in rows]
        ends = {
            name: load_file(_beside(path, name))[name] if found == TENSOR else found
            for name, found in value["ends"].items()
            if found != TENSOR or _beside(path, name).exists()
        }
        curve = loop.Run(points, value["status"])
        return Result(run, curve, value["data"], value["provenance"], value["device"], ends)
    except DataError:
        raise
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise DataError(
            f"{path} is damaged ({type(error).__name__}: {error}). Delete it and run the same thing again: "
            "the checkpoint beside it holds the curve."
        ) from error


def _beside(path: Path, name: str) -> Path:
    return path.with_name(f"{path.stem}.{name}.safetensors")
