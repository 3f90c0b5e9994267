"""The files of a folder, a zip or a tar: listed by name, read where they lie, never unpacked to disk.

An archive may come from anywhere, so its directory is judged before anything is read: names that lead
outside, links, files that would unfold to more than they should. A tar of tars, as ImageNet's training
images come, is listed as the folders that it would unpack to.
"""

from __future__ import annotations

import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from alexnet_edu.data.decode import UnreadableFile
from alexnet_edu.files import DataError

Problem = tuple[str, str]  # (file, why it is left out)

MAX_FILES = 20_000_000  # the contest's ImageNet has 1.4 million, all of Fall 2011 14.2
MAX_FILE_BYTES = 256 * 2**20  # no single photograph is larger
MAX_ZIP_RATIO = 100  # images are compressed already; 1000 is what deflate can reach
RATIO_COUNTS_FROM = 256 * 2**20  # below this even a bomb does no harm
MAX_DEPTH = 12  # folders within folders: also ends a link that points back up
SHOWN = 10  # names listed in a message before "and N more"
JUNK_FOLDERS = frozenset({"__macosx", "@eadir", "$recycle.bin", "lost+found", "system volume information"})
JUNK_FILES = frozenset({"thumbs.db", "desktop.ini"})
FETCH_AGAIN = "It is damaged or was cut short: fetch it again and compare its checksum."
IS_IT_THERE = "Is the disk still there? Once it is, the same command goes on."


class SourceChanged(DataError):
    """A file is no longer what it was when it was listed: no fault of that image alone."""


class File(NamedTuple):
    """One file, wherever it lies.

    name: "train/cat/001.jpg", relative, with forward slashes. path: of the file on the disk that holds
    its bytes. offset: of the first of them there, −1 for a file by itself. size: in bytes, −1 for what
    is no regular file.
    """

    name: str
    path: str
    offset: int
    size: int


@dataclass
class Files:
    """What is in a folder or an archive.

    label: its base name, for messages and records. files: sorted by name. names: of those in an archive.
    folders: names of all folders, without a trailing slash (an empty one is only here).
    problems: (name, why) of entries that are not even looked into. notes: sentences.
    read: the bytes of one; raises UnreadableFile, and SourceChanged as `read_file`.
    """

    label: str
    files: list[File] = field(default_factory=list)
    folders: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    read: Callable[[File], bytes] = lambda file: read_file(file)
    close: Callable[[], None] = lambda: None

    def __enter__(self) -> Files:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add_folder(self, name: str) -> None:
        """Lists a folder of an archive, if its name means no harm."""
        if clean := self._clean(name):
            self.folders.add(clean)

    def add(self, file: File, *, is_file: bool = True) -> str:
        """Lists a file of an archive; its name there, "" where it is left out."""
        name = self._clean(file.name)
        if name and not is_file:
            self.problems.append((file.name, "a link, not a file: left out"))
        elif name in self.names:
            self.problems.append((file.name, "the name occurs twice in the archive: the first one counts"))
        elif name:
            self.names.add(name)
            self.files.append(file._replace(name=name))
            parts = name.split("/")
            self.folders.update("/".join(parts[:i]) for i in range(1, len(parts)))
            return name
        return ""

    def _clean(self, name: str) -> str:
        """The name without "." and "//"; "" for one that means harm, and for junk."""
        slashed = name.replace("\\", "/")  # some Windows tools write them so
        parts = [part for part in slashed.split("/") if part not in ("", ".")]
        if slashed.startswith("/") or ":" in slashed.split("/")[0]:
            self.problems.append((name, "an absolute name: left out"))
        elif ".." in parts:
            self.problems.append((name, "a name that leads out of the archive (..): left out"))
        elif not any(is_junk(part) for part in parts):
            return "/".join(parts)
        return ""


def open_files(path: Path, tick: Callable[[], object] = lambda: None) -> Files:
    """Lists what is in a folder, a zip or a tar. tick: called once for each tar within a tar.

    Raises DataError when there is nothing at `path`, when it is none of the three, when an archive is
    damaged, or when it would unfold to far more than its size.
    """
    path = path.expanduser()
    if path.is_dir():
        return _open_folder(path)
    if not path.exists():
        raise DataError(
            f"There is nothing at {path}. Give a folder or a zip that holds one folder of images per class."
        )
    if path.suffix == ".tar":
        return _open_tar(path, tick)
    if zipfile.is_zipfile(path):
        return _open_zip(path)
    raise DataError(
        f"{path} is neither a folder nor a whole zip or tar ({path.stat().st_size:,} bytes). If it was "
        "downloaded or copied, it may have been cut short: fetch it again. Other archives (tar.gz, rar, "
        "7z) must be unpacked first; then give the folder."
    )


