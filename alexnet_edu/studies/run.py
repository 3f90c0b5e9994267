"""One training as data: network, images, settings, seeds, what comes before, what is measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn

from alexnet_edu.data.images import Images
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.architecture import Architecture
from alexnet_edu.model.cifar import CifarNetConfig, ConvLocalNet, FourLayerNet
from alexnet_edu.training.loop import TrainConfig

Network = CifarNetConfig | Architecture | str  # a str: the norm of `ConvLocalNet`
HELD_OUT = 5_000  # training images, a tenth of them where there are few, that judge and are not trained on
INITIAL = 1_000_003  # added to a run's seed for its initial weights: another stream than that of the order


@dataclass(frozen=True)
class Sample:
    """Which of the training images a run sees. The default is all of them, in their order.

    seed: of what is drawn. count: so many, drawn; None takes all. holds_out: `HELD_OUT` others judge the run.
    classes: these alone, with the labels 0, 1, … in this order. per_class: so many of each class, drawn;
    as many others judge.
    """

    seed: int = 0
    count: int | None = None
    holds_out: bool = False
    classes: tuple[int, ...] | None = None
    per_class: int | None = None

    def split(self, images: Images) -> tuple[Images, Images]:
        """(images to train on, images held out of the training); none are held out unless asked."""
        generator = torch.Generator().manual_seed(self.seed)
        pool = self.of_classes(images)
        if self.per_class is not None:
            labels = range(len(pool.classes))
            places = [(pool.labels == label).nonzero().squeeze(1) for label in labels]
            mixed = [each[torch.randperm(len(each), generator=generator)] for each in places]
            size = self.per_class
            chosen, others = ([each[at : at + size] for each in mixed] for at in (0, size))
            return pool.subset(torch.cat(chosen)), pool.subset(torch.cat(others))
        order = torch.randperm(len(pool), generator=generator)
        held = min(HELD_OUT, len(pool) // 10) if self.holds_out else 0
        rest = order[held:]
        if self.count is not None and self.count < len(rest):
            return pool.subset(rest[: self.count]), pool.subset(order[:held])
        return pool.subset(rest) if held else pool, pool.subset(order[:held])

    def of_classes(self, images: Images) -> Images:
        """The images of `classes`, renumbered; all images where there are none."""
        if self.classes is None:
            return images
        place = torch.full((len(images.classes),), -1)
        place[list(self.classes)] = torch.arange(len(self.classes))
        found = images.subset((place[images.labels] >= 0).nonzero().squeeze(1))
        names = tuple(images.classes[i] for i in self.classes)
        return Images(found.pixels, place[found.labels], names, images.source, images.synthetic)


@dataclass(frozen=True)
class Run:
    """One training: all that decides its curve but the images and the device.

    name: begins the names of its files. config: its seed orders the images. initial_seed: of the generator
    that draws the initial weights. sample, held_out: what is trained on; judged on held-out images, or else
    on the test images of the same classes. side: of the crops in pixels; None takes images whole.
    inputs: "raw", 0–255 minus the mean image; "standardized", divided by the standard deviation of all
    pixels; "population", divided by the one with N for N - 1. augment: steps of `augment.composed`.
    after: the run whose weights it starts from, all but the classifier's.
    target_error: the training error (0–1) at which it stops. evaluated: images that measure this error.
    measured: at each point; at_end: once, names in `MEASURES` and `AT_END`.
    """

    name: str
    network: Network
    config: TrainConfig
    epochs: float
    initial_seed: int
    sample: Sample = Sample()
    held_out: bool = False
    side: int | None = None
    inputs: str = "raw"
    augment: tuple[str, ...] = ()
    after: Run | None = None
    target_error: float | None = None
    evaluated: int = 5_000
    measured: tuple[str, ...] = ("test_error",)
    at_end: tuple[str, ...] = ()

    def identity(self) -> dict[str, Any]:
        """All that decides the curve, ready for JSON. A shorter run is the beginning of a longer one,
        unless something is measured at its end.
        """
        words = {"name", "target_error"} | (set() if self.at_end else {"epochs"})
        plain = {key: value for key, value in asdict(self).items() if key not in words}
        after = self.after.identity() if self.after else None
        return plain | {"config": self.config.identity(), "after": after}


def build(network: Network, side: int, classes: int, initial_seed: int) -> nn.Module:
    """The network with the weights that `initial_seed` draws, for images of side × side pixels."""
    generator = torch.Generator().manual_seed(initial_seed)
    if isinstance(network, CifarNetConfig):
        return FourLayerNet(replace(network, image_size=side, classes=classes), generator)
    if isinstance(network, str):
        return ConvLocalNet(network, side, classes, generator)
    layers = (*network.layers[:-1], replace(network.layers[-1], outputs=classes))
    return AlexNet(replace(network, side=side, layers=layers), generator=generator)


def copy_all_but_classifier(before: nn.Module, model: nn.Module) -> None:
    """Copies all weights into `model` but those of its last stage, which stay as drawn."""
    state = model.state_dict()
    last = list(state)[-1].rsplit(".", 2)[0]
    state.update({k: v.cpu() for k, v in before.state_dict().items() if not k.startswith(f"{last}.")})
    model.load_state_dict(state)
