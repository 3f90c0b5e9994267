"""What of a training goes into a checkpoint, and back: weights, velocities, and which run it is.

Tensors are those of the whole network, whatever the form in which it was trained, so any form may
go on with what another began.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from alexnet_edu.imagenet import checkpoint as checkpoints
from alexnet_edu.imagenet.checkpoint import Checkpoint
from alexnet_edu.imagenet.distributed import Single
from alexnet_edu.imagenet.prepared import PreparedSet
from alexnet_edu.imagenet.recipe import Recipe
from alexnet_edu.training.loop import CheckpointError

RUN_FORMAT = "alexnet-edu-imagenet-run-1"


def tensors_of(group: Single, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Weights and velocities of the whole network; all processes of the group must call it.

    A parameter that has no velocity yet gets zeros: that is what the rule begins with.
    """
    weights = {name: p.detach() for name, p in group.network.named_parameters()}
    velocities = {
        name: optimizer.state[p].get("momentum_buffer", torch.zeros_like(p))
        for name, p in group.network.named_parameters()
    }
    kept = {f"model.{name}": tensor for name, tensor in group.whole(weights).items()}
    return kept | {f"velocity.{name}": tensor for name, tensor in group.whole(velocities).items()}


def put_back(found: Checkpoint, group: Single, optimizer: torch.optim.Optimizer) -> None:
    """Gives this process its part of both. Raises CheckpointError where they do not fit the network."""
    weights, velocities = (group.own(found.part(part)) for part in ("model", "velocity"))
    try:
        group.network.load_state_dict(weights)
        for name, parameter in group.network.named_parameters():
            buffer = torch.empty_like(parameter).copy_(velocities[name])
            optimizer.state[parameter]["momentum_buffer"] = buffer
    except (RuntimeError, KeyError) as error:
        raise CheckpointError(f"the tensors in {found.path} do not fit the network ({error})") from error


def check_free(folder: Path, resume: str) -> None:
    """Raises CheckpointError where the folder holds a run and `resume` is "never"."""
    there = checkpoints.saved_steps(folder)
    if there and resume == "never":
        raise CheckpointError(
            f"{folder} holds a run at step {there[-1]:,}: --resume auto goes on with it; "
            "or choose another folder"
        )


def newest_of(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """As `checkpoints.newest`; CheckpointError where there are some and none is whole."""
    found, problems = checkpoints.newest(folder)
    if found is None and problems:
        raise CheckpointError(
            f"none of the {len(problems)} checkpoints in {folder} is whole; choose another folder, or "
            f"delete them to start anew. The newest: {problems[0]}"
        )
    return found, problems


def check_same(found: Checkpoint, recipe: Recipe, prepared: PreparedSet) -> None:
    """Raises CheckpointError where the checkpoint is of another run, and says what differs."""
    folder, state = found.path.parent, found.state
    if state.get("format") != RUN_FORMAT:
        raise CheckpointError(f"{found.path} is no checkpoint of a full training; choose another folder")
    theirs: dict[str, Any] = state["recipe"]
    for name, mine in recipe.identity().items():
        if mine != theirs.get(name):
            raise CheckpointError(
                f"{folder} holds a run with {name} = {theirs.get(name)!r}, not {mine!r}: "
                "give the same settings to go on, or choose another folder"
            )
    if state["images"] != prepared.fingerprint:
        raise CheckpointError(
            f"{folder} holds a run on other images than {prepared.root}: choose the folder that it "
            "began with, or another one for the run"
        )