def unfold(files: Files, tars: Collection[str], tick: Callable[[], object]) -> None:
    """Puts in place of tars of a folder what they would unpack to, in folders of their names."""
    for tar in [file for file in files.files if file.name in tars]:
        with _tar_errors(Path(tar.path)), Path(tar.path).open("rb", buffering=0) as opened:
            _add_tar(files, opened, tar._replace(offset=0), tar.name.removesuffix(".tar") + "/", tick)
        tick()
    files.files = sorted(file for file in files.files if file.name not in tars)


def read_file(file: File) -> bytes:
    """The bytes of a file in a folder or a tar.

    Raises UnreadableFile where this one cannot be had, and SourceChanged where it is gone or has
    another size than when it was listed: then the next one will not fare better.
    """
    _check_size(file.size)
    try:
        with Path(file.path).open("rb", buffering=0) as opened:
            opened.seek(max(0, file.offset))
            data = opened.read(file.size if file.offset >= 0 else file.size + 1)
    except FileNotFoundError as error:
        raise SourceChanged(f"{file.path} was there when it was listed and is gone. {IS_IT_THERE}") from error
    except OSError as error:
        raise UnreadableFile(f"cannot be read: {error.strerror or error}") from error
    if len(data) != file.size:
        raise SourceChanged(f"{file.path} no longer has the bytes of {file.name}. {IS_IT_THERE}")
    return data


def _check_size(size: int) -> None:
    if size < 0:
        raise UnreadableFile("is no regular file, or a link to nothing")
    if size > MAX_FILE_BYTES:
        raise UnreadableFile(
            f"holds {size / 1e6:,.0f} MB, more than the {MAX_FILE_BYTES / 1e6:,.0f} MB allowed for one image"
        )


def is_junk(part: str) -> bool:
    """Whether a name is one that operating systems leave about and no one means to import."""
    return part.startswith(".") or part.lower() in JUNK_FOLDERS | JUNK_FILES


def some(names: Sequence[str]) -> str:
    """ "a, b, c and 4 more"."""
    shown = ", ".join(names[:SHOWN])
    return shown + (f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else "")


# --- a folder -----------------------------------------------------------------------------


def _open_folder(path: Path) -> Files:
    root = path.resolve()
    files: list[File] = []
    folders: set[str] = set()
    for folder, inner, names in os.walk(root, followlinks=True):
        relative = Path(folder).relative_to(root)
        # in place: os.walk goes on with what is left in the list
        inner[:] = [i for i in inner if not is_junk(i) and len(relative.parts) < MAX_DEPTH]
        prefix = "".join(part + "/" for part in relative.parts)
        folders.update(prefix + i for i in inner)
        for name in names:
            if not is_junk(name):
                place = os.path.join(folder, name)  # noqa: PTH118 (a million times)
                files.append(File(prefix + name, place, -1, _size(place)))
        if len(files) > MAX_FILES:
            raise DataError(f"{path} holds more than {MAX_FILES:,} files. Choose a folder further down.")
    return Files(root.name, sorted(files), folders)


