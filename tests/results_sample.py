"""A record of the study of §6 from invented predictions: whole, in its right form, and quick to make."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from alexnet_edu.studies.result_numbers import members_part, problem_part
from alexnet_edu.studies.result_trials import Plan, split

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def invented(labels: Tensor, networks: int, skill: float, classes: int, generator: torch.Generator) -> Tensor:
    """Probabilities (M, 10, N, C) of networks that share some mistakes, and patches that share more."""
    images = torch.randn(1, 1, len(labels), classes, generator=generator)
    own = torch.randn(networks, 1, len(labels), classes, generator=generator)
    patch = 0.5 * torch.randn(networks, 10, len(labels), classes, generator=generator)
    logits = images + own + patch
    logits[..., torch.arange(len(labels)), labels] += skill
    return logits.softmax(-1)


def sample_record(plan: Plan | None = None, images: int = 200, *, synthetic: bool = False) -> dict[str, Any]:
    """As `result_study.assemble` makes it."""
    plan, generator = plan or Plan(), torch.Generator().manual_seed(7)
    ten, five = torch.arange(images) % 10, torch.arange(images) % 5
    skills = {"plain": 2.0, "sixth": 2.0, "long": 2.2, "starred": 2.8, "starred-long": 3.0}
    counts = {"plain": plan.plain, "sixth": 1, "long": 1, "starred": plan.starred, "starred-long": 1}
    problems = []
    for number in range(1, plan.problems + 1):
        said = {kind: invented(five, counts[kind], skill, 5, generator) for kind, skill in skills.items()}
        source, target = split(number)
        problems.append(
            {
                "problem": number,
                "source": [CLASSES[i] for i in source],
                "target": [CLASSES[i] for i in target],
                "source_errors": [0.2] * plan.starred,
                "runs": {kind: [_run(i) for i in range(counts.get(kind, plan.starred))] for kind in KINDS},
                **problem_part(said, five),
            }
        )
    return {
        "experiment": "results",
        "title": "an example",
        "plan": asdict(plan),
        "parameters": {"plain": 628_234, "sixth": 665_162},
        "search": {kind: [[0.01, 0.3], [0.02, 0.2], [0.05, 0.4]] for kind in ("plain", "sixth", "starred")},
        "members": {
            "runs": [_run(i) for i in range(plan.networks)],
            **members_part(invented(ten, plan.networks, 2.0, 10, generator), ten),
        },
        "problems": problems,
        "provenance": {
            "commits": ["abc"],
            "dates": ["2026-01-02"],
            "hardware": ["a machine"],
            "threads": [1],
            "torch": ["2.0"],
            "precision": ["float32"],
            "data": {
                "source": "invented",
                "synthetic": synthetic,
                "images": 50_000,
                "test_images": images,
                "fingerprint": "0",
            },
        },
    }


KINDS = ("source", "plain", "sixth", "long", "starred", "starred-long")


def _run(seed: int) -> dict[str, Any]:
    return {
        "seed": seed,
        "rate": 0.02,
        "epochs": 2,
        "images": 10,
        "status": "limit",
        "train_error": 0.1,
        "cpu_seconds": 10.0,
    }
