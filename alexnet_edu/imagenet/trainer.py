"""The full training (§5): steps, evaluations, checkpoints and a log, until the epochs are over.

Runs alike on one device, on two columns and on copies that share a batch (`parallel`). Everything
random at step s depends only on (seed, s), so a checkpoint needs no state of any generator: weights,
velocities, the step and the validation errors so far are the run. On a processor a run that was
killed and taken up again ends with the same bits as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from alexnet_edu.environment import hardware
from alexnet_edu.imagenet import checkpoint as checkpoints
from alexnet_edu.imagenet.diagnosis import diagnose
from alexnet_edu.imagenet.distributed import Single
from alexnet_edu.imagenet.errors import counted, judged, probabilities, sum_type, summed_loss
from alexnet_edu.imagenet.feed import Batch, Feed, Views
from alexnet_edu.imagenet.journal import Journal, memory_used
from alexnet_edu.imagenet.prepared import PreparedSet
from alexnet_edu.imagenet.recipe import Recipe, optimizer_of, set_rates
from alexnet_edu.imagenet.run_state import RUN_FORMAT, check_free, check_same, newest_of, put_back, tensors_of
from alexnet_edu.training.loop import CheckpointError, autocast

DIVERGED_LOSS = 100.0  # nats; ln(1000) = 6.9 is chance
EVALUATED_AT_ONCE = 256


class Diverged(Exception):
    """The loss is no number, or absurd; the message says where it went wrong and what to do."""


@dataclass(frozen=True)
class Running:
    """What does not change the weights a recipe leads to, but to rounding.

    precision: "float32", "bfloat16" or "auto", as in `train.TrainConfig`; "float64" to compare runs
    to the last digits, with a group of that type. workers: threads that decode, for each process.
    log_every, save_every: in steps. keep: how many of the last checkpoints stay besides the best
    one. resume: "never" or "auto", to go on where the folder has checkpoints. compile: None, or what
    `torch.compile` rewrites, the "norms" or the "network". tensorboard: write its events too.
    until: stop after this step, None for the whole run.
    """

    precision: str = "auto"
    workers: int | None = None
    log_every: int = 20
    save_every: int = 1000
    keep: int = 3
    resume: str = "never"
    compile: str | None = None
    tensorboard: bool = False
    until: int | None = None

    def __post_init__(self) -> None:
        for name in ("log_every", "save_every", "keep"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)!r}")
        if self.resume not in ("never", "auto"):
            raise ValueError(f"resume must be 'never' or 'auto', got {self.resume!r}")


@dataclass(frozen=True)
class Evaluation:
    """Errors (0–1) and the mean loss in nats over `images` validation images."""

    step: int
    epoch: float
    top1: float
    top5: float
    loss: float
    images: int
    patches: int = 1


@dataclass
class _Sums:
    """Of the rows trained on since the last line of the log; on the device, so nothing waits for it."""

    numbers: Tensor  # loss, wrong at first, wrong at five, images
    steps: int = 0
    began: float = field(default_factory=time.perf_counter)
    waited: float = 0.0


class Training:
    """One run in one folder. See `run`.

    prepared: the images. group: the network, see `parallel`. folder: of checkpoints and the log.
    start: weights of the whole network to begin with (fine-tuning), else those drawn.
    Raises ValueError where the images do not fit the recipe, CheckpointError where the folder holds
    a run and resume is "never", or another run.
    """

    def __init__(
        self,
        recipe: Recipe,
        prepared: PreparedSet,
        group: Single,
        folder: Path,
        running: Running | None = None,
        *,
        start: dict[str, Tensor] | None = None,
        say: Callable[[str], None] = print,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.recipe, self.prepared, self.group, self.folder = recipe, prepared, group, folder
        self.running = running or Running()
        self.device, self._should_stop = group.device, should_stop
        self.table = recipe.architecture(len(prepared.wnids))
        self.views = Views(prepared, self.table.side, self.device)
        self.feed = self._feed("train", recipe.batch_size, recipe.seed)
        self.judged = self._feed("val", EVALUATED_AT_ONCE, None)
        self.dtype = next(group.network.parameters()).dtype
        if start is not None:
            group.network.load_state_dict(group.own(start))
        self.optimizer = optimizer_of(group.network, recipe)
        self.step, self.seconds = 0, 0.0
        self.evaluations: list[Evaluation] = []
        self._unread: set[str] = set()  # by this process, and not told to the others yet
        self.journal = Journal(folder, group.main, say, self.running.tensorboard)
        self._take_up()
        if self.running.compile is not None:
            group.compile(self.running.compile)

    def _feed(self, split: str, batch_size: int, seed: int | None) -> Feed:
        return Feed(
            self.prepared.split(split),
            batch_size=batch_size,
            seed=seed,
            device=self.device,
            rank=self.group.rank,
            world=self.group.world,
            workers=self.running.workers,
        )

    # --- position ---------------------------------------------------------------------------

    @property
    def steps(self) -> int:
        """How many the whole run has."""
        return math.ceil(self.recipe.epochs * self.feed.steps_per_epoch)

    @property
    def epoch(self) -> float:
        return self.step / self.feed.steps_per_epoch

    # --- running ----------------------------------------------------------------------------

    def run(self) -> str:
        """Trains to the end of the recipe; "finished", or "stopped" after `should_stop` or `until`.

        Raises Diverged, and CheckpointError where the last checkpoint cannot be written. Every other
        end leaves a checkpoint of the last step behind.
        """
        last = self.steps if self.running.until is None else min(self.steps, self.running.until)
        self.journal.log("start", step=self.step, steps=self.steps, **self._facts())
        stopped, saved = False, True
        while not stopped:
            if self._evaluation_due():
                stopped = not self._evaluate_now()
            elif self.step >= last:
                break
            else:
                stopped = self._train_to(min(self._next_evaluation(), last))
            if stopped or not self._evaluation_due():
                saved = self._save()
        self._end_if_not(saved)
        done = self.step >= self.steps and not self._evaluation_due()
        if done:
            self._judge_at_last()
        self.journal.log("stop", step=self.step, status="finished" if done else "stopped")
        self.journal.close()
        return "finished" if done else "stopped"

    def _end_if_not(self, saved: bool) -> None:
        """The last checkpoint is the result: without it the run has not ended well."""
        if not saved:
            steps = checkpoints.saved_steps(self.folder)
            since = f"from step {steps[-1]:,}" if steps else "from the start"
            self.journal.log("stop", step=self.step, status="stopped")
            raise CheckpointError(
                f"the checkpoint of step {self.step:,}, the last one, could not be written (see the warnings "
                f"above). Make room; with --resume auto the training goes on {since}"
            )

    def _next_evaluation(self) -> int:
        each, per = self.feed.steps_per_epoch, self.recipe.evaluations
        return min(self.steps, math.ceil((self.step * per // each + 1) * each / per))

    def _evaluation_due(self) -> bool:
        """Whether the weights of this step are to be judged and have not been."""
        each, per = self.feed.steps_per_epoch, self.recipe.evaluations
        fits = self.step == math.ceil(self.step * per // each * each / per) or self.step == self.steps
        done = bool(self.evaluations) and self.evaluations[-1].step == self.step
        return self.step > 0 and fits and not done

    def _train_to(self, target: int) -> bool:
        """Steps up to `target`; True if it was told to stop before."""
        sums = self._fresh()
        told = False
        with closing(self.feed.batches(self.step, target)) as batches:
            while self.step < target and not told:
                before = time.perf_counter()
                batch = next(batches)
                sums.waited += time.perf_counter() - before
                self._step(batch, sums)
                self.step += 1
                told = self.group.any(self._should_stop())
                if self.step % self.running.log_every == 0 or self.step == target or told:
                    self._report(sums, batch)
                    sums = self._fresh()
                if self.step % self.running.save_every == 0 and self.step < target and not told:
                    if sums.steps:
                        self._report(sums, batch)  # never save what has not been looked at
                    self._save()
                    sums = self._fresh()
        return told

    def one_step(self, batch: Batch) -> None:
        """One update of the weights that is not reported: for rehearsals and benchmarks."""
        self._step(batch, self._fresh())
        self.step += 1

    def _step(self, batch: Batch, sums: _Sums) -> None:
        """One update of the weights."""
        recipe, group = self.recipe, self.group
        rates = recipe.rates(self.epoch, [e.top1 for e in self.evaluations])
        set_rates(self.optimizer, rates)
        seed = recipe.seed * 1_000_003 + self.step
        group.network.train()
        group.begin_step(seed, batch.start, batch.stop, batch.total)
        x = self.views.train(
            batch, seed, noise=rates.noise, divisor=rates.divisor, shared=recipe.shared_crops
        )
        with autocast(self.device, self.running.precision):
            logits = group.module(x.to(self.dtype))
        loss = summed_loss(logits, batch.labels) / batch.total
        self.optimizer.zero_grad(set_to_none=True)
        (loss * group.scale()).backward()
        self.optimizer.step()
        sums.steps += 1
        sums.numbers += counted(logits.detach(), batch.labels, loss.detach() * batch.total)
        self._unread.update(batch.unreadable)

    def _fresh(self) -> _Sums:
        return _Sums(torch.zeros(4, dtype=sum_type(self.device), device=self.device))

    def _report(self, sums: _Sums, batch: Batch) -> None:
        """One line of the log. Raises Diverged where the loss says so."""
        loss, wrong1, wrong5, images = self.group.sum_rows(sums.numbers).tolist()
        took = time.perf_counter() - sums.began
        self.seconds += took
        mean = loss / max(1.0, images)
        rates = self.recipe.rates(self.epoch, [e.top1 for e in self.evaluations])
        row = {
            "step": self.step,
            "epoch": round(self.epoch, 4),
            "loss": mean if math.isfinite(mean) else str(mean),
            "top1": wrong1 / max(1.0, images),
            "top5": wrong5 / max(1.0, images),
            "rate": rates.weights,
            "images_per_s": round(images / took, 2),
            "waited": round(sums.waited / took, 3),
            "seconds": round(self.seconds, 2),
            "memory": self.group.collect(memory_used(self.device)),
        }
        self.journal.log("step", **row)
        self._name_unreadable()
        if not (math.isfinite(mean) and mean < DIVERGED_LOSS):
            self._diverged(mean, batch)

    def _diverged(self, loss: float, batch: Batch) -> None:
        why = diagnose(self.group, self.views.centre(batch.pixels), self.recipe.rate)
        steps = checkpoints.saved_steps(self.folder)
        back = f"the last checkpoint is of step {steps[-1]}" if steps else "there is no checkpoint yet"
        message = f"the loss was {loss:g} at step {self.step:,}: {why} Nothing was saved; {back}."
        self.journal.log("stop", step=self.step, status="diverged", why=message)
        raise Diverged(message)

    # --- evaluating -------------------------------------------------------------------------

    def _evaluate_now(self) -> bool:
        """Judges the weights and keeps what came out; False if it was told to stop meanwhile."""
        found = self.evaluate()
        if found is None:
            return False
        self.evaluations.append(found)
        self.journal.log("evaluation", **vars(found))
        self.journal.speak(
            f"epoch {found.epoch:.2f}: validation error {100 * found.top1:.1f}% "
            f"(top-5 {100 * found.top5:.1f}%), loss {found.loss:.3f}"
        )
        return True

    def _judge_at_last(self) -> None:
        """By ten patches, too, as Tables 1 and 2 count."""
        found = self.evaluate(patches=10)
        if found is not None:
            self.journal.log("final", **vars(found))
            self.journal.speak(
                f"ten patches: validation error {100 * found.top1:.1f}% (top-5 {100 * found.top5:.1f}%)"
            )

    @torch.no_grad()
    def evaluate(self, patches: int = 1) -> Evaluation | None:
        """The errors on the validation images, by the middle patch or by ten (§4.1).

        None if it was told to stop before the end.
        """
        self.group.network.eval()
        sums = self._fresh().numbers
        with closing(self.judged.batches(0, self.judged.steps_per_epoch)) as batches:
            for batch in batches:
                sums += judged(self.probabilities(batch.pixels, patches), batch.labels)
                self._unread.update(batch.unreadable)
                if self.group.any(self._should_stop()):
                    return None
        self._name_unreadable()
        loss, wrong1, wrong5, images = self.group.sum_rows(sums).tolist()
        count, epoch = max(1.0, images), round(self.epoch, 4)
        return Evaluation(
            self.step, epoch, wrong1 / count, wrong5 / count, loss / count, int(images), patches
        )

    def probabilities(self, pixels: Tensor, patches: int = 1) -> Tensor:
        """(b, 3, H, W) uint8 -> (b, classes) float32: softmax, the mean over patches."""
        group = self.group
        module = group.module if group.name == "columns" else group.network
        return probabilities(module, self.views, pixels, patches, self.running.precision, self.dtype)

    # --- keeping ----------------------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        return {
            "format": RUN_FORMAT,
            "recipe": self.recipe.identity(),
            "step": self.step,
            "seconds": round(self.seconds, 2),
            "evaluations": [vars(e) for e in self.evaluations],
            "images": self.prepared.fingerprint,
            "classes": list(self.prepared.wnids),
            "unreadable": sorted(self.journal.unreadable),
        }

    def _save(self) -> bool:
        """A checkpoint of now, and the best one. A full disk is said and does not end the run: False."""
        tensors = tensors_of(self.group, self.optimizer)
        written = self._write(tensors) if self.group.main else True
        return not self.group.any(not written)

    def _write(self, tensors: dict[str, Tensor]) -> bool:
        path = checkpoints.path_of(self.folder, self.step)
        try:
            checkpoints.save(path, tensors, self._state())
            if self._is_best():
                checkpoints.save(self.folder / checkpoints.BEST, tensors, self._state())
        except CheckpointError as error:
            self.journal.warn(f"{error}.", step=self.step)
            return False
        checkpoints.keep_last(self.folder, self.running.keep)
        self.journal.log("checkpoint", step=self.step, file=path.name)
        return True

    def _is_best(self) -> bool:
        errors = [e.top1 for e in self.evaluations]
        return (
            bool(errors)
            and self.evaluations[-1].step == self.step
            and errors[-1] < min(errors[:-1], default=2)
        )

    def _take_up(self) -> None:
        """Goes on from the newest whole checkpoint, if there is one and it may."""
        check_free(self.folder, self.running.resume)
        found, problems = newest_of(self.folder)
        for problem in problems:
            self.journal.warn(problem)
        if found is None:
            return
        check_same(found, self.recipe, self.prepared)
        put_back(found, self.group, self.optimizer)
        self.step, self.seconds = int(found.state["step"]), float(found.state["seconds"])
        self.evaluations = [Evaluation(**e) for e in found.state["evaluations"]]
        self.journal.unreadable = set(found.state["unreadable"])
        self.journal.forget_after(self.step)
        self.journal.speak(f"goes on at step {self.step:,} of {self.steps:,} ({found.path.name})")

    # --- telling ----------------------------------------------------------------------------

    def _facts(self) -> dict[str, Any]:
        counts = {name: len(split) for name, split in self.prepared.splits.items()}
        return {
            "recipe": self.recipe.identity(),
            "parallel": self.group.name,
            "processes": self.group.processes,
            "device": str(self.device),
            "device_name": hardware(self.device),
            "precision": self.running.precision,
            "classes": len(self.prepared.wnids),
            "images": counts,
            "steps_per_epoch": self.feed.steps_per_epoch,
        }

    def _name_unreadable(self) -> None:
        """What any process could not read; all must call it."""
        told = {sentence for each in self.group.collect(sorted(self._unread)) for sentence in each}
        self.journal.name(told, self.step)
        self._unread.clear()
