"""Which networks are compared in the studies of §3.2 to §5, and how each is trained: data alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from alexnet_edu.environment import autocast
from alexnet_edu.model.architecture import Architecture, Layer, count, scaled_by_fan_in
from alexnet_edu.model.cifar import CifarNetConfig
from alexnet_edu.studies.engine import AT_END, Setting
from alexnet_edu.studies.study import CROPS, Study, Variant
from alexnet_edu.training.schedules import LOGGED, PlateauSchedule

SHIFTS = (1, 2, 3, 4)  # pixels by which test images are moved
SHIFTED_IMAGES = 2_000

# --- networks -------------------------------------------------------------------------------

SMALL_SIDE = 24  # pixels; the side of the crops in the authors' CIFAR-10 files
PATTERNS: dict[str, tuple[str, ...]] = {  # which layers of two columns read both
    "conv3": ("conv3",),
    "conv4": ("conv4",),
    "conv3-conv4": ("conv3", "conv4"),
    "nowhere": (),
    "everywhere": ("conv2", "conv3", "conv4"),
}


def columns_net(talk: Sequence[str], width: int = 96, columns: int = 2, kernels: int = 1) -> Architecture:
    """Four convolutions and a classifier in two columns, for 32 × 32 pixels; weights N(0, 2 / fan-in).

    talk: the layers after the first that read both columns; the classifier always does. width: kernels of
    the third and the fourth convolution. kernels: what all numbers of kernels but the last are divided by.
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


def equal_width(talk: Sequence[str]) -> int:
    """The even width of conv3 and conv4 that brings `columns_net` nearest to the paper's parameters."""
    goal = _parameters(columns_net(PATTERNS["conv3"]))
    return min(range(32, 161, 2), key=lambda width: abs(_parameters(columns_net(talk, width)) - goal))


def _parameters(network: Architecture) -> int:
    return sum(size.parameters for size in count(network))


