"""`alexnet-edu train` and `alexnet-edu evaluate`: arguments to objects, and what is said.

Only the standard library and `paper` are imported at the top, so that `--help` is there at once.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from alexnet_edu import paper

if TYPE_CHECKING:
    from alexnet_edu.imagenet.recipe import Recipe, Running

DIVERGED = 3  # exit status
EXAMPLES = """\
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
"""


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """What `alexnet-edu train` understands."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="DIR", help="prepared by `alexnet-edu data imagenet`")
    add("--folder", type=Path, required=True, metavar="DIR", help="of the run: checkpoints and the log")
    add("--parallel", choices=("single", "columns", "data"), default="single")
    add("--variant", default="paper", help="paper, run145, one_gpu, ungrouped, conv6 (default: paper)")
    add("--narrow", type=int, default=1, help="divides kernels and units, for trials (default: 1)")
    add("--batch-size", type=int, default=paper.BATCH_SIZE, help="of all processes together (default: 128)")
    add("--rate", type=float, default=paper.LEARNING_RATE, help="learning rate at the start (0.01)")
    add("--schedule", default="plateau", help="plateau (the paper's), run145 (the log's), constant")
    add("--patience", type=int, default=2, help="evaluations without a new best before the rate falls")
    add("--epochs", type=float, default=None, help="default: 90; with run145 its own 91")
    add("--noise", type=float, default=paper.COLOR_PCA_STD, help="colour PCA; 0 is none (default: 0.1)")
    add("--shared-crops", type=int, default=1, help="images that share a crop; 32 in 2012 (default: 1)")
    add("--bias-rate", type=float, default=2.0, help="times the rate (default: 2, as in 2012)")
    add("--evaluations", type=int, default=1, help="per epoch (default: 1)")
    add("--seed", type=int, default=0)
    add("--start-from", type=Path, metavar="CHECKPOINT", help="fine-tuning: weights to begin with")
    _add_running_arguments(parser)
    parser.set_defaults(run=train)


def _add_running_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what leaves the recipe as it is").add_argument
    add("--device", default="auto", help="auto, cpu, cuda, mps")
    add("--precision", choices=("auto", "float32", "bfloat16", "float64"), default="auto")
    add(
        "--compile",
        nargs="?",
        choices=("norms", "network"),
        const="network",
        help="torch.compile for the normalizations, or for all (with columns: norms only)",
    )
    add("--workers", type=int, default=None, help="threads that decode, per process")
    add("--resume", choices=("never", "auto"), default="never")
    add("--keep", type=int, default=3, help="last checkpoints kept besides the best (default: 3)")
    add("--save-every", type=int, default=1000, help="steps (default: 1000)")
    add("--log-every", type=int, default=20, help="steps (default: 20)")
    add("--tensorboard", action="store_true", help="writes its events, too")
    add("--rehearsal-steps", type=int, default=20, metavar="N", help="0 for none (default: 20)")
    add("--rehearse-only", action="store_true", help="measure, say, and end")
    add("--until-step", type=int, default=None, metavar="N", help="stop there, to go on another time")
    add("--force", action="store_true", help="though another machine seems to train there: one may lose all")


def add_evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    """What `alexnet-edu evaluate` understands."""
    add = parser.add_argument
    add("checkpoints", nargs="+", type=Path, metavar="CHECKPOINT", help="one network, or several to average")
    add("--data", type=Path, required=True, metavar="DIR", help="prepared by `alexnet-edu data imagenet`")
    add("--split", default="val", choices=("train", "val"))
    add("--patches", type=int, default=10, choices=(1, 10))
    add("--weights", default=None, metavar="1,2,…", help="a coefficient for each network")
    add("--contest", type=Path, metavar="FILE", help="write five labels a line, numbered from 1")
    add("--device", default="auto")
    add("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    add("--workers", type=int, default=None)
    parser.set_defaults(run=evaluate)


# --- train ----------------------------------------------------------------------------------


def train(options: argparse.Namespace) -> int:
    """Runs the command. 0: finished or stopped, with a checkpoint; 3: the training diverged."""
    from alexnet_edu.imagenet import trainer
    from alexnet_edu.imagenet.prepared import open_prepared

    recipe, running = recipe_of(options), running_of(options)
    prepared = open_prepared(options.data)
    with told_to_stop() as should_stop:
        try:
            trainer.train(
                recipe,
                running,
                prepared,
                options.folder,
                start_from=options.start_from,
                arguments=options.arguments,
                say=lambda line: print(line, flush=True),
                should_stop=should_stop,
            )
        except trainer.Diverged as error:
            print(f"alexnet-edu: {error}", file=sys.stderr)
            return DIVERGED
    return 0


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The recipe that the arguments name."""
    from alexnet_edu.imagenet.recipe import Recipe
    from alexnet_edu.training.schedules import LOGGED

    epochs = options.epochs
    if epochs is None:
        epochs = LOGGED["145"].stop if options.schedule == "run145" else paper.EPOCHS
    return Recipe(
        variant=options.variant,
        narrow=options.narrow,
        batch_size=options.batch_size,
        rate=options.rate,
        schedule=options.schedule,
        patience=options.patience,
        epochs=float(epochs),
        noise=options.noise,
        shared_crops=options.shared_crops,
        bias_rate=options.bias_rate,
        evaluations=options.evaluations,
        seed=options.seed,
    )


def running_of(options: argparse.Namespace) -> Running:
    """The settings that leave the recipe as it is."""
    from dataclasses import fields

    from alexnet_edu.imagenet.recipe import Running

    return Running(**{field.name: getattr(options, field.name) for field in fields(Running)})


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


# --- evaluate -------------------------------------------------------------------------------


def evaluate(options: argparse.Namespace) -> int:
    """Judges checkpoints and says one line; writes the contest's lines if asked."""
    from tqdm.auto import tqdm

    from alexnet_edu.imagenet.distributed import device_of
    from alexnet_edu.imagenet.evaluate import judge, load_network
    from alexnet_edu.imagenet.prepared import open_prepared

    prepared = open_prepared(options.data)
    weights = _weights(options.weights, len(options.checkpoints))
    if options.contest is not None:
        check_writable(options.contest)
    networks = [load_network(path, prepared.wnids) for path in options.checkpoints]
    total = len(prepared.split(options.split))
    with tqdm(total=total, unit="image", disable=not sys.stderr.isatty()) as bar:

        def advance(done: int) -> None:
            bar.update(done)

        found = judge(
            networks,
            prepared,
            split=options.split,
            patches=options.patches,
            weights=weights,
            device=device_of(options.device),
            precision=options.precision,
            workers=options.workers,
            contest=options.contest is not None,
            each_batch=advance,
        )
    print(found.text())
    if options.contest is not None:
        options.contest.write_text("\n".join(found.lines) + "\n", encoding="ascii")
        print(f"{len(found.lines):,} lines, classes numbered from 1 by sorted wnid: {options.contest}")
    return 0


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


def check_writable(path: Path) -> None:
    """Raises ValueError now rather than after an hour."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise ValueError(f"{path} cannot be written: name a file in a folder that exists")
