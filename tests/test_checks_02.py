"""The exercises of notebook 02: right answers in several forms, wrong ones with the reason."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from alexnet_edu.model.layers import local_response_norm, map_response_norm
from tests.tried import tried


def by_shifts(a: Tensor) -> Tensor:
    padded = F.pad(a**2, (0, 0, 0, 0, 2, 2))
    return a / (2 + 1e-4 * sum(padded[:, j : j + a.shape[1]] for j in range(5))) ** 0.75


RIGHT: list[tuple[str, Any]] = [
    ("02.1", by_shifts),
    ("02.1", local_response_norm),
    ("02.1", lambda a: F.local_response_norm(a, 5, 5e-4, 0.75, 2.0)),
    ("02.2", 0.232),
    ("02.2", 7**-0.75),
    ("02.3", 5e-4),
    ("02.4", [-100.0, 50.0]),
    ("02.4", (1.0, 0.0, -1.0)),
    ("02.4", torch.tensor([3.0, -3.0])),
    ("02.5", 78),
    ("02.5", 77.97),
]
WRONG: list[tuple[str, Any, str]] = [
    ("02.1", lambda a: F.local_response_norm(a, 5, 1e-4, 0.75, 2.0), "α/n times the sum"),
    ("02.1", lambda a: map_response_norm(a, 5, 2.0, 25e-4), "maps, the same place in each"),
    (
        "02.1",
        lambda a: a / (2 + 1e-4 * sum((a**2).roll(j, 1) for j in range(-2, 3))) ** 0.75,
        "no neighbours",
    ),
    ("02.1", lambda a: local_response_norm(a, n=3), "two on either side"),
    ("02.1", lambda a: local_response_norm(a, beta=1.0), "the power β"),
    ("02.1", lambda a: a, "some values differ"),
    ("02.1", 0.5, "a function is asked for"),
    ("02.2", 23.2, "that is b itself"),
    ("02.2", 0.4387, "α/n times the sum"),
    ("02.2", 0.299, "k = 2 is missing"),
    ("02.2", 7, "that is the base"),
    ("02.2", 1 / 7, "the power β"),
    ("02.2", 0.5, "too large"),
    ("02.3", 1e-4, "what the 2012 code did"),
    ("02.3", 2e-5, "α must grow"),
    ("02.4", [1.0, 2.0], "all are positive"),
    ("02.4", [-1.0, -2.0], "both orders give 0"),
    ("02.4", [5.0, 0.0, 0.0, -5.0], "within two maps"),
    ("02.4", [], "the list is empty"),
    ("02.4", 3.0, "a list of numbers is asked for"),
    ("02.4", [1.0, "x"], "a number is asked for"),
    ("02.5", 6079, "mean square"),
    ("02.5", 63.2, "the base has doubled"),
    ("02.5", 174.3, "α/n times the sum"),
    ("02.5", 32.2, "b is half of a"),
]


test_right_answers_are_recognised, test_wrong_answers_are_told_why, test_every_exercise_is_tried_both_ways = (
    tried("02", 5, RIGHT, WRONG)
)
