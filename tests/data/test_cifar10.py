"""Where data lives, the three-step policy, the download, and what the command line says."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import pickle
import re
import socket
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PilImage
from torchvision.datasets import CIFAR10, CIFAR100

from alexnet_edu import environment
from alexnet_edu.data import cifar10 as data
from alexnet_edu.data.folders import CIFAR10_CLASSES
from alexnet_edu.data.images import Images, ImageSet, load_pack, save_pack
from alexnet_edu.files import DataError
from tests.imagenet_files import encoded, tar, write_folder


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, no memory of earlier failures, and a stand-in that is generated in no time."""
    path = tmp_path / "data"
    monkeypatch.setenv("ALEXNET_EDU_DATA", str(path))
    monkeypatch.setenv("ALEXNET_EDU_OFFLINE", "1")
    monkeypatch.setattr(data, "_failed_download", None)
    monkeypatch.setitem(data.STAND_IN, "other", (20, 10))
    return path


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Someone sits before a notebook, who may see a download."""
    monkeypatch.delenv("ALEXNET_EDU_OFFLINE")
    monkeypatch.setitem(data.sys.modules, "ipykernel", data)


def make_set(value: int = 1, classes: tuple[str, ...] = CIFAR10_CLASSES, source: str = "test") -> ImageSet:
    def split(n: int) -> Images:
        pixels = torch.full((n, 3, 32, 32), value, dtype=torch.uint8)
        return Images(pixels, torch.arange(n) % len(classes), classes, source)

    return ImageSet(split(20), split(10))


def class_folders(root: Path, classes: tuple[str, ...] = CIFAR10_CLASSES, value: int = 90) -> Path:
    files = {
        f"{split}/{name}/{i}.png": encoded(PilImage.new("RGB", (32, 32), (value, 10 * label, i)), "PNG")
        for split, count in (("train", 2), ("test", 1))
        for label, name in enumerate(classes)
        for i in range(count)
    }
    return write_folder(root, files)


# --- where things are --------------------------------------------------------------------------


def test_where_data_and_runs_are(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are never kept in a data folder that others share."""
    monkeypatch.delenv(data.RUNS_VARIABLE, raising=False)
    assert data.data_dir() == folder
    assert data.pack_path() == folder / "packs" / "cifar10.safetensors"
    assert data.runs_dir() == environment.ROOT / "data" / "runs"
    monkeypatch.delenv("ALEXNET_EDU_DATA")
    assert data.data_dir() == environment.ROOT / "data"
    monkeypatch.setattr(data.os, "access", lambda path, mode: False)  # a checkout that others own
    assert data.runs_dir() == Path.home() / ".alexnet-edu" / "runs"
    monkeypatch.setattr(data, "in_checkout", lambda: False)
    assert data.data_dir() == Path.home() / ".alexnet-edu"
    monkeypatch.setenv(data.RUNS_VARIABLE, str(tmp_path / "mine"))
    assert data.runs_dir() == tmp_path / "mine"
    (tmp_path / "file").touch()
    monkeypatch.setenv("ALEXNET_EDU_DATA", str(tmp_path / "file"))
    with pytest.raises(DataError, match="file' is not a folder"):
        data.data_dir()


@pytest.mark.parametrize("name", ["", "../x", "a/b", "A B"])
def test_a_pack_name_cannot_lead_elsewhere(name: str) -> None:
    with pytest.raises(DataError, match=f"'{name}' is not the name of a pack"):
        data.pack_path(name)


# --- the policy ---------------------------------------------------------------------------------


def test_quick_is_the_same_with_and_without_real_data(capsys: pytest.CaptureFixture[str]) -> None:
    without = data.load_cifar10("quick")
    assert without.synthetic
    assert (len(without.train), len(without.test)) == (2_000, 500)
    save_pack(make_set(7), data.pack_path())
    assert without.train.fingerprint() == data.load_cifar10().train.fingerprint()
    images = data.load_cifar10("laptop")
    assert images.train.pixels.unique().tolist() == [7]
    assert (images.caveat, without.caveat) == ("", " SYNTHETIC images.")
    assert capsys.readouterr() == ("", "")


