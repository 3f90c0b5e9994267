from __future__ import annotations

from pathlib import Path

import pytest
import torch

from alexnet_edu.imagenet import log as run_log
from alexnet_edu.imagenet.journal import MAX_LISTED, Journal, memory_used


def test_only_one_process_speaks(tmp_path: Path) -> None:
    said: list[str] = []
    silent = Journal(tmp_path, False, said.append)
    silent.warn("something", step=3)
    assert said == []
    assert not (tmp_path / run_log.METRICS).exists()
    loud = Journal(tmp_path, True, said.append)
    loud.warn("something", step=3)
    assert said == ["warning: something"]
    assert run_log.read(tmp_path / run_log.METRICS)[0]["text"] == "something"


def test_an_image_is_named_once_and_not_all_of_thousands(tmp_path: Path) -> None:
    journal = Journal(tmp_path, True, lambda line: None)
    for _ in range(2):
        journal.name([f"image {i} is damaged." for i in range(MAX_LISTED + 5)], 1)
    assert len(journal.unreadable) == MAX_LISTED + 5
    rows = run_log.read(tmp_path / run_log.METRICS)
    assert len(rows) == MAX_LISTED
    assert rows[0]["text"] == "image 0 is damaged. It is left out."


def test_a_line_that_cannot_be_written_is_said_and_no_more(tmp_path: Path) -> None:
    (tmp_path / run_log.METRICS).mkdir()
    said: list[str] = []
    Journal(tmp_path, True, said.append).log("step", step=1)
    assert len(said) == 1
    assert "a line of the log was not written" in said[0]


def test_tensorboard_gets_the_numbers(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    journal = Journal(tmp_path, True, lambda line: None, tensorboard=True)
    journal.log("step", step=3, loss=1.5, memory=[1])
    journal.close()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("step/loss")] == [(3, 1.5)]


def test_what_a_device_says_of_itself() -> None:
    assert memory_used(torch.device("cpu")) >= 0
