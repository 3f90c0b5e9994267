"""The exercises of notebook 10."""

from __future__ import annotations

from alexnet_edu.judges import Exercise

EXERCISES: tuple[Exercise, ...] = ()
