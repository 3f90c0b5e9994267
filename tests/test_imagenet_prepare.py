"""ImageNet prepared: exact to the byte, whatever interrupts it, and no file is lost without a word."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
from PIL import Image as PilImage
from safetensors import safe_open

from alexnet_edu import files as tensor_files
from alexnet_edu.cli import main
from alexnet_edu.data.decode import UnreadableFile
from alexnet_edu.data.pixels import decode, fit_to_square
from alexnet_edu.files import DataError
from alexnet_edu.imagenet import prepare as imagenet_prepare
from alexnet_edu.imagenet import shards as imagenet_shards
from alexnet_edu.imagenet import statistics as imagenet_statistics
from alexnet_edu.imagenet.prepare import prepare, verify
from alexnet_edu.imagenet.shards import RAW_BYTES, Room, prepared
from alexnet_edu.imagenet.sources import Entry, SourceChanged
from alexnet_edu.imagenet.statistics import PixelSums, TotalSums
from tests.imagenet_files import (
    WNIDS,
    encoded,
    jpeg,
    picture,
    training,
    validation,
    write_folder,
    write_folders,
    write_tars,
)

TRAIN, VAL = training(), validation()
SHARD = 5  # files: three shards of training images, two of validation images


def run(source: Path, target: Path, **options: Any) -> dict[str, Any]:
    silent: dict[str, Any] = {"workers": 1, "say": lambda _: None, "progress": False, "shard_images": SHARD}
    return prepare(source, target, **(silent | options))


def refused(source: Path, target: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        run(source, target, **options)
    return str(caught.value)


def files(target: Path) -> dict[str, bytes]:
    """All that must be the same bytes after every preparation of the same files."""
    return {p.name: p.read_bytes() for p in target.iterdir() if p.suffix == ".safetensors"} | {
        "report": (target / "report.json").read_bytes(),
        "manifest": json.dumps(
            {**json.loads((target / "manifest.json").read_text()), "provenance": None}
        ).encode(),
    }


def images(target: Path, split: str) -> dict[str, tuple[int, bytes]]:
    """name -> (label, stored bytes), in order."""
    found: dict[str, tuple[int, bytes]] = {}
    for line in json.loads((target / "manifest.json").read_text())["splits"][split]["shards"]:
        with safe_open(target / line["file"], framework="pt") as file:
            offsets, labels = file.get_tensor("offsets"), file.get_tensor("labels")
            data = file.get_tensor("bytes").numpy().tobytes()
            names = json.loads(file.metadata()["names"])
        assert len(names) == len(labels) == len(offsets) - 1 == line["images"]
        for i, name in enumerate(names):
            found[name] = (int(labels[i]), data[offsets[i] : offsets[i + 1]])
    return found


def square(data: bytes) -> np.ndarray[Any, Any]:
    """(256, 256, 3): by the way that everything else in the project takes."""
    return fit_to_square(decode(data).pixels, 256).permute(1, 2, 0).numpy()


def report(target: Path) -> dict[str, Any]:
    return json.loads((target / "report.json").read_text())


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folders(tmp_path_factory.mktemp("source"), TRAIN, VAL)


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The uninterrupted preparation that others are compared with. Not to be changed."""
    target = tmp_path_factory.mktemp("whole") / "prepared"
    run(source, target)
    return target


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "copy")


# --- what is stored -------------------------------------------------------------------------


