"""One word that says how much work everything does: quick, laptop, gpu or paper."""

from __future__ import annotations

import os
import sys

SCALES = ("quick", "laptop", "gpu", "paper")
VARIABLE = "ALEXNET_EDU_SCALE"


def current_scale() -> str:
    """The scale chosen by ALEXNET_EDU_SCALE; under pytest "quick", elsewhere "laptop".

    Raises ValueError, with the allowed words, when the variable holds another one.
    """
    under_pytest = "pytest" in sys.modules or "PYTEST_CURRENT_TEST" in os.environ
    word = os.environ.get(VARIABLE, "") or ("quick" if under_pytest else "laptop")
    return check_scale(word)


def check_scale(word: str) -> str:
    """`word` itself if it is a scale; otherwise a ValueError that names the four."""
    if word not in SCALES:
        raise ValueError(f"{VARIABLE}={word!r} is not a scale; choose one of {', '.join(SCALES)}")
    return word
