"""The update rule of §5, as an optimizer, and what of it parameter groups can say.

    v ← 0.9 v − 0.0005 ε w − ε g        w ← w + v

g is the mean gradient of the batch. `torch.optim.SGD` keeps v without the factor −ε and
multiplies when it steps. While ε is constant that is the same to rounding. Once ε falls, the
paper's velocity runs out at its old size, and PyTorch's is scaled at once. `rescale_momentum`
makes PyTorch's follow the paper.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


class PaperSGD(torch.optim.Optimizer):
    """The rule as printed; ε is inside the velocity. Source: `weights.cu` 143-197.

    lr: ε, may change at any time. A group whose lr is 0 is skipped: no decay, no velocity either.
    The velocity of a parameter is `state[parameter]["momentum_buffer"]`.
    Raises ValueError for a negative rate, momentum or decay.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0005,
    ) -> None:
        for name, value in (("lr", lr), ("momentum", momentum), ("weight_decay", weight_decay)):
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be 0 or more, got {value!r}")
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update. closure: computes the loss anew, as in `torch.optim.Optimizer.step`."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            rate, decay = group["lr"], group["weight_decay"]
            weights = [w for w in group["params"] if w.grad is not None and rate != 0]
            if not weights:
                continue
            velocities = [self._velocity(w) for w in weights]
            # Lists: a GPU then starts a few kernels for the whole group, and not some for each tensor.
            torch._foreach_mul_(velocities, group["momentum"])
            torch._foreach_add_(velocities, [w.grad for w in weights if w.grad is not None], alpha=-rate)
            if decay:
                torch._foreach_add_(velocities, weights, alpha=-decay * rate)
            torch._foreach_add_(weights, velocities)
        return loss

    def _velocity(self, w: Tensor) -> Tensor:
        state = self.state[w]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(w)
        velocity: Tensor = state["momentum_buffer"]
        return velocity


def rescale_momentum(optimizer: torch.optim.Optimizer, old_rate: float, new_rate: float) -> None:
    """Lets `torch.optim.SGD` go on like the paper's rule when its rate changes: all buffers times old/new.

    To be called once, between the last step at the old rate and the first at the new one. Raises
    ValueError unless both rates are positive.
    """
    if not (0 < old_rate < math.inf and 0 < new_rate < math.inf):
        raise ValueError(f"both rates must be positive, got {old_rate!r} and {new_rate!r}")
    for state in optimizer.state.values():
        buffer = state.get("momentum_buffer")
        if buffer is not None:
            buffer.mul_(old_rate / new_rate)


def parameter_groups(
    model: nn.Module,
    rate: float,
    weight_decay: float = 0.0005,
    *,
    bias_rate: float = 2.0,
    decay_biases: bool = False,
    decays: Iterable[tuple[str, float]] = (),
    separate: Iterable[str] = (),
) -> list[dict[str, Any]]:
    """The parameters of a network in groups for an optimizer, as the configurations of 2012 have them.

    bias_rate: how many times faster biases learn (`epsB` is 0.02 where `epsW` is 0.01).
    decay_biases: False as in 2012. decays: (beginning of a name, weight decay of its own); the last
    that fits counts. separate: beginnings of names that get groups of their own, for example "stages.conv1".
    Each group says "rate_scale", its rate over `rate`, and "apart", the longest beginning that it
    was separated for, or "". Parameters keep their order; those that need no gradient are left out.
    Raises ValueError for a negative rate or decay, or a beginning that no parameter's name has.
    """
    separate, decays = tuple(separate), tuple(decays)
    numbers = {"rate": rate, "weight_decay": weight_decay, "bias_rate": bias_rate}
    for what, value in (*numbers.items(), *((f"weight decay of {start!r}", d) for start, d in decays)):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{what} must be 0 or more, got {value!r}")
    names = [name for name, _ in model.named_parameters()]
    for start in (*separate, *(start for start, _ in decays)):
        if not any(name.startswith(start) for name in names):
            raise ValueError(f"no parameter's name begins with {start!r}; there are {', '.join(names)}")
    groups: dict[tuple[float, float, str], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        is_bias = name.rpartition(".")[2] == "bias"
        decay = [weight_decay, *(decay for start, decay in decays if name.startswith(start))][-1]
        if is_bias and not decay_biases:
            decay = 0.0
        apart = max((start for start in separate if name.startswith(start)), key=len, default="")
        groups.setdefault((decay, bias_rate if is_bias else 1.0, apart), []).append(parameter)
    return [
        {"params": members, "lr": rate * scale, "weight_decay": decay, "rate_scale": scale, "apart": apart}
        for (decay, scale, apart), members in groups.items()
    ]
