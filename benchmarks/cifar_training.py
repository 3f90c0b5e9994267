"""Images per second: our training loop against the usual one, side by side in one run.

    python benchmarks/cifar_training.py [--rounds 3] [--images 5120] [--threads 2]

Every variant trains the same four-layer network on the same images, batch 128, SGD with
momentum 0.9, in a process of its own, because one of the things compared is a setting of
the whole process. The processes take turns: one epoch each per round, the others wait.
See `benchmarks/README.md` for what the variants are.

The last lines are `ratio NAME VALUE`: the median over the rounds of the ratio of two
speeds from the same round.
"""

from __future__ import annotations

import argparse
import os
import pickle
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.datasets import CIFAR10  # type: ignore[import-untyped]
from torchvision.transforms import Compose, Normalize, ToTensor  # type: ignore[import-untyped]
from turns import Child, median_ratio, take_turns

from alexnet_edu.data.cifar10 import pack_path
from alexnet_edu.data.images import load_pack
from alexnet_edu.environment import resolve_precision
from alexnet_edu.model.cifar import CifarNetConfig, FourLayerNet
from alexnet_edu.training.loop import TrainConfig, fit

BATCH = 128
MOMENTUM = 0.9
LEARNING_RATE = 1e-3
MEAN, STD = 0.5, 0.25  # of a pixel on the scale 0–1; roughly right, and speed does not depend on it
Epoch = Callable[[], float]  # trains one epoch, returns images per second


@dataclass(frozen=True)
class Variant:
    """One way to train. workers: None for ours, else the worker processes of the DataLoader."""

    name: str
    title: str
    workers: int | None = None
    precision: str = "auto"
    channels_last: bool = True
    keep_memory: bool = True


OURS = Variant("ours", "ours, as it comes")
FLOAT32 = Variant("float32", "ours, float32", precision="float32")
CONTIGUOUS = Variant("contiguous", "ours, not channels-last", channels_last=False)
RELEASED = Variant("released", "ours, freed memory returned to the system", keep_memory=False)
USUAL_2 = Variant("usual-2", "usual way, 2 workers", workers=2)
USUAL_0 = Variant("usual-0", "usual way, no workers", workers=0)

# name of the ratio -> (numerator, denominator)
RATIOS = {
    "ours_vs_usual_2_workers": (OURS, USUAL_2),
    "ours_vs_usual_0_workers": (OURS, USUAL_0),
    "ours_float32_vs_usual_2_workers": (FLOAT32, USUAL_2),
    "ours_float32_vs_usual_0_workers": (FLOAT32, USUAL_0),
    "effect_of_bfloat16": (OURS, FLOAT32),
    "effect_of_channels_last": (OURS, CONTIGUOUS),
    "effect_of_kept_memory": (OURS, RELEASED),
}


def variants_here() -> tuple[list[Variant], list[str]]:
    """The variants that differ from one another on this machine, and why others are left out."""
    variants, notes = [OURS, FLOAT32, CONTIGUOUS, RELEASED, USUAL_2, USUAL_0], []
    if resolve_precision("auto") == "float32":
        variants.remove(FLOAT32)
        notes.append("This processor has no fast bfloat16: ours is float32 as it comes.")
    if platform.system() != "Linux":
        variants.remove(RELEASED)
        notes.append("The setting of the allocator exists on Linux only; its effect is not measured.")
    return variants, notes


# --- the images -----------------------------------------------------------------------------


class Batches(CIFAR10):  # type: ignore[misc]
    """torchvision's CIFAR10, reading our files: the same but for names and check sums."""

    train_list = [["data_batch_1", None]]  # noqa: RUF012 (torchvision's own form)
    test_list = [["data_batch_1", None]]  # noqa: RUF012
    meta = {"filename": "batches.meta", "key": "label_names", "md5": None}  # noqa: RUF012


