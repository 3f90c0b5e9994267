"""The judges of notebook 11: right answers in several forms, wrong ones with the reason."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from alexnet_edu.exercises.results import WITH_CENTRE, WITH_TEN
from alexnet_edu.ledger.claims import RUNS_2012
from tests.tried import tried


def by_hand(p: Tensor, labels: Tensor) -> float:
    wrong = 0.0
    for row, label in zip(p.tolist(), labels.tolist(), strict=True):
        best = [i for i, x in enumerate(row) if x == max(row)]
        wrong += 1 - (label in best) / len(best)
    return wrong / len(labels)


def with_topk(p: Tensor) -> Tensor:
    return p.topk(5, dim=1).indices + 1


def from_sum(m: Tensor, rho: Tensor) -> Tensor:
    return (m + m * (m - 1) * rho) / m**2


RIGHT: list[tuple[str, Any]] = [
    ("11.1", 2328),
    ("11.1", "2328"),
    ("11.2", by_hand),
    ("11.3", [[0.45, 0.5, 0.05], [0.45, 0.05, 0.5]]),
    ("11.3", torch.tensor([[0.48, 0.5, 0.02], [0.4, 0.0, 0.6]])),
    ("11.4", lambda p: p.argsort(dim=1, descending=True, stable=True)[:, :5] + 1),
    ("11.5", from_sum),
    ("11.5", lambda m, rho: rho + (1 - rho) / m),
]
WRONG: list[tuple[str, Any, str]] = [
    ("11.1", 2250, "rounded rates"),
    ("11.1", 776, "50,000 are validation"),
    ("11.1", 1945, "top-5"),
    ("11.1", 56_209, "stay wrong"),
    ("11.1", "many", "a number is asked for"),
    ("11.2", lambda p, y: (p.argmax(1) != y).double().mean(), "argmax takes the first"),
    ("11.2", lambda p, y: 1 - by_hand(p, y), "right answers"),
    ("11.2", lambda p, y: by_hand(p, y) * len(y), "number of wrong images"),
    ("11.2", lambda p, y: None, "returns nothing"),
    ("11.3", [[0.6, 0.3, 0.1], [0.2, 0.5, 0.3]], "network 1 is not wrong"),
    ("11.3", [[0.4, 0.5, 0.1], [0.4, 0.5, 0.1]], "is not right about class 0"),
    ("11.3", [[0.5, 0.6, 0.1], [0.4, 0.1, 0.5]], "sum to 1"),
    ("11.3", [0.4, 0.5, 0.1], "the shape must be"),
    ("11.3", "two", "two rows of three numbers"),
    ("11.4", lambda p: with_topk(p) - 1, "counts classes from 1"),
    ("11.4", lambda p: with_topk(p).sort(1).values, "order is that of the probabilities"),
    ("11.4", lambda p: with_topk(p)[:, :1], "the shape is"),
    ("11.5", lambda m, rho: 1 / m, "nothing in common"),
    ("11.5", lambda m, rho: from_sum(m, rho).sqrt(), "standard deviation"),
    ("11.5", 0.68, "a function is asked for"),
]


test_right_answers_are_recognised, test_wrong_answers_are_told_why, test_every_exercise_is_tried_both_ways = (
    tried("11", 5, RIGHT, WRONG)
)


def test_the_rates_are_those_of_the_notes() -> None:
    assert RUNS_2012["145-2010"][:2] == WITH_TEN
    assert RUNS_2012["145-2010 centre"][:2] == WITH_CENTRE
