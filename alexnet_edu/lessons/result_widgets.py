"""The widget of notebook 11: how many networks, which of them pre-trained, one or ten patches."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from alexnet_edu.lessons import results as draw
from alexnet_edu.show.explorer import PictureWidget, choice, slider
from alexnet_edu.show.plots import FONT_SIZE, label_axes, widget_axes
from alexnet_edu.studies import result_records as results

VIEW_WORDS = {"ten": "ten patches", "centre": "the centre alone"}


def results_explorer(
    record: Mapping[str, Any], *, plain: int = 1, starred: int = 0, view: str = "ten"
) -> PictureWidget:
    """Errors of averages in the record, over all choices of networks, beside the paper's Table 2.

    plain, starred: networks from scratch and pre-trained ones, where the sliders start; view: a key of
    `VIEW_WORDS`. Raises ValueError where the record has fewer.
    """
    most = (record["plan"]["plain"], record["plan"]["starred"])
    if not (0 <= plain <= most[0] and 0 <= starred <= most[1]) or view not in VIEW_WORDS:
        raise ValueError(
            f"the record has up to {most[0]} networks from scratch, {most[1]} pre-trained, and the views "
            f"{', '.join(VIEW_WORDS)}; got {plain!r}, {starred!r}, {view!r}"
        )

    def numbers(count: int) -> list[tuple[str, int]]:
        return [(str(i), i) for i in range(count + 1)]

    controls = {
        "plain": slider(
            "From scratch", numbers(most[0]), plain, "networks that saw the problem's images alone"
        ),
        "starred": slider(
            "Pre-trained (*)", numbers(most[1]), starred, "networks first trained on other classes"
        ),
        "view": choice(
            "Patches", [(words, name) for name, words in VIEW_WORDS.items()], view, "what is averaged"
        ),
    }
    return PictureWidget(controls, lambda **chosen: _draw(record, **chosen))


def _draw(record: Mapping[str, Any], plain: int, starred: int, view: str) -> tuple[Figure, str]:
    figure, ((left, middle, right),) = widget_axes(1, 3, height=3.9)
    grid = left.get_gridspec()
    assert grid is not None
    grid.set_width_ratios([1.15, 1, 1])
    words = f"{plain} from scratch, {starred} pre-trained, {VIEW_WORDS[view]}"
    said = [
        _draw_members(left, record, plain, view),
        _draw_problems(middle, record, plain, starred, view),
        _draw_paper(right, plain, starred),
    ]
    note = "SYNTHETIC images, " if record["provenance"]["data"]["synthetic"] else ""
    figure.suptitle(f"averaged: {words} ({note}recorded)", fontsize=FONT_SIZE, x=0.02, ha="left")
    figure.subplots_adjust(left=0.08, right=0.985, top=0.82, bottom=0.15, wspace=0.36)
    return figure, f"{words}: {'; '.join(said)}."


def _draw_members(ax: Any, record: Mapping[str, Any], plain: int, view: str) -> str:
    """All classes: there is no pre-training here, and `plain` networks are averaged."""
    by_size = {
        size: results.subset_errors(record, size, view) for size in range(1, record["plan"]["networks"] + 1)
    }
    draw.draw_subsets(ax, {"mean": by_size}, chosen=plain)
    _fix_limits(ax, [e for by in record["members"]["subsets"].values() for es in by.values() for e in es])
    count = len(by_size.get(plain, ()))
    label_axes(ax, "all ten classes, all images", "networks averaged, from scratch", "test error")
    if not plain:
        return "on all ten classes nothing is averaged"
    mean = statistics.fmean(by_size[plain])
    return f"on all ten classes {mean:.1%} on the mean of {count} choices"


def _draw_problems(ax: Any, record: Mapping[str, Any], plain: int, starred: int, view: str) -> str:
    few = record["plan"]["few"]
    label_axes(ax, f"five classes, {few} images each", "problem", "")
    if not plain + starred:
        ax.text(0.5, 0.5, "choose a network", ha="center", transform=ax.transAxes, fontsize=FONT_SIZE)
        ax.set_xticks([])
        ax.set_yticks([])
        return "on the problems no network is chosen"
    errors = results.mixed_errors(record, plain, starred, view)
    draw.draw_choices(ax, errors, results.row_errors(record, "1 CNN", view))
    _fix_limits(
        ax, [e for p in record["problems"] for by in p["mixed"].values() for es in by.values() for e in es]
    )
    mean = statistics.fmean(statistics.fmean(values) for values in errors)
    return f"on {len(errors)} problems of five classes {mean:.1%} on the mean"


def _fix_limits(ax: Any, errors: Sequence[float]) -> None:
    """The same scale whatever is chosen, with room for a legend, so that what moves is the error."""
    low, high = min(errors), max(errors)
    ax.set_ylim(low - 0.05 * (high - low), high + 0.25 * (high - low))


def _draw_paper(ax: Any, plain: int, starred: int) -> str:
    row = next((name for name, numbers in results.ROWS.items() if numbers == (plain, starred)), None)
    draw.draw_published(ax, results.PUBLISHED, row)
    label_axes(ax, "the paper, Table 2", "validation error, %", "")
    return f"the paper has {row}: {results.PUBLISHED[row]}" if row else "the paper has no such row"
