"""Which files of a folder or an archive are to learn from, which to test with, and of which class each is.

By the names alone: a folder whose name has a word of KINDS and that holds classes is a split, wherever it
lies, and without one everything is for training. A tar counts as the folder that it would unpack to. A
class is a folder, a wnid in the name of a file, or a line of a ground truth.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from alexnet_edu.data.archives import File, Files, some, unfold
from alexnet_edu.data.truth import EXPECTED, TRUTHS, find_truth, read_truth, stem
from alexnet_edu.files import DataError

Classes = dict[str, list[File]]  # sorted; a class without files has an empty list

KINDS = {"train": r"train(ing)?", "val": r"val(id(ation)?)?", "test": r"test(ing)?"}
WHATEVER = r"(set|data|images?|imgs?)?"  # what else may be in such a word: "trainset"
UNDERSTOOD = (
    "train or training, val, valid or validation, test or testing, in capitals or not, alone or in a longer "
    "name such as ILSVRC2012_img_train or train.X1"
)
IMAGES = (".jpeg", ".jpg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm")
WNID = re.compile(r"(?:^|_)(n\d{8})(?=[_.])")  # in the name of a file, between underscores
CONVERT = "write each image as train/<class>/<number>.JPEG and val/<class>/<number>.JPEG first"
# Other forms in which images come, by the ends of their files' names: what that is, and what to do.
OTHERS = {
    r"\.parquet|\.arrow": f"tables of Hugging Face's library `datasets`: with it {CONVERT}",
    r"\.(tar\.(gz|bz2|xz|zst)|tgz)": "compressed tars, which cannot be read where they lie: unpack them, or "
    "just `gunzip` each, since a .tar is read as it is",
    r"\.(zip|7z|rar)": "archives within it: unpack them first",
    r"-\d{5}-of-\d{5}|\.tfrecords?": f"records of TensorFlow: with `tensorflow_datasets` {CONVERT}",
    r"\.(npz|npy|bin|mdb|h5|hdf5|pkl|beton)": f"arrays and no image files: {CONVERT}",
}


@dataclass(frozen=True)
class Split:
    """One part of the images.

    kind: "train", "val", "test". folders: that together are it, "" or "a/b/". classes: their files, at any
    depth. loose: files of no class; why: what they lack.
    """

    kind: str
    folders: tuple[str, ...]
    classes: Classes
    loose: list[File]
    why: str = "lies in no class folder"

    @property
    def name(self) -> str:
        return ", ".join(self.folders)

    def below(self, file: File) -> str:
        """The name of a file below the folder of the split."""
        return next(file.name[len(f) :] for f in self.folders if file.name.startswith(f))


@dataclass(frozen=True)
class Layout:
    """train: to learn from. test: None where there is no such split; without classes where nothing says them.

    unused: other folders beside these -> files. notes: what was decided for the user, in sentences.
    """

    train: Split
    test: Split | None
    unused: dict[str, int]
    notes: list[str]


def find_layout(
    files: Files,
    *,
    order: Sequence[str] = ("test", "val"),
    truth: Path | None = None,
    tick: Callable[[], object] = lambda: None,
) -> Layout:
    """Which file belongs to which class and split; tars in a folder are listed where they are needed.

    order: the first of these kinds that has classes is what is tested with. truth: the classes of its images;
    None looks for one where they lie in no class folders. tick: called once for each tar.
    Raises DataError where nothing is to be learned from, where folders are neither known splits nor classes,
    and where a truth is damaged or knows no image.
    """
    around = _around_train(files)
    if around is None and not _no_train(files):
        tars = {file.name for file in files.files if _is_tar(file)}
        unfold(files, {tar for tar in tars if tar.removesuffix(".tar") not in files.folders}, tick)
        around = _around_train(files) if tars else None
    notes: list[str] = []
    if around is None:
        train, test, used = _everything(files), None, {""}
    else:
        splits = _beside(files, around)
        used = {f"{name}/" for name in splits["train"]}
        train = _by_name(_split(files, "train", splits["train"], tick))
        test = None
        for kind in order:
            if (test is None or not any(test.classes.values())) and kind in splits:
                found = _split(files, kind, splits[kind], tick)
                found = _by_truth(files, _by_name(found, train.classes), train.classes, truth, notes)
                if test is None or any(found.classes.values()):
                    test = found
        if test is not None:
            used |= {f"{name}/" for name in splits[test.kind]}
    _check_classes(files, train)
    if truth is not None and test is None:
        raise DataError(f"{files.label} has no validation images that {truth} could say the classes of.")
    for split in (train, test):
        if split is not None and len(split.folders) > 1:
            notes.append(f"{split.name} are read together, as one split: {split.kind}.")
    return Layout(train, test, _unused(files, around, used), notes)


def split_kind(name: str) -> str:
    """ "train", "val" or "test" where the name of a folder has such a word, and of one kind only; else ""."""
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name.rpartition("/")[2])]
    kinds = {k for k, form in KINDS.items() for word in words if re.fullmatch(form + WHATEVER, word)}
    return kinds.pop() if len(kinds) == 1 else ""


# --- where splits are -------------------------------------------------------------------------


def _is_tar(file: File) -> bool:
    """Whether a file is a tar on the disk that has not been listed yet."""
    return file.offset < 0 and file.name.endswith(".tar")


def _is_image(name: str) -> bool:
    """Whether a file may be an image, by its name; many are kept without a suffix."""
    return "." not in name.rpartition("/")[2] or name.lower().endswith(IMAGES)


def _places(files: Files) -> dict[str, bool]:
    """Every folder with images below it -> whether they may be in classes: folders, tars, wnids in names."""
    places: dict[str, bool] = {}
    for file in files.files:
        folder, _, base = file.name.rpartition("/")
        if _is_tar(file):
            places[file.name.removesuffix(".tar")] = True
        elif folder not in places and _is_image(base):
            places[folder] = WNID.search(base) is not None
    for folder in list(places):
        while folder:
            folder = folder.rpartition("/")[0]
            places[folder] = True
    return places


def _around_train(files: Files) -> str | None:
    """The folder, "" or "a/b/", that holds the nearest train/; None where there is none."""
    trains = [name for name, classes in _places(files).items() if classes and split_kind(name) == "train"]
    depth = min((name.count("/") for name in trains), default=0)
    around = sorted({name[: name.rfind("/") + 1] for name in trains if name.count("/") == depth})
    if len(around) > 1:
        raise DataError(
            f"{files.label} holds several sets of images: {some(around)}. Give the folder of one."
        )
    return around[0] if around else None


def _beside(files: Files, around: str) -> dict[str, list[str]]:
    """Kind -> the folders in `around` that are that split."""
    named: defaultdict[str, list[str]] = defaultdict(list)
    for name, classes in _places(files).items():
        kind = split_kind(name)
        if name.rpartition("/")[0] == around[:-1] and kind and (classes or kind != "train"):
            named[kind].append(name)
    return {kind: _parts(names) for kind, names in named.items()}


def _parts(names: Iterable[str]) -> list[str]:
    """The shortest of the names; with it those numbered like it, from 0 or 1 on: train.X1, train.X2, …."""
    first, *others = sorted(names, key=lambda name: (len(name), name))
    start = first.rstrip("0123456789")
    numbered = {int(n[len(start) :]): n for n in (first, *others) if re.fullmatch(r"\d+", n[len(start) :])}
    numbers = sorted(numbered)
    if len(numbers) > 1 and numbers == list(range(numbers[0], numbers[0] + len(numbers))) and numbers[0] < 2:
        return [numbered[number] for number in numbers if numbered[number].startswith(start)]
    return [first]


def _unused(files: Files, around: str | None, used: set[str]) -> dict[str, int]:
    """What else beside the splits might be images: folders, tars and other packs -> number of files."""
    unused: Counter[str] = Counter()
    places, packed = _places(files), f"({'|'.join(OTHERS)})$"
    for file in files.files if around is not None else ():
        top, below, _ = file.name[len(around or "") :].partition("/")
        name = f"{around}{top}"
        if not file.name.startswith(around or "") or f"{name}/" in used:
            continue
        if below and name in places:
            unused[f"{name}/"] += 1
        elif not below and (_is_tar(file) or (re.search(packed, top) and top not in TRUTHS)):
            unused[name] += 1
    return dict(sorted(unused.items()))


# --- what is in a split -------------------------------------------------------------------------


def _split(files: Files, kind: str, names: Sequence[str], tick: Callable[[], object]) -> Split:
    """The classes in some folders or tars, each with its files at any depth."""
    inside = tuple(f"{name}/" for name in names)
    tars = {file.name for file in files.files if _is_tar(file) and f"{file.name[:-4]}/".startswith(inside)}
    wanted = {tar for tar in tars if tar.removesuffix(".tar") not in files.folders}
    if len(wanted) > len(names):  # a tar of all classes, left beside what came out of it
        wanted = {tar for tar in wanted if tar[:-4] in names or not split_kind(tar[:-4])}
    unfold(files, wanted, tick)
    return _classes(files, kind, tuple(_inmost(files, folder) for folder in inside))


def _classes(files: Files, kind: str, folders: tuple[str, ...]) -> Split:
    classes: defaultdict[str, list[File]] = defaultdict(list)
    loose: list[File] = []
    for folder in folders:
        for name in files.folders:
            if name.startswith(folder) and "/" not in name[len(folder) :]:
                classes[name[len(folder) :]] = []
        for file in files.files:  # sorted already
            if file.name.startswith(folder):
                first, below, _ = file.name[len(folder) :].partition("/")
                (classes[first] if below else loose).append(file)
    # a folder of notes beside those of images is no class
    notes = [n for n, inside in classes.items() if inside and not any(_is_image(f.name) for f in inside)]
    if len(notes) < sum(map(bool, classes.values())):
        loose += [file for name in notes for file in classes.pop(name)]
    return Split(kind, folders, dict(sorted(classes.items())), loose)


def _inmost(files: Files, folder: str) -> str:
    """A folder, or the one in it that holds all its files, down to where classes or splits begin."""
    while True:
        parts = [f.name[len(folder) :].split("/", 2) for f in files.files if f.name.startswith(folder)]
        tops = {p[0] for p in parts if len(p) > 1}
        if len(tops) != 1 or any(len(p) == 2 for p in parts) or (not folder and split_kind(*tops)):
            return folder
        folder += f"{tops.pop()}/"


def _by_name(split: Split, known: Classes | None = None) -> Split:
    """Where no class folders are, the wnids in the files' names; `known` are the classes of the training.

    A folder of another name that alone holds all, such as images/, is none of the classes.
    """
    filled = [name for name, files in split.classes.items() if files]
    if known is not None and len(filled) == 1 and filled[0] not in known and _is_heap(filled[0]):
        split = replace(split, classes={}, loose=sorted([*split.loose, *split.classes[filled[0]]]))
    elif filled:
        return split
    classes: defaultdict[str, list[File]] = defaultdict(list)
    loose: list[File] = []
    for file in split.loose:
        wnids = WNID.findall(file.name.rpartition("/")[2])
        (classes[wnids[-1]] if wnids else loose).append(file)
    return replace(split, classes=dict(sorted(classes.items())), loose=loose) if classes else split


def _is_heap(name: str) -> bool:
    return (
        bool(split_kind(name))
        or re.fullmatch(r"(jpe?g)?(images?|imgs?|files|data)?", name.lower()) is not None
    )


def _by_truth(files: Files, split: Split, train: Classes, path: Path | None, notes: list[str]) -> Split:
    """The images of a split by what a ground truth says: the one at `path`, or one that lies there."""
    name, there, read = path, None, None
    if name is None:
        there = None if any(split.classes.values()) else find_truth(files, split.folders[0])
        if there is None:
            return split
        name = Path(there.path if there.offset < 0 else f"{files.label}/{there.name}")
        read = partial(files.read, there)
    truth = read_truth(name, [c for c, members in train.items() if members], read)
    classes: defaultdict[str, list[File]] = defaultdict(list)
    loose: list[File] = []
    images = sorted(file for members in (split.loose, *split.classes.values()) for file in members)
    images = [file for file in images if file != there and file.path != str(name)]
    for file in images:
        wnid = truth.get(stem(file.name))
        (classes[wnid] if wnid else loose).append(file)
    if not classes and path is None and split.kind == "test":
        return split  # it is that of other images
    if not classes:
        raise DataError(
            f"the ground truth {name} knows none of the {len(images):,} images in {split.name} "
            f"({some([stem(file.name) for file in images])}). {EXPECTED}"
        )
    names = {stem(file.name) for file in images}
    if missing := [image for image in truth if image not in names]:
        notes.append(f"{name.name} names {len(missing):,} images that are not there: {some(missing)}.")
    why = f"is not in the ground truth {name.name}"
    return replace(split, classes=dict(sorted(classes.items())), loose=loose, why=why)


# --- without splits, and what is refused --------------------------------------------------------


def _no_train(files: Files) -> str:
    """The test splits where nothing else is, or where they have classes and nothing is to train on; or ""."""
    places, around = _places(files), _inmost(files, "")
    tops = [name for name in places if name and name.rpartition("/")[0] == around[:-1]]
    tests = [name for name in tops if split_kind(name) in ("val", "test")]
    with_classes = [n for n in tests if any(m.startswith(f"{n}/") for m in places)]
    return some(sorted(with_classes or (tests if len(tests) == len(tops) else [])))


def _everything(files: Files) -> Split:
    """All class folders, where no folder is a split. Raises DataError where some seem to be."""
    if tests := _no_train(files):
        raise DataError(
            f"{files.label} holds {tests}/ but no train/: there is nothing to train on. Add train/<class>/…, "
            f"or give the folder {tests} itself to have it split."
        )
    split = _by_name(_classes(files, "train", (_inmost(files, ""),)))
    filled = [name for name, members in split.classes.items() if members]
    named = [name for name in filled if split_kind(name)]
    unnamed = [name for name, folders in _inner_folders(split).items() if len(folders) > 1]
    if len(named) == len(filled) > 0 or (named and unnamed):
        raise DataError(
            f"{files.label}: which of {some(filled)} is for training cannot be told. Sort all images into "
            "train/<class>/… and val/<class>/…"
        )
    return split


def _check_classes(files: Files, train: Split) -> None:
    """Raises DataError where there are no classes, and where several hold the same folders."""
    filled = {name: members for name, members in train.classes.items() if members}
    if not any(_is_image(file.name) for members in filled.values() for file in members):
        _refuse(files, train)
    inner = _inner_folders(train)
    counts = Counter(folder for folders in inner.values() for folder in folders)
    shared = {folder for folder, count in counts.items() if count > 1}
    alike = [
        n for n, folders in inner.items() if len(folders) > 1 and 2 * len(folders & shared) >= len(folders)
    ]
    if len(alike) > 1 and 2 * len(alike) >= len(filled):
        raise DataError(
            f"{files.label}: {some(alike)} hold the same folders ({some(sorted(shared))}), so they are "
            f"splits and not classes: give them names that are understood, {UNDERSTOOD}."
        )


def _inner_folders(split: Split) -> dict[str, set[str]]:
    """Class -> the names of the folders in it that hold files, at any depth."""
    inner = {}
    for name, members in split.classes.items():
        folders = {split.below(file).rpartition("/")[0] for file in members}
        inner[name] = {folder.rpartition("/")[2] for folder in folders if "/" in folder}
    return inner


def _refuse(files: Files, train: Split) -> None:
    """Raises DataError with what is there in place of images, unless every file will be named anyway."""
    names = [f.name for f in files.files if not f.name.endswith(TRUTHS)]
    found = {what: [n for n in names if re.search(f"({end})$", n)] for end, what in OTHERS.items()}
    what, others = max(found.items(), key=lambda item: len(item[1]))
    if others:
        shown = some(others[:2]) + ", …" * (len(others) > 2)
        raise DataError(
            f"{files.label} holds {len(others):,} files that are not read here ({shown}), {what}."
        )
    if any(train.classes.values()):
        return
    text = (
        f"There are no class folders with images in {files.label}: it holds {len(train.loose):,} files "
        f"directly in it and {len(train.classes):,} empty folders. Expected is one folder per class: "
        "train/<class>/… and test/<class>/…, or just <class>/…"
    )
    left_out = some([name for name, _ in files.problems])
    raise DataError(f"{text} Left out: {left_out}." if left_out else text)
