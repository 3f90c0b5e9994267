"""Files that are whole or not there: JSON, tensors, locked folders. Needs neither torch nor pandas.

Every writer of the package goes through `replacing`, so a full disk and a killed process are met
in one place. A damaged file is a `DataError` that names it and says what to do; so is one that another
program wrote, which `foreign` recognizes by its first bytes.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import struct
import zipfile
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
SEAL = "sha256 of the rest"
FORMS = {  # what stands under "format" in our files -> what such a file is
    "alexnet-edu-checkpoint": "a checkpoint of a training (to look into its network, name its folder)",
    "alexnet-edu-weights-1": "a network to look into",
    "alexnet-edu-images-1": "an image pack",
    "alexnet-edu-imagenet-1": "a part of prepared ImageNet",
    "alexnet-edu-kernels-1": "a record of kernels",
}
HEAD_BYTES = 4096  # by which a file of another program is recognized
OLD_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # a pickled number that its files began with
PICKLED = (
    "is a PyTorch file (torch.save): Python objects, which may run code, so nothing here opens it; "
    "`torch.load(path, weights_only=True)` reads its tensors alone"
)
TORCHVISION_FIRST = "features.0.weight"  # the first tensor of torchvision's AlexNet
TORCHVISION_TIP = ", and `studies.networks.from_torchvision(model)` takes torchvision's AlexNet with them"
MAGIC = {  # the first bytes -> what a file is, and what reads it
    b"\x89HDF": "is an HDF5 file, as Keras writes: `h5py.File(path)` reads it",
    b"\x93NUMPY": "is an array of NumPy: `numpy.load(path)` reads it",
    b"version https://git-lfs": "is a pointer of Git LFS and not the file itself: `git lfs pull` fetches it",
    b"<": "is a web page or XML, not what was to be downloaded: download it again",
    b"\x1f\x8b": "is packed with gzip: unpack it first",
}


class DataError(ValueError):
    """Something is wrong with data on disk; the message says what, and what to do."""


class PermissionDenied(DataError):
    """The system does not let us read a file: it may be whole, so nothing may be made in its place."""


def unreadable(path: Path, error: OSError) -> DataError:
    """The error of a file that could not be read, which says nothing against its contents."""
    if isinstance(error, PermissionError):
        return PermissionDenied(
            f"{path} cannot be read: permission denied. It may well be whole: let whoever wrote it allow "
            f"reading (`chmod a+r {path}`), or work as that user"
        )
    return DataError(f"{path} cannot be read: {error.strerror or error}")


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
    except (OSError, NotImplementedError) as error:  # filelock's, where a file system has no locks
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{folder} cannot be written or locked: {reason}.") from error
    try:
        yield
    finally:
        lock.release()


# --- JSON -------------------------------------------------------------------------------------


def write_json(path: Path, value: Any, *, sealed: bool = False) -> None:
    """Writes `value` so that the file is either whole or as before; DataError if it cannot.

    sealed: adds a checksum to an object, so that `read_json` notices a changed digit.
    """
    if sealed:
        value = {**value, SEAL: _seal(value)}
    with replacing(path) as partial:
        partial.write_text(_text(value) + "\n", encoding="utf-8")


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _seal(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(_text(value).encode()).hexdigest()


def read_json(path: Path, *, sealed: bool = False) -> Any:
    """What `write_json` wrote. Raises DataError, with the file's name, if it is damaged.

    sealed: it must have its checksum.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if sealed and value.pop(SEAL) != _seal(value):
            raise ValueError("it has changed since it was written")
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, KeyError, AttributeError) as error:
        raise DataError(f"{path} is damaged ({error}). Delete it and run the same thing again.") from error
    return value


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
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
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
    path: Path,
    tensors: Mapping[str, np.ndarray[Any, Any]],
    metadata: Mapping[str, str],
    *,
    sealed: bool = False,
) -> Written:
    """Writes a safetensors file whose bytes depend on nothing but `tensors` and `metadata`.

    The format's own writer puts the strings of the head in another order every time; here a checksum
    is the same after every repetition. The digest of the tensors' bytes is added to the metadata as
    "digest". Tensors with wide elements should come first, so that each begins at a multiple of its
    element. sealed: adds a checksum of the head, where no list of files has one of the whole file.
    Raises DataError as `replacing`.
    """
    parts = [np.ascontiguousarray(t).reshape(-1).view(np.uint8).data for t in tensors.values()]
    content, whole = hashlib.sha256(), hashlib.sha256()
    for part in parts:
        content.update(part)
    head = _head(tensors, {**metadata, "digest": content.hexdigest()}, sealed)
    with replacing(path) as partial, partial.open("wb") as file:
        for part in [memoryview(head), *parts]:
            whole.update(part)
            file.write(part)
    return Written(len(head) + sum(len(part) for part in parts), whole.hexdigest())


