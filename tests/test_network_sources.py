"""Networks that a reader has: each answers as the code that made it does, and what is missing is told."""

from __future__ import annotations

import pickle
import socket
import urllib.error
from collections.abc import Callable
from dataclasses import replace
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.models import AlexNet as TorchvisionAlexNet
from torchvision.models import AlexNet_Weights, alexnet

from alexnet_edu.data.preparation import Preparation
from alexnet_edu.data.synthetic import CLASSES
from alexnet_edu.files import DataError
from alexnet_edu.imagenet import checkpoint as checkpoints
from alexnet_edu.imagenet import runs as run_control
from alexnet_edu.imagenet.evaluate import judge, load_network
from alexnet_edu.imagenet.feed import Views
from alexnet_edu.imagenet.prepared import PreparedSet, open_prepared
from alexnet_edu.imagenet.recipe import Recipe
from alexnet_edu.imagenet.run_state import RUN_FORMAT
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.kernel_net import kernel_net
from alexnet_edu.studies import network_sources
from alexnet_edu.studies import networks as weights
from alexnet_edu.studies.network_sources import TORCHVISION_TITLE, from_run, from_torchvision, network
from alexnet_edu.training.loop import CheckpointError
from tests import prepared

RECIPE = Recipe(narrow=16)
LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    return open_prepared(prepared.small(tmp_path_factory.mktemp("prepared"), train=8, val=11))


def pixels_of(images: PreparedSet) -> torch.Tensor:
    val = images.split("val")
    return torch.stack([val.decode(i) for i in range(len(val))])


def saved(path: Path, images: PreparedSet, seed: int = 0, *, step: int = 5, **changes: Any) -> AlexNet:
    """Writes a checkpoint as the training does, of an untrained network whose answers are loud."""
    recipe = changes.pop("recipe", RECIPE)
    model = AlexNet(recipe.architecture(6), generator=torch.Generator().manual_seed(seed)).eval()
    with torch.no_grad():
        model.weights("fc8").get_parameter("weight").mul_(40)
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"velocity.{name}": torch.zeros_like(tensor) for name, tensor in model.state_dict().items()}
    state = {
        "format": RUN_FORMAT, "recipe": recipe.identity(), "step": step, "images": images.fingerprint,
        "classes": list(images.wnids),
        "evaluations": [{"step": 5, "epoch": 2.0, "top1": 0.5, "top5": 0.25}], **changes,
    }  # fmt: skip
    checkpoints.save(path, tensors, state)
    return model


@pytest.fixture
def run(images: PreparedSet, tmp_path: Path) -> Path:
    """The folder of a run: its best checkpoint, a later one, and the command that it was started with."""
    folder = tmp_path / "run"
    saved(folder / checkpoints.BEST, images, seed=0, step=5)
    saved(checkpoints.path_of(folder, 9), images, seed=1, step=9)
    run_control.announce(folder, ["train", "--data", str(images.root), "--folder", str(folder)])
    return folder


# --- one's own training -------------------------------------------------------------------


def test_a_run_answers_as_it_is_judged(images: PreparedSet, run: Path) -> None:
    found = from_run(run)
    model = load_network(run / checkpoints.BEST, images.wnids)
    pixels = pixels_of(images)
    with torch.no_grad():
        expected = model(Views(images).centre(pixels))
    assert torch.equal(found.outputs(pixels, "fc8"), expected)
    labels = images.split("val").labels
    wrong = (found.probabilities(pixels).argmax(1) != labels).double().mean().item()
    assert wrong == pytest.approx(judge([model], images, patches=1, precision="float32").top1)
    assert found.layers == LAYERS
    assert found.columns == 2
    assert found.classes == images.names
    assert found.kernels.shape == (6, 3, 11, 11)
    assert torch.equal(found.kernels, model.weights("conv1").get_parameter("weight"))
    assert not any(p.requires_grad for p in found.stages.parameters())


def test_the_best_one_or_the_last_one(images: PreparedSet, run: Path) -> None:
    best, last = from_run(run), from_run(run, which="last")
    assert best.facts["step"] == 5
    assert last.facts["step"] == 9
    assert not torch.equal(best.kernels, last.kernels)
    assert best.text().splitlines()[1:] == [
        "step: 5", "variant: paper", "rate at the start: 0.01", "epoch: 2.0",
        "validation error: 50.00%, among the first five 25.00%",
    ]  # fmt: skip
    assert "validation error" not in last.text()
    assert best.name == "run"
    assert best.title == f"'paper' trained on 6 classes, step 5 of {run}"
    (run / checkpoints.BEST).unlink()
    assert torch.equal(from_run(run).kernels, last.kernels)
    with pytest.raises(ValueError, match="unknown checkpoint 'worst'; choose one of best, last"):
        from_run(run, which="worst")


