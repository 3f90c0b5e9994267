"""The exercises of notebook 11."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from alexnet_edu.exercises.judge import Exercise, Fault, number, same_function
from alexnet_edu.training.predictions import CONTEST_LABELS, top_errors

TEST_IMAGES = 150_000
WITH_TEN, WITH_CENTRE = (0.374727, 0.169987), (0.390247, 0.182953)  # run 145-2010, top-1 and top-5


def _fewer(with_ten: float, with_centre: float, images: int = TEST_IMAGES) -> float:
    return round((with_centre - with_ten) * images)


def _judge_two_wrong(answer: Any) -> str | None:
    """Two rows of three probabilities, each wrong about class 0, whose mean is right."""
    p = _two_rows(answer)
    if not bool((p >= 0).all()) or not bool(((p.sum(1) - 1).abs() < 1e-6).all()):
        return "each row must be of probabilities that sum to 1"
    for row in (0, 1):
        if p[row, 0] >= p[row, 1:].max():
            return f"network {row + 1} is not wrong: class 0 has its largest probability"
    mean = p.mean(0)
    if mean[0] <= mean[1:].max():
        return f"the average ({', '.join(f'{x:.3f}' for x in mean.tolist())}) is not right about class 0"
    return None


def _two_rows(answer: Any) -> Tensor:
    try:
        p = torch.as_tensor(answer, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise Fault(f"two rows of three numbers are asked for, not {answer!r}") from None
    if p.shape != (2, 3):
        raise Fault(f"the shape must be (2, 3), got {tuple(p.shape)}")
    return p


def _shared(p: Tensor, labels: Tensor) -> Tensor:
    return top_errors(p, labels, 1).mean()


def _tied_cases() -> list[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(11)
    steps = torch.randint(1, 5, (40, 6), generator=generator).double()  # so few values that many tie
    smooth = torch.rand(30, 4, generator=generator, dtype=torch.float64)
    return [
        (steps / steps.sum(1, keepdim=True), torch.randint(6, (40,), generator=generator)),
        (smooth / smooth.sum(1, keepdim=True), torch.randint(4, (30,), generator=generator)),
        (torch.full((8, 10), 0.1, dtype=torch.float64), torch.arange(8)),
    ]


def _five_labels(p: Tensor) -> Tensor:
    return p.argsort(dim=1, descending=True, stable=True)[:, :CONTEST_LABELS].double() + 1


def _variance(m: Tensor, rho: Tensor) -> Tensor:
    return rho + (1 - rho) / m


def _scalars(*pairs: tuple[float, float]) -> list[tuple[Tensor, ...]]:
    return [tuple(torch.tensor(x, dtype=torch.float64) for x in pair) for pair in pairs]


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "11.1",
        number(
            _fewer(WITH_TEN[0], WITH_CENTRE[0]),
            tolerance=2e-4,
            faults={
                _fewer(
                    0.375, 0.390
                ): "the rounded rates of the paper lose some images: take those of the notes",
                _fewer(
                    WITH_TEN[0], WITH_CENTRE[0], 50_000
                ): "2010 had 150,000 test images; 50,000 are validation",
                _fewer(WITH_TEN[1], WITH_CENTRE[1]): "that is for the top-5 error",
                WITH_TEN[0] * TEST_IMAGES: "that is how many stay wrong",
            },
        ),
        ("What is the difference of the two top-1 rates?", "(0.390247 − 0.374727) · 150,000."),
        "Net: others that the centre had right go wrong. No training was needed for it.",
    ),
    Exercise(
        "11.2",
        same_function(
            _shared,
            _tied_cases(),
            faults=[
                (
                    lambda p, y: (p.argmax(1) != y).double().mean(),
                    "where classes tie, argmax takes the first; they should share",
                ),
                (
                    lambda p, y: (p.gather(1, y[:, None]) < p.max(1, keepdim=True).values).double().mean(),
                    "where classes tie, the label gets all the credit; it should get its share",
                ),
                (lambda p, y: 1 - _shared(p, y), "that is the share of right answers"),
                (lambda p, y: _shared(p, y) * len(y), "that is the number of wrong images, not their share"),
            ],
        ),
        (
            "p.max(1) is the largest probability of each image. How many classes have it?",
            "If the label is among t classes that have it, the image counts 1 − 1/t; otherwise 1.",
        ),
        "With all ten classes alike the error is 90%, whichever class comes first.",
    ),
    Exercise(
        "11.3",
        _judge_two_wrong,
        (
            "Let class 0 be the close second of both networks.",
            "Their first choices must be different classes: one says 1, the other says 2.",
        ),
        "Both were nearly right, and wrong in different ways. That is what averaging lives on.",
    ),
    Exercise(
        "11.4",
        same_function(
            _five_labels,
            [
                (torch.rand(6, 12, generator=torch.Generator().manual_seed(4), dtype=torch.float64),),
                (torch.eye(5, dtype=torch.float64),),
            ],
            faults=[
                (lambda p: _five_labels(p) - 1, "the contest counts classes from 1"),
                (lambda p: _five_labels(-p), "those are the least probable ones"),
                (lambda p: _five_labels(p).flip(1), "the most probable one comes first"),
                (lambda p: _five_labels(p).sort(1).values, "the order is that of the probabilities"),
            ],
        ),
        ("torch.topk, or argsort with descending=True.", "Classes are numbered from 1. Of equals the first."),
        "So `txt-preds.py` wrote a line for each of the test images.",
    ),
    Exercise(
        "11.5",
        same_function(
            _variance,
            _scalars((5, 0.6), (1, 0.3), (10, 0.0), (7, 1.0), (2, 0.5)),
            faults=[
                (lambda m, r: 1 / m, "that is for networks that have nothing in common, ρ = 0"),
                (lambda m, r: r + (1 - r) / m**2, "of M² pairs M are a network with itself: (1 − ρ)/M"),
                (lambda m, r: (1 + (m - 1) * r) * m, "divide the sum's variance by M², not the reverse"),
                (lambda m, r: (r + (1 - r) / m).sqrt(), "that is the standard deviation"),
                (lambda m, r: 1 + (m - 1) * r, "that is M times too much: a mean, not a sum"),
            ],
        ),
        (
            "The variance of a sum is the sum of all M² covariances: M are σ², the others ρσ².",
            "(M σ² + M (M − 1) ρ σ²) / M², divided by σ².",
        ),
        "However many networks are averaged, ρ is left over. Five get most of what there is.",
    ),
)
