"""Where a training stands, and what follows: learning rate, budget, end, time left, and the progress line."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from iuinet.console import duration
from iuinet.errors import UsageError

from .recipe import Phase
from .task import Task

NEVER = -1.0  # a DSC that every other is better than
_MEMORY = 0.95  # share that each new step leaves to the ones before


@dataclass
class Progress:
    """The numbers that, with the tensors, let a training go on as if it had not been stopped.

    All but the first five are of the phase.

    step: of the whole run; epoch, phase_step: done in this phase; phase: its number; rows: of epochs.csv.
    loss_sum, loss_steps: of the epoch that is under way. skipped: steps in a row whose gradient was infinite.
    seconds: of computing, over the whole run. epoch_steps: in an epoch, as phase_step was counted with.
    dsc: of the latest validation.
    """

    phase: int = 0
    step: int = 0
    rows: int = 0
    seconds: float = 0.0
    dsc: float = NEVER
    epoch: int = 0
    phase_step: int = 0
    epoch_steps: int = 0
    loss_sum: float = 0.0
    loss_steps: int = 0
    skipped: int = 0
    drops: int = 0
    dropped_epoch: int = 0
    best_dsc: float = NEVER
    best_dsc_epoch: int = 0
    lowest_loss: float = math.inf
    lowest_loss_epoch: int = 0
    finished: bool = False

    def next_phase(self) -> None:
        """Begin the next phase."""
        kept = Progress(self.phase + 1, self.step, self.rows, self.seconds, self.dsc)
        vars(self).update(vars(kept))

    def count_by(self, epoch_steps: int) -> None:
        """Count the phase's steps by epochs of another length (another batch, other data): its whole epochs
        stay done, and of the one under way the same share."""
        if self.epoch_steps not in (0, epoch_steps):
            self.phase_step = self.epoch * epoch_steps + self.epoch_step * epoch_steps // self.epoch_steps
        self.epoch_steps = epoch_steps

    def add_step(self, loss: float, taken: bool, seconds: float) -> None:
        """Take in a step. taken: whether its gradient was finite."""
        self.step, self.phase_step = self.step + 1, self.phase_step + 1
        if math.isfinite(loss):
            self.loss_sum, self.loss_steps = self.loss_sum + loss, self.loss_steps + 1
        self.skipped = 0 if taken else self.skipped + 1
        self.seconds += seconds

    @property
    def epoch_step(self) -> int:
        """Steps done in the epoch that is under way."""
        return self.phase_step - self.epoch * self.epoch_steps

    @property
    def loss(self) -> float:
        """Mean over the epoch's steps so far."""
        return self.loss_sum / max(1, self.loss_steps)

    @property
    def selection(self) -> dict[str, Any] | None:
        """The best validation of the phase, None before the first."""
        if self.best_dsc == NEVER:
            return None
        return {"dsc": self.best_dsc, "epoch": self.best_dsc_epoch}

    def to_json(self) -> dict[str, Any]:
        """JSON-ready form; floats come back to the bit."""
        values = dataclasses.asdict(self)
        return {**values, "lowest_loss": None if math.isinf(self.lowest_loss) else self.lowest_loss}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Progress:
        """The inverse of ``to_json``."""
        loss = values["lowest_loss"]
        return cls(**{**values, "lowest_loss": math.inf if loss is None else loss})


def learning_rate(phase: Phase, step: float, steps: int, drops: int) -> float:
    """The rate at a step of a phase, counted from 0, of so many at most.

    drops: how often "plateau" has lowered it.
    """
    rise = min(1.0, (step + 1) / phase.warm_up_steps) if phase.warm_up_steps else 1.0
    first = phase.decay_from * steps
    done = min(1.0, max(0.0, (step - first) / max(1.0, steps - first)))
    fall = {
        "constant": 1.0,
        "plateau": phase.plateau_factor**drops,
        "cosine": (1 + math.cos(math.pi * done)) / 2,
        "linear": 1 - done,
    }[phase.schedule]
    return phase.learning_rate * rise * fall


def after_validation(phase: Phase, progress: Progress, loss: float, dsc: float) -> bool:
    """Take in a validation; returns whether its DSC is the best of the phase.

    Paper, 4.2: the rate falls after epochs without a better DSC, the training stops after epochs without a
    lower validation loss.
    """
    epoch, progress.dsc = progress.epoch, dsc
    if loss < progress.lowest_loss:
        progress.lowest_loss, progress.lowest_loss_epoch = loss, epoch
    better = dsc > progress.best_dsc
    if better:
        progress.best_dsc, progress.best_dsc_epoch = dsc, epoch
    waited = epoch - max(progress.best_dsc_epoch, progress.dropped_epoch)
    if phase.schedule == "plateau" and waited >= phase.plateau_patience:
        progress.drops, progress.dropped_epoch = progress.drops + 1, epoch
    return better


def stops_early(phase: Phase, progress: Progress) -> bool:
    """Whether the validation loss has not fallen for the phase's patience."""
    return 0 < phase.stop_patience <= progress.epoch - progress.lowest_loss_epoch


