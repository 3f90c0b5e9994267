"""Networks that a reader has: shipped, in a file, from a full training of their own, or torchvision's.

All come as the same kind of thing, `weights.Network`: layers by their names, and a preparation that
takes the pixels of any image to what the network was trained on.
"""

from __future__ import annotations

import pickle
import socket
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import AlexNet as TorchvisionAlexNet  # type: ignore[import-untyped]
from torchvision.models import AlexNet_Weights, alexnet

from alexnet_edu.data.cifar10 import connection_fault
from alexnet_edu.data.pixels import fit_to_square
from alexnet_edu.data.preparation import Preparation
from alexnet_edu.files import DataError
from alexnet_edu.imagenet import checkpoint as checkpoints
from alexnet_edu.imagenet.checkpoint import Checkpoint
from alexnet_edu.imagenet.evaluate import network_of
from alexnet_edu.imagenet.prepared import PreparedSet, open_prepared
from alexnet_edu.imagenet.run_state import RUN_FORMAT, newest_of
from alexnet_edu.imagenet.runs import data_of
from alexnet_edu.studies.networks import SHIPPED, Network, load_weights
from alexnet_edu.training.loop import CheckpointError

TORCHVISION = "torchvision"
TORCHVISION_TITLE = (
    "torchvision's AlexNet: 64 kernels, one column, no response normalization, another architecture than "
    "the paper's"
)
TIMEOUT_SECONDS = 30
WHICH = ("best", "last")


def network(source: str | Path) -> Network:
    """The network of a shipped name, of a weight file, of the folder of a full training, or "torchvision".

    Raises DataError, or CheckpointError, with what there is and what to do, where there is none.
    """
    if source == TORCHVISION:
        return from_torchvision()
    path = Path(source)
    if source in SHIPPED or (path.is_file() and not _is_checkpoint(path)):
        return load_weights(source)
    if path.is_file():
        raise DataError(f"{path} is a checkpoint of a training: name its folder, {path.parent}")
    if path.is_dir():
        return from_run(path)
    raise DataError(
        f"there is no network {str(source)!r}: choose {', '.join(map(repr, SHIPPED))} or {TORCHVISION!r}, or "
        "name a weight file, or the folder of a training by `alexnet-edu train`"
    )


def _is_checkpoint(path: Path) -> bool:
    return path.name == checkpoints.BEST or path.name.startswith("step-")


# --- one's own training on ImageNet -----------------------------------------------------------


@dataclass(frozen=True, eq=False)
class SquarePreparation:
    """uint8 (N, 3, H, W) of any size -> what a network trained on prepared ImageNet reads.

    Images of another size than the prepared ones are brought to it first, as §2 says: the square in the
    middle, `square` pixels a side. Then the middle patch, minus the mean image (`Preparation`).
    """

    square: int
    patch: Preparation

    def __call__(self, batch: Tensor) -> Tensor:
        """float32 (N, 3, side, side) on the images' device."""
        if tuple(batch.shape[2:]) != (self.square, self.square) and len(batch):
            batch = torch.stack([fit_to_square(image, self.square) for image in batch.cpu()]).to(batch.device)
        return self.patch(batch)


def from_run(folder: Path | str, *, data: Path | str | None = None, which: str = "best") -> Network:
    """The network of a full training (`alexnet-edu train`, notebook 06), to be looked into.

    which: "best", the checkpoint with the lowest validation error, or the last one where there is no best
    yet; or "last". data: the prepared folder that it was trained on, for its mean image and classes; None
    takes the one that the run's own command names.
    Raises DataError where the prepared folder is missing or another; CheckpointError where the folder holds
    no run, or none of its checkpoints is whole; ValueError for another `which`.
    """
    folder = Path(folder).expanduser()
    found = _checkpoint(folder, which)
    prepared = _prepared(folder, found, data)
    model = network_of(found, prepared.wnids).requires_grad_(False)
    table, state = model.architecture, found.state
    return Network(
        folder.name,
        f"{table.name!r} trained on {len(prepared.wnids):,} classes, step {state['step']:,} of {folder}",
        model.stages,
        SquarePreparation(prepared.side, Preparation(prepared.mean_image, 1.0, table.side)),
        prepared.names,
        table.columns,
        facts=_facts(state),
    )


