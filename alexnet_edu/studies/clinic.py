"""The clinic: why does this AlexNet not train? Settings in, scales per layer and losses out.

A setting is one way to scale the inputs, draw the weights, start the biases, and update. Each gets the same
test: ten images, one of each class, to be learned by heart; while a network cannot tell them apart, its loss
cannot fall below ln 10. `narrow` makes one of the same depth whose steps are cheap. Dropout is off (its
factor 0.5 is on): a network that is blind to the images would learn its masks by heart.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from alexnet_edu.data.images import Images
from alexnet_edu.environment import joint_provenance, keep_freed_memory, provenance
from alexnet_edu.files import kept
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.architecture import Architecture, Layer, fan_ins, narrow, variant
from alexnet_edu.studies.record import Record, of_rows
from alexnet_edu.studies.record import load as load_record
from alexnet_edu.studies.signals import capture

EXPERIMENT = "clinic"
TITLE = "Inputs, weights, biases and rules: which let the paper's network learn?"
INPUTS = {"raw": "0–255 minus the mean", "unit": "0–1 minus the mean", "standardized": "standardized"}
INITS = {"paper": "N(0, 0.01²)", "run145": "N(0, 0.01²), conv3–5 N(0, 0.03²)", "he": "N(0, 2/fan-in)"}
BIASES = {"ones": "1 (§5)", "zeros": "0"}
RULES = {"sgd": "SGD, ε = 0.01, momentum 0.9", "adam": "Adam, ε = 0.001"}
WORDS = {"inputs": INPUTS, "init": INITS, "biases": BIASES, "rule": RULES}
CLASSES = 10
DIVISOR = 8  # the narrow network of the record has this many times fewer kernels
STEPS, FULL_STEPS = 60, 3  # of training in the record: the narrow network, and the paper's
EXPLODED = 1e4  # nats; a loss above this, or one that is NaN, ends a training
LEARNED = 0.9  # share of ln 10 below which the last three losses must lie
BLIND = 1e-3  # where the logits of different images differ by less, the classifier learns very slowly
LOUD = 2.0  # logits of this size make the first losses, and so the first gradients, large


@dataclass(frozen=True)
class Setting:
    """One way to start: keys of INPUTS, INITS, BIASES and RULES. Raises ValueError for others."""

    inputs: str = "raw"
    init: str = "paper"
    biases: str = "ones"
    rule: str = "sgd"

    def __post_init__(self) -> None:
        for name, known in WORDS.items():
            if (word := getattr(self, name)) not in known:
                raise ValueError(f"{name} is {word!r}; choose one of {', '.join(map(repr, known))}")

    def words(self) -> str:
        """In words, for a line of text."""
        return (
            f"inputs {INPUTS[self.inputs]}; weights {INITS[self.init]}; biases {BIASES[self.biases]}; "
            f"{RULES[self.rule]}"
        )


SETTINGS = tuple(Setting(*parts) for parts in itertools.product(*WORDS.values()))


@dataclass(frozen=True)
class LayerScale:
    """One layer of the network on a batch, before ReLU; root mean squares of all values.

    output: of Wx + b. signal: of what is left after the mean over the images is taken away: what the
    layer says about *this* image. gradient: of ∂L/∂W. weight: of W.
    """

    name: str
    output: float
    signal: float
    gradient: float
    weight: float


@dataclass(frozen=True)
class Cell:
    """One setting examined and trained.

    layers: before the training. losses: in nats, before each step, and after the last where it did not
    explode; infinite for one that is not finite.
    """

    layers: tuple[LayerScale, ...]
    losses: tuple[float, ...]

    @property
    def fate(self) -> str:
        """What became of the training: "learns", "learns, then leaps", "stands still" or "explodes".

        "explodes": a loss beyond EXPLODED, or the last three above twice ln 10 on average, or any above it
        where nothing is learned. "learns": these three below LEARNED · ln 10; "then leaps": a loss above
        twice ln 10 after one below that level.
        """
        last, chance = self.losses[-3:], math.log(CLASSES)
        level = sum(last) / len(last) / chance
        if level > 2 or not max(self.losses) < EXPLODED:
            return "explodes"
        learned = next((i for i, loss in enumerate(self.losses) if loss < LEARNED * chance), len(self.losses))
        if max(self.losses[learned:], default=0.0) > 2 * chance:
            return "learns, then leaps"
        if level < LEARNED:
            return "learns"
        return "explodes" if max(self.losses) > 2 * chance else "stands still"

    @property
    def reason(self) -> str:
        """One line: why it went so, from what was measured before the first step and the losses."""
        signal, output = self.layers[-1].signal, self.layers[-1].output
        differ = f"the images differ by {Decimal(f'{signal:.1g}'):f} in the logits"
        if self.fate == "explodes":
            if output > LOUD:
                return (
                    f"logits of {output:.2g} before the first step: the first gradients throw the weights far"
                )
            return f"logits of {output:.2g} are harmless, but the steps are too long for inputs of this size"
        if self.fate == "learns, then leaps":
            return f"{differ}, enough to begin with, but then the steps are too long for inputs of this size"
        if self.fate == "learns":
            if output > LOUD:
                return f"logits of {output:.2g} are loud, but these steps calm them in time"
            if signal >= BLIND:
                return f"{differ}, enough for the classifier to begin with"
            return f"{differ} only, but the steps do not shrink with the gradient"
        if self.losses[-1] < 0.98 * math.log(CLASSES):
            return f"{differ}; it is on its way, but {len(self.losses) - 1} steps are too few"
        return f"{differ}; the classifier has nothing to learn from, nor have the layers below it"


@dataclass(frozen=True)
class Batch:
    """The images of the test, one of each class. pixels: (10, 3, 224, 224) float, 0–255; labels: (10,).

    mean: (3, 224, 224), of many images; std: of all their pixels after it is subtracted.
    source, synthetic, fingerprint: of the images that they were drawn from.
    """

    pixels: Tensor
    labels: Tensor
    mean: Tensor
    std: float
    source: str = ""
    synthetic: bool = False
    fingerprint: str = ""

    def scaled(self, inputs: str) -> Tensor:
        """The images on one of the scales of INPUTS."""
        x = self.pixels - self.mean
        return x / {"raw": 1.0, "unit": 255.0, "standardized": self.std}[inputs]


def batch_of(images: Images, seed: int = 0) -> Batch:
    """One image of each class, drawn by `seed` and enlarged to 224 × 224 (bilinear).

    The mean and the deviation are those of 1,000 images (or of all, if there are fewer).
    Raises ValueError unless there are ten classes, and an image of each.
    """
    if len(images.classes) != CLASSES:
        raise ValueError(f"the clinic takes images of {CLASSES} classes, got {len(images.classes)}")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    labels = images.labels[order]
    if missing := [name for c, name in enumerate(images.classes) if not (labels == c).any()]:
        raise ValueError(f"the clinic takes an image of each class, got none of {missing[0]!r}")
    chosen = torch.stack([order[labels == c][0] for c in range(CLASSES)])
    many = images.pixels[order[:1_000]].float()
    mean, std = many.mean(0), (many - many.mean(0)).std().item()

    def enlarged(x: Tensor) -> Tensor:
        return F.interpolate(x, (224, 224), mode="bilinear", align_corners=False)

    return Batch(
        enlarged(images.pixels[chosen].float()),
        images.labels[chosen],
        enlarged(mean[None])[0],
        std,
        images.source,
        images.synthetic,
        images.fingerprint(),
    )


# --- the network -----------------------------------------------------------------------------


def table_of(setting: Setting, divisor: int = 1) -> Architecture:
    """The network of the paper for ten classes, with the weights and biases of a setting."""
    paper, run145 = (variant(name, CLASSES) for name in ("paper", "run145"))
    reads = fan_ins(paper)
    stds = {
        "paper": {layer.name: layer.std for layer in paper.layers},
        "run145": {layer.name: layer.std for layer in run145.layers},
        "he": {name: (2 / n) ** 0.5 for name, n in reads.items()},
    }[setting.init]

    def started(layer: Layer) -> Layer:
        return replace(layer, std=stds[layer.name], bias=layer.bias if setting.biases == "ones" else 0.0)

    table = replace(paper, layers=tuple(map(started, paper.layers)))
    return table if divisor == 1 else narrow(table, divisor)


def build(setting: Setting, divisor: int = 1, seed: int = 0) -> AlexNet:
    """The network of a setting, untrained. divisor: 1 for the paper's size, more for `narrow`."""
    generator = torch.Generator().manual_seed(seed)
    return AlexNet(table_of(setting, divisor), classes=CLASSES, generator=generator)


