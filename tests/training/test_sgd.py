"""§5's rule as an optimizer: the formula, PyTorch's rule beside it, groups."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from alexnet_edu.training.sgd import PaperSGD, parameter_groups, rescale_momentum


def bowl(seed: int = 0) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """A start (6,) in float64, and a smooth function without symmetry to descend."""
    g = torch.Generator().manual_seed(seed)
    a = torch.randn(6, 6, generator=g, dtype=torch.float64)
    start = torch.randn(6, generator=g, dtype=torch.float64)
    return start, lambda w: 0.5 * (a @ w).square().mean() + w.sin().sum()


def descend(
    make: Callable[[list[Tensor]], torch.optim.Optimizer],
    rates: list[float],
    between: Callable[[torch.optim.Optimizer, float, float], None] | None = None,
) -> Tensor:
    """(steps, 6): the weights after each step at these rates."""
    start, loss = bowl()
    w = start.clone().requires_grad_()
    optimizer = make([w])
    path, old = [], rates[0]
    for rate in rates:
        if between is not None and rate != old:
            between(optimizer, old, rate)
        old = rate
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        loss(w).backward()
        optimizer.step()
        path.append(w.detach().clone())
    return torch.stack(path)


def papers(params: Any) -> PaperSGD:
    return PaperSGD(params, 0.01, momentum=0.9, weight_decay=0.0005)


def pytorchs(params: Any) -> torch.optim.SGD:
    return torch.optim.SGD(params, 0.01, momentum=0.9, weight_decay=0.0005)


# --- the rule -----------------------------------------------------------------------------


def test_the_rule_is_the_formula_of_section_5() -> None:
    """v ← 0.9 v − 0.0005 ε w − ε g, w ← w + v, with rates that change; to 1e-14."""
    rates = [0.02] * 5 + [0.002] * 5 + [0.01] * 3
    w, loss = bowl()
    v = torch.zeros_like(w)
    for step, (rate, found) in enumerate(zip(rates, descend(papers, rates), strict=True)):
        w.requires_grad_()
        (g,) = torch.autograd.grad(loss(w), w)
        w = w.detach()
        v = 0.9 * v - 0.0005 * rate * w - rate * g
        w = w + v
        torch.testing.assert_close(found, w, rtol=1e-14, atol=1e-14, msg=f"step {step}")


def test_the_two_part_when_the_rate_falls_and_rescaling_repairs_it() -> None:
    """After the fall the paper's velocity runs out at its old size: by hand, the first step apart."""
    rates = [0.02] * 30 + [0.002] * 60
    ours, theirs = descend(papers, rates), descend(pytorchs, rates)
    torch.testing.assert_close(ours[:30], theirs[:30], rtol=1e-12, atol=1e-12)
    velocity = ours[29] - ours[28]
    expected = 0.9 * velocity * (1 - 0.002 / 0.02)
    torch.testing.assert_close(ours[30] - theirs[30], expected, rtol=1e-9, atol=1e-12)
    assert (ours[40] - theirs[40]).norm() > 10 * (ours[29] - theirs[29]).norm() + 1e-4
    repaired = descend(pytorchs, rates, rescale_momentum)
    torch.testing.assert_close(repaired, ours, rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match=r"0\.1 and nan"):
        rescale_momentum(pytorchs([nn.Parameter(torch.ones(1))]), 0.1, math.nan)


def test_a_rate_of_zero_skips_a_group_wholly() -> None:
    """Neither decay nor velocity: the weights and the buffer stay to the bit, and go on after."""
    w, apart, unused = (nn.Parameter(torch.ones(3)) for _ in range(3))
    optimizer = PaperSGD([{"params": [w, unused]}, {"params": [apart]}], 0.1, weight_decay=0.5)

    def step() -> None:
        optimizer.zero_grad()
        (w.sum() + apart.sum()).backward()
        optimizer.step()

    step()
    before, velocity = apart.detach().clone(), optimizer.state[apart]["momentum_buffer"].clone()
    optimizer.param_groups[1]["lr"] = 0.0
    for _ in range(3):
        step()
    assert torch.equal(apart, before)
    assert torch.equal(optimizer.state[apart]["momentum_buffer"], velocity)
    assert (w < before).all()
    assert torch.equal(unused, torch.ones(3))  # it has no gradient
    optimizer.param_groups[1]["lr"] = 0.1
    step()
    torch.testing.assert_close(apart.detach(), before + 0.9 * velocity - 0.1 * (1 + 0.5 * before))


