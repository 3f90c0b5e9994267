"""One photograph large enough to crop: matplotlib's own, or the reader's."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from alexnet_edu.data.decode import UnreadableFile, decode_square

PREPARED_SIDE = 256  # §2: the shorter side is brought to 256, then the middle is cut out


def photograph(path: Path | str | None = None, side: int = PREPARED_SIDE) -> Tensor:
    """(3, side, side) uint8, prepared as §2 says. None takes the portrait that matplotlib brings along.

    That is Grace Hopper, photographed by James S. Davis for the US Navy, in the public domain.
    Raises ValueError where the file is not there or cannot be read as an image.
    """
    if path is None:
        from matplotlib import cbook

        path = str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"cannot open the photograph {str(path)!r}: {error.strerror or error}") from error
    return photograph_from_bytes(data, str(path), side)


def photograph_from_bytes(data: bytes, name: str, side: int = PREPARED_SIDE) -> Tensor:
    """The same from the bytes of a file. name: for the message of the ValueError where it is no image."""
    try:
        return decode_square(data, side)
    except UnreadableFile as error:
        raise ValueError(f"{name!r} cannot be read as a photograph: it {error}") from error
