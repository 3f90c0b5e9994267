"""Small studies, really made: two conditions of the columns, and retrieval with a network hardly trained."""

from __future__ import annotations

import copy
import tempfile
from functools import cache
from pathlib import Path

from alexnet_edu.data.images import ImageSet
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.model.architecture import kernel_net
from alexnet_edu.studies import retrieval, specialization
from alexnet_edu.studies.codes import CodeSettings
from alexnet_edu.studies.engine import Runs
from alexnet_edu.studies.networks import Network
from alexnet_edu.studies.record import Record
from alexnet_edu.studies.shipped import as_network, kernel_run, seeded, train_with_snapshots
from alexnet_edu.studies.specialization import Condition

# --- columns ----------------------------------------------------------------------------------

IMAGES = synthetic_images(260, 60, size=16)


def conditions() -> tuple[Condition, ...]:
    """Two, of two seeds each."""
    nets = {name: kernel_net(name, kernel=5, kernels=8, side=16) for name in ("paper", "joint")}
    return tuple(
        Condition(name, title, kernel_run(f"s-{name}", nets[name], 0.01, 4), 2, "smaller")
        for name, title in (("paper", "as in the paper"), ("joint", "nothing kept"))
    )


def columns_study(folder: Path) -> tuple[Record, Path]:
    """The record, and the file of its kernels; all in `folder`."""
    chosen, runs = conditions(), Runs(IMAGES, folder / "runs")
    specialization.train_all(chosen, lambda _: runs, workers=1, say=lambda _: None)
    kernels = folder / "kernels.safetensors"
    return specialization.assemble(chosen, lambda _: runs, kernels), kernels


# --- retrieval --------------------------------------------------------------------------------

TINY = retrieval.Plan(
    bits=(8, 16),
    pixel_seeds=1,
    planes=2,
    shortlist=20,
    codes=CodeSettings(hidden=16, epochs=1, batch=100),
    batches=(2, 16, 30, 1000),
    sample=40,
)


@cache
def tiny_images() -> ImageSet:
    return synthetic_images(300, 100)


@cache
def tiny_network(seed: int = 1) -> Network:
    """Hardly trained: enough for shapes and for its layers to differ."""
    runs = Runs(tiny_images(), None)
    run = seeded(kernel_run("tiny", kernel_net(kernels=8, side=30), 0.01, 1), seed)
    return as_network("tiny", runs, train_with_snapshots(runs, run))


@cache
def _retrieval_record() -> Record:
    with tempfile.TemporaryDirectory() as folder:
        networks = {seed: tiny_network(seed) for seed in (1, 2)}
        return retrieval.record(networks, tiny_images(), TINY, Path(folder), workers=2, say=lambda _: None)


def retrieval_record() -> Record:
    """A record that a test may change."""
    return copy.deepcopy(_retrieval_record())
