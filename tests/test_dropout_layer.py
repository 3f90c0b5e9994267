"""Dropout (§4.2) in its two forms: what comes out in training, in test, and in the mean."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from alexnet_edu.model.layers import DROPOUT_FORMS, Dropout

X = torch.tensor([[1.0, -2.0, 3.0, 0.5]], dtype=torch.float64)


def test_the_form_of_2012_halves_in_test_and_leaves_what_it_keeps() -> None:
    layer = Dropout()
    assert (layer.keep, layer.form) == (0.5, "2012")
    x = torch.full((1_000,), 3.0)
    assert set(layer(x).tolist()) == {0.0, 3.0}
    assert torch.equal(layer.eval()(x), 0.5 * x)


def test_the_inverted_form_doubles_in_training_and_leaves_the_test_alone() -> None:
    layer = Dropout(form="inverted")
    x = torch.full((1_000,), 3.0)
    assert set(layer(x).tolist()) == {0.0, 6.0}
    assert torch.equal(layer.eval()(x), x)


def test_the_inverted_form_is_pytorchs() -> None:
    """The same values, and within 4.5 standard errors of the same share of zeros, for another share kept."""
    ours, theirs = Dropout(0.8, "inverted"), nn.Dropout(0.2)
    ours.reseed(1)
    x = torch.full((40_000,), 4.0)
    torch.manual_seed(1)
    for layer in (ours, theirs):
        out = layer(x)
        assert out.unique().tolist() == [0.0, 5.0]
        assert abs((out == 0).double().mean().item() - 0.2) < 4.5 * math.sqrt(0.2 * 0.8 / len(x))
        assert torch.equal(layer.eval()(x), x)


@pytest.mark.parametrize("keep", [0.5, 0.8])
@pytest.mark.parametrize("form", DROPOUT_FORMS)
def test_the_mean_over_all_masks_is_the_output_in_test(
    keep: float, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All 2⁴ masks of a layer with 4 units and a linear layer behind it, weighted by their chance."""
    head = nn.Linear(4, 3).double()
    layer = Dropout(keep, form)
    mean, total = torch.zeros(1, 3, dtype=torch.float64), 0.0
    for mask in itertools.product((0.0, 1.0), repeat=4):
        drawn = torch.tensor([mask], dtype=torch.float64)

        def bernoulli(p: Tensor, generator: object, drawn: Tensor = drawn) -> Tensor:
            assert torch.equal(p, torch.full_like(p, keep))
            return drawn

        monkeypatch.setattr(torch, "bernoulli", bernoulli)
        chance = math.prod(keep if kept else 1 - keep for kept in mask)
        mean += chance * head(layer(X))
        total += chance
    assert total == pytest.approx(1)
    torch.testing.assert_close(mean, head(layer.eval()(X)), rtol=1e-12, atol=1e-12)


def test_dropped_units_pass_no_gradient() -> None:
    for form, factor in (("2012", 1.0), ("inverted", 2.0)):
        layer, x = Dropout(form=form), torch.ones(200, requires_grad=True)
        out = layer(x)
        out.sum().backward()
        assert x.grad is not None
        assert torch.equal(x.grad, torch.where(out == 0, 0.0, factor))


def test_a_seed_gives_the_same_masks_whatever_else_draws() -> None:
    layer, x = Dropout(), torch.ones(64)
    layer.reseed(7)
    first = [layer(x) for _ in range(3)]
    assert not torch.equal(first[0], first[1])  # a new mask each time
    layer.reseed(7)
    torch.manual_seed(5)
    for mask in first:
        torch.randn(10)
        assert torch.equal(layer(x), mask)
    layer.reseed(8)
    assert not torch.equal(layer(x), first[0])


def test_without_a_seed_the_masks_are_torchs_own() -> None:
    layer, x = Dropout(), torch.ones(64)
    masks = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        masks.append(layer(x))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_a_copy_goes_on_by_itself() -> None:
    layer, x = Dropout(), torch.ones(64)
    layer.reseed(7)
    layer(x)
    other = copy.deepcopy(layer)
    expected = layer(x)
    assert torch.equal(other(x), expected)


@pytest.mark.parametrize("form", DROPOUT_FORMS)
def test_keeping_all_is_the_identity(form: str) -> None:
    layer = Dropout(1.0, form)
    assert torch.equal(layer(X), X)
    assert torch.equal(layer.eval()(X), X)


def test_the_layer_has_nothing_to_learn_and_names_itself() -> None:
    layer = Dropout(0.8, "inverted")
    assert not layer.state_dict()
    assert repr(layer) == "Dropout(keep=0.8, form='inverted')"


def test_the_type_stays() -> None:
    for kind in (torch.float32, torch.float64, torch.bfloat16):
        layer = Dropout()
        assert layer(X.to(kind)).dtype == layer.eval()(X.to(kind)).dtype == kind


@pytest.mark.parametrize("keep", [0.0, -0.5, 1.5, math.nan])
def test_a_share_that_is_none_is_quoted(keep: float) -> None:
    with pytest.raises(ValueError, match=f"above 0 and up to 1, got {keep}"):
        Dropout(keep)


def test_an_unknown_form_is_quoted() -> None:
    with pytest.raises(ValueError, match="unknown form of dropout 'gaussian'; choose one of 2012, inverted"):
        Dropout(form="gaussian")


def test_parts_seeded_alike_drop_what_the_whole_would_drop() -> None:
    """Two rows' shares and two columns' shares of one mask, put together, are that mask."""
    x = torch.ones(6, 8)
    whole = Dropout()
    whole.reseed(3)
    expected = whole(x)
    for rows, units in (((0, 4, 6), (0, 8, 8)), ((4, 6, 6), (0, 8, 8)), ((0, 6, 6), (4, 8, 8))):
        part = Dropout()
        part.reseed(3)
        part.be_part(rows, units)
        assert torch.equal(
            part(x[slice(*rows[:2]), slice(*units[:2])]), expected[slice(*rows[:2]), slice(*units[:2])]
        )


def test_a_part_that_does_not_fit_is_refused() -> None:
    part = Dropout()
    with pytest.raises(ValueError, match="rows 4 to 7 are no part of 6"):
        part.be_part((4, 7, 6), (0, 8, 8))
    part.be_part((0, 2, 6), (0, 8, 8))
    with pytest.raises(ValueError, match=r"expected the part \(2, 8\) of \(6, 8\), got \(3, 8\)"):
        part(torch.ones(3, 8))
