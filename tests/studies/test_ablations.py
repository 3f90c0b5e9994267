"""The studies of §3.2 to §5: only the part in question differs, and what is measured at the end is right."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.model.architecture import Architecture
from alexnet_edu.studies import ablations
from alexnet_edu.studies.ablations import (
    PATTERNS,
    STUDIES,
    shift_sensitivity,
    shifted,
)
from alexnet_edu.studies.engine import Runs
from alexnet_edu.studies.run import build
from alexnet_edu.training.schedules import LOGGED, PlateauSchedule

IMAGES = synthetic_images(400, 100, seed=1)
RUNS = Runs(IMAGES, None)


def parameters(study: str) -> dict[str, int]:
    nets = {v.name: build(v.network, 32, 10, 0) for v in STUDIES[study].variants}
    return {name: sum(p.numel() for p in net.parameters()) for name, net in nets.items()}


@pytest.mark.parametrize("name", ["norms", "pooling", "lrn-long", "augmentation", "start", "schedule"])
def test_only_the_part_in_question_differs(name: str) -> None:
    counts = parameters(name)
    expected = counts.pop("batch", 0)
    assert len(set(counts.values())) == 1, counts
    assert expected in (0, 89_578 + 2 * (32 + 32))  # a scale and a shift for each map


def test_patterns_of_exchange_have_equal_parameters() -> None:
    """Within 1% of the paper's place; the half network is smaller, as in §3.2."""
    counts = parameters("exchange")
    assert counts["conv3"] == 140_426
    for name in PATTERNS:
        assert counts[name] == pytest.approx(counts["conv3"], rel=0.01), name
    assert counts["half"] < 0.7 * counts["conv3"]


def test_the_studies_of_training_are_what_their_claims_are_about() -> None:
    drop = {v.name: v.network for v in STUDIES["dropout"].variants}
    steps = {name: {s for x in net.layers for s in x.after if "drop" in s} for name, net in drop.items()}  # type: ignore[union-attr]
    assert steps == {"none": set(), "2012": {"dropout"}, "inverted": {"inverted_dropout"}}
    decay = [dict(v.changes) for v in STUDIES["decay"].variants]
    assert [d["weight_decay"] for d in decay] == [0, 0.0005]
    assert all((d["rule"], d["bias_rate"], d["decay_biases"]) == ("paper", 2.0, False) for d in decay)
    biases = [v.network for v in STUDIES["start"].variants]
    assert all(isinstance(net, Architecture) for net in biases)
    assert [[x.bias for x in net.layers] for net in biases] == [[0] * 6, [0, 1, 0, 1, 1, 0]]  # type: ignore[union-attr]
    falls = {v.name: dict(v.changes) for v in STUDIES["schedule"].variants}
    assert falls["plateau"]["plateau"] == PlateauSchedule(patience=5)
    assert falls["logged"]["drops"] == LOGGED["145-2010"].drops
    assert not {"plateau", "drops"} & set(falls["constant"])


# --- at the end of a run --------------------------------------------------------------------------


class LeftHalf(nn.Module):
    """Class 1 if the left half is brighter than the right one."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left = x[:, :, :, :4].mean((1, 2, 3)) - x[:, :, :, 4:].mean((1, 2, 3))
        return torch.stack([torch.zeros_like(left), left], 1)


def test_shifted_images_repeat_their_edge() -> None:
    image = torch.arange(9).reshape(1, 1, 3, 3)
    assert shifted(image, 1, 0)[0, 0].tolist() == [[0, 1, 2], [0, 1, 2], [3, 4, 5]]
    assert shifted(image, 0, -1)[0, 0].tolist() == [[1, 2, 2], [4, 5, 5], [7, 8, 8]]


def test_sensitivity_counts_changed_predictions() -> None:
    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    images[0, :, :, 3] = 200  # moves to the right half by one pixel to the right: 1 move of 4 matters
    images[1, :, :, 1] = 200  # no move matters
    assert shift_sensitivity(LeftHalf(), images, lambda b: b.float(), shifts=(1,)) == {"1": 0.25 * 0.5}


def test_images_of_all_classes_are_shifted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Test images may lie in the order of their classes, as in a folder that was imported."""
    monkeypatch.setattr(ablations, "SHIFTED_IMAGES", 50)
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(
        ablations, "shift_sensitivity", lambda model, pixels, *_, **__: seen.append(pixels) or {}
    )
    test = IMAGES.test.subset(IMAGES.test.labels.argsort())
    setting: Any = SimpleNamespace(
        judged=test, prepare=None, run=SimpleNamespace(config=SimpleNamespace(precision="float32"))
    )
    ablations._shifted(nn.Identity(), setting)
    labels = {p.numpy().tobytes(): int(y) for p, y in zip(test.pixels, test.labels, strict=True)}
    assert len({labels[p.numpy().tobytes()] for p in seen[0]}) == 10


def test_nine_views_are_averaged() -> None:
    study = replace(STUDIES["lrn-long"], epochs=0.25, drops=())
    run = study.run(study.variants[0], 0.001, 1)
    result = RUNS.train(run)
    model, setting = result.network.eval(), RUNS.setting(run)
    total = torch.zeros(100, 10)
    for top in (0, 4, 8):
        for left in (0, 4, 8):
            view = IMAGES.test.pixels[:, :, top : top + 24, left : left + 24]
            with torch.no_grad():
                total += model(setting.prepare(view)).float().softmax(1)
    expected = (total.argmax(1) != IMAGES.test.labels).double().mean().item()
    assert result.ends["nine_views"] == pytest.approx(expected, abs=0.02)  # bfloat16 rounds
