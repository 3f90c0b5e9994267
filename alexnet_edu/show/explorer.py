"""Pictures with controls: live in JupyterLab, a saved picture everywhere else.

A `PictureWidget` redraws one PNG whenever a control changes. It is displayed as a widget
and, in the same output, as that PNG with its alternative text, so a notebook that is only
read shows what was last drawn. This is the only module that imports ipywidgets.
"""

from __future__ import annotations

import base64
import html
import io
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import ipywidgets  # type: ignore[import-untyped]
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alexnet_edu.data.images import Images
from alexnet_edu.lessons.relu import (
    INPUT_SCALES,
    STEPS,
    LayerProbe,
    LayerView,
    NetworkView,
    Settings,
    flat_zones,
    mean_slope,
)
from alexnet_edu.model.cifar import ACTIVATIONS, INITS
from alexnet_edu.show import plots
from alexnet_edu.studies import signals

Draw = Callable[..., tuple[Figure, str]]


class PictureWidget(ipywidgets.VBox):  # type: ignore[misc]
    """Controls above a picture that follows them.

    controls: name -> ipywidgets control. A change of any control's `value` calls
        draw(name=value, …), which returns a figure and its alternative text.
    notice: shown beside the controls while drawing, where that takes a while.

    An exception in the first drawing is raised as usual. A later one, which Jupyter would
    hide in a log, is shown in place of the picture, until a drawing succeeds again.

    Attributes to read: `controls`, `alt` (the alternative text, or the error), `png`
    (bytes; None while an error is shown), `error` (None or one line).

    Drawing is not delayed or put in a queue: a front end of ipywidgets holds back the
    changes of one control until the kernel has answered the one before, and then sends
    the latest only.
    """

    def __init__(self, controls: Mapping[str, Any], draw: Draw, *, notice: str = "") -> None:
        self.controls = dict(controls)
        self.draw = draw
        self.notice = notice
        self.alt = ""
        self.png: bytes | None = None
        self.error: str | None = None
        self.picture = ipywidgets.HTML()
        self.status = ipywidgets.Label()
        row = ipywidgets.HBox(
            [*self.controls.values(), self.status],
            layout=ipywidgets.Layout(flex_flow="row wrap", align_items="center"),
        )
        self._show(*self._drawn())
        super().__init__([row, self.picture])
        for control in self.controls.values():
            control.observe(self._redraw, names="value")

    def _drawn(self) -> tuple[bytes, str]:
        figure, alt = self.draw(**{name: control.value for name, control in self.controls.items()})
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", facecolor="white")
        return buffer.getvalue(), alt

    def _redraw(self, _: object) -> None:
        self.status.value = self.notice
        try:
            self._show(*self._drawn())
        except Exception as error:  # whatever it is, the reader must see it: nobody else will
            self._show_error(error)
        finally:
            self.status.value = ""

    def _show(self, png: bytes, alt: str) -> None:
        self.png, self.alt, self.error = png, alt, None
        self.picture.value = (
            f'<img alt="{html.escape(alt)}" style="max-width: 100%; height: auto" '
            f'src="data:image/png;base64,{base64.b64encode(png).decode()}">'
        )

    def _show_error(self, error: Exception) -> None:
        self.error = self.alt = f"{type(error).__name__}: {error}"
        self.png = None
        details = "".join(traceback.format_exception(error))
        self.picture.value = (
            f'<div role="alert"><b>The picture could not be drawn.</b> {html.escape(self.error)}'
            f"<details><summary>Where it happened</summary><pre>{html.escape(details)}</pre></details></div>"
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The live widget, the picture, and the alternative text, in one output."""
        bundle = dict(super()._repr_mimebundle_(**kwargs))
        bundle["text/plain"] = self.alt
        if self.png is not None:
            bundle["image/png"] = base64.b64encode(self.png).decode()
        return bundle


class LiveWidget(PictureWidget):
    """A picture of something that goes on by itself, with buttons and a line of text above it.

    look() -> (line, goes on): called at the start, after a click, and every `every` seconds as long
    as it says that something goes on; `line` is plain text. draw: as in `PictureWidget`; called
    when `look` said something else than before. buttons: from `button`; a click calls `do` first,
    and what that raises is shown in the line.

    The looking is done by a thread, which the program does not wait for, so that it goes on while
    a cell is being executed. `close` ends it.
    """

    def __init__(
        self, look: Callable[[], tuple[str, bool]], draw: Draw, buttons: Sequence[Any], *, every: float = 2.0
    ) -> None:
        self.look, self.every, self.buttons = look, every, list(buttons)
        self.line = ipywidgets.Label()
        self._said, self._lock = "", threading.RLock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._said, goes_on = look()
        super().__init__({}, draw)
        self.line.value = self._said
        layout = ipywidgets.Layout(flex_flow="row wrap", align_items="center")
        self.children = [ipywidgets.HBox([*self.buttons, self.line], layout=layout), self.picture]
        for each in self.buttons:
            each.on_click(self._clicked)
        if goes_on:
            self._follow()

    @property
    def following(self) -> bool:
        """Whether it looks by itself now."""
        return self._thread is not None

    def refresh(self) -> bool:
        """Looks once, and draws where something has changed; whether it goes on."""
        with self._lock:
            said, goes_on = self.look()
            if said != self._said:
                self._said = self.line.value = said
                self._redraw(None)
            return goes_on

    def close(self) -> None:
        """Ends the looking and takes the widget from the page."""
        self._ended.set()
        super().close()

    def _clicked(self, clicked: Any) -> None:
        try:
            clicked.do()
        except Exception as error:  # nobody else would show it
            self.line.value = f"{type(error).__name__}: {error}"
            return
        with self._lock:
            if self.refresh():
                self._follow()

    def _follow(self) -> None:
        if not self.following:
            self._thread = threading.Thread(target=self._keep_looking, daemon=True)
            self._thread.start()

    def _keep_looking(self) -> None:
        while not self._ended.wait(self.every):
            with self._lock:  # so that no click falls between the last look and the end
                if not self.refresh():
                    self._thread = None
                    return

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        self.refresh()
        return super()._repr_mimebundle_(**kwargs)


class _Button(ipywidgets.Button):  # type: ignore[misc]
    def __init__(self, do: Callable[[], object], **options: Any) -> None:
        self.do = do
        super().__init__(**options)


def button(label: str, do: Callable[[], object], help_text: str) -> Any:
    """A button for a `LiveWidget`. do: what a click does, before the picture is looked at again."""
    return _Button(do, description=label, tooltip=help_text, layout=ipywidgets.Layout(width="auto"))


def choice(label: str, options: list[tuple[str, Any]], value: Any, help_text: str) -> Any:
    """A drop-down list. options: (what is shown, value)."""
    return ipywidgets.Dropdown(
        options=options,
        value=value,
        description=label,
        tooltip=help_text,
        style={"description_width": "initial"},
        layout=ipywidgets.Layout(width="auto", margin="2px 12px 2px 2px"),
    )


def slider(label: str, options: list[tuple[str, Any]], value: Any, help_text: str) -> Any:
    """A slider over a few values. options: (what is shown, value)."""
    # Not a list: JupyterLab takes the up and down keys of a list for itself, those of a slider not.
    return ipywidgets.SelectionSlider(
        options=options,
        value=value,
        description=label,
        tooltip=help_text,
        style={"description_width": "initial"},
        layout=ipywidgets.Layout(width="26em", margin="2px 12px 2px 2px"),
    )


def checkbox(label: str, value: bool, help_text: str) -> Any:
    """A box to tick."""
    return ipywidgets.Checkbox(
        value=value,
        description=label,
        tooltip=help_text,
        indent=False,
        layout=ipywidgets.Layout(width="auto", margin="2px 12px 2px 2px"),
    )


def upload(label: str, help_text: str) -> Any:
    """A button that takes one image file. Its `value` is () or ({"name": …, "content": bytes-like, …},)."""
    return ipywidgets.FileUpload(
        accept="image/*",
        multiple=False,
        description=label,
        tooltip=help_text,
        layout=ipywidgets.Layout(width="auto", margin="2px 12px 2px 2px"),
    )


def _activation_choice(value: str) -> Any:
    options = [(plots.STYLES[name].label, name) for name in ACTIVATIONS]
    return choice("Activation f", options, value, "the function that every neuron applies")


# --- one neuron --------------------------------------------------------------------------

SCALE_EXPONENTS = (-1.0, 2.0)  # inputs from 0.1 to 100, the range that images and weights give


def function_explorer(activation: str = "tanh", std: float = 1.0) -> PictureWidget:
    """One neuron: its function, its slope over the inputs, and what is left of a gradient.

    activation: a key of `ACTIVATIONS`; std: standard deviation of the inputs z, which are
    normally distributed around 0, from 0.1 to 100. Both are where the controls start.
    Raises ValueError for a std outside that range.
    """
    low, high = (10**e for e in SCALE_EXPONENTS)
    if not low <= std <= high:
        raise ValueError(f"std must be from {low:g} to {high:g}, got {std!r}")
    slider = ipywidgets.FloatLogSlider(
        value=std,
        min=SCALE_EXPONENTS[0],
        max=SCALE_EXPONENTS[1],
        step=0.05,
        description="Standard deviation of the inputs",
        tooltip="standard deviation of the inputs z",
        readout_format=".2f",
        style={"description_width": "initial"},
        layout=ipywidgets.Layout(width="42em"),
    )
    return PictureWidget({"activation": _activation_choice(activation), "std": slider}, _draw_function)


@cache
def _share_curves() -> tuple[list[float], dict[str, list[float]]]:
    """Standard deviations over the slider's range, and the mean slope of each activation there."""
    stds = np.logspace(*SCALE_EXPONENTS, 61).tolist()
    return stds, {name: mean_slope(name, stds) for name in ACTIVATIONS}


def _draw_function(activation: str, std: float) -> tuple[Figure, str]:
    f, label = ACTIVATIONS[activation], plots.STYLES[activation].label
    z = torch.linspace(-1, 1, 801) * max(4.0, 3 * std)
    density = torch.exp(-0.5 * (z / std) ** 2)
    (share,) = mean_slope(activation, [std])
    figure, ((left, middle, right),) = plots.widget_axes(1, 3, height=3.5)
    plots.draw_function(left, activation, z.numpy(), f(z).numpy())
    plots.label_axes(left, f"the function: {label}", "input z", "output f(z)")
    plots.draw_slope_over_inputs(middle, activation, z.numpy(), signals.slope(f, z).numpy(), density.numpy())
    plots.label_axes(middle, f"inputs: standard deviation {std:.2g}", "input z", "slope f′(z)")
    plots.draw_shares(right, *_share_curves(), activation, (std, share))
    plots.label_axes(
        right, f"{share:.0%} of the gradient gets through", "standard deviation of z", "mean of |f′(z)| (%)"
    )
    figure.subplots_adjust(left=0.085, right=0.98, top=0.89, bottom=0.16, wspace=0.33)
    alt = (
        f"{label} with inputs of standard deviation {std:.2g}: "
        f"the mean slope is {share:.2f}, so {share:.0%} of the gradient gets through."
    )
    return figure, alt


# --- the layers of the four-layer network --------------------------------------------------

RATES = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1)
SCALE_LABELS = {"raw": "raw: 0–255 minus the mean", "standardized": "standardized"}
INIT_LABELS = {
    "gaussian-0.01": "N(0, 0.01)",
    "cuda-convnet": "N(0, 0.0001), later N(0, 0.01)",
    "scaled": "scaled to the fan-in",
}


