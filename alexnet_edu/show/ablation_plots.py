"""Drawings of the studies of `ablations`: records in, marks on the given `Axes` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from alexnet_edu.show import plots

WORDS = plots.WORDS
SERIES = tuple((style.color, style.line, style.marker) for style in plots.SERIES[:6])


def draw_spread(
    ax: Axes, cells: Sequence[Mapping[str, Any]], values: Sequence[Sequence[float]], what: str, title: str
) -> None:
    """One line per variant: a mark for each seed, a bar at the mean.

    values: per variant, a share (0–1) for each seed. what: a key of `WORDS`, or an axis label.
    """
    plots.strip(ax, {cell["title"]: series for cell, series in zip(cells, values, strict=True)})
    plots.frame(ax, title, WORDS.get(what, what), percent="x")


def draw_curves(ax: Axes, cells: Sequence[Mapping[str, Any]], what: str, title: str) -> None:
    """Learning curves, the mean over the seeds, with the span of the seeds shaded."""
    series = {}
    for cell in cells:
        curves = [run["curve"] for run in cell["runs"]]
        series[cell["title"]] = curves[0]["epoch"], [curve[what] for curve in curves]
    plots.lines(ax, series)
    plots.frame(ax, title, "epochs", WORDS.get(what, what), percent="y", grid="xy", legend="best")
