"""Writes a result as a DICOM Segmentation (SEG) that belongs to the CT series it was made from.

The format is that of DICOM PS3.3 A.51 and C.8.20: binary segments with names, codes and colours, and for each
of their frames the image that it was drawn on. highdicom writes it; it is an extra, imported here alone.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom

from . import __version__
from .errors import InputRefused, IUINetError, OutputError, UsageError
from .files import atomic
from .labels import Code, Organ, Terminology
from .report import algorithm_name
from .volume import Volume

if TYPE_CHECKING:
    import highdicom

ENDING = ".dcm"
# For an organ of which the model names no code: the most general term, which Slicer takes then, too.
TISSUE = Code("SCT", "85756007", "Tissue")
SERIES_STEP = 100  # the SEG's series number is the CT's and this, as Slicer numbers it
# Without these there is nothing that the SEG could refer to (PS3.3, type 1).
NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
# Must be there, and may be empty (PS3.3 C.7.1.1, C.7.2.1, C.7.4.1, type 2); anonymisers leave them out.
MAY_BE_EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName", "PositionReferenceIndicator"),
)
# Where the images lie. What is not named here or above is not read, and so cannot get into the SEG.
PLACE = (
    *("Modality", "ImageType", "SeriesNumber", "InstanceNumber", "Rows", "Columns", "NumberOfFrames"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
    *("SpacingBetweenSlices", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
_LONGEST = 64  # letters of a text of the type LO


def check_dicom_seg(volume: Volume | None = None) -> None:
    """Refuse what could not be written in the end. volume: the CT, None while it is not read.

    Raises: UsageError "no-highdicom", or "seg-without-dicom" for a CT that is not DICOM.

    >>> from .volume import Grid
    >>> check_dicom_seg(Volume(np.zeros((1, 1, 1)), Grid((1, 1, 1), (1, 1, 1))))  # doctest: +SKIP
    Traceback (most recent call last):
    iuinet.errors.UsageError: A DICOM segmentation refers to the images of a DICOM series, but the CT is none.
    """
    if importlib.util.find_spec("highdicom") is None:
        raise UsageError(
            "A DICOM segmentation needs highdicom, which is not installed.",
            hint="Install it with 'pip install iuinet[dicomseg]', or write .seg.nrrd or .nii.gz.",
            code="no-highdicom",
        )
    if volume is not None and not volume.slices:
        raise UsageError(
            "A DICOM segmentation refers to the images of a DICOM series, but the CT is none.",
            hint="Give the DICOM folder of the CT, or write .seg.nrrd or .nii.gz.",
            code="seg-without-dicom",
        )


def write_dicom_seg(
    path: str | os.PathLike,
    labels: np.ndarray,
    organs: Sequence[Organ],
    volume: Volume,
    report: Mapping[str, Any],
    overwrite: bool = False,
    person: str | None = None,
) -> None:
    """Write labels as a DICOM SEG of the series that the volume was read from, complete or absent.

    labels: uint8 (k, j, i) on the volume's grid, 0 for background. organs: what the ids mean; one without
    voxels makes no segment. Segments are numbered 1, 2, ... in the order of the organs, as DICOM demands.
    Of the patient and the study the SEG holds MAY_BE_EMPTY and the UIDs of NEEDED, which DICOM demands,
    copied from the first image as they stand there: a series without names gives a SEG without names.
    person: stands for the patient's name and number instead; all else of MAY_BE_EMPTY then is empty.
    Raises: those of ``check_dicom_seg`` and ``atomic``; InputRefused "seg-source" for a series whose headers
    lack an identifier; OutputError "seg-empty" where no organ was found.

    >>> write_dicom_seg("organs.dcm", result.labels, result.organs, volume, result.report)  # doctest: +SKIP
    """
    check_dicom_seg(volume)
    present = set(np.unique(labels).tolist())
    found = [organ for organ in organs if organ.label in present]
    if present - {0, *(organ.label for organ in found)}:
        raise IUINetError("labels that belong to no organ cannot be written", code="labels")
    if not found:
        raise OutputError(
            "No organ was found, and a DICOM segmentation cannot be empty.",
            hint="Check that the CT shows the abdomen; .seg.nrrd and .nii.gz may be empty.",
            code="seg-empty",
        )
    numbers = np.zeros(256, np.uint8)
    numbers[[organ.label for organ in found]] = np.arange(1, len(found) + 1)
    with _quiet_libraries():
        images, order = _source_images(volume)
        if person is not None:
            _rename(images, person)
        document = _document(images, numbers[labels[order]], found, report)
    with atomic(path, overwrite) as draft:
        document.save_as(draft, enforce_file_format=True)


def _source_images(volume: Volume) -> tuple[list[pydicom.Dataset], list[int]]:
    """The headers of the CT's images, and the number of the volume's slice for each of their frames.

    One image per slice, or a single one (enhanced CT) whose frames may lie in any order.
    """
    files = list(dict.fromkeys(path for path, _ in volume.slices))
    images = [_header(path) for path in files]
    frames = int(images[0].get("NumberOfFrames") or 1)
    if len(images) != len(volume.slices) and (len(images) > 1 or frames != len(volume.slices)):
        raise InputRefused(
            f"The CT's {len(volume.slices)} slices are not the whole of its {len(images)} multi-frame files.",
            hint="Write .seg.nrrd or .nii.gz.",
            code="seg-source",
        )
    return images, sorted(range(len(volume.slices)), key=lambda k: (len(images) == 1, volume.slices[k][1], k))


def _rename(images: list[pydicom.Dataset], person: str) -> None:
    """Take what names a patient, or the visit, out of the headers that the SEG is made from."""
    for image in images:
        for keyword in MAY_BE_EMPTY:
            setattr(image, keyword, None)
        image.PatientName = image.PatientID = person


def _header(path: Path) -> pydicom.Dataset:
    """An image's header with what a SEG takes from it."""
    try:
        header = pydicom.dcmread(
            path, stop_before_pixels=True, specific_tags=[*NEEDED, *MAY_BE_EMPTY, *PLACE]
        )
    except (OSError, pydicom.errors.InvalidDicomError) as error:
        raise InputRefused(
            f"The file {path.name} cannot be read again.",
            hint="Keep the CT in its place during the run.",
            code="file-unreadable",
        ) from error
    for keyword in NEEDED:
        if not header.get(keyword):
            raise InputRefused(
                f"The header of {path.name} holds no {keyword}, so a DICOM segmentation cannot refer to it.",
                hint="Export the series again from its archive, or write .seg.nrrd or .nii.gz.",
                code="seg-source",
            )
    for keyword in MAY_BE_EMPTY:
        if keyword not in header:
            setattr(header, keyword, None)
    return header


