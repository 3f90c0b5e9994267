"""The judges of notebook 03: right answers in several forms, wrong ones with the reason."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.tried import tried


def by_unfold(x: Tensor) -> Tensor:
    columns = F.unfold(x, 3, stride=2).unflatten(1, (x.shape[1], 9))  # (N, C, 9, L)
    return columns.amax(2).unflatten(2, ((x.shape[2] - 3) // 2 + 1, (x.shape[3] - 3) // 2 + 1))


def channels_last_unfold(x: Tensor) -> Tensor:
    columns = F.unfold(x, 3, stride=2).unflatten(1, (9, x.shape[1]))  # the order is wrong
    return columns.amax(1).unflatten(2, ((x.shape[2] - 3) // 2 + 1, (x.shape[3] - 3) // 2 + 1))


BINOMIAL = [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
RIGHT: list[tuple[str, Any]] = [
    ("03.1", 56),
    ("03.1", "56"),
    ("03.2", by_unfold),
    ("03.2", lambda x: F.max_pool2d(F.max_pool2d(x, 2, 1), 2, 2)),
    ("03.3", 9),
    ("03.3", torch.tensor(9)),
    ("03.4", lambda n, z, s: (n - z) % s != 0),
    ("03.4", lambda n, z, s: (n - z) % s),
    ("03.5", torch.tensor(BINOMIAL) / 16),
    ("03.5", [[x / 16 for x in row] for row in BINOMIAL]),
    ("03.5", torch.tensor(BINOMIAL)[None, None] / 16),
]
WRONG: list[tuple[str, Any, str]] = [
    ("03.1", 55, "rounded down"),
    ("03.1", 55.5, "whole number"),
    ("03.1", 38, "stride of 3"),
    ("03.2", lambda x: F.max_pool2d(x, 2, 2), "z = 2"),
    ("03.2", lambda x: F.avg_pool2d(x, 3, 2), "that is the average"),
    ("03.2", channels_last_unfold, r"(C, 9), not (9, C)"),
    ("03.2", lambda x: F.max_pool2d(x, 3, 3), "the shape is"),
    ("03.2", lambda x: F.max_pool2d(x, 3, 2).clamp(min=0), "some values differ"),
    ("03.3", 3, "along one side"),
    ("03.3", 6.25, "average"),
    ("03.3", 8, "too small"),
    ("03.4", True, "a function is asked for"),
    ("03.4", lambda n, z, s: None, "returns nothing"),
    ("03.4", lambda n, z, s: n % s != 0, "for n = "),
    ("03.5", torch.full((3, 3), 1 / 9), "one average over 3×3"),
    ("03.5", torch.tensor(BINOMIAL), "these to 16"),
    ("03.5", torch.ones(2, 2) / 4, "shape (2, 2)"),
    ("03.5", "binomial", "a 3×3 tensor is asked for"),
    ("03.5", torch.eye(3) / 3, "row 1, column 1"),
]


test_right_answers_are_recognised, test_wrong_answers_are_told_why, test_every_exercise_is_tried_both_ways = (
    tried("03", 5, RIGHT, WRONG)
)
