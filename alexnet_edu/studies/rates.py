"""The grid on which learning rates are searched: 1, 2 and 5 times a power of ten."""

from __future__ import annotations

import math

RATE_STEPS = (1.0, 2.0, 5.0)


def next_rate(rate: float, steps: int) -> float:
    """The rate `steps` places up (or down) the grid … 0.001, 0.002, 0.005, 0.01 …"""
    decade = math.floor(math.log10(rate) + 1e-9)
    mantissa = rate / 10**decade
    place = min(range(3), key=lambda i: abs(RATE_STEPS[i] - mantissa))
    if abs(RATE_STEPS[place] - mantissa) > 1e-6 * mantissa:
        raise ValueError(f"learning rate {rate!r} is not on the grid 1, 2, 5 × a power of ten")
    up, place = divmod(place + steps, 3)
    return float(f"{RATE_STEPS[place] * 10.0 ** (decade + up):.6g}")
