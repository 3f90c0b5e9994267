"""The exercises of notebook 02."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from alexnet_edu.exercises.judge import Function, Judge, as_number, normal
from alexnet_edu.model.layers import local_response_norm, map_response_norm


def _in_a_ring(a: Tensor) -> Tensor:
    return a / (2 + 1e-4 * torch.stack([(a * a).roll(j, 1) for j in range(-2, 3)]).sum(0)) ** 0.75


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
    "02.1": Function(
        local_response_norm,
        [(100 * a.relu(),) for a in normal(2, (2, 8, 5, 6), (1, 3, 5, 5), (2, 32, 6, 5))],
        {
            "that is α/n times the sum, as in the 2012 code; the paper prints α times it": (
                lambda a: local_response_norm(a, convention="code")
            ),
            "the first and the last maps are no neighbours: the sum ends there": _in_a_ring,
            "the neighbours are maps, the same place in each, not places": (
                lambda a: map_response_norm(a, 5, k=2.0, alpha=25e-4)
            ),
            "n = 5 maps: two on either side of map i": lambda a: local_response_norm(a, n=3),
            "the power β = 0.75 is missing": lambda a: local_response_norm(a, beta=1.0),
        },
    ),
    "02.4": _order_of_relu,
}
