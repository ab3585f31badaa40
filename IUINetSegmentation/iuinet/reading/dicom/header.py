"""One DICOM file's header, read without its pixels: what is needed to order, place and decode it.

Tags and their meaning: DICOM PS3.3 C.7.6.2 (image plane), C.7.6.3 (pixels), C.7.6.16 (functional groups
of enhanced multi-frame images), C.11.1 (rescale).
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom

from iuinet.errors import InputRefused

from .extent import DEFLATED, PixelExtent, cut_off, find_pixels, inflated_header

STANDARD = "1.2.840.10008."  # how the UIDs of the standard itself start
MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"  # DICOMDIR
# What tells acquisitions, phases and reconstructions apart; slices of one scan share it, or it changes once.
ACQUISITION = (
    *("AcquisitionNumber", "AcquisitionUID", "IrradiationEventUID", "AcquisitionTime", "AcquisitionDateTime"),
    *("TemporalPositionIdentifier", "TriggerTime", "NominalPercentageOfCardiacPhase", "ConvolutionKernel"),
    *("KVP", "ContrastBolusAgent", "SeriesDescription", "SeriesTime", "FrameOfReferenceUID", "ImageType"),
)
FRAME_ACQUISITION = {  # the same in the functional groups of an enhanced file
    "FrameContentSequence": ("FrameAcquisitionNumber", "FrameAcquisitionDateTime", "TemporalPositionIndex"),
    "CardiacSynchronizationSequence": ("NominalPercentageOfCardiacPhase", "NominalCardiacTriggerDelayTime"),
    "CTReconstructionSequence": ("ConvolutionKernel",),
}
LARGEST = 1e7  # mm, HU or HU per step: no true number in the header of a CT is larger
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
BINARY_NUMBERS = ("FD", "FL", "SS", "US", "SL", "UL", "SV", "UV")
TAGS = [
    *("SOPClassUID", "SOPInstanceUID", "ImageType", "Modality", "StudyInstanceUID", "SeriesInstanceUID"),
    *("SeriesNumber", "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
    *("SliceThickness", "SpacingBetweenSlices", "NumberOfFrames", "Rows", "Columns", "SamplesPerPixel"),
    *("PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept"),
    *("ModalityLUTSequence", *ACQUISITION),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
]


@dataclass(frozen=True)
class PixelLayout:
    """How the pixels of one file are stored. Bits as in the header; ``extent``: where the bytes lie.

    padding: Pixel Padding Value and Range Limit (PS3.3 C.7.5.1.1.2), words without a sign; else None.
    """

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
    padding: tuple[int, int] | None = None

    @property
    def frame_bits(self) -> int:
        """Bits of the plain values of one frame."""
        return self.rows * self.columns * self.samples * self.allocated


@dataclass(frozen=True)
class Slice:
    """One image plane: a file, or one frame of an enhanced file. Lengths in mm, positions in LPS.

    acquisition: what the header holds of ACQUISITION, by keyword.
    """

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
    orientation: tuple[float, ...] | None
    pixel_spacing: tuple[float, float] | None
    thickness: float | None
    slope: float
    intercept: float
    acquisition: dict[str, str]

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


class FileRefused(InputRefused):
    """A DICOM file that cannot be read. series_key, modality: what its header still says, else None."""

    series_key: str | None = None
    modality: str | None = None


def read_slices(path: Path) -> list[Slice]:
    """The image planes in a DICOM file; none where it holds no image (report, plan, DICOMDIR).

    Raises: FileRefused "file-damaged" for a header that cannot be read, "file-cut" where pixels are missing,
    "decimal-comma", "bad-number", "pixel-layout" for what no header may hold.

    >>> from pydicom.data import get_testdata_file
    >>> read_slices(Path(get_testdata_file("CT_small.dcm")))[0].modality
    'CT'
    """
    ds = pydicom.Dataset()
    try:
        with open(path, "rb") as file:
            deflated = inflated_header(file)
            source = deflated[0] if deflated else file
            ds = pydicom.dcmread(source, stop_before_pixels=True, specific_tags=TAGS, force=True)
            if not _is_image(ds):
                return []
            syntax = str(ds.file_meta.get("TransferSyntaxUID", "")) if hasattr(ds, "file_meta") else ""
            extent = find_pixels(source, path, DEFLATED if deflated else syntax)
            if deflated:
                syntax, offset = DEFLATED, None if extent.offset is None else extent.offset - deflated[1]
                extent = dataclasses.replace(extent, offset=offset, deflated_from=deflated[2])
            return _slices_of(path, ds, syntax, extent)
    except PermissionError:
        raise
    except InputRefused as error:
        raise _refused(error, ds) from error
    except Exception as error:  # pydicom answers broken bytes with nearly every type of exception
        damaged = InputRefused(
            f"The DICOM header of {path.name} cannot be read: the file is damaged or cut off.",
            hint="Copy the series again from its source.",
            code="file-damaged",
        )
        raise _refused(damaged, ds) from error


def _refused(error: InputRefused, ds: pydicom.Dataset) -> FileRefused:
    refused = FileRefused(error.message, hint=error.hint, code=error.code)
    with contextlib.suppress(Exception):  # the header may be broken here too
        refused.series_key = _series_key(ds) if "SeriesInstanceUID" in ds else None
        refused.modality = _text(ds, "Modality") or None
    return refused


def _series_key(ds: pydicom.Dataset) -> str:
    """An anonymiser may empty the UID: then study and number tell series apart as well as they can."""
    uid = str(ds.get("SeriesInstanceUID") or "")
    return uid or f"{ds.get('StudyInstanceUID', '')}/{_text(ds, 'SeriesNumber')}"


def _is_image(ds: pydicom.Dataset) -> bool:
    media = ds.file_meta.get("MediaStorageSOPClassUID", "") if hasattr(ds, "file_meta") else ""
    sop_class = pydicom.uid.UID(str(ds.get("SOPClassUID") or ""))
    if MEDIA_DIRECTORY in (sop_class, media):
        return False
    # A true DICOM file without a class, or with one that the standard does not know, is a damaged image.
    own = sop_class.startswith(STANDARD) or STANDARD.startswith(sop_class)
    unknown = own and sop_class.name == sop_class and ds.preamble is not None
    return "Image" in sop_class.name or "Rows" in ds or unknown


def _slices_of(path: Path, ds: pydicom.Dataset, syntax: str, extent: PixelExtent) -> list[Slice]:
    (frames,) = _numbers(path, ds, "NumberOfFrames", 1) or (1,)
    allocated = int(ds.get("BitsAllocated") or 0)
    stored = int(ds.get("BitsStored") or allocated)
    layout = PixelLayout(
        transfer_syntax=syntax,
        rows=int(ds.get("Rows") or 0),
        columns=int(ds.get("Columns") or 0),
        frames=int(frames),
        allocated=allocated,
        stored=stored,
        high=int(ds.HighBit) if ds.get("HighBit") is not None else stored - 1,
        signed=bool(ds.get("PixelRepresentation")),
        samples=int(ds.get("SamplesPerPixel") or 1),
        photometric=str(ds.get("PhotometricInterpretation") or ""),
        has_modality_table="ModalityLUTSequence" in ds,
        extent=extent,
        padding=_padding(ds),
    )
    _check_frame_count(path, layout)
    shared = _first(ds, "SharedFunctionalGroupsSequence")
    per_frame = ds.get("PerFrameFunctionalGroupsSequence") or []
    if len(per_frame) not in (0, layout.frames):
        raise ValueError(f"{len(per_frame)} functional groups for {layout.frames} frames")
    groups = per_frame or [pydicom.Dataset()] * layout.frames
    return [_slice(path, n, layout, ds, frame, shared) for n, frame in enumerate(groups)]


def _check_frame_count(path: Path, layout: PixelLayout) -> None:
    """Before anything is built for each frame: the header may claim any number of them."""
    if layout.frames < 1:
        raise InputRefused(
            f"The header of {path.name} claims {layout.frames} frames.",
            hint="Copy the series again from its source.",
            code="pixel-layout",
        )
    if layout.frames == 1 or layout.extent.floating:
        return
    length = layout.extent.length
    if length is None and layout.extent.fragments < layout.frames:
        raise cut_off(path, f"{layout.extent.fragments} of {layout.frames} compressed frames are there")
    needed = max(8, layout.frame_bits) * layout.frames // 8
    if length is not None and length < needed:
        raise cut_off(path, f"{length} of {needed} bytes of pixels are there")


def _padding(ds: pydicom.Dataset) -> tuple[int, int] | None:
    """The value and the limit as unsigned words: some writers get their sign, or their type, wrong."""
    items = [ds.get_item(word) for word in ("PixelPaddingValue", "PixelPaddingRangeLimit") if word in ds]
    words = [
        int.from_bytes(item.value, "little" if item.is_little_endian else "big")
        for item in items
        if isinstance(item.value, bytes) and len(item.value) in (2, 4)
    ]
    return (words[0], words[-1]) if words and "PixelPaddingValue" in ds else None


def _slice(path: Path, n: int, layout: PixelLayout, ds: Any, frame: Any, shared: Any) -> Slice:
    def numbers(sequence: str, keyword: str, count: int) -> tuple[float, ...] | None:
        """From the frame's functional group, else the shared one, else (classic files) the data set."""
        sources = (_first(frame, sequence), _first(shared, sequence), ds)
        found = (_numbers(path, source, keyword, count) for source in sources)
        return next((values for values in found if values is not None), None)

    position = numbers("PlanePositionSequence", "ImagePositionPatient", 3)
    if layout.frames > 1 and "PlanePositionSequence" not in frame:
        position = None  # one position in the header cannot place several frames
    thickness = None  # matters for a single slice alone
    with contextlib.suppress(InputRefused):
        step = numbers("PixelMeasuresSequence", "SpacingBetweenSlices", 1)
        thickness = (step or numbers("PixelMeasuresSequence", "SliceThickness", 1) or (None,))[0]
    return Slice(
        path=path,
        frame=n,
        layout=layout,
        uid=str(ds.get("SOPInstanceUID") or ""),
        series_uid=str(ds.get("SeriesInstanceUID") or ""),
        series_key=_series_key(ds),
        series_number=_text(ds, "SeriesNumber"),
        modality=_text(ds, "Modality") or None,
        image_type=tuple(str(word).upper() for word in _several(ds.get("ImageType"))),
        number="" if layout.frames > 1 else _text(ds, "InstanceNumber"),
        position=position,
        orientation=numbers("PlaneOrientationSequence", "ImageOrientationPatient", 6),
        pixel_spacing=numbers("PixelMeasuresSequence", "PixelSpacing", 2),
        thickness=thickness,
        slope=(numbers("PixelValueTransformationSequence", "RescaleSlope", 1) or (1.0,))[0],
        intercept=(numbers("PixelValueTransformationSequence", "RescaleIntercept", 1) or (0.0,))[0],
        acquisition=_acquisition(ds, frame),
    )


