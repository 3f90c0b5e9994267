"""The study of §6 as a whole: all networks of a plan trained, and one record made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from threading import Event
from typing import Any

import torch
from tqdm.auto import tqdm

from alexnet_edu.environment import joint_provenance
from alexnet_edu.model.architecture import count
from alexnet_edu.studies.result_numbers import error, members_part, problem_part, seen
from alexnet_edu.studies.result_records import EXPERIMENT
from alexnet_edu.studies.result_trials import (
    KINDS,
    Outcome,
    Task,
    Trials,
    columns_net,
    member_tasks,
    of_classes,
    problem_tasks,
    split,
)
from alexnet_edu.training.loop import Run, resolve_precision

TITLE = "Ten patches, networks averaged, networks pre-trained"
Searched = dict[str, list[tuple[float, float]]]  # kind -> (rate, held-out error)


@dataclass(frozen=True)
class Gathered:
    """What was trained: members, and for each problem its networks by kind; with the rates' search."""

    searched: Searched
    members: list[Outcome]
    problems: dict[int, dict[str, list[Outcome]]]


def tasks_of(trials: Trials, problem: int, rates: Mapping[str, float]) -> dict[str, list[Task]]:
    """`problem_tasks` for the images at hand."""
    source, target = split(problem, len(trials.images.train.classes))
    many = len(of_classes(trials.images.train, source))
    return problem_tasks(trials.plan, problem, rates, many, trials.plan.few * len(target))


def all_tasks(trials: Trials, rates: Mapping[str, float]) -> list[Task]:
    """Every network of the plan: members, then problem by problem."""
    found = member_tasks(trials.plan)
    for problem in range(1, trials.plan.problems + 1):
        found += [task for tasks in tasks_of(trials, problem, rates).values() for task in tasks]
    return found


def best(searched: list[tuple[float, float]]) -> float:
    """The rate with the lowest held-out error."""
    return min(searched, key=lambda pair: pair[1])[0]


def record(
    trials: Trials, *, workers: int = 2, device: str = "cpu", say: Callable[[str], None] = print
) -> None:
    """Searches the rates and trains all networks of the plan, `workers` at a time, each on one thread.

    Whatever is done already is taken from `trials.runs_dir`; killing it loses at most an epoch.
    """
    stop = Event()
    options: dict[str, Any] = {"device": device, "stop": stop.is_set, "tell": _teller(say)}

    def searched(kind: str) -> float:
        torch.set_num_threads(1)  # of this worker
        found = trials.search(kind, **options)
        say(f"searched {kind}: " + ", ".join(f"{wrong:.1%} at ε = {rate:g}" for rate, wrong in found))
        return best(found)

    with ThreadPoolExecutor(max(1, workers)) as pool:
        rates = {kind: pool.submit(searched, kind) for kind in reversed(KINDS)}
        try:
            chosen = {kind: rates[kind].result() for kind in KINDS}
        except BaseException:
            stop.set()
            raise
    train(trials, chosen, workers=workers, say=say, device=device)


def train(
    trials: Trials,
    rates: Mapping[str, float],
    *,
    workers: int = 2,
    device: str = "cpu",
    say: Callable[[str], None] = print,
    tell: Callable[[Task, Run], None] | None = None,
) -> dict[str, Outcome]:
    """Trains all networks of the plan at these rates (kind -> rate): name of the task -> outcome."""
    stop, found = Event(), dict[str, Outcome]()
    options: dict[str, Any] = {"device": device, "stop": stop.is_set, "tell": tell or _teller(say)}

    def network(task: Task) -> None:
        torch.set_num_threads(1)  # of this worker
        found[task.name] = trials.outcome(task, **options)
        say(f"finished {task.name}: training error {found[task.name].record['train_error']:.1%}")

    with ThreadPoolExecutor(max(1, workers)) as pool:
        waiting: list[Future[None]] = [pool.submit(network, task) for task in all_tasks(trials, rates)]
        try:
            for future in as_completed(waiting):  # so that a failure is told at once
                future.result()
        except BaseException:
            stop.set()
            for future in waiting:
                future.cancel()
            raise
    return found


def _teller(say: Callable[[str], None]) -> Callable[[Task, Run], None]:
    def tell(task: Task, run: Run) -> None:
        point = run.points[-1]
        if point.epoch % 10 < 1:
            say(f"{task.name}: epoch {point.epoch:.0f}, training error {point.train_error:.1%}")

    return tell


