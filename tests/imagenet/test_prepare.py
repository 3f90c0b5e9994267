"""ImageNet prepared: exact to the byte, whatever interrupts it, and no file is lost without a word."""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import simplejpeg
from PIL import Image as PilImage
from safetensors import safe_open

from alexnet_edu import files as package_files
from alexnet_edu.cli import main
from alexnet_edu.data.archives import File, SourceChanged
from alexnet_edu.data.decode import DESPITE_DAMAGE, central_square, decode
from alexnet_edu.files import DataError, read_json
from alexnet_edu.imagenet import prepare as module
from alexnet_edu.imagenet import shards
from alexnet_edu.imagenet import statistics as imagenet_statistics
from alexnet_edu.imagenet.prepare import prepare
from alexnet_edu.imagenet.prepared import verify
from alexnet_edu.imagenet.sources import find_source
from alexnet_edu.imagenet.statistics import PixelSums, TotalSums
from tests import imagenet_files
from tests.imagenet_files import WNIDS, damaged_files, encoded, jpeg, picture, write_folder, write_folders

TRAIN, VAL = imagenet_files.training(), imagenet_files.validation()
SHARD = 5  # files: three shards of training images, two of validation images


def run(source: Path, target: Path, **options: Any) -> dict[str, Any]:
    silent: dict[str, Any] = {"workers": 1, "say": lambda _: None, "progress": False, "shard_images": SHARD}
    return prepare(source, target, **(silent | options))


def manifest_of(target: Path) -> dict[str, Any]:
    return read_json(target / "manifest.json", sealed=True)


def files(target: Path, *, but: tuple[str, ...] = ("provenance",)) -> dict[str, bytes]:
    """All that must be the same bytes after every preparation of the same files."""
    kept = {p.name: p.read_bytes() for p in target.iterdir() if p.suffix == ".safetensors"}
    manifest = {key: value for key, value in manifest_of(target).items() if key not in but}
    report = (target / "report.json").read_bytes()
    return kept | {"report": report, "manifest": json.dumps(manifest).encode()}


def images(target: Path, split: str) -> dict[str, tuple[int, bytes]]:
    """name -> (label, stored bytes), in order."""
    stored: dict[str, tuple[int, bytes]] = {}
    for line in manifest_of(target)["splits"][split]["shards"]:
        with safe_open(target / line["file"], framework="pt") as file:
            offsets, labels = file.get_tensor("offsets"), file.get_tensor("labels")
            data = file.get_tensor("bytes").numpy().tobytes()
            names = json.loads(file.metadata()["names"])
        assert len(names) == len(labels) == len(offsets) - 1 == line["images"]
        for i, name in enumerate(names):
            stored[name] = (int(labels[i]), data[offsets[i] : offsets[i + 1]])
    return stored


