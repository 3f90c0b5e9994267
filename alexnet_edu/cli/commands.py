"""The commands beside experiments and claims: doctor, data, train, two-gpus, evaluate, weights."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alexnet_edu.cli import command, option

if TYPE_CHECKING:
    from alexnet_edu.imagenet.recipe import Recipe, Running

DIVERGED = 3  # exit status
EVERY_RUN = "Every network is kept up to its last epoch; the same command goes on from there."


def say(line: str) -> None:
    """Prints a line at once."""
    print(line, flush=True)


def check_seed(seed: int | None) -> None:
    """Raises ValueError for what torch does not take as a seed."""
    if seed is not None and not 0 <= seed < 2**63:
        raise ValueError(f"--seed must be a whole number from 0 to 2**63 - 1, got {seed}")


def check_at_least_one(name: str, number: int | None) -> None:
    """Raises ValueError for a number below 1; None is left to the machine."""
    if number is not None and number < 1:
        raise ValueError(f"--{name} must be at least 1, got {number}")


def check_device(name: str) -> None:
    """Raises ValueError where torch cannot use the device here."""
    import torch

    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        reason = str(error).splitlines()[0]
        raise ValueError(f"the device {name!r} cannot be used here: {reason}") from error


# --- doctor, data -------------------------------------------------------------------------------


@command("doctor", "look at this machine: what works, and what to do")
def _doctor() -> int:
    from alexnet_edu import doctor

    findings = []
    for finding in doctor.examine():
        say(str(finding))
        findings.append(finding)
    return 1 if doctor.worst(findings) == "fail" else 0


@command("data status", "which data is where")
def _status() -> None:
    from alexnet_edu.data import cifar10

    print(cifar10.status().text())


@command(
    "data cifar10",
    "download CIFAR-10, check it and pack it",
    kept="No half-written pack is left; the same command fetches what is missing.",
)
def _cifar10() -> None:
    from alexnet_edu.data import cifar10

    print(cifar10.run_download())


@dataclass(frozen=True)
class Import:
    """path: a folder, a zip, a tar, or the official CIFAR-10. size: height and width in pixels; "keep" to
    leave them. seed: of the split, where one has to be made. force: replace a pack that holds other images.
    """

    path: Path = option(place=True, metavar="PATH")
    size: str = option("32", metavar="N")
    seed: int = 0
    force: bool = False


@command(
    "data import",
    "pack a folder or zip of class folders",
    Import,
    kept="No pack was written.",
    more="The folders are train/<class>/… and test/<class>/…; without that split one is made. Images that\n"
    "cannot be read are listed and left out.",
)
def _import(wanted: Import) -> None:
    from alexnet_edu.data import cifar10

    check_seed(wanted.seed)
    if wanted.size != "keep" and not wanted.size.isdecimal():
        raise ValueError(f'--size must be a whole number or "keep", got {wanted.size!r}')
    size = None if wanted.size == "keep" else int(wanted.size)
    print(cifar10.run_import(wanted.path, size=size, force=wanted.force, seed=wanted.seed))


@dataclass(frozen=True)
class ImageNet:
    """source: the folder with the tars or with train/, or a tar of class tars. target: where the prepared
    files go. truth: classes of validation images, if not found beside them. hold_out: share of each class to
    set aside for validation, where there are no images for it. workers: processes (default: one per core).
    quality: of the JPEGs, 1 to 100. verify: compute every checksum and count again.
    """

    target: Path = option(flag="--to")
    source: Path | None = option(None, flag="--from")
    truth: Path | None = None
    hold_out: float | None = option(None, metavar="SHARE")
    workers: int | None = None
    quality: int = 90
    verify: bool = False


@command(
    "data imagenet",
    "prepare ImageNet once: 256 × 256 pixels, mean image, colours (§2)",
    ImageNet,
    kept="Every finished file is kept; the same command goes on from there.",
    more="From ImageNet's official tars, or folders train/<wnid>/… and val/…, in whatever form you\n"
    "have them. May be killed: the same command goes on from there. Images that cannot be read are listed\n"
    "in report.json and left out.",
)
def _imagenet(wanted: ImageNet) -> int:
    from alexnet_edu.imagenet.prepare import prepare
    from alexnet_edu.imagenet.prepared import verify

    if wanted.source is None and not wanted.verify:
        raise ValueError("name the folder of ImageNet by --from PATH, or check what is there by --verify")
    if wanted.source is not None:
        prepare(
            wanted.source,
            wanted.target,
            workers=wanted.workers,
            quality=wanted.quality,
            truth=wanted.truth,
            hold_out=wanted.hold_out,
            say=say,
        )
    if not wanted.verify:
        return 0
    problems = verify(wanted.target, progress=True)
    print("\n".join(problems or ["Verified: every checksum and every count is right."]))
    return 1 if problems else 0


# --- the full training --------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """data: prepared by `alexnet-edu data imagenet`. folder: of the run, for checkpoints and the log.
    start_from: a checkpoint with weights to begin with (fine-tuning).
    """

    data: Path
    folder: Path
    start_from: Path | None = None
    arguments: tuple[str, ...] = option((), hidden=True)  # all that was typed, for whoever resumes the run


@command(
    "train",
    "the paper's training on ImageNet: one device, two columns, or copies",
    Place,
    "alexnet_edu.imagenet.recipe:Recipe",
    "alexnet_edu.imagenet.recipe:Running",
    kept="The last checkpoint is kept; --resume auto goes on from there.",
    more="""\
