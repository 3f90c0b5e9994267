"""The official CIFAR-10 and CIFAR-100 -> an `ImageSet`: from their archive or the folder that it unpacks to.

A batch of the Python version is a pickle, which could run any program: it is loaded only where its MD5 is
the published one. The binary version is plain bytes.
"""

from __future__ import annotations

import hashlib
import itertools
import pickle
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from alexnet_edu.data.archives import FETCH_AGAIN, some
from alexnet_edu.data.images import Images, ImageSet
from alexnet_edu.files import DataError

SIDE = 32
BINARY = ([f"data_batch_{i}.bin" for i in range(1, 6)], ["test_batch.bin"])
BINARY_META = "batches.meta.txt"
PLACES = ("cifar-10-batches-py", "cifar-10-batches-bin", "cifar-100-python")  # in the folder that is given
ARCHIVES = ("cifar-10-python.tar.gz", "cifar-10-binary.tar.gz", "cifar-100-python.tar.gz")
FIRST_MEMBERS = 16  # of an archive; the official ones have fewer
MAX_BYTES = 2**28  # of one member; the largest has 155 MB


def read_official(path: Path) -> ImageSet | None:
    """The official images, if `path` is their archive, their folder, or a folder with one of these in it.

    Returns None for anything else. Raises DataError where a file of theirs is missing or has changed.
    """
    for place in (path, *(path / name for name in PLACES + ARCHIVES)):
        contents = _contents(place)
        for name, kind in _kinds().items() if contents else ():
            if len(contents.keys() & {kind.meta["filename"], *(n for n, _ in kind.train_list)}) > 1:
                return _pickled(name, kind, contents, place)
        if contents.keys() >= {BINARY[0][0], BINARY_META}:
            return _binary(contents, place)
    return None


def _kinds() -> dict[str, Any]:
    """torchvision's classes, which know the names and hashes of the files; importing them takes seconds."""
    from torchvision.datasets import CIFAR10, CIFAR100  # type: ignore[import-untyped]

    return {"CIFAR-10": CIFAR10, "CIFAR-100": CIFAR100}


def _contents(path: Path) -> dict[str, bytes]:
    """Base name -> bytes of the files that may be theirs; empty for what is no folder and no tar."""
    packed = path.is_file() and path.suffix in (".gz", ".tgz", ".tar")
    if not packed and not path.is_dir():
        return {}
    kinds = _kinds().values()
    wanted = {name for kind in kinds for name, _ in (*kind.train_list, *kind.test_list)}
    wanted |= {kind.meta["filename"] for kind in kinds} | {*BINARY[0], *BINARY[1], BINARY_META}
    if path.is_dir():
        return {name: (path / name).read_bytes() for name in wanted if (path / name).is_file()}
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as archive:
            for member in itertools.islice(archive, FIRST_MEMBERS):
                name = member.name.rpartition("/")[2]
                if member.size > MAX_BYTES:
                    break  # another archive
                if name in wanted and (file := archive.extractfile(member)) is not None:
                    contents[name] = b""
                    contents[name] = file.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        if contents:
            raise DataError(f"{path} cannot be read to its end ({error}). {FETCH_AGAIN}") from error
    return contents


def _pickled(name: str, kind: Any, contents: dict[str, bytes], path: Path) -> ImageSet:
    lists = (kind.train_list, kind.test_list)
    hashes = {
        file: md5 for files in (*lists, [[kind.meta["filename"], kind.meta["md5"]]]) for file, md5 in files
    }
    _check_all_there(hashes.keys() - contents.keys(), path)
    if wrong := [
        n for n, md5 in hashes.items() if hashlib.md5(contents[n], usedforsecurity=False).hexdigest() != md5
    ]:
        raise DataError(f"{path}: {some(wrong)} is not the official file: its MD5 is another. {FETCH_AGAIN}")
    classes = pickle.loads(contents[kind.meta["filename"]], encoding="latin1")[kind.meta["key"]]
    splits = []
    for files in lists:
        batches = [pickle.loads(contents[file], encoding="latin1") for file, _ in files]
        labels = [label for batch in batches for label in batch.get("labels") or batch["fine_labels"]]
        splits.append(
            _images(name, np.vstack([batch["data"] for batch in batches]), np.array(labels), classes)
        )
    return ImageSet(*splits)


def _binary(contents: dict[str, bytes], path: Path) -> ImageSet:
    """Each image is a byte for its label, and its red, green and blue values."""
    _check_all_there({*BINARY[0], *BINARY[1]} - contents.keys(), path)
    classes = contents[BINARY_META].decode().split()
    splits = []
    for files in BINARY:
        data = np.frombuffer(b"".join(contents[file] for file in files), dtype=np.uint8)
        length = 1 + 3 * SIDE**2
        if len(data) % length or not len(data) or data[::length].max() >= len(classes):
            raise DataError(f"{path}: {some(files)} are not the official files. {FETCH_AGAIN}")
        rows = data.reshape(-1, length)
        splits.append(_images("CIFAR-10", rows[:, 1:], rows[:, 0], classes))
    return ImageSet(*splits)


def _check_all_there(missing: set[str], path: Path) -> None:
    if missing:
        raise DataError(f"{path} lacks {some(sorted(missing))}. {FETCH_AGAIN}")


def _images(name: str, rows: Any, labels: Any, classes: list[str]) -> Images:
    """rows: (N, 3072) uint8, red, green, blue; labels: (N,)."""
    pixels = torch.from_numpy(np.ascontiguousarray(rows).reshape(-1, 3, SIDE, SIDE))
    return Images(
        pixels, torch.from_numpy(labels.astype(np.int64)), tuple(classes), f"{name}, official batches"
    )
