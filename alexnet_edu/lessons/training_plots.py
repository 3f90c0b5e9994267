"""The drawings of notebook 06: the curves of a training, schedules, days on GPUs.

Numbers in, marks on the given `Axes` out. Curves are (x, y), two lists of equal length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from alexnet_edu.show.plots import FONT_SIZE, NEUTRAL

Curve = tuple[Sequence[float], Sequence[float]]
# What is drawn: label, colour, line, marker (palette of Okabe and Ito).
LINES = {
    "training": ("training batches", "#56B4E9", "-", ""),
    "top1": ("validation, top-1", "#0072B2", "-", "o"),
    "top5": ("validation, top-5", "#D55E00", "--", "s"),
    "validation": ("validation", "#0072B2", "-", "o"),
}
MARKED = 40  # points; with more, a line without marks reads better


def draw_curve(ax: Axes, curve: Curve, kind: str) -> None:
    """One of LINES. A single point is shown by its mark."""
    label, color, line, marker = LINES[kind]
    shown = marker if len(curve[0]) <= MARKED else ""
    shown = shown or ("." if len(curve[0]) == 1 else "")
    ax.plot(*curve, color=color, linestyle=line, marker=shown, markersize=4, linewidth=1.5, label=label)


def draw_loss(ax: Axes, training: Curve, validation: Curve, chance: float | None) -> None:
    """Mean cross-entropy in nats against epochs. chance: that of equal probabilities, as a line."""
    draw_curve(ax, training, "training")
    draw_curve(ax, validation, "validation")
    if chance is not None:
        ax.axhline(chance, color=NEUTRAL, linewidth=0.9, linestyle=":", label=f"guessing: {chance:.2f}")
    _finish(ax)


def draw_errors(ax: Axes, training: Curve, top1: Curve, top5: Curve) -> None:
    """Shares of wrong answers (0–1) against epochs."""
    draw_curve(ax, training, "training")
    draw_curve(ax, top1, "top1")
    draw_curve(ax, top5, "top5")
    ax.set_ylim(-0.03, 1.5)  # room for the legend
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    _finish(ax)


def draw_rate(ax: Axes, rate: Curve) -> None:
    """The learning rate ε against epochs, as steps on a logarithmic axis."""
    ax.step(*rate, where="post", color="#009E73", linewidth=1.8, marker="." if len(rate[0]) == 1 else "")
    ax.set_yscale("log")
    if rate[1] and max(rate[1]) == min(rate[1]):
        ax.set_ylim(rate[1][0] / 20, rate[1][0] * 5)  # a constant needs room, or the axis has no ticks
    _finish(ax, legend=False)


def draw_speed(ax: Axes, speed: Curve, taken_up: Sequence[float] = ()) -> None:
    """Images per second against epochs; the axis begins at 0. taken_up: where the run was stopped."""
    ax.plot(*speed, color="#CC79A7", linewidth=1.5, marker="." if len(speed[0]) == 1 else "")
    for number, epoch in enumerate(taken_up):
        label = "stopped, and taken up again" if number == 0 else None
        ax.axvline(epoch, color=NEUTRAL, linewidth=0.9, linestyle=":", label=label)
    ax.set_ylim(0, 1.3 * max(speed[1], default=1.0))  # room for the legend
    _finish(ax, legend=bool(taken_up))


def draw_words(ax: Axes, words: str) -> None:
    """Words in place of curves."""
    ax.axis("off")
    ax.text(
        0.5, 0.5, words, ha="center", va="center", fontsize=FONT_SIZE, color=NEUTRAL, transform=ax.transAxes
    )


def _finish(ax: Axes, *, legend: bool = True) -> None:
    ax.grid(color=NEUTRAL, alpha=0.15)
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.set_xlim(left=0)
    if legend:
        ax.legend(fontsize=FONT_SIZE - 2, frameon=False, loc="upper right")


# --- the notebook ---------------------------------------------------------------------------

RATES = {  # of a schedule: label, colour, line
    "weights": ("weights", "#0072B2", "-"),
    "conv1": ("weights of conv1", "#D55E00", "--"),
    "biases": ("biases", "#009E73", "-."),
}


def draw_rates(ax: Axes, epochs: Sequence[float], rates: Mapping[str, Sequence[float]], title: str) -> None:
    """Learning rates against epochs, each of RATES; a rate of 0 ends the line."""
    for name, values in rates.items():
        label, color, line = RATES[name]
        shown = [value if value > 0 else float("nan") for value in values]
        ax.step(epochs, shown, where="post", color=color, linestyle=line, linewidth=1.8, label=label)
    ax.set_yscale("log")
    ax.set(xlabel="epoch", ylabel="learning rate ε", title=title)
    ax.grid(color=NEUTRAL, alpha=0.15)
    ax.legend(frameon=False, fontsize=9)


def draw_days(ax: Axes, days: Mapping[str, float], feed: float | None, paper: tuple[float, float]) -> None:
    """A bar for each machine, on a logarithmic axis of days, with its value in words.

    days: by arithmetic. feed: days that reading the images takes, as a line, or None. paper: the range
    of days that the paper states, as a band.
    """
    places = range(len(days))
    shown = [max(value, feed or 0.0) for value in days.values()]
    ax.barh(places, list(days.values()), color="#56B4E9", edgecolor="black", linewidth=0.8, zorder=2)
    for place, value in zip(places, shown, strict=True):
        ax.annotate(
            in_words(value),
            (value, place),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=FONT_SIZE,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
        )
    ax.axvspan(*paper, color="#F0E442", alpha=0.6, zorder=1, label="the paper: five to six days")
    if feed is not None:
        ax.axvline(feed, color="#D55E00", linestyle="--", linewidth=1.8, label="reading the images")
    ax.set_xscale("log")
    ax.set_xlim(min(0.005, min(shown) / 2), max(40.0, 6 * max(shown)))
    ax.set_yticks(list(places), list(days), fontsize=FONT_SIZE)
    ax.invert_yaxis()
    ax.xaxis.set_major_formatter("{x:g}")
    ax.legend(fontsize=FONT_SIZE - 1, frameon=False, loc="upper right", bbox_to_anchor=(1.0, -0.16), ncols=2)


def in_words(days: float) -> str:
    """ "5.5 days", "3.2 h", "41 min"."""
    if days >= 1:
        return f"{days:.1f} days"
    hours = 24 * days
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"
