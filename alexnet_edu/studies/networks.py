"""Trained networks to look into: shipped, in a file, from a full training of one's own, or torchvision's.

Each comes as a `Network`: named layers, and a preparation that turns the pixels of any image into what the
network was trained on. A file in `data/weights` is a safetensors file with the weights, the mean image and
the first kernels at some steps of the training; its header holds the table of the network, how it was made,
and its errors, as text. No code from a file is ever run.
"""

from __future__ import annotations

import json
import pickle
import socket
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from alexnet_edu.data.augment import Preparation
from alexnet_edu.data.cifar10 import connection_fault
from alexnet_edu.data.decode import fit_to_square
from alexnet_edu.data.images import Images, ImageSet
from alexnet_edu.environment import weights_dir
from alexnet_edu.files import DataError, PermissionDenied, checked, head_of, write_tensors
from alexnet_edu.imagenet import checkpoint as checkpoints
from alexnet_edu.imagenet.checkpoint import Checkpoint
from alexnet_edu.imagenet.evaluate import network_of
from alexnet_edu.imagenet.prepared import PreparedSet, open_prepared
from alexnet_edu.imagenet.runs import data_of
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.architecture import Architecture, Layer

if TYPE_CHECKING:
    from torchvision.models import AlexNet as TorchvisionAlexNet  # type: ignore[import-untyped]

FORMAT = "alexnet-edu-weights-1"
SNAPSHOT = "look."  # begins the names of the snapshots in a file
FACTS = {  # what a shipped file says of its network
    "seed", "seeds", "errors", "test_error", "epochs", "images", "test_images", "commit", "date", "hardware",
    "command", "fingerprint",
}  # fmt: skip
SHIPPED = {"cifar10": "CIFAR-10", "stand-in": "the synthetic stand-in"}  # name -> what it learned
TORCHVISION = "torchvision"
TORCHVISION_TITLE = (
    "torchvision's AlexNet: 64 kernels, one column, no response normalization, another architecture than "
    "the paper's"
)
TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Network:
    """A trained network and all that is needed to use it.

    stages: its layers in order, each with what follows it (ReLU, pooling, …). Applied one after the other to
        what `prepare` makes of uint8 images (N, 3, H, W), they give logits (N, classes).
    columns: 2 where the first kernels fall into two halves with different connections; else 1.
    snapshots: step -> first kernels before that step, (K, 3, h, w), from random to learned; may be empty.
    facts: how it was made, and its errors, as the file states them.
    """

    name: str
    title: str
    stages: nn.ModuleDict
    prepare: Callable[[Tensor], Tensor]
    classes: tuple[str, ...]
    columns: int = 2
    snapshots: Mapping[int, Tensor] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of its layers, from the first convolution to the classifier."""
        return tuple(self.stages.keys())

    @property
    def hidden(self) -> str:
        """The last hidden layer, whose outputs §6.1 compares."""
        return self.layers[-2]

    @property
    def kernels(self) -> Tensor:
        """A copy of the first layer's kernels, (K, 3, h, w) float32."""
        return first_kernels(self.stages)

    @torch.no_grad()
    def outputs_of(
        self, pixels: Tensor, layers: Sequence[str], *, batch_size: int = 500, device: str = "cpu"
    ) -> dict[str, Tensor]:
        """The outputs of these layers after ReLU and pooling, without dropout, from one forward pass.

        pixels: (N, 3, H, W) uint8. Returns float32 (N, C, h, w) for a convolution, (N, D) for a fully
        connected layer; the last layer gives logits. Raises ValueError for an unknown layer, and for pixels
        of another shape or type.
        """
        if pixels.dim() != 4 or pixels.shape[1] != 3 or pixels.dtype != torch.uint8:
            raise ValueError(f"pixels must be (N, 3, H, W) uint8, got {tuple(pixels.shape)} {pixels.dtype}")
        for layer in layers:
            if layer not in self.layers:
                raise ValueError(f"{self.name} has no layer {layer!r}; there are {', '.join(self.layers)}")
        stages = self.stages.to(device).eval()
        parts: dict[str, list[Tensor]] = {layer: [] for layer in layers}
        needed = self.layers[: max(map(self.layers.index, layers)) + 1]
        for batch in pixels.split(batch_size):
            x = self.prepare(batch.to(device))
            for name in needed:
                x = stages[name](x)
                if name in parts:
                    parts[name].append(x.float().cpu())
        return {layer: torch.cat(answers) for layer, answers in parts.items()}

    def outputs(self, pixels: Tensor, layer: str, **options: Any) -> Tensor:
        """`outputs_of` of one layer."""
        return self.outputs_of(pixels, [layer], **options)[layer]

    def features(self, pixels: Tensor, layer: str | None = None, **options: Any) -> Tensor:
        """`outputs` of a layer, the last hidden one if None, as one vector per image: (N, D) float32."""
        return self.outputs(pixels, layer or self.hidden, **options).flatten(1)

    def probabilities(self, pixels: Tensor, **options: Any) -> Tensor:
        """Softmax outputs for images: uint8 (N, 3, H, W) -> (N, classes) float32."""
        return self.outputs(pixels, self.layers[-1], **options).softmax(1)

    def text(self) -> str:
        """What the file says of it, in a few lines."""
        facts = self.facts
        if not facts.keys() >= FACTS:
            return "\n".join((self.title, *(f"{name}: {value}" for name, value in facts.items())))
        errors = facts["errors"]
        return "\n".join(
            (
                self.title,
                f"test error {facts['test_error']:.2%} with seed {facts['seed']}; {len(errors)} seeds: "
                f"{min(errors):.2%} to {max(errors):.2%}",
                f"{facts['epochs']:g} epochs of {facts['images']:,} images, commit {facts['commit']}, "
                f"{facts['date']}, {facts['hardware']}",
                f"trained again by: {facts['command']}",
            )
        )


