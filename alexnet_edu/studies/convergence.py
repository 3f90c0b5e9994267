"""Where a falling curve gets to a level; how many epochs a run needs.

Curves are those of a record: "epoch", "train_error", "test_error" (0–1), … as lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from alexnet_edu.studies.statistics import crossing as crossing
from alexnet_edu.studies.statistics import first_near_best

Curve = Mapping[str, Sequence[float]]


def epochs_to(curve: Curve, level: float, what: str = "train_error") -> float | None:
    """The epoch at which an error first is at or below `level`, linear between two points; None if never."""
    if not 0 <= level <= 1:
        raise ValueError(f"an error is a share from 0 to 1, got {level!r}")
    return crossing(curve["epoch"], curve[what], level)


def epochs_to_best(curve: Curve, slack: float = 0.0, what: str = "test_error") -> float:
    """The first epoch at which an error is no more than `slack` (0–1) above its lowest value."""
    if not 0 <= slack <= 1:
        raise ValueError(f"slack is a difference of errors from 0 to 1, got {slack!r}")
    return first_near_best(curve["epoch"], curve[what], slack)


def ratios(
    slow: Mapping[str, Any], fast: Mapping[str, Any], epochs: Callable[[Curve], float | None]
) -> list[float | None]:
    """epochs(slow) / epochs(fast) for each seed; None where one of the two never gets there.

    slow, fast: cells of a record with the same seeds: a seed draws the same images, the same
    order and, for networks of one size, the same weights, so runs belong together in pairs.
    """
    pairs = zip(slow["runs"], fast["runs"], strict=True)
    found: list[float | None] = []
    for a, b in pairs:
        if a["seed"] != b["seed"]:
            raise ValueError(f"runs of the same seed are compared, got {a['seed']} and {b['seed']}")
        times = epochs(a["curve"]), epochs(b["curve"])
        found.append(None if times[0] is None or times[1] is None else times[0] / times[1])
    return found
