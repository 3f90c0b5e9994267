"""Images, and the pack on disk: whole, cut, changed, half-written."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from alexnet_edu.data.images import Images, ImageSet, load_pack, pack_info, partial_files, save_pack
from alexnet_edu.files import DataError

ROOT = Path(__file__).resolve().parent.parent


def make_set(train: int = 7, test: int = 3, size: int = 8) -> ImageSet:
    generator = torch.Generator().manual_seed(0)

    def split(count: int) -> Images:
        pixels = torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)
        return Images(pixels, torch.arange(count) % 2, ("cat", "dog"), "made for a test", synthetic=True)

    return ImageSet(split(train), split(test))


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    path = tmp_path / "packs" / "p.safetensors"
    save_pack(make_set(), path)
    return path


def test_a_pack_gives_back_what_was_put_in(pack: Path) -> None:
    images, loaded = make_set(), load_pack(pack)
    for mine, theirs in ((images.train, loaded.train), (images.test, loaded.test)):
        assert torch.equal(mine.pixels, theirs.pixels)
        assert torch.equal(mine.labels, theirs.labels)
        assert (mine.classes, mine.source, mine.synthetic) == (
            theirs.classes,
            theirs.source,
            theirs.synthetic,
        )
        assert mine.fingerprint() == theirs.fingerprint()


def test_the_head_of_a_pack_says_what_is_in_it(pack: Path) -> None:
    info, images = pack_info(pack), make_set()
    assert (info.train, info.test, info.shape, info.classes) == (7, 3, (3, 8, 8), ("cat", "dog"))
    assert info.fingerprints == (images.train.fingerprint(), images.test.fingerprint())
    assert (info.size, info.synthetic, info.source) == (pack.stat().st_size, True, "made for a test")


def test_splits_that_share_memory_can_be_packed(tmp_path: Path) -> None:
    whole = make_set().train
    images = ImageSet(whole.subset(torch.arange(7)), make_set().test)
    views = ImageSet(
        Images(whole.pixels[:4], whole.labels[:4], whole.classes, "views"),
        Images(whole.pixels[4:], whole.labels[4:], whole.classes, "views"),
    )
    save_pack(views, tmp_path / "p.safetensors")
    loaded = load_pack(tmp_path / "p.safetensors")
    assert torch.equal(torch.cat([loaded.train.pixels, loaded.test.pixels]), images.train.pixels)


@pytest.mark.parametrize("left", [0, 1, 7, 8, 9, 100, 0.25, 0.5, 0.99, -1])
def test_a_pack_cut_at_any_length_is_refused(pack: Path, left: float) -> None:
    whole = pack.read_bytes()
    keep = left if isinstance(left, int) else int(left * len(whole))
    pack.write_bytes(whole[:keep])
    message = r"p\.safetensors is damaged or was cut short .*`alexnet-edu data import PATH`"
    with pytest.raises(DataError, match=message):
        load_pack(pack)
    with pytest.raises(DataError, match=message):
        pack_info(pack)


def test_bytes_after_the_end_are_noticed(pack: Path) -> None:
    pack.write_bytes(pack.read_bytes() + b"\0")
    with pytest.raises(DataError, match="damaged or was cut short"):
        load_pack(pack)


@pytest.mark.parametrize("place", [-1, -5, -200, -900])
def test_one_changed_byte_is_noticed(pack: Path, place: int) -> None:
    data = bytearray(pack.read_bytes())
    data[place] ^= 1
    pack.write_bytes(data)
    with pytest.raises(DataError, match=r"p\.safetensors has changed since it was written"):
        load_pack(pack)
    assert len(load_pack(pack, verify=False).train) == 7  # nothing else stands in the way


def test_a_missing_pack_and_a_foreign_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no image pack at .*none\.safetensors"):
        load_pack(tmp_path / "none.safetensors")
    from safetensors.torch import save_file

    save_file({"w": torch.zeros(2)}, tmp_path / "weights.safetensors")
    with pytest.raises(DataError, match=r"is not an image pack of this version \(format None"):
        load_pack(tmp_path / "weights.safetensors")


IN_A_CHILD = """
import os, resource, sys, torch
from pathlib import Path
from alexnet_edu.images import DataError, Images, ImageSet, save_pack
def split(n, value):
    pixels = torch.full((n, 3, 32, 32), value, dtype=torch.uint8)
    return Images(pixels, torch.zeros(n, dtype=torch.int64), ("a",), "child")
