"""The explorers of all lessons: golden values hold their words at the defaults, every control is followed."""

from __future__ import annotations

from typing import Any

import torch

from alexnet_edu.data.augment import ColorPCA
from alexnet_edu.data.cifar10 import load_cifar10
from alexnet_edu.environment import weights_dir
from alexnet_edu.lessons.augmentation import color_explorer, patch_explorer
from alexnet_edu.lessons.dropout import dropout_explorer
from alexnet_edu.lessons.imagenet import cost_explorer
from alexnet_edu.lessons.initialization import clinic_explorer
from alexnet_edu.lessons.kernels import excitation_explorer, specialization_explorer, training_explorer
from alexnet_edu.lessons.ledger import gain_explorer
from alexnet_edu.lessons.lrn import Responses, lrn_explorer
from alexnet_edu.lessons.neighbours import neighbour_explorer
from alexnet_edu.lessons.pooling import pooling_explorer
from alexnet_edu.lessons.relu import activation_explorer, function_explorer
from alexnet_edu.lessons.results import results_explorer
from alexnet_edu.lessons.sgd import schedule_explorer
from alexnet_edu.lessons.two_gpus import exchange_explorer, memory_explorer
from alexnet_edu.show.network import architecture_explorer
from alexnet_edu.show.photograph import photograph
from alexnet_edu.studies import clinic
from alexnet_edu.studies.networks import load_weights
from alexnet_edu.studies.record import load
from alexnet_edu.studies.specialization import KERNELS_FILE, load_kernels

# The names of all, in the order in which the two functions give them.
EXPLORERS = (
    *("architecture", "function", "pooling", "exchange", "memory", "cost", "dropout"),
    *("schedule", "clinic", "results", "activation", "lrn", "color", "patch", "training"),
    *("specialization", "excitation", "neighbours"),
)


def of_numbers() -> dict[str, Any]:
    """Those that show arithmetic and recorded values."""
    return {
        "architecture": architecture_explorer(),
        "function": function_explorer(),
        "pooling": pooling_explorer(),
        "exchange": exchange_explorer(),
        "memory": memory_explorer(),
        "cost": cost_explorer(),
        "gain": gain_explorer(),
        "dropout": dropout_explorer(),
        "schedule": schedule_explorer(load("schedule")),
        "clinic": clinic_explorer(clinic.load()),
        "results": results_explorer(load("results")),
    }


def of_networks() -> dict[str, Any]:
    """Those that show what a network, or statistics of images, come to: on the small stand-in."""
    images, network = load_cifar10("quick"), load_weights("stand-in")
    train, test = (images.train.subset(torch.arange(300)), images.test.subset(torch.arange(100)))
    record = load("specialization")
    return {
        "activation": activation_explorer(images.train),
        "lrn": lrn_explorer(Responses(images.train)),
        "color": color_explorer(photograph(), ColorPCA.fit(images.train.pixels)),
        "patch": patch_explorer(test.subset(torch.arange(12)), network.prepare.side, network.probabilities),
        "training": training_explorer(network),
        "specialization": specialization_explorer(record, load_kernels(weights_dir() / KERNELS_FILE)),
        "excitation": excitation_explorer(network, test),
        "neighbours": neighbour_explorer(network, train, test, image=3),
    }


# Two belong to the rule of §5, which the explorer of schedules does not start with; no file is given here.
IDLE = ("patience", "margin", "given")


def follow(explorer: Any) -> None:
    """Moves each control by one place, one after the other; what is shown must follow without an error."""
    for name, control in explorer.controls.items():
        if name not in IDLE:
            before = explorer.alt, explorer.png
            control.value = _next(control)
            assert explorer.error is None, f"{name} = {control.value}: {explorer.error}"
            assert (explorer.alt, explorer.png) != before, f"{name} changes nothing"


def _next(control: Any) -> Any:
    """Another value than a control has: the one after it, or before it at the end."""
    if hasattr(control, "options"):
        values = [option[1] if isinstance(option, tuple) else option for option in control.options]
        place = values.index(control.value)
        return values[place + 1 if place + 1 < len(values) else place - 1]
    if hasattr(control, "step"):
        return control.value * control.base**control.step
    return not control.value
