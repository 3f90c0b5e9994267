"""Explorers: what a change of a control does, what is saved, and what an error shows."""

from __future__ import annotations

import base64
import html
import io
import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from alexnet_edu.show.explorer import (
    Drawing,
    PictureWidget,
    checkbox,
    choice,
    explorer,
    log_slider,
    slider,
    upload,
)


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def shown(widget: PictureWidget) -> tuple[str, bytes]:
    """Alternative text and PNG as the browser gets them."""
    match = re.search(r'<img alt="([^"]*)".*src="data:image/png;base64,([^"]+)"', widget.picture.value)
    assert match is not None, widget.picture.value
    return html.unescape(match[1]), base64.b64decode(match[2])


def draw(x: int = slider("x", range(6), 1, "how high")) -> Drawing:
    if x == 2:
        raise ValueError("no picture of <2> & more")
    figure = Figure(figsize=(2, 1))
    figure.add_subplot().plot([0, x])
    return figure, f'a line to "{x}" & <back>'


def test_a_changed_control_changes_picture_and_alternative_text() -> None:
    line = explorer(draw)
    first = shown(line)
    line.controls["x"].value = 3
    second = shown(line)
    assert (first[0], second[0]) == ('a line to "1" & <back>', 'a line to "3" & <back>')
    assert (pixels(first[1]) != pixels(second[1])).any()
    line.controls["x"].value = 1
    assert shown(line) == first


def test_the_saved_output_holds_view_picture_and_text() -> None:
    line = explorer(draw, x=4)
    bundle, metadata = line._repr_mimebundle_()
    assert metadata == {"image/png": {"alt": bundle["text/plain"]}}
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == line.model_id
    assert bundle["text/plain"] == 'a line to "4" & <back>'
    assert base64.b64decode(bundle["image/png"]) == shown(line)[1]


def test_the_saved_picture_may_have_several_frames() -> None:
    bundle, _ = explorer(draw, frames={"x": (1, 3, 5)})._repr_mimebundle_()
    assert bundle["text/plain"].splitlines() == [f'a line to "{x}" & <back>' for x in (1, 3, 5)]
    one, sheet = pixels(shown(explorer(draw))[1]), pixels(base64.b64decode(bundle["image/png"]))
    assert sheet.shape == (3 * one.shape[0], *one.shape[1:])
    assert (sheet[: len(one)] == one).all()


def test_an_error_while_drawing_is_shown_and_goes_away() -> None:
    line = explorer(draw)
    before = shown(line)
    line.controls["x"].value = 2
    assert line.error == "ValueError: no picture of <2> & more"
    assert "ValueError: no picture of &lt;2&gt; &amp; more" in line.picture.value
    assert "<img" not in line.picture.value
    bundle, metadata = line._repr_mimebundle_()
    assert (bundle["text/plain"], metadata) == (line.error, {})
    assert "image/png" not in bundle
    line.controls["x"].value = 1
    assert line.error is None
    assert shown(line) == before


def test_the_notice_is_there_only_while_drawing() -> None:
    seen: list[str] = []

    def noted(x: int = slider("x", range(6), 1, "how high")) -> Drawing:
        seen.extend(widget.status.value for widget in made)
        return draw(x)

    made: list[PictureWidget] = []
    made.append(explorer(noted, notice="wait"))
    made[0].controls["x"].value = 2  # draws an error; the notice goes all the same
    assert made[0].status.value == ""
    assert seen == ["wait"]


def every_kind(
    number: int = slider("number", (1, 2), 1, "help"),
    share: float = slider("share", (0.25, 1.0), 0.25, "help", "{:.0%}"),
    name: str = choice("name", {"a": "first", "b": "second"}, "a", "help"),
    scale: float = log_slider("scale", (-1, 2), 1.0, "help"),
    ticked: bool = checkbox("ticked", True, "help"),
    given: object = upload("given", "help"),
) -> Drawing:
    return Figure(), f"{number} {share} {name} {scale:g} {ticked} {given}"


def test_every_kind_of_control_has_its_start_options_and_label() -> None:
    widget = explorer(every_kind, name="b", ticked=False)
    assert widget.alt == "1 0.25 b 1 False ()"
    assert widget.controls["share"].options == (("25%", 0.25), ("100%", 1.0))
    assert widget.controls["name"].options == (("first", "a"), ("second", "b"))
    assert all(control.description and control.tooltip for control in widget.controls.values())


@pytest.mark.parametrize("start", [{"number": 3}, {"name": "first"}, {"scale": 1000.0}, {"ticked": "yes"}])
def test_a_start_that_is_no_option_is_refused(start: dict[str, object]) -> None:
    ((name, value),) = start.items()
    with pytest.raises(ValueError, match=f"{name} must be .*{value!r}"):
        explorer(every_kind, **start)
    with pytest.raises(TypeError, match="height"):
        explorer(every_kind, height=1)
