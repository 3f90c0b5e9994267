"""The one form of checkpoint: whole, checked, and back to the bit."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def _archive(name: str) -> bytes:
    with zipfile.ZipFile(data := io.BytesIO(), "w") as archive:
        archive.writestr(name, b"")
    return data.getvalue()


class Spy:
    """Notes that it was opened."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("opened"),))


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (
            lambda path: torch.save({"features.0.weight": torch.ones(3)}, path),
            "weights_only.*from_torchvision",
        ),
        (lambda path: torch.save({"w": Spy()}, path), "weights_only=True"),
        (
            lambda path: torch.save([Spy()], path, _use_new_zipfile_serialization=False),
            "weights_only=True",
        ),
        (lambda path: path.write_bytes(pickle.dumps({"w": Spy()})), "pickle"),
        (lambda path: path.write_bytes(pickle.dumps([Spy()], protocol=2)), "pickle"),
        (lambda path: save_file({"features.0.weight": torch.ones(2)}, path), "1 tensors.*from_torchvision"),
        (
            lambda path: save_file({"w": torch.ones(2)}, path, {"format": "alexnet-edu-weights-1"}),
            "look into",
        ),
        (lambda path: path.write_bytes(_archive("x.npy")), "numpy.load"),
        (lambda path: path.write_bytes(_archive("x/code/a.py")), "torch.jit.load"),
        (lambda path: path.write_bytes(_archive("x.txt")), "unpack"),
        (lambda path: path.write_bytes(b"PK\x03\x04 cut"), "cut short"),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
        (lambda path: path.write_text("<!DOCTYPE html>"), "download it again"),
        (lambda path: path.mkdir(), "best.safetensors"),
        (lambda path: path.touch(), "is empty"),
        (lambda path: None, "no checkpoint"),
    ],
)
def test_a_file_of_another_program_is_called_what_it_is_and_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], Any], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "x.pth")
    with pytest.raises(DataError, match=says) as caught:
        checkpoints.load(tmp_path / "x.pth")
    assert str(tmp_path / "x.pth") in str(caught.value)
    assert "damaged:" not in str(caught.value)
    assert not Path("opened").exists()


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
