"""The clinic: scales are those of the theory, fates are told apart, and the record can be trusted."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.model.architecture import fan_ins
from alexnet_edu.studies import clinic
from alexnet_edu.studies.clinic import Batch, Cell, LayerScale, Setting
from alexnet_edu.studies.record import write

THIN = 16  # so many times narrower: a step takes a tenth of a second
IMAGES = synthetic_images(60, 10, seed=4).train


@pytest.fixture(scope="module")
def batch() -> Batch:
    return clinic.batch_of(IMAGES)


def test_one_image_of_each_class_on_three_scales(batch: Batch) -> None:
    assert batch.pixels.shape == (10, 3, 224, 224)
    assert batch.labels.tolist() == list(range(10))
    raw = batch.scaled("raw")
    assert torch.allclose(raw, 255 * batch.scaled("unit"), atol=1e-3)
    assert torch.allclose(raw, batch.std * batch.scaled("standardized"), atol=1e-3)
    assert not torch.equal(clinic.batch_of(IMAGES, seed=1).pixels, batch.pixels)


def test_the_tables_say_what_the_settings_say() -> None:
    paper, run145, he = (clinic.table_of(Setting(init=init)) for init in clinic.INITS)
    assert list(fan_ins(paper).values()) == [363, 1200, 2304, 1728, 1728, 9216, 4096, 4096]
    assert {layer.std for layer in paper.layers} == {0.01}
    assert [layer.std for layer in run145.layers] == [0.01, 0.01, 0.03, 0.03, 0.03, 0.01, 0.01, 0.01]
    assert [layer.std for layer in he.layers] == pytest.approx([(2 / n) ** 0.5 for n in fan_ins(he).values()])
    assert [layer.bias for layer in paper.layers] == [0, 1, 0, 1, 1, 1, 1, 0]
    assert {layer.bias for layer in clinic.table_of(Setting(biases="zeros")).layers} == {0.0}
    assert {layer.after for layer in run145.layers} == {layer.after for layer in paper.layers}  # nothing else


@pytest.mark.parametrize("scale", [60.0, 0.25])
def test_the_first_layer_is_as_loud_as_the_theory_says(scale: float, batch: Batch) -> None:
    x = scale * torch.randn(10, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    first = clinic.examine(clinic.build(Setting(biases="zeros"), THIN), x, batch.labels)[0]
    assert first.output == pytest.approx(363**0.5 * first.weight * x.square().mean().sqrt().item(), rel=0.05)
    assert first.signal == pytest.approx(first.output * 0.9**0.5, rel=0.05)  # the mean of ten is off
    assert first.weight == pytest.approx(0.01, rel=0.1)


def test_an_examination_leaves_the_network_as_it_was(batch: Batch) -> None:
    model = clinic.build(Setting(), THIN)
    before = {name: w.clone() for name, w in model.state_dict().items()}
    scales, again = (clinic.examine(model, batch.scaled("raw"), batch.labels) for _ in range(2))
    assert scales == again
    assert all(torch.equal(w, before[name]) for name, w in model.state_dict().items())
    assert all(w.grad is None for w in model.parameters())
    assert not any(m._forward_hooks for m in model.modules())
    same = batch.scaled("raw")[:1].expand(10, -1, -1, -1)  # equal images differ in nothing
    assert all(s.signal < 1e-5 < s.output for s in clinic.examine(model, same, batch.labels))


def test_the_flat_loss_and_its_cure(batch: Batch) -> None:
    sick = clinic.trial(Setting("unit"), batch, steps=6, divisor=THIN)
    well = clinic.trial(Setting("raw", "run145"), batch, steps=16, divisor=THIN)
    assert (sick.fate, well.fate) == ("stands still", "learns")
    assert 100 * sick.layers[-1].signal < well.layers[-1].signal
    assert len(sick.losses) == 7


@pytest.mark.parametrize("rule", clinic.RULES)
def test_a_training_that_explodes_ends_early(rule: str, batch: Batch) -> None:
    model = clinic.build(Setting("raw", "he"), THIN)
    with torch.no_grad():
        model.weights("fc8").get_parameter("weight").mul_(1e6)
    losses = clinic.train(model, batch.scaled("raw"), batch.labels, rule, 5)
    assert len(losses) == 1


@pytest.mark.parametrize(
    ("losses", "fate"),
    [
        ([2.303] * 5, "stands still"),
        ([2.3, 2.0, 1.0, 0.5], "learns"),
        ([2.3, 2.08, 2.08, 2.08], "stands still"),
        ([2.3, 50.0, 1.0, 1.0, 1.0], "learns"),
        ([2.3, 1.0, 50.0, 1.0, 1.0, 1.0], "learns, then leaps"),
        ([2.3, 50.0, 9.0, 9.0], "explodes"),
        ([2.3, 5.0, 5.0, 5.0], "explodes"),  # beyond twice ln 10
        ([2.3, 50.0, 2.303, 2.303, 2.303], "explodes"),  # and nothing gets through any more
        ([2.3, 2e4], "explodes"),
        ([2.3, math.inf], "explodes"),
    ],
)
def test_fates_and_their_reasons(losses: list[float], fate: str) -> None:
    quiet, loud = (Cell((LayerScale("fc8", output, 0.02, 1.0, 1.0),), tuple(losses)) for output in (0.4, 8.0))
    assert quiet.fate == loud.fate == fate
    if fate == "explodes":
        assert "too long" in quiet.reason
        assert "logits of 8 before" in loud.reason


# --- the record -------------------------------------------------------------------------------


def test_the_record_goes_on_where_it_was_stopped(
    batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = (Setting(), Setting("unit"))
    for name, value in (("SETTINGS", chosen), ("STEPS", 1), ("FULL_STEPS", 0)):
        monkeypatch.setattr(clinic, name, value)
    real, done = clinic.trial, []

    def counted(setting: Setting, batch: Batch, *, steps: int, divisor: int) -> Cell:
        done.append((setting, divisor))
        if len(done) == 4:
            raise KeyboardInterrupt
        return real(setting, batch, steps=steps, divisor=THIN)

    monkeypatch.setattr(clinic, "trial", counted)
    with pytest.raises(KeyboardInterrupt):
        clinic.record(batch, tmp_path, say=lambda line: None)
    write(clinic.record(batch, tmp_path, say=lambda line: None), tmp_path / "clinic.json")
    assert done == [(s, divisor) for divisor in (clinic.DIVISOR, 1) for s in chosen] + [(chosen[1], 1)]
    found = clinic.load(tmp_path)
    assert found.narrow[chosen[1]] == real(chosen[1], batch, steps=1, divisor=THIN)
    assert found.full.keys() == set(chosen)
