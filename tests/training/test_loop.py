"""The loop: determinism, resumption after a kill, interruption, bad configurations."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from alexnet_edu.files import DataError
from alexnet_edu.model.layers import Dropout
from alexnet_edu.training.checkpoint import load
from alexnet_edu.training.loop import Run, TrainConfig, error_rate, fit, next_evaluation
from alexnet_edu.training.schedules import PlateauSchedule

PIXELS = torch.randint(0, 256, (300, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
SETTINGS: dict[str, Any] = {"learning_rate": 0.02, "batch_size": 32, "seed": 5, "precision": "float32"}
LABELS = (PIXELS[:, 0].float().mean((1, 2)) > 127.5).long()


def small_model() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))


def prepare(batch: torch.Tensor) -> torch.Tensor:
    return (batch.float() - 127.5) / 64


def curve(run: Run) -> list[tuple[int, float, float, float]]:
    return [(p.iteration, p.train_error, p.running_error, p.loss) for p in run.points]


def train(model: nn.Module, max_epochs: float, settings: Mapping[str, Any] = SETTINGS, **options: Any) -> Run:
    config = TrainConfig(**{**SETTINGS, **settings})
    return fit(model, PIXELS, LABELS, config, prepare=prepare, max_epochs=max_epochs, **options)


@pytest.mark.parametrize(
    ("steps", "per_epoch", "due"),
    [(4, 1, [4, 8]), (4, 2, [2, 4, 6, 8]), (3, 2, [2, 3, 5, 6]), (3, 5, [1, 2, 3, 4, 5, 6])],
)
def test_evaluations_are_spread_over_each_epoch(steps: int, per_epoch: int, due: list[int]) -> None:
    found = [next_evaluation(0, steps, per_epoch)]
    while found[-1] < 2 * steps:
        found.append(next_evaluation(found[-1], steps, per_epoch))
    assert found == due


def test_training_lowers_the_error_until_the_target_is_reached() -> None:
    model = small_model()
    measured = lambda: error_rate(model, PIXELS, LABELS, prepare=prepare, precision="float32")  # noqa: E731
    before = measured()
    run = train(model, 50, target_error=0.25)
    assert run.status == "reached"
    assert before > 0.35
    assert all(p.train_error > 0.25 for p in run.points[:-1])
    assert run.points[-1].train_error == measured() <= 0.25


def test_an_interrupt_keeps_the_points_measured() -> None:
    def interrupt(run: Run) -> None:
        if len(run.points) == 3:
            raise KeyboardInterrupt

    run = train(small_model(), 10, on_point=interrupt)
    assert (run.status, len(run.points)) == ("interrupted", 3)
    answers = iter([False] * 7 + [True])  # asked between steps, of which there are 5 to the first point
    run = train(small_model(), 10, stop=lambda: next(answers))
    assert (run.status, len(run.points)) == ("interrupted", 1)


def test_divergence_is_a_result_not_a_crash() -> None:
    run = train(small_model(), 5, {"learning_rate": 1e12})
    assert run.status == "diverged"
    assert run.points[-1].loss <= 1e4


def test_a_checkpoint_that_does_not_fit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    train(small_model(), 1, checkpoint=path)
    with pytest.raises(DataError, match=r"run\.safetensors .*'seed': 5.*'seed': 6"):
        train(small_model(), 2, {"seed": 6}, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"run\.safetensors"):
        train(small_model(), 2, checkpoint=path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": -1.0}, "-1.0"),
        ({"learning_rate": float("nan")}, "nan"),
        ({"batch_size": 0}, "got 0"),
        ({"precision": "float8"}, "'float8'"),
        ({"rule": "adam"}, "'adam'"),
    ],
)
def test_bad_configurations_are_quoted(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainConfig(**{**SETTINGS, **options})


def test_images_are_augmented_in_training_alone_and_the_same_way_again() -> None:
    batches: list[tuple[int, torch.Tensor]] = []

    def augment(batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        draw = torch.randint(256, batch.shape, generator=generator).to(torch.uint8)
        batches.append((len(batch), draw))
        return draw

    for _ in range(2):
        train(small_model(), 1, augment=augment)
    half = len(batches) // 2
    assert [n for n, _ in batches[:half]] == [32] * 9 + [12]  # evaluation did not pass it
    for (_, first), (_, again) in zip(batches[:half], batches[half:], strict=True):
        assert torch.equal(first, again)
    assert not torch.equal(batches[0][1], batches[1][1])


# --- settings of §5 -----------------------------------------------------------------------


def dropout_model() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 8), nn.ReLU(), Dropout(), nn.Linear(8, 2)
    )


def validated(_: nn.Module) -> dict[str, list[float]]:
    return {"validation_error": [0.5]}  # never better than the first: the rate falls every other point


def test_the_papers_rule_is_the_one_that_trains() -> None:
    """Two epochs of 2 steps, the rate falling between them; by hand in float64, to 1e-6.

    Biases learn twice as fast and do not decay; the velocity outlives the fall at its old size.
    """
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 2)).double()
    w = {n: p.detach().clone() for n, p in model.named_parameters()}
    v = {n: torch.zeros_like(p) for n, p in w.items()}
    rule = {"rule": "paper", "bias_rate": 2.0, "decay_biases": False, "weight_decay": 0.0005}
    config = TrainConfig(0.01, batch_size=150, precision="float32", drops=(1.0,), **rule)  # type: ignore[arg-type]
    fit(model, PIXELS, LABELS, config, prepare=lambda b: prepare(b).double(), max_epochs=2)
    for epoch, rate in enumerate((0.01, 0.001)):
        order = torch.randperm(300, generator=torch.Generator().manual_seed(epoch))
        for index in order.split(150):
            x = prepare(PIXELS[index]).double().flatten(1)
            probability = (x @ w["1.weight"].T + w["1.bias"]).softmax(1)
            error = (probability - nn.functional.one_hot(LABELS[index], 2)) / len(index)
            g = {"1.weight": error.T @ x, "1.bias": error.sum(0)}
            v["1.weight"] = 0.9 * v["1.weight"] - 0.0005 * rate * w["1.weight"] - rate * g["1.weight"]
            v["1.bias"] = 0.9 * v["1.bias"] - 2 * rate * g["1.bias"]
            w = {name: w[name] + v[name] for name in w}
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.detach(), w[name], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("rule", ["torch", "paper"])
def test_a_frozen_layer_stays_to_the_bit_while_the_others_learn(rule: str) -> None:
    model = small_model()
    kept: list[dict[str, torch.Tensor]] = []

    def keep(_: Run) -> None:
        kept.append({n: p.detach().clone() for n, p in model.named_parameters()})

    options = {"rule": rule, "weight_decay": 0.01, "frozen": (("0.", 1.0),), "evals_per_epoch": 1}
    train(model, 3, options, on_point=keep)
    first, second, third = kept
    for name in ("0.weight", "0.bias"):
        assert torch.equal(first[name], second[name]), name
        assert torch.equal(first[name], third[name]), name
        assert not torch.equal(first[name], dict(small_model().named_parameters())[name]), name
    assert not torch.equal(first["3.weight"], second["3.weight"])


def test_a_plateau_lets_the_rate_fall(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error stalls from the first point on: falls after points 3, 5 and 7, of 5 steps each."""
    rates: list[float] = []
    real = torch.optim.SGD.step

    def step(self: Any, *rest: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return real(self, *rest)

    with pytest.raises(ValueError, match="needs the validation error"):
        train(small_model(), 1, {"plateau": PlateauSchedule()}, measure=lambda _: {"test_error": [0.5]})
    monkeypatch.setattr(torch.optim.SGD, "step", step)
    train(small_model(), 4.5, {"plateau": PlateauSchedule()}, measure=validated)
    expected = [0.02] * 15 + [0.002] * 10 + [0.0002] * 10 + [0.00002] * 10
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize("rule", ["torch", "paper"])
def test_a_resumed_run_keeps_masks_plateau_and_velocities(rule: str, tmp_path: Path) -> None:
    """Stopped in the middle of an epoch, and after a fall of the rate."""
    options = {
        "rule": rule,
        "weight_decay": 0.0005,
        "bias_rate": 2.0,
        "decay_biases": False,
        "plateau": PlateauSchedule(),
        "frozen": (("0.", 2.0),),
    }
    path = tmp_path / "run.safetensors"
    whole_model, resumed_model = dropout_model(), dropout_model()
    whole = train(whole_model, 3, options, measure=validated)
    calls = iter([False] * 18 + [True])
    part = train(dropout_model(), 3, options, measure=validated, checkpoint=path, stop=lambda: next(calls))
    assert part.status == "interrupted"
    assert load(path).part("velocity").keys() == dict(dropout_model().named_parameters()).keys()
    torch.manual_seed(99)  # what torch's own generator does makes no difference
    resumed = train(resumed_model, 3, options, measure=validated, checkpoint=path)
    assert resumed.resumed_at == 15
    assert curve(resumed) == curve(whole)
    for a, b in zip(whole_model.parameters(), resumed_model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_dropout_networks_trained_side_by_side_are_reproducible() -> None:
    """Two threads share torch's own generator; the masks do not come from it."""

    def work(seed: int) -> tuple[Any, list[torch.Tensor]]:
        torch.set_num_threads(1)
        run = train(models[seed], 3, {"seed": seed})
        return curve(run), list(models[seed].parameters())

    threads = torch.get_num_threads()
    models = {seed: dropout_model() for seed in (1, 2)}
    alone = [work(seed) for seed in models]
    models = {seed: dropout_model() for seed in models}
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(work, models))
    torch.set_num_threads(threads)
    for (curve_alone, weights_alone), (curve_together, weights_together) in zip(alone, together, strict=True):
        assert curve_alone == curve_together
        assert all(torch.equal(a, b) for a, b in zip(weights_alone, weights_together, strict=True))
    assert alone[0][0] != alone[1][0]
