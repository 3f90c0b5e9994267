"""Lesson 00, start here: what a small network sees in photographs, and where the parameters are."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor

from alexnet_edu import paper
from alexnet_edu.data.cifar10 import load_cifar10, pack_path
from alexnet_edu.data.decode import fit_to_square
from alexnet_edu.data.images import Images
from alexnet_edu.environment import current_scale
from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing
from alexnet_edu.show.photograph import photograph
from alexnet_edu.show.plots import BLUE, NEUTRAL, ORANGE, PINK, SKY
from alexnet_edu.studies.networks import Network, weights_for

SHOWN = 5  # test images beside the portrait
RIGHT, OTHER = "#E69F00", "#C6DBEF"  # bars of the true label, of the others
Counts = Mapping[str, tuple[int, int, int]]  # layer -> (parameters, neurons, multiply-adds)

# --- five labels for a photograph ------------------------------------------------------------------


def test_images() -> Images:
    """Test images of CIFAR-10 where they are on this machine, else of the stand-in; nothing is fetched."""
    there = current_scale() != "quick" and pack_path().exists()
    return load_cifar10(None if there else "quick").test


def top_five() -> Drawing:
    """Photographs that the shipped small network has never seen, and its five most probable labels."""
    images, portrait = test_images(), photograph()
    network = weights_for(images)
    first = [int((images.labels == label).nonzero()[0]) for label in range(0, 2 * SHOWN, 2)]  # one a class
    chosen = images.subset(torch.tensor(first))
    figure, (above, below) = plots.panels(2, SHOWN + 1, height=3.5, height_ratios=[1, 0.85])
    hits = 0
    for top, bars, pixels, label in zip(above, below, chosen.pixels, chosen.labels.tolist(), strict=False):
        plots.images(top, pixels, network.classes[label])
        hits += _labels(bars, network, pixels, label)[0] == network.classes[label]
    plots.images(above[-1], portrait, "a portrait")
    small = fit_to_square(portrait, images.pixels.shape[2])
    name, share = _labels(below[-1], network, small, None)
    source = " SYNTHETIC images but for the portrait." if images.synthetic else ""
    return figure, (
        f"A small network names {hits} of {SHOWN} images that it has never seen. For the portrait it "
        f"says “{name}” ({share:.0%}): it knows ten words, and has to choose.{source}"
    )


def _labels(ax: Axes, network: Network, pixels: Tensor, label: int | None) -> tuple[str, float]:
    """Draws the most probable labels of one image (3, H, W); the first with its probability."""
    best = network.probabilities(pixels[None])[0].topk(paper.FIGURE4_LABELS)
    names = [network.classes[i] for i in best.indices]
    colors = [RIGHT if i == label else OTHER for i in best.indices.tolist()]
    plots.bars(ax, dict(zip(names, best.values.tolist(), strict=True)), colors=colors)
    for place, name in enumerate(names):
        ax.text(0.03, place, name, va="center", fontsize=9)
    plots.bare(ax)
    ax.set_xlim(0, 1)
    return names[0], best.values[0].item()


# --- counting ----------------------------------------------------------------------------------------


def where_they_are(counts: Counts, guess: float | None = None) -> Drawing:
    """The shares of the layers in all parameters and in all multiply-adds, as two bars that add up to 1.

    guess: the share of the parameters that the convolutions hold, drawn into the first bar.
    """
    figure, ((ax,),) = plots.panels(1, 1, height=2.9)
    held: dict[str, float] = {}
    for row, (what, place) in enumerate({"parameters": 0, "multiply-adds": 2}.items()):
        whole, left = sum(count[place] for count in counts.values()), 0.0
        for name, count in counts.items():
            share, convolution = count[place] / whole, name.startswith("conv")
            color, hatch = (SKY, "") if convolution else ("#E6B87D", "///")
            ax.barh(row, share, 0.55, left, edgecolor="white", linewidth=1, color=color, hatch=hatch)
            if share > 0.04:
                behind = plots.BEHIND_WORDS | {"alpha": 0.9}
                ax.text(left + share / 2, row, name, ha="center", va="center", fontsize=9, bbox=behind)
            left += share
            held[what] = left if convolution else held[what]
        ax.plot([held[what]] * 2, [row - 0.38, row + 0.38], color="black", linewidth=2)
        words = f"convolutions {held[what]:.1%} | fully connected {1 - held[what]:.1%}"
        plots.note(ax, words, (1, row - 0.4), ha="right", va="bottom")
    if guess is not None:
        ax.plot([guess] * 2, [-0.45, 0.45], ":", color=PINK, linewidth=3)
        plots.note(ax, f"your guess: {guess:.0%}", (guess, 0.32), (4, 0), va="top", bbox=plots.BEHIND_WORDS)
    plots.rows(ax, list(held))
    ax.set_xlim(0, 1)
    plots.frame(ax, x="share of the whole network", percent="x")
    return figure, (
        f"The five convolutions hold {held['parameters']:.1%} of the parameters and do "
        f"{held['multiply-adds']:.1%} of the multiplications."
    )


def against_one_percent(counts: Counts) -> Drawing:
    """The share of all parameters that each convolution holds, and the limit that §1 names."""
    whole = sum(parameters for parameters, _, _ in counts.values())
    shares = {n: p / whole for n, (p, _, _) in counts.items() if n.startswith("conv")}
    above = [name for name, share in shares.items() if share > paper.CONV_SHARE_LIMIT]
    figure, ((ax,),) = plots.panels(1, 1, height=2.6)
    plots.bars(
        ax,
        shares,
        colors=[ORANGE if name in above else SKY for name in shares],
        words=[f"{share:.2%}" for share in shares.values()],
    )
    plots.level(ax, paper.CONV_SHARE_LIMIT, axis="x", line="--")
    plots.note(ax, "the limit of §1", (paper.CONV_SHARE_LIMIT, -0.5), (4, 0), va="bottom", color=NEUTRAL)
    ax.set(xlim=(0, 0.0175), ylim=(len(shares) - 0.4, -1))
    plots.frame(ax, x="share of all parameters", percent="x")
    return figure, (
        f"{' and '.join(above)} hold more than {paper.CONV_SHARE_LIMIT:.0%} of the parameters; the other "
        "three convolutions hold less."
    )


# --- 224 and 55 ------------------------------------------------------------------------------------------


def last_windows(side: int = paper.INPUT_SIDE) -> Drawing:
    """The last places of conv1 in one row of the image: the last window hangs over the edge."""
    size, stride = paper.CONV1_SIZE, paper.CONV1_STRIDE
    places = -(-(side - size) // stride) + 1  # rounded up
    figure, ((ax,),) = plots.panels(1, 1, height=2.6)
    ax.axvspan(0, side, color="#E8E8E8", linewidth=0, zorder=0)
    ax.axvline(side, color="black", linewidth=1.5)
    for row, place in enumerate(range(places - 4, places)):
        begin, over = place * stride, place * stride + size > side
        color = ORANGE if over else BLUE
        ax.add_patch(Rectangle((begin, row - 0.3), size, 0.6, facecolor=color, alpha=0.45, edgecolor=color))
        words = f"window {place + 1}: pixels {begin + 1} to {begin + size}"
        plots.note(ax, words, (begin, row), (-6, 0), ha="right", va="center")
    plots.note(ax, f"the image ends after pixel {side}", (side, 3.6), (6, 0), va="center")
    missing = (places - 1) * stride + size - side
    ax.set(xlim=(side - 44, side + 14), ylim=(4, -0.7), yticks=[])
    plots.frame(ax, x="pixels of one row of the image, counted from its left edge")
    return figure, (
        f"{places} windows need {side + missing} pixels, and the image has {side}: the last one hangs over "
        f"the edge by {missing}."
    )


def agreement(ways: Mapping[str, Tensor], tolerance: float = 1e-3) -> Drawing:
    """Where the maps of other ways, (1, K, n, n) each, are those of the first, over all K kernels."""
    (first, *others), (_, *names) = ways.values(), ways
    same = [((first - maps).abs() < tolerance).all(1)[0] for maps in others]  # (n, n) each
    figure, (axes,) = plots.panels(1, len(others), height=3.2)
    for ax, name, equal in zip(axes, names, same, strict=True):
        ax.imshow(equal.numpy(), cmap="Blues", vmin=0, vmax=1.6)
        plots.bare(ax)
        ax.set_title(f"{name}: {equal.sum()} of {equal.numel()} places")
    words = ", ".join(f"at {equal.sum()} with {name}" for name, equal in zip(names, same, strict=True))
    return figure, (
        f"Of {first[0, 0].numel()} places, the outputs are the authors' {words} "
        f"(dark: all {first.shape[1]} agree)."
    )
