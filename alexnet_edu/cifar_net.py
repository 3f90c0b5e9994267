"""The four-layer CIFAR-10 network of Figure 1: three convolutions and one classifier.

The shape is that of the authors' CIFAR-10 configurations (`example-layers/`, the
"19pct" file of the 2012 source): 5×5 convolutions with 32, 32 and 64 kernels,
overlapping 3×3 pooling with stride 2 (maximum, average, average), ten outputs;
89,578 parameters. Everything that the paper's claim may depend on is an argument:
the activation, the initialization, the pooling, the widths.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

ActivationFunction = Callable[[Tensor], Tensor]


def _abs_tanh(x: Tensor) -> Tensor:
    return torch.tanh(x).abs()


ACTIVATIONS: dict[str, ActivationFunction] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "abs-tanh": _abs_tanh,  # |tanh(x)|, the alternative that §3.1 mentions
}
MONOTONE = frozenset({"relu", "tanh", "sigmoid"})

# Gain g: with weights N(0, g²/fan_in) the signal keeps its scale from layer to layer.
GAINS = {"relu": 2.0**0.5, "tanh": 5 / 3, "sigmoid": 4.0, "abs-tanh": 5 / 3}

INITS = ("gaussian-0.01", "cuda-convnet", "scaled")
POOLS = ("max", "avg")


@dataclass(frozen=True)
class CifarNetConfig:
    """What a four-layer network is made of.

    activation: a key of `ACTIVATIONS`.
    init: "gaussian-0.01", every weight N(0, 0.01) as §5 has it for ImageNet;
        "cuda-convnet", N(0, 0.0001) in the first layer and N(0, 0.01) after it, as the
        authors' CIFAR-10 files have it; "scaled", N(0, g²/fan_in) with the gain g of the
        activation, as one would do today. All biases start at 0.
    channels: kernels of the three convolutions.
    pools: "max" or "avg" after each convolution.
    image_size: height and width of the input in pixels, at least 8.
    classes: number of outputs.
    """

    activation: str = "relu"
    init: str = "gaussian-0.01"
    channels: tuple[int, int, int] = (32, 32, 64)
    pools: tuple[str, str, str] = ("max", "avg", "avg")
    image_size: int = 32
    classes: int = 10

    def __post_init__(self) -> None:
        _one_of("activation", self.activation, tuple(ACTIVATIONS))
        _one_of("init", self.init, INITS)
        for pool in self.pools:
            _one_of("pool", pool, POOLS)
        if len(self.channels) != 3 or len(self.pools) != 3 or min(self.channels) < 1:
            raise ValueError(
                f"three convolutions need three channel counts of at least 1 and three pools, "
                f"got channels={self.channels!r}, pools={self.pools!r}"
            )
        if self.image_size < 8:
            raise ValueError(f"image_size must be at least 8 pixels, got {self.image_size}")


def _one_of(what: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"unknown {what} {value!r}; choose one of {', '.join(allowed)}")


class Activation(nn.Module):
    """f(x), computed in float32 whatever the type of x.

    bfloat16 has 8 significant bits, so tanh(x) near 1 would leave 1 − tanh²(x), its
    slope, with no digits at all: saturation is what Figure 1 is about, so this one
    step is never done in low precision.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        _one_of("activation", name, tuple(ACTIVATIONS))
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        return ACTIVATIONS[self.name](x.float()).to(x.dtype)

    def extra_repr(self) -> str:
        return self.name


class FourLayerNet(nn.Module):
    """conv–pool three times, then one linear classifier.

    Input: (N, 3, image_size, image_size) floating point, on whatever scale the caller
    chose: 0–255 minus the mean in 2012. Output: (N, classes) logits.

    A monotone activation commutes with the maximum, max f(x) = f(max x), so after a
    maximum pooling layer it is applied last, to a quarter of the values; the 2012 files
    do the same (`neuron=relu` on the pooling layer).
    """

    def __init__(self, config: CifarNetConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        size, channels = config.image_size, 3
        for out_channels, pool in zip(config.channels, config.pools, strict=True):
            layers.append(nn.Conv2d(channels, out_channels, kernel_size=5, padding=2))
            layers.extend(_pool_and_activate(pool, config.activation))
            size, channels = pooled_size(size), out_channels
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels * size * size, config.classes)
        initialize(self, config, generator)

    def forward(self, images: Tensor) -> Tensor:
        x = self.features(images)  # (N, C, h, w)
        return self.classifier(x.flatten(1))  # (N, classes)


def _pool_and_activate(pool: str, activation: str) -> list[nn.Module]:
    f = Activation(activation)
    # ceil_mode: the 2012 code rounds the output size up (32 → 16 → 8 → 4).
    if pool == "max" and activation in MONOTONE:
        return [nn.MaxPool2d(3, stride=2, ceil_mode=True), f]
    if pool == "max":
        return [f, nn.MaxPool2d(3, stride=2, ceil_mode=True)]
    return [f, nn.AvgPool2d(3, stride=2, ceil_mode=True)]


def pooled_size(size: int, window: int = 3, stride: int = 2) -> int:
    """Side of the output of a pooling layer, rounded up (2012: `layer.py` line 1164)."""
    return -(-(size - window) // stride) + 1


def activation_layers(model: nn.Module) -> dict[str, tuple[nn.Module, nn.Module]]:
    """name -> (activation, the convolution before it), in order from the input: "layer 1" …"""
    found: dict[str, tuple[nn.Module, nn.Module]] = {}
    weighted: nn.Module | None = None
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            weighted = module
        elif isinstance(module, Activation) and weighted is not None:
            found[f"layer {len(found) + 1}"] = (module, weighted)
    return found


@torch.no_grad()
def initialize(net: FourLayerNet, config: CifarNetConfig, generator: torch.Generator | None = None) -> None:
    """Draws every weight from N(0, std²) with the std that `config.init` names; biases 0."""
    weighted = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    for depth, layer in enumerate(weighted):
        nn.init.normal_(layer.weight, std=_std(layer, depth, config), generator=generator)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)


def _std(layer: nn.Conv2d | nn.Linear, depth: int, config: CifarNetConfig) -> float:
    if config.init == "gaussian-0.01":
        return 0.01
    if config.init == "cuda-convnet":
        return 0.0001 if depth == 0 else 0.01
    fan_in = layer.weight[0].numel()
    gain = GAINS[config.activation] if isinstance(layer, nn.Conv2d) else 1.0
    return gain / fan_in**0.5
