"""Labelled images in memory, and the packed file that holds them on disk.

A pack is one `safetensors` file: raw uint8 pixels, labels, and a few strings. The
format states the length of every tensor in its header, so a file that was cut short
is recognised when it is opened, and opening it never runs code.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

PACK_FORMAT = "alexnet-edu-images-1"


class DataError(Exception):
    """Something is wrong with data on disk; the message says what, and what to do."""


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
        digest.update(self.labels.numpy().data)
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


def save_pack(images: ImageSet, path: Path, notes: dict[str, str] | None = None) -> None:
    """Writes `images` to `path` so that the file is either whole or not there.

    notes: further strings to keep beside the images (how they were made).
    Raises DataError when the disk is full or the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + f".partial-{os.getpid()}")
    metadata = {
        "format": PACK_FORMAT,
        "classes": json.dumps(images.train.classes),
        "source": images.source,
        "synthetic": json.dumps(images.synthetic),
        "train_fingerprint": images.train.fingerprint(),
        "test_fingerprint": images.test.fingerprint(),
        **(notes or {}),
    }
    tensors = {
        "train.pixels": images.train.pixels.contiguous(),
        "train.labels": images.train.labels,
        "test.pixels": images.test.pixels.contiguous(),
        "test.labels": images.test.labels,
    }
    try:
        save_file(tensors, partial, metadata)
        with open(partial, "rb+") as written:
            os.fsync(written.fileno())
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"Could not write {path}: {error}. Free some space (the pack needs about "
            f"{sum(t.numel() * t.element_size() for t in tensors.values()) / 1e6:.0f} MB) or choose "
            "another folder by ALEXNET_EDU_DATA, and run the same command again."
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def load_pack(path: Path) -> ImageSet:
    """Reads a pack written by `save_pack`.

    Raises DataError when the file is missing, cut short, or not such a pack.
    """
    try:
        with safe_open(path, framework="pt") as pack:
            metadata = pack.metadata() or {}
            if metadata.get("format") != PACK_FORMAT:
                raise DataError(
                    f"{path} is not an image pack of this version (format {metadata.get('format')!r}, "
                    f"expected {PACK_FORMAT!r}). Delete it and import the images again."
                )
            classes = tuple(json.loads(metadata["classes"]))
            synthetic = json.loads(metadata["synthetic"])
            train, test = (
                Images(
                    pack.get_tensor(f"{split}.pixels"),
                    pack.get_tensor(f"{split}.labels"),
                    classes,
                    metadata["source"],
                    synthetic,
                )
                for split in ("train", "test")
            )
    except FileNotFoundError as error:
        raise DataError(f"There is no image pack at {path}.") from error
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise DataError(
            f"{path} is damaged or was cut short ({error}). Delete it and make it again with "
            "`alexnet-edu data cifar10` or `alexnet-edu data import PATH`."
        ) from error
    return ImageSet(train, test)
