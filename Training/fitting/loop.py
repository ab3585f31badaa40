"""The training: phases of epochs of steps, validated, recorded, and able to go on from any kill."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from dataset.prepared import PreparedData

from iuinet.errors import IUINetError, UsageError
from iuinet.memory import give_back_memory

from .budget import Budget
from .device import Processes, join, training_device
from .engine import MOST_SKIPPED, MOST_SKIPPED_FP16, Engine
from .networks import build
from .progress import Pace, Progress, after_validation, learning_rate, stops_early
from .recipe import Phase, Recipe
from .recorder import Recorder, Screen, Silent, check_space, find_run
from .run_folder import BEST, LAST, environment
from .task import Task, make_task
from .validation import Validation, validate

Stop = Callable[[], bool]


def train(
    recipe: Recipe,
    data: PreparedData | None,
    folder: Path,
    *,
    device: str = "auto",
    stop: Stop | None = None,
    limit_steps: int | None = None,
    console: Screen | None = None,
    partial: bool = False,
    anatomies: Sequence = (),
    start: str | Path | None = None,
    resume: bool = False,
) -> Path:
    """Train in a folder, or go on with the unfinished training of the same recipe in it.

    stop: asked after every step; a run that it stops can go on later. limit_steps: the same by a number.
    partial, anatomies, start: see ``make_task``. resume: go on although the recipe has changed.
    Gives the path of the best checkpoint, of the last where nothing was validated.
    Raises IUINetError: UsageError, InputRefused, WeightsError, OutputError, "loss-not-finite".
    """
    chosen = training_device(device)
    processes, chosen = join(chosen)
    if recipe.run.threads:
        torch.set_num_threads(recipe.run.threads)
    if chosen.type == "cuda":
        torch.backends.cudnn.benchmark = True  # one shape per phase: the search for kernels pays
    processes.check_batch(recipe.optimiser.batch, recipe.optimiser.micro_batch)
    task = make_task(recipe, data, anatomies, start, partial)
    screen = (console or Silent()) if processes.first else Silent()
    training = Training(task, folder, chosen, processes, screen, resume)
    return training.run(stop or (lambda: False), limit_steps)


class Training:
    """One run in one process."""

    def __init__(
        self,
        task: Task,
        folder: Path,
        device: torch.device,
        processes: Processes,
        screen: Screen,
        resume: bool = False,
    ) -> None:
        self.task, self.recipe, self.folder = task, task.recipe, folder
        self.device, self.processes, self.screen = device, processes, screen
        self.budget = Budget.of(task, processes.count)
        self.checkpoint = find_run(folder, task.document(), resume)
        torch.manual_seed(self.recipe.run.seed)
        net = build(task.config)
        if task.start:
            net.load_state_dict(task.start.tensors)
        self.engine = Engine(net, self.recipe, task.names, device, processes)
        self.progress = Progress()
        if self.checkpoint:
            tensors, document = self.checkpoint
            same_optimiser = document["recipe"]["optimiser"]["name"] == self.recipe.optimiser.name
            self.engine.load(tensors, document["scaler"], same_optimiser)
            self.progress = Progress.from_json(document["progress"])
            if self.progress.finished and document["recipe"] != self.recipe.to_dict():
                self.progress.finished = False
        self._check_together()
        self.validation_samples = task.validation(device)
        said = task.document()
        if self.checkpoint:
            said["start"] = self.checkpoint[1].get("start")
        self.recorder = Recorder(folder, said, environment(device, processes.count), screen)
        self._last_saved = self.progress.step
        self.latest_dsc: float | None = None

    def _check_together(self) -> None:
        """Raise UsageError "run-folders" where processes found different checkpoints: on machines that share
        no folder, only the first one's would have any."""
        steps = self.processes.gather(self.progress.step)
        if len(set(steps)) > 1:
            raise UsageError(
                f"the processes would go on from different steps: {', '.join(map(str, steps))}",
                hint="On several machines --run must be a folder that all of them share.",
                code="run-folders",
            )

    def run(self, stop: Stop, limit_steps: int | None) -> Path:
        """Train until the end, or until it is told to stop; gives the checkpoint's path."""
        if self.progress.finished:
            self.screen.say(f"This training is finished: {self.progress.step} steps in {self.folder}.")
            return self._result()
        if self.processes.first:
            copies = {"sgd": 1}.get(self.recipe.optimiser.name, 2)
            check_space(self.folder, self.engine.net.state_dict(), copies + bool(self.engine.average))
            self.recorder.begin(self.checkpoint)
        self.checkpoint = None  # its tensors are not needed any more
        try:
            self._phases(stop, limit_steps)
        finally:
            if self.processes.first:
                self.recorder.close()
        return self._result()

    def _phases(self, stop: Stop, limit_steps: int | None) -> None:
        self.pace = Pace(self.task)
        while True:
            reason = self._phase(self.recipe.phases[self.progress.phase], stop, limit_steps)
            if reason is None:  # told to stop
                self._save(LAST)
                self.screen.say(
                    f"Stopped after step {self.progress.step}; the same command goes on from there."
                )
                return
            self.screen.say(reason)
            over = self.budget.spent(self.progress)
            self.progress.finished = over or self.progress.phase + 1 == len(self.recipe.phases)
            if not self.progress.finished:
                self.progress.next_phase()
            self._save(LAST)
            if self.processes.first:
                self.recorder.draw(now=True)
            if self.progress.finished:
                if self.processes.first:
                    self.recorder.record.ended(self.progress.step, reason)
                return

    def _phase(self, phase: Phase, stop: Stop, limit_steps: int | None) -> str | None:
        """Train a phase to its end; gives why it ended, None if it was told to stop before."""
        progress, per_epoch = self.progress, self.task.steps_per_epoch(phase)
        progress.count_by(per_epoch)
        if progress.phase_step == 0 and progress.phase and not phase.keep_optimiser:
            self.engine.new_optimiser()
        self.engine.loss.set_weight_power(phase.class_weight_power)
        self.samples = self.task.samples(progress.phase, self.device)
        while self.budget.limited or progress.epoch < phase.epochs:
            end = (progress.epoch + 1) * per_epoch
            while progress.phase_step < end and not self.budget.phase_over(progress):
                if limit_steps is not None and progress.step >= limit_steps:
                    return None
                if self._step(phase, per_epoch, stop):
                    return None
            if self._end_epoch(phase, per_epoch):
                return (
                    f"The phase {phase.name} ended in epoch {progress.epoch}: no lower validation loss for "
                    f"{phase.stop_patience} epochs."
                )
            if self.budget.phase_over(progress):
                return f"The phase {phase.name} ended with its share of the budget in epoch {progress.epoch}."
        return f"The phase {phase.name} ended after its {phase.epochs} epochs."

    def _step(self, phase: Phase, per_epoch: int, stop: Stop) -> bool:
        """One step; gives whether the training was told to stop."""
        progress, settings = self.progress, self.recipe.optimiser
        began = time.perf_counter()
        rate = self._rate(phase, per_epoch)
        numbers = [progress.phase_step * settings.batch + n for n in range(settings.batch)]
        size = self.recipe.size_of(phase)
        samples = (self.samples.sample(number, size) for number in self.processes.mine(numbers))
        wants_stop = stop()
        if wants_stop and self.processes.count == 1:
            return True
        result = self.engine.step(samples, rate, progress.step, wants_stop)
        progress.step, progress.phase_step = progress.step + 1, progress.phase_step + 1
        if math.isfinite(result.loss):
            progress.loss_sum, progress.loss_steps = progress.loss_sum + result.loss, progress.loss_steps + 1
        progress.skipped = 0 if result.taken else progress.skipped + 1
        seconds = time.perf_counter() - began
        progress.seconds += seconds
        self._check_skipped(rate)
        if self.processes.first:
            entry = {"phase": phase.name, "epoch": progress.epoch + 1, "step": progress.step}
            entry |= {"loss": result.loss, "learning_rate": rate, "gradient_norm": result.norm}
            names = [self.samples.name(number) for number in numbers]
            self.recorder.history.step({**entry, "seconds": round(seconds, 4), "samples": names})
            self._show(phase, per_epoch, rate, seconds)
            if self.recorder.due(progress.step - self._last_saved, self.recipe.run.checkpoint_every):
                self._save(LAST)
        return result.stop

    def _rate(self, phase: Phase, per_epoch: int, back: int = 0) -> float:
        """The learning rate of the next step, or of one before it."""
        progress, steps = self.progress, per_epoch * phase.epochs
        return learning_rate(phase, self.budget.place(progress, steps) - back, steps, progress.drops)

    def _check_skipped(self, rate: float) -> None:
        most = MOST_SKIPPED_FP16 if self.engine.precision.chosen == "fp16" else MOST_SKIPPED
        if self.progress.skipped >= most:
            raise IUINetError(
                f"the gradients of {most} steps in a row, up to step {self.progress.step}, were not "
                f"finite (learning rate {rate:g})",
                hint="The last checkpoint is whole. Lower the learning rate, and go on with --resume.",
                code="gradient-not-finite",
            )

    def _show(self, phase: Phase, per_epoch: int, rate: float, seconds: float) -> None:
        progress = self.progress
        self.pace.step(self.recipe.size_of(phase), seconds)
        self.recorder.line.update(
            phase.name,
            progress.epoch + 1,
            self.budget.epochs(progress, phase.epochs),
            progress.phase_step - progress.epoch * per_epoch,
            per_epoch,
            progress.loss_sum / max(1, progress.loss_steps),
            self.latest_dsc,
            rate,
            (self.budget if self.budget.limited else self.pace).seconds_left(progress),
        )

    def _end_epoch(self, phase: Phase, per_epoch: int) -> bool:
        """Validate, record and select; gives whether the phase stops early."""
        progress = self.progress
        progress.epoch += 1
        found, better = None, False
        due = progress.epoch % self.recipe.run.validate_every == 0 or progress.epoch == phase.epochs
        due = due or self.budget.phase_over(progress)
        if self.validation_samples is not None and due:
            found = self._validate(phase)
            self.latest_dsc = found.dsc
            better = after_validation(phase, progress, found.loss, found.dsc or 0.0)
        if self.processes.first:
            self._record_epoch(phase, per_epoch, found)
        progress.loss_sum, progress.loss_steps = 0.0, 0
        progress.rows += 1
        if better and not self.budget.limited:  # the weights at the end of a budget are its result
            self._save(BEST)
        if self.processes.first:
            self.recorder.draw()
        return found is not None and not self.budget.limited and stops_early(phase, progress)

    def _validate(self, phase: Phase) -> Validation:
        began = time.perf_counter()
        self.engine.net.eval()
        found = validate(
            self.engine.forward_averaged(),
            self.validation_samples,
            self.recipe.size_of(phase),
            self.recipe.data.window,
            self.task.names,
            self.engine.loss,
            self.engine.precision,
            self.processes,
        )
        self.engine.net.train()
        self.pace.validation(time.perf_counter() - began)
        return found

    def _record_epoch(self, phase: Phase, per_epoch: int, found: Validation | None) -> None:
        progress = self.progress
        rate = self._rate(phase, per_epoch, back=1)
        entry = {"phase": phase.name, "epoch": progress.epoch, "step": progress.step}
        entry |= {"train_loss": progress.loss_sum / max(1, progress.loss_steps), "learning_rate": rate}
        entry["seconds"] = round(progress.seconds, 1)
        if found:
            entry |= {"validation_loss": found.loss, "mean_dsc": found.dsc, "dsc": found.organs}
        self.recorder.history.epoch(entry)

    def _save(self, name: str) -> None:
        if not self.processes.first:
            return
        tensors = self.engine.tensors() if name == LAST else self.engine.best_tensors()
        phase = self.recipe.phases[self.progress.phase].name
        self.recorder.save(name, tensors, self.progress, phase, self.engine.precision.to_json())
        if name == LAST:
            self._last_saved = self.progress.step
            give_back_memory()  # what ``keep_memory`` keeps falls into pieces with time

    def _result(self) -> Path:
        best = self.folder / BEST
        return best if best.is_file() else self.folder / LAST
