"""Widgets: what a change of a control does, what is saved, and what an error shows."""

from __future__ import annotations

import base64
import gc
import html
import io
import re
import weakref

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from traitlets import TraitError

from alexnet_edu.data.images import Images
from alexnet_edu.lessons import relu as layer_probe
from alexnet_edu.lessons.relu import LayerProbe, Settings
from alexnet_edu.model.cifar import ACTIVATIONS
from alexnet_edu.show import explorer as widgets


@pytest.fixture(scope="module")
def images() -> Images:
    """200 smooth random images of 16×16 pixels; class c is brighter in colour channel c."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (200,), generator=generator)
    coarse = 60 * torch.randn(200, 3, 4, 4, generator=generator)
    coarse[torch.arange(200), labels] += 40
    pixels = torch.nn.functional.interpolate(coarse + 110, size=16, mode="bilinear")
    return Images(pixels.clamp(0, 255).to(torch.uint8), labels, ("a", "b", "c"), "test images")


def _pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def _shown(widget: widgets.PictureWidget) -> tuple[str, bytes]:
    """Alternative text and PNG as the browser gets them."""
    match = re.search(r'<img alt="([^"]*)".*src="data:image/png;base64,([^"]+)"', widget.picture.value)
    assert match is not None, widget.picture.value
    return html.unescape(match[1]), base64.b64decode(match[2])


def _broken_at_two(x: int) -> tuple[Figure, str]:
    if x == 2:
        raise ValueError("no picture of <2> & more")
    figure = Figure(figsize=(2, 1))
    figure.add_subplot().plot([0, x])
    return figure, f'a line to "{x}" & <back>'


@pytest.fixture
def line() -> widgets.PictureWidget:
    return widgets.PictureWidget({"x": ipywidgets.IntSlider(1, 0, 5)}, _broken_at_two)


def test_a_changed_control_changes_picture_and_alternative_text(line: widgets.PictureWidget) -> None:
    first = _shown(line)
    line.controls["x"].value = 3
    second = _shown(line)
    assert first[0] == 'a line to "1" & <back>'
    assert second[0] == 'a line to "3" & <back>'
    assert (_pixels(first[1]) != _pixels(second[1])).any()
    line.controls["x"].value = 1
    assert _shown(line) == first


def test_the_saved_output_holds_view_picture_and_text(line: widgets.PictureWidget) -> None:
    line.controls["x"].value = 4
    bundle = line._repr_mimebundle_()
    view = bundle["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] == line.model_id
    assert bundle["text/plain"] == 'a line to "4" & <back>'
    assert (_pixels(base64.b64decode(bundle["image/png"])) == _pixels(_shown(line)[1])).all()


def test_an_error_while_drawing_is_shown_and_goes_away(line: widgets.PictureWidget) -> None:
    before = _shown(line)
    line.controls["x"].value = 2
    assert line.error == "ValueError: no picture of <2> & more"
    assert "ValueError: no picture of &lt;2&gt; &amp; more" in line.picture.value
    assert "_broken_at_two" in line.picture.value  # where it happened
    assert "<img" not in line.picture.value
    bundle = line._repr_mimebundle_()
    assert bundle["text/plain"] == line.error
    assert "image/png" not in bundle
    line.controls["x"].value = 1
    assert line.error is None
    assert _shown(line) == before


def test_an_error_in_the_first_drawing_is_raised() -> None:
    with pytest.raises(ValueError, match="no picture of <2>"):
        widgets.PictureWidget({"x": ipywidgets.IntSlider(2, 0, 5)}, _broken_at_two)


def test_the_notice_is_there_only_while_drawing() -> None:
    seen = []

    def draw(x: int) -> tuple[Figure, str]:
        seen.append(made[0].status.value if made else None)
        return _broken_at_two(x)

    made: list[widgets.PictureWidget] = []
    made.append(widgets.PictureWidget({"x": ipywidgets.IntSlider(1, 0, 5)}, draw, notice="wait"))
    made[0].controls["x"].value = 2  # draws an error; the notice goes all the same
    assert made[0].status.value == ""
    assert seen == [None, "wait"]


def test_no_figure_outlives_its_drawing() -> None:
    figures: list[weakref.ref[Figure]] = []

    def draw(x: int) -> tuple[Figure, str]:
        figure, alt = _broken_at_two(x)
        figures.append(weakref.ref(figure))
        return figure, alt

    open_before = plt.get_fignums()
    widget = widgets.PictureWidget({"x": ipywidgets.IntSlider(1, 0, 5)}, draw)
    for x in (3, 4, 5):
        widget.controls["x"].value = x
    explorer = widgets.function_explorer()
    explorer.controls["std"].value = 10.0
    gc.collect()
    assert len(figures) == 4
    assert [ref() for ref in figures] == [None] * 4
    assert plt.get_fignums() == open_before


def test_every_control_has_a_label(images: Images) -> None:
    for widget in (widgets.function_explorer(), widgets.activation_explorer(images)):
        assert all(control.description and control.tooltip for control in widget.controls.values())


# --- one neuron ------------------------------------------------------------------------


def test_function_explorer_follows_both_controls() -> None:
    widget = widgets.function_explorer("tanh", 1.0)
    pictures = [_shown(widget)]
    widget.controls["std"].value = 10.0
    pictures.append(_shown(widget))
    widget.controls["activation"].value = "relu"
    pictures.append(_shown(widget))
    assert "tanh with inputs of standard deviation 1:" in pictures[0][0]
    assert "61% of the gradient" in pictures[0][0]
    assert "8% of the gradient" in pictures[1][0]
    assert "ReLU" in pictures[2][0]
    assert "50% of the gradient" in pictures[2][0]
    assert len({png for _, png in pictures}) == 3
    assert _pixels(pictures[0][1]).shape == (350, 900, 3)


def test_function_explorer_refuses_what_its_slider_cannot_show() -> None:
    with pytest.raises(ValueError, match=r"std must be from 0.1 to 100, got 1000"):
        widgets.function_explorer(std=1000)
    with pytest.raises(TraitError):
        widgets.function_explorer("softplus")


def test_mean_slope_has_its_exact_values() -> None:
    assert layer_probe.mean_slope("relu", [0.01, 1.0, 100.0]) == [0.5, 0.5, 0.5]
    # Far from 0 only a strip around it counts: ∫ f′ dz times the density at 0, which is 1/(std √2π).
    strip = (2 * torch.pi) ** -0.5 / 50
    assert layer_probe.mean_slope("tanh", [50.0]) == pytest.approx([2 * strip], rel=5e-3)
    assert layer_probe.mean_slope("sigmoid", [50.0]) == pytest.approx([strip], rel=5e-3)
    assert layer_probe.mean_slope("sigmoid", [1e-4]) == pytest.approx([0.25], rel=1e-6)
    assert layer_probe.mean_slope("abs-tanh", [0.5, 7.0]) == layer_probe.mean_slope("tanh", [0.5, 7.0])


def test_flat_zones_are_where_the_slope_is_five_percent_of_its_maximum() -> None:
    (low, off), *rest = layer_probe.flat_zones("relu")
    assert low == -np.inf
    assert off == pytest.approx(0, abs=0.01)
    assert rest == []
    (_, left), (right, _) = layer_probe.flat_zones("tanh")
    assert (left, right) == pytest.approx((-np.arctanh(0.95**0.5), np.arctanh(0.95**0.5)), abs=0.01)
    (_, left), (right, _) = layer_probe.flat_zones("sigmoid")
    assert (left, right) == pytest.approx((-2 * np.arctanh(0.95**0.5), 2 * np.arctanh(0.95**0.5)), abs=0.01)


# --- the layers of the network -----------------------------------------------------------


def test_activation_explorer_follows_every_control(images: Images) -> None:
    widget = widgets.activation_explorer(images)
    seen = [_shown(widget)]
    changes = {"steps": 3, "activation": "relu", "rate": 0.001, "init": "scaled", "scale": "standardized"}
    for name, value in changes.items():
        widget.controls[name].value = value
        assert widget.error is None
        seen.append(_shown(widget))
    alts, pngs = zip(*seen, strict=True)
    assert len(set(alts)) == len(set(pngs)) == 6
    assert "tanh" in alts[0]
    assert "layer 3 " in alts[0]
    assert "saturated" in alts[0]
    assert "after 3 steps" in alts[1]
    assert "ReLU" in alts[2]
    assert " off," in alts[2]
    assert "ε = 0.001" in alts[3]
    assert "scaled to the fan-in" in alts[4]
    assert "input standardized" in alts[5]
    widget.controls["scale"].value = "raw"
    assert _shown(widget) == seen[4]


def test_every_activation_and_initialization_is_drawn(images: Images) -> None:
    widget = widgets.activation_explorer(images, rate=0.1, steps=3)
    for init in ("gaussian-0.01", "cuda-convnet", "scaled"):
        widget.controls["init"].value = init
        for activation in ACTIVATIONS:
            widget.controls["activation"].value = activation
            assert widget.error is None, (activation, init, widget.error)
            assert _pixels(_shown(widget)[1]).shape == (660, 900, 3)


def test_synthetic_images_are_named_in_the_picture_text(images: Images) -> None:
    made = Images(images.pixels, images.labels, images.classes, images.source, synthetic=True)
    assert "SYNTHETIC" in widgets.activation_explorer(made).alt
    assert "SYNTHETIC" not in widgets.activation_explorer(images).alt


def test_same_numbers_by_whichever_way_and_number_of_threads(images: Images) -> None:
    settings = Settings("tanh", 0.01, "gaussian-0.01", "raw")
    probe = LayerProbe(images)
    probe.view(settings, 3)
    stepwise = probe.view(settings, 10)  # goes on from step 3
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2 if before == 1 else 1)
        at_once = LayerProbe(images).view(settings, 10)
    finally:
        torch.set_num_threads(before)
    assert stepwise.loss == at_once.loss
    assert [v.statistics for v in stepwise.layers] == [v.statistics for v in at_once.layers]
    assert probe.view(settings, 10) is stepwise
    assert torch.get_num_threads() == before


def test_probe_trains_like_sgd_with_momentum(images: Images) -> None:
    training = layer_probe._Training(LayerProbe(images), Settings("relu", 0.001, "scaled", "standardized"))
    reference = layer_probe._Training(LayerProbe(images), Settings("relu", 0.001, "scaled", "standardized"))
    optimizer = torch.optim.SGD(reference.net.parameters(), lr=0.001, momentum=0.9)
    training.train_to(4)
    for reference.step in range(4):
        optimizer.zero_grad()
        reference._forward().backward()
        optimizer.step()
    for mine, theirs in zip(training.net.parameters(), reference.net.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_training_on_the_probe_lowers_its_loss(images: Images) -> None:
    probe = LayerProbe(images)
    settings = Settings("relu", 0.005, "scaled", "standardized")
    assert probe.view(settings, 30).loss < probe.view(settings, 0).loss - 0.2


def test_a_diverged_network_is_shown_as_it_was_before(images: Images) -> None:
    probe = LayerProbe(images)
    view = probe.view(Settings("relu", 0.1, "scaled", "raw"), 30)
    assert view.diverged
    assert view.step < 30
    assert np.isfinite([v.statistics.gradient_norm for v in view.layers]).all()
    widget = widgets.activation_explorer(images, activation="relu", rate=0.1, init="scaled", steps=30)
    assert f"DIVERGED at step {view.step + 1}" in widget.alt


def test_raw_pixels_saturate_tanh_and_standardized_ones_do_not(images: Images) -> None:
    probe = LayerProbe(images)
    raw = probe.view(Settings("tanh", 0.01, "gaussian-0.01", "raw"), 0).layers[0]
    standardized = probe.view(Settings("tanh", 0.01, "gaussian-0.01", "standardized"), 0).layers[0]
    assert raw.statistics.input_std == pytest.approx(probe.std * standardized.statistics.input_std, rel=1e-4)
    assert raw.statistics.saturated > 0.3
    assert standardized.statistics.saturated == 0
    assert raw.passed < 0.6 < 0.95 < standardized.passed <= 1


def test_relu_lets_through_what_is_on(images: Images) -> None:
    layer = LayerProbe(images).view(Settings("relu", 0.01, "scaled", "standardized"), 0).layers[1]
    assert layer.off == pytest.approx(layer.statistics.saturated, abs=1e-6)
    assert layer.leaving.counts.sum() < layer.arriving.counts.sum()
    assert (layer.leaving.counts <= layer.arriving.counts).all()  # each gradient is kept or dropped whole


@pytest.mark.parametrize(
    ("count", "size", "message"),
    [(131, (16, 16), "need at least 132 images, got 131"), (140, (16, 20), r"square, got \(16, 20\)")],
)
def test_unfit_images_are_refused(count: int, size: tuple[int, int], message: str) -> None:
    pixels = torch.zeros(count, 3, *size, dtype=torch.uint8)
    with pytest.raises(ValueError, match=message):
        widgets.activation_explorer(
            Images(pixels, torch.zeros(count, dtype=torch.int64), ("a",), "test images")
        )


def test_unknown_settings_are_refused(images: Images) -> None:
    with pytest.raises(ValueError, match="unknown input scale 'log'"):
        Settings("tanh", 0.01, "scaled", "log")
    with pytest.raises(ValueError, match="unknown activation 'softplus'"):
        LayerProbe(images).view(Settings("softplus", 0.01, "scaled", "raw"), 0)
    with pytest.raises(ValueError, match="steps must be 0 or more, got -1"):
        LayerProbe(images).view(Settings("tanh", 0.01, "scaled", "raw"), -1)
