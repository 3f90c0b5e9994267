"""Lesson 08, neighbours: labels and neighbours of an image, precision of searches and codes, a map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike
from torch import Tensor

from alexnet_edu import paper
from alexnet_edu.data.images import Images
from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing, PictureWidget, choice, explorer, slider, upload
from alexnet_edu.show.photograph import photograph_from_bytes
from alexnet_edu.show.plots import BLUE, FONT_SIZE, GREEN, NEUTRAL, ORANGE, PINK, SKY, YELLOW, Style
from alexnet_edu.studies.neighbours import as_vectors, nearest
from alexnet_edu.studies.networks import Network

TRUE_COLOR, OTHER_COLOR = "#ffaaaa", "#aaaaff"  # shownet.py, plot_predictions
# Every class has a marker of its own, so that ten are told apart without colour, too.
CLASS_COLORS = (BLUE, YELLOW, GREEN, ORANGE, PINK, SKY, "#000000", "#8C6D1F", BLUE, ORANGE)
CLASS_STYLES = tuple(Style(c, marker=m) for c, m in zip(CLASS_COLORS, "osD^vPX*<>", strict=True))
CODE_STYLES = {
    "auto-encoder, features": Style(BLUE, "-", "o"),
    "random planes, features": Style(SKY, "--", "^"),
    "auto-encoder, pixels": Style(ORANGE, "-", "s"),
    "random planes, pixels": Style(YELLOW, "--", "D"),
}
LAYER_WORDS = {-1: " (what it says to each class)", -2: " (last hidden layer)"}

# --- pictures --------------------------------------------------------------------------------


def draw_image(
    ax: Axes, pixels: ArrayLike, title: str = "", *, same: bool | None = None, size: float = FONT_SIZE
) -> None:
    """An image (3, H, W) uint8. same: whether it has the class of the query."""
    plots.images(ax, pixels)
    ax.set_title(title, fontsize=size, pad=3, loc="center")
    if same is not None:
        color, line = (BLUE, "-") if same else (ORANGE, (0, (2, 1.2)))
        ax.spines[:].set(visible=True, color=color, linewidth=3, linestyle=line)


def draw_bars(
    ax: Axes, names: Sequence[str], probabilities: Sequence[float], true: str | None, size: float = FONT_SIZE
) -> None:
    """Labels and their probabilities, the most probable on top, as in Figure 4: the true one reddish."""
    colors = [TRUE_COLOR if name == true else OTHER_COLOR for name in names]
    plots.bars(ax, dict(zip(names, probabilities, strict=True)), colors=colors)
    for place, (name, value) in enumerate(zip(names, probabilities, strict=True)):
        mark = " ✓" if name == true else ""
        ax.text(0.02, place, f"{name}{mark}  {value:.0%}", va="center", fontsize=size)
    ax.set(xlim=(0, 1), xticks=[], yticks=[])
    ax.spines["bottom"].set_visible(False)


def draw_precisions(ax: Axes, precisions: Mapping[str, Sequence[float]], chance: float) -> None:
    """Where neighbours are searched -> precision (0–1) of each network, and chance as a line."""
    plots.strip(ax, precisions, form="{:.0%}", upright=True)
    plots.level(ax, chance, "chance")
    plots.frame(ax, percent="y")
    ax.set_ylim(bottom=0)


def draw_codes(
    ax: Axes,
    bits: Sequence[int],
    values: Mapping[tuple[str, str], Sequence[Sequence[float]]],
    exact: Mapping[str, float],
) -> None:
    """Precision, or recall, against the bits of a code: a line through the means, a dot for each run.

    values: (source, kind) -> for each number of bits its runs. exact: words -> a level.
    """
    words = {"auto-encoder": "auto-encoder", "random": "random planes"}
    runs = {f"{words[kind]}, {source}": (bits, np.transpose(rows)) for (source, kind), rows in values.items()}
    plots.lines(ax, runs, spread="marks", styles=CODE_STYLES)
    for name, value in exact.items():
        plots.level(ax, value, name)
    plots.frame(ax, percent="y")
    ax.set_xscale("log", base=2)
    ax.set_xticks(bits, [str(b) for b in bits], minor=False)
    ax.set_ylim(bottom=0)


def draw_batches(ax: Axes, rows: Sequence[Mapping[str, float]], kept: int) -> None:
    """How many of the true nearest the search of findsimilar.py finds, against the number of batches."""
    batches = [row["batches"] for row in rows]
    shown = {
        "expected, shuffled": "expected",
        "measured, shuffled": "shuffled",
        "measured, in class order": "in_order",
    }
    series = {words: (batches, [row[name] for row in rows]) for words, name in shown.items()}
    plots.lines(ax, series)
    for line in ax.lines[1:]:
        line.set_linestyle("")
    ax.lines[0].set_marker("")
    plots.level(ax, kept)
    ax.set_xscale("log")
    ax.set_xticks(batches, [f"{int(b):,}" for b in batches])
    ax.minorticks_off()
    ax.set_ylim(0, kept * 1.06)
    ax.legend(loc="lower right")


def draw_map(
    ax: Axes, points: ArrayLike, labels: ArrayLike, classes: Sequence[str], centers: ArrayLike | None = None
) -> None:
    """Points (N, 2) by class, each with its own colour and marker.

    centers: (classes, 2), where the names of the classes stand; none without it, for a legend.
    """
    points, labels = np.asarray(points), np.asarray(labels)
    for label, (name, style) in enumerate(zip(classes, plots.styled(classes, CLASS_STYLES), strict=True)):
        look: dict[str, Any] = {"markersize": 4, "alpha": 0.65, "markeredgewidth": 0, "label": name}
        ax.plot(*points[labels == label].T, style.marker, color=style.color, **look)
    behind = {"facecolor": "white", "edgecolor": NEUTRAL, "alpha": 0.85, "pad": 1.5, "linewidth": 0.4}
    for name, (x, y) in zip(classes, np.asarray(centers), strict=True) if centers is not None else ():
        if np.isfinite(x):
            ax.text(x, y, name, ha="center", va="center", fontsize=FONT_SIZE - 2, bbox=behind)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(visible=True, color="#C0C0C0")


# --- the explorer ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Query:
    """One image that is looked for. pixels: (3, H, W) uint8. label: None where nobody knows it."""

    pixels: Tensor
    label: int | None
    name: str


class LastChosen:
    """The image that was chosen last: one of the test images, or one that the reader gave."""

    def __init__(self, test: Images) -> None:
        self.test = test
        self._image: int | None = None
        self._upload: Any = ()
        self._query: Query | None = None

    def query(self, image: int, upload: Any) -> Query:
        """image: place in `test`. upload: the value of an upload button. Whichever has changed is taken."""
        if upload and upload != self._upload:
            self._upload = upload  # also where it cannot be read, so that the slider works afterwards
            name, content = upload[0]["name"], bytes(upload[0]["content"])
            pixels = photograph_from_bytes(content, name, self.test.pixels.shape[2])
            self._query, self._image = Query(pixels, None, f"your image {name}"), image
        elif image != self._image or self._query is None:
            self._query = Query(self.test.pixels[image], int(self.test.labels[image]), f"test image {image}")
            self._image = image
        return self._query


def neighbour_explorer(
    network: Network,
    searched: Images,
    test: Images,
    *,
    k: int = paper.FIGURE4_NEIGHBOURS,
    **start: Any,
) -> PictureWidget:
    """An image, its most probable labels, and its nearest training images by a layer and by pixels.

    searched: training images to search, a few thousand, so that every layer fits into memory. test: images to
    choose from. A file that the reader gives is cut and shrunk to their size (§2).
    """
    chosen = LastChosen(test)
    vectors = cache(lambda layer: network.features(searched.pixels, layer))
    layers = dict(zip(network.layers, network.layers, strict=True))
    for place, words in LAYER_WORDS.items():
        layers[network.layers[place]] += words

    def draw(
        image: int = slider("Test image", range(len(test)), 0, "which image is shown"),
        layer: str = choice("Layer", layers, network.hidden, "searched in"),
        given: tuple[Any, ...] = upload(
            "Your own image", "a photograph; its middle is taken and made as small as the others"
        ),
    ) -> Drawing:
        query = chosen.query(image, given)
        pixels = query.pixels[None]
        rows = {
            f"layer {layer}": nearest(network.features(pixels, layer), vectors(layer), k).index[0],
            "pixels": nearest(as_vectors(pixels), as_vectors(searched.pixels), k).index[0],
        }
        return _draw_neighbours(network, query, searched, rows)

    return explorer(draw, notice="searching …", **start)


def _draw_neighbours(network: Network, query: Query, searched: Images, rows: Mapping[str, Tensor]) -> Drawing:
    """rows: where neighbours were searched -> their places among the images searched, (k,)."""
    k = len(rows["pixels"])
    figure, grid = plots.panels(2, k + 1, height=4.4, width_ratios=[1.5, *[1] * k])
    figure.set_layout_engine("constrained", h_pad=0.2)  # room for the words above each row
    best = network.probabilities(query.pixels[None])[0].topk(min(paper.FIGURE4_LABELS, len(network.classes)))
    names = [network.classes[i] for i in best.indices]
    true = None if query.label is None else network.classes[query.label]
    draw_image(grid[0][0], query.pixels, query.name if len(query.name) <= 22 else f"{query.name[:21]}…")
    draw_bars(grid[1][0], names, best.values.tolist(), true, FONT_SIZE - 1)
    sentences = []
    for axes, (where, index) in zip(grid, rows.items(), strict=True):
        labels = searched.labels[index]
        same = [None] * k if query.label is None else (labels == query.label).tolist()
        count = "" if query.label is None else f", {sum(same)} of {k} of its class"
        for ax, i, label, alike in zip(axes[1:], index, labels, same, strict=True):
            draw_image(ax, searched.pixels[i], searched.classes[label], same=alike, size=FONT_SIZE - 2)
        above: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
        words = axes[1].annotate(f"nearest in {where}{count}", (0, 1), (-3, 20), weight="bold", **above)
        words.set_in_layout(False)
        sentences.append(f"nearest in {where}: {', '.join(searched.classes[i] for i in labels)}{count}")
    note = f"{'SYNTHETIC images; ' * searched.synthetic}among {len(searched):,} training images"
    figure.supxlabel(f"{note}; frame: solid its class, dashed another", x=0.99, ha="right", fontsize=9)
    label = "" if true is None else f" of class {true}"
    guess = f"{query.name},{label} taken for {names[0]} ({best.values[0]:.0%})"
    plots.heading(figure, guess)
    return figure, f"{guess}; {'; '.join(sentences)}; {note}."
