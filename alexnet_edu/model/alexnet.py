"""AlexNet: the table of `architecture.py` as a network, and the same weights as two columns.

Inputs are pixels on the scale of the paper, 0–255 minus the mean image (§2): the constants of
the normalization only bite there. Outputs are logits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet_edu import paper
from alexnet_edu.model.architecture import Architecture, Layer, chosen, count
from alexnet_edu.model.layers import Dropout, LocalResponseNorm, MapResponseNorm


class CeilConv2d(nn.Conv2d):
    """A convolution whose output side is rounded up, as in the 2012 code.

    Where the stride does not come out even, zeros are added at the right and at the bottom:
    three of them for 224 pixels, 11×11 kernels and stride 4, which gives 55 places and not
    54. After the mean is subtracted a zero is the mean pixel. Source: `layer.py` 1004.
    """

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) -> (N, K, H', W')
        down, right = (self._missing(side, axis) for axis, side in enumerate(x.shape[-2:]))
        if down or right:
            x = F.pad(x, (0, right, 0, down))
        return super().forward(x)

    def _missing(self, side: int, axis: int) -> int:
        padded = side + 2 * int(self.padding[axis])
        return (self.kernel_size[axis] - padded) % self.stride[axis]


class GroupedLinear(nn.Module):
    """A fully connected layer whose parts read each only their own part of the input.

    weight: (outputs, inputs / groups) and bias: (outputs,), as `nn.Conv2d` with groups has them.
    """

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.weight = nn.Parameter(torch.empty(outputs, inputs // groups))
        self.bias = nn.Parameter(torch.empty(outputs))

    def forward(self, x: Tensor) -> Tensor:  # (N, inputs) -> (N, outputs)
        parts = zip(
            x.chunk(self.groups, 1), self.weight.chunk(self.groups), self.bias.chunk(self.groups), strict=True
        )
        return torch.cat([F.linear(part, w, b) for part, w, b in parts], dim=1)

    def extra_repr(self) -> str:
        outputs, inputs = self.weight.shape
        return f"{inputs * self.groups}, {outputs}, groups={self.groups}"


class AlexNet(nn.Module):
    """The network of §3.5, on one device; its two columns are groups.

    variant: a name for `architecture.variant`, or an `Architecture`.
    Input: (N, 3, side, side) floating point, 0–255 minus the mean; side is 224.
    Output: (N, classes) logits.
    The weights are drawn as the table says (§5), from `generator` where one is given.
    """

    def __init__(
        self,
        variant: str | Architecture = "paper",
        *,
        classes: int = paper.CLASSES,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.architecture = chosen(variant, classes)
        table = self.architecture
        self.stages = nn.ModuleDict(
            {
                layer.name: _stage(layer, size.inputs, table.groups(layer), table)
                for layer, size in zip(table.layers, count(table), strict=True)
            }
        )
        initialize(self, generator)

    def forward(self, images: Tensor) -> Tensor:
        side = self.architecture.side
        if images.dim() != 4 or images.shape[1:] != (3, side, side):
            raise ValueError(f"expected images of shape (N, 3, {side}, {side}), got {tuple(images.shape)}")
        x = images
        for stage in self.stages.values():
            x = stage(x)
        return x

    def weights(self, name: str) -> nn.Module:
        """The convolution or fully connected layer of that name, with `weight` and `bias`."""
        return self.stages[name].get_submodule("weights")


def _stage(layer: Layer, inputs: tuple[int, ...], groups: int, architecture: Architecture) -> nn.Sequential:
    """A layer with weights and the steps after it, by their names."""
    stage = nn.Sequential()
    if layer.kernel is None and len(inputs) == 3:
        stage.add_module("flatten", nn.Flatten())
    stage.add_module("weights", _with_weights(layer, inputs, groups))
    for step in layer.after:
        stage.add_module(step, _step(step, architecture))
    return stage


def _with_weights(layer: Layer, inputs: tuple[int, ...], groups: int) -> nn.Module:
    if layer.kernel is not None:
        return CeilConv2d(inputs[0], layer.outputs, layer.kernel, layer.stride, layer.padding, groups=groups)
    if groups > 1:
        return GroupedLinear(math.prod(inputs), layer.outputs, groups)
    return nn.Linear(math.prod(inputs), layer.outputs)


def _step(step: str, architecture: Architecture) -> nn.Module:
    if step == "relu":
        return nn.ReLU(inplace=True)
    if step == "lrn":
        return LocalResponseNorm(convention=architecture.lrn, columns=architecture.columns)
    if step == "map_norm":
        return MapResponseNorm()
    if step == "pool":
        return nn.MaxPool2d(paper.POOL_SIZE, paper.POOL_STRIDE, ceil_mode=True)
    return Dropout(1 - paper.DROPOUT, "2012" if step == "dropout" else "inverted")


@torch.no_grad()
def initialize(model: AlexNet, generator: torch.Generator | None = None) -> None:
    """Draws all weights anew: N(0, std²), and biases 0 or 1, as the table says (§5)."""
    for layer in model.architecture.layers:
        module = model.weights(layer.name)
        module.get_parameter("weight").normal_(0.0, layer.std, generator=generator)
        module.get_parameter("bias").fill_(layer.bias)


# --- two columns ---------------------------------------------------------------------------

State = Mapping[str, Tensor]


def split_columns(state: State) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The state dict of a network with two columns -> one for each column.

    Every layer's outputs are cut in half, the classes as well: kernels (K, C, h, w) become
    (K/2, C, h, w) twice. (In 2012 one GPU held the whole classifier.) The halves are views.
    """
    first = {name: tensor.chunk(2)[0] for name, tensor in state.items()}
    return first, {name: tensor.chunk(2)[1] for name, tensor in state.items()}


def join_columns(first: State, second: State) -> dict[str, Tensor]:
    """The inverse of `split_columns`. Raises ValueError where the two do not belong together."""
    if different := sorted(first.keys() ^ second.keys()):
        raise ValueError(f"only one of the two columns holds {', '.join(different)}")
    for name, tensor in first.items():
        if tensor.shape[1:] != second[name].shape[1:]:
            shapes = f"{tuple(tensor.shape)} and {tuple(second[name].shape)}"
            raise ValueError(f"{name} has the shapes {shapes}, which are no two halves of one layer")
    return {name: torch.cat([tensor, second[name].to(tensor.device)]) for name, tensor in first.items()}


class Column(nn.Module):
    """One of the two columns, 0 or 1: half of every layer's outputs, on one device.

    Of an odd number of classes the first column has one more.
    Called with a layer's name and what it reads, its own maps or those of both columns.
    """

    def __init__(self, architecture: Architecture, index: int) -> None:
        super().__init__()
        if architecture.columns != 2:
            raise ValueError(f"{architecture.name!r} has {architecture.columns} column(s), not 2")
        self.architecture = architecture
        half = replace(architecture, columns=1)  # what is inside a column sees the column alone
        stages = {}
        for layer, size in zip(architecture.layers, count(architecture), strict=True):
            share = architecture.groups(layer)
            inputs = (size.inputs[0] // share, *size.inputs[1:])
            stages[layer.name] = _stage(
                replace(layer, outputs=(layer.outputs + 1 - index) // 2), inputs, 1, half
            )
        self.stages = nn.ModuleDict(stages)

    def forward(self, name: str, x: Tensor) -> Tensor:
        y: Tensor = self.stages[name](x)
        return y
