"""One process at a time in a folder; a dead one does not count."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from alexnet_edu.files import DataError, locked

HOLDS = """
import sys, time
from pathlib import Path
from alexnet_edu.files import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_a_folder_can_be_locked_again_and_again(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path):
            pass
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    with locked(tmp_path):
        assert [p.name for p in tmp_path.iterdir()] == [".lock"]


def test_another_process_is_kept_out_until_the_first_is_dead(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDS, tmp_path], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == b"locked"
        with pytest.raises(DataError) as caught, locked(tmp_path):
            pytest.fail("two at a time")
        number = "" if sys.platform == "win32" else f" {other.pid}"  # a locked file cannot be read there
        assert str(caught.value).startswith(f"another process{number} is writing to {tmp_path}.")
        other.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
    with locked(tmp_path):
        pass


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match="nowhere cannot be written: No such file"),
        locked(tmp_path / "nowhere"),
    ):
        pytest.fail("there is no such folder")
