"""Where a training stands: the numbers that, with the tensors, let it go on as if it had not been stopped."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

NEVER = -1.0  # a DSC that every other is better than


@dataclass
class Progress:
    """Counts and bests. All but the first four are of the phase.

    step: of the whole run; epoch, phase_step: done in this phase; phase: its number; rows: of epochs.csv.
    loss_sum, loss_steps: of the epoch that is under way. skipped: steps in a row whose gradient was infinite.
    seconds: of computing, over the whole run. epoch_steps: in an epoch, as phase_step was counted with.
    """

    phase: int = 0
    step: int = 0
    rows: int = 0
    seconds: float = 0.0
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
        kept = {"phase": self.phase + 1, "step": self.step, "rows": self.rows, "seconds": self.seconds}
        vars(self).update(vars(Progress(**kept)))

    def count_by(self, epoch_steps: int) -> None:
        """Count the phase's steps by epochs of another length (another batch, other data): its whole epochs
        stay done, and of the one under way the same share."""
        if self.epoch_steps not in (0, epoch_steps):
            within = self.phase_step - self.epoch * self.epoch_steps
            self.phase_step = self.epoch * epoch_steps + within * epoch_steps // self.epoch_steps
        self.epoch_steps = epoch_steps

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
