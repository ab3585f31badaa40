"""Reads a CT into memory: NIfTI, NRRD or MetaImage files, and DICOM folders.

Everything that goes wrong becomes an InputRefused in plain words. No byte of a volume file reaches ITK's
readers: they look for other files of the same stem, read cut and damaged data as whole, and trust a header
with memory that is not theirs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from iuinet.errors import InputRefused, UsageError
from iuinet.files import check_letters
from iuinet.volume import Grid, Volume

from .declared import COPY_AGAIN, check_kind
from .dicom import file_is_dicom, no_permission, read_dicom
from .metaimage import read_metaimage
from .nifti import read_nifti
from .nrrd import read_nrrd

READERS: dict[str, Callable[[Path, str], Volume]] = {  # by the ending, longest first
    ".nii.gz": read_nifti,
    ".nii": read_nifti,
    ".nrrd": read_nrrd,
    ".nhdr": read_nrrd,
    ".mha": read_metaimage,
    ".mhd": read_metaimage,
}
FORMATS = "NIfTI (.nii, .nii.gz), NRRD (.nrrd, .nhdr), MetaImage (.mha, .mhd) or a DICOM folder"
UNNAMED = "volume"
MODALITY_KEY = "0008|0060"  # how SimpleITK names the DICOM element


def read_volume(path: str | Path, series: str | None = None) -> Volume:
    """A CT from a file or a DICOM folder.

    path: a NIfTI, NRRD or MetaImage file, a folder with a DICOM series, or one DICOM file of a series.
    series: which DICOM series, by its UID or the unique start or end of it.
    Its name is the file's or folder's, never one from the header.
    Raises: InputRefused, with a code of its own for every case; UsageError for an empty path, and for a
    series of a single volume.

    >>> sample = Path(__file__).parents[2] / "Resources/Sample/sample-ct.nrrd"
    >>> read_volume(sample).name
    'sample-ct'
    """
    if not str(path).strip():
        # Path("") would be the current folder.
        raise UsageError("The path is empty.", hint="Give the CT's file or folder.", code="no-path")
    path = Path(os.path.abspath(path))  # so that "." has a name too
    try:
        return _read(path, series)
    except PermissionError as error:
        raise no_permission(Path(error.filename) if error.filename else path) from error
    except OSError as error:
        raise InputRefused(
            f"{path.name} cannot be read: {error.strerror or 'the drive reports an error'}.",
            hint="Check the path and the drive it lies on.",
            code="not-found" if isinstance(error, FileNotFoundError) else "file-unreadable",
        ) from error
    except MemoryError as error:
        raise _too_large(path) from error


def volume_from_image(
    image: sitk.Image, name: str = UNNAMED, modality: str | None = None, notes: Sequence[str] = ()
) -> Volume:
    """A Volume with a copy of the voxels of a SimpleITK image.

    modality: where it is None, what the image carries if SimpleITK read it from DICOM.
    A fourth axis of length 1 is dropped.
    Raises: InputRefused "two-dimensional", "four-dimensional", "vector-pixels"; UsageError "not-an-image" for
    what is no SimpleITK image.

    >>> volume_from_image(sitk.Image(4, 3, 2, sitk.sitkInt16)).array.shape
    (2, 3, 4)
    """
    if not isinstance(image, sitk.Image):
        raise UsageError(
            f"A SimpleITK image is needed, not {type(image).__name__}.",
            hint="Read the file with SimpleITK.ReadImage, or give it to the command iuinet segment.",
            code="not-an-image",
        )
    check_kind(image.GetSize(), image.GetNumberOfComponentsPerPixel(), image.GetPixelIDTypeAsString())
    if image.GetDimension() == 4:
        image = image[:, :, :, 0]
    if modality is None and image.HasMetaDataKey(MODALITY_KEY):
        modality = image.GetMetaData(MODALITY_KEY).strip() or None
    direction = np.array(image.GetDirection()).reshape(3, 3)
    grid = Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), direction)
    return Volume(sitk.GetArrayFromImage(image), grid, name, modality, tuple(notes))


def _read(path: Path, series: str | None) -> Volume:
    if path.is_dir():
        return read_dicom(path, _name(path.name), series)
    with open(path, "rb") as file:
        empty = not file.read(1)
    if empty:
        raise InputRefused(f"The file {path.name} is empty.", hint=COPY_AGAIN, code="file-empty")
    ending = next((ending for ending in READERS if path.name.lower().endswith(ending)), "")
    if not ending and file_is_dicom(path):
        return read_dicom(path, _name(path.parent.name), series)
    if not ending:
        raise InputRefused(
            f"{path.name} is not an image of a kind that can be read.",
            hint=f"Give {FORMATS}; unpack archives first.",
            code="unknown-format",
        )
    if series:
        raise UsageError(
            f"A series ({series}) can be chosen in a DICOM folder, but {path.name} is a single volume.",
            hint="Leave --series out.",
            code="series-without-dicom",
        )
    return _read_file(path, ending)


def _read_file(path: Path, ending: str) -> Volume:
    check_letters(path)  # the name becomes that of outputs, which ITK writes
    return replace(READERS[ending](path, _name(path.name[: -len(ending)])), names=(path.name,))


def _too_large(path: Path) -> InputRefused:
    message = f"There is not enough memory to read {path.name}."
    return InputRefused(message, hint="Close other programs, or crop the volume first.", code="too-large")


def _name(stem: str) -> str:
    """A file stem for outputs; the user chose it as the name of the input."""
    return stem.strip(" .") or UNNAMED
