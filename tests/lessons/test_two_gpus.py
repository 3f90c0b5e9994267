"""The explorers of notebook 05: their numbers are those of the arithmetic, whatever is chosen."""

from __future__ import annotations

import itertools

import pytest

from alexnet_edu.lessons.two_gpus import BATCHES, exchange_explorer, memory_explorer
from alexnet_edu.model.architecture import PAPERS_TALK, TALKERS, count, talking
from alexnet_edu.two_gpus.traffic import sent_per_step, step_time


def test_it_starts_at_the_papers_pattern() -> None:
    widget = exchange_explorer()
    assert tuple(name for name in TALKERS if widget.controls[name].value) == PAPERS_TALK
    assert "parameters: 60.97 M, the paper's pattern 60.97 M" in widget.alt
    assert "sent per step: 60.0 MB" in widget.alt
    assert "sent per step: 30.0 MB" in exchange_explorer(batch=64).alt


@pytest.mark.parametrize("talk", [(), ("conv2",), ("conv4", "conv5"), TALKERS])
def test_any_pattern_is_drawn_with_its_numbers(talk: tuple[str, ...]) -> None:
    widget = exchange_explorer()
    for name in TALKERS:
        widget.controls[name].value = name in talk
    assert widget.error is None
    table = talking(talk)
    parameters = sum(size.parameters for size in count(table)) / 1e6
    assert f"parameters: {parameters:.2f} M, the paper's" in widget.alt
    assert f"sent per step: {sent_per_step(table) / 1e6:.1f} MB" in widget.alt
    assert f"{1e3 * step_time(table).total:.0f} ms" in widget.alt


def test_memory_at_every_batch_size() -> None:
    widget = memory_explorer()
    assert "GPU 0 of two 1,723 MiB" in widget.alt
    assert "one GPU alone 3,206 MiB. The card has 3,072 MiB" in widget.alt
    alone = []
    for batch in BATCHES:
        widget.controls["batch"].value = batch
        assert widget.error is None
        alone.append(float(widget.alt.split("one GPU alone ")[1].split(" MiB")[0].replace(",", "")))
    assert all(a < b for a, b in itertools.pairwise(alone))