def small_alexnet(dropout: str | None = None, std: float | None = None, bias: float = 0.0) -> Architecture:
    """AlexNet made small, for 24 × 24 pixels: three pooled convolutions, two hidden layers of 512.

    dropout: a step of `architecture.STEPS` after each hidden layer, or None. std: of all weights; None takes
    N(0, 2 / fan-in). bias: where biases start in the second convolution and the hidden layers, as in §5;
    elsewhere 0.
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


# --- variants -------------------------------------------------------------------------------

PAPER_RULE: dict[str, Any] = {  # §5, and the biases of the configurations
    "rule": "paper",
    "weight_decay": 0.0005,
    "bias_rate": 2.0,
    "decay_biases": False,
}
SCHEDULE_EPOCHS = 93  # as run 145-2010
MAIN_AUGMENTATIONS = ("none", "crops-flips", "crops-flips-colour")


def _norms() -> Iterator[Variant]:
    for norm, title, rate, rates in (
        ("none", "none", 0.002, (0.002, 0.005)),
        ("lrn", "LRN (§3.3 as printed)", 0.005, (0.002, 0.005)),
        ("batch", "batch normalization", 0.01, ()),
        ("within-map", "within a map (run 145)", 0.002, (0.002, 0.005)),
        ("lrn-code", "LRN (the authors' α/n)", 0.005, ()),
    ):
        yield Variant(norm, title, CifarNetConfig(norms=(norm, norm, "none")), rate, rates)


def _windows() -> Iterator[Variant]:
    for window, title in ((2, "z = 2, s = 2"), (3, "z = 3, s = 2 (overlapping)")):
        network = CifarNetConfig(pools=("max", "max", "max"), window=window)
        yield Variant(f"z{window}", title, network, 0.002, (0.001, 0.002))


def _exchange() -> Iterator[Variant]:
    titles = {
        "conv3": "at conv3 (the paper's place)",
        "conv4": "at conv4",
        "conv3-conv4": "at conv3 and conv4",
        "nowhere": "nowhere before the classifier",
        "everywhere": "everywhere",
    }
    networks = {name: columns_net(talk, equal_width(talk)) for name, talk in PATTERNS.items()}
    titles["half"] = "one column, half the kernels (§3.2)"
    networks["half"] = columns_net(PATTERNS["everywhere"], columns=1, kernels=2)
    for name, network in networks.items():
        yield Variant(name, titles[name], network, 0.01, (0.002, 0.005, 0.01))


def _augmentations() -> Iterator[Variant]:
    for name, title, steps in (
        ("none", "none", ()),
        ("crops-flips", "crops and reflections (§4.1)", CROPS),
        ("crops-flips-colour", "crops, reflections, colour PCA (§4.1)", (*CROPS, "colour")),
        ("colour", "colour PCA", ("colour",)),
        ("rotation", "rotation, ±15°", ("rotate",)),
        ("scaling", "scaling, 0.8–1.25", ("scale",)),
        ("noise", "noise, 10 grey levels", ("noise",)),
        ("upside-down", "vertical reflections", ("upside-down",)),
    ):
        yield Variant(name, title, small_alexnet(), 0.005, (0.005,), steps)


def _dropouts() -> Iterator[Variant]:
    for name, title, step, rates in (
        ("none", "without", None, (0.005,)),
        ("2012", "dropout as in 2012", "dropout", (0.01, 0.005)),
        ("inverted", "inverted dropout", "inverted_dropout", (0.005,)),
    ):
        yield Variant(name, title, small_alexnet(step), rates[0], rates, ())


def _decays() -> Iterator[Variant]:
    for decay in (0.0, 0.0005):
        changes = tuple({**PAPER_RULE, "weight_decay": decay}.items())
        title = f"weight decay {decay:g}"
        yield Variant(f"{decay:g}", title, small_alexnet(), 0.005, (0.005,), CROPS, changes)


def _starts() -> Iterator[Variant]:
    for name, bias in (("zeros", 0.0), ("ones", 1.0)):
        title = f"N(0, 0.01²), biases {bias:g}"
        yield Variant(name, title, small_alexnet(None, 0.01, bias), 0.005, (0.005,), ())


def _schedules() -> Iterator[Variant]:
    logged = LOGGED["145-2010"].drops
    for name, title, rule in (
        ("constant", "never", {}),
        ("plateau", "when the validation error stalls (§5)", {"plateau": PlateauSchedule(patience=5)}),
        ("logged", "as in run 145-2010", {"drops": logged}),
    ):
        changes = tuple({**PAPER_RULE, **rule}.items())
        yield Variant(name, title, small_alexnet("dropout"), 0.02, (), CROPS, changes)


# --- the studies ----------------------------------------------------------------------------

FEW = 10_000  # training images: few enough to be learned by heart


def _study(name: str, title: str, variants: Iterable[Variant], **settings: Any) -> Study:
    """Three seeds, and no search of the rate, where nothing else is said."""
    usual: dict[str, Any] = {"drops": (), "seeds": 3, "search_epochs": 0}
    return Study(name, title, tuple(variants), **{**usual, **settings})


def _small(name: str, title: str, variants: Iterable[Variant], **settings: Any) -> Study:
    """A study of `small_alexnet`, on standardized crops of 24 pixels."""
    usual: dict[str, Any] = {"inputs": "standardized", "crop": SMALL_SIDE, "at_end": ("nine_views",)}
    return _study(name, title, variants, **{**usual, **settings})


def _studies() -> Iterator[Study]:
    title = "Normalization in the four-layer network"
    yield _study("norms", title, _norms(), epochs=8, drops=(6.0,), search_epochs=3)

    title, ends = "Overlapping pooling in the four-layer network", ("shifted",)
    yield _study("pooling", title, _windows(), epochs=10, drops=(8.0,), seeds=4, search_epochs=3, at_end=ends)

    settings: dict[str, Any] = {"drops": (3.0,), "search_epochs": 1, "inputs": "standardized"}
    yield _study("exchange", "Where two columns read each other", _exchange(), epochs=4, **settings)

    lrn = "LRN (n = 9, α = 0.001, β = 0.75, k = 1, α/n)"
    yield _study(
        "lrn-long",
        "The network of 13% test error, with and without LRN",
        (Variant("none", "none", "none", 0.001), Variant("lrn", lrn, "lrn-9", 0.001)),
        epochs=36,
        drops=(28.0, 33.0),
        seeds=1,
        crop=24,
        at_end=("nine_views",),
        decays=(("local", 0.004), ("classifier", 0.004)),
    )

    title, few = "What is done to the training images", {"train_images": FEW}
    yield _small("augmentation", title, _augmentations(), epochs=24, drops=(20.0,), **few)
    main = (variant for variant in _augmentations() if variant.name in MAIN_AUGMENTATIONS)
    yield _small("augmentation-long", f"{title}, trained longer", main, epochs=60, drops=(50.0,), **few)

    yield _small("dropout", "Dropout in the two hidden layers", _dropouts(), epochs=36, **few)
    yield _small("decay", "Weight decay and the training error", _decays(), epochs=10, drops=(8.0,))
    yield _small("start", "Biases that start at 1", _starts(), epochs=3, inputs="raw", evals_per_epoch=5)

    yield _small(
        "schedule",
        "When the learning rate falls",
        _schedules(),
        epochs=SCHEDULE_EPOCHS,
        seeds=2,
        validates=True,
        measured=("test_error", "validation_error"),
        **few,
    )


STUDIES = {study.name: study for study in _studies()}


# --- what is measured at the end of a run --------------------------------------------------------


def _nine_views(model: nn.Module, setting: Setting) -> float:
    """Test error (0–1) when the softmax outputs of nine crops are averaged.

    The places are those of a 3 × 3 grid over the border, not mirrored: `convdata_cifar.py` 83.
    """
    side, judged = setting.prepare.side, setting.judged
    border = judged.pixels.shape[-1] - side
    places = (0, border // 2, border)
    wrong = 0
    for x, y in zip(judged.pixels.split(500), judged.labels.split(500), strict=True):
        views = [x[:, :, top : top + side, left : left + side] for top in places for left in places]
        total = sum(_probabilities(model, setting, view) for view in views)
        assert isinstance(total, Tensor)
        wrong += int((total.argmax(1) != y.cpu()).sum())
    return wrong / len(judged)


@torch.no_grad()
def _probabilities(model: nn.Module, setting: Setting, images: Tensor) -> Tensor:
    """Softmax outputs (N, C) float32, on the CPU."""
    model.eval()
    with autocast(images.device, setting.run.config.precision):
        return model(setting.prepare(images)).float().softmax(1).cpu()


def _shifted(model: nn.Module, setting: Setting) -> dict[str, float]:
    order = torch.randperm(len(setting.judged), generator=torch.Generator().manual_seed(0))
    some = setting.judged.pixels[order[:SHIFTED_IMAGES].to(setting.judged.pixels.device)]
    return shift_sensitivity(model, some, setting.prepare, precision=setting.run.config.precision)


@torch.no_grad()
def shift_sensitivity(
    model: nn.Module,
    pixels: Tensor,
    prepare: Callable[[Tensor], Tensor],
    shifts: Sequence[int] = SHIFTS,
    precision: str = "auto",
) -> dict[str, float]:
    """Share (0–1) of images whose predicted class changes when they move by so many pixels.

    pixels: (N, 3, H, W) uint8. The mean over moves to the left, right, up and down; what
    comes in from outside repeats the edge.
    """
    model.eval()

    def predicted(images: Tensor) -> Tensor:
        with autocast(images.device, precision):
            return torch.cat([model(prepare(part)).argmax(1) for part in images.split(500)])

    still = predicted(pixels)
    changed = {}
    for shift in shifts:
        moved = [
            (predicted(shifted(pixels, shift * dy, shift * dx)) != still).float().mean().item()
            for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0))
        ]
        changed[str(shift)] = round(sum(moved) / len(moved), 5)
    return changed


def shifted(images: Tensor, down: int, right: int) -> Tensor:
    """Images (N, C, H, W) moved by whole pixels; the edge is repeated."""
    rows = (torch.arange(images.shape[2]) - down).clamp(0, images.shape[2] - 1)
    columns = (torch.arange(images.shape[3]) - right).clamp(0, images.shape[3] - 1)
    return images[:, :, rows][:, :, :, columns]


AT_END |= {"nine_views": _nine_views, "shifted": _shifted}
