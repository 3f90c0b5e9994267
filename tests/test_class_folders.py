"""Images at hand written as ImageNet comes, and prepared as ImageNet is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from alexnet_edu.data.class_folders import write_class_folders
from alexnet_edu.data.images import ImageSet
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.imagenet.prepare import prepare
from alexnet_edu.imagenet.prepared import open_prepared


@pytest.fixture(scope="module")
def images() -> ImageSet:
    return synthetic_images(60, 30)


def test_it_can_be_prepared_like_imagenet(images: ImageSet, tmp_path: Path) -> None:
    tree = write_class_folders(images, tmp_path / "tree", train=3, val=2)
    prepare(tree, tmp_path / "prepared", workers=1, say=lambda line: None, progress=False)
    found = open_prepared(tmp_path / "prepared")
    assert found.wnids == tuple(f"n{i:08d}" for i in range(10))
    assert [len(found.split(name)) for name in ("train", "val")] == [30, 20]
    assert found.split("train").labels.tolist() == sorted(list(range(10)) * 3)


def test_an_image_is_the_small_one_enlarged(images: ImageSet, tmp_path: Path) -> None:
    write_class_folders(images, tmp_path, train=1, val=1, quality=100)
    place = int((images.train.labels == 4).nonzero()[0])
    with PilImage.open(tmp_path / "train" / "n00000004" / f"n00000004_{place}.JPEG") as picture:
        assert picture.size == (256, 256)
        large = np.asarray(picture, dtype=float)
    small = large.reshape(32, 8, 32, 8, 3).mean((1, 3)).transpose(2, 0, 1)
    wanted = images.train.pixels[place].numpy().astype(float)
    assert np.abs(small - wanted).mean() < 5
    assert np.abs(small - wanted[:, ::-1]).mean() > 10


def test_files_that_are_there_are_kept(images: ImageSet, tmp_path: Path) -> None:
    write_class_folders(images, tmp_path, train=1, val=1)
    files = sorted(tmp_path.rglob("*.JPEG"))
    files[0].write_bytes(b"mine")
    before = {path: path.stat().st_mtime_ns for path in files}
    write_class_folders(images, tmp_path, train=2, val=1)
    assert files[0].read_bytes() == b"mine"
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    assert len(list(tmp_path.rglob("*.JPEG"))) == 30
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize(("train", "val", "said"), [(7, 1, "train=7"), (1, 4, "val=4"), (0, 1, "train=0")])
def test_more_than_there_are_is_refused(
    images: ImageSet, tmp_path: Path, train: int, val: int, said: str
) -> None:
    with pytest.raises(ValueError, match=f"{said}, but there are "):
        write_class_folders(images, tmp_path, train=train, val=val)
