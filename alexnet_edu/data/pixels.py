"""Bytes of an image file -> an RGB tensor, or a sentence about what is wrong with them.

The common case, a JPEG in RGB, goes through torchvision, about three times as fast as
PIL on small images and equal to it pixel by pixel; everything else goes through PIL. Both are
strict: a file that ends early is an error and not a half-grey image.
"""

from __future__ import annotations

import functools
import io
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image as PilImage
from PIL import ImageOps, UnidentifiedImageError
from torch import Tensor

from alexnet_edu.data.decode import UnreadableFile

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
MAX_PIXELS = 89_000_000  # about where PIL itself starts to warn
WHITE = (255, 255, 255, 255)


@dataclass(frozen=True)
class Decoded:
    """pixels: (3, H, W) uint8, RGB, as the image is meant to be seen.

    changes: what had to be done to get there ("greyscale", "turned by EXIF", …).
    """

    pixels: Tensor
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class JpegHeader:
    """What the head of a JPEG says; height and width in pixels."""

    height: int
    width: int
    components: int
    exif: bool


def decode(data: bytes) -> Decoded:
    """Decodes one image of any of `FORMATS`.

    Raises UnreadableFile for what is no image, ends early, or has more than MAX_PIXELS.
    A JPEG whose middle was overwritten but which still ends properly cannot be told from
    a whole one: the format has no checksum.
    """
    if not data:
        raise UnreadableFile("is empty (0 bytes)")
    header = jpeg_header(data)
    if header is not None and header.components == 3 and not header.exif:
        _check_pixels(header.width, header.height)
        if _fast_jpeg is not None:
            try:
                return Decoded(_fast_jpeg(data))
            except RuntimeError:
                pass  # PIL judges, so that each fault has one wording
    return _decode_by_pil(data)


def _by_torchvision(data: bytes) -> Tensor:
    buffer = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # known, and PIL stands ready
        return _torchvision_decoder()(buffer)


@functools.cache
def _torchvision_decoder() -> Callable[[Tensor], Tensor]:
    """Imported when it is first wanted: importing torchvision takes as long as importing torch.

    Raises RuntimeError where torchvision no longer has a decoder (deprecated in 0.29).
    """
    try:
        from torchvision.io import ImageReadMode, decode_jpeg  # type: ignore[import-untyped]
    except ImportError as error:
        raise RuntimeError("torchvision has no decoder") from error
    return functools.partial(decode_jpeg, mode=ImageReadMode.RGB)


_fast_jpeg: Callable[[bytes], Tensor] | None = _by_torchvision  # None leaves everything to PIL


def jpeg_header(data: bytes) -> JpegHeader | None:
    """Reads the segments of a JPEG up to the one with its size; None if it is none."""
    if data[:2] != b"\xff\xd8":
        return None
    place, exif = 2, False
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        (length,) = struct.unpack_from(">H", data, place + 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # start of frame
            if place + 10 > len(data):
                return None
            height, width, components = struct.unpack_from(">HHB", data, place + 5)
            return JpegHeader(height, width, components, exif)
        if marker == 0xDA or length < 2:  # the scan without a frame before it
            return None
        exif = exif or (marker == 0xE1 and data[place + 4 : place + 8] == b"Exif")
        place += 2 + length
    return None


def _check_pixels(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise UnreadableFile(
            f"would be {width:,} × {height:,} pixels, more than the {MAX_PIXELS / 1e6:.0f} million allowed"
        )


def _decode_by_pil(data: bytes) -> Decoded:
    try:
        with warnings.catch_warnings():
            # Our own limit, checked next, is the lower one and has our wording.
            warnings.simplefilter("ignore", PilImage.DecompressionBombWarning)
            image = PilImage.open(io.BytesIO(data), formats=FORMATS)
        with image:
            _check_pixels(*image.size)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # odd metadata is no matter here
                image.load()
                return _to_rgb(image)
    except UnidentifiedImageError as error:
        raise UnreadableFile(f"is no image of a known kind ({', '.join(FORMATS)})") from error
    except PilImage.DecompressionBombError as error:
        raise UnreadableFile(f"has more than the {MAX_PIXELS / 1e6:.0f} million pixels allowed") from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, MemoryError) as error:
        raise UnreadableFile(f"is damaged or cut short ({error})") from error


def _to_rgb(image: PilImage.Image) -> Decoded:
    """Any PIL image as RGB: upright, first frame, transparent parts on white."""
    changes: list[str] = []
    if getattr(image, "n_frames", 1) > 1:
        changes.append("animated: first frame")
    upright = ImageOps.exif_transpose(image)
    if image.getexif().get(0x0112, 1) not in (0, 1):
        changes.append("turned by EXIF")
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
    return Decoded(_to_tensor(upright.convert("RGB")), tuple(changes))


def _to_8_bit(image: PilImage.Image) -> PilImage.Image:
    """0–65535 -> 0–255; PIL's own conversion would clip at 255 instead."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535 or image.mode == "F":
        raise ValueError(
            f"pixel values {values.min()} to {values.max()} in mode {image.mode}, not 0 to 65535"
        )
    return PilImage.fromarray((values.astype(np.uint32) // 257).astype(np.uint8))


def fit_to_square(pixels: Tensor, size: int) -> Tensor:
    """(3, H, W) uint8 -> (3, size, size) uint8: the square in the middle, brought to `size` (§2).

    Bilinear with antialiasing, by PIL: in integers, so alike on every machine, and on one
    thread, which for small images is the fast way. An image that has the size already is
    returned as it is.
    """
    height, width = pixels.shape[1:]
    if (height, width) == (size, size):
        return pixels
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    image = PilImage.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    square = image.crop((left, top, left + side, top + side))  # before, or resizing looks past its edge
    return _to_tensor(square.resize((size, size), PilImage.Resampling.BILINEAR))


def _to_tensor(image: PilImage.Image) -> Tensor:
    """An RGB image of PIL as (3, H, W) uint8."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