def test_images_of_any_size_are_prepared_as_imagenet_is(images: PreparedSet, run: Path) -> None:
    prepare = from_run(run).prepare
    pixels = pixels_of(images)[:2]
    middle = pixels.float() - images.mean_image
    assert torch.equal(prepare(pixels), middle[:, :, 16:240, 16:240])
    wide = torch.zeros(2, 3, 256, 400, dtype=torch.uint8)
    wide[:, :, :, 72:328] = pixels  # the square in the middle
    assert torch.equal(prepare(wide), prepare(pixels))
    doubled = pixels.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert (prepare(doubled) - prepare(pixels)).abs().mean() < 3
    assert prepare(pixels[:, :, :32, :48]).shape == (2, 3, 224, 224)
    assert prepare(pixels[:0]).shape == prepare(wide[:0, :, :, :256]).shape == (0, 3, 224, 224)


@pytest.mark.parametrize(("variant", "columns"), [("one_gpu", 1), ("conv6", 2), ("run145", 2)])
def test_another_variant(variant: str, columns: int, images: PreparedSet, tmp_path: Path) -> None:
    saved(tmp_path / checkpoints.BEST, images, recipe=replace(RECIPE, variant=variant))
    found = from_run(tmp_path, data=images.root)
    assert found.columns == columns
    assert ("conv6" in found.layers) == (variant == "conv6")
    assert found.probabilities(pixels_of(images)[:2]).shape == (2, 6)


def test_the_prepared_folder_is_found_or_asked_for(
    images: PreparedSet, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / run_control.PROCESS).unlink()
    with pytest.raises(DataError, match=r"does not say on which images it was trained: name .* by data=PATH"):
        from_run(run)
    assert from_run(run, data=images.root).columns == 2
    monkeypatch.chdir(images.root.parent)  # a relative path means the folder that the command was typed in
    run_control.announce(run, ["train", f"--data={images.root.name}", "--folder", str(run)])
    monkeypatch.chdir(tmp_path)
    assert run_control.data_of(run) == images.root
    assert from_run(run).columns == 2
    (run / run_control.PROCESS).unlink()
    run_control.announce(run, ["train", "--data", "moved", "--folder", str(run)])
    with pytest.raises(DataError, match=r"cannot be read \(there is no folder .*moved.*; if they have moved"):
        from_run(run)
    (run / run_control.PROCESS).unlink()
    run_control.announce(run, ["train", "--data"])
    assert run_control.data_of(run) is None


def test_a_mean_image_of_other_images_is_refused(images: PreparedSet, run: Path, tmp_path: Path) -> None:
    other = prepared.small(tmp_path / "other", train=8, val=4, classes=5)
    with pytest.raises(DataError, match="was trained on other images than those of"):
        from_run(run, data=other)
    with pytest.raises(DataError, match="there is no folder"):
        from_run(run, data=tmp_path / "nowhere")
    saved(run / checkpoints.BEST, images, classes=["n1"] * 6)
    with pytest.raises(CheckpointError, match="the same ones in the same order"):
        from_run(run)


