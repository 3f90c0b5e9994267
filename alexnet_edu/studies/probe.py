"""The layers of the four-layer network after a few steps of training: images in, numbers out.

It is small enough to answer when a control is moved: a hundred steps of 32 images take about two
seconds, fewer steps less.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from alexnet_edu.data.images import Images
from alexnet_edu.model.cifar import ACTIVATIONS, CifarNetConfig, FourLayerNet, activation_layers
from alexnet_edu.studies import signals

STEPS = (0, 3, 10, 30, 100)  # where a training stops to be measured
INPUT_SCALES = ("raw", "standardized")
BATCH = 32  # images per step: small, so that the answer comes soon
POOL, PROBED = 1_024, 100  # images trained on; further images on which the layers are measured
MOMENTUM = 0.9
TOO_LARGE = 1e4  # nats; a loss beyond this has diverged
BINS = 60
SAMPLED = 60_000  # values per histogram, of up to three million


@dataclass(frozen=True)
class Histogram:
    """counts: (BINS,) values per bin; edges: (BINS + 1,), increasing, in units of the quantity."""

    counts: NDArray[np.float64]
    edges: NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """How the network is made and trained.

    activation, init: as in `CifarNetConfig`, which raises ValueError for others.
    rate: learning rate ε; scale: one of INPUT_SCALES.
    """

    activation: str
    rate: float
    init: str
    scale: str

    def __post_init__(self) -> None:
        if self.scale not in INPUT_SCALES:
            raise ValueError(f"unknown input scale {self.scale!r}; choose one of {', '.join(INPUT_SCALES)}")


@dataclass(frozen=True)
class LayerView:
    """One activation layer on the probed images, reduced to what is drawn.

    passed: Σ|f′·g| / Σ|g| (0–1) over all values, g being the gradient that arrives at f.
    off: share (0–1) of outputs that are exactly 0. They are left out of `outputs`.
    arriving, leaving: histograms of log10|g| and log10|f′·g|; zeros are left out.
    Histograms count a sample of SAMPLED values, evenly spaced over images and units.
    """

    statistics: signals.LayerStatistics
    inputs: Histogram
    outputs: Histogram
    off: float
    passed: float
    arriving: Histogram
    leaving: Histogram


@dataclass(frozen=True)
class NetworkView:
    """The network after `step` steps; step is below what was asked for if it diverged."""

    layers: tuple[LayerView, ...]
    loss: float
    classifier_gradient: float
    step: int
    diverged: bool


class LayerProbe:
    """Trains the four-layer network a few steps and looks into its layers.

    images: at least PROBED + BATCH square images; POOL of them, drawn by `seed`, are
    trained on and PROBED others are measured. Their mean image is subtracted, and for
    "standardized" the result is divided by the standard deviation of all its pixels.
    The same settings give the same numbers on the same machine, however many threads it uses.
    Raises ValueError for too few images or images that are not square.
    """

    def __init__(self, images: Images, seed: int = 0) -> None:
        if len(images) < PROBED + BATCH:
            raise ValueError(f"need at least {PROBED + BATCH} images, got {len(images)}")
        if images.pixels.shape[2] != images.pixels.shape[3]:
            raise ValueError(f"images must be square, got {tuple(images.pixels.shape[2:])} pixels")
        generator = torch.Generator().manual_seed(seed)
        chosen = images.subset(torch.randperm(len(images), generator=generator)[: POOL + PROBED])
        with _one_thread():
            pixels = chosen.pixels.float()
            pixels -= pixels.mean(0)
            self.pixels = pixels.contiguous(memory_format=torch.channels_last)  # (POOL + PROBED, 3, H, W)
            self.std = pixels.std().item()
        self.labels, self.seed = chosen.labels, seed
        self.probed = chosen.pixels[:PROBED]  # (PROBED, 3, H, W) uint8, to be shown
        self.image_size, self.classes = pixels.shape[-1], len(images.classes)
        self._views: dict[tuple[Settings, int], NetworkView] = {}
        self._last: _Training | None = None

    def view(self, settings: Settings, steps: int) -> NetworkView:
        """The network after `steps` steps of SGD; remembered, and continued where possible."""
        if steps < 0:
            raise ValueError(f"steps must be 0 or more, got {steps}")
        if (settings, steps) not in self._views:
            with _one_thread():
                self._views[settings, steps] = self._trained(settings, steps).measured()
        return self._views[settings, steps]

    def first_responses(self, settings: Settings, steps: int) -> Tensor:
        """z of the first convolution on the PROBED images, before the activation: (PROBED, C, H, W)."""
        with _one_thread():
            training = self._trained(settings, steps)
            z: Tensor = training.net.features[0](training.x[:PROBED])
        return z.detach().contiguous()

    def _trained(self, settings: Settings, steps: int) -> _Training:
        if self._last is None or self._last.settings != settings or self._last.step > steps:
            self._last = _Training(self, settings)
        self._last.train_to(steps)
        return self._last


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """One thread, so that the numbers do not depend on how many there are.

    Batches this small gain little from a second thread, and beside other work they lose
    much: every one of the many short loops waits for the slower thread.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Training:
    """One network on its way: SGD with momentum, stopped before its loss explodes."""

    def __init__(self, probe: LayerProbe, settings: Settings) -> None:
        generator = torch.Generator().manual_seed(1_000_003 + probe.seed)
        config = CifarNetConfig(
            settings.activation, settings.init, image_size=probe.image_size, classes=probe.classes
        )
        net = FourLayerNet(config, generator)
        self.net = net.to(memory_format=torch.channels_last)
        self.settings, self.step, self.diverged = settings, 0, False
        self.weights = list(self.net.parameters())
        self.velocities = [torch.zeros_like(w) for w in self.weights]
        self.x = probe.pixels / (1.0 if settings.scale == "raw" else probe.std)
        self.y = probe.labels
        self.loss = self._forward()

    def _forward(self) -> Tensor:
        """Loss () of the batch of the current step."""
        trained_on = len(self.x) - PROBED
        index = PROBED + (torch.arange(BATCH) + self.step * BATCH) % trained_on
        return F.cross_entropy(self.net(self.x[index]), self.y[index])

    def train_to(self, target: int) -> None:
        """Steps up to `target`, or up to the last one that leaves a loss below TOO_LARGE."""
        while self.step < target and not self.diverged:
            before = {name: w.clone() for name, w in self.net.state_dict().items()}
            self._update()
            self.step += 1
            self.loss = self._forward()
            self.diverged = not self.loss.item() < TOO_LARGE  # so written, NaN is caught too
            if self.diverged:
                self.net.load_state_dict(before)
                self.step -= 1

    def _update(self) -> None:
        # By hand: importing torch.optim's first optimizer takes seconds, a first picture should not.
        gradients = torch.autograd.grad(self.loss, self.weights)
        with torch.no_grad():
            for w, v, g in zip(self.weights, self.velocities, gradients, strict=True):
                w.sub_(v.mul_(MOMENTUM).add_(g), alpha=self.settings.rate)

    def measured(self) -> NetworkView:
        """What the layers do on the probed images, with the weights as they stand."""
        x, y = self.x[:PROBED], self.y[:PROBED]
        layers = activation_layers(self.net)
        captured = signals.capture(self.net, {name: f for name, (f, _) in layers.items()}, x, y)
        weight = self.net.classifier.weight
        assert weight.grad is not None
        classifier_gradient = weight.grad.norm().item()
        statistics = signals.layer_statistics(self.net, layers, x, y)
        span = _exponent_span(captured.gradients.values())
        views = tuple(_layer_view(self.settings.activation, s, captured, span) for s in statistics)
        return NetworkView(views, captured.loss, classifier_gradient, self.step, self.diverged)


