"""Lesson 08: what its figures say; images, layers and files of the reader in the explorer."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
import torch
from PIL import Image

from alexnet_edu.lessons import neighbours as lesson
from alexnet_edu.show.explorer import PictureWidget
from alexnet_edu.studies import retrieval
from alexnet_edu.studies.neighbours import as_vectors, centers, nearest, plane
from alexnet_edu.studies.record import load
from tests.studies.samples import tiny_images, tiny_network

# --- pictures ------------------------------------------------------------------------------


def test_the_map_keeps_clusters_together() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(150) % 3
    vectors = 20 * torch.eye(3)[labels].repeat(1, 4) + torch.randn(150, 12, generator=generator)
    points = plane(vectors, seed=1)
    assert torch.equal(points, plane(vectors, seed=1))
    middles = centers(points, labels, 4)
    assert torch.isnan(middles[3]).all()
    assert torch.equal(torch.cdist(points, middles[:3]).argmin(1), labels)


def test_figures_count_and_say_what_is_synthetic() -> None:
    images, record = tiny_images(), load("retrieval")
    figure, sentence = lesson.by_layer(
        {"conv1": 0.4, "fc2": 0.6, "fc3": 0.7},
        [{"conv1": 0.3, "fc2": 0.2, "fc3": 0.1}],
        0.25,
        images.train,
        45,
    )
    assert "in the last hidden layer 60% of" in sentence
    assert "random weights 20%" in sentence
    assert sentence.endswith("pixels 25%. SYNTHETIC images.")
    assert "your guess: 45%" in [text.get_text() for text in figure.axes[0].texts]
    made = {"PCA": [(0.5, 0.3)], "ITQ": [(0.6, 0.2)], "auto-encoder": [(0.5, 0.4), (0.6, 0.4)]}
    sentence = lesson.codes(made, 0.7, 32, images.train, record)[1]
    assert "55% by codes of 32 bits from the auto-encoder, 60% by ITQ" in sentence
    assert lesson.kinds(["cat", "ship", "truck", "rings", "level stripes"]).tolist() == [0, 1, 1, 0, 1]


def test_the_record_says_what_the_lesson_says() -> None:
    record = load("retrieval")
    hidden, lengths = retrieval.layers(record)[-2], record.settings["plan"]["bits"]
    depths = [min(retrieval.precisions(record, name)) for name in retrieval.layers(record)[:-1]]
    assert depths == sorted(depths)
    (pixels,) = retrieval.precisions(record, retrieval.PIXELS)
    features = retrieval.precisions(record, hidden)
    assert min(features) > pixels + 0.3
    assert min(record.of(variant="features").runs["by_angle"]) > max(features)
    assert 0.05 < record.of(variant="features").runs["nearer_median"].mean() < 0.5  # thousands are nearer
    for bits in lengths:
        worst = min(retrieval.code_values(record, "features", "auto-encoder", bits))
        assert worst > max(retrieval.code_values(record, "pixels", "auto-encoder", bits)) + 0.2
        assert min(retrieval.lead(record, bits, "recall")) > 0
    assert min(retrieval.code_values(record, "pixels", "auto-encoder", 256)) > pixels
    assert min(retrieval.lead(record, 32)) > 0 > max(retrieval.lead(record, 128))
    assert abs(sum(retrieval.lead(record, 64)) / 5) < 1  # about level
    assert min(retrieval.code_values(record, "features", "random", 256)) > max(features)


# --- the explorer ----------------------------------------------------------------------------


@pytest.fixture
def explorer() -> PictureWidget:
    images = tiny_images()
    return lesson.neighbour_explorer(tiny_network(), images.train, images.test.subset(torch.arange(10)))


def upload(explorer: PictureWidget, content: bytes, name: str) -> None:
    """As the browser does: one file, named and with its bytes."""
    about = {"type": "image/png", "size": len(content), "last_modified": datetime(2012, 9, 30, tzinfo=UTC)}
    explorer.controls["given"].value = ({"name": name, "content": memoryview(content), **about},)


def png(width: int = 60, height: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.radial_gradient("L").resize((width, height)).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


def test_it_names_the_nearest_by_features_and_by_pixels(explorer: PictureWidget) -> None:
    images, network = tiny_images(), tiny_network()
    train, test = images.train, images.test.subset(torch.arange(10))
    explorer.controls["image"].value = 3
    assert explorer.alt.startswith(f"test image 3 ({test.classes[test.labels[3]]}): the network says ")
    assert "among 300 training images" in explorer.alt
    features = [network.features(part) for part in (test.pixels[3:4], train.pixels)]
    pixels = [as_vectors(part) for part in (test.pixels[3:4], train.pixels)]
    for where, vectors in (("layer fc5", features), ("pixels", pixels)):
        labels = train.labels[nearest(*vectors, 6).index[0]]
        names = ", ".join(train.classes[i] for i in labels)
        same = int((labels == test.labels[3]).sum())
        assert f"nearest in {where}: {names}, {same} of 6 of its class" in explorer.alt


def test_a_file_of_the_reader_is_searched_and_the_slider_leads_back(explorer: PictureWidget) -> None:
    upload(explorer, png(), "cat.png")
    assert explorer.alt.startswith("your image cat.png: the network says ")
    assert "of its class" not in explorer.alt
    explorer.controls["layer"].value = "conv1"
    assert explorer.alt.startswith("your image cat.png")
    explorer.controls["image"].value = 2
    assert explorer.alt.startswith("test image 2 (")
    explorer.controls["layer"].value = "fc5"
    assert explorer.alt.startswith("test image 2 (")


@pytest.mark.parametrize("content", [b"", b"no image at all", png()[:200]])
def test_a_file_that_is_no_image_does_no_harm(explorer: PictureWidget, content: bytes) -> None:
    upload(explorer, content, "broken.png")
    assert explorer.error is not None
    assert "'broken.png' cannot be read as a photograph" in explorer.error
    explorer.controls["image"].value = 4
    assert explorer.error is None
    assert explorer.alt.startswith("test image 4")
