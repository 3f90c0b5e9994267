"""The clinic: scales are those of the theory, fates are told apart, and the record can be trusted."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from alexnet_edu.data.images import Images
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.environment import results_dir
from alexnet_edu.model.architecture import fan_ins, variant
from alexnet_edu.studies import clinic
from alexnet_edu.studies.clinic import SETTINGS, Batch, Setting

THIN = 16  # so many times narrower: a step takes a tenth of a second
IMAGES = synthetic_images(60, 10, seed=4).train


@pytest.fixture(scope="module")
def batch() -> Batch:
    return clinic.batch_of(IMAGES)


def rms(x: torch.Tensor) -> float:
    return float(x.square().mean().sqrt())


def test_every_setting_is_there_once() -> None:
    assert len(SETTINGS) == len(set(SETTINGS)) == 36
    assert SETTINGS[0] == Setting()


@pytest.mark.parametrize("part", ["inputs", "init", "biases", "rule"])
def test_a_setting_that_is_none_is_refused(part: str) -> None:
    with pytest.raises(ValueError, match=f"{part} is 'magic'"):
        Setting(**{part: "magic"})


def test_one_image_of_each_class_on_three_scales(batch: Batch) -> None:
    assert batch.pixels.shape == (10, 3, 224, 224)
    assert batch.labels.tolist() == list(range(10))
    raw = batch.scaled("raw")
    assert torch.allclose(raw, 255 * batch.scaled("unit"), atol=1e-3)
    assert torch.allclose(raw, batch.std * batch.scaled("standardized"), atol=1e-3)
    assert batch.synthetic
    again = clinic.batch_of(IMAGES)
    assert torch.equal(again.pixels, batch.pixels)
    assert not torch.equal(clinic.batch_of(IMAGES, seed=1).pixels, batch.pixels)


def test_images_without_all_classes_are_refused() -> None:
    few = IMAGES.subset((IMAGES.labels != 3).nonzero()[:, 0])
    with pytest.raises(ValueError, match="got none of 'falling stripes'"):
        clinic.batch_of(few)
    two = Images(IMAGES.pixels, IMAGES.labels % 2, ("a", "b"), "two classes")
    with pytest.raises(ValueError, match="10 classes, got 2"):
        clinic.batch_of(two)


def test_the_fan_ins_of_the_paper() -> None:
    assert list(fan_ins(variant("paper")).values()) == [363, 1200, 2304, 1728, 1728, 9216, 4096, 4096]


def test_the_tables_say_what_the_settings_say() -> None:
    paper, run145, he = (clinic.table_of(Setting(init=init)) for init in clinic.INITS)
    assert {layer.std for layer in paper.layers} == {0.01}
    assert [layer.std for layer in run145.layers] == [0.01, 0.01, 0.03, 0.03, 0.03, 0.01, 0.01, 0.01]
    for layer, n in zip(he.layers, fan_ins(he).values(), strict=True):
        assert layer.std == pytest.approx((2 / n) ** 0.5)
    assert [layer.bias for layer in paper.layers] == [0, 1, 0, 1, 1, 1, 1, 0]
    assert {layer.bias for layer in clinic.table_of(Setting(biases="zeros")).layers} == {0.0}
    assert {layer.after for layer in run145.layers} == {layer.after for layer in paper.layers}  # nothing else


def test_a_narrow_network_keeps_every_gain() -> None:
    wide = clinic.table_of(Setting())
    thin = clinic.narrow(wide, THIN)
    for a, b in zip(wide.layers, thin.layers, strict=True):
        gains = [table.std * fan_ins(t)[table.name] ** 0.5 for table, t in ((a, wide), (b, thin))]
        assert gains[0] == pytest.approx(gains[1])
    assert thin.layers[-1].outputs == 10
    with pytest.raises(ValueError, match="got 0"):
        clinic.narrow(wide, 0)


@pytest.mark.parametrize("scale", [60.0, 1.0, 0.25])
def test_the_first_layer_is_as_loud_as_the_theory_says(scale: float, batch: Batch) -> None:
    x = scale * torch.randn(10, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    model = clinic.build(Setting(biases="zeros"), THIN)
    _, layers = clinic.examine(model, x, batch.labels)
    assert layers[0].output == pytest.approx(363**0.5 * layers[0].weight * rms(x), rel=0.05)
    assert layers[0].signal == pytest.approx(layers[0].output * 0.9**0.5, rel=0.05)  # the mean of ten is off
    assert layers[0].weight == pytest.approx(0.01, rel=0.1)


def test_an_examination_leaves_the_network_as_it_was(batch: Batch) -> None:
    model = clinic.build(Setting(), THIN)
    before = {name: w.clone() for name, w in model.state_dict().items()}
    first, scales = clinic.examine(model, batch.scaled("raw"), batch.labels)
    again, same = clinic.examine(model, batch.scaled("raw"), batch.labels)
    assert first == again
    assert scales == same
    assert all(torch.equal(w, before[name]) for name, w in model.state_dict().items())
    assert all(w.grad is None for w in model.parameters())
    assert not any(m._forward_hooks for m in model.modules())


def test_what_differs_between_images_is_nothing_for_equal_images(batch: Batch) -> None:
    model = clinic.build(Setting(), THIN)
    same = batch.scaled("raw")[:1].expand(10, -1, -1, -1)
    _, scales = clinic.examine(model, same, batch.labels)
    assert all(s.signal < 1e-5 < s.output for s in scales)


def test_the_flat_loss_and_its_cure(batch: Batch) -> None:
    sick = clinic.trial(Setting("unit"), batch, steps=6, divisor=THIN)
    well = clinic.trial(Setting("raw", "run145"), batch, steps=16, divisor=THIN)
    assert sick["fate"] == "stands still"
    assert well["fate"] == "learns"
    assert 100 * sick["layers"][-1]["signal"] < well["layers"][-1]["signal"]
    assert "nothing to learn from" in clinic.reason(sick)
    assert "enough for the classifier" in clinic.reason(well)
    assert len(sick["losses"]) == 7


@pytest.mark.parametrize("rule", clinic.RULES)
def test_a_training_that_explodes_ends_early(rule: str, batch: Batch) -> None:
    model = clinic.build(Setting("raw", "he"), THIN)
    with torch.no_grad():
        model.weights("fc8").get_parameter("weight").mul_(1e6)
    losses = clinic.train(model, batch.scaled("raw"), batch.labels, rule, 5)
    assert len(losses) == 1
    assert clinic.fate(losses) == "explodes"


def test_an_unknown_rule_is_refused(batch: Batch) -> None:
    with pytest.raises(ValueError, match="rule is 'lion'"):
        clinic.train(clinic.build(Setting(), THIN), batch.scaled("raw"), batch.labels, "lion", 1)


@pytest.mark.parametrize(
    ("losses", "fate"),
    [
        ([2.303] * 5, "stands still"),
        ([2.3, 2.0, 1.0, 0.5], "learns"),
        ([2.3, 2.08, 2.08, 2.08], "stands still"),
        ([2.3, 50.0, 1.0, 1.0, 1.0], "learns"),
        ([2.3, 50.0, 9.0, 9.0], "explodes"),
        ([2.3, 2e4], "explodes"),
        ([2.3, None], "explodes"),
    ],
)
def test_fates(losses: list[float | None], fate: str) -> None:
    assert clinic.fate(losses) == fate


def test_no_losses_no_fate() -> None:
    with pytest.raises(ValueError, match=r"got \[\]"):
        clinic.fate([])


def cell(fate: str, signal: float, output: float, losses: list[float]) -> dict[str, Any]:
    return {"fate": fate, "losses": losses, "layers": [{"signal": signal, "output": output}]}


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (cell("explodes", 2.0, 8.0, [8.0, 99.0]), "logits of 8 before the first step"),
        (cell("explodes", 0.1, 0.4, [2.4, 99.0]), "steps are too long"),
        (cell("learns", 0.02, 0.4, [2.4, 0.1]), "enough for the classifier"),
        (cell("learns", 2.0, 8.0, [8.0, 0.1]), "calm them in time"),
        (cell("learns", 1e-5, 0.4, [2.4, 0.1]), "do not shrink with the gradient"),
        (cell("stands still", 2.0, 8.0, [8.0, 2.3]), "threw the weights far"),
        (cell("stands still", 5e-4, 0.1, [2.3, 2.2]), "on its way, but 1 steps are too few"),
        (cell("stands still", 1e-5, 0.1, [2.3, 2.3]), "nothing to learn from"),
    ],
)
def test_reasons(case: dict[str, Any], words: str) -> None:
    assert words in clinic.reason(case)


# --- the record ----------------------------------------------------------------------------


def test_the_record_goes_on_where_it_was_stopped(
    batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = (Setting(), Setting("unit"))
    for name, value in (("SETTINGS", chosen), ("DIVISOR", THIN), ("STEPS", 1), ("FULL_STEPS", 0)):
        monkeypatch.setattr(clinic, name, value)
    real, done = clinic.trial, []

    def counted(setting: Setting, batch: Batch, *, steps: int, divisor: int) -> dict[str, Any]:
        done.append((setting, divisor))
        return real(setting, batch, steps=steps, divisor=THIN)

    monkeypatch.setattr(clinic, "trial", counted)
    first = clinic.record(batch, tmp_path, say=lambda line: None)
    assert done == [(s, divisor) for divisor in (THIN, 1) for s in chosen]
    again = clinic.record(batch, tmp_path, say=lambda line: None)
    assert len(done) == 4
    assert again == first
    found = clinic.find(first["narrow"], Setting("unit"))
    assert found["inputs"] == "unit"
    assert len(found["losses"]) == 2
    with pytest.raises(ValueError, match="holds nothing about inputs standardized"):
        clinic.find(first["narrow"], Setting("standardized"))


def test_the_published_record_is_whole_and_judged_by_today_s_rule() -> None:
    record = clinic.load_record(results_dir() / "clinic.json")
    assert not record["provenance"]["data"]["synthetic"]
    for size in ("narrow", "full"):
        assert len(record[size]["cells"]) == len(SETTINGS)
        for setting in SETTINGS:
            found = clinic.find(record[size], setting)
            assert found["fate"] == clinic.fate(found["losses"])
            assert [layer["name"] for layer in found["layers"]] == list(fan_ins(variant("paper")))
            assert clinic.reason(found)


def test_a_record_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not there"):
        clinic.load_record(tmp_path / "clinic.json")
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ValueError, match="not a record of 'clinic'"):
        clinic.load_record(tmp_path / "other.json")


def test_settings_are_told_in_words() -> None:
    words = {replace(Setting(), rule=rule).words() for rule in clinic.RULES}
    assert len(words) == 2
    assert all("0–255" in w for w in words)
    assert asdict(Setting()) == {"inputs": "raw", "init": "paper", "biases": "ones", "rule": "sgd"}
