"""Labelled images in memory, and the packed file that holds them on disk.

A pack is one `safetensors` file: raw uint8 pixels, labels, and a few strings. The
format states the length of every tensor in its header, so a file that was cut short
is recognised when it is opened, and opening it never runs code. The strings hold a hash
of each split, so a changed byte is recognised when the pack is loaded.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from alexnet_edu.files import DataError, locked, remove_partials, write_tensors

PACK_FORMAT = "alexnet-edu-images-1"
REMAKE = "Delete it and make it again with `alexnet-edu data cifar10` or `alexnet-edu data import PATH`."


@dataclass(frozen=True)
class Images:
    """One split of a labelled image set.

    pixels: (N, 3, H, W) uint8, RGB, 0–255.
    labels: (N,) int64, indices into `classes`.
    source: where the pixels came from, in words ("CIFAR-10, official batches", …).
    synthetic: True for the generated stand-in; every figure made from it must say so.
    """

    pixels: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    source: str
    synthetic: bool = False

    def __post_init__(self) -> None:
        if self.pixels.dtype != torch.uint8 or self.pixels.ndim != 4 or self.pixels.shape[1] != 3:
            raise ValueError(
                f"pixels must be (N, 3, H, W) uint8, got {tuple(self.pixels.shape)} {self.pixels.dtype}"
            )
        if self.labels.shape != (len(self.pixels),) or self.labels.dtype != torch.int64:
            raise ValueError(
                f"labels must be ({len(self.pixels)},) int64, got {tuple(self.labels.shape)} "
                f"{self.labels.dtype}"
            )

    def __len__(self) -> int:
        return len(self.pixels)

    def subset(self, index: Tensor) -> Images:
        """The images at `index` ((M,) int64), in that order."""
        return Images(self.pixels[index], self.labels[index], self.classes, self.source, self.synthetic)

    def fingerprint(self) -> str:
        """16 hex digits that change with any pixel or label: names the data in a record."""
        digest = hashlib.sha256()
        digest.update(self.pixels.reshape(-1).numpy().data)
        digest.update(self.labels.contiguous().numpy().data)
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class ImageSet:
    """A training split and a test split with the same classes."""

    train: Images
    test: Images

    @property
    def synthetic(self) -> bool:
        return self.train.synthetic

    @property
    def source(self) -> str:
        return self.train.source


@dataclass(frozen=True)
class PackInfo:
    """What a pack says about itself; read from its head alone.

    size: of the file in bytes. train, test: number of images. shape: (3, H, W).
    fingerprints: of train and test, as `Images.fingerprint` gives them.
    """

    path: Path
    size: int
    source: str
    synthetic: bool
    classes: tuple[str, ...]
    train: int
    test: int
    shape: tuple[int, ...]
    fingerprints: tuple[str, str]


def save_pack(images: ImageSet, path: Path) -> None:
    """Writes `images` to `path` so that the file is either whole or as before.

    Raises DataError when the disk is full, the folder cannot be written, or another process writes to it.
    """
    # what has wide elements comes first, so that each tensor begins at a multiple of its element
    tensors = {
        "train.labels": images.train.labels.numpy(),
        "test.labels": images.test.labels.numpy(),
        "train.pixels": images.train.pixels.numpy(),
        "test.pixels": images.test.pixels.numpy(),
    }
    metadata = {
        "format": PACK_FORMAT,
        "classes": json.dumps(images.train.classes),
        "source": images.source,
        "synthetic": json.dumps(images.synthetic),
        "train_fingerprint": images.train.fingerprint(),
        "test_fingerprint": images.test.fingerprint(),
    }
    with locked(path.parent):
        remove_partials(path.parent)
        write_tensors(path, tensors, metadata)


def pack_info(path: Path) -> PackInfo:
    """Reads the head of a pack, in milliseconds.

    Raises DataError when the file is missing, cut short, or not such a pack.
    """
    with _open_pack(path) as pack:
        metadata = pack.metadata()
        shapes = {split: pack.get_slice(f"{split}.pixels").get_shape() for split in ("train", "test")}
        return PackInfo(
            path,
            path.stat().st_size,
            metadata["source"],
            json.loads(metadata["synthetic"]),
            tuple(json.loads(metadata["classes"])),
            shapes["train"][0],
            shapes["test"][0],
            tuple(shapes["train"][1:]),
            (metadata["train_fingerprint"], metadata["test_fingerprint"]),
        )


def load_pack(path: Path) -> ImageSet:
    """Reads a pack written by `save_pack`, and compares its hashes (for CIFAR-10 0.2 s of the 0.3 s).

    Raises DataError when the file is missing, cut short, changed, or not such a pack.
    """
    with _open_pack(path) as pack:
        metadata = pack.metadata()
        train, test = (
            Images(
                pack.get_tensor(f"{split}.pixels"),
                pack.get_tensor(f"{split}.labels"),
                tuple(json.loads(metadata["classes"])),
                metadata["source"],
                json.loads(metadata["synthetic"]),
            )
            for split in ("train", "test")
        )
    for name, images in (("train", train), ("test", test)):
        if images.fingerprint() != metadata[f"{name}_fingerprint"]:
            raise DataError(f"{path} has changed since it was written ({name} images). {REMAKE}")
    return ImageSet(train, test)


@contextlib.contextmanager
def _open_pack(path: Path) -> Iterator[Any]:
    """The open pack; all that can be wrong with such a file becomes a DataError."""
    try:
        with safe_open(path, framework="pt") as pack:
            if (form := (pack.metadata() or {}).get("format")) != PACK_FORMAT:
                raise DataError(
                    f"{path} is not an image pack of this version (format {form!r}, expected "
                    f"{PACK_FORMAT!r}). Delete it and import the images again."
                )
            yield pack
    except FileNotFoundError as error:
        raise DataError(f"There is no image pack at {path}.") from error
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise DataError(f"{path} is damaged or was cut short ({error}). {REMAKE}") from error
