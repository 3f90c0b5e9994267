"""Images, and the pack on disk: whole, cut, changed, half-written."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from alexnet_edu.data.images import Images, ImageSet, load_pack, pack_info, save_pack
from alexnet_edu.files import DataError, locked


def make_set() -> ImageSet:
    pixels = torch.randint(
        0, 256, (14, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    whole = Images(pixels, torch.arange(14) % 2, ("cat", "dog"), "made for a test", synthetic=True)
    return ImageSet(
        whole.subset(torch.arange(7)), replace(whole, pixels=pixels[::2], labels=whole.labels[::2])
    )


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    path = tmp_path / "packs" / "p.safetensors"
    save_pack(make_set(), path)
    return path


def refused(path: Path) -> None:
    with pytest.raises(DataError, match=re.escape(str(path))):
        load_pack(path)


def test_a_pack_gives_back_what_was_put_in(pack: Path) -> None:
    """Also where it was a view of other images."""
    images, loaded, info = make_set(), load_pack(pack), pack_info(pack)
    for mine, theirs in ((images.train, loaded.train), (images.test, loaded.test)):
        assert torch.equal(mine.pixels, theirs.pixels)
        assert torch.equal(mine.labels, theirs.labels)
        for name in ("classes", "source", "synthetic"):
            assert getattr(mine, name) == getattr(theirs, name)
    assert (info.train, info.test, info.shape, info.classes) == (7, 7, (3, 8, 8), ("cat", "dog"))
    assert info.fingerprints == (images.train.fingerprint(), images.test.fingerprint())
    assert (info.size, info.synthetic, info.source) == (pack.stat().st_size, True, "made for a test")


@pytest.mark.parametrize("left", [0, 7, 9, 0.25, 0.99, -1, "added to"])
def test_a_pack_cut_at_any_length_or_added_to_is_refused(pack: Path, left: float | str) -> None:
    whole = pack.read_bytes()
    if isinstance(left, str):
        pack.write_bytes(whole + b"\0")
    else:
        pack.write_bytes(whole[: left if isinstance(left, int) else int(left * len(whole))])
    refused(pack)
    with pytest.raises(DataError):
        pack_info(pack)


@pytest.mark.parametrize("place", [-1, -900])
def test_one_changed_byte_is_noticed(pack: Path, place: int) -> None:
    data = bytearray(pack.read_bytes())
    data[place] ^= 1
    pack.write_bytes(data)
    refused(pack)


def test_what_is_no_pack_or_half_a_pack_is_never_taken_for_one(pack: Path) -> None:
    save_file({"w": torch.zeros(2)}, pack.with_name("weights.safetensors"))
    refused(pack.with_name("weights.safetensors"))
    half = pack.with_name(f"{pack.name}.partial-77")
    half.write_bytes(pack.read_bytes()[:-100])
    pack.unlink()
    refused(pack)
    save_pack(make_set(), pack)
    assert not half.exists()
    assert len(load_pack(pack).train) == 7


def test_what_cannot_be_written_is_named(pack: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DataError, match=re.escape(str(tmp_path / "file"))):
        save_pack(make_set(), tmp_path / "file" / "p.safetensors")
    before = pack.read_bytes()
    with locked(pack.parent), pytest.raises(DataError, match="another process"):
        save_pack(make_set(), pack)
    assert pack.read_bytes() == before


@pytest.mark.parametrize(
    ("shape", "dtype", "labels", "quoted"),
    [
        ((2, 3, 4, 4), torch.float32, 2, r"\(2, 3, 4, 4\) torch.float32"),
        ((2, 1, 4, 4), torch.uint8, 2, r"\(2, 1, 4, 4\)"),
        ((2, 3, 4, 4), torch.uint8, 3, r"\(3,\)"),
    ],
)
def test_images_of_another_shape_or_type_are_refused(
    shape: tuple[int, ...], dtype: torch.dtype, labels: int, quoted: str
) -> None:
    with pytest.raises(ValueError, match=quoted):
        Images(torch.zeros(shape, dtype=dtype), torch.zeros(labels, dtype=torch.int64), ("a",), "test")


def test_a_fingerprint_changes_with_any_pixel_and_any_label() -> None:
    images = make_set().train
    pixels, labels = images.pixels.clone(), images.labels.clone()
    pixels[6, 2, 7, 7] += 1
    labels[6] += 1
    every = (images, replace(images, pixels=pixels), replace(images, labels=labels))
    assert len({each.fingerprint() for each in every}) == 3