def _layer_view(
    activation: str, statistics: signals.LayerStatistics, captured: signals.Captured, span: tuple[int, int]
) -> LayerView:
    name = statistics.name
    z, y, g = captured.inputs[name], captured.outputs[name], captured.gradients[name]
    left = g * signals.slope(ACTIVATIONS[activation], z)
    total = g.abs().sum().item()
    some_z, some_y = _sample(z), _sample(y)
    return LayerView(
        statistics,
        _histogram(some_z, *_range(some_z)),
        _histogram(some_y[some_y != 0], *_range(some_y)),
        (y == 0).float().mean().item(),
        left.abs().sum().item() / total if total else 0.0,
        _histogram(_exponents(_sample(g)), *span),
        _histogram(_exponents(_sample(left)), *span),
    )


def _sample(values: Tensor) -> Tensor:
    """About SAMPLED of the values, evenly spaced: (M,)."""
    # An odd stride visits every row, column and channel in turn; their numbers are even.
    return values.reshape(-1)[:: (values.numel() // SAMPLED) | 1]


def _range(sample: Tensor) -> tuple[float, float]:
    """Where all but 0.4% of the values lie, and 0; never empty."""
    low = min(0.0, sample.quantile(0.002).item())
    high = max(0.0, sample.quantile(0.998).item())
    return (low, high) if high > low else (-1.0, 1.0)


def _exponents(values: Tensor) -> Tensor:
    """log10 of the sizes of all values that are not 0: (M,)."""
    return values[values != 0].abs().log10()


def _exponent_span(gradients: Iterable[Tensor]) -> tuple[int, int]:
    """Whole powers of ten between which these gradients lie, from four decades to ten.

    An image that is classified for certain has gradients of any smallness; beyond ten
    decades they are left out.
    """
    exponents = [e for g in gradients if len(e := _exponents(_sample(g)))]
    if not exponents:  # every gradient is 0: any span will do
        return -8, 0
    low = math.floor(min(e.quantile(0.02).item() for e in exponents)) - 1
    high = math.ceil(max(e.quantile(0.999).item() for e in exponents))
    return min(max(low, high - 10), high - 4), high


def _histogram(values: Tensor, low: float, high: float) -> Histogram:
    """Counts of `values` in BINS equal bins from low to high; what lies outside is left out."""
    counts = torch.histc(values, BINS, low, high)
    return Histogram(counts.double().numpy(), np.linspace(low, high, BINS + 1))
