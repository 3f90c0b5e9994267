"""The widgets of notebook 04: colours shifted, a crop chosen, ten patches judged."""

from __future__ import annotations

from collections.abc import Callable

import torch
from matplotlib.figure import Figure
from torch import Tensor

from alexnet_edu import paper
from alexnet_edu.data.augment import STRENGTHS, TEN_PATCHES, ColorPCA, ten_crop
from alexnet_edu.data.images import Images
from alexnet_edu.lessons import augmentation as draw
from alexnet_edu.show.explorer import PictureWidget, checkbox, choice, slider
from alexnet_edu.show.plots import FONT_SIZE, label_axes, widget_axes

ALPHAS = tuple(round(0.05 * i, 2) for i in range(-6, 7))  # ±3 standard deviations of α
KINDS = (
    ("√λ: standard deviations (2012 code)", STRENGTHS[0]),
    ("λ of pixels 0–255", STRENGTHS[1]),
    ("λ of pixels 0–1", STRENGTHS[2]),
)


def color_explorer(
    photograph: Tensor, colors: ColorPCA, *, alphas: tuple[float, float, float] = (0.1, 0.0, 0.0)
) -> PictureWidget:
    """A photograph, and the same with α1, α2, α3 as chosen.

    photograph: (3, H, W) uint8. alphas: where the sliders start, values of `ALPHAS`.
    """
    options = [(f"{a:+.2f}", a) for a in ALPHAS]
    controls = {
        f"alpha{i + 1}": slider(
            f"α{i + 1}", options, alphas[i], f"the draw along p{i + 1}; N(0, 0.1) in the paper"
        )
        for i in range(3)
    }
    controls["kind"] = choice("Strength", list(KINDS), STRENGTHS[0], "what multiplies α")
    controls["divided"] = checkbox("divide by 1.1 (2012 code)", False, "what the code does while noise is on")

    def drawn(alpha1: float, alpha2: float, alpha3: float, kind: str, divided: bool) -> tuple[Figure, str]:
        alpha = torch.tensor([alpha1, alpha2, alpha3], dtype=torch.float64)
        shift = colors.eigenvectors @ (alpha * colors.strengths(kind))
        changed = (photograph.double() + shift[:, None, None]) / (1.1 if divided else 1.0)
        return _draw_colors(photograph, changed, shift, (alpha1, alpha2, alpha3), divided)

    return PictureWidget(controls, drawn)


def _draw_colors(
    photograph: Tensor, changed: Tensor, shift: Tensor, alphas: tuple[float, ...], divided: bool
) -> tuple[Figure, str]:
    figure, ((before, after),) = widget_axes(1, 2, height=4.7)
    red, green, blue = shift.tolist()
    outside = ((changed < 0) | (changed > 255)).double().mean().item()
    words = f"red {red:+.1f}, green {green:+.1f}, blue {blue:+.1f} grey levels"
    then = ", then divided by 1.1" if divided else ""
    draw.draw_picture(before, photograph.numpy(), "as it is")
    draw.draw_picture(after, changed.numpy(), words + then)
    note = (
        f"{outside:.0%} of the values lie outside of 0–255; they are shown as 0 or 255, but stay as they are."
    )
    figure.text(0.5, 0.025, note, ha="center", fontsize=FONT_SIZE)
    figure.subplots_adjust(left=0.02, right=0.98, top=0.93, bottom=0.08, wspace=0.04)
    drawn = ", ".join(f"α{i} = {a:+.2f}" for i, a in enumerate(alphas, start=1))
    return figure, f"{drawn}: a photograph as it is, and with {words} added to all pixels{then}; {note}"


