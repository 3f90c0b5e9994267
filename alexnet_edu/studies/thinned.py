"""The thinned networks of one network (§4.2): masks, logits, means over them, what single units are worth.

A network stands in the form of 2012: a kept unit counts in full in training, every unit counts `keep` in
test.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

Layers = Sequence[tuple[Tensor, Tensor]]  # (weight (outputs, inputs), bias (outputs,)); ReLU between two

MOST_UNITS = 20  # 2^20 is a million networks
STEPS = ("dropout", "inverted_dropout")  # names of the steps of a stage; in the first nothing is rescaled

# --- masks -------------------------------------------------------------------------------------


def all_masks(n: int) -> Tensor:
    """Every mask of n units: (2^n, n) float64 of 0 and 1; row i holds the binary digits of i.

    Raises ValueError for n below 1 or above MOST_UNITS.
    """
    if not 1 <= n <= MOST_UNITS:
        raise ValueError(f"all masks are listed for 1 to {MOST_UNITS} units, got {n!r}")
    rows = torch.arange(2**n)[:, None] >> torch.arange(n - 1, -1, -1)
    return (rows & 1).double()


def draw_masks(count: int, n: int, keep: float, generator: torch.Generator) -> Tensor:
    """(count, n) float64 of 0 and 1: each unit is kept with probability `keep`.

    The same generator gives masks that grow with `keep`: what was kept stays kept.
    """
    return (torch.rand(count, n, dtype=torch.float64, generator=generator) < keep).double()


def probabilities(masks: Tensor, keep: float = 0.5) -> Tensor:
    """(M,): how probable each mask (M, n) is; over all masks they sum to 1."""
    kept = masks.sum(1)
    return keep**kept * (1 - keep) ** (masks.shape[1] - kept)


# --- networks ----------------------------------------------------------------------------------


def thinned_logits(x: Tensor, layers: Layers, masks: Sequence[Tensor]) -> Tensor:
    """(M, N, K): the logits of M thinned networks for N inputs.

    x: (N, n) what the first of `layers` reads. masks: for each layer (M, inputs), what is left
    of its inputs; a number other than 0 and 1 multiplies them.
    """
    h = x[None]
    for place, ((weight, bias), mask) in enumerate(zip(layers, masks, strict=True)):
        h = (h.relu() if place else h) * mask[:, None, :] @ weight.T + bias
    return h


def whole_logits(x: Tensor, layers: Layers, keep: float = 0.5) -> Tensor:
    """(N, K): the network of the test, with all units and what each layer reads times `keep`."""
    masks = [torch.full_like(weight[:1], keep) for weight, _ in layers]
    return thinned_logits(x, layers, masks)[0]


@torch.no_grad()
def read_head(network: nn.Module, inputs: Tensor, first: str) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """What the layer `first` reads before dropout (N, n), and the layers from there on; all float64.

    network: in test mode, as `model.AlexNet`. Where a layer reads through inverted dropout, or through none,
    its weights are doubled here: in the form of 2012 that is the same network. Raises ValueError if there is
    no such layer, and for a network in training mode.
    """
    stages = dict(network.stages.named_children())  # type: ignore[union-attr]
    if first not in stages:
        raise ValueError(f"the network has no layer {first!r}; it has {', '.join(stages)}")
    if network.training:
        raise ValueError("the network is in training mode and drops units at random; call network.eval()")
    names = list(stages)
    h = inputs
    layers: list[tuple[Tensor, Tensor]] = []
    for place, name in enumerate(names[: names.index(first)]):
        for step, part in stages[name].named_children():
            if step not in STEPS or names[place + 1] != first:  # not the dropout right before `first`
                h = part(h)
    for before, name in zip(("", *names), names, strict=False):
        if layers or name == first:
            weights = stages[name].get_submodule("weights")
            plain = before and hasattr(stages[before], STEPS[0])
            layers.append(
                (weights.weight.detach().double() * (1.0 if plain else 2.0), weights.bias.detach().double())
            )
    return h.flatten(1).double(), layers


# --- means over networks ---------------------------------------------------------------------


def geometric_mean(logits: Tensor, weights: Tensor | None = None) -> Tensor:
    """(N, K) logarithms: the geometric mean of the networks' distributions, divided by its sum.

    logits: (M, N, K); weights: (M,) that sum to 1, or None for equal ones.
    """
    return _mean(logits.log_softmax(-1), weights).log_softmax(-1)


def arithmetic_mean(logits: Tensor, weights: Tensor | None = None) -> Tensor:
    """(N, K) logarithms: the average of the networks' distributions; arguments as in `geometric_mean`."""
    return _mean(logits.softmax(-1), weights).log()


def divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p ‖ q) in nats over the last dimension; never below 0, but for rounding."""
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def _mean(values: Tensor, weights: Tensor | None) -> Tensor:
    return values.mean(0) if weights is None else torch.tensordot(weights, values, dims=([0], [0]))


# --- how much is lost with single units ----------------------------------------------------------


def without_each(x: Tensor, layers: Layers, keep: float = 0.5) -> Tensor:
    """(n, N, K): the logits in test when one of the n units of x (N, n) gives 0, each in turn."""
    (weight, bias), rest = layers[0], layers[1:]
    z = keep * x @ weight.T + bias
    without = (z - keep * x[:, unit, None] * weight[:, unit] for unit in range(x.shape[1]))
    return torch.stack([whole_logits(h.relu(), rest, keep) if rest else h for h in without])


def relative_change(logits: Tensor, whole: Tensor) -> Tensor:
    """(M,): root mean square change of the logits, over their own spread around each input's mean.

    A number added to all logits of an input changes no probability, so it does not count.
    """
    centered, around = (t - t.mean(-1, keepdim=True) for t in (logits, whole))
    return (centered - around).square().mean((-1, -2)).sqrt() / around.square().mean().sqrt()


def errors_with_masks(
    x: Tensor,
    layers: Layers,
    labels: Tensor,
    kept: Iterable[float],
    draws: int,
    generator: torch.Generator,
    keep: float = 0.5,
) -> dict[float, list[float]]:
    """Share kept in test -> the error (0–1) of each of `draws` thinned networks.

    What is left is multiplied by keep / share, so that every layer reads as much as it does in
    test, in the mean. x: (N, n); labels: (N,) int64.
    """
    sizes = [weight.shape[1] for weight, _ in layers]

    def error(share: float) -> float:
        masks = [draw_masks(1, n, share, generator) * (keep / share) for n in sizes]
        predicted = thinned_logits(x, layers, masks)[0].argmax(-1)
        return (predicted != labels).double().mean().item()

    return {share: [error(share) for _ in range(draws)] for share in kept}
