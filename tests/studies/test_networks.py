"""Networks to look into: what was saved comes back, each answers as its maker's code does, damage is told."""

from __future__ import annotations

import json
import pickle
import re
import socket
import urllib.error
from collections.abc import Callable
from dataclasses import replace
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torchvision.models import AlexNet as TorchvisionAlexNet
from torchvision.models import AlexNet_Weights, alexnet

from alexnet_edu.data.augment import Preparation
from alexnet_edu.data.images import Images, ImageSet
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.environment import WEIGHTS_VARIABLE
from alexnet_edu.files import SEAL, DataError, write_tensors
from alexnet_edu.imagenet import checkpoint as checkpoints
from alexnet_edu.imagenet import runs as run_control
from alexnet_edu.imagenet.evaluate import load_network
from alexnet_edu.imagenet.feed import Views
from alexnet_edu.imagenet.prepared import PreparedSet, open_prepared
from alexnet_edu.imagenet.recipe import Recipe
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.architecture import kernel_net
from alexnet_edu.studies import networks
from alexnet_edu.studies.networks import (
    Network,
    from_run,
    from_torchvision,
    load_weights,
    network,
    save_weights,
    weights_for,
    weights_path,
)
from tests import prepared

IMAGES = synthetic_images(40, 20, size=18)
TEST = IMAGES.test.pixels
NET = kernel_net(kernels=8, side=16)
HIDDEN = replace(NET.layers[4], after=("relu", "dropout"))
TABLE = replace(NET, layers=(*NET.layers[:4], HIDDEN, NET.layers[5]))
MODEL = AlexNet(TABLE, classes=10, generator=torch.Generator().manual_seed(0)).eval()
PREPARE = Preparation.of(IMAGES.train, 16)
SNAPSHOTS = {s: torch.randn(8, 3, 7, 7, generator=torch.Generator().manual_seed(s)) for s in (0, 3, 9)}
FACTS: dict[str, Any] = {
    "seed": 1, "seeds": [1, 2], "errors": [0.25, 0.3], "test_error": 0.25, "epochs": 4, "images": 40,
    "test_images": 20, "commit": "abc", "date": "2026-01-01", "hardware": "one core",
    "command": "alexnet-edu weights train stand-in", "fingerprint": "f",
}  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of weights of this test's own."""
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path))
    return tmp_path


def saved(path: Path, model: AlexNet = MODEL, **changes: Any) -> Path:
    options: dict[str, Any] = {
        "name": "stand-in", "title": "eight kernels", "classes": IMAGES.train.classes, "snapshots": SNAPSHOTS,
        "facts": FACTS, **changes,
    }  # fmt: skip
    save_weights(path, model, PREPARE, **options)
    return path


def test_what_was_saved_comes_back_exactly_and_the_bytes_are_the_same_each_time(folder: Path) -> None:
    path = saved(folder / "new" / "x.safetensors")
    found = load_weights(path)
    for name, value in MODEL.stages.state_dict().items():
        assert torch.equal(found.stages.state_dict()[name], value), name
    assert isinstance(found.prepare, Preparation)
    assert torch.equal(found.prepare.mean, PREPARE.mean)
    assert (found.prepare.std, found.prepare.side) == (PREPARE.std, 16)
    assert (found.name, found.title, found.columns) == ("stand-in", "eight kernels", 2)
    assert (found.classes, found.facts) == (IMAGES.train.classes, FACTS)
    assert list(found.snapshots) == [0, 3, 9]
    for step, kernels in SNAPSHOTS.items():
        assert torch.equal(kernels.half().float(), found.snapshots[step])
    assert saved(folder / "again").read_bytes() == path.read_bytes()
    found.kernels.zero_()  # a copy
    assert torch.equal(found.kernels, MODEL.weights("conv1").get_parameter("weight"))


@pytest.fixture
def small(folder: Path) -> Network:
    return load_weights(saved(folder / "x"))