images, path = ImageSet(split(400, 1), split(100, 2)), Path(sys.argv[1])
"""


def in_a_child(script: str, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", IN_A_CHILD + script, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="the limit on file sizes is a POSIX one")
def test_a_full_disk_leaves_the_old_pack_and_nothing_half_written(pack: Path) -> None:
    before = pack.read_bytes()
    done = in_a_child(
        """
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))  # of 1.5 MB
try:
    save_pack(images, path)
except DataError as error:
    print(error)
""",
        pack,
    )
    assert "Could not write" in done.stdout, done.stderr
    assert "Free some space (the pack needs about 2 MB)" in done.stdout
    assert "Nothing half-written was kept" in done.stdout
    assert pack.read_bytes() == before
    assert partial_files(pack) == []


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX one")
def test_a_write_that_is_killed_is_never_taken_for_a_pack(tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    done = in_a_child(
        """
import signal
import alexnet_edu.images as module
whole = module.save_file
def cut(tensors, partial, metadata):
    whole(tensors, partial, metadata)
    os.truncate(partial, partial.stat().st_size // 2)  # as far as the write had come
    os.kill(os.getpid(), signal.SIGKILL)
module.save_file = cut
save_pack(images, path)
""",
        path,
    )
    assert done.returncode == -9, done.stderr
    (partial,) = partial_files(path)
    with pytest.raises(DataError, match="There is no image pack"):
        load_pack(path)
    save_pack(make_set(), path)
    assert partial.exists(), "it may belong to a write that is going on"
    os.utime(partial, (time.time() - 7200,) * 2)
    save_pack(make_set(), path)
    assert partial_files(path) == []
    assert len(load_pack(path).train) == 7


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DataError, match=r"Could not write .*another folder by ALEXNET_EDU_DATA"):
        save_pack(make_set(), tmp_path / "file" / "p.safetensors")


def test_a_pack_of_cifar10s_size_loads_in_under_a_second(tmp_path: Path) -> None:
    def split(n: int, value: int) -> Images:
        pixels = torch.full((n, 3, 32, 32), value, dtype=torch.uint8)
        return Images(pixels, torch.zeros(n, dtype=torch.int64), ("a",), "large")

    save_pack(ImageSet(split(50_000, 1), split(10_000, 2)), tmp_path / "large.safetensors")
    best = min(_seconds_to_load(tmp_path / "large.safetensors") for _ in range(3))
    assert best < 1.0


def _seconds_to_load(path: Path) -> float:
    started = time.perf_counter()
    load_pack(path)
    return time.perf_counter() - started


@pytest.mark.parametrize(
    ("pixels", "labels", "message"),
    [
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, dtype=torch.int64), r"\(2, 3, 4, 4\) torch.float32"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), r"\(2, 1, 4, 4\)"),
        (
            torch.zeros(2, 3, 4, 4, dtype=torch.uint8),
            torch.zeros(3, dtype=torch.int64),
            r"labels must be \(2,\)",
        ),
    ],
)
def test_images_of_another_shape_or_type_are_refused(
    pixels: torch.Tensor, labels: torch.Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Images(pixels, labels, ("a",), "test")


def test_a_fingerprint_changes_with_any_pixel_and_any_label() -> None:
    images = make_set().train
    pixels, labels = images.pixels.clone(), images.labels.clone()
    pixels[6, 2, 7, 7] += 1
    labels[6] += 1
    changed = [
        Images(pixels, images.labels, images.classes, "x").fingerprint(),
        Images(images.pixels, labels, images.classes, "x").fingerprint(),
    ]
    assert len({images.fingerprint(), *changed}) == 3
