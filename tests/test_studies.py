"""The studies as data: what their networks are, and that recorded runs keep their names."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import nn

from alexnet_edu.data.augment import STEPS
from alexnet_edu.data.images import Images
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.architecture import Architecture, count
from alexnet_edu.model.layers import Dropout
from alexnet_edu.studies import laboratory as ablations
from alexnet_edu.studies.ablations import (
    PAPER_RULE,
    SCHEDULE_EPOCHS,
    STUDIES,
    build,
    parameters,
    small_alexnet,
)
from alexnet_edu.studies.laboratory import HELD_OUT, Laboratory

IMAGES = synthetic_images(400, 100, seed=1)
TRAIN, TEST = IMAGES.train, IMAGES.test
NEW = ("augmentation", "dropout", "decay", "start", "schedule")


def laboratory(name: str, runs: Path | None = None, **changes: object) -> Laboratory:
    return Laboratory(replace(STUDIES[name], **changes), TRAIN, TEST, runs)  # type: ignore[arg-type]


# --- the small network --------------------------------------------------------------------


def test_the_small_network_counts_to_its_parameters() -> None:
    """By hand, layer by layer; images of 24 pixels are pooled to 12, 6 and 3."""
    by_hand = (
        (32 * 3 * 25 + 32)
        + (64 * 32 * 25 + 64)
        + (64 * 64 * 9 + 64)
        + (512 * 64 * 9 + 512)
        + (512 * 512 + 512)
        + (10 * 512 + 10)
    )
    table = small_alexnet()
    assert [size.pooled for size in count(table)][:3] == [(32, 12, 12), (64, 6, 6), (64, 3, 3)]
    net = build(table, 24, 10, 0)
    assert by_hand == sum(p.numel() for p in net.parameters()) == 653_834
    assert f"{by_hand:,}" in (small_alexnet.__doc__ or "")


@pytest.mark.parametrize(
    ("step", "form"), [("dropout", "2012"), ("inverted_dropout", "inverted"), (None, None)]
)
def test_dropout_follows_both_hidden_layers_and_nothing_else(step: str | None, form: str | None) -> None:
    net = build(small_alexnet(step), 24, 10, 0)
    assert isinstance(net, AlexNet)
    found = {name: m.form for name, m in net.named_modules() if isinstance(m, Dropout)}
    assert found == ({} if form is None else {f"stages.fc{i}.{step}": form for i in (4, 5)})


def test_weights_start_as_the_table_says() -> None:
    """Within 4.5 standard errors of their standard deviation, σ / √(2n); biases exactly."""
    for std, bias in ((None, 0.0), (0.01, 1.0)):
        table = small_alexnet(None, std, bias)
        net = build(table, 24, 10, seed=3)
        assert isinstance(net, AlexNet)
        for layer, size in zip(table.layers, count(table), strict=True):
            fan_in = size.weights / layer.outputs
            expected = (2 / fan_in) ** 0.5 if std is None else std
            weight = net.weights(layer.name).get_parameter("weight")
            assert weight.std().item() == pytest.approx(expected, rel=4.5 / (2 * weight.numel()) ** 0.5)
            ones = bias if layer.name in ("conv2", "fc4", "fc5") else 0.0
            assert (net.weights(layer.name).get_parameter("bias") == ones).all(), layer.name


# --- the studies --------------------------------------------------------------------------


@pytest.mark.parametrize("name", NEW)
def test_variants_of_a_study_are_one_network(name: str) -> None:
    """The same number of parameters, and from one seed the same weights, where the start is the same."""
    study = STUDIES[name]
    assert len({v.name for v in study.variants}) == len(study.variants)
    nets = [build(v.network, study.crop or 32, 10, seed=5) for v in study.variants]
    sizes = {sum(p.numel() for p in net.parameters()) for net in nets}
    assert len(sizes) == 1
    assert study.crop == 24
    for net in nets[1:]:
        for (key, a), b in zip(net.named_parameters(), nets[0].parameters(), strict=True):
            assert torch.equal(a, b) or (name == "start" and key.endswith("bias"))


@pytest.mark.parametrize("name", NEW)
def test_settings_of_a_study_can_be_trained_with(name: str) -> None:
    """Every step of augmentation exists, every setting is one of `TrainConfig`; rates are those searched."""
    lab = laboratory(name)
    for variant in lab.study.variants:
        config = lab.config(variant, variant.start_rate, 1)
        assert set(variant.augment or ()) <= set(STEPS)
        assert config.learning_rate == variant.start_rate
        for setting, value in variant.changes:
            assert getattr(config, setting) == value
        assert variant.start_rate in variant.more_rates or name in ("schedule",)
        augment = lab.augment(variant)
        batch = TRAIN.pixels[:8]
        seen = lab.prepare(batch if augment is None else augment(batch, torch.Generator()))
        assert seen.shape == (8, 3, 24, 24)
        assert seen.dtype == torch.float32
        net = lab.network(variant, 1)
        nn.functional.cross_entropy(net(seen), TRAIN.labels[:8]).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_the_rule_of_2012_is_used_where_the_rule_is_the_subject() -> None:
    assert PAPER_RULE == {"rule": "paper", "weight_decay": 0.0005, "bias_rate": 2.0, "decay_biases": False}
    for name in ("decay", "schedule"):
        for variant in STUDIES[name].variants:
            config = laboratory(name).config(variant, 0.005, 1)
            assert (config.rule, config.bias_rate, config.decay_biases) == ("paper", 2.0, False)
    decays = [laboratory("decay").config(v, 0.005, 1).weight_decay for v in STUDIES["decay"].variants]
    assert decays == [0.0, 0.0005]


def test_the_schedules_differ_in_nothing_but_when_the_rate_falls() -> None:
    lab = laboratory("schedule")
    configs = {v.name: lab.config(v, 0.02, 1) for v in lab.study.variants}
    assert configs["constant"].drops == configs["plateau"].drops == ()
    assert configs["constant"].plateau is None
    assert configs["plateau"].plateau is not None
    assert configs["logged"].drops == pytest.approx([SCHEDULE_EPOCHS / 93 * drop for drop in (23, 51, 78)])
    assert lab.study.epochs == SCHEDULE_EPOCHS
    assert lab.study.validates
    same = [replace(c, drops=(), plateau=None) for c in configs.values()]
    assert same[0] == same[1] == same[2]


# --- names of runs ------------------------------------------------------------------------

# Computed by the code of commit 4770fb8, before later settings existed; on these very images.
OLD_NAMES = {
    ("norms", "none", False): "norms-none-run-0.002-seed1-e96149e0bc.json",
    ("pooling", "z3", True): "pooling-z3-search-0.002-seed1-4176269b97.json",
    ("exchange", "half", False): "exchange-half-run-0.01-seed1-2e689fdcd7.json",
    ("lrn-long", "lrn", False): "lrn-long-lrn-run-0.001-seed1-199da89776.json",
}


def test_recorded_runs_keep_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablations, "resolve_precision", lambda *_: "float32")
    for (name, which, searching), expected in OLD_NAMES.items():
        lab = laboratory(name, tmp_path)
        (variant,) = (v for v in lab.study.variants if v.name == which)
        config = lab.config(variant, variant.start_rate, 1, searching=searching)
        path = lab.path(variant, config, searching)
        assert path is not None
        assert path.name == expected


@pytest.mark.parametrize("name", NEW)
def test_runs_that_differ_have_different_names(name: str, tmp_path: Path) -> None:
    """Also where two variants train one network, which then differ in their images or their rule."""
    lab = laboratory(name, tmp_path)
    digests = set()
    for variant in lab.study.variants:
        path = lab.path(variant, lab.config(variant, 0.005, 1), False)
        assert path is not None
        digests.add(path.stem.rpartition("-")[2])
    assert len(digests) == len(lab.study.variants)
    variant = lab.study.variants[0]
    smaller = laboratory(name, tmp_path, train_images=100, validates=not lab.study.validates)
    other = smaller.path(variant, smaller.config(variant, 0.005, 1), False)
    assert other is not None
    assert other.stem.rpartition("-")[2] not in digests


# --- which images -------------------------------------------------------------------------


def keys(images: Images) -> set[bytes]:
    return {p.numpy().tobytes() for p in images.pixels}


@pytest.mark.parametrize(
    ("wanted", "validates", "trained", "held_out"),
    [
        (None, False, 400, 0),
        (None, True, 360, 40),
        (150, False, 150, 0),
        (150, True, 150, 40),
        (390, True, 360, 40),
    ],
)
def test_images_held_out_are_never_trained_on(
    wanted: int | None, validates: bool, trained: int, held_out: int
) -> None:
    lab = laboratory("schedule", train_images=wanted, validates=validates)
    everything = keys(TRAIN)
    assert len(everything) == 400
    splits = {seed: lab.split(seed, holding_out=validates) for seed in (1, 2)}
    for seen, kept in splits.values():
        assert (len(seen), len(kept)) == (trained, held_out)
        assert not keys(seen) & keys(kept)
        assert keys(seen) | keys(kept) <= everything
        assert len(keys(seen)) == trained
    assert lab.data()["images"] == trained
    again = lab.split(1, holding_out=validates)
    assert torch.equal(again[0].pixels, splits[1][0].pixels)
    assert torch.equal(again[0].labels, splits[1][0].labels)
    if trained < 400:  # every seed draws its own
        assert keys(splits[1][0]) != keys(splits[2][0])
        labels = {p.numpy().tobytes(): int(y) for p, y in zip(TRAIN.pixels, TRAIN.labels, strict=True)}
        assert [labels[p.numpy().tobytes()] for p in again[0].pixels] == again[0].labels.tolist()


def test_a_tenth_at_most_is_held_out() -> None:
    assert HELD_OUT == 5_000
    assert len(laboratory("norms").split(0, holding_out=True)[1]) == 40


def test_a_study_that_validates_measures_both_errors() -> None:
    lab = laboratory("schedule", epochs=1)
    record, _ = lab.run(lab.study.variants[1], 0.01, 1)
    curve = record["curve"]
    assert len(curve["validation_error"]) == len(curve["test_error"]) == len(curve["epoch"]) == 1
    assert record["data"]["images"] == 360
    assert curve["validation_error"][0] == pytest.approx(round(40 * curve["validation_error"][0]) / 40)


def test_networks_are_described_wholly() -> None:
    """What a run's name is a digest of holds all that makes two networks differ."""
    networks = [v.network for name in NEW for v in STUDIES[name].variants]
    different = {repr(asdict(n)) for n in networks if isinstance(n, Architecture)}
    assert len(different) == 1 + 2 + 2  # plain, two forms of dropout, two starts
    assert all(parameters(replace(n, side=32)) > 653_834 for n in networks if isinstance(n, Architecture))
