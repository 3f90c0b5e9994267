"""`alexnet-edu weights` and `alexnet-edu experiment specialization`: small networks to look into."""

from __future__ import annotations

import argparse
import os
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
    from alexnet_edu.studies import weight_recipes

    path = weights.weights_path(options.name)  # of an unknown name there is none
    check_device(options.device)
    if options.ship and options.seed is not None:
        raise ValueError("--ship trains the seeds of the recipe; leave --seed away")
    stated = None if options.ship else weights.load_weights(options.name)  # before minutes are spent
    images = weight_recipes.stand_in() if options.name == "stand-in" else data.load_images(options.name)
    if stated is not None and stated.facts.get("fingerprint") != images.train.fingerprint():
        _say(f"The images are not those of {path}: another error would say nothing of the recipe.")
    asked = weight_recipes.SEEDS[0] if options.seed is None else options.seed
    found = weight_recipes.train_seeds(
        options.name,
        images,
        data.runs_dir() / "weights",
        seeds=weight_recipes.SEEDS if options.ship else (asked,),
        workers=options.jobs or os.cpu_count() or 1,
        device=options.device,
        say=_say,
    )
    if options.ship:
        weight_recipes.ship(options.name, images, found, path)
        _say(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
        return 0
    retrained = weight_recipes.compared(options.name, found[asked].test_error)
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
    from alexnet_edu.files import write_json
    from alexnet_edu.studies import specialization

    every = specialization.conditions()
    check_names("condition", options.condition, set(every))
    check_device(options.device)
    chosen = [c for name, c in every.items() if not options.condition or name in options.condition]
    folder = data.runs_dir() / specialization.EXPERIMENT
    images = lru_cache(data.load_images)
    if not options.assemble:
        workers = options.jobs or os.cpu_count() or 1
        specialization.train_all(chosen, images, folder, workers=workers, device=options.device, say=_say)
    kernels = folder.with_name(specialization.KERNELS_FILE)
    path = folder.with_name(f"{specialization.EXPERIMENT}.json")
    record = specialization.assemble(tuple(every.values()), images, folder, kernels)
    published = results_dir() / path.name
    if lost := _lost(published, record):
        _say(f"{published} is left as it is: it holds more, {', '.join(lost)}.")
    else:
        path = published
        weights_dir().mkdir(parents=True, exist_ok=True)
        kernels = Path(shutil.move(kernels, weights_dir() / kernels.name))
    write_json(path, record)
    count = sum(len(condition["runs"]) for condition in record["conditions"])
    _say(f"{count} networks under {len(record['conditions'])} conditions: {path}, {kernels}")
    return 0


def _lost(published: Path, record: dict[str, Any]) -> list[str]:
    """What a published record has and a new one has not: "condition (so many seeds)"."""
    from alexnet_edu.files import read_json

    def seeds(of: dict[str, Any]) -> dict[str, set[int]]:
        return {part["name"]: {run["seed"] for run in part["runs"]} for part in of["conditions"]}

    there, here = (seeds(read_json(published)) if published.exists() else {}), seeds(record)
    lost = {name: each - here.get(name, set()) for name, each in there.items()}
    return [f"{name} ({len(each)} seeds)" for name, each in lost.items() if each]
