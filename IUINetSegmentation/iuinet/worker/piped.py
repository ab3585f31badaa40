"""A child process whose pipes are read without ever waiting, and that ends for sure with all it started.

All reading happens in the caller's thread: Slicer's interpreter runs no other thread while its event loop
waits, so a reading thread would starve there.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_READ_BYTES = 1 << 16
# How long a kill waits for the process to be gone. A large one needs a while to give its memory back, and
# one that hangs in a driver may never go: no window waits for that.
_KILL_S = 0.05
_dying: list[subprocess.Popen] = []  # killed, not gone yet


class Piped:
    """A process in a group of its own, its standard output in a pipe.

    command, options: as subprocess.Popen takes them; further pipes may be asked for.
    Raises: OSError for a program that cannot be started.
    """

    def __init__(self, command: Sequence[str], **options: Any) -> None:
        _dying[:] = [process for process in _dying if process.poll() is None]
        self._killed = False
        self._rests = {"stdout": b"", "stderr": b""}
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, bufsize=0, **options, **_own_group()
        )
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        code = self._process.poll()
        return -9 if code is None and self._killed else code

    def lines(self, name: str = "stdout") -> list[bytes]:
        """Complete lines that one of the process's pipes holds."""
        pipe = getattr(self._process, name)
        data = self._rests[name]
        while not pipe.closed:
            try:
                chunk = os.read(pipe.fileno(), _READ_BYTES)
            except OSError:  # BlockingIOError for an empty pipe, on Windows another one
                break
            if not chunk:
                pipe.close()
                data += b"\n" if data else b""
                break
            data += chunk
        *lines, self._rests[name] = data.split(b"\n")
        return lines

    def kill(self) -> None:
        """End it and everything that it started, at once, and hardly wait until it is gone."""
        if os.name == "posix":
            # Its group lives on while any of its own children does, even when it has ended itself.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        elif self.exit_code is None:
            command = ["taskkill", "/T", "/F", "/PID", str(self.pid)]
            with suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(command, capture_output=True, check=False, timeout=2.0)
            self._process.kill()  # where taskkill could not
        self._killed = True
        try:
            self._process.wait(_KILL_S)
        except subprocess.TimeoutExpired:
            _dying.append(self._process)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def find_python() -> str:
    """The interpreter for a child: this one, or Slicer's where this one is embedded in Slicer.

    >>> Path(find_python()).stem.lower().startswith("python")
    True
    """
    if Path(sys.executable or "").stem.lower().startswith("python"):
        return sys.executable
    return shutil.which("PythonSlicer") or sys.executable


def _own_group() -> dict[str, object]:
    """Popen's arguments for a group of its own: Ctrl-C does not reach it, and a kill reaches all of it."""
    if os.name == "posix":
        return {"start_new_session": True}
    flags = ("CREATE_NEW_PROCESS_GROUP", "CREATE_NO_WINDOW", "BELOW_NORMAL_PRIORITY_CLASS")
    return {"creationflags": sum(getattr(subprocess, flag) for flag in flags)}
