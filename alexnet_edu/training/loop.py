"""The training loop: any model, any images, one learning curve.

Knows no particular network and no data set; both are passed in. Uint8 images are moved
to the device once and turned into floats batch by batch, in channels-last order and
without loader processes: on two cores that is what keeps both of them busy.

A run is determined by its configuration: the order of the images in epoch e depends only
on (seed, e), so a run that was killed goes on from its last checkpoint and ends exactly
where an uninterrupted one would (same machine, same number of threads).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from alexnet_edu.training.schedules import PlateauSchedule
from alexnet_edu.training.sgd import PaperSGD, parameter_groups

Prepare = Callable[[Tensor], Tensor]
Augment = Callable[[Tensor, torch.Generator], Tensor]
PRECISIONS = ("auto", "float32", "bfloat16")
CHECKPOINT_FORMAT = "alexnet-edu-run-1"
CHECKPOINT_PARTS = {"config", "iteration", "seconds", "cpu_seconds", "points"}
RULES = ("torch", "paper")
LATER: dict[str, Any] = {  # settings that older runs do not name, and the values they had
    "rule": "torch",
    "bias_rate": 1.0,
    "decay_biases": True,
    "frozen": (),
    "plateau": None,
}
NO_VALIDATION = (
    'a plateau schedule needs the validation error; let `measure` return {"validation_error": [error]}'
)
DIVERGED_LOSS = 1e4  # nats; ln(10) = 2.3 is chance, so this is far beyond any bad luck


class CheckpointError(Exception):
    """A checkpoint cannot be read or written; the message says what to do."""


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
        if self.precision not in PRECISIONS:
            raise ValueError(f"unknown precision {self.precision!r}; choose one of {', '.join(PRECISIONS)}")
        if self.rule not in RULES:
            raise ValueError(f"unknown update rule {self.rule!r}; choose one of {', '.join(RULES)}")
        if not (math.isfinite(self.bias_rate) and self.bias_rate >= 0):
            raise ValueError(f"bias_rate must be 0 or more, got {self.bias_rate!r}")

    def identity(self) -> dict[str, Any]:
        """All that determines the run, ready for JSON; what was added later only where it is used.

        Runs from before such a setting existed so keep their names and their checkpoints.
        """
        plain = asdict(self)
        return {k: v for k, v in plain.items() if k not in LATER or v != LATER[k]}


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
    resumed_at: the iteration at which this call took the run up; 0 for a fresh one.
    """

    points: list[Point] = field(default_factory=list)
    status: str = "running"
    resumed_at: int = 0

    @property
    def last(self) -> Point | None:
        return self.points[-1] if self.points else None


@runtime_checkable
class Reseeded(Protocol):
    """A layer that draws at random in training; told before each step where its draws begin."""

    def reseed(self, seed: int) -> None: ...


OnPoint = Callable[[Run], None]
Measure = Callable[[nn.Module], dict[str, list[float]]]


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
    CheckpointError where the checkpoint is damaged, of another run, or cannot be written.
    """
    keep_freed_memory()
    device = torch.device(device)
    state = _Trainer(model, pixels, labels, config, prepare, evaluate_on, device, measure, augment)
    if checkpoint is not None and checkpoint.exists():
        state.load(checkpoint)
    run = state.run
    steps = math.ceil(max_epochs * state.steps_per_epoch)
    run.status = "running"
    try:
        while run.status == "running":
            if _reached(run, target_error):
                run.status = "reached"
            elif state.iteration >= steps:
                run.status = "limit"
            else:
                state.train_to(min(state.next_eval(), steps), stop)
                if checkpoint is not None and run.status != "diverged":
                    state.save(checkpoint)
                if on_point is not None:
                    on_point(run)
    except KeyboardInterrupt:
        run.status = "interrupted"
    return run


def _reached(run: Run, target_error: float | None) -> bool:
    return target_error is not None and run.last is not None and run.last.train_error <= target_error


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


def resolve_precision(precision: str, device: torch.device | str = "cpu") -> str:
    """What "auto" means on this device: "bfloat16" where the hardware computes in it."""
    if precision != "auto":
        return precision
    return "bfloat16" if has_fast_bfloat16(torch.device(device)) else "float32"


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware (an emulation would be slower)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    flags = cpu_flags()
    return "avx512_bf16" in flags or "amx_bf16" in flags


def cpu_flags() -> frozenset[str]:
    """Instruction sets of the first processor as Linux names them; empty elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return frozenset()
    for line in text.splitlines():
        if line.startswith("flags"):
            return frozenset(line.split(":", 1)[1].split())
    return frozenset()


