"""The widget of notebook 09: masks drawn for a small network, their mean, and the scaled network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from matplotlib.figure import Figure
from torch import Tensor

from alexnet_edu.lessons import dropout as thinned
from alexnet_edu.lessons import dropout_plots
from alexnet_edu.show.explorer import PictureWidget, choice, slider
from alexnet_edu.show.plots import FONT_SIZE, label_axes, short, widget_axes

COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
KEEPS = tuple(i / 10 for i in range(1, 10))
UNITS = (8, 6)  # of the layers that are dropped out; the second in the deeper network alone
CLASSES = 4
DEPTHS = {1: "one softmax layer", 2: "a hidden layer, then softmax"}
FORMS = {"2012": "2012: kept units count once", "inverted": "inverted: kept units count 1/keep"}
ROWS = 12  # masks that are shown
HEIGHT = 4.7  # inches


@dataclass(frozen=True)
class _Picture:
    """What the widget draws. Distributions are logarithms: (K,) each; divergences in nats."""

    masks: Tensor
    each: Tensor  # (count, K) probabilities of the networks drawn
    means: dict[str, Tensor]
    drawn: dict[str, list[float]]  # for each of COUNTS
    whole: float
    networks: int


def dropout_explorer(
    *, count: int = 20, keep: float = 0.5, depth: int = 1, form: str = "2012", seed: int = 0
) -> PictureWidget:
    """Thinned networks of a small network: some of them drawn, and all of them averaged.

    count: masks drawn, one of COUNTS; keep: one of KEEPS; depth: 1 for a softmax layer that
    reads 8 units, 2 for a layer of 6 ReLUs between; form: "2012" or "inverted". These are where
    the controls start; a value that is no option raises ipywidgets' TraitError. Activities,
    weights and masks are drawn by `seed`. The geometric mean is over all 2^n networks, each
    as probable as its mask.
    """
    x, layers, uniforms = _network(seed)
    controls = {
        "count": slider("Masks drawn", [(str(c), c) for c in COUNTS], count, "thinned networks drawn"),
        "keep": slider("Keep", [(f"{k:g}", k) for k in KEEPS], keep, "probability that a unit is kept"),
        "depth": choice(
            "Network", [(label, d) for d, label in DEPTHS.items()], depth, "what reads the dropped units"
        ),
        "form": choice("Form", [(label, f) for f, label in FORMS.items()], form, "what is scaled, and when"),
    }

    @lru_cache(maxsize=40)
    def over_all(keep: float, depth: int, form: str) -> Tensor:
        return _mean_of_all(x, layers[depth], keep, form)

    def draw(count: int, keep: float, depth: int, form: str) -> tuple[Figure, str]:
        masks = (uniforms[:, : sum(UNITS[:depth])] < keep).double()
        every = over_all(keep, depth, form)
        return _draw(_picture(x, layers[depth], masks, every, count, keep, form), count, keep, depth, form)

    return PictureWidget(controls, draw)


def _network(seed: int) -> tuple[Tensor, dict[int, thinned.Layers], Tensor]:
    """(activities (1, 8), depth -> layers, uniforms (1000, 14) that the masks come from)."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    x = draw(1, UNITS[0]).abs() + 0.2
    flat = [(1.1 * draw(CLASSES, UNITS[0]), 0.3 * draw(CLASSES))]
    deep = [(draw(UNITS[1], UNITS[0]), 0.3 * draw(UNITS[1])), (draw(CLASSES, UNITS[1]), 0.3 * draw(CLASSES))]
    uniforms = torch.rand(COUNTS[-1], sum(UNITS), dtype=torch.float64, generator=generator)
    return x, {1: flat, 2: deep}, uniforms


def _gain(keep: float, form: str) -> float:
    """What a kept unit counts in training."""
    return 1.0 if form == "2012" else 1 / keep


