"""How answers are judged: by what they do, not by how they are written."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

Judge = Callable[[Any], str | None]  # None if the answer is right, otherwise what is off, in words


class Fault(Exception):
    """What is off with an answer that cannot be judged at all."""


@dataclass(frozen=True)
class Number:
    """A number. faults: frequent wrong answers, and what is wrong with each.

    tolerance: relative; None for 1% of a float, and for nothing but rounding of an int.
    """

    answer: float
    faults: Sequence[tuple[float, str]] = ()
    tolerance: float | None = None

    def __call__(self, answer: Any) -> str | None:
        value = as_number(answer)
        tolerance = self.tolerance or (1e-9 if isinstance(self.answer, int) else 0.01)
        if math.isclose(value, self.answer, rel_tol=tolerance, abs_tol=1e-12):
            return None
        for wrong, why in self.faults:
            if math.isclose(value, wrong, rel_tol=tolerance):
                return why
        return f"{value:g} is too {'large' if value > self.answer else 'small'}"


@dataclass(frozen=True)
class Function:
    """A function that gives what `expected` gives for the arguments of each case.

    faults: frequent wrong functions by what is wrong with them.
    """

    expected: Callable[..., Any]
    cases: Sequence[tuple[Any, ...]]
    faults: Mapping[str, Callable[..., Any]] = field(default_factory=dict)

    def __call__(self, answer: Any) -> str | None:
        function = as_function(answer)
        for case in self.cases:
            got, want = function(*copy.deepcopy(case)), torch.as_tensor(self.expected(*case))
            if got is None:
                return "the function returns nothing"
            got = torch.as_tensor(got, dtype=want.dtype)
            if got.shape != want.shape:
                return f"the shape is {tuple(got.shape)}, it should be {tuple(want.shape)}"
            if not _close(got, want):
                for why, wrong in self.faults.items():
                    if _close(got, torch.as_tensor(wrong(*case), dtype=want.dtype)):
                        return why
                worst = (got - want).abs().max().item()
                return f"some values differ from the right ones, by up to {worst:.3g}"
        return None


def _close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-4, atol=1e-6)


def as_number(answer: Any) -> float:
    """`answer` as a float; Fault if it is not one finite number."""
    try:
        value = float(answer)
    except (TypeError, ValueError):
        raise Fault(f"a number is asked for, not {answer!r}") from None
    if not math.isfinite(value):
        raise Fault(f"a finite number is asked for, not {answer!r}")
    return value


def as_function(answer: Any) -> Callable[..., Any]:
    """`answer`, if it can be called; Fault if not."""
    if not callable(answer):
        raise Fault(f"a function is asked for, not {type(answer).__name__}")
    return answer


def as_tensor(answer: Any, wanted: str) -> Tensor:
    """`answer` as a float64 tensor; Fault if it is none. wanted: such as "a 3×3 tensor is"."""
    try:
        return torch.as_tensor(answer, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise Fault(f"{wanted} asked for, not {answer!r}") from None


def normal(seed: int, *shapes: tuple[int, ...], dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    """Tensors of these shapes, drawn from a standard normal distribution."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes)
