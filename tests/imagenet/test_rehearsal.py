from __future__ import annotations

from pathlib import Path

import pytest
import torch

from alexnet_edu.imagenet import rehearsal
from alexnet_edu.imagenet.distributed import Single
from alexnet_edu.imagenet.prepared import PreparedSet
from alexnet_edu.imagenet.recipe import Recipe, Running
from alexnet_edu.imagenet.rehearsal import DoesNotFit, check_fits, duration, needs, rehearse
from alexnet_edu.imagenet.trainer import Training
from alexnet_edu.model.architecture import count, narrow, variant

TABLE = narrow(variant("paper", 6), 16)


@pytest.fixture(scope="module")
def group() -> Single:
    return Single(TABLE, torch.device("cpu"), 0)


def test_it_measures_adds_up_and_writes_nothing(group: Single, images: PreparedSet, tmp_path: Path) -> None:
    recipe, running = Recipe(narrow=16, batch_size=12, epochs=10), Running(precision="float32", workers=1)
    measured = rehearse(Training(recipe, images, group, tmp_path / "run", running), steps=3, warm=1)
    assert not (tmp_path / "run").exists()
    assert measured.steps == 3
    assert 0 <= measured.waited <= 1
    expected = 10 * 48 / measured.images_per_s + 10 * 7 / measured.evaluation_images_per_s
    expected += (40 / running.save_every + 10) * measured.stopped_s  # 4 steps an epoch, one evaluation
    assert measured.run_seconds == pytest.approx(expected, rel=0.001, abs=0.051)  # it is told in tenths
    assert measured.checkpoint_bytes == 8 * sum(size.parameters for size in count(TABLE))
    assert measured.disk_bytes == 5 * measured.checkpoint_bytes
    assert 0 < measured.memory[0] < measured.memory_there
    assert "10 epochs with their evaluations" in measured.text(10)


def test_what_cannot_fit_is_refused_with_figures(
    group: Single, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "memory_free", lambda device: 2**30)
    check_fits(TABLE, group, tmp_path, 3, 12)
    with pytest.raises(DoesNotFit, match=r"100000 images .* 1\.0 free"):
        check_fits(TABLE, group, tmp_path, 3, 100_000)
    monkeypatch.setattr(rehearsal, "_disk_free", lambda folder: 10**6)
    with pytest.raises(DoesNotFit, match=r"7 checkpoints.* 0\.00 free"):
        check_fits(TABLE, group, tmp_path / "not" / "there", 7, 12)


def test_what_a_step_needs_at_least() -> None:
    """The paper's network: 61 million parameters three times, and 0.66 million outputs an image and more."""
    table = variant("paper")
    one, two = needs(table, 1), needs(table, 2)
    assert needs(table, 0) == 3 * 4 * 60_965_224
    assert two - one == one - needs(table, 0)
    assert 4 * 659_272 < two - one < 8 * 659_272
    assert needs(table, 128, columns=2) == needs(table, 128) // 2


def test_durations() -> None:
    words = [duration(seconds) for seconds in (8, 119, 125, 18_430, 475_200)]
    assert words == ["8 s", "119 s", "2 min", "5 h 07 min", "5 d 12 h"]
