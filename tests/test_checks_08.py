"""The judges of notebook 08: right answers in several forms, wrong ones with the reason."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from tests.tried import tried


def counted(u: Tensor, v: Tensor) -> Tensor:
    return (u[:, None] != v[None]).sum(2)


def one_after_the_other(k: Tensor, batches: Tensor) -> float:
    return sum((1 - 1 / int(batches)) ** r for r in range(int(k)))


def over_many_orders(distances: Tensor, same: Tensor, k: Tensor) -> float:
    """Each place counted with its chance: how many are nearer, how many as near."""
    total = 0.0
    for d, s in zip(distances.tolist(), same.tolist(), strict=True):
        nearer, tied = int((distances < d).sum()), int((distances == d).sum())
        total += s * min(1.0, max(0.0, (int(k) - nearer) / tied))
    return total / int(k)


def first_come(distances: Tensor, same: Tensor, k: Tensor) -> Tensor:
    return same[distances.argsort(stable=True)[:k]].double().mean()


RIGHT: list[tuple[str, Any]] = [
    ("08.1", 512),
    ("08.1", "512"),
    ("08.2", counted),
    ("08.2", lambda u, v: (u.shape[1] - u @ v.T) / 2),
    ("08.3", lambda k, B: B * (1 - (1 - 1 / B) ** k)),
    ("08.3", one_after_the_other),
    ("08.4", over_many_orders),
    ("08.5", lambda c: torch.acos(c) / math.pi),
    ("08.5", lambda c: [math.acos(x) / math.pi for x in c]),
]
WRONG: list[tuple[str, Any, str]] = [
    ("08.1", 16, "has 32 bits"),
    ("08.1", 64, "bytes by bits"),
    ("08.1", 1 / 512, "other way round"),
    ("08.1", 32, "too small"),
    ("08.2", lambda u, v: u @ v.T, "minus bits that differ"),
    ("08.2", lambda u, v: u.shape[1] - u @ v.T, "twice"),
    ("08.2", lambda u, v: (u.shape[1] + u @ v.T) / 2, "that agree"),
    ("08.2", lambda u, v: counted(u, v)[0], "the shape is"),
    ("08.3", lambda k, B: k * (1 - 1 / B) ** (k - 1), "alone in their batch"),
    ("08.3", lambda k, B: k * (1 - 1 / B), "any nearer one"),
    ("08.3", lambda k, B: 1 - (1 - 1 / B) ** k, "one batch"),
    ("08.3", lambda k, B: B * (1 - 1 / B) ** k, "hold none"),
    ("08.4", first_come, "come first"),
    ("08.4", lambda d, s, k: s[d <= d.sort().values[k - 1]].double().mean(), "more than k"),
    ("08.4", lambda d, s, k: k * over_many_orders(d, s, k), "not a share"),
    ("08.5", lambda c: (1 - c) / 2, "grows with the angle"),
    ("08.5", torch.acos, "divide the angle"),
    ("08.5", lambda c: 1 - torch.acos(c) / math.pi, "that agree"),
    ("08.5", lambda c: torch.acos(c) / (2 * math.pi), "half turn"),
    ("08.5", 0.5, "a function is asked for"),
]


test_right_answers_are_recognised, test_wrong_answers_are_told_why, test_every_exercise_is_tried_both_ways = (
    tried("08", 5, RIGHT, WRONG)
)
