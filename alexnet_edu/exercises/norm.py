"""The exercises of notebook 02."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from alexnet_edu.exercises.judge import Exercise, as_number, number, same_function


def _response_norm(
    a: Tensor, alpha: float = 1e-4, beta: float = 0.75, reach: int = 2, around: bool = False
) -> Tensor:
    """b of §3.3 for a (N, C, H, W). around: the maps are taken for a ring, which they are not."""
    squares, maps = a * a, a.shape[1]
    total = torch.zeros_like(a)
    for shift in range(-reach, reach + 1):
        if around:
            total += squares.roll(shift, dims=1)
        elif abs(shift) < maps:
            low, high = max(0, shift), min(maps, maps + shift)
            total[:, low - shift : high - shift] += squares[:, low:high]
    return a / (2 + alpha * total) ** beta


def _within_one_map(a: Tensor) -> Tensor:
    sums = 25 * torch.nn.functional.avg_pool2d(a * a, 5, stride=1, padding=2)
    return a / (2 + 1e-4 * sums) ** 0.75


def _activity_cases() -> list[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(2)
    shapes = ((2, 8, 5, 6), (1, 3, 5, 5), (2, 32, 6, 5))
    return [(100 * torch.randn(shape, generator=generator).relu(),) for shape in shapes]


def _judge_order_of_relu(answer: Any) -> str | None:
    if isinstance(answer, str) or not isinstance(answer, Sequence | Tensor):
        return f"a list of numbers is asked for, such as [1.0, 2.0], not {answer!r}"
    values = [as_number(z) for z in answer]
    if not values:
        return "the list is empty"
    z = torch.tensor(values, dtype=torch.float64).reshape(1, -1, 1, 1)
    paper, code = _response_norm(z.relu()), _response_norm(z).relu()
    if not torch.allclose(paper, code, rtol=1e-9, atol=0):
        return None
    if (z > 0).all():
        return "where all are positive ReLU changes nothing, so its place does not matter"
    if (z <= 0).all():
        return "where none is positive both orders give 0"
    return "both orders give the same: no negative number lies within two maps of a positive one"


EXERCISES = (
    Exercise(
        "02.1",
        same_function(
            _response_norm,
            _activity_cases(),
            faults=[
                (
                    lambda a: _response_norm(a, alpha=1e-4 / 5),
                    "that is α/n times the sum, as in the 2012 code; the paper prints α times it",
                ),
                (
                    lambda a: _response_norm(a, around=True),
                    "the first and the last maps are no neighbours: the sum ends there",
                ),
                (_within_one_map, "the neighbours are maps, the same place in each, not places"),
                (lambda a: _response_norm(a, reach=1), "n = 5 maps: two on either side of map i"),
                (lambda a: _response_norm(a, beta=1.0), "the power β = 0.75 is missing"),
            ],
        ),
        (
            "Square, and pad the dimension of the maps by two zeros on either side: "
            "F.pad(a**2, (0, 0, 0, 0, 2, 2)).",
            "Five slices of the padded squares, each C maps long, one map apart; add them up.",
        ),
        "No loop over units: five additions of whole tensors, whatever the number of maps.",
    ),
    Exercise(
        "02.2",
        number(
            7**-0.75,
            faults={
                100 * 7**-0.75: "that is b itself; the factor is b/a",
                3**-0.75: "that is α/n times the sum, as in the 2012 code",
                5**-0.75: "k = 2 is missing in the base",
                2.2**-0.75: "the activities are to be squared, and all five counted",
                7.0: "that is the base; it stands below, to the power 0.75",
                1 / 7: "the power β = 0.75 is missing",
            },
        ),
        (
            "The five squares add up to 5 · 100² = 50,000.",
            "The base is 2 + 0.0001 · 50,000 = 7. What is 7 to the power −0.75?",
        ),
        "Where all is quiet the factor is 0.595, so these five hold each other to 39% of it.",
    ),
    Exercise(
        "02.3",
        number(
            5e-4,
            faults={
                1e-4: "with that it computes what the 2012 code did: a fifth of the paper's sum",
                2e-5: "it divides by n, so α must grow to make up for it",
            },
        ),
        (
            "torch.nn.LocalResponseNorm multiplies the sum by alpha / size.",
            "alpha / 5 = 0.0001",
        ),
        "Copying α = 0.0001 into PyTorch gives the network that was run, not the one that was printed.",
    ),
    Exercise(
        "02.4",
        _judge_order_of_relu,
        (
            "If ReLU comes first, negative numbers are gone from the sum; if normalization comes first, "
            "they are squared.",
            "One negative number beside a positive one is enough.",
        ),
        "A negative neighbour inhibits only where normalization comes first, as in the authors' layer 1.",
    ),
    Exercise(
        "02.5",
        number(
            math.sqrt(2 * (2 ** (4 / 3) - 1) / 5e-4),
            faults={
                2 * (2 ** (4 / 3) - 1) / 5e-4: "that is the mean square; take its root",
                math.sqrt(2 / 5e-4): "there the base has doubled, which makes a factor of 2^−0.75 = 0.595",
                math.sqrt(2 * (2 ** (4 / 3) - 1) / 1e-4): "that is α/n times the sum, as in the 2012 code",
                math.sqrt((2 ** (4 / 3) - 2) / 5e-4): "there b is half of a; it is compared with quiet "
                "neighbours, where b is 0.595 a",
            },
        ),
        (
            "With five activities of root mean square r in the window the sum is 5 r².",
            "Solve ((2 + 0.0005 r²) / 2)^0.75 = 2: the base becomes 2^(4/3) = 2.52 times as large.",
        ),
        "In the first layer of notebook 02, on standardized inputs, nothing comes near it.",
    ),
    # 03 overlapping pooling
)
