"""A progress bar with the time left on a terminal, and a plain line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self, TextIO

EVERY_S = 30.0


class Progress:
    """Counts cases; use it as a context. stream: where it shows, None for nowhere."""

    def __init__(self, what: str, total: int, stream: TextIO | None) -> None:
        self.what, self.total, self.stream = what, total, stream
        self.done = 0
        self._began = self._shown = time.monotonic()
        self._bar = None

    def __enter__(self) -> Self:
        if self.stream is not None and self.stream.isatty() and self.total:
            try:
                from tqdm import tqdm
            except ImportError:  # it belongs to the training extras
                return self
            self._bar = tqdm(total=self.total, desc=self.what, unit="case", file=self.stream, leave=False)
        return self

    def step(self) -> None:
        """One more case is done."""
        self.done += 1
        if self._bar is not None:
            self._bar.update()
            return
        now = time.monotonic()
        if self.stream is not None and now - self._shown >= EVERY_S:
            self._shown = now
            left = (now - self._began) / self.done * (self.total - self.done)
            self.stream.write(f"{self.what} {self.done} of {self.total}, about {_minutes(left)} left\n")
            self.stream.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
