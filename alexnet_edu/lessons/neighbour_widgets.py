"""The explorer of notebook 08: an image, its labels, its neighbours by a layer and by pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from alexnet_edu import paper
from alexnet_edu.data.images import Images
from alexnet_edu.lessons import neighbours as draw
from alexnet_edu.show.explorer import PictureWidget, choice, slider, upload
from alexnet_edu.show.photograph import photograph_from_bytes
from alexnet_edu.show.plots import FONT_SIZE, widget_axes
from alexnet_edu.studies.neighbours import Neighbours, as_vectors, nearest
from alexnet_edu.studies.networks import Network

LAYER_WORDS = {-1: "what it says to each class", -2: "last hidden layer"}


@dataclass(frozen=True)
class Query:
    """One image that is looked for. pixels: (3, H, W) uint8. label: None where nobody knows it."""

    pixels: Tensor
    label: int | None
    name: str


class Gallery:
    """Training images, and what the layers of a network make of them, computed once a layer."""

    def __init__(self, network: Network, images: Images) -> None:
        self.network, self.images = network, images
        self._vectors: dict[str, Tensor] = {}

    def found(self, query: Query, layer: str | None, k: int) -> Neighbours:
        """The k nearest ones in a layer; in pixels where it is None."""
        if layer is None:
            return nearest(as_vectors(query.pixels[None]), as_vectors(self.images.pixels), k)
        if layer not in self._vectors:
            self._vectors[layer] = self.network.features(self.images.pixels, layer)
        return nearest(self.network.features(query.pixels[None], layer), self._vectors[layer], k)


class Chosen:
    """Which image was chosen last: one of the test images, or one that the reader gave."""

    def __init__(self, test: Images) -> None:
        self.test = test
        self._image: int | None = None
        self._given: Any = ()
        self._query: Query | None = None

    def query(self, image: int, given: Any) -> Query:
        """image: place in `test`. given: the value of an upload button. Whatever has changed is taken."""
        if given and given != self._given:
            self._given = given  # also where it cannot be read, so that the slider works afterwards
            side = self.test.pixels.shape[2]
            name = given[0]["name"]
            pixels = photograph_from_bytes(bytes(given[0]["content"]), name, side)
            self._query, self._image = Query(pixels, None, f"your image {name}"), image
        elif image != self._image or self._query is None:
            label = int(self.test.labels[image])
            self._query = Query(self.test.pixels[image], label, f"test image {image}")
            self._image = image
        return self._query


def neighbour_explorer(
    network: Network,
    searched: Images,
    test: Images,
    *,
    image: int = 0,
    layer: str | None = None,
    k: int = paper.FIGURE4_NEIGHBOURS,
) -> PictureWidget:
    """An image, its most probable labels, and its nearest training images by a layer and by pixels.

    searched: training images to search, a few thousand, so that every layer fits into memory. test: images to
    choose from. image, layer: where the controls start; the last hidden layer if None. A file that the
    reader gives is cut and shrunk to their size (§2). Raises ValueError for an unknown layer or image.
    """
    start = network.hidden if layer is None else layer
    if start not in network.layers or not 0 <= image < len(test):
        raise ValueError(
            f"{network.name} has the layers {', '.join(network.layers)}, and there are {len(test)} test "
            f"images; got {start!r} and {image!r}"
        )
    gallery, chosen = Gallery(network, searched), Chosen(test)
    words = {network.layers[place]: f" ({word})" for place, word in LAYER_WORDS.items()}
    controls = {
        "image": slider("Test image", [(str(i), i) for i in range(len(test))], image, "which image is shown"),
        "layer": choice(
            "Layer", [(f"{name}{words.get(name, '')}", name) for name in network.layers], start, "searched in"
        ),
        "given": upload(
            "Your own image", "a photograph; its middle is taken and made as small as the others"
        ),
    }

    def drawn(image: int, layer: str, given: Any) -> tuple[Figure, str]:
        return _draw(gallery, chosen.query(image, given), layer, k)

    return PictureWidget(controls, drawn, notice="searching …")


def _draw(gallery: Gallery, query: Query, layer: str, k: int) -> tuple[Figure, str]:
    images, network = gallery.images, gallery.network
    figure = widget_axes(1, 1, height=4.2)[0]
    figure.clear()
    grid = figure.add_gridspec(2, k + 2, width_ratios=[1.5, 0.12, *[1] * k], hspace=0.36, wspace=0.12)
    probabilities = network.probabilities(query.pixels[None])[0]
    best = probabilities.topk(min(paper.FIGURE4_LABELS, len(network.classes)))
    names = [network.classes[i] for i in best.indices]
    true = None if query.label is None else network.classes[query.label]
    draw.draw_image(figure.add_subplot(grid[0, 0]), query.pixels, _shortened(query.name))
    draw.draw_bars(figure.add_subplot(grid[1, 0]), names, best.values.tolist(), true, FONT_SIZE - 1)
    said = []
    for row, where in enumerate((layer, None)):
        found = gallery.found(query, where, k)
        labels = images.labels[found.index[0]]
        same = labels == query.label if query.label is not None else torch.zeros(k, dtype=torch.bool)
        title = "pixels" if where is None else f"layer {where}"
        count = "" if query.label is None else f", {int(same.sum())} of {k} of its class"
        for place in range(k):
            ax = figure.add_subplot(grid[row, place + 2])
            frame = None if query.label is None else (draw.SAME if same[place] else draw.ANOTHER)
            name = images.classes[labels[place]]
            draw.draw_image(
                ax,
                images.pixels[found.index[0, place]],
                name,
                frame=frame,
                dashed=not same[place],
                size=FONT_SIZE - 2,
            )
            if place == 0:
                ax.annotate(
                    f"nearest in {title}{count}",
                    (0, 1),
                    xytext=(-3, 20),
                    xycoords="axes fraction",
                    textcoords="offset points",
                    fontsize=FONT_SIZE,
                    fontweight="bold",
                )
        said.append(f"nearest in {title}: {', '.join(images.classes[i] for i in labels)}{count}")
    note = "SYNTHETIC images; " if images.synthetic else ""
    figure.text(
        0.985,
        0.012,
        f"{note}among {len(images):,} training images; frame: solid its class, dashed another",
        ha="right",
        fontsize=FONT_SIZE - 1,
    )
    figure.subplots_adjust(left=0.015, right=0.985, top=0.875, bottom=0.075)
    label = "" if true is None else f" of class {true}"
    return figure, (
        f"{query.name},{label} taken for {names[0]} ({best.values[0]:.0%}); {'; '.join(said)}; "
        f"{note}among {len(images):,} training images."
    )


def _shortened(name: str, most: int = 22) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