def test_every_layer_answers_as_the_network_does(small: Network) -> None:
    with torch.no_grad():
        logits = MODEL(PREPARE(TEST))
    small.stages.train()  # dropout is off all the same
    assert torch.equal(small.probabilities(TEST), logits.softmax(1))
    assert torch.allclose(small.outputs(TEST, "fc6", batch_size=7), logits, atol=1e-5)
    every = small.outputs_of(TEST, small.layers)
    assert torch.equal(every["fc6"], logits)
    assert every["conv1"].shape[1:] == (8, 4, 4)
    assert all(torch.equal(maps, small.outputs(TEST, name)) for name, maps in every.items())
    assert torch.equal(small.features(TEST), every["fc5"])
    assert torch.equal(small.features(TEST, "conv1"), every["conv1"].flatten(1))
    assert small.outputs(TEST[:0], "fc6").shape == (0, 10)


@pytest.mark.parametrize(
    ("pixels", "layer", "quoted"),
    [
        (TEST, "fc7", "'fc7'"),
        (TEST.float() / 255, "fc6", r"\(20, 3, 18, 18\) torch.float32"),
        (TEST[0], "fc6", r"\(3, 18, 18\) torch.uint8"),
        (TEST[:, :, :12], "fc6", "16 × 16"),
    ],
)
def test_other_layers_and_other_pixels_are_refused(
    pixels: torch.Tensor, layer: str, quoted: str, small: Network
) -> None:
    with pytest.raises(ValueError, match=quoted):
        small.outputs(pixels, layer)


def test_damage_is_seen_and_the_way_back_told(folder: Path) -> None:
    """Changed bytes of the tensors, of the words, and of the head; files that end early."""
    path = saved(weights_path("stand-in"))
    whole = path.read_bytes()
    places = (0, 3, 9, len(whole) // 2, len(whole) - 1)
    damaged = [whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :] for place in places]
    for contents in [*damaged, whole[:0], whole[:500], whole[:-1]]:
        path.write_bytes(contents)
        with pytest.raises(DataError, match=rf"{re.escape(str(path))}.*`git checkout data/weights`"):
            load_weights("stand-in")