def _head(tensors: Mapping[str, np.ndarray[Any, Any]], metadata: Mapping[str, str], sealed: bool) -> bytes:
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
    if sealed:
        fields["__metadata__"][SEAL] = _seal(fields)
    text = _text(fields).encode()
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
        raise unreadable(path, error) from error


def _parsed_head(path: Path, first: bytes, read: Callable[[int], bytes]) -> dict[str, Any]:
    length = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
    try:
        fields: dict[str, Any] = json.loads(read(length) if length <= MAX_HEAD_BYTES else "")
        ends = [part["data_offsets"][1] for name, part in fields.items() if name != "__metadata__"]
        metadata = fields.get("__metadata__", {})
        if metadata.pop(SEAL, None) not in (None, _seal(fields)):
            raise ValueError("it has changed since it was written")
        whole = path.stat().st_size == 8 + length + max(ends, default=0)
    except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        what = foreign(path) or "is damaged: its head cannot be read"
        raise DataError(f"{path} {what}") from error
    if not whole:
        raise DataError(f"{path} was cut short or added to: {path.stat().st_size:,} bytes")
    return fields


def head_of(path: Path, form: str) -> dict[str, Any]:
    """`read_head` of a file of one of our forms. Raises DataError, which says what it is, for any other."""
    head = read_head(path)
    found = head.get("__metadata__", {}).get("format")
    if found == form:
        return head
    wanted = FORMS[form].partition(" (")[0]
    if found in FORMS:
        raise DataError(f"{path} is {FORMS[found]}, not {wanted}")
    names = [name for name in head if name != "__metadata__"]
    tip = TORCHVISION_TIP if TORCHVISION_FIRST in names else ""
    raise DataError(
        f"{path} is a safetensors file of another program ({len(names)} tensors: {', '.join(names[:3])}, …), "
        f"not {wanted}: `safetensors.torch.load_file(path)` reads it{tip}"
    )


def foreign(path: Path) -> str:
    """What a file of another program is, and what reads it; "" where that is not known. Runs none of it."""
    with path.open("rb") as file:
        first = file.read(HEAD_BYTES)
    tip = TORCHVISION_TIP if TORCHVISION_FIRST.encode() in first else ""
    if not first:
        return "is empty"
    if first.startswith(b"PK\x03\x04"):
        return _zipped(path, tip)
    if first.startswith(OLD_TORCH):
        return PICKLED + tip
    if first[:1] == b"\x80" and 2 <= first[1] <= 5 and any(first[3:8]):  # those bytes of a length are 0
        return "is a Python pickle, which runs code when it is opened: read it only if you trust its author"
    return next((what for magic, what in MAGIC.items() if first.startswith(magic)), "")


def _zipped(path: Path, tip: str) -> str:
    """What a zip is, by the names in it."""
    try:
        with zipfile.ZipFile(path) as opened:
            inside = opened.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):  # zipfile's, of a split or newer zip
        return "begins like a zip, as PyTorch's files do, and is damaged or cut short"
    if any("/code/" in name for name in inside):
        return "is a TorchScript program: `torch.jit.load(path)` runs it"
    if any(name.endswith(".npy") for name in inside):
        return "holds arrays of NumPy: `numpy.load(path)` reads it"
    return (
        PICKLED + tip if any(name.endswith("/data.pkl") for name in inside) else "is a zip: unpack it first"
    )


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
        raise unreadable(path, error) from error
    if metadata.get("digest") != content.hexdigest():
        raise DataError(f"{path} has changed since it was written: its digest differs")
    return Written(size, whole.hexdigest()), metadata
