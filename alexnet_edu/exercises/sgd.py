"""The exercises of notebook 10."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from alexnet_edu.exercises.judge import Exercise, number, same_function


def _velocity(v: Tensor, w: Tensor, g: Tensor, rate: Tensor) -> Tensor:
    """§5's velocity."""
    return 0.9 * v - 0.0005 * rate * w - rate * g


def _states() -> list[tuple[Tensor, ...]]:
    """(v, w, g, ε) at two rates; weights large enough for the decay to be seen."""
    generator = torch.Generator().manual_seed(10)
    draws = [torch.randn(3, 40, 3, generator=generator, dtype=torch.float64) for _ in range(2)]
    return [(d[0], 100 * d[1], d[2], torch.tensor(rate)) for d, rate in zip(draws, (0.01, 0.2), strict=True)]


HALVING = math.log(0.5) / math.log(1 - 0.0005 * 0.01 / (1 - 0.9))

EXERCISES = (
    Exercise(
        "10.1",
        number(
            19,
            tolerance=1e-3,
            faults={
                9: "that is for a momentum of 0.9; here it is 0.95",
                20: "that counts the step at the old rate; only what comes after the drop is asked for",
                1.9: "that is PyTorch's form, whose velocity shrinks with the rate",
                0.95: "that is the first step after the drop; sum all of them",
            },
        ),
        (
            "Without gradient and decay the steps after the drop are 0.95 v, 0.95² v, 0.95³ v …",
            "The geometric series: m + m² + m³ + … = m / (1 − m).",
        ),
        "With m = 0.9 it is 9. A larger momentum remembers longer.",
    ),
    Exercise(
        "10.2",
        same_function(
            _velocity,
            _states(),
            faults=[
                (lambda v, w, g, rate: 0.9 * v + 0.0005 * w + g, "that is PyTorch's buffer; ε is missing"),
                (
                    lambda v, w, g, rate: 0.9 * v - 0.0005 * w - rate * g,
                    "the decay is multiplied by ε as well, in §5",
                ),
                (
                    lambda v, w, g, rate: 0.9 * v + 0.0005 * rate * w + rate * g,
                    "the signs are turned round: the velocity is added to the weights",
                ),
                (lambda v, w, g, rate: 0.9 * v - rate * g, "the weight decay is missing"),
            ],
        ),
        ("Three terms: momentum 0.9, decay 0.0005, the gradient.", "v ← 0.9 v − 0.0005 ε w − ε g"),
        "Multiply PyTorch's buffer by −ε and you have it, as long as ε stays as it is.",
    ),
    Exercise(
        "10.3",
        number(
            (2 / 1200) ** 0.5,
            faults={
                (2 / 2400)
                ** 0.5: "half of it is lost in ReLU, and a kernel of conv2 sees the 48 maps of its own "
                "column, not all 96: check the factor 2 and the 1200",
                2 / 1200: "that is the variance σ²; the standard deviation is asked for",
                (2 / 363) ** 0.5: "that is conv1; a kernel of conv2 reads 5 · 5 · 48 numbers",
                1 / 0.0408: "that is 1/σ",
            },
        ),
        ("The gain of a layer after ReLU is √(fan-in / 2) · σ.", "Fan-in of conv2: 5 · 5 · 48."),
        "Four times the paper's 0.01. This is He's rule, three years after the paper.",
    ),
    Exercise(
        "10.4",
        number(
            128 * 16,
            tolerance=1e-3,
            faults={
                512: "noise falls as 1/√B: four times the images only halve it",
                256: "noise falls as 1/√B, and it should fall to a quarter",
                32: "a smaller batch has more noise",
                8: "a smaller batch has more noise",
            },
        ),
        ("The noise of a mean of B independent draws is σ/√B.", "√(B/128) = 4"),
        "Sixteen times the arithmetic for a quarter of the noise: that is why nobody takes all images.",
    ),
    Exercise(
        "10.5",
        number(
            HALVING,
            faults={
                math.log(0.5) / math.log(1 - 0.0005 * 0.01): "that leaves momentum out: every step is "
                "repeated 0.9, 0.81, … times, ten steps in all",
                math.log(2) / (0.0005 * 10): "that leaves ε out of the decay",
                math.log(2) / 0.0005: "that leaves out ε and momentum",
                0.5
                / (0.0005 * 0.01 * 10): "the decay takes a share of what is left: the fall is exponential",
            },
        ),
        (
            "One step of decay takes 0.0005 · ε of the weight; momentum repeats it 1 + 0.9 + 0.81 + … times.",
            "So w shrinks by 0.0005 · 0.01 · 10 = 5·10⁻⁵ a step: after n steps e^(−5·10⁻⁵ n).",
            "e^(−5·10⁻⁵ n) = 1/2 where n = ln 2 / 5·10⁻⁵.",
        ),
        "With batches of 128 an epoch of ILSVRC has about 10,000 steps: one epoch and a half.",
    ),
)
