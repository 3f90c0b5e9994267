"""The three gains of §6, in a small version: ten patches, networks averaged, networks pre-trained.

Two parts, on one small AlexNet of two columns. Members: networks that differ by their seed alone, on all
classes. Problems: five classes with few images each, on which the networks of Table 2 are made: one, five
averaged, one with a sixth convolution that was first trained on the other five classes, and seven averaged.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from alexnet_edu.data.augment import ten_crop
from alexnet_edu.data.images import ImageSet
from alexnet_edu.model.architecture import Architecture, count, scaled_by_fan_in, with_conv6
from alexnet_edu.studies import study as studies
from alexnet_edu.studies.ablations import PAPER_RULE, SMALL_SIDE, small_alexnet
from alexnet_edu.studies.engine import AT_END, Result, Runs, Setting
from alexnet_edu.studies.ensemble_numbers import CENTRE, Rows, add_problem, members_tables
from alexnet_edu.studies.ensemble_record import EXPERIMENT
from alexnet_edu.studies.record import Record, of_rows
from alexnet_edu.studies.run import INITIAL, Run, Sample
from alexnet_edu.studies.study import CROPS, Train
from alexnet_edu.training.loop import TrainConfig
from alexnet_edu.training.predictions import top_errors

TITLE = "Ten patches, networks averaged, networks pre-trained"
DROP = 0.8  # share of the epochs after which the rate falls to a tenth
MOST_RATES = 5  # a search that has tried so many rates stops
SEARCHED = ("plain", "sixth", "starred")  # kinds of networks whose rates are searched


@dataclass(frozen=True)
class Plan:
    """How much is trained. The defaults are those of the record.

    networks: members, on all classes. epochs, rate: theirs. problems: how many splits of the classes
    into five and five; two in a row are one split in both directions. few: training images a class of a
    problem. source_epochs: on all images of the other five classes, at `rate`. few_epochs: on the few.
    plain, starred: networks a problem trained on the few alone, and pre-trained ones.
    """

    networks: int = 10
    epochs: float = 16
    rate: float = 0.02
    problems: int = 2
    few: int = 500
    source_epochs: float = 12
    few_epochs: float = 40
    plain: int = 5
    starred: int = 2


def columns_net(sixth: bool) -> Architecture:
    """`small_alexnet` with dropout in two columns, which read each other where the paper's do.

    sixth: with the convolution of §6 over the last pooling layer, which reads both. For images of
    24 × 24 pixels and ten classes 628,234 parameters, and 36,928 more with the sixth.
    """
    one = small_alexnet("dropout")
    layers = tuple(replace(layer, reads="own") if layer.name == "conv2" else layer for layer in one.layers)
    two = replace(one, name="two columns", columns=2, layers=layers)
    return scaled_by_fan_in(with_conv6(two) if sixth else two)


# --- the runs -----------------------------------------------------------------------------------


def split(problem: int, classes: int = 10) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(classes to pre-train on, classes of the problem): halves of a random order.

    Problems 1 and 2 are one split in both directions, 3 and 4 another; 0 is that of the search.
    """
    order = torch.randperm(classes, generator=torch.Generator().manual_seed(500 + (problem + 1) // 2))
    halves = [tuple(sorted(part.tolist())) for part in (order[: classes // 2], order[classes // 2 :])]
    return (halves[0], halves[1]) if problem % 2 else (halves[1], halves[0])


def _run(
    name: str, seed: int, rate: float, epochs: float, sample: Sample, *, sixth: bool, **more: Any
) -> Run:
    """§5's rule, with one fall of the rate after `DROP` of the epochs."""
    return Run(
        f"{EXPERIMENT}-{name}",
        columns_net(sixth),
        TrainConfig(rate, seed=seed, evals_per_epoch=1, drops=(DROP * epochs,), **PAPER_RULE),
        epochs,
        INITIAL + seed,
        sample,
        side=SMALL_SIDE,
        inputs="standardized",
        augment=CROPS,
        evaluated=1_000,
        measured=(),
        at_end=("probabilities",),
        **more,
    )


def member_runs(plan: Plan) -> list[Run]:
    """Networks on all classes, seeds 1 to `networks`."""
    return [
        _run(f"member-{seed}", seed, plan.rate, plan.epochs, Sample(), sixth=False)
        for seed in range(1, plan.networks + 1)
    ]


def source_run(plan: Plan, problem: int, number: int, classes: int = 10) -> Run:
    """The pre-training of one network: all images of the other five classes. No other has its seed."""
    name, seed = f"problem{problem}-source-{number}", 100 * problem + 50 + number
    sample = Sample(classes=split(problem, classes)[0])
    return _run(name, seed, plan.rate, plan.source_epochs, sample, sixth=True)


def problem_runs(
    plan: Plan, problem: int, rates: Mapping[str, float], images: ImageSet
) -> dict[str, list[Run]]:
    """The networks of one problem, by their kind. rates: for each of `SEARCHED`.

    "long" is "sixth" for as many steps as pre-training and fine-tuning take together, "starred-long" the
    first "starred" fine-tuned for as many.
    """
    classes = len(images.train.classes)
    source, target = split(problem, classes)
    sample = Sample(problem, classes=target, per_class=plan.few)
    many = len(Sample(classes=source).of_classes(images.train))
    longer = plan.few_epochs + plan.source_epochs * many / (plan.few * len(target))

    def run(kind: str, number: int, epochs: float, *, sixth: bool = True, after: Run | None = None) -> Run:
        rate = rates[kind.removesuffix("-long") if kind != "long" else "sixth"]
        name, seed = f"problem{problem}-{kind}-{number}", 100 * problem + number
        return _run(name, seed, rate, epochs, sample, sixth=sixth, after=after)

    sources = [source_run(plan, problem, i, classes) for i in range(1, plan.starred + 1)]
    few = plan.few_epochs
    return {
        "source": sources,
        "plain": [run("plain", i, few, sixth=False) for i in range(1, plan.plain + 1)],
        "sixth": [run("sixth", 1, few)],
        "long": [run("long", 1, longer)],
        "starred": [run("starred", i, few, after=source) for i, source in enumerate(sources, start=1)],
        "starred-long": [run("starred-long", 1, longer, after=sources[0])],
    }


def all_runs(plan: Plan, rates: Mapping[str, float], images: ImageSet) -> list[Run]:
    """Every network of the plan: members, then problem by problem."""
    problems = [problem_runs(plan, number, rates, images) for number in range(1, plan.problems + 1)]
    return member_runs(plan) + [run for kinds in problems for runs in kinds.values() for run in runs]


@torch.no_grad()
def _probabilities(model: nn.Module, setting: Setting) -> Tensor:
    """Softmax outputs for the ten patches of the judged images, (10, N, classes), in float32 throughout."""
    model.eval()
    device, parts = next(model.parameters()).device, []
    for batch in setting.judged.pixels.split(250):
        patches = ten_crop(batch.to(device), setting.prepare.side).transpose(0, 1)  # (10, B, 3, side, side)
        outputs = model(setting.prepare(patches.flatten(0, 1))).float().softmax(1)
        parts.append(outputs.view(10, len(batch), -1).cpu())
    return torch.cat(parts, dim=1).contiguous()


AT_END["probabilities"] = _probabilities


# --- search, training ---------------------------------------------------------------------------


def search(plan: Plan, kind: str, runs: Runs, train: Train) -> list[tuple[float, float]]:
    """(rate, held-out error) of one of `SEARCHED` on problem 0, the best first.

    A network that diverged is wrong on everything.
    """
    classes = len(runs.images.train.classes)
    sample = Sample(0, classes=split(0, classes)[1], per_class=plan.few)
    after = source_run(plan, 0, 1, classes) if kind == "starred" else None

    def error(result: Result) -> float:
        if result.curve.status == "diverged":
            return 1.0
        labels = sample.split(runs.images.train)[1].labels
        return top_errors(result.ends["probabilities"][CENTRE], labels, 1).mean().item()

    def run(rate: float, _: Sequence[Result]) -> Result:
        name, sixth = f"problem0-{kind}-search-{rate:g}", kind != "plain"
        asked = _run(name, 1, rate, plan.few_epochs, sample, sixth=sixth, held_out=True, after=after)
        return train(asked)

    tried = studies.search_rate(plan.rate / 2, MOST_RATES, run, error)
    return [(result.rate, error(result)) for result in tried]


def train(plan: Plan, runs: Runs, *, workers: int | None = None, say: Callable[[str], None] = print) -> None:
    """Searches the rates and trains all networks of the plan, `workers` at a time.

    Whatever is done already is taken from the folder of `runs`; killing it loses at most an epoch.
    """
    stop = threading.Event()
    one = studies.trainer(runs, stop, say)
    rates = {}

    def searched(kind: str) -> None:
        tried = search(plan, kind, runs, one)
        rates[kind] = tried[0][0]
        say(f"searched {kind}: " + ", ".join(f"{wrong:.1%} at ε = {rate:g}" for rate, wrong in tried))

    def network(run: Run) -> None:
        say(f"finished {run.name}: training error {one(run).column('train_error')[-1]:.1%}")

    studies.together([partial(searched, kind) for kind in reversed(SEARCHED)], workers, stop)
    work = [partial(network, run) for run in all_runs(plan, rates, runs.images)]
    studies.together(work, workers, stop)


# --- the record ---------------------------------------------------------------------------------


def assemble(plan: Plan, runs: Runs) -> Record:
    """The record of what is kept in `runs`. Raises NotTrained, with the name, where a network is missing."""
    searched = {kind: search(plan, kind, runs, runs.kept) for kind in SEARCHED}
    rates = {kind: tried[0][0] for kind, tried in searched.items()}
    test, classes = runs.images.test, runs.images.train.classes
    asked = {0: {"member": member_runs(plan)}}
    asked |= {n: problem_runs(plan, n, rates, runs.images) for n in range(1, plan.problems + 1)}
    rows, results, problems = [], [], []
    tables: dict[str, Rows] = {}
    for number, kinds in asked.items():
        done = {kind: [runs.kept(run) for run in group] for kind, group in kinds.items()}
        results += [result for group in done.values() for result in group]
        rows += [
            {"problem": number, "variant": kind, "images": result.data["images"], **studies.reported(result)}
            for kind, group in done.items()
            for result in group
        ]
        predictions = {
            kind: torch.stack([result.ends["probabilities"] for result in group])
            for kind, group in done.items()
        }
        if number == 0:
            tables = members_tables(predictions["member"], test.labels)
            continue
        halves = [[classes[i] for i in half] for half in split(number, len(classes))]
        problems.append({"problem": number, "source": halves[0], "target": halves[1]})
        labels = {kind: group[0].sample.of_classes(test).labels for kind, group in kinds.items()}
        add_problem(tables, number, predictions, labels)
    searches = [
        {"variant": kind, "rate": rate, "held_out_error": wrong}
        for kind, tried in searched.items()
        for rate, wrong in sorted(tried)
    ]
    sizes = {n: sum(s.parameters for s in count(columns_net(n == "sixth"))) for n in SEARCHED[:2]}
    settings = {"plan": asdict(plan), "parameters": sizes, "problems": problems}
    tables |= {"runs": rows, "searches": searches}
    return of_rows(EXPERIMENT, TITLE, settings, studies.joint(results), tables)
