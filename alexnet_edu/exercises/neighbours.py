"""The exercises of notebook 08."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from alexnet_edu import paper
from alexnet_edu.exercises.judge import Exercise, number, same_function
from alexnet_edu.studies.neighbours import expected_by_batches

CODE_BITS = 256
FLOAT_BITS = 32


def _differing(u: Tensor, v: Tensor) -> Tensor:
    return (u.shape[1] - u @ v.T) / 2


def _signs(rows: int, bits: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randint(0, 2, (rows, bits), generator=generator).double() - 1


def _expected(k: Tensor, batches: Tensor) -> Tensor:
    return torch.tensor(expected_by_batches(int(k), int(batches)), dtype=torch.float64)


def _shared_precision(distances: Tensor, same: Tensor, k: Tensor) -> Tensor:
    last = distances.sort().values[int(k) - 1]
    surely, tied = distances < last, distances == last
    places = int(k) - surely.sum()
    return (same[surely].sum() + places * same[tied].double().mean()) / k


def _first_come(distances: Tensor, same: Tensor, k: Tensor) -> Tensor:
    return same[distances.argsort(stable=True)[: int(k)]].double().mean()


def _all_tied(distances: Tensor, same: Tensor, k: Tensor) -> Tensor:
    return same[distances <= distances.sort().values[int(k) - 1]].double().mean()


def _tied_cases() -> list[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(8)
    distances = torch.randint(0, 6, (40,), generator=generator)
    same = torch.randint(0, 2, (40,), generator=generator).bool()
    equal = torch.full((10,), 3)
    in_order = torch.arange(10) < 2
    return [
        (distances, same, torch.tensor(6)),
        (equal, in_order, torch.tensor(2)),
        (torch.arange(8), torch.arange(8) % 3 == 0, torch.tensor(4)),
    ]


def _share(c: Tensor) -> Tensor:
    return torch.acos(c) / math.pi


def _integers(*pairs: tuple[int, int]) -> list[tuple[Tensor, ...]]:
    return [tuple(torch.tensor(x) for x in pair) for pair in pairs]


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "08.1",
        number(
            paper.FEATURE_LENGTH * FLOAT_BITS / CODE_BITS,
            tolerance=1e-6,
            faults={
                paper.FEATURE_LENGTH / CODE_BITS: "a number of the vector has 32 bits, a bit of the code one",
                paper.FEATURE_LENGTH * 4 / CODE_BITS: "that divides bytes by bits",
                CODE_BITS / (paper.FEATURE_LENGTH * FLOAT_BITS): "the other way round",
            },
        ),
        ("How many bits has a float32 number?", "4096 · 32 bits against 256 bits."),
        "In the small network here the vector has 256 numbers, and the same code saves a factor of 32.",
    ),
    Exercise(
        "08.2",
        same_function(
            _differing,
            [(_signs(4, 32, 0), _signs(7, 32, 1)), (_signs(3, 8, 2), _signs(3, 8, 2))],
            faults=[
                (lambda u, v: u @ v.T, "that is bits that agree minus bits that differ"),
                (lambda u, v: u.shape[1] - u @ v.T, "that counts each bit that differs twice"),
                (lambda u, v: (u.shape[1] + u @ v.T) / 2, "that counts the bits that agree"),
            ],
        ),
        (
            "A product of two signs is +1 where they agree and −1 where they differ.",
            "agree + differ = bits, agree − differ = u · v. Solve for differ.",
        ),
        "So a search among codes can be one matrix product. It is the check on faiss in this project.",
    ),
    Exercise(
        "08.3",
        same_function(
            _expected,
            _integers((16, 1334), (6, 10), (1, 4), (2, 2)),
            faults=[
                (
                    lambda k, b: k * (1 - 1 / b) ** (k - 1),
                    "that counts neighbours alone in their batch; the nearest of a batch is found as well",
                ),
                (
                    lambda k, b: k * (1 - 1 / b),
                    "that lets each neighbour be in the way of one other one; it may be any nearer one",
                ),
                (lambda k, b: 1 - (1 - 1 / b) ** k, "that is the chance that one batch holds any of them"),
                (lambda k, b: (1 - 1 / b) ** k * b, "those are the batches that hold none"),
            ],
        ),
        (
            "Of the true neighbours in a batch just one is found: count the batches that hold at least one.",
            "A batch holds none of the k with the chance (1 − 1/B)^k. There are B batches.",
        ),
        "With 1334 batches it is 15.9 of 16. The short cut cost the authors next to nothing.",
    ),
    Exercise(
        "08.4",
        same_function(
            _shared_precision,
            _tied_cases(),
            faults=[
                (_first_come, "of equal distances that takes those that come first; they should share"),
                (_all_tied, "that counts everything up to the last distance, more than k"),
                (lambda d, s, k: k * _shared_precision(d, s, k), "that is a number of images, not a share"),
            ],
        ),
        (
            "Let d be the k-th smallest distance. What is nearer than d is surely among the k.",
            "The places left go to those at d, each with the same chance: places · their share of `same`.",
        ),
        "With all codes alike it is the share of the class, whatever the order of the images.",
    ),
    Exercise(
        "08.5",
        same_function(
            _share,
            [(torch.tensor([1.0, 0.5, 0.0, -0.5, -1.0], dtype=torch.float64),)],
            faults=[
                (lambda c: (1 - c) / 2, "right at 0°, 90° and 180°, but the chance grows with the angle"),
                (torch.acos, "divide the angle by the largest one"),
                (lambda c: 1 - torch.acos(c) / math.pi, "that is the share of bits that agree"),
                (
                    lambda c: torch.acos(c) / (2 * math.pi),
                    "a plane has two sides: a half turn is all there is",
                ),
            ],
        ),
        (
            "Look at the flat through both vectors: the random plane cuts it in a line of random direction.",
            "The line runs between the vectors in `angle` of π directions; the angle is arccos c.",
        ),
        "So random planes measure angles, and the length of a feature vector does not count.",
    ),
)