def test_the_stand_in_says_what_to_type(capsys: pytest.CaptureFixture[str]) -> None:
    images = data.load_cifar10("laptop")
    assert images.synthetic
    assert images.train.caveat == " SYNTHETIC images."
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "`alexnet-edu data cifar10`" in err
    assert "`alexnet-edu data import PATH`" in err
    with pytest.raises(ValueError, match="huge"):
        data.load_cifar10("huge")


@pytest.mark.usefixtures("watched")
def test_nothing_is_downloaded_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "download_cifar10", lambda: pytest.fail("must not download"))
    with pytest.raises(pytest.fail.Exception):
        data.load_cifar10("laptop")
    monkeypatch.setenv("ALEXNET_EDU_OFFLINE", "1")
    assert data.load_cifar10("laptop").synthetic


@pytest.mark.usefixtures("watched")
def test_a_failed_download_is_said_and_not_tried_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failures = iter([DataError("CIFAR-10 could not be downloaded (no connection: gone). Try again.")])

    def fail() -> Path:
        raise next(failures)

    monkeypatch.setattr(data, "download_cifar10", fail)
    for _ in range(2):
        assert data.load_cifar10("laptop").synthetic
        assert "(no connection: gone)." in capsys.readouterr().err


def test_other_packs_are_loaded_by_name() -> None:
    save_pack(make_set(3, ("cat", "dog")), data.pack_path("pets"))
    assert data.load_images("pets").train.classes == ("cat", "dog")
    with pytest.raises(DataError, match="no pack 'cars'; there are: pets"):
        data.load_images("cars")


# --- the download, from a server on this machine --------------------------------------------------


def batch(first: int, count: int) -> bytes:
    pixels = np.arange(first, first + count, dtype=np.uint8)[:, None].repeat(3072, 1)
    pixels[:, 1024:2048] = 0  # green: shows that channels are not mixed up
    return pickle.dumps({"data": pixels, "labels": [i % 10 for i in range(first, first + count)]})


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A small file built like the official one, with torchvision told its hashes."""
    members = {f"data_batch_{i + 1}": batch(10 * i, 10) for i in range(5)} | {"test_batch": batch(50, 10)}
    members["batches.meta"] = pickle.dumps({"label_names": list(CIFAR10_CLASSES)})
    packed = tar({f"cifar-10-batches-py/{name}": content for name, content in members.items()}, mode="w:gz")
    hashes = {name: hashlib.md5(content).hexdigest() for name, content in members.items()}
    monkeypatch.setattr(CIFAR10, "train_list", [[n, h] for n, h in hashes.items() if n.startswith("data_")])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", hashes["test_batch"]]])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": hashes["batches.meta"]}
    monkeypatch.setattr(CIFAR10, "meta", meta)
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(packed).hexdigest())
    return packed


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The archive on this machine's web server; what is written there is served."""
    name = "cifar-10-python.tar.gz"
    folder = write_folder(tmp_path / "web", {name: archive})
    handler = functools.partial(Quiet, directory=folder)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{server.server_port}/{name}")
        yield folder / name
        server.shutdown()


@pytest.mark.usefixtures("watched")
def test_a_download_ends_in_a_pack_and_nothing_else(served: Path, folder: Path) -> None:
    images = data.load_cifar10("laptop")
    assert (len(images.train), len(images.test)) == (50, 10)
    assert images.train.classes == CIFAR10_CLASSES
    assert images.source == "CIFAR-10, official batches"
    assert images.train.pixels[:, 0, 5, 9].tolist() == list(range(50))
    assert images.train.pixels[:, 1].max() == 0
    assert images.train.labels.tolist() == [i % 10 for i in range(50)]
    assert list((folder / "downloads").rglob("*")) == []
    served.unlink()  # nothing is fetched again
    assert data.download_cifar10() == data.pack_path()
    assert "official batches; 50 training" in data.run_download()
    assert data.load_cifar10("laptop").train.fingerprint() == images.train.fingerprint()


def download_fails() -> str:
    with pytest.raises(DataError) as caught:
        data.download_cifar10()
    assert not data.pack_path().exists()
    message = str(caught.value)
    assert "type `alexnet-edu data import PATH`" in message
    assert "http" not in message
    return message


