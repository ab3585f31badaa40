"""A lock between processes that the system releases however its holder ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Busy(Exception):
    """Another process holds the lock."""


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the lock file for the block; raises Busy at once if another one does, OSError from the drive.

    The file stays: to remove it would let two processes lock two files of one name.
    """
    with open(path, "a+b") as file:
        try:
            _lock(file.fileno())
        except OSError as error:
            raise Busy(str(path)) from error
        yield


def _lock(descriptor: int) -> None:
    """Lock without waiting; closing the file, and so the end of the process, unlocks it."""
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
