from __future__ import annotations

from pathlib import Path

import pytest
import torch

from alexnet_edu.imagenet import checkpoint as checkpoints
from alexnet_edu.imagenet.fine_tuning import starting_weights
from alexnet_edu.imagenet.recipe import Recipe
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.training.loop import CheckpointError


def _saved(path: Path, variant: str, classes: int) -> dict[str, torch.Tensor]:
    model = AlexNet(Recipe(variant=variant, narrow=16).architecture(classes))
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    checkpoints.save(path, tensors, {})
    return dict(model.state_dict())


def _differs(weights: dict[str, torch.Tensor], there: dict[str, torch.Tensor]) -> set[str]:
    """Layers that were not taken over."""
    return {n.split(".")[1] for n, t in weights.items() if n not in there or not torch.equal(t, there[n])}


def test_all_but_the_classifier_is_taken_over_by_other_classes(tmp_path: Path) -> None:
    there = _saved(tmp_path / "c", "conv6", 12)
    table = Recipe(variant="conv6", narrow=16).architecture(5)
    weights, mark, said = starting_weights(tmp_path / "c", table, seed=1)
    assert _differs(weights, there) == {"fc8"}
    assert said.endswith("drawn anew: fc8")
    AlexNet(table).load_state_dict(weights)
    again, same, _ = starting_weights(tmp_path / "c", table, seed=1)
    assert mark == same
    assert torch.equal(again["stages.fc8.weights.weight"], weights["stages.fc8.weights.weight"])
    assert mark != starting_weights(tmp_path / "c", table, seed=2)[1]


def test_the_same_classes_keep_their_classifier(tmp_path: Path) -> None:
    there = _saved(tmp_path / "c", "paper", 5)
    weights, _, said = starting_weights(tmp_path / "c", Recipe(narrow=16).architecture(5), seed=1)
    assert _differs(weights, there) == set()
    assert said.endswith("drawn anew: nothing")


def test_a_sixth_convolution_may_be_new(tmp_path: Path) -> None:
    there = _saved(tmp_path / "c", "paper", 5)
    table = Recipe(variant="conv6", narrow=16).architecture(5)
    weights, _, _ = starting_weights(tmp_path / "c", table, seed=1)
    assert _differs(weights, there) == {"conv6"}


def test_half_a_network_is_refused(tmp_path: Path) -> None:
    _saved(tmp_path / "c", "paper", 5)
    with pytest.raises(
        CheckpointError, match=r"not fit: stages\.conv1\.weights\.weight is \(12, 3, 11, 11\)"
    ):
        starting_weights(tmp_path / "c", Recipe(narrow=8).architecture(5), seed=1)
