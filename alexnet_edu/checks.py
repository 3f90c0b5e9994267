"""Answers to the exercises are judged here, and the hints live here.

    check("01.1", my_answer)   whether it is right, and if not, what is off
    hint("01.1")               the next hint, a little more each time

A judge looks at what an answer does, not at how it is written: functions are tried on
inputs, numbers are compared with what the mathematics gives.
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


@dataclass(frozen=True)
class Judgement:
    """What `check` says: shown as its text in a notebook, true if the answer is right."""

    right: bool
    text: str

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return self.text


_given: dict[str, int] = {}


def check(exercise_id: str, answer: Any) -> Judgement:
    """Judges `answer`. None stands for "not answered yet"; an error that it raises is shown.

    Raises ValueError for an unknown exercise.
    """
    exercise = _find(exercise_id)
    if answer is None:
        return Judgement(False, f"Exercise {exercise_id}: not answered yet. hint({exercise_id!r}) helps.")
    try:
        fault = exercise.judge(answer)
    except Fault as reason:
        fault = str(reason)
    except Exception as error:
        fault = f"it raised {type(error).__name__}: {error}"
    if fault is None:
        return Judgement(True, f"Exercise {exercise_id}: right. {exercise.praise}")
    return Judgement(False, f"Exercise {exercise_id}: not yet, {fault}. hint({exercise_id!r}) helps.")


def hint(exercise_id: str) -> None:
    """Prints the next hint; after the last one it starts again."""
    exercise = _find(exercise_id)
    turn = _given.get(exercise_id, 0)
    _given[exercise_id] = turn + 1
    place = turn % len(exercise.hints)
    print(f"Hint {place + 1} of {len(exercise.hints)}: {exercise.hints[place]}")


def _find(exercise_id: str) -> Exercise:
    if exercise_id not in EXERCISES:
        raise ValueError(f"there is no exercise {exercise_id!r}; there are {', '.join(EXERCISES)}")
    return EXERCISES[exercise_id]


# --- judges ------------------------------------------------------------------------------


def _as_number(answer: Any) -> float:
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
        value = _as_number(answer)
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


# --- 00 Start here -----------------------------------------------------------------------


def _grey_levels() -> list[tuple[Tensor, ...]]:
    return [(torch.linspace(-5, 5, 41),), (torch.tensor([0.0, 2.5]),)]


def _judge_largest_input(answer: Any) -> str | None:
    z = _as_number(answer)
    slope = 1 - math.tanh(z) ** 2
    if z <= 0:
        return "give the positive input"
    if abs(slope - 0.05) < 0.003:  # 2.16 to 2.21: as well as a plot can be read
        return None
    return f"there the slope is {slope:.3f}, not 0.05"


# --- 01 ReLU against tanh ----------------------------------------------------------------


def _relu_backward(gradient: Tensor, z: Tensor) -> Tensor:
    return gradient * (z > 0)


def _backward_cases() -> list[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(4, 6, generator=generator)
    return [(torch.randn(4, 6, generator=generator), z), (torch.ones(3), torch.tensor([-1.0, 0.0, 2.0]))]


def _share_saturated(z: Tensor) -> Tensor:
    return ((1 - torch.tanh(z) ** 2) < 0.05).double().mean()


def _saturation_cases() -> list[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(1)
    return [(scale * torch.randn(500, generator=generator),) for scale in (0.1, 2.0, 30.0)]


def _judge_counterexample(answer: Any) -> str | None:
    if not isinstance(answer, Sequence | Tensor) or isinstance(answer, str) or len(answer) != 2:
        return f"a pair of numbers is asked for, such as (1.0, 2.0), not {answer!r}"
    a, b = (_as_number(x) for x in answer)
    before, after = max(abs(math.tanh(a)), abs(math.tanh(b))), abs(math.tanh(max(a, b)))
    if math.isclose(before, after, rel_tol=1e-6):
        return f"for {a:g} and {b:g} both orders give {after:.4f}"
    return None


EXERCISES = {
    e.id: e
    for e in (
        Exercise(
            "00.1",
            same_function(lambda z: z.clamp(min=0), _grey_levels()),
            (
                "ReLU keeps what is positive and replaces the rest.",
                "torch.where(condition, a, b) chooses element by element; z.clamp(min=0) is shorter.",
            ),
            "One comparison per value: no exponential anywhere.",
        ),
        Exercise(
            "00.2",
            _judge_largest_input,
            (
                "The slope of tanh is 1 − tanh²(z).",
                "Solve tanh²(z) = 0.95: z = artanh(√0.95), and torch.atanh exists.",
            ),
            "Beyond it tanh passes on less than a twentieth of the gradient.",
        ),
        Exercise(
            "00.3",
            number(
                256 * (5 * 5 * 96 + 1),
                tolerance=1e-9,
                faults={
                    256 * (5 * 5 * 48 + 1): "that is conv2 as it is, where a kernel sees 48 channels",
                    256 * 5 * 5 * 96: "the biases are missing: one per kernel",
                },
            ),
            (
                "Only the number of channels that a kernel sees changes: C is 96 now, not 48.",
                "K (s² C + 1) with K = 256 and s = 5.",
            ),
            "Splitting the columns halves this layer's weights, and its work.",
        ),
        Exercise(
            "00.4",
            number(
                1 + math.ceil((256 - 11) / 4),
                tolerance=1e-9,
                faults={62: "that is rounded down, as PyTorch does; 2012 rounds up"},
            ),
            ("(256 − 11) / 4 is no whole number.", "1 + ⌈(n − s) / stride⌉"),
            "The last window hangs over the edge here too.",
        ),
        Exercise(
            "01.1",
            number(
                1 / 64,
                faults={
                    0.25: "that is one layer; the gradient passes three",
                    0.75: "slopes multiply, they do not add",
                },
            ),
            (
                "σ′(z) = σ(z)(1 − σ(z)). Where is it largest?",
                "It is largest at z = 0, where σ = 1/2. The gradient meets one slope per layer.",
            ),
            "At best 1.6% of the gradient passes three sigmoids, before the weights have their say.",
        ),
        Exercise(
            "01.2",
            number(
                89_578,
                tolerance=1e-9,
                faults={
                    89_440: "the biases are missing: one per kernel, one per class",
                    85_098: "the last map is 4×4, not 3×3: 2012 rounds sizes up",
                },
            ),
            (
                "A convolution has kernels × (5·5·input channels + 1) parameters.",
                "Sizes: 32 → 16 → 8 → 4, so the classifier sees 64·4·4 = 1024 numbers.",
            ),
            "The 2012 file gives the same number.",
        ),
        Exercise(
            "01.3",
            same_function(_relu_backward, _backward_cases()),
            (
                "The chain rule: ∂L/∂z = ∂L/∂f · f′(z).",
                "f′(z) is 1 where z > 0 and 0 elsewhere (at 0 the usual choice is 0).",
            ),
            "A gate: it passes the gradient whole or not at all, whatever the size of z.",
        ),
        Exercise(
            "01.4",
            same_function(
                _share_saturated,
                _saturation_cases(),
                faults=[
                    (
                        lambda z: (z.abs() > 2.2).double().mean(),
                        "that counts |z| > 2.2, which is rounded; count where the slope itself is below 0.05",
                    )
                ],
            ),
            (
                "Compute the slope 1 − tanh²(z) of every element first.",
                "(slope < 0.05) is a tensor of truth values; its mean, as a float, is the share.",
            ),
            "Try it on the first layer of the network at both input scales.",
        ),
        Exercise(
            "01.5",
            _judge_counterexample,
            (
                "|tanh| does not only rise: it falls on the left of zero.",
                "Take one negative number that is far from zero and one positive number near it.",
            ),
            "So the order of pooling and activation matters for |tanh|, and for no f that only rises.",
        ),
    )
}
