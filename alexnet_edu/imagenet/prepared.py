"""The prepared ImageNet: 256 × 256 images in a few large files, read where they lie.

`alexnet-edu data imagenet` writes such a folder once; this module opens it. A shard is mapped
into memory and not read: an image is fetched from the disk when it is decoded, and the operating
system keeps what fits.

manifest.json            what is there, with sizes and checksums; written last
train-NNNNN.safetensors  shards: "bytes" (total,) uint8, JPEGs one after the other, "offsets" (n + 1,),
                         "labels" (n,) int64
statistics.safetensors   "mean_image" (3, side, side) float32, "color_mean" (3,), "eigenvalues" (3,),
                         "eigenvectors" (3, 3) float64, as columns
report.json              what became of each image that was changed or left out
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from tqdm.auto import tqdm

from alexnet_edu.data.augment import ColorPCA
from alexnet_edu.data.decode import JPEG_ERRORS
from alexnet_edu.files import DataError, PermissionDenied, checked, read_head, read_json, unreadable

FORMAT = "alexnet-edu-imagenet-1"
MANIFEST, REPORT, STATISTICS = "manifest.json", "report.json", "statistics.safetensors"
STATISTICS_NAMES = ("mean_image", "color_mean", "eigenvalues", "eigenvectors")
AGAIN = "delete it, and the same preparation makes it anew."
MAKE_IT = "`alexnet-edu data imagenet --from PATH --to PATH` makes one"


@dataclass(frozen=True)
class Shard:
    """The images of one file. bytes: (total,) uint8, not yet read; offsets: (n + 1,); labels: (n,) int64."""

    path: Path
    bytes: np.ndarray[Any, np.dtype[np.uint8]]
    offsets: list[int]
    labels: Tensor

    def name_of(self, place: int) -> str:
        """What the metadata calls an image; only read when something is wrong, or shown."""
        try:
            return str(json.loads(read_head(self.path)["__metadata__"]["names"])[place])
        except (ValueError, LookupError):
            return "its name cannot be read"


class Split:
    """The images of "train" or "val", in the order of the prepared folder.

    labels: (N,) int64, places in the sorted list of classes.
    """

    def __init__(self, name: str, shards: list[Shard], side: int) -> None:
        self.name, self.side = name, side
        self._shards = shards
        self._ends = list(accumulate(len(shard.labels) for shard in shards))
        self.labels = torch.cat([s.labels for s in shards]) if shards else torch.empty(0, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.labels)

    def decode_into(self, index: int, out: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
        """Writes image `index` to `out`, (side, side, 3) uint8, RGB, row by row.

        Raises DataError, with the file and the image's name, where it is damaged.
        """
        shard, place = self._place(index)
        data = shard.bytes[shard.offsets[place] : shard.offsets[place + 1]]
        try:
            height, width, *_ = simplejpeg.decode_jpeg_header(data)
            if (height, width) != out.shape[:2]:
                raise ValueError(f"it is {width} × {height} pixels, not {out.shape[1]} × {out.shape[0]}")
            simplejpeg.decode_jpeg(data, "RGB", buffer=out.reshape(-1))  # no copy of either
        except JPEG_ERRORS as error:  # a wrong size, too
            raise DataError(
                f"image {place} of {shard.path} ({shard.name_of(place)}) is damaged: {error}. "
                "`alexnet-edu data imagenet --verify --to FOLDER` checks all files."
            ) from error

    def decode(self, index: int) -> Tensor:
        """(3, side, side) uint8: image `index`."""
        out = np.empty((self.side, self.side, 3), dtype=np.uint8)
        self.decode_into(index, out)
        return torch.from_numpy(out).permute(2, 0, 1)

    def _place(self, index: int) -> tuple[Shard, int]:
        """The shard of an image, and its place in there."""
        number = bisect_right(self._ends, index)
        return self._shards[number], index - (self._ends[number - 1] if number else 0)


@dataclass(frozen=True)
class PreparedSet:
    """An opened folder.

    wnids, names: of the classes, in the order of the labels. mean_image: (3, side, side) float32,
    0–255, of the training images. colors: their principal colours. manifest: as it is written.
    """

    root: Path
    wnids: tuple[str, ...]
    names: tuple[str, ...]
    side: int
    splits: dict[str, Split]
    mean_image: Tensor
    colors: ColorPCA
    manifest: dict[str, Any]

    def split(self, name: str) -> Split:
        """Its images of that name. Raises DataError where there are none."""
        split = self.splits.get(name)
        if split is None or len(split) == 0:
            there = ", ".join(repr(n) for n, s in self.splits.items() if len(s)) or "none"
            raise DataError(f"{self.root} has no images of the split {name!r}; there are {there}")
        return split

    def has(self, name: str) -> bool:
        """Whether there are images of that name."""
        return len(self.splits.get(name, ())) > 0

    @property
    def fingerprint(self) -> str:
        """Of the files that it was made from; the same after the same preparation elsewhere."""
        return str(self.manifest["source"]["fingerprint"])


def open_prepared(root: Path | str) -> PreparedSet:
    """Opens what `alexnet-edu data imagenet` wrote; files are mapped, checksums not computed.

    Raises DataError where there is nothing, the preparation has not ended, or a file is not
    as long as the manifest says.
    """
    root = Path(root).expanduser()
    manifest = _manifest(root)
    side = int(manifest["side"])
    splits = {
        name: Split(name, [_shard(root, entry) for entry in part["shards"]], side)
        for name, part in manifest["splits"].items()
    }
    mean_image, *of_colors = _tensors(root, manifest["statistics"], STATISTICS_NAMES)
    classes = manifest["classes"]
    return PreparedSet(
        root,
        tuple(c["wnid"] for c in classes),
        tuple(c["name"] for c in classes),
        side,
        splits,
        mean_image,
        ColorPCA(*of_colors),
        manifest,
    )


def _manifest(root: Path) -> dict[str, Any]:
    path = root / MANIFEST
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; {MAKE_IT}")
    if not path.exists():
        begun = any(root.glob("*.safetensors*"))
        why = "its preparation has not ended: run the same command again" if begun else MAKE_IT
        raise DataError(f"{root} holds no prepared images (no {MANIFEST}); {why}")
    try:
        manifest = read_json(path, sealed=True)
    except PermissionDenied:
        raise
    except ValueError as error:
        raise DataError(f"{path} is damaged. Run the preparation again: it keeps what is whole.") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DataError(f"{path} is not of the form {FORMAT!r}; {MAKE_IT}")
    return manifest


def _tensors(root: Path, entry: dict[str, Any], names: Sequence[str]) -> list[Tensor]:
    """These tensors of a file of the manifest, mapped. Raises DataError where it is not whole."""
    path = root / entry["file"]
    size = path.stat().st_size if path.exists() else 0
    if size != entry["bytes"]:
        state = f"has {size:,} bytes, not {entry['bytes']:,}" if size else "is not there"
        raise DataError(f"{path} {state}. Run the preparation again: it makes anew what is missing.")
    try:
        with safe_open(path, framework="pt") as file:
            return [file.get_tensor(name) for name in names]
    except OSError as error:
        raise unreadable(path, error) from error
    except SafetensorError as error:
        raise DataError(f"{path} is damaged ({error}). Delete it and run the preparation again.") from error


def _shard(root: Path, entry: dict[str, Any]) -> Shard:
    data, offsets, labels = _tensors(root, entry, ("bytes", "offsets", "labels"))
    return Shard(root / entry["file"], data.numpy(), offsets.tolist(), labels)


def verify(root: Path, *, progress: bool = False) -> list[str]:
    """What is wrong with a prepared folder, in sentences; empty if nothing is.

    Computes every checksum and count again: about a minute for ImageNet on a fast disk.
    """
    root = root.expanduser()
    try:
        manifest = _manifest(root)
        lines = [(name, line) for name, split in manifest["splits"].items() for line in split["shards"]]
        lines.append(("statistics", manifest["statistics"]))
        bar = tqdm(lines, unit="file", desc="verifying", disable=not progress, leave=False)
        problems = [problem for _, line in bar if (problem := _file_problem(root, line))]
        for name, split in manifest["splits"].items():
            counted = sum(line["images"] for part, line in lines if part == name)
            if counted != split["images"]:
                problems.append(f"{MANIFEST} states {split['images']:,} images of {name}, not {counted:,}.")
        report = read_json(root / REPORT)
        for what in ("changed", "left_out"):
            if len(report[what]) != (count := manifest["report"][what]):
                problems.append(f"{REPORT} lists {len(report[what]):,} images as {what}, not {count:,}.")
    except (DataError, KeyError, TypeError, AttributeError) as error:
        return [f"{root / MANIFEST} or {REPORT} is not as it was written ({error}); {AGAIN}"]
    return problems


def _file_problem(root: Path, line: dict[str, Any]) -> str:
    """Checksum of one file, and the number of its images, against the manifest; "" if they agree."""
    path = root / line["file"]
    try:
        written, metadata = checked(path)
    except DataError as error:
        return f"{error}; {AGAIN}"
    as_listed = written.sha256 == line["sha256"]
    if as_listed and "images" in line:
        as_listed = len(json.loads(metadata["names"])) == line["images"]
    return "" if as_listed else f"{path} is not the file that {MANIFEST} lists; {AGAIN}"
