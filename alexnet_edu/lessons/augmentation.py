"""Lesson 04, augmentation: versions of an image, what they do to errors and answers, and two explorers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.patches import Patch
from torch import Tensor

from alexnet_edu.data.augment import (
    NOISE,
    STRENGTHS,
    TEN_PATCHES,
    ColorPCA,
    add_noise,
    random_affine,
    ten_crop,
)
from alexnet_edu.data.images import Images
from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing, PictureWidget, checkbox, choice, explorer, slider
from alexnet_edu.show.plots import BLUE, FONT_SIZE, GREEN, NEUTRAL, ORANGE, PINK, SKY, YELLOW, frame
from alexnet_edu.studies.record import Record
from alexnet_edu.studies.statistics import signed

CHANNELS = ("red", "green", "blue")

# --- the lesson's figures ----------------------------------------------------------------------

SHOWN = {"automobile": 8, "horse": 6, "ship": 8}  # a row each: class -> which of its images
IN_PAPER = 4  # of the versions


def versions(images: Images, colors: ColorPCA) -> Drawing:
    """An image of each class of `SHOWN`, and versions of it: four as in the paper, three that are not."""
    figure, rows = plots.panels(len(SHOWN), 8, height=4)
    for ax_row, (place, (name, which)) in zip(rows, enumerate(SHOWN.items()), strict=True):
        label = images.classes.index(name) if name in images.classes else place
        alike = (images.labels == label).nonzero()
        image = images.pixels[alike[which % len(alike)]]  # (1, 3, H, W)
        for ax, (words, version) in zip(ax_row, _versions(image, colors).items(), strict=True):
            plots.images(ax, version[0], words if ax_row is rows[0] else "")
    for ax, words in ((rows[-1][1], "in the paper →"), (rows[-1][1 + IN_PAPER], "not in the paper →")):
        ax.set_xlabel(words, loc="left")
    return figure, (
        f"Each row shows one thing, to us; to a network these are {len(SHOWN) * 8} different inputs with "
        f"{len(SHOWN)} labels.{images.caveat}"
    )


def _versions(image: Tensor, colors: ColorPCA) -> dict[str, Tensor]:
    """Words -> an image (1, 3, h, w). image: (1, 3, 32, 32) uint8."""
    random, side = torch.Generator().manual_seed(2), image.shape[2]
    corner = image[:, :, 8:, : side - 8]
    along = [0.6 * colors.strengths()[i] * colors.eigenvectors[:, i] for i in (0, 1)]
    lighter, bluer = (move * move[2].sign() for move in along)  # the sign of a direction is arbitrary
    return {
        "as it is": image,
        "a crop": corner,
        "mirrored": corner.flip(3),
        "α₁: lighter": colors.apply(image, shifts=lighter[None]),
        "α₂: bluer": colors.apply(image, shifts=bluer[None]),
        "turned": random_affine(image, random, degrees=45.0),
        "noise": add_noise(image, random, std=2 * NOISE),
        "upside down": image.flip(2),
    }


MAIN = {  # variant of the two records -> its name in a figure
    "none": "no augmentation",
    "crops-flips": "crops and reflections",
    "crops-flips-colour": "crops, reflections, colours",
}


def errors_by_epoch(long: Record, short: Record, guess: float | None = None) -> Drawing:
    """Training and test error of the study of 60 epochs; open marks: where that of 24 epochs ended.

    guess: a test error (0–1).
    """
    figure, (axes,) = plots.panels(1, 2, height=4, sharey=True)
    for ax, what in zip(axes, ("train_error", "test_error"), strict=True):
        series = {MAIN[v]: s for v, s in plots.per_seed(long.curves, "epoch", what, "variant").items()}
        plots.lines(ax, series, markers=False)
        for style, name in zip(plots.SERIES, MAIN, strict=False):
            end = float(np.mean(short.values(name, what)))
            look: dict[str, Any] = {"color": style.color, "fillstyle": "none", "markersize": 9, "mew": 1.8}
            ax.plot(short.settings["epochs"], end, style.marker, **look)
        words = plots.WORDS[what]
        frame(ax, words.capitalize(), "epochs", words if ax is axes[0] else "", percent="y", grid="xy")
        ax.set(xlim=(0, None), ylim=(0, 0.85))
    axes[0].plot([], [], "o", color=NEUTRAL, fillstyle="none", mew=1.8, label="end of a shorter training")
    axes[0].legend(loc="upper right")
    if guess is not None:
        axes[1].axhline(guess, linestyle=":", color=PINK, linewidth=2.5)
        plots.note(axes[1], f"your guess: {guess:.0%}", (2, guess), (0, 4))
    means = [np.mean(long.values(name)) for name in MAIN]
    epochs = [study.settings["epochs"] for study in (long, short)]
    apart = short.paired_gap("crops-flips", "none").signed
    return figure, (
        f"After {epochs[0]} epochs the test error is {means[0]:.1%} without augmentation, {means[1]:.1%} "
        f"with crops and reflections, {means[2]:.1%} with colours as well. After {epochs[1]} epochs it was "
        f"too early to tell ({apart} points). (Three seeds each, recorded.)"
    )


Errors = Mapping[str, tuple[float, float]]  # way -> (training error, test error), 0–1


def gaps(errors: Errors, images: Images) -> Drawing:
    """Training and test error of each way, a line between them."""
    figure, ((ax,),) = plots.panels(1, 1, height=0.5 * len(errors) + 1.3)
    for place, ends in enumerate(errors.values()):
        ax.plot(ends, [place] * 2, color=NEUTRAL, linewidth=1.2)
        for value, color, marker, side in zip(ends, (BLUE, ORANGE), "os", ("right", "left"), strict=True):
            ax.plot(value, place, marker, color=color, markersize=9)
            plots.note(ax, f"{value:.1%}", (value, place), (0, 9), ha=side)
    ax.plot([], [], "o", color=BLUE, label="training error")
    ax.plot([], [], "s", color=ORANGE, label="test error")
    plots.rows(ax, list(errors))
    frame(ax, x=f"error on {len(images):,} training and as many test images", percent="x", legend="right of")
    ax.set_xlim(-0.07, 1.15 * max(map(max, errors.values())))
    (train, test), *others = errors.values()
    best = min(error for _, error in others)
    return figure, (
        f"Without augmentation, {train:.0%} of the {len(images):,} training images are wrong in the end, and "
        f"{test:.0%} of the test images; with it, {best:.0%} of the test images.{images.caveat}"
    )


DISTURBED = {  # what is done to the test images -> words of the axis
    "shift": "shifted by so many pixels",
    "mirror": "",
    "colours": "colours: standard deviation of α",
}
Answers = Mapping[str, Mapping[str, Mapping[float, Tensor]]]


def invariance(answers: Answers, images: Images) -> Drawing:
    """Test errors, and the share of answers that change, over how far test images are changed.

    answers: way -> kind of `DISTURBED` -> how far -> classes (N,); 0 is the image as it is.
    """
    figure, rows = plots.panels(2, len(DISTURBED), height=5.2, sharex="col", sharey="row")
    shares = {}
    for column, (kind, words) in enumerate(DISTURBED.items()):
        for way, each in answers.items():
            shares[way, kind] = _share_unlike(each[kind], each[kind][0])
        for row in rows:
            compared = {
                way: _share_unlike(each[kind], images.labels) if row is rows[0] else shares[way, kind]
                for way, each in answers.items()
            }
            plots.lines(row[column], compared)
            words_of_y = "test error" if row is rows[0] else "answers that change"
            frame(row[column], y="" if column else words_of_y, percent="y", grid="y")
        rows[1][column].set_xlabel(words)
    for row in rows:
        row[0].set_ylim(0, None)
    rows[1][1].set_xticks([0, 1], ["as it is", "mirrored"])
    rows[1][1].set_xlim(-0.3, 1.3)
    figure.legend(*rows[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=len(answers))
    plain, cropped, *_ = answers
    ends = [f"{shares[way, kind][1][-1]:.0%}" for kind in ("shift", "mirror") for way in (plain, cropped)]
    return figure, (
        f"Moved by {max(answers[plain]['shift']):g} pixels, {ends[0]} of the answers change if the network "
        f"was trained with {plain}, {ends[1]} with {cropped}; mirrored, {ends[2]} and {ends[3]}."
        f"{images.caveat}"
    )


def _share_unlike(answers: Mapping[float, Tensor], right: Tensor) -> tuple[list[float], list[float]]:
    """How far -> classes (N,), as a series: how far, and which share (0–1) is not as in `right`."""
    return list(answers), [(each != right).float().mean().item() for each in answers.values()]


# --- what goes deeper --------------------------------------------------------------------------


def each_change(record: Record) -> Drawing:
    """Each change of the training images against none, at the end of the study of 24 epochs."""
    gains = {name: record.paired_gap(name, "none") for name in record.variants if name != "none"}
    gains = dict(sorted(gains.items(), key=lambda pair: pair[1].value))
    titles = {name: record.of(variant=name).runs["title"].iloc[0] for name in gains}
    figure, ((ax,),) = plots.panels(1, 1, height=4)
    rows = {titles[name]: (gap.value, gap.low, gap.high) for name, gap in gains.items()}
    in_paper = [titles[name] for name in ("crops-flips", "crops-flips-colour", "colour")]
    plots.intervals(ax, rows, filled=in_paper)  # type: ignore[arg-type]
    plots.level(ax, 0, axis="x", line="-")
    frame(ax, x="test error minus that without, points (95% interval, seed by seed); filled: in the paper")
    worse = [titles[name].split(",")[0] for name, gap in gains.items() if gap.low > 0]  # type: ignore[operator]
    return figure, (
        f"After {record.settings['epochs']} epochs two of seven changes differ from none beyond doubt, and "
        f"they are worse: {' and '.join(worse)} (recorded)."
    )


def color_cloud(images: Images, colors: ColorPCA) -> Drawing:
    """Colours of the pixels in the middle of 2,500 images, and their principal directions."""
    pick = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:2500]
    dots = images.pixels[pick, :, 16, 16].numpy()  # (M, 3)
    lengths, center = colors.eigenvalues.sqrt(), colors.mean
    figure, (axes,) = plots.panels(1, 2, height=4.6)
    for ax, (a, b) in zip(axes, ((0, 1), (0, 2)), strict=True):
        ax.scatter(dots[:, a], dots[:, b], c=dots / 255, s=6, linewidths=0)
        for place, color in enumerate((ORANGE, BLUE, GREEN)):
            reach = colors.eigenvectors[:, place] * lengths[place]
            for tip in (center + reach, center - reach):
                start, end = ((float(point[a]), float(point[b])) for point in (center, tip))
                arrow = {"arrowstyle": "-|>", "color": color, "linewidth": 2.2}
                ax.annotate("", end, start, arrowprops=arrow)
            label = f"p{place + 1} · √λ{place + 1} = {lengths[place]:.0f}"
            ax.plot([], [], color=color, linewidth=2.2, label=label)
        frame(ax, x=f"{CHANNELS[a]}, grey levels", y=f"{CHANNELS[b]}, grey levels", legend="upper left")
        ax.set(xlim=(0, 255), ylim=(0, 255), aspect="equal")
    share = colors.eigenvalues[0] / colors.eigenvalues.sum()
    words = f"{share:.0%} of the variance of all colours lies along p1, from dark to light."
    return figure, words + images.caveat


def crops_in_a_batch(counts: Mapping[int, Sequence[int]]) -> Drawing:
    """Different crops in batches: how many images share a draw -> a count for each batch."""
    figure, ((ax,),) = plots.panels(1, 1, height=2)
    groups = {
        f"{shared} image{'s share' if shared > 1 else ' has'} a draw": n for shared, n in counts.items()
    }
    plots.strip(ax, groups, form="{:.1f}")
    frame(ax, x="different crops in a batch of 128")
    ax.set_xlim(0, 135)
    means = {shared: float(np.mean(n)) for shared, n in counts.items()}
    words = ", ".join(f"{mean:.0f} where {shared} share one" for shared, mean in means.items() if shared > 1)
    return (
        figure,
        f"A batch of 128 has {means[1]:.0f} different crops if each image has its own draw, {words}.",
    )


# --- a photograph in other light ---------------------------------------------------------------------

ALPHAS = tuple(round(0.1 * i, 1) for i in range(-6, 7))  # ±6 standard deviations of α
KINDS = dict(
    zip(
        STRENGTHS,
        ("√λ, standard deviations (2012 code)", "λ of pixels 0–255", "λ of pixels 0–1"),
        strict=True,
    )
)


def color_explorer(photograph: Tensor, colors: ColorPCA, **start: Any) -> PictureWidget:
    """A photograph (3, H, W) uint8, and the same with α1, α2, α3 as chosen."""

    def alpha(i: int, value: float) -> Any:
        draws = {a: signed(a) for a in ALPHAS}
        return slider(f"α{i}", draws, value, f"the draw along p{i}; N(0, 0.1²) in the paper")

    def draw(
        alpha1: float = alpha(1, -0.6),
        alpha2: float = alpha(2, 0.6),
        alpha3: float = alpha(3, 0.0),
        kind: str = choice("Strength", KINDS, STRENGTHS[0], "what multiplies α"),
        divided: bool = checkbox("divide by 1.1 (2012 code)", False, "what the code does while noise is on"),
    ) -> Drawing:
        alphas = torch.tensor([alpha1, alpha2, alpha3], dtype=torch.float64)
        shift = colors.eigenvectors @ (alphas * colors.strengths(kind))
        return _draw_colors(photograph, kind, alphas, shift, divided)

    return explorer(draw, **start)


def _draw_colors(photograph: Tensor, kind: str, alphas: Tensor, shift: Tensor, divided: bool) -> Drawing:
    changed = (photograph.double() + shift[:, None, None]) / (1.1 if divided else 1.0)
    outside = ((changed < 0) | (changed > 255)).double().mean().item()
    moved = zip(CHANNELS, shift.tolist(), strict=True)
    words = f"{', '.join(f'{name} {signed(by, 1)}' for name, by in moved)} grey levels"
    then = ", then divided by 1.1" if divided else ""
    drawn = ", ".join(f"α{i} = {signed(a)}" for i, a in enumerate(alphas.tolist(), start=1))
    figure, ((before, after),) = plots.panels(1, 2, height=4.7)
    plots.images(before, photograph, "as it is")
    plots.images(after, changed, words + then)
    plots.box(after, 0, 0, *photograph.shape[1:])  # a sheet of white must be seen on a white page
    return figure, (
        f"{KINDS[kind]}; {drawn}: {words} added to all pixels{then}; {outside:.0%} of the values lie outside "
        "of 0–255 and are shown as 0 or 255."
    )


# --- ten patches judged ----------------------------------------------------------------------------------


def patch_explorer(
    images: Images, size: int, probabilities: Callable[[Tensor], Tensor], **start: Any
) -> PictureWidget:
    """The ten patches of a test image, what a network says to each, and the average.

    probabilities: uint8 (M, 3, size, size) -> (M, classes), summing to 1. images: those to choose from.
    """

    def draw(image: int = slider("Image", range(len(images)), 0, "which image is judged")) -> Drawing:
        patches = ten_crop(images.pixels[image : image + 1], size)[0]
        return _draw_patches(
            patches, probabilities(patches).double().cpu(), int(images.labels[image]), images
        )

    return explorer(draw, **start)


def _draw_patches(patches: Tensor, judged: Tensor, label: int, images: Images) -> Drawing:
    names, mean = images.classes, judged.mean(0)
    note = " (SYNTHETIC images)" if images.synthetic else ""
    figure, rows = plots.panels(2, 6, height=4.2, width_ratios=[1, 1, 1, 1, 1, 1.6])
    places = [ax for row in rows for ax in row[:5]]
    for ax, where, patch, p in zip(places, TEN_PATCHES, patches, judged, strict=True):
        best = int(p.argmax())
        plots.images(ax, patch)
        verdict = "" if best == label else " ✗"
        ax.set_title(f"{names[best]}{verdict}\n{p[best]:.0%}", fontsize=FONT_SIZE - 2, loc="center")
        ax.set_xlabel(where.replace(", ", ",\n"), fontsize=FONT_SIZE - 2)
    grid = rows[0][5].get_gridspec()
    for row in rows:
        row[5].remove()
    bars = figure.add_subplot(grid[:, 5])  # type: ignore[index]
    colors = [YELLOW if k == label else SKY for k in range(len(names))]
    hatches = ["//" if k == label else "" for k in range(len(names))]
    plots.bars(bars, dict(zip(names, mean.tolist(), strict=True)), colors=colors, hatches=hatches)
    frame(bars, "average of the ten", "probability")
    true = Patch(facecolor=YELLOW, edgecolor=NEUTRAL, hatch="//", label="true class")
    bars.legend(handles=[true], loc="lower right")
    bars.set_xlim(0, 1)
    plots.heading(figure, f"true class: {names[label]}{note}")
    right = sum(int(p.argmax()) == label for p in judged)
    return figure, (
        f"{right} of the ten patches are taken for the true class, {names[label]}; the middle one for "
        f"{names[int(judged[2].argmax())]}, the average for {names[int(mean.argmax())]}{note}."
    )
