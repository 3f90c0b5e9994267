"""ImageNet as people have it -> one sorted list of image files per split.

Either the official tars, read in place, or class folders that someone has unpacked. Both give the same
list in the same order, so both give the same prepared files. Where all validation images lie in one
folder or tar, their classes stand in the development kit, in Kaggle's table, or in a
text file of `name class` lines. Listing opens no image.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from alexnet_edu.data.archives import File, joined, open_files, some
from alexnet_edu.data.folders import Classes, Split, check_same_classes, find_layout
from alexnet_edu.files import DataError

TRAIN_TAR, VAL_TAR = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
INSIDE = ("", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", "CLS-LOC")  # where train/ and val/ may lie
OFFICIAL = ("n01440764", "n15075141", 1000)  # first and last wnid, and how many
OFFICIAL_COUNTS = {"train": 1_281_167, "val": 50_000}

DEVKIT = "ILSVRC2012_devkit_t12"
GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
META = "meta.mat"
KAGGLE = "LOC_val_solution.csv"
# What is looked for beside the images, the first that is there. Not val.txt of Kaggle's
# ImageSets: its second column only numbers the images.
TRUTHS = (f"{DEVKIT}.tar.gz", DEVKIT, KAGGLE, "val.txt", "val_labels.txt", "ground_truth.txt", GROUND_TRUTH)
SUFFIXES = (".jpeg", ".jpg", ".png")
OFFICIAL_NAME = "ILSVRC2012_val_{:08d}"
EXPECTED = f"Expected is {DEVKIT}.tar.gz, {KAGGLE}, or a text file of lines `name wnid` or `name index`."
MAX_BYTES = 2**28  # of a file inside the kit; the real ones are far below a megabyte


class ImageClass(NamedTuple):
    """wnid: the name of the folder or tar. name: in words, for a reader."""

    wnid: str
    name: str


class Entry(NamedTuple):
    """One image file. name: "<wnid>/<file name>", wherever it lies. label: place among the classes."""

    name: str
    label: int
    file: File


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
                digest.update(f"{entry.name}\0{entry.file.size}\n".encode("utf-8", "surrogateescape"))
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
    if not root.is_dir():
        raise DataError(f"{root} is no folder. Give the one that holds {TRAIN_TAR}, or train/ and val/.")
    if (root / VAL_TAR).exists() and not (root / TRAIN_TAR).exists():
        raise DataError(f"{root} holds {VAL_TAR} but no {TRAIN_TAR}: there is nothing to train on.")
    parts = _parts(root)
    files = joined(root.name, {name: open_files(path, tick) for name, path in parts.items()})
    layout = find_layout(files if parts else open_files(root))
    source = Source(root.name, [p for p in parts.values() if p.is_dir()] or [root], [], {}, notes=files.notes)
    source.problems = [(*name.split("/", 1), why) for name, why in files.problems]  # type: ignore[misc]
    train = _classes(source, "train", layout.train)
    wnids = list(train)
    if len(wnids) < 2:
        raise DataError(f"{root} has training images of {len(wnids)} class ({some(wnids)}); two are needed.")
    source.classes = [ImageClass(w, n) for w, n in zip(wnids, class_names(wnids), strict=True)]
    source.splits["train"] = _entries(train, wnids, layout.train)
    if layout.test is None:
        source.notes.append(f"There are no validation images in {source.label}: those for training alone.")
    else:
        val = _classes(source, "val", layout.test)
        if not val:
            near = [parts[name].parent for name in parts] + [root]
            val = _by_truth(source, layout.test, truth or _find_truth([*parts.values(), *near]), wnids)
        check_same_classes(str(root), train, val)
        source.splits["val"] = _entries(val, wnids, layout.test)
    source.notes += _unusual_counts(wnids, source.splits)
    return source


def _parts(root: Path) -> dict[str, Path]:
    """The tars or folders of training and validation images; none where classes lie in `root` itself."""
    if (root / TRAIN_TAR).exists():
        paths = {"train": root / TRAIN_TAR, "val": root / VAL_TAR}
    else:
        around = next((p for i in INSIDE if (p := root / i).joinpath("train").is_dir()), None)
        paths = {} if around is None else {"train": around / "train", "val": around / "val"}
    return {name: path for name, path in paths.items() if path.exists()}


def _classes(source: Source, name: str, split: Split) -> Classes:
    """The classes of a split that have files; what lies in none is listed, if any file does."""
    classes = {wnid: files for wnid, files in split.classes.items() if files}
    if classes:
        names = [file.name.removeprefix(split.name) for file in split.loose]
        source.problems += [(name, loose, "lies in no class folder") for loose in names]
    if empty := sorted(split.classes.keys() - classes.keys()):
        source.notes.append(f"Folders without files are no classes: {name}/ {some(empty)}.")
    return classes


def _entries(classes: Classes, wnids: Sequence[str], split: Split) -> list[Entry]:
    return [
        Entry(file.name.removeprefix(split.name), label, file)
        for label, wnid in enumerate(wnids)
        for file in classes[wnid]
    ]


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


def _unusual_counts(wnids: Sequence[str], splits: dict[str, list[Entry]]) -> list[str]:
    if not _is_official(wnids):
        return []
    return [
        f"The {split} split has {len(entries):,} files; ILSVRC 2012 has {OFFICIAL_COUNTS[split]:,}."
        for split, entries in splits.items()
        if len(entries) != OFFICIAL_COUNTS[split]
    ]


# --- validation images in one folder ----------------------------------------------------------


def _by_truth(source: Source, split: Split, path: Path | None, wnids: Sequence[str]) -> Classes:
    """The images of a split without class folders by the class that a ground truth gives each."""
    if path is None:
        raise DataError(
            f"the validation images in {source.label} lie in no class folders, and there is no ground truth "
            f"beside them. Put {DEVKIT}.tar.gz there, or name one by --truth FILE. {EXPECTED}"
        )
    truth = read_truth(path, wnids)
    classes: Classes = {}
    unknown = []
    images = [file for file in split.loose if file.path != str(path)]
    for file in images:
        name = file.name.removeprefix(split.name)
        if wnid := truth.get(_stem(name)):
            moved = file._replace(name=f"{split.name}{wnid}/{name}")
            classes.setdefault(wnid, []).append(moved)
        else:
            unknown.append(name)
    if not classes:
        raise DataError(
            f"the ground truth {path} knows none of the {len(images):,} validation images "
            f"({some(unknown)}). {EXPECTED}"
        )
    source.problems += [("val", name, f"is not in the ground truth {path.name}") for name in unknown]
    there = {_stem(file.name) for file in images}
    if missing := [name for name in truth if name not in there]:
        source.notes.append(f"{path.name} names {len(missing):,} images that are not there: {some(missing)}.")
    return classes


def _find_truth(folders: Sequence[Path]) -> Path | None:
    """The first known ground truth in these folders, or None."""
    return next((f / name for f in folders for name in TRUTHS if (f / name).exists()), None)


def _stem(name: str) -> str:
    """The name of an image as a ground truth is asked for it: no folders, no suffix of an image."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    return base[: base.rindex(".")] if base.lower().endswith(SUFFIXES) else base


