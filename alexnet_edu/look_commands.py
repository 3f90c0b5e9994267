"""`alexnet-edu weights` and `alexnet-edu experiment specialization`: small networks to look into."""

from __future__ import annotations

import argparse
import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

from alexnet_edu.arguments import check_device, check_names, positive, seed


def _say(line: str) -> None:
    print(line, flush=True)


def add_weights(parser: argparse.ArgumentParser) -> None:
    """The subcommands of `alexnet-edu weights`."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    command = commands.add_parser(
        "list", help="the trained networks that are shipped, and what they are worth"
    )
    command.set_defaults(run=_list, kept="")
    command = commands.add_parser(
        "train",
        help="train a shipped network again, and compare its error with what its file states",
        description="Trains the network of a shipped file from its recipe and its seed: minutes. "
        "May be killed at any moment: the same command goes on from there.",
    )
    command.add_argument("name", metavar="NAME", help="cifar10 or stand-in")
    command.add_argument("--seed", type=seed, help="another one than that of the file")
    command.add_argument(
        "--jobs", type=positive, metavar="N", help="networks at a time (default: one per core)"
    )
    command.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, mps")
    command.add_argument("--ship", action="store_true", help="train all seeds and write data/weights anew")
    command.set_defaults(
        run=_train, kept="Every network is kept up to its last epoch; the same command goes on from there."
    )


def _list(options: argparse.Namespace) -> int:
    from alexnet_edu.files import DataError
    from alexnet_edu.studies.networks import SHIPPED, load_weights, weights_path

    whole = True
    for name in SHIPPED:
        _say(f"{name}: {weights_path(name)}")
        try:
            _say(f"{load_weights(name).text()}\n")
        except DataError as error:  # the other one may be there
            whole = False
            _say(f"{error}\n")
    return 0 if whole else 1


def _train(options: argparse.Namespace) -> int:
    from alexnet_edu.data import cifar10 as data
    from alexnet_edu.studies import networks as weights
    from alexnet_edu.studies import shipped
    from alexnet_edu.studies.engine import Runs

    path = weights.weights_path(options.name)  # of an unknown name there is none
    check_device(options.device)
    if options.ship and options.seed is not None:
        raise ValueError("--ship trains the seeds of the recipe; leave --seed away")
    stated = None if options.ship else weights.load_weights(options.name)  # before minutes are spent
    images = shipped.stand_in() if options.name == "stand-in" else data.load_images(options.name)
    if stated is not None and stated.facts.get("fingerprint") != images.train.fingerprint():
        _say(f"The images are not those of {path}: another error would say nothing of the recipe.")
    asked = shipped.SEEDS[0] if options.seed is None else options.seed
    seeds = shipped.SEEDS if options.ship else (asked,)
    runs = Runs(images, data.runs_dir() / "weights", options.device)
    trained = shipped.train_seeds(options.name, runs, seeds=seeds, workers=options.jobs, say=_say)
    if options.ship:
        shipped.ship(options.name, runs, trained, path)
        _say(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
        return 0
    retrained = shipped.compared(options.name, trained[asked].test_error)
    _say(retrained.text())
    return 0 if retrained.as_stated else 1


def add_specialization(commands: Any) -> None:
    """`alexnet-edu experiment specialization`."""
    command = commands.add_parser(
        "specialization",
        help="does one column learn colour and the other not (§6.1)? many networks, several conditions",
        description="Trains small two-column networks with many seeds under several conditions: two hours on "
        "two cores. May be killed at any moment: the same command goes on from there.",
    )
    add = command.add_argument
    add("--condition", action="append", default=[], metavar="NAME", help="only this one; may be repeated")
    add("--jobs", type=positive, metavar="N", help="networks at a time (default: one per core)")
    add("--device", default="cpu", help="cpu (default), cuda, cuda:1, mps")
    add("--assemble", action="store_true", help="train nothing, only gather what was run")
    command.set_defaults(
        run=_specialization, kept="Every network is kept up to its last epoch; call again to go on."
    )


def _specialization(options: argparse.Namespace) -> int:
    from alexnet_edu.data import cifar10 as data
    from alexnet_edu.environment import results_dir, weights_dir
    from alexnet_edu.studies import specialization
    from alexnet_edu.studies.engine import Runs
    from alexnet_edu.studies.record import publish

    every = specialization.conditions()
    check_names("condition", options.condition, set(every))
    check_device(options.device)
    chosen = [c for name, c in every.items() if not options.condition or name in options.condition]
    folder = data.runs_dir() / "specialization"
    runs = lru_cache(lambda pack: Runs(data.load_images(pack), folder, options.device))
    if not options.assemble:
        specialization.train_all(chosen, runs, workers=options.jobs, say=_say)
    kernels = folder / specialization.KERNELS_FILE
    record = specialization.assemble(tuple(every.values()), runs, kernels)
    path = publish(record, folder)
    if path.parent == results_dir():
        weights_dir().mkdir(parents=True, exist_ok=True)
        kernels = Path(shutil.move(kernels, weights_dir() / kernels.name))
    _say(f"{len(record.runs)} networks under {len(record.variants)} conditions: {path}, {kernels}")
    return 0
