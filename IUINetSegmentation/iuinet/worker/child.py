"""The worker as a child process: start it, talk to it without ever waiting, and end it for sure."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from iuinet.errors import IUINetError

from . import protocol
from .piped import Piped, find_python
from .protocol import Message

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_LOG_LINES = 200

# Out of memory: the Linux kernel's kill, the same seen through a shell, and Windows' STATUS_NO_MEMORY.
_KILLED = frozenset({-9, 137, 0xC0000017, 0xC0000017 - (1 << 32)})
# PythonSlicer is a launcher that stays as the parent: for a child that was killed or crashed it ends with 1,
# and these are its last words (CTKAppLauncher, ctkAppLauncherInternal::applicationFinished).
_LAUNCHER = "exit abnormally"
# The last words of a worker that crashed (faulthandler); a kill comes without any.
_CRASH = ("Fatal Python error: ", "Windows fatal exception: ")


class WorkerStopped(IUINetError):
    """The worker ended in the middle of a run.

    exit_code: as subprocess has it, negative for a signal. log: the last lines it wrote, and its launcher.
    """

    default_code = "worker-crashed"

    def __init__(self, exit_code: int, log: tuple[str, ...]) -> None:
        crash, launcher = _last_words(log)
        killed = exit_code in _KILLED or (launcher and not crash)
        killed = killed or "bad_alloc" in crash or "0xc0000017" in crash
        how = _describe_exit(exit_code)
        if launcher:  # the code is the launcher's own
            how = crash.rpartition(": ")[2] if crash else "it was killed"
        super().__init__(
            f"the segmentation program stopped unexpectedly ({how})",
            code="worker-killed" if killed else "worker-crashed",
            hint="Most often the memory was short: close other programs, or crop the scan to the abdomen."
            if killed
            else "Try again; if it happens again, try the device 'cpu' and report it with the log.",
        )
        self.exit_code = exit_code
        self.log = log


class Child(Piped):
    """One worker process.

    python: the interpreter to run it with. log: called with every line that is not a message.
    idle_s: seconds without a request after which it ends, with exit code 0; None for the worker's own.
    Raises: IUINetError "worker-start" for an interpreter that cannot be started.
    """

    def __init__(
        self, python: str | None = None, log: Callable[[str], None] | None = None, idle_s: float | None = None
    ) -> None:
        self.last_lines: deque[str] = deque(maxlen=_LOG_LINES)
        self._log = log
        command = [str(python or find_python()), "-m", "iuinet.worker"]
        command += [] if idle_s is None else ["--idle", str(idle_s)]
        try:
            super().__init__(
                command,
                stdin=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # "-m" puts the current folder first on the path: it must not be one with a user's numpy.py.
                cwd=_PACKAGE_ROOT,
                env=child_environment(os.environ),
            )
        except OSError as error:
            raise IUINetError(
                f"the segmentation program cannot be started with {command[0]}: {error.strerror}",
                code="worker-start",
                hint="Install IUINet again, or choose another Python.",
            ) from error

    def send(self, kind: str, **fields: object) -> None:
        """Send a request. A child that has ended is noticed by its exit_code."""
        with suppress(OSError, ValueError):
            self._process.stdin.write(protocol.encode(kind, **fields))

    def messages(self) -> list[Message]:
        """All messages that have come since the last call; other lines go to the log.

        Raises: ProtocolError for a message that cannot be understood.
        """
        for line in self.lines("stderr"):
            self._note(line)
        messages = []
        for line in self.lines("stdout"):
            message = protocol.decode(line)
            if message is None:
                self._note(line)
            else:
                messages.append(message)
        return messages

    def _note(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip()
        self.last_lines.append(text)
        if self._log is not None:
            self._log(text)

    def quit(self, patience_s: float = 2.0) -> None:
        """Ask it to end, wait a moment, then kill it; ends with no process and no open pipe."""
        self.send("quit")
        with suppress(OSError):
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_s)
        self.kill()


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for the worker: UTF-8 whatever the locale, and this very package importable.

    OpenMP's threads sleep while they wait for each other: by default they spin, and where another program
    needs a core as well, as Slicer does, a layer then takes seconds instead of milliseconds.

    >>> child_environment({"HOME": "/home/me"})["PYTHONUTF8"]
    '1'
    """
    paths = [str(_PACKAGE_ROOT), environment.get("PYTHONPATH", "")]
    return {
        "OMP_WAIT_POLICY": "PASSIVE",
        **environment,
        "PYTHONUTF8": "1",
        "PYTHONIOENCODING": "utf-8",
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
    }


def _last_words(log: Sequence[str]) -> tuple[str, bool]:
    """What a dead worker's log says of its end: the line about a crash, "" for none; whether a launcher did.

    >>> _last_words(["error: [bin/PythonSlicer-real] exit abnormally - Report the problem."])
    ('', True)
    """
    crashes = [line for line in log if "terminat" in line and "bad_alloc" in line]  # C++, then it aborts
    crashes += [line for line in log if any(words in line for words in _CRASH)]
    crash = crashes[0] if crashes else ""
    return crash, any(_LAUNCHER in line for line in log)


def _describe_exit(code: int) -> str:
    """An exit code in words: the signal's name where it was one."""
    if code < 0:
        with suppress(ValueError):
            return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"
