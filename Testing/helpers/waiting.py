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
_TURN_S = 0.005  # between two looks at the condition
_LONGEST_TURN_S = 0.05  # what is longer, this process did not get from the machine

_counted = 0.0


def counted_seconds() -> float:
    """A clock that runs in ``wait_until`` alone, and stands while the machine does not let this process run.

    What the product promises in seconds is measured with it, so that a busy machine breaks no promise.
    """
    return _counted


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
) -> float:
    """Return the counted seconds until the condition held.

    step: called between two looks, such as an event loop's turn. watched, what: see Movement.
    """
    global _counted
    movement, began, last = Movement(watched), _counted, time.monotonic()
    while not condition():
        step()
        movement.check(what)
        time.sleep(_TURN_S)
        now = time.monotonic()
        _counted += min(now - last, _LONGEST_TURN_S)
        last = now
    return _counted - began


def wait_for_end(pid: int) -> float:
    """Return the counted seconds until a process, which need not be a child of this one, is gone."""
    return wait_until(lambda: not is_running(pid), what=f"process {pid} did not end")


def is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended but was not yet waited for does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


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
