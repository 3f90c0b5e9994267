"""What an exercise is, and how answers are judged: by what they do, not by how they are written.

Functions are tried on inputs, numbers are compared with what the mathematics gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Judge = Callable[[Any], str | None]


class Fault(Exception):
    """What is off with an answer, in words; raised where it cannot be judged at all."""


@dataclass(frozen=True)
class Exercise:
    """One exercise. judge: None if the answer is right, otherwise what is off, in words."""

    id: str
    judge: Judge
    hints: tuple[str, ...]
    praise: str


def as_number(answer: Any) -> float:
    """`answer` as a float; Fault if it is not one number."""
    try:
        value = float(answer)
    except (TypeError, ValueError):
        raise Fault(f"a number is asked for, not {answer!r}") from None
    if not math.isfinite(value):
        raise Fault(f"a finite number is asked for, not {answer!r}")
    return value


def number(expected: float, tolerance: float = 0.01, faults: dict[float, str] | None = None) -> Judge:
    """A number within `tolerance` (relative). faults: wrong values and what they come from."""

    def judge(answer: Any) -> str | None:
        value = as_number(answer)
        if math.isclose(value, expected, rel_tol=tolerance, abs_tol=1e-12):
            return None
        for wrong, why in (faults or {}).items():
            if math.isclose(value, wrong, rel_tol=tolerance):
                return why
        return f"{value:g} is too {'large' if value > expected else 'small'}"

    return judge


def same_function(
    expected: Callable[..., Tensor],
    inputs: list[tuple[Tensor, ...]],
    faults: Sequence[tuple[Callable[..., Tensor], str]] = (),
) -> Judge:
    """A function that gives what `expected` gives on every one of `inputs`.

    faults: wrong functions that are often given, and what to say to each.
    """

    def judge(answer: Any) -> str | None:
        if not callable(answer):
            return f"a function is asked for, not {type(answer).__name__}"
        for arguments in inputs:
            got = answer(*(a.clone() for a in arguments))
            want = expected(*arguments)
            if got is None:
                return "the function returns nothing"
            got = torch.as_tensor(got, dtype=want.dtype)
            if got.shape != want.shape:
                return f"the shape is {tuple(got.shape)}, it should be {tuple(want.shape)}"
            if not torch.allclose(got, want, rtol=1e-4, atol=1e-6):
                for wrong, why in faults:
                    if torch.allclose(got, wrong(*arguments).to(want.dtype), rtol=1e-4, atol=1e-6):
                        return why
                worst = (got - want).abs().max().item()
                return f"some values differ from the right ones, by up to {worst:.3g}"
        return None

    return judge