def _acquisition(ds: Any, frame: Any) -> dict[str, str]:
    found = {word: _text(ds, word) for word in ACQUISITION}
    for sequence, words in FRAME_ACQUISITION.items():
        found |= {word: _text(_first(frame, sequence), word) for word in words if sequence in frame}
    return {word: value for word, value in found.items() if value}


def _text(ds: Any, keyword: str) -> str:
    """An element that only names or compares: what is wrong with it is no reason to refuse the file."""
    with contextlib.suppress(Exception):
        value = ds.get(keyword)
        return "" if value is None else str(value).strip()
    return ""


def _first(ds: Any, sequence: str) -> Any:
    items = ds.get(sequence)
    return items[0] if items else pydicom.Dataset()


def _several(value: Any) -> list[Any]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def _numbers(path: Path, ds: Any, keyword: str, count: int) -> tuple[float, ...] | None:
    """The numbers of an element; None where it is absent or empty. Every number of a header is read here.

    Taken from the element's own text, since pydicom has no word on what is wrong with it.
    Raises: InputRefused "file-damaged", "decimal-comma", "bad-number".
    """
    item = ds.get_item(keyword) if keyword in ds else None
    if item is None or item.value in (None, b"", ""):
        return None
    if isinstance(item, pydicom.dataelem.RawDataElement) and item.VR not in BINARY_NUMBERS:
        words = item.value.decode("latin-1").strip(" \0").split("\\")
    else:
        words = [str(getattr(x, "original_string", x)) for x in _several(ds[keyword].value)]
    words = [word.strip(" \0") for word in words]
    if words == [""]:
        return None
    text = "".join(letter if letter.isprintable() else "?" for letter in "\\".join(words)[:60])
    if len(words) != count or not all(NUMBER.fullmatch(word) for word in words):
        comma = all(NUMBER.fullmatch(word.replace(",", ".", 1)) for word in words)
        code = "decimal-comma" if comma and len(words) == count else "file-damaged"
        raise _bad_number(path, keyword, text, count, code)
    values = tuple(float(word) for word in words)
    if max(map(abs, values)) > LARGEST:
        raise _bad_number(path, keyword, text, count, "bad-number")
    return values


def _bad_number(path: Path, keyword: str, text: str, count: int, code: str) -> InputRefused:
    why = {
        "decimal-comma": "numbers are written with a comma, and DICOM asks for a decimal point",
        "bad-number": f"no true value of a CT is beyond {LARGEST:.0e}",
        "file-damaged": f"{count} number{'s are' if count > 1 else ' is'} needed",
    }
    return InputRefused(
        f"The DICOM header of {path.name} cannot be read: {keyword} is '{text}', but {why[code]}.",
        hint="Export the series again with a program that writes decimal points."
        if code == "decimal-comma"
        else "Copy or export the series again from its source.",
        code=code,
    )
