from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from alexnet_edu.imagenet import checkpoint as checkpoints
from alexnet_edu.training.loop import CheckpointError


def _tensors(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "model.a": torch.randn(3, 4, generator=generator),
        "velocity.a": torch.randn(3, 4, generator=generator),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
    }


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    path = checkpoints.path_of(tmp_path / "new", 7)
    checkpoints.save(path, _tensors(), {"step": 7, "errors": [0.5]})
    found = checkpoints.load(path)
    assert found.state == {"step": 7, "errors": [0.5]}
    assert found.tensors.keys() == _tensors().keys()
    assert all(torch.equal(found.tensors[k], v) for k, v in _tensors().items())
    assert list(found.part("velocity")) == ["a"]


def test_layouts_do_not_matter_to_the_checksum(tmp_path: Path) -> None:
    x = torch.randn(2, 3, 4, 5)
    other = x.to(memory_format=torch.channels_last)
    assert checkpoints.digest({"x": x}, "") == checkpoints.digest({"x": other}, "")
    checkpoints.save(tmp_path / "x", {"x": other}, {})
    assert torch.equal(checkpoints.load(tmp_path / "x").tensors["x"], x)


@pytest.mark.parametrize("place", [-1, -60, 40])
def test_every_changed_byte_is_noticed(tmp_path: Path, place: int) -> None:
    path = tmp_path / "c"
    checkpoints.save(path, _tensors(), {"step": 7})
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"damaged|no checkpoint of"):
        checkpoints.load(path)


@pytest.mark.parametrize("length", [0, 5, 200, -1])
def test_a_shortened_file_is_noticed(tmp_path: Path, length: int) -> None:
    path = tmp_path / "c"
    checkpoints.save(path, _tensors(), {"step": 7})
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(CheckpointError, match="damaged or was cut short"):
        checkpoints.load(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        checkpoints.load(tmp_path / "none")
    save_file(_tensors(), tmp_path / "weights")
    with pytest.raises(CheckpointError, match="is no checkpoint of `alexnet-edu train`"):
        checkpoints.load(tmp_path / "weights")


def test_the_newest_whole_one_is_found_and_the_damaged_ones_named(tmp_path: Path) -> None:
    assert checkpoints.newest(tmp_path) == (None, [])
    for step in (10, 20, 30):
        checkpoints.save(checkpoints.path_of(tmp_path, step), _tensors(step), {"step": step})
    data = checkpoints.path_of(tmp_path, 30).read_bytes()
    checkpoints.path_of(tmp_path, 30).write_bytes(data[:-3])
    found, problems = checkpoints.newest(tmp_path)
    assert found is not None
    assert found.state["step"] == 20
    assert len(problems) == 1
    assert "step-000000030.safetensors" in problems[0]
    assert "the one before it is used" in problems[0]


def test_only_the_last_ones_stay_and_what_writers_left_goes(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        checkpoints.save(checkpoints.path_of(tmp_path, step), _tensors(), {})
    checkpoints.save(tmp_path / checkpoints.BEST, _tensors(), {})
    (tmp_path / "step-000000009.safetensors.partial-77").write_bytes(b"half")
    (tmp_path / ".tmpA1b2C3").write_bytes(b"what safetensors leaves when it is killed")
    checkpoints.keep_last(tmp_path, 2)
    assert checkpoints.saved_steps(tmp_path) == [3, 4]
    assert (tmp_path / checkpoints.BEST).exists()
    assert len(list(tmp_path.iterdir())) == 3


def test_a_full_disk_is_said_and_the_old_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c"
    checkpoints.save(path, _tensors(), {"step": 1})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(checkpoints.DiskFullError, match=r"no room for .*Older checkpoints are as they were"):
        checkpoints.save(path, _tensors(1), {"step": 2})
    assert checkpoints.load(path).state == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["c"]
