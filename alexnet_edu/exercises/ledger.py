"""The exercises of notebook 13."""

from __future__ import annotations

import math

from alexnet_edu.exercises.judge import Function, Judge

JUDGES: dict[str, Judge] = {
    "13.3": Function(
        lambda mean, low, high: 1.0 if high < 0 else 0.5 if mean < 0 else 0.0,
        [(-1.0, -2.0, -0.1), (-1.0, -2.0, 0.5), (1.0, 0.2, 2.0), (0.5, -0.5, 1.5)],
        {
            "the mean alone is not enough for 1": lambda mean, low, high: 1.0 if mean < 0 else 0.0,
            "A is better where the difference A − B lies below 0": (
                lambda mean, low, high: 1.0 if low > 0 else 0.5 if mean > 0 else 0.0
            ),
        },
    ),
    "13.4": Function(
        lambda s, g: math.ceil((1.96 * s / g) ** 2),
        [(0.5, 0.4), (1.0, 0.3), (0.2, 1.0)],
        {
            "the mean of m pairs has the standard deviation s / √m, so m goes with the square": (
                lambda s, g: math.ceil(1.96 * s / g)
            ),
            "a part of a pair cannot be trained: round up": lambda s, g: (1.96 * s / g) ** 2,
        },
    ),
}
