"""How long a training will still take: its steps so far, scaled by the voxels of the steps to come."""

from __future__ import annotations

from .progress import Progress
from .task import Task

_MEMORY = 0.95  # share that each new step leaves to the ones before


class Pace:
    """Learns from steps and validations; early stops are not foreseen, so it tells the longest time."""

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
        for number, phase in enumerate(recipe.phases):
            if number < progress.phase:
                continue
            done_steps, done_epochs = (
                (progress.phase_step, progress.epoch) if number == progress.phase else (0, 0)
            )
            steps = self.task.steps_per_epoch(phase) * phase.epochs - done_steps
            total += steps * self._per_voxel * recipe.size_of(phase) ** 3
            total += (phase.epochs - done_epochs) / recipe.run.validate_every * self._validation
        return total
