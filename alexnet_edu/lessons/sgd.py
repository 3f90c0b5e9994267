"""The figures of notebook 10: velocities, schedules, noise, and the table of the clinic.

Numbers in, marks on the given `Axes` out; nothing here trains or loads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from alexnet_edu.show.plots import FONT_SIZE, NEUTRAL

# Palette of Okabe and Ito; every series also has a line and a marker of its own.
SERIES = (
    ("#0072B2", "-", "o"),
    ("#D55E00", "--", "s"),
    ("#009E73", "-.", "^"),
    ("#4D4D4D", ":", "D"),
    ("#CC79A7", (0, (5, 1, 1, 1, 1, 1)), "v"),
    ("#E69F00", (0, (3, 1)), "P"),
)
# Face, letter colour and letter of a fate: told apart by light, by colour and by the letter.
FATES = {
    "learns": ("#0072B2", "white", "learns"),
    "stands still": ("#E3EEF7", "black", "stands still"),
    "explodes": ("#E69F00", "black", "explodes"),
}


def draw_lines(
    ax: Axes,
    x: Sequence[float],
    lines: Mapping[str, Sequence[float]],
    labels: tuple[str, str],
    title: str = "",
    *,
    markers: bool = False,
    log: bool = False,
) -> None:
    """Series over one x axis, each in its own style. lines: name -> values, as many as x or fewer.

    labels: of the x axis and of the y axis, with their units. log: a logarithmic y axis.
    """
    for place, (name, values) in enumerate(lines.items()):
        color, line, marker = SERIES[place % len(SERIES)]
        ax.plot(
            x[: len(values)],
            values,
            color=color,
            linestyle=line,
            marker=marker if markers else "",
            markersize=5,
            label=name,
        )
    if log:
        ax.set_yscale("log")
    ax.set_xlabel(labels[0])
    ax.set_ylabel(labels[1])
    ax.set_title(title, fontsize=FONT_SIZE + 1)
    ax.grid(color=NEUTRAL, alpha=0.15)
    ax.legend(frameon=False, fontsize=FONT_SIZE - 1)


def draw_schedule(
    ax: Axes,
    epochs: Sequence[float],
    weights: Sequence[float],
    conv1: Sequence[float],
    noise_off: float | None,
) -> None:
    """Learning rates over the epochs, as steps. weights, conv1: ε at each of `epochs`; 0 is not drawn.

    conv1 lies over the weights until it parts from them. noise_off: a line where the colour noise ends.
    """
    ax.step(epochs, weights, where="post", color="#0072B2", linewidth=2.4, label="ε of all weights")
    frozen = next((e for e, rate in zip(epochs, conv1, strict=True) if rate == 0), None)
    shown = [rate if rate > 0 else float("nan") for rate in conv1]
    ax.step(epochs, shown, where="post", color="#D55E00", linewidth=1.6, linestyle="--", label="ε of conv1")
    if frozen is not None:
        before = [rate for rate in conv1 if rate > 0][-1]
        ax.plot(
            [frozen], [before], marker="X", color="#D55E00", markersize=9, linestyle="", label="conv1 frozen"
        )
    if noise_off is not None:
        ax.axvline(noise_off, color=NEUTRAL, linestyle=":", linewidth=1.4, label="colour noise off")
    ax.set_yscale("log")
    ax.set_ylim(min(weights) / 30, max(weights) * 3)
    ax.legend(frameon=False, fontsize=FONT_SIZE - 1, ncols=2, loc="lower left")
    ax.grid(color=NEUTRAL, alpha=0.15)


def draw_validation(
    ax: Axes, epochs: Sequence[float], runs: Sequence[Sequence[float]], falls: Sequence[float]
) -> None:
    """Validation errors (0–1) of each seed, with a line where the rate fell."""
    for place, errors in enumerate(runs):
        ax.plot(epochs, errors, color="#0072B2", alpha=0.7, marker="o", markersize=3, linewidth=1.2)
        if place == 0:
            ax.lines[-1].set_label("one line per seed")
    for place, fall in enumerate(falls):
        ax.axvline(
            fall,
            color="#D55E00",
            linestyle="--",
            linewidth=1.2,
            label="the rate falls" if not place else None,
        )
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.grid(color=NEUTRAL, alpha=0.15)
    ax.legend(frameon=False, fontsize=FONT_SIZE - 1)


def draw_fates(
    ax: Axes,
    rows: Sequence[str],
    columns: Sequence[str],
    fates: Sequence[Sequence[str]],
    words: Sequence[Sequence[str]],
) -> None:
    """A table of fates: one cell per setting, its face the fate, a few words below it.

    fates: rows × columns, keys of FATES; words: as many, "" for none.
    """
    for i, row in enumerate(fates):
        for j, fate in enumerate(row):
            face, ink, name = FATES[fate]
            ax.add_patch(Rectangle((j, i), 1, 1, facecolor=face, edgecolor="white", linewidth=2))
            text = f"{name}\n{words[i][j]}" if words[i][j] else name
            ax.text(j + 0.5, i + 0.5, text, ha="center", va="center", color=ink, fontsize=FONT_SIZE - 1.5)
    ax.set_xlim(0, len(columns))
    ax.set_ylim(len(rows), 0)
    ax.set_xticks([j + 0.5 for j in range(len(columns))], list(columns), fontsize=FONT_SIZE - 1)
    ax.set_yticks([i + 0.5 for i in range(len(rows))], list(rows), fontsize=FONT_SIZE - 1)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[["top", "right", "left", "bottom"]].set_visible(False)


def draw_scales(ax: Axes, names: Sequence[str], output: Sequence[float], signal: Sequence[float]) -> None:
    """The scale of every layer's output, and of the part that tells the images apart."""
    x = range(len(names))
    ax.plot(x, output, color=NEUTRAL, linestyle=":", marker="D", markersize=5, label="all of Wx + b")
    ax.plot(x, signal, color="#0072B2", linestyle="-", marker="o", label="what differs between images")
    ax.set_yscale("log")
    ax.set_ylim(min(*signal, 1e-2) / 3, max(*output, 1.0) * 30)
    ax.set_xticks(list(x), list(names))
    ax.grid(color=NEUTRAL, alpha=0.15)
    ax.legend(frameon=False, fontsize=FONT_SIZE - 1, ncols=2, loc="upper center")


