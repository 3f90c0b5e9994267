"""The exercises of notebook 11."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from alexnet_edu.exercises.judge import Function, Judge, as_function, as_tensor
from alexnet_edu.training.predictions import top_errors

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


def _everything_learns(answer: Any) -> str | None:
    """A function that gives a network a new classifier, and an optimizer that moves all of its weights."""
    begin = as_function(answer)
    first = nn.Linear(4, 3)
    net, before = nn.Sequential(first, nn.ReLU(), nn.Linear(3, 10)), first.weight.detach().clone()
    optimizer = begin(net, 5, 0.01)
    if not isinstance(optimizer, torch.optim.Optimizer):
        return "the function must return the optimizer"
    last = net[-1]
    if not isinstance(last, nn.Linear) or last.weight.shape != (5, 3):
        return f"the classifier must read 3 units and give 5 classes, got {last}"
    if not torch.equal(first.weight, before):
        return "the other layers must keep what they have learned"
    moved = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
    if any(id(weight) not in moved for weight in last.parameters()):
        return "the new classifier is not among the optimizer's parameters: it never moves"
    if any(id(weight) not in moved for weight in net.parameters()):
        return "some of the other layers do not learn: fine-tuning moves them, too"
    rates = {group["lr"] for group in optimizer.param_groups}
    return None if rates == {0.01} else f"the rate must be 0.01, got {', '.join(f'{r:g}' for r in rates)}"


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
    "11.4": _everything_learns,
    "11.5": Function(
        lambda b1, b2, c: (b2 - c) / (b1 + b2 - 2 * c),
        [
            tuple(torch.tensor(value) for value in case)
            for case in ((1.0, 1.0, 0.6), (0.5, 0.3, 0.2), (2.0, 1.0, 0.0), (0.4, 0.2, 0.25), (0.2, 0.9, 0.1))
        ],
        {
            "that is the weight of the second": lambda a, b, c: (a - c) / (a + b - 2 * c),
            "that is for mistakes that have nothing in common, C = 0": lambda a, b, c: b / (a + b),
            "the better one gets the larger weight": lambda a, b, c: a / (a + b),
            "w and 1 − w are multiplied in the middle term, which stands there twice": (
                lambda a, b, c: (2 * b - c) / (2 * a + 2 * b - 2 * c)
            ),
            "equal weights are best for equals only": lambda a, b, c: torch.tensor(0.5),
        },
    ),
}
