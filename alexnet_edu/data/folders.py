"""A folder or archive of class folders -> an `ImageSet`, and a report of all that was odd.

Without a test split one is made: a seeded share of each class. Files are taken in the order of class name,
then file name, so the same files give the same tensors everywhere. What cannot be read is listed, never
guessed at.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
import torch
from PIL import Image as PilImage
from torch import Tensor
from tqdm.auto import tqdm

from alexnet_edu.data.archives import SHOWN, File, Files, Problem, open_files, some
from alexnet_edu.data.decode import UnreadableFile, decode, fit_to_square, to_tensor
from alexnet_edu.data.images import Images, ImageSet
from alexnet_edu.data.layouts import Classes, find_layout
from alexnet_edu.data.official import SIDE, read_official
from alexnet_edu.files import DataError, replacing
from alexnet_edu.paper import IMAGE_SIDE

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR10_COUNTS = (50_000, 10_000)
TEST_SHARE = 1 / 6  # what CIFAR-10 has
MAX_PACK_BYTES = 16_000_000_000


def check_same_classes(label: str, train: Classes, test: Classes) -> None:
    """Raises DataError, with the classes that only one of the splits has."""
    if train.keys() == test.keys():
        return
    lines = []
    for title, mine, other in (("training", train, test), ("test", test, train)):
        if only := [f"{name} ({len(mine[name]):,} files)" for name in mine if name not in other]:
            lines.append(f"only in the {title} images: {some(only)}")
    raise DataError(
        f"{label}: the splits do not have the same classes; {'; '.join(lines)}. Rename, add or remove "
        "these folders."
    )


# --- import -------------------------------------------------------------------------------


@dataclass(frozen=True)
class ImportReport:
    """What an import gave.

    skipped: number of files in class folders that gave no image.
    problems: (file, why) for everything left out, in order of name; may be longer than
        `skipped`, since entries of a zip that are never looked into are here too.
    changes: how many images were changed on the way, by what ("greyscale", "resized", …).
    notes: what was decided for the user, in sentences.
    seconds: wall clock.
    """

    images: ImageSet
    skipped: int
    problems: tuple[Problem, ...]
    changes: dict[str, int]
    notes: tuple[str, ...]
    seconds: float

    def text(self) -> str:
        """The report for a terminal: several lines, no line break at the end."""
        train, test = self.images.train, self.images.test
        size = " × ".join(str(n) for n in train.pixels.shape[2:])
        lines = [
            f"{len(train) + len(test):,} images in {len(train.classes)} classes, {size} pixels: "
            f"{len(train):,} to train, {len(test):,} to test ({self.seconds:.1f} s). "
            f"Source: {self.images.source}."
        ]
        lines.extend(self.notes)
        if self.changes:
            parts = ", ".join(f"{what}: {count:,}" for what, count in sorted(self.changes.items()))
            lines.append(f"Converted on the way: {parts}.")
        return _with_problems("\n".join(lines), self.problems)


def import_images(path: Path, *, size: int | None = 32, seed: int = 0, progress: bool = True) -> ImportReport:
    """Reads all images of a folder, a zip, a tar, or the official CIFAR-10 into memory.

    size: height and width of the result, 8–1024 pixels; other images are cut to the square
        in their middle and resized. None: keep the size, which all must then share.
    seed: of the split that is made where the files have none: TEST_SHARE of each class, rounded, at
        least one image.
    progress: a bar on stderr.

    Raises DataError, with names and counts, where nothing useful can be made: no such
    path, no images, a damaged zip or a bomb, classes that differ between the splits.
    """
    if size is not None and not 8 <= size <= 1024:
        raise DataError(f"--size must be 8 to 1024 pixels, got {size}.")
    started = time.perf_counter()
    if (official := read_official(Path(path).expanduser())) is not None:
        if size not in (SIDE, None):
            raise DataError(f"{path} has images of {SIDE} × {SIDE} pixels: leave --size {size} away.")
        return ImportReport(official, 0, (), {}, (), time.perf_counter() - started)
    with open_files(Path(path)) as files:
        notes: list[str] = list(files.notes)
        train, test = _splits(files, notes)
        count = sum(len(names) for classes in (train, test or {}) for names in classes.values())
        with tqdm(total=count, unit="image", disable=not progress, leave=False) as bar:
            reader = _Reader(files, size, bar)
            reader.check_memory(count, size or 0, f"{count:,} files")
            read = [reader.read(classes) for classes in (train, test) if classes is not None]
        reader.check_result(read[0])
    if test is None:
        read = _divide(read[0], seed, notes)
    images = _assemble(reader, read[0], read[1], notes)
    problems = tuple(sorted(reader.problems))
    seconds = time.perf_counter() - started
    return ImportReport(images, reader.skipped, problems, dict(reader.changes), tuple(notes), seconds)


def _splits(files: Files, notes: list[str]) -> tuple[Classes, Classes | None]:
    """The classes to train on and those to test on; what is not read goes into the notes."""
    layout = find_layout(files)
    train, test = layout.train, layout.test
    notes += layout.notes
    loose = [file.name for split in (train, test) if split is not None for file in split.loose]
    if loose:
        notes.append(f"Files outside the class folders are not read: {some(loose)}.")
    for folder, count in layout.unused.items():
        notes.append(f"{files.label}: {folder} ({count:,} files) is not read.")
    if test is None or not any(test.classes.values()):
        return train.classes, None
    check_same_classes(files.label, train.classes, test.classes)
    return train.classes, test.classes


class _Reader:
    """Decodes the files of one source, one split after the other."""

    def __init__(self, files: Files, size: int | None, bar: tqdm[Any]) -> None:
        self.files, self.size, self.bar = files, size, bar
        self.problems: list[Problem] = list(files.problems)
        self.changes: Counter[str] = Counter()
        self.shapes: Counter[tuple[int, int]] = Counter()  # (height, width), only for size=None
        self.skipped = 0

    def read(self, classes: Classes) -> Images:
        """All images of one split that can be decoded, in the order of class and file."""
        count = sum(len(files) for files in classes.values())
        pixels = torch.empty(0, 3, 0, 0, dtype=torch.uint8)
        labels = torch.empty(count, dtype=torch.int64)
        kept = 0
        for label, file in ((k, file) for k, files in enumerate(classes.values()) for file in files):
            self.bar.update()
            image = self._image(file)
            if image is None:
                continue
            if kept == 0:  # only now is the size known
                self.check_memory(count, max(image.shape[1:]), f"{count:,} files like {file.name}")
                pixels = torch.empty(count, *image.shape, dtype=torch.uint8)
            if image.shape == pixels.shape[1:]:
                pixels[kept], labels[kept] = image, label
                kept += 1
        return Images(pixels[:kept], labels[:kept], tuple(classes), self.files.label)

    def _image(self, file: File) -> Tensor | None:
        """(3, H, W) uint8, or None with the reason noted."""
        try:
            decoded = decode(self.files.read(file))
        except UnreadableFile as error:
            self.problems.append((file.name, str(error)))
            self.skipped += 1
            return None
        self.changes.update(decoded.changes)
        image = to_tensor(decoded.pixels)
        height, width = image.shape[1:]
        if self.size is None:
            self.shapes[height, width] += 1
            return image
        if (height, width) != (self.size, self.size):
            self.changes[f"resized to {self.size} × {self.size}"] += 1
        return fit_to_square(image, self.size)

    def check_memory(self, count: int, side: int, what: str) -> None:
        """Raises DataError where so many images of a side would take too much memory."""
        need = count * 3 * side**2
        if need > MAX_PACK_BYTES:
            raise DataError(
                f"{self.files.label}: {what} would take {need / 1e9:.0f} GB of memory at {side:,} × {side:,} "
                f"pixels, more than the {MAX_PACK_BYTES / 1e9:.0f} GB allowed. Choose a smaller --size."
            )

    def check_result(self, train: Images) -> None:
        """Raises DataError where no image was read, or, with size=None, not all are one square size."""
        if len(self.shapes) > 1 or any(h != w for h, w in self.shapes):
            sizes = [f"{h} × {w} ({n:,} images)" for (h, w), n in self.shapes.most_common()]
            raise DataError(
                f"The images of {self.files.label} are not all squares of one size: {some(sizes)}. "
                "Choose one with --size, for instance --size 32."
            )
        if len(train) == 0:
            head = f"No image in {self.files.label} could be used; {self.skipped:,} files were tried."
            raise DataError(_with_problems(head, self.problems))


def held_out(labels: Tensor, share: float, seed: int) -> Tensor:
    """Which images a random share of each class is, rounded, at least one; a class of one image keeps it.

    labels: (N,) int64. Returns (N,) bool.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for members in labels.argsort(stable=True).split(torch.bincount(labels).tolist()):
        count = min(max(1, round(share * len(members))), len(members) - 1)
        if count > 0:
            chosen[members[torch.randperm(len(members), generator=generator)[:count]]] = True
    return chosen


