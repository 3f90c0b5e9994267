"""Import of folders and zips: every layout, and every kind of bad input with its message."""

from __future__ import annotations

import io
import os
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PilImage

from alexnet_edu.data import decode as image_files
from alexnet_edu.data import pixels as image_decode
from alexnet_edu.data.decode import UnreadableFile
from alexnet_edu.data.folders import CIFAR10_CLASSES, import_images
from alexnet_edu.data.pixels import decode, fit_to_square, jpeg_header
from alexnet_edu.files import DataError

Builder = Callable[[dict[str, bytes]], Path]


def picture(seed: int = 0, size: tuple[int, int] = (32, 32), mode: str = "RGB") -> PilImage.Image:
    """A smooth picture in which up, down, left and right differ."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return PilImage.fromarray(coarse).resize(size, PilImage.Resampling.BILINEAR).convert(mode)


def encode(image: PilImage.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg(seed: int = 0, size: tuple[int, int] = (32, 32), **options: object) -> bytes:
    return encode(picture(seed, size), **options)


def good(split: str = "", classes: tuple[str, ...] = ("cat", "dog"), each: int = 3) -> dict[str, bytes]:
    start = f"{split}/" if split else ""
    return {
        f"{start}{name}/{i}.jpg": jpeg(100 * c + i) for c, name in enumerate(classes) for i in range(each)
    }


BOTH = good("train") | good("test", each=2)


@pytest.fixture(params=["folder", "zip"])
def build(request: pytest.FixtureRequest, tmp_path: Path) -> Builder:
    """Writes the files as a folder, or as a zip; every test that takes it runs on both."""
    return (lambda f: folder(tmp_path, f)) if request.param == "folder" else (lambda f: packed(tmp_path, f))


def folder(where: Path, files: dict[str, bytes]) -> Path:
    root = where / "pictures"
    for name, data in files.items():
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    root.mkdir(exist_ok=True)
    return root


def packed(where: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    path = where / "pictures.zip"
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def in_directory(path: Path, offset: int, value: int) -> Path:
    """Overwrites two bytes of the first entry in a zip's directory."""
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\x01\x02") + offset
    data[place : place + 2] = value.to_bytes(2, "little")
    path.write_bytes(data)
    return path


def run(path: Path, **options: object):  # type: ignore[no-untyped-def]
    return import_images(path, progress=False, **options)  # type: ignore[arg-type]


# --- layouts ---------------------------------------------------------------------------------


def test_train_and_test_are_taken_as_they_are(build: Builder) -> None:
    report = run(build(BOTH))
    train, test = report.images.train, report.images.test
    assert (len(train), len(test), report.kept, report.skipped) == (6, 4, 10, 0)
    assert train.classes == test.classes == ("cat", "dog")
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert (report.problems, report.changes, report.notes) == ((), {}, ())
    expected = torch.stack([decode(BOTH[name]).pixels for name in sorted(BOTH) if name.startswith("train")])
    assert torch.equal(train.pixels, expected)
    assert train.source in ("images imported from pictures", "images imported from pictures.zip")
    assert report.text().startswith("10 images in 2 classes, 32 × 32 pixels: 6 to train, 4 to test")


def test_a_folder_and_its_zip_give_the_same_images(tmp_path: Path) -> None:
    shuffled = dict(reversed(BOTH.items()))
    a, b = run(folder(tmp_path, BOTH)), run(packed(tmp_path, shuffled))
    assert a.images.train.fingerprint() == b.images.train.fingerprint()
    assert a.images.test.fingerprint() == b.images.test.fingerprint()


@pytest.mark.parametrize("name", ["val", "validation", "Test", "VAL"])
def test_other_names_of_the_test_split(build: Builder, name: str) -> None:
    assert len(run(build(good("train") | good(name, each=2))).images.test) == 4


def test_val_is_left_alone_where_there_is_test(build: Builder) -> None:
    report = run(build(BOTH | good("val", each=1)))
    assert len(report.images.test) == 4
    assert "val/ (2 files) is not read, only train/ and test/." in report.text()


