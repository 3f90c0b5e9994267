"""The judges of notebook 10: right answers in several forms, wrong ones with the reason."""

from __future__ import annotations

import math
from typing import Any

import torch

from alexnet_edu.exercises.check import check
from alexnet_edu.training.sgd import PaperSGD
from tests.tried import tried


def by_the_optimizer(v: Any, w: Any, g: Any, rate: Any) -> Any:
    weight = w.clone().requires_grad_()
    optimizer = PaperSGD([weight], lr=float(rate))
    optimizer.state[weight]["momentum_buffer"] = v.clone()
    weight.grad = g
    optimizer.step()
    return optimizer.state[weight]["momentum_buffer"]


RIGHT: list[tuple[str, Any]] = [
    ("10.1", 19),
    ("10.1", sum(0.95**n for n in range(1, 1000))),
    ("10.2", lambda v, w, g, rate: 0.9 * v - 0.0005 * rate * w - rate * g),
    ("10.2", lambda v, w, g, rate: 0.9 * v - rate * (g + 5e-4 * w)),
    ("10.2", by_the_optimizer),
    ("10.3", 0.0408),
    ("10.3", torch.tensor(2 / 1200).sqrt()),
    ("10.4", 2048),
    ("10.4", "2048"),
    ("10.5", 13_863),
    ("10.5", math.log(2) / 5e-5),
]
WRONG: list[tuple[str, Any, str]] = [
    ("10.1", 9, "momentum of 0.9"),
    ("10.1", 20, "the step at the old rate"),
    ("10.1", 1.9, "PyTorch's form"),
    ("10.1", 0.95, "the first step"),
    ("10.1", 30, "too large"),
    ("10.2", lambda v, w, g, rate: 0.9 * v + 0.0005 * w + g, "PyTorch's buffer"),
    ("10.2", lambda v, w, g, rate: 0.9 * v - 0.0005 * w - rate * g, "multiplied by ε as well"),
    ("10.2", lambda v, w, g, rate: 0.9 * v + 0.0005 * rate * w + rate * g, "signs are turned round"),
    ("10.2", lambda v, w, g, rate: 0.9 * v - rate * g, "weight decay is missing"),
    ("10.2", lambda v, w, g, rate: v, "some values differ"),
    ("10.2", lambda v, w, g, rate: None, "returns nothing"),
    ("10.2", 0.9, "a function is asked for"),
    ("10.3", 0.0289, "of its own column"),
    ("10.3", 2 / 1200, "variance"),
    ("10.3", (2 / 363) ** 0.5, "that is conv1"),
    ("10.3", 0.01, "too small"),
    ("10.4", 512, "only halve it"),
    ("10.4", 256, "to a quarter"),
    ("10.4", 32, "more noise"),
    ("10.4", 8, "more noise"),
    ("10.5", 138_629, "leaves momentum out"),
    ("10.5", 138.6, "leaves ε out"),
    ("10.5", 1386.3, "leaves out ε and momentum"),
    ("10.5", 10_000, "exponential"),
    ("10.5", "soon", "a number is asked for"),
]


test_right_answers_are_recognised, test_wrong_answers_are_told_why, test_every_exercise_is_tried_both_ways = (
    tried("10", 5, RIGHT, WRONG)
)


def test_the_half_life_of_a_weight_is_what_the_rule_gives() -> None:
    weight = torch.ones(1, dtype=torch.float64, requires_grad=True)
    optimizer, steps = PaperSGD([weight], lr=0.01), 0
    weight.grad = torch.zeros_like(weight)
    while weight.item() > 0.5:
        optimizer.step()
        steps += 1
    assert check("10.5", steps)