def test_the_manifest_says_what_is_there(whole: Path, source: Path) -> None:
    manifest = json.loads((whole / "manifest.json").read_text())
    assert manifest["format"] == "alexnet-edu-imagenet-1"
    assert (manifest["codec"], manifest["quality"], manifest["side"]) == ("jpeg", 90, 256)
    assert manifest["classes"] == [{"wnid": w, "name": w} for w in WNIDS]
    assert {s: (v["images"], [x["images"] for x in v["shards"]]) for s, v in manifest["splits"].items()} == {
        "train": (12, [5, 5, 2]),
        "val": (6, [5, 1]),
    }
    assert manifest["source"]["label"] == source.name
    assert manifest["report"]["changed"] == manifest["report"]["left_out"] == 0
    lines = [x for v in manifest["splits"].values() for x in v["shards"]] + [manifest["statistics"]]
    for line in lines:
        data = (whole / line["file"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (line["bytes"], line["sha256"])
    assert {"commit", "date", "torch"} <= manifest["provenance"].keys()
    assert not list(whole.glob("*.partial-*"))


def test_images_are_jpegs_of_the_square_in_the_middle(whole: Path) -> None:
    for split, originals in (("train", TRAIN), ("val", VAL)):
        found = images(whole, split)
        assert list(found) == sorted(originals)
        for name, (label, data) in found.items():
            assert label == WNIDS.index(name.split("/")[0])
            image = PilImage.open(io.BytesIO(data))
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (256, 256))
            assert simplejpeg.decode_jpeg_header(data)[2:4] == ("YCbCr", "420")
            buffer = io.BytesIO()
            PilImage.fromarray(square(originals[name])).save(buffer, "JPEG", quality=90)
            assert data == buffer.getvalue()


def test_raw_pixels_are_stored_as_they_are(source: Path, tmp_path: Path, whole: Path) -> None:
    manifest = run(source, tmp_path / "raw", store="raw")
    assert (manifest["codec"], manifest["quality"]) == ("raw", None)
    for name, (_, data) in images(tmp_path / "raw", "train").items():
        assert data == square(TRAIN[name]).tobytes()
    same = "statistics.safetensors"
    assert (tmp_path / "raw" / same).read_bytes() == (whole / same).read_bytes()
    assert verify(tmp_path / "raw") == []


def test_quality_is_what_is_asked_for(source: Path, tmp_path: Path, whole: Path) -> None:
    assert run(source, tmp_path / "low", quality=30)["quality"] == 30
    low, high = images(tmp_path / "low", "train"), images(whole, "train")
    assert all(len(low[name][1]) < len(high[name][1]) for name in high)


def test_tars_and_folders_give_the_same_bytes(tmp_path: Path, whole: Path) -> None:
    run(write_tars(tmp_path / "tars", TRAIN, VAL), tmp_path / "out")
    ours, theirs = files(tmp_path / "out"), files(whole)
    for both in (ours, theirs):
        both["manifest"] = json.dumps({**json.loads(both["manifest"]), "source": None}).encode()
    assert ours == theirs


def test_without_validation_images_there_is_no_such_split(tmp_path: Path) -> None:
    said: list[str] = []
    manifest = run(write_folder(tmp_path / "in", TRAIN), tmp_path / "out", say=said.append)
    assert list(manifest["splits"]) == ["train"]
    assert any("there are no validation images" in line for line in said)
    assert verify(tmp_path / "out") == []


def test_pixels_are_those_of_the_plain_way() -> None:
    """Sizes wider, taller, larger and smaller than 256, every subsampling, progressive, RGB inside."""
    for size in [(300, 400), (401, 299), (256, 256), (17, 5), (1, 90), (600, 31), (257, 256)]:
        for options in ({}, {"subsampling": 0, "progressive": True}, {"subsampling": 1, "quality": 40}):
            data = jpeg(sum(size), size, **options)
            assert np.array_equal(np.asarray(prepared(data)[0]), square(data)), (size, options)
    room = Room()
    for size in [(300, 400), (90, 41), (401, 299)]:  # in memory that held the one before
        data = jpeg(7, size)
        assert np.array_equal(np.asarray(prepared(data, room)[0]), square(data))
    odd = encoded(picture(5), keep_rgb=True)
    assert np.array_equal(np.asarray(prepared(odd)[0]), square(odd))


# --- statistics -----------------------------------------------------------------------------


def test_statistics_are_those_of_a_direct_computation(whole: Path) -> None:
    pixels = np.stack([square(TRAIN[name]) for name in sorted(TRAIN)])
    with safe_open(whole / "statistics.safetensors", framework="np") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert {k: (v.dtype.name, v.shape) for k, v in found.items()} == {
        "mean_image": ("float32", (3, 256, 256)),
        "color_mean": ("float64", (3,)),
        "eigenvalues": ("float64", (3,)),
        "eigenvectors": ("float64", (3, 3)),
    }
    mean = pixels.astype(np.float64).mean(0).astype(np.float32).transpose(2, 0, 1)
    assert np.array_equal(found["mean_image"], mean)
    colors = pixels.reshape(-1, 3).astype(np.int64)
    assert found["color_mean"].tolist() == [float(Fraction(int(s), len(colors))) for s in colors.sum(0)]
    covariance = np.cov(colors.T.astype(np.float64), bias=True)
    values = np.linalg.eigvalsh(covariance)[::-1]
    np.testing.assert_allclose(found["eigenvalues"], values, rtol=1e-10)
    vectors = found["eigenvectors"]
    np.testing.assert_allclose(vectors * found["eigenvalues"] @ vectors.T, covariance, rtol=1e-10)
    assert all(column[np.abs(column).argmax()] > 0 for column in vectors.T)


def test_sums_are_exact_where_they_are_largest() -> None:
    """White is the most that can be added up; the shard's sums are compared with whole numbers."""
    sums, white = PixelSums(), np.full((256, 256, 3), 255, np.uint8)
    grey = np.arange(256 * 256 * 3, dtype=np.int64).reshape(256, 256, 3).astype(np.uint8)
    for _ in range(20):
        sums.add(white)
        sums.add(grey)
    found = sums.tensors()
    both = np.stack([white, grey]).astype(np.int64)
    assert np.array_equal(found["pixel_sum"], 20 * both.sum(0).transpose(2, 0, 1))
    flat = both.reshape(-1, 3)
    assert np.array_equal(found["color_products"], 20 * flat.T @ flat)
    assert found["pixel_sum"].dtype == np.int32
    total = TotalSums()
    for _ in range(40_000):  # 800 thousand white and as many grey images: beyond 32 bits, and 2^53
        total.images, total.products[0][0] = (
            total.images + 40,
            total.products[0][0] + int(found["color_products"][0, 0]),
        )
    assert total.products[0][0] == 40_000 * 20 * int((flat[:, 0] ** 2).sum())


def test_sums_that_would_be_rounded_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As processors do that multiply float32 with the bits of bfloat16, if they are allowed to."""
    exact = imagenet_statistics._products
    monkeypatch.setattr(imagenet_statistics, "_products", lambda rows: exact(rows).bfloat16().float())
    with pytest.raises(RuntimeError, match="products of float32 are rounded here"):
        PixelSums()


def test_images_of_one_colour_have_no_negative_variance(tmp_path: Path) -> None:
    grey = {
        f"{w}/{i}.png": encoded(PilImage.new("RGB", (9, 9), (77, 77, 77)), "PNG") for w in WNIDS for i in "ab"
    }
    run(write_folder(tmp_path / "in", grey), tmp_path / "out")
    with safe_open(tmp_path / "out" / "statistics.safetensors", framework="np") as file:
        assert file.get_tensor("eigenvalues").tolist() == [0, 0, 0]
        assert file.get_tensor("color_mean").tolist() == [77, 77, 77]


# --- odd images -------------------------------------------------------------------------------

ODD: dict[str, tuple[bytes, str]] = {
    "greyscale": (encoded(picture(1, mode="L")), "greyscale"),
    "CMYK": (encoded(picture(1, mode="CMYK")), "CMYK"),
    "PNG": (encoded(picture(1), "PNG"), "PNG, named as a JPEG"),
    "RGBA": (encoded(picture(1, mode="RGBA"), "PNG"), "transparent: on white"),
    "turned": (
        encoded(picture(1), exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"),
        "turned by EXIF",
    ),
    "GIF": (encoded(picture(1), "GIF"), "palette"),
}
BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty (0 bytes)"),
    "truncated": (jpeg(1, (90, 90))[:-300], "is damaged or cut short ("),
    "text": (b"<html>404</html>", "is no image of a known kind ("),
    "enormous": (
        jpeg(1).replace(b"\x00\x28\x00\x30\x03", b"\xff\xff\xff\xff\x03", 1),
        "would be 65,535 × 65,535 pixels",
    ),
}


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_image_is_converted_and_listed(tmp_path: Path, kind: str) -> None:
    data, change = ODD[kind]
    name = f"{WNIDS[1]}/{WNIDS[1]}_odd.JPEG"
    said: list[str] = []
    manifest = run(
        write_folder(tmp_path / "in", TRAIN | {name: data}), tmp_path / "out", store="raw", say=said.append
    )
    assert manifest["splits"]["train"]["images"] == 13
    (line,) = report(tmp_path / "out")["changed"]
    assert (line["split"], line["name"]) == ("train", name)
    assert change in line["changes"]
    assert images(tmp_path / "out", "train")[name] == (1, square(data).tobytes())
    assert "Changed on the way: 1 (" in said[-1]
    assert f"{change}: 1" in said[-1]
    assert verify(tmp_path / "out") == []


def test_damage_that_a_decoder_passes_over_is_spoken_of() -> None:
    whole = jpeg(1)
    less = whole[:-30] + whole[-2:]  # it ends as it should, and too early
    assert prepared(whole)[1] == ()
    assert prepared(less)[1] == ("decoded in spite of damage",)
    assert np.array_equal(np.asarray(prepared(less)[0]), square(less))


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_left_out_and_listed(tmp_path: Path, kind: str) -> None:
    data, why = BAD[kind]
    name = f"{WNIDS[1]}/{WNIDS[1]}_bad.JPEG"
    said: list[str] = []
    manifest = run(write_folder(tmp_path / "in", TRAIN | {name: data}), tmp_path / "out", say=said.append)
    assert manifest["splits"]["train"]["images"] == 12
    assert manifest["report"]["left_out"] == 1
    (line,) = report(tmp_path / "out")["left_out"]
    assert (line["split"], line["name"]) == ("train", name)
    assert line["why"].startswith(why)
    assert list(images(tmp_path / "out", "train")) == sorted(TRAIN)
    assert "Left out: 1 (" in said[-1]
    assert verify(tmp_path / "out") == []


@pytest.mark.parametrize(
    "error", [MemoryError("no more"), KeyError("x"), RecursionError(), AssertionError("of a library")]
)
def test_an_error_that_nobody_has_foreseen_costs_one_image(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    victim = sorted(TRAIN)[3]

    def fails(data: bytes, room: object) -> Any:
        if data == TRAIN[victim]:
            raise error
        return prepared(data)

    monkeypatch.setattr(imagenet_shards, "prepared", fails)
    assert run(source, tmp_path / "out")["splits"]["train"]["images"] == 11
    (line,) = report(tmp_path / "out")["left_out"]
    assert line["name"] == victim
    assert line["why"].startswith(f"could not be prepared ({type(error).__name__}: ")


def test_an_address_in_memory_does_not_get_into_a_shard() -> None:
    text = imagenet_shards._unforeseen(ValueError("cannot read <_io.BytesIO object at 0x7f12ab>"))
    assert text == "could not be prepared (ValueError: cannot read <_io.BytesIO object>)"


def test_files_outside_of_classes_are_in_the_report(tmp_path: Path) -> None:
    run(write_folders(tmp_path / "in", TRAIN | {"loose.JPEG": jpeg(1)}, VAL), tmp_path / "out")
    assert report(tmp_path / "out")["left_out"] == [
        {"split": "train", "name": "loose.JPEG", "why": "lies in no class folder"}
    ]


def test_nothing_but_bad_files_is_refused(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "in", {f"{w}/{i}.JPEG": b"" for w in WNIDS for i in range(3)})
    assert refused(source, tmp_path / "out") == "no training image could be used: is empty (0 bytes) (9)"
    assert verify(tmp_path / "out") != []


def damaged_files(count: int) -> dict[str, bytes]:
    """Cut short, bits flipped, heads overwritten, bytes taken out or put in; the same every time."""
    rng = np.random.default_rng(2012)
    wholes = [jpeg(i, (24 + i, 20), progressive=i % 3 == 0) for i in range(5)]
    wholes.append(encoded(picture(6, (24, 24)), "PNG"))
    found = {}
    for k in range(count):
        data = bytearray(wholes[k % len(wholes)])
        at = int(rng.integers(0, len(data)))
        if k % 5 == 0:
            del data[at:]
        elif k % 5 == 1:
            for place in rng.integers(0, len(data), int(rng.integers(1, 20))):
                data[place] ^= 1 << int(rng.integers(8))
        elif k % 5 == 2:
            length = int(rng.integers(1, 40))
            data[:length] = rng.bytes(length)
        elif k % 5 == 3:
            del data[at : at + int(rng.integers(1, 60))]
        else:
            data[at:at] = rng.bytes(int(rng.integers(1, 60)))
        found[f"{WNIDS[k % 3]}/{k:04d}.JPEG"] = bytes(data)
    return found


DAMAGED = damaged_files(1000)


def test_a_thousand_damaged_files_are_all_accounted_for(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "in", DAMAGED)
    manifest = run(source, tmp_path / "out", shard_images=300)
    stored = set(images(tmp_path / "out", "train"))
    listed = [line["name"] for line in report(tmp_path / "out")["left_out"]]
    assert stored.isdisjoint(listed)
    assert stored | set(listed) == set(DAMAGED)
    assert (
        len(stored) + len(listed)
        == manifest["splits"]["train"]["images"] + manifest["report"]["left_out"]
        == 1000
    )
    assert 100 < len(stored) < 900, "some are still images, some are none"
    assert 50 < manifest["report"]["kinds"]["changed"][imagenet_shards.IN_SPITE] <= len(stored)
    assert verify(tmp_path / "out") == []


def test_damage_is_judged_as_everywhere_else() -> None:
    """The quick way for ordinary JPEGs takes none that `decode` refuses, and finds the same pixels."""
    for name, data in DAMAGED.items():
        try:
            expected = square(data)
        except UnreadableFile:
            with pytest.raises(UnreadableFile):
                prepared(data)
            continue
        assert np.array_equal(np.asarray(prepared(data)[0]), expected), name


# --- interrupted ------------------------------------------------------------------------------

SERVER = """
import os, sys
from pathlib import Path
from alexnet_edu.imagenet_prepare import prepare
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        paths = [Path(part.strip()) for part in line.split("|")]
        prepare(*paths, workers=1, shard_images=2, say=lambda _: None, progress=False)
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork, to start without importing each time")
def test_killed_again_and_again_it_ends_with_the_same_bytes(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "whole", shard_images=2)
    rng = np.random.default_rng(0)
    kills, codes = 0, [-1]
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        while codes[-1] != 0:
            assert codes[-1] in (-1, -signal.SIGKILL), "it ended by itself, with an error"
            server.stdin.write(f"{source}|{tmp_path / 'killed'}\n")
            server.stdin.flush()
            child = int(server.stdout.readline())
            if kills < 12:
                time.sleep(float(rng.uniform(0.0, 0.12)))
                with contextlib.suppress(ProcessLookupError):  # it has ended, and been waited for
                    os.kill(child, signal.SIGKILL)
                    kills += 1
            codes.append(int(server.stdout.readline()))
            if codes[-1] == 0 and kills < 12:  # too quick for us: from the start
                shutil.rmtree(tmp_path / "killed")
                codes[-1] = -1
        server.stdin.close()
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
    assert verify(tmp_path / "killed") == []
    assert not list((tmp_path / "killed").glob("*.partial-*"))


@pytest.mark.slow
def test_two_processes_give_what_one_gives(source: Path, whole: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "two", workers=2)
    assert files(tmp_path / "two") == files(whole)


@pytest.mark.parametrize("harm", ["missing", "cut", "flipped", "another's"])
def test_what_is_missing_or_damaged_is_made_again(source: Path, copy: Path, whole: Path, harm: str) -> None:
    victim = copy / "train-00001.safetensors"
    data = victim.read_bytes()
    (copy / "manifest.json").unlink()
    if harm == "missing":
        victim.unlink()
    elif harm == "cut":
        victim.write_bytes(data[:-10])
    elif harm == "flipped":
        victim.write_bytes(data[:-10] + bytes([data[-10] ^ 1]) + data[-9:])
    else:
        shutil.copy(copy / "train-00000.safetensors", victim)
    run(source, copy)
    assert files(copy) == files(whole)


def test_a_missing_shard_is_made_again_though_there_is_a_manifest(
    source: Path, copy: Path, whole: Path
) -> None:
    (copy / "val-00001.safetensors").unlink()
    run(source, copy)
    assert files(copy) == files(whole)


def test_what_is_finished_is_left_as_it_is(source: Path, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {p: p.stat().st_mtime_ns for p in copy.glob("[!.]*")}
    monkeypatch.setattr(imagenet_prepare, "run_all", lambda *_: pytest.fail("nothing is to be done"))
    said: list[str] = []
    manifest = run(source, copy, say=said.append)
    assert manifest == json.loads((copy / "manifest.json").read_text())
    assert said == [
        f"{copy} is prepared already: 12 training images and 6 validation images in 3 classes, 2.5 MB."
    ]
    assert {p: p.stat().st_mtime_ns for p in copy.glob("[!.]*")} == before


def test_what_a_killed_process_left_is_removed(source: Path, copy: Path) -> None:
    (copy / "manifest.json").unlink()
    (copy / "train-00002.safetensors.partial-77").write_bytes(b"half")
    run(source, copy)
    assert not list(copy.glob("*.partial-*"))


def test_a_source_that_goes_away_stops_everything(
    source: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not 1.3 million files left out because a disk was unplugged."""
    copied = shutil.copytree(source, tmp_path / source.name)
    real = imagenet_shards.read_entry

    def unplugged(entry: Entry) -> bytes:
        if entry.name == sorted(TRAIN)[7]:
            shutil.move(copied, tmp_path / "unplugged")
        return real(entry)

    monkeypatch.setattr(imagenet_prepare, "stored_bytes", lambda *_: 1000)
    with monkeypatch.context() as patch:
        patch.setattr(imagenet_shards, "read_entry", unplugged)
        with pytest.raises(SourceChanged, match="Is the disk still there"):
            run(copied, tmp_path / "out")
    assert (tmp_path / "out" / "train-00000.safetensors").exists()
    shutil.move(tmp_path / "unplugged", copied)
    run(copied, tmp_path / "out")
    assert files(tmp_path / "out") == files(whole)


# --- disks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("after", [0, 3])
def test_a_disk_that_gets_full_ends_it_and_it_goes_on_later(
    source: Path, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, error: int, after: int
) -> None:
    real, calls = os.fsync, []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) > 2 * after + 1:  # two a shard, file and folder; one for the settings
            raise OSError(error, os.strerror(error))
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(tensor_files.os, "fsync", full)
        message = refused(source, tmp_path / "out")
    assert ("the disk is full" in message) == (error == errno.ENOSPC)
    assert os.strerror(error) in message
    assert "the same command" in message
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert len(list((tmp_path / "out").glob("*.safetensors"))) == after
    assert not list((tmp_path / "out").glob("*.partial-*"))
    run(source, tmp_path / "out")
    assert files(tmp_path / "out") == files(whole)


@pytest.mark.parametrize(("store", "advice"), [("jpeg", "a lower --quality"), ("raw", "--store jpeg")])
def test_a_disk_that_would_not_hold_it_is_refused_with_figures(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str, advice: str
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1_500_000)
    monkeypatch.setattr(imagenet_prepare.shutil, "disk_usage", lambda _: usage)
    message = refused(source, tmp_path / "out", store=store)
    assert "has 1.5 MB free, but 18 images still to be prepared need about " in message
    assert ("(196.6 kB each, by a sample)" in message) == (store == "raw")
    assert advice in message
    assert not list((tmp_path / "out").glob("*.safetensors"))


def test_the_room_that_is_asked_for_is_about_what_is_taken(source: Path, tmp_path: Path, whole: Path) -> None:
    recipe = imagenet_shards.Recipe("jpeg", 90)
    entries = imagenet_prepare.find_source(source).splits["train"]
    sizes = [len(data) for _, data in images(whole, "train").values()]
    assert imagenet_prepare._bytes_each(entries, recipe) == sum(sizes) / len(sizes)
    assert imagenet_prepare._bytes_each(entries, imagenet_shards.Recipe("raw", None)) == RAW_BYTES


# --- wrong calls ----------------------------------------------------------------------------------


def test_a_folder_of_other_images_or_settings_is_not_mixed(source: Path, tmp_path: Path, copy: Path) -> None:
    other = write_folder(tmp_path / "other", TRAIN | {f"{WNIDS[0]}/more.JPEG": jpeg(7)})
    assert "other files (the source has changed, or is another one)" in refused(other, copy)
    message = refused(source, copy, quality=80)
    assert message.startswith(f"{copy} holds a preparation of quality 90 and not 80.")
    assert message.endswith("Choose another folder, or delete this one to prepare anew.")
    assert "codec 'jpeg' and not 'raw', quality 90 and not None" in refused(source, copy, store="raw")
    assert verify(copy) == []


def test_a_folder_with_other_things_is_not_written_to(source: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    assert "holds other things (thesis.tex) and no preparation" in refused(source, tmp_path)
    assert "cannot be used as a folder" in refused(source, tmp_path / "thesis.tex")


@pytest.mark.parametrize("where", ["train", "train/prepared", "val/x"])
def test_the_result_does_not_go_among_the_images(source: Path, where: str) -> None:
    assert "lies among the images of" in refused(source, source / where)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"store": "png"}, "images can be stored as jpeg or raw, got 'png'"),
        ({"quality": 0}, "quality must be 1 to 100, got 0"),
        ({"quality": 101}, "quality must be 1 to 100, got 101"),
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"shard_images": 0}, "shard_images must be 1 to 65,536, got 0"),
    ],
)
def test_arguments_out_of_their_range(
    source: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run(source, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


# --- verify -----------------------------------------------------------------------------------------


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


TRAIN_1, VAL_0, VAL_1 = (f"{name}.safetensors" for name in ("train-00001", "val-00000", "val-00001"))
STATISTICS = "statistics.safetensors"
HARMS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped byte": (lambda p: flip(p / TRAIN_1, -1000), f"{TRAIN_1} has changed"),
    "a flipped byte of a head": (lambda p: flip(p / VAL_0, 40), f"{VAL_0} has changed"),
    "a missing shard": (lambda p: (p / VAL_1).unlink(), f"{VAL_1} is missing"),
    "a shard cut short": (lambda p: os.truncate(p / VAL_0, 5000), f"{VAL_0} has 5,000 bytes, not "),
    "flipped statistics": (lambda p: flip(p / STATISTICS, -1), f"{STATISTICS} has changed"),
    "no statistics": (lambda p: (p / STATISTICS).unlink(), f"{STATISTICS} is missing"),
    "no report": (lambda p: (p / "report.json").unlink(), "report.json is missing"),
    "a damaged report": (lambda p: os.truncate(p / "report.json", 9), "report.json is damaged"),
    "a truncated manifest": (lambda p: os.truncate(p / "manifest.json", 700), "manifest.json is damaged"),
    "no manifest": (lambda p: (p / "manifest.json").unlink(), "holds no manifest.json"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_verify_finds(copy: Path, source: Path, whole: Path, harm: str) -> None:
    assert verify(copy) == []
    do, message = HARMS[harm]
    do(copy)
    (problem,) = verify(copy)
    assert message in problem
    if "Delete it" in problem:
        (copy / problem.split(" ")[0].rsplit("/", 1)[-1]).unlink()
    run(source, copy)
    assert files(copy) == files(whole)
    assert verify(copy) == []


def in_manifest(copy: Path, change: Callable[[dict[str, Any]], object]) -> list[str]:
    manifest = json.loads((copy / "manifest.json").read_text())
    change(manifest)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return verify(copy)


def test_verify_counts(copy: Path) -> None:
    (problem,) = in_manifest(copy, lambda m: m["splits"]["train"].update(images=13))
    assert problem == "manifest.json states 13 images of train, there are 12."
    assert (
        "holds 5 images, not 4"
        in in_manifest(copy, lambda m: m["splits"]["val"]["shards"][0].update(images=4))[0]
    )
    problems = in_manifest(copy, lambda m: m["classes"].pop())
    assert any("labels beyond the 2 classes" in p for p in problems)
    assert "is not as it was written" in in_manifest(copy, lambda m: m.pop("splits"))[0]
    assert "has the format 'x'" in in_manifest(copy, lambda m: m.update(format="x"))[0]


def test_verify_knows_statistics_of_other_images(copy: Path, tmp_path: Path) -> None:
    other = {name: jpeg(500 + i) for i, name in enumerate(TRAIN)}
    run(write_folder(tmp_path / "in", other), tmp_path / "other")
    name = "statistics.safetensors"
    shutil.copy(tmp_path / "other" / name, copy / name)
    there = json.loads((tmp_path / "other" / "manifest.json").read_text())["statistics"]
    problems = in_manifest(copy, lambda m: m.update(statistics=there))
    assert [p.split(" is not that")[0] for p in problems] == [
        "statistics.safetensors: its mean_image",
        "statistics.safetensors: its color_mean",
    ]


# --- the command --------------------------------------------------------------------------------------


def test_the_command_prepares_and_verifies(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    call = ["data", "imagenet", "--from", str(source), "--to", str(out), "--workers", "1", "--quality", "85"]
    assert main([*call, "--verify"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"Prepared in {out}: 12 training images and 6 validation images in 3 classes, 0.9 MB.",
        "Verified: every checksum and every count is right.",
    ]
    flip(out / "train-00000.safetensors", -1)
    assert main(["data", "imagenet", "--to", str(out), "--verify"]) == 1
    assert "train-00000.safetensors has changed since it was written" in capsys.readouterr().out
    assert main(["data", "imagenet", "--to", str(out)]) == 2
    assert "--from PATH" in capsys.readouterr().err
    assert main(["data", "imagenet", "--from", str(tmp_path / "no"), "--to", str(out)]) == 2
    assert "there is nothing at" in capsys.readouterr().err


# --- real photographs ---------------------------------------------------------------------------------


@pytest.mark.real_images
def test_real_photographs(tmp_path: Path) -> None:
    folder = os.environ.get("ALEXNET_EDU_REAL_IMAGES", "")
    path = Path(folder) / "imagenet-samples.zip"
    if not folder or not path.exists():
        pytest.skip("ALEXNET_EDU_REAL_IMAGES does not name a folder with imagenet-samples.zip")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "in")
    originals = {
        p.relative_to(tmp_path / "in").as_posix(): p.read_bytes() for p in (tmp_path / "in").rglob("*.*")
    }
    manifest = run(tmp_path / "in", tmp_path / "out", shard_images=100)
    assert manifest["splits"]["train"]["images"] == len(originals) == 250
    assert manifest["report"]["kinds"] == {"changed": {"greyscale": 4}, "left_out": {}}
    errors = []
    for name, (_, data) in images(tmp_path / "out", "train").items():
        expected = square(originals[name])
        assert np.array_equal(np.asarray(prepared(originals[name])[0]), expected), name
        errors.append(np.square(simplejpeg.decode_jpeg(data).astype(float) - expected).mean())
    assert 10 * np.log10(255**2 / np.mean(errors)) > 34, "decibels between the photograph and what is kept"
    assert verify(tmp_path / "out") == []
