"""A few steps before a run of days: how fast, how long, how much, and whether it fits at all.

Everything is measured here and now with the user's images, network and devices. What cannot fit is
refused with the figures before anything is written.
"""

from __future__ import annotations

import math
import os
import shutil
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from alexnet_edu.environment import memory_free, memory_used
from alexnet_edu.imagenet.distributed import Single
from alexnet_edu.model.architecture import Architecture, count

if TYPE_CHECKING:
    from alexnet_edu.imagenet.trainer import Training

WARM = 3  # steps before the timed ones
FLOAT = 4  # bytes
GIB = 2**30


class DoesNotFit(ValueError):
    """The run needs more than there is; the message says what, how much, and what to change."""


@dataclass(frozen=True)
class Rehearsal:
    """What a few steps showed.

    steps: timed ones. images_per_s: of training with its feed. feed_images_per_s: of the feed alone.
    evaluation_images_per_s: of judging the middle patch, 0 where there is nothing to judge. waited: share
    of a step (0–1) in which the device waited for images. stopped_s: for which a checkpoint stops the
    training; written_s: after which it is written. run_seconds: of the whole run, with all of these.
    memory: bytes in use at most, per process; memory_there: of the GPU, or of the machine.
    checkpoint_bytes: of one file. disk_bytes: of all files that a run keeps at once; disk_free.
    """

    steps: int
    images_per_s: float
    feed_images_per_s: float
    evaluation_images_per_s: float
    waited: float
    stopped_s: float
    written_s: float
    run_seconds: float
    memory: list[int]
    memory_there: int
    checkpoint_bytes: int
    disk_bytes: int
    disk_free: int

    def text(self, epochs: float) -> str:
        """A few lines for a person."""
        slow = "the feed" if self.waited > 0.25 else "the network"
        used = ", ".join(f"{m / GIB:.1f}" for m in self.memory)
        return "\n".join(
            (
                f"rehearsal of {self.steps} steps: {self.images_per_s:,.0f} images/s "
                f"(feed alone {self.feed_images_per_s:,.0f}; {100 * self.waited:.0f}% of the time waiting "
                f"for images, so {slow} sets the pace)",
                f"{epochs:g} epochs with their evaluations: {duration(self.run_seconds)}; a checkpoint stops "
                f"the training for {self.stopped_s:.2g} s and is written in {self.written_s:.2g} s",
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

    rows: images of a step in one process. A lower bound in float32 with nothing
    for the libraries: outputs of each layer, its pooled maps, and the gradient of the largest.
    """
    sizes = count(table)
    weights = 3 * sum(size.parameters for size in sizes)
    maps = sum(size.units + math.prod(size.pooled) for size in sizes) + 3 * table.side**2
    return FLOAT * (weights + rows * maps) // columns


def disk_needs(table: Architecture, keep: int) -> tuple[int, int]:
    """Bytes of one checkpoint, and of the last ones, the best and one being written together."""
    one = 2 * FLOAT * sum(size.parameters for size in count(table))
    return one, one * (keep + 2)


def check_fits(table: Architecture, group: Single, folder: Path, keep: int, batch_size: int) -> None:
    """Raises DoesNotFit where arithmetic already says so. keep: checkpoints besides the best one."""
    free, rows = memory_free(group.device), math.ceil(batch_size / group.world)
    sharing = 1 if group.device.type == "cuda" else int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    wanted = needs(table, rows, 2 if group.name == "columns" else 1) * sharing
    if wanted > free:
        raise DoesNotFit(
            f"a step of {rows} images needs at least {wanted / GIB:.1f} GiB, but {group.device} has "
            f"{free / GIB:.1f} free: take a smaller --batch-size, or more processes"
        )
    one, disk = disk_needs(table, keep)
    room = _disk_free(folder)
    if disk > room:
        raise DoesNotFit(
            f"{keep} checkpoints, the best one and one being written need {disk / 1e9:.2f} GB "
            f"({one / 1e9:.2f} each), but the disk of {folder} has {room / 1e9:.2f} free: make room, choose "
            "another --folder, or a smaller --keep"
        )


def _disk_free(folder: Path) -> int:
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    return shutil.disk_usage(there).free


def rehearse(training: Training, steps: int, warm: int = WARM) -> Rehearsal:
    """Trains `training` for a few steps and measures; it is not to be used for the run after that.

    All processes must call it. Raises DoesNotFit where the device's memory runs out.
    """
    if steps < 1:
        raise ValueError(f"a rehearsal has at least 1 step, got {steps!r}")
    group, recipe = training.group, training.recipe
    steps = max(1, min(steps, training.steps - warm))
    try:
        seconds, images, waited = _timed(training, steps, warm)
        judging = _judging(training)
        stopped, written = _saving(training)
    except torch.OutOfMemoryError as error:
        raise DoesNotFit(
            f"the memory of {group.device} ran out at a batch of {recipe.batch_size}: take a smaller "
            f"--batch-size, --precision bfloat16, or more processes ({str(error).splitlines()[0]})"
        ) from error
    trained_on = recipe.epochs * len(training.feed.split)
    judged = recipe.epochs * recipe.evaluations * len(training.validation.split) if training.validation else 0
    saves = training.steps / training.running.save_every + recipe.epochs * recipe.evaluations
    training_s, judging_s = trained_on * seconds / images, judged / judging if judged else 0.0
    saving_s = saves * max(stopped, written - (training_s + judging_s) / saves)  # the next waits for the last
    one, disk = disk_needs(training.table, training.running.keep)
    return Rehearsal(
        steps,
        images_per_s=round(images / seconds, 2),
        feed_images_per_s=round(_feeding(training, steps), 2),
        evaluation_images_per_s=round(judging, 2),
        waited=round(waited / seconds, 3),
        stopped_s=round(stopped, 3),
        written_s=round(written, 3),
        run_seconds=round(training_s + judging_s + saving_s, 1),
        memory=group.collect(memory_used(group.device)),
        memory_there=memory_free(group.device) + memory_used(group.device),
        checkpoint_bytes=one,
        disk_bytes=disk,
        disk_free=_disk_free(training.folder),
    )


def _timed(training: Training, steps: int, warm: int) -> tuple[float, int, float]:
    """Seconds, images of the global batches and seconds of waiting, over `steps` after `warm` others."""
    waited, images, began = 0.0, 0, time.perf_counter()
    with closing(training.feed.batches(0, warm + steps)) as batches:
        for step in range(warm + steps):
            if step == warm:
                _finish(training.device)
                began, waited, images = time.perf_counter(), 0.0, 0
            before = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - before
            training.one_step(batch)
            images += batch.total
    _finish(training.device)
    return time.perf_counter() - began, images, waited


def _feeding(training: Training, steps: int) -> float:
    """Images a second, of global batches, when nothing but decoding and sending is done."""
    began = time.perf_counter()
    with closing(training.feed.batches(0, steps)) as batches:
        images = sum(batch.total for batch in batches)
    _finish(training.device)
    return images / (time.perf_counter() - began)


def _judging(training: Training) -> float:
    """Images a second, of global batches, of an evaluation; the first batch only."""
    training.group.network.eval()
    if training.validation is None:
        return 0.0
    with closing(training.validation.batches(0, 1)) as batches:
        batch = next(batches)
        began = time.perf_counter()
        training.probabilities(batch.pixels).sum().item()
        return batch.total / (time.perf_counter() - began)


def _saving(training: Training) -> tuple[float, float]:
    """Seconds for which a checkpoint stops the training, and after which it is written."""
    began = time.perf_counter()
    training.save()
    stopped = time.perf_counter() - began
    training.keeper.saved()
    written = time.perf_counter() - began
    if training.group.main:
        shutil.rmtree(training.folder, ignore_errors=True)
    return stopped, written


def _finish(device: torch.device) -> None:
    """Waits until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
