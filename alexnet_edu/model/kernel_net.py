"""A small AlexNet of two columns whose first kernels are large enough to be looked at.

Four convolutions, one hidden layer, one classifier; columns as in §3.5, or talking more or less.
It is what §6.1 is repeated on: kernels, specialization, neighbours.
"""

from __future__ import annotations

from dataclasses import replace

from alexnet_edu import paper
from alexnet_edu.model.architecture import Architecture, Layer, scaled_by_fan_in

CONNECTIONS = {  # which layers read both columns; the first one reads the image, the last one always both
    "paper": ("conv3", "fc5"),  # §3.5: not conv2, not conv4
    "joint": ("conv2", "conv3", "conv4", "fc5"),  # nothing is restricted
    "apart": (),  # no exchange before the classifier
}
STARTS = ("fan-in", "2012")
HIDDEN = "fc5"  # the last hidden layer, whose outputs are the features of §6.1


def kernel_net(
    connect: str = "paper",
    *,
    kernel: int = 7,
    stride: int = 2,
    kernels: int = 48,
    side: int = 32,
    classes: int = 10,
    norm: bool = False,
    start: str = "fan-in",
) -> Architecture:
    """The table of the network; `model.AlexNet` makes it.

    connect: a key of `CONNECTIONS`. kernel, stride, kernels: of the first convolution, both columns
    together. side: of the image in pixels. norm: response normalization after the first two, inside
    a column (§3.3). start: "fan-in", weights from N(0, 2 / fan-in) and biases 0, but the first kernels
    from N(0, 0.01²): where they start larger, what they learn is lost among what they were drawn as.
    "2012", N(0, 0.01²) and biases 1 in conv2, conv4 and the hidden layer (§5), for undivided pixels.
    With the defaults 169,354 parameters. Raises ValueError for other words.
    """
    if connect not in CONNECTIONS:
        raise ValueError(f"unknown connections {connect!r}; choose one of {', '.join(CONNECTIONS)}")
    if start not in STARTS:
        raise ValueError(f"unknown start {start!r}; choose one of {', '.join(STARTS)}")
    talk = CONNECTIONS[connect]

    def reads(name: str) -> str:
        return "both" if name in talk else "own"

    pooled = ("relu", "lrn", "pool") if norm else ("relu", "pool")
    layers = (
        Layer("conv1", kernels, kernel, stride, kernel // 2, "both", pooled),
        Layer("conv2", 64, 5, 1, 2, reads("conv2"), pooled, bias=1.0),
        Layer("conv3", 64, 3, 1, 1, reads("conv3")),
        Layer("conv4", 64, 3, 1, 1, reads("conv4"), ("relu", "pool"), bias=1.0),
        Layer(HIDDEN, 256, None, reads=reads(HIDDEN), bias=1.0),
        Layer("fc6", classes, None, after=()),
    )
    table = Architecture(f"kernels, {connect}", layers, paper.GPUS, side=side)
    if start == "2012":
        return table
    scaled = scaled_by_fan_in(replace(table, layers=tuple(replace(layer, bias=0.0) for layer in layers)))
    return replace(scaled, layers=(replace(scaled.layers[0], std=paper.INIT_STD), *scaled.layers[1:]))
