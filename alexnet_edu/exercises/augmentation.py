"""The exercises of notebook 04."""

from __future__ import annotations

import torch
from torch import Tensor

from alexnet_edu.exercises.judge import Function, Judge, normal

CLASSES, PATCHES = 7, 10


def _by_patch(logits: Tensor) -> Tensor:
    """(10N, classes) -> (N, 10, classes)."""
    return logits.view(-1, PATCHES, logits.shape[1])


def _symmetric_root(c: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(c)
    return (vectors * values.sqrt()) @ vectors.T


def _net(x: Tensor) -> Tensor:
    """Knows left from right and up from down: (N, 3, h, w) -> (N, 3) probabilities."""
    places = torch.arange(x[0, 0].numel()).view(x.shape[2:])
    return (x * places.sqrt()).mean((2, 3)).softmax(1)


JUDGES: dict[str, Judge] = {
    "04.3": Function(
        lambda logits: _by_patch(logits).softmax(2).mean(1),
        [(2 * x,) for x in normal(3, (40, CLASSES), (PATCHES, CLASSES))],
        {
            "the patches of an image lie one after the other: that mixes images": (
                lambda x: x.view(PATCHES, -1, x.shape[1]).softmax(2).mean(0)
            ),
            "the paper averages the outputs of the softmax, not what goes into it": (
                lambda x: _by_patch(x).mean(1).softmax(1)
            ),
            "that is the program above": lambda x: x.view(PATCHES, -1, x.shape[1]).mean(0).softmax(1),
            "the softmax is over the classes, not over the patches": lambda x: (
                _by_patch(x).softmax(1).mean(1)
            ),
            "that is the sum; the average is a tenth of it": lambda x: _by_patch(x).softmax(2).sum(1),
        },
    ),
    "04.4": Function(
        lambda net, x: (net(x) + net(x.flip(3))) / 2,
        [(_net, x) for x in normal(4, (2, 3, 4, 5), (1, 3, 3, 3))],
        {
            "that is upside down: width is the last dimension": lambda net, x: (net(x) + net(x.flip(2))) / 2,
            "that turns by 180°: width is the last dimension": lambda net, x: (
                (net(x) + net(x.flip(2, 3))) / 2
            ),
            "average two outputs, not two images: no network is trained on ghosts": (
                lambda net, x: net((x + x.flip(3)) / 2)
            ),
            "that is the sum; half of it is asked for": lambda net, x: net(x) + net(x.flip(3)),
            "the reflection alone is no better: it minds sides as well": lambda net, x: net(x.flip(3)),
            "nothing has changed": lambda net, x: net(x),
        },
    ),
    "04.5": Function(
        torch.linalg.cholesky,
        [(x @ x.T / 50 + 0.1 * torch.eye(3),) for x in normal(5, (3, 50), (3, 50), (3, 50))],
        {
            "A Aᵀ = C holds, but A is not lower triangular": _symmetric_root,
            "that is the transpose: upper triangular": lambda c: torch.linalg.cholesky(c).T,
            "C Cᵀ is not C": lambda c: c,
        },
    ),
}
