"""A study of retrieval small enough for a test, really made: a tiny network, the stand-in, few codes."""

from __future__ import annotations

import copy
import tempfile
from functools import cache
from pathlib import Path

from alexnet_edu.data.images import ImageSet
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.model.architecture import kernel_net
from alexnet_edu.studies.codes import CodeSettings
from alexnet_edu.studies.engine import Runs
from alexnet_edu.studies.networks import Network
from alexnet_edu.studies.record import Record
from alexnet_edu.studies.retrieval import Plan, record
from alexnet_edu.studies.shipped import as_network, kernel_run, seeded, train_with_snapshots

TINY = Plan(
    bits=(8, 16),
    code_seeds=1,
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
def _made() -> Record:
    with tempfile.TemporaryDirectory() as folder:
        networks = {seed: tiny_network(seed) for seed in (1, 2)}
        return record(networks, tiny_images(), TINY, Path(folder), workers=2, say=lambda _: None)


def sample_record(*, synthetic: bool = True) -> Record:
    """A record that a test may change. synthetic: what it says of its images."""
    made = copy.deepcopy(_made())
    made.provenance["data"]["synthetic"] = synthetic
    return made
