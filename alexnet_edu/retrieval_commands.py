"""`alexnet-edu experiment retrieval`: neighbours and short codes for the trained networks of all seeds."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from alexnet_edu.arguments import positive
from alexnet_edu.environment import SCALES


def add_retrieval(commands: Any) -> None:
    """The command and its options."""
    command = commands.add_parser(
        "retrieval",
        help="neighbours in features, in pixels, by short binary codes (§6.1)",
        description="Searches all training images for the neighbours of every test image, with the networks "
        "of all seeds: a quarter of an hour on two cores, longer where they must be trained first. "
        "May be killed at any moment: the same command goes on from there.",
    )
    add = command.add_argument
    add("--scale", choices=SCALES, help="quick takes the small stand-in (default: ALEXNET_EDU_SCALE)")
    add("--jobs", type=positive, metavar="N", help="networks at a time (default: one per core)")
    add("--output", type=Path, metavar="FILE", help="where the record goes (default: data/results)")
    command.set_defaults(run=_retrieval, kept="Every finished network is kept; call again to go on.")


def _say(line: str) -> None:
    print(line, flush=True)


def _retrieval(options: argparse.Namespace) -> int:
    from alexnet_edu.data import cifar10 as data
    from alexnet_edu.files import write_json
    from alexnet_edu.studies import retrieval as retrieval_study
    from alexnet_edu.studies import weight_recipes
    from alexnet_edu.studies.codes import CodeSettings
    from alexnet_edu.studies.networks import Network
    from alexnet_edu.training.loop import resolve_precision

    if options.output is not None and options.output.is_dir():
        raise ValueError(f"--output {str(options.output)!r} is a folder; name a file in it")
    images = data.load_cifar10(options.scale)
    name = "stand-in" if images.synthetic else "cifar10"
    runs, workers = data.runs_dir(), options.jobs or os.cpu_count() or 1
    learned_from = weight_recipes.stand_in() if images.synthetic else images
    trained = weight_recipes.train_seeds(name, learned_from, runs / "weights", workers=workers, say=_say)
    networks = {
        seed: Network(
            name, f"{name}, seed {seed}", each.model.eval().stages, each.prepare, images.train.classes
        )
        for seed, each in trained.items()
    }
    plan = retrieval_study.Plan(codes=CodeSettings(precision=resolve_precision("auto")))
    folder = runs / f"retrieval-{name}"
    record = retrieval_study.record(networks, images, plan, folder, workers=workers, say=_say)
    path = options.output or place(images.synthetic, record, runs)
    write_json(path, record)
    _say(f"{len(networks)} networks on {images.source}: {path}")
    return 0


def place(synthetic: bool, record: dict[str, Any], runs: Path) -> Path:
    """`data/results`, unless that would put the stand-in, or other images, in place of what is there."""
    from alexnet_edu.environment import results_dir
    from alexnet_edu.files import read_json

    published, own = results_dir() / "retrieval.json", runs / "retrieval.json"
    if synthetic:
        return own
    if published.exists():
        there = read_json(published)["provenance"]["data"]["fingerprint"]
        if there != record["provenance"]["data"]["fingerprint"]:
            _say(f"{published} is left as it is: it was made on other images.")
            return own
    return published
