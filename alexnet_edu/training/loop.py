"""The training loop: any model, any images, one learning curve.

Knows no particular network and no data set; both are passed in. Uint8 images are moved
to the device once and turned into floats batch by batch, in channels-last order and
without loader processes: on two cores that is what keeps both of them busy.

A run is determined by its configuration: the order of the images in epoch e depends only
on (seed, e), so a run that was killed goes on from its last checkpoint and ends exactly
where an uninterrupted one would (same machine, same number of threads).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet_edu.environment import PRECISIONS, autocast, keep_freed_memory
from alexnet_edu.files import DataError, PermissionDenied
from alexnet_edu.training import checkpoint as checkpoints
from alexnet_edu.training.schedules import PlateauSchedule
from alexnet_edu.training.sgd import PaperSGD, parameter_groups

Prepare = Callable[[Tensor], Tensor]
Augment = Callable[[Tensor, torch.Generator], Tensor]
RULES = {"torch": torch.optim.SGD, "paper": PaperSGD}
NO_VALIDATION = (
    'a plateau schedule needs the validation error; let `measure` return {"validation_error": [error]}'
)
DIVERGED_LOSS = 1e4  # nats; ln(10) = 2.3 is chance, so this is far beyond any bad luck


@dataclass(frozen=True)
class TrainConfig:
    """How to train, all that determines the path of the weights.

    learning_rate: ε of §5, multiplying the mean gradient of the batch.
    momentum, weight_decay: as in §5; 0 decay means no regularization (Figure 1).
    decays: (beginning of a parameter's name, weight decay), for those with a decay of their own.
    drops: epochs at which the learning rate is divided by ten.
    plateau: divides it by ten, too, when the validation error stops improving; `measure` must
        then return "validation_error" at each point.
    batch_size: images per step; the last batch of an epoch may be smaller.
    seed: decides the order of the images (the weights' seed belongs to the model).
    evals_per_epoch: how often the error is measured and a checkpoint is written.
    precision: "float32", "bfloat16" (convolutions and matrix products under autocast,
        weights and updates in float32), or "auto": bfloat16 where the hardware has it.
    rule: "torch", `torch.optim.SGD`, which scales the stored velocity with the rate at once; or
        "paper", §5's rule, which lets it run out (`sgd.PaperSGD`).
    bias_rate, decay_biases: as in `sgd.parameter_groups`; 2.0 and False in 2012.
    frozen: (beginning of a parameter's name, epoch), those whose rate is 0 from that epoch on.
    """

    learning_rate: float
    momentum: float = 0.9
    weight_decay: float = 0.0
    batch_size: int = 128
    seed: int = 0
    evals_per_epoch: int = 2
    precision: str = "auto"
    decays: tuple[tuple[str, float], ...] = ()
    drops: tuple[float, ...] = ()
    rule: str = "torch"
    bias_rate: float = 1.0
    decay_biases: bool = True
    frozen: tuple[tuple[str, float], ...] = ()
    plateau: PlateauSchedule | None = None

    def __post_init__(self) -> None:
        if not self.learning_rate > 0 or not math.isfinite(self.learning_rate):
            raise ValueError(f"learning_rate must be a positive number, got {self.learning_rate!r}")
        if self.batch_size < 1 or self.evals_per_epoch < 1:
            raise ValueError(
                f"batch_size and evals_per_epoch must be at least 1, got {self.batch_size} and "
                f"{self.evals_per_epoch}"
            )
        for what, value, known in (
            ("precision", self.precision, PRECISIONS),
            ("update rule", self.rule, RULES),
        ):
            if value not in known:
                raise ValueError(f"unknown {what} {value!r}; choose one of {', '.join(known)}")

    def identity(self) -> dict[str, Any]:
        """All that determines the run, ready for JSON."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain


@dataclass(frozen=True)
class Point:
    """One measurement on a learning curve.

    train_error: share of wrong answers (0–1) on the fixed evaluation images, weights frozen.
    running_error: share of wrong answers on the images trained on since the last point,
        each judged just before its update.
    loss: mean cross-entropy in nats over the same images as running_error.
    seconds, cpu_seconds: training alone since the start, wall clock and processor time;
        evaluation is not counted.
    extra: whatever the caller's `measure` returned at this point.
    """

    iteration: int
    epoch: float
    train_error: float
    running_error: float
    loss: float
    seconds: float
    cpu_seconds: float
    extra: dict[str, list[float]] = field(default_factory=dict)


@dataclass
class Run:
    """A learning curve and how it ended.

    status: "running", "reached" (the target error), "limit" (the epochs allowed),
    "diverged" (the loss is not finite or absurdly large), or "interrupted".
    resumed_at: the iteration at which this call resumed the run; 0 for a fresh one.
    """

    points: list[Point] = field(default_factory=list)
    status: str = "running"
    resumed_at: int = 0


@runtime_checkable
class Reseeded(Protocol):
    """A layer that draws at random in training; told before each step where its draws begin."""

    def reseed(self, seed: int) -> None: ...


OnPoint = Callable[[Run], None]
Measure = Callable[[nn.Module], dict[str, list[float]]]


def order_of_epoch(count: int, seed: int, epoch: int) -> Tensor:
    """(count,) int64: all images once, in the order of this epoch."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed * 100_003 + epoch))


def seed_of_step(seed: int, step: int) -> int:
    """Where all draws of a step begin: crops, colours, and, layer by layer, dropout."""
    return seed * 1_000_003 + step


def reseed(layers: Iterable[Reseeded], seed: int) -> None:
    """Tells each layer where its draws of this step begin. seed: of the step."""
    for place, layer in enumerate(layers):
        layer.reseed(seed_of_layer(seed, place))


def seed_of_layer(seed: int, place: int) -> int:
    """Where the draws of one layer begin, the first being at place 0. seed: of the step."""
    return seed * 101 + place


def next_evaluation(step: int, steps_per_epoch: int, per_epoch: int) -> int:
    """The first step after `step` at which one of `per_epoch` evaluations is due."""
    return math.ceil((step * per_epoch // steps_per_epoch + 1) * steps_per_epoch / per_epoch)


def fit(
    model: nn.Module,
    pixels: Tensor,
    labels: Tensor,
    config: TrainConfig,
    *,
    prepare: Prepare,
    max_epochs: float,
    target_error: float | None = None,
    evaluate_on: Tensor | None = None,
    augment: Augment | None = None,
    device: torch.device | str = "cpu",
    checkpoint: Path | None = None,
    on_point: OnPoint | None = None,
    measure: Measure | None = None,
    stop: Callable[[], bool] | None = None,
) -> Run:
    """Trains `model` in place by SGD and returns its learning curve.

    pixels: (N, 3, H, W) uint8; labels: (N,) int64.
    prepare: turns a uint8 batch (B, 3, H, W) into floats of the same shape, on the device.
    augment: turns a uint8 batch that is trained on into another one, with a generator that
        depends on the seed and the step alone. Batches that are evaluated do not pass it.
    max_epochs: stop after so many passes, counted from the very start, resumed or not.
    target_error: stop at the first measured error at or below this (0–1).
    evaluate_on: (M,) int64, training images on which the error is measured; all if None.
    checkpoint: a file to go on from, rewritten at every point.
    on_point: called with the run so far after each point.
    measure: called with the model at each point; its lists of numbers are kept in
        `Point.extra` and in the checkpoint. It must leave the weights as they are.
    stop: asked before every step; the run is "interrupted" once it answers True.

    KeyboardInterrupt ends the run early with everything measured kept. Raises
    DataError where the checkpoint is damaged, of another run, or cannot be written.
    """
    keep_freed_memory()
    here = torch.device(device)
    trainer = _Trainer(model, pixels, labels, config, here, prepare, augment, measure, evaluate_on)
    if checkpoint is not None and checkpoint.exists():
        trainer.resume(checkpoint)
    run = trainer.run
    steps = math.ceil(max_epochs * trainer.steps_per_epoch)
    try:
        while run.status == "running":
            if target_error is not None and run.points and run.points[-1].train_error <= target_error:
                run.status = "reached"
            elif trainer.step >= steps:
                run.status = "limit"
            else:
                due = next_evaluation(trainer.step, trainer.steps_per_epoch, config.evals_per_epoch)
                trainer.train_to(min(due, steps), stop)
                if checkpoint is not None and run.status != "diverged":
                    trainer.save(checkpoint)
                if on_point is not None:
                    on_point(run)
    except KeyboardInterrupt:
        run.status = "interrupted"
    return run


@torch.no_grad()
def error_rate(
    model: nn.Module,
    pixels: Tensor,
    labels: Tensor,
    *,
    prepare: Prepare,
    precision: str = "auto",
    batch_size: int = 500,
) -> float:
    """Share of images (0–1) whose largest logit is not the label's.

    pixels: (N, 3, H, W) uint8 and labels: (N,) int64, on the model's device.
    """
    if len(pixels) == 0:
        raise ValueError("error_rate needs at least one image, got none")
    was_training = model.training
    model.eval()
    wrong = torch.zeros((), dtype=torch.int64, device=pixels.device)
    for x, y in zip(pixels.split(batch_size), labels.split(batch_size), strict=True):
        with autocast(pixels.device, precision):
            logits = model(prepare(x))
        wrong += (logits.argmax(1) != y).sum()
    model.train(was_training)
    return wrong.item() / len(pixels)


class _Trainer:
    """The state of one run: weights, velocities, position, curve."""

    def __init__(
        self,
        model: nn.Module,
        pixels: Tensor,
        labels: Tensor,
        config: TrainConfig,
        device: torch.device,
        prepare: Prepare,
        augment: Augment | None,
        measure: Measure | None,
        evaluate_on: Tensor | None,
    ) -> None:
        if len(pixels) == 0:
            raise ValueError("there are no images to train on")
        if config.plateau is not None and measure is None:
            raise ValueError(NO_VALIDATION)
        self.model = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.config, self.device = config, device
        self.prepare, self.augment, self.measure = prepare, augment, measure
        # Stored as (N, H, W, 3): a batch of it, seen as (B, 3, H, W), is channels-last for free.
        self.images = pixels.to(device).permute(0, 2, 3, 1).contiguous()
        self.labels = labels.to(device)
        chosen = torch.arange(len(labels)) if evaluate_on is None else evaluate_on
        self.eval_pixels = self.images[chosen.to(device)].permute(0, 3, 1, 2)
        self.eval_labels = self.labels[chosen.to(device)]
        self.optimizer = _optimizer(model, config)
        self.random_layers = [m for m in model.modules() if isinstance(m, Reseeded)]
        self.steps_per_epoch = math.ceil(len(pixels) / config.batch_size)
        self.step, self.seconds, self.cpu_seconds = 0, 0.0, 0.0
        self.run = Run()
        self._order: tuple[int, Tensor] = (-1, torch.empty(0, dtype=torch.int64))

    def batch(self, step: int) -> Tensor:
        """(B,) int64: which images a step uses."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._order[0]:
            order = order_of_epoch(len(self.images), self.config.seed, epoch)
            self._order = (epoch, order.to(self.device))
        return self._order[1][place * self.config.batch_size : (place + 1) * self.config.batch_size]

    def train_to(self, target: int, stop: Callable[[], bool] | None) -> None:
        """Steps up to `target`, then one measurement."""
        # Several runs may share the process, one thread each: count this thread alone then.
        cpu_clock = time.thread_time if torch.get_num_threads() == 1 else time.process_time
        start, cpu_start, seen = time.perf_counter(), cpu_clock(), 0
        wrong = torch.zeros((), dtype=torch.int64, device=self.device)
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        self.model.train()
        while self.step < target:
            if stop is not None and stop():
                raise KeyboardInterrupt
            index = self.batch(self.step)
            loss, wrong_here = self.update(index)
            wrong += wrong_here
            total += loss * len(index)
            seen += len(index)
            self.step += 1
        mean_loss = total.item() / seen
        self.seconds += time.perf_counter() - start
        self.cpu_seconds += cpu_clock() - cpu_start
        if not mean_loss <= DIVERGED_LOSS:  # or not a number
            self.run.status, mean_loss = "diverged", DIVERGED_LOSS
        self.run.points.append(self._measured(wrong.item() / seen, mean_loss))

    def _measured(self, running_error: float, loss: float) -> Point:
        precision = self.config.precision
        return Point(
            self.step,
            self.step / self.steps_per_epoch,
            error_rate(
                self.model, self.eval_pixels, self.eval_labels, prepare=self.prepare, precision=precision
            ),
            running_error,
            loss,
            round(self.seconds, 3),
            round(self.cpu_seconds, 3),
            self.measure(self.model) if self.measure is not None else {},
        )

    def update(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """One update; the loss () and the number of wrong answers () before it."""
        x = self.images[index].permute(0, 3, 1, 2)  # (B, 3, H, W), channels last
        seed = seed_of_step(self.config.seed, self.step)
        if self.augment is not None:
            x = self.augment(x, torch.Generator().manual_seed(seed))
        reseed(self.random_layers, seed)
        self._set_rate()
        y = self.labels[index]
        with autocast(self.device, self.config.precision):
            logits = self.model(self.prepare(x))
        loss = F.cross_entropy(logits.float(), y)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach(), (logits.detach().argmax(1) != y).sum()

    def _set_rate(self) -> None:
        epoch = self.step / self.steps_per_epoch
        passed = sum(epoch >= drop for drop in self.config.drops) + len(self._plateau_falls())
        frozen = tuple(start for start, since in self.config.frozen if epoch >= since)
        for group in self.optimizer.param_groups:
            rate = self.config.learning_rate * group["rate_scale"] / 10**passed
            group["lr"] = 0.0 if group["apart"].startswith(frozen) else rate

    def _plateau_falls(self) -> list[int]:
        if self.config.plateau is None:
            return []
        errors = [point.extra.get("validation_error", []) for point in self.run.points]
        if not all(errors):
            raise ValueError(NO_VALIDATION)
        return self.config.plateau.falls([error[0] for error in errors])

    def save(self, path: Path) -> None:
        """Writes all that the run needs to go on."""
        state = {
            "config": self.config.identity(),
            "step": self.step,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "points": [asdict(point) for point in self.run.points],
        }
        checkpoints.save(path, checkpoints.tensors_of(self.model, self.optimizer), state)

    def resume(self, path: Path) -> None:
        """Goes on with the run that `save` wrote."""
        try:
            saved = checkpoints.load(path)
            state = saved.state
            if state.get("config") != self.config.identity():
                raise DataError(
                    f"{path} belongs to a run with another configuration ({state.get('config')}), "
                    f"not to {self.config.identity()}"
                )
            checkpoints.restore(saved, self.model, self.optimizer)
        except PermissionDenied:
            raise
        except DataError as error:
            raise DataError(f"{error}. Delete it to start that run anew, or choose another file.") from error
        self.step = self.run.resumed_at = state["step"]
        self.seconds, self.cpu_seconds = state["seconds"], state["cpu_seconds"]
        self.run.points = [Point(**point) for point in state["points"]]


def _optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    groups = parameter_groups(
        model,
        config.learning_rate,
        config.weight_decay,
        bias_rate=config.bias_rate,
        decay_biases=config.decay_biases,
        decays=config.decays,
        separate=[start for start, _ in config.frozen],
    )
    return RULES[config.rule](groups, lr=config.learning_rate, momentum=config.momentum)
