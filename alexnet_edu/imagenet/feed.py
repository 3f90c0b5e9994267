"""From the prepared images to batches on a device: decoded ahead by threads, the rest in whole batches.

Which images step s uses depends only on (seed, s): an epoch is one shuffle of all images, each
used exactly once, cut into global batches; every process takes its own rows of each. So a run that
was stopped goes on at any step, repeats nothing and skips nothing, and two processes see together
what one would see. The JPEG decoder leaves Python's lock, so threads do, and pixels are written
once, into the (page-locked) memory that the device reads.
"""

from __future__ import annotations

import functools
import math
import os
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from alexnet_edu import paper
from alexnet_edu.data.augment import ColorPCA, center_crop, crop_and_flip, draw_crops, ten_crop
from alexnet_edu.environment import usable_cores
from alexnet_edu.files import DataError
from alexnet_edu.imagenet.prepared import PreparedSet, Split
from alexnet_edu.training.loop import order_of_epoch

AHEAD = 4  # batches that are decoded before they are asked for
NO_LABEL = -1  # of an image that cannot be read
Unreadable = tuple[int, str]  # place in the batch, and what is wrong


@dataclass(frozen=True)
class Batch:
    """This process's rows of one global batch, on its device.

    step: counted from the start of the run. epoch: of its images, from 0.
    pixels: (b, 3, side, side) uint8, channels last. labels: (b,) int64, NO_LABEL where the image
        could not be read. index: (b,) int64, places in the split.
    start, stop, total: rows start to stop of a global batch of `total` images; the last one
        of an epoch may be smaller, and a process may then have no row of it.
    unreadable: a sentence for each image that this process could not read; its pixels are 0.

    On the CPU, pixels are only valid until the next batch is asked for.
    """

    step: int
    epoch: int
    pixels: Tensor
    labels: Tensor
    index: Tensor
    start: int
    stop: int
    total: int
    unreadable: tuple[str, ...] = ()


def share(total: int, rank: int, world: int) -> tuple[int, int]:
    """(start, stop): the rows that process `rank` of `world` has of so many; earlier ones have one more."""
    each, more = divmod(total, world)
    start = rank * each + min(rank, more)
    return start, start + each + (rank < more)


@dataclass(frozen=True)
class Partner:
    """The other of two processes that need the same rows: each decodes half of them, and they exchange.

    rank: of this process, 0 or 1; 0 decodes the first half. swap: sends the first of two contiguous
    tensors to the partner, and writes what comes from there to the second.
    """

    rank: int
    swap: Callable[[Tensor, Tensor], None]


