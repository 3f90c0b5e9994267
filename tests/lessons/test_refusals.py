"""What a lesson cannot work with is quoted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from alexnet_edu.lessons import runbook
from alexnet_edu.lessons.kernels import training_explorer
from alexnet_edu.studies import thinned
from alexnet_edu.studies.ablations import small_alexnet
from alexnet_edu.studies.run import build
from tests.studies.samples import tiny_network


@pytest.mark.parametrize(
    ("attempt", "quoted"),
    [
        (lambda: runbook.report(Path("no-such-run")), "no-such-run"),
        (lambda: thinned.all_masks(21), "21"),
        (lambda: thinned.read_head(build(small_alexnet(), 24, 10, 0), torch.zeros(0), "fc9"), "'fc9'"),
        (lambda: thinned.read_head(build(small_alexnet(), 24, 10, 0), torch.zeros(0), "fc5"), "training"),
        (lambda: training_explorer(replace(tiny_network(), snapshots={})), "'tiny'"),
    ],
)
def test_what_does_not_fit_is_quoted(attempt: Callable[[], object], quoted: str) -> None:
    with pytest.raises(ValueError, match=quoted):
        attempt()
