"""Nearest neighbours by Euclidean distance, as in Figure 4 right, and vectors as a map of the plane.

Exact search goes block by block, by matrix products. Beside it is the authors' search, to which each batch
of training images offers only its nearest one (findsimilar.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from alexnet_edu import paper

BLOCK = 25_000_000  # distances held at a time: 100 MB
KEPT_2012 = 16  # findsimilar.py
BATCHES_2012 = 1334  # findsimilar.py: training batches 1 to 1334
PERPLEXITY = 30.0  # of t-SNE: about how many neighbours each point listens to


@dataclass(frozen=True)
class Neighbours:
    """The nearest ones of each query, the nearest first.

    distance: (Q, k), ‖x − y‖², without the root as in findsimilar.py; of codes, how many bits differ.
    index: (Q, k) int64, places in what was searched.
    """

    distance: Tensor
    index: Tensor


def as_vectors(pixels: Tensor) -> Tensor:
    """Images (N, 3, H, W) uint8 as one vector of grey levels each: (N, 3·H·W) float32."""
    return pixels.flatten(1).float()


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """‖x − y‖² of all pairs by one matrix product: (Q, D) and (N, D) float -> (Q, N), at least 0.

    What all vectors share cancels in theory and costs digits in practice: subtract it first.
    """
    squares = (x * x).sum(1)[:, None] + (y * y).sum(1)[None]  # (Q, N)
    return squares.addmm_(x, y.T, alpha=-2).clamp_(min=0)


def nearest(queries: Tensor, gallery: Tensor, k: int = paper.FIGURE4_NEIGHBOURS) -> Neighbours:
    """Exact search: the k nearest of the gallery for each query. Ties may fall either way.

    queries: (Q, D), gallery: (N, D), both of one floating type. The mean of the gallery is subtracted first,
    since float32 has seven digits.
    """
    return _joined([_smallest(distances, k) for distances in _blocks(queries, gallery)])


def nearest_of_batches(
    queries: Tensor, gallery: Tensor, batches: int, k: int = paper.FIGURE4_NEIGHBOURS
) -> Neighbours:
    """The search of findsimilar.py: each batch offers its nearest one; the k best of these are kept.

    batches: into how many the gallery is cut, in its own order; at least k. Shapes as for `nearest`.
    """
    kept = []
    for distances in _blocks(queries, gallery):
        parts = distances.tensor_split(batches, dim=1)
        starts = torch.tensor([0, *(part.shape[1] for part in parts[:-1])]).cumsum(0)
        offers = [part.min(1) for part in parts]
        best = _smallest(torch.stack([offer.values for offer in offers], 1), k)
        places = torch.stack([offer.indices for offer in offers], 1) + starts  # (block, batches)
        kept.append(Neighbours(best.distance, places.gather(1, best.index)))
    return _joined(kept)


def expected_by_batches(k: int, batches: int, images: int | None = None) -> float:
    """How many of the true k nearest `nearest_of_batches` finds on average, if batches are shuffled.

    The r-th nearest is lost if one of the r − 1 nearer ones lies in its batch. So what is found is the number
    of batches that hold at least one of the k: with batches of any size B (1 − (1 − 1/B)^k), for `images`
    split into equal batches a little more.
    """
    if images is None:
        return batches * -math.expm1(k * math.log1p(-1 / batches)) if batches > 1 else 1.0
    elsewhere = images - images / batches  # images outside of one batch
    empty = math.prod(max(0.0, elsewhere - i) / (images - i) for i in range(k))
    return batches * (1 - empty)


def precision_at_k(index: Tensor, query_labels: Tensor, gallery_labels: Tensor) -> Tensor:
    """The share of each query's k neighbours that have its class: (Q,) float32, 0–1.

    index: (Q, k) int64; query_labels: (Q,); gallery_labels: (N,).
    """
    return (gallery_labels[index] == query_labels[:, None]).float().mean(1)


def ranks(queries: Tensor, gallery: Tensor, index: Tensor) -> Tensor:
    """How near given images of the gallery are by another distance: the share of it that is nearer, (Q, k).

    queries: (Q, D), gallery: (N, D), as for `nearest`; index: (Q, k) int64. 0 is the nearest of all; images
    taken at random have 0.5 on average.
    """
    shares, places = [], iter(index)
    for distances in _blocks(queries, gallery):
        for row in distances:
            chosen = row[next(places)]  # (k,)
            shares.append((row < chosen[:, None]).float().mean(1))
    return torch.stack(shares)


def share_found(index: Tensor, true: Tensor) -> Tensor:
    """The share of each query's true neighbours that are among those found: (Q,) float32, 0–1.

    index: (Q, m), true: (Q, k), both int64, without repetitions in a row.
    """
    return (true[:, :, None] == index[:, None]).any(2).float().mean(1)


def _blocks(queries: Tensor, gallery: Tensor) -> Iterator[Tensor]:
    """Squared distances of some queries at a time to the whole gallery."""
    center = gallery.mean(0)
    y = gallery - center
    for x in queries.split(max(1, BLOCK // len(gallery))):
        yield squared_distances(x - center, y)


def _smallest(distances: Tensor, k: int) -> Neighbours:
    return Neighbours(*distances.topk(k, 1, largest=False, sorted=True))


def _joined(parts: list[Neighbours]) -> Neighbours:
    return Neighbours(torch.cat([p.distance for p in parts]), torch.cat([p.index for p in parts]))


# --- a map ------------------------------------------------------------------------------------


def plane(vectors: Tensor, *, seed: int = 0) -> Tensor:
    """(N, D) float -> (N, 2) float32 by t-SNE, started at the first two principal components.

    The axes, their units and large distances mean nothing. The result is the same on one machine with one
    seed; elsewhere the picture may be turned. It wants more points than `PERPLEXITY`.
    """
    from sklearn.manifold import TSNE  # takes a second to import, and only maps need it

    model = TSNE(2, perplexity=PERPLEXITY, init="pca", learning_rate="auto", random_state=seed)
    return torch.from_numpy(model.fit_transform(vectors.double().numpy())).float()


def centers(points: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Where each class lies on the map: the median of its points, (classes, 2); NaN where it has none."""
    rows = [points[labels == label] for label in range(classes)]
    return torch.stack([row.median(0).values if len(row) else torch.full((2,), torch.nan) for row in rows])
