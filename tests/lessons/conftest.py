"""Images that several lessons look at."""

from __future__ import annotations

import pytest

from alexnet_edu.data.images import Images
from tests.small import smooth_images


@pytest.fixture(scope="session")
def images() -> Images:
    return smooth_images()
