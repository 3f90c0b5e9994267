"""The exercises of notebook 10."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from alexnet_edu.exercises.judge import Function, Judge, Number, normal

DECAY = 0.0005
LEFT = 1 - DECAY * 0.01  # of a weight after one step of decay at ε = 0.01


def _state(seed: int, rate: float) -> tuple[Tensor, ...]:
    """(v, w, g, ε); weights large enough for the decay to be seen."""
    v, w, g = normal(seed, (40, 3), (40, 3), (40, 3), dtype=torch.float64)
    return v, 100 * w, g, torch.tensor(rate)


JUDGES: dict[str, Judge] = {
    "10.1": Number(
        19,
        {
            "that is for a momentum of 0.9; here it is 0.95": 9,
            "that counts the step at the old rate; only what comes after the drop is asked for": 20,
            "that is PyTorch's form, whose velocity shrinks with the rate": 1.9,
            "that is the first step after the drop; sum all of them": 0.95,
        },
        tolerance=1e-3,
    ),
    "10.2": Function(
        lambda v, w, g, rate: 0.9 * v - DECAY * rate * w - rate * g,
        [_state(10, 0.01), _state(11, 0.2)],
        {
            "that is PyTorch's buffer; ε is missing": lambda v, w, g, rate: 0.9 * v + DECAY * w + g,
            "the decay is multiplied by ε as well, in §5": (
                lambda v, w, g, rate: 0.9 * v - DECAY * w - rate * g
            ),
            "the signs are turned round: the velocity is added to the weights": (
                lambda v, w, g, rate: 0.9 * v + DECAY * rate * w + rate * g
            ),
            "the weight decay is missing": lambda v, w, g, rate: 0.9 * v - rate * g,
        },
    ),
    "10.3": Number(
        (2 / 1200) ** 0.5,
        {
            "half of it is lost in ReLU, and a kernel of conv2 sees the 48 maps of its own column, "
            "not all 96: check the factor 2 and the 1200": (2 / 2400) ** 0.5,
            "that is the variance σ²; the standard deviation is asked for": 2 / 1200,
            "that is conv1; a kernel of conv2 reads 5 · 5 · 48 numbers": (2 / 363) ** 0.5,
            "that is 1/σ": (1200 / 2) ** 0.5,
        },
    ),
    "10.4": Number(
        128 * 16,
        {
            "noise falls as 1/√B: four times the images only halve it": 512,
            "noise falls as 1/√B, and it should fall to a quarter": 256,
            "a smaller batch has more noise": 32,
            "a smaller batch has more noise, not a quarter of it": 8,
        },
        tolerance=1e-3,
    ),
    "10.5": Number(
        math.log(0.5) / math.log(1 - DECAY * 0.01 / (1 - 0.9)),
        {
            "that leaves momentum out: every step is repeated 0.9, 0.81, … times, ten steps in all": (
                math.log(0.5) / math.log(LEFT)
            ),
            "that leaves ε out of the decay": math.log(2) / (DECAY * 10),
            "that leaves out ε and momentum": math.log(2) / DECAY,
            "the decay takes a share of what is left: the fall is exponential": 0.5 / (DECAY * 0.01 * 10),
        },
    ),
}
