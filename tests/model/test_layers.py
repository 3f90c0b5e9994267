"""Normalization, dropout and the layers with weights: against loops, against PyTorch, and what is refused."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from alexnet_edu.model.layers import (
    CONVENTIONS,
    DROPOUT_FORMS,
    CeilConv2d,
    Dropout,
    GroupedLinear,
    LocalResponseNorm,
    MapResponseNorm,
    local_response_norm,
    map_response_norm,
)

PAPER = {"k": 2.0, "alpha": 1e-4, "beta": 0.75}


def activities(*shape: int, seed: int = 0, scale: float = 60.0) -> Tensor:
    """float64 numbers as large as the first layer's on raw pixels, where the constants bite."""
    return scale * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# --- normalization ------------------------------------------------------------------------------


def loop(
    x: Tensor, n: int, convention: str, columns: int = 1, *, k: float, alpha: float, beta: float
) -> Tensor:
    """§3.3's formula, one map after the other, as printed (or as the 2012 code reads it)."""
    out, maps = torch.empty_like(x), x.shape[1] // columns
    below, above = (n / 2, n / 2) if convention == "paper" else (n // 2, (n - 1) // 2)
    scale = alpha if convention == "paper" else alpha / n
    for start in range(0, x.shape[1], maps):
        for i in range(maps):
            near = [j for j in range(maps) if i - below <= j <= i + above]
            total = torch.stack([x[:, start + j] ** 2 for j in near]).sum(0)
            out[:, start + i] = x[:, start + i] / (k + scale * total) ** beta
    return out


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 9, 30])
@pytest.mark.parametrize("columns", [1, 2])
def test_lrn_is_the_formula(convention: str, n: int, columns: int) -> None:
    x = activities(2, 12, 3, 4)
    expected = loop(x, n, convention, columns, **PAPER)
    found = local_response_norm(x, n, convention=convention, columns=columns)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=0)
    single = local_response_norm(x.float(), n, convention=convention, columns=columns)
    torch.testing.assert_close(single.double(), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("n", [1, 2, 4, 5, 9])
def test_the_codes_convention_is_that_of_pytorch(n: int) -> None:
    x = activities(2, 12, 3, 4).requires_grad_()
    mine = local_response_norm(x, n, convention="code")
    theirs = nn.LocalResponseNorm(n, 1e-4, 0.75, 2.0)(x)
    torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=0)
    gradients = [torch.autograd.grad(y.square().sum(), x)[0] for y in (mine, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("n", [1, 4, 5])
@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("beta", [0.75, 0.5])
def test_the_gradient_is_the_closed_form_and_has_one_itself(n: int, convention: str, beta: float) -> None:
    x = activities(2, 6, 2, 2, scale=1.0).requires_grad_()

    def f(x: Tensor) -> Tensor:
        return local_response_norm(x, n, 1.5, 0.3, beta, convention=convention, columns=2)

    assert torch.autograd.gradcheck(f, (x,))
    assert torch.autograd.gradgradcheck(f, (x,))


def test_the_norm_within_a_map_is_its_formula() -> None:
    x = activities(2, 3, 6, 5)
    expected = torch.empty_like(x)
    for i in range(6):
        for j in range(5):
            near = x[:, :, max(i - 2, 0) : i + 3, max(j - 2, 0) : j + 3]
            expected[:, :, i, j] = x[:, :, i, j] / (1 + 1e-3 / 25 * near.square().sum((2, 3))) ** 0.75
    torch.testing.assert_close(map_response_norm(x), expected, rtol=1e-12, atol=0)
    small = activities(1, 2, 4, 4, scale=1.0).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: map_response_norm(v, 3, 1.5, 0.3), (small,))
    assert torch.autograd.gradgradcheck(lambda v: map_response_norm(v, 3, 1.5, 0.3), (small,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_within_a_map_image_by_image_is_the_same(dtype: torch.dtype) -> None:
    """Each of these images is larger than a part; the gradient is that of autograd."""
    x = activities(3, 64, 80, 80).to(dtype).requires_grad_()
    wide = x.detach().double().requires_grad_()
    mean = nn.functional.avg_pool2d(wide.square(), 5, stride=1, padding=2)
    expected = wide / (1 + 1e-3 * mean) ** 0.75
    g = torch.randn(x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    ours = map_response_norm(x)
    rtol = 1e-5 if dtype == torch.float32 else 1e-2
    torch.testing.assert_close(ours.double(), expected, rtol=rtol, atol=1e-4)
    (found,) = torch.autograd.grad(ours, x, g.to(dtype))
    (wanted,) = torch.autograd.grad(expected, wide, g.to(dtype).double())
    torch.testing.assert_close(found.double(), wanted, rtol=rtol, atol=rtol)


NORMS = pytest.mark.parametrize("norm", [local_response_norm, map_response_norm])


@NORMS
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_is_computed_in_single(norm: Any, dtype: torch.dtype) -> None:
    x = activities(2, 12, 3, 4).to(dtype).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):  # leaves the type alone
        y = norm(x)
    assert torch.equal(y, norm(x.float()).to(dtype))
    (gradient,) = torch.autograd.grad(y.float().sum(), x)
    assert gradient.dtype == y.dtype == dtype


@NORMS
def test_channels_last_stays_and_gives_the_same(norm: Any) -> None:
    x = activities(2, 12, 5, 4)
    last = norm(x.to(memory_format=torch.channels_last))
    assert last.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(last, norm(x), rtol=1e-13, atol=0)


@NORMS
@pytest.mark.parametrize("shape", [(0, 8, 3, 3), (2, 8, 0, 3)])
def test_nothing_in_gives_nothing_out(norm: Any, shape: tuple[int, ...]) -> None:
    x = torch.zeros(shape, requires_grad=True)
    y = norm(x)
    assert y.shape == torch.autograd.grad(y.sum(), x)[0].shape == shape


def test_the_layers_are_the_functions_for_any_number_of_dimensions() -> None:
    x = activities(2, 12, 3, 4)
    expected = local_response_norm(x)
    torch.testing.assert_close(local_response_norm(x.flatten(2)), expected.flatten(2))
    torch.testing.assert_close(local_response_norm(x.unsqueeze(2)), expected.unsqueeze(2))
    assert torch.equal(LocalResponseNorm(3, columns=2)(x), local_response_norm(x, 3, columns=2))
    assert torch.equal(MapResponseNorm(3)(x), map_response_norm(x, 3))


@pytest.mark.parametrize(
    ("arguments", "quoted"),
    [
        ({"n": 0}, "0"),
        ({"n": 2.5}, r"2\.5"),
        ({"n": True}, "True"),
        ({"k": 0.0}, r"0\.0"),
        ({"k": math.nan}, "nan"),
        ({"alpha": -1e-4}, r"-0\.0001"),
        ({"beta": math.inf}, "inf"),
        ({"columns": 5}, "12.*5"),
        ({"columns": 0}, "0"),
        ({"convention": "torch"}, "'torch'"),
    ],
)
def test_bad_arguments_are_quoted(arguments: dict[str, Any], quoted: str) -> None:
    with pytest.raises(ValueError, match=quoted):
        local_response_norm(torch.zeros(2, 12, 3, 3), **arguments)


def test_bad_tensors_are_quoted() -> None:
    with pytest.raises(ValueError, match=r"\(12, 3\)"):
        local_response_norm(torch.zeros(12, 3))
    with pytest.raises(TypeError, match=r"torch\.uint8"):
        local_response_norm(torch.zeros(1, 2, 3, 3, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"\(1, 2, 3\)"):
        map_response_norm(torch.zeros(1, 2, 3))
    with pytest.raises(ValueError, match="4"):
        map_response_norm(torch.zeros(1, 2, 3, 3), size=4)


# --- dropout --------------------------------------------------------------------------------------

X = torch.tensor([[1.0, -2.0, 3.0, 0.5]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("layer", "trained", "tested"),
    [(Dropout(), 3.0, 1.5), (Dropout(form="inverted"), 6.0, 3.0), (Dropout(0.75, "inverted"), 4.0, 3.0)],
)
def test_what_is_kept_and_what_comes_out_in_test(layer: Dropout, trained: float, tested: float) -> None:
    """Within 4.5 standard errors of the share that is kept; a dropped unit passes no gradient."""
    x = torch.full((40_000,), 3.0, requires_grad=True)
    layer.reseed(1)
    out = layer.train()(x)
    assert out.unique().tolist() == [0.0, trained]
    error = (out != 0).double().mean().item() - layer.keep
    assert abs(error) < 4.5 * math.sqrt(layer.keep * (1 - layer.keep) / len(x))
    (gradient,) = torch.autograd.grad(out.sum(), x)
    assert torch.equal(gradient, out.detach() / 3)
    assert layer.eval()(x).unique().tolist() == [tested]


@pytest.mark.parametrize("keep", [0.5, 0.8])
@pytest.mark.parametrize("form", DROPOUT_FORMS)
def test_the_mean_over_all_masks_is_the_output_in_test(
    keep: float, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All 2⁴ masks of a layer with 4 units and a linear layer behind it, weighted by their chance."""
    head, layer = nn.Linear(4, 3).double(), Dropout(keep, form)
    mean = torch.zeros(1, 3, dtype=torch.float64)
    for mask in itertools.product((0.0, 1.0), repeat=4):
        drawn = torch.tensor([mask], dtype=torch.float64)
        monkeypatch.setattr(torch, "bernoulli", lambda p, generator, drawn=drawn: drawn)
        chance = math.prod(keep if kept else 1 - keep for kept in mask)
        mean += chance * head(layer(X))
    torch.testing.assert_close(mean, head(layer.eval()(X)), rtol=1e-12, atol=1e-12)


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
    other = copy.deepcopy(layer)
    assert torch.equal(other(x), layer(x))
    layer.reseed(8)
    assert not torch.equal(layer(x), first[0])


@pytest.mark.parametrize("form", DROPOUT_FORMS)
def test_keeping_all_is_the_identity(form: str) -> None:
    layer = Dropout(1.0, form)
    assert torch.equal(layer(X), X)
    assert torch.equal(layer.eval()(X), X)


@pytest.mark.parametrize(("rows", "units"), [((0, 4), (0, 8)), ((4, 6), (0, 8)), ((0, 6), (4, 8))])
def test_parts_seeded_alike_drop_what_the_whole_would_drop(
    rows: tuple[int, int], units: tuple[int, int]
) -> None:
    """Two rows' shares and two columns' shares of one mask, put together, are that mask."""
    x, whole, part = torch.ones(6, 8), Dropout(), Dropout()
    whole.reseed(3)
    part.draw(3, (*rows, 6), (*units, 8))
    here = (slice(*rows), slice(*units))
    assert torch.equal(part(x[here]), whole(x)[here])


@pytest.mark.parametrize(
    ("make", "quoted"),
    [
        (lambda: Dropout(0.0), "0.0"),
        (lambda: Dropout(1.5), "1.5"),
        (lambda: Dropout(math.nan), "nan"),
        (lambda: Dropout(form="gaussian"), "'gaussian'"),
        (lambda: Dropout().draw(0, (4, 7, 6), (0, 8, 8)), "4 to 7"),
    ],
)
def test_bad_dropout_is_quoted(make: Callable[[], object], quoted: str) -> None:
    with pytest.raises(ValueError, match=quoted):
        make()


def test_a_part_refuses_another_shape() -> None:
    part = Dropout()
    part.draw(0, (0, 2, 6), (0, 8, 8))
    with pytest.raises(ValueError, match=r"\(3, 8\)"):
        part(torch.ones(3, 8))


def test_what_is_drawn_outside_is_not_compiled_anew_at_every_step() -> None:
    model = nn.Sequential(nn.Linear(8, 6), Dropout(), nn.Linear(6, 6), Dropout(form="inverted"))
    graphs: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, _: object) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(model, backend=backend, fullgraph=True)
    for step in range(12):
        rows = 5 if step % 4 else 3  # the last batch of an epoch is smaller
        for place in (1, 3):
            model[place].draw(2 * step + place, (0, rows, rows), (0, 6, 6))  # type: ignore[operator]
        x = torch.randn(rows, 8)
        torch.testing.assert_close(compiled(x), model(x))
    assert len(graphs) <= 2  # for one number of rows, and for any


# --- layers with weights ------------------------------------------------------------------------


def test_three_ways_to_55_and_which_agree() -> None:
    torch.manual_seed(0)
    ours = CeilConv2d(3, 4, 11, 4)
    x = torch.randn(2, 3, 224, 224)
    y = ours(x)
    assert y.shape[-2:] == (55, 55)
    plain = lambda v, padding: nn.functional.conv2d(v, ours.weight, ours.bias, 4, padding)  # noqa: E731
    assert plain(x, 0).shape[-1] == 54
    padded = plain(nn.functional.pad(x, (0, 3, 0, 3)), 0)  # three zeros right and below
    assert torch.equal(y, padded)
    assert torch.allclose(y[..., :54, :54], plain(x, 0), atol=1e-5)  # inside, nothing was added
    torchvision = plain(x, 2)  # two zeros all around: other places are looked at
    assert torchvision.shape == y.shape
    assert not torch.allclose(torchvision, y, atol=0.1)
    larger = torch.randn(2, 3, 227, 227)
    larger[..., :224, :224] = x  # 227 pixels: the same but for the last row and column of places
    assert torch.allclose(plain(larger, 0)[..., :54, :54], y[..., :54, :54], atol=1e-5)
    assert not torch.allclose(plain(larger, 0)[..., 54, :], y[..., 54, :], atol=0.1)


def test_grouped_units_are_two_small_layers() -> None:
    layer = GroupedLinear(6, 4, 2)
    for p in layer.parameters():
        nn.init.normal_(p)
    x = torch.randn(5, 6)
    halves = zip(x.chunk(2, 1), layer.weight.chunk(2), layer.bias.chunk(2), strict=True)
    torch.testing.assert_close(layer(x), torch.cat([nn.functional.linear(*half) for half in halves], 1))
