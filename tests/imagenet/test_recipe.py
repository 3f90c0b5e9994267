from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from alexnet_edu import paper
from alexnet_edu.imagenet.recipe import Recipe, Running, optimizer_of, set_rates
from alexnet_edu.model.alexnet import AlexNet


def test_the_defaults_are_the_papers() -> None:
    recipe = Recipe()
    assert (recipe.batch_size, recipe.rate, recipe.momentum, recipe.weight_decay, recipe.epochs) == (
        paper.BATCH_SIZE,
        paper.LEARNING_RATE,
        paper.MOMENTUM,
        paper.WEIGHT_DECAY,
        paper.EPOCHS,
    )
    assert recipe.variant == "paper"
    assert json.loads(json.dumps(recipe.identity())) == recipe.identity()
    assert Recipe(**recipe.identity()) == recipe


def test_the_rate_falls_three_times_when_errors_stall_and_no_more() -> None:
    recipe = Recipe(patience=2)
    errors = [0.9, 0.8]
    assert recipe.rates(2, errors).weights == 0.01
    for falls in (1, 2, 3):
        errors += [0.8, 0.8]
        assert recipe.rates(9, errors).weights == pytest.approx(0.01 / 10**falls)
    assert recipe.rates(9, [*errors, 0.8, 0.8, 0.8]).weights == pytest.approx(1e-5)
    rates = recipe.rates(9, errors)
    assert rates.biases == pytest.approx(2 * rates.weights)
    assert rates.conv1 == rates.weights


def test_the_log_of_run_145_is_replayed() -> None:
    recipe = Recipe(schedule="run145", epochs=91)
    at = {epoch: recipe.rates(epoch, []) for epoch in (0, 24.9, 25, 51, 66.9, 67, 71.9, 72, 79, 90)}
    assert [at[e].weights for e in (0, 24.9, 25, 51, 79)] == pytest.approx([1e-2, 1e-2, 1e-3, 1e-4, 1e-5])
    assert [at[e].conv1 for e in (66.9, 67, 71.9, 72, 90)] == pytest.approx([1e-4, 1e-5, 1e-5, 0, 0])
    assert [at[e].noise for e in (66.9, 67)] == [0.1, 0.0]
    assert [at[e].divisor for e in (66.9, 67)] == [1.1, 1.0]
    assert all(rates.biases == 0.02 for rates in at.values())  # never lowered
    assert replace(recipe, noise=0.0).rates(0, []).divisor == 1.0


def test_the_log_is_stretched_to_other_epochs() -> None:
    recipe = Recipe(schedule="run145", epochs=9.1)
    assert recipe.rates(2.49, []).weights == pytest.approx(1e-2)
    assert recipe.rates(2.51, []).weights == pytest.approx(1e-3)


def test_groups_get_their_rates_and_a_frozen_layer_none() -> None:
    recipe = Recipe(narrow=16)
    model = AlexNet(recipe.architecture(5))
    optimizer = optimizer_of(model, recipe)
    set_rates(optimizer, Recipe(schedule="run145", epochs=91).rates(80, []))
    by_name = {}
    names = {id(p): n for n, p in model.named_parameters()}
    for group in optimizer.param_groups:
        by_name.update({names[id(p)]: (group["lr"], group["weight_decay"]) for p in group["params"]})
    assert len(by_name) == 16
    assert by_name["stages.conv1.weights.weight"] == (0.0, 0.0005)
    assert by_name["stages.conv1.weights.bias"] == (0.0, 0.0)
    assert by_name["stages.fc8.weights.weight"] == (pytest.approx(1e-5), 0.0005)
    assert by_name["stages.fc8.weights.bias"] == (0.02, 0.0)


def test_a_frozen_layer_really_stands_still() -> None:
    recipe = Recipe(narrow=16, schedule="run145", epochs=91)
    model = AlexNet(recipe.architecture(5))
    optimizer = optimizer_of(model, recipe)
    set_rates(optimizer, recipe.rates(80, []))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    same = {name for name, p in model.named_parameters() if torch.equal(p, before[name])}
    assert same == {"stages.conv1.weights.weight", "stages.conv1.weights.bias"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rate": 0.0}, "rate must be positive, got 0.0"),
        ({"batch_size": -1}, "batch_size must be positive, got -1"),
        ({"momentum": float("nan")}, "momentum must be 0 or more, got nan"),
        ({"schedule": "cosine"}, "unknown schedule 'cosine'; choose one of plateau, run145, constant"),
    ],
)
def test_bad_settings_are_quoted(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe(**settings)  # type: ignore[arg-type]


def test_bad_running_options_are_quoted() -> None:
    for name, value in (("keep", 0), ("workers", -1), ("resume", "maybe")):
        with pytest.raises(ValueError, match=f"{name} must be .*got {value!r}"):
            Running(**{name: value})  # type: ignore[arg-type]


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown variant 'vgg'"):
        Recipe(variant="vgg").architecture(10)
