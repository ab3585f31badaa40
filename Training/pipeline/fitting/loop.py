"""The training: phases of epochs of steps, validated, recorded, and able to go on from any kill."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from iuinet.console import Console
from iuinet.errors import IUINetError, UsageError
from iuinet.memory import give_back_memory

from .device import Precision, Processes, checkpoint_activations, join, training_device
from .engine import MOST_SKIPPED, MOST_SKIPPED_FP16, Engine
from .initial import COUNTED, begin
from .loss import Loss
from .networks import build
from .progress import Budget, Pace, Progress, after_validation, learning_rate, progress_line, stops_early
from .recipe import Phase, Recipe
from .recorder import Recorder, check_space, find_run
from .run_folder import BEST, LAST, environment
from .samples import Sample, Samples
from .task import Task
from .validation import Validation, validate

# Seconds between the lines of a training without a terminal: the first line of an epoch waits less.
LINE_EVERY_S, EPOCH_EVERY_S = 10.0, 2.0


def train(
    task: Task,
    folder: Path,
    *,
    device: str = "auto",
    console: Console | None = None,
    asked: Callable[[], bool] = lambda: False,
    limit_steps: int | None = None,
    resume: bool = False,
) -> Path:
    """Train in a folder, or go on with the unfinished training of the same task in it.

    console: where the training shows how far it is. asked: whether the user asked to stop, looked at before
    every step; a training that is stopped can go on later. limit_steps: the same by the number of steps.
    resume: go on although the recipe has changed.
    Returns the path of the best checkpoint, of the last where none was chosen.
    Raises: UsageError, InputRefused, WeightsError, OutputError; IUINetError "loss-not-finite" and
    "gradient-not-finite".
    """
    processes, chosen = join(training_device(device))
    recipe = task.recipe
    if recipe.run.threads:
        torch.set_num_threads(recipe.run.threads)
    if chosen.type == "cuda":
        torch.backends.cudnn.benchmark = True  # one shape per phase: the search for kernels pays
    processes.check_batch(recipe.optimiser.batch, recipe.optimiser.micro_batch)
    budget = Budget.of(task, processes.count)
    engine, progress, document = _begin(task, folder, chosen, processes, resume)
    if console is None or not processes.first:
        console = Console(silent=True)
    if progress.finished:
        console.say(f"This training is finished: {progress.step} steps in {folder}.")
        return _result(folder)
    recorder = None
    if processes.first:
        copies = {"sgd": 1}.get(recipe.optimiser.name, 2)
        check_space(folder, engine.net.state_dict(), copies + bool(engine.average))
        recorder = Recorder(folder, document, progress, console)
    try:
        Training(task, engine, progress, budget, recorder, console).run(asked, limit_steps)
    finally:
        if recorder:
            recorder.close()
    return _result(folder)


def rehearse(task: Task, folder: Path, device: str = "auto", resume: bool = False) -> Progress | None:
    """Check, without writing, that ``train`` would begin; returns from where it would go on, None for anew.

    Raises: what ``train`` raises before its first step, but for a full disk.
    """
    recipe, chosen = task.recipe, training_device(device)
    count = int(os.environ.get("WORLD_SIZE", "1"))
    Processes(0, count).check_batch(recipe.optimiser.batch, recipe.optimiser.micro_batch)
    Budget.of(task, count)
    Precision(recipe.run.precision, chosen)
    found = find_run(folder, task.document(), resume)
    net = build(task.config)
    if recipe.run.checkpoint_activations:
        checkpoint_activations(net)
    return _progress_of(found[1], recipe) if found else None


def _progress_of(before: Mapping[str, Any], recipe: Recipe) -> Progress:
    """Where a checkpoint stands for this recipe: another one may have more to do."""
    progress = Progress.from_json(before["progress"])
    progress.finished &= before["recipe"] == recipe.to_dict()
    return progress


def _begin(
    task: Task, folder: Path, device: torch.device, processes: Processes, resume: bool
) -> tuple[Engine, Progress, dict[str, Any]]:
    """Engine and progress, new or from the folder's checkpoint, and what all checkpoints say of the run."""
    recipe, document, progress = task.recipe, task.document(), Progress()
    found = find_run(folder, document, resume)
    torch.manual_seed(recipe.run.seed)
    net = build(task.config)
    if task.start:
        net.load_state_dict(task.start.tensors)
    elif not found:
        begin(net.to(device), recipe, first_loss(task), first_samples(task, device))
    engine = Engine(net, recipe, task.names, device, processes)
    if found:
        tensors, before = found
        same_optimiser = before["recipe"]["optimiser"]["name"] == recipe.optimiser.name
        engine.load(tensors, before["scaler"], same_optimiser)
        progress = _progress_of(before, recipe)
        document["start"] = before.get("start")
    steps = processes.gather(progress.step)
    if len(set(steps)) > 1:  # on machines that share no folder, only the first one's has a checkpoint
        raise UsageError(
            f"the processes would go on from different steps: {', '.join(map(str, steps))}",
            hint="On several machines --run must be a folder that all of them share.",
            code="run-folders",
        )
    return engine, progress, {**document, "environment": environment(device, processes.count)}


