from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from alexnet_edu.imagenet import rehearsal
from alexnet_edu.imagenet.distributed import Single
from alexnet_edu.imagenet.prepared import open_prepared
from alexnet_edu.imagenet.recipe import Recipe
from alexnet_edu.imagenet.rehearsal import DoesNotFit, Rehearsal, check_fits, duration, needs, rehearse
from alexnet_edu.imagenet.trainer import Running, Training
from alexnet_edu.model.architecture import count, narrow, variant
from tests import prepared

RECIPE = Recipe(narrow=16, batch_size=12, epochs=10)
TABLE = narrow(variant("paper", 6), 16)
RUNNING = Running(precision="float32", workers=1)


def _group() -> Single:
    return Single(TABLE, torch.device("cpu"), 0)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    images = open_prepared(prepared.small(tmp_path_factory.mktemp("prepared")))
    folder = tmp_path_factory.mktemp("run") / "new"
    training = Training(RECIPE, images, _group(), folder, RUNNING)
    shown = rehearse(training, steps=3, warm=1)
    assert not folder.exists()  # nothing is written
    return shown


def test_it_measures_and_adds_up(found: Rehearsal) -> None:
    assert found.steps == 3
    assert found.feed_images_per_s > 0
    assert 0 <= found.waited <= 1
    expected = 10 * 48 / found.images_per_s + 10 * 12 / found.evaluation_images_per_s
    assert found.run_seconds == pytest.approx(expected, rel=0.001, abs=0.051)  # it is told in tenths
    assert found.checkpoint_bytes == 8 * sum(size.parameters for size in count(TABLE))
    assert found.disk_bytes == 5 * found.checkpoint_bytes
    assert len(found.memory) == 1
    assert 0 < found.memory[0] < found.memory_there
    text = found.text(10)
    assert "10 epochs with their evaluations" in text
    assert "checkpoints" in text


def test_a_batch_that_cannot_fit_is_refused_with_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "memory_there", lambda device: 2**30)
    check_fits(TABLE, _group(), tmp_path, RUNNING, 12, 1)
    with pytest.raises(DoesNotFit, match=r"of 100000 images needs at least .* GiB, but cpu has 1\.0 free"):
        check_fits(TABLE, _group(), tmp_path, RUNNING, 100_000, 1)


def test_a_disk_that_is_too_small_is_refused_with_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "_free", lambda folder: 10**6)
    with pytest.raises(DoesNotFit, match=r"7 checkpoints, .* GB \(.* each\), but .* has 0\.00 free"):
        check_fits(TABLE, _group(), tmp_path / "not" / "there", replace(RUNNING, keep=7), 12, 1)


def test_what_a_step_needs_at_least() -> None:
    """The paper's network: 61 million parameters three times, and 0.66 million outputs an image and more."""
    table = variant("paper")
    one, two = needs(table, 1), needs(table, 2)
    assert needs(table, 0) == 3 * 4 * 60_965_224
    assert two - one == one - needs(table, 0)
    assert 4 * 659_272 < two - one < 8 * 659_272
    assert needs(table, 128, columns=2) == needs(table, 128) // 2


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(8, "8 s"), (119, "119 s"), (125, "2 min"), (18_430, "5 h 07 min"), (475_200, "5 d 12 h")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
