"""What is done with softmax outputs: averaged, counted as errors, written for the contest.

A prediction is a row of C probabilities. Nothing here knows a network or an image.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

CONTEST_LABELS = 5  # guesses an image in the contest, of which one must be right


def average(predictions: Tensor, weights: Sequence[float] | None = None) -> Tensor:
    """The mean of several predictions for the same images: (M, N, C) -> (N, C), float32 or wider.

    predictions: M networks, or patches, that each give N images C probabilities; also float16.
    weights: M coefficients, not negative, of which only the ratios count; None takes all alike.
    The 2012 code averages so over ten views (`layer.cu`, LogregCostLayer) and, with coefficients,
    over networks (`avg-valid.py`). Raises ValueError where shapes or weights are none of these.
    """
    if predictions.dim() != 3 or 0 in predictions.shape:
        raise ValueError(f"predictions must be (M, N, C) and not empty, got {tuple(predictions.shape)}")
    count = len(predictions)
    shares = torch.tensor([1.0] * count if weights is None else list(weights), dtype=torch.float64)
    if len(shares) != count:
        raise ValueError(f"{count} predictions need {count} weights, got {len(shares)}")
    if not (shares.isfinite().all() and (shares >= 0).all() and shares.sum() > 0):
        raise ValueError(f"weights must be numbers of 0 or more, not all 0; got {shares.tolist()}")
    wide = torch.promote_types(predictions.dtype, torch.float32)
    mean = torch.zeros(predictions.shape[1:], dtype=wide, device=predictions.device)
    for share, each in zip((shares / shares.sum()).tolist(), predictions, strict=True):
        mean.add_(each.to(wide), alpha=share)  # one at a time: a wide copy of all would not fit
    return mean


def top_errors(probabilities: Tensor, labels: Tensor, k: int) -> Tensor:
    """How wrong the k most probable classes are, image by image: (N,) float64; its mean is the error.

    0 where the label is among them, 1 where it is not, and between where classes as probable as the
    label compete for the last of the k places: they share it, as in 2012 (`layer_kernels.cu`,
    kMultiSoftmaxCost). So a network that finds all classes alike errs on 1 − k/C of the images.

    probabilities: (N, C), or any scores; labels: (N,) int64. Raises ValueError for other shapes,
    a k outside 1 to C, or scores that are not numbers.
    """
    expected = _of_labels(probabilities, labels)
    classes = probabilities.shape[1]
    if not 1 <= k <= classes:
        raise ValueError(f"k must be between 1 and the {classes} classes, got {k!r}")
    above = (probabilities > expected).sum(1)
    alike = (probabilities == expected).sum(1)  # at least 1: the label itself
    return 1 - ((k - above).double() / alike).clamp(0, 1)


def log_losses(probabilities: Tensor, labels: Tensor) -> Tensor:
    """−log of the probability of each image's label, in nats: (N,); infinite for a probability of 0.

    probabilities: (N, C); labels: (N,) int64. The first of the three numbers in the 2012 notes is its mean.
    """
    return -_of_labels(probabilities, labels).squeeze(1).log()


def _of_labels(probabilities: Tensor, labels: Tensor) -> Tensor:
    """The probability of each image's label: (N, 1)."""
    if probabilities.dim() != 2 or labels.shape != probabilities.shape[:1] or not len(labels):
        raise ValueError(
            "probabilities must be (N, C) and labels (N,), N at least 1; "
            f"got {tuple(probabilities.shape)} and {tuple(labels.shape)}"
        )
    if probabilities.isnan().any():
        row = int(probabilities.isnan().any(1).nonzero()[0])
        raise ValueError(f"the prediction for image {row} is not a number; did the network diverge?")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= probabilities.shape[1]:
        raise ValueError(
            f"labels must be between 0 and {probabilities.shape[1] - 1}, got {low if low < 0 else high}"
        )
    return probabilities.gather(1, labels[:, None])


def contest_lines(probabilities: Tensor) -> list[str]:
    """The five most probable classes of each image in the contest's form: "3 818 112 7 950".

    probabilities: (N, C) with C at least 5, the classes in the contest's order; a line an image, the
    most probable first, numbered from 1, with one blank between. Of equal ones the first comes first.
    Source: `txt-preds.py`, which writes five labels numbered from 1 for each test image.
    """
    if probabilities.dim() != 2 or probabilities.shape[1] < CONTEST_LABELS:
        raise ValueError(
            f"the contest wants (N, C) with at least {CONTEST_LABELS} classes, "
            f"got {tuple(probabilities.shape)}"
        )
    if probabilities.isnan().any():
        raise ValueError("some probabilities are not numbers; did the network diverge?")
    order = probabilities.argsort(dim=1, descending=True, stable=True)[:, :CONTEST_LABELS] + 1
    return [" ".join(map(str, row)) for row in order.tolist()]
