"""Which file of a folder or zip belongs to which class and split, by the names alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from alexnet_edu.data.decode import Files, some
from alexnet_edu.files import DataError

TRAIN_NAMES = ("train", "training")
TEST_NAMES = ("test", "testing", "val", "valid", "validation")  # the first that is there counts

# class -> names of its files, sorted; a class without files has an empty list
Classes = dict[str, list[str]]


def find_layout(files: Files, notes: list[str]) -> tuple[Classes, Classes | None]:
    """Finds the layout: classes of the training split, and of the test split if there is one."""
    prefix = _enclosing(files)
    depth = len(prefix)
    names = [p[depth:] for p in map(_parts, files.names) if p[:depth] == prefix]
    tops = {parts[0] for parts in names if len(parts) >= 2}
    splits = {
        top.lower(): top
        for top in sorted(tops)
        if top.lower() in TRAIN_NAMES + TEST_NAMES and any(p[0] == top and len(p) >= 3 for p in names)
    }
    train_name = next((splits[n] for n in TRAIN_NAMES if n in splits), None)
    test_name = next((splits[n] for n in TEST_NAMES if n in splits), None)
    if train_name is None and test_name is not None:
        raise DataError(
            f"{files.label} holds {test_name}/ but no train/. Add train/<class>/…, or give the folder "
            f"{test_name} itself to have it split."
        )
    if train_name is None:
        return _classes(files, prefix, notes), None
    train = _classes(files, (*prefix, train_name), notes)
    _note_unused(files, [n for n in (train_name, test_name) if n is not None], tops, names, notes)
    if test_name is None:
        return train, None
    test = _classes(files, (*prefix, test_name), notes)
    _check_same_classes(files.label, (train_name, test_name), train, test)
    return train, test


def _parts(name: str) -> tuple[str, ...]:
    return tuple(name.split("/"))


def _enclosing(files: Files) -> tuple[str, ...]:
    """The folders around everything, down to where splits or classes begin."""
    prefix: tuple[str, ...] = ()
    parts = [_parts(n) for n in files.names]
    while True:
        depth = len(prefix)
        tops = {p[depth] for p in parts if len(p) > depth + 1}
        only = next(iter(tops)) if len(tops) == 1 else ""
        below = [p for p in parts if len(p) > depth + 1]
        is_wrapper = only and only.lower() not in TRAIN_NAMES + TEST_NAMES
        if not is_wrapper or any(len(p) < depth + 3 for p in below):
            return prefix
        prefix = (*prefix, only)


def _classes(files: Files, prefix: tuple[str, ...], notes: list[str]) -> Classes:
    """Classes under `prefix`, sorted, each with its files at any depth, sorted."""
    depth = len(prefix)
    found: defaultdict[str, list[str]] = defaultdict(list)
    loose = []
    for folder in files.folders:
        parts = _parts(folder)
        if parts[:depth] == prefix and len(parts) == depth + 1:
            found[parts[depth]] = []
    for name in files.names:  # sorted already
        parts = _parts(name)
        if parts[:depth] != prefix:
            continue
        if len(parts) == depth + 1:
            loose.append(name)
        else:
            found[parts[depth]].append(name)
    if not any(found.values()):
        where = "/".join((files.label, *prefix))
        inside = f"{len(loose):,} files directly in it" if loose else "no files"
        raise DataError(
            f"There are no class folders with images in {where}: it holds {inside} and {len(found):,} empty "
            "folders. Expected is one folder per class: train/<class>/… and test/<class>/…, or just <class>/…"
        )
    if loose:
        notes.append(f"Files outside the class folders are not read: {some(loose)}.")
    return dict(sorted(found.items()))


def _note_unused(
    files: Files, used: Sequence[str], tops: set[str], names: Sequence[tuple[str, ...]], notes: list[str]
) -> None:
    for top in sorted(tops - set(used)):
        count = sum(parts[0] == top for parts in names)
        notes.append(f"{files.label}: {top}/ ({count:,} files) is not read, only {'/ and '.join(used)}/.")


def _check_same_classes(label: str, splits: tuple[str, str], train: Classes, test: Classes) -> None:
    if set(train) == set(test):
        return
    lines = []
    for name, mine, other in ((splits[0], train, test), (splits[1], test, train)):
        only = [f"{c} ({len(files):,} files)" for c, files in mine.items() if c not in other]
        if only:
            lines.append(f"only in {name}/: {some(only)}")
    raise DataError(
        f"{label}: {splits[0]}/ and {splits[1]}/ do not hold the same classes; {'; '.join(lines)}. "
        "Rename, add or remove these folders."
    )
