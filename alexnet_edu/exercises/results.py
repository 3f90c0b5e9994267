"""The exercises of notebook 11."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from alexnet_edu.exercises.judge import Function, Judge, as_tensor
from alexnet_edu.training.predictions import CONTEST_LABELS, top_errors

GENERATOR = torch.Generator().manual_seed(11)
STEPS = torch.randint(1, 5, (40, 6), generator=GENERATOR).double()  # so few values that many tie
SMOOTH = torch.rand(30, 12, generator=GENERATOR, dtype=torch.float64)


def _two_wrong(answer: Any) -> str | None:
    """Two rows of three probabilities, each wrong about class 0, whose mean is right."""
    p = as_tensor(answer, "two rows of three numbers are")
    if p.shape != (2, 3):
        return f"the shape must be (2, 3), got {tuple(p.shape)}"
    if not bool((p >= 0).all()) or not bool(((p.sum(1) - 1).abs() < 1e-6).all()):
        return "each row must be of probabilities that sum to 1"
    for row in (0, 1):
        if p[row, 0] >= p[row, 1:].max():
            return f"network {row + 1} is not wrong: class 0 has its largest probability"
    mean = p.mean(0)
    if mean[0] <= mean[1:].max():
        return f"the average ({', '.join(f'{x:.3f}' for x in mean.tolist())}) is not right about class 0"
    return None


def _shared_error(p: Tensor, labels: Tensor) -> Tensor:
    return top_errors(p, labels, 1).mean()


def _five_labels(p: Tensor) -> Tensor:
    return p.argsort(dim=1, descending=True, stable=True)[:, :CONTEST_LABELS] + 1


JUDGES: dict[str, Judge] = {
    "11.2": Function(
        _shared_error,
        [
            (STEPS, torch.randint(6, (40,), generator=GENERATOR)),
            (SMOOTH, torch.randint(12, (30,), generator=GENERATOR)),
            (torch.full((8, 10), 0.1), torch.arange(8)),
        ],
        {
            "where classes tie, argmax takes the first; they should share": (
                lambda p, y: (p.argmax(1) != y).double().mean()
            ),
            "where classes tie, the label gets all the credit; it should get its share": (
                lambda p, y: (p.gather(1, y[:, None]) < p.max(1, keepdim=True).values).double().mean()
            ),
            "that is the share of right answers": lambda p, y: 1 - _shared_error(p, y),
            "that is the number of wrong images, not their share": lambda p, y: _shared_error(p, y) * len(y),
        },
    ),
    "11.3": _two_wrong,
    "11.4": Function(
        _five_labels,
        [(SMOOTH,), (torch.eye(5),)],
        {
            "the contest counts classes from 1": lambda p: _five_labels(p) - 1,
            "those are the least probable ones": lambda p: _five_labels(-p),
            "the most probable one comes first": lambda p: _five_labels(p).flip(1),
            "the order is that of the probabilities": lambda p: _five_labels(p).sort(1).values,
        },
    ),
    "11.5": Function(
        lambda m, rho: rho + (1 - rho) / m,
        [
            (torch.tensor(m), torch.tensor(rho))
            for m, rho in ((5.0, 0.6), (1.0, 0.3), (10.0, 0.0), (7.0, 1.0), (2.0, 0.5))
        ],
        {
            "that is for networks that have nothing in common, ρ = 0": lambda m, r: 1 / m,
            "of M² pairs M are a network with itself: (1 − ρ)/M": lambda m, r: r + (1 - r) / m**2,
            "divide the sum's variance by M², not the reverse": lambda m, r: (1 + (m - 1) * r) * m,
            "that is the standard deviation": lambda m, r: (r + (1 - r) / m).sqrt(),
            "that is M times too much: a mean, not a sum": lambda m, r: 1 + (m - 1) * r,
        },
    ),
}
