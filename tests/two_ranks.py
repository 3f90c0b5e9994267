"""What each of two ranks runs in `test_two_processes.py`: `python -m tests.two_ranks JOB FOLDER DTYPE`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch
from torch import nn

from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.architecture import talking, variant
from alexnet_edu.two_gpus.two_processes import OneColumnAlexNet, joined
from tests.small import narrow


def inputs(dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return 60 * torch.randn(3, 3, 224, 224, dtype=dtype, generator=generator)


def grouped(pattern: tuple[str, ...], dtype: torch.dtype) -> AlexNet:
    return AlexNet(narrow(talking(pattern)), generator=torch.Generator().manual_seed(0)).to(dtype).eval()


def step(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = model(images)
    nn.functional.cross_entropy(logits, torch.arange(len(images))).backward()
    return logits.detach()


def compare(folder: Path, dtype: torch.dtype) -> None:
    """Saves logits, gradients, weights and bytes of three patterns of talking."""
    found = {}
    with joined("gloo") as rank:
        for pattern in ((), ("conv3", "fc6", "fc7"), ("conv2", "conv3", "conv4", "conv5", "fc6", "fc7")):
            model = OneColumnAlexNet(narrow(talking(pattern))).to(dtype).eval()
            model.load_grouped(grouped(pattern, dtype).state_dict())
            logits = step(model, inputs(dtype))
            gradients = {n: p.grad for n, p in model.column.named_parameters()}
            found[pattern] = (logits, gradients, model.grouped_state(), dict(model.sent))
    torch.save(found, folder / f"rank{rank}.pt")


def die(dtype: torch.dtype) -> None:
    """Rank 1 is killed in the middle of its second step, between two layers."""
    with joined("gloo", timeout_s=20) as rank:
        model = OneColumnAlexNet(narrow(variant("paper"))).to(dtype)
        step(model, inputs(dtype))
        if rank == 1:
            model.column.stages["conv4"].register_forward_hook(
                lambda *_: os.kill(os.getpid(), signal.SIGKILL)
            )
        step(model, inputs(dtype))


def hang(dtype: torch.dtype) -> None:
    """Rank 1 stops answering, but lives."""
    with joined("gloo", timeout_s=5) as rank:
        model = OneColumnAlexNet(narrow(variant("paper"))).to(dtype)
        if rank == 1:
            signal.pause()
        step(model, inputs(dtype))


if __name__ == "__main__":
    torch.set_num_threads(1)
    job, folder, kind = sys.argv[1], Path(sys.argv[2]), getattr(torch, sys.argv[3])
    if job == "compare":
        compare(folder, kind)
    else:
        {"die": die, "hang": hang}[job](kind)
