"""A small study of columns, really trained: two conditions, a few seeds, generated images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.model.architecture import kernel_net
from alexnet_edu.studies import specialization
from alexnet_edu.studies.engine import Runs
from alexnet_edu.studies.record import Record
from alexnet_edu.studies.shipped import kernel_run
from alexnet_edu.studies.specialization import Condition

IMAGES = synthetic_images(260, 60, size=16)


def conditions(seeds: int = 3) -> tuple[Condition, ...]:
    small: dict[str, Any] = {"kernel": 5, "kernels": 8, "side": 16}
    return tuple(
        Condition(name, title, kernel_run(f"s-{name}", kernel_net(name, **small), 0.01, 4), seeds, "smaller")
        for name, title in (("paper", "as in the paper"), ("joint", "nothing kept"))
    )


def sample(folder: Path, seeds: int = 3) -> tuple[Record, Path]:
    """The record of the study, and the file of its kernels; all in `folder`."""
    chosen, runs = conditions(seeds), Runs(IMAGES, folder / "runs")
    specialization.train_all(chosen, lambda _: runs, workers=1, say=lambda _: None)
    kernels = folder / "kernels.safetensors"
    return specialization.assemble(chosen, lambda _: runs, kernels), kernels
