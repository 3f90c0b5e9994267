"""Weight files: what was written comes back, what is something else is told, and no code of a file is run."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

from alexnet_edu.data.images import Images, ImageSet
from alexnet_edu.data.preparation import Preparation
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.environment import weights_dir
from alexnet_edu.files import DataError, read_head, write_tensors
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.kernel_net import kernel_net
from alexnet_edu.studies.networks import (
    FACTS,
    SHIPPED,
    Network,
    load_weights,
    save_weights,
    weights_for,
    weights_path,
)

IMAGES = synthetic_images(40, 20, size=18)
TEST = IMAGES.test.pixels
MODEL = AlexNet(kernel_net(kernels=8, side=16), classes=10, generator=torch.Generator().manual_seed(0)).eval()
PREPARE = Preparation.of(IMAGES.train, 16)
LOOKS = [(step, torch.randn(8, 3, 7, 7, generator=torch.Generator().manual_seed(step))) for step in (0, 3, 9)]
NUMBERS: dict[str, Any] = {
    "seed": 1, "seeds": [1, 2], "errors": [0.25, 0.3], "test_error": 0.25, "epochs": 4, "images": 40,
    "test_images": 20, "commit": "abc", "date": "2026-01-01", "hardware": "one core",
    "command": "alexnet-edu weights train stand-in", "fingerprint": "f",
}  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of weights of this test's own."""
    monkeypatch.setenv("ALEXNET_EDU_WEIGHTS", str(tmp_path))
    return tmp_path


def saved(path: Path, **changes: Any) -> Path:
    options: dict[str, Any] = {
        "name": "stand-in", "title": "eight kernels", "classes": IMAGES.train.classes, "looks": LOOKS,
        "facts": NUMBERS, **changes,
    }  # fmt: skip
    save_weights(path, MODEL, PREPARE, **options)
    return path


# --- there and back -----------------------------------------------------------------------


def test_what_was_saved_comes_back_exactly(folder: Path) -> None:
    found = load_weights(saved(folder / "new" / "x.safetensors"))
    assert torch.equal(found.kernels, MODEL.weights("conv1").get_parameter("weight"))
    for name, value in MODEL.stages.state_dict().items():
        assert torch.equal(found.stages.state_dict()[name], value), name
    assert isinstance(found.prepare, Preparation)
    assert torch.equal(found.prepare.mean, PREPARE.mean)
    assert (found.prepare.std, found.prepare.side) == (PREPARE.std, 16)
    assert (found.name, found.title, found.columns) == ("stand-in", "eight kernels", 2)
    assert found.classes == IMAGES.train.classes
    assert found.facts == NUMBERS
    assert [step for step, _ in found.looks] == [0, 3, 9]
    for (_, mine), (_, theirs) in zip(LOOKS, found.looks, strict=True):
        assert torch.equal(mine.half().float(), theirs)


def test_the_same_network_gives_the_same_bytes_and_each_tensor_is_aligned(folder: Path) -> None:
    one, other = (saved(folder / name) for name in "ab")
    assert one.read_bytes() == other.read_bytes()
    head = read_head(one)
    with safe_open(one, framework="np") as file:
        for name in file.keys():  # noqa: SIM118
            width = file.get_tensor(name).dtype.itemsize
            assert head[name]["data_offsets"][0] % width == 0, name
    assert head["look.3"]["dtype"] == "F16"
    assert head["weight.stages.conv1.weights.weight"]["dtype"] == "F32"


def test_a_name_finds_the_shipped_file(folder: Path) -> None:
    saved(weights_path("stand-in"))
    assert weights_path("stand-in") == folder / "stand-in.safetensors"
    assert load_weights("stand-in").title == "eight kernels"
    with pytest.raises(ValueError, match="no network 'imagenet' is shipped; choose from cifar10, stand-in"):
        weights_path("imagenet")


def test_the_folder_is_the_checkouts_unless_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALEXNET_EDU_WEIGHTS")
    assert weights_dir() == Path(__file__).resolve().parent.parent / "data" / "weights"


# --- what it says to images ---------------------------------------------------------------


@pytest.fixture
def network(folder: Path) -> Network:
    return load_weights(saved(folder / "x"))


def test_logits_are_those_of_the_network(network: Network) -> None:
    with torch.no_grad():
        expected = MODEL(PREPARE(TEST))
    assert torch.equal(network.outputs(TEST, "fc6"), expected)
    assert torch.equal(network.probabilities(TEST), expected.softmax(1))
    assert torch.allclose(network.probabilities(TEST).sum(1), torch.ones(20))


def test_batches_change_nothing_that_can_be_seen(network: Network) -> None:
    assert torch.allclose(network.outputs(TEST, "fc6", batch_size=7), network.outputs(TEST, "fc6"), atol=1e-5)
    assert network.outputs(TEST[:0], "fc6").shape == (0, 10)


