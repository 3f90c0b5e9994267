"""Fixtures that tests of several rooms share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from tests.ranks import Ranks

if TYPE_CHECKING:
    from alexnet_edu.studies.record import Record


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """For networks this small several threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def ranks() -> Iterator[Ranks]:
    """Two processes for everything distributed, started at the first call."""
    pair = Ranks()
    yield pair
    pair.close()


@pytest.fixture(scope="session")
def columns_study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, Path]:
    """A small study of columns, as it is read from its file, and the file of its kernels."""
    from alexnet_edu.studies.record import load, write
    from tests.studies import samples

    folder = tmp_path_factory.mktemp("columns")
    record, kernels = samples.columns_study(folder)
    write(record, folder / "specialization.json")
    return load("specialization", folder), kernels
