"""A ground truth: which class each image of a heap has, in every form in which it comes.

The development kit of 2012, Kaggle's table, Tiny ImageNet's annotations, a text file of lines `name class`.
"""

from __future__ import annotations

import csv
import io
import re
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

from alexnet_edu.data.archives import File, Files
from alexnet_edu.data.decode import UnreadableFile
from alexnet_edu.files import DataError

DEVKIT = "ILSVRC2012_devkit_t12"
GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
META = "meta.mat"
KAGGLE = "LOC_val_solution.csv"
TINY = "val_annotations.txt"
# What is looked for beside the images, the first that is there. Not val.txt of Kaggle's
# ImageSets: its second column only numbers the images.
TRUTHS = (
    f"{DEVKIT}.tar.gz",
    f"{DEVKIT}/data/{GROUND_TRUTH}",
    KAGGLE,
    TINY,
    "val.txt",
    "val_labels.txt",
    "ground_truth.txt",
    GROUND_TRUTH,
)
SUFFIXES = (".jpeg", ".jpg", ".png")
OFFICIAL_NAME = "ILSVRC2012_val_{:08d}"
EXPECTED = (
    f"Expected is {DEVKIT}.tar.gz, {KAGGLE}, {TINY}, or a text file of lines `name wnid` or `name index`."
)
MAX_BYTES = 2**28  # of a file inside the kit; the real ones are far below a megabyte


def find_truth(files: Files, folder: str) -> File | None:
    """The first known ground truth in a folder ("" or "a/b/") or in those around it."""
    ends = tuple(name.rpartition("/")[2] for name in TRUTHS)
    there = {file.name: file for file in files.files if file.name.endswith(ends)}
    parts = folder.split("/")[:-1]
    around = ["".join(f"{part}/" for part in parts[:depth]) for depth in range(len(parts), -1, -1)]
    return next((there[f + name] for f in around for name in TRUTHS if f + name in there), None)


def stem(name: str) -> str:
    """The name of an image as a ground truth is asked for it: no folders, no suffix of an image."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    return base[: base.rindex(".")] if base.lower().endswith(SUFFIXES) else base


def read_truth(path: Path, classes: Sequence[str], read: Callable[[], bytes] | None = None) -> dict[str, str]:
    """Image name without folder and suffix -> class, from a ground truth of any kind.

    classes: the sorted names that an index in a text file counts, from 0. read: gives the bytes of one that
    lies in an archive. Raises DataError, with the line, where it is of no known kind or damaged.
    """
    path = path.expanduser()
    try:
        if path.is_dir() or path.name == GROUND_TRUTH or path.name.endswith((".tar.gz", ".tgz", ".tar")):
            truth = _kit(path)
        else:
            text = (read or path.read_bytes)().decode("utf-8")
            truth = _kaggle(path, text) if path.suffix == ".csv" else _lines(path, text, classes)
    except (OSError, EOFError, UnicodeDecodeError, tarfile.TarError, UnreadableFile) as error:
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


def _kaggle(path: Path, text: str) -> dict[str, str]:
    """ImageId,PredictionString: the first word of the second is the wnid, boxes follow."""
    truth = {}
    for k, row in enumerate(csv.reader(io.StringIO(text)), start=1):
        if k == 1 and row[:1] == ["ImageId"]:
            continue
        words = row[1].split() if len(row) == 2 else []
        if not words:
            raise DataError(f"{path}: line {k} is {','.join(row)!r}, not `name,wnid …`.")
        truth[stem(row[0])] = words[0]
    return truth


def _lines(path: Path, text: str, classes: Sequence[str]) -> dict[str, str]:
    """Lines `name class`; four more words, as Tiny ImageNet has, are a box."""
    truth = {}
    for k, line in enumerate(text.splitlines(), start=1):
        words = re.split(r"[\s,]+", line.strip())
        if words == [""]:
            continue
        if len(words) not in (2, 6):
            raise DataError(f"{path}: line {k} is {line!r}, not `name wnid` or `name index`. {EXPECTED}")
        name, word = words[:2]
        if word.isdecimal() and word not in classes:
            if int(word) >= len(classes):
                raise DataError(
                    f"{path}: line {k} is {line!r}, but there are {len(classes):,} classes: an index goes "
                    f"from 0 to {len(classes) - 1:,} through the sorted wnids."
                )
            word = classes[int(word)]
        truth[stem(name)] = word
    return truth