def test_a_whole_group_moves_to_the_bits_of_one_tensor_at_a_time() -> None:
    """Weights of several shapes and layouts, a bias, one without a gradient, with and without decay."""
    shapes = ((4, 3, 5, 5), (7, 6), (6,), (2,))
    g = torch.Generator().manual_seed(0)
    start = [torch.randn(shape, generator=g) for shape in shapes]
    start[0] = start[0].contiguous(memory_format=torch.channels_last)
    ours = [nn.Parameter(w.clone()) for w in start]
    optimizer = PaperSGD([{"params": ours[:2], "weight_decay": 0.0005}, {"params": ours[2:]}], 0.02, 0.9, 0.0)
    loop, velocities = [w.clone() for w in start[:3]], [torch.zeros_like(w) for w in start[:3]]
    for rate in (0.02, 0.002, 0.01):
        for group in optimizer.param_groups:
            group["lr"] = rate
        for w, v, p, decay in zip(loop, velocities, ours, (0.0005, 0.0005, 0.0), strict=False):
            p.grad = torch.randn(w.shape, generator=g)
            v.mul_(0.9).add_(p.grad, alpha=-rate)
            if decay:
                v.add_(w, alpha=-decay * rate)
            w.add_(v)
        optimizer.step()
    assert all(torch.equal(p, w) for p, w in zip(ours, [*loop, start[3]], strict=True))
    assert all(
        torch.equal(optimizer.state[p]["momentum_buffer"], v) for p, v in zip(ours, velocities, strict=False)
    )
    assert ours[3] not in optimizer.state


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": math.nan}, "lr .* nan"),
        ({"lr": 0.1, "momentum": -0.9}, "momentum .* -0.9"),
        ({"lr": 0.1, "weight_decay": math.inf}, "weight_decay .* inf"),
    ],
)
def test_bad_numbers_are_quoted(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PaperSGD([nn.Parameter(torch.ones(1))], **options)


# --- groups -------------------------------------------------------------------------------


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.fc3 = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, 2)


def described(model: nn.Module, **options: Any) -> dict[str, tuple[float, float, str]]:
    """name -> (rate, weight decay, what it was separated for)."""
    names = {id(p): name for name, p in model.named_parameters()}
    return {
        names[id(p)]: (group["lr"], group["weight_decay"], group["apart"])
        for group in parameter_groups(model, 0.01, **options)
        for p in group["params"]
    }


def test_biases_learn_twice_as_fast_and_do_not_decay() -> None:
    """The configurations of 2012: epsB = 0.02 beside epsW = 0.01."""
    expected = {True: (0.02, 0.0, ""), False: (0.01, 0.0005, "")}
    names = [name for name, _ in Named().named_parameters()]
    assert described(Named()) == {name: expected[name.endswith("bias")] for name in names}
    (group,) = parameter_groups(Named(), 0.01, bias_rate=1.0, decay_biases=True)
    assert (group["lr"], group["weight_decay"], len(group["params"])) == (0.01, 0.0005, 6)


def test_a_layer_can_have_a_decay_and_a_group_of_its_own() -> None:
    """Of decays the last that fits counts; of nested groups the longest beginning."""
    decays = (("conv", 0.004), ("conv2", 0.1))
    for separate in (("conv", "conv1"), ("conv1", "conv")):
        groups = described(Named(), decays=decays, separate=separate, decay_biases=True)
        assert groups["conv1.weight"] == (0.01, 0.004, "conv1")
        assert groups["conv1.bias"] == (0.02, 0.004, "conv1")
        assert groups["conv2.weight"] == (0.01, 0.1, "conv")
        assert groups["fc3.weight"] == (0.01, 0.0005, "")
    assert described(Named(), decays=decays)["conv1.bias"] == (0.02, 0.0, "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"separate": ("conv9",)}, r"'conv9'.* conv1\.weight"),
        ({"decays": (("fc8", 0.1),)}, "'fc8'"),
        ({"bias_rate": -2.0}, "bias_rate .* -2.0"),
        ({"weight_decay": -0.5}, "weight_decay .* -0.5"),
        ({"decays": (("fc3", -0.1),)}, "'fc3' .* -0.1"),
    ],
)
def test_groups_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parameter_groups(Named(), 0.01, **options)
