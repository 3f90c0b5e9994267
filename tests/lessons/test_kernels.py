"""Lesson 07: every choice of the explorers draws, and says what the numbers are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from alexnet_edu.lessons import kernels as lesson
from alexnet_edu.show.explorer import PictureWidget
from alexnet_edu.studies import specialization
from alexnet_edu.studies.engine import Runs
from alexnet_edu.studies.networks import Network
from alexnet_edu.studies.record import Record
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


def test_kernels_over_the_training(network: Network) -> None:
    explorer = lesson.training_explorer(network)
    assert put(explorer).startswith("8 kernels after 3 updates; first column: colour share 0.")
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
