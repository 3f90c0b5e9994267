"""The judges of notebook 09: right answers in several forms, wrong ones with the reason."""

from __future__ import annotations

import math
from typing import Any

import torch

from tests.tried import tried

RIGHT: list[tuple[str, Any]] = [
    ("09.1", len(str(2**8192))),
    ("09.1", "2467"),
    ("09.2", lambda z: z.mean(0).softmax(0)),
    ("09.2", lambda z: z.softmax(1).log().mean(0).exp() / z.softmax(1).log().mean(0).exp().sum()),
    ("09.3", 1 / 0.64),
    ("09.3", 1.56),
    ("09.4", lambda w, h, keep: keep * (1 - keep) * ((w * h) ** 2).sum()),
    ("09.4", lambda w, h, keep: (keep - keep**2) * torch.dot(w**2, h**2)),
    ("09.5", 10),
    ("09.5", torch.tensor(-12.0)),
]
WRONG: list[tuple[str, Any, str]] = [
    ("09.1", 1234, "one of the two layers"),
    ("09.1", 2466, "one digit more"),
    ("09.1", 8192, "number of units"),
    ("09.1", 2500, "too large"),
    ("09.2", lambda z: z.softmax(1).mean(0), "arithmetic mean"),
    ("09.2", lambda z: z.log_softmax(1).mean(0), "logarithms"),
    ("09.2", lambda z: z.log_softmax(1).mean(0).exp(), "does not sum to 1"),
    ("09.2", lambda z: z.sum(0).softmax(0), "the product"),
    ("09.2", lambda z: z.softmax(1), "the shape is"),
    ("09.2", lambda z: None, "returns nothing"),
    ("09.3", 1.25, "factor of the weights"),
    ("09.3", 0.64, "other way round"),
    ("09.3", 4, "keep 0.5"),
    ("09.3", 0.8, "are larger"),
    ("09.3", 3, "too large"),
    ("09.4", lambda w, h, keep: (1 - keep) / keep * (w * h).square().sum(), "inverted form"),
    ("09.4", lambda w, h, keep: keep * (w * h).square().sum(), "mean of the square"),
    ("09.4", lambda w, h, keep: keep * (1 - keep) * (w * h).sum() ** 2, "independent"),
    (
        "09.4",
        lambda w, h, keep: torch.sqrt(keep * (1 - keep) * (w * h).square().sum()),
        "standard deviation",
    ),
    ("09.4", 0.25, "a function is asked for"),
    ("09.5", 1, "for w = 1 the halved network says 0.622 and the average is 0.616"),
    ("09.5", "large", "a number is asked for"),
    ("09.5", math.inf, "a finite number"),
]


test_right_answers_are_recognised, test_wrong_answers_are_told_why, test_every_exercise_is_tried_both_ways = (
    tried("09", 5, RIGHT, WRONG)
)
