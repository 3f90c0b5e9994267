"""Import of folders and archives: every layout, and every kind of bad input with what it quotes."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PilImage

from alexnet_edu.data.decode import decode_square
from alexnet_edu.data.folders import CIFAR10_CLASSES, import_images, write_class_folders
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.files import DataError
from tests.imagenet_files import encoded, jpeg, picture, tar, write_folder

Files = dict[str, bytes]
SIDE = (32, 32)


def good(split: str = "", classes: tuple[str, ...] = ("cat", "dog"), each: int = 3) -> Files:
    start = f"{split}/" if split else ""
    return {
        f"{start}{name}/{i}.jpg": jpeg(100 * c + i, SIDE)
        for c, name in enumerate(classes)
        for i in range(each)
    }


BOTH = good("train") | good("test", each=2)


def folder(where: Path, files: Files) -> Path:
    """Names that end in "/" are empty folders."""
    write_folder(where / "pictures", {name: data for name, data in files.items() if name[-1] != "/"})
    for name in files:
        if name.endswith("/"):
            (where / "pictures" / name).mkdir(parents=True, exist_ok=True)
    return where / "pictures"


def packed(where: Path, files: Files) -> Path:
    path = where / "pictures.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.fixture(params=[folder, packed])
def build(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Files], Path]:
    """Writes the files as a folder, or as a zip; every test that takes it runs on both."""
    tmp_path.joinpath("pictures").mkdir()
    return lambda files: request.param(tmp_path, files)


Build = Callable[[Files], Path]


def run(path: Path, **options: object):  # type: ignore[no-untyped-def]
    return import_images(path, progress=False, **options)  # type: ignore[arg-type]


def refused(path: Path, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        run(path, **options)
    return str(caught.value)


# --- layouts ---------------------------------------------------------------------------------


def test_a_folder_its_zip_and_its_tar_give_the_same_images(tmp_path: Path) -> None:
    shuffled = dict(reversed(BOTH.items()))
    (tmp_path / "pictures.tar").write_bytes(tar(shuffled))
    for path in (folder(tmp_path, BOTH), packed(tmp_path, shuffled), tmp_path / "pictures.tar"):
        report = run(path)
        train, test = report.images.train, report.images.test
        assert train.classes == test.classes == ("cat", "dog")
        assert (train.labels.tolist(), test.labels.tolist()) == ([0, 0, 0, 1, 1, 1], [0, 0, 1, 1])
        assert (report.skipped, report.problems, report.changes, report.notes) == (0, (), {}, ())
        assert train.source == f"images imported from {path.name}"
        for split, images in (("train", train), ("test", test)):
            expected = [decode_square(BOTH[name], 32) for name in sorted(BOTH) if split in name]
            assert torch.equal(images.pixels, torch.stack(expected))


LAYOUTS: dict[str, tuple[Files, tuple[int, int]]] = {
    "val": (good("train") | good("val", each=2), (6, 4)),
    "validation": (good("training") | good("validation", each=2), (6, 4)),
    "capitals": (good("Train") | good("VAL", each=2), (6, 4)),
    "one folder around": ({f"a/{n}": data for n, data in BOTH.items()} | {"README.txt": b"hello"}, (6, 4)),
    "two folders around": ({f"a/b/{n}": data for n, data in BOTH.items()}, (6, 4)),
    "train alone": (good("train", each=6), (10, 2)),
    "classes alone": (good(each=6), (10, 2)),
    "classes in a folder": ({f"a/{name}": data for name, data in good(each=6).items()}, (10, 2)),
    "deeper files": (
        {name.replace("/", "/images/", 1): data for name, data in good(each=6).items()},
        (10, 2),
    ),
    "a class called train": (good(classes=("plane", "train"), each=6), (10, 2)),
    "parts": (good("train.X1", ("cat",)) | good("train.X2", ("dog",)) | good("val.X", each=2), (6, 4)),
    "Tiny ImageNet": (
        good("train", each=3)
        | {f"val/images/val_{i}.jpg": jpeg(i, SIDE) for i in range(2)}
        | {"val/val_annotations.txt": b"val_0.jpg\tcat\t0\t0\t9\t9\nval_1.jpg\tdog\t0\t0\t9\t9\n"}
        | {"test/images/test_0.jpg": jpeg(0, SIDE)},
        (6, 2),
    ),
    "classes in names": (
        {
            f"{split}/a_{i}_n0000000{c}.jpg": jpeg(i, SIDE)
            for split in ("train", "val")
            for i in (1, 2)
            for c in (1, 2)
        },
        (4, 4),
    ),
    "one image a class": (good(each=1), (2, 0)),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_recognized(build: Build, name: str) -> None:
    files, counts = LAYOUTS[name]
    images = run(build(files)).images
    assert (len(images.train), len(images.test)) == counts
    assert len(images.train.classes) == 2
    assert images.test.pixels.shape[1:] == (3, 32, 32)


def test_a_split_is_made_where_there_is_none(tmp_path: Path) -> None:
    files = good(each=12)
    report = run(folder(tmp_path, files), seed=3)
    train, test = report.images.train, report.images.test
    assert torch.bincount(train.labels).tolist() == [10, 10]
    assert torch.bincount(test.labels).tolist() == [2, 2]
    assert "seed 3, 4 of 24 images" in report.text()
    again, other = (run(tmp_path / "pictures", seed=seed).images.test.fingerprint() for seed in (3, 4))
    assert again == test.fingerprint() != other
    every = {decode_square(data, 32).numpy().tobytes() for data in files.values()}
    assert {p.numpy().tobytes() for p in (*train.pixels, *test.pixels)} == every, "none lost, none twice"


def test_what_is_not_read_is_named(build: Build) -> None:
    more = {"train/labels.csv": b"a,b", "extra/x/1.jpg": b""}
    text = run(build(BOTH | good("val", each=1) | more)).text()
    assert all(name in text for name in ("train/labels.csv", "val/ (2 files)", "extra/ (1 files)"))


def test_a_test_folder_without_classes_is_named(tmp_path: Path) -> None:
    report = run(folder(tmp_path, good("train", each=6) | {"test/1.jpg": jpeg(0, SIDE)}))
    assert (len(report.images.train), len(report.images.test)) == (10, 2)
    assert "test/1.jpg" in report.text()


def test_the_source_names_cifar10_only_where_it_is_whole(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = build(good("train", CIFAR10_CLASSES, 2) | good("test", CIFAR10_CLASSES, 1))
    assert run(path).images.source == f"images imported from {path.name}"
    monkeypatch.setattr("alexnet_edu.data.folders.CIFAR10_COUNTS", (20, 10))
    assert run(path).images.source == f"CIFAR-10, imported from {path.name} (JPEG)"


# --- bad input ---------------------------------------------------------------------------------

REFUSED: dict[str, tuple[Files, str]] = {
    "nothing": ({}, "0 files directly in it and 0 empty folders"),
    "no class folders": ({"1.jpg": jpeg(0), "2.jpg": jpeg(0)}, "2 files directly in it"),
    "empty class folders": ({"cat/": b"", "dog/": b""}, "2 empty folders"),
    "one class": (good(classes=("cat",)), "one class only ('cat')"),
    "a test split alone": (good("test"), "test/"),
    "other classes": (
        good("train", ("cat", "dog")) | good("test", ("cat", "dgo"), 2),
        "only in the training images: dog (3 files); only in the test images: dgo (2 files)",
    ),
    "no images": ({"cat/1.txt": b"meow", "dog/1.txt": b"woof"}, "cat/1.txt, dog/1.txt"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_of_no_use_is_refused(build: Build, kind: str) -> None:
    files, message = REFUSED[kind]
    assert message in refused(build(files))


def test_no_archive_harm_alone_and_sizes_out_of_range(tmp_path: Path) -> None:
    assert "../a.jpg, ../b.jpg" in refused(packed(tmp_path, {"../a.jpg": b"", "../b.jpg": b""}))
    path = tmp_path / "pictures.rar"
    path.write_bytes(b"x" * 100)
    assert f"{path} is neither a folder nor a whole zip or tar (100 bytes)" in refused(path)
    for size in (4, 5000):
        assert str(size) in refused(tmp_path, size=size)


@pytest.mark.parametrize("size", [512, None])
def test_more_than_memory_should_hold(
    build: Build, monkeypatch: pytest.MonkeyPatch, size: int | None
) -> None:
    monkeypatch.setattr("alexnet_edu.data.folders.MAX_PACK_BYTES", 10_000)
    assert f"at {size or 32} × {size or 32} pixels" in refused(build(BOTH), size=size)


def test_bad_files_are_listed_and_the_good_ones_kept(build: Build, tmp_path: Path) -> None:
    whole = jpeg(1, (64, 64))
    cut = {f"train/cat/0{i}.jpg": whole[: 700 + 10 * i] for i in range(25)}
    report = run(build(BOTH | cut | {"test/dog/bad.jpg": b""}))
    alone = run(folder(tmp_path / "alone", BOTH)).images
    assert report.images.train.fingerprint() == alone.train.fingerprint()
    assert report.images.test.fingerprint() == alone.test.fingerprint()
    assert report.skipped == 26
    assert [name for name, _ in report.problems] == ["test/dog/bad.jpg", *sorted(cut)]
    assert len({why for _, why in report.problems}) > 2, "PIL says how much is missing"
    assert "and 15 more (25 files)" in report.text(), "faults of one kind share a line"


def test_classes_without_images_are_left_out_and_named(build: Build) -> None:
    empty = {
        "train/ant/": b"",
        "test/ant/0.jpg": jpeg(0, SIDE),
        "train/bee/0.jpg": b"no",
        "test/bee/": b"",
    }
    report = run(build(BOTH | empty))
    assert report.images.train.classes == ("cat", "dog")
    assert report.images.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert report.images.test.labels.tolist() == [0, 0, 1, 1]
    assert "ant (and its 1 test images), bee (and its 0 test images)" in report.text()


def test_images_of_another_kind_or_size_are_converted_and_counted(build: Build) -> None:
    odd = {
        "train/cat/x.png": encoded(picture(3, SIDE, mode="L"), "PNG"),
        "train/cat/y.jpg": jpeg(3, (50, 40)),
        "train/cat/z.jpg": jpeg(3, (20, 16)),
    }
    report = run(build(BOTH | odd))
    assert (len(report.images.train), report.problems) == (9, ())
    assert report.changes == {"greyscale": 1, "resized to 32 × 32": 2}
    assert "greyscale: 1, resized to 32 × 32: 2" in report.text()


def test_without_a_size_all_images_must_share_one(tmp_path: Path) -> None:
    files = {name: jpeg(1, (40, 40)) for name in BOTH}
    assert run(packed(tmp_path, files), size=None).images.train.pixels.shape == (6, 3, 40, 40)
    other = packed(tmp_path, files | {"train/cat/9.jpg": jpeg(1, (40, 24))})
    assert "40 × 40 (10 images), 24 × 40 (1 images)" in refused(other, size=None)


# --- class folders written ---------------------------------------------------------------------

IMAGES = synthetic_images(60, 30)


def test_a_written_image_is_the_small_one_enlarged(tmp_path: Path) -> None:
    write_class_folders(IMAGES, tmp_path, train=1, val=1)
    place = int((IMAGES.train.labels == 4).nonzero()[0])
    with PilImage.open(tmp_path / "train" / "n00000004" / f"n00000004_{place}.JPEG") as written:
        assert written.size == (256, 256)
        large = np.asarray(written, dtype=float)
    small = large.reshape(32, 8, 32, 8, 3).mean((1, 3)).transpose(2, 0, 1)
    wanted = IMAGES.train.pixels[place].numpy().astype(float)
    assert np.abs(small - wanted).mean() < 5
    assert np.abs(small - wanted[:, ::-1]).mean() > 10


def test_written_files_that_are_there_are_kept(tmp_path: Path) -> None:
    write_class_folders(IMAGES, tmp_path, train=1, val=1)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.JPEG")}
    write_class_folders(IMAGES, tmp_path, train=2, val=1)
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert len(after) == 30
    assert before.items() <= after.items()


@pytest.mark.parametrize(("train", "val", "quoted"), [(7, 1, "train=7"), (1, 4, "val=4"), (0, 1, "train=0")])
def test_more_than_there_are_cannot_be_written(tmp_path: Path, train: int, val: int, quoted: str) -> None:
    with pytest.raises(ValueError, match=quoted):
        write_class_folders(IMAGES, tmp_path, train=train, val=val)
