"""A small prepared folder, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from alexnet_edu.imagenet.prepared import PreparedSet, open_prepared
from tests import prepared


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    """48 training and 7 validation images of 6 classes. Not to be changed."""
    return open_prepared(prepared.small(tmp_path_factory.mktemp("images"), val=7))


@pytest.fixture(scope="session")
def data(images: PreparedSet) -> Path:
    return images.root
