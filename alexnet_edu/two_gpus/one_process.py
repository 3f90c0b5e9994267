"""The two columns on two devices, in one process: §3.2 with explicit copies.

Each device holds half of every layer. Where a layer reads both columns, each device copies the
other's half to itself; nowhere else does anything cross. Every copy is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from alexnet_edu.model.alexnet import AlexNet, Column, State, join_columns, split_columns
from alexnet_edu.model.architecture import Architecture, variant


class TwoDeviceAlexNet(nn.Module):
    """The network of two columns, one on each of two devices.

    devices: two of them, also twice the same one: ("cuda:0", "cuda:1"), ("cpu", "cpu").
    table: a name for `architecture.variant`, or an `Architecture`, with two columns.
    Input: (N, 3, 224, 224) as for `AlexNet`, on any device. Output: (N, classes) logits on the
    first device. The weights are those that `AlexNet` would draw from `generator`.

    sent: bytes copied in the last forward pass, (layer that reads them, column that sent
        them) -> bytes. The backward pass sends as many in the other direction.

    On two GPUs the columns work at the same time: a device gets its work without waiting for
    the other, until a layer reads both.
    """

    def __init__(
        self,
        devices: Sequence[str | torch.device],
        table: str | Architecture = "paper",
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if len(devices) != 2:
            raise ValueError(f"two columns need two devices, got {len(devices)}: {list(devices)!r}")
        self.devices = tuple(_device(device) for device in devices)
        self.architecture = variant(table)
        self.columns = nn.ModuleList(Column(self.architecture, i) for i in range(2))
        self.load_grouped(AlexNet(self.architecture, generator=generator).state_dict())
        for column, device in zip(self.columns, self.devices, strict=True):
            column.to(device)
        self.sent: Counter[tuple[str, int]] = Counter()

    @classmethod
    def from_grouped(cls, model: AlexNet, devices: Sequence[str | torch.device]) -> TwoDeviceAlexNet:
        """The same network, weights copied, as two columns on `devices`."""
        made = cls(devices, model.architecture).to(next(model.parameters()).dtype)
        made.load_grouped(model.state_dict())
        return made.train(model.training)

    def load_grouped(self, state: State) -> None:
        """Takes the weights over from the state dict of an `AlexNet`."""
        for column, half in zip(self.columns, split_columns(state), strict=True):
            column.load_state_dict(half)

    def grouped_state(self) -> dict[str, Tensor]:
        """The weights as a state dict for an `AlexNet`, on the first device."""
        return join_columns(*(column.state_dict() for column in self.columns))

    def forward(self, images: Tensor) -> Tensor:
        self.sent.clear()
        halves = [images.to(device, non_blocking=True) for device in self.devices]
        for i, layer in enumerate(self.architecture.layers):
            if i > 0 and layer.reads == "both":
                halves = [self._both(layer.name, halves, column) for column in (0, 1)]
            halves = [column(layer.name, x) for column, x in zip(self.columns, halves, strict=True)]
        return self._both("logits", halves, 0)

    def _both(self, reader: str, halves: Sequence[Tensor], column: int) -> Tensor:
        """The maps of both columns, in their order, on the device of one of them."""
        other = halves[1 - column]
        self.sent[reader, 1 - column] += other.numel() * other.element_size()
        return torch.cat([x.to(self.devices[column], non_blocking=True) for x in halves], dim=1)


def _device(name: str | torch.device) -> torch.device:
    """The device, if it is there; ValueError with what there is, otherwise."""
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        raise ValueError(f"there is no device {str(name)!r} here; there are {', '.join(there)}") from error
