"""Errors over prepared images: of a network in training, or of several that are averaged (Tables 1 and 2).

Softmax outputs are averaged over ten patches (§4.1) and then over the networks (§6), with weights if
given (`avg-valid.py` searched for such). Sums over batches stay on the device, and images that could
not be read have no label and count for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet_edu.environment import autocast
from alexnet_edu.files import DataError
from alexnet_edu.imagenet.checkpoint import Checkpoint, load, recipe_of
from alexnet_edu.imagenet.feed import NO_LABEL, Feed, Views
from alexnet_edu.imagenet.prepared import PreparedSet
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.training import predictions

BATCH = 128
TINY = torch.finfo(torch.float32).tiny


# --- sums over a batch ------------------------------------------------------------------------


def summed_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """() float32 or wider: the cross-entropy in nats, added up; 0 for rows without a label."""
    exact = logits if logits.dtype == torch.float64 else logits.float()
    return F.cross_entropy(exact, labels, ignore_index=NO_LABEL, reduction="sum")


def no_sums(device: torch.device) -> Tensor:
    """(4,) zeros, for loss, errors and images; Apple's GPU has no float64."""
    return torch.zeros(4, dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)


def sums_in_training(logits: Tensor, labels: Tensor, loss: Tensor) -> Tensor:
    """(4,): loss, rows whose label is not first, not among five, and rows with a label."""
    known = labels != NO_LABEL
    five = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
    wrong1, wrong5 = known & ~five[:, 0], known & ~five.any(1)
    sums = no_sums(logits.device)
    return torch.stack([loss.to(sums), *(flags.sum().to(sums) for flags in (wrong1, wrong5, known))])


def sums_of(probabilities: Tensor, labels: Tensor) -> Tensor:
    """(4,): the same of probabilities that are averages, with ties shared as in 2012 (`predictions`).

    Raises ValueError where a probability is no number.
    """
    known, sums = labels != NO_LABEL, no_sums(probabilities.device)
    rows, labels = probabilities[known], labels[known]
    if len(labels) == 0:
        return sums
    errors = [predictions.top_errors(rows, labels, min(k, rows.shape[1])) for k in (1, 5)]
    loss = predictions.log_losses(rows.clamp(min=TINY), labels)
    return torch.stack([*(x.to(sums).sum() for x in (loss, *errors)), known.sum().to(sums)])


class Errors(NamedTuple):
    """Shares of wrong answers (0–1), the mean loss in nats, and over how many images."""

    top1: float
    top5: float
    loss: float
    images: int


@dataclass(frozen=True)
class Evaluation:
    """Errors (0–1) and the mean loss in nats over `images` validation images, at a step of a training."""

    step: int
    epoch: float
    top1: float
    top5: float
    loss: float
    images: int
    patches: int = 1

    def text(self) -> str:
        """In a few words."""
        return f"validation error {100 * self.top1:.1f}% (top-5 {100 * self.top5:.1f}%)"


def errors_of(sums: Tensor) -> Errors:
    """Means of what was added up: loss, wrong at first, wrong at five, images."""
    loss, wrong1, wrong5, images = sums.tolist()
    count = max(1.0, images)
    return Errors(wrong1 / count, wrong5 / count, loss / count, int(images))


@torch.no_grad()
def predict(module: nn.Module, views: Views, pixels: Tensor, patches: int, precision: str) -> Tensor:
    """(b, 3, H, W) uint8 -> (b, classes) float32: the mean of the softmax outputs (`layer.cu` 1804).

    patches: 1, the middle one, or 10, one after the other. precision: of `environment.autocast`.
    """
    dtype, outputs = next(module.parameters()).dtype, []
    for x in views.patches(pixels, patches):
        with autocast(x.device, precision):
            logits = module(x.to(dtype, memory_format=torch.channels_last))
        outputs.append(logits.float().softmax(1))
    total: Tensor = sum(outputs[1:], start=outputs[0])
    return total / patches


# --- trained networks -------------------------------------------------------------------------


@dataclass(frozen=True)
class Judgement:
    """Errors (0–1) and the mean loss in nats over the images that could be read.

    unreadable: how many could not. lines: of the contest, in the order of the split.
    """

    top1: float
    top5: float
    loss: float
    images: int
    unreadable: int
    patches: int
    networks: int
    lines: tuple[str, ...] = ()

    def text(self) -> str:
        """One line for a person."""
        of = "one network" if self.networks == 1 else f"{self.networks} networks averaged"
        views = "the middle patch" if self.patches == 1 else f"{self.patches} patches"
        missing = f"; {self.unreadable} could not be read" if self.unreadable else ""
        return (
            f"{of}, {views}: top-1 error {100 * self.top1:.2f}%, top-5 {100 * self.top5:.2f}%, "
            f"loss {self.loss:.4f} on {self.images:,} images{missing}"
        )


def load_network(path: Path, wnids: Sequence[str]) -> AlexNet:
    """The network of a checkpoint of `alexnet-edu train`, ready to judge images of these classes.

    Raises DataError where the file is not one, or was trained on other classes.
    """
    return network_of(load(path), wnids)


def network_of(saved: Checkpoint, wnids: Sequence[str]) -> AlexNet:
    """The network of a checkpoint that was read. wnids: the classes that it must have."""
    recipe = recipe_of(saved)
    classes = saved.state["classes"]
    if list(wnids) != classes:
        raise DataError(
            f"{saved.path} was trained on {len(classes)} classes, and the images have "
            f"{len(wnids)}; they must be the same ones in the same order"
        )
    model = AlexNet(recipe.architecture(len(classes)))
    try:
        model.load_state_dict(saved.part("model"))
    except RuntimeError as error:
        raise DataError(f"the weights in {saved.path} do not fit their network ({error})") from error
    return model.eval()


def judge(
    networks: Sequence[AlexNet],
    prepared: PreparedSet,
    *,
    split: str = "val",
    patches: int = 10,
    weights: Sequence[float] | None = None,
    device: torch.device | str = "cpu",
    precision: str = "auto",
    workers: int | None = None,
    contest: bool = False,
    each_batch: Callable[[int], None] = lambda done: None,
) -> Judgement:
    """The errors of the networks' averaged predictions.

    patches: 1, the middle one, or 10. weights: one for each network. contest: give the lines, too.
    each_batch: called with the number of images done. Raises ValueError for other numbers.
    """
    if not networks:
        raise ValueError("there is no network to judge")
    device = torch.device(device)
    sums, lines, seen = no_sums(device), list[str](), 0
    views = Views(prepared, networks[0].architecture.side, device)
    for network in networks:
        network.to(device=device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    feed = Feed(prepared.split(split), batch_size=BATCH, seed=None, device=device, workers=workers)
    with closing(feed.batches(0, feed.steps_per_epoch)) as batches:
        for batch in batches:
            each = [predict(network, views, batch.pixels, patches, precision) for network in networks]
            probabilities = predictions.average(torch.stack(each), weights)
            sums += sums_of(probabilities, batch.labels)
            seen += len(batch.labels)
            if contest:
                lines.extend(predictions.contest_lines(probabilities.cpu()))
            each_batch(len(batch.labels))
    errors = errors_of(sums)
    return Judgement(*errors, seen - errors.images, patches, len(networks), tuple(lines))
