from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from alexnet_edu.imagenet.recipe import Recipe, Running, optimizer_of, set_rates
from alexnet_edu.model.alexnet import AlexNet


def test_the_defaults_are_the_papers() -> None:
    recipe = Recipe()
    settings = (recipe.batch_size, recipe.rate, recipe.momentum, recipe.weight_decay, recipe.epochs)
    assert settings == (128, 0.01, 0.9, 0.0005, 90)
    assert recipe.variant == "paper"
    assert Recipe(**json.loads(json.dumps(recipe.identity()))) == recipe


def test_the_rate_falls_three_times_when_errors_stall_and_no_more() -> None:
    recipe, errors = Recipe(patience=2), [0.9, 0.8]
    for falls in (0, 1, 2, 3, 3):
        rates = recipe.rates(9, errors)
        assert rates.weights == rates.conv1 == rates.biases / 2 == pytest.approx(0.01 / 10**falls)
        errors += [0.8, 0.8]


def test_the_log_of_run_145_is_replayed() -> None:
    recipe = Recipe(schedule="run145", epochs=91)
    at = {epoch: recipe.rates(epoch, []) for epoch in (0, 24.9, 25, 51, 66.9, 67, 71.9, 72, 79, 90)}
    assert [at[e].weights for e in (0, 24.9, 25, 51, 79)] == pytest.approx([1e-2, 1e-2, 1e-3, 1e-4, 1e-5])
    assert [at[e].conv1 for e in (66.9, 67, 71.9, 72, 90)] == pytest.approx([1e-4, 1e-5, 1e-5, 0, 0])
    assert [at[e].noise for e in (66.9, 67)] == [0.1, 0.0]
    assert [at[e].divisor for e in (66.9, 67)] == [1.1, 1.0]
    assert all(rates.biases == 0.02 for rates in at.values())  # never lowered
    assert replace(recipe, noise=0.0).rates(0, []).divisor == 1.0
    short = Recipe(schedule="run145", epochs=9.1)
    assert [short.rates(epoch, []).weights for epoch in (2.49, 2.51)] == pytest.approx([1e-2, 1e-3])


def test_groups_get_their_rates_and_a_frozen_layer_stands_still() -> None:
    recipe = Recipe(narrow=16, schedule="run145", epochs=91)
    model = AlexNet(recipe.architecture(5))
    optimizer = optimizer_of(model, recipe)
    set_rates(optimizer, recipe.rates(80, []))
    names = {id(p): n for n, p in model.named_parameters()}
    groups = {
        names[id(p)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for p in group["params"]
    }
    assert len(groups) == 16
    assert groups["stages.conv1.weights.weight"] == (0.0, 0.0005)
    assert groups["stages.conv1.weights.bias"] == (0.0, 0.0)
    assert groups["stages.fc8.weights.weight"] == (pytest.approx(1e-5), 0.0005)
    assert groups["stages.fc8.weights.bias"] == (0.02, 0.0)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    same = {name for name, p in model.named_parameters() if torch.equal(p, before[name])}
    assert same == {"stages.conv1.weights.weight", "stages.conv1.weights.bias"}


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (Recipe, "rate", 0.0),
        (Recipe, "batch_size", -1),
        (Recipe, "momentum", float("nan")),
        (Recipe, "schedule", "cosine"),
        (Running, "keep", 0),
        (Running, "workers", -1),
        (Running, "resume", "maybe"),
    ],
)
def test_bad_settings_are_quoted(kind: Any, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name} .*{value!r}"):
        kind(**{name: value})
