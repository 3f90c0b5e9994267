"""Many vectors as points of a plane, near ones near: t-SNE, from a fixed start."""

from __future__ import annotations

import torch
from torch import Tensor

PERPLEXITY = 30.0  # about how many neighbours each point listens to


def plane(vectors: Tensor, *, seed: int = 0, perplexity: float = PERPLEXITY) -> Tensor:
    """(N, D) float -> (N, 2) float32 by t-SNE, started at the first two principal components.

    Distances between far points, the axes and their units say nothing. The same on one machine with one
    seed; elsewhere the picture may be turned otherwise. Raises ValueError for fewer than four times
    `perplexity` points.
    """
    if vectors.ndim != 2 or len(vectors) < 4 * perplexity:
        raise ValueError(
            f"a map wants (N, D) with at least {4 * perplexity:.0f} vectors, got {tuple(vectors.shape)}"
        )
    from sklearn.manifold import TSNE  # takes a second to import, and only maps need it

    made = TSNE(2, perplexity=perplexity, init="pca", learning_rate="auto", random_state=seed)
    return torch.from_numpy(made.fit_transform(vectors.double().numpy())).float()


def centers(points: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Where each class lies on the map: the median of its points, (classes, 2); NaN where it has none."""
    rows = [points[labels == label] for label in range(classes)]
    return torch.stack([row.median(0).values if len(row) else torch.full((2,), torch.nan) for row in rows])
