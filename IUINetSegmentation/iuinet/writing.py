"""Writes results: label maps, segmentations that Slicer opens, and JSON. Each file is complete or absent."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from .errors import IUINetError, OutputError, UsageError
from .files import atomic, output_error
from .labels import ALGORITHM, Organ, segment_tags
from .native_output import captured_native_output
from .report import algorithm_name, provenance
from .volume import Grid

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
    """A SimpleITK image with a copy of the voxels, array (k, j, i), at the grid's place in the patient.

    >>> image_on_grid(np.zeros((2, 3, 4), np.uint8), Grid((4, 3, 2), (1, 1, 5))).GetSpacing()
    (1.0, 1.0, 5.0)
    """
    image = sitk.GetImageFromArray(array)
    image.SetSpacing([float(step) for step in grid.spacing])
    image.SetOrigin([float(part) for part in grid.origin])
    image.SetDirection(np.asarray(grid.direction, dtype=float).ravel().tolist())
    return image


def write_json(path: str | os.PathLike, document: Any, overwrite: bool = False) -> None:
    """Write a document as JSON in UTF-8.

    Raises: as ``atomic`` does, and ValueError for NaN.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_json(Path(folder, "report.json"), {"organs": 13})
    ...     json.loads(Path(folder, "report.json").read_text())
    {'organs': 13}
    """
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic(path, overwrite) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")


def write_labels(
    path: str | os.PathLike,
    labels: sitk.Image,
    organs: Sequence[Organ],
    overwrite: bool = False,
    report: Mapping[str, Any] | None = None,
) -> None:
    """Write a label map, compressed; ``.seg.nrrd`` as a segmentation that Slicer opens.

    labels: 3-D, integer, 0 for background and the organs' label ids. Its metadata (a series that was read
    from DICOM brings the patient's name) is not written.
    organs: what the ids mean. Organs without voxels make no segment.
    report: the run's; a segmentation then says with what it was made, in the words of ``report.provenance``.
    Raises: UsageError for an ending not in ENDINGS or an existing file, OutputError for what the disk
    refuses, IUINetError "labels" for ids that no organ has.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_labels(Path(folder, "ct.seg.nrrd"), sitk.Image(4, 4, 4, sitk.sitkUInt8), organs=[])
    ...     os.listdir(folder)
    ['ct.seg.nrrd']
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
        for key, value in _segmentation_fields(image, found, report).items():
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
    """Write, and read it again: on a full disk ITK leaves half a NIfTI file without an error."""
    failure: RuntimeError | None = None
    with captured_native_output() as native:
        try:
            sitk.WriteImage(image, str(draft), useCompression=True, imageIO=writer_name)
            again = sitk.ReadImage(str(draft), imageIO=writer_name)
        except RuntimeError as error:
            failure = error
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
    """Find out why the disk refuses the file, as ITK does not report it: write the bytes it may need."""
    try:
        with open(draft, "ab") as file:
            for _ in range(size // _CHUNK + 1):
                file.write(bytes(_CHUNK))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise output_error(path, error) from error


# The header by which Slicer opens a label map as a segmentation ---------------------------------------
#
# The fields are those of Slicer's segmentation storage node: per segment a numbered group, and a few for the
# whole file (Slicer's documentation, "Segmentations", file format). They are plain NRRD key/value pairs, so
# every other NRRD reader sees the same file as a label map.


REPRESENTATION = "Binary labelmap"


def _segmentation_fields(
    image: sitk.Image, organs: Sequence[Organ], report: Mapping[str, Any] | None
) -> dict[str, str]:
    """Key/value pairs for a label map that holds these organs; leave out an organ without voxels.

    All segments share the one label map, so each has its whole extent, as in files that Slicer writes.
    """
    extent = " ".join(f"0 {size - 1}" for size in image.GetSize())
    algorithm = ALGORITHM if report is None else algorithm_name(report)
    fields = {} if report is None else provenance(report)
    fields |= {
        "Segmentation_ContainedRepresentationNames": f"{REPRESENTATION}|",
        "Segmentation_ConversionParameters": _reference_geometry(image),
        "Segmentation_MasterRepresentation": REPRESENTATION,
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
    }
    for number, organ in enumerate(organs):
        tags = segment_tags(organ, algorithm)
        segment = {
            "ID": f"Segment_{organ.label}",
            "Name": organ.name,
            # Else a change of the terminology in Slicer would replace name and colour.
            "NameAutoGenerated": "0",
            "Color": " ".join(f"{part / 255:.6f}" for part in organ.color),
            "ColorAutoGenerated": "0",
            "Extent": extent,
            "Layer": "0",
            "LabelValue": str(organ.label),
            # A name is the model's, and here nothing can be escaped.
            "Tags": "".join(f"{name}:{value}|" for name, value in tags.items() if "|" not in value),
        }
        fields |= {f"Segment{number}_{name}": value for name, value in segment.items() if value}
    return fields


def _reference_geometry(image: sitk.Image) -> str:
    """The scan's grid, so that Slicer goes on with its voxels when a segment is edited.

    "name|value|description&"; the value is the 4 x 4 matrix from voxel index to RAS mm, then the extent.
    """
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    matrix[:3, 3] = image.GetOrigin()
    matrix[:2] *= -1  # LPS to RAS
    matrix += 0.0  # no negative zeros
    extent = [end for size in image.GetSize() for end in (0, size - 1)]
    value = "".join(f"{float(number)!r};" for number in matrix.ravel())
    value += "".join(f"{number};" for number in extent)
    return f"Reference image geometry|{value}|Grid of the scan.&"
