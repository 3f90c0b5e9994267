"""Where image files are kept: a folder, or a zip that is never unpacked to disk.

Both list their files by name and hand out bytes. A zip may come from anywhere, so its
directory is judged before anything is read: names that lead outside, links, files that
would unfold to more than they should. Nothing is ever written to disk.
"""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from alexnet_edu.files import DataError

Read = Callable[[str], bytes]

MAX_FILES = 3_000_000  # the full ImageNet has 1.4 million
MAX_FILE_BYTES = 256 * 2**20  # no single photograph is larger
MAX_ZIP_RATIO = 100  # images are compressed already; 1000 is what deflate can reach
RATIO_COUNTS_FROM = 256 * 2**20  # below this even a bomb does no harm
SHOWN = 10  # names listed in a message before "and N more"
MAX_DEPTH = 12  # folders within folders: also ends a link that points back up
JUNK_FOLDERS = frozenset({"__MACOSX"})
JUNK_FILES = frozenset({"thumbs.db", "desktop.ini"})


class UnreadableFile(Exception):
    """One file cannot be used; the message says why, without the file's name."""


@dataclass
class Files:
    """The files of a folder or zip.

    label: its base name, for messages and records.
    names: "train/cat/001.jpg", relative, with forward slashes, sorted.
    folders: names of all folders, without a trailing slash (an empty one is only here).
    problems: (name, why) of entries that are not even looked into.
    """

    label: str
    names: list[str]
    folders: set[str]
    read: Read
    problems: list[tuple[str, str]] = field(default_factory=list)
    close: Callable[[], None] = lambda: None


def open_files(path: Path) -> Files:
    """Lists what is in a folder or zip.

    Raises DataError when there is nothing at `path`, when it is neither of the two, when
    the zip is damaged, or when it would unfold to far more than its size.
    """
    path = path.expanduser()
    if path.is_dir():
        return _open_folder(path)
    if not path.exists():
        raise DataError(
            f"There is nothing at {path}. Give a folder or a zip that holds one folder of images per class."
        )
    if not zipfile.is_zipfile(path):
        raise DataError(
            f"{path} is neither a folder nor a whole zip ({path.stat().st_size:,} bytes). If it was "
            "downloaded or copied, it may have been cut short: fetch it again. Other archives (tar, rar, "
            "7z) must be unpacked first; then give the folder."
        )
    return _open_zip(path)


def _open_folder(path: Path) -> Files:
    root = path.resolve()
    names: list[str] = []
    folders: set[str] = set()
    for folder, inner, files in os.walk(root, followlinks=True):
        relative = Path(folder).relative_to(root)
        # in place: os.walk goes on with what is left in the list
        inner[:] = [i for i in inner if not is_junk(i) and len(relative.parts) < MAX_DEPTH]
        prefix = "".join(part + "/" for part in relative.parts)
        folders.update(prefix + i for i in inner)
        names.extend(prefix + f for f in files if not is_junk(f))
        if len(names) > MAX_FILES:
            raise DataError(f"{path} holds more than {MAX_FILES:,} files. Choose a folder further down.")

    def read(name: str) -> bytes:
        file = root / name
        try:
            status = file.stat()
            if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
                raise UnreadableFile("is no regular file")
            if status.st_size > MAX_FILE_BYTES:
                raise UnreadableFile(_too_large(status.st_size))
            return file.read_bytes()
        except OSError as error:
            raise UnreadableFile(f"cannot be read: {error.strerror or error}") from error

    return Files(root.name, sorted(names), folders, read)


def _open_zip(path: Path) -> Files:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path} is a damaged zip ({error}). Fetch or make it again.") from error
    except RuntimeError as error:  # a newer kind of zip than Python's library knows
        raise DataError(
            f"{path} cannot be unpacked here ({error}). Unpack it and give the folder."
        ) from error
    try:
        infos, folders, problems = _sift(archive.infolist())
        _check_bomb(path, infos.values())
    except DataError:
        archive.close()
        raise

    def read(name: str) -> bytes:
        info = infos[name]
        if info.flag_bits & 1:
            raise UnreadableFile("is encrypted: unpack the zip with its password and give the folder")
        try:
            return archive.read(info)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
            raise UnreadableFile(f"is damaged inside the zip ({error})") from error
        except RuntimeError as error:  # a compression that Python's library does not know
            raise UnreadableFile(
                f"cannot be unpacked here ({error}): unpack the zip and give the folder"
            ) from error

    return Files(path.name, sorted(infos), folders, read, problems, archive.close)


def _sift(
    entries: Iterable[zipfile.ZipInfo],
) -> tuple[dict[str, zipfile.ZipInfo], set[str], list[tuple[str, str]]]:
    """Usable entries by name, all folders, and (name, why) of what is left out."""
    infos: dict[str, zipfile.ZipInfo] = {}
    folders: set[str] = set()
    problems: list[tuple[str, str]] = []
    for info in entries:
        name = info.filename.replace("\\", "/")  # some Windows tools write them so
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ":" in name.split("/")[0]:
            problems.append((info.filename, "an absolute name: left out"))
        elif ".." in parts:
            problems.append((info.filename, "a name that leads out of the zip (..): left out"))
        elif any(is_junk(part) for part in parts) or not parts:
            continue
        elif info.is_dir() or name.endswith("/"):
            folders.add("/".join(parts))
        elif stat.S_ISLNK(info.external_attr >> 16):
            problems.append((info.filename, "a link, not a file: left out"))
        elif info.file_size > MAX_FILE_BYTES:
            problems.append((info.filename, _too_large(info.file_size)))
        elif (clean := "/".join(parts)) in infos:
            problems.append((info.filename, "the name occurs twice in the zip: the first one counts"))
        else:
            infos[clean] = info
            folders.update("/".join(parts[:i]) for i in range(1, len(parts)))
    return infos, folders, problems


def _check_bomb(path: Path, infos: Iterable[zipfile.ZipInfo]) -> None:
    """Refuses a zip that would unfold to far more than images do.

    Judged against the size of the zip itself, since entries may overlap and share bytes.
    A size that an entry states too low does not help: reading stops there, and the
    checksum then fails.
    """
    sizes = [info.file_size for info in infos]
    total, packed = sum(sizes), max(1, path.stat().st_size)
    if len(sizes) > MAX_FILES or (total > RATIO_COUNTS_FROM and total > MAX_ZIP_RATIO * packed):
        raise DataError(
            f"{path} looks like a zip bomb and was not unpacked: its {packed / 1e6:,.1f} MB would unfold to "
            f"{total / 1e6:,.0f} MB in {len(sizes):,} files ({total / packed:,.0f} times; allowed are "
            f"{MAX_ZIP_RATIO} times and {MAX_FILES:,} files). If you trust it, unpack it yourself and give "
            "the folder."
        )


def _too_large(size: int) -> str:
    return f"holds {size / 1e6:,.0f} MB, more than the {MAX_FILE_BYTES / 1e6:,.0f} MB allowed for one image"


def is_junk(part: str) -> bool:
    """Whether a name is one that operating systems leave about and no one means to import."""
    return part.startswith(".") or part in JUNK_FOLDERS or part.lower() in JUNK_FILES


def some(names: Sequence[str]) -> str:
    """ "a, b, c and 4 more"."""
    shown = ", ".join(names[:SHOWN])
    return shown + (f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else "")
