"""Imports of real photographs. Run only where ALEXNET_EDU_REAL_IMAGES names their folder."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch

from alexnet_edu.data.cifar10 import load_cifar10, run_import, status
from alexnet_edu.data.folders import import_images
from alexnet_edu.studies.engine import Runs

pytestmark = pytest.mark.real_images

CIFAR10_FINGERPRINTS = ("1b85ea14a6ec6155", "56408e16fefefc2d")  # what recorded runs were made on


def test_cifar10_from_a_zip(tmp_path: Path, real_images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALEXNET_EDU_DATA", str(tmp_path))
    text = run_import(real_images / "cifar10-images.zip", progress=False)
    assert "Left out" not in text
    assert "Converted" not in text
    images = load_cifar10("laptop")
    assert (images.train.fingerprint(), images.test.fingerprint()) == CIFAR10_FINGERPRINTS
    assert images.source == "CIFAR-10, imported from cifar10-images.zip (JPEG)"
    assert not images.synthetic
    assert torch.bincount(images.train.labels).tolist() == [5000] * 10
    std = Runs(images, None).prepare(inputs="population").std
    assert 62.5 < std < 63.5  # the notebooks derive with 63 grey levels
    assert status().has_cifar10
    assert "These images are packed already" in run_import(real_images / "cifar10-images.zip", progress=False)


def test_a_folder_gives_what_its_zip_gives(tmp_path: Path, real_images: Path) -> None:
    path = real_images / "tiny-imagenet-20.zip"
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "tiny")
    a, b = import_images(path, progress=False), import_images(tmp_path / "tiny", progress=False)
    assert a.images.train.fingerprint() == b.images.train.fingerprint()
    assert (len(a.images.train), len(a.images.test), len(a.images.train.classes)) == (4000, 1000, 20)
    assert a.changes["resized to 32 × 32"] == 5000
    assert a.changes["greyscale"] > 0
    kept = import_images(path, size=None, progress=False).images
    assert tuple(kept.train.pixels.shape) == (4000, 3, 64, 64)
