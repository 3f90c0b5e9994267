"""The judges of notebook 04: right answers in several forms, wrong ones with the reason."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from alexnet_edu.data.augment import ten_crop
from tests.tried import tried


def by_einsum(images: Tensor, p: Tensor, s: Tensor, alpha: Tensor) -> Tensor:
    return images + torch.einsum("ci,i,ni->nc", p, s, alpha)[..., None, None]


def centre_first(images: Tensor, size: int) -> Tensor:
    return ten_crop(images, size)[:, [2, 0, 1, 3, 4, 7, 5, 6, 8, 9]]


def by_hand(c: Tensor) -> Tensor:
    a = torch.zeros_like(c)
    for i in range(3):
        for j in range(i + 1):
            rest = c[i, j] - (a[i, :j] * a[j, :j]).sum()
            a[i, j] = rest.sqrt() if i == j else rest / a[j, j]
    return a


RIGHT: list[tuple[str, Any]] = [
    ("04.1", 1800),
    ("04.1", "1800"),
    ("04.2", 11.9),
    ("04.2", torch.tensor(11.89)),
    ("04.3", by_einsum),
    ("04.3", lambda x, p, s, a: x + ((a * s) @ p.T).unsqueeze(-1).unsqueeze(-1)),
    ("04.4", ten_crop),
    ("04.5", torch.linalg.cholesky),
    ("04.5", by_hand),
]
WRONG: list[tuple[str, Any, str]] = [
    ("04.1", 29 * 29 * 2, "count both"),
    ("04.1", 900, "mirrored as well"),
    ("04.1", 2178, "too large"),
    ("04.2", 5.546, "its root"),
    ("04.2", 1414.3, "λ of pixels 0–255"),
    ("04.2", 0.0466, "on the scale of 0–1"),
    ("04.2", "much", "a number is asked for"),
    ("04.3", lambda x, p, s, a: x + ((a * s) @ p)[:, :, None, None], "took the rows"),
    ("04.3", lambda x, p, s, a: x + (a @ p.T)[:, :, None, None], "strengths s are missing"),
    ("04.3", lambda x, p, s, a: None, "returns nothing"),
    ("04.3", lambda x, p, s, a: (a * s) @ p.T, "the shape is"),
    ("04.4", centre_first, "not first"),
    ("04.4", lambda x, n: ten_crop(x, n).flip(4), "mirrored patches come last"),
    ("04.4", lambda x, n: ten_crop(x, n)[:, :5], "the shape is"),
    ("04.4", 10, "a function is asked for"),
    ("04.5", lambda c: c, "is not C"),
    ("04.5", lambda c: torch.linalg.cholesky(c).mT, "upper triangular"),
    ("04.5", torch.eye(3), "a function is asked for"),
]


test_right_answers_are_recognised, test_wrong_answers_are_told_why, test_every_exercise_is_tried_both_ways = (
    tried("04", 5, RIGHT, WRONG)
)
