"""What the commands' arguments may be; said to the person who typed them. Imports nothing heavy."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def positive(text: str) -> int:
    """A whole number of at least 1, for `type=` of argparse."""
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, got {text!r}") from None
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def seed(text: str) -> int:
    """A whole number that torch takes as a seed, for `type=` of argparse."""
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 2**63 - 1, got {text!r}")
    return int(text)


def check_names(what: str, given: Sequence[str], known: set[str]) -> None:
    """Raises ValueError for the first of the given names that is not known."""
    if unknown := sorted(set(given) - known):
        raise ValueError(f"there is no {what} {unknown[0]!r}; choose from {', '.join(sorted(known))}")


def check_device(name: str) -> None:
    """Raises ValueError where torch cannot use the device here."""
    import torch

    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        reason = str(error).splitlines()[0]
        raise ValueError(f"the device {name!r} cannot be used here: {reason}") from error
