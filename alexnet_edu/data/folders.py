"""A folder or zip of class folders -> an `ImageSet`, and a report of all that was odd.

Layouts: `train/<class>/…` with `test/<class>/…` (or `val/`), or `<class>/…` alone, or
either of them inside one more folder. Without a test split one is made: a seeded share
of each class. Files are taken in the order of class name, then file name, so the same
files give the same tensors everywhere. What cannot be read is listed, never guessed at.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from alexnet_edu.data.decode import SHOWN, Files, UnreadableFile, open_files, some
from alexnet_edu.data.images import Images, ImageSet
from alexnet_edu.data.layout import Classes, find_layout
from alexnet_edu.data.pixels import decode, fit_to_square
from alexnet_edu.files import DataError

CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
CIFAR10_COUNTS = (50_000, 10_000)
TEST_SHARE = 1 / 6  # what CIFAR-10 has
MAX_PACK_BYTES = 16_000_000_000

Problem = tuple[str, str]


@dataclass(frozen=True)
class ImportReport:
    """What an import gave.

    images: the result; kept = len(train) + len(test).
    skipped: number of files in class folders that gave no image.
    problems: (file, why) for everything left out, in order of name; may be longer than
        `skipped`, since entries of a zip that are never looked into are here too.
    changes: how many images were changed on the way, by what ("greyscale", "resized", …).
    notes: what was decided for the user, in sentences.
    seconds: wall clock.
    """

    images: ImageSet
    kept: int
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
            f"{self.kept:,} images in {len(train.classes)} classes, {size} pixels: {len(train):,} to train, "
            f"{len(test):,} to test ({self.seconds:.1f} s). Source: {self.images.source}."
        ]
        lines.extend(self.notes)
        if self.changes:
            parts = ", ".join(f"{what}: {count:,}" for what, count in sorted(self.changes.items()))
            lines.append(f"Converted on the way: {parts}.")
        if self.problems:
            lines.append(_listing(f"Left out ({len(self.problems):,}):", self.problems))
        return "\n".join(lines)


@dataclass
class _Pile:
    """Decoded images of one split, in the order of class and file."""

    pixels: Tensor
    labels: Tensor


@dataclass
class _Tally:
    """What is gathered while decoding."""

    problems: list[Problem] = field(default_factory=list)
    changes: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    skipped: int = 0


def import_images(
    path: Path,
    *,
    size: int | None = 32,
    seed: int = 0,
    test_share: float = TEST_SHARE,
    progress: bool = True,
) -> ImportReport:
    """Reads all images of a folder or zip into memory.

    size: height and width of the result, 8–1024 pixels; other images are cut to the square
        in their middle and resized. None: keep the size, which all must then share.
    seed, test_share: for the split that is made where the files have none; the share
        (0–1, both ends out) is rounded within each class, to at least one image.
    progress: a bar on stderr.

    Raises DataError, with names and counts, where nothing useful can be made: no such
    path, no images, a damaged zip or a bomb, classes that differ between the splits.
    """
    if size is not None and not 8 <= size <= 1024:
        raise DataError(f"--size must be 8 to 1024 pixels, got {size}.")
    if not 0 < test_share < 1:
        raise DataError(f"The share of test images must lie between 0 and 1, got {test_share}.")
    started = time.perf_counter()
    files = open_files(Path(path))
    try:
        tally = _Tally(problems=list(files.problems))
        try:
            train, test = find_layout(files, tally.notes)
        except DataError as error:
            if not files.problems:
                raise
            raise DataError(_listing(f"{error} Left out:", files.problems)) from error
        _check_memory(files.label, train, test, size)
        images = _read_splits(files, train, test, size, (seed, test_share), tally, progress)
    finally:
        files.close()
    return ImportReport(
        images=images,
        kept=len(images.train) + len(images.test),
        skipped=tally.skipped,
        problems=tuple(sorted(tally.problems)),
        changes=dict(tally.changes),
        notes=tuple(tally.notes),
        seconds=time.perf_counter() - started,
    )


def _check_memory(label: str, train: Classes, test: Classes | None, size: int | None) -> None:
    count = sum(len(names) for split in (train, test or {}) for names in split.values())
    if size is None:  # as many pixels as the first image has: `_Reader.pile` looks then
        return
    need = count * 3 * size**2
    if need > MAX_PACK_BYTES:
        raise DataError(
            f"{label} holds {count:,} files; at {size} × {size} pixels they would take {need / 1e9:.0f} "
            f"GB of memory, more than the {MAX_PACK_BYTES / 1e9:.0f} GB allowed. Choose a smaller --size."
        )


# --- reading ---------------------------------------------------------------------------------


def _read_splits(
    files: Files,
    train: Classes,
    test: Classes | None,
    size: int | None,
    split: tuple[int, float],
    tally: _Tally,
    progress: bool,
) -> ImageSet:
    """Decodes everything and puts the two splits together."""
    names = tuple(train)
    reader = _Reader(files, size, tally)
    total = sum(len(n) for s in (train, test or {}) for n in s.values())
    with tqdm(total=total, unit="image", disable=not progress, leave=False) as bar:
        train_pile = reader.pile(train, bar)
        test_pile = reader.pile(test, bar) if test is not None else None
    reader.check_sizes()
    if len(train_pile.labels) == 0:
        raise DataError(
            _listing(
                f"No image in {files.label} could be used; {tally.skipped:,} files were tried:",
                tally.problems,
            )
        )
    if test_pile is None:
        train_pile, test_pile = _split(train_pile, *split, tally.notes)
    return _assemble(files, names, train_pile, test_pile, tally)


class _Reader:
    """Decodes the files of one source, one split after the other."""

    def __init__(self, files: Files, size: int | None, tally: _Tally) -> None:
        self.files = files
        self.size = size
        self.tally = tally
        self.shapes: Counter[tuple[int, int]] = Counter()  # (height, width), only for size=None

    def pile(self, classes: Classes, bar: tqdm[Any]) -> _Pile:
        """All images of one split that can be decoded."""
        count = sum(len(names) for names in classes.values())
        pixels = torch.empty(0, 3, 0, 0, dtype=torch.uint8)
        labels = torch.empty(count, dtype=torch.int64)
        kept = 0
        for label, names in enumerate(classes.values()):
            for name in names:
                bar.update()
                image = self._image(name)
                if image is None:
                    continue
                if kept == 0:  # only now is the size known
                    self._check_memory(name, image, count)
                    pixels = torch.empty(count, *image.shape, dtype=torch.uint8)
                if image.shape == pixels.shape[1:]:
                    pixels[kept], labels[kept] = image, label
                    kept += 1
        return _Pile(pixels[:kept], labels[:kept])

    def _check_memory(self, name: str, image: Tensor, count: int) -> None:
        need = count * image.numel()
        if need > MAX_PACK_BYTES:
            width, height = image.shape[2], image.shape[1]
            raise DataError(
                f"{self.files.label}: {name} has {width:,} × {height:,} pixels; {count:,} files of that size "
                f"would take {need / 1e9:.0f} GB of memory, more than the {MAX_PACK_BYTES / 1e9:.0f} GB "
                "allowed. Choose a --size."
            )

    def _image(self, name: str) -> Tensor | None:
        """(3, H, W) uint8, or None with the reason noted."""
        try:
            decoded = decode(self.files.read(name))
        except UnreadableFile as error:
            self.tally.problems.append((name, str(error)))
            self.tally.skipped += 1
            return None
        self.tally.changes.update(decoded.changes)
        pixels = decoded.pixels
        height, width = pixels.shape[1:]
        if self.size is None:
            self.shapes[height, width] += 1
        elif (height, width) != (self.size, self.size):
            self.tally.changes[f"resized to {self.size} × {self.size}"] += 1
            pixels = fit_to_square(pixels, self.size)
        return pixels

    def check_sizes(self) -> None:
        """With size=None all images must be one square size."""
        if not self.shapes:
            return
        if len(self.shapes) > 1 or any(h != w for h, w in self.shapes):
            sizes = [f"{h} × {w} ({n:,} images)" for (h, w), n in self.shapes.most_common()]
            raise DataError(
                f"The images of {self.files.label} are not all squares of one size: {some(sizes)}. "
                "Choose one with --size, for instance --size 32."
            )


def _split(pile: _Pile, seed: int, share: float, notes: list[str]) -> tuple[_Pile, _Pile]:
    """Takes a random share of each class for testing; a class of one image keeps it."""
    generator = torch.Generator().manual_seed(seed)
    for_test = torch.zeros(len(pile.labels), dtype=torch.bool)
    for label in pile.labels.unique():
        members = (pile.labels == label).nonzero()[:, 0]
        count = min(max(1, round(share * len(members))), len(members) - 1)
        for_test[members[torch.randperm(len(members), generator=generator)[:count]]] = True
    notes.append(
        f"No test split was found: made one, stratified, seed {seed}, {int(for_test.sum()):,} of "
        f"{len(for_test):,} images ({for_test.double().mean():.0%})."
    )
    return (
        _Pile(pile.pixels[~for_test], pile.labels[~for_test]),
        _Pile(pile.pixels[for_test], pile.labels[for_test]),
    )


def _assemble(files: Files, names: tuple[str, ...], train: _Pile, test: _Pile, tally: _Tally) -> ImageSet:
    """Drops classes that nothing can be learned about, and names the source."""
    counts = torch.bincount(train.labels, minlength=len(names))
    tests = torch.bincount(test.labels, minlength=len(names))
    rows = list(zip(names, counts.tolist(), tests.tolist(), strict=True))
    classes = tuple(name for name, count, _ in rows if count > 0)
    gone = [f"{name} (and its {n:,} test images)" for name, c, n in rows if c == 0]
    untested = [name for name, c, n in rows if c > 0 and n == 0]
    if gone:
        tally.notes.append(f"Classes without a usable training image are left out: {some(gone)}.")
    if untested:
        tally.notes.append(f"Classes without a usable test image: {some(untested)}.")
    if len(classes) < 2:
        raise DataError(
            _listing(
                f"{files.label} has usable training images in one class only ({classes[0]!r}); at least two "
                "are needed." + (" Left out:" if tally.problems else ""),
                tally.problems,
            )
        )
    renumber = (counts > 0).cumsum(0) - 1
    test_kept = counts[test.labels] > 0
    pixels, labels = test.pixels[test_kept], renumber[test.labels[test_kept]]
    if len(labels) == 0:
        pixels = pixels.reshape(0, *train.pixels.shape[1:])
    source = _source(files, classes, (len(train.labels), len(labels)))
    return ImageSet(
        Images(train.pixels, renumber[train.labels], classes, source),
        Images(pixels, labels, classes, source),
    )


def _source(files: Files, classes: tuple[str, ...], counts: tuple[int, int]) -> str:
    if classes != CIFAR10_CLASSES or counts != CIFAR10_COUNTS:
        return f"images imported from {files.label}"
    jpeg = all(name.lower().endswith((".jpg", ".jpeg")) for name in files.names)
    return f"CIFAR-10, imported from {files.label}" + (" (JPEG)" if jpeg else "")


# --- words -------------------------------------------------------------------------------------


def _listing(head: str, problems: Iterable[Problem]) -> str:
    """`head`, then one line per kind of fault with the first few of its files.

    Faults that differ only in what stands in brackets ("… (51 bytes not processed)") are
    one kind.
    """
    kinds: defaultdict[str, list[Problem]] = defaultdict(list)
    for name, why in problems:
        kinds[why.split(" (")[0]].append((name, why))
    lines = [head]
    for kind, found in list(kinds.items())[:SHOWN]:
        reasons = {why for _, why in found}
        count = f" ({len(found):,} files)" if len(found) > 1 else ""
        said = reasons.pop() if len(reasons) == 1 else kind
        lines.append(f"  {said}: {some(sorted(name for name, _ in found))}{count}")
    if len(kinds) > SHOWN:
        lines.append(f"  and {len(kinds) - SHOWN:,} more kinds of fault")
    return "\n".join(lines)
