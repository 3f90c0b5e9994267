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
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from alexnet_edu.files import DataError

PACK_FORMAT = "alexnet-edu-images-1"
STALE_SECONDS = 3600  # no pack takes longer to write: an older partial file is a dead one
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


def save_pack(images: ImageSet, path: Path, notes: dict[str, str] | None = None) -> None:
    """Writes `images` to `path` so that the file is either whole or not there.

    The bytes go to a file beside it, which takes the name of the pack only when all of
    them are on the disk. What a killed process left behind is removed an hour later.

    notes: further strings to keep beside the images (how they were made).
    Raises DataError when the disk is full or the folder cannot be written.
    """
    tensors = {
        "train.pixels": _own(images.train.pixels),
        "train.labels": _own(images.train.labels),
        "test.pixels": _own(images.test.pixels),
        "test.labels": _own(images.test.labels),
    }
    metadata = {
        **(notes or {}),
        "format": PACK_FORMAT,
        "classes": json.dumps(images.train.classes),
        "source": images.source,
        "synthetic": json.dumps(images.synthetic),
        "train_fingerprint": images.train.fingerprint(),
        "test_fingerprint": images.test.fingerprint(),
    }
    partial = path.with_name(path.name + f".partial-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(path)
        save_file(tensors, partial, metadata)
        with partial.open("rb+") as written:
            os.fsync(written.fileno())
        partial.chmod(0o644)  # safetensors makes it private; a class may share one data folder
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"Could not write {path}: {error}. Free some space (the pack needs about "
            f"{sum(t.nbytes for t in tensors.values()) / 1e6:.0f} MB) or choose another folder by "
            "ALEXNET_EDU_DATA, and run the same command again. Nothing half-written was kept."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _own(tensor: Tensor) -> Tensor:
    """The tensor alone in its memory, as safetensors wants it; copied only if it is not."""
    if tensor.untyped_storage().nbytes() == tensor.nbytes:
        return tensor.contiguous()
    return tensor.clone(memory_format=torch.contiguous_format)


def _remove_stale(path: Path) -> None:
    for partial in partial_files(path):
        if time.time() - partial.stat().st_mtime > STALE_SECONDS:
            partial.unlink(missing_ok=True)


def partial_files(path: Path) -> list[Path]:
    """What interrupted writes of the pack at `path` have left behind."""
    return sorted(path.parent.glob(path.name + ".partial-*"))


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


def load_pack(path: Path, *, verify: bool = True) -> ImageSet:
    """Reads a pack written by `save_pack`.

    verify: compare the hashes too, so that a single changed byte is found (for CIFAR-10
        about 0.2 s of the 0.3 s that loading takes).
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
        for name, images in (("train", train), ("test", test)) if verify else ():
            if images.fingerprint() != metadata[f"{name}_fingerprint"]:
                raise DataError(f"{path} has changed since it was written ({name} images). {REMAKE}")
    return ImageSet(train, test)


@contextlib.contextmanager
def _open_pack(path: Path) -> Iterator[Any]:
    """The open pack; all that can be wrong with such a file becomes a DataError."""
    try:
        with safe_open(path, framework="pt") as pack:
            found = (pack.metadata() or {}).get("format")
            if found != PACK_FORMAT:
                raise DataError(
                    f"{path} is not an image pack of this version (format {found!r}, expected "
                    f"{PACK_FORMAT!r}). Delete it and import the images again."
                )
            yield pack
    except FileNotFoundError as error:
        raise DataError(f"There is no image pack at {path}.") from error
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise DataError(f"{path} is damaged or was cut short ({error}). {REMAKE}") from error
