"""Reads a CT into memory: NIfTI, NRRD or MetaImage files, and DICOM folders.

Everything that goes wrong becomes an InputRefused in plain words; ITK's own text stays in the
exception's cause.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from iuinet.errors import InputRefused, UsageError
from iuinet.files import check_letters
from iuinet.native_output import captured_native_output
from iuinet.volume import Grid, Volume

from .dicom import file_is_dicom, no_permission, read_dicom
from .headers import COPY_AGAIN, inspect_file

READERS = {  # by the ending, longest first
    ".nii.gz": "NiftiImageIO",
    ".nii": "NiftiImageIO",
    ".nrrd": "NrrdImageIO",
    ".nhdr": "NrrdImageIO",
    ".mha": "MetaImageIO",
    ".mhd": "MetaImageIO",
}
FORMATS = "NIfTI (.nii, .nii.gz), NRRD (.nrrd, .nhdr), MetaImage (.mha, .mhd) or a DICOM folder"
UNNAMED = "volume"
MODALITY_KEY = "0008|0060"  # how SimpleITK names the DICOM element


def read_volume(path: str | Path, series: str | None = None) -> Volume:
    """A CT from a file or a DICOM folder.

    path: a NIfTI, NRRD or MetaImage file, a folder with a DICOM series, or one DICOM file of a series.
    series: which DICOM series, by its UID or the unique start or end of it.
    Its name is the file's or folder's, never one from the header.
    Raises: InputRefused, with a code of its own for every case; UsageError for a series of a single volume.

    >>> sample = Path(__file__).parents[2] / "Resources/Sample/sample-ct.nrrd"
    >>> read_volume(sample).name
    'sample-ct'
    """
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
    Raises: InputRefused "two-dimensional", "four-dimensional", "vector-pixels".

    >>> volume_from_image(sitk.Image(4, 3, 2, sitk.sitkInt16)).array.shape
    (2, 3, 4)
    """
    _check_kind(image.GetSize(), image.GetNumberOfComponentsPerPixel(), image.GetPixelIDTypeAsString())
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
    notes = inspect_file(path, ending)
    check_letters(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(READERS[ending])
    failure: RuntimeError | None = None
    with captured_native_output() as native:
        try:
            reader.ReadImageInformation()
            pixel_type = sitk.GetPixelIDValueAsString(reader.GetPixelID())
            _check_kind(reader.GetSize(), reader.GetNumberOfComponents(), pixel_type)
            image = reader.Execute()
        except RuntimeError as error:
            failure = error
    if failure is not None:
        failure.add_note(native.text)
        raise _translated(path, failure)
    return volume_from_image(image, _name(path.name[: -len(ending)]), notes=notes)


def _check_kind(size: Sequence[int], components: int, pixel_type: str) -> None:
    shape = " x ".join(map(str, size))
    if len(size) < 3:
        raise InputRefused(
            f"The image is a single picture ({shape}); a CT volume has three axes.",
            hint="Give the whole series.",
            code="two-dimensional",
        )
    if len(size) > 3 and (len(size) > 4 or size[3] != 1):
        raise InputRefused(
            f"The image has {len(size)} axes ({shape}); a CT volume has three.",
            hint="Save one time point or phase as a volume of its own.",
            code="four-dimensional",
        )
    if components != 1 or "vector" in pixel_type or "complex" in pixel_type or "label" in pixel_type:
        raise InputRefused(
            f"Each voxel holds {components} values ({pixel_type}); a CT has one number per voxel.",
            hint="Give the CT itself, not a colour image, a vector field or a complex one.",
            code="vector-pixels",
        )


def _translated(path: Path, failure: RuntimeError) -> InputRefused:
    """ITK's exceptions in plain words; their own text names source files, which helps no user."""
    text = str(failure).lower()
    if "orthonormal" in text or "determinant" in text:
        refused = InputRefused(
            f"The axes in the header of {path.name} are not at right angles.",
            hint="Resample the volume to a straight grid first.",
            code="sheared-axes",
        )
    elif "spacing" in text:
        refused = InputRefused(
            f"The spacing in the header of {path.name} is zero, negative or missing.",
            hint="Export the volume again with its true voxel size.",
            code="bad-spacing",
        )
    elif "allocate memory" in text or "bad_alloc" in text:
        refused = _too_large(path)
    else:
        refused = InputRefused(
            f"{path.name} cannot be read: it is damaged or cut off, or a file that belongs to it is missing.",
            hint=COPY_AGAIN,
            code="file-damaged",
        )
    refused.__cause__ = failure
    return refused


def _too_large(path: Path) -> InputRefused:
    message = f"There is not enough memory to read {path.name}."
    return InputRefused(message, hint="Close other programs, or crop the volume first.", code="too-large")


def _name(stem: str) -> str:
    """A file stem for outputs; the user chose it as the name of the input."""
    return stem.strip(" .") or UNNAMED