def _size(path: str) -> int:
    """In bytes; −1 for what is no regular file, so that nothing waits for a pipe."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return -1
    return status.st_size if stat.S_ISREG(status.st_mode) else -1


# --- an archive ---------------------------------------------------------------------------


def _open_zip(path: Path) -> Files:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path} is a damaged zip ({error}). Fetch or make it again.") from error
    except RuntimeError as error:  # a newer kind of zip than Python's library knows
        raise DataError(f"{path} cannot be read ({error}). Unpack it and give the folder.") from error
    files = Files(path.name, close=archive.close)
    infos = {}
    for info in archive.infolist():
        if info.filename.endswith(("/", "\\")):
            files.add_folder(info.filename)
            continue
        file = File(info.filename, str(path), info.header_offset, info.file_size)
        if name := files.add(file, is_file=not stat.S_ISLNK(info.external_attr >> 16)):
            infos[name] = info
    try:
        _check_bomb(path, [info.file_size for info in infos.values()])
    except DataError:
        archive.close()
        raise
    files.files.sort()
    files.read = lambda file: _read_zipped(archive, infos[file.name])
    return files


def _read_zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    _check_size(info.file_size)
    try:
        return archive.read(info)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
        raise UnreadableFile(f"is damaged inside the zip ({error})") from error
    except RuntimeError as error:  # encrypted, or compressed in a way that Python's library does not know
        raise UnreadableFile(f"cannot be read ({error}): unpack the zip and give the folder") from error


def _check_bomb(path: Path, sizes: Sequence[int]) -> None:
    """Refuses a zip that would unfold to far more than images do.

    Judged against the size of the zip itself, since entries may overlap and share bytes.
    A size that an entry states too low does not help: reading stops there, and the
    checksum then fails.
    """
    total, packed = sum(sizes), max(1, path.stat().st_size)
    if len(sizes) > MAX_FILES or (total > RATIO_COUNTS_FROM and total > MAX_ZIP_RATIO * packed):
        raise DataError(
            f"{path} looks like a zip bomb and was not unpacked: its {packed / 1e6:,.1f} MB would unfold to "
            f"{total / 1e6:,.0f} MB in {len(sizes):,} files ({total / packed:,.0f} times; allowed are "
            f"{MAX_ZIP_RATIO} times and {MAX_FILES:,} files). If you trust it, unpack it yourself and give "
            "the folder."
        )


def _open_tar(path: Path, tick: Callable[[], object]) -> Files:
    """A tar is a list of heads of 512 bytes, each followed by a file's bytes as they are."""
    files = Files(path.name)
    # no buffer: heads lie far apart, what it reads ahead would be thrown away
    with _tar_errors(path), path.open("rb", buffering=0) as file:
        _add_tar(files, file, File(path.name, str(path), 0, path.stat().st_size), "", tick)
    files.files.sort()
    return files


def _add_tar(
    files: Files, opened: BinaryIO, tar: File, folder: str, tick: Callable[[], object], *, inner: bool = False
) -> None:
    """Adds what is in a tar, and what is in the tars in it, each in a folder of its name ("" or "a/")."""
    for member in _members(opened, tar, files.notes):
        name = folder + member.name
        file = File(name, tar.path, member.offset_data, member.size)
        if member.isdir():
            files.add_folder(name)
        elif member.isreg() and name.endswith(".tar") and not inner:
            _add_tar(files, opened, file, name.removesuffix(".tar") + "/", tick, inner=True)
            tick()
        else:
            files.add(file, is_file=member.isreg() and not member.issparse())


def _members(opened: BinaryIO, tar: File, notes: list[str]) -> Iterator[tarfile.TarInfo]:
    """The entries of a tar, or of a tar in a tar, with offsets in the whole file."""
    start, end = tar.offset, tar.offset + tar.size
    opened.seek(start)
    archive = tarfile.open(fileobj=opened, mode="r:", encoding="utf-8")  # noqa: SIM115 (others go on)
    while (member := archive.next()) is not None and member.offset < end:
        if member.offset_data + member.size > end:
            raise DataError(
                f"{tar.name} ends before {member.name} does: {member.size:,} bytes from byte "
                f"{member.offset_data:,} on, of {end:,}. {FETCH_AGAIN}"
            )
        archive.members.clear()  # type: ignore[attr-defined]  # it would keep a million of them
        yield member
    # `tarfile` takes whatever is no head for the end, but only zeros are
    at = archive.offset if member is None else end
    opened.seek(at)
    block = opened.read(min(tarfile.BLOCKSIZE, end - at)) if at < end else b""
    if not block:
        notes.append(f"{tar.name} has no mark at its end: it may have been cut short. Compare its checksum.")
    elif any(block) or len(block) < tarfile.BLOCKSIZE:
        raise DataError(f"{tar.name}: there is no head of a tar at byte {at:,}. {FETCH_AGAIN}")


@contextmanager
def _tar_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except (tarfile.TarError, OSError, ValueError) as error:
        raise DataError(f"{path} is no whole tar ({error}). {FETCH_AGAIN}") from error
