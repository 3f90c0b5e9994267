"""The full training (§5): steps, evaluations, checkpoints and a log, until the epochs are over.

`train` is the door: it gets a recipe, running options, prepared images and a folder, and calls feed,
distributed, checkpoint and log, none of which calls it. It runs alike on one device, on two columns
and on copies that share a batch. Everything random at step s depends only on (seed, s), so a
checkpoint needs no state of any generator: weights, velocities, the step and the validation errors
so far are the run. On a processor a run that was killed and resumed ends with the same bits as one
that was not.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from alexnet_edu.environment import (
    autocast,
    commit,
    hardware,
    keep_freed_memory,
    memory_used,
    resolve_precision,
)
from alexnet_edu.files import DataError
from alexnet_edu.imagenet import checkpoint as checkpoints
from alexnet_edu.imagenet.diagnosis import diagnose
from alexnet_edu.imagenet.distributed import FORMS, Single, place
from alexnet_edu.imagenet.evaluate import (
    Evaluation,
    errors_of,
    no_sums,
    predict,
    summed_loss,
    sums_in_training,
    sums_of,
)
from alexnet_edu.imagenet.feed import Batch, Feed, Views
from alexnet_edu.imagenet.log import METRICS, Log, append
from alexnet_edu.imagenet.prepared import PreparedSet
from alexnet_edu.imagenet.recipe import Recipe, Running, optimizer_of, set_rates
from alexnet_edu.imagenet.rehearsal import check_fits, rehearse
from alexnet_edu.imagenet.runs import announced
from alexnet_edu.training.checkpoint import restore, tensors_of
from alexnet_edu.training.loop import next_evaluation, seed_of_step

DIVERGED_LOSS = 100.0  # nats; ln(1000) = 6.9 is chance
EVALUATED_AT_ONCE = 256


class Diverged(Exception):
    """The loss is no number, or absurd; the message says where it went wrong and what to do."""


def train(
    recipe: Recipe,
    running: Running,
    prepared: PreparedSet,
    folder: Path,
    *,
    start_from: Path | None = None,
    arguments: Sequence[str] = (),
    say: Callable[[str], None] = print,
    should_stop: Callable[[], bool] = lambda: False,
) -> str:
    """Rehearses and trains in `folder`; "rehearsed", "finished", or "stopped" with a checkpoint.

    start_from: a checkpoint whose weights to begin with (fine-tuning). arguments: of `alexnet-edu`, with
    which the run can be resumed. Each process of a parallel training calls this.
    Raises Diverged, DoesNotFit, and DataError where the folder, the images or the checkpoints do not fit.
    """
    keep_freed_memory()
    table, start, sentence = recipe.architecture(len(prepared.wnids)), None, ""
    if start_from is not None:
        start, fingerprint, sentence = checkpoints.starting_weights(start_from, table, recipe.seed)
        recipe = replace(recipe, start=fingerprint)
    with place(running.parallel, running.device) as (device, main), contextlib.ExitStack() as stack:
        checkpoints.check_may_train(folder, recipe, running, prepared, device)
        if not main:
            say = lambda line: None  # noqa: E731
        elif not running.rehearse_only:
            asked = stack.enter_context(announced(folder, arguments, running.force))
            signalled = should_stop
            should_stop = lambda: signalled() or asked()  # noqa: E731
        if sentence:
            say(sentence)

        def training(running: Running, folder: Path) -> Training:
            dtype = torch.float64 if running.precision == "float64" else torch.float32
            group = FORMS[running.parallel](table, device, recipe.seed, dtype)
            return Training(
                recipe, prepared, group, folder, running, start=start, say=say, should_stop=should_stop
            )

        if running.rehearsal_steps or running.rehearse_only:
            trial = training(replace(running, resume="never"), folder / "rehearsal")
            check_fits(trial.table, trial.group, folder, running.keep, recipe.batch_size)
            measured = rehearse(trial, running.rehearsal_steps or Running.rehearsal_steps)
            say(measured.text(recipe.epochs))
            if main:
                append(folder / METRICS, "rehearsal", **vars(measured))
            if running.rehearse_only:
                return "rehearsed"  # even if asked to stop: the other processes may not know it yet
        return training(running, folder).run()


@dataclass
class _Sums:
    """Of the rows trained on since the last line of the log; on the device, so nothing waits for it."""

    numbers: Tensor  # (4,) see `evaluate.sums_in_training`
    began: float = field(default_factory=time.perf_counter)
    waited: float = 0.0


class Training:
    """One run in one folder, in one of its processes. See `run`.

    group: the network, see `distributed`. folder: of checkpoints and the log.
    start: weights of the whole network to begin with, else those drawn.
    Raises ValueError where the images do not fit the recipe, DataError where the folder holds
    a run and resume is "never", or another run.
    """

    def __init__(
        self,
        recipe: Recipe,
        prepared: PreparedSet,
        group: Single,
        folder: Path,
        running: Running,
        *,
        start: dict[str, Tensor] | None = None,
        say: Callable[[str], None] = print,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.recipe, self.prepared, self.group = recipe, prepared, group
        self.folder, self.running = folder, running
        self.device, self._should_stop = group.device, should_stop
        self.precision = resolve_precision(running.precision, self.device)
        self.table = recipe.architecture(len(prepared.wnids))
        self.views = Views(prepared, self.table.side, self.device)
        self.feed = self._feed("train", recipe.batch_size, recipe.seed)
        self.validation = self._feed("val", EVALUATED_AT_ONCE, None) if prepared.has("val") else None
        self.dtype = next(group.network.parameters()).dtype
        if start is not None:
            group.network.load_state_dict(group.part_of(start))
        self.optimizer = optimizer_of(group.network, recipe)
        self.step, self.seconds = 0, 0.0
        self.evaluations: list[Evaluation] = []
        self._unread: set[str] = set()  # images, of which the other processes do not know yet
        self.log = Log(folder, group.main, say)
        self.keeper = checkpoints.Keeper(folder, running.keep, self.log)
        self._resume()
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
            partner=self.group.partner,
        )

    @property
    def steps(self) -> int:
        """How many the whole run has."""
        return math.ceil(self.recipe.epochs * self.feed.steps_per_epoch)

    @property
    def epoch(self) -> float:
        return self.step / self.feed.steps_per_epoch

    # --- running ----------------------------------------------------------------------------

    def run(self) -> str:
        """Trains to the end of the recipe; "finished", or "stopped" after `should_stop`.

        Raises Diverged, and DataError where the last checkpoint cannot be written. Every other
        end leaves a checkpoint of the last step behind.
        """
        self.log.write("start", step=self.step, steps=self.steps, **self._facts())
        if self.validation is None:
            self.log.warn("there are no validation images, so the errors are not measured")
        try:
            return self._run()
        finally:
            self.keeper.close()

    def _run(self) -> str:
        stopped = False
        while not stopped:
            if self._evaluation_due():
                stopped = not self._evaluate_now()
            elif self.step >= self.steps:
                break
            else:
                due = next_evaluation(self.step, self.feed.steps_per_epoch, self.recipe.evaluations)
                stopped = self._train_to(min(due, self.steps))
            if stopped or not self._evaluation_due():
                self.save()
        self._end_if_not(saved=not self.group.any(not self.keeper.saved()))
        done = self.step >= self.steps and not self._evaluation_due()
        if done:
            self._evaluate_at_last()
        status = "finished" if done else "stopped"
        self.log.write("stop", step=self.step, status=status)
        if not done:
            at = f"step {self.step:,} of {self.steps:,}"
            self.log.speak(f"stopped at {at}; with --resume auto it goes on from there")
        return status

    def _end_if_not(self, saved: bool) -> None:
        """The last checkpoint is the result: without it the run has not ended well."""
        if not saved:
            steps = checkpoints.saved_steps(self.folder)
            since = f"from step {steps[-1]:,}" if steps else "from the start"
            self.log.write("stop", step=self.step, status="stopped")
            raise DataError(
                f"the checkpoint of step {self.step:,}, the last one, could not be written (see the warnings "
                f"above). Make room; with --resume auto the training goes on {since}"
            )

    def _evaluation_due(self) -> bool:
        """Whether an evaluation of these weights is due and has not been made."""
        done = bool(self.evaluations) and self.evaluations[-1].step == self.step
        return self.validation is not None and not done and self._is_due(self.step)

    def _is_due(self, step: int) -> bool:
        """Whether an evaluation belongs to a step of this run."""
        due = next_evaluation(step - 1, self.feed.steps_per_epoch, self.recipe.evaluations)
        return step > 0 and step in (due, self.steps)

    def _train_to(self, target: int) -> bool:
        """Steps up to `target`; True if it was asked to stop before."""
        sums, stop = self._fresh(), False
        with closing(self.feed.batches(self.step, target)) as batches:
            while self.step < target and not stop:
                before = time.perf_counter()
                batch = next(batches)
                sums.waited += time.perf_counter() - before
                self._update(batch, sums)
                stop = self.group.any(self._should_stop())
                to_save = self.step % self.running.save_every == 0 and self.step < target and not stop
                to_report = self.step % self.running.log_every == 0 or self.step == target or stop
                if to_report or to_save:
                    self._report(sums, batch)
                    if to_save or self.step == target or stop:
                        self._look(batch)
                    if to_save:
                        self.save()
                    sums = self._fresh()
        return stop

    def one_step(self, batch: Batch) -> None:
        """One update of the weights that is not reported: for rehearsals and benchmarks."""
        self._update(batch, self._fresh())

    def _update(self, batch: Batch, sums: _Sums) -> None:
        """One update of the weights."""
        recipe, group = self.recipe, self.group
        rates = recipe.rates(self.epoch, [e.top1 for e in self.evaluations])
        set_rates(self.optimizer, rates)
        seed = seed_of_step(recipe.seed, self.step)
        group.network.train()
        group.begin_step(seed, batch.start, batch.stop, batch.total)
        x = self.views.train(
            batch, seed, noise=rates.noise, divisor=rates.divisor, shared=recipe.shared_crops
        )
        with autocast(self.device, self.precision):
            logits = group.module(x.to(self.dtype))
        loss = summed_loss(logits, batch.labels) / batch.total
        self.optimizer.zero_grad(set_to_none=True)
        (loss * group.loss_scale).backward()
        self.optimizer.step()
        sums.numbers += sums_in_training(logits.detach(), batch.labels, loss.detach() * batch.total)
        self._unread.update(batch.unreadable)
        self.step += 1

    def _fresh(self) -> _Sums:
        return _Sums(no_sums(self.device))

    def _report(self, sums: _Sums, batch: Batch) -> None:
        """One line of the log. Raises Diverged where the loss says so."""
        errors = errors_of(self.group.sum_rows(sums.numbers))
        took = time.perf_counter() - sums.began
        self.seconds += took
        rates = self.recipe.rates(self.epoch, [e.top1 for e in self.evaluations])
        self.log.write(
            "step",
            step=self.step,
            epoch=round(self.epoch, 4),
            loss=errors.loss if math.isfinite(errors.loss) else str(errors.loss),
            top1=errors.top1,
            top5=errors.top5,
            rate=rates.weights,
            images_per_s=round(errors.images / took, 2),
            waited=round(sums.waited / took, 3),
            seconds=round(self.seconds, 2),
            memory=self.group.collect(memory_used(self.device)),
        )
        self._name_unreadable()
        if not errors.loss < DIVERGED_LOSS:  # or not a number
            self._diverged(errors.loss, batch)

    @torch.no_grad()
    def _look(self, batch: Batch) -> None:
        """Raises Diverged where the last update has spoilt the weights: its own loss was that before it.

        Nothing is kept or evaluated that was not looked at.
        """
        self.group.network.eval()
        with autocast(self.device, self.precision):
            logits = self.group.judge(self.views.centre(batch.pixels).to(self.dtype))
        loss = self.group.sum_rows(summed_loss(logits, batch.labels)).item() / batch.total
        if not loss < DIVERGED_LOSS:
            self._diverged(loss, batch)

    def _diverged(self, loss: float, batch: Batch) -> None:
        why = diagnose(self.group, self.views.centre(batch.pixels), self.recipe.rate)
        steps = checkpoints.saved_steps(self.folder)
        back = f"the last checkpoint is of step {steps[-1]}" if steps else "there is no checkpoint yet"
        message = f"the loss was {loss:g} at step {self.step:,}: {why} Nothing was saved; {back}."
        self.log.write("stop", step=self.step, status="diverged", why=message)
        raise Diverged(message)

    # --- evaluating -------------------------------------------------------------------------

    def _evaluate_now(self) -> bool:
        """Measures the errors and keeps them; False if it was asked to stop meanwhile."""
        errors = self.evaluate()
        if errors is None:
            return False
        self.evaluations.append(errors)
        self.log.write("evaluation", **vars(errors))
        self.log.speak(f"epoch {errors.epoch:.2f}: {errors.text()}, loss {errors.loss:.3f}")
        return True

    def _evaluate_at_last(self) -> None:
        """By ten patches, too, as Tables 1 and 2 count."""
        errors = self.evaluate(patches=10)
        if errors is not None:
            self.log.write("final", **vars(errors))
            self.log.speak(f"ten patches: {errors.text()}")

    def evaluate(self, patches: int = 1) -> Evaluation | None:
        """The errors on the validation images, by the middle patch or by ten (§4.1).

        None if there are no such images, or it was asked to stop before the end.
        """
        if self.validation is None:
            return None
        self.group.network.eval()
        sums = no_sums(self.device)
        with closing(self.validation.batches(0, self.validation.steps_per_epoch)) as batches:
            for batch in batches:
                sums += sums_of(self.probabilities(batch.pixels, patches), batch.labels)
                self._unread.update(batch.unreadable)
                if self.group.any(self._should_stop()):
                    return None
        self._name_unreadable()
        errors = errors_of(self.group.sum_rows(sums))
        return Evaluation(self.step, round(self.epoch, 4), *errors, patches)

    def probabilities(self, pixels: Tensor, patches: int = 1) -> Tensor:
        """(b, 3, H, W) uint8 -> (b, classes) float32: softmax, the mean over patches."""
        return predict(self.group.judge, self.views, pixels, patches, self.precision)

    # --- keeping ----------------------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        return {
            "recipe": self.recipe.identity(),
            "step": self.step,
            "seconds": round(self.seconds, 2),
            "evaluations": [vars(e) for e in self.evaluations],
            "images": self.prepared.fingerprint,
            "classes": list(self.prepared.wnids),
            "precision": self.precision,
            "unreadable": sorted(self.log.unreadable),
        }

    def save(self) -> None:
        """Begins to write a checkpoint of now, which is the best one, too, if its error is the lowest."""
        tensors = tensors_of(self.group.network, self.optimizer, self.group.gather)
        if self.group.main:
            self.keeper.save(self.step, tensors, self._state(), best=self._best_step() == self.step)

    def _best_step(self) -> int | None:
        best = min(self.evaluations, key=lambda each: each.top1, default=None)  # the first of equals
        return None if best is None else best.step

    def _resume(self) -> None:
        """Goes on from the newest whole checkpoint, if there is one and it may."""
        checkpoints.check_may_train(self.folder, self.recipe, self.running, self.prepared, self.device)
        saved, problems = checkpoints.newest(self.folder, self.group.collect)
        for problem in problems:
            self.log.warn(problem)
        if saved is None:
            return
        restore(saved, self.group.network, self.optimizer, self.group.part_of)
        self.step, self.seconds = int(saved.state["step"]), float(saved.state["seconds"])
        there = [Evaluation(**each) for each in saved.state["evaluations"]]
        self.evaluations = [each for each in there if self._is_due(each.step)]  # not the end of a shorter run
        self.log.unreadable = set(saved.state["unreadable"])
        if self.group.main:
            self.keeper.mend_best(self._best_step())
        before = saved.state.get("precision", self.precision)
        if before != self.precision:
            self.log.warn(f"goes on in {self.precision}; up to here it was {before}", step=self.step)
        self.log.speak(f"goes on at step {self.step:,} of {self.steps:,} ({saved.path.name})")

    # --- telling ----------------------------------------------------------------------------

    def _facts(self) -> dict[str, Any]:
        return {
            "recipe": self.recipe.identity(),
            "commit": commit(),
            "torch": torch.__version__.split("+")[0],
            "parallel": self.group.name,
            "processes": self.group.processes,
            "device": str(self.device),
            "device_name": hardware(self.device),
            "precision": self.precision,
            "classes": len(self.prepared.wnids),
            "images": {name: len(split) for name, split in self.prepared.splits.items()},
            "steps_per_epoch": self.feed.steps_per_epoch,
        }

    def _name_unreadable(self) -> None:
        """What any process could not read; all must call it."""
        sentences = {sentence for each in self.group.collect(sorted(self._unread)) for sentence in each}
        self.log.name_unreadable(sentences, self.step)
        self._unread.clear()