def activation_explorer(
    images: Images,
    *,
    activation: str = "tanh",
    rate: float = 0.01,
    init: str = "gaussian-0.01",
    scale: str = "raw",
    steps: int = 0,
    seed: int = 0,
) -> PictureWidget:
    """The activations and gradients in the layers of the four-layer network on `images`.

    activation, init: as in `CifarNetConfig`; scale: "raw" or "standardized"; rate: one of
    RATES; steps: one of STEPS, how many steps of SGD to take first (batches of 32 images,
    momentum 0.9). These are where the controls start. images and seed: see `LayerProbe`, whose
    errors are raised; ipywidgets raises TraitError for a value that is no option.
    """
    probe = LayerProbe(images, seed)
    controls = {
        "activation": _activation_choice(activation),
        "scale": choice("Input", [(SCALE_LABELS[s], s) for s in INPUT_SCALES], scale, "scale of the pixels"),
        "init": choice("Weights", [(INIT_LABELS[i], i) for i in INITS], init, "how weights are drawn"),
        "rate": slider("Learning rate ε", [(f"{r:g}", r) for r in RATES], rate, "step size of SGD"),
        "steps": slider("Steps taken", [(str(s), s) for s in STEPS], steps, "steps of SGD so far"),
    }

    def draw(activation: str, scale: str, init: str, rate: float, steps: int) -> tuple[Figure, str]:
        settings = Settings(activation, rate, init, scale)
        return _draw_network(settings, probe.view(settings, steps), images)

    return PictureWidget(controls, draw, notice="computing …")


