"""Files are whole or not there, damage is seen, a folder has one writer at a time."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from alexnet_edu import files
from alexnet_edu.files import (
    DataError,
    PermissionDenied,
    checked,
    kept,
    load_record,
    locked,
    read_head,
    read_json,
    remove_partials,
    write_json,
    write_tensors,
)
from alexnet_edu.imagenet import log as run_log

TENSORS = {
    "doubles": np.arange(6, dtype=np.float64).reshape(2, 3) / 7,
    "offsets": np.array([0, 3], dtype=np.int64),
    "turned": np.arange(6, dtype=np.int64).reshape(2, 3).T,  # not contiguous
    "floats": np.array([1.5], dtype=np.float32),
    "sums": np.array([[-1, 2]], dtype=np.int32),
    "none": np.zeros((0, 4), dtype=np.uint8),
    "bytes": np.frombuffer(b"abc", dtype=np.uint8),
}
NOTES = {"names": '["ä", "\\udcff"]', "b": "2", "a": "1"}


def test_safetensors_reads_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    written = write_tensors(path, TENSORS, NOTES)
    with safe_open(path, framework="np") as file:
        assert sorted(file.keys()) == sorted(TENSORS)
        for name, tensor in TENSORS.items():
            found = file.get_tensor(name)
            assert (found.dtype, found.shape) == (tensor.dtype, tensor.shape)
            assert np.array_equal(found, tensor)
        metadata = file.metadata()
    assert {name: metadata[name] for name in NOTES} == NOTES
    data = path.read_bytes()
    assert (written.bytes, written.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert checked(path) == (written, metadata)


def test_the_same_tensors_give_the_same_bytes_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    assert write_tensors(a, TENSORS, NOTES) == write_tensors(b, TENSORS, NOTES)
    (length,) = struct.unpack("<Q", a.read_bytes()[:8])
    assert length % 8 == 0
    assert list(json.loads(a.read_bytes()[8 : 8 + length])) == ["__metadata__", *TENSORS]


@pytest.mark.parametrize("length", [0, 5, 8, 60, -1])
def test_a_file_that_was_cut_short(tmp_path: Path, length: int) -> None:
    path = tmp_path / "x"
    write_tensors(path, TENSORS, NOTES)
    path.write_bytes(path.read_bytes()[:length])
    for read in (read_head, checked):
        with pytest.raises(DataError, match=r"its head cannot be read|was cut short or added to|is empty"):
            read(path)


def test_a_byte_too_many_or_another_one(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_tensors(path, TENSORS, NOTES)
    whole = path.read_bytes()
    path.write_bytes(whole + b"!")
    with pytest.raises(DataError, match="was cut short or added to"):
        checked(path)
    path.write_bytes(whole[:-1] + b"!")
    with pytest.raises(DataError, match="has changed since it was written"):
        checked(path)
    with pytest.raises(DataError, match="nowhere cannot be read: No such file"):
        read_head(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "head",
    [b"{", b'{"a":{}}', b'{"a":{"data_offsets":[0]}}', b'{"a":1}', b"null", b"\xff", b'{"__metadata__":[]}'],
)
def test_a_head_that_is_none(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(struct.pack("<Q", len(head)) + head)
    with pytest.raises(DataError, match="its head cannot be read"):
        read_head(path)


def write_numbers(path: Path, numbers: Any) -> None:
    write_tensors(path, {"numbers": np.array(numbers)}, {})


@pytest.mark.parametrize("write", [write_json, write_numbers])
def test_a_full_disk_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Any
) -> None:
    path = tmp_path / "x"
    write(path, [1, 2])
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(DataError, match=r"the disk is full: .*x could not be written"):
        write(path, [3])
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


@pytest.mark.skipif(sys.platform == "win32", reason="modes are of Unix")
@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077])
@pytest.mark.parametrize("write", [write_json, write_numbers])
def test_whoever_the_umask_lets_may_read(tmp_path: Path, write: Any, mask: int) -> None:
    before = os.umask(mask)
    try:
        with locked(tmp_path / "new"):
            write(tmp_path / "new" / "x", [1])
    finally:
        os.umask(before)
    assert (tmp_path / "new" / "x").stat().st_mode & 0o777 == 0o666 & ~mask
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o777 & ~mask


def _record(path: Path) -> Any:
    return load_record(path, "x", set())


@pytest.mark.parametrize("read", [read_json, read_head, checked, _record, run_log.read])
def test_a_file_that_is_not_ours_to_read_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Any
) -> None:
    path = tmp_path / "x"
    write_numbers(path, [1])

    def denied(*_: object, **__: object) -> None:  # who is root may read all
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(PermissionDenied, match=re.escape(f"chmod a+r {path}")):
        read(path)


@pytest.mark.parametrize("text", ["", '{"a": 1', "\xff"])
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=re.escape(str(path))):
        read_json(path)


def test_a_changed_digit_breaks_the_seal(tmp_path: Path) -> None:
    path, value = tmp_path / "x.json", {"errors": [0.25, 1e-30], "name": "ä"}
    write_json(path, value, sealed=True)
    assert read_json(path, sealed=True) == value
    path.write_text(path.read_text().replace("25", "35"))
    with pytest.raises(DataError, match=re.escape(str(path))):
        read_json(path, sealed=True)
    write_tensors(path, {"weights": np.ones(3)}, NOTES, sealed=True)
    assert {name: read_head(path)["__metadata__"][name] for name in NOTES} == NOTES
    path.write_bytes(path.read_bytes().replace(b'"weights"', b'"welghts"'))
    with pytest.raises(DataError, match=re.escape(str(path))):
        read_head(path)


def test_half_written_files_are_removed(tmp_path: Path) -> None:
    for name in ("x", "x.partial-1", "y.json.partial-22"):
        (tmp_path / name).write_bytes(b"")
    remove_partials(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_what_is_kept_is_made_once(tmp_path: Path) -> None:
    path, made = tmp_path / "new" / "x.json", iter([{"a": (1, 2)}])
    assert kept(path, lambda: next(made)) == kept(path, lambda: next(made)) == {"a": [1, 2]}
    path.write_text("{")
    with pytest.raises(DataError, match=re.escape(str(path))):
        kept(path, dict)


# --- one writer at a time -----------------------------------------------------------------------

HOLDS = """
import sys, time
from pathlib import Path
from alexnet_edu.files import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_a_folder_can_be_locked_again_also_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    with locked(tmp_path):
        assert [p.name for p in tmp_path.iterdir()] == [".lock"]


def test_another_process_is_kept_out_until_the_first_is_dead(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDS, tmp_path], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == b"locked"
        with pytest.raises(DataError, match=re.escape(str(tmp_path))), locked(tmp_path):
            pytest.fail("two at a time")
        other.kill()
    with locked(tmp_path):
        pass


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="file"), locked(tmp_path / "file" / "below"):
        pytest.fail("there is no such folder")
