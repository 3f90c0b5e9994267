"""Pictures with controls: live in JupyterLab, a saved picture everywhere else.

`explorer(draw)` makes a control of every argument of a drawing function; its default says which one:

    def draw(z: int = slider("Window z", range(1, 7), 3, "side of the window")) -> Drawing: ...

The picture is a widget and, in the same output, a PNG with its alternative text, so a notebook that is only
read shows what was last drawn.
"""

from __future__ import annotations

import base64
import html
import inspect
import io
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, wraps
from typing import Any

import ipywidgets  # type: ignore[import-untyped]
from matplotlib.figure import Figure
from PIL import Image

from alexnet_edu.show.plots import alternative, png

Drawing = tuple[Figure, str]  # a figure, and the sentence that says what it shows
Draw = Callable[..., Drawing]
ROW = {"flex_flow": "row wrap", "align_items": "center"}

# --- controls ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Control:
    """How one argument of a drawing is chosen, and where it starts.

    allowed: the values that it may have, or the lowest and the highest one where `kind` is continuous.
    """

    kind: type
    start: Any
    settings: Mapping[str, Any]
    allowed: Sequence[Any] | None = None
    continuous: bool = False
    width: str = "auto"
    layout: Mapping[str, str] = field(default_factory=lambda: {"margin": "2px 12px 2px 2px"})

    def widget(self, name: str, start: Any) -> Any:
        """The ipywidget of the argument `name`. Raises ValueError for a start that is no option."""
        if self.continuous and self.allowed is not None:
            low, high = self.allowed
            if not low <= start <= high:
                raise ValueError(f"{name} must be from {low:g} to {high:g}, got {start!r}")
        elif self.allowed is not None and start not in self.allowed:
            raise ValueError(f"{name} must be one of {', '.join(map(str, self.allowed))}, got {start!r}")
        layout = ipywidgets.Layout(width=self.width, **self.layout)
        return self.kind(value=start, layout=layout, **self.settings)


Options = Mapping[Any, str] | Sequence[Any]


def choice(label: str, options: Options, start: Any, help: str, form: str = "") -> Any:
    """A drop-down list. options: value -> what is shown; or values alone, shown by `form`."""
    return _selection(ipywidgets.Dropdown, label, options, start, help, form, "auto")


def slider(label: str, options: Options, start: Any, help: str, form: str = "") -> Any:
    """A slider over a few values; arguments as those of `choice`. form: such as "{:.0%}"."""
    # Not a list: JupyterLab takes the up and down keys of a list for itself, those of a slider not.
    return _selection(ipywidgets.SelectionSlider, label, options, start, help, form, "26em")


def _selection(
    kind: type, label: str, options: Options, start: Any, help: str, form: str, width: str
) -> Control:
    if not isinstance(options, Mapping):
        options = {value: _shown(value, form) for value in options}
    settings = _texts(label, help) | {"options": [(shown, value) for value, shown in options.items()]}
    return Control(kind, start, settings, list(options), width=width)


def _shown(value: Any, form: str) -> str:
    return (form or ("{:g}" if isinstance(value, float) else "{}")).format(value)


def _texts(label: str, help: str) -> dict[str, Any]:
    return {"description": label, "tooltip": help, "style": {"description_width": "initial"}}


def log_slider(label: str, exponents: tuple[float, float], start: float, help: str) -> Any:
    """A slider over powers of ten, in steps of a twentieth of a decade."""
    low, high = exponents
    settings = _texts(label, help) | {"min": low, "max": high, "step": 0.05, "readout_format": ".2f"}
    return Control(
        ipywidgets.FloatLogSlider, start, settings, (10.0**low, 10.0**high), continuous=True, width="42em"
    )


def checkbox(label: str, start: bool, help: str) -> Any:
    """A box to tick."""
    return Control(ipywidgets.Checkbox, start, _texts(label, help) | {"indent": False}, (False, True))


def upload(label: str, help: str) -> Any:
    """A button that takes one image file. Its `value` is () or ({"name": …, "content": bytes-like, …},)."""
    settings = {"description": label, "tooltip": help, "accept": "image/*", "multiple": False}
    return Control(ipywidgets.FileUpload, (), settings)


# --- the picture below them ----------------------------------------------------------------


def explorer(
    draw: Draw, *, notice: str = "", frames: Mapping[str, Sequence[Any]] | None = None, **start: Any
) -> PictureWidget:
    """A picture that follows one control for each argument of `draw`.

    draw: returns a figure and one sentence, its alternative text; it becomes the title, too, unless
        the figure has one. Every argument's default is a control of this module.
    notice: shown while drawing, where that takes a while.
    frames: argument -> values; what is saved has a picture for each, one below the other.
    start: where controls start, if not at their own start. Raises ValueError for what is no option.
    """
    arguments = inspect.signature(draw).parameters
    if unknown := set(start) - set(arguments):
        raise TypeError(f"there is no control {', '.join(sorted(unknown))}; there are {', '.join(arguments)}")
    controls = {
        name: argument.default.widget(name, start.get(name, argument.default.start))
        for name, argument in arguments.items()
    }

    return PictureWidget(controls, draw, notice=notice, frames=frames)


def explores(draw: Draw) -> Callable[..., PictureWidget]:
    """Makes an explorer of a drawing function that takes nothing but controls: `name(**start)` shows it."""
    return wraps(draw)(partial(explorer, draw))


