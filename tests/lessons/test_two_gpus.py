"""Lesson 05: figures and explorers say what the arithmetic and the records say."""

from __future__ import annotations

import itertools

import pytest

from alexnet_edu.lessons import two_gpus as lesson
from alexnet_edu.lessons.two_gpus import BATCHES, exchange_explorer, memory_explorer
from alexnet_edu.model.architecture import PAPERS_TALK, TALKERS, count, narrow, talking
from alexnet_edu.studies.record import load
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


def test_what_the_figures_say() -> None:
    assert "3,206 MiB and the card has 3,072" in lesson.split()[1]
    assert "each GPU sends 30 MB per step" in lesson.sent_by_layer()[1]
    assert "would send 244 MB" in lesson.sent_by_layer()[1]
    seconds = {"half": [2.0, 2.2, 1.9], "columns": [1.6, 1.5, 1.7], "joint": [2.4]}
    figure, sentence = lesson.step_times(seconds, guess=1.5)
    assert "One of two columns takes 0.80 times as long as the half network" in sentence
    assert "if both always read everything, 1.20 times" in sentence
    assert any("your guess: 1.5" in text.get_text() for text in figure.axes[0].texts)


def test_what_the_records_say_is_what_the_lesson_says() -> None:
    record = load("exchange")
    assert "none of four other patterns can be told from" in lesson.patterns_at_one_rate(record)[1]
    assert "at one rate for both it is 0.4 to 1.1 points better" in lesson.patterns_by_rate(record)[1]
    assert record.gap("nowhere", "conv3").value > 1  # the trap of the further notebook
    for rate in record.shared_rates():
        assert record.at_rate(rate).gap("nowhere", "conv3").value < 0
        assert record.at_rate(rate).gap("half", "conv3").value > 1
    trials = load("two-columns")
    assert "two processes are 1.9 times as fast as one core" in lesson.seconds_by_form(trials)[1]
    worst = trials.tables["equality"].groupby("dtype")[["logits", "gradients"]].max().max(axis=1)
    assert worst["float64"] < 1e-10
    assert worst["float32"] < 1e-3


@pytest.mark.parametrize("name", lesson.TIMED)
def test_a_timed_network_has_the_work_that_is_drawn(name: str) -> None:
    network = lesson.timed_network(name, 8)
    assert sum(p.numel() for p in network.parameters()) == sum(
        size.parameters for size in count(narrow(lesson.TIMED[name][1]))
    )
