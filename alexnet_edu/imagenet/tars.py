"""The images inside ImageNet's official tars, by where their bytes lie: nothing is unpacked.

The training images come as a tar of one tar per class, 138 GB in all; unpacking would take as
much disk again and 1.3 million small files. A tar is a list of heads of 512 bytes, each followed
by a file's bytes as they are, so one walk over the heads is enough to find every image.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from alexnet_edu.data.decode import is_junk
from alexnet_edu.files import DataError

BLOCK = 512  # heads and contents begin at multiples of it
CONTENT = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
MAX_NAME_BYTES = 65_536  # of a long name's own record; a damaged head could claim gigabytes
FETCH_AGAIN = "It is damaged or was cut short: fetch it again and compare its checksum."


class Place(NamedTuple):
    """Where the bytes of one image lie. offset: in the file, −1 for a file by itself. size: in bytes."""

    path: str
    offset: int
    size: int


class Member(NamedTuple):
    """One entry of a tar. offset: of its content, in the file. kind: as `tarfile` names types."""

    name: str
    offset: int
    size: int
    kind: bytes


# what is in a class or in a flat tar: (file name, place), in the order of the tar
Found = list[tuple[str, Place]]


@dataclass
class TarListing:
    """What a walk has found beside the images. problems: (name, why). notes: sentences."""

    problems: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def flat_tar(path: Path, listing: TarListing) -> Found:
    """The images of a tar without folders, such as the validation images.

    Raises DataError, with the byte, where the tar is damaged or ends early.
    """
    with _opened(path) as file:
        return _images(path, file, 0, path.stat().st_size, path.name, listing)


def tar_of_tars(path: Path, listing: TarListing, tick: Callable[[], object]) -> dict[str, Found]:
    """class -> its images, from a tar that holds one tar per class (n01440764.tar, …).

    tick: called once per class; the walk takes about a minute for the whole training set.
    Raises DataError, with the byte, where either tar is damaged or ends early.
    """
    found: dict[str, Found] = {}
    with _opened(path) as file:
        for member in _members(path, file, 0, path.stat().st_size, listing):
            name = member.name.rsplit("/", 1)[-1]
            if not name.endswith(".tar") or member.kind not in CONTENT:
                if member.kind != tarfile.DIRTYPE and not is_junk(name):
                    listing.problems.append((f"{path.name}/{member.name}", "is no tar of a class"))
                continue
            wnid, inside = name.removesuffix(".tar"), f"{path.name}/{name}"
            if wnid in found:
                raise DataError(f"{path} holds {name} twice. {FETCH_AGAIN}")
            end = member.offset + member.size
            found[wnid] = _images(path, file, member.offset, end, inside, listing)
            tick()
    return found


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb", buffering=0)  # heads lie far apart: what a buffer reads ahead is thrown away
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error.strerror or error}") from error


def _images(path: Path, file: BinaryIO, start: int, end: int, label: str, listing: TarListing) -> Found:
    found: Found = []
    seen: set[str] = set()
    for member in _members(path, file, start, end, listing, label):
        name = "/".join(part for part in member.name.split("/") if part not in ("", "."))
        if member.kind == tarfile.DIRTYPE or is_junk(name.rsplit("/", 1)[-1]):
            continue
        if member.kind not in CONTENT:
            listing.problems.append((f"{label}/{name}", "is no regular file"))
        elif name in seen:
            listing.problems.append((f"{label}/{name}", "the name occurs twice in the tar: the first counts"))
        else:
            seen.add(name)
            found.append((name, Place(str(path), member.offset, member.size)))
    return found


def _members(
    path: Path, file: BinaryIO, start: int, end: int, listing: TarListing, label: str = ""
) -> Iterator[Member]:
    """The entries of the tar that lies from `start` to `end` in a file."""
    at, long_name = start, ""
    while at + BLOCK <= end:
        head = _read(path, file, at, BLOCK)
        if not any(head):  # the mark of the end
            return
        try:
            info = tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise DataError(
                f"{path}: there is no head of a tar at byte {at:,} ({error}). {FETCH_AGAIN}"
            ) from error
        content = at + BLOCK
        at = content + -(-info.size // BLOCK) * BLOCK
        if info.size < 0 or content + info.size > end:
            raise DataError(
                f"{path} ends before {info.name} does: {info.size:,} bytes from byte {content:,} on, "
                f"of {end:,}. {FETCH_AGAIN}"
            )
        if info.type in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE):
            record = _read(path, file, content, min(info.size, MAX_NAME_BYTES))
            long_name = _long_name(record, info.type) or long_name
        elif info.type not in (tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK):
            yield Member(long_name or info.name, content, info.size, info.type)
            long_name = ""
    if at < end:
        raise DataError(
            f"{path} ends within the head at byte {at:,}, after {end - at:,} bytes. {FETCH_AGAIN}"
        )
    listing.notes.append(
        f"{label or path.name} has no mark at its end: it may have been cut short. Compare its checksum."
    )


def _long_name(record: bytes, kind: bytes) -> str:
    """The name in the record that stands before the head of a file whose name is long, or ""."""
    if kind == tarfile.GNUTYPE_LONGNAME:
        return record.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
    for line in record.split(b"\n"):  # "30 path=…", the length of the line first
        if line.partition(b" ")[2].startswith(b"path="):
            return line.partition(b"path=")[2].decode("utf-8", "surrogateescape")
    return ""


def _read(path: Path, file: BinaryIO, at: int, count: int) -> bytes:
    try:
        file.seek(at)
        data = file.read(count)
    except OSError as error:
        raise DataError(f"{path} cannot be read at byte {at:,}: {error.strerror or error}") from error
    if len(data) != count:
        raise DataError(f"{path} ends at byte {at + len(data):,}. {FETCH_AGAIN}")
    return data
