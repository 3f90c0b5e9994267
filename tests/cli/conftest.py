"""What all commands share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty folders of this test's own."""
    for name in ("DATA", "RUNS", "RESULTS", "WEIGHTS"):
        monkeypatch.setenv(f"ALEXNET_EDU_{name}", str(tmp_path / name.lower()))
    return tmp_path