@pytest.mark.parametrize("around", ["cifar", "a/b"])
def test_folders_around_everything_are_passed_through(build: Builder, around: str) -> None:
    files = {f"{around}/{name}": data for name, data in BOTH.items()}
    assert len(run(build(files | {"README.txt": b"hello"})).images.train) == 6
    lone = {f"{around}/{name}": data for name, data in good().items()}
    assert run(build(lone)).images.train.classes == ("cat", "dog")


def test_files_deeper_in_a_class_folder_belong_to_the_class(build: Builder) -> None:
    files = {f"train/{c}/images/{i}.jpg": jpeg(i) for c in ("cat", "dog") for i in range(2)} | good("test")
    assert run(build(files)).images.train.labels.tolist() == [0, 0, 1, 1]


def test_a_split_is_made_where_there_is_none_and_said_so(build: Builder) -> None:
    path = build(good(each=12))
    report = run(path, seed=3, test_share=0.25)
    train, test = report.images.train, report.images.test
    assert torch.bincount(train.labels).tolist() == [9, 9]
    assert torch.bincount(test.labels).tolist() == [3, 3]
    assert "No test split was found: made one, stratified, seed 3, 6 of 24 images (25%)." in (report.text())
    again, other = run(path, seed=3, test_share=0.25), run(path, seed=4, test_share=0.25)
    assert again.images.test.fingerprint() == test.fingerprint()
    assert other.images.test.fingerprint() != test.fingerprint()
    every = {decode(data).pixels.numpy().tobytes() for data in good(each=12).values()}
    assert {p.numpy().tobytes() for p in (*train.pixels, *test.pixels)} == every, "none lost, none twice"


def test_train_alone_is_split_too(build: Builder) -> None:
    report = run(build(good("train", each=6)))
    assert (len(report.images.train), len(report.images.test)) == (10, 2)


def test_classes_of_one_image_keep_it_for_training(build: Builder) -> None:
    report = run(build(good(each=1)))
    assert (len(report.images.train), tuple(report.images.test.pixels.shape)) == (2, (0, 3, 32, 32))
    assert "Classes without a usable test image: cat, dog." in report.text()


def test_a_class_may_be_called_train(build: Builder) -> None:
    assert run(build(good(classes=("plane", "train")))).images.train.classes == ("plane", "train")


def test_what_systems_leave_about_is_ignored(build: Builder) -> None:
    junk = {
        "__MACOSX/train/cat/._0.jpg": b"resource fork",
        "train/.DS_Store": b"x",
        "train/cat/.DS_Store": b"x",
        "train/cat/._0.jpg": b"resource fork",
        "train/cat/Thumbs.db": b"x",
        "test/dog/desktop.ini": b"x",
    }
    report = run(build(BOTH | junk))
    assert (report.kept, report.skipped, report.problems, report.notes) == (10, 0, (), ())