def _divide(images: Images, seed: int, notes: list[str]) -> list[Images]:
    """Takes a share of each class for testing."""
    for_test = held_out(images.labels, TEST_SHARE, seed)
    notes.append(
        f"No test split was found: made one, stratified, seed {seed}, {int(for_test.sum()):,} of "
        f"{len(for_test):,} images ({for_test.double().mean():.0%})."
    )
    return [images.subset(~for_test), images.subset(for_test)]


def _assemble(reader: _Reader, train: Images, test: Images, notes: list[str]) -> ImageSet:
    """Drops classes that nothing can be learned about, and names the source."""
    names = train.classes
    counts = torch.bincount(train.labels, minlength=len(names))
    tests = torch.bincount(test.labels, minlength=len(names))
    rows = list(zip(names, counts.tolist(), tests.tolist(), strict=True))
    classes = tuple(name for name, count, _ in rows if count > 0)
    if gone := [f"{name} (and its {n:,} test images)" for name, c, n in rows if c == 0]:
        notes.append(f"Classes without a usable training image are left out: {some(gone)}.")
    if untested := [name for name, c, n in rows if c > 0 and n == 0]:
        notes.append(f"Classes without a usable test image: {some(untested)}.")
    if len(classes) < 2:
        head = (
            f"{reader.files.label} has usable training images in one class only ({classes[0]!r}); at least "
            "two are needed."
        )
        raise DataError(_with_problems(head, reader.problems))
    renumber = (counts > 0).cumsum(0) - 1
    test = test.subset(counts[test.labels] > 0)
    pixels = test.pixels.reshape(-1, *train.pixels.shape[1:])  # no image has no size of its own
    source = _source(reader.files, classes, (len(train), len(test)))
    return ImageSet(
        Images(train.pixels, renumber[train.labels], classes, source),
        Images(pixels, renumber[test.labels], classes, source),
    )


