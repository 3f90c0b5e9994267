"""`alexnet-edu experiment retrieval`: neighbours and short codes for the trained networks of all seeds."""

from __future__ import annotations

import argparse
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
    from alexnet_edu.studies import retrieval, shipped
    from alexnet_edu.studies.codes import CodeSettings
    from alexnet_edu.studies.engine import Runs
    from alexnet_edu.studies.record import publish
    from alexnet_edu.training.loop import resolve_precision

    if options.output is not None and options.output.is_dir():
        raise ValueError(f"--output {str(options.output)!r} is a folder; name a file in it")
    images = data.load_cifar10(options.scale)
    name = "stand-in" if images.synthetic else "cifar10"
    learned_from = shipped.stand_in() if images.synthetic else images
    runs = Runs(learned_from, data.runs_dir() / "weights")
    trained = shipped.train_seeds(name, runs, workers=options.jobs, say=_say)
    networks = {seed: shipped.as_network(name, runs, each) for seed, each in trained.items()}
    plan = retrieval.Plan(codes=CodeSettings(precision=resolve_precision("auto")))
    folder = data.runs_dir() / f"retrieval-{name}"
    record = retrieval.record(networks, images, plan, folder, workers=options.jobs, say=_say)
    path = publish(record, folder, options.output)
    _say(f"{len(networks)} networks on {images.source}: {path}")
    return 0