def choose_pixels(count: int) -> tuple[np.ndarray, np.ndarray, str]:
    """(N, 3, 32, 32) uint8 pixels, (N,) int64 labels, and in words what they are."""
    generator = torch.Generator().manual_seed(0)
    if pack_path().exists():
        images = load_pack(pack_path()).train
        if images.pixels.shape[2:] == (32, 32) and len(images) >= count:
            chosen = images.subset(torch.randperm(len(images), generator=generator)[:count])
            return chosen.pixels.numpy(), chosen.labels.numpy(), f"{count} images of {images.source}"
    pixels = torch.randint(256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.randint(10, (count,), generator=generator)
    return pixels.numpy(), labels.numpy(), f"{count} images of random pixels (speed does not depend on them)"


def write_batches(folder: Path, pixels: np.ndarray, labels: np.ndarray) -> None:
    """Writes images in the format of CIFAR-10's Python batches, where torchvision looks for them."""
    base = folder / CIFAR10.base_folder
    base.mkdir(parents=True)
    batch = {"data": pixels.reshape(len(pixels), -1), "labels": labels.tolist()}
    (base / "data_batch_1").write_bytes(pickle.dumps(batch))
    (base / "batches.meta").write_bytes(pickle.dumps({"label_names": [str(c) for c in range(10)]}))


# --- the two ways to train ------------------------------------------------------------------


def prepare_epoch(variant: Variant, folder: Path, threads: int) -> Epoch:
    """Loads the images and makes the network; the returned function trains one epoch."""
    torch.set_num_threads(threads)
    if variant.workers is None:
        return _our_epoch(variant, folder)
    return _usual_epoch(variant.workers, folder)


def _network() -> FourLayerNet:
    return FourLayerNet(CifarNetConfig(init="scaled"), torch.Generator().manual_seed(0))


class _AnyLayout(FourLayerNet):
    """The network, refusing to be made channels-last."""

    def to(self, *args: Any, **kwargs: Any) -> _AnyLayout:
        kwargs.pop("memory_format", None)
        return super().to(*args, **kwargs)


def standardize(batch: Tensor) -> Tensor:
    """What ToTensor and Normalize do to one image, for a whole uint8 batch in its own layout."""
    return (batch.float() - 255 * MEAN) / (255 * STD)


def _our_epoch(variant: Variant, folder: Path) -> Epoch:
    loaded = Batches(folder)
    pixels = torch.from_numpy(loaded.data).permute(0, 3, 1, 2)  # (N, 3, 32, 32)
    labels = torch.tensor(loaded.targets)
    config = TrainConfig(
        LEARNING_RATE, MOMENTUM, batch_size=BATCH, evals_per_epoch=1, precision=variant.precision
    )
    model = _network()
    prepare = standardize
    if not variant.channels_last:
        model.__class__ = _AnyLayout

        def prepare(batch: Tensor) -> Tensor:
            return standardize(batch).contiguous()

    def epoch() -> float:
        with _allocator(variant.keep_memory):
            run = fit(
                model,
                pixels,
                labels,
                config,
                prepare=prepare,
                max_epochs=1,
                evaluate_on=torch.arange(BATCH),  # evaluation is not timed
            )
        assert run.status == "limit", run.status
        return len(pixels) / run.points[-1].seconds

    return epoch


@contextmanager
def _allocator(keep_memory: bool) -> Iterator[None]:
    """With keep_memory False, training leaves the process's allocator as it found it."""
    if keep_memory:
        yield
    else:
        with mock.patch("alexnet_edu.training.loop.keep_freed_memory"):
            yield


def _usual_epoch(workers: int, folder: Path) -> Epoch:
    """What tutorials do: a Dataset of PIL images, transforms, a DataLoader, a plain loop."""
    transform = Compose([ToTensor(), Normalize([MEAN] * 3, [STD] * 3)])
    loader: DataLoader[Any] = DataLoader(
        Batches(folder, transform=transform),
        batch_size=BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,  # starting them, once per epoch otherwise, is not to count
    )
    model = _network()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)

    def epoch() -> float:
        start, seen, running_loss = time.perf_counter(), 0, 0.0
        for images, labels in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
            seen += len(images)
        return seen / (time.perf_counter() - start)

    return epoch


# --- what is printed ------------------------------------------------------------------------


def table(variants: Sequence[Variant], rates: dict[str, list[float]]) -> list[str]:
    """One line per variant: median, slowest and fastest round, in images per second."""
    lines = [f"{'images per second':<44}{'median':>8}{'slowest':>9}{'fastest':>9}"]
    for variant in variants:
        speeds = rates[variant.name]
        numbers = (statistics.median(speeds), min(speeds), max(speeds))
        lines.append(f"{variant.title:<44}{numbers[0]:>8.0f}{numbers[1]:>9.0f}{numbers[2]:>9.0f}")
    return lines


def ratio_lines(rates: dict[str, list[float]]) -> list[str]:
    """`ratio NAME VALUE` for each ratio whose two sides were measured."""
    lines = []
    for name, (above, below) in RATIOS.items():
        if above.name in rates and below.name in rates:
            lines.append(f"ratio {name} {median_ratio(rates, above.name, below.name):.2f}")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark and prints the table and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=_positive, default=3, help="epochs counted per variant")
    parser.add_argument("--images", type=_positive, default=5_120, help="images per epoch")
    parser.add_argument("--threads", type=_positive, default=2, help="threads of each training process")
    options = parser.parse_args(arguments)
    variants, notes = variants_here()
    pixels, labels, description = choose_pixels(options.images)
    children: list[Child] = []
    with tempfile.TemporaryDirectory() as folder:
        write_batches(Path(folder), pixels, labels)
        try:
            for v in variants:
                children.append(Child(v.title, prepare_epoch, v, Path(folder), options.threads))
            asks = {v.name: child.ask for v, child in zip(variants, children, strict=True)}
            rates = take_turns(asks, options.rounds)
        finally:
            for child in children:
                child.close()
    precision = resolve_precision("auto")
    print(f"{description}; {options.rounds} rounds; {options.threads} threads, {os.cpu_count()} cores")
    print(
        f"torch {torch.__version__}, {platform.machine()} {platform.system()}; ours computes in {precision}"
    )
    print("\n".join([*table(variants, rates), *notes, *ratio_lines(rates)]))


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value


if __name__ == "__main__":
    main()
