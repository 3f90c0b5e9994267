"""Bytes of image files: every kind comes out as it is meant to be seen, or with a reason."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image as PilImage
from PIL import ImageOps

from alexnet_edu.data import decode as module
from alexnet_edu.data.decode import (
    DESPITE_DAMAGE,
    Decoded,
    UnreadableFile,
    decode,
    decode_square,
    fit_to_square,
)
from tests.imagenet_files import damaged_files, encoded, jpeg, picture

WHOLE = jpeg(7)
PROGRESSIVE, SHARES = jpeg(1, (64, 64), progressive=True), (0.1, 0.3, 0.5, 0.7, 0.9, 0.99)


def tagged(turn: int) -> dict[str, object]:
    exif = PilImage.Exif()
    exif[0x0112] = turn
    return {"exif": exif}


GREY_40_000 = PilImage.fromarray(np.full((32, 32), 40_000, np.uint16))
CHANGED = {
    "greyscale JPEG": (encoded(picture(3, mode="L")), "greyscale"),
    "black and white PNG": (encoded(picture(3, mode="1"), "PNG"), "greyscale"),
    "CMYK JPEG": (encoded(picture(3, mode="CMYK")), "CMYK"),
    "RGBA PNG": (encoded(picture(3, mode="RGBA"), "PNG"), "transparent: on white"),
    "LA PNG": (encoded(picture(3, mode="LA"), "PNG"), "transparent: on white"),
    "palette GIF": (encoded(picture(3).quantize(16), "GIF"), "palette"),
    "turned JPEG": (encoded(picture(3), **tagged(6)), "turned by EXIF"),
    "16-bit PNG": (encoded(GREY_40_000, "PNG"), "16-bit greyscale"),
    "animated GIF": (
        encoded(picture(3), "GIF", save_all=True, append_images=[picture(4)]),
        "animated: first frame",
    ),
    "an end too early": (WHOLE[:-30] + WHOLE[-2:], DESPITE_DAMAGE),
}


@pytest.mark.parametrize("kind", CHANGED)
def test_what_had_to_be_changed_is_named(kind: str) -> None:
    data, change = CHANGED[kind]
    decoded = decode(data)
    assert change in decoded.changes
    assert (decoded.pixels.dtype, decoded.pixels.shape[2]) == (np.uint8, 3)
    assert decode(WHOLE).changes == ()


def test_colours_survive_the_conversion() -> None:
    rgb = decode(encoded(picture(3), "PNG")).pixels.astype(int)
    for mode, kind, tolerance in (("CMYK", "TIFF", 8), ("RGBA", "PNG", 0)):
        other = decode(encoded(picture(3, mode=mode), kind)).pixels.astype(int)
        assert abs(other - rgb).max() <= tolerance, mode
    grey = decode(encoded(picture(3, mode="L"), "PNG")).pixels
    assert all(np.array_equal(grey[:, :, c], np.asarray(picture(3, mode="L"))) for c in range(3))
    clear = decode(encoded(PilImage.new("RGBA", (9, 9), (200, 0, 0, 0)), "PNG")).pixels
    assert np.unique(clear).tolist() == [255], "transparent means white"
    assert np.unique(decode(encoded(GREY_40_000, "PNG")).pixels).tolist() == [155]  # of 155.6, rounded down


@pytest.mark.parametrize("turn", range(10))
def test_a_turned_photograph_comes_out_upright(turn: int) -> None:
    stored = encoded(picture(3, (24, 16)), quality=100, subsampling=0)
    turned = encoded(picture(3, (24, 16)), quality=100, subsampling=0, **tagged(turn))
    with PilImage.open(io.BytesIO(turned)) as image:
        assert np.array_equal(decode(turned).pixels, np.asarray(ImageOps.exif_transpose(image)))
    rotations = {3: 2, 6: 3, 8: 1}.get(turn, 0)
    if turn not in (2, 4, 5, 7):  # mirrored
        assert np.array_equal(decode(turned).pixels, np.rot90(decode(stored).pixels, rotations))


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
def test_an_error_in_metadata_is_no_damage_of_the_pixels(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """EXIF that is none; then a reader that raises whatever it likes, as that of pillow 11.2.1."""
    image, passed = picture(3, mode=mode), "unreadable metadata passed over"
    plain = decode(encoded(image))
    odd = decode(encoded(image, exif=b"Exif\0\0junkjunk", dpi=(72, 72)))
    assert np.array_equal(odd.pixels, plain.pixels)
    assert odd.changes == (passed, *plain.changes)
    for error in (
        AttributeError("'float' has no 'encode'"),
        struct.error("x"),
        UnicodeDecodeError("a", b"", 0, 1, "b"),
    ):
        monkeypatch.setattr(PilImage.Image, "getexif", mock.Mock(side_effect=error))
        assert decode(encoded(image, dpi=(72, 72), **tagged(6))).changes == (passed, *plain.changes)


# --- one way for ordinary JPEGs, and another --------------------------------------------------


def test_ordinary_jpegs_are_those_of_pil() -> None:
    """Every subsampling, progressive, RGB inside; in fresh memory, and in memory that held another."""
    room = np.empty(2**19, dtype=np.uint8)
    for size in [(300, 400), (401, 299), (17, 5), (1, 90), (600, 31)]:
        for options in ({}, {"subsampling": 0, "progressive": True}, {"subsampling": 1, "quality": 40}):
            data = jpeg(sum(size), size, **options)
            expected = module._decode_by_pil(data).pixels
            assert np.array_equal(decode(data).pixels, expected), (size, options)
            assert np.array_equal(decode(data, room).pixels, expected), (size, options)
    inside_rgb = encoded(picture(5), keep_rgb=True)
    assert np.array_equal(decode(inside_rgb).pixels, module._decode_by_pil(inside_rgb).pixels)


def test_a_thousand_damaged_files_are_judged_as_by_pil() -> None:
    """The quick way takes none that PIL refuses, and gives the same pixels; nothing else is ever raised."""

    def pixels(by: Callable[[bytes], Decoded], data: bytes) -> np.ndarray | None:
        try:
            return by(data).pixels
        except UnreadableFile:
            return None

    kept = 0
    for name, data in damaged_files(1000).items():
        ours, expected = pixels(decode, data), pixels(module._decode_by_pil, data)
        assert np.array_equal(ours, expected), name  # None equals None alone
        kept += ours is not None
    assert 100 < kept < 900, "some are still images, some are none"


# --- bad files --------------------------------------------------------------------------------


def png_that_claims(width: int, height: int) -> bytes:
    """A few bytes that say they are an enormous PNG."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))

    head = struct.pack(">LLBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def jpeg_that_claims(width: int, height: int) -> bytes:
    place = WHOLE.index(b"\xff\xc0")
    return WHOLE[: place + 5] + struct.pack(">HH", height, width) + WHOLE[place + 9 :]


BAD = {
    "text": (b"this is no image", "of a known kind"),
    "empty": (b"", "0 bytes"),
    "half a JPEG": (WHOLE[: len(WHOLE) // 2], "damaged or cut short"),
    "a JPEG without its end": (WHOLE[:-2], "damaged or cut short"),
    "a JPEG cut in its head": (WHOLE[:30], "damaged or cut short"),
    "half a PNG": (encoded(picture(1), "PNG")[:200], "damaged or cut short"),
    "a PNG bomb": (png_that_claims(10_000, 10_000), "10,000 × 10,000 pixels"),
    "a larger PNG bomb": (png_that_claims(60_000, 60_000), "89 million pixels"),
    "a JPEG bomb": (jpeg_that_claims(65_000, 65_000), "65,000 × 65,000 pixels"),
    **{f"{s:.0%} of a progressive JPEG": (PROGRESSIVE[: int(s * len(PROGRESSIVE))], "cut") for s in SHARES},
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_says_why(kind: str) -> None:
    data, why = BAD[kind]
    with pytest.raises(UnreadableFile, match=why):
        decode(data)


@pytest.mark.parametrize(
    "error", [MemoryError("no more"), KeyError("x"), RecursionError(), ValueError("a at 0x7f")]
)
def test_an_error_that_nobody_has_foreseen_costs_one_file(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(image: object) -> None:
        raise error

    monkeypatch.setattr(module, "_to_rgb", fails)
    with pytest.raises(UnreadableFile, match=r"\((no more|'x'|RecursionError|a)\)"):
        decode(encoded(picture(1), "PNG"))


# --- squares ----------------------------------------------------------------------------------


def test_resizing_keeps_the_middle() -> None:
    wide = torch.zeros(3, 40, 120, dtype=torch.uint8)
    wide[:, :, 40:80] = 200  # exactly the square in the middle
    assert fit_to_square(wide, 32).unique().tolist() == [200]
    assert fit_to_square(wide, 32).shape == (3, 32, 32)
    same = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    assert fit_to_square(same, 32) is same
    tall = PilImage.fromarray(decode(jpeg(2, (50, 90))).pixels).crop((0, 20, 50, 70))
    expected = np.asarray(tall.resize((24, 24), PilImage.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.array_equal(decode_square(jpeg(2, (50, 90)), 24).numpy(), expected)