examples:
  alexnet-edu train --data DIR --folder runs/first                         one device
  torchrun --nproc-per-node 2 -m alexnet_edu.cli train --parallel columns --data DIR --folder DIR
                                                                         a column on each GPU, as in 2012
  torchrun --nproc-per-node 2 -m alexnet_edu.cli train --parallel data --data DIR --folder DIR
                                                                         a copy on each GPU
  alexnet-edu train --data DIR --folder DIR --rehearse-only                 how long will it take?
  alexnet-edu train --data DIR --folder DIR --resume auto                   goes on where it was
  alexnet-edu train --variant conv6 --data FALL2011 --folder DIR            pre-training (Table 2, CNN*)
  alexnet-edu train --variant conv6 --start-from best.safetensors --rate 0.001 --data DIR --folder DIR

Ctrl-C, SIGTERM, or a file named "stop" in the folder of the run: it saves and ends, to go on another time.
""",
)
def _train(place: Place, recipe: Recipe, running: Running) -> int:
    from alexnet_edu.imagenet import trainer
    from alexnet_edu.imagenet.prepared import open_prepared

    prepared = open_prepared(place.data)
    with told_to_stop() as should_stop:
        try:
            trainer.train(
                recipe,
                running,
                prepared,
                place.folder,
                start_from=place.start_from,
                arguments=place.arguments,
                say=say,
                should_stop=should_stop,
            )
        except trainer.Diverged as error:
            print(f"alexnet-edu: {error}", file=sys.stderr)
            return DIVERGED
    return 0


@contextmanager
def told_to_stop() -> Iterator[Callable[[], bool]]:
    """A function that is True once SIGTERM or SIGINT came; a second SIGINT ends at once."""
    told = threading.Event()

    def on_signal(number: int, frame: object) -> None:
        if told.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        told.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield told.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class Columns:
    """device: cuda, for two GPUs, or cpu; auto takes the GPUs where there are two."""

    device: str = option("auto", choices=("auto", "cuda", "cpu"))


@command(
    "two-gpus check",
    "two columns against one device: equality, a lost process, transport, speed",
    Columns,
    more="Two minutes, before days of training. The exit status is 1 where something is not as it should be.",
)
def _two_gpus(wanted: Columns) -> int:
    from alexnet_edu.two_gpus.report import report

    return 0 if report(wanted.device, say) else 1


@dataclass(frozen=True)
class Evaluation:
    """checkpoints: one network, or several to average. data: prepared by `alexnet-edu data imagenet`.
    split: which images. patches: of each image. weights: a coefficient for each network. contest: write five
    labels a line, numbered from 1. device: auto, cpu, cuda, mps. precision: auto, float32, bfloat16.
    workers: threads that decode.
    """

    checkpoints: tuple[Path, ...] = option(place=True, metavar="CHECKPOINT")
    data: Path = option()
    split: str = option("val", choices=("train", "val"))
    patches: int = option(10, choices=(1, 10))
    weights: str | None = option(None, metavar="1,2,…")
    contest: Path | None = None
    device: str = "auto"
    precision: str = option("auto", choices=("auto", "float32", "bfloat16"))
    workers: int | None = None


@command("evaluate", "errors of one trained network, or of several averaged", Evaluation)
def _evaluate(wanted: Evaluation) -> None:
    from tqdm.auto import tqdm

    from alexnet_edu.imagenet.distributed import device_of
    from alexnet_edu.imagenet.evaluate import judge, load_network
    from alexnet_edu.imagenet.prepared import open_prepared

    prepared = open_prepared(wanted.data)
    weights = _weights(wanted.weights, len(wanted.checkpoints))
    contest = wanted.contest
    if contest is not None and (contest.is_dir() or not contest.absolute().parent.is_dir()):
        raise ValueError(f"{contest} cannot be written: name a file in a folder that exists")
    networks = [load_network(path, prepared.wnids) for path in wanted.checkpoints]
    total = len(prepared.split(wanted.split))
    with tqdm(total=total, unit="image", disable=not sys.stderr.isatty()) as bar:

        def advance(done: int) -> None:
            bar.update(done)

        judged = judge(
            networks,
            prepared,
            split=wanted.split,
            patches=wanted.patches,
            weights=weights,
            device=device_of(wanted.device),
            precision=wanted.precision,
            workers=wanted.workers,
            contest=contest is not None,
            each_batch=advance,
        )
    print(judged.text())
    if contest is not None:
        contest.write_text("\n".join(judged.lines) + "\n", encoding="ascii")
        print(f"{len(judged.lines):,} lines, classes numbered from 1 by sorted wnid: {contest}")


def _weights(text: str | None, count: int) -> list[float] | None:
    if text is None:
        return None
    try:
        weights = [float(word) for word in text.split(",")]
    except ValueError as error:
        raise ValueError(f"--weights must be numbers with commas between, got {text!r}") from error
    if len(weights) != count:
        raise ValueError(f"--weights has {len(weights)} numbers for {count} checkpoints")
    return weights


# --- shipped networks ---------------------------------------------------------------------------


@command("weights list", "the trained networks that are shipped, and what they are worth")
def _list() -> int:
    from alexnet_edu.files import DataError
    from alexnet_edu.studies.networks import SHIPPED, load_weights, weights_path

    status = 0
    for name in SHIPPED:
        say(f"{name}: {weights_path(name)}")
        try:
            say(f"{load_weights(name).text()}\n")
        except DataError as error:  # the other one may be there
            status = 1
            say(f"{error}\n")
    return status


@dataclass(frozen=True)
class Training:
    """name: cifar10 or stand-in. seed: another one than that of the file. jobs: networks at a time (default:
    one per core). device: cpu, cuda, cuda:1, mps. ship: train all seeds and write data/weights anew.
    """

    name: str = option(place=True, metavar="NAME")
    seed: int | None = None
    jobs: int | None = None
    device: str = "cpu"
    ship: bool = False


@command(
    "weights train",
    "train a shipped network again, and compare its error with what its file states",
    Training,
    kept=EVERY_RUN,
    more="From its recipe and its seed: minutes. May be killed: the same command goes on from there.",
)
def _train_weights(wanted: Training) -> int:
    from alexnet_edu.data import cifar10
    from alexnet_edu.studies import networks, shipped
    from alexnet_edu.studies.engine import Runs

    path = networks.weights_path(wanted.name)  # of an unknown name there is none
    check_seed(wanted.seed)
    check_at_least_one("jobs", wanted.jobs)
    check_device(wanted.device)
    if wanted.ship and wanted.seed is not None:
        raise ValueError("--ship trains the seeds of the recipe; leave --seed away")
    stated = None if wanted.ship else networks.load_weights(wanted.name)  # before minutes are spent
    images = shipped.stand_in() if wanted.name == "stand-in" else cifar10.load_images(wanted.name)
    if stated is not None and stated.facts.get("fingerprint") != images.train.fingerprint():
        say(f"The images are not those of {path}: another error would say nothing of the recipe.")
    seed = shipped.SEEDS[0] if wanted.seed is None else wanted.seed
    seeds = shipped.SEEDS if wanted.ship else (seed,)
    runs = Runs(images, cifar10.runs_dir() / "weights", wanted.device)
    trained = shipped.train_seeds(wanted.name, runs, seeds=seeds, workers=wanted.jobs, say=say)
    if wanted.ship:
        shipped.ship(wanted.name, runs, trained, path)
        say(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
        return 0
    as_stated, words = shipped.compared(wanted.name, trained[seed].test_error)
    say(words)
    return 0 if as_stated else 1
