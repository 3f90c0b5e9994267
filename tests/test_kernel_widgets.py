"""The explorers of notebook 07: every choice draws and says what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from alexnet_edu.lessons.kernel_widgets import (
    ORDERS,
    column_slices,
    excitation_explorer,
    specialization_explorer,
    training_explorer,
)
from alexnet_edu.show.explorer import PictureWidget
from alexnet_edu.studies import specialization
from alexnet_edu.studies import specialization_records as records
from alexnet_edu.studies.kernel_training import train_network
from alexnet_edu.studies.networks import Network
from tests import kernels_sample


@pytest.fixture(scope="module")
def network() -> Network:
    recipe = kernels_sample.conditions()[0].recipe
    found = train_network(recipe, kernels_sample.IMAGES, 1, looks=(1, 3))
    classes = kernels_sample.IMAGES.train.classes
    return Network("small", "small", found.model.stages, found.prepare, classes, 2, tuple(found.looks))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    return kernels_sample.sample(tmp_path_factory.mktemp("study"), seeds=2)


def put(explorer: PictureWidget, **values: Any) -> str:
    for name, value in values.items():
        explorer.controls[name].value = value
    assert explorer.error is None
    assert explorer.png is not None
    return explorer.alt


def test_kernels_over_the_training(network: Network) -> None:
    explorer = training_explorer(network)
    assert put(explorer).startswith("8 kernels after 3 updates")
    explorer = training_explorer(network, step=12)
    assert put(explorer).startswith("8 kernels after 12 updates; first column: colour share 0.")
    seen = set()
    for step in (0, 1, 3, 12):
        assert f"8 kernels after {step} updates" in put(explorer, step=step)
        seen.add(explorer.png)
    assert len(seen) == 4
    for order in ORDERS:
        put(explorer, order=order, scale="global")
    with pytest.raises(ValueError, match="got 'each', 'size'"):
        training_explorer(network, order="size")
    with pytest.raises(ValueError, match="at the steps 0, 1, 3, 12; got 7"):
        training_explorer(network, step=7)


def test_a_network_without_earlier_kernels_is_refused(network: Network) -> None:
    bare = Network("bare", "bare", network.stages, network.prepare, network.classes)
    with pytest.raises(ValueError, match="'bare' has no kernels from the time of its training"):
        training_explorer(bare)


def test_columns_are_halves_or_one() -> None:
    assert column_slices(96, 2) == [slice(0, 48), slice(48, 96)]
    assert column_slices(64, 1) == [slice(0, 64)]


def test_the_columns_of_every_network_of_the_study(study: tuple[dict[str, Any], Path]) -> None:
    record, path = study
    explorer = specialization_explorer(record, specialization.load_kernels(path))
    first, second, _ = records.columns_of(record, "paper")[0]
    alt = put(explorer)
    assert alt.startswith("as in the paper, seed 1: test error")
    assert f"colour shares {first:.2f} and {second:.2f}, p" in alt
    assert "nothing kept, seed 2" in put(explorer, condition="joint", seed=2)
    with pytest.raises(ValueError, match="choose from paper, joint"):
        specialization_explorer(record, specialization.load_kernels(path), condition="wide")


def test_images_that_excite_a_unit(network: Network) -> None:
    images = kernels_sample.IMAGES.test
    explorer = excitation_explorer(network, images)
    assert put(explorer).startswith("conv2, unit 0 of 64: the 12 of 60 test images, synthetic stand-in")
    assert "conv1, unit 7 of 8" in put(explorer, layer="conv1", unit=200)  # beyond the last one
    assert "fc6, unit 9 of 10" in put(explorer, layer="fc6", unit=9)
    strongest = network.outputs(images.pixels, "fc6")[:, 9].argmax()
    assert images.classes[int(images.labels[strongest])] in explorer.alt
    with pytest.raises(ValueError, match="no layer 'conv9'; there are conv1"):
        excitation_explorer(network, images, layer="conv9")


def test_a_network_whose_place_in_the_image_is_not_known_has_no_squares(network: Network) -> None:
    def halved(batch: torch.Tensor) -> torch.Tensor:
        return network.prepare(batch)

    other = Network("other", "other", network.stages, halved, network.classes)
    with_box = excitation_explorer(network, kernels_sample.IMAGES.test)
    without = excitation_explorer(other, kernels_sample.IMAGES.test)
    assert with_box.png != without.png
