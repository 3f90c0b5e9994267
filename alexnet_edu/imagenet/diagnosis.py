"""Why a loss is no number: the first layer where the signal is too large or no number, in words."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn

from alexnet_edu.imagenet.distributed import Single

LARGE = 1e6  # of activities; those of a network that learns stay below some thousands


@torch.no_grad()
def diagnose(group: Single, x: Tensor, rate: float) -> str:
    """Weights, pixels, or the first layer whose activities are too large or no numbers; what to do.

    x: (b, 3, H, W) float, as the network reads it. All processes of the group must call it.
    """
    bad = [name for name, p in group.network.named_parameters() if not torch.isfinite(p).all()]
    bad = sorted({name for names in group.collect(bad) for name in names})
    if not torch.isfinite(x).all():
        return "the pixels themselves are no numbers; look at the mean image and the colour statistics."
    large = {name: scale for name, scale in _scales(group, x).items() if not scale < LARGE}
    if bad:
        layers = dict.fromkeys(name.split(".")[1] for name in bad)  # "stages.conv1.…"
        first = f"the weights of {', '.join(layers)} are no longer finite"
    elif large:
        name, scale = next(iter(large.items()))
        first = f"the activities grow to {scale:.1e} (root mean square) at {name}"
    else:
        first = "weights and activities are finite, but the loss is out of all range"
    return f"{first}. A rate that is too high does that; try --rate {rate / 3:.1g}."


def _scales(group: Single, x: Tensor) -> dict[str, float]:
    """Root mean square after each layer for these images."""
    scales: dict[str, float] = {}

    def watch(name: str, stage: nn.Module) -> torch.utils.hooks.RemovableHandle:
        def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            scales[name] = float(output.float().square().mean().sqrt())

        return stage.register_forward_hook(keep)

    group.network.eval()
    with contextlib.ExitStack() as hooks:
        for name, stage in group.network.get_submodule("stages").named_children():
            hooks.callback(watch(name, stage).remove)
        group.judge(x)
    return scales
