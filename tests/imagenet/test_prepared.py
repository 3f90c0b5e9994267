"""A prepared folder is opened only where it is whole, and gives back what was put in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
import torch

from alexnet_edu.data.folders import write_class_folders
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.files import DataError
from alexnet_edu.imagenet.prepare import prepare
from alexnet_edu.imagenet.prepared import open_prepared, verify
from tests import prepared


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared.small(tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(folder, tmp_path / "copy")


def test_images_come_back_across_shards(folder: Path) -> None:
    pixels, labels = prepared.blobs(48, 6)
    train = open_prepared(folder).split("train")
    assert len(train) == 48
    assert torch.equal(train.labels, labels)
    for index in (0, 23, 24, 47):  # the first and last of both shards
        rows = pixels[index].permute(1, 2, 0).contiguous().numpy()
        expected = simplejpeg.decode_jpeg(simplejpeg.encode_jpeg(rows, 95))
        assert torch.equal(train.decode(index), torch.from_numpy(expected).permute(2, 0, 1))
        assert (train.decode(index).float() - pixels[index].float()).abs().mean() < 2


def test_what_it_says_about_itself(folder: Path) -> None:
    opened = open_prepared(folder)
    assert opened.side == 256
    assert opened.wnids == tuple(f"n{i:08d}" for i in range(6))
    assert opened.names[2] == "class 2"
    assert torch.allclose(opened.mean_image, prepared.blobs(48, 6)[0].float().mean(0))
    assert opened.colors.eigenvalues[0] >= opened.colors.eigenvalues[1] > 0
    assert opened.split("train").name_of(25) == "train-00001/image 1"
    with pytest.raises(DataError, match="'test'; there are 'train', 'val'"):
        opened.split("test")


def in_manifest(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((root / "manifest.json").read_text())
    change(manifest)
    (root / "manifest.json").write_text(json.dumps(manifest))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path, at: int = -1000) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


NOT_WHOLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (shutil.rmtree, "there is no folder"),
    "nothing in it": (lambda p: [f.unlink() for f in p.iterdir()], r"no manifest\.json"),
    "begun": (lambda p: (p / "manifest.json").unlink(), "has not ended"),
    "half a manifest": (lambda p: (p / "manifest.json").write_text('{"format": "alexnet'), "damaged"),
    "another format": (lambda p: in_manifest(p, lambda m: m.update(format="x")), "not of the form"),
    "a shard cut short": (
        lambda p: cut(p / "train-00001.safetensors"),
        r"train-00001\S+ has [\d,]+",
    ),
    "a missing shard": (lambda p: (p / "train-00001.safetensors").unlink(), "train-00001.* is not there"),
}


@pytest.mark.parametrize("harm", NOT_WHOLE)
def test_a_folder_that_is_not_whole_is_refused_and_verify_says_so(copy: Path, harm: str) -> None:
    do, message = NOT_WHOLE[harm]
    do(copy)
    with pytest.raises(DataError, match=message):
        open_prepared(copy)
    assert len(verify(copy)) == 1


def test_a_damaged_image_is_named(folder: Path) -> None:
    train = open_prepared(folder).split("train")
    shard = train._shards[0]
    data = shard.bytes[shard.offsets[3] : shard.offsets[4]]
    data.flags.writeable = True
    before = data.copy()
    data[:] = 0
    out = np.empty((256, 256, 3), dtype=np.uint8)
    with pytest.raises(DataError, match=r"image 3 of .*train-00000\.safetensors \(train-00000/image 3\)"):
        train.decode_into(3, out)
    data[:] = before
    train.decode_into(3, out)


# --- verify -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that was really prepared, from class folders that were really written."""
    root = tmp_path_factory.mktemp("whole")
    tree = write_class_folders(synthetic_images(60, 30), root / "tree", train=3, val=2)
    prepare(tree, root / "prepared", workers=1, say=lambda line: None, progress=False)
    return root / "prepared"


def test_class_folders_that_were_written_can_be_prepared(whole: Path) -> None:
    opened = open_prepared(whole)
    assert opened.wnids == tuple(f"n{i:08d}" for i in range(10))
    assert [len(opened.split(name)) for name in ("train", "val")] == [30, 20]
    assert opened.split("train").labels.tolist() == sorted(list(range(10)) * 3)
    assert verify(whole) == []


HARMS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped byte": (lambda p: flip(p / "val-00000.safetensors"), "val-00000"),
    "a flipped byte of a head": (lambda p: flip(p / "val-00000.safetensors", 40), "val-00000"),
    "flipped statistics": (lambda p: flip(p / "statistics.safetensors"), "statistics"),
    "another shard": (
        lambda p: shutil.copy(p / "train-00000.safetensors", p / "val-00000.safetensors"),
        "val-00000",
    ),
    "no report": (lambda p: (p / "report.json").unlink(), "report.json"),
    "a wrong count": (lambda p: in_manifest(p, lambda m: m["splits"]["val"].update(images=13)), "13 images"),
    "a wrong count of a shard": (
        lambda p: in_manifest(p, lambda m: m["splits"]["val"]["shards"][0].update(images=13)),
        "val-00000",
    ),
    "a line too many": (lambda p: in_manifest(p, lambda m: m["report"].update(changed=1)), "report.json"),
    "no splits": (lambda p: in_manifest(p, lambda m: m.pop("splits")), "manifest.json"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_verify_names_what_is_wrong(whole: Path, tmp_path: Path, harm: str) -> None:
    copy = shutil.copytree(whole, tmp_path / "copy")
    do, message = HARMS[harm]
    do(copy)
    assert message in verify(copy)[0]
