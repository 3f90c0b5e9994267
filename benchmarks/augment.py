"""Crops, reflections and colour PCA: whole batches against torchvision image by image.

    python benchmarks/augment.py [--rounds 9] [--batch 128] [--threads 2] [--sizes 32 256]

Uint8 images in, shifted float32 crops out: 24 of 32 pixels, and 224 of 256. Every variant has
a process of its own, because the setting of the allocator holds for a whole process; they take
turns, one measurement each a round. See `benchmarks/README.md` for what the variants are.

The last lines are `ratio NAME VALUE`: the median over the rounds of the ratio of two times
from the same round. Above 1 means that ours is faster.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms import v2  # type: ignore[import-untyped]
from turns import Child, Measure, median_ratio, take_turns

from alexnet_edu.data.augment import ColorPCA, random_crop_and_flip
from alexnet_edu.environment import keep_freed_memory

CROPS = {32: 24, 256: 224}  # pixels: of CIFAR-10 and of ImageNet
STD = 0.1  # of α in §4.1
MEASURED_SECONDS = 0.2  # one measurement repeats its batch until it has taken so long
Way = Callable[[Tensor], Tensor]  # (N, 3, H, W) uint8 -> (N, 3, size, size) float32


def ours(size: int, colors: ColorPCA) -> Way:
    """A place, a direction and a colour shift for each image, drawn and done for the whole batch."""
    generator = torch.Generator().manual_seed(0)

    def augment(images: Tensor) -> Tensor:
        return colors.apply(random_crop_and_flip(images, size, generator), STD, generator)

    return augment


def torchvisions(size: int, colors: ColorPCA) -> Way:
    """The same for one image (3, H, W), or with one draw for all of (N, 3, H, W).

    torchvision has no colour PCA: it is the usual small function, five lines of torch.
    """
    moved = v2.Compose([v2.RandomCrop(size), v2.RandomHorizontalFlip()])
    directions, strengths = colors.eigenvectors.float(), colors.strengths().float()

    def augment(image: Tensor) -> Tensor:
        shift = directions @ (strengths * torch.randn(3) * STD)
        return moved(image).float() + shift[:, None, None]

    return augment


def image_by_image(size: int, colors: ColorPCA) -> Way:
    """torchvision's steps for each image by itself, then one batch of the results."""
    augment = torchvisions(size, colors)
    return lambda images: torch.stack([augment(image) for image in images])


@dataclass(frozen=True)
class Variant:
    """title: its line in the table. make: the way. keep: freed memory is kept, as `fit` asks for."""

    title: str
    make: Callable[[int, ColorPCA], Way]
    keep: bool


VARIANTS = {
    "ours": Variant("ours, freed memory kept", ours, True),
    "ours_as_it_comes": Variant("ours, allocator as it comes", ours, False),
    "each": Variant("torchvision.transforms.v2, image by image, as it comes", image_by_image, False),
    "each_kept": Variant("the same, freed memory kept", image_by_image, True),
    "batch": Variant("v2, one draw for the whole batch, freed memory kept", torchvisions, True),
}
RATIOS = {
    "vs_v2_image_by_image": ("each", "ours"),
    "vs_v2_image_by_image_otherwise_the_same": ("each_kept", "ours"),
    "as_it_comes_vs_v2_image_by_image": ("each", "ours_as_it_comes"),
    "vs_v2_one_draw_a_batch": ("batch", "ours"),
}


def prepare(chosen: Variant, side: int, batch: int, threads: int) -> Measure:
    """Makes images and the way; the returned function says how many seconds a batch took."""
    torch.set_num_threads(threads)
    if chosen.keep:
        keep_freed_memory()
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8, generator=generator)
    augment = chosen.make(CROPS[side], ColorPCA.fit(images))

    def measure() -> float:
        count, start = 0, time.perf_counter()
        while count == 0 or time.perf_counter() - start < MEASURED_SECONDS:
            augment(images)
            count += 1
        return (time.perf_counter() - start) / count

    return measure


def compare(side: int, batch: int, rounds: int, threads: int) -> dict[str, float]:
    """Ratios for images of one side; the images per second on the way."""
    children: dict[str, Child] = {}
    try:
        for name, chosen in VARIANTS.items():
            children[name] = Child(chosen.title, prepare, chosen, side, batch, threads)
        times = take_turns({name: child.ask for name, child in children.items()}, rounds)
    finally:
        for child in children.values():
            child.close()
    head = f"images per second, {CROPS[side]} of {side} pixels"
    print(f"\n{head:<56}{'median':>10}{'slowest':>10}{'fastest':>10}")
    for name, seconds in times.items():
        speeds = [batch / s for s in seconds]
        cells = "".join(f"{x:>10,.0f}" for x in (statistics.median(speeds), min(speeds), max(speeds)))
        print(f"{VARIANTS[name].title:<56}{cells}", flush=True)
    return {
        f"{CROPS[side]}_of_{side}_{name}": median_ratio(times, above, below)
        for name, (above, below) in RATIOS.items()
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=9, help="measurements counted per variant")
    parser.add_argument("--batch", type=int, default=128, help="images per batch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sizes", type=int, nargs="+", choices=CROPS, default=list(CROPS), help="sides")
    chosen = parser.parse_args(arguments)
    if min(chosen.rounds, chosen.batch, chosen.threads) < 1:
        parser.error("--rounds, --batch and --threads must be at least 1")
    python = sys.version.split()[0]
    print(f"batch {chosen.batch}, {chosen.threads} threads, torch {torch.__version__}, Python {python}")
    ratios: dict[str, float] = {}
    for side in chosen.sizes:
        ratios |= compare(side, chosen.batch, chosen.rounds, chosen.threads)
    for name, value in ratios.items():
        print(f"ratio {name} {value:.2f}")


if __name__ == "__main__":
    main()
