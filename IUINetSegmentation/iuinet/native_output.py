"""Keeps what C++ libraries print on standard error away from the user.

ITK, GDCM, OpenJPEG and the NIfTI and NRRD libraries write warnings straight to file descriptor 2, past
``sys.stderr``. The command promises one clean line there, so their text is caught here.

A file descriptor belongs to the whole process, so what other threads print meanwhile is caught too, and one
thread that catches waits for another: two that took turns in redirecting would leave it to the wrong place.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence

from .leftovers import no_place

_one_at_a_time = threading.RLock()


class NativeOutput:
    """Holds the caught text once the block has ended."""

    text: str = ""


@contextlib.contextmanager
def captured_native_output() -> Iterator[NativeOutput]:
    """Redirects file descriptor 2 into a temporary file while the block runs.

    Raises: OutputError "temporary-folder" for want of a place for it.

    >>> with captured_native_output() as caught:
    ...     _ = os.write(2, b"a warning")
    >>> caught.text
    'a warning'
    """
    caught = NativeOutput()
    try:
        temporary = tempfile.TemporaryFile()  # noqa: SIM115 - the next line
    except OSError as error:
        raise no_place(tempfile.tempdir, error) from error
    with temporary as file:
        try:
            with _one_at_a_time, redirected([2], file.fileno()):
                yield caught
        finally:
            file.seek(0)
            caught.text = file.read().decode("utf-8", "replace")


@contextlib.contextmanager
def redirected(descriptors: Sequence[int], target: int) -> Iterator[None]:
    """Leads what is written to these standard descriptors to the target while the block runs.

    >>> with open(os.devnull, "wb") as null, redirected([2], null.fileno()):
    ...     _ = os.write(2, b"not seen")
    """
    saved = [duplicate(descriptor) for descriptor in descriptors]
    _flush_python()
    try:
        for descriptor in descriptors:
            os.dup2(target, descriptor)
        yield
    finally:
        _flush_python()
        for descriptor, copy in zip(descriptors, saved, strict=True):
            os.dup2(copy, descriptor)
            os.close(copy)


def duplicate(descriptor: int) -> int:
    """A copy of a descriptor; the null device where there is none (a program without console on Windows).

    >>> copy = duplicate(1)
    >>> copy > 2, os.close(copy)
    (True, None)
    """
    try:
        return os.dup(descriptor)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)


def _flush_python() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()  # what was printed through Python goes the same way