def first_loss(task: Task) -> Loss:
    """The loss of the first phase, on the CPU."""
    loss = Loss(task.recipe.loss, task.names)
    loss.set_weight_power(task.recipe.phases[0].class_weight_power)
    return loss


def first_samples(task: Task, device: torch.device) -> Iterator[Sample]:
    """The first samples of the first phase, made as they are asked for."""
    size = task.recipe.size_of(task.recipe.phases[0])
    samples = task.samples(0, device)
    return (samples.sample(number, size) for number in range(COUNTED))


def _result(folder: Path) -> Path:
    best = folder / BEST
    return best if best.is_file() else folder / LAST


class Training:
    """One run in one process. recorder: None for all processes but the first."""

    def __init__(
        self,
        task: Task,
        engine: Engine,
        progress: Progress,
        budget: Budget,
        recorder: Recorder | None,
        console: Console,
    ) -> None:
        self.task, self.recipe = task, task.recipe
        self.engine, self.progress, self.budget = engine, progress, budget
        self.recorder, self.console = recorder, console
        self.validation_samples = task.validation(engine.device)
        self.pace = Pace(task)

    def run(self, asked: Callable[[], bool], limit_steps: int | None) -> None:
        """Train phase after phase until the end, or until it is asked to stop."""
        progress, phases = self.progress, self.recipe.phases
        while not progress.finished:
            reason = self._phase(phases[progress.phase], asked, limit_steps)
            if reason is None:
                self._save(LAST)
                self._draw()
                self.console.say(f"Stopped after step {progress.step}; the same command goes on from there.")
                return
            self.console.say(reason)
            progress.finished = progress.phase + 1 == len(phases) or self.budget.spent(progress)
            if not progress.finished:
                progress.next_phase()
            self._save(LAST)
        self._draw()
        if self.recorder:
            self.recorder.record.ended(progress.step, reason)

    def _draw(self) -> None:
        if self.recorder:
            self.recorder.draw(now=True)

    def _phase(self, phase: Phase, asked: Callable[[], bool], limit_steps: int | None) -> str | None:
        """Train a phase to its end; returns why it ended, None if it was asked to stop before."""
        progress, budget = self.progress, self.budget
        progress.count_by(self.task.steps_per_epoch(phase))
        if progress.phase_step == 0 and progress.phase and not phase.keep_optimiser:
            self.engine.new_optimiser()
        self.engine.loss.set_weight_power(phase.class_weight_power)
        samples = self.task.samples(progress.phase, self.engine.device)
        while budget.limited or progress.epoch < phase.epochs:
            while progress.epoch_step < progress.epoch_steps and not budget.phase_over(progress):
                if limit_steps is not None and progress.step >= limit_steps:
                    return None
                if self._step(phase, samples, asked()):
                    return None
            if self._end_epoch(phase):
                return (
                    f"The phase {phase.name} ended in epoch {progress.epoch}: no lower validation loss for "
                    f"{phase.stop_patience} epochs."
                )
            if budget.phase_over(progress):
                return f"The phase {phase.name} ended with its share of the budget in epoch {progress.epoch}."
        return f"The phase {phase.name} ended after its {phase.epochs} epochs."

    def _step(self, phase: Phase, samples: Samples, asked: bool) -> bool:
        """One step; returns whether the training is to stop, which one process does at once."""
        progress, processes = self.progress, self.engine.processes
        if asked and processes.count == 1:
            return True
        began = time.perf_counter()
        rate, size, batch = self._rate(phase), self.recipe.size_of(phase), self.recipe.optimiser.batch
        numbers = [progress.phase_step * batch + n for n in range(batch)]
        mine = (samples.sample(number, size) for number in processes.mine(numbers))
        result = self.engine.step(mine, rate, progress.step, asked)
        seconds = time.perf_counter() - began
        progress.add_step(result.loss, result.taken, seconds)
        self._check_skipped(rate)
        if self.recorder:
            entry = {"phase": phase.name, "epoch": progress.epoch + 1, "step": progress.step}
            entry |= {"loss": result.loss, "learning_rate": rate, "gradient_norm": result.norm}
            names = [samples.name(number) for number in numbers]
            self.recorder.history.step({**entry, "seconds": round(seconds, 4), "samples": names})
            self.pace.step(size, seconds)
            self._show(phase, rate)
            if self.recorder.due(progress.step):
                self._save(LAST)
        return result.stop

    def _rate(self, phase: Phase, back: int = 0) -> float:
        """The learning rate of the next step, or of one before it."""
        steps = self.progress.epoch_steps * phase.epochs
        place = self.budget.place(self.progress, steps) - back
        return learning_rate(phase, place, steps, self.progress.drops)

    def _check_skipped(self, rate: float) -> None:
        most = MOST_SKIPPED_FP16 if self.engine.precision.chosen == "fp16" else MOST_SKIPPED
        if self.progress.skipped >= most:
            raise IUINetError(
                f"the gradients of {most} steps in a row, up to step {self.progress.step}, were not "
                f"finite (learning rate {rate:g})",
                hint="The last checkpoint is whole. Lower the learning rate, and go on with --resume.",
                code="gradient-not-finite",
            )

    def _show(self, phase: Phase, rate: float) -> None:
        progress = self.progress
        epochs = self.budget.epochs(progress, phase.epochs)
        left = (self.budget if self.budget.limited else self.pace).seconds_left(progress)
        line = progress_line(phase.name, progress, epochs=epochs, rate=rate, seconds_left=left)
        self.console.status(line, every=EPOCH_EVERY_S if progress.epoch_step == 1 else LINE_EVERY_S)

    def _end_epoch(self, phase: Phase) -> bool:
        """Validate, record and select; returns whether the phase stops early."""
        progress, limited = self.progress, self.budget.limited
        progress.epoch += 1
        found, better = None, False
        over = progress.epoch == phase.epochs or self.budget.phase_over(progress)
        due = over or progress.epoch % self.recipe.run.validate_every == 0
        if self.validation_samples is not None and due:
            began = time.perf_counter()
            found = validate(self.engine, self.validation_samples, self.recipe.size_of(phase))
            self.pace.validation(time.perf_counter() - began)
            better = after_validation(phase, progress, found.loss, found.dsc or 0.0)
        if self.recorder:
            self._record_epoch(self.recorder, phase, found)
        progress.loss_sum, progress.loss_steps = 0.0, 0
        progress.rows += 1
        if better and not limited:  # the weights at the end of a budget are its result
            self._save(BEST)
        if self.recorder:
            self.recorder.draw()
        return found is not None and not limited and stops_early(phase, progress)

    def _record_epoch(self, recorder: Recorder, phase: Phase, found: Validation | None) -> None:
        progress = self.progress
        entry = {"phase": phase.name, "epoch": progress.epoch, "step": progress.step}
        entry |= {"train_loss": progress.loss, "learning_rate": self._rate(phase, back=1)}
        entry["seconds"] = round(progress.seconds, 1)
        if found:
            entry |= {"validation_loss": found.loss, "mean_dsc": found.dsc, "dsc": found.organs}
        recorder.history.epoch(entry)
        if found:
            layers = {name: dataclasses.asdict(values) for name, values in found.attention.items()}
            recorder.history.attention(progress.step, layers)

    def _save(self, name: str) -> None:
        """Write a checkpoint: all that the training goes on from (LAST), or the weights alone (BEST)."""
        if self.recorder:
            tensors = self.engine.tensors() if name == LAST else self.engine.best_tensors()
            self.recorder.save(name, tensors, self.progress, self.engine.precision.to_json())
            give_back_memory()  # what ``keep_memory`` keeps falls into pieces with time