def _source(files: Files, classes: tuple[str, ...], counts: tuple[int, int]) -> str:
    if classes != CIFAR10_CLASSES or counts != CIFAR10_COUNTS:
        return f"images imported from {files.label}"
    jpeg = all(file.name.lower().endswith((".jpg", ".jpeg")) for file in files.files)
    return f"CIFAR-10, imported from {files.label}" + (" (JPEG)" if jpeg else "")


def _with_problems(text: str, problems: Sequence[Problem]) -> str:
    """`text`, then what was left out: one line per kind of fault with the first few of its files.

    Faults that differ only in what stands in brackets ("… (51 bytes not processed)") are
    one kind.
    """
    if not problems:
        return text
    kinds: defaultdict[str, list[Problem]] = defaultdict(list)
    for name, why in problems:
        kinds[why.split(" (")[0]].append((name, why))
    lines = [text, f"Left out ({len(problems):,}):"]
    for kind, listed in list(kinds.items())[:SHOWN]:
        reasons = {why for _, why in listed}
        count = f" ({len(listed):,} files)" if len(listed) > 1 else ""
        reason = reasons.pop() if len(reasons) == 1 else kind
        lines.append(f"  {reason}: {some(sorted(name for name, _ in listed))}{count}")
    if len(kinds) > SHOWN:
        lines.append(f"  and {len(kinds) - SHOWN:,} more kinds of fault")
    return "\n".join(lines)


# --- the other way ------------------------------------------------------------------------


def write_class_folders(images: ImageSet, root: Path, *, train: int, val: int) -> Path:
    """Writes the first `train` and `val` images of each class as ImageNet comes; returns `root`.

    They stand in for ImageNet where a preparation and a training are to be tried: train/<class>/*.JPEG
    and val/<class>/*.JPEG of 256 × 256 pixels. They are not ImageNet: small pictures enlarged stay what
    they were.

    train, val: images of each class, from the two splits. The classes get names such as n00000003, in
    their order. Files that are there already are kept, so it may be killed and called again. Raises
    ValueError where a split has too few images of a class.
    """
    for name, split, count in (("train", images.train, train), ("val", images.test, val)):
        for label, title in enumerate(split.classes):
            places = (split.labels == label).nonzero().flatten().tolist()
            if not 1 <= count <= len(places):
                raise ValueError(f"{name}={count!r}, but there are {len(places)} images of {title!r}")
            wnid = f"n{label:08d}"
            for place in places[:count]:
                _write_enlarged(split.pixels[place], root / name / wnid / f"{wnid}_{place}.JPEG")
    return root


def _write_enlarged(pixels: Tensor, path: Path) -> None:
    if path.exists():
        return
    small = PilImage.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    large = small.resize((IMAGE_SIDE, IMAGE_SIDE), PilImage.Resampling.BICUBIC)
    with replacing(path) as partial:
        partial.write_bytes(simplejpeg.encode_jpeg(np.asarray(large), 90))