def run_live(
    trials: Trials, rates: Mapping[str, float], *, workers: int = 2, device: str = "cpu"
) -> tuple[dict[str, Any], dict[str, Outcome]]:
    """Trains the plan now, with a progress bar: its record, and the outcomes by the names of the tasks.

    rates: kind -> rate; nothing is searched. In the record "search" is empty.
    """
    tasks = all_tasks(trials, rates)
    total = round(sum(task.epochs * len(trials.trained_on(task)) for task in tasks) / 1000)
    bar = tqdm(total=total, bar_format="{l_bar}{bar}| {n:.0f} of {total:.0f} thousand images [{elapsed}]")
    done: dict[str, float] = {}
    threads = torch.get_num_threads()

    def tell(task: Task, run: Run) -> None:
        done[task.name] = run.points[-1].epoch * len(trials.trained_on(task)) / 1000
        bar.update(max(0.0, min(sum(done.values()), total) - bar.n))

    try:
        found = train(trials, rates, workers=workers, device=device, say=lambda _: None, tell=tell)
    finally:
        torch.set_num_threads(threads)
        bar.close()
    return assemble(trials, gathered(trials, rates, lambda task: found[task.name])), found


# --- one record ------------------------------------------------------------------------------


def gathered(
    trials: Trials,
    rates: Mapping[str, float],
    outcome: Callable[[Task], Outcome],
    searched: Searched | None = None,
) -> Gathered:
    """The networks of the plan by their place. outcome: of one task."""
    problems = {
        problem: {
            kind: [outcome(task) for task in tasks]
            for kind, tasks in tasks_of(trials, problem, rates).items()
        }
        for problem in range(1, trials.plan.problems + 1)
    }
    return Gathered(searched or {}, [outcome(task) for task in member_tasks(trials.plan)], problems)


def kept(trials: Trials) -> Gathered:
    """What is kept in `trials.runs_dir`. Raises NotTrained, with the name, where a network is missing."""
    searched = {kind: trials.search(kind, only_kept=True) for kind in KINDS}
    rates = {kind: best(found) for kind, found in searched.items()}
    return gathered(trials, rates, lambda task: trials.outcome(task, only_kept=True), searched)


def assemble(trials: Trials, found: Gathered) -> dict[str, Any]:
    """One record of all: conditions, the rates' search, the members, the problems."""
    plan, data = trials.plan, trials.lab.data()
    labels = trials.images.test.labels
    outcomes = [
        *found.members,
        *(one for kinds in found.problems.values() for group in kinds.values() for one in group),
    ]
    said = torch.stack([member.probabilities for member in found.members])
    return {
        "experiment": EXPERIMENT,
        "title": TITLE,
        "plan": asdict(plan),
        "parameters": {name: _parameters(name == "sixth") for name in ("plain", "sixth")},
        "search": {kind: [list(pair) for pair in pairs] for kind, pairs in found.searched.items()},
        "members": {"runs": [_run(one) for one in found.members], **members_part(said, labels)},
        "problems": [_problem(trials, number, kinds) for number, kinds in found.problems.items()],
        "provenance": _provenance(outcomes) | {"data": data},
    }


def _parameters(sixth: bool) -> int:
    """Of the network for ten classes, by its table."""
    return sum(size.parameters for size in count(columns_net(sixth)))


def _problem(trials: Trials, number: int, kinds: Mapping[str, list[Outcome]]) -> dict[str, Any]:
    classes = trials.images.train.classes
    source, target = split(number, len(classes))
    labels = of_classes(trials.images.test, target).labels
    said = {kind: torch.stack([one.probabilities for one in group]) for kind, group in kinds.items()}
    own = of_classes(trials.images.test, source).labels
    learned = [error(p, own) for p in seen(said.pop("source"), "ten")]
    return {
        "problem": number,
        "source": [classes[i] for i in source],
        "target": [classes[i] for i in target],
        "source_errors": learned,  # of the pre-trained networks on the classes they come from, ten patches
        "runs": {kind: [_run(one) for one in group] for kind, group in kinds.items()},
        **problem_part(said, labels),
    }


def _run(one: Outcome) -> dict[str, Any]:
    task = one.record["task"]
    return {
        "seed": task["seed"],
        "rate": task["rate"],
        "epochs": task["epochs"],
        **{name: one.record[name] for name in ("images", "status", "train_error", "cpu_seconds")},
    }


def _provenance(outcomes: list[Outcome]) -> dict[str, Any]:
    origins = [one.record["provenance"] for one in outcomes]
    return {**joint_provenance(origins), "precision": [resolve_precision("auto")]}
