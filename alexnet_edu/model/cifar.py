"""The four-layer CIFAR-10 network of Figure 1: three convolutions and one classifier.

The shape is that of the authors' CIFAR-10 configurations (`example-layers/`, the
"19pct" file of the 2012 source): 5×5 convolutions with 32, 32 and 64 kernels,
overlapping 3×3 pooling with stride 2 (maximum, average, average), ten outputs;
89,578 parameters. Everything that the paper's claim may depend on is an argument:
the activation, the initialization, the pooling, the widths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet_edu.model.architecture import one_of, output_side
from alexnet_edu.model.layers import LocalResponseNorm, MapResponseNorm

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "abs-tanh": lambda x: torch.tanh(x).abs(),  # |tanh(x)|, the alternative that §3.1 mentions
}
MONOTONE = frozenset({"relu", "tanh", "sigmoid"})

# Gain g: with weights N(0, g²/fan_in) the signal keeps its scale from layer to layer.
GAINS = {"relu": 2.0**0.5, "tanh": 5 / 3, "sigmoid": 4.0, "abs-tanh": 5 / 3}

NORMS: dict[str, Callable[[int], nn.Module]] = {  # number of maps -> layer
    "none": lambda maps: nn.Identity(),
    "lrn": lambda maps: LocalResponseNorm(),  # §3.3 as printed
    "lrn-code": lambda maps: LocalResponseNorm(convention="code"),  # what the authors ran
    # cuda-convnet2's file of the 11% network: size 9, scale 0.001, pow 0.75, the constant 1
    "lrn-9": lambda maps: LocalResponseNorm(9, k=1.0, alpha=1e-3, convention="code"),
    "within-map": lambda maps: MapResponseNorm(),  # cnorm2 of run 145
    "batch": nn.BatchNorm2d,  # not of 2012: the usual choice since 2015
}

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
    norms: keys of `NORMS`, one per convolution. "batch" stands before the activation, the
        others after the pooling, as in the authors' CIFAR-10 file with normalization ("18pct").
    window: z of §3.4, the side of the pooling window; the stride s is 2.
    """

    activation: str = "relu"
    init: str = "gaussian-0.01"
    channels: tuple[int, int, int] = (32, 32, 64)
    pools: tuple[str, str, str] = ("max", "avg", "avg")
    image_size: int = 32
    classes: int = 10
    norms: tuple[str, str, str] = ("none", "none", "none")
    window: int = 3

    def __post_init__(self) -> None:
        one_of("activation", self.activation, ACTIVATIONS)
        one_of("init", self.init, INITS)
        for pool, norm in zip(self.pools, self.norms, strict=True):
            one_of("pool", pool, POOLS)
            one_of("norm", norm, NORMS)
        if self.window not in (2, 3) or self.image_size < 8 or min(self.channels) < 1:
            raise ValueError(
                "the window must be 2 or 3 pixels, the image at least 8, and no layer empty; got "
                f"window={self.window!r}, image_size={self.image_size!r}, channels={self.channels!r}"
            )


