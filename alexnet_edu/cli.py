"""The command `alexnet-edu`: doctor, data, train, evaluate, experiment, claims.

Only the standard library is imported at the top: `--help` is there at once, and the
doctor can speak where torch is broken.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alexnet_edu import imagenet_commands, look_commands, retrieval_commands
from alexnet_edu.arguments import check_device, check_names, positive, seed
from alexnet_edu.environment import SCALES

if TYPE_CHECKING:
    from alexnet_edu.studies.engine import Runs
    from alexnet_edu.studies.record import Record

EXAMPLES = """\
examples:
  alexnet-edu doctor                        what works on this machine, and what to do
  alexnet-edu data cifar10                  download CIFAR-10 (170 MB)
  alexnet-edu data import images.zip        use images that you have
  alexnet-edu data imagenet --from PATH --to PATH   prepare ImageNet, once
  alexnet-edu claims --section 3.1          what the paper claims, and what we measured
  alexnet-edu experiment figure1 --condition modern --jobs 2
"""
INTERRUPTED = 130  # what shells report for Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. 0: all went well; 1: the doctor found a failure; 2: bad input.

    Bad input and damaged files end in one line on stderr; `--debug` shows the traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a console that has no × shows a question mark
    options = _parser().parse_args(arguments)
    options.arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        print(f"\nInterrupted. {options.kept}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `alexnet-edu claims | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if options.debug or not _is_bad_input(error):
            raise
        print(f"alexnet-edu: {error}", file=sys.stderr)
        return 2


def _is_bad_input(error: Exception) -> bool:
    """Whether the message was written for the person who typed the command."""
    from alexnet_edu.files import DataError
    from alexnet_edu.model.compiling import CannotCompile

    return isinstance(error, DataError | CannotCompile | ValueError)


# --- the commands ---------------------------------------------------------------------


def _doctor(options: argparse.Namespace) -> int:
    from alexnet_edu import doctor

    findings = []
    for finding in doctor.examine():
        print(finding, flush=True)
        findings.append(finding)
    return 1 if doctor.worst(findings) == "fail" else 0


def _data_import(options: argparse.Namespace) -> int:
    from alexnet_edu.data import cifar10 as data

    print(data.run_import(options.path, size=options.size, force=options.force, seed=options.seed))
    return 0


def _data_cifar10(options: argparse.Namespace) -> int:
    from alexnet_edu.data import cifar10 as data

    print(data.run_download())
    return 0


def _data_status(options: argparse.Namespace) -> int:
    from alexnet_edu.data import cifar10 as data

    print(data.status().text())
    return 0


def _data_imagenet(options: argparse.Namespace) -> int:
    from alexnet_edu.imagenet.prepare import prepare
    from alexnet_edu.imagenet.prepared import verify

    if options.source is None and not options.verify:
        raise ValueError(
            "name the folder with ImageNet by --from PATH, or add --verify to check what is there"
        )
    if options.source is not None:
        prepare(
            options.source,
            options.target,
            workers=options.workers,
            quality=options.quality,
            truth=options.truth,
            say=lambda line: print(line, flush=True),
        )
    problems = verify(options.target, progress=True) if options.verify else []
    if options.verify:
        print("\n".join(problems or ["Verified: every checksum and every count is right."]))
    return 1 if problems else 0


def _claims(options: argparse.Namespace) -> int:
    import json

    from alexnet_edu.ledger import table

    claims = table.chosen(options.section, options.notebook)
    if options.id is not None:
        claims = [table.claim_named(options.id)]
    width = max(table.NARROWEST, min(120, shutil.get_terminal_size((80, 40)).columns))
    if options.json:
        print(json.dumps([table.as_object(claim) for claim in claims], indent=1, ensure_ascii=False))
    elif options.id is not None:
        print(table.detail(claims[0], width))
    else:
        print(table.lines(claims, width))
    return 0


def _figure1(options: argparse.Namespace) -> int:
    from alexnet_edu.studies import figure1

    pairs = [variant.name.split() for variant in figure1.STUDY.variants]
    check_names("condition", options.condition, {condition for condition, _ in pairs})
    check_names("activation", options.activation, {activation for _, activation in pairs})
    chosen = [
        f"{condition} {activation}"
        for condition, activation in pairs
        if condition in (options.condition or [condition])
        and activation in (options.activation or [activation])
    ]
    if not chosen:
        raise ValueError(
            f"no study has condition {options.condition!r} and activation {options.activation!r}"
        )
    every = len(chosen) == len(pairs)
    return _study(options, "figure1", figure1.train, figure1.assemble, variants=() if every else chosen)


def _ablation(options: argparse.Namespace) -> int:
    from functools import partial

    from alexnet_edu.studies import ablations, study

    chosen = ablations.STUDIES[options.study]
    check_names("variant", options.variant, {v.name for v in chosen.variants})
    run, gather = partial(study.train, chosen), partial(study.assemble, chosen)
    return _study(options, "ablations", run, gather, variants=options.variant)


def _results(options: argparse.Namespace) -> int:
    from functools import partial

    from alexnet_edu.studies import ensembles

    plan = ensembles.Plan()
    return _study(options, "results", partial(ensembles.train, plan), partial(ensembles.assemble, plan))


def _study(
    options: argparse.Namespace,
    folder: str,
    train: Callable[..., None],
    assemble: Callable[[Runs], Record],
    **chosen: Any,
) -> int:
    """Trains what is missing of a study, and publishes its record. folder: where the runs are kept."""
    from alexnet_edu.data import cifar10 as data
    from alexnet_edu.studies.engine import Runs
    from alexnet_edu.studies.record import publish

    check_device(options.device)
    if options.output is not None and options.output.is_dir():
        raise ValueError(f"--output {str(options.output)!r} is a folder; name a file in it")
    images = data.load_cifar10(options.scale)
    place = data.runs_dir() / (f"{folder}-synthetic" if images.synthetic else folder)
    runs = Runs(images, place, options.device)
    if not options.assemble:
        train(runs, workers=options.jobs, say=lambda line: print(line, flush=True), **chosen)
    record = assemble(runs)
    path = publish(record, place, options.output)
    print(f"{len(record.runs)} runs of {len(record.variants)} variants on {images.train.source}: {path}")
    return 0


def _two_columns(options: argparse.Namespace) -> int:
    from alexnet_edu.environment import results_dir
    from alexnet_edu.files import write_json
    from alexnet_edu.two_gpus import check as column_trials

    path = options.output or results_dir() / "two-columns.json"
    write_json(path, column_trials.record(options.batch, rounds=options.rounds))
    print(f"two columns, equality, bytes and seconds: {path}")
    return 0


def _augmenting(options: argparse.Namespace) -> int:
    from alexnet_edu.data import cifar10 as data
    from alexnet_edu.environment import results_dir
    from alexnet_edu.files import write_json
    from alexnet_edu.studies import augment_trials

    images = data.load_cifar10(options.scale).train
    if images.synthetic and options.output is None:
        raise ValueError(
            "the stand-in has no colours worth recording; get real images, or give --output FILE"
        )
    path = options.output or results_dir() / f"{augment_trials.EXPERIMENT}.json"
    write_json(path, augment_trials.record(images, options.batch, rounds=options.rounds))
    print(f"colours of {images.source}, seconds of augmentation and of a step: {path}")
    return 0


def _clinic(options: argparse.Namespace) -> int:
    from alexnet_edu.data import cifar10 as data
    from alexnet_edu.studies import clinic
    from alexnet_edu.studies.record import publish

    images = data.load_cifar10(options.scale).train
    runs = data.runs_dir() / ("clinic-synthetic" if images.synthetic else "clinic")
    record = clinic.record(clinic.batch_of(images), runs, say=lambda line: print(line, flush=True))
    print(f"{len(record.runs)} cells: {publish(record, runs, options.output)}")
    return 0


# --- the command line -----------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="alexnet-edu",
        description="The AlexNet paper, rebuilt claim by claim. Most of it lives in notebooks: `make lab`.",
        epilog=EXAMPLES,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=26),
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(kept="Nothing was changed.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    command = commands.add_parser("doctor", help="look at this machine: what works, and what to do")
    command.set_defaults(run=_doctor)
    _add_data(commands.add_parser("data", help="get or import images, or see what is there"))
    imagenet_commands.add_train_arguments(
        commands.add_parser(
            "train", help="the paper's training on ImageNet: one device, two columns, or copies"
        )
    )
    imagenet_commands.add_evaluate_arguments(
        commands.add_parser("evaluate", help="errors of one trained network, or of several averaged")
    )
    _add_experiment(commands.add_parser("experiment", help="run and record an experiment"))
    look_commands.add_weights(
        commands.add_parser("weights", help="the small trained networks that are shipped, and their training")
    )
    _add_claims(commands.add_parser("claims", help="the ledger: claim, paper, 2012 log, ours"))
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    status = commands.add_parser("status", help="which data is where")
    status.set_defaults(run=_data_status)
    cifar10 = commands.add_parser("cifar10", help="download CIFAR-10, check it and pack it")
    cifar10.set_defaults(
        run=_data_cifar10, kept="No half-written pack is left; the same command fetches what is missing."
    )
    command = commands.add_parser(
        "import",
        help="pack a folder or zip of class folders",
        description="Packs a folder or zip of train/<class>/… and test/<class>/…; without that split "
        "one is made. Images that cannot be read are listed and left out.",
    )
    command.add_argument("path", type=Path, metavar="PATH", help="a folder or a zip")
    command.add_argument(
        "--size", type=_size, default=32, help='height and width in pixels (default 32); "keep" to leave them'
    )
    command.add_argument(
        "--seed", type=seed, default=0, help="of the split, where one has to be made (default 0)"
    )
    command.add_argument("--force", action="store_true", help="replace a pack that holds other images")
    command.set_defaults(run=_data_import, kept="No pack was written.")
    _add_imagenet(
        commands.add_parser(
            "imagenet",
            help="prepare ImageNet once: 256 × 256 pixels, mean image, colours (§2)",
            description="Prepares ImageNet's official tars, or folders train/<wnid>/… and val/…, into a "
            "folder of its own. May be killed at any moment: the same command goes on from there. Images "
            "that cannot be read are listed in report.json and left out.",
        )
    )


def _add_imagenet(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--from", dest="source", type=Path, metavar="PATH", help="the folder with the tars or with train/")
    add("--to", dest="target", type=Path, metavar="PATH", required=True, help="where the prepared files go")
    add("--truth", type=Path, metavar="FILE", help="classes of validation images, if not found beside them")
    add("--workers", type=positive, metavar="N", help="processes (default: one per core)")
    add("--quality", type=positive, default=90, help="of the JPEGs, 1 to 100 (default 90)")
    add("--verify", action="store_true", help="compute every checksum and count again")
    parser.set_defaults(
        run=_data_imagenet, kept="Every finished file is kept; the same command goes on from there."
    )


def _size(text: str) -> int | None:
    return None if text == "keep" else positive(text)


def _add_experiment(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(title="experiments", metavar="NAME", required=True)
    command = commands.add_parser(
        "figure1",
        help="ReLU against tanh (§3.1): search the rates, repeat with fresh seeds",
        description="Runs the studies behind Figure 1 and gathers them into one record. May be killed at any "
        "moment: the same command goes on from there. All studies take hours on two cores.",
    )
    add = command.add_argument
    add("--condition", action="append", default=[], metavar="NAME", help="only this one; may be repeated")
    add("--activation", action="append", default=[], metavar="NAME", help="only this one; may be repeated")
    add("--jobs", type=positive, metavar="N", help="studies at a time (default: one per core)")
    add("--scale", choices=SCALES, help="quick takes the small stand-in (default: ALEXNET_EDU_SCALE)")
    add("--device", default="cpu", help="cpu (default), cuda, cuda:1, mps")
    add("--assemble", action="store_true", help="train nothing, only gather what was run")
    add("--output", type=Path, metavar="FILE", help="where the record goes (default: data/results)")
    command.set_defaults(
        run=_figure1,
        kept="Every run is kept up to its last measurement; the same command goes on from there.",
    )
    _add_ablations(commands)


def _add_ablations(commands: Any) -> None:
    helps = {
        "norms": "normalization in the four-layer network (§3.3): none, LRN, batch norm, within a map",
        "pooling": "overlapping pooling (§3.4): z = 2 against z = 3",
        "exchange": "where two columns read each other (§3.2)",
        "lrn-long": "the network of 13%% test error, with and without LRN (§3.3)",
        "augmentation": "what is done to the training images (§4.1), the paper's ways and others",
        "augmentation-long": "the paper's ways alone, trained two and a half times as long (§4.1)",
        "dropout": "dropout in the hidden layers (§4.2), as in 2012 and inverted, and none",
        "decay": "weight decay and the training error (§5)",
        "start": "where weights and biases start (§5)",
        "schedule": "when the learning rate falls (§5)",
    }
    for name, words in helps.items():
        command = commands.add_parser(
            name,
            help=words,
            description=f"{words[0].upper()}{words[1:]}. Searches each variant's rate on held-out images, "
            "repeats it with fresh seeds. May be killed at any moment: the same command goes on from there.",
        )
        add = command.add_argument
        add("--variant", action="append", default=[], metavar="NAME", help="only this one; may be repeated")
        add("--jobs", type=positive, metavar="N", help="variants at a time (default: one per core)")
        add("--scale", choices=SCALES, help="quick takes the small stand-in (default: ALEXNET_EDU_SCALE)")
        add("--device", default="cpu", help="cpu (default), cuda, cuda:1, mps")
        add("--assemble", action="store_true", help="train nothing, only gather what was run")
        add("--output", type=Path, metavar="FILE", help="where the record goes (default: data/results)")
        kept = "Every run is kept up to its last epoch; the same command goes on from there."
        command.set_defaults(run=_ablation, study=name, kept=kept)
    command = commands.add_parser(
        "results",
        help="ten patches, networks averaged, networks pre-trained (§6), in small",
        description="Trains ten networks on all classes, and the networks of Table 2 on few images of five "
        "classes, for one half of the classes and for the other: an hour on two cores. May be killed at any "
        "moment: the same command goes on from there.",
    )
    command.add_argument(
        "--jobs", type=positive, metavar="N", help="networks at a time (default: one per core)"
    )
    command.add_argument("--scale", choices=SCALES, help="quick takes the small stand-in")
    command.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, mps")
    command.add_argument("--assemble", action="store_true", help="train nothing, only gather what was run")
    command.add_argument("--output", type=Path, metavar="FILE", help="where the record goes")
    kept = "Every run is kept up to its last epoch; the same command goes on from there."
    command.set_defaults(run=_results, kept=kept)
    look_commands.add_specialization(commands)
    retrieval_commands.add_retrieval(commands)
    command = commands.add_parser(
        "two-columns", help="the paper's network in one process and in two: equality, bytes, seconds (§3.2)"
    )
    command.add_argument("--batch", type=positive, default=32, help="images per timed step (default 32)")
    command.add_argument("--rounds", type=positive, default=3, help="starts of each setting (default 3)")
    command.add_argument("--output", type=Path, metavar="FILE", help="where the record goes")
    command.set_defaults(run=_two_columns, kept="No record was written.")
    command = commands.add_parser(
        "clinic", help="inputs, weights, biases and rules: which let the paper's network learn (§5)"
    )
    command.add_argument("--scale", choices=SCALES, help="quick takes the small stand-in")
    command.add_argument("--output", type=Path, metavar="FILE", help="where the record goes")
    command.set_defaults(run=_clinic, kept="Every setting that was done is kept; call again to go on.")
    command = commands.add_parser(
        "augmenting", help="what augmentation costs beside a training step of the paper's network (§4.1)"
    )
    command.add_argument("--batch", type=positive, default=128, help="images a step (default 128)")
    command.add_argument("--rounds", type=positive, default=5, help="how often each is timed (default 5)")
    command.add_argument("--scale", choices=SCALES, help="quick takes the small stand-in")
    command.add_argument("--output", type=Path, metavar="FILE", help="where the record goes")
    command.set_defaults(run=_augmenting, kept="No record was written.")


def _add_claims(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", metavar="ID", help="one claim, with how it is checked")
    parser.add_argument("--section", help='such as 3.1, 3, abstract, "Fig. 1"')
    parser.add_argument("--notebook", help="such as 01")
    parser.add_argument("--json", action="store_true", help="as a list of objects")
    parser.set_defaults(run=_claims)


if __name__ == "__main__":
    raise SystemExit(main())