class PictureWidget(ipywidgets.VBox):  # type: ignore[misc]
    """Controls above a picture that follows them; made by `explorer`.

    An exception in the first drawing is raised as usual. A later one, which Jupyter would hide in a log, is
    shown in place of the picture, until a drawing succeeds again. Attributes to read: `controls`, `alt` (the
    alternative text, or the error), `png` (bytes; None while an error is shown), `error` (None or one line).
    """

    def __init__(
        self,
        controls: Mapping[str, Any],
        draw: Draw,
        *,
        notice: str = "",
        frames: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        self.controls, self.draw, self.notice, self.frames = controls, draw, notice, frames or {}
        self.alt = ""
        self.png: bytes | None = None
        self.error: str | None = None
        self.picture = ipywidgets.HTML()
        self.status = ipywidgets.Label()
        self._show(*self._drawn())
        row = ipywidgets.HBox([*self.controls.values(), self.status], layout=ipywidgets.Layout(**ROW))
        super().__init__([row, self.picture])
        for control in self.controls.values():
            control.observe(self._redraw, names="value")

    def _drawn(self, **changed: Any) -> tuple[bytes, str]:
        values = {name: control.value for name, control in self.controls.items()} | changed
        figure, alt = self.draw(**values)
        return png(figure, alt), alt

    def _redraw(self, _: object) -> None:
        self.status.value = self.notice
        try:
            self._show(*self._drawn())
        except Exception as error:  # whatever it is, the reader must see it: nobody else will
            self._show_error(error)
        finally:
            self.status.value = ""

    def _show(self, picture: bytes, alt: str) -> None:
        self.png, self.alt, self.error = picture, alt, None
        self.picture.value = (
            f'<img alt="{html.escape(alt)}" style="max-width: 100%; height: auto" '
            f'src="data:image/png;base64,{base64.b64encode(picture).decode()}">'
        )

    def _show_error(self, error: Exception) -> None:
        self.error = self.alt = f"{type(error).__name__}: {error}"
        self.png = None
        details = "".join(traceback.format_exception(error))
        self.picture.value = (
            f'<div role="alert"><b>The picture could not be drawn.</b> {html.escape(self.error)}'
            f"<details><summary>Where it happened</summary><pre>{html.escape(details)}</pre></details></div>"
        )

    def saved(self) -> tuple[bytes | None, str]:
        """(PNG, text) of what a notebook keeps: the picture, or all of its frames."""
        if self.error is not None or not self.frames:
            return self.png, self.alt
        frames = [self._drawn(**{name: v}) for name, values in self.frames.items() for v in values]
        pngs, sentences = zip(*frames, strict=True)
        return stacked(pngs), "\n".join(sentences)

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The live widget, the saved picture, and the alternative text, in one output; and its metadata."""
        bundle = dict(super()._repr_mimebundle_(**kwargs))
        picture, bundle["text/plain"] = self.saved()
        if picture is None:
            return bundle, {}
        bundle["image/png"] = base64.b64encode(picture).decode()
        return bundle, alternative(bundle["text/plain"])


def stacked(pngs: Sequence[bytes]) -> bytes:
    """Pictures as one PNG, one below the other."""
    pictures = [Image.open(io.BytesIO(each)).convert("RGB") for each in pngs]
    sheet = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), "white")
    top, buffer = 0, io.BytesIO()
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


# --- something that goes on by itself --------------------------------------------------------


class LiveWidget(PictureWidget):
    """A picture of something that goes on by itself, with buttons and a line of text above it.

    report() -> (line, goes on): called at the start, after a click, and every `every` seconds as long
    as it says that something goes on; `line` is plain text. draw: called when the line has changed.
    buttons: from `button`; what a click raises is shown in the line.

    A daemon thread calls `report`, so that the picture follows while a cell is being executed. `close`
    ends it.
    """

    def __init__(
        self,
        report: Callable[[], tuple[str, bool]],
        draw: Draw,
        buttons: Sequence[Any],
        *,
        every: float = 2.0,
    ) -> None:
        self.report, self.every, self.buttons = report, every, list(buttons)
        self._lock, self._ended = threading.RLock(), threading.Event()
        self._thread: threading.Thread | None = None
        self._reported, goes_on = report()
        super().__init__({}, draw)
        self.line = ipywidgets.Label(self._reported)
        above = ipywidgets.HBox([*self.buttons, self.line], layout=ipywidgets.Layout(**ROW))
        self.children = [above, self.picture]
        for each in self.buttons:
            each.on_click(self._clicked)
        if goes_on:
            self._follow()

    @property
    def following(self) -> bool:
        """Whether it asks for reports by itself now."""
        return self._thread is not None

    def refresh(self) -> bool:
        """Asks for one report, and draws where something has changed; whether it goes on."""
        with self._lock:
            line, goes_on = self.report()
            if line != self._reported:
                self._reported = self.line.value = line
                self._redraw(None)
            return goes_on

    def close(self) -> None:
        """Ends the thread and takes the widget from the page."""
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
            self._thread = threading.Thread(target=self._keep_following, daemon=True)
            self._thread.start()

    def _keep_following(self) -> None:
        while not self._ended.wait(self.every):
            with self._lock:  # so that no click falls between the last report and the end
                if not self.refresh():
                    self._thread = None
                    return

    def saved(self) -> tuple[bytes | None, str]:
        """As things stand now."""
        self.refresh()
        return super().saved()


class _Button(ipywidgets.Button):  # type: ignore[misc]
    def __init__(self, do: Callable[[], object], **options: Any) -> None:
        self.do = do
        super().__init__(**options)


def button(label: str, do: Callable[[], object], help: str) -> Any:
    """A button for a `LiveWidget`. do: what a click does, before the next report."""
    return _Button(do, description=label, tooltip=help, layout=ipywidgets.Layout(width="auto"))