@dataclass(frozen=True)
class Budget:
    """A training's budget, of steps or of seconds: how much is used, and which share each phase has of it.

    With a budget the recipe's phases keep their proportions instead of their lengths: each has the share of
    the budget that its steps are of the recipe's, a learning rate stands where that share is used to, and no
    phase stops before. So a rate that falls to zero does so as the budget ends, after however many steps.
    steps: of the optimiser, 0 for no limit. seconds: spent on steps, without validation and checkpoints.
    ends: the share of the budget that is used when each phase ends.
    """

    steps: int
    seconds: float
    ends: tuple[float, ...]

    @classmethod
    def of(cls, task: Task, processes: int = 1) -> Budget:
        """The recipe's. Raises: UsageError "processes" for seconds in several, whose clocks differ."""
        run = task.recipe.run
        if run.budget_seconds and processes > 1:
            raise UsageError(
                f"a budget of {run.budget_seconds:g} seconds is for one process, and there are {processes}",
                hint="Set run.budget_steps, or start the command without torchrun.",
                code="processes",
            )
        lengths = [phase.epochs * task.steps_per_epoch(phase) for phase in task.recipe.phases]
        ends = [end / sum(lengths) for end in accumulate(lengths)]
        return cls(run.budget_steps, run.budget_seconds, tuple(ends))

    @property
    def limited(self) -> bool:
        """Whether there is one."""
        return bool(self.steps or self.seconds)

    def used(self, progress: Progress) -> float:
        """The share that is used, 0 to 1 and slightly more; 0 without a budget."""
        if self.steps:
            return progress.step / self.steps
        return progress.seconds / self.seconds if self.seconds else 0.0

    def phase_over(self, progress: Progress) -> bool:
        """Whether the phase's share is used up; a phase has one step at least."""
        return self.limited and progress.phase_step > 0 and self.used(progress) >= self.ends[progress.phase]

    def spent(self, progress: Progress) -> bool:
        """Whether nothing is left."""
        return self.limited and self.used(progress) >= 1

    def within(self, progress: Progress) -> float:
        """The used part of the phase's share, 0 to 1."""
        begin = self.ends[progress.phase - 1] if progress.phase else 0.0
        part = (self.used(progress) - begin) / (self.ends[progress.phase] - begin)
        return min(1.0, max(0.0, part))

    def place(self, progress: Progress, steps: int) -> float:
        """Where the learning rate stands, in steps of the phase's own schedule of so many."""
        return self.within(progress) * steps if self.limited else progress.phase_step

    def epochs(self, progress: Progress, epochs: int) -> int:
        """How many the phase will have, of so many in the recipe; with a budget as far as one can tell."""
        part = self.within(progress) if self.limited else 0.0
        if not part:
            return epochs
        return max(1, math.ceil(progress.phase_step / part / progress.epoch_steps))

    def seconds_left(self, progress: Progress) -> float | None:
        """Until it is used up at the pace so far; None where nothing is used."""
        used = self.used(progress)
        return progress.seconds * max(0.0, 1 - used) / used if used else None


class Pace:
    """How long a training will still take: its steps so far, scaled by the voxels of the steps to come.

    Early stops are not foreseen, so it is the longest time.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self._per_voxel: float | None = None
        self._validation = 0.0

    def step(self, size: int, seconds: float) -> None:
        """Take in a step at this edge, voxels."""
        value = seconds / size**3
        if self._per_voxel is None:
            self._per_voxel = value
        self._per_voxel = _MEMORY * self._per_voxel + (1 - _MEMORY) * value

    def validation(self, seconds: float) -> None:
        """Take in a validation."""
        self._validation = seconds

    def seconds_left(self, progress: Progress) -> float | None:
        """Seconds until all phases have run all their epochs; None before the first step."""
        if self._per_voxel is None:
            return None
        recipe, total = self.task.recipe, 0.0
        done_steps, done_epochs = progress.phase_step, progress.epoch
        for phase in recipe.phases[progress.phase :]:
            steps = self.task.steps_per_epoch(phase) * phase.epochs - done_steps
            total += steps * self._per_voxel * recipe.size_of(phase) ** 3
            total += (phase.epochs - done_epochs) / recipe.run.validate_every * self._validation
            done_steps, done_epochs = 0, 0
        return total


def progress_line(
    phase: str, progress: Progress, *, epochs: int, rate: float, seconds_left: float | None
) -> str:
    """The line, such as "fine-tune epoch 3/200 (4/18)  loss 1.234  DSC 0.812 best 0.834  5 min left ...".

    What is least missed comes last, where a narrow terminal cuts it off.
    epochs: that the phase will have. rate: learning rate. seconds_left: None where it is not known yet.
    """
    done = f"({progress.epoch_step}/{progress.epoch_steps})"
    parts = [f"{phase} epoch {progress.epoch + 1}/{epochs} {done}", f"loss {progress.loss:.3f}"]
    if progress.dsc != NEVER:
        parts.append(f"DSC {progress.dsc:.3f}")
    if progress.best_dsc != NEVER:
        parts[-1] += f" best {progress.best_dsc:.3f}"
    if seconds_left is not None:
        parts.append(f"{duration(seconds_left)} left")
    parts.append(f"lr {rate:.1e}")
    return "  ".join(parts)
