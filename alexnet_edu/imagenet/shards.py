"""A slice of the list of images -> one shard: decoded, brought to 256 × 256, stored, summed.

A shard depends on nothing but its slice: the same bytes whoever makes it, and whenever. What
could not be used, and what had to be changed, is written into it, so that nothing is forgotten
when a preparation is interrupted.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from alexnet_edu.data.archives import read_file
from alexnet_edu.data.decode import Pixels, UnreadableFile, central_square, decode
from alexnet_edu.files import DataError, Written, checked, write_tensors
from alexnet_edu.imagenet.sources import Entry
from alexnet_edu.imagenet.statistics import PixelSums
from alexnet_edu.paper import IMAGE_SIDE

SAMPLE = 64  # images that are prepared beforehand to learn how many bytes they take
DECODED_BYTES = 2**25  # more than nearly all photographs take; what is larger gets memory of its own


@dataclass(frozen=True)
class Job:
    """All that a process needs to make one shard. Only training images add to the statistics."""

    path: Path
    split: str
    entries: tuple[Entry, ...]
    quality: int

    def key(self) -> str:
        """A digest of what the shard is made from: files, labels, and how they are stored."""
        digest = hashlib.sha256(f"{self.split} {self.quality}\n".encode())
        for name, label, file in self.entries:
            digest.update(f"{name}\0{label} {file.size}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


@dataclass(frozen=True)
class Shard:
    """What the manifest says of a shard, and (name, what) of the images that were changed or left out."""

    split: str
    file: str
    images: int
    written: Written
    changes: list[tuple[str, list[str]]] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def make_shard(job: Job) -> Shard:
    """Makes a shard, or takes the one that is there if it is whole and made from the same files.

    Raises SourceChanged where files have gone, and DataError where the disk is full.
    """
    with contextlib.suppress(DataError):  # damaged, or of something else: made anew
        if job.path.exists() and (there := _kept(job)):
            return there
    images = _Images(job.quality, PixelSums() if job.split == "train" else None)
    for entry in job.entries:
        images.add(entry)
    written = write_tensors(job.path, images.tensors(), images.metadata() | {"key": job.key()})
    return Shard(job.split, job.path.name, len(images.names), written, images.changes, images.left_out)


def _kept(job: Job) -> Shard | None:
    written, metadata = checked(job.path)
    if metadata.get("key") != job.key():
        return None
    names, changes, left_out = (json.loads(metadata[name]) for name in ("names", "changes", "left_out"))
    return Shard(job.split, job.path.name, len(names), written, changes, left_out)


def mean_bytes(entries: Sequence[Entry], quality: int) -> float:
    """Mean bytes of a stored image, from `SAMPLE` that are spread evenly over the list."""
    places = np.linspace(0, len(entries) - 1, min(SAMPLE, len(entries))).round().astype(int)
    sample = _Images(quality, None)
    for place in places:
        sample.add(entries[place])
    return len(sample.data) / max(1, len(sample.names))


class _Images:
    """The images of one shard as they come in. sums: of those that the statistics are made from."""

    def __init__(self, quality: int, sums: PixelSums | None) -> None:
        self.quality, self.sums = quality, sums
        self.room: Pixels = np.empty(DECODED_BYTES, dtype=np.uint8)
        self.data = bytearray()
        self.offsets = [0]
        self.labels: list[int] = []
        self.names: list[str] = []
        self.changes: list[tuple[str, list[str]]] = []
        self.left_out: list[tuple[str, str]] = []

    def add(self, entry: Entry) -> None:
        """Adds one image, or the reason why it cannot be had."""
        try:
            decoded = decode(read_file(entry.file), self.room)
        except UnreadableFile as error:
            self.left_out.append((entry.name, str(error)))
            return
        image, stored = central_square(decoded.pixels, IMAGE_SIDE), io.BytesIO()
        # PIL's encoder and not simplejpeg's: that one takes a quarter less time, a tenth of a
        # millisecond, by a coarser transform with a larger error at the same quality.
        image.save(stored, "JPEG", quality=self.quality, subsampling="4:2:0")
        if self.sums is not None:
            self.sums.add(np.array(image))
        changes = [*_disguise(entry.name, decoded.kind), *decoded.changes]
        if changes:
            self.changes.append((entry.name, changes))
        self.data += stored.getvalue()
        self.offsets.append(len(self.data))
        self.labels.append(entry.label)
        self.names.append(entry.name)

    def tensors(self) -> dict[str, np.ndarray[Any, Any]]:
        return {
            "offsets": np.array(self.offsets, dtype=np.int64),
            "labels": np.array(self.labels, dtype=np.int64),
            **(self.sums.tensors() if self.sums is not None else {}),
            "bytes": np.frombuffer(self.data, dtype=np.uint8),
        }

    def metadata(self) -> dict[str, str]:
        return {name: json.dumps(getattr(self, name)) for name in ("names", "changes", "left_out")}


def _disguise(name: str, kind: str) -> list[str]:
    """What a file is whose name says JPEG and whose bytes do not."""
    is_one = kind in ("JPEG", "MPO")  # MPO: JPEGs of a camera with two lenses
    return [f"{kind}, named as a JPEG"] if not is_one and name.lower().endswith((".jpeg", ".jpg")) else []
