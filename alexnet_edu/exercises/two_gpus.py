"""The exercises of notebook 05."""

from __future__ import annotations

import torch
from torch import Tensor

from alexnet_edu.exercises.judge import Exercise, number, same_function

_PARAMETERS = 60_965_224  # of the paper's network, see `architecture.count`


def _ungroup(w: Tensor) -> Tensor:
    whole = torch.zeros(len(w), 2 * w.shape[1], *w.shape[2:], dtype=w.dtype)
    half, maps = len(w) // 2, w.shape[1]
    whole[:half, :maps], whole[half:, maps:] = w[:half], w[half:]
    return whole


def _ungroup_cases() -> list[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(5)
    return [(torch.randn(*shape, generator=generator),) for shape in ((6, 4, 3, 3), (2, 1, 1, 1))]


def _exchange_cases() -> list[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(6)
    return [tuple(torch.randn(2, 3, 4, 4, generator=generator) for _ in range(2))]


EXERCISES = (
    Exercise(
        "05.1",
        number(
            4 * 128 * 48 * 27**2,
            tolerance=0.005,
            faults={
                4 * 128 * 96 * 27**2: "that is the whole input; a column sends its own half",
                128 * 48 * 27**2: "those are numbers; each takes four bytes",
                4 * 48 * 27**2: "that is one image; the batch has 128",
                17.9: "give bytes, not megabytes",
            },
        ),
        ("Each column has half of the 96 maps.", "4 bytes · 128 images · 48 maps · 27 · 27 places."),
        "17.9 MB: more than conv3, which sends 11.1 MB.",
    ),
    Exercise(
        "05.2",
        number(
            _PARAMETERS + 256 * 48 * 25 + 384 * 192 * 9 + 256 * 192 * 9,
            tolerance=1e-9,
            faults={
                _PARAMETERS: "that is the paper's network, where conv2, conv4 and conv5 read one column",
            },
        ),
        (
            "A kernel that reads both columns has twice the weights, and one bias as before.",
            "conv2 gains 256·48·25 weights, conv4 384·192·9, conv5 256·192·9.",
        ),
        "2.3% more parameters, but 1.1 billion multiply-adds instead of 724 million.",
    ),
    Exercise(
        "05.3",
        same_function(
            _ungroup,
            _ungroup_cases(),
            faults=[
                (
                    lambda w: torch.cat([w, w], dim=1),
                    "every kernel reads both halves now; it must have zeros for the other column",
                )
            ],
        ),
        (
            "Which weights must be zero, so that a kernel does not see the other half?",
            "The first half of the kernels has zeros behind its weights, the second half before them.",
        ),
        "Grouping is a constraint: half of the weights of an ordinary convolution fixed at zero.",
    ),
    Exercise(
        "05.4",
        number(
            4 * _PARAMETERS / (30.0e6 / 128),
            tolerance=0.02,
            faults={
                4 * _PARAMETERS / (60.0e6 / 128): "60 MB is what both GPUs send together",
                _PARAMETERS / (30.0e6 / 128): "a gradient takes four bytes",
            },
        ),
        ("Columns send 30.0 MB · N / 128.", "Set it equal to 4 · 60,965,224 bytes and solve for N."),
        "Beyond about a thousand images a step data parallelism sends less.",
    ),
    Exercise(
        "05.5",
        same_function(
            lambda own, received: own + received,
            _exchange_cases(),
            faults=[
                (lambda own, received: own, "the other rank read this half, too"),
                (lambda own, received: received, "this rank read its own half, too"),
                (lambda own, received: (own + received) / 2, "gradients of one value add up: no mean"),
            ],
        ),
        ("Two readers of one value: what does the chain rule do?", "It adds what comes through either."),
        "Forgetting one of the two is the usual mistake, and training still seems to work.",
    ),
)
