"""What flows through the layers of a network on one batch: saturation, scales, gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SATURATED_SLOPE = 0.05  # a unit counts as saturated where f′ is below 5% of its maximum


@dataclass(frozen=True)
class LayerStatistics:
    """What one activation layer and the weights before it do on a batch.

    saturated: share (0–1) of values where the slope f′ is below 5% of its maximum; for
        ReLU that is the share of values that are off.
    dead: share of units that are saturated for every image of the batch.
    input_std, output_std: standard deviation of f's input and output.
    gradient_norm: ‖∂L/∂W‖ of the weights that feed this layer; `weight_norm`: ‖W‖.
    """

    name: str
    saturated: float
    dead: float
    input_std: float
    output_std: float
    gradient_norm: float
    weight_norm: float


@dataclass(frozen=True)
class Captured:
    """Inputs, outputs and loss gradients of chosen layers for one batch, all detached."""

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    gradients: dict[str, Tensor]
    loss: float


def capture(model: nn.Module, layers: Mapping[str, nn.Module], x: Tensor, labels: Tensor) -> Captured:
    """Runs one batch forward and backward and keeps what flows through `layers`.

    x: (N, …) as the model takes it; labels: (N,) int64. Gradients are those of the mean
    cross-entropy with respect to each layer's output. Fills the parameters' `.grad`.
    """
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(_: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            inputs[name], outputs[name] = args[0], output
            output.retain_grad()

        return hook

    handles = [layer.register_forward_hook(keep(name)) for name, layer in layers.items()]
    try:
        model.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
    finally:
        for handle in handles:
            handle.remove()
    gradients = {}
    for name, output in outputs.items():
        assert output.grad is not None
        gradients[name] = output.grad
    return Captured(
        {name: z.detach() for name, z in inputs.items()},
        {name: y.detach() for name, y in outputs.items()},
        gradients,
        loss.item(),
    )


def slope(function: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """f′(z), element by element, the same shape as z."""
    z = z.detach().float().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(function(z).sum(), z)
    return gradient


def layer_statistics(
    model: nn.Module,
    layers: Mapping[str, tuple[nn.Module, nn.Module]],
    x: Tensor,
    labels: Tensor,
) -> list[LayerStatistics]:
    """Statistics of each activation layer on one batch.

    layers: name -> (activation module, the weighted module before it).
    """
    captured = capture(model, {name: f for name, (f, _) in layers.items()}, x, labels)
    statistics = []
    for name, (function, weighted) in layers.items():
        z, y = captured.inputs[name].float(), captured.outputs[name].float()
        steepest = slope(function, torch.linspace(-6, 6, 241)).abs().max()
        flat = slope(function, z).abs() < SATURATED_SLOPE * steepest
        weight = weighted.get_parameter("weight")
        assert weight.grad is not None
        statistics.append(
            LayerStatistics(
                name,
                flat.float().mean().item(),
                flat.all(0).float().mean().item(),
                z.std().item(),
                y.std().item(),
                weight.grad.norm().item(),
                weight.detach().norm().item(),
            )
        )
    model.zero_grad(set_to_none=True)
    return statistics
