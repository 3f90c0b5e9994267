"""Lesson 08, neighbours: Figure 4, precision by layer and by code, near-duplicates, a map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import ArrayLike
from torch import Tensor

from alexnet_edu import paper
from alexnet_edu.data.images import Images, ImageSet
from alexnet_edu.show import plots
from alexnet_edu.show.explorer import Drawing, PictureWidget, choice, explorer, slider, upload
from alexnet_edu.show.photograph import photograph_from_bytes
from alexnet_edu.show.plots import BLUE, FONT_SIZE, GREEN, NEUTRAL, ORANGE, PINK, SKY, YELLOW, Style, frame
from alexnet_edu.studies import retrieval
from alexnet_edu.studies.neighbours import as_vectors, centers, nearest
from alexnet_edu.studies.networks import Network
from alexnet_edu.studies.record import Record
from alexnet_edu.studies.retrieval import kinds as kinds

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


def shuffled(images: ImageSet) -> tuple[Images, Images]:
    """Training and test images in random order: in a pack they lie in class order."""
    random = torch.Generator().manual_seed(8)
    parts = (images.train, images.test)
    train, test = (part.subset(torch.randperm(len(part), generator=random)) for part in parts)
    return train, test


# --- the lesson's figures ----------------------------------------------------------------------


def figure4(test: Images, train: Images, by_features: Tensor, by_pixels: Tensor, record: Record) -> Drawing:
    """Figure 4, right: the first test images and their nearest training images.

    by_features, by_pixels: places of the neighbours among `train`, (shown, k) int64.
    """
    rows = {"features": by_features, "pixels": by_pixels}
    k = paper.FIGURE4_NEIGHBOURS
    ratios = [1.2, *([0.3, *[1] * k] * len(rows))]
    figure, grid = plots.panels(len(by_features), len(ratios), 4.4, width_ratios=ratios)
    figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.05, wspace=0, hspace=0.02)
    for i, axes in enumerate(grid):
        _image(axes[0], test.pixels[i], test.classes[test.labels[i]])
        for block, (where, index) in enumerate(rows.items()):
            gap, *rest = axes[1 + block * (k + 1) : 1 + (block + 1) * (k + 1)]
            plots.bare(gap)
            for ax, j in zip(rest, index[i], strict=True):
                _image(ax, train.pixels[j], same=bool(train.labels[j] == test.labels[i]))
            if i == 0:
                _above(rest[0], f"nearest by {where}")
    source = "SYNTHETIC images; " * train.synthetic
    figure.supxlabel(
        f"{source}frame: solid blue its class, dashed orange another", x=0.99, ha="right", size=9
    )
    hidden, pixels = (
        fmean(retrieval.precisions(record, layer))
        for layer in (retrieval.layers(record)[-2], retrieval.PIXELS)
    )
    return figure, (
        f"Of the {k} nearest training images by the last hidden layer, {hidden:.0%} have the class of the "
        f"test image; by pixels, {pixels:.0%} (CIFAR-10, all test images, recorded)."
    )


def five_labels(
    network: Network, test: Images, photograph: Tensor, same: Sequence[Tensor], chance: Sequence[Tensor]
) -> Drawing:
    """Figure 4, left: seven test images and a photograph; below, how reasonable labels are, against chance.

    photograph: (3, H, W) uint8, of none of the classes. same, chance: of mistakes and of second guesses the
    share that is of the true kind.
    """
    pixels = torch.cat([test.pixels[: paper.FIGURE4_TEST_IMAGES - 1], photograph[None]])
    truths = [*(test.classes[label] for label in test.labels[: len(pixels) - 1]), "no class"]
    cells = [f"{part} {i}" for i in range(len(pixels)) for part in ("image", "bars")]
    rows = [cells[: len(pixels)], cells[len(pixels) :], ["kinds"] * len(pixels)]
    figure, axes = plots.mosaic(rows, 4.6, width_ratios=(1, 1.5) * 4)
    best = network.probabilities(pixels).topk(paper.FIGURE4_LABELS)
    for i, true in enumerate(truths):
        names = [network.classes[c] for c in best.indices[i]]
        _image(axes[f"image {i}"], pixels[i], true)
        _bars(axes[f"bars {i}"], names, best.values[i].tolist(), true, 8)
    ax, words = axes["kinds"], ("mistakes", "second guesses,\nwhere the first is right")
    for row, (here, random) in enumerate(zip(same, chance, strict=True)):
        ax.plot([random, here], [row, row], color=NEUTRAL)
        ax.plot(random, row, "D", color=NEUTRAL, fillstyle="none", label="by chance" if row == 0 else "")
        ax.plot(here, row, "o", color=BLUE, markersize=8, label="the network" if row == 0 else "")
    plots.rows(ax, words)
    ax.set_xlim(0, 1)
    frame(ax, x="share within the true kind: animals, or vehicles", percent="x", legend="lower left")
    mistakes = (
        f"{same[0]:.0%} of the mistakes stay within animals, or within vehicles (by chance {chance[0]:.0%}), "
        if same[0] >= 0
        else "there are no mistakes; "
    )
    return figure, (
        f"Labels are mostly of the right kind: {mistakes}and {same[1]:.0%} of the second guesses "
        f"({chance[1]:.0%}).{test.caveat}"
    )


def by_layer(
    trained: Mapping[str, float],
    untrained: Sequence[Mapping[str, float]],
    pixels: float,
    images: Images,
    guess: float | None = None,
) -> Drawing:
    """Precision at k in each layer of a network and of some with random weights. guess: in percent."""
    names = list(trained)
    places = range(1, len(names) + 1)
    figure, ((ax,),) = plots.panels(1, 1, height=3.8)
    runs = {
        "trained": (places, [list(trained.values())]),
        "random weights": (places, [list(each.values()) for each in untrained]),
    }
    plots.lines(ax, runs, spread="marks", styles=(Style(BLUE, "-", "o"), Style(ORANGE, "--", "s")))
    ax.plot(0, pixels, "D", color=NEUTRAL, label="pixels")
    plots.level(ax, 1 / 10, "chance")
    last = len(names) - 1  # of the last hidden layer
    if guess is not None:
        ax.plot([last - 0.4, last + 0.4], [guess / 100] * 2, ":", color=PINK, linewidth=2.5)
        plots.note(ax, f"your guess: {guess:g}%", (last + 0.4, guess / 100), (4, -3))
    words = [*names[:-2], f"{names[-2]}\n(last hidden)", f"{names[-1]}\n(classifier)"]
    ax.set_xticks([0, *places], ["pixels", *words])
    ax.set_ylim(bottom=0)
    frame(ax, "", "searched in", "neighbours of the right class", percent="y", legend="upper left")
    before = [each[names[-2]] for each in untrained]
    return figure, (
        f"It is learning: in the last hidden layer {trained[names[-2]]:.0%} of the neighbours have the right "
        f"class, with random weights {fmean(before):.0%} ({min(before):.0%} to {max(before):.0%}), and in "
        f"pixels {pixels:.0%}.{images.caveat}"
    )


def codes(
    found: Mapping[str, Sequence[tuple[float, float]]],
    exact: float,
    bits: int,
    images: Images,
    record: Record,
) -> Drawing:
    """Precision and recall of codes. found: how they were made -> for each seed its two numbers."""
    figure, axes = plots.panels(1, 2, height=3.4, sharey=True)
    pixels = [
        retrieval.code_values(record, retrieval.PIXELS, "auto-encoder", bits, what)
        for what in ("precision", "recall")
    ]
    rows = {**found, "auto-encoder on pixels\n(recorded)": list(zip(*pixels, strict=True))}
    titles = ("neighbours of the right class", "true six among the nearest 100 codes")
    for ax, place, title in zip(axes[0], (0, 1), titles, strict=True):
        plots.strip(ax, {name: [run[place] for run in runs] for name, runs in rows.items()}, form="{:.0%}")
        frame(ax, "", title, percent="x")
        ax.set_xlim(0, 0.8)
    for words in axes[0][0].texts:
        words.set_bbox(plots.BEHIND_WORDS)  # the line of exact search runs there
    plots.level(axes[0][0], exact, "exact search", axis="x", line="--")
    right = {name.split(" (")[0]: fmean(run[0] for run in runs) for name, runs in found.items()}
    learned = right.pop("auto-encoder")
    best = max(right, key=lambda name: right[name])
    return figure, (
        f"The right class: {exact:.0%} of the neighbours by exact search, {learned:.0%} by codes of {bits} "
        f"bits from the auto-encoder, {right[best]:.0%} by {best}, which needs no gradient."
        f"{images.caveat}"
    )


# --- what goes deeper --------------------------------------------------------------------------


def by_bits(record: Record) -> Drawing:
    """Precision and recall of recorded codes against their length, a mark for each network and seed."""
    plan = record.settings["plan"]
    lengths, hidden = plan["bits"], retrieval.layers(record)[-2]
    figure, (axes,) = plots.panels(1, 2, height=3.9)
    words = {
        "precision": f"right class among {plan['k']}",
        "recall": f"true {plan['k']} among {plan['shortlist']}",
    }
    for ax, (what, label) in zip(axes, words.items(), strict=True):
        series = {
            f"{kind}, {source}": (
                lengths,
                np.transpose([retrieval.code_values(record, source, name, bits, what) for bits in lengths]),
            )
            for source in retrieval.SOURCES
            for name, kind in retrieval.KINDS.items()
            if f"{kind}, {source}" in CODE_STYLES
        }
        plots.lines(ax, series, spread="marks", styles=CODE_STYLES)
        ax.set_xscale("log", base=2)
        ax.set_xticks(lengths, [str(bits) for bits in lengths], minor=False)
        ax.set_ylim(0, 1)
        frame(ax, "", "bits of a code", label, percent="y")
    exact = fmean(retrieval.precisions(record, hidden))
    plots.level(axes[0], exact, "exact search, features")
    plots.level(axes[0], retrieval.precisions(record, retrieval.PIXELS)[0], "exact search, pixels")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    first, last = (fmean(retrieval.lead(record, bits)) for bits in (lengths[0], lengths[-1]))
    return figure, (
        f"The auto-encoder finds {first:.1f} points more of the right class than random planes with "
        f"{lengths[0]} bits, and {-last:.1f} fewer with {lengths[-1]}; features beat pixels at every length "
        "(recorded)."
    )


def by_batches(record: Record) -> Drawing:
    """How many of the true nearest the search of findsimilar.py finds, against the number of batches."""
    rows, kept = record.rows("batches", variant="features", seed=1), record.settings["plan"]["kept"]
    figure, ((ax,),) = plots.panels(1, 1, height=3.4)
    names = {"expected": "expected, shuffled", "shuffled": "shuffled", "in_order": "in class order"}
    plots.lines(ax, {words: (rows["batches"], rows[name]) for name, words in names.items()})
    for line in ax.lines[1:]:
        line.set_linestyle("")
    ax.lines[0].set_marker("")
    plots.level(ax, kept, f"all {kept}")
    ax.set_xscale("log")
    ax.set_xticks(rows["batches"], [f"{batches:,}" for batches in rows["batches"]])
    ax.minorticks_off()
    ax.set_ylim(0, kept * 1.12)
    frame(ax, "", "batches, each offers its nearest image", "true neighbours found", legend="lower right")
    first, most = rows.iloc[0], rows[rows["batches"] == 1000].iloc[0]
    return figure, (
        f"With {first['batches']:.0f} batches the search finds {first['shuffled']:.1f} of the true {kept} if "
        f"images are shuffled, {first['in_order']:.1f} in class order; with {most['batches']:,.0f}, "
        f"{most['shuffled']:.1f} and {most['in_order']:.1f} (recorded)."
    )


def twins(test: Images, train: Images, pairs: Tensor, share: float) -> Drawing:
    """Test images, each beside the training image that is nearest both by features and by pixels.

    pairs: (N, 2) places in test and train; share: of the test images that have such a neighbour.
    """
    both = torch.stack([test.pixels[pairs[:, 0]], train.pixels[pairs[:, 1]]], 1).flatten(0, 1)
    figure, ((ax,),) = plots.panels(1, 1, height=0.8 + 0.56 * -(-len(both) // 16))
    plots.images(ax, both, columns=16)
    return figure, (
        f"{share:.1%} of the test images have the same nearest training image by features and by pixels; "
        f"some pairs, the test image on the left.{train.caveat}"
    )


def space(maps: Mapping[str, Tensor], test: Images) -> Drawing:
    """Test images as points of a plane, by class. maps: what was mapped -> (N, 2)."""
    figure, (axes,) = plots.panels(1, len(maps), height=5)
    right = []
    for ax, (name, points) in zip(axes, maps.items(), strict=True):
        for label, (words, style) in enumerate(zip(test.classes, CLASS_STYLES, strict=True)):
            look: dict[str, Any] = {"markersize": 4, "alpha": 0.65, "markeredgewidth": 0, "label": words}
            ax.plot(*points[test.labels == label].T, style.marker, color=style.color, **look)
        ax.set(xticks=[], yticks=[])
        frame(ax, name)
        index = nearest(points, points, 2).index[:, 1]
        right.append(f"{name} {(test.labels[index] == test.labels).float().mean():.0%}")
    middles = centers(maps[next(iter(maps))], test.labels, len(test.classes))
    for words, (x, y) in zip(test.classes, middles.tolist(), strict=True):
        plots.note(axes[0], words, (x, y), ha="center", va="center", bbox=plots.BEHIND_WORDS)
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=5, markerscale=1.8, fontsize=8)
    return figure, (
        f"Share of test images whose nearest point on the map has their class: {', '.join(right)}."
        f"{test.caveat}"
    )


# --- parts of them -----------------------------------------------------------------------------


def _image(
    ax: Axes, pixels: ArrayLike, title: str = "", *, same: bool | None = None, size: float = FONT_SIZE - 1
) -> None:
    """An image (3, H, W) uint8. same: whether it has the class of the query."""
    plots.images(ax, pixels)
    ax.set_title(title, fontsize=size, pad=3, loc="center")
    if same is not None:
        color, line = (BLUE, "-") if same else (ORANGE, (0, (2, 1.2)))
        ax.spines[:].set(visible=True, color=color, linewidth=2.5, linestyle=line)


def _above(ax: Axes, words: str, offset: float = 6) -> None:
    """Words over a row of axes, which begins with this one, so many points above it."""
    where: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    ax.annotate(words, (0, 1), (-3, offset), weight="bold", **where).set_in_layout(False)


def _bars(
    ax: Axes, names: Sequence[str], probabilities: Sequence[float], true: str | None, size: float
) -> None:
    """Labels and their probabilities, the most probable on top, as in Figure 4: the true one reddish."""
    colors = [TRUE_COLOR if name == true else OTHER_COLOR for name in names]
    plots.bars(ax, dict(zip(names, probabilities, strict=True)), colors=colors)
    for place, (name, value) in enumerate(zip(names, probabilities, strict=True)):
        mark = " ✓" if name == true else ""
        ax.text(0.02, place, f"{name}{mark}  {value:.0%}", va="center", fontsize=size)
    ax.set(xlim=(0, 1), xticks=[], yticks=[])
    ax.spines["bottom"].set_visible(False)


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
    _image(grid[0][0], query.pixels, query.name if len(query.name) <= 22 else f"{query.name[:21]}…")
    _bars(grid[1][0], names, best.values.tolist(), true, FONT_SIZE - 1)
    sentences = []
    for axes, (where, index) in zip(grid, rows.items(), strict=True):
        labels = searched.labels[index]
        same = [None] * k if query.label is None else (labels == query.label).tolist()
        count = "" if query.label is None else f", {sum(same)} of {k} of its class"
        for ax, i, label, alike in zip(axes[1:], index, labels, same, strict=True):
            _image(ax, searched.pixels[i], searched.classes[label], same=alike, size=FONT_SIZE - 2)
        _above(axes[1], f"nearest in {where}{count}", 20)
        sentences.append(f"nearest in {where}: {', '.join(searched.classes[i] for i in labels)}{count}")
    note = f"{'SYNTHETIC images; ' * searched.synthetic}among {len(searched):,} training images"
    figure.supxlabel(f"{note}; frame: solid its class, dashed another", x=0.99, ha="right", fontsize=9)
    label = "" if true is None else f" ({true})"
    guess = f"{query.name}{label}: the network says {names[0]} ({best.values[0]:.0%})"
    plots.heading(figure, guess)
    return figure, f"{guess}; {'; '.join(sentences)}; {note}."
