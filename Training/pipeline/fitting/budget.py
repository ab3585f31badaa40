"""A training's budget, of steps or of seconds: how much of it is used, and which share each phase has of it.

With a budget the recipe's phases keep their proportions instead of their lengths: each has the share of the
budget that its steps are of the recipe's, a learning rate stands where that share is used to, and no phase
stops before. So a rate that falls to zero does so as the budget ends, how many steps ever that were.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate

from iuinet.errors import UsageError

from .progress import Progress
from .task import Task


@dataclass(frozen=True)
class Budget:
    """steps: of the optimiser, 0 for no limit. seconds: spent on steps, without validation and checkpoints.

    ends: the share of it that is used when each phase ends. All three are 0 or 1 without a budget.
    """

    steps: int
    seconds: float
    ends: tuple[float, ...]

    @classmethod
    def of(cls, task: Task, processes: int = 1) -> Budget:
        """The recipe's. Raises UsageError "processes" for seconds in several, whose clocks differ."""
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