# --- the examination -------------------------------------------------------------------------


def examine(model: AlexNet, x: Tensor, labels: Tensor) -> tuple[LayerScale, ...]:
    """The scales in all layers. Dropout is off, its factor 0.5 is on; weights stay.

    x: (N, 3, side, side) inputs as the network sees them; labels: (N,).
    """
    model.eval()
    weights = {layer.name: model.weights(layer.name) for layer in model.architecture.layers}
    outputs = capture(model, weights, x, labels).outputs
    scales = []
    for name, module in weights.items():
        weight = module.get_parameter("weight")
        assert weight.grad is not None
        z = outputs[name]
        sizes = [_rms(part) for part in (z, z - z.mean(0), weight.grad, weight.detach())]
        scales.append(LayerScale(name, *sizes))
    model.zero_grad(set_to_none=True)
    return tuple(scales)


def _rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


def train(model: AlexNet, x: Tensor, labels: Tensor, rule: str, steps: int) -> list[float]:
    """The loss before each step on one batch and after the last; fewer where it explodes.

    rule: a key of RULES. No weight decay. Dropout is off, its factor 0.5 is on.
    """
    keep_freed_memory()
    model.eval()
    optimizer: torch.optim.Optimizer
    if rule == "sgd":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    else:
        optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    losses: list[float] = []
    for step in range(steps + 1):
        loss = F.cross_entropy(model(x), labels)
        losses.append(loss.item())
        if step == steps or not losses[-1] < EXPLODED:  # `not <` catches NaN too
            break
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return losses