def square(data: bytes) -> np.ndarray[Any, Any]:
    """(256, 256, 3): what is compressed."""
    return np.asarray(central_square(decode(data).pixels, 256))


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
    manifest = manifest_of(whole)
    assert (manifest["format"], manifest["quality"], manifest["side"]) == ("alexnet-edu-imagenet-1", 90, 256)
    assert manifest["classes"] == [{"wnid": w, "name": w} for w in WNIDS]
    counts = {s: (v["images"], [x["images"] for x in v["shards"]]) for s, v in manifest["splits"].items()}
    assert counts == {"train": (12, [5, 5, 2]), "val": (6, [5, 1])}
    assert manifest["source"]["label"] == source.name
    assert manifest["report"]["changed"] == manifest["report"]["left_out"] == 0
    lines = [x for v in manifest["splits"].values() for x in v["shards"]] + [manifest["statistics"]]
    for line in lines:
        data = (whole / line["file"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (line["bytes"], line["sha256"])
    assert {"commit", "date", "torch"} <= manifest["provenance"].keys()


def test_images_are_jpegs_of_the_square_in_the_middle(whole: Path) -> None:
    for split, originals in (("train", TRAIN), ("val", VAL)):
        stored = images(whole, split)
        assert list(stored) == sorted(originals)
        for name, (label, data) in stored.items():
            assert label == WNIDS.index(name.split("/")[0])
            assert simplejpeg.decode_jpeg_header(data) == (256, 256, "YCbCr", "420")
            assert data == encoded(PilImage.fromarray(square(originals[name])), quality=90)


def test_quality_changes_the_images_and_not_the_statistics(source: Path, tmp_path: Path, whole: Path) -> None:
    assert run(source, tmp_path / "low", quality=30)["quality"] == 30
    low, high = images(tmp_path / "low", "train"), images(whole, "train")
    assert all(len(low[name][1]) < len(high[name][1]) for name in high)
    same = "statistics.safetensors"
    assert (tmp_path / "low" / same).read_bytes() == (whole / same).read_bytes()


def test_tars_and_folders_give_the_same_bytes(tmp_path: Path, whole: Path) -> None:
    run(imagenet_files.write_tars(tmp_path / "tars", TRAIN, VAL), tmp_path / "out")
    but = ("provenance", "source")  # that has the name of the folder
    assert files(tmp_path / "out", but=but) == files(whole, but=but)


# --- statistics -----------------------------------------------------------------------------


def test_statistics_are_those_of_a_direct_computation(whole: Path) -> None:
    pixels = np.stack([square(TRAIN[name]) for name in sorted(TRAIN)])
    with safe_open(whole / "statistics.safetensors", framework="np") as file:
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    mean = pixels.astype(np.float64).mean(0).astype(np.float32).transpose(2, 0, 1)
    assert stored["mean_image"].dtype == np.float32
    assert np.array_equal(stored["mean_image"], mean)
    colors = pixels.reshape(-1, 3).astype(np.int64)
    assert stored["color_mean"].tolist() == [float(Fraction(int(s), len(colors))) for s in colors.sum(0)]
    covariance = np.cov(colors.T.astype(np.float64), bias=True)
    values, vectors = stored["eigenvalues"], stored["eigenvectors"]
    np.testing.assert_allclose(values, np.linalg.eigvalsh(covariance)[::-1], rtol=1e-10)
    np.testing.assert_allclose(vectors * values @ vectors.T, covariance, rtol=1e-10)
    assert values.dtype == vectors.dtype == np.float64
    assert all(column[np.abs(column).argmax()] > 0 for column in vectors.T)


def test_sums_are_exact_where_they_are_largest() -> None:
    """White is the most that can be added up; the shard's sums are compared with whole numbers."""
    sums, white = PixelSums(), np.full((256, 256, 3), 255, np.uint8)
    grey = np.arange(256 * 256 * 3, dtype=np.int64).reshape(256, 256, 3).astype(np.uint8)
    for _ in range(20):
        sums.add(white)
        sums.add(grey)
    stored = sums.tensors()
    both = np.stack([white, grey]).astype(np.int64)
    assert np.array_equal(stored["pixel_sum"], 20 * both.sum(0).transpose(2, 0, 1))
    flat = both.reshape(-1, 3)
    assert np.array_equal(stored["color_products"], 20 * flat.T @ flat)
    total = TotalSums()
    huge = {name: tensor.astype(np.int64) * 40_000 for name, tensor in stored.items()}
    for _ in range(1000):  # of 1.6 million images each: beyond 63 bits
        total.add(1_600_000, huge["pixel_sum"], huge["color_products"])
    assert total.products[0][0] == 1000 * 40_000 * 20 * int((flat[:, 0] ** 2).sum())


def test_sums_that_would_be_rounded_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As processors do that multiply float32 with the bits of bfloat16, if they are allowed to."""
    exact = imagenet_statistics._products
    monkeypatch.setattr(imagenet_statistics, "_products", lambda rows: exact(rows).bfloat16().float())
    with pytest.raises(RuntimeError, match="float32"):
        PixelSums()


# --- odd and bad images -----------------------------------------------------------------------


def test_odd_and_bad_images_are_listed(tmp_path: Path) -> None:
    odd = {
        "grey": (encoded(picture(1, mode="L")), ["greyscale"]),
        "png": (encoded(picture(1), "PNG"), ["PNG, named as a JPEG"]),
        "rgba": (encoded(picture(1, mode="RGBA"), "PNG"), ["PNG, named as a JPEG", "transparent: on white"]),
    }
    more = {name: data for name, (data, _) in odd.items()} | {"empty": b"", "text": b"<html>404</html>"}
    more = {f"{WNIDS[1]}/{name}.JPEG": data for name, data in more.items()}
    source = write_folders(tmp_path / "in", TRAIN | more | {"loose.JPEG": jpeg(1)}, VAL)
    notes: list[str] = []
    manifest = run(source, tmp_path / "out", say=notes.append)
    assert manifest["splits"]["train"]["images"] == 15
    listed = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {line["name"]: line["changes"] for line in listed["changed"]} == {
        f"{WNIDS[1]}/{name}.JPEG": changes for name, (_, changes) in odd.items()
    }
    left_out = [f"{WNIDS[1]}/empty.JPEG", f"{WNIDS[1]}/text.JPEG", "loose.JPEG"]
    assert [line["name"] for line in listed["left_out"]] == left_out
    assert notes[-1].count(": 3 (") == 2
    assert verify(tmp_path / "out") == []


def test_nothing_but_bad_files_is_refused(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "in", {f"{w}/{i}.JPEG": b"" for w in WNIDS for i in range(3)})
    with pytest.raises(DataError, match=r"0 bytes.* \(9\)"):
        run(source, tmp_path / "out")
    assert verify(tmp_path / "out") != []


def test_many_damaged_files_are_all_accounted_for(tmp_path: Path) -> None:
    damaged = damaged_files(300)
    manifest = run(write_folder(tmp_path / "in", damaged), tmp_path / "out", shard_images=100)
    stored = set(images(tmp_path / "out", "train"))
    listed = [line["name"] for line in json.loads((tmp_path / "out" / "report.json").read_text())["left_out"]]
    assert stored.isdisjoint(listed)
    assert stored | set(listed) == set(damaged)
    counted = manifest["splits"]["train"]["images"] + manifest["report"]["left_out"]
    assert len(stored) + len(listed) == counted == 300
    assert 10 < manifest["report"]["kinds"]["changed"][DESPITE_DAMAGE] <= len(stored)


# --- interrupted ------------------------------------------------------------------------------

SERVER = """
import os, sys
from pathlib import Path
from alexnet_edu.imagenet.prepare import prepare
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        source, target, workers, images = line.split("|")
        options = {"workers": int(workers), "shard_images": int(images), "progress": False, "say": id}
        prepare(Path(source), Path(target), **options)
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Server:
    """Starts preparations in processes of their own, without importing everything each time."""

    def __init__(self) -> None:
        command = [sys.executable, "-W", "ignore", "-c", SERVER]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1)

    def start(self, source: Path, target: Path, *, workers: int, shard_images: int) -> psutil.Process:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{source}|{target}|{workers}|{shard_images}\n")
        return psutil.Process(self._answer())

    def exit_code(self) -> int:
        """Of the preparation that was started last; waits for its end."""
        return self._answer()

    def _answer(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    server = Server()
    with server.process:
        yield server


def test_killed_again_and_again_it_ends_with_the_same_bytes(
    source: Path, tmp_path: Path, server: Server
) -> None:
    run(source, tmp_path / "whole", shard_images=2)
    killed, rng = tmp_path / "killed", np.random.default_rng(0)
    for kills in range(13):
        child = server.start(source, killed, workers=1, shard_images=2)
        if kills < 12:  # the last one may live
            time.sleep(float(rng.uniform(0.0, 0.12)))
            with suppress(psutil.NoSuchProcess):
                child.kill()
        code = server.exit_code()
        assert code in (0, -signal.SIGKILL), "it ended by itself, with an error"
        if code == 0 and kills < 12:  # too quick for us: from the start
            shutil.rmtree(killed)
    assert code == 0
    assert files(killed) == files(tmp_path / "whole")
    assert verify(killed) == []
    assert not list(killed.glob("*.partial-*"))


@pytest.mark.parametrize("harm", ["missing", "missing, with a manifest", "cut", "flipped", "another's"])
def test_what_is_missing_or_damaged_is_made_again(source: Path, copy: Path, whole: Path, harm: str) -> None:
    victim = copy / "train-00001.safetensors"
    data = victim.read_bytes()
    if "manifest" not in harm:
        (copy / "manifest.json").unlink()
    (copy / "train-00002.safetensors.partial-77").write_bytes(b"half")
    if "missing" in harm:
        victim.unlink()
    elif harm == "cut":
        victim.write_bytes(data[:-10])
    elif harm == "flipped":
        victim.write_bytes(data[:-10] + bytes([data[-10] ^ 1]) + data[-9:])
    else:
        shutil.copy(copy / "train-00000.safetensors", victim)
    run(source, copy)
    assert files(copy) == files(whole)
    assert not list(copy.glob("*.partial-*"))


def test_what_is_finished_is_left_as_it_is(source: Path, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {p: p.stat().st_mtime_ns for p in copy.glob("[!.]*")}
    monkeypatch.setattr(module, "make_shard", lambda *_: pytest.fail("nothing is to be done"))
    assert run(source, copy) == manifest_of(copy)
    assert {p: p.stat().st_mtime_ns for p in copy.glob("[!.]*")} == before


def test_a_source_that_goes_away_stops_everything(
    source: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not 1.3 million files left out because a disk was unplugged."""
    copied = shutil.copytree(source, tmp_path / source.name)
    real = shards.read_file

    def unplugged(file: File) -> bytes:
        if file.name.endswith(sorted(TRAIN)[7]):
            shutil.move(copied, tmp_path / "unplugged")
        return real(file)

    with monkeypatch.context() as patch:
        patch.setattr(module, "mean_bytes", lambda *_: 1000)
        patch.setattr(shards, "read_file", unplugged)
        with pytest.raises(SourceChanged):
            run(copied, tmp_path / "out")
    assert (tmp_path / "out" / "train-00000.safetensors").exists()
    shutil.move(tmp_path / "unplugged", copied)
    run(copied, tmp_path / "out")
    assert files(tmp_path / "out") == files(whole)


# --- several processes --------------------------------------------------------------------------


def test_a_process_that_dies_is_spoken_of(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_begin_worker", functools.partial(os._exit, 1))
    with pytest.raises(DataError, match="--workers"):
        run(source, tmp_path / "out", workers=2)


@pytest.mark.slow
def test_no_worker_outlives_its_parent_and_one_process_finishes_what_two_began(
    tmp_path: Path, server: Server
) -> None:
    source, out = write_folder(tmp_path / "in", damaged_files(120)), tmp_path / "out"
    parent = server.start(source, out, workers=2, shard_images=1)
    while len(list(out.glob("*.safetensors"))) < 3:
        assert parent.is_running()
        time.sleep(0.02)
    children = parent.children()
    parent.kill()
    assert server.exit_code() == -signal.SIGKILL
    assert len(children) >= 2
    assert psutil.wait_procs(children, timeout=20)[1] == []
    run(source, out, shard_images=1)
    run(source, tmp_path / "whole", shard_images=1)
    assert files(out) == files(tmp_path / "whole")


# --- disks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("error", "after"), [(errno.ENOSPC, 0), (errno.EIO, 3)])
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
        patch.setattr(package_files.os, "fsync", full)
        with pytest.raises(DataError, match=os.strerror(error)):
            run(source, tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert len(list((tmp_path / "out").glob("*.safetensors"))) == after
    run(source, tmp_path / "out")
    assert files(tmp_path / "out") == files(whole)


def test_a_disk_that_would_not_hold_it_is_refused_with_figures(
    source: Path, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = find_source(source).splits["train"]
    sizes = [len(data) for _, data in images(whole, "train").values()]
    assert shards.mean_bytes(entries, 90) == sum(sizes) / len(sizes)
    usage = shutil.disk_usage(tmp_path)._replace(free=1_500_000)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"1\.5 MB .*18 images .*2\.6 MB"):
        run(source, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.safetensors"))


# --- wrong calls ----------------------------------------------------------------------------------


def test_a_folder_of_other_things_is_not_mixed_or_written_to(
    source: Path, tmp_path: Path, copy: Path
) -> None:
    other = write_folder(tmp_path / "other", TRAIN | {f"{WNIDS[0]}/more.JPEG": jpeg(7)})
    with pytest.raises(DataError, match=find_source(source).fingerprint()):
        run(other, copy)
    with pytest.raises(DataError, match="quality 90 and not 80"):
        run(source, copy, quality=80)
    assert verify(copy) == []
    (tmp_path / "thesis.tex").write_text("")
    for target in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(DataError, match=r"thesis\.tex"):
            run(source, target)


def test_a_share_held_out_belongs_to_the_preparation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = write_folders(tmp_path / "in", TRAIN, None), tmp_path / "out"
    said: list[str] = []
    run(source, tmp_path / "without", say=said.append)
    assert "--schedule run145" in said[0]
    command = ["data", "imagenet", "--from", str(source), "--to", str(out), "--workers", "1"]
    assert main([*command, "--hold-out", "0.25"]) == 0
    stored = {split: set(images(out, split)) for split in ("train", "val")}
    assert [len(names) for names in stored.values()] == [9, 3]
    assert stored["train"] | stored["val"] == set(TRAIN)
    before = files(out)
    for name in ("manifest.json", "val-00000.safetensors"):  # as after a kill
        (out / name).unlink()
    assert main([*command, "--hold-out", "0.25"]) == 0
    assert files(out) == before
    assert main([*command, "--hold-out", "0.5"]) == 2
    assert "hold_out 0.25 and not 0.5" in capsys.readouterr().err
    assert main([*command, "--hold-out", "1"]) == 2
    assert "got 1.0" in capsys.readouterr().err


@pytest.mark.parametrize("where", ["train", "train/prepared", "val/x"])
def test_the_result_does_not_go_among_the_images(source: Path, where: str) -> None:
    with pytest.raises(DataError, match=str(source / where)):
        run(source, source / where)


@pytest.mark.parametrize(
    ("name", "value"), [("quality", 0), ("quality", 101), ("workers", 0), ("shard_images", 0)]
)
def test_arguments_out_of_their_range(source: Path, tmp_path: Path, name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{name} must be .*, got {value}"):
        run(source, tmp_path / "out", **{name: value})
    assert not (tmp_path / "out").exists()


def test_the_command_prepares_and_verifies(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = ["data", "imagenet", "--to", str(tmp_path / "out")]
    assert main([*to, "--from", str(source), "--workers", "1", "--quality", "85", "--verify"]) == 0
    assert "12 training images and 6 validation images in 3 classes, 0.9 MB." in capsys.readouterr().out
    shard = tmp_path / "out" / "train-00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1] + b"#")
    assert main([*to, "--verify"]) == 1
    assert shard.name in capsys.readouterr().out
    assert main(to) == 2
    assert "--from PATH" in capsys.readouterr().err
    assert main([*to, "--from", str(tmp_path / "no")]) == 2
    assert str(tmp_path / "no") in capsys.readouterr().err


@pytest.mark.real_images
def test_real_photographs(tmp_path: Path, real_images: Path) -> None:
    with zipfile.ZipFile(real_images / "imagenet-samples.zip") as archive:
        archive.extractall(tmp_path / "in")
    manifest = run(tmp_path / "in", tmp_path / "out", shard_images=100)
    assert manifest["splits"]["train"]["images"] == 250
    assert manifest["report"]["kinds"] == {"changed": {"greyscale": 4}, "left_out": {}}
    errors = []
    for name, (_, data) in images(tmp_path / "out", "train").items():
        (original,) = (tmp_path / "in").rglob(name)
        difference = simplejpeg.decode_jpeg(data).astype(float) - square(original.read_bytes())
        errors.append(np.square(difference).mean())
    assert 10 * np.log10(255**2 / np.mean(errors)) > 34, "decibels between the photograph and what is kept"
