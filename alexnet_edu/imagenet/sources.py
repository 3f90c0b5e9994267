"""ImageNet as people have it -> one sorted list of image files per split.

The official tars, read in place, class folders that someone has unpacked, and what else `data.layouts`
recognizes. All give the same list in the same order, so all give the same prepared files. Listing opens no
image.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch

from alexnet_edu.data.archives import File, open_files, some
from alexnet_edu.data.folders import check_same_classes, held_out
from alexnet_edu.data.layouts import Split, find_layout
from alexnet_edu.data.truth import DEVKIT, EXPECTED
from alexnet_edu.files import DataError
from alexnet_edu.imagenet.cost import OFFICIAL_COUNTS

TRAIN_TAR, VAL_TAR = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
OFFICIAL = ("n01440764", "n15075141", 1000)  # first and last wnid, and how many
HOLD_OUT_SEED = 0  # always the same images: a preparation that was killed goes on


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
    root: Path,
    truth: Path | None = None,
    hold_out: float | None = None,
    *,
    tick: Callable[[], object] = lambda: None,
) -> Source:
    """Lists the images of a folder or a tar, in any layout that `data.layouts.find_layout` recognizes.

    truth: the classes of the validation images; None looks for it where they lie in no class folders.
    hold_out: the share of each class that becomes the validation images, where there are none.
    tick: called once per tar, for a progress bar.
    Raises DataError where there is nothing of that kind, where training and validation differ in
    their classes, where a tar or a ground truth is damaged, and where nothing is to be held out.
    """
    root = root.expanduser().resolve()
    if root.is_file() and root.suffix != ".tar":
        raise DataError(f"{root} cannot be read where it lies: unpack it and give the folder, or the .tar.")
    if not root.exists():
        raise DataError(
            f"There is nothing at {root}. Give the folder that holds {TRAIN_TAR}, or train/ and val/."
        )
    files = open_files(root, tick)
    layout = find_layout(files, order=("val", "test"), truth=truth, tick=tick)
    train, val = layout.train, layout.test
    notes = [*files.notes, *layout.notes]
    notes += [f"{name} ({count:,} files) is not read." for name, count in layout.unused.items()]
    folders = [root / folder for split in (train, val) if split for folder in split.folders if root.is_dir()]
    source = Source(root.name, folders, [], {}, notes=notes)
    source.problems = [_problem(name, why, train, val) for name, why in files.problems]
    wnids = _wnids(source, "train", train)
    if len(wnids) < 2:
        raise DataError(f"{root} has training images of {len(wnids)} class ({some(wnids)}); two are needed.")
    source.classes = [ImageClass(w, n) for w, n in zip(wnids, class_names(wnids), strict=True)]
    source.splits["train"] = _entries(train, wnids)
    if val is not None and not any(val.classes.values()):
        if val.kind == "val":
            raise DataError(
                f"the validation images of {root} ({val.name}) lie in no class folders, and no ground truth "
                f"is beside them. Put {DEVKIT}.tar.gz there, or name one by --truth FILE. {EXPECTED}"
            )
        source.notes.append(f"{val.name} says no classes and is not read.")
        val = None
    if val is not None:
        check_same_classes(
            str(root),
            {w: train.classes[w] for w in wnids},
            {w: val.classes[w] for w in _wnids(source, "val", val)},
        )
        source.splits["val"] = _entries(val, wnids)
    _hold_out(source, hold_out)
    source.notes += _unusual_counts(wnids, source.splits)
    return source


def _problem(name: str, why: str, train: Split, val: Split | None) -> tuple[str, str, str]:
    """With the split in whose folder it lies."""
    for title, split in (("train", train), ("val", val)):
        for folder in split.folders if split else ():
            if name.startswith(folder):
                return title, name[len(folder) :], why
    return "", name, why


def _wnids(source: Source, title: str, split: Split) -> list[str]:
    """The classes of a split that have files; what lies in none is listed, if any file does."""
    wnids = [wnid for wnid, files in split.classes.items() if files]
    if wnids:
        source.problems += [(title, split.below(file), split.why) for file in split.loose]
    if empty := [wnid for wnid, files in split.classes.items() if not files]:
        source.notes.append(f"Folders without files are no classes: {title}/ {some(empty)}.")
    return wnids


def _entries(split: Split, wnids: Sequence[str]) -> list[Entry]:
    """Each file as "<wnid>/<its name in there>", wherever it lies."""
    entries = []
    for label, wnid in enumerate(wnids):
        names = [(split.below(file), file) for file in split.classes[wnid]]
        start = f"{wnid}/"
        entries += sorted(
            Entry(name if name.startswith(start) else start + name.rpartition("/")[2], label, file)
            for name, file in names
        )
    return entries


def _hold_out(source: Source, share: float | None) -> None:
    """Makes the validation images of a share of each class, or says what follows where there are none."""
    if "val" in source.splits:
        if share is not None:
            count = len(source.splits["val"])
            raise DataError(f"{source.label} has {count:,} validation images: leave --hold-out {share} away.")
        return
    if share is None:
        source.notes.append(
            f"There are no validation images in {source.label}: `train` will need `--schedule run145` or "
            "`--schedule constant`. `--hold-out 0.05` sets aside 5% of each class for validation."
        )
        return
    entries = source.splits["train"]
    chosen = held_out(torch.tensor([entry.label for entry in entries]), share, HOLD_OUT_SEED).tolist()
    for split, mine in (("train", False), ("val", True)):
        source.splits[split] = [e for e, held in zip(entries, chosen, strict=True) if held is mine]
    source.notes.append(
        f"Held out for validation: {share:.3g} of each class, {sum(chosen):,} of {len(entries):,} images."
    )


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
