"""ImageNet as people have it -> one sorted list of image files per split, and how to read one.

Either the official tars, read in place, or class folders that someone has unpacked. Both give
the same list in the same order, so both give the same prepared files. Listing opens no image.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from alexnet_edu.data.decode import MAX_FILE_BYTES, UnreadableFile, open_files, some
from alexnet_edu.files import DataError
from alexnet_edu.imagenet.tars import Found, Place, TarListing, flat_tar, tar_of_tars
from alexnet_edu.imagenet.truth import DEVKIT, EXPECTED, find_truth, read_truth, stem

TRAIN_TAR, VAL_TAR = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
INSIDE = ("", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", "CLS-LOC")  # where train/ and val/ may lie
SPLITS = ("train", "val")
OFFICIAL = ("n01440764", "n15075141", 1000)  # first and last wnid, and how many
OFFICIAL_COUNTS = {"train": 1_281_167, "val": 50_000}


class ImageClass(NamedTuple):
    """wnid: the name of the folder or tar. name: in words, for a reader."""

    wnid: str
    name: str


class Entry(NamedTuple):
    """One image file. name: "<wnid>/<file name>", wherever it lies. label: place among the classes."""

    name: str
    label: int
    place: Place


class SourceChanged(DataError):
    """A file is no longer what it was when it was listed: no fault of that image alone."""


@dataclass
class Source:
    """All that is to be prepared.

    label: base name of the folder. folders: where images are looked for.
    splits: "train", and "val" if there is one: files in the order of (wnid, file name).
    problems: (split, name, why) of what is in the source and no file of a class.
    notes: what was decided for the user, in sentences.
    """

    label: str
    folders: list[Path]
    classes: list[ImageClass]
    splits: dict[str, list[Entry]]
    problems: list[tuple[str, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def fingerprint(self) -> str:
        """16 hex digits that change with any class, any file's name, and any file's size."""
        digest = hashlib.sha256()
        for split, entries in self.splits.items():
            digest.update(f"{split}\n".encode())
            for entry in entries:
                digest.update(f"{entry.name}\0{entry.place.size}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()[:16]


def find_source(
    root: Path, truth: Path | None = None, *, tick: Callable[[], object] = lambda: None
) -> Source:
    """Lists the images of a folder that holds the official tars, or train/ and val/, or class folders.

    truth: the classes of validation images that lie in no class folders; None looks for it.
    tick: called once per class of a tar, for a progress bar.
    Raises DataError where there is nothing of that kind, where training and validation differ in
    their classes, and where a tar or a ground truth is damaged.
    """
    root = root.expanduser().resolve()
    if not root.exists():
        raise DataError(
            f"there is nothing at {root}. Give the folder with {TRAIN_TAR} or with train/ and val/."
        )
    if not root.is_dir():
        raise DataError(
            f"{root} is no folder. Give the folder that holds {TRAIN_TAR}, or train/ and val/; a zip must be "
            "unpacked first."
        )
    search = _Search(root, truth, tick)
    try:
        train, val = search.tars() if (root / TRAIN_TAR).exists() else search.class_folders()
    except OSError as error:
        raise DataError(f"{root} cannot be listed: {error}") from error
    wnids = sorted(train)
    if len(wnids) < 2:
        raise DataError(f"{root} has training images of {len(wnids)} class ({some(wnids)}); two are needed.")
    splits = {"train": _entries(train, wnids)}
    if val is not None:
        _check_same_classes(root, train, val)
        splits["val"] = _entries(val, wnids)
    classes = [ImageClass(w, n) for w, n in zip(wnids, class_names(wnids), strict=True)]
    notes = search.notes + _unusual_counts(wnids, splits)
    return Source(root.name, search.folders, classes, splits, search.problems, notes)


def class_names(wnids: Sequence[str]) -> list[str]:
    """Names in words for exactly the 1,000 classes of ILSVRC 2012; otherwise the wnids themselves.

    torchvision names them in the order of the sorted wnids but does not say these: first, last
    and number are what can be compared.
    """
    if not _is_official(wnids):
        return list(wnids)
    from torchvision.models import AlexNet_Weights  # type: ignore[import-untyped]

    return list(AlexNet_Weights.IMAGENET1K_V1.meta["categories"])


def _is_official(wnids: Sequence[str]) -> bool:
    ends = (wnids[0], wnids[-1], len(wnids))
    return ends == OFFICIAL and all(re.fullmatch(r"n\d{8}", wnid) for wnid in wnids)


def read_entry(entry: Entry) -> bytes:
    """The bytes of an image file.

    Raises UnreadableFile where this one cannot be had, and SourceChanged where the file is gone
    or has another size than when it was listed: then the next one will not fare better.
    """
    path, offset, size = entry.place
    if size > MAX_FILE_BYTES:
        raise UnreadableFile(
            f"holds {size / 1e6:,.0f} MB, more than the {MAX_FILE_BYTES / 1e6:,.0f} MB allowed"
        )
    if size < 0:
        raise UnreadableFile("is no regular file, or a link to nothing")
    try:
        with Path(path).open("rb", buffering=0) as file:
            file.seek(max(0, offset))
            data = file.read(size if offset >= 0 else size + 1)
    except FileNotFoundError as error:
        raise SourceChanged(f"{path} was there when it was listed and is gone. {_AGAIN}") from error
    except OSError as error:
        raise UnreadableFile(f"cannot be read: {error.strerror or error}") from error
    if len(data) != size:
        raise SourceChanged(f"{path} no longer has the bytes of {entry.name} that were listed. {_AGAIN}")
    return data


_AGAIN = "Is the disk still there? Once it is, the same command goes on."


# --- looking ------------------------------------------------------------------------------


class _Search:
    """Looks through one folder; keeps what was odd."""

    def __init__(self, root: Path, truth: Path | None, tick: Callable[[], object]) -> None:
        self.root, self.truth, self.tick = root, truth, tick
        self.folders: list[Path] = []
        self.problems: list[tuple[str, str, str]] = []
        self.notes: list[str] = []

    def tars(self) -> tuple[dict[str, Found], dict[str, Found] | None]:
        listing = TarListing()
        train = tar_of_tars(self.root / TRAIN_TAR, listing, self.tick)
        self._keep("train", listing)
        if not (self.root / VAL_TAR).exists():
            self.notes.append(
                f"There is no {VAL_TAR} in {self.root.name}: training images alone are prepared."
            )
            return train, None
        listing = TarListing()
        images = flat_tar(self.root / VAL_TAR, listing)
        self._keep("val", listing)
        return train, self._by_truth(images, sorted(train), [self.root])

    def _keep(self, split: str, listing: TarListing) -> None:
        self.problems.extend((split, name, why) for name, why in listing.problems)
        self.notes.extend(listing.notes)

    def class_folders(self) -> tuple[dict[str, Found], dict[str, Found] | None]:
        around = next((p for i in INSIDE if (p := self.root / i).joinpath("train").is_dir()), None)
        if around is None:
            self._refuse_halves()
            train, loose = self._folders(self.root)
            self._list_loose("train", loose)
            self.notes.append(
                f"{self.root.name} holds class folders and no train/: all of them are taken for training; "
                "there are no validation images."
            )
            return train, None
        train, loose = self._folders(around / "train")
        self._list_loose("train", loose)
        if not (around / "val").is_dir():
            self.notes.append(f"There is no val/ beside train/ in {self.root.name}: no validation images.")
            return train, None
        val, loose = self._folders(around / "val")
        if val:
            self._list_loose("val", loose)
            return train, val
        return train, self._by_truth(loose, sorted(train), [around / "val", around, self.root])

    def _refuse_halves(self) -> None:
        for name, missing in ((VAL_TAR, TRAIN_TAR), ("val", "train/")):
            if (self.root / name).exists():
                raise DataError(f"{self.root} holds {name} but no {missing}: there is nothing to train on.")

    def _folders(self, path: Path) -> tuple[dict[str, Found], Found]:
        """class -> its files, and the files that lie in no class folder."""
        self.folders.append(path)
        classes: defaultdict[str, Found] = defaultdict(list)
        loose: Found = []
        listed = open_files(path)
        for name in listed.names:
            wnid, _, inside = name.partition("/")
            place = Place(str(path / name), -1, _size(path / name))
            (classes[wnid] if inside else loose).append((inside or name, place))
        if empty := sorted({f.split("/")[0] for f in listed.folders} - set(classes)):
            self.notes.append(f"Folders without files are no classes: {path.name}/ {some(empty)}.")
        if not classes and not loose:
            raise DataError(f"{path} holds no files. Expected is one folder of images per class.")
        return dict(classes), loose

    def _list_loose(self, split: str, loose: Found) -> None:
        self.problems.extend((split, name, "lies in no class folder") for name, _ in loose)

    def _by_truth(self, images: Found, wnids: Sequence[str], near: Sequence[Path]) -> dict[str, Found]:
        path = self.truth or find_truth(near)
        if path is None:
            raise DataError(
                f"the validation images in {self.root} lie in no class folders, and there is no ground truth "
                f"beside them. Put {DEVKIT}.tar.gz there, or name one by --truth FILE. {EXPECTED}"
            )
        truth = read_truth(path, wnids)
        found: defaultdict[str, Found] = defaultdict(list)
        unknown = []
        images = [(name, place) for name, place in images if place.path != str(path)]
        for name, place in images:
            wnid = truth.wnids.get(stem(name))
            if wnid is None:
                unknown.append(name)
            else:
                found[wnid].append((name, place))
        if not found:
            raise DataError(
                f"the ground truth {path} knows none of the {len(images):,} validation images "
                f"({some(unknown)}). {EXPECTED}"
            )
        self.problems.extend(("val", name, f"is not in the ground truth {truth.label}") for name in unknown)
        known = {stem(name) for name, _ in images}
        if missing := [name for name in truth.wnids if name not in known]:
            self.notes.append(
                f"{truth.label} names {len(missing):,} images that are not there: {some(missing)}."
            )
        return dict(found)


def _size(path: Path) -> int:
    """In bytes; −1 for what is no regular file, so that nothing waits for a pipe."""
    try:
        status = path.stat()
    except OSError:
        return -1
    return status.st_size if stat.S_ISREG(status.st_mode) else -1


def _entries(classes: dict[str, Found], wnids: Sequence[str]) -> list[Entry]:
    return [
        Entry(f"{wnid}/{name}", label, place)
        for label, wnid in enumerate(wnids)
        for name, place in sorted(classes.get(wnid, []))
    ]


def _check_same_classes(root: Path, train: dict[str, Found], val: dict[str, Found]) -> None:
    only = {
        "training": sorted(set(train) - set(val)),
        "validation": sorted(set(val) - set(train)),
    }
    if any(only.values()):
        said = "; ".join(f"only in {split}: {some(wnids)}" for split, wnids in only.items() if wnids)
        raise DataError(
            f"{root}: training and validation do not have the same classes ({len(train):,} and "
            f"{len(val):,}); {said}. Add or remove these, or give a folder without validation images."
        )


def _unusual_counts(wnids: Sequence[str], splits: dict[str, list[Entry]]) -> list[str]:
    if not _is_official(wnids):
        return []
    return [
        f"The {split} split has {len(entries):,} files; ILSVRC 2012 has {OFFICIAL_COUNTS[split]:,}."
        for split, entries in splits.items()
        if len(entries) != OFFICIAL_COUNTS[split]
    ]
