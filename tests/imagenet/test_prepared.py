"""A prepared folder is opened only where it is whole, and gives back what was put in."""

from __future__ import annotations

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
from alexnet_edu.files import DataError, read_json, write_json
from alexnet_edu.imagenet.prepare import prepare
from alexnet_edu.imagenet.prepared import open_prepared, verify
from tests import prepared


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared.small(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that was really prepared, from class folders that were really written."""
    root = tmp_path_factory.mktemp("whole")
    tree = write_class_folders(synthetic_images(60, 30), root / "tree", train=3, val=2)
    prepare(tree, root / "prepared", workers=1, shard_images=20, say=lambda line: None, progress=False)
    return root / "prepared"


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
    with pytest.raises(DataError, match="'test'; there are 'train', 'val'"):
        opened.split("test")


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


def test_class_folders_that_were_written_can_be_prepared(whole: Path) -> None:
    opened = open_prepared(whole)
    assert opened.wnids == tuple(f"n{i:08d}" for i in range(10))
    assert [len(opened.split(name)) for name in ("train", "val")] == [30, 20]
    assert opened.split("train").labels.tolist() == sorted(list(range(10)) * 3)
    assert verify(whole) == []


# --- harm -------------------------------------------------------------------------------------

Harm = Callable[[Path], object]


def in_manifest(change: Callable[[dict[str, Any]], object]) -> Harm:
    def do(root: Path) -> None:
        manifest = read_json(root / "manifest.json", sealed=True)
        change(manifest)
        write_json(root / "manifest.json", manifest, sealed=True)

    return do


def flipped(name: str, at: int = -1000) -> Harm:
    def do(root: Path) -> None:
        data = bytearray((root / name).read_bytes())
        data[at] ^= 1
        (root / name).write_bytes(data)

    return do


def renamed(name: str, word: bytes) -> Harm:
    """One bit of a name in the head is flipped."""

    def do(root: Path) -> None:
        data = (root / name).read_bytes()
        (root / name).write_bytes(data.replace(word, bytes([*word[:-2], word[-2] ^ 1, word[-1]]), 1))

    return do


TRAIN, VAL = "train-00001.safetensors", "val-00000.safetensors"
REFUSED: dict[str, tuple[Harm, str]] = {
    "no folder": (shutil.rmtree, "copy"),
    "nothing in it": (lambda p: [f.unlink() for f in p.iterdir()], "manifest.json"),
    "begun": (lambda p: (p / "manifest.json").unlink(), "has not ended"),
    "half a manifest": (lambda p: (p / "manifest.json").write_text('{"format": "alexnet'), "manifest.json"),
    "another format": (in_manifest(lambda m: m.update(format="x")), "alexnet-edu-imagenet-1"),
    "a shard cut short": (lambda p: (p / TRAIN).write_bytes((p / TRAIN).read_bytes()[:-1]), "train-00001"),
    "statistics of another name": (renamed("statistics.safetensors", b"mean_image"), "statistics"),
    "a shard without labels": (renamed(VAL, b"labels"), "val-00000"),
    "a missing shard": (lambda p: (p / TRAIN).unlink(), "train-00001"),
}
FOUND_BY_VERIFY: dict[str, tuple[Harm, str]] = {
    "a flipped byte": (flipped(VAL), "val-00000"),
    "a flipped byte of a head": (flipped(VAL, 40), "val-00000"),
    "a shard whose names are lost": (renamed(VAL, b'"names"'), "val-00000"),
    "flipped statistics": (flipped("statistics.safetensors"), "statistics"),
    "another shard": (lambda p: shutil.copy(p / TRAIN, p / VAL), "val-00000"),
    "no report": (lambda p: (p / "report.json").unlink(), "report.json"),
    "a wrong count": (in_manifest(lambda m: m["splits"]["val"].update(images=13)), "13 images"),
    "a wrong count of a shard": (
        in_manifest(lambda m: m["splits"]["val"]["shards"][0].update(images=13)),
        "val-00000",
    ),
    "a line too many": (in_manifest(lambda m: m["report"].update(changed=1)), "report.json"),
    "no splits": (in_manifest(lambda m: m.pop("splits")), "manifest.json"),
}


@pytest.mark.parametrize("harm", [*REFUSED, *FOUND_BY_VERIFY])
def test_a_folder_that_is_not_as_it_was_written(whole: Path, tmp_path: Path, harm: str) -> None:
    """Much is seen when it is opened, the rest where it is verified."""
    copy = shutil.copytree(whole, tmp_path / "copy")
    do, quoted = (REFUSED | FOUND_BY_VERIFY)[harm]
    do(copy)
    assert verify(copy)
    if harm in FOUND_BY_VERIFY:
        assert quoted in verify(copy)[0]
        return
    with pytest.raises(DataError) as caught:
        open_prepared(copy)
    assert quoted in str(caught.value)
