"""AlexNet: the table of `architecture.py` as a network, and the same weights as two columns.

Inputs are pixels on the scale of the paper, 0–255 minus the mean image (§2): the constants of
the normalization only bite there. Outputs are logits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from alexnet_edu import paper
from alexnet_edu.model.architecture import POOLS, Architecture, Layer, count, variant
from alexnet_edu.model.layers import CeilConv2d, Dropout, GroupedLinear, LocalResponseNorm, MapResponseNorm


class AlexNet(nn.Module):
    """The network of §3.5, on one device; its two columns are groups.

    table: a name for `architecture.variant`, or an `Architecture`.
    Input: (N, 3, side, side) floating point, 0–255 minus the mean; side is 224.
    Output: (N, classes) logits.
    The weights are drawn as the table says (§5), from `generator` where one is given.
    """

    def __init__(
        self,
        table: str | Architecture = "paper",
        *,
        classes: int = paper.CLASSES,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.architecture = variant(table, classes)
        self.stages = nn.ModuleDict()
        for layer, size in zip(self.architecture.layers, count(self.architecture), strict=True):
            groups = self.architecture.groups(layer)
            self.stages[layer.name] = _stage(layer, size.inputs, groups, self.architecture)
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


def _stage(layer: Layer, inputs: tuple[int, ...], groups: int, table: Architecture) -> nn.Sequential:
    """A layer with weights, which reads `inputs`, and the steps after it, by their names."""
    stage = nn.Sequential()
    if layer.kernel is not None:
        weights: nn.Module = CeilConv2d(
            inputs[0], layer.outputs, layer.kernel, layer.stride, layer.padding, groups=groups
        )
    else:
        if len(inputs) == 3:
            stage.add_module("flatten", nn.Flatten())
        units = math.prod(inputs)
        weights = (
            GroupedLinear(units, layer.outputs, groups) if groups > 1 else nn.Linear(units, layer.outputs)
        )
    stage.add_module("weights", weights)
    for step in layer.after:
        stage.add_module(step, _step(step, table))
    return stage


def _step(step: str, table: Architecture) -> nn.Module:
    if step == "relu":
        return nn.ReLU()  # not in place: hooks on a convolution see what it gave
    if step == "lrn":
        return LocalResponseNorm(convention=table.lrn, columns=table.columns)
    if step == "map_norm":
        return MapResponseNorm()
    if step in POOLS:
        return nn.MaxPool2d(POOLS[step], paper.POOL_STRIDE, ceil_mode=True)
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
    first, second = ({name: tensor.chunk(2)[i] for name, tensor in state.items()} for i in range(2))
    return first, second


def join_columns(first: State, second: State) -> dict[str, Tensor]:
    """The inverse of `split_columns`, on the devices of the first column."""
    return {name: torch.cat([tensor, second[name].to(tensor.device)]) for name, tensor in first.items()}


class Column(nn.Module):
    """One of the two columns, 0 or 1: half of every layer's outputs, on one device.

    Of an odd number of classes the first column has one more.
    Called with a layer's name and what it reads, its own maps or those of both columns.
    """

    def __init__(self, table: Architecture, index: int) -> None:
        super().__init__()
        if table.columns != 2:
            raise ValueError(f"{table.name!r} has {table.columns} column(s), not 2")
        alone = replace(table, columns=1)  # what is inside a column sees the column alone
        self.stages = nn.ModuleDict()
        for layer, size in zip(table.layers, count(table), strict=True):
            inputs = (size.inputs[0] // table.groups(layer), *size.inputs[1:])
            half = replace(layer, outputs=(layer.outputs + 1 - index) // 2)
            self.stages[layer.name] = _stage(half, inputs, 1, alone)

    def forward(self, name: str, x: Tensor) -> Tensor:
        y: Tensor = self.stages[name](x)
        return y
