"""One process at a time in a folder. The lock is the system's: it ends with the process that holds it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from alexnet_edu.images import DataError

LOCK = ".lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the lock of a folder that exists, by a file in it that stays there.

    Raises DataError, with the other's process number, where another process holds it, and
    where the file cannot be written.
    """
    path = folder / LOCK
    try:
        file = path.open("a+b")
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error.strerror or error}.") from error
    with file:
        if not _take(file):
            raise DataError(
                f"another process{_number(path)} is writing to {folder}. Wait until it has ended, or stop "
                "it: what it has done is kept."
            )
        file.truncate(0)
        file.write(f"\n{os.getpid()}\n".encode())
        file.flush()
        yield  # closing the file lets go of the lock


def _number(path: Path) -> str:
    """ " 1234", or nothing where it cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        return f" {int(path.read_bytes())}"
    return ""


if sys.platform == "win32":
    import msvcrt

    def _take(file: BinaryIO) -> bool:
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _take(file: BinaryIO) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:  # some network file systems have no locks
            raise DataError(
                f"{file.name} cannot be locked here: {error.strerror}. Choose a folder on another disk."
            ) from error
        return True
