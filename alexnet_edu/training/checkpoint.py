"""One form of checkpoint for every training: tensors by name and plain values, in one safetensors file.

The file is whole or not there (`files.replacing`), is checked when it is read, and holds no pickles.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from alexnet_edu.files import DataError, checked, head_of, write_tensors

FORMAT = "alexnet-edu-checkpoint"
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """What was saved. tensors: name -> CPU tensor. state: plain values, as they went into JSON."""

    path: Path
    tensors: dict[str, Tensor]
    state: dict[str, Any]

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `name` and a dot, without that beginning."""
        start = f"{name}."
        return {key.removeprefix(start): t for key, t in self.tensors.items() if key.startswith(start)}


def save(path: Path, tensors: Tensors, state: Mapping[str, Any]) -> None:
    """Writes one checkpoint. state: anything that JSON holds. Raises DataError as `files.replacing`."""
    text = json.dumps(state)
    metadata = {"format": FORMAT, "state": text, "state_sha256": _sha256(text)}
    widest_first = sorted(tensors.items(), key=lambda item: -item[1].element_size())
    write_tensors(
        path, {name: tensor.detach().cpu().numpy() for name, tensor in widest_first}, metadata, sealed=True
    )


def load(path: Path) -> Checkpoint:
    """Reads and checks one checkpoint. Raises DataError where it is missing, damaged or something else."""
    state = state_of(path)
    checked(path)
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    return Checkpoint(path, tensors, state)


def state_of(path: Path) -> dict[str, Any]:
    """The state of a checkpoint, whose tensors are not read. Raises DataError as `load` does."""
    if path.is_dir():
        raise DataError(f"{path} is a folder: name one file in it, such as {path / 'best.safetensors'}")
    if not path.is_file():
        raise DataError(f"there is no checkpoint {path}")
    metadata = head_of(path, FORMAT)["__metadata__"]
    if metadata.get("state_sha256") != _sha256(metadata.get("state", "")):
        raise DataError(f"{path} has changed since it was written: its state is damaged")
    state: dict[str, Any] = json.loads(metadata["state"])
    return state


def tensors_of(
    model: nn.Module, optimizer: torch.optim.Optimizer, gather: Callable[[Tensors], Tensors] = dict
) -> dict[str, Tensor]:
    """Weights as "model.…" and velocities as "velocity.…"; zeros where there is no velocity yet.

    gather: puts together what several processes hold parts of.
    """
    velocities = {
        name: optimizer.state[p].get("momentum_buffer", torch.zeros_like(p))
        for name, p in model.named_parameters()
    }
    parts = {"model": model.state_dict(), "velocity": velocities}
    return {f"{part}.{name}": tensor for part, held in parts.items() for name, tensor in gather(held).items()}


def restore(
    saved: Checkpoint,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    part_of: Callable[[Tensors], Tensors] = dict,
) -> None:
    """The inverse of `tensors_of`. Raises DataError where the tensors do not fit the network."""
    weights, velocities = (part_of(saved.part(part)) for part in ("model", "velocity"))
    try:
        model.load_state_dict(weights)
        for name, parameter in model.named_parameters():
            velocity = torch.empty_like(parameter).copy_(velocities[name])
            optimizer.state[parameter]["momentum_buffer"] = velocity
    except (RuntimeError, KeyError) as error:
        raise DataError(f"the tensors in {saved.path} do not fit the network ({error})") from error


def fingerprint(tensors: Tensors) -> str:
    """SHA-256 over names, types, shapes and bytes, in the order of the names."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        sha.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
