"""Which class each validation image belongs to, where they all lie in one folder or tar.

ImageNet's validation images come without folders. Their classes stand in the development kit,
in the table that Kaggle gives along, or in a text file of `name class` lines.
"""

from __future__ import annotations

import csv
import io
import re
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alexnet_edu.files import DataError

DEVKIT = "ILSVRC2012_devkit_t12"
GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
META = "meta.mat"
KAGGLE = "LOC_val_solution.csv"
# What is looked for beside the images, the first that is there. Not val.txt of Kaggle's
# ImageSets: its second column only numbers the images.
NAMES = (f"{DEVKIT}.tar.gz", DEVKIT, KAGGLE, "val.txt", "val_labels.txt", "ground_truth.txt", GROUND_TRUTH)
SUFFIXES = (".jpeg", ".jpg", ".png")
OFFICIAL_NAME = "ILSVRC2012_val_{:08d}"
EXPECTED = f"Expected is {DEVKIT}.tar.gz, {KAGGLE}, or a text file of lines `name wnid` or `name index`."
MAX_BYTES = 2**28  # of a file inside the kit; the real ones are far below a megabyte


@dataclass(frozen=True)
class Truth:
    """label: the base name of where it stands. wnids: image name without folder and suffix -> class."""

    label: str
    wnids: dict[str, str]


def find_truth(folders: Sequence[Path]) -> Path | None:
    """The first known ground truth in these folders, or None."""
    return next((f / name for f in folders for name in NAMES if (f / name).exists()), None)


def read_truth(path: Path, classes: Sequence[str]) -> Truth:
    """Reads a ground truth of any kind.

    classes: the sorted wnids that an index in a text file counts, from 0.
    Raises DataError, with the line, where it is of no known kind or damaged.
    """
    path = path.expanduser()
    try:
        if path.is_dir() or path.name == GROUND_TRUTH:
            wnids = _unpacked_kit(path if path.is_dir() else path.parent)
        elif path.name.endswith((".tar.gz", ".tgz", ".tar")):
            wnids = _packed_kit(path)
        elif path.suffix == ".csv":
            wnids = _kaggle(path)
        else:
            wnids = _lines(path, classes)
    except (OSError, EOFError, UnicodeDecodeError, tarfile.TarError) as error:
        raise DataError(f"the ground truth {path} cannot be read ({error}). {EXPECTED}") from error
    if not wnids:
        raise DataError(f"the ground truth {path} names no image. {EXPECTED}")
    return Truth(path.name, wnids)


def stem(name: str) -> str:
    """The name of an image as a ground truth is asked for it: no folders, no suffix of an image."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    return base[: base.rindex(".")] if base.lower().endswith(SUFFIXES) else base


# --- the development kit ------------------------------------------------------------------


def _unpacked_kit(folder: Path) -> dict[str, str]:
    inside = folder if (folder / META).exists() else folder / "data"
    for name in (META, GROUND_TRUTH):
        if not (inside / name).exists():
            raise DataError(
                f"there is no {name} in {inside}; the ground truth needs {META} and {GROUND_TRUTH}."
            )
    return _kit(folder, (inside / META).read_bytes(), (inside / GROUND_TRUTH).read_text())


def _packed_kit(path: Path) -> dict[str, str]:
    found: dict[str, bytes] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = member.name.rsplit("/", 1)[-1]
            content = archive.extractfile(member) if name in (META, GROUND_TRUTH) else None
            if content is not None:
                found[name] = content.read(MAX_BYTES)
    if missing := [name for name in (META, GROUND_TRUTH) if name not in found]:
        raise DataError(f"{path} holds no {' and no '.join(missing)}: it is not the development kit of 2012.")
    return _kit(path, found[META], found[GROUND_TRUTH].decode())


def _kit(path: Path, meta: bytes, truth: str) -> dict[str, str]:
    """Line k of the truth is the kit's own number of the class of image k; `meta` knows its wnid."""
    wnids = _numbers(path, meta)
    found = {}
    for k, line in enumerate(truth.split(), start=1):
        if not line.isdecimal() or int(line) not in wnids:
            raise DataError(f"{path}: line {k} of {GROUND_TRUTH} is {line!r}, no class that {META} knows.")
        found[OFFICIAL_NAME.format(k)] = wnids[int(line)]
    return found


def _numbers(path: Path, meta: bytes) -> dict[int, str]:
    """The kit's number -> wnid, of the classes that have no classes below them."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise DataError(
            f"reading {META} of {path} needs scipy: `pip install scipy`. Or give another ground truth by "
            f"--truth: {KAGGLE}, or a text file of lines `name wnid`."
        ) from error
    try:
        synsets = loadmat(io.BytesIO(meta), squeeze_me=True)["synsets"]
        rows = zip(*(synsets[n] for n in ("ILSVRC2012_ID", "WNID", "num_children")), strict=True)
        return {int(number): str(wnid) for number, wnid, children in rows if int(children) == 0}
    except Exception as error:  # a damaged file makes loadmat fail in many ways
        raise DataError(f"{META} of {path} is damaged ({type(error).__name__}: {error}).") from error


# --- tables -------------------------------------------------------------------------------


def _kaggle(path: Path) -> dict[str, str]:
    """ImageId,PredictionString: the first word of the second is the wnid, boxes follow."""
    found = {}
    with path.open(newline="", encoding="utf-8") as file:
        for k, row in enumerate(csv.reader(file), start=1):
            if k == 1 and row[:1] == ["ImageId"]:
                continue
            words = row[1].split() if len(row) == 2 else []
            if not words:
                raise DataError(f"{path}: line {k} is {','.join(row)!r}, not `name,wnid …`.")
            found[stem(row[0])] = words[0]
    return found


def _lines(path: Path, classes: Sequence[str]) -> dict[str, str]:
    found = {}
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
        found[stem(name)] = word
    return found
