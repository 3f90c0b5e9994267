"""The judges of notebook 07: right answers in several forms, wrong ones with the reason."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from alexnet_edu.exercises.kernels import FIELDS
from tests.tried import tried


def share(k: Tensor) -> Tensor:
    grey = k.mean(1, keepdim=True).expand_as(k)
    return ((k - grey) ** 2).sum((1, 2, 3)) / (k**2).sum((1, 2, 3))


def frequency(w: Tensor, scale: float = 1.0) -> float:
    power = torch.fft.fft2(w, s=(64, 64)).abs()
    best, found = -1.0, 0.0
    for i, u in enumerate(torch.fft.fftfreq(64).tolist()):
        for j, v in enumerate(torch.fft.fftfreq(64).tolist()):
            if power[i, j] > best * (1 + 1e-9):
                best, found = power[i, j].item(), (u * u + v * v) ** 0.5
    return scale * found


def p_value(own: Tensor, null: Tensor) -> float:
    return (1 + sum(float(d) >= float(own) for d in null)) / (1 + len(null))


def each(k: Tensor) -> Tensor:
    flat = k.flatten(1)
    flat = (flat - flat.mean(1, keepdim=True)) / flat.std(1, unbiased=False, keepdim=True)
    return ((flat - flat.min()) / (flat.max() - flat.min())).view_as(k)


RIGHT: list[tuple[str, Any]] = [
    ("07.1", 99),
    ("07.2", share),
    ("07.3", frequency),
    ("07.4", p_value),
    ("07.5", each),
]
WRONG: list[tuple[str, Any, str]] = [
    ("07.1", 51, "conv2"),
    ("07.1", 131, "conv4"),
    ("07.1", 19, "do not add up"),
    ("07.1", 67, "pooled output"),
    ("07.1", 3, "not pixels"),
    ("07.2", lambda k: 1 - share(k), "grey axis"),
    ("07.2", lambda k: share(k).sqrt(), "lengths"),
    ("07.2", lambda k: 1 - (k.mean(1) ** 2).sum((1, 2)) / (k**2).sum((1, 2, 3)), "three times"),
    ("07.2", lambda k: None, "returns nothing"),
    ("07.3", lambda w: frequency(w, 2 * torch.pi), "radians"),
    ("07.3", lambda w: frequency(w, 64), "cycles in 64 pixels"),
    ("07.3", lambda w: 1 / frequency(w), "wavelength"),
    ("07.4", lambda own, null: (null >= own).double().mean(), "count them as well"),
    ("07.4", lambda own, null: (1 + (null > own).sum()) / (1 + len(null)), "just as far apart"),
    ("07.4", lambda own, null: 1 - p_value(own, null), "smaller ones"),
    ("07.4", 0.03, "a function is asked for"),
    ("07.5", lambda k: (k - k.min()) / (k.max() - k.min()), "one scale for all"),
    ("07.5", lambda k: each(k).flatten(1), "the shape is"),
]


test_right_answers_are_recognised, test_wrong_answers_are_told_why, test_every_exercise_is_tried_both_ways = (
    tried("07", 5, RIGHT, WRONG)
)


def test_the_fields_are_those_of_the_table() -> None:
    assert list(FIELDS.values()) == [11, 51, 99, 131, 163, 224, 224, 224]
    assert list(FIELDS)[2] == "conv3"
