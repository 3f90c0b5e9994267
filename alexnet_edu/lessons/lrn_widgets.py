"""The explorer of notebook 02: the constants of response normalization, on real activities."""

from __future__ import annotations

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from alexnet_edu import paper
from alexnet_edu.data.images import Images
from alexnet_edu.lessons import lrn_plots
from alexnet_edu.lessons.lrn import STEPS, Constants, Responses
from alexnet_edu.show import plots
from alexnet_edu.show.explorer import PictureWidget, choice, slider

K = (0.5, 1.0, 2.0, 4.0)
N = (1, 3, 5, 7, 9, 15)
ALPHA = (0.0, 1e-5, 2e-5, 1e-4, 5e-4, 1e-3, 1e-2)
BETA = (0.0, 0.25, 0.5, 0.75, 1.0)
READINGS = (
    ("paper: α Σ over n maps", "paper"),
    ("2012 code, PyTorch: α/n Σ", "code"),
    ("misread: n × n places of one map", "one map"),
)
SOURCES = (
    (f"raw pixels, after {STEPS} steps", ("raw", STEPS)),
    ("raw pixels, before the first step", ("raw", 0)),
    (f"standardized, after {STEPS} steps", ("standardized", STEPS)),
)
SHOWN = 10  # images to choose from; all of them are in the histogram
BINS = 80


def lrn_explorer(images: Images, *, responses: Responses | None = None, seed: int = 0) -> PictureWidget:
    """What k, n, α, β and the reading of the formula do to the outputs of a first layer.

    images, seed: see `Responses`, which is made of them unless it is given. The constants start
    at those of §3.3, image and place at the strongest activity of all.
    """
    found = responses or Responses(images, seed)
    for _, source in SOURCES:
        found.before_relu(*source)  # now, so that every later change is drawn at once
    side = found.pixels.shape[-1]
    at = int(found.activities()[:SHOWN].amax(1).argmax())  # among all places of all images
    strongest, shown = at % side**2, at // side**2
    places = [(str(i), i) for i in range(side)]
    controls = {
        "k": slider("k", [(f"{v:g}", v) for v in K], paper.LRN_K, "the constant of the base"),
        "n": slider("n", [(str(v), v) for v in N], paper.LRN_N, "width of the window"),
        "alpha": slider("α", [(f"{v:g}", v) for v in ALPHA], paper.LRN_ALPHA, "weight of the sum"),
        "beta": slider("β", [(f"{v:g}", v) for v in BETA], paper.LRN_BETA, "the power"),
        "reading": choice("Formula", list(READINGS), "paper", "over what the squares are summed"),
        "source": choice("Activities", list(SOURCES), ("raw", STEPS), "which network they come from"),
        "image": slider("Image", [(str(i), i) for i in range(SHOWN)], shown, "which image is shown"),
        "row": slider("Row", places, strongest // side, "row of the place, from the top"),
        "column": slider("Column", places, strongest % side, "column of the place, from the left"),
    }

    def draw(
        k: float,
        n: int,
        alpha: float,
        beta: float,
        reading: str,
        source: tuple[str, int],
        image: int,
        row: int,
        column: int,
    ) -> tuple[Figure, str]:
        constants = Constants(k, n, alpha, beta, reading)
        return _draw(constants, found, source, image, (row, column), images)

    return PictureWidget(controls, draw, notice="computing …")


def _draw(
    constants: Constants,
    found: Responses,
    source: tuple[str, int],
    image: int,
    place: tuple[int, int],
    images: Images,
) -> tuple[Figure, str]:
    a = found.before_relu(*source)[:SHOWN].relu()
    b = constants.normalize(a)
    factors = b / a  # NaN where a unit is off
    here = factors[image, :, place[0], place[1]]
    most, least = _extremes(here)
    figure, ((picture, profile), (lowest, histogram)) = plots.widget_axes(2, 2, height=6.2)
    grid = picture.get_gridspec()
    assert grid is not None
    grid.set_width_ratios([1, 2.4])
    lrn_plots.draw_image(picture, found.pixels[image], place)
    plots.label_axes(picture, f"image {image}, the place framed", "", "")
    marks = {} if most is None or least is None else {most: "M", least: "L"}
    before, after = (t[image, :, place[0], place[1]] for t in (a, b))
    half = constants.n // 2
    window = None
    if most is not None and constants.reading != "one map":
        window = (max(0, most - half), min(len(before) - 1, most + half))
    lrn_plots.draw_before_after(profile, before, after, window=window, marks=marks)
    plots.label_axes(profile, "all maps at that place; M: inhibited most, L: least", "map", "activity")
    limits = _limits(factors)
    lrn_plots.draw_map(lowest, factors[image].nan_to_num(nan=torch.inf).amin(0), limits)
    plots.label_axes(lowest, "smallest b/a at each place", "dark: inhibited most", "")
    _draw_histogram(histogram, factors, limits, [(here[i].item(), letter) for i, letter in marks.items()])
    source_note = " (SYNTHETIC images)" if images.synthetic else ""
    label = next(text for text, value in SOURCES if value == source)
    heading = f"{_formula(constants)}; {label}{source_note}"
    figure.suptitle(heading, fontsize=plots.FONT_SIZE, x=0.045, ha="left")
    figure.subplots_adjust(left=0.045, right=0.985, top=0.89, bottom=0.085, hspace=0.34, wspace=0.17)
    return figure, _description(heading, factors, here, most, least)


def _extremes(factors: Tensor) -> tuple[int | None, int | None]:
    """The most and the least inhibited of the maps that are on; None where all are off."""
    on = ~factors.isnan()
    if not on.any():
        return None, None
    return int(factors.nan_to_num(nan=torch.inf).argmin()), int(factors.nan_to_num(nan=-torch.inf).argmax())


def _limits(factors: Tensor) -> tuple[float, float]:
    """The least and the largest factor; not the same, even where all are."""
    values = factors[~factors.isnan()]
    high = values.max().item()
    return min(values.min().item(), 0.98 * high), high


def _draw_histogram(
    ax: Axes, factors: Tensor, limits: tuple[float, float], marks: list[tuple[float, str]]
) -> None:
    values, margin = factors[~factors.isnan()], 0.06 * (limits[1] - limits[0])
    low, high = limits[0] - margin, limits[1] + margin
    edges = torch.linspace(low, high, BINS + 1)
    lrn_plots.draw_factor_histogram(ax, torch.histc(values, BINS, low, high), edges, marks)
    plots.label_axes(ax, f"b/a of all units that are on, {SHOWN} images", "b / a", "units")


def _formula(c: Constants) -> str:
    weight = {"paper": f"{c.alpha:g}", "code": f"{c.alpha:g}/{c.n}", "one map": f"{c.alpha:g}"}[c.reading]
    over = f"{c.n}×{c.n} places" if c.reading == "one map" else f"{c.n} map{'s' * (c.n > 1)}"
    return f"b = a / ({c.k:g} + {weight} · Σ a² over {over})^{c.beta:g}"


def _description(heading: str, factors: Tensor, here: Tensor, most: int | None, least: int | None) -> str:
    values = factors[~factors.isnan()]
    text = (
        f"{heading}: b/a lies between {values.min():.3g} and {values.max():.3g}, median {values.median():.3g}"
    )
    if most is None or least is None:
        return f"{text}; at the place that is framed every map is 0."
    return (
        f"{text}; at the place that is framed map {most} is inhibited most ({here[most]:.3g}) and map "
        f"{least} least ({here[least]:.3g})."
    )