def _draw_network(settings: Settings, view: NetworkView, images: Images) -> tuple[Figure, str]:
    figure, rows = plots.widget_axes(3, len(view.layers), height=6.6)
    for column, layer in enumerate(view.layers):
        _draw_layer([row[column] for row in rows], settings.activation, layer, first=column == 0)
    figure.suptitle("\n".join(_heading(settings, view, images)), fontsize=plots.FONT_SIZE, x=0.045, ha="left")
    figure.subplots_adjust(left=0.045, right=0.985, top=0.865, bottom=0.075, hspace=0.7, wspace=0.13)
    return figure, _description(settings, view, images)


def _draw_layer(axes: list[Axes], activation: str, layer: LayerView, *, first: bool) -> None:
    s, label = layer.statistics, plots.STYLES[activation].label
    y = "frequency" if first else ""
    z = layer.inputs
    plots.draw_histogram(axes[0], z.counts, z.edges, activation=activation, shaded=flat_zones(activation))
    plots.label_axes(
        axes[0], f"{s.name}: {_saturation(activation, s)}", f"input z (std {plots.short(s.input_std)})", y
    )
    plots.draw_histogram(axes[1], layer.outputs.counts, layer.outputs.edges, activation=activation)
    zeros = f": {layer.off:.0%} are 0, not drawn" if layer.off >= 0.005 else ""
    plots.label_axes(axes[1], f"y = {label}(z){zeros}", f"output y (std {plots.short(s.output_std)})", y)
    plots.draw_gradients(
        axes[2],
        layer.arriving.edges,
        layer.arriving.counts,
        layer.leaving.counts,
        activation=activation,
        legend=first,
    )
    title = f"‖∂L/∂W‖ = {plots.short(s.gradient_norm)}, f′ passes {layer.passed:.0%}"
    plots.label_axes(axes[2], title, "|∂L/∂y| before f′, |∂L/∂z| after f′", y)


def _saturation(activation: str, statistics: signals.LayerStatistics) -> str:
    return f"{statistics.saturated:.0%} {'off' if activation == 'relu' else 'saturated'}"


def _heading(settings: Settings, view: NetworkView, images: Images) -> list[str]:
    fate = f"after {view.step} steps"
    if view.diverged:
        fate = f"DIVERGED at step {view.step + 1}, shown as it was before"
    source = "SYNTHETIC images" if images.synthetic else images.source
    gradient = plots.short(view.classifier_gradient)
    return [
        f"{plots.STYLES[settings.activation].label}, input {SCALE_LABELS[settings.scale]}, "
        f"weights {INIT_LABELS[settings.init]}, ε = {settings.rate:g}",
        f"{fate}: loss {view.loss:.2f}, classifier ‖∂L/∂W‖ = {gradient} ({source})",
    ]


def _description(settings: Settings, view: NetworkView, images: Images) -> str:
    layers = [
        f"{v.statistics.name} {_saturation(settings.activation, v.statistics)}, "
        f"gradient norm {plots.short(v.statistics.gradient_norm)}, {v.passed:.0%} of the gradient through"
        for v in view.layers
    ]
    return "; ".join([*_heading(settings, view, images), *layers])