def test_folders_without_a_run_and_damaged_ones_are_told(run: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds no run: `alexnet-edu train --folder .*` makes one"):
        from_run(tmp_path / "empty")
    best = run / checkpoints.BEST
    best.write_bytes(best.read_bytes()[:-3])
    with pytest.raises(CheckpointError, match=r"best\.safetensors is damaged"):
        from_run(run)
    assert from_run(run, which="last").facts["step"] == 9
    checkpoints.save(best, {}, {"step": 1})
    with pytest.raises(CheckpointError, match="is no checkpoint of a full training"):
        from_run(run)


# --- torchvision's ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def theirs() -> TorchvisionAlexNet:
    torch.manual_seed(0)
    return alexnet().eval()


def noise(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_torchvisions_network_answers_as_torchvision_does(theirs: TorchvisionAlexNet) -> None:
    found = from_torchvision(theirs)
    pixels = noise(2, 3, 300, 260)
    with torch.no_grad():
        expected = theirs(AlexNet_Weights.IMAGENET1K_V1.transforms()(pixels))
    assert torch.equal(found.outputs(pixels, "fc8"), expected)
    assert found.prepare(pixels).shape == (2, 3, 224, 224)
    assert found.layers == LAYERS
    assert found.hidden == "fc7"
    assert (found.columns, len(found.classes), found.classes[0]) == (1, 1000, "tench")
    assert found.kernels.shape == (64, 3, 11, 11)
    assert {name: tuple(found.outputs(pixels, name).shape[1:]) for name in LAYERS} == {
        "conv1": (64, 27, 27), "conv2": (192, 13, 13), "conv3": (384, 13, 13), "conv4": (256, 13, 13),
        "conv5": (256, 6, 6), "fc6": (4096,), "fc7": (4096,), "fc8": (1000,),
    }  # fmt: skip


def test_its_title_says_that_it_is_another_architecture(theirs: TorchvisionAlexNet) -> None:
    found = from_torchvision(theirs)
    assert found.title == TORCHVISION_TITLE
    for word in (
        "torchvision's",
        "64 kernels",
        "one column",
        "no response normalization",
        "than the paper's",
    ):
        assert word in TORCHVISION_TITLE
    assert found.text() == found.title  # nothing is stated of weights that are not torchvision's
    few = TorchvisionAlexNet(num_classes=3)
    assert from_torchvision(few).classes == ("0", "1", "2")


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
    assert asked["url"].endswith("/alexnet-owt-7be5be79.pth")
    assert found.facts["top-1 error that torchvision states"] == "43.48%"


def offline(*_: Any, **__: Any) -> None:
    raise urllib.error.URLError(socket.gaierror(-3, "Temporary failure in name resolution"))


def refused(*_: Any, **__: Any) -> None:
    raise urllib.error.HTTPError("https://x", 503, "Busy", Message(), None)


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        (offline, "no connection: .*Temporary failure in name resolution"),
        (refused, "the server answered 503 Busy"),
        (lambda *_, **__: open("/nowhere/x"), "No such file"),  # noqa: PTH123, SIM115
        (lambda *_, **__: pickle.loads(b"garbage"), "invalid load key|could not be read"),
        (lambda *_, **__: torch.zeros(2) @ torch.zeros(3), "size"),
    ],
)
def test_without_a_network_it_says_what_to_do(
    fails: Callable[..., Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fails)
    before = socket.getdefaulttimeout()
    with pytest.raises(DataError, match=said) as told:
        from_torchvision()
    for word in ("alexnet-owt-7be5be79.pth", "checkpoints", "cifar10, stand-in need no network"):
        assert word in str(told.value)
    assert str(told.value).count("\n") == 0
    assert socket.getdefaulttimeout() == before


def test_a_damaged_copy_in_the_cache_is_told_and_runs_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real reader, on a file that would run code if it were unpickled."""
    sprung = tmp_path / "sprung"

    class Trap:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
            return Path.touch, (sprung,)

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    torch.save({"features.0.weight": Trap()}, tmp_path / "checkpoints" / "alexnet-owt-7be5be79.pth")
    with pytest.raises(DataError, match="delete a damaged file there"):
        from_torchvision()
    assert not sprung.exists()


# --- one word for all ---------------------------------------------------------------------


def test_one_function_takes_any_of_them(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theirs: TorchvisionAlexNet
) -> None:
    monkeypatch.setenv("ALEXNET_EDU_WEIGHTS", str(tmp_path / "weights"))
    model = AlexNet(kernel_net(kernels=8, side=16), classes=10)
    for path in (weights.weights_path("stand-in"), tmp_path / "mine"):
        weights.save_weights(
            path, model, Preparation(torch.zeros(3, 16, 16), 1.0, 16),
            name="x", title=path.name, classes=CLASSES, looks=[], facts={},
        )  # fmt: skip
    monkeypatch.setattr(network_sources, "_downloaded", theirs.state_dict)
    titles = [
        network(source).title.split(":")[0]
        for source in ("stand-in", tmp_path / "mine", str(tmp_path / "mine"))
    ]
    assert titles == ["stand-in.safetensors", "mine", "mine"]
    assert network(run).title == network(str(run)).title == from_run(run).title
    assert network("torchvision").title == TORCHVISION_TITLE
    with pytest.raises(DataError, match="weights train cifar10 --ship"):
        network("cifar10")


def test_what_there_is_is_named(run: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match="no network 'resnet': choose 'cifar10', 'stand-in' or 'torchvision', or "
    ):
        network("resnet")
    with pytest.raises(
        DataError, match=r"best\.safetensors is a checkpoint of a training: name its folder, .*run"
    ):
        network(run / checkpoints.BEST)
    (tmp_path / "text").write_text("no weights")
    with pytest.raises(DataError, match="its head cannot be read"):
        network(tmp_path / "text")
    with pytest.raises(CheckpointError, match="holds no run"):
        network(tmp_path)
