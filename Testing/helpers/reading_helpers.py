"""What the tests of reading share: a refusal with its code, and Python without the rights of root."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from iuinet.checks import WARNING, check_volume
from iuinet.errors import InputRefused
from iuinet.reading import read_volume
from iuinet.volume import Volume

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


def question(volume: Volume, code: str, *named: str) -> None:
    """A person is asked this one thing, in words that name the values, and the notes say it too."""
    (doubt,) = volume.doubts
    assert doubt.code == code and doubt.message in volume.notes
    for text in named:
        assert text in doubt.message, doubt.message
    assert (code, WARNING) in [(finding.code, finding.severity) for finding in check_volume(volume)]


def orientations() -> Iterator[np.ndarray]:
    """All 48 ways to store a scan: 3 x 3 matrices of signed unit vectors."""
    for order in permutations(range(3)):
        for signs in product((1.0, -1.0), repeat=3):
            yield np.eye(3)[:, order] * signs


def assert_as_itk_reads(path: Path) -> Volume:
    """A sound file is read bit for bit as ITK reads it, and at the same place."""
    read, image = read_volume(path), sitk.ReadImage(str(path))
    expected = sitk.GetArrayFromImage(image)
    assert read.array.dtype == expected.dtype and read.array.flags.c_contiguous
    np.testing.assert_array_equal(read.array, expected)
    np.testing.assert_allclose(read.grid.spacing, image.GetSpacing(), rtol=1e-6)
    np.testing.assert_allclose(read.grid.origin, image.GetOrigin(), rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(read.grid.direction.ravel(), image.GetDirection(), atol=1e-6)
    return read


def flipped(data: bytes, first: int) -> Iterator[bytes]:
    """Copies of a file with one bit wrong each, at some forty places from the first on."""
    for place in np.linspace(first, len(data) - 1, 40).astype(int):
        damaged = bytearray(data)
        damaged[place] ^= 1 << (place % 8)
        yield bytes(damaged)


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
