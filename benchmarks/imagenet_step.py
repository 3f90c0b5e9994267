"""The training step of the full network: images per second, and its share of what the device can do.

    python benchmarks/imagenet_step.py [--device cuda] [--batches 128 1024] [--rounds 5] [--compile norms]

The step is the one of `alexnet-edu train`: crops, reflections, colour PCA and mean on the device,
forward, backward, and the rule of §5, with images that are on the device already. float32 and bfloat16.
What the matrix units can do is measured in the same run, by products of large square matrices of the
same type. A processor takes batches of 16 and 32 unless told otherwise.

The table says how the time of a step is spent: views, forward and backward, update. The last lines are
`ratio NAME VALUE`: bfloat16 against float32, and each step's share of the matrix units (below 1).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from alexnet_edu.data.augment import ColorPCA
from alexnet_edu.environment import autocast, keep_freed_memory
from alexnet_edu.imagenet.distributed import Single
from alexnet_edu.imagenet.feed import Batch, Views
from alexnet_edu.imagenet.prepared import PreparedSet
from alexnet_edu.imagenet.recipe import Recipe, optimizer_of
from alexnet_edu.model.architecture import count
from alexnet_edu.model.compiling import WHAT

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
SIDE = 256
BACKWARD = 2  # times the multiply-adds of the forward pass; the first layer needs no gradient of its input


@dataclass
class Timed:
    """Seconds of the parts of one step, medians."""

    views: float
    passes: float
    update: float

    @property
    def step(self) -> float:
        return self.views + self.passes + self.update


def flop_per_image(recipe: Recipe) -> float:
    """Floating-point operations, forward and backward; a multiply-add is two."""
    work = [size.multiply_adds for size in count(recipe.architecture(1000))]
    return 2.0 * ((1 + BACKWARD) * sum(work) - work[0])


def seconds(function: Callable[[], object], device: torch.device) -> float:
    """One call, until the device has done it."""
    _wait(device)
    began = time.perf_counter()
    function()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matrix_units(dtype: torch.dtype, device: torch.device, rounds: int) -> float:
    """Floating-point operations a second of products of large square matrices, the best of the rounds."""
    side = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    torch.mm(a, b)
    best = min(seconds(lambda: torch.mm(a, b), device) for _ in range(max(5, rounds)))
    return float(2 * side**3 / best)


class Step:
    """The parts of one step of one network, to be called by themselves."""

    def __init__(self, batch: int, precision: str, device: torch.device, compiled: str | None) -> None:
        recipe = Recipe(batch_size=batch)
        self.precision, self.device, self.batch = precision, device, batch
        self.group = Single(recipe.architecture(1000), device, 0)
        self.optimizer = optimizer_of(self.group.network, recipe)
        if compiled is not None:
            self.group.compile(compiled)
        generator = torch.Generator().manual_seed(0)
        self.views = Views(_noise(generator), device=device)
        pixels = torch.randint(256, (batch, SIDE, SIDE, 3), dtype=torch.uint8, generator=generator)
        labels = torch.randint(1000, (batch,), generator=generator).to(device)
        moved = pixels.to(device).permute(0, 3, 1, 2)
        self.images = Batch(0, 0, moved, labels, torch.arange(batch), 0, batch, batch)
        self.x = self.view()

    def view(self) -> Tensor:
        self.x = self.views.train(self.images, 0)
        return self.x

    def passes(self) -> None:
        self.group.network.train()
        self.group.begin_step(0, 0, self.batch, self.batch)
        with autocast(self.device, self.precision):
            logits = self.group.module(self.x)
        loss = torch.nn.functional.cross_entropy(logits.float(), self.images.labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()

    def timed(self, rounds: int) -> Timed:
        parts: tuple[list[float], ...] = ([], [], [])
        for done in range(rounds + 2):
            each = [seconds(f, self.device) for f in (self.view, self.passes, self.optimizer.step)]
            if done >= 2:
                for kept, value in zip(parts, each, strict=True):
                    kept.append(value)
        return Timed(*(statistics.median(part) for part in parts))


def _noise(generator: torch.Generator) -> PreparedSet:
    """A prepared set without images: only its mean and colours are used here."""
    mean = torch.full((3, SIDE, SIDE), 120.0)
    colors = ColorPCA.fit(torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8, generator=generator))
    return PreparedSet(Path(), (), (), SIDE, {}, mean, colors, {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batches", type=int, nargs="+", default=None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", choices=WHAT)
    options = parser.parse_args()
    device = torch.device(options.device)
    batches = options.batches or ([128, 1024] if device.type == "cuda" else [16, 32])
    keep_freed_memory()
    name = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    )
    flop = flop_per_image(Recipe())
    print(f"{device}: {name}; {flop / 1e9:.2f} GFLOP an image, forward and backward")
    print(
        "float32 products in TF32: ", torch.backends.cuda.matmul.allow_tf32 if device.type == "cuda" else "no"
    )
    print(
        f"{'type':9s} {'batch':>5s} {'images/s':>9s} {'TFLOP/s':>8s} {'share':>6s}  views passes update (ms)"
    )
    rates: dict[tuple[str, int], float] = {}
    lines = []
    for precision, dtype in PRECISIONS.items():
        most = matrix_units(dtype, device, options.rounds)
        for batch in batches:
            try:
                t = Step(batch, precision, device, options.compile).timed(options.rounds)
            except torch.OutOfMemoryError:
                print(f"{precision:9s} {batch:5d} does not fit into the memory of {device}")
                continue
            rates[precision, batch] = batch / t.step
            reached = flop * batch / t.step
            times = f"{1e3 * t.views:7.2f} {1e3 * t.passes:7.2f} {1e3 * t.update:7.2f}"
            print(
                f"{precision:9s} {batch:5d} {batch / t.step:9,.0f} {reached / 1e12:8.2f} "
                f"{100 * reached / most:5.0f}% {times}",
                flush=True,
            )
            lines.append(f"ratio share_of_matrix_units_{precision}_{batch} {reached / most:.3f}")
    for batch in batches:
        if ("float32", batch) in rates and ("bfloat16", batch) in rates:
            gain = rates["bfloat16", batch] / rates["float32", batch]
            lines.append(f"ratio bfloat16_vs_float32_{batch} {gain:.2f}")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