def draw_losses(ax: Axes, losses: Sequence[float], chance: float) -> None:
    """The loss before each step, and the line of a network that cannot tell the images apart."""
    ax.plot(range(len(losses)), losses, color="#0072B2", marker="o", markersize=3, label="loss")
    ax.axhline(chance, color=NEUTRAL, linestyle="--", linewidth=1.2, label="chance: ln 10 = 2.303")
    if max(losses) > 6 * chance:
        ax.set_yscale("symlog", linthresh=chance)
    ax.set_ylim(bottom=0)
    ax.grid(color=NEUTRAL, alpha=0.15)
    ax.legend(frameon=False, fontsize=FONT_SIZE - 1)


def draw_noise(ax: Axes, sizes: Sequence[float], noise: Sequence[float], whole: float, marked: float) -> None:
    """The noise of the batch's gradient against the batch size, with the law 1/√B through the first point.

    noise: relative to the length of the mean gradient. whole: size of the whole set; marked: the size
    that the paper takes.
    """
    ax.plot(sizes, noise, linestyle="", marker="o", color="#0072B2", label="measured")
    law = [noise[0] * (sizes[0] / size) ** 0.5 for size in sizes]
    ax.plot(sizes, law, color="#D55E00", linestyle="--", label="∝ 1/√B")
    ax.axvline(marked, color=NEUTRAL, linestyle=":", label=f"B = {marked:g} (§5)")
    ax.axhline(1, color=NEUTRAL, linewidth=0.8)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(list(sizes), [f"{size:g}" for size in sizes])
    ax.set_xlabel(f"images in a batch, B (of {whole:,.0f})")
    ax.set_ylabel("noise / length of the mean gradient")
    ax.grid(color=NEUTRAL, alpha=0.15)
    ax.legend(frameon=False, fontsize=FONT_SIZE - 1)