def _checkpoint(folder: Path, which: str) -> Checkpoint:
    if which not in WHICH:
        raise ValueError(f"unknown checkpoint {which!r}; choose one of {', '.join(WHICH)}")
    best = folder / checkpoints.BEST
    found = checkpoints.load(best) if which == "best" and best.exists() else newest_of(folder)[0]
    if found is None:
        raise CheckpointError(f"{folder} holds no run: `alexnet-edu train --folder {folder}` makes one")
    if found.state.get("format") != RUN_FORMAT:
        raise CheckpointError(f"{found.path} is no checkpoint of a full training")
    return found


def _prepared(folder: Path, found: Checkpoint, data: Path | str | None) -> PreparedSet:
    """The images that the run was trained on. Raises DataError where they are others, or nowhere."""
    ask = "name the prepared folder by data=PATH"
    root = data_of(folder) if data is None else Path(data)
    if root is None:
        raise DataError(f"{folder} does not say on which images it was trained: {ask}")
    try:
        prepared = open_prepared(root)
    except DataError as error:
        if data is not None:
            raise
        raise DataError(
            f"the images of {folder} cannot be read ({error}); if they have moved, {ask}"
        ) from error
    if prepared.fingerprint != found.state["images"]:
        raise DataError(f"{folder} was trained on other images than those of {root}: {ask}")
    return prepared


def _facts(state: dict[str, Any]) -> dict[str, Any]:
    """What the checkpoint says of its network."""
    recipe = state["recipe"]
    facts = {"step": state["step"], "variant": recipe["variant"], "rate at the start": recipe["rate"]}
    judged = [e for e in state["evaluations"] if e["step"] == state["step"]]
    if judged:
        facts["epoch"] = judged[-1]["epoch"]
        facts["validation error"] = f"{judged[-1]['top1']:.2%}, among the first five {judged[-1]['top5']:.2%}"
    return facts


# --- torchvision's ----------------------------------------------------------------------------


def from_torchvision(model: TorchvisionAlexNet | None = None) -> Network:
    """torchvision's AlexNet with its ImageNet weights: downloaded once (244 MB), then from torch's cache.

    It is the network of Krizhevsky's "One weird trick" (2014): 64 kernels of 11 × 11, one column, no
    response normalization; see its title. model: another one of that architecture in its place, such as
    one that was fine-tuned; its classes are numbered where there are not 1,000.
    Raises DataError, with what to do, where there is neither a network nor a copy in the cache.
    """
    pretrained = AlexNet_Weights.IMAGENET1K_V1
    names = tuple(pretrained.meta["categories"])
    facts: dict[str, Any] = {}
    if model is None:
        model = alexnet()
        model.load_state_dict(_downloaded())
        top1 = pretrained.meta["_metrics"]["ImageNet-1K"]["acc@1"]
        facts = {"weights": str(pretrained), "top-1 error that torchvision states": f"{1 - top1 / 100:.2%}"}
    last = model.classifier[-1]
    assert isinstance(last, nn.Linear)
    classes = names if last.out_features == len(names) else tuple(map(str, range(last.out_features)))
    stages = _stages(model.eval()).requires_grad_(False)
    return Network(TORCHVISION, TORCHVISION_TITLE, stages, pretrained.transforms(), classes, 1, facts=facts)


def _stages(model: TorchvisionAlexNet) -> nn.ModuleDict:
    """Its layers, each with what follows it; one after the other they compute what the model does."""
    maps, units = list(model.features), list(model.classifier)
    layers = {
        "conv1": maps[0:3],
        "conv2": maps[3:6],
        "conv3": maps[6:8],
        "conv4": maps[8:10],
        "conv5": [*maps[10:13], model.avgpool],
        "fc6": [nn.Flatten(), *units[0:3]],
        "fc7": units[3:6],
        "fc8": units[6:],
    }
    return nn.ModuleDict(OrderedDict((name, nn.Sequential(*steps)) for name, steps in layers.items()))


def _downloaded() -> dict[str, Tensor]:
    """torchvision's weights, read as numbers alone: no code of the file is run."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_SECONDS)
    try:
        return AlexNet_Weights.IMAGENET1K_V1.get_state_dict(
            progress=True, check_hash=True, weights_only=True, map_location="cpu"
        )
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        cache = Path(torch.hub.get_dir()) / "checkpoints"
        raise DataError(
            f"torchvision's weights could not be read ({_reason(error)}). Try again when there is a network; "
            f"or put {AlexNet_Weights.IMAGENET1K_V1.url.rsplit('/')[-1]} from a machine that has one into "
            f"{cache}, and delete a damaged file there. The networks {', '.join(SHIPPED)} need no network."
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def _reason(error: Exception) -> str:
    """The reason in a few words, without an address."""
    return connection_fault(error) or (str(error).splitlines() or [type(error).__name__])[0]
