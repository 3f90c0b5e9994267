"""The exercises of notebook 04."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from alexnet_edu.exercises.judge import Exercise, number, same_function


def _recolor(images: Tensor, p: Tensor, s: Tensor, alpha: Tensor) -> Tensor:
    return images + ((alpha * s) @ p.T)[:, :, None, None]


def _recolor_cases() -> list[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(4)
    found: list[tuple[Tensor, ...]] = []
    for count, height, width in ((2, 3, 5), (3, 4, 4), (1, 1, 1)):
        p = torch.linalg.qr(torch.randn(3, 3, generator=generator))[0]
        s = torch.tensor([60.0, 16.0, 8.0])
        alpha = 0.1 * torch.randn(count, 3, generator=generator)
        found.append((255 * torch.rand(count, 3, height, width, generator=generator), p, s, alpha))
    return found


def _ten(images: Tensor, size: int, order: tuple[int, ...] = (0, 1, 2, 3, 4)) -> Tensor:
    down, right = images.shape[2] - size, images.shape[3] - size
    places = ((0, 0), (0, right), (down // 2, right // 2), (down, 0), (down, right))
    five = torch.stack(
        [images[:, :, t : t + size, s : s + size] for t, s in (places[i] for i in order)], dim=1
    )
    return torch.cat([five, five.flip(4)], dim=1)


def _judge_ten_patches(answer: Any) -> str | None:
    images = torch.arange(2 * 3 * 7 * 9, dtype=torch.float32).view(2, 3, 7, 9)
    for size in (4, 7, 1):
        faults = [
            (lambda x, n=size: _ten(x, n, (2, 0, 1, 3, 4)), "the centre stands third, not first"),
            (lambda x, n=size: _ten(x, n, (0, 1, 3, 4, 2)), "the centre stands third, not last"),
            (lambda x, n=size: _ten(x, n).flip(4), "the mirrored patches come last, not first"),
            (
                lambda x, n=size: _ten(x, n).unflatten(1, (2, 5)).transpose(1, 2).flatten(1, 2),
                "the five come first, then the mirrored five; not in pairs",
            ),
            (
                lambda x, n=size: torch.cat([_ten(x, n)[:, :5], _ten(x, n)[:, :5].flip(3)], 1),
                "left and right change places in a mirror, not top and bottom",
            ),
        ]
        judge = same_function(lambda x, n=size: _ten(x, n), [(images,)], faults)
        fault = judge((lambda x, n=size: answer(x, n)) if callable(answer) else answer)
        if fault is not None:
            return fault
    return None


def _covariances() -> list[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(5)
    points = [torch.randn(3, 50, generator=generator, dtype=torch.float64) for _ in range(3)]
    return [(x @ x.T / 50 + torch.eye(3, dtype=torch.float64) * 0.1,) for x in points]


def _symmetric_root(c: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(c)
    return (vectors * values.sqrt()) @ vectors.T


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "04.1",
        number(
            30 * 30 * 2,
            tolerance=1e-9,
            faults={
                29 * 29 * 2: "the first place is pixel 0 and the last one pixel 29: count both",
                30 * 30: "each crop occurs mirrored as well",
            },
        ),
        (
            "How many places does a window of 227 have along a side of 256?",
            "256 − 227 + 1, squared, times 2.",
        ),
        "Fewer than with 224, and one of the ways to get 55 places in conv1.",
    ),
    Exercise(
        "04.2",
        number(
            0.1 * 0.2175**0.5 * 255,
            faults={
                0.1 * 0.2175 * 255: "that is λ of pixels 0–1; the standard deviation is its root",
                0.1 * 0.2175 * 255**2: "that is λ of pixels 0–255; the standard deviation is its root",
                0.2175**0.5
                * 255: "that is the strength; α multiplies it, and has a standard deviation of 0.1",
                0.1 * 0.2175**0.5: "that is on the scale of 0–1",
            },
        ),
        ("A variance has the unit of the value squared: what is its root?", "0.1 · √0.2175, times 255."),
        "A visible change of light, and far from a white sheet.",
    ),
    Exercise(
        "04.3",
        same_function(
            _recolor,
            _recolor_cases(),
            faults=[
                (
                    lambda x, p, s, a: x + ((a * s) @ p)[:, :, None, None],
                    "the eigenvectors are the columns of P; you took the rows",
                ),
                (lambda x, p, s, a: x + (a @ p.T)[:, :, None, None], "the strengths s are missing"),
                (
                    lambda x, p, s, a: x + ((a * s.square()) @ p.T)[:, :, None, None],
                    "s is the strength already: it is neither squared nor rooted",
                ),
            ],
        ),
        (
            "For one image the shift is P (α ∘ s), three numbers.",
            "For a batch of rows α: (alpha * s) @ P.T is (N, 3). Then add two dimensions of size 1.",
        ),
        "Three numbers an image: that is why it costs next to nothing.",
    ),
    Exercise(
        "04.4",
        _judge_ten_patches,
        (
            "Make a list of five (top, left), stack the five crops along a new dimension 1.",
            "The mirrored five are the same tensor flipped along its last dimension.",
        ),
        "In the order of the authors' code; the average does not care.",
    ),
    Exercise(
        "04.5",
        same_function(
            torch.linalg.cholesky,
            _covariances(),
            faults=[
                (_symmetric_root, "A Aᵀ = C holds, but A is not lower triangular"),
                (lambda c: torch.linalg.cholesky(c).T, "that is the transpose: upper triangular"),
                (lambda c: c, "C Cᵀ is not C"),
            ],
        ),
        ("A factorization with a triangular matrix and its transpose has a name.", "torch.linalg.cholesky."),
        "So the eigenvectors are a choice, not a necessity, once s² = λ. With s = λ they are needed.",
    ),
)
