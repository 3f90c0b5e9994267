"""Why a loss is no number: the first layer where the signal is too large or no number, in words."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from alexnet_edu.imagenet.distributed import Single

LARGE = 1e6  # of activities; those of a network that learns stay below some thousands


@torch.no_grad()
def diagnose(group: Single, x: Tensor, rate: float) -> str:
    """Two or three sentences: weights, pixels, the first layer that fails, and what to do.

    x: (b, 3, H, W) float, as the network reads it. All processes of the group must call it.
    """
    bad = [name for name, p in group.network.named_parameters() if not torch.isfinite(p).all()]
    bad = sorted({name for names in group.collect(bad) for name in names})
    if not torch.isfinite(x).all():
        return "the pixels themselves are no numbers; look at the mean image and the colour statistics."
    scales, where = _scales(group, x)
    if bad:
        first = f"the weights of {', '.join(dict.fromkeys(map(_layer, bad)))} are no longer finite"
    elif where is not None:
        first = f"the activities grow to {scales[where]:.1e} (root mean square) at {where}"
    else:
        first = "weights and activities are finite, but the loss is out of all range"
    return f"{first}. A rate that is too high does that; try --rate {rate / 3:.1g}."


def _layer(name: str) -> str:
    parts = name.split(".")
    return parts[parts.index("stages") + 1] if "stages" in parts else parts[0]


def _scales(group: Single, x: Tensor) -> tuple[dict[str, float], str | None]:
    """Root mean square after each layer for these images, and the first that is too large, or None."""
    found: dict[str, float] = {}

    def watch(name: str) -> object:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            found[name] = float(output.float().square().mean().sqrt())

        return hook

    stages = group.network.get_submodule("stages")
    handles = [
        stage.register_forward_hook(watch(name))  # type: ignore[arg-type]
        for name, stage in stages.named_children()
    ]
    group.network.eval()
    try:
        (group.network if group.name != "columns" else group.module)(x)
    finally:
        for handle in handles:
            handle.remove()
    large = [name for name, scale in found.items() if not scale < LARGE]
    return found, large[0] if large else None
