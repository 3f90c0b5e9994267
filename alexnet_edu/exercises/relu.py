"""The exercises of notebooks 00 and 01."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from alexnet_edu.exercises.judge import Fault, Function, Judge, as_number, normal


def _larger_images(answer: Any) -> str | None:
    work, weights = _pair(answer)
    if math.isclose(work, 4.69404, rel_tol=0.01) and math.isclose(weights, 4.22033, rel_tol=0.01):
        return "the other way round: first the multiply-adds, then fc6"
    if not math.isclose(work, 4.22033, rel_tol=0.01):
        return f"the multiply-adds of the convolutions do not grow {work:g} times"
    if not math.isclose(weights, 4.69404, rel_tol=0.01):
        return f"the parameters of fc6 do not grow {weights:g} times"
    return None


def _pair(answer: Any) -> tuple[float, float]:
    """Two numbers; Fault if it is something else."""
    if not isinstance(answer, Sequence | Tensor) or isinstance(answer, str) or len(answer) != 2:
        raise Fault(f"a pair of numbers is asked for, such as (1.0, 2.0), not {answer!r}")
    first, second = answer
    return as_number(first), as_number(second)


def _counterexample(answer: Any) -> str | None:
    a, b = _pair(answer)
    before, after = max(abs(math.tanh(a)), abs(math.tanh(b))), abs(math.tanh(max(a, b)))
    if math.isclose(before, after, rel_tol=1e-6):
        return f"for {a:g} and {b:g} both orders give {after:.4f}"
    return None


def _same_run(answer: Any) -> str | None:
    weights, rate = _pair(answer)
    if not math.isclose(weights, 1 / 63, rel_tol=0.01):
        return f"weights × {weights:g} make z {63 * weights:.3g} times what it was, before any step"
    if not math.isclose(rate, 1 / 63**2, rel_tol=0.01):
        return f"a rate × {rate:.3g} moves z {rate * 63**2:.3g} times as far as it should"
    return None


JUDGES: dict[str, Judge] = {
    "00.4": _larger_images,
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
