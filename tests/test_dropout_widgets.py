"""The explorer of notebook 09: its numbers are those of the enumeration; what its figures show."""

from __future__ import annotations

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from alexnet_edu.lessons import dropout as thinned
from alexnet_edu.lessons import dropout_plots
from alexnet_edu.lessons.dropout_widgets import COUNTS, DEPTHS, FORMS, KEEPS, _network, dropout_explorer


def shares(alt: str) -> list[float]:
    return [
        float(x) / 100 for x in re.findall(r"([0-9.]+)%", alt.split("classes in the network of the test:")[1])
    ]


def test_it_starts_at_the_papers_keep_with_one_softmax_layer() -> None:
    widget = dropout_explorer()
    assert widget.png
    assert widget.error is None
    assert "one softmax layer, 8 units, keep 0.5, 2012 form; masks drawn: 20; " in widget.alt
    assert (
        "all units with outputs times 0.5: the network of the test is the geometric mean of all" in widget.alt
    )
    assert "256 networks" in widget.alt


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("keep", [KEEPS[0], 0.5, KEEPS[-1]])
def test_one_softmax_layer_is_exact_for_every_keep_and_form(keep: float, form: str) -> None:
    widget = dropout_explorer(keep=keep, form=form)
    assert "is the geometric mean of all" in widget.alt
    x, layers, _ = _network(0)
    weight, bias = layers[1][0]
    want = ((keep if form == "2012" else 1.0) * x @ weight.T + bias).softmax(-1)[0]
    assert shares(widget.alt) == pytest.approx(want.tolist(), abs=0.0006)


def test_a_deeper_network_lies_near_and_the_distance_is_that_of_the_enumeration() -> None:
    widget = dropout_explorer()
    widget.controls["depth"].value = 2
    assert widget.error is None
    assert "8 + 6 units" in widget.alt
    assert "16,384 networks" in widget.alt
    x, layers, _ = _network(0)
    masks = thinned.all_masks(14).split([8, 6], dim=1)
    every = thinned.geometric_mean(thinned.thinned_logits(x, layers[2], masks))
    whole = thinned.whole_logits(x, layers[2]).log_softmax(-1)
    distance = thinned.divergence(every, whole).item()
    assert distance > 1e-3
    said = float(re.search(r"lies ([0-9.]+) nats", widget.alt).group(1))  # type: ignore[union-attr]
    assert said == pytest.approx(distance, rel=0.05)


def test_every_value_of_every_control_is_drawn() -> None:
    widget = dropout_explorer()
    for name, values in (("count", COUNTS), ("keep", KEEPS), ("form", FORMS), ("depth", DEPTHS)):
        before = widget.alt
        for value in values:
            widget.controls[name].value = value
            assert widget.error is None
        assert widget.alt != before
    for count in COUNTS:
        widget.controls["count"].value = count
        assert f"masks drawn: {count};" in widget.alt


def test_many_masks_come_near_the_mean_of_all() -> None:
    def distance(count: int) -> float:
        text = (
            dropout_explorer(count=count, depth=1)
            .alt.replace("×10⁻", "e-")
            .translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789"))
        )
        return float(re.search(r"those drawn ([0-9.e-]+) nats", text).group(1))  # type: ignore[union-attr]

    assert distance(1000) < 0.1 * distance(10)


@pytest.mark.parametrize("wrong", [{"count": 3}, {"keep": 0.0}, {"depth": 3}, {"form": "2013"}])
def test_a_value_that_is_no_option_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be one of"):
        dropout_explorer(**wrong)  # type: ignore[arg-type]


# --- the figures of the notebook ------------------------------------------------------------


def test_ratios_show_every_seed_and_leave_out_what_was_not_reached() -> None:
    _, ax = plt.subplots()
    rows = [[1.5, 1.7], [2.0, None], [None, None]]
    dropout_plots.draw_ratios(ax, {"2012": rows, "inverted": rows}, ["50%", "30%", "10%"])
    marks = [y for line in ax.lines if line.get_marker() != "None" for y in np.atleast_1d(line.get_ydata())]
    assert sorted(float(m) for m in marks) == [1.5, 1.5, 1.7, 1.7, 2.0, 2.0]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["2012", "inverted"]
    plt.close("all")


def test_sorted_units_are_shares_that_reach_a_value() -> None:
    _, ax = plt.subplots()
    dropout_plots.draw_sorted(ax, {"a": torch.tensor([0.1, 0.4, 0.2, 0.3])}, "x", "y", "t")
    (line,) = ax.lines
    assert np.allclose(line.get_xdata(), [0.4, 0.3, 0.2, 0.1])
    assert np.allclose(line.get_ydata(), [0.25, 0.5, 0.75, 1.0])
    plt.close("all")


def test_errors_are_drawn_against_the_share_left_out() -> None:
    _, ax = plt.subplots()
    dropout_plots.draw_errors_with_masks(ax, {"a": {1.0: [0.2], 0.5: [0.4, 0.6]}}, 0.9, "t")
    means = next(line for line in ax.lines if line.get_label() == "a")
    assert np.allclose(means.get_xdata(), [0, 50])
    assert np.allclose(means.get_ydata(), [0.2, 0.5])
    plt.close("all")


def test_live_curves_carry_their_names() -> None:
    _, ax = plt.subplots()
    curve = {"epoch": [1, 2], "test_error": [0.5, 0.4]}
    dropout_plots.draw_live_curves(ax, {"one": curve, "two": curve}, "test_error", "test error", "t")
    assert [line.get_label() for line in ax.lines] == ["one", "two"]
    assert ax.get_ylabel() == "test error"
    plt.close("all")
