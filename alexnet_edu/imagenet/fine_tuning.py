"""Weights to begin with, from another training (§6: pre-trained on Fall 2011, then fine-tuned).

A layer whose weights fit is taken over. The classifier is drawn anew where the classes differ, and
so is a sixth convolution that the other network did not have. Anything else that does not fit is an
error: half a network by mistake would train, only worse.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from alexnet_edu.imagenet import checkpoint as checkpoints
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.architecture import Architecture
from alexnet_edu.training.loop import CheckpointError

MAY_BE_NEW = ("fc8", "conv6")


def starting_weights(path: Path, table: Architecture, seed: int) -> tuple[dict[str, Tensor], str, str]:
    """Weights for a network of `table`, a fingerprint of them, and a sentence on what was taken.

    path: a checkpoint of `alexnet-edu train`. seed: of what is drawn anew.
    Raises CheckpointError where another layer than `MAY_BE_NEW` does not fit.
    """
    there = checkpoints.load(path).part("model")
    weights = dict(AlexNet(table, generator=torch.Generator().manual_seed(seed)).state_dict())
    drawn: list[str] = []
    for name, tensor in weights.items():
        layer = name.split(".")[1]
        if name in there and there[name].shape == tensor.shape:
            weights[name] = there[name]
        elif layer in MAY_BE_NEW:
            drawn += [layer] if layer not in drawn else []
        else:
            shape = tuple(there[name].shape) if name in there else "nothing of that name"
            raise CheckpointError(
                f"{path} does not fit: {name} is {tuple(tensor.shape)} here and {shape} there. Only "
                f"{', '.join(MAY_BE_NEW)} may differ; choose the --variant and --narrow it was trained with"
            )
    new = ", ".join(drawn) or "nothing"
    return weights, checkpoints.digest(weights, ""), f"weights from {path}; drawn anew: {new}"
