"""The exercises of notebook 09."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from alexnet_edu.exercises.judge import Exercise, as_number, number, same_function

UNITS = 2 * 4096  # in the two layers that are dropped out
DIGITS = math.floor(UNITS * math.log10(2)) + 1


def _several_logits() -> list[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(9)
    return [(3 * torch.randn(m, k, generator=generator),) for m, k in ((2, 3), (5, 4), (1, 2))]


def _geometric(logits: Tensor) -> Tensor:
    return logits.log_softmax(1).mean(0).softmax(0)


def _noise_cases() -> list[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(4)
    cases: list[tuple[Tensor, ...]] = []
    for n, keep in ((6, 0.5), (9, 0.8), (1, 0.3)):
        w, h = torch.randn(2, n, generator=generator, dtype=torch.float64)
        cases.append((w, h, torch.tensor(keep, dtype=torch.float64)))
    return cases


def _noise(w: Tensor, h: Tensor, keep: Tensor) -> Tensor:
    return keep * (1 - keep) * (w * h).square().sum()


def _judge_one_unit(answer: Any) -> str | None:
    """A weight w: two thinned networks with the probabilities σ(0) and σ(w), halved σ(w/2)."""
    w = as_number(answer)

    def sigma(z: float) -> float:
        return 0.5 * (1 + math.tanh(z / 2))

    halved, average = sigma(w / 2), (sigma(0) + sigma(w)) / 2
    if abs(halved - average) >= 0.2:
        return None
    return f"for w = {w:g} the halved network says {halved:.3f} and the average is {average:.3f}"


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "09.1",
        number(
            DIGITS,
            tolerance=1e-9,
            faults={
                math.floor(UNITS / 2 * math.log10(2)) + 1: "that is one of the two layers",
                DIGITS - 1: "2ⁿ = 10^(n log₁₀ 2) has one digit more than the whole part of the exponent",
                UNITS: "that is the number of units; asked for are the digits of 2 to this power",
            },
        ),
        ("Two layers of 4096 units: 2^8192 masks.", "10^x has ⌊x⌋ + 1 digits, and 2^n = 10^(n log₁₀ 2)."),
        "In 90 epochs of 1.2 million images training draws about 10⁸ masks: a vanishing part of them.",
    ),
    Exercise(
        "09.2",
        same_function(
            _geometric,
            _several_logits(),
            faults=[
                (lambda z: z.softmax(1).mean(0), "that is the arithmetic mean of the distributions"),
                (lambda z: z.log_softmax(1).mean(0), "these are logarithms, and not yet divided by the sum"),
                (
                    lambda z: z.log_softmax(1).mean(0).exp(),
                    "that is the geometric mean, but it does not sum to 1: divide by the sum",
                ),
                (lambda z: z.sum(0).softmax(0), "that is the product, not its M-th root"),
            ],
        ),
        (
            "The logarithm of a geometric mean is the mean of the logarithms.",
            "log_softmax gives the logarithms; softmax of their mean exponentiates and renormalizes.",
            "What log_softmax subtracts is the same for all classes: the mean of the logits does as well.",
        ),
        "The normalizing constants of the networks drop out: it is softmax of the mean logits.",
    ),
    Exercise(
        "09.3",
        number(
            0.8**-2,
            faults={
                1.25: "that is the factor of the weights; the gradient of larger weights is smaller, too",
                0.64: "that is the other way round: asked for is the rate of 2012 over the other",
                4: "that is for keep 0.5",
                0.8: "the weights of 2012 are larger: by 1/0.8, not 0.8",
            },
        ),
        (
            "W = W′/p gives equal outputs: p cancels against the inverted form's 1/p.",
            "∂L/∂W = p ∂L/∂W′, for the inputs that W reads are p times as large.",
            "ΔW must be ΔW′/p: ε p = ε′/p.",
        ),
        "ε = ε′/p². For p = 0.5 that is the factor 4.",
    ),
    Exercise(
        "09.4",
        same_function(
            _noise,
            _noise_cases(),
            faults=[
                (
                    lambda w, h, keep: (1 - keep) / keep * (w * h).square().sum(),
                    "that is the inverted form, where a kept unit counts 1/p",
                ),
                (lambda w, h, keep: keep * (w * h).square().sum(), "that is the mean of the square"),
                (
                    lambda w, h, keep: keep * (1 - keep) * (w * h).sum().square(),
                    "the masks of the units are independent: their variances add, not their deviations",
                ),
                (
                    lambda w, h, keep: (keep * (1 - keep)).sqrt() * (w * h).square().sum().sqrt(),
                    "that is the standard deviation; the variance is asked for",
                ),
            ],
        ),
        (
            "One unit: m is 1 with probability p, else 0. What is the variance of m, then of m·w·h?",
            "Var(m) = p − p² = p (1 − p), and a factor comes out squared. Independent variances add.",
        ),
        "Large single terms w·h make the sum noisy: training with dropout rewards many small ones.",
    ),
    Exercise(
        "09.5",
        _judge_one_unit,
        (
            "σ(w/2) against (½ + σ(w))/2: what becomes of each for a very large w?",
            "For large w the first goes to 1, the second to 3/4.",
        ),
        "The halved network is surer than the average of the two. It is exactly their geometric mean.",
    ),
)
