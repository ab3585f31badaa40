"""One DICOM file's header, read without its pixels: what is needed to order, place and decode it.

Tags and their meaning: DICOM PS3.3 C.7.6.2 (image plane), C.7.6.3 (pixels), C.7.6.16 (functional groups
of enhanced multi-frame images), C.11.1 (rescale).
"""

from __future__ import annotations

import contextlib
import math
import os
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, BinaryIO

import pydicom

from iuinet.errors import InputRefused

MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"  # DICOMDIR
TAGS = [
    *("SOPClassUID", "SOPInstanceUID", "ImageType", "Modality", "StudyInstanceUID", "SeriesInstanceUID"),
    *("SeriesNumber", "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
    *("SliceThickness", "SpacingBetweenSlices", "NumberOfFrames", "Rows", "Columns", "SamplesPerPixel"),
    *("PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
]


@dataclass(frozen=True)
class PixelLayout:
    """How the pixels of one file are stored. Bits as in the header; ``extent``: where the bytes lie."""

    transfer_syntax: str
    rows: int
    columns: int
    frames: int
    allocated: int
    stored: int
    high: int
    signed: bool
    samples: int
    photometric: str
    has_modality_table: bool
    extent: PixelExtent


@dataclass(frozen=True)
class Slice:
    """One image plane: a file, or one frame of an enhanced file. Lengths in mm, positions in LPS."""

    path: Path
    frame: int
    layout: PixelLayout
    uid: str
    series_uid: str
    series_key: str
    series_number: str
    modality: str | None
    image_type: tuple[str, ...]
    number: str
    position: tuple[float, float, float] | None
    position_digits: tuple[int, int, int]
    orientation: tuple[float, ...] | None
    pixel_spacing: tuple[float, float] | None
    thickness: float | None
    slope: float
    intercept: float

    @property
    def label(self) -> str:
        """How messages name the slice: its number in the series, and its file."""
        frame = f", frame {self.frame + 1}" if self.layout.frames > 1 else ""
        number = f" {self.number}" if self.number else ""
        return f"slice{number} (file {self.path.name}{frame})"


@contextlib.contextmanager
def quiet_pydicom() -> Iterator[None]:
    """pydicom warns of harmless slips in real headers; what matters here is checked and refused by name.

    Python's warning filters are global: not safe with threads.

    >>> with quiet_pydicom():
    ...     warnings.warn("not shown")
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def is_dicom(head: bytes) -> bool:
    """True for the first 132 bytes of a DICOM file, or of an old one without preamble.

    Without preamble the file starts with a small element of group 0008 (or 0002), little endian: its
    type in two capital letters, or a length that needs no more than two bytes.

    >>> is_dicom(bytes(128) + b"DICM")
    True
    """
    if head[128:132] == b"DICM":
        return True
    typed = head[4:6].isalpha() and head[4:6].isupper()
    return len(head) >= 8 and head[0] in (2, 8) and head[1] == head[3] == 0 and (typed or not any(head[6:8]))


def read_slices(path: Path) -> list[Slice]:
    """The image planes in a DICOM file; none where it holds no image (report, plan, DICOMDIR).

    Raises: InputRefused "file-damaged" for a header that cannot be read, "file-cut" where pixels are missing.

    >>> from pydicom.data import get_testdata_file
    >>> read_slices(Path(get_testdata_file("CT_small.dcm")))[0].modality
    'CT'
    """
    try:
        with open(path, "rb") as file:
            ds = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=TAGS, force=True)
            if not _is_image(ds):
                return []
            return _slices_of(path, ds, file)
    except (InputRefused, PermissionError):
        raise
    except Exception as error:  # pydicom answers broken bytes with nearly every type of exception
        raise InputRefused(
            f"The DICOM header of {path.name} cannot be read: the file is damaged or cut off.",
            hint="Copy the series again from its source.",
            code="file-damaged",
        ) from error


def _is_image(ds: pydicom.Dataset) -> bool:
    media = ds.file_meta.get("MediaStorageSOPClassUID", "") if hasattr(ds, "file_meta") else ""
    sop_class = pydicom.uid.UID(str(ds.get("SOPClassUID") or media))
    if sop_class == MEDIA_DIRECTORY:
        return False
    # Without a class it is an image if it has a size, or if a true DICOM header ends before its class.
    return "Image" in sop_class.name or "Rows" in ds or (not sop_class and ds.preamble is not None)


def _slices_of(path: Path, ds: pydicom.Dataset, file: BinaryIO) -> list[Slice]:
    syntax = str(ds.file_meta.get("TransferSyntaxUID", "")) if hasattr(ds, "file_meta") else ""
    frames = int(ds.get("NumberOfFrames") or 1)
    allocated = int(ds.get("BitsAllocated") or 0)
    stored = int(ds.get("BitsStored") or allocated)
    layout = PixelLayout(
        transfer_syntax=syntax,
        rows=int(ds.get("Rows") or 0),
        columns=int(ds.get("Columns") or 0),
        frames=frames,
        allocated=allocated,
        stored=stored,
        high=int(ds.HighBit) if ds.get("HighBit") is not None else stored - 1,
        signed=bool(ds.get("PixelRepresentation")),
        samples=int(ds.get("SamplesPerPixel") or 1),
        photometric=str(ds.get("PhotometricInterpretation") or ""),
        has_modality_table="ModalityLUTSequence" in ds,
        extent=_find_pixels(file, path, syntax),
    )
    shared = _first(ds, "SharedFunctionalGroupsSequence")
    per_frame = ds.get("PerFrameFunctionalGroupsSequence") or []
    if len(per_frame) not in (0, frames):
        raise ValueError(f"{len(per_frame)} functional groups for {frames} frames")
    groups = per_frame or [pydicom.Dataset()] * frames
    return [_slice(path, n, layout, ds, frame, shared) for n, frame in enumerate(groups)]


def _slice(path: Path, n: int, layout: PixelLayout, ds: Any, frame: Any, shared: Any) -> Slice:
    def value(sequence: str, keyword: str) -> Any:
        """From the frame's functional group, else the shared one, else (classic files) the data set."""
        for source in (_first(frame, sequence), _first(shared, sequence), ds):
            if source.get(keyword) not in (None, ""):
                return source.get(keyword)
        return None

    position = value("PlanePositionSequence", "ImagePositionPatient")
    if layout.frames > 1 and "PlanePositionSequence" not in frame:
        position = None  # one position in the header cannot place several frames
    orientation = value("PlaneOrientationSequence", "ImageOrientationPatient")
    pixel_spacing = value("PixelMeasuresSequence", "PixelSpacing")
    steps = (value("PixelMeasuresSequence", word) for word in ("SpacingBetweenSlices", "SliceThickness"))
    thickness = next((step for step in steps if step is not None), None)
    slope = value("PixelValueTransformationSequence", "RescaleSlope")
    intercept = value("PixelValueTransformationSequence", "RescaleIntercept")
    series_uid = str(ds.get("SeriesInstanceUID") or "")
    series_number = "" if ds.get("SeriesNumber") is None else str(ds.SeriesNumber)
    return Slice(
        path=path,
        frame=n,
        layout=layout,
        uid=str(ds.get("SOPInstanceUID") or ""),
        series_uid=series_uid,
        # An anonymiser may empty the UID: then study and number tell series apart as well as they can.
        series_key=series_uid or f"{ds.get('StudyInstanceUID', '')}/{series_number}",
        series_number=series_number,
        modality=str(ds.Modality).strip() or None if ds.get("Modality") else None,
        image_type=tuple(str(word).upper() for word in _several(ds.get("ImageType"))),
        number="" if layout.frames > 1 or ds.get("InstanceNumber") is None else str(ds.InstanceNumber),
        position=_numbers(position, 3),
        position_digits=tuple(_decimals(x) for x in position) if position is not None else (0, 0, 0),
        orientation=_numbers(orientation, 6),
        pixel_spacing=_numbers(pixel_spacing, 2),
        thickness=None if thickness is None else float(thickness),
        slope=1.0 if slope is None else float(slope),
        intercept=0.0 if intercept is None else float(intercept),
    )


def _first(ds: Any, sequence: str) -> Any:
    items = ds.get(sequence)
    return items[0] if items else pydicom.Dataset()


def _several(value: Any) -> list[Any]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    if value is None:
        return None
    numbers = tuple(float(number) for number in value)
    if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"{numbers} are not {count} finite numbers")
    return numbers


def _decimals(value: Any) -> int:
    """Digits after the point in the decimal string that the header holds."""
    try:
        exponent = Decimal(str(getattr(value, "original_string", value)).strip()).as_tuple().exponent
    except InvalidOperation:
        return 0
    return max(0, -exponent) if isinstance(exponent, int) else 0


# Where the pixel bytes lie, and whether all of them are there -----------------------------------------
#
# GDCM is called only after every file has been looked at, so a cut file is found and named before any pixel
# is decoded. Encoding: DICOM PS3.5, section 7.1 (elements) and annex A.4 (encapsulated pixels).


EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
PIXEL_DATA = (0x7FE0, 0x0010)
FLOAT_PIXEL_DATA = ((0x7FE0, 0x0008), (0x7FE0, 0x0009))  # parametric maps, never CT
ITEM, SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE0DD)
UNDEFINED_LENGTH = 0xFFFFFFFF


