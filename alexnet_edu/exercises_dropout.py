"""The exercises of notebook 09."""

from __future__ import annotations

from alexnet_edu.judges import Exercise

EXERCISES: tuple[Exercise, ...] = ()
