"""Further, 01: how far to trust the factor between ReLU and tanh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing
from alexnet_edu.show.plots import STYLES, frame
from alexnet_edu.studies.record import Record


def rate_search(record: Record) -> Drawing:
    """Epochs to the target against the learning rate, of ReLU and tanh on raw pixels.

    A run that did not reach the target is drawn open, with an arrow upwards, where it was given up.
    """
    figure, ((ax,),) = plots.panels(1, 1, height=4)
    searches = record.tables["searches"]
    for name in ("relu", "tanh"):
        rows, style = searches[searches["variant"] == f"2012 {name}"], STYLES[name]
        heights = rows["epochs"].fillna(rows["epochs_run"])
        for rate, height, given_up in zip(rows["rate"], heights, rows["epochs"].isna(), strict=True):
            face = "white" if given_up else style.color
            ax.plot(rate, height, style.marker, color=style.color, markersize=8, markerfacecolor=face)
            if given_up:
                arrow = {"arrowstyle": "->", "color": style.color}
                ax.annotate("", (rate, height * 1.32), (rate, height * 1.06), arrowprops=arrow)
        ax.plot([], [], style.marker, color=style.color, label=style.label)
    tried = searches[searches["variant"].isin(["2012 relu", "2012 tanh"])]
    _rate_axes(ax, list(tried["rate"]), list(tried["epochs"].fillna(tried["epochs_run"])))
    frame(ax, x="learning rate ε", y="epochs to 25% training error", legend="best")
    best = {name: record.rate(f"2012 {name}") for name in ("relu", "tanh")}
    return figure, (
        f"The best rate is {best['relu']:g} for ReLU and {best['tanh']:g} for tanh, "
        f"{best['tanh'] / best['relu']:.0f} times as large (raw pixels, one seed, recorded)."
    )


def _rate_axes(ax: Axes, rates: Sequence[float], heights: Sequence[float]) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(0.6 * min(heights), 1.8 * max(heights))
    ax.xaxis.set_major_locator(FixedLocator(sorted(set(rates))))
    ax.yaxis.set_major_locator(FixedLocator([1, 2, 5, 10, 20, 50]))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_major_formatter(ScalarFormatter())


def coverage(shares: Mapping[int, float]) -> Drawing:
    """How often a 95% interval holds the truth: seeds a side -> share (0–1)."""
    figure, ((ax,),) = plots.panels(1, 1, height=3)
    ax.plot(range(len(shares)), list(shares.values()), "o", color=plots.BLUE, markersize=8)
    ax.set_xticks(range(len(shares)), list(map(str, shares)))
    plots.level(ax, 0.95, "what it promises", line="--")
    frame(ax, x="seeds per network", y="intervals that hold the true ratio", percent="y")
    ax.set(ylim=(0.7, 1), xlim=(-0.7, len(shares) - 0.5))
    few = min(shares)
    return (
        figure,
        f"With {few} seeds per network, {shares[few]:.0%} of the 95% intervals hold the truth.",
    )


def precision(record: Record) -> Drawing:
    """The beginning of one tanh run in bfloat16 and in float32: errors over half-epochs."""
    both = record.tables["precision"]
    figure, ((ax,),) = plots.panels(1, 1, height=3.4)
    plots.lines(ax, {kind: (both["epoch"], both[kind]) for kind in ("float32", "bfloat16")})
    frame(ax, x="epochs", y="running training error over half an epoch", percent="y", legend="upper right")
    most = (both["float32"] - both["bfloat16"]).abs().max()
    return figure, (
        f"In the first {both['epoch'].max():.0f} epochs of tanh, bfloat16 and float32 are at most "
        f"{100 * most:.1f} points apart (one seed, recorded)."
    )
