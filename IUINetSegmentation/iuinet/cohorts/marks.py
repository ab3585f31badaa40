"""Which cases a run has under way, on the disk: so that a case which kills its worker is found out.

A worker that is killed tells nobody what it was doing. So it leaves a line per start of a case, and takes it
away when the case has ended in any way. A case that starts and finds a line of this run has seen a worker
end: it goes on alone in its worker, and when that ends again, it was this case.

A run is alive as long as its folder is there. A worker of a cluster that goes on for a run whose coordinator
was killed stops when the next one begins and removes the folder.
"""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

FOLDER = ".run"


def begin_run(out: Path) -> str:
    """Remove what earlier runs left and begin a new one; returns its token.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as out:
    ...     Marks(Path(out), begin_run(Path(out))).alive
    True
    """
    end_runs(out)
    token = secrets.token_hex(6)
    (out / FOLDER / token).mkdir(parents=True)
    return token


def end_runs(out: Path) -> None:
    """End all runs: their workers stop at the next step, and their marks are gone.

    >>> end_runs(Path())
    """
    shutil.rmtree(out / FOLDER, ignore_errors=True)


class Marks:
    """The marks of one run in an output folder."""

    def __init__(self, out: Path, run: str) -> None:
        self._folder = out / FOLDER / run

    @property
    def alive(self) -> bool:
        """Whether the run goes on."""
        return self._folder.is_dir()

    def deaths(self, case: str) -> int:
        """How many workers have ended while they had the case."""
        with suppress(OSError):
            return len((self._folder / case).read_bytes())
        return 0

    def begin(self, case: str) -> None:
        """Raises: OSError, also where the run has ended."""
        with open(self._folder / case, "ab") as file:
            file.write(b"+")

    def end(self, case: str) -> None:
        """Whatever became of it."""
        with suppress(OSError):
            os.unlink(self._folder / case)
