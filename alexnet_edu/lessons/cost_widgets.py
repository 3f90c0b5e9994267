"""The explorer of notebook 06: how long the full training takes, by arithmetic, on GPUs of then and now."""

from __future__ import annotations

import math

from matplotlib.figure import Figure

from alexnet_edu import paper
from alexnet_edu.lessons import imagenet as training_cost
from alexnet_edu.lessons import training_plots
from alexnet_edu.lessons.imagenet import DAY, DEVICES, TRAINING_IMAGES
from alexnet_edu.model.architecture import variant
from alexnet_edu.show.explorer import PictureWidget, choice, slider
from alexnet_edu.show.plots import label_axes, widget_axes

SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.8, 1.0)
FEEDS = (100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, math.inf)
KINDS = {"float32": "float32", "bfloat16": "bfloat16 where there is any"}


def cost_explorer(*, share: float = 0.35, feed: float = math.inf, kind: str = "bfloat16") -> PictureWidget:
    """Days of the full training on several machines.

    share: of the peak that is reached, one of SHARES. feed: images per second that are read
    meanwhile, one of FEEDS. kind: "float32" or "bfloat16". These are where the controls start; a
    value that is no option raises ipywidgets' TraitError.
    """
    controls = {
        "share": slider("Share of the peak", [(f"{s:.0%}", s) for s in SHARES], share, "that is reached"),
        "feed": slider("Images read per second", [(_many(f), f) for f in FEEDS], feed, "by all cores"),
        "kind": choice("Numbers", [(text, k) for k, text in KINDS.items()], kind, "type of the arithmetic"),
    }
    return PictureWidget(controls, _draw)


def _many(rate: float) -> str:
    return "as many as it takes" if math.isinf(rate) else f"{rate:,}"


def _draw(share: float, feed: float, kind: str) -> tuple[Figure, str]:
    wanted, images = training_cost.operations(variant("paper")), paper.EPOCHS * TRAINING_IMAGES
    days, late = {}, []
    for device in DEVICES.values():
        devices = paper.GPUS if device.name == paper.GPU_NAME else 1
        name = (
            f"{devices} × {device.name} ({device.year})" if devices > 1 else f"{device.name} ({device.year})"
        )
        computing = training_cost.seconds(wanted, device.peak(kind), share, devices)
        took, is_late = training_cost.fed_seconds(computing, images, feed)
        days[name] = (computing / DAY, took / DAY)
        late += [name] if is_late else []
    figure, ((ax,),) = widget_axes(1, 1, height=3.5)
    reading = None if math.isinf(feed) else images / feed / DAY
    training_plots.draw_days(ax, {n: d for n, (d, _) in days.items()}, reading, paper.TRAINING_DAYS)
    label_axes(ax, f"{paper.EPOCHS} epochs at {share:.0%} of the peak", "days, by arithmetic", "")
    figure.subplots_adjust(left=0.2, right=0.98, top=0.9, bottom=0.22)
    said = ", ".join(f"{name} {training_plots.in_words(took)}" for name, (_, took) in days.items())
    waits = f"; reading the images sets the pace for {', '.join(late)}" if late else ""
    alt = f"{paper.EPOCHS} epochs by arithmetic, {KINDS[kind]}, at {share:.0%} of the peak: {said}"
    return figure, f"{alt}; images read per second: {_many(feed)}{waits}"
