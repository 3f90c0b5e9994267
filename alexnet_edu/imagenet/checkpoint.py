"""Checkpoints of a long run: whole or not there, checked when they are read, never pickled.

One safetensors file holds the tensors, and in its header what else the run needs and a SHA-256 of
it all. A file is written under another name, flushed to the disk and renamed, so a kill, a crash
or a full disk leaves the older ones as they were.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from alexnet_edu.training.loop import CheckpointError

FORMAT = "alexnet-edu-checkpoint-1"
BEST = "best.safetensors"
_NAME = re.compile(r"step-(\d{9})\.safetensors")


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


class DiskFullError(CheckpointError):
    """There is no room for a checkpoint; the older ones are as they were."""


def path_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return folder / f"step-{step:09d}.safetensors"


def saved_steps(folder: Path) -> list[int]:
    """The steps that a folder has checkpoints of, the newest last."""
    names = (_NAME.fullmatch(path.name) for path in folder.glob("step-*.safetensors"))
    return sorted(int(found[1]) for found in names if found)


def save(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Writes one checkpoint. state: anything that JSON holds.

    Raises DiskFullError where there is no room, CheckpointError where the file cannot be written.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(state)
    metadata = {"format": FORMAT, "state": text, "sha256": digest(plain, text)}
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(plain, partial, metadata)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        raise _not_written(path, plain, error) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _not_written(path: Path, tensors: Mapping[str, Tensor], error: Exception) -> CheckpointError:
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT) or "os error 28" in str(error) or "No space" in str(error):
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        return DiskFullError(
            f"there is no room for {path} ({size / 1e6:,.0f} MB). Older checkpoints are as they were; "
            "make room on that disk"
        )
    return CheckpointError(f"could not write {path}: {error}. Older checkpoints are as they were")


def load(path: Path) -> Checkpoint:
    """Reads and checks one checkpoint. CheckpointError where it is missing or damaged."""
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or was cut short ({error})") from error
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no checkpoint of `alexnet-edu train`")
    if metadata.get("sha256") != digest(tensors, metadata.get("state", "")):
        raise CheckpointError(f"{path} is damaged: its contents do not agree with its checksum")
    return Checkpoint(path, tensors, json.loads(metadata["state"]))


def newest(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest whole checkpoint of a folder, or None, and a sentence for each newer one that is not."""
    problems: list[str] = []
    for step in reversed(saved_steps(folder)):
        try:
            return load(path_of(folder, step)), problems
        except CheckpointError as error:
            problems.append(f"{error}; the one before it is used")
    return None, problems


def keep_last(folder: Path, count: int) -> None:
    """Deletes all but the last `count` checkpoints, and what killed writers left. `best` stays."""
    with contextlib.suppress(OSError):
        for step in saved_steps(folder)[:-count]:
            path_of(folder, step).unlink(missing_ok=True)
        for left in half_written(folder):
            left.unlink(missing_ok=True)


def half_written(folder: Path) -> list[Path]:
    """Files that a writer has not finished, or was killed at; safetensors writes to ".tmpXXXXXX" first."""
    return [*folder.glob("*.partial-*"), *folder.glob(".tmp??????")]


def digest(tensors: Mapping[str, Tensor], text: str) -> str:
    """SHA-256 over names, types, shapes and bytes in the order of the names, and over a text."""
    sha = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        sha.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()
