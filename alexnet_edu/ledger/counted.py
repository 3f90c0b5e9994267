"""What is counted for the claims each time: the figures that `claims.toml` names, and a verdict."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Sequence

from alexnet_edu import paper as p
from alexnet_edu.ledger.claims import FIGURES, Figures, claim_named, judged
from alexnet_edu.model.architecture import variant
from alexnet_edu.two_gpus import traffic

ROUNDING = 1e-12  # float64: what differs by less is equal
COUNTS: dict[str, Callable[..., Figures]] = {}


def counts(claim_id: str) -> Callable[[Callable[..., Figures]], Callable[..., Figures]]:
    """Registers the function that counts a claim's figures."""
    return lambda count: COUNTS.setdefault(claim_named(claim_id).id, count)


@counts("size-params")
def _parameters() -> Figures:
    return {"verdict": judged(math.isclose(FIGURES["sums"].parameters, p.PARAMETERS, rel_tol=0.02))}


@counts("size-neurons")
def _neurons() -> Figures:
    return {"verdict": judged(math.isclose(FIGURES["sums"].neurons, p.NEURONS, rel_tol=0.02))}


@counts("fig2-neurons")
def _neurons_by_layer() -> Figures:
    counted = (3 * p.INPUT_SIDE**2, *(layer.neurons for layer in p.LAYERS))
    same = [a == b for a, b in zip(counted, (p.INPUT_NEURONS, *p.FIGURE2_NEURONS), strict=True)]
    return {"counted": " – ".join(f"{n:,}" for n in counted), "verdict": judged(all(same), any(same))}


@counts("conv-share")
def _shares() -> Figures:
    shares = [share for name, share in FIGURES["sums"].share.items() if name.startswith("conv")]
    return {"verdict": judged(max(shares) <= p.CONV_SHARE_LIMIT)}


@counts("size-224")
def _first_side() -> Figures:
    steps, side = (p.INPUT_SIDE - p.CONV1_SIZE) / p.CONV1_STRIDE, p.LAYERS[0].side
    down, up = 1 + math.floor(steps), 1 + math.ceil(steps)
    return {"steps": steps, "down": down, "up": up, "verdict": judged(down == side, up == side)}


@counts("memory-3gb")
def _memory() -> Figures:
    alone = traffic.mib(traffic.memory_2012(variant("run145")))
    halves = [traffic.mib(traffic.memory_2012(variant("run145"), gpu=gpu)) for gpu in (0, 1)]
    return {"alone": alone, "halves": halves, "verdict": judged(alone > 1024 * p.GPU_MEMORY_GB > max(halves))}


@counts("two-gpu-comm")
def _traffic() -> Figures:
    sent = {name: size / 1e6 for name, size in traffic.sent_each_way(variant("paper")).items()}
    step = traffic.sent_per_step(variant("paper")) / 1e6
    named = set(sent) - {"fc8"} == {"conv3", "fc6", "fc7"}
    return {"sent": sent, "step": step, "verdict": judged(named and step < FIGURES["sums"].gradients)}


@counts("lrn-formula")
def _formula() -> Figures:
    loudest = math.sqrt(p.LRN_K / (p.LRN_ALPHA * p.LRN_N))
    return {"printed": loudest, "code": loudest * math.sqrt(p.LRN_N)}


@counts("aug-2048")
def _crops() -> Figures:
    crops = FIGURES["sums"].crops
    return {"verdict": judged(crops == p.AUGMENTATION_FACTOR, crops > p.AUGMENTATION_FACTOR)}


@counts("dropout-geomean")
def _geometric_mean(units: int = 8, classes: int = 5) -> Figures:
    """One softmax layer, all masks: the halved network against the renormalized geometric mean."""
    draw = random.Random(2012)
    h = [draw.gauss(0, 2) for _ in range(units)]
    w = [[draw.gauss(0, 1) for _ in range(units)] for _ in range(classes)]

    def log_softmax(inputs: Sequence[float]) -> list[float]:
        z = [math.fsum(a * b for a, b in zip(row, inputs, strict=True)) for row in w]
        top = max(z)
        norm = top + math.log(math.fsum(math.exp(v - top) for v in z))
        return [v - norm for v in z]

    masks = list(itertools.product((0, 1), repeat=units))
    thinned = [log_softmax([m * v for m, v in zip(mask, h, strict=True)]) for mask in masks]
    means = [math.exp(math.fsum(column) / len(masks)) for column in zip(*thinned, strict=True)]
    total = math.fsum(means)
    halved = [math.exp(v) for v in log_softmax([v / 2 for v in h])]
    worst = max(abs(m / total - v) for m, v in zip(means, halved, strict=True))
    verdict = judged(worst < ROUNDING)
    return {"masks": len(masks), "units": units, "worst": _below(worst), "verdict": verdict}


def _below(value: float) -> str:
    """A rounding error as a bound, the same words on every machine; a larger one as it is."""
    return f"less than {ROUNDING:g}" if value < ROUNDING else f"{value:.1e}"


@counts("sgd-rule")
def _rule(steps: int = 100) -> Figures:
    """The printed rule and PyTorch's on 1/2 h w², before and after ε falls to a tenth."""

    def run(inside: bool, drop: int | None) -> list[float]:
        w, v, path = 1.0, 0.0, []
        for i in range(steps):
            rate = p.LEARNING_RATE / (10 if drop is not None and i >= drop else 1)
            g = 2.0 * w + p.WEIGHT_DECAY * w
            v = p.MOMENTUM * v - rate * g if inside else p.MOMENTUM * v + g
            w += v if inside else -rate * v
            path.append(w)
        return path

    same = max(abs(a - b) for a, b in zip(run(True, None), run(False, None), strict=True))
    apart = max(abs(a - b) for a, b in zip(run(True, 50), run(False, 50), strict=True))
    coast = p.MOMENTUM / (1 - p.MOMENTUM)
    return {"same": _below(same), "apart": apart, "coast": coast, "coast_of_pytorch": coast / 10}
