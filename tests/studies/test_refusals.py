"""What a study cannot work with is quoted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from alexnet_edu.data.images import Images, ImageSet
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.ledger.claims import log_gain
from alexnet_edu.show.network import architecture_explorer
from alexnet_edu.show.photograph import photograph
from alexnet_edu.studies import clinic, codes, kernels, retrieval, specialization, statistics
from alexnet_edu.studies import ensemble_record as results
from alexnet_edu.studies.ablations import STUDIES
from alexnet_edu.studies.codes import CodeSettings
from alexnet_edu.studies.engine import Runs
from alexnet_edu.studies.ensembles import Plan
from alexnet_edu.studies.networks import weights_path
from alexnet_edu.studies.record import load, of_rows
from alexnet_edu.studies.signals import LayerProbe, Settings
from alexnet_edu.studies.study import next_rate
from tests.results_sample import sample_record
from tests.studies.samples import TINY, retrieval_record

IMAGES = synthetic_images(60, 10, seed=4).train
ROWS = torch.randn(50, 12, generator=torch.Generator().manual_seed(0))
BITS = ROWS[:5] < 0
UNEQUAL_RUNS = [
    {"variant": name, "rate": 0.1, "seed": seed, "chosen": True, "test_error": 0.3}
    for name, seed in (("a", 1), ("a", 2), ("b", 1))
]
UNEQUAL = of_rows("made", "", {}, {}, {"runs": UNEQUAL_RUNS})
SMALL = sample_record(Plan(networks=2, problems=1, plain=1, starred=1), 20)
KERNELS = {
    r"\(2, 1, 5, 5\)": torch.zeros(2, 1, 5, 5),
    r"\(0, 3, 5, 5\)": torch.zeros(0, 3, 5, 5),
    r"\(65, 65\)": torch.zeros(1, 3, 65, 65),
    "not numbers": torch.full((1, 3, 5, 5), math.nan),
}
MEASURES = (kernels.colour_share, kernels.hue_share, kernels.tuning, kernels.pictures)


def of_zeros(*shape: int) -> Images:
    labels = torch.zeros(shape[0], dtype=torch.int64)
    return Images(torch.zeros(*shape, dtype=torch.uint8), labels, ("a",), "zeros")


def probed(images: Images, activation: str = "tanh") -> object:
    return LayerProbe(images).view(Settings(activation, 0.01, "scaled", "raw"), 0)


@pytest.mark.parametrize(
    ("attempt", "quoted"),
    [
        (lambda: STUDIES["pooling"].variant("z9"), "'z9'; it has z2, z3"),
        (lambda: next_rate(0.03, 1), r"0\.03"),
        (lambda: Runs(ImageSet(IMAGES, IMAGES), None).prepare(inputs="centred"), "'centred'"),
        (lambda: clinic.Setting(biases="magic"), "'magic'"),
        (lambda: clinic.batch_of(IMAGES.subset((IMAGES.labels != 3).nonzero()[:, 0])), "'falling stripes'"),
        (lambda: clinic.batch_of(replace(IMAGES, labels=IMAGES.labels % 2, classes=("a", "b"))), "got 2"),
        (lambda: photograph(Path("none.jpg")), r"none\.jpg"),
        (lambda: photograph(Path(__file__)), r"test_refusals\.py"),
        # Records.
        (lambda: UNEQUAL.values("z9"), "'z9'; it holds a, b"),
        (lambda: UNEQUAL.of(variant="a", rate=0.5), r"rate 0\.5; it holds 0\.1"),
        (lambda: UNEQUAL.at_rate(0.5), r"0\.5; shared rates: 0\.1"),
        (lambda: UNEQUAL.paired_gap("a", "b"), r"\[1\.0, 2\.0\], 'b' with \[1\.0\]"),
        (lambda: results.view_gap(SMALL, "nine"), "'nine'; it has centre"),
        (lambda: results.mixed_errors(SMALL, 6, 0), "plain 6; it has 0, 1"),
        (lambda: retrieval.precisions(retrieval_record(), "fc9"), "'fc9'"),
        (lambda: retrieval.code_values(retrieval_record(), "features", "random", 9), "9; it has 8, 16"),
        (lambda: retrieval.record({}, ImageSet(IMAGES, IMAGES), TINY, Path()), "at least one network"),
        (lambda: specialization.pooled_test(load("specialization"), "wide"), "'wide'; it has paper, "),
        (
            lambda: specialization.pooled_test(load("specialization"), "paper", "shape"),
            "'shape'; it has colour",
        ),
        (lambda: log_gain("145", "145-half"), "145-half"),
        # Statistics.
        (lambda: statistics.paired([1.0, 2.0], [1.0]), "shorter"),
        (lambda: statistics.bootstrap_ratio([1.0], [1.0, 2.0, 3.0]), "got 1 and 3"),
        (lambda: kernels.pooled([torch.tensor([1.0, math.nan, 0, 0])]), "not numbers"),
        (lambda: kernels.pooled([torch.zeros(4)] * 2, [torch.ones(4)]), "shorter"),
        # Kernels, layers and what flows through them.
        (lambda: architecture_explorer(variant="vgg"), "vgg"),
        (lambda: weights_path("imagenet"), "'imagenet'"),
        (lambda: probed(of_zeros(131, 3, 16, 16)), "131"),
        (lambda: probed(of_zeros(140, 3, 16, 16), "softplus"), "'softplus'"),
        # Codes and neighbours.
        (lambda: CodeSettings(bits=12), "got 12"),
        (lambda: codes.train_coder(torch.ones(9, 3), CodeSettings(), 0), "variance 0"),
        (
            lambda: codes.train_coder(ROWS, CodeSettings(16, 32, 9, 1e30, 50), 0),
            r"loss is (inf|nan)",
        ),
        (lambda: codes.search_codes(BITS[:, :8], BITS[:, :8], 6), "got 6"),
        *((lambda m=m, k=k: m(k), quoted) for m in MEASURES for quoted, k in KERNELS.items()),
    ],
)
def test_what_does_not_fit_is_quoted(attempt: Callable[[], object], quoted: str) -> None:
    with pytest.raises((ValueError, RuntimeError), match=quoted):  # the latter where a training diverged
        attempt()
