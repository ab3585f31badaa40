"""Reads the preprocessed folder of TransUNet: slices of the training cases, whole volumes of the test cases.

``train_npz/case0005_slice000.npz`` and ``test_vol_h5/case0001.npy.h5``, each with "image" (0 to 1, which was
-125 to 275 HU) and "label" (nine classes). Slices run from the feet to the head; each is transposed and
flipped against the challenge's NIfTI files, which is undone here. No file tells a spacing: millimetres and
millilitres cannot be had from them.

A case has no file of its own: its places are ``FOLDER/case0005::image`` and ``FOLDER/case0005::label``.
"""

from __future__ import annotations

import re
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from iuinet.errors import InputRefused
from iuinet.volume import Grid, Volume

LOW, HIGH = -125.0, 275.0  # HU that became 0 and 1
PARTS = ("image", "label")
SLICE = re.compile(r"case(?P<id>\d{4})_slice(?P<k>\d+)\.npz")
VOLUME = re.compile(r"case(?P<id>\d{4})\.npy\.h5")
_FAR = 0.5  # beyond 0 and 1: the released files have values from -0.15 to 1.19
_AGAIN = "Unpack TransUNet's folder again."


def is_part(place: str) -> bool:
    """Whether a place is one of this layout, and not a file."""
    return "::" in place


def files_of(root: Path, place: str) -> list[Path]:
    """The files behind a place, in the order of slices."""
    stem = root / place.partition("::")[0]
    volume = stem.with_name(f"{stem.name}.npy.h5")
    if volume.is_file():
        return [volume]
    return sorted(stem.parent.glob(f"{stem.name}_slice*.npz"), key=_number)


def read_part(root: Path, place: str) -> Volume:
    """Image (float32 HU) or labels of a place, as voxels of 1 mm.

    Raises: InputRefused "slices-missing", "not-scaled", "no-h5py", or "file-unreadable".
    """
    part, files = place.partition("::")[2], files_of(root, place)
    try:
        stack = _volume(files[0], part) if files and files[0].suffix == ".h5" else _slices(files, part, place)
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise InputRefused(f"{place} cannot be read: {error}", hint=_AGAIN, code="file-unreadable") from error
    if stack.ndim != 3:
        raise InputRefused(
            f"{place} is no stack of slices: {stack.shape}.", hint=_AGAIN, code="file-unreadable"
        )
    array = np.ascontiguousarray(stack.transpose(0, 2, 1)[:, ::-1])
    if part == "image":
        low, high = float(array.min()), float(array.max())
        if not (low >= -_FAR and high <= 1 + _FAR and high - low > _FAR / 10):
            text = f"The image of {place} holds values from {low:g} to {high:g}, not from 0 to 1."
            raise InputRefused(text, hint=_AGAIN, code="not-scaled")
        array = (array.astype(np.float32) * (HIGH - LOW) + LOW).round(3)
    return Volume(array, Grid(array.shape[::-1], (1.0,) * 3, (0.0,) * 3, np.diag([1.0, -1.0, 1.0])))


def _slices(files: list[Path], part: str, place: str) -> np.ndarray:
    numbers = [_number(path) for path in files]
    if missing := sorted(set(range(max(numbers, default=0) + 1)) - set(numbers)):
        text = f"{place} lacks {len(missing)} of its slices, such as number {missing[0]}."
        raise InputRefused(text, hint=_AGAIN, code="slices-missing")
    slices = []
    for path in files:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            slices.append(arrays[part])
    return np.stack(slices)


def _volume(path: Path, part: str) -> np.ndarray:
    try:
        import h5py
    except ImportError as error:
        raise InputRefused(
            f"{path.name} is an HDF5 file, and h5py, which reads it, is not installed.",
            hint="Install it with 'pip install iuinet[train]', or leave test_vol_h5 out.",
            code="no-h5py",
        ) from error
    with h5py.File(path, "r") as file:
        return file[part][()]


def _number(path: Path) -> int:
    return int(SLICE.fullmatch(path.name)["k"])