def test_the_source_names_cifar10_only_where_it_is_whole(
    build: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alexnet_edu.data.folders.CIFAR10_COUNTS", (20, 10))
    files = good("train", CIFAR10_CLASSES, 2) | good("test", CIFAR10_CLASSES, 1)
    path = build(files)
    assert run(path).images.source == f"CIFAR-10, imported from {path.name} (JPEG)"
    del files["train/cat/0.jpg"]
    (path.unlink if path.is_file() else (path / "train/cat/0.jpg").unlink)()
    assert run(build(files)).images.source == f"images imported from {path.name}"


# --- bad input as a whole ----------------------------------------------------------------------


def refused(path: Path, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        run(path, **options)
    return str(caught.value)


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    message = refused(tmp_path / "nowhere")
    assert message.startswith(f"There is nothing at {tmp_path / 'nowhere'}.")
    assert "Give a folder or a zip that holds one folder of images per class." in message


def test_an_empty_folder(build: Builder) -> None:
    message = refused(build({}))
    assert "There are no class folders with images in pictures" in message
    assert "it holds no files and 0 empty folders" in message


def test_images_without_class_folders(build: Builder) -> None:
    message = refused(build({"1.jpg": jpeg(), "2.jpg": jpeg()}))
    assert "it holds 2 files directly in it and 0 empty folders" in message
    assert "Expected is one folder per class: train/<class>/… and test/<class>/…" in message


def test_only_empty_class_folders(build: Builder) -> None:
    assert "it holds no files and 2 empty folders" in refused(build({"cat/": b"", "dog/": b""}))


def test_one_class_alone(build: Builder) -> None:
    message = refused(build(good(classes=("cat",))))
    assert "has usable training images in one class only ('cat'); at least two are needed." in message


def test_a_test_split_alone(build: Builder) -> None:
    assert "pictures" in (message := refused(build(good("test"))))
    assert "holds test/ but no train/. Add train/<class>/…" in message


def test_classes_that_differ_between_the_splits(build: Builder) -> None:
    message = refused(build(good("train", ("cat", "dog")) | good("test", ("cat", "dgo"), 2)))
    assert "train/ and test/ do not hold the same classes" in message
    assert "only in train/: dog (3 files); only in test/: dgo (2 files)" in message
    assert "Rename, add or remove these folders." in message


def test_no_file_that_is_an_image(build: Builder) -> None:
    message = refused(build({"cat/1.txt": b"meow", "dog/1.txt": b"woof"}))
    assert "No image in pictures" in message
    assert "2 files were tried" in message
    assert (
        "is no image of a known kind (JPEG, PNG, GIF, BMP, TIFF, WEBP, PPM): cat/1.txt, dog/1.txt" in message
    )


def test_a_file_that_is_neither_folder_nor_zip(tmp_path: Path) -> None:
    path = tmp_path / "pictures.tar"
    path.write_bytes(b"x" * 100)
    message = refused(path)
    assert f"{path} is neither a folder nor a whole zip (100 bytes)" in message
    assert "tar, rar, 7z" in message


def test_a_zip_cut_short(tmp_path: Path) -> None:
    path = packed(tmp_path, BOTH)
    path.write_bytes(path.read_bytes()[:-200])
    assert "neither a folder nor a whole zip" in (message := refused(path))
    assert "it may have been cut short: fetch it again" in message


def test_a_zip_with_a_broken_directory(tmp_path: Path) -> None:
    path = packed(tmp_path, BOTH)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 1] = 0
    path.write_bytes(data)
    assert f"{path} is a damaged zip" in refused(path)


@pytest.mark.parametrize(("option", "value"), [("size", 4), ("size", 5000), ("test_share", 1.0)])
def test_options_out_of_range(tmp_path: Path, option: str, value: float) -> None:
    assert str(value) in refused(folder(tmp_path, BOTH), **{option: value})


def test_more_than_memory_should_hold(build: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alexnet_edu.data.folders.MAX_PACK_BYTES", 1_000_000)
    message = refused(build(BOTH), size=512)
    assert "holds 10 files; at 512 × 512 pixels they would take 0 GB" in message
    assert "Choose a smaller --size." in message


def test_more_than_memory_should_hold_at_the_size_that_the_images_have(
    build: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alexnet_edu.data.folders.MAX_PACK_BYTES", 10_000)
    message = refused(build(BOTH), size=None)
    assert re.search(r"train/\S+ has 32 × 32 pixels; 6 files of that size .* GB of memory", message)
    assert "Choose a --size." in message


# --- bad files among good ones -------------------------------------------------------------------


def with_bad(bad: dict[str, bytes], build: Builder):  # type: ignore[no-untyped-def]
    """Imports `bad` among ten good images, which must all be kept and in their places."""
    report = run(build(BOTH | bad))
    assert report.kept == 10
    assert report.images.train.fingerprint() == run(build(BOTH)).images.train.fingerprint()
    return report


@pytest.fixture
def build_twice(build: Builder, tmp_path: Path, request: pytest.FixtureRequest) -> Builder:
    """Like `build`, into a fresh place at every call."""
    counter = iter(range(10))

    def fresh(files: dict[str, bytes]) -> Path:
        where = tmp_path / str(next(counter))
        where.mkdir()
        kind = request.node.callspec.params["build"]
        return folder(where, files) if kind == "folder" else packed(where, files)

    return fresh


WHOLE = jpeg(7)
BAD_FILES = {
    "text": (b"this is no image", "is no image of a known kind"),
    "empty": (b"", "is empty (0 bytes)"),
    "half a JPEG": (WHOLE[: len(WHOLE) // 2], "is damaged or cut short"),
    "a JPEG without its end": (WHOLE[:-2], "is damaged or cut short"),
    "a JPEG cut in its head": (WHOLE[:30], "is damaged or cut short"),
    "half a PNG": (encode(picture(), "PNG")[:200], "is damaged or cut short"),
    "an HTML page": (b"<html>404</html>", "is no image of a known kind"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_is_listed_and_the_good_ones_kept(build_twice: Builder, kind: str) -> None:
    data, message = BAD_FILES[kind]
    report = with_bad({"train/cat/00bad.jpg": data, "test/dog/bad.jpg": data}, build_twice)
    assert report.skipped == 2
    assert [name for name, _ in report.problems] == ["test/dog/bad.jpg", "train/cat/00bad.jpg"]
    assert all(message in why for _, why in report.problems)
    assert "Left out (2):" in report.text()
    assert "test/dog/bad.jpg, train/cat/00bad.jpg (2 files)" in report.text()


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
@pytest.mark.parametrize("progressive", [False, True])
def test_no_truncated_jpeg_is_ever_half_decoded(share: float, progressive: bool) -> None:
    whole = jpeg(1, (64, 64), progressive=progressive)
    with pytest.raises(UnreadableFile):
        decode(whole[: int(share * len(whole))])


def test_many_bad_files_are_counted_and_not_all_printed(build: Builder) -> None:
    text = run(build(BOTH | {f"train/cat/x{i:02}.jpg": b"no" for i in range(25)})).text()
    assert "train/cat/x09.jpg and 15 more (25 files)" in text
    assert "x10.jpg" not in text


def test_faults_of_one_kind_share_a_line(build: Builder) -> None:
    whole = jpeg(1, (64, 64))
    cut = {f"train/cat/x{i}.jpg": whole[: 700 + 40 * i] for i in range(6)}
    report = run(build(BOTH | cut))
    assert len({why for _, why in report.problems}) > 1, "PIL says how much is missing"
    assert report.text().split("Left out (6):\n")[1] == (
        "  is damaged or cut short: train/cat/x0.jpg, train/cat/x1.jpg, train/cat/x2.jpg, train/cat/x3.jpg, "
        "train/cat/x4.jpg, train/cat/x5.jpg (6 files)"
    )


def test_a_class_without_images_is_left_out_and_named(build: Builder) -> None:
    report = run(build(BOTH | {"train/ant/": b"", "test/ant/0.jpg": jpeg()}))
    assert report.images.train.classes == ("cat", "dog")
    assert report.images.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert report.images.test.labels.tolist() == [0, 0, 1, 1]
    assert (
        "Classes without a usable training image are left out: ant (and its 1 test images)." in report.text()
    )


def test_a_class_whose_images_are_all_bad_is_left_out(build: Builder) -> None:
    report = run(build(BOTH | {"train/ant/0.jpg": b"no", "test/ant/": b""}))
    assert report.images.train.classes == ("cat", "dog")
    assert "left out: ant (and its 0 test images)." in report.text()


def test_files_beside_the_class_folders_are_named(build: Builder) -> None:
    report = run(build(BOTH | {"train/labels.csv": b"a,b"}))
    assert "Files outside the class folders are not read: train/labels.csv." in report.text()


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder(tmp_path, BOTH)
    read = Path.read_bytes

    def guarded(path: Path) -> bytes:
        if path.parts[-3:] == ("train", "cat", "0.jpg"):
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", guarded)
    assert run(root).problems == (("train/cat/0.jpg", "cannot be read: Permission denied"),)


def test_a_dangling_link(tmp_path: Path) -> None:
    root = folder(tmp_path, BOTH)
    try:
        (root / "train/cat/9.jpg").symlink_to(root / "gone.jpg")
    except OSError:
        pytest.skip("links cannot be made here")
    report = run(root)
    assert report.problems == (("train/cat/9.jpg", "cannot be read: No such file or directory"),)


# --- images that have to be changed ------------------------------------------------------------


def tagged(turn: int) -> dict[str, object]:
    exif = PilImage.Exif()
    exif[0x0112] = turn
    return {"exif": exif}


CHANGED = {
    "greyscale JPEG": (encode(picture(3, mode="L")), "greyscale"),
    "greyscale PNG": (encode(picture(3, mode="L"), "PNG"), "greyscale"),
    "black and white PNG": (encode(picture(3, mode="1"), "PNG"), "greyscale"),
    "CMYK JPEG": (encode(picture(3, mode="CMYK")), "CMYK"),
    "RGBA PNG": (encode(picture(3, mode="RGBA"), "PNG"), "transparent: on white"),
    "LA PNG": (encode(picture(3, mode="LA"), "PNG"), "transparent: on white"),
    "palette PNG": (encode(picture(3).quantize(16), "PNG"), "palette"),
    "palette GIF": (encode(picture(3).quantize(16), "GIF"), "palette"),
    "turned JPEG": (encode(picture(3), **tagged(6)), "turned by EXIF"),
    "16-bit PNG": (
        encode(PilImage.fromarray(np.full((32, 32), 40_000, np.uint16)), "PNG"),
        "16-bit greyscale",
    ),
    "animated GIF": (
        encode(picture(3), "GIF", save_all=True, append_images=[picture(4)]),
        "animated: first frame",
    ),
    "larger": (jpeg(3, (50, 40)), "resized to 32 × 32"),
    "smaller": (jpeg(3, (20, 16)), "resized to 32 × 32"),
}


@pytest.mark.parametrize("kind", CHANGED)
def test_an_image_of_another_kind_is_converted_and_counted(build: Builder, kind: str) -> None:
    data, change = CHANGED[kind]
    report = run(build(BOTH | {"train/cat/odd.img": data}))
    assert (report.kept, report.skipped, report.problems) == (11, 0, ())
    assert report.changes[change] == 1
    assert f"{change}: 1" in report.text().split("Converted on the way: ")[1]


def test_colours_survive_the_conversion() -> None:
    rgb = decode(encode(picture(3), "PNG")).pixels.int()
    for mode, tolerance in (("CMYK", 8), ("RGBA", 0)):
        kind = "TIFF" if mode == "CMYK" else "PNG"
        other = decode(encode(picture(3, mode=mode), kind)).pixels.int()
        assert (other - rgb).abs().max() <= tolerance, mode
    grey = decode(encode(picture(3, mode="L"), "PNG")).pixels
    assert torch.equal(grey[0], grey[1])
    assert torch.equal(grey[0], grey[2])
    assert torch.equal(grey[0], torch.from_numpy(np.asarray(picture(3, mode="L")).copy()))


def test_transparent_means_white_and_16_bits_keep_their_brightness() -> None:
    clear = decode(encode(PilImage.new("RGBA", (9, 9), (200, 0, 0, 0)), "PNG")).pixels
    assert clear.unique().tolist() == [255]
    (value,) = decode(CHANGED["16-bit PNG"][0]).pixels.unique().tolist()
    assert value == 155  # 40,000 of 65,535 is 155.6 of 255, rounded down


@pytest.mark.parametrize(("turn", "rotations"), [(3, 2), (6, 3), (8, 1)])
def test_a_turned_photograph_comes_out_upright(turn: int, rotations: int) -> None:
    stored = encode(picture(3, (24, 16)), quality=100, subsampling=0)
    turned = encode(picture(3, (24, 16)), quality=100, subsampling=0, **tagged(turn))
    expected = torch.rot90(decode(stored).pixels, rotations, (1, 2))
    assert torch.equal(decode(turned).pixels, expected)


def test_resizing_keeps_the_middle_and_the_mean() -> None:
    wide = torch.zeros(3, 40, 120, dtype=torch.uint8)
    wide[:, :, 40:80] = 200  # exactly the square in the middle
    assert fit_to_square(wide, 32).unique().tolist() == [200]
    assert fit_to_square(wide, 32).shape == (3, 32, 32)
    same = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    assert fit_to_square(same, 32) is same


def test_without_a_size_all_images_must_share_one(build: Builder) -> None:
    files = {name: jpeg(1, (40, 40)) for name in BOTH}
    assert tuple(run(build(files), size=None).images.train.pixels.shape) == (6, 3, 40, 40)


def test_wrong_sizes_are_listed_where_none_was_chosen(build: Builder) -> None:
    message = refused(build(BOTH | {"train/cat/9.jpg": jpeg(1, (40, 24))}), size=None)
    assert "are not all squares of one size: 32 × 32 (10 images), 24 × 40 (1 images)" in message
    assert "--size 32" in message


def test_torchvision_and_pil_decode_jpegs_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [jpeg(i, quality=q, subsampling=s) for i in range(4) for q in (60, 95) for s in (0, 2)]
    fast = [decode(data).pixels for data in files]
    monkeypatch.setattr(image_decode, "_fast_jpeg", None)
    assert all(torch.equal(decode(d).pixels, f) for d, f in zip(files, fast, strict=True))


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (32, 32)])
@pytest.mark.parametrize("progressive", [False, True])
def test_the_head_of_a_jpeg_is_read_right(size: tuple[int, int], progressive: bool) -> None:
    header = jpeg_header(encode(picture(0, size), progressive=progressive, **tagged(6)))
    assert header is not None
    assert (header.width, header.height, header.components, header.exif) == (*size, 3, True)
    assert jpeg_header(encode(picture(), "PNG")) is None
    assert all(jpeg_header(WHOLE[:n]) is None for n in range(20))


# --- zips that mean harm --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../evil.jpg", "a name that leads out of the zip (..): left out"),
        ("train/cat/../../../evil.jpg", "a name that leads out of the zip (..): left out"),
        ("..\\..\\evil.jpg", "a name that leads out of the zip (..): left out"),
        ("/etc/evil.jpg", "an absolute name: left out"),
        ("C:/evil.jpg", "an absolute name: left out"),
        ("C:\\evil.jpg", "an absolute name: left out"),
    ],
)
def test_names_that_lead_outside_are_left_out(tmp_path: Path, name: str, message: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    path = packed(inside, BOTH | {name: jpeg()})
    report = run(path)
    assert report.kept == 10
    ((found, why),) = report.problems
    assert found.replace("\\", "/") == name.replace("\\", "/")
    assert why == message
    assert message in report.text()
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["inside", "pictures.zip"], "nothing is unpacked"


def test_a_zip_of_nothing_but_such_names_says_so(tmp_path: Path) -> None:
    path = packed(tmp_path, {"../a.jpg": jpeg(), "../b.jpg": jpeg()})
    with pytest.raises(DataError, match=r"(?s)no class folders.*Left out:.*leads out of the zip"):
        run(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = folder(tmp_path, BOTH)
    os.mkfifo(path / "train" / "cat" / "pipe.jpg")
    report = run(path)
    assert report.kept == 10
    assert report.problems == (("train/cat/pipe.jpg", "is no regular file"),)


def test_a_link_in_a_zip_is_not_followed(tmp_path: Path) -> None:
    path = packed(tmp_path, BOTH)
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("train/cat/link.jpg")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    assert run(path).problems == (("train/cat/link.jpg", "a link, not a file: left out"),)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_occurs_twice(tmp_path: Path) -> None:
    path = packed(tmp_path, BOTH)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("train/cat/0.jpg", jpeg(99))
    report = run(path)
    assert report.problems == (("train/cat/0.jpg", "the name occurs twice in the zip: the first one counts"),)
    assert torch.equal(report.images.train.pixels[0], decode(BOTH["train/cat/0.jpg"]).pixels)


def test_a_zip_bomb_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "RATIO_COUNTS_FROM", 1_000_000)
    zeros = {f"train/cat/zero{i}.jpg": bytes(1_000_000) for i in range(8)}
    path = packed(tmp_path, BOTH | zeros, zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("must not be read"))
    message = refused(path)
    assert f"{path} looks like a zip bomb and was not unpacked" in message
    assert "would unfold to 8 MB in 18 files" in message
    assert "If you trust it, unpack it yourself and give the folder." in message


def test_a_zip_with_far_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "MAX_FILES", 9)
    assert "in 10 files" in (message := refused(packed(tmp_path, BOTH)))
    assert "allowed are 100 times and 9 files" in message


def test_a_folder_with_far_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "MAX_FILES", 5)
    assert "holds more than 5 files. Choose a folder further down." in refused(folder(tmp_path, BOTH))


def test_one_enormous_file_is_left_out(build: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "MAX_FILE_BYTES", 2_000_000)
    report = run(build(BOTH | {"train/cat/huge.bmp": bytes(3_000_000)}))
    ((name, why),) = report.problems
    assert (name, report.kept) == ("train/cat/huge.bmp", 10)
    assert why == "holds 3 MB, more than the 2 MB allowed for one image"


def test_an_entry_that_lies_about_its_size_yields_no_more_than_it_said(tmp_path: Path) -> None:
    path = packed(tmp_path, BOTH | {"train/cat/lie.bmp": bytes(5_000_000)}, zipfile.ZIP_DEFLATED)
    data = path.read_bytes()
    assert data.count(struct.pack("<L", 5_000_000)) == 2
    path.write_bytes(data.replace(struct.pack("<L", 5_000_000), struct.pack("<L", 1_000)))
    ((name, why),) = run(path).problems
    assert name == "train/cat/lie.bmp"
    assert why.startswith("is damaged inside the zip")


def test_a_damaged_entry_is_listed(tmp_path: Path) -> None:
    path = packed(tmp_path, BOTH)
    data = bytearray(path.read_bytes())
    data[data.index(BOTH["train/dog/1.jpg"]) + 300] ^= 0xFF
    path.write_bytes(data)
    report = run(path)
    ((name, why),) = report.problems
    assert (name, report.kept) == ("train/dog/1.jpg", 9)
    assert why.startswith("is damaged inside the zip (Bad CRC-32")


def test_an_encrypted_entry_is_listed(tmp_path: Path) -> None:
    path = in_directory(packed(tmp_path, BOTH), 8, 1)  # its flags
    ((_, why),) = run(path).problems
    assert why == "is encrypted: unpack the zip with its password and give the folder"


def test_a_zip_newer_than_the_library_is_not_called_damaged(tmp_path: Path) -> None:
    path = in_directory(packed(tmp_path, BOTH), 6, 99)  # the version needed to unpack it
    expected = f"{path} cannot be unpacked here (zip file version 9.9). Unpack it and give the folder."
    assert refused(path) == expected


def test_an_entry_of_unknown_compression_is_listed(tmp_path: Path) -> None:
    path = in_directory(packed(tmp_path, BOTH), 10, 97)  # its method: WavPack
    ((_, why),) = run(path).problems
    assert why.startswith("cannot be unpacked here (")
    assert why.endswith("): unpack the zip and give the folder")


def png_that_claims(width: int, height: int) -> bytes:
    """A few bytes that say they are an enormous PNG."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))

    head = struct.pack(">LLBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )


def jpeg_that_claims(width: int, height: int) -> bytes:
    place = WHOLE.index(b"\xff\xc0")
    return WHOLE[: place + 5] + struct.pack(">HH", height, width) + WHOLE[place + 9 :]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (png_that_claims(10_000, 10_000), "would be 10,000 × 10,000 pixels"),
        (png_that_claims(60_000, 60_000), "has more than the 89 million pixels allowed"),
        (jpeg_that_claims(65_000, 65_000), "would be 65,000 × 65,000 pixels"),
    ],
    ids=["PNG", "larger PNG", "JPEG"],
)
def test_an_image_that_would_unfold_to_gigabytes_is_left_out(build: Builder, data: bytes, said: str) -> None:
    report = run(build(BOTH | {"train/cat/bomb.img": data}))
    ((name, why),) = report.problems
    assert (name, report.kept) == ("train/cat/bomb.img", 10)
    assert said in why


@pytest.mark.skipif(not hasattr(os, "symlink") or sys.platform == "win32", reason="needs links")
def test_a_link_that_points_back_up_ends(tmp_path: Path) -> None:
    root = folder(tmp_path, BOTH)
    (root / "train/cat/loop").symlink_to(root / "train/cat", target_is_directory=True)
    assert run(root).images.train.classes == ("cat", "dog")
