"""The exercises of notebooks 00 and 01."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from alexnet_edu.exercises.judge import Function, Judge, as_number, normal


def _largest_input(answer: Any) -> str | None:
    z = as_number(answer)
    slope = 1 - math.tanh(z) ** 2
    if z <= 0:
        return "give the positive input"
    if abs(slope - 0.05) < 0.003:  # 2.16 to 2.21: as well as a plot can be read
        return None
    return f"there the slope is {slope:.3f}, not 0.05"


def _counterexample(answer: Any) -> str | None:
    if not isinstance(answer, Sequence | Tensor) or isinstance(answer, str) or len(answer) != 2:
        return f"a pair of numbers is asked for, such as (1.0, 2.0), not {answer!r}"
    a, b = (as_number(x) for x in answer)
    before, after = max(abs(math.tanh(a)), abs(math.tanh(b))), abs(math.tanh(max(a, b)))
    if math.isclose(before, after, rel_tol=1e-6):
        return f"for {a:g} and {b:g} both orders give {after:.4f}"
    return None


def _same_run(answer: Any) -> str | None:
    if not isinstance(answer, Sequence | Tensor) or isinstance(answer, str) or len(answer) != 2:
        return f"a pair of numbers is asked for, such as (1.0, 2.0), not {answer!r}"
    weights, rate = (as_number(x) for x in answer)
    if not math.isclose(weights, 1 / 63, rel_tol=0.01):
        return f"weights × {weights:g} make z {63 * weights:.3g} times what it was, before any step"
    if not math.isclose(rate, 1 / 63**2, rel_tol=0.01):
        return f"a rate × {rate:.3g} moves z {rate * 63**2:.3g} times as far as it should"
    return None


JUDGES: dict[str, Judge] = {
    "00.1": Function(lambda z: z.clamp(min=0), [(torch.linspace(-5, 5, 41),), (torch.tensor([0.0, 2.5]),)]),
    "00.2": _largest_input,
    "01.2": _counterexample,
    "01.3": Function(
        lambda gradient, y: gradient * (y > 0),
        [
            (normal(0, (4, 6))[0], normal(1, (4, 6))[0].clamp(min=0)),
            (torch.ones(3), torch.tensor([0.0, 0.0, 2.0])),
        ],
        {"an output of ReLU is never negative, so y >= 0 is always true": lambda g, y: g * (y >= 0)},
    ),
    "01.5": _same_run,
}
