"""Waiting for something that another process or an event loop does, on a machine of any speed.

A wait ends when its condition holds. It fails when nothing has moved for long: no process that this one
started used processor time, and what the caller watches stayed the same. So a slow machine makes a test slow
and not red, and a hang is still found. What moves in circles for ever is ended by pytest's own timeout.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any

import psutil

QUIET_S = 120.0  # without any movement, then it will not come any more
_LOOK_S = 1.0  # between two looks at the processes


class Movement:
    """Notices whether anything moves. watched: a value that changes while the work goes on."""

    def __init__(self, watched: Callable[[], Any] = lambda: None) -> None:
        self._watched = watched
        self._seen: Any = None
        self._since = self._looked = time.monotonic()

    def check(self, what: str) -> None:
        """Fail if nothing has moved for QUIET_S. what: is waited for, for the message."""
        now = time.monotonic()
        if now - self._looked < _LOOK_S:
            return
        self._looked = now
        seen = (self._watched(), _processor_seconds())
        if seen != self._seen:
            self._seen, self._since = seen, now
        assert now - self._since < QUIET_S, f"{what}: nothing has moved for {QUIET_S:.0f} s, at {seen[0]!r}"


def wait_until(
    condition: Callable[[], object],
    step: Callable[[], object] = lambda: None,
    watched: Callable[[], Any] = lambda: None,
    what: str = "it did not happen",
) -> None:
    """Return when the condition holds. step: called between two looks, such as an event loop's turn."""
    movement = Movement(watched)
    while not condition():
        step()
        movement.check(what)
        time.sleep(0.005)


def communicate(process: subprocess.Popen) -> tuple[Any, Any]:
    """Output and errors of a process when it has ended; it is killed if it does not move any more."""
    movement = Movement()
    while True:
        try:
            return process.communicate(timeout=_LOOK_S)
        except subprocess.TimeoutExpired:
            try:
                movement.check(f"the process {process.args}")
            except AssertionError:
                process.kill()
                raise


def _processor_seconds() -> float:
    """What all processes below this one have used, seconds; it also changes when one of them ends."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system
    return total
