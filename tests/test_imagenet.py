from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from alexnet_edu.files import DataError
from alexnet_edu.imagenet.prepared import open_prepared
from tests import prepared


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared.small(tmp_path_factory.mktemp("prepared"), codec="raw")


def test_raw_images_come_back_bit_by_bit_across_shards(folder: Path) -> None:
    pixels, labels = prepared.blobs(48, 6)
    train = open_prepared(folder).split("train")
    assert len(train) == 48
    assert torch.equal(train.labels, labels)
    for index in (0, 23, 24, 47):  # the first and last of both shards
        assert torch.equal(train.decode(index), pixels[index])


def test_jpegs_come_back_nearly(tmp_path: Path) -> None:
    pixels, _ = prepared.blobs(48, 6)
    opened = open_prepared(prepared.small(tmp_path))
    assert (opened.split("train").decode(30).float() - pixels[30].float()).abs().mean() < 2


def test_what_it_says_about_itself(folder: Path) -> None:
    opened = open_prepared(folder)
    assert opened.side == 256
    assert opened.wnids == tuple(f"n{i:08d}" for i in range(6))
    assert opened.names[2] == "class 2"
    assert torch.allclose(opened.mean_image, prepared.blobs(48, 6)[0].float().mean(0))
    assert opened.colors.eigenvalues[0] >= opened.colors.eigenvalues[1] > 0
    assert opened.split("train").name_of(25) == "train-00001/image 1"


def _copy(folder: Path, to: Path) -> Path:
    to.mkdir()
    for path in folder.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


def test_a_folder_that_is_not_whole_is_refused_with_advice(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder"):
        open_prepared(tmp_path / "nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match=r"no manifest\.json.*alexnet-edu data imagenet"):
        open_prepared(empty)
    begun = _copy(folder, tmp_path / "begun")
    (begun / "manifest.json").unlink()
    with pytest.raises(DataError, match="has not ended"):
        open_prepared(begun)
    (begun / "manifest.json").write_text('{"format": "alexnet')
    with pytest.raises(DataError, match="damaged"):
        open_prepared(begun)
    (begun / "manifest.json").write_text('{"format": "something else"}')
    with pytest.raises(DataError, match="not of the form"):
        open_prepared(begun)


def test_a_missing_or_shortened_shard_is_named(folder: Path, tmp_path: Path) -> None:
    copy = _copy(folder, tmp_path / "copy")
    shard = copy / "train-00001.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"train-00001\.safetensors has [\d,]+ bytes, not"):
        open_prepared(copy)
    shard.unlink()
    with pytest.raises(DataError, match=r"train-00001\.safetensors is not there"):
        open_prepared(copy)


def test_a_codec_of_the_future_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = _copy(folder, tmp_path / "copy")
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "codec": "avif"}))
    with pytest.raises(DataError, match="'avif'; this version reads jpeg, raw"):
        open_prepared(copy)


def test_a_missing_split_is_an_error_that_names_those_there(folder: Path) -> None:
    with pytest.raises(DataError, match="no images of the split 'test'; there are 'train', 'val'"):
        open_prepared(folder).split("test")


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    root = prepared.small(tmp_path)
    train = open_prepared(root).split("train")
    shard = train._shards[0]
    data = shard.bytes[shard.offsets[3] : shard.offsets[4]]
    data.flags.writeable = True
    before = data.copy()
    data[:] = 0
    out = np.empty((256, 256, 3), dtype=np.uint8)
    with pytest.raises(
        DataError, match=r"image 3 of .*train-00000\.safetensors \(train-00000/image 3\) is damaged"
    ):
        train.decode_into(3, out)
    data[:] = before
    train.decode_into(3, out)
