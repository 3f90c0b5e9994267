"""The exercises of notebook 02."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from alexnet_edu.exercises.judge import Function, Judge, as_number, as_tensor, normal
from alexnet_edu.model.layers import local_response_norm


def _along_a_row(a: Tensor) -> Tensor:
    """The colleague's function of exercise 02.2: the neighbours are places in a row."""
    squares = F.pad(a**2, (2, 2))
    total = torch.stack([squares[..., j : j + a.shape[-1]] for j in range(5)]).sum(0)
    return a / (2 + 1e-4 * total) ** 0.75


def _shows_the_bug(answer: Any) -> str | None:
    a = as_tensor(answer, "a tensor (N, C, H, W) is")
    if a.dim() != 4 or not a.numel():
        return f"the shape is {tuple(a.shape)}, it should be (N, C, H, W)"
    if not a.isfinite().all():
        return "every activity should be a finite number"
    right, wrong = local_response_norm(a), _along_a_row(a)
    if not torch.allclose(wrong, right, rtol=0.01):
        return None
    if a.abs().max() < 30:
        return "the test passes: α Σ a² is so far below k = 2 that both only multiply by 0.595"
    return "the test passes: the five maps and the five places around each unit hold the same squares"


def _gradient(g: Tensor, a: Tensor) -> Tensor:
    a = a.detach().requires_grad_()
    return torch.autograd.grad(local_response_norm(a), a, g)[0]


def _constant_base(g: Tensor, a: Tensor) -> Tensor:
    return g * local_response_norm(a) / a.where(a != 0, torch.ones_like(a))


def _own_base(g: Tensor, a: Tensor) -> Tensor:
    """As if a map stood in its own base alone."""
    total = torch.stack([F.pad(a**2, (0, 0, 0, 0, 2, 2))[:, j : j + a.shape[1]] for j in range(5)]).sum(0)
    d = 2 + 1e-4 * total
    return g * d**-0.75 - 1.5e-4 * a**2 * g * d**-1.75


def _order_of_relu(answer: Any) -> str | None:
    if isinstance(answer, str) or not isinstance(answer, Sequence | Tensor):
        return f"a list of numbers is asked for, such as [1.0, 2.0], not {answer!r}"
    values = [as_number(z) for z in answer]
    if not values:
        return "the list is empty"
    z = torch.tensor(values, dtype=torch.float64).reshape(1, -1, 1, 1)
    paper, code = local_response_norm(z.relu()), local_response_norm(z).relu()
    if not torch.allclose(paper, code, rtol=1e-9, atol=0):
        return None
    if (z > 0).all():
        return "where all are positive ReLU changes nothing, so its place does not matter"
    if (z <= 0).all():
        return "where none is positive both orders give 0"
    return "both orders give the same: no negative number lies within two maps of a positive one"


JUDGES: dict[str, Judge] = {
    "02.2": _shows_the_bug,
    "02.4": _order_of_relu,
    "02.5": Function(
        _gradient,
        [
            (normal(3, shape, dtype=torch.float64)[0], 100 * normal(4, shape, dtype=torch.float64)[0].abs())
            for shape in ((2, 8, 5, 6), (1, 3, 4, 4))
        ],
        {
            "the base depends on a, too": _constant_base,
            "a stands in the bases of its neighbours as well": _own_base,
        },
    ),
}
