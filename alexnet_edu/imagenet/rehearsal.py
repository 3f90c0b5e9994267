"""A few steps before a run of days: how fast, how long, how much, and whether it fits at all.

Everything is measured here and now with the user's images, network and devices. What cannot fit is
refused with the figures before anything is written.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from alexnet_edu.imagenet.distributed import Single
from alexnet_edu.imagenet.journal import memory_used
from alexnet_edu.imagenet.trainer import Running, Training
from alexnet_edu.model.architecture import Architecture, count

STEPS, WARM = 20, 3
FLOAT = 4  # bytes
GIB = 2**30


class DoesNotFit(ValueError):
    """The run needs more than there is; the message says what, how much, and what to change."""


@dataclass(frozen=True)
class Rehearsal:
    """What a few steps showed.

    steps: timed ones. images_per_s: of training with its feed. feed_images_per_s: of the feed alone.
    evaluation_images_per_s: of judging the middle patch. waited: share of a step (0–1) in which the
    device waited for images. run_seconds: of the whole run, evaluations included.
    memory: bytes in use at most, per process; memory_there: of the GPU, or of the machine.
    checkpoint_bytes: of one file. disk_bytes: of all files that a run keeps at once; disk_free.
    """

    steps: int
    images_per_s: float
    feed_images_per_s: float
    evaluation_images_per_s: float
    waited: float
    run_seconds: float
    memory: list[int]
    memory_there: int
    checkpoint_bytes: int
    disk_bytes: int
    disk_free: int

    def as_row(self) -> dict[str, Any]:
        """For the log."""
        return asdict(self)

    def text(self, epochs: float) -> str:
        """A few lines for a person."""
        slow = "the feed" if self.waited > 0.25 else "the network"
        used = ", ".join(f"{m / GIB:.1f}" for m in self.memory)
        return "\n".join(
            (
                f"rehearsal of {self.steps} steps: {self.images_per_s:,.0f} images/s "
                f"(feed alone {self.feed_images_per_s:,.0f}; {100 * self.waited:.0f}% of the time waiting "
                f"for images, so {slow} sets the pace)",
                f"{epochs:g} epochs with their evaluations: {duration(self.run_seconds)}",
                f"memory: {used} GiB in use of {self.memory_there / GIB:.1f}",
                f"disk: {self.disk_bytes / 1e9:.2f} GB for checkpoints, {self.disk_free / 1e9:,.0f} GB free",
            )
        )


def duration(seconds: float) -> str:
    """Such as "2 d 03 h", "5 h 07 min", "12 min", "8 s"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours:02d} h"
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min" if minutes >= 2 else f"{60 * minutes + rest} s"


def needs(table: Architecture, rows: int, columns: int = 1) -> int:
    """Bytes that a training holds at least, per process: weights, gradients, velocities, activities.

    rows: images of a step in one process. A lower bound in float32 with ReLU in place and nothing
    for the libraries: outputs of each layer, its pooled maps, and the gradient of the largest.
    """
    sizes = count(table)
    weights = 3 * sum(size.parameters for size in sizes)
    maps = sum(size.units + _size(size.pooled) for size in sizes) + 3 * table.side**2
    return FLOAT * (weights + rows * maps) // columns


def _size(shape: tuple[int, ...]) -> int:
    product = 1
    for side in shape:
        product *= side
    return product


def memory_there(device: torch.device) -> int:
    """Bytes of the GPU that are free, or of the machine's memory that can still be had."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 2**63 - 1  # cannot be asked here, so nothing is refused for it


def disk_needs(table: Architecture, keep: int) -> tuple[int, int]:
    """Bytes of one checkpoint, and of the last ones, the best and one being written together."""
    one = 2 * FLOAT * sum(size.parameters for size in count(table))
    return one, one * (keep + 2)


def check_fits(
    table: Architecture, group: Single, folder: Path, running: Running, rows: int, local: int
) -> None:
    """Raises DoesNotFit where arithmetic already says so. local: processes on this machine."""
    there, columns = memory_there(group.device), 2 if group.name == "columns" else 1
    wanted = needs(table, rows, columns) * (1 if group.device.type == "cuda" else local)
    if wanted > there:
        raise DoesNotFit(
            f"a step of {rows} images needs at least {wanted / GIB:.1f} GiB, but {group.device} has "
            f"{there / GIB:.1f} free: take a smaller --batch-size, or more processes"
        )
    one, disk = disk_needs(table, running.keep)
    free = _free(folder)
    if disk > free:
        raise DoesNotFit(
            f"{running.keep} checkpoints, the best one and one being written need {disk / 1e9:.2f} GB "
            f"({one / 1e9:.2f} each), but the disk of {folder} has {free / 1e9:.2f} free: make room, choose "
            "another --folder, or a smaller --keep"
        )


def _free(folder: Path) -> int:
    for place in (folder, *folder.absolute().parents):
        if place.exists():
            return shutil.disk_usage(place).free
    return 0


def rehearse(training: Training, steps: int = STEPS, warm: int = WARM) -> Rehearsal:
    """Trains `training` for a few steps and measures; it is not to be used for the run after that.

    All processes must call it. Raises DoesNotFit where the device's memory runs out.
    """
    if steps < 1:
        raise ValueError(f"a rehearsal has at least 1 step, got {steps!r}")
    group, recipe = training.group, training.recipe
    steps = max(1, min(steps, training.steps - warm))
    try:
        seconds, images, waited = _timed(training, steps, warm)
        judged = _judging(training)
    except torch.OutOfMemoryError as error:
        raise DoesNotFit(
            f"the memory of {group.device} ran out at a batch of {recipe.batch_size}: take a smaller "
            f"--batch-size, --precision bfloat16, or more processes ({str(error).splitlines()[0]})"
        ) from error
    all_images = recipe.epochs * len(training.feed.split)
    evaluations = recipe.epochs * recipe.evaluations * len(training.judged.split)
    one, disk = disk_needs(training.table, training.running.keep)
    return Rehearsal(
        steps,
        round(images / seconds, 2),
        round(_feeding(training, steps), 2),
        round(judged, 2),
        round(waited / seconds, 3),
        round(all_images * seconds / images + evaluations / judged, 1),
        group.collect(memory_used(group.device)),
        memory_there(group.device) + memory_used(group.device),
        one,
        disk,
        _free(training.folder),
    )


def _timed(training: Training, steps: int, warm: int) -> tuple[float, int, float]:
    """Seconds, images of the global batches and seconds of waiting, over `steps` after `warm` others."""
    waited, images, began = 0.0, 0, time.perf_counter()
    with closing(training.feed.batches(0, warm + steps)) as batches:
        for step in range(warm + steps):
            if step == warm:
                _wait(training.device)
                began, waited, images = time.perf_counter(), 0.0, 0
            before = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - before
            training.one_step(batch)
            images += batch.total
    _wait(training.device)
    return time.perf_counter() - began, images, waited


def _feeding(training: Training, steps: int) -> float:
    """Images a second, of global batches, when nothing but decoding and sending is done."""
    images, began = 0, time.perf_counter()
    with closing(training.feed.batches(0, steps)) as batches:
        for batch in batches:
            images += batch.total
    _wait(training.device)
    return images / (time.perf_counter() - began)


@torch.no_grad()
def _judging(training: Training) -> float:
    """Images a second, of global batches, of an evaluation; the first batch only."""
    training.group.network.eval()
    with closing(training.judged.batches(0, 1)) as batches:
        batch = next(batches)
        began = time.perf_counter()
        found: Tensor = training.probabilities(batch.pixels)
        float(found.sum())
        return batch.total / (time.perf_counter() - began)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