@contextlib.contextmanager
def autocast(device: torch.device | str, precision: str) -> Iterator[None]:
    """Convolutions and matrix products in bfloat16 if `precision` comes to that."""
    device = torch.device(device)
    enabled = resolve_precision(precision, device) == "bfloat16"
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled):
        yield


_DEFAULTS: dict[str, list[float]] = {"decays": [], "drops": []}


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
    rule = PaperSGD if config.rule == "paper" else torch.optim.SGD
    return rule(groups, lr=config.learning_rate, momentum=config.momentum)


class _Trainer:
    """The state of one run: weights, velocities, position, curve."""

    def __init__(
        self,
        model: nn.Module,
        pixels: Tensor,
        labels: Tensor,
        config: TrainConfig,
        prepare: Prepare,
        evaluate_on: Tensor | None,
        device: torch.device,
        measure: Measure | None = None,
        augment: Augment | None = None,
    ) -> None:
        if len(pixels) == 0:
            raise ValueError("there are no images to train on")
        if config.plateau is not None and measure is None:
            raise ValueError(NO_VALIDATION)
        self.model = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.config = config
        self.prepare = prepare
        self.augment = augment
        self.measure = measure
        self.device = device
        # Stored as (N, H, W, 3): a batch of it, seen as (B, 3, H, W), is channels-last for free.
        self.images = pixels.to(device).permute(0, 2, 3, 1).contiguous()
        self.labels = labels.to(device)
        chosen = torch.arange(len(pixels)) if evaluate_on is None else evaluate_on
        self.eval_pixels = self.images[chosen.to(device)].permute(0, 3, 1, 2)
        self.eval_labels = self.labels[chosen.to(device)]
        self.optimizer = _optimizer(model, config)
        self.random_layers = [m for m in model.modules() if isinstance(m, Reseeded)]
        self.steps_per_epoch = math.ceil(len(pixels) / config.batch_size)
        self.iteration = 0
        self.seconds = 0.0
        self.cpu_seconds = 0.0
        self.run = Run()
        self._order_epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def next_eval(self) -> int:
        """The iteration at which the next measurement is due."""
        per = self.config.evals_per_epoch
        done = self.iteration * per // self.steps_per_epoch
        return math.ceil((done + 1) * self.steps_per_epoch / per)

    def batch(self, iteration: int) -> Tensor:
        """(B,) int64: which images step `iteration` uses."""
        epoch, step = divmod(iteration, self.steps_per_epoch)
        if epoch != self._order_epoch:
            seed = torch.Generator().manual_seed(self.config.seed * 100_003 + epoch)
            self._order = torch.randperm(len(self.images), generator=seed).to(self.device)
            self._order_epoch = epoch
        return self._order[step * self.config.batch_size : (step + 1) * self.config.batch_size]

    def train_to(self, target: int, stop: Callable[[], bool] | None = None) -> None:
        """Steps up to iteration `target`, then one measurement."""
        # Several runs may share the process, one thread each: count this thread alone then.
        cpu_clock = time.thread_time if torch.get_num_threads() == 1 else time.process_time
        start, cpu_start, seen = time.perf_counter(), cpu_clock(), 0
        wrong = torch.zeros((), dtype=torch.int64, device=self.device)
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        self.model.train()
        while self.iteration < target:
            if stop is not None and stop():
                raise KeyboardInterrupt
            index = self.batch(self.iteration)
            loss, wrong_here = self.step(index)
            wrong += wrong_here
            total += loss * len(index)
            seen += len(index)
            self.iteration += 1
        mean_loss = total.item() / seen
        self.seconds += time.perf_counter() - start
        self.cpu_seconds += cpu_clock() - cpu_start
        if not math.isfinite(mean_loss) or mean_loss > DIVERGED_LOSS:
            self.run.status = "diverged"
            mean_loss = min(mean_loss, DIVERGED_LOSS) if math.isfinite(mean_loss) else DIVERGED_LOSS
        error = error_rate(
            self.model,
            self.eval_pixels,
            self.eval_labels,
            prepare=self.prepare,
            precision=self.config.precision,
        )
        self.run.points.append(
            Point(
                self.iteration,
                self.iteration / self.steps_per_epoch,
                error,
                wrong.item() / seen,
                mean_loss,
                round(self.seconds, 3),
                round(self.cpu_seconds, 3),
                self.measure(self.model) if self.measure is not None else {},
            )
        )

    def step(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """One update; the loss () and the number of wrong answers () before it."""
        x = self.images[index].permute(0, 3, 1, 2)  # (B, 3, H, W), channels last
        if self.augment is not None:
            seed = self.config.seed * 1_000_003 + self.iteration
            x = self.augment(x, torch.Generator().manual_seed(seed))
        for place, layer in enumerate(self.random_layers):
            layer.reseed((self.config.seed * 1_000_003 + self.iteration) * 101 + place)
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
        epoch = self.iteration / self.steps_per_epoch
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
        """Writes everything the run needs to go on, atomically and without pickles."""
        tensors = {f"model.{k}": v.detach().contiguous() for k, v in self.model.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            buffer = self.optimizer.state[parameter].get("momentum_buffer")
            if buffer is not None:
                tensors[f"momentum.{name}"] = buffer.contiguous()
        metadata = {
            "format": CHECKPOINT_FORMAT,
            "config": json.dumps(self.config.identity()),
            "iteration": str(self.iteration),
            "seconds": str(self.seconds),
            "cpu_seconds": str(self.cpu_seconds),
            "points": json.dumps([asdict(p) for p in self.run.points]),
        }
        partial = path.with_name(path.name + f".partial-{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(tensors, partial, metadata)
            partial.replace(path)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(
                f"Could not write the checkpoint {path}: {error}. What was measured before is kept. "
                "Make room or choose a folder that can be written, and run the same thing again to go on."
            ) from error
        finally:
            partial.unlink(missing_ok=True)

    def load(self, path: Path) -> None:
        """Takes up the run that `save` wrote."""
        try:
            with safe_open(path, framework="pt", device=str(self.device)) as saved:
                metadata = saved.metadata() or {}
                tensors = {key: saved.get_tensor(key) for key in saved.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"{path} is damaged or was cut short ({error}). Delete it to start that run anew."
            ) from error
        if metadata.get("format") != CHECKPOINT_FORMAT or not metadata.keys() >= CHECKPOINT_PARTS:
            raise CheckpointError(
                f"{path} is no checkpoint of a training run. Delete it or choose another file."
            )
        saved_config = {**_DEFAULTS, **json.loads(metadata["config"])}  # older files lack newer fields
        if saved_config != json.loads(json.dumps(self.config.identity())):
            raise CheckpointError(
                f"{path} belongs to a run with another configuration ({metadata.get('config')}), "
                f"not to {json.dumps(self.config.identity())}. Delete it or choose another file."
            )
        weights = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
        try:
            self.model.load_state_dict(weights)
        except RuntimeError as error:
            raise CheckpointError(
                f"The weights in {path} do not fit the network ({error}). Delete it to start that run anew."
            ) from error
        for name, parameter in self.model.named_parameters():
            if f"momentum.{name}" in tensors:
                buffer = torch.empty_like(parameter).copy_(tensors[f"momentum.{name}"])
                self.optimizer.state[parameter]["momentum_buffer"] = buffer
        self.iteration = self.run.resumed_at = int(metadata["iteration"])
        self.seconds = float(metadata["seconds"])
        self.cpu_seconds = float(metadata["cpu_seconds"])
        self.run.points = [Point(**p) for p in json.loads(metadata["points"])]


def keep_freed_memory() -> None:
    """Asks glibc to keep freed blocks instead of returning them to the system.

    Every step frees and asks again for activations of several MB. By default glibc maps
    and unmaps such blocks each time, and the page faults cost about a quarter of the
    training time on a CPU (`benchmarks/cifar_training.py` measures it), and more with the
    paper's network, whose largest activations lie above the 32 MiB up to which blocks can be
    told to come from the heap: so no block at all is mapped.
    """
    if platform.system() != "Linux":
        return
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-4, 0)  # M_MMAP_MAX: no block is mapped, so all come from the heap
        libc.mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD: do not shrink the heap
        libc.mallopt(-2, 256 << 20)  # M_TOP_PAD: grow it by 256 MiB at a time
