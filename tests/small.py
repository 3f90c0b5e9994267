"""AlexNet small enough for a test: every layer is there, none of them is large."""

from __future__ import annotations

from dataclasses import replace

from alexnet_edu.model.architecture import Architecture


def tiny(table: Architecture, classes: int = 11) -> Architecture:
    """The same table with an eighth of the kernels, a thirty-second of the units, few classes."""
    layers = [replace(x, outputs=x.outputs // (8 if x.kernel else 32)) for x in table.layers[:-1]]
    return replace(table, layers=(*layers, replace(table.layers[-1], outputs=classes)))
