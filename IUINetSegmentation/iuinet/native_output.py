"""Keeps what C++ libraries print on standard error away from the user.

ITK, GDCM, OpenJPEG and the NIfTI and NRRD libraries write warnings straight to file descriptor 2, past
``sys.stderr``. The command promises one clean line there, so their text is caught here.

Not safe with threads: a file descriptor belongs to the whole process, so what other threads print
meanwhile is caught too. Readers run one at a time, in a process of their own or before work starts.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


class NativeOutput:
    """Holds the caught text once the block has ended."""

    text: str = ""


@contextlib.contextmanager
def captured_native_output() -> Iterator[NativeOutput]:
    """Redirects file descriptor 2 into a temporary file while the block runs.

    Where there is no such descriptor (a program without console on Windows) nothing is caught, and
    nothing can be shown either.
    """
    caught = NativeOutput()
    try:
        saved = os.dup(2)
    except OSError:
        yield caught
        return
    try:
        with tempfile.TemporaryFile() as file:
            _flush_python()
            os.dup2(file.fileno(), 2)
            try:
                yield caught
            finally:
                _flush_python()
                os.dup2(saved, 2)
                file.seek(0)
                caught.text = file.read().decode("utf-8", "replace")
    finally:
        os.close(saved)


def _flush_python() -> None:
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