def _logits(x: Tensor, layers: thinned.Layers, masks: Tensor, gain: float) -> Tensor:
    """(M, 1, K); masks: (M, all units)."""
    parts = masks.split(list(UNITS[: len(layers)]), dim=1)
    return thinned.thinned_logits(x, layers, [gain * part for part in parts])


def _mean_of_all(x: Tensor, layers: thinned.Layers, keep: float, form: str) -> Tensor:
    masks = thinned.all_masks(sum(UNITS[: len(layers)]))
    weights = thinned.probabilities(masks, keep)
    return thinned.geometric_mean(_logits(x, layers, masks, _gain(keep, form)), weights)[0]


def _picture(
    x: Tensor, layers: thinned.Layers, masks: Tensor, every: Tensor, count: int, keep: float, form: str
) -> _Picture:
    gain = _gain(keep, form)
    logits = _logits(x, layers, masks, gain)
    whole = thinned.whole_logits(x, layers, keep * gain).log_softmax(-1)[0]
    functions = {"drawn": thinned.geometric_mean, "arithmetic": thinned.arithmetic_mean}
    drawn = {
        name: [thinned.divergence(every, mean(logits[:c])[0]).item() for c in COUNTS]
        for name, mean in functions.items()
    }
    means = {"whole": whole, "geometric": every}
    means |= {name: mean(logits[:count])[0] for name, mean in functions.items()}
    return _Picture(
        masks[: min(count, ROWS)],
        logits[:count, 0].softmax(-1),
        means,
        drawn,
        thinned.divergence(every, whole).item(),
        2 ** masks.shape[1],
    )


def _draw(picture: _Picture, count: int, keep: float, depth: int, form: str) -> tuple[Figure, str]:
    figure, ((left, middle, right),) = widget_axes(1, 3, height=HEIGHT)
    left.set_position((0.02, 0.14, 0.15, 0.68))
    middle.set_position((0.235, 0.29, 0.37, 0.53))
    right.set_position((0.71, 0.29, 0.275, 0.53))
    dropout_plots.draw_masks(left, picture.masks.numpy(), "blue: kept")
    left.set_title(
        "the masks" if count <= ROWS else f"the first {ROWS} masks", fontsize=FONT_SIZE, loc="left"
    )
    means = {name: values.exp().numpy() for name, values in picture.means.items()}
    dropout_plots.draw_distributions(middle, picture.each.numpy(), means)
    label_axes(middle, f"{count} draws from {picture.networks:,} thinned networks", "class", "probability")
    dropout_plots.draw_divergence(right, COUNTS, picture.drawn, picture.whole, count)
    label_axes(right, "how far from the mean of all", "masks drawn", "KL divergence (nats)")
    facts = _facts(picture, count, keep, depth, form)
    figure.suptitle("\n".join(facts[:2]), fontsize=FONT_SIZE, x=0.02, ha="left")
    return figure, "; ".join(facts)


def _facts(picture: _Picture, count: int, keep: float, depth: int, form: str) -> list[str]:
    """The heading in two lines, and what else the alternative text says."""
    units = " + ".join(str(u) for u in UNITS[:depth])
    factor = "1" if form == "inverted" else f"{keep:g}"
    exact = picture.whole < 1e-12
    where = (
        "is the geometric mean of all"
        if exact
        else f"lies {short(picture.whole)} nats from the geometric mean of all"
    )
    at = COUNTS.index(count)
    drawn = {name: short(values[at]) for name, values in picture.drawn.items()}
    shares = ", ".join(f"{p:.1%}" for p in picture.means["whole"].exp().tolist())
    return [
        f"{DEPTHS[depth]}, {units} units, keep {keep:g}, {form} form; masks drawn: {count}",
        f"all units with outputs times {factor}: the network of the test {where}",
        f"geometric mean of those drawn {drawn['drawn']} nats from the geometric mean of all "
        f"{picture.networks:,} networks, arithmetic mean {drawn['arithmetic']}",
        f"classes in the network of the test: {shares}",
    ]
