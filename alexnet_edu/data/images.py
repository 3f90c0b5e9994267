"""Labelled images in memory, and the packed file that holds them on disk.

A pack is one `safetensors` file: uint8 pixels, labels, and a few strings, among them a hash of each
split. A file that was cut short is recognized when it is opened, a changed byte when it is loaded.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from alexnet_edu.files import DataError, PermissionDenied, head_of, locked, remove_partials, write_tensors

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

    @property
    def caveat(self) -> str:
        """What the sentence of every figure made from these images must end in; "" for real ones."""
        return " SYNTHETIC images." if self.synthetic else ""

    def subset(self, index: Tensor) -> Images:
        """The images at `index`, (M,) int64, in that order; or those where it is true, (N,) bool."""
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

    @property
    def caveat(self) -> str:
        return self.train.caveat


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

    def text(self) -> str:
        """What is in it, in a line."""
        size = " × ".join(str(n) for n in self.shape[1:])
        return (
            f"{self.source}; {self.train:,} training and {self.test:,} test images, {len(self.classes)} "
            f"classes, {size} pixels, {self.size / 1e6:.0f} MB"
        )


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
        write_tensors(path, tensors, metadata, sealed=True)


def pack_info(path: Path) -> PackInfo:
    """Reads the head of a pack, in milliseconds.

    Raises DataError when the file is missing, cut short, or not such a pack.
    """
    if not path.exists():
        raise DataError(f"There is no image pack at {path}.")
    try:
        head = head_of(path, PACK_FORMAT)
    except PermissionDenied:
        raise
    except DataError as error:
        raise DataError(f"{error}. {REMAKE}") from error
    metadata = head["__metadata__"]
    train, *shape = head["train.pixels"]["shape"]
    return PackInfo(
        path,
        path.stat().st_size,
        metadata["source"],
        json.loads(metadata["synthetic"]),
        tuple(json.loads(metadata["classes"])),
        train,
        head["test.pixels"]["shape"][0],
        tuple(shape),
        (metadata["train_fingerprint"], metadata["test_fingerprint"]),
    )


def load_pack(path: Path) -> ImageSet:
    """Reads a pack written by `save_pack`, and compares its hashes (for CIFAR-10 0.2 s of the 0.3 s).

    Raises DataError when the file is missing, cut short, changed, or not such a pack.
    """
    try:
        info, tensors = pack_info(path), load_file(path)
        train, test = (
            Images(
                tensors[f"{split}.pixels"],
                tensors[f"{split}.labels"],
                info.classes,
                info.source,
                info.synthetic,
            )
            for split in ("train", "test")
        )
    except (SafetensorError, KeyError) as error:
        raise DataError(f"{path} is damaged ({error}). {REMAKE}") from error
    if (train.fingerprint(), test.fingerprint()) != info.fingerprints:
        raise DataError(f"{path} has changed since it was written. {REMAKE}")
    return ImageSet(train, test)
