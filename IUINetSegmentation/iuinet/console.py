"""What every command shares: how it reads its options, prints, is stopped and ends.

Standard error gets two lines at most, ``error[<code>]: ...`` and ``hint: ...``. ITK, GDCM and others write
their warnings straight to the descriptors 1 and 2, so these lead to the null device while the command works,
and the console writes to copies of them. On a terminal a progress line is shown there meanwhile.
"""

from __future__ import annotations

import argparse
import errno
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn, TextIO

from .errors import Cancelled, IUINetError, OutputError, UsageError, plain_error
from .native_output import duplicate, redirected

_STAGES = {
    "reading": "Reading",
    "preparing": "Preparing",
    "segmenting": "Segmenting",
    "finishing": "Finishing",
    "writing": "Writing",
}


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints look like all other refusals."""

    def error(self, message: str) -> NoReturn:
        """Raises: UsageError for options that make no sense."""
        raise UsageError(message, hint=f"'{self.prog} --help' shows how it is used.")

    def _print_message(self, message: str, file: TextIO | None = None) -> None:
        """Print help or version; argparse says nothing of an output that takes nothing.

        Raises: OutputError.
        """
        with _printing():
            print(message, end="", file=file or sys.stderr, flush=True)


class Console:
    """The command's own standard output and error.

    silent: nothing is printed, as for work in a program without a terminal of its own.
    interrupted: whether the user (Ctrl-C), the system (SIGTERM) or a closed terminal (SIGHUP) asked to stop.
    """

    def __init__(self, silent: bool = False) -> None:
        self.interrupted = False
        self.silent = silent
        if not silent:
            self._out, self._err = _copy(1, sys.stdout), _copy(2, sys.stderr)
        self._holding = False
        self._line = ""
        self._status_time = -math.inf

    def close(self) -> None:
        """Give the descriptors back."""
        for stream in () if self.silent else (self._out, self._err):
            with suppress(OSError):
                stream.close()

    def say(self, text: str = "") -> None:
        """One or several lines on standard output."""
        if not self.silent:
            self.clear()
            with _printing():
                print(text, file=self._out, flush=True)
            self._status_time = -math.inf

    def refuse(self, error: IUINetError) -> None:
        """The two lines that a refusal consists of; the status remains where nobody can read them."""
        hint = error.hint or "Run the command again with --debug for the details."
        with suppress(OSError):
            self.clear()
            print(f"error[{error.code}]: {_one_line(error.message)}", file=self._err)
            print(f"hint: {_one_line(hint)}", file=self._err, flush=True)

    def progress(self, stage: str, fraction: float) -> None:
        """Show where the work stands, on a terminal only."""
        self.status(f"{_STAGES.get(stage, stage)} {fraction:.0%}")

    def status(self, line: str, every: float | None = None) -> None:
        """Put one line in the place of the last one, on a terminal.

        every: without a terminal, print the line like others, at most once in so many seconds and the first
        time after other output; None to show it on a terminal only.
        """
        if self.on_terminal:
            if line != self._line:
                self._line = line
                with suppress(OSError):  # of a terminal that was closed
                    # A line that wraps could not be taken back.
                    self._err.write(f"\r\x1b[K{line[: self._columns() - 1]}")
                    self._err.flush()
        elif every is not None and time.monotonic() - self._status_time >= every:
            self.say(line)
            self._status_time = time.monotonic()

    @property
    def on_terminal(self) -> bool:
        """Whether a line can be shown in the place of another."""
        return not self.silent and self._err.isatty()

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._err.fileno()).columns or 80
        except OSError:
            return 80

    def clear(self) -> None:
        """Take the progress line away."""
        if self._line:
            self._line = ""
            with suppress(OSError):
                self._err.write("\r\x1b[K")
                self._err.flush()

    @contextmanager
    def quiet(self, unless: bool) -> Iterator[None]:
        """Nothing but this console reaches the standard output and error. unless: leave them as they are."""
        if unless:
            yield
            return
        with open(os.devnull, "wb") as null, redirected([1, 2], null.fileno()):
            yield

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Ctrl-C, SIGTERM and SIGHUP raise KeyboardInterrupt, once: a second one disturbs no cleaning up."""
        with _handled(self._interrupt):
            yield

    @contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """The few renames in here happen all or, if the user has just asked to stop, not at all."""
        self._holding = True
        try:
            if self.interrupted:
                raise KeyboardInterrupt
            yield
        finally:
            self._holding = False

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._holding or self.interrupted:
            return
        self.interrupted = True
        raise KeyboardInterrupt


def _copy(descriptor: int, like: TextIO | None) -> TextIO:
    """A text stream of our own to where a descriptor leads; letters that it cannot show are escaped."""
    encoding = getattr(like, "encoding", None) or "utf-8"
    return open(duplicate(descriptor), "w", encoding=encoding, errors="backslashreplace", closefd=True)


@contextmanager
def _printing() -> Iterator[None]:
    """Raises: OutputError for a standard output that takes nothing; a reader that has ended is no error."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(
            f"the standard output cannot be written: {error.strerror or error}",
            hint="Send it to a place with space. The files that the command writes are complete.",
            code="disk-full" if error.errno == errno.ENOSPC else "output",
        ) from error


def _one_line(text: str) -> str:
    """The text on one line, without the control characters that a file's header may hold."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))


def duration(seconds: float) -> str:
    """Time for people.

    >>> [duration(seconds) for seconds in (45, 720, 11100, 183600)]
    ['45 s', '12 min', '3 h 05 min', '2 d 3 h']
    """
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


def run_command(
    parse: Callable[[], argparse.Namespace], run: Callable[[argparse.Namespace, Console], None]
) -> int:
    """Parse the options (they hold ``debug``) and run the command; returns the exit status.

    >>> options = argparse.Namespace(debug=True)
    >>> run_command(lambda: options, lambda options, console: None)
    0
    """
    console = Console()
    debug = False
    try:
        with console.interruptible():
            options = parse()
            debug = options.debug
            with console.quiet(unless=debug):
                run(options, console)
        return 0
    except SystemExit as end:  # --help and --version
        return int(end.code or 0)
    except BrokenPipeError:  # the reader of our output, such as "head", has ended
        return 0
    except BaseException as error:
        if debug:
            traceback.print_exc()
        # Native code may turn the interrupt into an error of its own.
        if console.interrupted or isinstance(error, KeyboardInterrupt):
            error = Cancelled("stopped before it was done", hint="Nothing was written.")
        refusal = plain_error(error, "Run the command again with --debug for the details.")
        console.refuse(refusal)
        return refusal.exit_status
    finally:
        console.close()


@contextmanager
def stop_on_signal() -> Iterator[list[int]]:
    """A list that Ctrl-C, SIGTERM and SIGHUP put their number into; a second Ctrl-C interrupts at once.

    >>> with stop_on_signal() as asked:
    ...     signal.raise_signal(signal.SIGTERM)
    >>> asked == [signal.SIGTERM]
    True
    """
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.append(number)

    with _handled(ask):
        yield asked


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """The handler gets Ctrl-C, SIGTERM and, of a closed terminal, SIGHUP while the block runs."""
    # A shell that runs the command in the background has SIGINT ignored, nohup SIGHUP; that stays so.
    left = (None, signal.SIG_IGN)
    wanted = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    numbers = [number for number in wanted if signal.getsignal(number) not in left]
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
