"""The three gains of §6 in small: ten patches, networks averaged, networks pre-trained on other classes.

Two parts, all on one small AlexNet of two columns. Members: networks that differ by their seed alone,
trained on all classes. Problems: five classes with few images each, on which the four networks of
Table 2 are made: one, five averaged, one with a sixth convolution that was first trained on the
other five classes, and seven averaged. What each network says to the ten patches of the test images
is kept beside its checkpoint; `result_study` runs all of them and makes a record.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from alexnet_edu.data.augment import composed, ten_crop
from alexnet_edu.data.images import Images, ImageSet
from alexnet_edu.environment import provenance
from alexnet_edu.files import read_json, write_json
from alexnet_edu.model.architecture import Architecture, scaled_by_fan_in, with_conv6
from alexnet_edu.studies.ablations import CROPS, PAPER_RULE, SMALL_SIDE, Study, build, small_alexnet
from alexnet_edu.studies.laboratory import Laboratory
from alexnet_edu.studies.rates import next_rate
from alexnet_edu.training.loop import Run, TrainConfig, fit, resolve_precision
from alexnet_edu.training.predictions import top_errors

EVALUATED = 1_000  # training images on which the training error is measured
DROP = 0.8  # share of the epochs after which the rate falls to a tenth
MOST_RATES = 5  # a search that has tried so many rates stops
KINDS = ("plain", "sixth", "starred")  # of networks whose rates are searched


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

    def __post_init__(self) -> None:
        if self.networks < 2:
            raise ValueError(f"an average needs at least 2 networks, got networks={self.networks!r}")
        for name in ("problems", "few", "plain", "starred"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)!r}")


def columns_net(sixth: bool) -> Architecture:
    """`studies.small_alexnet` with dropout in two columns, which read each other where the paper's do.

    sixth: with the convolution of §6 over the last pooling layer, which reads both. For images of
    24 × 24 pixels and ten classes 628,234 parameters, and 36,928 more with the sixth.
    """
    one = small_alexnet("dropout")
    layers = tuple(replace(layer, reads="own") if layer.name == "conv2" else layer for layer in one.layers)
    two = replace(one, name="two columns", columns=2, layers=layers)
    return scaled_by_fan_in(with_conv6(two) if sixth else two)


@dataclass(frozen=True)
class Task:
    """One network to be trained.

    problem: which split of the classes; None for all classes. source: whether it learns the split's first
    five classes from all their images, and not the others from few. searching: judged on training
    images of the problem that nobody trains on, to choose a rate. after: the network whose weights it
    starts from, all but the classifier's, which are drawn anew.
    """

    name: str
    seed: int
    rate: float
    epochs: float
    sixth: bool = False
    problem: int | None = None
    source: bool = False
    searching: bool = False
    after: Task | None = None


@dataclass(frozen=True)
class Outcome:
    """A trained network's record, and its probabilities for the images it is judged on.

    probabilities: (10, N, classes) float32, patches in the order of `augment.TEN_PATCHES`.
    """

    record: dict[str, Any]
    probabilities: Tensor


def member_tasks(plan: Plan) -> list[Task]:
    """Networks on all classes, seeds 1 to `networks`."""
    return [Task(f"member-{seed}", seed, plan.rate, plan.epochs) for seed in range(1, plan.networks + 1)]


def problem_tasks(
    plan: Plan, problem: int, rates: Mapping[str, float], images: int, few_images: int
) -> dict[str, list[Task]]:
    """The networks of one problem, by what they are.

    "long" is "sixth" for as many steps as pre-training and fine-tuning take together, "starred-long" the
    first "starred" fine-tuned for as many. rates: for each of `KINDS`. images, few_images: how many there
    are of the other five classes, and of the problem's own.
    """
    base = 100 * problem
    longer = plan.few_epochs + plan.source_epochs * images / few_images

    def task(kind: str, number: int, epochs: float = plan.few_epochs, **other: Any) -> Task:
        rate = rates[{"long": "sixth", "starred-long": "starred"}.get(kind, kind)]
        return Task(
            f"problem{problem}-{kind}-{number}", base + number, rate, epochs, problem=problem, **other
        )

    sources = [source_task(plan, problem, i) for i in range(1, plan.starred + 1)]
    return {
        "source": sources,
        "plain": [task("plain", i) for i in range(1, plan.plain + 1)],
        "sixth": [task("sixth", 1, sixth=True)],
        "long": [task("long", 1, longer, sixth=True)],
        "starred": [
            task("starred", i, sixth=True, after=source) for i, source in enumerate(sources, start=1)
        ],
        "starred-long": [task("starred-long", 1, longer, sixth=True, after=sources[0])],
    }


def source_task(plan: Plan, problem: int, number: int) -> Task:
    """The pre-training of one network: all images of the other five classes. No other has its seed."""
    name, seed = f"problem{problem}-source-{number}", 100 * problem + 50 + number
    return Task(name, seed, plan.rate, plan.source_epochs, True, problem, True)


def split(problem: int, classes: int = 10) -> tuple[list[int], list[int]]:
    """(classes to pre-train on, classes of the problem): halves of a random order.

    Problems 1 and 2 are one split in both directions, 3 and 4 another; 0 is that of the search.
    """
    order = torch.randperm(classes, generator=torch.Generator().manual_seed(500 + (problem + 1) // 2))
    halves = sorted(order[: classes // 2].tolist()), sorted(order[classes // 2 :].tolist())
    return halves if problem % 2 else (halves[1], halves[0])


def of_classes(images: Images, chosen: list[int]) -> Images:
    """The images of these classes, whose labels become 0, 1, … in the order of `chosen`."""
    place = torch.full((len(images.classes),), -1)
    place[chosen] = torch.arange(len(chosen))
    found = images.subset((place[images.labels] >= 0).nonzero().squeeze(1))
    names = tuple(images.classes[i] for i in chosen)
    return Images(found.pixels, place[found.labels], names, images.source, images.synthetic)


class NotTrained(ValueError):
    """A network was asked for that is not kept, where nothing is to be trained."""


class Trials:
    """The images, and where runs are kept; trains what a `Task` says.

    runs_dir: every network keeps its checkpoint, record and probabilities there; None keeps nothing.
    """

    def __init__(self, plan: Plan, images: ImageSet, runs_dir: Path | None) -> None:
        study = Study(
            "results", "the gains of §6", (), plan.epochs, (), 1, 0, standardized=True, crop=SMALL_SIDE
        )
        self.plan, self.images, self.runs_dir = plan, images, runs_dir
        self.lab = Laboratory(study, images.train, images.test, runs_dir)
        self._guard, self._locks = Lock(), dict[Task, Lock]()
        self._sources: dict[Task, tuple[Run, nn.Module]] = {}  # where no run is kept

    def trained_on(self, task: Task) -> Images:
        """The training images of a task."""
        train = self.images.train
        if task.problem is None:
            return train
        source, target = split(task.problem, len(train.classes))
        return of_classes(train, source) if task.source else self._few(task.problem, target, held_out=False)

    def judged_on(self, task: Task) -> Images:
        """The test images of the task's classes; in a search, held out training images."""
        if task.problem is None:
            return self.images.test
        source, target = split(task.problem, len(self.images.train.classes))
        if task.searching:
            return self._few(task.problem, target, held_out=True)
        return of_classes(self.images.test, source if task.source else target)

    def _few(self, problem: int, target: list[int], *, held_out: bool) -> Images:
        """`plan.few` images of each class, drawn by the problem; or as many others."""
        pool = of_classes(self.images.train, target)
        generator = torch.Generator().manual_seed(problem)
        start, chosen = self.plan.few * held_out, []
        for label in range(len(target)):
            own = (pool.labels == label).nonzero().squeeze(1)
            order = own[torch.randperm(len(own), generator=generator)]
            chosen.append(order[start : start + self.plan.few])
        return pool.subset(torch.cat(chosen))

    def config(self, task: Task) -> TrainConfig:
        """§5's rule, with the rate of the task; one fall after `DROP` of the epochs."""
        drops = (DROP * task.epochs,)
        config = TrainConfig(task.rate, seed=task.seed, evals_per_epoch=1, drops=drops, **PAPER_RULE)
        return replace(config, precision=resolve_precision("auto"))

    def path(self, task: Task) -> Path | None:
        """Where a network's record is kept; the name ends in a digest of all that determines it."""
        if self.runs_dir is None:
            return None
        what = [asdict(task), self.config(task).identity(), asdict(columns_net(task.sixth))]
        text = json.dumps([what, self.plan.few, self.lab.fingerprint], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        return self.runs_dir / f"results-{task.name}-{digest}.json"

    def trained(
        self,
        task: Task,
        *,
        device: str = "cpu",
        tell: Callable[[Task, Run], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> tuple[Run, nn.Module]:
        """Trains a network, or goes on where an earlier call stopped, after the one that it starts from.

        Two workers that need the same network do not train it twice. Raises KeyboardInterrupt when stopped;
        what was run is kept.
        """
        with self._guard:
            own = self._locks.setdefault(task, Lock())
        with own:
            if task not in self._sources:
                found = self._trained(task, device, tell, stop)
                if not (task.source and self.runs_dir is None):
                    return found
                self._sources[task] = found
            return self._sources[task]

    def _trained(
        self,
        task: Task,
        device: str,
        tell: Callable[[Task, Run], None] | None,
        stop: Callable[[], bool] | None,
    ) -> tuple[Run, nn.Module]:
        images, path = self.trained_on(task), self.path(task)
        model = build(columns_net(task.sixth), self.lab.side, len(images.classes), task.seed)
        if task.after is not None:
            _, before = self.trained(task.after, device=device, tell=tell, stop=stop)
            take_over(before, model)
        some = torch.randperm(len(images), generator=torch.Generator().manual_seed(task.seed))[:EVALUATED]
        run = fit(
            model,
            images.pixels,
            images.labels,
            self.config(task),
            prepare=self.lab.prepare,
            max_epochs=task.epochs,
            evaluate_on=some,
            augment=composed(CROPS, self.lab.side, None),
            device=device,
            checkpoint=path.with_suffix(".safetensors") if path else None,
            on_point=(lambda run: tell(task, run)) if tell else None,
            stop=stop,
        )
        if run.status == "interrupted":
            raise KeyboardInterrupt
        return run, model

    def outcome(self, task: Task, *, device: str = "cpu", only_kept: bool = False, **options: Any) -> Outcome:
        """The network's record and probabilities; trained where it was not yet. options: of `trained`.

        only_kept: raise NotTrained rather than train.
        """
        path = self.path(task)
        if path is not None and path.exists():
            return Outcome(read_json(path), load_file(_beside(path))["probabilities"])
        if only_kept:
            raise NotTrained(
                f"{task.name} is not in {self.runs_dir}; `alexnet-edu experiment results` makes it"
            )
        origin = provenance(device)
        run, model = self.trained(task, device=device, **options)
        assert run.last is not None
        record = {
            "task": asdict(task),
            "status": run.status,
            "images": len(self.trained_on(task)),
            "train_error": run.last.train_error,
            "cpu_seconds": run.last.cpu_seconds,
            "fingerprint": self.lab.fingerprint,
            "provenance": origin,
        }
        found = self.probabilities(model, self.judged_on(task).pixels)
        if path is not None:
            save_file({"probabilities": found}, _beside(path))
            write_json(path, record)
        return Outcome(record, found)

    @torch.no_grad()
    def probabilities(self, model: nn.Module, pixels: Tensor) -> Tensor:
        """Softmax outputs for ten patches: uint8 (N, 3, H, W) -> (10, N, classes), in float32 throughout."""
        model.eval()
        device = next(model.parameters()).device
        parts = []
        for batch in pixels.split(250):
            patches = ten_crop(batch.to(device), self.lab.side).transpose(0, 1)  # (10, B, 3, side, side)
            said = model(self.lab.prepare(patches.flatten(0, 1))).float().softmax(1)
            parts.append(said.view(10, len(batch), -1).cpu())
        return torch.cat(parts, dim=1).contiguous()

    def search(self, kind: str, **options: Any) -> list[tuple[float, float]]:
        """(rate, held-out error) of one of `KINDS` on problem 0, until the best has a worse one on each side.

        options: of `outcome`. A network that diverged errs on everything.
        """
        after = source_task(self.plan, 0, 1) if kind == "starred" else None
        tried: dict[float, float] = {}
        missing = [self.plan.rate / 2]
        while missing and len(tried) < MOST_RATES:
            rate = missing[0]
            name = f"problem0-{kind}-search-{rate:g}"
            task = Task(name, 1, rate, self.plan.few_epochs, kind != "plain", 0, False, True, after)
            found = self.outcome(task, **options)
            said, labels = found.probabilities[2], self.judged_on(task).labels  # 2: the centre
            whole = found.record["status"] != "diverged"
            tried[rate] = top_errors(said, labels, 1).mean().item() if whole else 1.0
            best = min(tried, key=lambda r: tried[r])
            missing = [r for r in (next_rate(best, 1), next_rate(best, -1)) if r not in tried]
        return sorted(tried.items())


def _beside(record: Path) -> Path:
    return record.with_name(record.stem + ".probabilities.safetensors")


def take_over(before: nn.Module, model: nn.Module) -> None:
    """Copies all weights into `model` but those of its last stage, the classifier, which stay as drawn."""
    state = model.state_dict()
    last = list(state)[-1].rsplit(".", 2)[0]
    state.update({k: v.cpu() for k, v in before.state_dict().items() if not k.startswith(f"{last}.")})
    model.load_state_dict(state)
