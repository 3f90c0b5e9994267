"""A record of the study of §6 from invented predictions: whole, in its right form, and quick to make."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from alexnet_edu.studies.ensemble_numbers import add_problem, members_tables
from alexnet_edu.studies.ensembles import Plan, split
from alexnet_edu.studies.record import Record, of_rows

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SKILLS = {"plain": 2.0, "sixth": 2.0, "long": 2.2, "starred": 2.8, "starred-long": 3.0, "source": 2.5}


def invented(labels: Tensor, networks: int, skill: float, classes: int, generator: torch.Generator) -> Tensor:
    """Probabilities (M, 10, N, C) of networks that share some mistakes, and patches that share more."""
    images = torch.randn(1, 1, len(labels), classes, generator=generator)
    own = torch.randn(networks, 1, len(labels), classes, generator=generator)
    patch = 0.5 * torch.randn(networks, 10, len(labels), classes, generator=generator)
    logits = images + own + patch
    logits[..., torch.arange(len(labels)), labels] += skill
    return logits.softmax(-1)


def sample_record(plan: Plan | None = None, images: int = 200, *, synthetic: bool = False) -> Record:
    """As `ensembles.assemble` makes it."""
    plan, generator = plan or Plan(), torch.Generator().manual_seed(7)
    ten, five = torch.arange(images) % 10, torch.arange(images) % 5
    counts = dict.fromkeys(SKILLS, 1) | {"plain": plan.plain, "starred": plan.starred, "source": plan.starred}
    tables = members_tables(invented(ten, plan.networks, 2.0, 10, generator), ten)
    tables["runs"] = [_run(0, "member", seed) for seed in range(plan.networks)]
    problems = []
    for number in range(1, plan.problems + 1):
        predictions = {
            kind: invented(five, counts[kind], skill, 5, generator) for kind, skill in SKILLS.items()
        }
        add_problem(tables, number, predictions, dict.fromkeys(SKILLS, five))
        tables["runs"] += [
            _run(number, kind, seed) for kind, count in counts.items() for seed in range(count)
        ]
        halves = [[CLASSES[i] for i in half] for half in split(number)]
        problems.append({"problem": number, "source": halves[0], "target": halves[1]})
    tables["searches"] = [
        {"variant": kind, "rate": rate, "held_out_error": error}
        for kind in ("plain", "sixth", "starred")
        for rate, error in ((0.01, 0.3), (0.02, 0.2), (0.05, 0.4))
    ]
    data = {"source": "invented", "images": 50_000, "test_images": images, "fingerprint": "0"}
    made = {
        "commits": ["abc"],
        "dates": ["2026-01-02"],
        "hardware": ["a machine"],
        "threads": [1],
        "torch": ["2.0"],
        "precision": ["float32"],
        "data": data | {"synthetic": synthetic},
    }
    settings = {"plan": asdict(plan), "problems": problems}
    return of_rows("results", "an example", settings, made, tables)


def _run(problem: int, kind: str, seed: int) -> dict[str, Any]:
    about = {"problem": problem, "variant": kind, "rate": 0.02, "seed": seed, "epochs": 2, "images": 10}
    return about | {"status": "limit", "train_error": 0.1, "cpu_seconds": 10.0}