@dataclass(frozen=True)
class PixelExtent:
    """offset, length: bytes of the plain pixel values in the file; both None where they are encoded.

    floating: the pixels are floats, as no CT image has them.
    """

    offset: int | None
    length: int | None
    floating: bool = False


def _find_pixels(file: BinaryIO, path: Path, transfer_syntax: str) -> PixelExtent:
    """Looks at the element at which the header reader stopped.

    Raises: InputRefused "file-cut" where the file ends before its pixels do.
    """
    if transfer_syntax == DEFLATED:  # the header reader has already inflated the whole file
        return PixelExtent(None, None)
    order = ">" if transfer_syntax == EXPLICIT_BIG_ENDIAN else "<"
    head = file.read(12)
    tag = struct.unpack(order + "2H", head[:4]) if len(head) == 12 else None
    if tag in FLOAT_PIXEL_DATA:
        return PixelExtent(None, None, floating=True)
    if tag != PIXEL_DATA:
        raise cut_off(path, "it ends before the pixels")
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    if not explicit:
        file.seek(-4, os.SEEK_CUR)
    (length,) = struct.unpack(order + "I", head[8:12] if explicit else head[4:8])
    if length == UNDEFINED_LENGTH:
        _walk_fragments(file, path)
        return PixelExtent(None, None)
    offset, size = file.tell(), os.fstat(file.fileno()).st_size
    if size - offset < length:
        raise cut_off(path, f"{max(0, size - offset)} of {length} bytes of pixels are there")
    return PixelExtent(offset, length)


def _walk_fragments(file: BinaryIO, path: Path) -> None:
    size = os.fstat(file.fileno()).st_size
    while True:
        head = file.read(8)
        if len(head) < 8:
            raise cut_off(path, "its compressed pixels have no end")
        group, element, length = struct.unpack("<2HI", head)
        if (group, element) == SEQUENCE_END:
            return
        if (group, element) != ITEM or file.tell() + length > size:
            raise cut_off(path, "its compressed pixels have no end")
        file.seek(length, os.SEEK_CUR)


def cut_off(path: Path, how: str) -> InputRefused:
    """The refusal for a file that is not whole. how: what shows it.

    >>> cut_off(Path("ct.dcm"), "it ends before the pixels").message
    'The DICOM file ct.dcm is cut off or damaged: it ends before the pixels.'
    """
    return InputRefused(
        f"The DICOM file {path.name} is cut off or damaged: {how}.",
        hint="Copy the series again from its source.",
        code="file-cut",
    )
