"""Which networks are compared in the studies of §3.2 to §5, and how each is trained: data alone.

`ablations` runs a study, `ablation_records` reads what came out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.architecture import Architecture, Layer, count, scaled_by_fan_in
from alexnet_edu.model.cifar import CifarNetConfig, ConvLocalNet, FourLayerNet
from alexnet_edu.training.schedules import LOGGED, PlateauSchedule

Network = CifarNetConfig | Architecture | str  # a str: the norm of `ConvLocalNet`


@dataclass(frozen=True)
class Variant:
    """One form of the network.

    network: what `build` makes; start_rate: where the search of the learning rate begins, on
    the grid 1, 2, 5 × a power of ten. more_rates: rates at which the seeds are run besides
    the one that the search chose, so that variants can be compared at one and the same rate.
    augment: steps of `augment.STEPS` for the images trained on; None crops and mirrors where the
    study has crops. changes: (name, value), settings of `train.TrainConfig` of its own.
    """

    name: str
    title: str
    network: Network
    start_rate: float
    more_rates: tuple[float, ...] = ()
    augment: tuple[str, ...] | None = None
    changes: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Study:
    """Variants of one network that are compared, and how all of them are trained.

    epochs, drops: of a run that is reported; the rate falls to a tenth at each of `drops`.
    search_epochs: of a run that searches the rate, without drops; 0 takes `start_rate`.
    standardized: inputs divided by the standard deviation of all pixels; else raw 0–255
        minus the mean image, as in 2012.
    crop: side of the random crops, mirrored half of the time; None takes images whole.
    decays: as in `train.TrainConfig`. shifts: whether trained networks see shifted test images.
    train_images: how many of the training images a run sees, drawn by its seed; None is all.
    evals_per_epoch: how often errors are measured. validates: whether 5,000 training images are
        kept out of training, and the validation error is measured on them.
    """

    name: str
    title: str
    variants: tuple[Variant, ...]
    epochs: float
    drops: tuple[float, ...]
    seeds: int
    search_epochs: float
    standardized: bool = False
    crop: int | None = None
    decays: tuple[tuple[str, float], ...] = ()
    shifts: bool = False
    train_images: int | None = None
    evals_per_epoch: int = 1
    validates: bool = False


# --- the studies ----------------------------------------------------------------------------


def _four_layers(norm: str = "none", window: int = 3, pool: str = "avg") -> CifarNetConfig:
    return CifarNetConfig(pools=("max", pool, pool), norms=(norm, norm, "none"), window=window)


def columns_net(talk: Sequence[str], width: int = 96, columns: int = 2, kernels: int = 1) -> Architecture:
    """Four convolutions and a classifier in two columns, for images of 32 × 32 pixels.

    talk: the layers after the first that read both columns; the classifier always does.
    width: kernels of the third and the fourth convolution. kernels: what all numbers of
    kernels but the last are divided by. Weights N(0, 2 / fan-in).
    """
    read = {name: "both" if name in talk else "own" for name in ("conv2", "conv3", "conv4")}
    conv, pooled = ("relu",), ("relu", "pool")
    layers = (
        Layer("conv1", 32 // kernels, 5, 1, 2, "both", pooled),
        Layer("conv2", 64 // kernels, 5, 1, 2, read["conv2"], pooled),
        Layer("conv3", width // kernels, 3, 1, 1, read["conv3"], conv),
        Layer("conv4", width, 3, 1, 1, read["conv4"], pooled),
        Layer("fc5", 10, None, after=()),
    )
    return scaled_by_fan_in(Architecture("columns", layers, columns, side=32))


PATTERNS: dict[str, tuple[str, ...]] = {
    "conv3": ("conv3",),
    "conv4": ("conv4",),
    "conv3-conv4": ("conv3", "conv4"),
    "nowhere": (),
    "everywhere": ("conv2", "conv3", "conv4"),
}
_PATTERN_TITLES = {
    "conv3": "at conv3 (the paper's place)",
    "conv4": "at conv4",
    "conv3-conv4": "at conv3 and conv4",
    "nowhere": "nowhere before the classifier",
    "everywhere": "everywhere",
}


def parameters(network: Network) -> int:
    """How many parameters `build` gives this network, for images of 32 × 32 pixels."""
    return sum(p.numel() for p in build(network, 32, 10, 0).parameters())


def equal_width(talk: Sequence[str], goal: int) -> int:
    """The even width of conv3 and conv4 that brings `columns_net` nearest to `goal` parameters."""
    totals = {w: sum(s.weights + s.biases for s in count(columns_net(talk, w))) for w in range(32, 161, 2)}
    return min(totals, key=lambda w: abs(totals[w] - goal))


def _exchange_variants() -> tuple[Variant, ...]:
    paper = columns_net(PATTERNS["conv3"])
    goal = sum(s.weights + s.biases for s in count(paper))
    found = [
        Variant(
            name,
            _PATTERN_TITLES[name],
            columns_net(talk, equal_width(talk, goal)),
            0.01,
            (0.002, 0.005, 0.01),
        )
        for name, talk in PATTERNS.items()
    ]
    half = columns_net(("conv2", "conv3", "conv4"), columns=1, kernels=2)
    return (*found, Variant("half", "one column, half the kernels (§3.2)", half, 0.01, (0.002, 0.005, 0.01)))


SMALL_SIDE = 24  # pixels; the side of the crops in the authors' CIFAR-10 files


def small_alexnet(dropout: str | None = None, std: float | None = None, bias: float = 0.0) -> Architecture:
    """AlexNet made small: three convolutions with pooling, two hidden layers of 512, a classifier.

    dropout: a step of `architecture.STEPS` after each hidden layer, or None.
    std: of all weights; None takes N(0, 2 / fan-in). bias: where the biases start in the second
    convolution and the hidden layers, as §5 has it for the paper's network; elsewhere 0.
    For images of 24 × 24 pixels, 653,834 parameters.
    """
    hidden = ("relu",) if dropout is None else ("relu", dropout)
    layers = (
        Layer("conv1", 32, 5, 1, 2, "both", ("relu", "pool")),
        Layer("conv2", 64, 5, 1, 2, "both", ("relu", "pool"), bias=bias),
        Layer("conv3", 64, 3, 1, 1, "both", ("relu", "pool")),
        Layer("fc4", 512, None, after=hidden, bias=bias),
        Layer("fc5", 512, None, after=hidden, bias=bias),
        Layer("fc6", 10, None, after=()),
    )
    plain = Architecture("small", layers, 1, side=SMALL_SIDE)
    if std is None:
        return scaled_by_fan_in(plain)
    return replace(plain, layers=tuple(replace(layer, std=std) for layer in layers))


CROPS = ("crop", "flip")
PAPER_RULE: dict[str, Any] = {  # §5, and the biases of the configurations
    "rule": "paper",
    "weight_decay": 0.0005,
    "bias_rate": 2.0,
    "decay_biases": False,
}
SCHEDULE_EPOCHS = 24
_LOGGED_DROPS = LOGGED["145-2010"].compressed(SCHEDULE_EPOCHS).drops


MAIN_AUGMENTATIONS = ("none", "crops-flips", "crops-flips-colour")


def _augmentation_variants() -> tuple[Variant, ...]:
    rows = {
        "none": ("none", ()),
        "crops-flips": ("crops and reflections (§4.1)", CROPS),
        "crops-flips-colour": ("crops, reflections, colour PCA (§4.1)", (*CROPS, "colour")),
        "colour": ("colour PCA", ("colour",)),
        "rotation": ("rotation, ±15°", ("rotate",)),
        "scaling": ("scaling, 0.8–1.25", ("scale",)),
        "noise": ("noise, 10 grey levels", ("noise",)),
        "upside-down": ("vertical reflections", ("upside-down",)),
    }
    return tuple(
        Variant(name, title, small_alexnet(), 0.005, (0.005,), steps) for name, (title, steps) in rows.items()
    )


def _of_small_alexnet(
    name: str,
    title: str,
    variants: Iterable[Variant],
    epochs: float,
    drops: tuple[float, ...] = (),
    **other: Any,
) -> Study:
    """A study of `small_alexnet`: three seeds, standardized crops of 24 pixels, no search."""
    settings: dict[str, Any] = {"standardized": True, "crop": SMALL_SIDE, **other}
    return Study(name, title, tuple(variants), epochs, drops, seeds=3, search_epochs=0, **settings)


FEW = 10_000  # training images: few enough to be learned by heart

STUDIES = {
    s.name: s
    for s in (
        Study(
            "norms",
            "Normalization in the four-layer network",
            (
                Variant("none", "none", _four_layers("none"), 0.002, (0.002, 0.005)),
                Variant("lrn", "LRN (§3.3 as printed)", _four_layers("lrn"), 0.005, (0.002, 0.005)),
                Variant("batch", "batch normalization", _four_layers("batch"), 0.01),
                Variant(
                    "within-map",
                    "within a map (run 145)",
                    _four_layers("within-map"),
                    0.002,
                    (0.002, 0.005),
                ),
                Variant("lrn-code", "LRN (the authors' α/n)", _four_layers("lrn-code"), 0.005),
            ),
            epochs=8,
            drops=(6.0,),
            seeds=3,
            search_epochs=3,
        ),
        Study(
            "pooling",
            "Overlapping pooling in the four-layer network",
            (
                Variant("z2", "z = 2, s = 2", _four_layers(window=2, pool="max"), 0.002, (0.001, 0.002)),
                Variant(
                    "z3",
                    "z = 3, s = 2 (overlapping)",
                    _four_layers(window=3, pool="max"),
                    0.002,
                    (0.001, 0.002),
                ),
            ),
            epochs=10,
            drops=(8.0,),
            seeds=4,
            search_epochs=3,
            shifts=True,
        ),
        Study(
            "exchange",
            "Where two columns read each other",
            _exchange_variants(),
            epochs=4,
            drops=(3.0,),
            seeds=3,
            search_epochs=1,
            standardized=True,
        ),
        Study(
            "lrn-long",
            "The network of 13% test error, with and without LRN",
            (
                Variant("none", "none", "none", 0.001),
                Variant("lrn", "LRN (n = 9, α = 0.001, β = 0.75, k = 1, α/n)", "lrn-9", 0.001),
            ),
            epochs=36,
            drops=(28.0, 33.0),
            seeds=1,
            search_epochs=0,
            crop=24,
            decays=(("local", 0.004), ("classifier", 0.004)),
        ),
        _of_small_alexnet(
            "augmentation",
            "What is done to the training images",
            _augmentation_variants(),
            epochs=24,
            drops=(20.0,),
            train_images=FEW,
        ),
        _of_small_alexnet(
            "augmentation-long",
            "What is done to the training images, trained longer",
            (v for v in _augmentation_variants() if v.name in MAIN_AUGMENTATIONS),
            epochs=60,
            drops=(50.0,),
            train_images=FEW,
        ),
        _of_small_alexnet(
            "dropout",
            "Dropout in the two hidden layers",
            (
                Variant(name, title, small_alexnet(step), rates[0], rates, ())
                for name, title, step, rates in (
                    ("none", "without", None, (0.005,)),
                    ("2012", "dropout as in 2012", "dropout", (0.01, 0.005)),
                    ("inverted", "inverted dropout", "inverted_dropout", (0.005,)),
                )
            ),
            epochs=36,
            train_images=FEW,
        ),
        _of_small_alexnet(
            "decay",
            "Weight decay and the training error",
            (
                Variant(
                    f"{decay:g}",
                    f"weight decay {decay:g}",
                    small_alexnet(),
                    0.005,
                    (0.005,),
                    CROPS,
                    tuple({**PAPER_RULE, "weight_decay": decay}.items()),
                )
                for decay in (0.0, 0.0005)
            ),
            epochs=10,
            drops=(8.0,),
        ),
        _of_small_alexnet(
            "start",
            "Biases that start at 1",
            (
                Variant(
                    name,
                    f"N(0, 0.01²), biases {bias:g}",
                    small_alexnet(None, 0.01, bias),
                    0.005,
                    (0.005,),
                    (),
                )
                for name, bias in (("zeros", 0.0), ("ones", 1.0))
            ),
            epochs=3,
            standardized=False,
            evals_per_epoch=5,
        ),
        _of_small_alexnet(
            "schedule",
            "When the learning rate falls",
            (
                Variant(
                    name,
                    title,
                    small_alexnet("dropout"),
                    0.02,
                    (),
                    CROPS,
                    tuple({**PAPER_RULE, **own}.items()),
                )
                for name, title, own in (
                    ("constant", "never", {}),
                    (
                        "plateau",
                        "when the validation error stalls (§5)",
                        {"plateau": PlateauSchedule(patience=3)},
                    ),
                    ("logged", "as in run 145-2010, compressed", {"drops": _LOGGED_DROPS}),
                )
            ),
            epochs=SCHEDULE_EPOCHS,
            train_images=FEW,
            validates=True,
        ),
    )
}


def build(network: Network, side: int, classes: int, seed: int) -> nn.Module:
    """The network with the weights that `seed` draws, for images of side × side pixels."""
    generator = torch.Generator().manual_seed(1_000_003 + seed)
    if isinstance(network, CifarNetConfig):
        return FourLayerNet(replace(network, image_size=side, classes=classes), generator)
    if isinstance(network, str):
        return ConvLocalNet(network, side, classes, generator)
    layers = (*network.layers[:-1], replace(network.layers[-1], outputs=classes))
    return AlexNet(replace(network, side=side, layers=layers), generator=generator)
