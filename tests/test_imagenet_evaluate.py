from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from alexnet_edu.imagenet import checkpoint as checkpoints
from alexnet_edu.imagenet.evaluate import judge, load_network
from alexnet_edu.imagenet.feed import Views
from alexnet_edu.imagenet.prepared import PreparedSet, open_prepared
from alexnet_edu.imagenet.recipe import Recipe
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.training import predictions
from alexnet_edu.training.loop import CheckpointError
from tests import prepared

RECIPE = Recipe(narrow=16)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    return open_prepared(prepared.small(tmp_path_factory.mktemp("prepared"), train=8, val=11))


def _network(seed: int) -> AlexNet:
    """Untrained, but loud enough that its answers differ."""
    model = AlexNet(RECIPE.architecture(6), generator=torch.Generator().manual_seed(seed)).eval()
    with torch.no_grad():
        model.weights("fc8").get_parameter("weight").mul_(40)
    return model


def _saved(path: Path, images: PreparedSet, seed: int = 0) -> Path:
    tensors = {f"model.{name}": tensor for name, tensor in _network(seed).state_dict().items()}
    checkpoints.save(path, tensors, {"recipe": RECIPE.identity(), "classes": list(images.wnids)})
    return path


def _direct(models: list[AlexNet], images: PreparedSet, patches: int, weights: list[float]) -> torch.Tensor:
    """(N, C): the same average, all at once and without the package's loops."""
    val, views = images.split("val"), Views(images)
    pixels = torch.stack([val.decode(i) for i in range(len(val))])
    x = torch.stack(list(views.patches(pixels, patches)), dim=1)
    each = []
    with torch.no_grad():
        for model in models:
            logits = model(x.flatten(0, 1)).view(len(pixels), x.shape[1], -1)
            each.append(logits.double().softmax(2).mean(1))
    shares = torch.tensor(weights, dtype=torch.float64) / sum(weights)
    return (shares[:, None, None] * torch.stack(each)).sum(0)


@pytest.mark.parametrize(("patches", "weights"), [(1, None), (10, None), (10, [3.0, 1.0])])
def test_networks_are_averaged_over_patches_and_then_over_networks(
    images: PreparedSet, patches: int, weights: list[float] | None
) -> None:
    models = [_network(0), _network(1)]
    found = judge(models, images, patches=patches, weights=weights, precision="float32", contest=True)
    direct = _direct(models, images, patches, weights or [1.0, 1.0])
    labels = images.split("val").labels
    assert found.top1 == pytest.approx(float((direct.argmax(1) != labels).double().mean()))
    five = direct.topk(5).indices
    assert found.top5 == pytest.approx(float((five != labels[:, None]).all(1).double().mean()))
    assert found.loss == pytest.approx(float(-direct[range(11), labels].log().mean()), rel=1e-4)
    assert (found.images, found.unreadable, found.networks) == (11, 0, 2)
    assert list(found.lines) == predictions.contest_lines(direct)


def test_a_network_comes_back_from_its_checkpoint(images: PreparedSet, tmp_path: Path) -> None:
    model = load_network(_saved(tmp_path / "c", images), images.wnids)
    assert not model.training
    x = torch.randn(1, 3, 224, 224) * 50
    assert torch.equal(model(x), _network(0)(x))


def test_other_classes_and_other_files_are_refused(images: PreparedSet, tmp_path: Path) -> None:
    path = _saved(tmp_path / "c", images)
    with pytest.raises(CheckpointError, match="trained on 6 classes, and the images have 2"):
        load_network(path, ["n1", "n2"])
    checkpoints.save(tmp_path / "d", {}, {"step": 1})
    with pytest.raises(CheckpointError, match="no checkpoint of a full training"):
        load_network(tmp_path / "d", images.wnids)
    recipe = replace(RECIPE, narrow=8).identity()
    tensors = checkpoints.load(path).tensors
    checkpoints.save(tmp_path / "e", tensors, {"recipe": recipe, "classes": list(images.wnids)})
    with pytest.raises(CheckpointError, match="do not fit their network"):
        load_network(tmp_path / "e", images.wnids)


def test_images_that_cannot_be_read_are_left_out_and_counted(
    images: PreparedSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alexnet_edu.files import DataError

    val = images.split("val")
    real = val.decode_into

    def broken(index: int, out: object) -> None:
        if index == 4:
            raise DataError("image 4 is damaged")
        real(index, out)  # type: ignore[arg-type]

    monkeypatch.setattr(val, "decode_into", broken)
    found = judge([_network(0)], images, patches=1, precision="float32")
    assert (found.images, found.unreadable) == (10, 1)
    assert "1 could not be read" in found.text()


def test_bad_arguments_are_refused(images: PreparedSet) -> None:
    with pytest.raises(ValueError, match="patches must be 1 or 10, got 5"):
        judge([_network(0)], images, patches=5)
    with pytest.raises(ValueError, match="no network"):
        judge([], images)
    with pytest.raises(ValueError, match="1 predictions need 1 weights, got 2"):
        judge([_network(0)], images, patches=1, weights=[1, 2])
