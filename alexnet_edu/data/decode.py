"""Bytes of an image file -> RGB pixels, or a sentence about what is wrong with them.

An ordinary JPEG goes through simplejpeg, which is fast and equal to PIL pixel by pixel; everything else
goes through PIL. Both are strict: a file that ends early is an error and not a half-grey image.
"""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import simplejpeg
import torch
from PIL import Image as PilImage
from PIL import UnidentifiedImageError
from torch import Tensor

Pixels = np.ndarray[Any, np.dtype[np.uint8]]  # (H, W, 3), RGB, row by row

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
MAX_PIXELS = 89_000_000  # about where PIL itself starts to warn
WHITE = (255, 255, 255, 255)
ORIENTATION = 0x0112  # the EXIF tag
TURNS = {  # by its value: what brings the image upright
    2: PilImage.Transpose.FLIP_LEFT_RIGHT,
    3: PilImage.Transpose.ROTATE_180,
    4: PilImage.Transpose.FLIP_TOP_BOTTOM,
    5: PilImage.Transpose.TRANSPOSE,
    6: PilImage.Transpose.ROTATE_270,
    7: PilImage.Transpose.TRANSVERSE,
    8: PilImage.Transpose.ROTATE_90,
}
JPEG_ERRORS = (ValueError, LookupError)  # of simplejpeg: KeyError where it knows no such colours
DESPITE_DAMAGE = "decoded in spite of damage"  # of bytes that decoders pass over with a warning


class UnreadableFile(Exception):
    """One file cannot be used; the message says why, without the file's name."""


@dataclass(frozen=True)
class Decoded:
    """pixels: (H, W, 3) uint8, RGB, as the image is meant to be seen. kind: "JPEG", "PNG", ….

    changes: what had to be done to get there ("greyscale", "turned by EXIF", …).
    """

    pixels: Pixels
    kind: str
    changes: tuple[str, ...] = ()


def decode(data: bytes, room: Pixels | None = None) -> Decoded:
    """Decodes one image of any of `FORMATS`.

    room: (n,) uint8, memory for the pixels of an ordinary JPEG, used if it is large enough; fresh
        memory for each of a million photographs costs a tenth of the time.
    Raises UnreadableFile for what is no image, ends early, or has more than MAX_PIXELS.
    A JPEG whose middle was overwritten but which still ends properly cannot be told from
    a whole one: the format has no checksum.
    """
    if not data:
        raise UnreadableFile("is empty (0 bytes)")
    values = _ordinary_jpeg(data)
    if values is None:
        return _decode_by_pil(data)
    try:
        buffer = room[:values] if room is not None and values <= len(room) else None
        return Decoded(simplejpeg.decode_jpeg(data, "RGB", buffer=buffer), "JPEG")
    except JPEG_ERRORS:
        decoded = _decode_by_pil(data)  # PIL judges, so that each fault has one wording
    damage = (DESPITE_DAMAGE,) if _only_warns(data) else ()
    return Decoded(decoded.pixels, decoded.kind, (*decoded.changes, *damage))


def _ordinary_jpeg(data: bytes) -> int | None:
    """3 · H · W of a JPEG in colour without EXIF; None for any other file."""
    if data[:2] != b"\xff\xd8" or b"Exif" in data:
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    except JPEG_ERRORS:
        return None
    _check_size(width, height)
    return 3 * height * width if colours in ("YCbCr", "RGB") else None


def _only_warns(data: bytes) -> bool:
    """Whether a JPEG that failed when every warning counts does not fail otherwise."""
    try:
        simplejpeg.decode_jpeg(data, "RGB", strict=False)
    except JPEG_ERRORS:
        return False  # a kind that simplejpeg does not know, and no damage
    return True


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise UnreadableFile(
            f"would be {width:,} × {height:,} pixels, more than the {MAX_PIXELS / 1e6:.0f} million allowed"
        )


def _decode_by_pil(data: bytes) -> Decoded:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata is no matter here; size is checked next
            with PilImage.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(*image.size)
                image.load()
                return _to_rgb(image)
    except UnreadableFile:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableFile(f"is no image of a known kind ({', '.join(FORMATS)})") from error
    except PilImage.DecompressionBombError as error:
        raise UnreadableFile(f"has more than the {MAX_PIXELS / 1e6:.0f} million pixels allowed") from error
    except Exception as error:  # over damaged bytes PIL raises nearly anything
        raise UnreadableFile(f"is damaged or cut short ({_without_address(error)})") from error


def _without_address(error: Exception) -> str:
    """The error in words, the same every time: an object's address in memory would differ."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", str(error) or type(error).__name__)


def _to_rgb(image: PilImage.Image) -> Decoded:
    """Any PIL image as RGB: upright, first frame, transparent parts on white."""
    changes: list[str] = []
    if getattr(image, "n_frames", 1) > 1:
        changes.append("animated: first frame")
    upright, change = _upright(image)
    changes += change
    mode = upright.mode
    if upright.has_transparency_data:
        changes.append("transparent: on white")
        rgba = upright.convert("RGBA")
        upright = PilImage.alpha_composite(PilImage.new("RGBA", rgba.size, WHITE), rgba)
    elif mode.startswith("I;16") or mode in ("I", "F"):
        changes.append("16-bit greyscale")
        upright = _to_8_bit(upright)
    elif mode in ("L", "1"):
        changes.append("greyscale")
    elif mode == "P":
        changes.append("palette")
    elif mode != "RGB":
        changes.append(mode)
    return Decoded(np.array(upright.convert("RGB")), image.format or "", tuple(changes))


def _upright(image: PilImage.Image) -> tuple[PilImage.Image, list[str]]:
    """The image as its metadata says that it was held; an error in the metadata is no damage of the pixels.

    Not by PIL's `exif_transpose`, which also writes the metadata anew and fails where it cannot.
    """
    try:
        turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
    except Exception:  # of metadata PIL raises nearly anything; the pixels are whole
        return image, ["unreadable metadata passed over"]
    return (image, []) if turn is None else (image.transpose(turn), ["turned by EXIF"])


def _to_8_bit(image: PilImage.Image) -> PilImage.Image:
    """0–65535 -> 0–255; PIL's own conversion would clip at 255 instead."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535 or image.mode == "F":
        raise ValueError(
            f"pixel values {values.min()} to {values.max()} in mode {image.mode}, not 0 to 65535"
        )
    return PilImage.fromarray((values.astype(np.uint32) // 257).astype(np.uint8))


def central_square(pixels: Pixels, size: int) -> PilImage.Image:
    """The square in the middle of (H, W, 3) uint8, brought to size × size (§2).

    Bilinear with antialiasing, by PIL: in integers, so alike on every machine.
    """
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    image = PilImage.fromarray(pixels[top : top + side, left : left + side])
    return image.resize((size, size), PilImage.Resampling.BILINEAR)


def fit_to_square(pixels: Tensor, size: int) -> Tensor:
    """(3, H, W) uint8 -> (3, size, size) uint8 by `central_square`."""
    if tuple(pixels.shape[1:]) == (size, size):
        return pixels
    return to_tensor(np.asarray(central_square(pixels.permute(1, 2, 0).numpy(), size)))


def to_tensor(pixels: Pixels) -> Tensor:
    """(H, W, 3) -> (3, H, W), a copy."""
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


def decode_square(data: bytes, size: int) -> Tensor:
    """Bytes of an image file -> (3, size, size) uint8, prepared as §2 says; UnreadableFile as `decode`."""
    return fit_to_square(to_tensor(decode(data).pixels), size)
