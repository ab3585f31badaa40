"""Writes NIfTI files with gzip, quick rather than small, and the same bytes for the same content."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from iuinet.atomic import atomic, output_error
from iuinet.errors import OutputError
from iuinet.geometry import canonical_axes, from_canonical
from iuinet.volume import Grid
from iuinet.writing import image_on_grid

_DRAFT = ".iuinet-"
_LEVEL = 1
_HEADER = 352  # bytes of NIfTI-1 before the voxels
_CHUNK = 1 << 22
_YEAR = (1980, 1, 1, 0, 0, 0)


def write_nifti(path: Path, array: np.ndarray, grid: Grid) -> None:
    """Write a canonical array (k, j, i) on the grid of a file, whose axes may run the other way.

    Raises OutputError for what the disk refuses; the file is complete or absent.
    """
    stored = np.ascontiguousarray(from_canonical(array, canonical_axes(grid.direction)))
    make_folder(path.parent)
    with atomic(path, overwrite=True) as draft:
        # ITK says nothing about a full disk, so it writes a plain file whose size tells, and Python packs it.
        plain = draft.with_suffix("")
        try:
            sitk.WriteImage(image_on_grid(stored, grid), str(plain))
            if plain.stat().st_size < _HEADER + stored.nbytes:
                raise OutputError(
                    f"{path} cannot be written: the disk is full",
                    hint="Free some space, or choose another folder.",
                    code="disk-full",
                )
            _pack(plain, draft)
        finally:
            with suppress(OSError):
                plain.unlink(missing_ok=True)


def _pack(plain: Path, packed: Path) -> None:
    with (
        open(plain, "rb") as source,
        open(packed, "wb") as target,
        gzip.GzipFile("", "wb", _LEVEL, target, mtime=0) as stream,
    ):
        while chunk := source.read(_CHUNK):
            stream.write(chunk)


def write_zip(path: Path, folder: Path, members: Sequence[str]) -> None:
    """Put files of a folder into a zip file; they are packed already."""
    with atomic(path, overwrite=True) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
        for member in members:
            about = zipfile.ZipInfo(member, date_time=_YEAR)
            about.file_size = (folder / member).stat().st_size
            with open(folder / member, "rb") as source, archive.open(about, "w") as target:
                while chunk := source.read(_CHUNK):
                    target.write(chunk)


def make_folder(folder: Path) -> None:
    """Make a folder with its parents. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(folder, error) from error


def remove_drafts(folder: Path) -> None:
    """Remove what an earlier call, ended in the middle of a file, has left in a folder of ours."""
    for draft in folder.rglob(f"{_DRAFT}*"):
        with suppress(OSError):
            draft.unlink()
