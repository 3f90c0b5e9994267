"""Files that are whole or not there: JSON, tensors, locked folders. Needs neither torch nor pandas.

Every writer of the package goes through `replacing`, so a full disk and a killed process are met
in one place. A damaged file is a `DataError` that names it and says what to do.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import numpy as np

LOCK = ".lock"
PARTIAL = ".partial-"
FULL = (errno.ENOSPC, errno.EDQUOT) if hasattr(errno, "EDQUOT") else (errno.ENOSPC,)
TYPES = {"float16": "F16", "float32": "F32", "float64": "F64", "int32": "I32", "int64": "I64", "uint8": "U8"}
MAX_HEAD_BYTES = 100_000_000  # what safetensors itself accepts
CHUNK = 2**20


class DataError(ValueError):
    """Something is wrong with data on disk; the message says what, and what to do."""


# --- one writer at a time, whole files --------------------------------------------------------


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place beside `path` to write to; it takes the name of `path` once it is whole and on the disk.

    Raises DataError where the disk is full or the folder cannot be written; `path` is then as before.
    """
    partial = path.with_name(f"{path.name}{PARTIAL}{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Makes the new name last through a power cut, where the system lets a folder be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _cannot_write(path: Path, error: OSError) -> DataError:
    if error.errno in FULL:
        return DataError(
            f"the disk is full: {path} could not be written ({error.strerror}). What was there before is "
            "kept: free some space and run the same command again, it goes on from there."
        )
    return DataError(
        f"{path} could not be written: {error.strerror or error}. What was there before is kept: once the "
        "folder can be written, the same command goes on from there."
    )


def remove_partials(folder: Path) -> None:
    """Removes what killed processes have left half written. Call it only while no other one writes."""
    for path in folder.glob(f"*{PARTIAL}*"):
        with contextlib.suppress(OSError):
            path.unlink()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Makes a folder and holds its lock; the system lets go of it when the process ends.

    Raises DataError where another process holds it, and where the folder cannot be written.
    """
    lock = filelock.FileLock(folder / LOCK, blocking=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout as error:
        raise DataError(
            f"another process is writing to {folder}. Wait until it has ended, or stop it: what it has "
            "done is kept."
        ) from error
    except (OSError, NotImplementedError) as error:  # some network file systems have no locks
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{folder} cannot be written or locked: {reason}.") from error
    try:
        yield
    finally:
        lock.release()


# --- JSON -------------------------------------------------------------------------------------


def write_json(path: Path, value: Any) -> None:
    """Writes `value` so that the file is either whole or as before; DataError if it cannot."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(value, separators=(",", ":")) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """What `write_json` wrote. Raises DataError, with the file's name, if it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}). Delete it and run the same thing again.") from error


def kept(path: Path, make: Callable[[], Any]) -> Any:
    """What `make` gives, as JSON gives it back: made where there is no file yet, and read ever after."""
    if not path.exists():
        write_json(path, make())
    return read_json(path)


def load_record(path: Path, experiment: str, parts: Set[str]) -> dict[str, Any]:
    """The record of an experiment in `data/results`: an object that names it and has all of `parts`.

    Raises DataError with advice where there is none, it is damaged, or it is another's.
    """
    back = "`git checkout data/results` brings it back"
    if not path.exists():
        raise DataError(
            f"{path} is not there; {back}, and `alexnet-edu experiment {experiment}` makes it anew"
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}); {back}") from error
    if not isinstance(found, dict) or found.get("experiment") != experiment or not found.keys() >= parts:
        raise DataError(f"{path} is not a record of {experiment!r}; {back}")
    return found


# --- tensors ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Written:
    """bytes: of the file. sha256: of all of it, in hex."""

    bytes: int
    sha256: str


def write_tensors(
    path: Path, tensors: Mapping[str, np.ndarray[Any, Any]], metadata: Mapping[str, str]
) -> Written:
    """Writes a safetensors file whose bytes depend on nothing but `tensors` and `metadata`.

    The format's own writer puts the strings of the head in another order every time; here a checksum
    is the same after every repetition. The digest of the tensors' bytes is added to the metadata as
    "digest". Tensors with wide elements should come first, so that each begins at a multiple of its
    element. Raises DataError as `replacing`.
    """
    parts = [np.ascontiguousarray(t).reshape(-1).view(np.uint8).data for t in tensors.values()]
    content, whole = hashlib.sha256(), hashlib.sha256()
    for part in parts:
        content.update(part)
    head = _head(tensors, {**metadata, "digest": content.hexdigest()})
    with replacing(path) as partial, partial.open("wb") as file:
        for part in [memoryview(head), *parts]:
            whole.update(part)
            file.write(part)
    return Written(len(head) + sum(len(part) for part in parts), whole.hexdigest())


def _head(tensors: Mapping[str, np.ndarray[Any, Any]], metadata: Mapping[str, str]) -> bytes:
    fields: dict[str, Any] = {"__metadata__": dict(metadata)}
    at = 0
    for name, tensor in tensors.items():
        end = at + tensor.nbytes
        fields[name] = {
            "dtype": TYPES[tensor.dtype.name],
            "shape": list(tensor.shape),
            "data_offsets": [at, end],
        }
        at = end
    text = json.dumps(fields, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def read_head(path: Path) -> dict[str, Any]:
    """The head of a safetensors file: metadata under "__metadata__", then each tensor.

    Raises DataError where there is none, or the file has not the length that it states.
    """
    try:
        with path.open("rb") as file:
            return _parsed_head(path, file.read(8), file.read)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _parsed_head(path: Path, first: bytes, read: Callable[[int], bytes]) -> dict[str, Any]:
    length = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
    try:
        fields: dict[str, Any] = json.loads(read(length) if length <= MAX_HEAD_BYTES else "")
        ends = [part["data_offsets"][1] for name, part in fields.items() if name != "__metadata__"]
        fields.get("__metadata__", {}).items()  # must be words, too
        whole = path.stat().st_size == 8 + length + max(ends, default=0)
    except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        raise DataError(f"{path} is damaged: its head cannot be read") from error
    if not whole:
        raise DataError(f"{path} was cut short or added to: {path.stat().st_size:,} bytes")
    return fields


def checked(path: Path) -> tuple[Written, dict[str, str]]:
    """Reads all of a file and compares the digest that it holds; its length and sha256, its metadata.

    Raises DataError where the file is not what was written.
    """
    head = read_head(path)
    metadata = head.get("__metadata__", {})
    whole, content = hashlib.sha256(), hashlib.sha256()
    try:
        with path.open("rb") as file:
            first = file.read(8)
            whole.update(first + file.read(struct.unpack("<Q", first)[0]))
            while chunk := file.read(CHUNK):
                whole.update(chunk)
                content.update(chunk)
            size = file.tell()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    if metadata.get("digest") != content.hexdigest():
        raise DataError(f"{path} has changed since it was written: its digest differs")
    return Written(size, whole.hexdigest()), metadata
