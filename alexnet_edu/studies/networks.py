"""Trained networks at hand: the small ones that the project ships, in files that run no code.

A file of `data/weights` is a safetensors file: the weights, the mean image, the first kernels at some
steps of the training; and as text the table of the network, how it was made, and what it is worth.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from alexnet_edu.data.images import Images, ImageSet
from alexnet_edu.data.preparation import Preparation
from alexnet_edu.environment import weights_dir
from alexnet_edu.files import DataError, Written, checked, read_head, write_tensors
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.architecture import Architecture, Layer

FORMAT = "alexnet-edu-weights-1"
FACTS = {  # what a shipped file says of its network
    "seed", "seeds", "errors", "test_error", "epochs", "images", "test_images", "commit", "date", "hardware",
    "command", "fingerprint",
}  # fmt: skip
SHIPPED = {"cifar10": "CIFAR-10", "stand-in": "the synthetic stand-in"}  # name -> what it learned


@dataclass(frozen=True)
class Network:
    """A trained network and all that is needed to use it.

    stages: its layers in their order, each with what follows it (ReLU, pooling, …): applied one after the
        other to what `prepare` makes of uint8 images (N, 3, H, W) they give logits (N, classes).
    columns: 2 where the first kernels fall into two halves that differ in whom they talk to; else 1.
    looks: (step, first kernels before that step, (K, 3, h, w)) from random to learned; may be empty.
    facts: how it was made and what it is worth, in words and numbers, as the file has it.
    """

    name: str
    title: str
    stages: nn.ModuleDict
    prepare: Callable[[Tensor], Tensor]
    classes: tuple[str, ...]
    columns: int = 2
    looks: tuple[tuple[int, Tensor], ...] = ()
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
        for module in self.stages[self.layers[0]].modules():
            if isinstance(module, nn.Conv2d):
                return module.weight.detach().float().cpu().clone(memory_format=torch.contiguous_format)
        raise ValueError(f"the first layer of {self.name!r} has no convolution")

    @torch.no_grad()
    def outputs_of(
        self, pixels: Tensor, layers: Sequence[str], *, batch_size: int = 500, device: str = "cpu"
    ) -> dict[str, Tensor]:
        """What these layers answer to images, after their ReLU and pooling, without dropout, by one pass.

        pixels: (N, 3, H, W) uint8. Returns float32 (N, C, h, w) for a convolution, (N, D) for a fully
        connected layer; the last layer gives logits. Raises ValueError for an unknown layer, or pixels that
        are of another kind.
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
        """`outputs` of a layer, the last hidden one if None, as one vector an image: (N, D) float32."""
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
    looks: list[tuple[int, Tensor]],
    facts: Mapping[str, Any],
) -> Written:
    """Writes a network to a file that `load_weights` reads. Raises DataError where it cannot be written."""
    # Those of four bytes come first, so that each begins at a multiple of its element.
    tensors = {f"weight.{key}": value.cpu().contiguous().numpy() for key, value in model.state_dict().items()}
    tensors["mean"] = prepare.mean.cpu().contiguous().numpy()
    # Eleven bits are more than an eye sees, and half the size.
    tensors |= {f"look.{step}": kernels.half().numpy() for step, kernels in looks}
    head = {
        "format": FORMAT,
        "name": name,
        "title": title,
        "network": json.dumps(asdict(model.architecture)),
        "std": json.dumps(prepare.std),
        "classes": json.dumps(classes),
        "facts": json.dumps(dict(facts), sort_keys=True),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_tensors(path, tensors, head)


def load_weights(source: str | Path) -> Network:
    """A network from its file; a name of `SHIPPED`, or a path.

    No code of the file is run: it holds numbers and text. Raises DataError, with what to do, where the file
    is missing, damaged, cut short, or something else.
    """
    path = weights_path(source) if isinstance(source, str) and source in SHIPPED else Path(source)
    if not path.is_file():
        raise DataError(f"there are no weights at {path}; {_back(path)}")
    try:
        found = read_head(path).get("__metadata__", {}).get("format")
        if found != FORMAT:
            raise DataError(f"{path} is no network of this project: its format is {found!r}, not {FORMAT!r}")
        _, head = checked(path)
        return _network(load_file(path), head)
    except DataError as error:
        raise DataError(f"{error}; {_back(path)}") from error
    except (
        SafetensorError, OSError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError,
        RuntimeError,
    ) as error:  # fmt: skip
        reason = f"{path} cannot be used as a network ({_first_line(error)})"
        raise DataError(f"{reason}; {_back(path)}") from error


def _network(tensors: Mapping[str, Tensor], head: Mapping[str, str]) -> Network:
    table = _table(json.loads(head["network"]))
    model = AlexNet(table, classes=table.layers[-1].outputs)
    model.load_state_dict({k[7:]: v for k, v in tensors.items() if k.startswith("weight.")})
    prepare = Preparation(tensors["mean"], float(json.loads(head["std"])), table.side)
    looks = sorted((int(k[5:]), v.float()) for k, v in tensors.items() if k.startswith("look."))
    classes, facts = tuple(json.loads(head["classes"])), dict(json.loads(head["facts"]))
    if len(classes) != table.layers[-1].outputs:
        raise ValueError(f"{len(classes)} classes are named for {table.layers[-1].outputs} outputs")
    stages = model.eval().requires_grad_(False).stages
    return Network(head["name"], head["title"], stages, prepare, classes, table.columns, tuple(looks), facts)


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
            f"({split.source}) have the classes {_some(split.classes)}"
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


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