def first_kernels(model: nn.Module) -> Tensor:
    """A copy of the kernels of a model's first convolution, (K, 3, h, w) float32."""
    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    return first.weight.detach().float().cpu().clone(memory_format=torch.contiguous_format)


def network(source: str | Path) -> Network:
    """The network of a shipped name, of a weight file, of the folder of a full training, or "torchvision".

    Raises DataError, with what there is and what to do, where there is none.
    """
    if source == TORCHVISION:
        return from_torchvision()
    path = Path(source)
    if source in SHIPPED or path.is_file():
        return load_weights(source)
    if path.is_dir():
        return from_run(path)
    raise DataError(
        f"there is no network {str(source)!r}: choose {', '.join(map(repr, SHIPPED))} or {TORCHVISION!r}, or "
        "name a weight file, or the folder of a training by `alexnet-edu train`"
    )


# --- in a file -------------------------------------------------------------------------------


def weights_path(name: str) -> Path:
    """Where the file of a shipped network is. Raises ValueError for a name that is not of `SHIPPED`."""
    if name not in SHIPPED:
        raise ValueError(f"no network {name!r} is shipped; choose from {', '.join(SHIPPED)}")
    return weights_dir() / f"{name}.safetensors"


def save_weights(
    path: Path,
    model: AlexNet,
    prepare: Preparation,
    *,
    name: str,
    title: str,
    classes: tuple[str, ...],
    snapshots: Mapping[int, Tensor],
    facts: Mapping[str, Any],
) -> None:
    """Writes a network to a file that `load_weights` reads. Raises DataError where it cannot be written."""
    # Those of four bytes come first, so that each begins at a multiple of its element.
    tensors = {f"weight.{key}": value.cpu().contiguous().numpy() for key, value in model.state_dict().items()}
    tensors["mean"] = prepare.mean.cpu().contiguous().numpy()
    # Eleven bits are more than an eye sees, and half the size.
    tensors |= {f"{SNAPSHOT}{step}": kernels.half().numpy() for step, kernels in snapshots.items()}
    head = {
        "format": FORMAT,
        "name": name,
        "title": title,
        "network": json.dumps(asdict(model.architecture)),
        "std": json.dumps(prepare.std),
        "classes": json.dumps(classes),
        "facts": json.dumps(dict(facts), sort_keys=True),
    }
    write_tensors(path, tensors, head, sealed=True)


def load_weights(source: str | Path) -> Network:
    """A network from its file; a name of `SHIPPED`, or a path.

    No code of the file is run: it holds numbers and text. Raises DataError, with what to do, where the file
    is missing, damaged, cut short, or something else.
    """
    path = weights_path(source) if isinstance(source, str) and source in SHIPPED else Path(source)
    if not path.is_file():
        raise DataError(f"there are no weights at {path}; {_back(path)}")
    try:
        head_of(path, FORMAT)
        _, head = checked(path)
        return _network(load_file(path), head)
    except PermissionDenied:
        raise
    except Exception as error:  # whatever the contents of a file may lead to
        known = isinstance(error, DataError)
        reason = str(error) if known else f"{path} cannot be used as a network ({_first_line(error)})"
        raise DataError(f"{reason}; {_back(path)}") from error


def _network(tensors: Mapping[str, Tensor], head: Mapping[str, str]) -> Network:
    table = _table(json.loads(head["network"]))
    model = AlexNet(table, classes=table.layers[-1].outputs)
    model.load_state_dict({k[7:]: v for k, v in tensors.items() if k.startswith("weight.")})
    prepare = Preparation(tensors["mean"], float(json.loads(head["std"])), table.side)
    steps = sorted(int(name.removeprefix(SNAPSHOT)) for name in tensors if name.startswith(SNAPSHOT))
    snapshots = {step: tensors[f"{SNAPSHOT}{step}"].float() for step in steps}
    classes, facts = tuple(json.loads(head["classes"])), dict(json.loads(head["facts"]))
    if len(classes) != table.layers[-1].outputs:
        raise ValueError(f"{len(classes)} classes are named for {table.layers[-1].outputs} outputs")
    stages = model.eval().requires_grad_(False).stages
    return Network(head["name"], head["title"], stages, prepare, classes, table.columns, snapshots, facts)


