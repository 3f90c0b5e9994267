"""The form for the compiler against the formula, uncompiled, and what the compiled layer may not change."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from alexnet_edu.model import fused_norm, norm_formula
from alexnet_edu.model.compiling import FEWEST
from alexnet_edu.model.layers import local_response_norm
from tests.needs import needs_compiler

LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def activities(*shape: int, last: bool = False, seed: int = 0) -> Tensor:
    x = 60 * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return x.to(memory_format=LAST[len(shape)]) if last else x


@pytest.mark.parametrize(
    ("shape", "last"),
    [
        ((7, 12, 3, 4), False),  # rows are images
        ((7, 12, 3, 4), True),  # rows are places
        ((4, 12, 3, 4), False),  # too few rows for an inside of the gradient
        ((2, 12, 3, 4), False),  # nor of the result
        ((1, 12, 1, 2), True),
        ((6, 12, 5), False),
        ((3, 12, 2, 2, 2), True),
        ((0, 12, 3, 4), False),
        ((6, 12, 0, 4), False),
    ],
)
@pytest.mark.parametrize("window", [(0, 0), (1, 0), (2, 2), (2, 1), (4, 4), (15, 14)])
@pytest.mark.parametrize("columns", [1, 2])
def test_it_is_the_formula(shape: tuple[int, ...], last: bool, window: tuple[int, int], columns: int) -> None:
    x, g = activities(*shape, last=last), activities(*shape, seed=1)
    settings = (window, 2.0, 1e-4, 0.75, columns)
    torch.testing.assert_close(
        fused_norm.normalized(x, *settings), norm_formula.normalized(x, *settings), rtol=1e-13, atol=0
    )
    torch.testing.assert_close(
        fused_norm.gradient(x, g, *settings), norm_formula.gradient(x, g, *settings), rtol=1e-11, atol=1e-12
    )


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_lies_next_in_memory_but_not_in_the_column_is_not_seen(last: bool, bad: float) -> None:
    """The neighbour in memory may be another column, another place or another image."""
    x, settings = activities(7, 12, 2, 2, last=last), ((2, 2), 2.0, 1e-4, 0.75, 2)
    spoilt = x.clone()
    spoilt[3, 5, 1, 0] = bad
    touched = torch.zeros(7, 12, 2, 2, dtype=torch.bool)
    touched[3, 3:6, 1, 0] = True  # those of its own column whose window holds it
    a, b = (fused_norm.normalized(v, *settings) for v in (x, spoilt))
    assert torch.equal(a[~touched], b[~touched])
    assert (a[touched] != b[touched]).all()
    g = torch.ones_like(x)
    a, b = (fused_norm.gradient(v, g, *settings) for v in (x, spoilt))
    touched[3, 1:6, 1, 0] = True
    assert torch.equal(a[~touched], b[~touched])


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("last", [False, True])
def test_compiled_the_layer_is_the_same_for_any_number_of_images(last: bool) -> None:
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    graphs = torch._dynamo.utils.counters["stats"]
    for images in (9, 6, 32, FEWEST, FEWEST - 1, 1, 0):
        x = activities(images, 12, 4, 5, last=last).float().requires_grad_()
        found, expected = (local_response_norm(x, columns=2, compiled=c) for c in (True, False))
        assert found.stride() == expected.stride()
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
        g = activities(images, 12, 4, 5, seed=1).float()  # not in the layout of x
        gradients = [torch.autograd.grad(y, x, g)[0] for y in (found, expected)]
        torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)
    nothing = torch.zeros(9, 12, 0, 5, requires_grad=True)
    assert torch.autograd.grad(local_response_norm(nothing, compiled=True).sum(), nothing)[0].shape[2] == 0
    assert graphs["unique_graphs"] == 2  # one forward, one backward


@pytest.mark.slow
@needs_compiler
def test_compiled_half_precision_and_a_second_derivative() -> None:
    x = activities(6, 12, 4, 5, last=True)
    half = x.bfloat16()
    assert torch.equal(
        local_response_norm(half, compiled=True), local_response_norm(half.float(), compiled=True).bfloat16()
    )
    few = (x[:, :4, :2, :1] / 60).requires_grad_()

    def f(x: Tensor) -> Tensor:
        return local_response_norm(x, 3, 1.5, 0.3, compiled=True)

    assert torch.autograd.gradcheck(f, (few,))
    assert torch.autograd.gradgradcheck(f, (few,))
