"""Writes results: label maps, segmentations that Slicer opens, and JSON. Each file is complete or absent."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from .atomic import atomic, output_error
from .errors import IUINetError, OutputError, UsageError
from .labels import Organ
from .native_output import captured_native_output
from .segmentation_file import segmentation_fields
from .volume import Grid

__all__ = ["ENDINGS", "atomic", "image_on_grid", "write_json", "write_labels"]

SEGMENTATION = ".seg.nrrd"
_WRITERS = {  # by the ending, longest first
    SEGMENTATION: "NrrdImageIO",
    ".nii.gz": "NiftiImageIO",
    ".nrrd": "NrrdImageIO",
    ".mha": "MetaImageIO",
}
ENDINGS = tuple(_WRITERS)

_CHUNK = 1 << 20  # bytes


def image_on_grid(array: np.ndarray, grid: Grid) -> sitk.Image:
    """A SimpleITK image with a copy of the voxels, array (k, j, i), at the grid's place in the patient."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing([float(step) for step in grid.spacing])
    image.SetOrigin([float(part) for part in grid.origin])
    image.SetDirection(np.asarray(grid.direction, dtype=float).ravel().tolist())
    return image


def write_json(path: str | os.PathLike, document: Any, overwrite: bool = False) -> None:
    """Write a document as JSON in UTF-8. Raises as ``atomic`` does; NaN is a ValueError."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic(path, overwrite) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")


def write_labels(
    path: str | os.PathLike, labels: sitk.Image, organs: Sequence[Organ], overwrite: bool = False
) -> None:
    """Write a label map, compressed; ``.seg.nrrd`` as a segmentation that Slicer opens.

    labels: 3-D, integer, 0 for background and the organs' label ids. What its metadata says (a series that
    was read from DICOM brings the patient's name) is not written.
    organs: what the ids mean. Organs without voxels make no segment.
    Raises UsageError for an ending not in ENDINGS or an existing file, OutputError for what the disk
    refuses, IUINetError "labels" for ids that no organ has.
    """
    path = Path(path)
    ending = next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), None)
    if ending is None:
        raise UsageError(
            f"the name {path.name} has none of the endings that can be written: {', '.join(ENDINGS)}",
            hint="The ending chooses the format.",
            code="unknown-ending",
        )
    image, found = _checked(labels, organs)
    if ending == SEGMENTATION:
        for key, value in segmentation_fields(image, found).items():
            image.SetMetaData(key, value)
    with atomic(path, overwrite) as draft:
        _write(image, draft, _WRITERS[ending], path)


def _checked(labels: sitk.Image, organs: Sequence[Organ]) -> tuple[sitk.Image, list[Organ]]:
    """The labels as uint8 without metadata, and those of the organs that have voxels."""
    array = sitk.GetArrayViewFromImage(labels)
    if array.ndim != 3 or array.dtype.kind not in "iu":
        text = f"labels are whole numbers on three axes, not {array.dtype} {array.shape}"
        raise IUINetError(text, code="labels")
    if array.size and not 0 <= array.min() <= array.max() <= 255:
        raise IUINetError("labels are numbers from 0 to 255", code="labels")
    # Slice by slice, because bincount needs eight bytes for each voxel that it sees at once.
    counts = sum((np.bincount(slab.ravel(), minlength=256) for slab in array), start=np.zeros(256, int))
    present = set(np.flatnonzero(counts).tolist())
    unknown = present - {0, *(organ.label for organ in organs)}
    if unknown:
        raise IUINetError(f"the labels {sorted(unknown)} belong to no organ", code="labels")
    image = sitk.Cast(labels, sitk.sitkUInt8)
    for key in image.GetMetaDataKeys():
        image.EraseMetaData(key)
    return image, [organ for organ in organs if organ.label in present]


def _write(image: sitk.Image, draft: Path, writer_name: str, path: Path) -> None:
    """Write, and read it again: on a full disk ITK leaves half a NIfTI file and says nothing."""
    with captured_native_output() as native:
        try:
            sitk.WriteImage(image, str(draft), useCompression=True, imageIO=writer_name)
            again = sitk.ReadImage(str(draft), imageIO=writer_name)
        except RuntimeError as error:
            failure: RuntimeError | None = error
        else:
            failure = None
    if failure is None and np.array_equal(*(sitk.GetArrayViewFromImage(one) for one in (image, again))):
        return
    _raise_for_disk(draft, image.GetNumberOfPixels(), path)
    refused = OutputError(
        f"{path} cannot be written: the file that was made is not readable",
        hint="Choose another folder or format.",
        code="not-written",
    )
    if failure is not None:
        failure.add_note(native.text)
    raise refused from failure


def _raise_for_disk(draft: Path, size: int, path: Path) -> None:
    """Ask the disk what it has against the file, as ITK does not tell: write as many bytes as it may need."""
    try:
        with open(draft, "ab") as file:
            for _ in range(size // _CHUNK + 1):
                file.write(bytes(_CHUNK))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise output_error(path, error) from error
