"""The drawings of notebook 08: what is drawn is what was given, and nothing is told by colour alone."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from alexnet_edu.lessons import neighbours as draw
from alexnet_edu.studies.neighbours import centers, plane


@pytest.fixture
def ax() -> Any:
    return Figure(figsize=(4, 3)).subplots()


def texts(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_bars_have_the_colours_of_shownet_and_a_mark(ax: Any) -> None:
    draw.draw_bars(ax, ["cat", "dog", "frog"], [0.6, 0.3, 0.1], "dog")
    assert [to_hex(bar.get_facecolor()) for bar in ax.patches] == ["#aaaaff", "#ffaaaa", "#aaaaff"]
    assert [bar.get_width() for bar in ax.patches] == [0.6, 0.3, 0.1]
    assert texts(ax) == ["cat  60%", "dog ✓  30%", "frog  10%"]
    assert ax.yaxis_inverted()  # the most probable on top


def test_a_frame_is_solid_or_dashed(ax: Any) -> None:
    pixels = np.zeros((3, 4, 4), np.uint8)
    draw.draw_image(ax, pixels, "cat", frame=draw.SAME)
    solid = ax.spines["left"].get_linestyle()
    draw.draw_image(ax, pixels, "dog", frame=draw.ANOTHER, dashed=True)
    assert ax.spines["left"].get_linestyle() != solid
    draw.draw_image(ax, pixels)
    assert not ax.spines["left"].get_visible()


def test_precisions_are_bars_of_their_means(ax: Any) -> None:
    draw.draw_precisions(ax, {"pixels": [0.2], "fc5": [0.6, 0.8]}, 0.1)
    assert [bar.get_height() for bar in ax.patches] == pytest.approx([0.2, 0.7])
    assert "20%" in texts(ax)
    assert "70%" in texts(ax)
    assert "chance" in texts(ax)


def test_codes_are_lines_through_means(ax: Any) -> None:
    draw.draw_codes(ax, [32, 64], {("features", "random"): [[0.4, 0.6], [0.7, 0.9]]}, {"exact": 0.9})
    line = next(line for line in ax.lines if line.get_label() == "random planes, features")
    assert line.get_ydata().tolist() == pytest.approx([0.5, 0.8])
    assert texts(ax) == ["exact"]


def test_batches_are_measured_and_expected(ax: Any) -> None:
    rows = [{"batches": b, "expected": e, "shuffled": e, "in_order": e / 2} for b, e in ((16, 10), (100, 15))]
    draw.draw_batches(ax, rows, 16)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        "expected, shuffled",
        "measured, shuffled",
        "measured, in class order",
    ]


def test_ten_classes_have_ten_marks_and_names() -> None:
    assert len(set(draw.CLASS_MARKS)) == len({marker for _, marker in draw.CLASS_MARKS}) == 10


def test_the_map_keeps_clusters_together(ax: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(150) % 3
    vectors = 20 * torch.eye(3)[labels].repeat(1, 4) + torch.randn(150, 12, generator=generator)
    points = plane(vectors, seed=1)
    assert torch.equal(points, plane(vectors, seed=1))
    middles = centers(points, labels, 4)
    assert torch.isnan(middles[3]).all()
    nearest = torch.cdist(points, middles[:3]).argmin(1)
    assert torch.equal(nearest, labels)
    draw.draw_map(ax, points, labels, ["a", "b", "c", "none"], middles)
    assert texts(ax) == ["a", "b", "c"]
    bare = Figure().subplots()
    draw.draw_map(bare, points, labels, ["a", "b", "c"])
    assert texts(bare) == []
    assert [line.get_label() for line in bare.lines] == ["a", "b", "c"]


def test_a_map_wants_enough_points() -> None:
    with pytest.raises(ValueError, match=r"at least 120 vectors, got \(20, 3\)"):
        plane(torch.zeros(20, 3))


def test_the_marks_are_matplotlibs() -> None:
    assert all(marker in matplotlib.markers.MarkerStyle.markers for _, marker in draw.CLASS_MARKS)