class Feed:
    """Batches of one split for one of `world` processes.

    batch_size: images of a global batch, over all processes. seed: of the shuffles; None keeps the
        order of the split, for evaluation. workers: threads that decode; as many as there are cores
        for each process of this machine if None. partner: who needs the same rows, and asks for them
        in the same order.
    Raises DataError for a split without images.
    """

    def __init__(
        self,
        split: Split,
        *,
        batch_size: int = paper.BATCH_SIZE,
        seed: int | None = 0,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world: int = 1,
        workers: int | None = None,
        partner: Partner | None = None,
    ) -> None:
        workers = workers or max(1, usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
        if len(split) == 0:
            raise DataError(f"the split {split.name!r} has no images")
        self.split, self.batch_size, self.seed = split, batch_size, seed
        self.device = torch.device(device)
        self.rank, self.world, self.workers, self.partner = rank, world, workers, partner
        self.steps_per_epoch = math.ceil(len(split) / batch_size)
        self._order: tuple[int, Tensor] = (-1, torch.empty(0, dtype=torch.int64))

    def order(self, epoch: int) -> Tensor:
        """(N,) int64: every image of the split once, as this epoch has them."""
        if self.seed is None:
            return torch.arange(len(self.split))
        if self._order[0] != epoch:
            self._order = (epoch, order_of_epoch(len(self.split), self.seed, epoch))
        return self._order[1]

    def rows(self, step: int) -> tuple[Tensor, int, int, int]:
        """Which images this process has at a step, and (start, stop, total) of them, see `Batch`."""
        epoch, place = divmod(step, self.steps_per_epoch)
        whole = self.order(epoch)[place * self.batch_size : (place + 1) * self.batch_size]
        start, stop = share(len(whole), self.rank, self.world)
        return whole[start:stop], start, stop, len(whole)

    def halves(self, count: int) -> tuple[slice, slice]:
        """Of `count` rows those that are decoded here, and those that come from the partner."""
        if self.partner is None:
            return slice(0, count), slice(0, 0)
        here, there = (slice(*share(count, rank, 2)) for rank in (self.partner.rank, 1 - self.partner.rank))
        return here, there

    def exchange(self, *tensors: Tensor) -> None:
        """Fills in the rows that the partner has decoded."""
        if self.partner is not None:
            for tensor in tensors:
                here, there = self.halves(len(tensor))
                self.partner.swap(tensor[here], tensor[there])

    def batches(self, first: int, last: int) -> Generator[Batch, None, None]:
        """The batches of steps `first` up to but without `last`, in order.

        Decoding runs `AHEAD` batches in front of what is asked for. Close the iterator to end early.
        """
        ahead: deque[tuple[_Buffer, list[Future[list[Unreadable]]]]] = deque()
        free = deque(_Buffer(self) for _ in range(AHEAD + 1))
        next_step = first
        with ThreadPoolExecutor(self.workers, thread_name_prefix="decode") as pool:
            try:
                for step in range(first, last):
                    while next_step < last and free:
                        buffer = free.popleft()
                        ahead.append((buffer, buffer.fill(pool, self.rows(next_step)[0])))
                        next_step += 1
                    buffer, parts = ahead.popleft()
                    unreadable = [bad for part in parts for bad in part.result()]
                    yield self._batch(step, buffer, unreadable)
                    free.append(buffer)
            finally:
                for _, parts in ahead:
                    for part in parts:
                        part.cancel()

    def _batch(self, step: int, buffer: _Buffer, unreadable: list[Unreadable]) -> Batch:
        index, start, stop, total = self.rows(step)
        labels = self.split.labels[index]
        labels[[place for place, _ in unreadable]] = NO_LABEL
        pixels, labels = buffer.sent(labels)
        epoch, sentences = step // self.steps_per_epoch, tuple(sentence for _, sentence in unreadable)
        return Batch(step, epoch, pixels, labels, index, start, stop, total, sentences)


class _Buffer:
    """Room for one batch in memory that the device can read, filled by threads."""

    def __init__(self, feed: Feed) -> None:
        most, side = math.ceil(feed.batch_size / feed.world), feed.split.side
        self.feed = feed
        self.on_gpu = feed.device.type == "cuda"
        self.pixels = torch.empty((most, side, side, 3), dtype=torch.uint8, pin_memory=self.on_gpu)
        self.array: np.ndarray[Any, np.dtype[np.uint8]] = self.pixels.numpy()
        self.copied: torch.cuda.Event | None = None

    def fill(self, pool: ThreadPoolExecutor, index: Tensor) -> list[Future[list[Unreadable]]]:
        """Starts decoding; each of the futures gives its unreadable images."""
        if self.copied is not None:
            self.copied.synchronize()  # the device must have read what is overwritten now
            self.copied = None
        here, _ = self.feed.halves(len(index))
        images = index.tolist()[here]
        each = max(1, math.ceil(len(images) / (2 * self.feed.workers)))
        return [
            pool.submit(self._decode, here.start + start, images[start : start + each])
            for start in range(0, len(images), each)
        ]

    def _decode(self, start: int, images: list[int]) -> list[Unreadable]:
        bad = []
        for place, image in enumerate(images, start):
            try:
                self.feed.split.decode_into(image, self.array[place])
            except DataError as error:
                self.array[place] = 0
                bad.append((place, str(error)))
        return bad

    def sent(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (b, 3, side, side) and labels (b,) on the device; the copy to a GPU runs beside its work."""
        pixels, device = self.pixels[: len(labels)], self.feed.device
        if not self.on_gpu:
            self.feed.exchange(pixels, labels)
            return pixels.permute(0, 3, 1, 2).to(device), labels.to(device)
        here, _ = self.feed.halves(len(labels))
        stream = _copy_stream(device)
        with torch.cuda.stream(stream):
            moved = [torch.empty_like(t, device=device, pin_memory=False) for t in (pixels, labels)]
            for whole, tensor in zip(moved, (pixels, labels.pin_memory()), strict=True):
                whole[here].copy_(tensor[here], non_blocking=True)
        self.copied = torch.cuda.Event()
        self.copied.record(stream)
        now = torch.cuda.current_stream(device)
        now.wait_stream(stream)
        for tensor in moved:
            tensor.record_stream(now)
        self.feed.exchange(*moved)
        return moved[0].permute(0, 3, 1, 2), moved[1]


@functools.cache
def _copy_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


# --- what the network sees ------------------------------------------------------------------


class Views:
    """Batches of pixels as the network reads them: crops minus the mean, 0–255 (§2, §4.1).

    The middle of the mean image is subtracted from every crop, wherever it was cut, as in 2012
    (`convdata_jpeg.py` 95, 209). side: of the crops in pixels. Everything runs on `device`.
    """

    def __init__(
        self, prepared: PreparedSet, side: int = paper.INPUT_SIDE, device: torch.device | str = "cpu"
    ) -> None:
        self.side, self.border = side, prepared.side - side
        self.colors: ColorPCA = prepared.colors
        mean = center_crop(prepared.mean_image[None], side)
        self.mean = mean.to(device).contiguous(memory_format=torch.channels_last)

    def train(
        self, batch: Batch, seed: int, *, noise: float = 0.1, divisor: float = 1.0, shared: int = 1
    ) -> Tensor:
        """(b, 3, side, side) float32: random crops and reflections, colours shifted, the mean taken off.

        seed: of all draws of this step; they are made for the global batch, so it does not matter
        among how many processes it is divided. noise: std of α of §4.1; 0 shifts no colours.
        divisor: of the result; 1.1 in 2012 while there was noise. shared: images that share a crop.
        """
        generator = torch.Generator().manual_seed(seed)
        crops = draw_crops(batch.total, (self.border, self.border), generator, shared=shared)
        cut = crop_and_flip(batch.pixels, self.side, crops.rows(batch.start, batch.stop))
        if noise > 0:
            shifts = self.colors.shifts(batch.total, generator, std=noise)[batch.start : batch.stop]
            x = self.colors.apply(cut, shifts=shifts)
        else:
            x = cut.float()
        x.sub_(self.mean)
        return x.div_(divisor) if divisor != 1.0 else x

    def centre(self, pixels: Tensor) -> Tensor:
        """(b, 3, H, W) uint8 -> (b, 3, side, side) float32: the middle patch."""
        return center_crop(pixels, self.side).float().sub_(self.mean)

    def patches(self, pixels: Tensor, count: int) -> Iterator[Tensor]:
        """The middle patch alone (`count` 1), or the ten of §4.1, each (b, 3, side, side) float32."""
        if count == 1:
            yield self.centre(pixels)
        elif count == 10:
            for patch in ten_crop(pixels, self.side).unbind(1):
                yield patch.float().sub_(self.mean)
        else:
            raise ValueError(f"patches must be 1 or 10, got {count!r}")
