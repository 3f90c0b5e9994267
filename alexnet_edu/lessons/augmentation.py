"""Lesson 04, augmentation: its pictures, and three explorers: colours shifted, a crop, ten patches judged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from numpy.typing import ArrayLike
from torch import Tensor

from alexnet_edu import paper
from alexnet_edu.data.augment import STRENGTHS, TEN_PATCHES, ColorPCA, ten_crop
from alexnet_edu.data.images import Images
from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing, PictureWidget, checkbox, choice, explorer, slider
from alexnet_edu.show.plots import BLUE, FONT_SIZE, GREEN, NEUTRAL, ORANGE, SKY, YELLOW, frame

CHANNELS = ("red", "green", "blue")

# --- the notebook ----------------------------------------------------------------------------------


def draw_color_cloud(
    ax: Axes,
    colors: ArrayLike,
    center: ArrayLike,
    directions: ArrayLike,
    lengths: ArrayLike,
    channels: tuple[int, int] = (0, 1),
) -> None:
    """Pixels' colours in two of the three channels, with the principal directions as arrows.

    colors: (M, 3), 0–255. center: (3,). directions: (3, 3), p1, p2, p3 as columns; lengths: (3,)
    grey levels, how long each arrow is.
    """
    colors, center = np.asarray(colors), np.asarray(center)
    directions, lengths = np.asarray(directions), np.asarray(lengths)
    a, b = channels
    ax.scatter(colors[:, a], colors[:, b], c=np.clip(colors / 255, 0, 1), s=6, linewidths=0)
    for place, color in enumerate((ORANGE, BLUE, GREEN)):
        reach = directions[:, place] * lengths[place]
        for sign in (1, -1):
            tip = center[a] + sign * reach[a], center[b] + sign * reach[b]
            arrow = {"arrowstyle": "-|>", "color": color, "linewidth": 2.2}
            ax.annotate("", xy=tip, xytext=(center[a], center[b]), arrowprops=arrow)
        label = f"p{place + 1} · √λ{place + 1} = {lengths[place]:.0f}"
        ax.plot([], [], color=color, linewidth=2.2, label=label)
    frame(ax, x=f"{CHANNELS[a]}, grey levels", y=f"{CHANNELS[b]}, grey levels", legend="upper left")
    ax.set(xlim=(0, 255), ylim=(0, 255), aspect="equal")


def draw_use(ax: Axes, shares: ArrayLike, title: str) -> AxesImage:
    """In which share (0–1) of all crops each pixel (H, W) is used. Returns the image for a colour bar."""
    shown = ax.imshow(np.asarray(shares), cmap="viridis", vmin=0, vmax=1)
    frame(ax, title, "column, pixels", "row, pixels")
    return shown


# --- a photograph in other light ---------------------------------------------------------------------

ALPHAS = tuple(round(0.05 * i, 2) for i in range(-6, 7))  # ±3 standard deviations of α
KINDS = dict(
    zip(
        STRENGTHS,
        ("√λ: standard deviations (2012 code)", "λ of pixels 0–255", "λ of pixels 0–1"),
        strict=True,
    )
)


def color_explorer(photograph: Tensor, colors: ColorPCA, **start: Any) -> PictureWidget:
    """A photograph (3, H, W) uint8, and the same with α1, α2, α3 as chosen."""

    def alpha(i: int, value: float) -> Any:
        return slider(f"α{i}", ALPHAS, value, f"the draw along p{i}; N(0, 0.1) in the paper", "{:+.2f}")

    def draw(
        alpha1: float = alpha(1, 0.1),
        alpha2: float = alpha(2, 0.0),
        alpha3: float = alpha(3, 0.0),
        kind: str = choice("Strength", KINDS, STRENGTHS[0], "what multiplies α"),
        divided: bool = checkbox("divide by 1.1 (2012 code)", False, "what the code does while noise is on"),
    ) -> Drawing:
        alphas = torch.tensor([alpha1, alpha2, alpha3], dtype=torch.float64)
        return _draw_colors(
            photograph, alphas, colors.eigenvectors @ (alphas * colors.strengths(kind)), divided
        )

    return explorer(draw, **start)


def _draw_colors(photograph: Tensor, alphas: Tensor, shift: Tensor, divided: bool) -> Drawing:
    changed = (photograph.double() + shift[:, None, None]) / (1.1 if divided else 1.0)
    outside = ((changed < 0) | (changed > 255)).double().mean().item()
    moved = zip(CHANNELS, shift.tolist(), strict=True)
    words = f"{', '.join(f'{name} {by:+.1f}' for name, by in moved)} grey levels"
    then = ", then divided by 1.1" if divided else ""
    drawn = ", ".join(f"α{i} = {a:+.2f}" for i, a in enumerate(alphas.tolist(), start=1))
    figure, ((before, after),) = plots.panels(1, 2, height=4.7)
    plots.images(before, photograph, "as it is")
    plots.images(after, changed, words + then)
    return figure, (
        f"{drawn}: a photograph as it is, and with {words} added to all pixels{then}; {outside:.0%} of the "
        "values lie outside of 0–255; they are shown as 0 or 255, but stay as they are."
    )


# --- one crop of all -----------------------------------------------------------------------------------


def crop_explorer(photograph: Tensor, size: int = paper.INPUT_SIDE, **start: Any) -> PictureWidget:
    """A photograph with the frame of one crop, and the crop. Raises ValueError where it does not fit.

    photograph: (3, H, W) uint8.
    """
    down, right = photograph.shape[1] - size, photograph.shape[2] - size
    if min(down, right) < 0 or size < 1:
        raise ValueError(f"no crop of {size} × {size} pixels fits into {tuple(photograph.shape[1:])}")
    total = 2 * (down + 1) * (right + 1)

    def draw(
        top: int = slider("Top", range(down + 1), 0, "pixels above the crop"),
        left: int = slider("Left", range(right + 1), 0, "pixels left of the crop"),
        mirrored: bool = checkbox("mirrored", False, "whether left and right change places"),
    ) -> Drawing:
        crop = photograph[:, top : top + size, left : left + size]
        number = (top * (right + 1) + left) * 2 + mirrored + 1
        figure, ((whole, cut),) = plots.panels(1, 2, height=4.7)
        plots.images(whole, photograph, f"{photograph.shape[1]} × {photograph.shape[2]} pixels")
        plots.box(whole, top, left, size, size)
        plots.box(whole, down // 2, right // 2, size, size, line="--")
        whole.set_xlabel("dashed: the middle, as in the test")
        words = f"number {number:,} of {total:,}: {size} × {size}{', mirrored' if mirrored else ''}"
        plots.images(cut, crop.flip(2) if mirrored else crop, words)
        return figure, f"The crop {words}, from row {top} and column {left} on."

    return explorer(draw, **start)


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
