"""What flows through the layers of a network on one batch: saturation, scales, gradients.

`LayerProbe` trains the four-layer network a few steps, quickly enough for a control that is moved.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from alexnet_edu.data.images import Images
from alexnet_edu.model.cifar import ACTIVATIONS, CifarNetConfig, FourLayerNet, activation_layers

SATURATED_SLOPE = 0.05  # a unit counts as saturated where f′ is below 5% of its maximum
STEPS = (0, 3, 10, 30, 100)  # where a training stops to be measured
INPUT_SCALES = ("raw", "standardized")
BATCH = 32  # images per step: small, so that the answer comes soon
POOL, PROBED = 1_024, 100  # images trained on; further images on which the layers are measured
MOMENTUM = 0.9
TOO_LARGE = 1e4  # nats; a loss beyond this has diverged
BINS = 60
SAMPLED = 60_000  # values per histogram, of up to three million


@dataclass(frozen=True)
class LayerStatistics:
    """What one activation layer and the weights before it do on a batch.

    saturated: share (0–1) of values where the slope f′ is below 5% of its maximum; for
        ReLU that is the share of values that are off.
    dead: share of units that are saturated for every image of the batch.
    input_std, output_std: standard deviation of f's input and output.
    gradient_norm: ‖∂L/∂W‖ of the weights that feed this layer; `weight_norm`: ‖W‖.
    """

    name: str
    saturated: float
    dead: float
    input_std: float
    output_std: float
    gradient_norm: float
    weight_norm: float


@dataclass(frozen=True)
class Captured:
    """Inputs, outputs and loss gradients of chosen layers for one batch, all detached."""

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    gradients: dict[str, Tensor]
    loss: float


def capture(model: nn.Module, layers: Mapping[str, nn.Module], x: Tensor, labels: Tensor) -> Captured:
    """Runs one batch forward and backward and keeps what flows through `layers`.

    x: (N, …) as the model takes it; labels: (N,) int64. Gradients are those of the mean
    cross-entropy with respect to each layer's output. Fills the parameters' `.grad`.
    """
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(_: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            inputs[name], outputs[name] = args[0], output
            output.retain_grad()

        return hook

    handles = [layer.register_forward_hook(keep(name)) for name, layer in layers.items()]
    try:
        model.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
    finally:
        for handle in handles:
            handle.remove()
    gradients = {}
    for name, output in outputs.items():
        assert output.grad is not None
        gradients[name] = output.grad
    return Captured(
        {name: z.detach() for name, z in inputs.items()},
        {name: y.detach() for name, y in outputs.items()},
        gradients,
        loss.item(),
    )


def slope(function: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """f′(z), element by element, the same shape as z."""
    z = z.detach().float().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(function(z).sum(), z)
    return gradient


def layer_statistics(
    model: nn.Module,
    layers: Mapping[str, tuple[nn.Module, nn.Module]],
    x: Tensor,
    labels: Tensor,
) -> list[LayerStatistics]:
    """Statistics of each activation layer on one batch.

    layers: name -> (activation module, the weighted module before it).
    """
    captured = capture(model, {name: f for name, (f, _) in layers.items()}, x, labels)
    rows = [_statistics(captured, name, *modules) for name, modules in layers.items()]
    model.zero_grad(set_to_none=True)
    return rows


def _statistics(captured: Captured, name: str, function: nn.Module, weighted: nn.Module) -> LayerStatistics:
    """Of one layer, while the gradient of its weights is there."""
    z, y = captured.inputs[name].float(), captured.outputs[name].float()
    steepest = slope(function, torch.linspace(-6, 6, 241)).abs().max()
    flat = slope(function, z).abs() < SATURATED_SLOPE * steepest
    weight = weighted.get_parameter("weight")
    assert weight.grad is not None
    return LayerStatistics(
        name,
        flat.float().mean().item(),
        flat.all(0).float().mean().item(),
        z.std().item(),
        y.std().item(),
        weight.grad.norm().item(),
        weight.detach().norm().item(),
    )


# --- a network trained a few steps ------------------------------------------------------------


Histogram = tuple[NDArray[np.float64], NDArray[np.float64]]  # counts (BINS,), increasing edges (BINS + 1,)


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


@dataclass(frozen=True)
class LayerView:
    """One activation layer on the probed images, reduced to what is drawn.

    passed: Σ|f′·g| / Σ|g| (0–1) over all values, g being the gradient that arrives at f.
    off: share (0–1) of outputs that are exactly 0. They are left out of `outputs`.
    arriving, leaving: histograms of log10|g| and log10|f′·g|; zeros are left out.
    Histograms count a sample of SAMPLED values, evenly spaced over images and units.
    """

    statistics: LayerStatistics
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
    Raises ValueError for too few images.
    """

    def __init__(self, images: Images, seed: int = 0) -> None:
        if len(images) < PROBED + BATCH:
            raise ValueError(f"need at least {PROBED + BATCH} images, got {len(images)}")
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
        self._first: dict[tuple[Settings, int], Tensor] = {}
        self._last: _Training | None = None

    def view(self, settings: Settings, steps: int) -> NetworkView:
        """The network after `steps` steps of SGD; remembered, and continued where possible."""
        if (settings, steps) not in self._views:
            with _one_thread():
                self._views[settings, steps] = self._trained(settings, steps).measured()
        return self._views[settings, steps]

    def first_responses(self, settings: Settings, steps: int) -> Tensor:
        """z of the first convolution on the PROBED images, before the activation: (PROBED, C, H, W)."""
        if (settings, steps) not in self._first:
            with _one_thread():
                training = self._trained(settings, steps)
                z: Tensor = training.net.features[0](training.x[:PROBED])
            self._first[settings, steps] = z.detach().contiguous()
        return self._first[settings, steps]

    def _trained(self, settings: Settings, steps: int) -> _Training:
        if self._last is None or self._last.settings != settings or self._last.step > steps:
            self._last = _Training(self, settings)
        self._last.train_to(steps)
        return self._last


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """One thread: the numbers do not depend on how many there are, and batches this small gain little."""
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
        self.x = probe.pixels / {"raw": 1.0, "standardized": probe.std}[settings.scale]
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
        captured = capture(self.net, {name: f for name, (f, _) in layers.items()}, x, y)
        weight = self.net.classifier.weight
        assert weight.grad is not None
        statistics = [_statistics(captured, name, *modules) for name, modules in layers.items()]
        span = _exponent_span(captured.gradients.values())
        views = tuple(_layer_view(self.settings.activation, s, captured, span) for s in statistics)
        return NetworkView(views, captured.loss, weight.grad.norm().item(), self.step, self.diverged)


def _layer_view(
    activation: str, statistics: LayerStatistics, captured: Captured, span: tuple[int, int]
) -> LayerView:
    name = statistics.name
    z, y, g = captured.inputs[name], captured.outputs[name], captured.gradients[name]
    left = g * slope(ACTIVATIONS[activation], z)
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
    """Whole powers of ten between which these gradients lie, from four decades to ten."""
    exponents = [e for g in gradients if len(e := _exponents(_sample(g)))]
    if not exponents:  # every gradient is 0: any span will do
        return -8, 0
    low = math.floor(min(e.quantile(0.02).item() for e in exponents)) - 1
    high = math.ceil(max(e.quantile(0.999).item() for e in exponents))
    return min(max(low, high - 10), high - 4), high


def _histogram(values: Tensor, low: float, high: float) -> Histogram:
    """Counts of `values` in BINS equal bins from low to high; what lies outside is left out."""
    counts = torch.histc(values, BINS, low, high)
    return counts.double().numpy(), np.linspace(low, high, BINS + 1)
