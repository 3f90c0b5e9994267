"""The exercises of notebook 04."""

from __future__ import annotations

import torch
from torch import Tensor

from alexnet_edu.data.augment import ten_crop
from alexnet_edu.exercises.judge import Function, Judge, normal

STRENGTHS = torch.tensor([60.0, 16.0, 8.0])  # grey levels, about those of photographs


def _recolored(images: Tensor, shift: Tensor) -> Tensor:
    return images + shift[:, :, None, None]


def _to_recolor(seed: int, *shape: int) -> tuple[Tensor, ...]:
    """Images, eigenvectors as columns, strengths, and one draw for each image."""
    images, axes, alpha = normal(seed, shape, (3, 3), (shape[0], 3))
    return 255 * images.abs(), torch.linalg.qr(axes)[0], STRENGTHS, 0.1 * alpha


def _symmetric_root(c: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(c)
    return (vectors * values.sqrt()) @ vectors.T


JUDGES: dict[str, Judge] = {
    "04.3": Function(
        lambda x, p, s, alpha: _recolored(x, (alpha * s) @ p.T),
        [_to_recolor(4, 2, 3, 3, 5), _to_recolor(5, 1, 3, 1, 1)],
        {
            "the eigenvectors are the columns of P; you took the rows": (
                lambda x, p, s, alpha: _recolored(x, (alpha * s) @ p)
            ),
            "the strengths s are missing": lambda x, p, s, alpha: _recolored(x, alpha @ p.T),
            "s is the strength already: it is neither squared nor rooted": (
                lambda x, p, s, alpha: _recolored(x, (alpha * s**2) @ p.T)
            ),
        },
    ),
    "04.4": Function(
        ten_crop,
        [(torch.arange(2.0 * 3 * 7 * 9).view(2, 3, 7, 9), size) for size in (4, 7, 1)],
        {
            "the centre stands third, not first": lambda x, n: ten_crop(x, n)[
                :, [2, 0, 1, 3, 4, 7, 5, 6, 8, 9]
            ],
            "the centre stands third, not last": lambda x, n: ten_crop(x, n)[
                :, [0, 1, 3, 4, 2, 5, 6, 8, 9, 7]
            ],
            "the mirrored patches come last, not first": lambda x, n: ten_crop(x, n).roll(5, 1),
            "the five come first, then the mirrored five; not in pairs": (
                lambda x, n: ten_crop(x, n)[:, [0, 5, 1, 6, 2, 7, 3, 8, 4, 9]]
            ),
            "left and right change places in a mirror, not top and bottom": (
                lambda x, n: torch.cat([ten_crop(x, n)[:, :5], ten_crop(x, n)[:, :5].flip(3)], 1)
            ),
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
