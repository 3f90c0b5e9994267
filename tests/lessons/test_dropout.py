"""Lesson 09: thinned networks by enumeration, means over them, single units left out, the explorer."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from alexnet_edu.lessons import dropout as lesson
from alexnet_edu.lessons.dropout import FORMS, KEEPS, SmallNetwork, dropout_explorer
from alexnet_edu.model.layers import Dropout
from alexnet_edu.studies import ablations as studies
from alexnet_edu.studies import thinned
from alexnet_edu.studies.record import load
from alexnet_edu.studies.run import build


def head(n: int = 5, hidden: int = 4, classes: int = 3, seed: int = 0) -> tuple[Tensor, thinned.Layers]:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    return draw(7, n).relu(), [(draw(hidden, n), draw(hidden)), (draw(classes, hidden), draw(classes))]


def both_masks(layers: thinned.Layers) -> list[Tensor]:
    sizes = [weight.shape[1] for weight, _ in layers]
    return list(thinned.all_masks(sum(sizes)).split(sizes, dim=1))


# --- masks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [0.2, 1.0])
def test_probabilities_are_those_of_independent_units(keep: float) -> None:
    masks = thinned.all_masks(6)
    weights = thinned.probabilities(masks, keep)
    assert weights.sum().item() == pytest.approx(1, abs=1e-12)
    assert torch.allclose(weights @ masks, torch.full((6,), keep, dtype=torch.float64))


# --- networks -----------------------------------------------------------------------------------


def test_thinned_networks_are_networks_without_the_units() -> None:
    x, layers = head()
    masks = both_masks(layers)
    got = thinned.thinned_logits(x, layers, masks)
    for i in (0, 77, 300, 511):
        first, second = (m[i].bool() for m in masks)
        (w1, b1), (w2, b2) = layers
        h = (x[:, first] @ w1[:, first].T + b1).relu()
        assert torch.allclose(got[i], h[:, second] @ w2[:, second].T + b2)


@pytest.mark.parametrize("step", ["dropout", "inverted_dropout", None])
def test_the_head_of_a_network_gives_its_logits_in_test(step: str | None) -> None:
    network = build(studies.small_alexnet(step), 24, 10, 0).double().eval()
    images = torch.randn(4, 3, 24, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for first, width in (("fc5", 512), ("fc6", 512), ("fc4", 576)):
        h, layers = thinned.read_head(network, images, first)
        assert h.shape == (4, width)
        assert torch.allclose(thinned.whole_logits(h, layers), network(images), atol=1e-9)


@pytest.mark.parametrize("form", ["dropout", "inverted_dropout"])
def test_the_head_of_a_network_gives_its_logits_in_training(form: str) -> None:
    """The very masks that the layer draws, in either form."""
    network = build(studies.small_alexnet(form), 24, 10, 0).double()
    images = torch.randn(3, 3, 24, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    h, layers = thinned.read_head(network.eval(), images[:1], "fc5")
    drops = [m for m in network.modules() if isinstance(m, Dropout)]
    for seed, layer in enumerate(drops):
        layer.reseed(seed)
    want = network.train()(images[:1])
    masks = [
        torch.bernoulli(torch.full((1, 512), 0.5, dtype=torch.float64), generator=generator)
        for generator in (torch.Generator().manual_seed(seed) for seed in range(2))
    ]
    assert torch.allclose(thinned.thinned_logits(h, layers, masks)[0], want, atol=1e-9)


# --- means --------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [0.5, 0.2, 0.9])
def test_one_softmax_layer_scaled_is_the_geometric_mean_of_all(keep: float) -> None:
    x, layers = head(8)
    masks = thinned.all_masks(8)
    weights = thinned.probabilities(masks, keep)
    mean = thinned.geometric_mean(thinned.thinned_logits(x, layers[:1], [masks]), weights)
    whole = thinned.whole_logits(x, layers[:1], keep).log_softmax(-1)
    assert (mean - whole).abs().max() < 1e-12


def test_means_by_hand() -> None:
    p = torch.tensor([[[0.9, 0.1]], [[0.5, 0.5]]], dtype=torch.float64)
    weights = torch.tensor([0.25, 0.75], dtype=torch.float64)
    assert torch.allclose(thinned.arithmetic_mean(p.log(), weights).exp()[0], weights @ p[:, 0])
    g = torch.tensor([0.9**0.25 * 0.5**0.75, 0.1**0.25 * 0.5**0.75], dtype=torch.float64)
    assert torch.allclose(thinned.geometric_mean(p.log(), weights).exp()[0], g / g.sum())
    equal = torch.tensor([0.5, 0.5], dtype=torch.float64)
    for mean in (thinned.arithmetic_mean, thinned.geometric_mean):
        assert torch.allclose(mean(p.log()), mean(p.log(), equal))


def test_divergence_is_that_of_torch() -> None:
    logits = torch.randn(2, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    log_p, log_q = logits.log_softmax(-1)
    want = torch.nn.functional.kl_div(log_q, log_p, log_target=True, reduction="none").sum(-1)
    assert torch.allclose(thinned.divergence(log_p, log_q), want)


# --- single units --------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2])
def test_without_each_is_the_network_with_a_zero(depth: int) -> None:
    x, layers = head()
    got = thinned.without_each(x, layers[:depth])
    for unit in range(x.shape[1]):
        less = x.clone()
        less[:, unit] = 0
        assert torch.allclose(got[unit], thinned.whole_logits(less, layers[:depth]))


def test_changes_are_measured() -> None:
    whole = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    logits = torch.stack([whole, whole.flip(0), whole + 5, 0 * whole])
    assert thinned.relative_change(logits, whole).tolist() == [0.0, 2.0, 0.0, 1.0]


def test_errors_with_masks_at_the_whole_network_and_at_few_units() -> None:
    x, layers = head(40, 30, 3)
    labels = thinned.whole_logits(x, layers).argmax(-1)
    found = thinned.errors_with_masks(x, layers, labels, (1.0, 0.1), 30, torch.Generator().manual_seed(0))
    assert found[1.0] == [0.0] * 30
    assert 0.1 < sum(found[0.1]) / 30 < 1


# --- the explorer -------------------------------------------------------------------------------


def shares(alt: str) -> list[float]:
    return [
        float(x) / 100 for x in re.findall(r"([0-9.]+)%", alt.split("classes in the network of the test:")[1])
    ]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("keep", [KEEPS[0], KEEPS[-1]])
def test_one_softmax_layer_is_exact_for_every_keep_and_form(keep: float, form: str) -> None:
    widget = dropout_explorer(keep=keep, form=form)
    assert "is the geometric mean of all" in widget.alt
    network = SmallNetwork(0)
    x, layers = network.x, network.layers
    weight, bias = layers[1][0]
    want = ((keep if form == "2012" else 1.0) * x @ weight.T + bias).softmax(-1)[0]
    assert shares(widget.alt) == pytest.approx(want.tolist(), abs=0.0006)


def test_a_deeper_network_lies_near_and_the_distance_is_that_of_the_enumeration() -> None:
    widget = dropout_explorer()
    widget.controls["depth"].value = 2
    assert widget.error is None
    assert "8 + 6 units" in widget.alt
    assert "16,384 networks" in widget.alt
    network = SmallNetwork(0)
    x, layers = network.x, network.layers
    masks = thinned.all_masks(14).split([8, 6], dim=1)
    every = thinned.geometric_mean(thinned.thinned_logits(x, layers[2], masks))
    whole = thinned.whole_logits(x, layers[2]).log_softmax(-1)
    distance = thinned.divergence(every, whole).item()
    assert distance > 1e-3
    said = float(re.search(r"lies ([0-9.]+) nats", widget.alt).group(1))  # type: ignore[union-attr]
    assert said == pytest.approx(distance, rel=0.05)


# --- the record -------------------------------------------------------------------------------


def test_the_record_says_what_lesson_09_says_of_it() -> None:
    same = load("dropout").at_rate(0.005)
    with_it, without = (same.of(variant=name) for name in ("2012", "none"))
    for level in lesson.LEVELS["train_error"]:
        for ratio in lesson.ratios(with_it, without, level):
            assert ratio is not None
            assert 1.6 < ratio < 2.3
    assert max(same.values("none", "train_error")) < 0.06
    assert min(same.values("none")) > 0.4
    gaps = [same.paired_gap(*pair) for pair in (("none", "2012"), ("inverted", "2012"))]
    assert all(gap.low is not None and gap.low > 0 for gap in gaps)


def test_a_guess_is_drawn_into_the_ratios() -> None:
    record = load("dropout")
    (plain,), (guessed,) = (lesson.times_as_many(record, guess)[0].axes for guess in (None, 3.0))
    assert len(guessed.lines) == len(plain.lines) + 1
    assert "your guess: 3" in [text.get_text() for text in guessed.texts]