def test_every_layer_has_its_shape_and_the_features_are_the_last_hidden_one(network: Network) -> None:
    assert network.layers == ("conv1", "conv2", "conv3", "conv4", "fc5", "fc6")
    shapes = {name: tuple(network.outputs(TEST[:2], name).shape) for name in network.layers}
    assert shapes == {
        "conv1": (2, 8, 4, 4), "conv2": (2, 64, 2, 2), "conv3": (2, 64, 2, 2), "conv4": (2, 64, 1, 1),
        "fc5": (2, 256), "fc6": (2, 10),
    }  # fmt: skip
    assert network.hidden == "fc5"
    assert torch.equal(network.features(TEST), network.outputs(TEST, "fc5"))
    assert torch.equal(network.features(TEST, "conv1"), network.outputs(TEST, "conv1").flatten(1))
    assert network.features(TEST).min() >= 0
    assert network.features(TEST).max() > 0


def test_dropout_is_off(folder: Path) -> None:
    table = kernel_net(kernels=8, side=16)
    hidden = replace(table.layers[4], after=("relu", "dropout"))
    dropping = AlexNet(replace(table, layers=(*table.layers[:4], hidden, table.layers[5])), classes=10)
    save_weights(
        folder / "d", dropping, PREPARE, name="d", title="d", classes=IMAGES.train.classes, looks=[], facts={}
    )
    found = load_weights(folder / "d")
    found.stages.train()
    assert torch.equal(found.features(TEST), found.features(TEST))
    assert found.looks == ()


@pytest.mark.parametrize(
    ("pixels", "layer", "said"),
    [
        (TEST, "fc7", "stand-in has no layer 'fc7'; there are conv1, conv2, conv3, conv4, fc5, fc6"),
        (
            TEST.float() / 255,
            "fc6",
            r"pixels must be \(N, 3, H, W\) uint8, got \(20, 3, 18, 18\) torch.float32",
        ),
        (TEST[0], "fc6", r"got \(3, 18, 18\) torch.uint8"),
        (TEST[:, :1], "fc6", r"got \(20, 1, 18, 18\)"),
        (TEST[:, :, :12], "fc6", "cannot crop 16 × 16 pixels"),
    ],
)
def test_other_layers_and_other_pixels_are_refused(
    pixels: torch.Tensor, layer: str, said: str, network: Network
) -> None:
    with pytest.raises(ValueError, match=said):
        network.outputs(pixels, layer)


def test_kernels_are_a_copy(network: Network) -> None:
    before = network.kernels
    network.kernels.zero_()
    assert torch.equal(network.kernels, before)
    flat = Network("flat", "flat", nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.Linear(1, 1)}), PREPARE, ())
    with pytest.raises(ValueError, match="the first layer of 'flat' has no convolution"):
        _ = flat.kernels


def test_the_text_says_what_the_file_states(network: Network) -> None:
    assert network.text().splitlines() == [
        "eight kernels",
        "test error 25.00% with seed 1; 2 seeds: 25.00% to 30.00%",
        "4 epochs of 40 images, commit abc, 2026-01-01, one core",
        "trained again by: alexnet-edu weights train stand-in",
    ]
    assert replace(network, facts={}).text() == "eight kernels"
    assert replace(network, facts={"steps": 7}).text() == "eight kernels\nsteps: 7"
    assert NUMBERS.keys() >= FACTS


# --- damage and strangers -----------------------------------------------------------------


def test_a_file_that_is_not_there_says_how_to_get_it(folder: Path) -> None:
    with pytest.raises(
        DataError, match=r"no weights at .*cifar10\.safetensors; `git checkout data/weights`"
    ) as told:
        load_weights("cifar10")
    assert "`alexnet-edu weights train cifar10 --ship` makes it anew" in str(told.value)
    with pytest.raises(DataError, match=r"no weights at .*mine; the project ships cifar10, stand-in"):
        load_weights(folder / "mine")
    with pytest.raises(DataError, match="no weights at"):
        load_weights(folder)


def test_any_damaged_byte_is_seen(folder: Path) -> None:
    """Changed bytes of the tensors, of the words, and of the head."""
    whole = saved(folder / "x").read_bytes()
    words = whole.index(b"eight kernels")
    for place in (0, 3, 9, words, len(whole) // 2, len(whole) - 1):
        path = folder / f"y{place}"
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        if place == words:  # words are not under the digest of the tensors: an odd title, no harm
            assert load_weights(path).title == "dight kernels"
            continue
        with pytest.raises(DataError, match=re.escape(str(path))):
            load_weights(path)


@pytest.mark.parametrize("length", [0, 4, 8, 500, -1])
def test_a_file_that_was_cut_short(length: int, folder: Path) -> None:
    path = saved(weights_path("stand-in"))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match=re.escape(str(path))) as told:
        load_weights("stand-in")
    assert "`git checkout data/weights` brings it back" in str(told.value)


