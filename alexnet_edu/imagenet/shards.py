"""A slice of the list of images -> one shard: decoded, brought to 256 × 256, stored, summed.

A shard depends on nothing but its slice: the same bytes whoever makes it, and whenever. What
could not be used, and what had to be changed, is written into it, so that nothing is forgotten
when a preparation is interrupted.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image as PilImage

from alexnet_edu.data.decode import UnreadableFile
from alexnet_edu.data.pixels import MAX_PIXELS, decode, fit_to_square, jpeg_header
from alexnet_edu.files import DataError, Written, checked, write_tensors
from alexnet_edu.imagenet.sources import Entry, SourceChanged, read_entry
from alexnet_edu.imagenet.statistics import Pixels, PixelSums
from alexnet_edu.paper import IMAGE_SIDE

RAW_BYTES = 3 * IMAGE_SIDE**2
IN_SPITE = "decoded in spite of damage"  # of bytes that decoders pass over with a warning
TICK = 32  # images between two words of progress
# What the first bytes say, for files whose name says JPEG.
BEGINNINGS = {
    b"\x89PNG": "PNG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"RIFF": "WEBP",
    b"II*": "TIFF",
    b"MM\0": "TIFF",
}


@dataclass(frozen=True)
class Recipe:
    """How images are stored. codec: "jpeg" or "raw". quality: of a JPEG, 1–100; None for raw."""

    codec: str
    quality: int | None

    def stored(self, image: PilImage.Image) -> bytes:
        """The bytes of one 256 × 256 RGB image: a JPEG (4:2:0), or its pixels row by row."""
        if self.codec == "raw":
            return image.tobytes()
        buffer = io.BytesIO()
        # PIL's encoder and not simplejpeg's: that one takes a quarter less time, a tenth of a
        # millisecond, by a coarser transform with a larger error at the same quality.
        image.save(buffer, "JPEG", quality=self.quality, subsampling="4:2:0")
        return buffer.getvalue()


@dataclass(frozen=True)
class Job:
    """All that a process needs to make one shard. sums: whether it contributes to the statistics."""

    path: Path
    entries: tuple[Entry, ...]
    recipe: Recipe
    sums: bool

    def key(self) -> str:
        """A digest of what the shard is made from: files, labels, and how they are stored."""
        digest = hashlib.sha256(f"{self.recipe} {self.sums}\n".encode())
        for name, label, place in self.entries:
            digest.update(f"{name}\0{label} {place.size}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


@dataclass(frozen=True)
class Shard:
    """What the manifest says of a shard, and (name, what) of the images that were changed or left out."""

    file: str
    images: int
    written: Written
    changes: list[tuple[str, list[str]]] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def make_shard(job: Job, tick: Callable[[int], object]) -> Shard:
    """Makes a shard, or takes the one that is there if it is whole and made from the same files.

    tick: told how many more images are done.
    Raises SourceChanged where files have gone, and DataError where the disk is full.
    """
    if job.path.exists():
        try:
            return _kept(job, tick)
        except DataError:
            pass  # damaged, or of something else: made anew
    pile = _Pile(job.recipe, PixelSums() if job.sums else None)
    for done, entry in enumerate(job.entries, start=1):
        pile.take(entry)
        if done % TICK == 0:
            tick(TICK)
    tick(len(job.entries) % TICK)
    written = write_tensors(job.path, pile.tensors(), pile.metadata() | {"key": job.key()})
    return Shard(job.path.name, len(pile.names), written, pile.changes, pile.left_out)


def stored_bytes(entry: Entry, recipe: Recipe) -> int | None:
    """How many bytes an image will take, or None where it cannot be used."""
    pile = _Pile(recipe, None)
    pile.take(entry)
    return pile.offsets[-1] if pile.names else None


def _kept(job: Job, tick: Callable[[int], object]) -> Shard:
    written, metadata = checked(job.path)
    if metadata.get("key") != job.key():
        raise DataError(f"{job.path} was made from other files")
    tick(len(job.entries))
    return described(job.path.name, written, metadata)


def described(file: str, written: Written, metadata: dict[str, str]) -> Shard:
    """A shard by what its metadata says. Raises DataError where that is not as it is written."""
    try:
        changes = [(name, list(what)) for name, what in json.loads(metadata["changes"])]
        left_out = [(name, why) for name, why in json.loads(metadata["left_out"])]
        return Shard(file, len(json.loads(metadata["names"])), written, changes, left_out)
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{file} is no shard of this version ({error!r})") from error


class _Pile:
    """The images of one shard as they come in."""

    def __init__(self, recipe: Recipe, sums: PixelSums | None) -> None:
        self.recipe, self.sums = recipe, sums
        self.room = Room()
        self.data = bytearray()
        self.offsets = [0]
        self.labels: list[int] = []
        self.names: list[str] = []
        self.changes: list[tuple[str, list[str]]] = []
        self.left_out: list[tuple[str, str]] = []

    def take(self, entry: Entry) -> None:
        """Adds one image, or the reason why it cannot be had. Whatever a file does, the next one follows."""
        try:
            data = read_entry(entry)
            image, changes = prepared(data, self.room)
            stored, pixels = self.recipe.stored(image), np.array(image)
        except SourceChanged:
            raise
        except UnreadableFile as error:
            self.left_out.append((entry.name, str(error)))
            return
        except Exception as error:  # of a library, over a file that nobody has foreseen
            self.left_out.append((entry.name, _unforeseen(error)))
            return
        if self.sums is not None:
            self.sums.add(pixels)
        if disguise := _disguise(entry.name, data):
            changes = (disguise, *changes)
        if changes:
            self.changes.append((entry.name, list(changes)))
        self.data += stored
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
        return {
            "names": json.dumps(self.names),
            "changes": json.dumps(self.changes),
            "left_out": json.dumps(self.left_out),
        }


def _unforeseen(error: Exception) -> str:
    """The error in words, without an address in memory, which would differ every time."""
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", str(error))
    return f"could not be prepared ({type(error).__name__}: {text})"


def _disguise(name: str, data: bytes) -> str:
    """What a file is whose name says JPEG and whose first bytes do not; "" for any other."""
    if not name.lower().endswith((".jpeg", ".jpg")):
        return ""
    kind = next((kind for start, kind in BEGINNINGS.items() if data.startswith(start)), "")
    return f"{kind}, named as a JPEG" if kind else ""


# --- one image ----------------------------------------------------------------------------


class Room:
    """Memory for one decoded image after the other: fresh pages for each would cost a tenth of the time."""

    KEPT_BYTES = 2**25  # more than nearly all photographs take; what is larger gets memory of its own

    def __init__(self) -> None:
        self._kept: Pixels = np.empty(0, dtype=np.uint8)

    def of(self, count: int) -> Pixels:
        """(count,) uint8, to be used until the next call."""
        if count > self.KEPT_BYTES:
            return np.empty(count, dtype=np.uint8)
        if count > len(self._kept):
            self._kept = np.empty(count, dtype=np.uint8)
        return self._kept[:count]


def prepared(data: bytes, room: Room | None = None) -> tuple[PilImage.Image, tuple[str, ...]]:
    """The bytes of an image file -> 256 × 256 RGB as §2 says, and what had to be changed.

    The same pixels as `fit_to_square(decode(data).pixels, 256)`, by a way with fewer copies for
    ordinary JPEGs. room: for decoding; None takes new memory. Raises UnreadableFile as `decode` does.
    """
    values = _ordinary_values(data)
    if values is not None:
        try:
            buffer = (room or Room()).of(values)
            return _middle(simplejpeg.decode_jpeg(data, "RGB", buffer=buffer)), ()
        except ValueError:
            pass  # `decode` judges, so that each fault has one wording
    decoded = decode(data)
    square = fit_to_square(decoded.pixels, IMAGE_SIDE)
    image = PilImage.fromarray(square.permute(1, 2, 0).contiguous().numpy())
    return image, (*decoded.changes, *([IN_SPITE] if values is not None and _only_warns(data) else []))


def _ordinary_values(data: bytes) -> int | None:
    """3 · H · W of a JPEG in RGB without EXIF and of an allowed size; None for any other file."""
    header = jpeg_header(data)
    if header is None or header.components != 3 or header.exif:
        return None
    count = header.width * header.height
    return 3 * count if 0 < count <= MAX_PIXELS else None


def _only_warns(data: bytes) -> bool:
    """Whether a JPEG that failed when every warning counts does not fail otherwise."""
    try:
        simplejpeg.decode_jpeg(data, "RGB", strict=False)
    except ValueError:
        return False  # a kind that simplejpeg does not know, and no damage
    return True


def _middle(pixels: Pixels) -> PilImage.Image:
    """The square in the middle, 256 × 256: as `fit_to_square`, read out of the whole image's memory."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    begin = ((height - side) // 2 * width + (width - side) // 2) * 3
    memory = pixels.reshape(-1)[begin:]
    square = PilImage.frombuffer("RGB", (side, side), memory, "raw", "RGB", width * 3, 1)
    return square.resize((IMAGE_SIDE, IMAGE_SIDE), PilImage.Resampling.BILINEAR)
