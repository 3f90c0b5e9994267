"""The table of a run: its numbers beside the paper's, and when they cannot be compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from alexnet_edu.imagenet import log as run_log
from alexnet_edu.lessons.run_report import OTHER_IMAGES, SMALLER, report

RECIPE = {
    "variant": "paper",
    "narrow": 1,
    "batch_size": 128,
    "epochs": 90.0,
    "rate": 0.01,
    "schedule": "plateau",
}
IMAGENET = {"recipe": RECIPE, "classes": 1000, "images": {"train": 1_281_167, "val": 50_000}}


def write(folder: Path, **start: Any) -> Path:
    path = folder / run_log.METRICS
    first = {"step": 0, "steps": 20, "processes": 2, "device_name": "GPU X", "parallel": "columns"}
    run_log.append(path, "start", **{**first, **IMAGENET, **start})
    for step, rate in ((10, 0.01), (20, 0.001)):
        run_log.append(path, "step", step=step, epoch=step / 10, rate=rate, seconds=60.0 * step)
        run_log.append(path, "evaluation", step=step, epoch=step / 10, top1=0.42, top5=0.1957)
    return folder


def test_a_run_on_imagenet_stands_beside_the_paper(tmp_path: Path) -> None:
    run_log.append(write(tmp_path) / run_log.METRICS, "final", step=20, top1=0.4071, top5=0.1822)
    ten, middle, rate, length, time = report(tmp_path).rows
    assert (ten.paper, ten.ours, ten.why) == ("40.7% / 18.2% (validation)", "40.7% / 18.2%", "")
    assert "0.406640 / 0.182100" in ten.log
    assert middle.ours == "42.0% / 19.6%"
    assert rate.ours == "0.01, fell after epoch 2 (plateau)"
    assert "25, 51, 79" in rate.log
    assert length.ours == "2 of 90 epochs, 20 updates with batches of 128"
    assert time.ours == "20 min, columns, 2 × GPU X"
    assert "5–6 days on two GTX 580 3 GB" in time.paper


def test_other_images_and_smaller_networks_say_that_they_cannot_be_compared(tmp_path: Path) -> None:
    few = write(tmp_path / "few", classes=10, images={"train": 60, "val": 20})
    row = report(few, "stand-in").rows[0]
    assert row.why == OTHER_IMAGES
    assert row.ours == "not reached yet"
    assert row.provenance.startswith("stand-in: 60 training and 20 validation images in 10 classes; ")
    thin = write(tmp_path / "thin", recipe={**RECIPE, "narrow": 8})
    assert report(thin).rows[0].why == SMALLER
    assert "8 times narrower" in report(thin).rows[0].provenance


def test_no_run_has_no_table(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no training has begun in "):
        report(tmp_path)
