"""The figures of notebook 01: learning curves, the rate search, the ratios, the layers.

Numbers in, Axes out; nothing here trains, loads or measures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter, ScalarFormatter

from alexnet_edu.show.plots import NEUTRAL, STYLES

LAYER_STYLES = ("-", "--", ":")  # from the input up
BEHIND_WORDS = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0}


def draw_learning_curve(
    ax: Axes,
    epochs: Sequence[float],
    errors: Sequence[float],
    activation: str,
    *,
    label: str | None = None,
    thin: bool = False,
) -> None:
    """One training error curve (errors 0–1); `thin` for one seed among several."""
    style = STYLES[activation]
    dots = style.line == ":"  # hard to see when they are thin and pale
    ax.plot(
        epochs,
        errors,
        color=style.color,
        linestyle=style.line,
        linewidth=(1.5 if dots else 0.9) if thin else 2,
        alpha=(0.9 if dots else 0.55) if thin else 1,
        label=label,
    )


def finish_learning_curves(ax: Axes, target: float, title: str) -> None:
    """Axes, target line and legend of a figure of learning curves."""
    ax.axhline(target, color=NEUTRAL, linewidth=0.8, linestyle=(0, (1, 2)))
    ax.set_xlabel("epochs (passes over the training images)")
    ax.set_ylabel("training error")
    ax.set_title(title)
    ax.set_ylim(bottom=0.0)
    ax.set_xlim(left=0.0)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.legend(frameon=False)


def mark_published(ax: Axes, crossings: Mapping[str, float], target: float) -> None:
    """The points of the published figure that are known: where each curve meets the target."""
    for activation, epoch in crossings.items():
        ax.plot(
            epoch,
            target,
            marker=STYLES[activation].marker,
            markersize=11,
            markerfacecolor="none",
            markeredgecolor=STYLES[activation].color,
            markeredgewidth=2,
            linestyle="none",
            label=f"published, {STYLES[activation].label}: near epoch {epoch:g}",
        )


def draw_rate_search(ax: Axes, searches: Mapping[str, Sequence[Mapping[str, Any]]], title: str) -> None:
    """Epochs to the target against the learning rate, one series per activation.

    searches: activation -> rows with `learning_rate`, `epochs` (None if not reached) and
    `epochs_run`. A run that did not reach the target is drawn open, with an arrow upwards,
    where it was given up.
    """
    ticks: set[float] = set()
    for activation, rows in searches.items():
        style = STYLES[activation]
        ticks.update(row["learning_rate"] for row in rows)
        heights = [row["epochs"] if row["epochs"] is not None else row["epochs_run"] for row in rows]
        rates = [row["learning_rate"] for row in rows]
        ax.plot(rates, heights, color=style.color, linestyle=style.line, linewidth=0.8, alpha=0.6)
        labelled = next((row for row in rows if row["epochs"] is not None), rows[0])
        for row, rate, height in zip(rows, rates, heights, strict=True):
            reached = row["epochs"] is not None
            ax.plot(
                rate,
                height,
                marker=style.marker,
                markersize=8,
                color=style.color,
                markerfacecolor=style.color if reached else "white",
                linestyle="none",
                label=style.label if row is labelled else None,
            )
            if not reached:
                ax.annotate(
                    "",
                    (rate, height * 1.32),
                    (rate, height * 1.06),
                    arrowprops={"arrowstyle": "->", "color": style.color},
                )
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.xaxis.set_major_locator(FixedLocator(sorted(ticks)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter("{x:g}")
    heights_all = [r["epochs"] or r["epochs_run"] for rows in searches.values() for r in rows]
    ax.set_ylim(0.6 * min(heights_all), 1.8 * max(heights_all))
    ax.yaxis.set_major_locator(FixedLocator([1, 2, 5, 10, 20, 50]))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(ScalarFormatter())
    ax.set_xlabel("learning rate ε")
    ax.set_ylabel("epochs to 25% training error")
    ax.set_title(title)
    ax.legend(frameon=False)


def draw_ratios(ax: Axes, rows: Sequence[Mapping[str, Any]], published: float, title: str) -> None:
    """How many times as many epochs tanh needs as ReLU, one line per condition.

    rows: as in the record's summary: `title`, `epochs` (value, low, high) or None, and
    `at_least`, drawn as an arrow to the right, or else `relu_not_within`, said in words.
    """
    color = STYLES["tanh"].color
    for place, row in enumerate(rows):
        interval, least = row["epochs"], row["at_least"]
        if interval is not None:
            value = interval["value"]
            ax.plot([interval["low"], interval["high"]], [place, place], color=color, linewidth=2)
            ax.plot(value, place, marker="o", markersize=8, color=color)
            text, end = f"{value:.1f}", max(interval["high"], value)
        elif least is not None:
            ax.plot(least, place, marker=">", markersize=9, color=color)
            text, end = f"at least {least:.1f}", least
        else:
            text, end = f"ReLU not within {row['relu_not_within']:g} epochs", 1.0
        ax.annotate(text, (end, place), (8, 0), textcoords="offset points", va="center", bbox=BEHIND_WORDS)
    ax.axvline(published, color=NEUTRAL, linestyle="--", linewidth=1, label=f"the paper: {published:g}")
    ax.axvline(1, color=NEUTRAL, linewidth=0.8)
    ax.set_yticks(range(len(rows)), [row["title"] for row in rows])
    ax.set_ylim(len(rows) + 0.2, -0.6)  # from the top down, with room for the legend
    ax.set_xlim(0, max(9.0, ax.get_xlim()[1] * 1.15))
    ax.set_xlabel("epochs of tanh / epochs of ReLU to 25% training error")
    ax.set_title(title)
    ax.legend(frameon=False, loc="lower right")


def draw_layers(
    ax: Axes,
    epochs: Sequence[float],
    rows: Sequence[Sequence[float]],
    activation: str,
    *,
    percent: bool,
) -> None:
    """One quantity of each layer over training. rows: per point, one number per layer."""
    for layer, values in enumerate(zip(*rows, strict=True)):
        ax.plot(
            epochs,
            values,
            color=STYLES[activation].color,
            linestyle=LAYER_STYLES[layer % len(LAYER_STYLES)],
            linewidth=1.8,
            label=f"{STYLES[activation].label}, layer {layer + 1}",
        )
    ax.set_xlabel("epochs")
    if percent:
        ax.set_ylim(-0.03, 1.03)
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    else:
        ax.autoscale(axis="y")  # a limit set by an earlier call would cut this one's curves
        ax.set_ylim(bottom=0)