def trial(
    setting: Setting, batch: Batch, *, steps: int = STEPS, divisor: int = DIVISOR, seed: int = 0
) -> Cell:
    """One setting examined and trained."""
    x = batch.scaled(setting.inputs)
    model = build(setting, divisor, seed)
    layers = examine(model, x, batch.labels)
    losses = train(model, x, batch.labels, setting.rule, steps)
    return Cell(layers, tuple(loss if math.isfinite(loss) else math.inf for loss in losses))


# --- the record ------------------------------------------------------------------------------


def record(batch: Batch, runs_dir: Path, *, say: Callable[[str], None] = print) -> Record:
    """All SETTINGS, narrow and at the paper's size, as one record for `data/results`.

    Each is kept in runs_dir once it is done: killed and called again, this goes on.
    """
    rows: dict[str, list[dict[str, Any]]] = {"runs": [], "layers": [], "losses": []}
    origins = []
    for size, divisor, steps in (("narrow", DIVISOR, STEPS), ("full", 1, FULL_STEPS)):
        for setting in SETTINGS:
            name = "-".join(asdict(setting).values())
            path = runs_dir / f"clinic-{name}-{divisor}-{steps}-{batch.fingerprint[:10]}.json"
            made = kept(path, partial(_made, setting, batch, steps, divisor, say))
            number = {"run": len(rows["runs"])}
            rows["runs"].append({"variant": size, "divisor": divisor, **asdict(setting)})
            rows["layers"] += [number | layer for layer in made["layers"]]
            rows["losses"] += [number | {"step": i, "loss": loss} for i, loss in enumerate(made["losses"])]
            origins.append(made["provenance"])
    source = f"one image of each class, enlarged to 224 × 224; {batch.source}"
    data = {"source": source, "synthetic": batch.synthetic, "fingerprint": batch.fingerprint}
    origin = joint_provenance(origins) | {"precision": ["float32"], "data": data}
    return of_rows(EXPERIMENT, TITLE, {}, origin, rows)


def _made(
    setting: Setting, batch: Batch, steps: int, divisor: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """One setting's cell, ready for JSON, which has no infinity."""
    origin, cell = provenance(), trial(setting, batch, steps=steps, divisor=divisor)
    losses = [loss if math.isfinite(loss) else None for loss in cell.losses]
    say(f"{divisor} times narrower, {steps} steps: {setting.words()}: {cell.fate}")
    return {"layers": [asdict(layer) for layer in cell.layers], "losses": losses, "provenance": origin}


@dataclass(frozen=True)
class Clinic:
    """The record as it is read: each setting's cell, of the narrow network and at the paper's size.

    divisor: how many times fewer kernels the narrow one has.
    """

    narrow: dict[Setting, Cell]
    full: dict[Setting, Cell]
    divisor: int
    provenance: dict[str, Any]


def load(folder: Path | None = None) -> Clinic:
    """The recorded clinic. Raises DataError, with advice, where there is none or it is damaged.

    folder: other than that of the results.
    """
    made = load_record(EXPERIMENT, folder)
    layers, losses = made.tables["layers"].groupby("run"), made.tables["losses"].groupby("run")
    cells: dict[str, dict[Setting, Cell]] = {"narrow": {}, "full": {}}
    for number, run in made.runs.iterrows():
        scales = layers.get_group(number)[["name", "output", "signal", "gradient", "weight"]]
        levels = losses.get_group(number)["loss"].fillna(math.inf)
        cell = Cell(tuple(LayerScale(*row) for row in scales.itertuples(index=False)), tuple(levels))
        cells[run["variant"]][Setting(*run[list(WORDS)])] = cell
    divisor = int(made.of(variant="narrow").runs["divisor"].iloc[0])
    return Clinic(cells["narrow"], cells["full"], divisor, made.provenance)
