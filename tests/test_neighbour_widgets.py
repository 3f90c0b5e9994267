"""The explorer of notebook 08: images, layers, files of the reader, and what is told of bad ones."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pytest
import torch
from PIL import Image

from alexnet_edu.lessons.neighbour_widgets import Gallery, Query, neighbour_explorer
from alexnet_edu.show.explorer import PictureWidget
from alexnet_edu.studies.neighbours import as_vectors, nearest
from tests.retrieval_sample import tiny_images, tiny_network


@pytest.fixture
def explorer() -> PictureWidget:
    images = tiny_images()
    return neighbour_explorer(tiny_network(), images.train, images.test.subset(torch.arange(10)))


def upload(explorer: PictureWidget, content: bytes, name: str) -> None:
    """As the browser does: one file, named and with its bytes."""
    about = {"type": "image/png", "size": len(content), "last_modified": datetime(2012, 9, 30, tzinfo=UTC)}
    explorer.controls["given"].value = ({"name": name, "content": memoryview(content), **about},)


def png(width: int = 60, height: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.radial_gradient("L").resize((width, height)).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


def test_it_tells_what_was_found(explorer: PictureWidget) -> None:
    images, network = tiny_images(), tiny_network()
    explorer.controls["image"].value = 3
    assert explorer.error is None
    label = images.test.classes[images.test.labels[3]]
    assert explorer.alt.startswith(f"test image 3, of class {label} taken for ")
    assert "among 300 training images" in explorer.alt
    features = [network.features(part) for part in (images.test.pixels[3:4], images.train.pixels)]
    found = nearest(*features, 6).index[0]
    names = ", ".join(images.train.classes[i] for i in images.train.labels[found])
    same = int((images.train.labels[found] == images.test.labels[3]).sum())
    assert f"nearest in layer fc5: {names}, {same} of 6 of its class" in explorer.alt


def test_every_layer_draws_and_each_control_changes_the_picture(explorer: PictureWidget) -> None:
    before = explorer.png
    for layer in (*tiny_network().layers[:-2], "fc6"):
        explorer.controls["layer"].value = layer
        assert f"nearest in layer {layer}: " in explorer.alt
        assert explorer.png is not None
        assert explorer.png != before
        before = explorer.png
    explorer.controls["image"].value = 1
    assert explorer.png != before


def test_a_file_of_the_reader_is_searched_and_the_slider_leads_back(explorer: PictureWidget) -> None:
    upload(explorer, png(), "cat.png")
    assert explorer.error is None
    assert explorer.alt.startswith("your image cat.png, taken for ")
    assert "of its class" not in explorer.alt
    explorer.controls["layer"].value = "conv1"
    assert explorer.alt.startswith("your image cat.png")
    explorer.controls["image"].value = 2
    assert explorer.alt.startswith("test image 2, of class ")
    explorer.controls["layer"].value = "fc5"
    assert explorer.alt.startswith("test image 2, of class ")


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "is empty"), (b"no image at all", "is no image of a known kind"), (png()[:200], "damaged or cut")],
)
def test_a_file_that_is_no_image_is_told_and_does_no_harm(
    explorer: PictureWidget, content: bytes, why: str
) -> None:
    upload(explorer, content, "broken.png")
    assert explorer.error is not None
    assert "'broken.png' cannot be read as a photograph" in explorer.error
    assert why in explorer.error
    explorer.controls["image"].value = 4
    assert explorer.error is None
    assert explorer.alt.startswith("test image 4")


def test_where_it_starts_is_checked() -> None:
    images = tiny_images()
    with pytest.raises(ValueError, match=r"has the layers conv1, .*; got 'fc9' and 0"):
        neighbour_explorer(tiny_network(), images.train, images.test, layer="fc9")
    with pytest.raises(ValueError, match=r"there are 100 test images; got 'fc5' and 100"):
        neighbour_explorer(tiny_network(), images.train, images.test, image=100)


def test_a_layer_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    images, network = tiny_images(), tiny_network()
    gallery, sizes = Gallery(network, images.train), []
    features = type(network).features

    def counting(self: Any, pixels: torch.Tensor, layer: str | None = None, **options: Any) -> torch.Tensor:
        sizes.append(len(pixels))
        return features(self, pixels, layer, **options)

    monkeypatch.setattr(type(network), "features", counting)
    query = Query(images.test.pixels[0], 0, "test image 0")
    first, again = (gallery.found(query, "conv2", 6) for _ in range(2))
    assert torch.equal(first.index, again.index)
    assert sizes == [300, 1, 1]
    by_pixels = gallery.found(query, None, 6).index
    expected = nearest(as_vectors(images.test.pixels[:1]), as_vectors(images.train.pixels), 6).index
    assert torch.equal(by_pixels, expected)