def _document(
    images: list[pydicom.Dataset], numbers: np.ndarray, found: Sequence[Organ], report: Mapping[str, Any]
) -> highdicom.seg.Segmentation:
    """The SEG. numbers: of the segments, (frame, row, column), in the order of the images' frames."""
    import highdicom

    weights = report["weights"]
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=algorithm_name(report),
        family=highdicom.sr.CodedConcept("123109", "DCM", "Artificial Intelligence"),
        version=str(weights["version"])[:_LONGEST],
        source="IUINet",
    )
    return highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=numbers,
        segmentation_type="BINARY",  # what every reader of SEG knows; LABELMAP came in 2024
        segment_descriptions=[
            _description(number, organ, algorithm) for number, organ in enumerate(found, start=1)
        ],
        series_instance_uid=highdicom.UID(),
        series_number=int(images[0].get("SeriesNumber") or 0) + SERIES_STEP,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="IUINet",
        manufacturer_model_name="IUINet",
        software_versions=__version__,
        # Which model, beyond doubt: a hash has just the 64 letters that there are.
        device_serial_number=str(weights["sha256"])[:_LONGEST],
        content_label="ORGANS",
        content_description="Organs of the abdomen, not checked by a person",
        series_description=f"{algorithm_name(report)[: _LONGEST - 9]} (organs)",
    )


def _description(number: int, organ: Organ, algorithm: object) -> highdicom.seg.SegmentDescription:
    """One segment's name, codes and colour."""
    import highdicom

    def concept(code: Code) -> highdicom.sr.CodedConcept:
        return highdicom.sr.CodedConcept(code.value, code.scheme, code.meaning)

    terms = organ.terminology or Terminology(TISSUE, category=TISSUE)
    segment = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=organ.name.replace("\\", " ")[:_LONGEST],
        segmented_property_category=concept(terms.category),
        segmented_property_type=concept(terms.type),
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm,
        display_color=highdicom.color.CIELabColor.from_rgb(*organ.color),
    )
    if terms.modifier is not None:  # the side; highdicom has no parameter for it
        modifier = concept(terms.modifier)
        segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [modifier]
    return segment


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """pydicom and highdicom speak of slips in headers that are read here only in part."""
    logger = logging.getLogger("highdicom")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
