"""Folders, zips and tars give one list; what means harm in them is named and never read."""

from __future__ import annotations

import os
import struct
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest

from alexnet_edu.data import archives
from alexnet_edu.data.archives import Files, SourceChanged, open_files, read_file
from alexnet_edu.data.decode import UnreadableFile
from alexnet_edu.files import DataError
from tests.imagenet_files import tar, tar_of_tars, write_folder

GOOD = {f"train/{c}/{i}.jpg": f"{c}{i}".encode() * 50 for c in ("cat", "dog") for i in range(2)}
CLASSES = {name.removeprefix("train/"): data for name, data in GOOD.items()}


def packed(where: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    where.mkdir(exist_ok=True)
    path = where / "pictures.zip"
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def contents(path: Path) -> dict[str, bytes]:
    with open_files(path) as files:
        return {file.name: files.read(file) for file in files.files}


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_files(path)
    return str(caught.value)


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_a_folder_a_zip_a_tar_and_a_tar_of_tars_give_the_same(tmp_path: Path, kind: int) -> None:
    junk = {"__MACOSX/train/cat/._0.jpg": b"x", "train/.DS_Store": b"x", "train/dog/Thumbs.db": b"x"}
    shuffled = dict(reversed((GOOD | junk).items()))
    write_folder(tmp_path / "folder", shuffled)
    (tmp_path / "flat.tar").write_bytes(tar(shuffled, kind))
    assert contents(tmp_path / "folder") == contents(packed(tmp_path, shuffled)) == GOOD
    assert contents(tmp_path / "flat.tar") == GOOD
    (tmp_path / "nested.tar").write_bytes(tar_of_tars(CLASSES, kind))
    assert contents(tmp_path / "nested.tar") == CLASSES
    with open_files(tmp_path / "flat.tar") as files:
        assert [file.name for file in files.files] == sorted(GOOD)
        assert files.folders == {"train", "train/cat", "train/dog"}
    if kind != tarfile.USTAR_FORMAT:
        long = {f"{'long' * 50}_{i}.JPEG": bytes([i]) * 700 for i in range(2)}
        (tmp_path / "long.tar").write_bytes(tar(long, kind))
        assert contents(tmp_path / "long.tar") == long


def reading_fails(path: Path, name: str) -> str:
    """Why one file cannot be read."""
    with open_files(path) as files:
        (file,) = [file for file in files.files if file.name == name]
        with pytest.raises(UnreadableFile) as caught:
            files.read(file)
    return str(caught.value)


# --- names that mean harm -----------------------------------------------------------------------


def odd(path: Path, name: str) -> Files:
    """Lists an archive with one odd name among the good ones, which are all there."""
    with open_files(path) as files:
        assert {file.name for file in files.files} == set(GOOD)
        ((found, _),) = files.problems
        assert found.replace("\\", "/") == name.replace("\\", "/")
        return files


@pytest.mark.parametrize("form", ["zip", "tar"])
@pytest.mark.parametrize(
    "name",
    ["../evil", "train/cat/../../../evil", "..\\..\\evil", "/etc/evil", "C:/evil", "C:\\evil"],
)
def test_names_that_lead_outside_are_left_out(tmp_path: Path, name: str, form: str) -> None:
    files, inside = GOOD | {name: b"x"}, tmp_path / "inside"
    path = write_folder(inside, {"x.tar": tar(files)}) / "x.tar" if form == "tar" else packed(inside, files)
    odd(path, name)
    assert [p.name for p in tmp_path.iterdir()] == ["inside"], "nothing is unpacked"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_links_and_names_that_occur_twice_are_left_out(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("train/cat/link.jpg")
    link.external_attr = 0o120777 << 16
    for name in ("train/cat/0.jpg", link):
        path = packed(tmp_path, GOOD)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, b"another")
        odd(path, getattr(name, "filename", name))
        assert contents(path) == GOOD
    kinds = {"folder": tarfile.DIRTYPE, "link": tarfile.SYMTYPE, "./a": tarfile.REGTYPE, "a": tarfile.REGTYPE}
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name, kind in kinds.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "elsewhere"
            archive.addfile(info)
    with open_files(tmp_path / "x.tar") as files:
        assert [file.name for file in files.files] == ["a"]
        assert [name for name, _ in files.problems] == ["link", "a"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs links and pipes")
def test_links_back_up_links_to_nothing_and_pipes_end(tmp_path: Path) -> None:
    root = write_folder(tmp_path, GOOD)
    (root / "train/cat/loop").symlink_to(root / "train/cat", target_is_directory=True)
    (root / "train/dog/link").symlink_to(root / "nowhere")
    os.mkfifo(root / "train/dog/pipe")
    for name in ("train/dog/link", "train/dog/pipe"):
        assert "no regular file" in reading_fails(root, name)


# --- bombs, and damage --------------------------------------------------------------------------


def test_a_zip_bomb_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "RATIO_COUNTS_FROM", 1_000_000)
    zeros = {f"train/cat/zero{i}.jpg": bytes(1_000_000) for i in range(8)}
    path = packed(tmp_path, GOOD | zeros, zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("must not be read"))
    assert "would unfold to 8 MB in 12 files" in refused(path)


def test_far_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_FILES", 3)
    assert "4 files" in refused(packed(tmp_path, GOOD))
    assert "more than 3 files" in refused(write_folder(tmp_path / "folder", GOOD))


@pytest.mark.parametrize("form", [packed, write_folder])
def test_one_enormous_file_is_not_read(
    tmp_path: Path, form: Callable[[Path, dict[str, bytes]], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 2_000_000)
    path = form(tmp_path, {"huge.bmp": bytes(3_000_000)})
    assert "3 MB, more than the 2 MB" in reading_fails(path, "huge.bmp")


def in_directory(path: Path, offset: int, value: int) -> Path:
    """Overwrites two bytes of the first entry in a zip's directory."""
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\x01\x02") + offset
    data[place : place + 2] = value.to_bytes(2, "little")
    path.write_bytes(data)
    return path


def test_entries_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    lie = packed(tmp_path, GOOD | {"lie": bytes(5_000_000)}, zipfile.ZIP_DEFLATED)
    data = lie.read_bytes()
    assert data.count(struct.pack("<L", 5_000_000)) == 2
    lie.write_bytes(data.replace(struct.pack("<L", 5_000_000), struct.pack("<L", 1_000)))
    assert reading_fails(lie, "lie").startswith("is damaged inside the zip")
    flipped = packed(tmp_path, GOOD)
    data = flipped.read_bytes()
    flipped.write_bytes(data.replace(GOOD["train/dog/1.jpg"], b"#" + GOOD["train/dog/1.jpg"][1:]))
    assert "Bad CRC-32" in reading_fails(flipped, "train/dog/1.jpg")
    encrypted = in_directory(packed(tmp_path, GOOD), 8, 1)  # its flags
    assert "is encrypted" in reading_fails(encrypted, "train/cat/0.jpg")
    unknown = in_directory(packed(tmp_path, GOOD), 10, 97)  # its method: WavPack
    assert "unpack the zip and give the folder" in reading_fails(unknown, "train/cat/0.jpg")
    newer = in_directory(packed(tmp_path, GOOD), 6, 99)  # the version needed to unpack it
    assert "zip file version 9.9" in refused(newer)


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    assert str(tmp_path / "nowhere") in refused(tmp_path / "nowhere")
    whole = packed(tmp_path, GOOD).read_bytes()
    (tmp_path / "x.zip").write_bytes(whole[:-200])
    assert f"{len(whole) - 200:,} bytes" in refused(tmp_path / "x.zip")
    (tmp_path / "x.zip").write_bytes(whole.replace(b"PK\x01\x02", b"PK\x00\x02", 1))
    assert "is a damaged zip" in refused(tmp_path / "x.zip")


def test_a_tar_that_was_cut_short_or_overwritten_is_refused(tmp_path: Path) -> None:
    whole, path = tar_of_tars(CLASSES), tmp_path / "x.tar"
    for length in (len(whole) // 2, 700, 100):
        path.write_bytes(whole[:length])
        assert "fetch it again" in refused(path)
    path.write_bytes(b"no tar at all" * 1000)
    assert "fetch it again" in refused(path)
    for at in (512, whole.index(b"1.jpg"), whole.index(b"dog.tar")):  # heads of members, not the first
        path.write_bytes(whole[:at] + b"#" * 200 + whole[at + 200 :])
        assert "there is no head of a tar at byte" in refused(path)


def test_a_tar_without_the_mark_of_its_end_is_spoken_of(tmp_path: Path) -> None:
    """Cut between two files, a tar cannot be told from a whole one but by the zeros at its end."""
    inner = tar({"0.jpg": b"x" * 600})[: 512 + 1024]
    outer = tar({"cat.tar": inner, "dog.tar": inner})
    for data, missing in (
        (outer, ["cat.tar", "dog.tar"]),
        (outer[: 2 * (512 + 1536)], ["cat.tar", "dog.tar", "x.tar"]),
    ):
        (tmp_path / "x.tar").write_bytes(data)
        with open_files(tmp_path / "x.tar") as files:
            assert [file.name for file in files.files] == ["cat/0.jpg", "dog/0.jpg"]
            assert [note.split(" has no mark")[0] for note in files.notes] == missing


def test_a_file_that_changes_after_it_was_listed_is_no_fault_of_the_image(tmp_path: Path) -> None:
    gone, longer, shorter, _ = open_files(write_folder(tmp_path, GOOD)).files
    Path(gone.path).unlink()
    Path(longer.path).write_bytes(b"x" * (longer.size + 1))
    Path(shorter.path).write_bytes(b"x" * (shorter.size - 1))
    for file in (gone, longer, shorter):
        with pytest.raises(SourceChanged, match=file.path):
            read_file(file)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = open_files(write_folder(tmp_path, GOOD))
    monkeypatch.setattr(Path, "open", mock.Mock(side_effect=PermissionError(13, "Permission denied")))
    with pytest.raises(UnreadableFile, match="Permission denied"):
        files.read(files.files[0])
