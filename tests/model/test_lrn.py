"""The form for the compiler against the formula, uncompiled; and what compiling may not change."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from alexnet_edu.model import compiling
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.architecture import variant
from alexnet_edu.model.compiling import FEWEST, CannotCompile
from alexnet_edu.model.layers import LocalResponseNorm, compile_norms, local_response_norm
from alexnet_edu.model.lrn import AcrossMaps, fused_gradient, fused_normalized, gradient, normalized
from tests.needs import needs_compiler
from tests.small import tiny

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
def test_the_fused_form_is_the_formula(
    shape: tuple[int, ...], last: bool, window: tuple[int, int], columns: int
) -> None:
    x, g = activities(*shape, last=last), activities(*shape, seed=1)
    norm = AcrossMaps(*window, columns, 2.0, 1e-4, 0.75)
    torch.testing.assert_close(fused_normalized(x, norm), normalized(x, norm), rtol=1e-13, atol=0)
    torch.testing.assert_close(fused_gradient(x, g, norm), gradient(x, g, norm), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_lies_next_in_memory_but_not_in_the_column_is_not_seen(last: bool, bad: float) -> None:
    """The neighbour in memory may be another column, another place or another image."""
    x, norm = activities(7, 12, 2, 2, last=last), AcrossMaps(2, 2, 2, 2.0, 1e-4, 0.75)
    spoilt = x.clone()
    spoilt[3, 5, 1, 0] = bad
    touched = torch.zeros(7, 12, 2, 2, dtype=torch.bool)
    touched[3, 3:6, 1, 0] = True  # those of its own column whose window holds it
    a, b = (fused_normalized(v, norm) for v in (x, spoilt))
    assert torch.equal(a[~touched], b[~touched])
    assert (a[touched] != b[touched]).all()
    a, b = (fused_gradient(v, torch.ones_like(x), norm) for v in (x, spoilt))
    touched[3, 1:6, 1, 0] = True
    assert torch.equal(a[~touched], b[~touched])


@pytest.mark.slow
@needs_compiler
def test_compiled_the_layer_is_the_same_for_any_number_of_images() -> None:
    """If this fails on your machine, `--compile` does not work there; all else does."""
    compiling.check("cpu")
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    for images in (9, 6, 32, FEWEST, FEWEST - 1, 1, 0):
        x = activities(images, 12, 4, 5, last=True).float().requires_grad_()
        found, expected = (local_response_norm(x, columns=2, compiled=c) for c in (True, False))
        assert found.stride() == expected.stride()
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
        g = activities(images, 12, 4, 5, seed=1).float()  # not in the layout of x
        gradients = [torch.autograd.grad(y, x, g)[0] for y in (found, expected)]
        torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2  # one forward, one backward
    nothing = torch.zeros(9, 12, 0, 5, requires_grad=True)
    assert torch.autograd.grad(local_response_norm(nothing, compiled=True).sum(), nothing)[0].shape[2] == 0
    few = (activities(6, 4, 2, 1) / 60).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: local_response_norm(x, 3, 1.5, 0.3, compiled=True), (few,))


@pytest.mark.slow
@needs_compiler
def test_inside_of_what_somebody_compiles_it_is_the_same() -> None:
    x = activities(6, 12, 4, 4).float().requires_grad_()
    compiled = torch.compile(local_response_norm)
    torch.testing.assert_close(compiled(x), local_response_norm(x))
    gradients = [torch.autograd.grad(f(x).square().sum(), x)[0] for f in (compiled, local_response_norm)]
    torch.testing.assert_close(*gradients)


# --- compiling the norms of a network ------------------------------------------------------------


def norms(model: nn.Module) -> list[LocalResponseNorm]:
    return [module for module in model.modules() if isinstance(module, LocalResponseNorm)]


def test_every_norm_of_a_network_and_only_those(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "check", lambda device: None)
    model = AlexNet(tiny(variant("paper")))
    assert [norm.compiled for norm in norms(model)] == [False, False]
    assert compile_norms(model) == 2
    assert [norm.compiled for norm in norms(model)] == [True, True]
    assert "compiled=True" in str(norms(model)[0])
    assert compile_norms(nn.Linear(2, 2)) == 0


def test_where_it_does_not_work_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(function: object) -> object:
        raise RuntimeError("no backend\nand many lines more")

    monkeypatch.setattr(torch, "compile", broken)
    model = AlexNet(tiny(variant("paper")))
    with pytest.raises(CannotCompile, match=r"on cpu here: no backend\. .*C\+\+") as caught:
        compile_norms(model)
    assert "\n" not in str(caught.value)
    assert not any(norm.compiled for norm in norms(model))
