"""The one line that shows where a training stands: in place on a terminal, else a plain line now and then."""

from __future__ import annotations

import math
import time
from typing import Protocol

EVERY_S = 10.0
_IN_PLACE_S = 0.2
_AFTER_EPOCH_S = 2.0


class Screen(Protocol):
    """What the line needs of ``iuinet.console.Console``."""

    @property
    def on_terminal(self) -> bool: ...

    def status(self, line: str) -> None: ...

    def say(self, text: str = "") -> None: ...


class LiveLine:
    """Shows a training's progress on the console.

    best: the best DSC so far, for a run that goes on. every: seconds between plain lines.
    """

    def __init__(self, console: Screen, best: float | None = None, every: float = EVERY_S) -> None:
        self.console = console
        self.best = best
        self.every = every
        self._shown = -math.inf
        self._epoch: tuple[str, int] | None = None

    def update(
        self,
        phase: str,
        epoch: int,
        epochs: int,
        step: int,
        steps: int,
        loss: float | None,
        dsc: float | None,
        learning_rate: float,
        seconds_left: float | None,
    ) -> None:
        """Tell where the training stands; what is shown, and when, is decided here.

        epoch, step: from 1, step within the epoch. loss: of the last steps. dsc: latest mean on the
        validation cases, None before the first. seconds_left: None where it is not known yet.
        """
        if dsc is not None and math.isfinite(dsc):
            self.best = dsc if self.best is None else max(self.best, dsc)
        now = time.monotonic()
        waited, new_epoch = now - self._shown, (phase, epoch) != self._epoch
        if self.console.on_terminal:
            due = waited >= _IN_PLACE_S
        else:
            new_phase = self._epoch is None or phase != self._epoch[0]
            due = waited >= self.every or new_phase or (new_epoch and waited >= _AFTER_EPOCH_S)
        if not due:
            return
        self._shown, self._epoch = now, (phase, epoch)
        line = progress_line(
            phase, epoch, epochs, step, steps, loss, dsc, self.best, learning_rate, seconds_left
        )
        if self.console.on_terminal:
            self.console.status(line)
        else:
            self.console.say(line)


def progress_line(
    phase: str,
    epoch: int,
    epochs: int,
    step: int,
    steps: int,
    loss: float | None,
    dsc: float | None,
    best: float | None,
    learning_rate: float,
    seconds_left: float | None,
) -> str:
    """The line, such as "fine-tune epoch 3/200 (4/18)  loss 1.234  DSC 0.812 best 0.834  5 min left ...".

    What is least missed comes last, where a narrow terminal cuts it off.
    """
    parts = [f"{phase} epoch {epoch}/{epochs} ({step}/{steps})"]
    parts.append("loss -" if loss is None else f"loss {loss:.3f}")
    if dsc is not None:
        parts.append(f"DSC {dsc:.3f}" + ("" if best is None else f" best {best:.3f}"))
    elif best is not None:
        parts.append(f"DSC - best {best:.3f}")
    if seconds_left is not None:
        parts.append(f"{duration(seconds_left)} left")
    parts.append(f"lr {learning_rate:.1e}")
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """Time for people: "45 s", "12 min", "3 h 05 min", "2 d 3 h"."""
    seconds = max(0.0, seconds)
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24} h"
