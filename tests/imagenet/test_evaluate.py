from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from alexnet_edu.files import DataError
from alexnet_edu.imagenet import checkpoint as checkpoints
from alexnet_edu.imagenet.evaluate import judge, load_network, summed_loss, sums_in_training, sums_of
from alexnet_edu.imagenet.feed import NO_LABEL, Views
from alexnet_edu.imagenet.prepared import PreparedSet
from alexnet_edu.imagenet.recipe import Recipe
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.training import predictions

RECIPE = Recipe(narrow=16)
STATE = {"recipe": RECIPE.identity(), "images": "a fingerprint"}


def _network(seed: int) -> AlexNet:
    """Untrained, but loud enough that its answers differ."""
    model = AlexNet(RECIPE.architecture(6), generator=torch.Generator().manual_seed(seed)).eval()
    with torch.no_grad():
        model.weights("fc8").get_parameter("weight").mul_(40)
    return model


def _saved(path: Path, images: PreparedSet, seed: int = 0) -> Path:
    tensors = {f"model.{name}": tensor for name, tensor in _network(seed).state_dict().items()}
    checkpoints.save(path, tensors, STATE | {"classes": list(images.wnids)})
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
    assert found.loss == pytest.approx(float(-direct[range(7), labels].log().mean()), rel=1e-4)
    assert (found.images, found.unreadable, found.networks) == (7, 0, 2)
    assert list(found.lines) == predictions.contest_lines(direct)


def test_a_network_comes_back_from_its_checkpoint_and_others_are_refused(
    images: PreparedSet, tmp_path: Path
) -> None:
    path, wnids = _saved(tmp_path / "c", images), images.wnids
    model = load_network(path, wnids)
    assert not model.training
    assert all(torch.equal(t, model.state_dict()[name]) for name, t in _network(0).state_dict().items())
    wider = STATE | {"recipe": replace(RECIPE, narrow=8).identity(), "classes": list(wnids)}
    checkpoints.save(tmp_path / "wider", checkpoints.load(path).tensors, wider)
    checkpoints.save(tmp_path / "foreign", {}, {"step": 1})
    for name, classes, quoted in (
        ("c", wnids[:2], "6 classes, and the images have 2"),
        ("foreign", wnids, "not a checkpoint of a full training"),
        ("wider", wnids, "do not fit"),
    ):
        with pytest.raises(DataError, match=quoted):
            load_network(tmp_path / name, classes)


def test_images_that_cannot_be_read_are_left_out_and_counted(
    images: PreparedSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    val = images.split("val")
    real = val.decode_into

    def broken(index: int, out: object) -> None:
        if index == 4:
            raise DataError("image 4 is damaged")
        real(index, out)  # type: ignore[arg-type]

    monkeypatch.setattr(val, "decode_into", broken)
    found = judge([_network(0)], images, patches=1, precision="float32")
    assert (found.images, found.unreadable) == (6, 1)
    assert "1 could not be read" in found.text()


def test_no_network_cannot_be_judged(images: PreparedSet) -> None:
    with pytest.raises(ValueError, match="no network"):
        judge([], images)


# --- sums over a batch ------------------------------------------------------------------------

LOGITS = torch.tensor([[3.0, 2, 1, 0, -1, -2], [0, 1, 2, 3, 4, 5], [6, 5, 4, 3, 2, 1]])
LABELS = torch.tensor([0, 0, 1])  # first; last of six; second


def test_sums_of_a_batch_by_hand() -> None:
    loss = summed_loss(LOGITS, LABELS)
    assert float(loss) == pytest.approx(float(torch.nn.functional.cross_entropy(LOGITS, LABELS)) * 3)
    assert sums_in_training(LOGITS, LABELS, loss).tolist() == pytest.approx([float(loss), 2, 1, 3])
    assert sums_of(LOGITS.softmax(1), LABELS).tolist() == pytest.approx([float(loss), 2, 1, 3], rel=1e-6)
    assert summed_loss(LOGITS.double(), LABELS).dtype == torch.float64
    assert summed_loss(LOGITS.bfloat16(), LABELS).dtype == torch.float32
    assert sums_of(LOGITS[:, :3].softmax(1), LABELS).tolist()[2] == 0  # among five of three


def test_rows_without_a_label_count_for_nothing_and_have_no_gradient() -> None:
    labels, logits = torch.tensor([0, NO_LABEL, 1]), LOGITS.clone().requires_grad_()
    loss = summed_loss(logits, labels)
    assert loss.item() == pytest.approx(float(summed_loss(LOGITS[[0, 2]], labels[[0, 2]])))
    assert sums_in_training(LOGITS, labels, loss.detach()).tolist()[1:] == [1, 0, 2]
    assert sums_of(LOGITS.softmax(1), labels).tolist()[1:] == [1, 0, 2]
    loss.backward()
    assert logits.grad is not None
    assert [bool(row.any()) for row in logits.grad] == [True, False, True]
    for rows in (0, 3):  # a process without a row, and a batch of which none can be read
        x, none = LOGITS[:rows], torch.full((rows,), NO_LABEL)
        sums = (sums_of(x.softmax(1), none), sums_in_training(x, none, summed_loss(x, none)))
        assert all(each.tolist() == [0, 0, 0, 0] for each in sums)