class Activation(nn.Module):
    """f(x), computed in float32 whatever the type of x.

    bfloat16 has 8 significant bits, so tanh(x) near 1 would leave 1 − tanh²(x), its
    slope, with no digits at all: saturation is what Figure 1 is about, so this one
    step is never done in low precision.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = one_of("activation", name, ACTIVATIONS)

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
        for out_channels, pool, norm in zip(config.channels, config.pools, config.norms, strict=True):
            layers.append(nn.Conv2d(channels, out_channels, kernel_size=5, padding=2))
            layers.extend(_after_convolution(pool, norm, out_channels, config))
            size, channels = output_side(size, config.window, stride=2), out_channels
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels * size * size, config.classes)
        initialize(self, config, generator)

    def forward(self, images: Tensor) -> Tensor:
        x = self.features(images)  # (N, C, h, w)
        return self.classifier(x.flatten(1))  # (N, classes)


def _after_convolution(pool: str, norm: str, maps: int, config: CifarNetConfig) -> list[nn.Module]:
    f = Activation(config.activation)
    # ceil_mode: the 2012 code rounds the output size up (32 → 16 → 8 → 4).
    kind = nn.MaxPool2d if pool == "max" else nn.AvgPool2d
    pooling = kind(config.window, stride=2, ceil_mode=True)
    if norm == "batch":
        return [NORMS[norm](maps), f, pooling]
    commutes = pool == "max" and config.activation in MONOTONE
    pooled: list[nn.Module] = [pooling, f] if commutes else [f, pooling]
    return pooled if norm == "none" else [*pooled, NORMS[norm](maps)]


def activation_layers(model: nn.Module) -> dict[str, tuple[nn.Module, nn.Module]]:
    """name -> (activation, the convolution before it), in order from the input: "layer 1" …"""
    activations = [module for module in model.modules() if isinstance(module, Activation)]
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    pairs = zip(activations, convolutions, strict=False)  # the last one of another network may have no f
    return {f"layer {i}": pair for i, pair in enumerate(pairs, start=1)}


def initialize(net: FourLayerNet, config: CifarNetConfig, generator: torch.Generator | None = None) -> None:
    """Draws every weight from N(0, std²) with the std that `config.init` names; biases 0."""
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    _draw(layers, [_std(layer, depth, config) for depth, layer in enumerate(layers)], generator)


@torch.no_grad()
def _draw(layers: Iterable[nn.Module], stds: Iterable[float], generator: torch.Generator | None) -> None:
    """Weights from N(0, std²), layer after layer; biases 0."""
    for layer, std in zip(layers, stds, strict=True):
        layer.get_parameter("weight").normal_(0.0, std, generator=generator)
        layer.get_parameter("bias").zero_()


def _std(layer: nn.Conv2d | nn.Linear, depth: int, config: CifarNetConfig) -> float:
    if config.init == "gaussian-0.01":
        return 0.01
    if config.init == "cuda-convnet":
        return 0.0001 if depth == 0 else 0.01
    fan_in = layer.weight[0].numel()
    gain = GAINS[config.activation] if isinstance(layer, nn.Conv2d) else 1.0
    return gain / fan_in**0.5


# --- the network of 13% test error ----------------------------------------------------------


class LocallyConnected2d(nn.Module):
    """A 3×3 convolution, padded by 1, whose kernels are not shared between places.

    Input (N, in_channels, size, size), output (N, out_channels, size, size). Each place has
    its own kernels and biases: weight (size², 9·in_channels, out_channels), bias
    (out_channels, size²). Source: type `local` of the authors' CIFAR-10 files.
    """

    def __init__(self, in_channels: int, out_channels: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.weight = nn.Parameter(torch.zeros(size * size, 9 * in_channels, out_channels))
        self.bias = nn.Parameter(torch.zeros(out_channels, size * size))

    def forward(self, x: Tensor) -> Tensor:
        patches = F.unfold(x, 3, padding=1)  # (N, 9·C, places)
        y = torch.einsum("nkp,pko->nop", patches, self.weight) + self.bias
        return y.unflatten(2, (self.size, self.size))


class ConvLocalNet(nn.Module):
    """Two convolutions, two locally connected layers, one classifier: "conv-local-13pct".

    norm: a key of `NORMS`, after each pooling (in no file of the release; see `CifarNetConfig`).
    Input: (N, 3, size, size), pixels minus the mean; 24 in 2012. Output: (N, classes) logits.
    Parameters: 1,116,490 at 24 pixels. Weights as in the file: N(0, 0.0001²) in the first
    layer, 0.01 in the second and the last, 0.04 in the local ones; biases 0.
    """

    def __init__(
        self, norm: str = "none", size: int = 24, classes: int = 10, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        one_of("norm", norm, NORMS)
        layers: list[nn.Module] = []
        for channels in (3, 64):
            layers += [nn.Conv2d(channels, 64, 5, padding=2), nn.MaxPool2d(3, stride=2, ceil_mode=True)]
            layers += [nn.ReLU(), NORMS[norm](64)]
            size = output_side(size, 3, stride=2)
        self.convolutions = nn.Sequential(*layers)
        self.local1 = LocallyConnected2d(64, 32, size)
        self.local2 = LocallyConnected2d(32, 32, size)
        self.classifier = nn.Linear(32 * size * size, classes)
        kinds = nn.Conv2d | LocallyConnected2d | nn.Linear
        weighted = (m for m in self.modules() if isinstance(m, kinds))
        _draw(weighted, (0.0001, 0.01, 0.04, 0.04, 0.01), generator)

    def forward(self, images: Tensor) -> Tensor:
        x = self.convolutions(images)  # (N, 64, 6, 6)
        x = torch.relu(self.local2(torch.relu(self.local1(x))))  # (N, 32, 6, 6)
        logits: Tensor = self.classifier(x.flatten(1))
        return logits