class Trap:
    """Leaves a file where a pickle of it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("written", ["torch", "pickle"])
def test_a_pickle_is_refused_and_its_code_is_not_run(written: str, folder: Path) -> None:
    path, sprung = folder / "x.safetensors", folder / "sprung"
    if written == "torch":
        torch.save({"weight": Trap(sprung)}, path)
    else:
        path.write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(DataError, match=r"x\.safetensors"):
        load_weights(path)
    assert not sprung.exists()
    pickle.loads(pickle.dumps(Trap(sprung)))
    assert sprung.exists()  # the trap does work


def test_tensors_of_something_else_are_refused(folder: Path) -> None:
    write_tensors(folder / "x", {"a": np.zeros(3, dtype=np.float32)}, {"format": "alexnet-edu-kernels-1"})
    with pytest.raises(DataError, match="its format is 'alexnet-edu-kernels-1', not 'alexnet-edu-weights-1'"):
        load_weights(folder / "x")
    write_tensors(folder / "x", {"a": np.zeros(3, dtype=np.float32)}, {})
    with pytest.raises(DataError, match="is no network of this project: its format is None"):
        load_weights(folder / "x")


def rewritten(folder: Path, change: Callable[[dict[str, Any], dict[str, str]], Any]) -> Path:
    """A whole file with a right digest, and something else in it."""
    with safe_open(saved(folder / "x"), framework="np") as file:
        tensors, head = {k: file.get_tensor(k) for k in file.keys()}, file.metadata()  # noqa: SIM118
    change(tensors, head)
    tensors = dict(sorted(tensors.items(), key=lambda item: -item[1].dtype.itemsize))
    write_tensors(folder / "y", tensors, head)
    return folder / "y"


def table_with(**changes: Any) -> str:
    return json.dumps({**json.loads(json.dumps(_TABLE)), **changes})


_TABLE: dict[str, Any] = {
    "name": "n", "columns": 2, "lrn": "paper", "side": 16,
    "layers": [{"name": "conv1", "outputs": 8, "kernel": 7, "after": []}],
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors, head: tensors.pop("mean"),
        lambda tensors, head: tensors.pop("weight.stages.conv1.weights.weight"),
        lambda tensors, head: tensors.update({"weight.extra": tensors["mean"]}),
        lambda tensors, head: tensors.update({"mean": tensors["mean"][:, :8]}),
        lambda tensors, head: tensors.update({"mean": tensors["mean"][0]}),
        lambda tensors, head: tensors.update({"look.last": tensors["look.3"]}),
        *(
            (lambda tensors, head, name=name, value=value: head.update({name: value}))
            for name, value in {
                "std": "0",
                "classes": '["a", "b"]',
                "facts": "5",
                "network": "{",
            }.items()
        ),
        *(
            (lambda tensors, head, name=name: head.pop(name))
            for name in ("name", "title", "network", "std", "classes", "facts")
        ),
        *(
            (lambda tensors, head, value=value: head.update(network=value))
            for value in (
                "[]",
                "null",
                table_with(layers=[]),
                table_with(columns=0),
                table_with(side=0),
                table_with(layers=[{"name": "conv1"}]),
                table_with(layers=["conv1"]),
                table_with(layers=[{**_TABLE["layers"][0], "name": 5}]),
                table_with(layers=[{**_TABLE["layers"][0], "stride": 0}]),
                table_with(layers=[{**_TABLE["layers"][0], "code": "import os"}]),
                table_with(unknown=1),
            )
        ),
    ],
)
def test_a_whole_file_that_makes_no_network_is_refused(
    change: Callable[[dict[str, Any], dict[str, str]], Any], folder: Path
) -> None:
    path = rewritten(folder, change)
    with pytest.raises(
        DataError, match=rf"{re.escape(str(path))} cannot be used as a network \(.+\); the pro"
    ):
        load_weights(path)


def test_a_folder_that_cannot_be_written_is_told(folder: Path) -> None:
    (folder / "sub").mkdir()
    with pytest.raises(DataError, match="could not be written"):
        saved(folder / "sub")


# --- which network for which images -------------------------------------------------------


def test_the_stand_in_is_answered_by_its_own_network(folder: Path) -> None:
    saved(weights_path("stand-in"))
    saved(weights_path("cifar10"), title="the other")
    real = Images(TEST, IMAGES.test.labels, IMAGES.test.classes, "photographs")
    assert weights_for(IMAGES).title == weights_for(IMAGES.test).title == "eight kernels"
    assert weights_for(ImageSet(real, real)).title == weights_for(real).title == "the other"


def test_images_of_other_classes_or_too_small_ones_are_refused(folder: Path) -> None:
    saved(weights_path("stand-in"))
    turned = IMAGES.test.classes[::-1]
    with pytest.raises(
        ValueError, match=rf"knows {IMAGES.test.classes[0]}, .* have the classes {turned[0]}, "
    ):
        weights_for(replace(IMAGES.test, classes=turned))
    many = tuple(f"c{i}" for i in range(25))
    with pytest.raises(ValueError, match=r"c9 and 15 more$"):
        weights_for(replace(IMAGES.test, classes=many))
    with pytest.raises(ValueError, match="reads 16 pixels a side, and the images have 12"):
        weights_for(replace(IMAGES.test, pixels=TEST[:, :, :12, :12]))


def test_there_is_a_title_for_each_shipped_network() -> None:
    assert list(SHIPPED) == ["cifar10", "stand-in"]
