"""Normalization and dropout: against loops, against PyTorch, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from alexnet_edu.model.layers import (
    CONVENTIONS,
    Dropout,
    LocalResponseNorm,
    MapResponseNorm,
    local_response_norm,
    map_response_norm,
)
from tests.needs import needs_compiler

PAPER = {"k": 2.0, "alpha": 1e-4, "beta": 0.75}


def activities(*shape: int, seed: int = 0, scale: float = 60.0) -> Tensor:
    """float64 numbers as large as the first layer's on raw pixels, where the constants bite."""
    return scale * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


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
    torch.testing.assert_close(
        local_response_norm(x, n, convention=convention, columns=columns), expected, rtol=1e-13, atol=0
    )
    single = local_response_norm(x.float(), n, convention=convention, columns=columns)
    torch.testing.assert_close(single.double(), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("n", [1, 2, 4, 5, 9])
def test_the_codes_convention_is_that_of_pytorch(n: int) -> None:
    x = activities(2, 12, 3, 4).requires_grad_()
    mine = local_response_norm(x, n, convention="code")
    theirs = torch.nn.LocalResponseNorm(n, 1e-4, 0.75, 2.0)(x)
    torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=0)
    gradients = [torch.autograd.grad(y.square().sum(), x)[0] for y in (mine, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-11, atol=1e-11)


def test_the_papers_alpha_is_five_times_as_strong() -> None:
    x = activities(2, 12, 3, 4)
    torch.testing.assert_close(
        local_response_norm(x, alpha=1e-4), local_response_norm(x, alpha=5e-4, convention="code")
    )
    assert not torch.allclose(local_response_norm(x), local_response_norm(x, convention="code"), rtol=1e-2)


@pytest.mark.parametrize("n", [1, 4, 5])
@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("beta", [0.75, 0.5])
def test_the_gradient_is_the_closed_form_and_has_one_itself(n: int, convention: str, beta: float) -> None:
    x = activities(2, 6, 2, 2, scale=1.0).requires_grad_()

    def f(x: Tensor) -> Tensor:
        return local_response_norm(x, n, 1.5, 0.3, beta, convention=convention, columns=2)

    assert torch.autograd.gradcheck(f, (x,))
    assert torch.autograd.gradgradcheck(f, (x,))


def test_a_column_does_not_see_the_other() -> None:
    x = activities(2, 12, 3, 3)
    changed = x.clone()
    changed[:, 6:] *= 3
    a, b = (local_response_norm(v, columns=2) for v in (x, changed))
    assert torch.equal(a[:, :6], b[:, :6])
    assert not torch.equal(local_response_norm(x)[:, :6], local_response_norm(changed)[:, :6])
    torch.testing.assert_close(a[:, 6:], local_response_norm(x[:, 6:]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype: torch.dtype) -> None:
    x = activities(2, 12, 3, 4).to(dtype).requires_grad_()
    y = local_response_norm(x)
    assert y.dtype == dtype
    assert torch.equal(y, local_response_norm(x.float()).to(dtype))
    y.float().sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == dtype


def test_autocast_leaves_the_type_alone() -> None:
    x = activities(2, 12, 3, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert local_response_norm(x.bfloat16()).dtype == torch.bfloat16
        assert torch.equal(local_response_norm(x.float()), local_response_norm(x.float()))
        assert local_response_norm(x.float()).dtype == torch.float32


@pytest.mark.parametrize("norm", [local_response_norm, map_response_norm])
def test_channels_last_stays_and_gives_the_same(norm: Any) -> None:
    x = activities(2, 12, 5, 4)
    last = x.to(memory_format=torch.channels_last)
    assert norm(last).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(norm(last), norm(x), rtol=1e-13, atol=0)


@pytest.mark.parametrize("shape", [(0, 8, 3, 3), (2, 8, 0, 3)])
def test_nothing_in_gives_nothing_out(shape: tuple[int, ...]) -> None:
    for norm in (local_response_norm, map_response_norm):
        x = torch.zeros(shape, requires_grad=True)
        norm(x).sum().backward()
        assert norm(x).shape == shape
        assert x.grad is not None
        assert x.grad.shape == shape


def test_other_numbers_of_dimensions() -> None:
    x = activities(2, 12, 3, 4)
    torch.testing.assert_close(local_response_norm(x.flatten(2)), local_response_norm(x).flatten(2))
    torch.testing.assert_close(local_response_norm(x.unsqueeze(2)), local_response_norm(x).unsqueeze(2))


@pytest.mark.slow
@needs_compiler
def test_inside_of_what_somebody_compiles_it_is_the_same() -> None:
    x = activities(6, 12, 4, 4).float().requires_grad_()
    compiled = torch.compile(local_response_norm)
    torch.testing.assert_close(compiled(x), local_response_norm(x))
    gradients = [torch.autograd.grad(f(x).square().sum(), x)[0] for f in (compiled, local_response_norm)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "at least 1; got 0"),
        ({"n": 2.5}, r"whole number of maps.*got 2\.5"),
        ({"n": True}, "got True"),
        ({"k": 0.0}, r"k must be positive.*got 0\.0"),
        ({"k": float("nan")}, "got nan"),
        ({"alpha": -1e-4}, "alpha must be 0 or more.*got -0.0001"),
        ({"beta": float("inf")}, "beta must be a finite number, got inf"),
        ({"columns": 5}, "12 maps cannot be split into 5 equal columns"),
        ({"columns": 0}, "into 0 equal columns"),
        ({"convention": "torch"}, "unknown convention 'torch'; choose one of paper, code"),
    ],
)
def test_bad_arguments_are_quoted(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        local_response_norm(torch.zeros(2, 12, 3, 3), **arguments)
    with pytest.raises(ValueError, match=message):
        LocalResponseNorm(**arguments)(torch.zeros(2, 12, 3, 3))


def test_bad_tensors_are_named() -> None:
    with pytest.raises(ValueError, match=r"at least 3 dimensions, got \(12, 3\)"):
        local_response_norm(torch.zeros(12, 3))
    with pytest.raises(TypeError, match=r"got torch\.uint8; convert it with \.float\(\)"):
        local_response_norm(torch.zeros(1, 2, 3, 3, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"\(N, C, H, W\), got \(1, 2, 3\)"):
        map_response_norm(torch.zeros(1, 2, 3))
    with pytest.raises(ValueError, match=r"size must be odd.*got 4"):
        map_response_norm(torch.zeros(1, 2, 3, 3), size=4)


def test_the_norm_within_a_map_is_its_formula() -> None:
    x = activities(2, 3, 6, 5)
    expected = torch.empty_like(x)
    for i in range(6):
        for j in range(5):
            near = x[:, :, max(i - 2, 0) : i + 3, max(j - 2, 0) : j + 3]
            expected[:, :, i, j] = x[:, :, i, j] / (1 + 1e-3 / 25 * near.square().sum((2, 3))) ** 0.75
    torch.testing.assert_close(map_response_norm(x), expected, rtol=1e-12, atol=0)
    small = activities(1, 2, 4, 4, scale=1.0).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: map_response_norm(v, 3, 1.0, 0.5), (small,))
    assert torch.autograd.gradgradcheck(lambda v: map_response_norm(v, 3, 1.0, 0.5), (small,))


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
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), wanted, rtol=rtol, atol=rtol)


def test_the_layers_are_the_functions_and_show_their_numbers() -> None:
    x = activities(2, 12, 3, 4)
    assert torch.equal(LocalResponseNorm(3, columns=2)(x), local_response_norm(x, 3, columns=2))
    assert torch.equal(MapResponseNorm(3)(x), map_response_norm(x, 3))
    assert "n=5, k=2, alpha=0.0001, beta=0.75, convention='paper', columns=1" in repr(LocalResponseNorm())
    assert "size=5, k=1, alpha=0.001, beta=0.75" in repr(MapResponseNorm())


def test_dropout_halves_in_test_and_not_in_training() -> None:
    torch.manual_seed(0)
    x = torch.full((100, 100), 3.0)
    layer = Dropout()
    trained = layer(x)
    assert set(trained.unique().tolist()) == {0.0, 3.0}  # not doubled
    assert trained.eq(0).float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert torch.equal(layer.eval()(x), 0.5 * x)
    with pytest.raises(ValueError, match=r"above 0 and up to 1, got 1\.5"):
        Dropout(1.5)
