"""All that decides the weights of a full training (§5), and the rates that follow from it.

A recipe and the images give the same training on one device, on two columns and on any number of
processes, to rounding: the batch is the global one, and no rate is scaled with their number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import nn

from alexnet_edu import paper
from alexnet_edu.model.architecture import Architecture, narrow, variant
from alexnet_edu.training.schedules import LOGGED, PlateauSchedule
from alexnet_edu.training.sgd import PaperSGD, parameter_groups

SCHEDULES = ("plateau", "run145", "constant")
STRETCHED = "run145"  # its rates depend on the number of epochs
CONV1 = "stages.conv1."
BIAS_DROPS = 1  # of the bias rate, at most, in the logged runs
DIVISOR_2012 = 1.1  # of the image, while there is colour noise (`convdata_jpeg.py` 179)


@dataclass(frozen=True)
class Recipe:
    """How to train; the defaults are the paper's.

    variant: paper, run145, one_gpu, ungrouped or conv6; or what the paper compares with: no_lrn,
        plain_pooling, no_conv3, no_conv4 or no_conv5. narrow: divides kernels and units, for trials; 1 is
        the paper's width.
    batch_size: images of a step over all processes. rate: ε at the start. momentum, weight_decay: of the
        update rule. bias_rate: times ε, as in 2012 (`epsB`); the paper says "equal" and 1.0 does that.
        decay_biases: let the decay act on biases too, unlike 2012.
    schedule: "plateau", ε falls to a tenth when the validation error stops improving, three times;
        "run145", what the notes of run 145 say: drops at epochs 25, 51, 79, conv1 slower from 67 and frozen
        from 72, no colour noise from 67, bias rates that do not fall, pictures divided by 1.1 while there
        is noise; "constant".
    patience: evaluations without a new best before ε falls. margin: by how much (0–1) a new best is lower.
    epochs: 0 takes the schedule's own, 90, or 91 of run145, which is stretched to any other number.
    noise: standard deviation of α of the colour PCA. shared_crops: images that share a crop; 32 in 2012.
    evaluations: on the validation images, per epoch. seed: of weights, order, crops, colours and dropout.
    start: fingerprint of the weights that fine-tuning begins with, or "".
    """

    variant: str = "paper"
    narrow: int = 1
    batch_size: int = paper.BATCH_SIZE
    rate: float = paper.LEARNING_RATE
    momentum: float = paper.MOMENTUM
    weight_decay: float = paper.WEIGHT_DECAY
    bias_rate: float = 2.0
    decay_biases: bool = False
    schedule: str = "plateau"
    patience: int = 2
    margin: float = 0.0
    epochs: float = 0.0
    noise: float = paper.COLOR_PCA_STD
    shared_crops: int = 1
    evaluations: int = 1
    seed: int = 0
    start: str = field(default="", metadata={"hidden": True})  # no option

    def __post_init__(self) -> None:
        if self.epochs == 0:
            own = LOGGED["145"].stop if self.schedule == STRETCHED else paper.EPOCHS
            object.__setattr__(self, "epochs", float(own))
        positive = ("batch_size", "rate", "epochs", "evaluations", "patience", "shared_crops", "narrow")
        for name in positive:
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be positive, got {value!r}")
        for name in ("momentum", "weight_decay", "bias_rate", "noise", "margin"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be 0 or more, got {value!r}")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"unknown schedule {self.schedule!r}; choose one of {', '.join(SCHEDULES)}")

    def identity(self) -> dict[str, Any]:
        """All settings, ready for JSON."""
        return asdict(self)

    def architecture(self, classes: int) -> Architecture:
        """The table of the network. Raises ValueError for an unknown variant or too narrow a one."""
        table = variant(self.variant, classes)
        return table if self.narrow == 1 else narrow(table, self.narrow)

    def rates(self, epoch: float, errors: Sequence[float]) -> Rates:
        """What holds at an epoch, after validation errors (top-1, 0–1) in their order."""
        if self.schedule == "constant":
            return Rates(self.rate, self.rate, self.rate * self.bias_rate, self.noise, 1.0)
        if self.schedule == "plateau":
            rule = PlateauSchedule(self.patience, self.margin, paper.LEARNING_RATE_DROPS)
            rate = self.rate / paper.LEARNING_RATE_DIVISOR ** len(rule.falls(errors))
            return Rates(rate, rate, rate * self.bias_rate, self.noise, 1.0)
        logged = LOGGED["145"]
        log = logged if self.epochs == logged.stop else logged.compressed(self.epochs)
        scale = self.rate / logged.rate
        noisy = log.noise_off is None or epoch < log.noise_off
        return Rates(
            scale * log.at(epoch),
            scale * log.conv1_at(epoch),
            self.rate * self.bias_rate,  # never lowered in the final file of run 145
            self.noise if noisy else 0.0,
            DIVISOR_2012 if noisy and self.noise else 1.0,
        )


@dataclass(frozen=True)
class Running:
    """What does not change the weights a recipe leads to, but to rounding.

    parallel: "single", "columns" or "data". device: "auto", "cpu", "cuda" or "mps".
    precision: "float32", "bfloat16" or "auto", the fast one of the two; "float64" to compare runs
    to the last digits. compile: what `torch.compile` rewrites, the "norms" or the "network".
    workers: threads that decode, for each process. resume: "never", or "auto" to go on where the
    folder has checkpoints. keep: how many of the last checkpoints stay besides the best one.
    log_every, save_every: in steps. rehearsal_steps: to measure before the run, 0 for none.
    rehearse_only: end after that. force: train even if another process seems to train in the folder.
    """

    parallel: str = "single"
    device: str = "auto"
    precision: str = "auto"
    compile: str | None = field(default=None, metadata={"bare": "network"})  # the flag alone
    workers: int | None = None
    resume: str = "never"
    keep: int = 3
    save_every: int = 1000
    log_every: int = 20
    rehearsal_steps: int = 20
    rehearse_only: bool = False
    force: bool = False

    def __post_init__(self) -> None:
        for name in ("log_every", "save_every", "keep", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value!r}")
        if self.resume not in ("never", "auto"):
            raise ValueError(f"resume must be 'never' or 'auto', got {self.resume!r}")


@dataclass(frozen=True)
class Rates:
    """What the schedule says at one step.

    weights, conv1, biases: learning rates; conv1's of its weights, and of its biases when it is 0.
    noise: std of α. divisor: of the pictures.
    """

    weights: float
    conv1: float
    biases: float
    noise: float
    divisor: float


def optimizer_of(model: nn.Module, recipe: Recipe) -> PaperSGD:
    """§5's rule over the groups of 2012: weights and biases, conv1 apart."""
    groups = parameter_groups(
        model,
        recipe.rate,
        recipe.weight_decay,
        bias_rate=recipe.bias_rate,
        decay_biases=recipe.decay_biases,
        separate=[CONV1],
    )
    for group in groups:
        group["biases"] = all(p.dim() == 1 for p in group["params"])
    return PaperSGD(groups, lr=recipe.rate, momentum=recipe.momentum)


def set_rates(optimizer: PaperSGD, rates: Rates) -> None:
    """Writes the rates into the optimizer's groups. A frozen conv1 keeps its biases, too."""
    for group in optimizer.param_groups:
        rate = rates.conv1 if group["apart"] else rates.weights
        group["lr"] = (rates.biases if rate > 0 else 0.0) if group["biases"] else rate
