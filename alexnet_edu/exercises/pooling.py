"""The exercises of notebook 03."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from alexnet_edu.exercises.judge import Exercise, number, same_function


def _odd_maps() -> list[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(3)
    shapes = ((2, 3, 7, 7), (1, 2, 9, 5), (2, 1, 3, 3))
    return [(torch.randn(*shape, generator=generator) - 1,) for shape in shapes]


def _pooled_over_mixed_channels(x: Tensor) -> Tensor:
    columns = F.unfold(x, 3, stride=2)
    height, width = (x.shape[2] - 3) // 2 + 1, (x.shape[3] - 3) // 2 + 1
    return columns.unflatten(1, (9, x.shape[1])).amax(1).unflatten(2, (height, width))


def _judge_rounding(answer: Any) -> str | None:
    """A function of n, z and s: whether rounding up and down give different output sides."""
    if not callable(answer):
        return f"a function is asked for, not {type(answer).__name__}"
    for n in range(2, 31):
        for z in range(1, n + 1):
            for s in range(1, 6):
                got, want = answer(n, z, s), (n - z) % s != 0
                if got is None:
                    return "the function returns nothing"
                if bool(got) != want:
                    steps = f"({n} − {z})/{s} = {(n - z) / s:g}"
                    return f"for n = {n}, z = {z}, s = {s} it says {bool(got)}, but {steps}"
    return None


def _judge_two_averages(answer: Any) -> str | None:
    try:
        kernel = torch.as_tensor(answer, dtype=torch.float64).squeeze()
    except (TypeError, ValueError, RuntimeError):
        return f"a 3×3 tensor is asked for, not {type(answer).__name__}"
    if kernel.shape != (3, 3):
        return f"the kernel has the shape {tuple(kernel.shape)}, it should be (3, 3)"
    row = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)
    want = torch.outer(row, row) / 16
    if torch.allclose(kernel, want, atol=1e-3):
        return None
    if torch.allclose(kernel, torch.full_like(kernel, 1 / 9), atol=1e-3):
        return "that is one average over 3×3; here the pixel in the middle enters more often than a corner"
    if abs(kernel.sum() - 1) > 1e-3:
        return f"the weights of an average sum to 1, these to {kernel.sum():.3g}"
    worst = (kernel - want).abs().argmax().item()
    return f"the weight in row {worst // 3 + 1}, column {worst % 3 + 1} is not right"


EXERCISES = (
    Exercise(
        "03.1",
        number(
            1 + math.ceil((112 - 3) / 2),
            tolerance=1e-9,
            faults={
                55: "that is rounded down; 2012 rounds up",
                55.5: "a side is a whole number: round up",
                38: "that is a stride of 3; it is s = 2",
            },
        ),
        ("1 + ⌈(n − z)/s⌉", "(112 − 3)/2 = 54.5; round it up, then add the first window."),
        "n is even, so z = 2 and z = 3 agree when sizes are rounded up.",
    ),
    Exercise(
        "03.2",
        same_function(
            lambda x: F.max_pool2d(x, 3, 2),
            _odd_maps(),
            faults=[
                (lambda x: F.max_pool2d(x, 2, 2), "that is z = 2; the window is 3×3"),
                (lambda x: F.avg_pool2d(x, 3, 2), "that is the average; the maximum is asked for"),
                (
                    _pooled_over_mixed_channels,
                    "the values of one window lie together within each channel: the second "
                    "dimension of F.unfold is (C, 9), not (9, C)",
                ),
            ],
        ),
        (
            "F.unfold(x, 3, stride=2) is (N, C·9, L): a column holds one window of every channel.",
            "unflatten(1, (C, 9)), then amax(2), which leaves (N, C, L).",
            "L = h·w, row by row: unflatten(2, (h, w)) with h = (H − 3)//2 + 1, and w alike.",
        ),
        "A convolution can be written in the same way, with a product in place of the maximum.",
    ),
    Exercise(
        "03.3",
        number(
            9,
            tolerance=1e-9,
            faults={
                3: "that is along one side; there are rows and columns",
                6.25: "that is the average z²/s²; the largest number is asked for",
                6: "some inputs are seen by 3·2 windows, but others by more",
                4: "that is for z = 3, or for the inputs that are seen least",
                25: "that is for a stride of 1",
            },
        ),
        (
            "Along one side first: a window that sees input i starts at i − 4, i − 3, …, or i.",
            "With s = 2 only even starts exist. How many of five neighbours can be even?",
        ),
        "Along one side 3, 2, 3, 2 …: on average 5/2.",
    ),
    Exercise(
        "03.4",
        _judge_rounding,
        (
            "1 + ⌈x⌉ and 1 + ⌊x⌋ are equal exactly where x is a whole number.",
            "x = (n − z)/s is whole where s divides n − z: look at the remainder (n − z) % s.",
        ),
        "For s = 2: wherever n and z are not both even or both odd. 55, 27 and 13 are odd, like z = 3.",
    ),
    Exercise(
        "03.5",
        _judge_two_averages,
        (
            "In one dimension: the averages are (a + b)/2 and (b + c)/2. What is their average?",
            "(a + 2b + c)/4. In two dimensions rows and columns multiply: torch.outer.",
        ),
        "It weighs the middle most: a blur before the stride is taken.",
    ),
)