class Trap:
    """Leaves a file where a pickle of it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


def test_a_pickle_is_refused_and_its_code_is_not_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, sprung = folder / "x.safetensors", folder / "sprung"
    torch.save({"weight": Trap(sprung)}, path)
    with pytest.raises(DataError, match=r"x\.safetensors"):
        load_weights(path)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(folder))
    (folder / "checkpoints").mkdir()
    path.rename(folder / "checkpoints" / "alexnet-owt-7be5be79.pth")  # torchvision's reader, too
    with pytest.raises(DataError, match="delete a damaged file there"):
        from_torchvision()
    assert not sprung.exists()
    pickle.loads(pickle.dumps(Trap(sprung)))
    assert sprung.exists()  # the trap does work


def rewritten(folder: Path, change: Callable[[dict[str, Any], dict[str, str]], Any]) -> Path:
    """A whole file with a right digest, and something else in it."""
    path = saved(folder / "x")
    with safe_open(path, framework="np") as file:
        tensors, head = {k: file.get_tensor(k) for k in file.keys()}, file.metadata()  # noqa: SIM118
    del head[SEAL]
    change(tensors, head)
    write_tensors(path, dict(sorted(tensors.items(), key=lambda item: -item[1].dtype.itemsize)), head)
    return path


LAYER = {"name": "conv1", "outputs": 8, "kernel": 7, "after": []}


def of_table(**changes: Any) -> Callable[[dict[str, Any], dict[str, str]], None]:
    table = {"name": "n", "columns": 2, "lrn": "paper", "side": 16, "layers": [LAYER]}
    return lambda tensors, head: head.update(network=json.dumps({**table, **changes}))


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors, head: head.update(format="alexnet-edu-kernels-1"),
        lambda tensors, head: tensors.pop("mean"),
        lambda tensors, head: head.pop("format"),
        lambda tensors, head: head.update(facts="5"),
        lambda tensors, head: tensors.pop("weight.stages.conv1.weights.weight"),
        lambda tensors, head: tensors.update({"weight.extra": tensors["mean"]}),
        lambda tensors, head: tensors.update({"mean": tensors["mean"][0]}),
        lambda tensors, head: tensors.update({"look.last": tensors["look.3"]}),
        lambda tensors, head: head.update(std="0"),
        lambda tensors, head: head.update(classes='["a", "b"]'),
        lambda tensors, head: head.update(network="{"),
        of_table(layers=[]),
        of_table(columns=0),
        of_table(layers=[{**LAYER, "code": "import os"}]),
    ],
)
def test_a_whole_file_that_makes_no_network_is_refused(
    change: Callable[[dict[str, Any], dict[str, str]], Any], folder: Path
) -> None:
    path = rewritten(folder, change)
    with pytest.raises(DataError, match=rf"{re.escape(str(path))} (cannot be used|is a) .*; the project"):
        load_weights(path)


# --- which network for which images -----------------------------------------------------------


def test_the_stand_in_is_answered_by_its_own_network(folder: Path) -> None:
    saved(weights_path("stand-in"))
    saved(weights_path("cifar10"), title="the other")
    real = Images(TEST, IMAGES.test.labels, IMAGES.test.classes, "photographs")
    assert weights_for(IMAGES).title == weights_for(IMAGES.test).title == "eight kernels"
    assert weights_for(ImageSet(real, real)).title == "the other"
    with pytest.raises(ValueError, match=f"have the classes {IMAGES.test.classes[-1]}, "):
        weights_for(replace(IMAGES.test, classes=IMAGES.test.classes[::-1]))
    with pytest.raises(ValueError, match="16 pixels a side, and the images have 12"):
        weights_for(replace(IMAGES.test, pixels=TEST[:, :, :12, :12]))


# --- one's own training -----------------------------------------------------------------------

RECIPE = Recipe(narrow=16)
LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    return open_prepared(prepared.small(tmp_path_factory.mktemp("prepared"), train=8, val=11))


def pixels_of(images: PreparedSet) -> torch.Tensor:
    val = images.split("val")
    return torch.stack([val.decode(i) for i in range(len(val))])


def checkpointed(path: Path, images: PreparedSet, step: int, recipe: Recipe = RECIPE) -> None:
    """Writes a checkpoint as the training does, of an untrained network whose answers are loud."""
    model = AlexNet(recipe.architecture(6), generator=torch.Generator().manual_seed(step))
    with torch.no_grad():
        model.weights("fc8").get_parameter("weight").mul_(40)
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    state = {"recipe": recipe.identity(), "images": images.fingerprint, "classes": list(images.wnids)}
    judged = {"step": 5, "epoch": 2.0, "top1": 0.5, "top5": 0.25}
    checkpoints.save(path, tensors, {**state, "step": step, "evaluations": [judged]})


@pytest.fixture
def run(images: PreparedSet, tmp_path: Path) -> Path:
    """The folder of a run: its best checkpoint, a later one, and the command that it was started with."""
    folder = tmp_path / "run"
    checkpointed(folder / checkpoints.BEST, images, step=5)
    checkpointed(checkpoints.path_of(folder, 9), images, step=9)
    with run_control.announced(folder, ["train", "--data", str(images.root), "--folder", str(folder)]):
        pass
    return folder


def test_a_run_answers_as_it_is_judged(images: PreparedSet, run: Path) -> None:
    found, pixels = from_run(run), pixels_of(images)
    model = load_network(run / checkpoints.BEST, images.wnids)
    with torch.no_grad():
        assert torch.equal(found.outputs(pixels, "fc8"), model(Views(images).centre(pixels)))
    assert (found.layers, found.columns, found.classes) == (LAYERS, 2, images.names)
    assert torch.equal(found.kernels, model.weights("conv1").get_parameter("weight"))
    assert (found.facts["step"], found.facts["epoch"]) == (5, 2.0)
    (run / checkpoints.BEST).unlink()
    assert from_run(run).facts["step"] == 9


def test_images_of_any_size_are_prepared_as_imagenet_is(images: PreparedSet, run: Path) -> None:
    prepare, pixels = from_run(run).prepare, pixels_of(images)[:2]
    assert torch.equal(prepare(pixels), (pixels.float() - images.mean_image)[:, :, 16:240, 16:240])
    wide = torch.zeros(2, 3, 256, 400, dtype=torch.uint8)
    wide[:, :, :, 72:328] = pixels  # the square in the middle
    assert torch.equal(prepare(wide), prepare(pixels))
    assert prepare(pixels[:, :, :32, :48]).shape == (2, 3, 224, 224)
    assert prepare(pixels[:0]).shape == (0, 3, 224, 224)


def test_runs_and_images_that_are_missing_or_others_are_told(
    images: PreparedSet, run: Path, tmp_path: Path
) -> None:
    other = prepared.small(tmp_path / "other", train=8, val=4, classes=5)
    with pytest.raises(DataError, match="other images than those of"):
        from_run(run, data=other)
    with pytest.raises(DataError, match="nowhere"):
        from_run(run, data=tmp_path / "nowhere")
    (run / run_control.PROCESS).unlink()
    with pytest.raises(DataError, match="by data=PATH"):
        from_run(run)
    with run_control.announced(run, ["train", "--data", "moved", "--folder", str(run)]):
        pass
    with pytest.raises(DataError, match=r"moved.*; if they have moved, .* by data=PATH"):
        from_run(run)
    with pytest.raises(DataError, match="holds no run"):
        from_run(tmp_path / "empty")
    best = run / checkpoints.BEST
    best.write_bytes(best.read_bytes()[:-3])
    with pytest.raises(DataError, match=r"best\.safetensors"):
        from_run(run, data=images.root)
    checkpoints.save(best, {}, {"step": 1})
    with pytest.raises(DataError, match="not a checkpoint of a"):
        from_run(run, data=images.root)


# --- torchvision's ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def theirs() -> TorchvisionAlexNet:
    torch.manual_seed(0)
    return alexnet().eval()


def test_torchvisions_network_answers_as_torchvision_does(theirs: TorchvisionAlexNet) -> None:
    found = from_torchvision(theirs)
    pixels = torch.randint(0, 256, (2, 3, 300, 260), dtype=torch.uint8)
    with torch.no_grad():
        expected = theirs(AlexNet_Weights.IMAGENET1K_V1.transforms()(pixels))
    assert torch.equal(found.outputs(pixels, "fc8"), expected)
    assert (found.layers, found.hidden, found.columns) == (LAYERS, "fc7", 1)
    assert (len(found.classes), found.classes[0]) == (1000, "tench")
    assert found.outputs(pixels, "conv5").shape == (2, 256, 6, 6)
    assert not found.facts  # nothing is stated of weights that are not torchvision's
    assert from_torchvision(TorchvisionAlexNet(num_classes=3)).classes == ("0", "1", "2")


def test_its_pretrained_weights_are_read_as_numbers_alone(
    theirs: TorchvisionAlexNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def load(url: str, **options: Any) -> dict[str, torch.Tensor]:
        asked.update(options, url=url)
        return theirs.state_dict()

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", load)
    found = network("torchvision")
    assert torch.equal(found.kernels, theirs.features[0].weight)
    assert (asked["check_hash"], asked["weights_only"]) == (True, True)
    assert found.facts["top-1 error that torchvision states"] == "43.48%"


@pytest.mark.parametrize(
    ("error", "quoted"),
    [
        (urllib.error.URLError(socket.gaierror(-3, "Temporary failure")), "Temporary failure"),
        (urllib.error.HTTPError("https://x", 503, "Busy", Message(), None), "503 Busy"),
        (RuntimeError("invalid hash value"), "invalid hash value"),
    ],
)
def test_without_a_network_it_says_what_to_do(
    error: Exception, quoted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    before = socket.getdefaulttimeout()
    with pytest.raises(DataError, match=rf"{quoted}.*alexnet-owt-7be5be79\.pth .*checkpoints"):
        from_torchvision()
    assert socket.getdefaulttimeout() == before


# --- one word for all -------------------------------------------------------------------------


def test_one_function_takes_any_of_them(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theirs: TorchvisionAlexNet
) -> None:
    for path in (weights_path("stand-in"), tmp_path / "mine"):
        saved(path, title=path.name)
    monkeypatch.setattr(networks, "_downloaded", theirs.state_dict)
    assert network("stand-in").title == "stand-in.safetensors"
    assert network(str(tmp_path / "mine")).title == "mine"
    assert network(run).title == from_run(run).title
    assert network("torchvision").title == networks.TORCHVISION_TITLE


@pytest.mark.parametrize(
    ("source", "quoted"),
    [
        ("cifar10", r"cifar10\.safetensors; `git checkout data/weights`.*cifar10 --ship"),
        ("resnet", "'resnet': choose 'cifar10', 'stand-in' or 'torchvision'"),
        (Path("run") / checkpoints.BEST, r"best\.safetensors is a checkpoint .*name its folder"),
        (Path(), "holds no run"),
    ],
)
def test_what_is_no_network_is_told(
    source: str | Path, quoted: str, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.parent)
    with pytest.raises(DataError, match=quoted):
        network(source)