def crop_explorer(
    photograph: Tensor, size: int = paper.INPUT_SIDE, *, top: int = 0, left: int = 0, mirrored: bool = False
) -> PictureWidget:
    """A photograph with the frame of one crop, and the crop. Raises ValueError where it does not fit.

    photograph: (3, H, W) uint8. top, left: where the frame starts, in pixels.
    """
    down, right = photograph.shape[1] - size, photograph.shape[2] - size
    if min(down, right) < 0 or size < 1:
        raise ValueError(f"no crop of {size} × {size} pixels fits into {tuple(photograph.shape[1:])}")
    controls = {
        "top": slider("Top", [(str(i), i) for i in range(down + 1)], top, "pixels above the crop"),
        "left": slider("Left", [(str(i), i) for i in range(right + 1)], left, "pixels left of the crop"),
        "mirrored": checkbox("mirrored", mirrored, "whether left and right change places"),
    }
    total = 2 * (down + 1) * (right + 1)

    def drawn(top: int, left: int, mirrored: bool) -> tuple[Figure, str]:
        crop = photograph[:, top : top + size, left : left + size]
        number = (top * (right + 1) + left) * 2 + mirrored + 1
        figure, ((whole, cut),) = widget_axes(1, 2, height=4.7)
        draw.draw_picture(whole, photograph.numpy(), f"{photograph.shape[1]} × {photograph.shape[2]} pixels")
        draw.draw_frame(whole, top, left, size)
        draw.draw_frame(whole, down // 2, right // 2, size, dashed=True)
        words = f"number {number:,} of {total:,}: {size} × {size}{', mirrored' if mirrored else ''}"
        draw.draw_picture(cut, (crop.flip(2) if mirrored else crop).numpy(), words)
        figure.text(0.26, 0.025, "dashed: the middle, as in the test", ha="center", fontsize=FONT_SIZE)
        figure.subplots_adjust(left=0.02, right=0.98, top=0.93, bottom=0.08, wspace=0.04)
        return figure, f"The crop {words}, from row {top} and column {left} on."

    return PictureWidget(controls, drawn)


def patch_explorer(
    images: Images, size: int, probabilities: Callable[[Tensor], Tensor], *, image: int = 0
) -> PictureWidget:
    """The ten patches of a test image, what a network says to each, and the average.

    probabilities: uint8 (M, 3, size, size) -> (M, classes), summing to 1. images: those to choose from.
    """
    controls = {
        "image": slider("Image", [(str(i), i) for i in range(len(images))], image, "which image is judged")
    }

    def drawn(image: int) -> tuple[Figure, str]:
        patches = ten_crop(images.pixels[image : image + 1], size)[0]
        found = probabilities(patches).double().cpu()
        return _draw_patches(patches, found, int(images.labels[image]), images)

    return PictureWidget(controls, drawn)


def _draw_patches(patches: Tensor, found: Tensor, label: int, images: Images) -> tuple[Figure, str]:
    names = images.classes
    figure, rows = widget_axes(2, 7, height=4.2)
    grid = rows[0][0].get_gridspec()
    assert grid is not None
    grid.set_width_ratios([1, 1, 1, 1, 1, 0.75, 2])  # the last but one for the classes' names
    for ax in (*rows[0][5:], *rows[1][5:]):
        ax.remove()
    for place, (patch, p) in enumerate(zip(patches, found, strict=True)):
        ax = rows[place // 5][place % 5]
        best = int(p.argmax())
        draw.draw_picture(ax, patch.numpy())
        verdict = "" if best == label else " ✗"
        ax.set_title(f"{names[best]}{verdict}\n{p[best]:.0%}", fontsize=FONT_SIZE - 1)
        ax.set_xlabel(TEN_PATCHES[place].replace(", ", ",\n"), fontsize=FONT_SIZE - 2)
    mean = found.mean(0)
    bars = figure.add_subplot(grid[:, 6])
    draw.draw_bars(bars, names, mean.tolist(), label)
    label_axes(bars, "average of the ten", "probability", "")
    note = " (SYNTHETIC images)" if images.synthetic else ""
    figure.suptitle(f"true class: {names[label]}{note}", fontsize=FONT_SIZE, x=0.02, ha="left")
    figure.subplots_adjust(left=0.02, right=0.985, top=0.84, bottom=0.13, wspace=0.25, hspace=0.75)
    right = sum(int(p.argmax()) == label for p in found)
    middle = names[int(found[2].argmax())]
    return figure, (
        f"{right} of the ten patches are taken for the true class, {names[label]}; the middle one for "
        f"{middle}, the average for {names[int(mean.argmax())]}{note}."
    )