def _back(path: Path) -> str:
    """How to get a file back."""
    if path.stem not in SHIPPED or path.parent != weights_dir():
        return f"the project ships {', '.join(SHIPPED)}"
    again = f"alexnet-edu weights train {path.stem} --ship"
    return f"`git checkout data/weights` brings it back, and `{again}` makes it anew"


def weights_for(images: ImageSet | Images) -> Network:
    """The shipped network that learned images like these: the stand-in's for the stand-in.

    Raises ValueError where no shipped network knows their classes, or the images are too small for it;
    DataError as `load_weights` does.
    """
    split = images.train if isinstance(images, ImageSet) else images
    network = load_weights("stand-in" if split.synthetic else "cifar10")
    if network.classes != split.classes:
        raise ValueError(
            f"{network.title!r} knows {', '.join(network.classes)}, in this order; the images "
            f"({split.source}) have the classes {', '.join(split.classes[:10])}"
        )
    side = min(split.pixels.shape[2:])
    if isinstance(network.prepare, Preparation) and side < network.prepare.side:
        raise ValueError(
            f"{network.title!r} reads {network.prepare.side} pixels a side, and the images have {side}"
        )
    return network


def _table(value: Mapping[str, Any]) -> Architecture:
    layers = tuple(Layer(**{**layer, "after": tuple(layer["after"])}) for layer in value["layers"])
    return Architecture(**{**value, "layers": layers})


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


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


def from_run(folder: Path | str, *, data: Path | str | None = None) -> Network:
    """The network of a full training (`alexnet-edu train`, notebook 06), to be looked into.

    It is the one with the lowest validation error, or the latest where there is no best yet. data: the
    prepared folder that it was trained on, for its mean image and classes; None takes the one that the
    run's own command names. Raises DataError where the prepared folder is missing or not the one trained
    on, where `folder` holds no run, and where none of its checkpoints is whole.
    """
    folder = Path(folder).expanduser()
    checkpoint = _best(folder)
    prepared = _prepared(folder, checkpoint, data)
    model = network_of(checkpoint, prepared.wnids).requires_grad_(False)
    table, state = model.architecture, checkpoint.state
    return Network(
        folder.name,
        f"{table.name!r} trained on {len(prepared.wnids):,} classes, step {state['step']:,} of {folder}",
        model.stages,
        SquarePreparation(prepared.side, Preparation(prepared.mean_image, 1.0, table.side)),
        prepared.names,
        table.columns,
        facts=_facts(checkpoint),
    )


def _best(folder: Path) -> Checkpoint:
    best = folder / checkpoints.BEST
    checkpoint = checkpoints.load(best) if best.exists() else checkpoints.newest(folder)[0]
    if checkpoint is None:
        raise DataError(f"{folder} holds no run: `alexnet-edu train --folder {folder}` makes one")
    checkpoints.recipe_of(checkpoint)
    return checkpoint


def _prepared(folder: Path, checkpoint: Checkpoint, data: Path | str | None) -> PreparedSet:
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
    if prepared.fingerprint != checkpoint.state["images"]:
        raise DataError(f"{folder} was trained on other images than those of {root}: {ask}")
    return prepared


def _facts(checkpoint: Checkpoint) -> dict[str, Any]:
    """What the checkpoint says of its network."""
    state, recipe = checkpoint.state, checkpoints.recipe_of(checkpoint)
    facts = {"step": state["step"], "variant": recipe.variant, "rate at the start": recipe.rate}
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
    from torchvision.models import AlexNet_Weights, alexnet  # takes seconds

    pretrained = AlexNet_Weights.IMAGENET1K_V1
    names = tuple(pretrained.meta["categories"])
    facts: dict[str, Any] = {}
    if model is None:
        weights = _downloaded()
        model = alexnet()
        model.load_state_dict(weights)
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
    from torchvision.models import AlexNet_Weights

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_SECONDS)
    try:
        return AlexNet_Weights.IMAGENET1K_V1.get_state_dict(
            progress=True, check_hash=True, weights_only=True, map_location="cpu"
        )
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = connection_fault(error) or _first_line(error)
        cache = Path(torch.hub.get_dir()) / "checkpoints"
        raise DataError(
            f"torchvision's weights could not be read ({reason}). Try again when there is a network; "
            f"or put {AlexNet_Weights.IMAGENET1K_V1.url.rsplit('/')[-1]} from a machine that has one into "
            f"{cache}, and delete a damaged file there. The networks {', '.join(SHIPPED)} need no network."
        ) from error
    finally:
        socket.setdefaulttimeout(before)
