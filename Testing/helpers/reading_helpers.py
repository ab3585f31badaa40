"""What the tests of reading share: a refusal with its code, and Python without the rights of root."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from iuinet.errors import InputRefused
from iuinet.reading import read_volume

NOBODY = 65534

READ_AS_NOBODY = f"""
import os, sys
import iuinet.reading, pydicom.pixels          # everything is loaded while it may be read
if os.getuid() == 0:
    os.setgid({NOBODY}); os.setuid({NOBODY})
try:
    iuinet.reading.read_volume(sys.argv[1])
except iuinet.errors.InputRefused as error:
    print(error.code, error.message, error.hint, sep="\\n")
"""


def refusal(path: Path, code: str | tuple[str, ...], *named: str, series: str | None = None) -> InputRefused:
    """Reading is refused with this code (or one of these); the message names the values, a hint is there."""
    with pytest.raises(InputRefused) as caught:
        read_volume(path, series)
    error = caught.value
    assert error.code in ((code,) if isinstance(code, str) else code), f"{error.code}: {error.message}"
    assert error.exit_status == 3
    assert error.message.endswith(".") and error.hint.endswith(".")
    assert "\n" not in error.message + error.hint
    for text in named:
        assert text in error.message, error.message
    for leak in (".cxx", ".hxx", "0x", "ITK", "Secret", str(path.absolute().parent)):
        assert leak not in error.message + error.hint, error.message
    return error


def read_as_nobody(path: Path) -> list[str]:
    """Code, message and hint of the refusal that a user without rights meets; root may read everything."""
    done = subprocess.run(
        [sys.executable, "-c", READ_AS_NOBODY, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return done.stdout.splitlines()
