"""What response normalization does to given activities: activities in, numbers out."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from alexnet_edu import paper
from alexnet_edu.data.images import Images
from alexnet_edu.model.layers import LocalResponseNorm, local_response_norm, map_response_norm
from alexnet_edu.studies.probe import LayerProbe, Settings

READINGS = ("paper", "code", "one map")


@dataclass(frozen=True)
class Constants:
    """The constants of §3.3, and how the sum is read.

    reading: "paper", α times the sum over n maps; "code", α/n times it; "one map", the common
    misreading, α times the sum over n × n places of the same map (n odd).
    """

    k: float = paper.LRN_K
    n: int = paper.LRN_N
    alpha: float = paper.LRN_ALPHA
    beta: float = paper.LRN_BETA
    reading: str = "paper"

    def __post_init__(self) -> None:
        if self.reading not in READINGS:
            raise ValueError(f"unknown reading {self.reading!r}; choose one of {', '.join(READINGS)}")

    def normalize(self, a: Tensor) -> Tensor:
        """a: (N, C, H, W) of any floating type; the result has its shape."""
        if self.reading == "one map":  # map_response_norm divides α by n²
            return map_response_norm(a, self.n, self.k, self.alpha * self.n**2, self.beta)
        return local_response_norm(a, self.n, self.k, self.alpha, self.beta, convention=self.reading)

    def factor(self, rms: Tensor) -> Tensor:
        """b/a where all of a unit's neighbours have this root mean square."""
        members = {"paper": self.n, "code": 1, "one map": self.n**2}[self.reading]
        return (self.k + self.alpha * members * rms**2) ** -self.beta


def window_rms(a: Tensor, n: int = paper.LRN_N) -> Tensor:
    """Root mean square over the n maps around each unit, in the shape of a: (N, C, H, W).

    Beyond the first and the last map there are zeros, as in the sum of §3.3. n: odd.
    """
    squares = (a * a)[:, None]  # (N, 1, C, H, W)
    mean = F.avg_pool3d(squares, (n, 1, 1), stride=1, padding=(n // 2, 0, 0))
    return mean[:, 0].sqrt()


# --- activities to look at ------------------------------------------------------------------

RATES = {"raw": 0.002, "standardized": 0.02}  # of the few steps; raw pixels want a smaller one
STEPS = 100


class Responses:
    """Outputs of the first convolution of the four-layer network, for a hundred images.

    The network has §5's weights, N(0, 0.01²), and ReLU; it is taken before its first step and
    after STEPS steps of 32 images, on both scales of the inputs. images, seed: see `LayerProbe`.
    """

    def __init__(self, images: Images, seed: int = 0) -> None:
        self.probe = LayerProbe(images, seed)
        self._found: dict[tuple[str, int], Tensor] = {}

    @property
    def pixels(self) -> Tensor:
        """The images themselves: (N, 3, H, W) uint8."""
        return self.probe.probed

    def before_relu(self, scale: str = "raw", steps: int = STEPS) -> Tensor:
        """z: (N, C, H, W). scale: "raw" or "standardized"."""
        if (scale, steps) not in self._found:
            settings = Settings("relu", RATES.get(scale, 0.001), "gaussian-0.01", scale)
            self._found[scale, steps] = self.probe.first_responses(settings, steps)
        return self._found[scale, steps]

    def activities(self, scale: str = "raw", steps: int = STEPS) -> Tensor:
        """a = max(0, z): (N, C, H, W)."""
        return self.before_relu(scale, steps).relu()


# --- in a network -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Shrinking:
    """One normalization layer at work, over all units that are on.

    rms: of its inputs; median, low, high: of b/a, and its 1% and 99% quantiles.
    """

    rms: float
    median: float
    low: float
    high: float


@torch.no_grad()
def shrinking(features: nn.Sequential, x: Tensor) -> list[Shrinking]:
    """What each `LocalResponseNorm` among `features` does to the batch x, in order."""
    return [_shrinking(a, b) for a, b in _normalized(features, x)]


def _normalized(features: nn.Sequential, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    for layer in features:
        y = layer(x)
        if isinstance(layer, LocalResponseNorm):
            yield x, y
        x = y


def _shrinking(a: Tensor, b: Tensor) -> Shrinking:
    factors = (b / a)[a > 0]
    factors = factors[:: len(factors) // 1_000_000 + 1]
    low, median, high = factors.quantile(torch.tensor([0.01, 0.5, 0.99])).tolist()
    return Shrinking(a.square().mean().sqrt().item(), median, low, high)


def kept_bytes(layer: nn.Module, x: Tensor) -> float:
    """What a layer keeps for its backward pass, in bytes for each byte of its input x."""
    kept: dict[int, int] = {}
    alive: list[Tensor] = []  # so that no place in memory is used twice

    def keep(t: Tensor) -> Tensor:
        alive.append(t)
        kept[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    x = x.detach().clone().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        layer(x)
    return sum(kept.values()) / (x.numel() * x.element_size())


class _Traffic(TorchDispatchMode):
    """Adds up the bytes that operations read and write; a view moves none."""

    def __init__(self) -> None:
        super().__init__()
        self.moved = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        read, written = ([t for t in tree_leaves(x) if isinstance(t, Tensor)] for x in ((args, kwargs), out))
        places = {t.untyped_storage().data_ptr() for t in read}
        view = all(t.untyped_storage().data_ptr() in places for t in written)
        if func._schema.is_mutable or not view:
            self.moved += sum(t.numel() * t.element_size() for t in (*read, *written))
        return out


def moved_bytes(function: Callable[[Tensor], object], x: Tensor) -> float:
    """What the steps of a function read and write, one after the other, in bytes for each byte of x.

    As if nothing were kept near the processor in between.
    """
    with torch.no_grad(), _Traffic() as traffic:
        function(x)
    return traffic.moved / (x.numel() * x.element_size())


def seconds_in_turn(functions: Mapping[str, Callable[[], object]], rounds: int = 5) -> dict[str, float]:
    """Median seconds of a call of each; they take turns, after one call of each that is not counted."""
    took: dict[str, list[float]] = {name: [] for name in functions}
    for round_ in range(rounds + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if round_:
                took[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in took.items()}
