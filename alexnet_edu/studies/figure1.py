"""Figure 1 (§3.1): how many times faster ReLU reaches 25% training error than tanh, each at its own rate.

One study: conditions × activations. The rate of each is searched with one seed, the best one is repeated
with fresh seeds.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import nn

from alexnet_edu import paper
from alexnet_edu.model.cifar import CifarNetConfig, activation_layers
from alexnet_edu.studies import study as studies
from alexnet_edu.studies.engine import MEASURES, NotTrained, Result, Runs, Setting
from alexnet_edu.studies.record import Record, as_text
from alexnet_edu.studies.signals import layer_statistics
from alexnet_edu.studies.statistics import Interval, bootstrap_ratio
from alexnet_edu.studies.study import Study, Variant

if TYPE_CHECKING:
    import pandas as pd

TARGET_ERROR = paper.TARGET_TRAINING_ERROR  # §3.1: where the paper compares
PROBED_IMAGES = 250  # training images on which saturation and gradients are measured
RATIO_COLUMNS = (
    *("condition", "title", "numerator", "denominator", "runs", "relu_runs"),
    *("epochs", "epochs_low", "epochs_high", "seconds", "seconds_low", "seconds_high"),
    *("at_least", "relu_not_within"),
)
AXES = {"epochs": "epoch", "iterations": "iteration", "seconds": "cpu_seconds"}
LAYER_NUMBERS = ("saturated", "dead", "input_std", "output_std", "gradient_norm", "weight_norm")


# --- what is compared ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Condition:
    """What surrounds the activation. inputs: as in `Run`; init, pools, channels: as in `CifarNetConfig`."""

    title: str
    inputs: str = "raw"
    init: str = "gaussian-0.01"
    pools: tuple[str, str, str] = ("max", "avg", "avg")
    channels: tuple[int, int, int] = (32, 32, 64)


CONDITIONS = {
    "2012": Condition("2012: raw pixels, N(0, 0.01)"),
    "standardized": Condition("only the inputs standardized", inputs="population"),
    "scaled-init": Condition("only the initialization scaled", init="scaled"),
    "modern": Condition("both: inputs and initialization", "population", "scaled"),
    "cuda-convnet": Condition("raw pixels, the authors' CIFAR-10 initialization", init="cuda-convnet"),
    "max-pooling": Condition("2012, maximum pooling everywhere", pools=("max", "max", "max")),
    "narrow": Condition("2012, half as many kernels", channels=(16, 16, 32)),
}


def variant(condition: str, activation: str, start_rate: float, seeds: int, epochs: float) -> Variant:
    """One activation under one condition. epochs: who needs more never counts as reaching the target."""
    around = CONDITIONS[condition]
    network = CifarNetConfig(
        activation=activation, init=around.init, channels=around.channels, pools=around.pools
    )
    return Variant(
        f"{condition} {activation}",
        around.title,
        network,
        start_rate,
        epochs=epochs,
        seeds=seeds,
        inputs=around.inputs,
    )


STUDY = Study(
    "figure1",
    "ReLU against tanh and others",
    (
        variant("2012", "relu", 0.002, seeds=5, epochs=30),
        variant("2012", "tanh", 0.01, seeds=5, epochs=50),
        variant("2012", "abs-tanh", 0.0005, seeds=2, epochs=12),
        variant("2012", "sigmoid", 0.02, seeds=2, epochs=6),
        variant("standardized", "relu", 0.05, seeds=3, epochs=25),
        variant("standardized", "tanh", 0.05, seeds=3, epochs=25),
        variant("scaled-init", "relu", 0.0005, seeds=2, epochs=25),
        variant("scaled-init", "tanh", 0.002, seeds=2, epochs=25),
        variant("modern", "relu", 0.01, seeds=3, epochs=25),
        variant("modern", "tanh", 0.01, seeds=3, epochs=25),
        variant("modern", "abs-tanh", 0.01, seeds=2, epochs=12),
        variant("modern", "sigmoid", 0.05, seeds=2, epochs=8),
        variant("cuda-convnet", "relu", 0.001, seeds=3, epochs=30),
        variant("cuda-convnet", "tanh", 0.01, seeds=3, epochs=50),
        variant("max-pooling", "relu", 0.002, seeds=3, epochs=30),
        variant("max-pooling", "tanh", 0.01, seeds=3, epochs=50),
        variant("narrow", "relu", 0.002, seeds=3, epochs=50),
        variant("narrow", "tanh", 0.01, seeds=2, epochs=60),
    ),
    epochs=50,
    drops=(),
    seeds=3,
    search_epochs=50,
    evals_per_epoch=2,
    target_error=TARGET_ERROR,
    most_rates=7,
    measured=("layers",),
)

# The beginning of one tanh run in float32, to show that bfloat16 convolutions do not make tanh slow.
PRECISION_CHECK = replace(STUDY.run(STUDY.variant("2012 tanh"), 0.01, 1, epochs=6), target_error=None)


def _layers(model: nn.Module, setting: Setting) -> dict[str, list[float]]:
    """For each activation layer, from the input up: saturation, scales, gradient norms."""
    some = setting.evaluated_on[:PROBED_IMAGES]
    device = next(model.parameters()).device
    x, y = setting.prepare(setting.train.pixels[some]).to(device), setting.train.labels[some].to(device)
    rows = layer_statistics(model, activation_layers(model), x, y)
    return {name: [float(f"{getattr(row, name):.4g}") for row in rows] for name in LAYER_NUMBERS}


MEASURES["layers"] = _layers


# --- run and recorded ---------------------------------------------------------------------


def train(
    runs: Runs,
    *,
    variants: Sequence[str] = (),
    workers: int | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """As `study.train`; with all variants goes the check of the precision."""
    studies.train(STUDY, runs, variants=variants, workers=workers, say=say)
    if not variants:
        stop = threading.Event()
        one = studies.trainer(runs, stop, say)
        studies.together([partial(one, runs.resolved(PRECISION_CHECK, "float32"))], 1, stop)


def assemble(runs: Runs) -> Record:
    """As `study.assemble`, with the tables "ratios" and, where it was checked, "precision"."""
    record = studies.assemble(STUDY, runs)
    tables = {**record.tables, "ratios": ratios(record)}
    with suppress(NotTrained):
        exact, usual = (runs.kept(runs.resolved(PRECISION_CHECK, p)) for p in ("float32", "bfloat16"))
        tables["precision"] = _compared(exact, usual)
    return replace(record, tables=tables)


def _compared(exact: Result, usual: Result) -> pd.DataFrame:
    """One run in two precisions: its error over each half-epoch of training images."""
    table = exact.frame[["epoch"]].assign(float32=exact.frame["running_error"])
    table = table.assign(bfloat16=usual.frame["running_error"])
    return table.assign(variant="2012 tanh", rate=exact.rate, seed=exact.run.config.seed)


# --- a record read ------------------------------------------------------------------------------


def ratios(record: Record) -> pd.DataFrame:
    """How many times slower than ReLU each other activation was, one row per condition and activation.

    epochs, seconds: the ratio, with the interval "…_low", "…_high"; NaN where a run never got there, and
    then "at_least" is the least that it can be, or "relu_not_within" the epochs in which ReLU did not.
    """
    import pandas as pd

    rows = []
    for name in record.variants:
        condition, activation = name.split()
        relu = f"{condition} relu"
        if activation != "relu" and relu in record.variants:
            about = {"condition": condition, "title": record.of(variant=name).runs["title"].iloc[0]}
            rows.append(about | {"numerator": activation, "denominator": "relu"} | _ratio(record, name, relu))
    return pd.DataFrame(rows, columns=RATIO_COLUMNS)


def _ratio(record: Record, name: str, relu: str) -> dict[str, Any]:
    slow, fast = record.crossings(name), record.crossings(relu)
    row: dict[str, Any] = {"runs": len(slow), "relu_runs": len(fast)}
    limits = {v: float(record.of(variant=v).runs["epochs"].iloc[0]) for v in (name, relu)}
    known = [x for x in fast if x is not None]
    if len(known) < len(fast):
        return row | {"relu_not_within": limits[relu]}
    if None in slow:
        bounded = [limits[name] if x is None else x for x in slow]
        least = (sum(bounded) / len(bounded)) / (sum(known) / len(known))
        return row | {"at_least": math.floor(10 * least) / 10}  # never up
    for column, axis in (("epochs", "epoch"), ("seconds", "cpu_seconds")):
        sides = [[x for x in record.crossings(v, axis=axis) if x is not None] for v in (name, relu)]
        found = bootstrap_ratio(*sides)
        row |= {column: round(found.value, 3)}
        row |= {f"{column}_low": round(found.low or 0.0, 3), f"{column}_high": round(found.high or 0.0, 3)}
    return row


def crossings_table(record: Record) -> str:
    """Epochs, iterations and processor seconds to the target: one line per variant, as text."""
    rows = []
    for name, runs in record.runs.groupby("variant", sort=False):
        first, activation = runs.iloc[0], str(name).split()[1]
        epochs, *others = (record.mean_crossing(str(name), axis=axis) for axis in AXES.values())
        reached = f"not within {first['epochs']:g}" if epochs is None else f"{epochs:.1f}"
        numbers = (reached, *("" if x is None else f"{x:.0f}" for x in others))
        rows.append((first["title"], activation, first["rate"], len(runs), *numbers))
    return as_text(("condition", "activation", "ε", "seeds", *AXES), rows)


def ratios_table(rows: pd.DataFrame) -> str:
    """How many times slower than ReLU: one line per row of the table "ratios", as text."""
    lines = []
    for _, row in rows.iterrows():
        numbers = [Interval(*row[[x, f"{x}_low", f"{x}_high"]]) for x in ("epochs", "seconds")]
        words: tuple[Any, ...] = tuple(map(str, numbers))
        if row["at_least"] > 0:
            words = (f"at least {row['at_least']:.1f}", "")
        elif row["relu_not_within"] > 0:
            words = (f"ReLU not within {row['relu_not_within']:g}", "")
        lines.append((row["title"], f"{row['numerator']} / relu", *words))
    return as_text(("condition", "compared", "in epochs", "in seconds"), lines)
