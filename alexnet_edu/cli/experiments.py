"""The commands that run and record a study, `alexnet-edu experiment NAME`, or all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alexnet_edu.cli import COMMANDS, command, option
from alexnet_edu.cli.commands import check_at_least_one, check_device, say
from alexnet_edu.environment import SCALES

if TYPE_CHECKING:
    from alexnet_edu.data.images import ImageSet
    from alexnet_edu.studies.record import Record

KEPT = "Every run is kept up to its last measurement; the same command goes on from there."
ABLATIONS = {
    "norms": "normalization in the four-layer network (§3.3): none, LRN, batch norm, within a map",
    "pooling": "overlapping pooling (§3.4): z = 2 against z = 3",
    "exchange": "where two columns read each other (§3.2)",
    "lrn-long": "the network of 13% test error, with and without LRN (§3.3)",
    "augmentation": "what is done to the training images (§4.1), the paper's ways and others",
    "augmentation-long": "the paper's ways alone, trained two and a half times as long (§4.1)",
    "dropout": "dropout in the hidden layers (§4.2), as in 2012 and inverted, and none",
    "decay": "weight decay and the training error (§5)",
    "start": "where weights and biases start (§5)",
    "schedule": "when the learning rate falls (§5)",
}


@dataclass(frozen=True)
class Options:
    """variant, condition, activation: only this one; may be repeated. jobs: how many at a time (default: one
    per core). device: cpu, cuda, cuda:1, mps. assemble: train nothing, only gather what was run. batch:
    images of a timed step. rounds: how often each is timed. scale: quick takes the small stand-in (default:
    ALEXNET_EDU_SCALE). output: where the record goes (default: data/results, if nothing is lost by it).
    """

    variant: tuple[str, ...] = option((), metavar="NAME")
    condition: tuple[str, ...] = option((), metavar="NAME")
    activation: tuple[str, ...] = option((), metavar="NAME")
    jobs: int | None = None
    device: str = "cpu"
    assemble: bool = False
    batch: int = 128
    rounds: int = 5
    scale: str | None = option(None, choices=SCALES)
    output: Path | None = None

    def __post_init__(self) -> None:
        for name in ("jobs", "batch", "rounds"):
            check_at_least_one(name, getattr(self, name))
        if self.output is not None and self.output.is_dir():
            raise ValueError(f"--output {str(self.output)!r} is a folder; name a file in it")

    @property
    def part(self) -> bool:
        """Whether only some variants are asked for."""
        return bool(self.variant or self.condition or self.activation)

    def images(self) -> ImageSet:
        """The images of the scale. Raises ValueError where the device cannot be used."""
        from alexnet_edu.data.cifar10 import load_cifar10

        check_device(self.device)
        return load_cifar10(self.scale)

    def only(self, what: str, known: Iterable[str]) -> list[str]:
        """What is chosen of these, all where none is named. Raises ValueError for an unknown name."""
        names, every = getattr(self, what), list(dict.fromkeys(known))
        if unknown := sorted(set(names) - set(every)):
            raise ValueError(f"there is no {what} {unknown[0]!r}; choose from {', '.join(sorted(every))}")
        return [name for name in every if name in (names or every)]


def experiment(name: str, about: str, names: str, more: str = "") -> Callable[[Any], Any]:
    """Registers a study with those of the options that it has."""
    more += "\nMay be killed at any moment: the same command goes on from there." if "jobs" in names else ""
    return command(f"experiment {name}", about, Options, names=names.split(), kept=KEPT, more=more.strip())


def _folder(name: str, synthetic: bool) -> Path:
    """Where the runs of a study are kept."""
    from alexnet_edu.data.cifar10 import runs_dir

    return runs_dir() / (f"{name}-synthetic" if synthetic else name)


def _publish(record: Record, folder: Path, options: Options) -> Path:
    """Publishes a record, says what and where it is, and gives the place. folder: where its runs are kept."""
    from alexnet_edu.studies.record import publish

    path, source = (
        publish(record, folder, options.output, part=options.part),
        record.provenance["data"]["source"],
    )
    whole = "runs" in record.tables
    what = f"{len(record.runs)} runs of {len(record.variants)} variants" if whole else record.title
    say(f"{what}, on {source}: {path}")
    return path


# --- studies of many runs ---------------------------------------------------------------------------

RUNS = "jobs device assemble scale output"


def _study(
    options: Options, folder: str, train: Callable[..., None], assemble: Callable[..., Any], **chosen: Any
) -> None:
    """Trains what is missing of a study, and publishes its record. folder: where its runs are kept."""
    from alexnet_edu.studies.engine import Runs

    images = options.images()
    place = _folder(folder, images.synthetic)
    runs = Runs(images, place, options.device)
    if not options.assemble:
        train(runs, workers=options.jobs, say=say, **chosen)
    _publish(assemble(runs), place, options)


@experiment(
    "figure1",
    "ReLU against tanh (§3.1): search the rates, repeat with fresh seeds",
    f"condition activation {RUNS}",
    "All studies take hours on two cores.",
)
def _figure1(options: Options) -> None:
    from alexnet_edu.studies import figure1

    names = [variant.name for variant in figure1.STUDY.variants]
    conditions = options.only("condition", (name.split()[0] for name in names))
    activations = options.only("activation", (name.split()[1] for name in names))
    chosen = [name for name in names if name in {f"{c} {a}" for c in conditions for a in activations}]
    if not chosen:
        raise ValueError(f"no variant has condition {options.condition} and activation {options.activation}")
    variants = () if chosen == names else chosen
    _study(options, "figure1", figure1.train, figure1.assemble, variants=variants)


def _ablation(name: str, options: Options) -> None:
    from alexnet_edu.studies import study
    from alexnet_edu.studies.ablations import STUDIES

    chosen = STUDIES[name]
    variants = options.only("variant", (variant.name for variant in chosen.variants))
    train, assemble = partial(study.train, chosen), partial(study.assemble, chosen)
    _study(options, "ablations", train, assemble, variants=variants)


for _name, _about in ABLATIONS.items():
    experiment(_name, _about, f"variant {RUNS}")(partial(_ablation, _name))


@experiment(
    "results",
    "ten patches, networks averaged, networks pre-trained (§6), in small",
    RUNS,
    "Trains ten networks on all classes, and the networks of Table 2 on few images of five: an hour.",
)
def _results(options: Options) -> None:
    from alexnet_edu.studies import ensembles

    plan = ensembles.Plan()
    _study(options, "results", partial(ensembles.train, plan), partial(ensembles.assemble, plan))


# --- studies of networks ----------------------------------------------------------------------------


@experiment(
    "specialization",
    "does one column learn colour and the other not (§6.1)? many networks, several conditions",
    "condition jobs device assemble",
    "Trains small two-column networks with many seeds: two hours on two cores.",
)
def _specialization(options: Options) -> None:
    from alexnet_edu.data.cifar10 import load_images
    from alexnet_edu.environment import results_dir, weights_dir
    from alexnet_edu.studies import specialization
    from alexnet_edu.studies.engine import Runs

    every = specialization.conditions()
    chosen = [every[name] for name in options.only("condition", every)]
    check_device(options.device)
    folder = _folder("specialization", False)
    runs = lru_cache(lambda pack: Runs(load_images(pack), folder, options.device))
    if not options.assemble:
        specialization.train_all(chosen, runs, workers=options.jobs, say=say)
    kernels = folder / specialization.KERNELS_FILE
    path = _publish(specialization.assemble(chosen, runs, kernels), folder, options)
    if path.parent == results_dir():
        kernels = specialization.add_kernels(kernels, weights_dir() / kernels.name, part=options.part)
    say(f"The kernels of these networks: {kernels}")


@experiment(
    "retrieval",
    "neighbours in features, in pixels, by short binary codes (§6.1)",
    "jobs scale output",
    "With the networks of all seeds: a quarter of an hour, longer where they must be trained first.",
)
def _retrieval(options: Options) -> None:
    from alexnet_edu.environment import resolve_precision
    from alexnet_edu.studies import retrieval, shipped
    from alexnet_edu.studies.codes import CodeSettings
    from alexnet_edu.studies.engine import Runs

    images = options.images()
    name = "stand-in" if images.synthetic else "cifar10"
    runs = Runs(shipped.stand_in() if images.synthetic else images, _folder("weights", False))
    trained = shipped.train_seeds(name, runs, workers=options.jobs, say=say)
    networks = {seed: shipped.as_network(name, runs, each) for seed, each in trained.items()}
    plan = retrieval.Plan(codes=CodeSettings(precision=resolve_precision("auto")))
    folder = _folder(f"retrieval-{name}", False)
    _publish(retrieval.record(networks, images, plan, folder, workers=options.jobs, say=say), folder, options)


@experiment(
    "clinic", "inputs, weights, biases and rules: which let the paper's network learn (§5)", "scale output"
)
def _clinic(options: Options) -> None:
    from alexnet_edu.studies import clinic

    images = options.images().train
    folder = _folder("clinic", images.synthetic)
    _publish(clinic.record(clinic.batch_of(images), folder, say=say), folder, options)


# --- what takes seconds -----------------------------------------------------------------------------


@experiment(
    "two-columns",
    "the paper's network in one process and in two: equality, bytes, seconds (§3.2)",
    "batch rounds output",
)
def _two_columns(options: Options) -> None:
    from alexnet_edu.studies.record import of_rows
    from alexnet_edu.two_gpus import check

    record = of_rows(**check.record(options.batch, rounds=options.rounds))
    _publish(record, _folder("two-columns", False), options)


@experiment(
    "augmenting",
    "what augmentation costs beside a training step of the paper's network (§4.1)",
    "batch rounds scale output",
)
def _augmenting(options: Options) -> None:
    from alexnet_edu.studies import augmenting

    images = options.images().train
    record = augmenting.record(images, options.batch, rounds=options.rounds)
    _publish(record, _folder("augmenting", images.synthetic), options)


# --- all of them ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class All:
    """jobs: runs at a time (default: one per core). device: cpu, cuda, cuda:1, mps. scale: quick takes the
    small stand-in (default: ALEXNET_EDU_SCALE). output: a folder for the records (default: data/results);
    what is not in it is recorded there.
    """

    jobs: int | None = None
    device: str = "cpu"
    scale: str | None = option(None, choices=SCALES)
    output: Path | None = None

    def __post_init__(self) -> None:
        check_at_least_one("jobs", self.jobs)
        if self.output is not None and self.output.is_file():
            raise ValueError(f"--output {str(self.output)!r} is a file; name a folder for the records")


@command(
    "experiment --all",
    "run and record every study that is missing or out of date",
    All,
    kept=KEPT,
    more="A study is out of date where its record lacks what it asks for now. A second call does nothing,\n"
    "unless a record could not be published; it then says why. To train everything anew, set\n"
    "ALEXNET_EDU_RUNS to an empty folder, and --output to another.",
)
def _all(wanted: All) -> None:
    from alexnet_edu.imagenet.rehearsal import duration

    due: dict[str, float] = {}
    for name in [name.removeprefix("experiment ") for name in COMMANDS if name.startswith("experiment ")]:
        if name != "--all":
            reason = _due(name, wanted.output)
            say(f"{name}: {reason or 'recorded'}")
            due |= {name: _cpu_seconds(name)} if reason else {}
    began, known = time.monotonic(), 0.0
    for number, (name, seconds) in enumerate(due.items(), 1):
        output = None if wanted.output is None else wanted.output / f"{name}.json"
        options = Options(jobs=wanted.jobs, device=wanted.device, scale=wanted.scale, output=output)
        COMMANDS[f"experiment {name}"].run(options)
        took, known = time.monotonic() - began, known + seconds
        rest = sum(due.values()) - known
        left = f"; about {duration(took * rest / known)} left" if known and rest else ""
        say(f"{number} of {len(due)} studies in {duration(took)}{left}")
    if not due:
        say("Nothing to do.")


def _due(name: str, folder: Path | None) -> str:
    """Why a study must be run; "" where its record holds all that it asks for."""
    from alexnet_edu.environment import results_dir
    from alexnet_edu.files import DataError
    from alexnet_edu.studies import record, stale

    if not ((folder or results_dir()) / f"{name}.json").exists():
        return "not recorded"
    try:
        return stale.changed(record.load(name, folder))
    except DataError as error:
        return str(error)


def _cpu_seconds(name: str) -> float:
    """What the runs of the published record took on one core; by it the time left is shared out."""
    from alexnet_edu.files import DataError
    from alexnet_edu.studies import record

    try:
        return float(record.load(name).runs.get("cpu_seconds", 0).sum())
    except (DataError, KeyError, AttributeError):
        return 0.0