def read_truth(path: Path, classes: Sequence[str]) -> dict[str, str]:
    """Image name without folder and suffix -> class, from a ground truth of any kind.

    classes: the sorted wnids that an index in a text file counts, from 0.
    Raises DataError, with the line, where it is of no known kind or damaged.
    """
    path = path.expanduser()
    try:
        if path.is_dir() or path.name == GROUND_TRUTH or path.name.endswith((".tar.gz", ".tgz", ".tar")):
            truth = _kit(path)
        elif path.suffix == ".csv":
            truth = _kaggle(path)
        else:
            truth = _lines(path, classes)
    except (OSError, EOFError, UnicodeDecodeError, tarfile.TarError) as error:
        raise DataError(f"the ground truth {path} cannot be read ({error}). {EXPECTED}") from error
    if not truth:
        raise DataError(f"the ground truth {path} names no image. {EXPECTED}")
    return truth


def _kit(path: Path) -> dict[str, str]:
    """Line k of the truth is the kit's own number of the class of image k; `meta.mat` knows its wnid."""
    inside = _unpacked(path.parent if path.name == GROUND_TRUTH else path)
    if missing := [name for name in (META, GROUND_TRUTH) if name not in inside]:
        raise DataError(f"{path} holds no {' and no '.join(missing)}: it is not the development kit of 2012.")
    wnids = _wnids(path, inside[META])
    truth = {}
    for k, line in enumerate(inside[GROUND_TRUTH].decode().split(), start=1):
        if not line.isdecimal() or int(line) not in wnids:
            raise DataError(f"{path}: line {k} of {GROUND_TRUTH} is {line!r}, no class that {META} knows.")
        truth[OFFICIAL_NAME.format(k)] = wnids[int(line)]
    return truth


def _unpacked(path: Path) -> dict[str, bytes]:
    """The two files of a kit that count, from its folder or its tar."""
    if path.is_dir():
        return {p.name: p.read_bytes() for p in path.rglob("*") if p.name in (META, GROUND_TRUTH)}
    inside = {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = member.name.rsplit("/", 1)[-1]
            content = archive.extractfile(member) if name in (META, GROUND_TRUTH) else None
            if content is not None:
                inside[name] = content.read(MAX_BYTES)
    return inside


def _wnids(path: Path, meta: bytes) -> dict[int, str]:
    """The kit's number -> wnid, of the classes that have no classes below them."""
    from scipy.io import loadmat

    try:
        synsets = loadmat(io.BytesIO(meta), squeeze_me=True)["synsets"]
        rows = zip(*(synsets[n] for n in ("ILSVRC2012_ID", "WNID", "num_children")), strict=True)
        return {int(number): str(wnid) for number, wnid, children in rows if int(children) == 0}
    except Exception as error:  # a damaged file makes loadmat fail in many ways
        raise DataError(f"{META} of {path} is damaged ({type(error).__name__}: {error}).") from error


def _kaggle(path: Path) -> dict[str, str]:
    """ImageId,PredictionString: the first word of the second is the wnid, boxes follow."""
    truth = {}
    with path.open(newline="", encoding="utf-8") as file:
        for k, row in enumerate(csv.reader(file), start=1):
            if k == 1 and row[:1] == ["ImageId"]:
                continue
            words = row[1].split() if len(row) == 2 else []
            if not words:
                raise DataError(f"{path}: line {k} is {','.join(row)!r}, not `name,wnid …`.")
            truth[_stem(row[0])] = words[0]
    return truth


def _lines(path: Path, classes: Sequence[str]) -> dict[str, str]:
    truth = {}
    for k, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        words = re.split(r"[\s,]+", line.strip())
        if words == [""]:
            continue
        if len(words) != 2:
            raise DataError(f"{path}: line {k} is {line!r}, not `name wnid` or `name index`. {EXPECTED}")
        name, word = words
        if word.isdecimal() and word not in classes:
            if int(word) >= len(classes):
                raise DataError(
                    f"{path}: line {k} is {line!r}, but there are {len(classes):,} classes: an index goes "
                    f"from 0 to {len(classes) - 1:,} through the sorted wnids."
                )
            word = classes[int(word)]
        truth[_stem(name)] = word
    return truth
