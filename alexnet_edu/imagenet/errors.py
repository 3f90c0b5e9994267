"""Losses and errors over batches in which some images may have no label: sums, so that they add up.

Sums stay on the device, and nothing waits for them until they are asked for.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet_edu.imagenet.feed import NO_LABEL, Views
from alexnet_edu.training import predictions
from alexnet_edu.training.loop import autocast

TINY = torch.finfo(torch.float32).tiny


def summed_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """() float32 or wider: the cross-entropy in nats, added up; 0 for rows without a label."""
    exact = logits if logits.dtype == torch.float64 else logits.float()
    return F.cross_entropy(exact, labels, ignore_index=NO_LABEL, reduction="sum")


def counted(logits: Tensor, labels: Tensor, loss: Tensor) -> Tensor:
    """(4,): loss, rows whose label is not first, not among five, and rows with a label."""
    known = labels != NO_LABEL
    five = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
    wrong1, wrong5 = known & ~five[:, 0], known & ~five.any(1)
    kind = sum_type(logits.device)
    return torch.stack([loss.to(kind), *(flags.sum().to(kind) for flags in (wrong1, wrong5, known))])


def judged(probabilities: Tensor, labels: Tensor) -> Tensor:
    """(4,): the same of probabilities that are averages, with ties shared as in 2012 (`predictions`).

    Raises ValueError where a probability is no number.
    """
    kind, known = sum_type(probabilities.device), labels != NO_LABEL
    found, own = probabilities[known], labels[known]
    if len(own) == 0:
        return torch.zeros(4, dtype=kind, device=probabilities.device)
    errors = [predictions.top_errors(found, own, min(k, found.shape[1])) for k in (1, 5)]
    loss = predictions.log_losses(found.clamp(min=TINY), own)
    return torch.stack([*(x.to(kind).sum() for x in (loss, *errors)), known.sum().to(kind)])


def sum_type(device: torch.device) -> torch.dtype:
    """The type that sums are kept in; Apple's GPU has no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


@torch.no_grad()
def probabilities(
    module: nn.Module, views: Views, pixels: Tensor, patches: int, precision: str, dtype: torch.dtype
) -> Tensor:
    """(b, 3, H, W) uint8 -> (b, classes) float32: the mean of the softmax outputs (`layer.cu` 1804).

    patches: 1, the middle one, or 10, one after the other. precision: of `train.autocast`.
    dtype: of the weights.
    """
    total: Tensor | None = None
    for x in views.patches(pixels, patches):
        with autocast(x.device, precision):
            logits = module(x.to(dtype, memory_format=torch.channels_last))
        found = logits.float().softmax(1)
        total = found if total is None else total + found
    assert total is not None
    return total / patches
