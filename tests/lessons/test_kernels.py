"""Lesson 07: every choice of the explorers draws, and says what the numbers are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from alexnet_edu.lessons import kernels as lesson
from alexnet_edu.show.explorer import PictureWidget
from alexnet_edu.studies import specialization
from alexnet_edu.studies.engine import Runs
from alexnet_edu.studies.networks import Network
from alexnet_edu.studies.record import Record, load
from alexnet_edu.studies.shipped import as_network, seeded, train_with_snapshots
from tests.studies import samples


@pytest.fixture(scope="module")
def network() -> Network:
    runs = Runs(samples.IMAGES, None)
    trained = train_with_snapshots(runs, seeded(samples.conditions()[0].run, 1), (1, 3))
    return as_network("small", runs, trained)


def put(explorer: PictureWidget, **values: Any) -> str:
    for name, value in values.items():
        explorer.controls[name].value = value
    assert explorer.error is None
    assert explorer.png is not None
    return explorer.alt


def test_what_the_figures_say(network: Network, columns_study: tuple[Record, Path]) -> None:
    _, sheets = lesson.sheets(network)
    assert sheets.startswith("8 learned kernels of 5×5 pixels")
    _, film = lesson.film(network.snapshots, samples.IMAGES.train)
    assert "of 8 kernels prefer one direction before training" in film
    assert "after 12 steps (the strongest are shown). SYNTHETIC images." in film
    assert "times as large as the weakest" in lesson.two_scales(network)[1]
    record, _ = columns_study
    figure, sentence = lesson.columns_part(record, guess=1)
    assert "of 2 networks (recorded)" in sentence
    assert any("your guess: 1" in text.get_text() for text in figure.axes[1].texts)


def test_noise_is_no_blob() -> None:
    noise = torch.randn(200, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    striped, blobs = lesson.stripes_and_blobs(noise)
    assert striped.double().mean() < 0.05
    assert blobs.double().mean() < 0.15
    round_spot = torch.ones(1, 3, 7, 7) * torch.tensor([1.0, 0.0, -1.0]).view(1, 3, 1, 1)
    assert lesson.stripes_and_blobs(round_spot)[1].all()


def test_the_record_says_what_the_lesson_says() -> None:
    record = load("specialization")
    tests = {
        name: specialization.pooled_test(record, name) for name in ("paper", "joint", "apart", "kernel-11")
    }
    assert tests["paper"].mean > tests["paper"].high  # more than chance allows
    assert tests["joint"].low < tests["joint"].mean < tests["joint"].high
    assert tests["paper"].clear < tests["paper"].networks / 2  # not on every run
    ratio = {name: test.mean / test.chance for name, test in tests.items()}
    assert abs(ratio["apart"] - ratio["paper"]) < 0.3
    assert ratio["kernel-11"] > 1.3 * ratio["paper"]
    every = (specialization.pooled_test(record, name) for name in record.variants)
    assert all(test.clear < test.networks for test in every)
    assert "colour differs 1.4 times as much as by chance" in lesson.columns_part(record)[1]
    assert (
        "colour and hue with columns as in the paper; colour, colour by energy and frequency where"
        in lesson.measures(record)[1]
    )
    assert "part early" in lesson.over_training(record)[1]


def test_kernels_over_the_training(network: Network) -> None:
    explorer = lesson.training_explorer(network)
    assert put(explorer).startswith("8 kernels after 3 updates; first column: mean colour share 0.")
    for step in (0, 1, 3, 12):
        assert f"8 kernels after {step} updates" in put(explorer, step=step)


def test_the_columns_of_every_network_of_the_study(columns_study: tuple[Record, Path]) -> None:
    record, path = columns_study
    explorer = lesson.specialization_explorer(record, specialization.load_kernels(path))
    first, second = record.rows("columns", variant="paper").iloc[0][["first", "second"]]
    assert f"colour shares {first:.2f} and {second:.2f}, p" in put(explorer)
    assert "nothing kept, seed 2" in put(explorer, condition="joint", seed=2)
    assert lesson.column_slices(96, 2) == [slice(0, 48), slice(48, 96)]
    assert lesson.column_slices(64, 1) == [slice(0, 64)]


def test_images_that_excite_a_unit(network: Network) -> None:
    images = samples.IMAGES.test
    explorer = lesson.excitation_explorer(network, images)
    assert put(explorer).startswith("conv2, unit 0 of 64: the 12 of 60 test images, synthetic stand-in")
    with_squares = explorer.png
    assert "conv1, unit 7 of 8" in put(explorer, layer="conv1", unit=200)  # beyond the last one
    assert "fc6, unit 9 of 10" in put(explorer, layer="fc6", unit=9)
    strongest = network.outputs(images.pixels, "fc6")[:, 9].argmax()
    assert images.classes[int(images.labels[strongest])] in explorer.alt
    elsewhere = Network("other", "other", network.stages, network.prepare.__call__, network.classes)
    assert lesson.excitation_explorer(elsewhere, images).png != with_squares  # what it sees is not known
