"""The one form of checkpoint: whole, checked, and back to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from alexnet_edu.files import DataError
from alexnet_edu.training import checkpoint as checkpoints


def some(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "model.a": torch.randn(3, 4, generator=generator),
        "velocity.a": torch.randn(1, 2, 3, 5, generator=generator).to(memory_format=torch.channels_last),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    checkpoints.save(tmp_path / "new" / "c", some(), {"step": 7, "errors": [0.5]})
    return tmp_path / "new" / "c"


def test_what_was_saved_comes_back(path: Path) -> None:
    saved = checkpoints.load(path)
    assert saved.state == {"step": 7, "errors": [0.5]}
    assert saved.tensors.keys() == some().keys()
    assert all(torch.equal(saved.tensors[name], tensor) for name, tensor in some().items())
    assert list(saved.part("velocity")) == ["a"]
    assert checkpoints.fingerprint(saved.tensors) == checkpoints.fingerprint(some())


@pytest.mark.parametrize("place", [-1, -60, 0, 40, 150])
def test_a_changed_byte_and_a_shortened_file_are_noticed(path: Path, place: int) -> None:
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[place] ^= 1
    for damaged in (bytes(changed), whole[:place]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=str(path)):
            checkpoints.load(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    save_file({"w": torch.ones(2)}, tmp_path / "weights")
    for name in ("none", "weights"):
        with pytest.raises(DataError, match=str(tmp_path / name)):
            checkpoints.load(tmp_path / name)


def test_weights_and_velocities_go_back_into_a_network(tmp_path: Path) -> None:
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    optimizer, fresh = (torch.optim.SGD(m.parameters(), 0.1, momentum=0.9) for m in (model, other))
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    checkpoints.save(tmp_path / "c", checkpoints.tensors_of(model, optimizer), {})
    saved = checkpoints.load(tmp_path / "c")
    checkpoints.restore(saved, other, fresh)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(optimizer.state[a]["momentum_buffer"], fresh.state[b]["momentum_buffer"])
    with pytest.raises(DataError, match="do not fit the network"):
        checkpoints.restore(saved, nn.Linear(4, 2), fresh)