def test_a_download_that_is_not_whole_is_noticed_and_can_be_repeated(served: Path, archive: bytes) -> None:
    flipped = bytes([*archive[:-9], archive[-9] ^ 1, *archive[-8:]])
    for content in (archive[: len(archive) // 2], flipped):
        served.write_bytes(content)
        download_fails()
    served.write_bytes(archive)
    assert len(load_pack(data.download_cifar10()).train) == 50


def test_a_server_that_refuses_and_no_network(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served.unlink()
    assert "404" in download_fails()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening: a connection is refused
        monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{taken.getsockname()[1]}/x.tar.gz")
        assert "no connection: " in download_fails()
    assert socket.getdefaulttimeout() is None


def test_what_was_fetched_before_a_kill_is_not_fetched_again(
    served: Path, archive: bytes, folder: Path
) -> None:
    write_folder(folder / "downloads", {"cifar-10-python.tar.gz": archive})
    served.unlink()
    assert len(load_pack(data.download_cifar10()).train) == 50


# --- the official files, from a disk ----------------------------------------------------------------


def unpacked(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        return {m.name: packed.extractfile(m).read() for m in packed}  # type: ignore[union-attr]


def binary() -> dict[str, bytes]:
    """The images of `archive`, in the other form."""

    def rows(first: int, count: int) -> bytes:
        return b"".join(
            bytes([i % 10, *[i] * 1024, *[0] * 1024, *[i] * 1024]) for i in range(first, first + count)
        )

    files = {f"data_batch_{i + 1}.bin": rows(10 * i, 10) for i in range(5)} | {"test_batch.bin": rows(50, 10)}
    files["batches.meta.txt"] = ("\n".join(CIFAR10_CLASSES) + "\n\n").encode()
    return {f"cifar-10-batches-bin/{name}": content for name, content in files.items()}


@pytest.mark.parametrize(
    "form", ["archive", "folder", "around", "archive in a folder", "binary", "binary folder"]
)
def test_the_official_files_are_imported_as_they_are(archive: bytes, tmp_path: Path, form: str) -> None:
    files = {"cifar-10-python.tar.gz": archive, "cifar-10-binary.tar.gz": tar(binary(), mode="w:gz")}
    if "around" in form or "folder" in form:
        files = binary() if "binary" in form else unpacked(archive) if "archive" not in form else files
    path = write_folder(tmp_path / "mine", files) / {
        "archive": "cifar-10-python.tar.gz",
        "binary": "cifar-10-binary.tar.gz",
        "folder": "cifar-10-batches-py",
        "binary folder": "cifar-10-batches-bin",
    }.get(form, "")
    text = data.run_import(path, progress=False)
    assert "Source: CIFAR-10, official batches." in text
    images = data.load_cifar10("laptop")
    assert images.train.pixels[:, 0, 5, 9].tolist() == list(range(50))
    assert images.test.labels.tolist() == list(range(10))
    with pytest.raises(DataError, match="--size 64"):
        data.run_import(path, size=64, progress=False)


def test_official_files_that_changed_are_refused_and_not_unpickled(archive: bytes, tmp_path: Path) -> None:
    files = unpacked(archive)
    root, name = tmp_path / "mine", "cifar-10-batches-py/data_batch_3"
    for content in (b"cos\nsystem\n(S'exit 1'\ntR.", files[name][:-1]):
        with pytest.raises(DataError, match="data_batch_3 is not the official file"):
            data.run_import(write_folder(root, files | {name: content}), progress=False)
    (root / name).unlink()
    with pytest.raises(DataError, match="lacks data_batch_3"):
        data.run_import(root / "cifar-10-batches-py", progress=False)
    cut = write_folder(tmp_path, {"cifar-10-python.tar.gz": archive[: len(archive) // 2]})
    with pytest.raises(DataError, match=r"cifar-10-python\.tar\.gz"):
        data.run_import(cut / "cifar-10-python.tar.gz", progress=False)
    longer = binary()
    longer["cifar-10-batches-bin/data_batch_5.bin"] += b"x"
    with pytest.raises(DataError, match="not the official files"):
        data.run_import(write_folder(tmp_path / "binary", longer), progress=False)


def test_cifar100_is_its_neighbour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"class{i}" for i in range(10)]
    files = {"meta": pickle.dumps({"fine_label_names": names})}
    for name, batch_ in (("train", batch(0, 20)), ("test", batch(20, 10))):
        content = pickle.loads(batch_)
        files[name] = pickle.dumps({"data": content["data"], "fine_labels": content["labels"]})
    hashes = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(CIFAR100, "train_list", [["train", hashes["train"]]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", hashes["test"]]])
    monkeypatch.setattr(CIFAR100, "meta", CIFAR100.meta | {"md5": hashes["meta"]})
    packed = tar({f"cifar-100-python/{name}": content for name, content in files.items()}, mode="w:gz")
    path = write_folder(tmp_path, {"cifar-100-python.tar.gz": packed}) / "cifar-100-python.tar.gz"
    data.run_import(path, progress=False)
    images = data.load_images("cifar-100-python")
    assert (len(images.train), len(images.test), images.source) == (20, 10, "CIFAR-100, official batches")


# --- what the command line says ---------------------------------------------------------------------


def test_import_packs_cifar10_under_its_name(tmp_path: Path) -> None:
    text = data.run_import(class_folders(tmp_path / "mine"), progress=False)
    assert "not be comparable" in text
    assert "load_cifar10()" in text
    assert data.load_cifar10("laptop").source == "images imported from mine"


@pytest.mark.parametrize(
    ("folder_name", "classes", "size", "name"),
    [
        ("My Pets (2)", ("cat", "dog"), 32, "my-pets-2"),
        ("cifar10", ("cat", "dog"), 32, "cifar10-images"),
        ("ten", CIFAR10_CLASSES, 16, "ten"),
    ],
)
def test_other_classes_or_sizes_get_a_pack_of_their_own(
    tmp_path: Path, folder_name: str, classes: tuple[str, ...], size: int, name: str
) -> None:
    text = data.run_import(class_folders(tmp_path / folder_name, classes), size=size, progress=False)
    assert f"load_images({name!r})" in text
    assert data.load_images(name).train.classes == classes
    assert not data.pack_path().exists()


def test_the_same_images_again_change_nothing_and_others_need_force(tmp_path: Path) -> None:
    mine, other = class_folders(tmp_path / "mine"), class_folders(tmp_path / "other", value=91)
    data.run_import(mine, progress=False)
    before = data.pack_path().stat().st_mtime_ns
    data.run_import(mine, progress=False)
    with pytest.raises(DataError, match=r"images imported from mine; 20 .*--force"):
        data.run_import(other, progress=False)
    assert data.pack_path().stat().st_mtime_ns == before
    data.run_import(other, force=True, progress=False)
    assert data.load_cifar10("laptop").source == "images imported from other"


def test_status_of_an_empty_folder_says_what_to_type(folder: Path) -> None:
    state = data.status()
    assert (state.packs, state.problems, state.has_cifar10) == ((), (), False)
    assert f"{folder} (ALEXNET_EDU_DATA; " in state.text()
    assert "`alexnet-edu data cifar10`" in state.text()


def test_a_damaged_pack_is_an_error_and_gives_way_to_force(tmp_path: Path, folder: Path) -> None:
    write_folder(folder, {"packs/cifar10.safetensors": b"half a pack"})
    state = data.status()
    assert (state.has_cifar10, state.damaged_cifar10) == (False, True)
    mine = class_folders(tmp_path / "mine")
    for use in (lambda: data.load_cifar10("laptop"), lambda: data.run_import(mine, progress=False)):
        with pytest.raises(DataError, match=re.escape(str(data.pack_path()))):
            use()
    data.run_import(mine, force=True, progress=False)
    assert len(load_pack(data.pack_path()).train) == 20


def test_status_lists_packs_damage_and_leftovers(folder: Path) -> None:
    save_pack(make_set(source="CIFAR-10, official batches"), data.pack_path())
    names = ("broken.safetensors", "gone.safetensors.partial-77")
    write_folder(folder / "packs", dict.fromkeys(names, b"half"))
    state = data.status()
    assert [p.path.stem for p in state.packs] == ["cifar10"]
    assert "CIFAR-10, official batches; 20 training and 10 test images, 10 classes" in state.text()
    assert [name in problem for name, problem in zip(names, state.problems, strict=True)] == [True, True]
