"""The exercises of notebooks 00 and 01."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from alexnet_edu.exercises.judge import Exercise, as_number, number, same_function


def _grey_levels() -> list[tuple[Tensor, ...]]:
    return [(torch.linspace(-5, 5, 41),), (torch.tensor([0.0, 2.5]),)]


def _judge_largest_input(answer: Any) -> str | None:
    z = as_number(answer)
    slope = 1 - math.tanh(z) ** 2
    if z <= 0:
        return "give the positive input"
    if abs(slope - 0.05) < 0.003:  # 2.16 to 2.21: as well as a plot can be read
        return None
    return f"there the slope is {slope:.3f}, not 0.05"


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
    a, b = (as_number(x) for x in answer)
    before, after = max(abs(math.tanh(a)), abs(math.tanh(b))), abs(math.tanh(max(a, b)))
    if math.isclose(before, after, rel_tol=1e-6):
        return f"for {a:g} and {b:g} both orders give {after:.4f}"
    return None


EXERCISES = (
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
    # 02 local response normalization
)
