"""From the stored pixels of a DICOM slice to Hounsfield units.

Plain pixels are unpacked here, compressed ones by GDCM (inside SimpleITK), one file at a time. Reading
a whole series through ITK instead would be wrong in two measured ways: it forces every slice into the
pixel type of the first (a rescale slope of 0.5 on another slice is cut to whole numbers), and 32 bits
allocated with 20 stored become wrong values without any message.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk

from iuinet.errors import InputRefused
from iuinet.files import check_letters
from iuinet.native_output import captured_native_output

from .dicom_header import DEFLATED, EXPLICIT_BIG_ENDIAN, PixelLayout, Slice, cut_off

RLE = "1.2.840.10008.1.2.5"
PLAIN = frozenset({"", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", EXPLICIT_BIG_ENDIAN})
COMPRESSED = frozenset(
    {RLE, DEFLATED}
    | {f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70)}  # JPEG: baseline, extended, lossless (2)
    | {f"1.2.840.10008.1.2.4.{n}" for n in (80, 81, 90, 91)}  # JPEG-LS (2), JPEG 2000 (2)
)
GREY = ("MONOCHROME1", "MONOCHROME2")


def _codec_name(transfer_syntax: str) -> str:
    """The standard's name of the encoding, or its number where it is unknown."""
    return pydicom.uid.UID(transfer_syntax).name or "none"


def check_layout(slices: Sequence[Slice]) -> None:
    """Refuses what cannot be decoded, from the headers alone.

    Raises: InputRefused "codec-missing", "vector-pixels", "pixel-layout", "bad-rescale", "enhanced-rescale".

    >>> from pydicom.data import get_testdata_file
    >>> from iuinet.reading.dicom_header import read_slices
    >>> check_layout(read_slices(Path(get_testdata_file("CT_small.dcm"))))
    """
    for piece in slices:
        layout = piece.layout
        if layout.transfer_syntax not in PLAIN | COMPRESSED:
            raise InputRefused(
                f"{piece.path.name} is encoded as {_codec_name(layout.transfer_syntax)}, "
                "which this program cannot decode.",
                hint="Export the series uncompressed, or decompress it first, e.g. with gdcmconv --raw.",
                code="codec-missing",
            )
        if layout.samples != 1 or layout.photometric not in GREY:
            raise InputRefused(
                f"{piece.path.name} is a colour image ({layout.photometric or 'no grey values'}, "
                f"{layout.samples} samples per pixel); a CT has one grey value per pixel.",
                hint="Choose the series with the CT images, not a screen shot or a fused view.",
                code="vector-pixels",
            )
        _check_bits(piece)
        finite = np.isfinite([piece.slope, piece.intercept]).all()
        if not finite or piece.slope == 0 or layout.has_modality_table:
            table = " and a look-up table" if layout.has_modality_table else ""
            raise InputRefused(
                f"The rescale of {piece.label} does not give Hounsfield units: slope {piece.slope:g}, "
                f"intercept {piece.intercept:g}{table}.",
                hint="Export the original CT images from the scanner or the archive.",
                code="bad-rescale",
            )
    _check_frames(slices)


def _check_bits(piece: Slice) -> None:
    layout = piece.layout
    fits = layout.stored - 1 <= layout.high < layout.allocated and layout.stored >= 1
    known = layout.allocated in (8, 16, 32) and fits and not layout.extent.floating
    if not known or min(layout.rows, layout.columns) < 1:
        raise InputRefused(
            f"The pixels of {piece.path.name} have an unknown layout: {layout.columns} x {layout.rows}, "
            f"{layout.allocated} bits allocated, {layout.stored} stored, highest bit {layout.high}.",
            hint="Export the series again as CT images with 16 bits.",
            code="pixel-layout",
        )
    needed = layout.rows * layout.columns * layout.frames * layout.allocated // 8
    if layout.extent.length is not None and layout.extent.length < needed:
        raise cut_off(piece.path, f"{layout.extent.length} of {needed} bytes of pixels are there")


def decode(slices: Sequence[Slice]) -> np.ndarray:
    """(slices, rows, columns) in HU, in the given order; int16 where the values fit, else wider.

    Slices may differ in rescale, encoding and bits.
    Raises: InputRefused "codec-failed", which names the file.

    >>> from pydicom.data import get_testdata_file
    >>> from iuinet.reading.dicom_header import read_slices
    >>> decode(read_slices(Path(get_testdata_file("CT_small.dcm")))).shape
    (1, 128, 128)
    """
    array: np.ndarray | None = None
    cache: dict[Path, np.ndarray] = {}
    for n, piece in enumerate(slices):
        values = _compact(_decode_slice(piece, cache))
        if array is None:
            array = np.empty((len(slices), *values.shape), values.dtype)
        elif not np.can_cast(values.dtype, array.dtype):
            array = array.astype(np.result_type(array, values))
        array[n] = values
    if array is None:
        raise ValueError("no slices")
    return array


def _decode_slice(piece: Slice, cache: dict[Path, np.ndarray]) -> np.ndarray:
    """Rows x columns in HU. ``cache`` keeps the frames of the last compressed multi-frame file."""
    layout = piece.layout
    if layout.extent.offset is not None:
        values = layout.rows * layout.columns
        with open(piece.path, "rb") as file:
            file.seek(layout.extent.offset + piece.frame * values * layout.allocated // 8)
            stored = np.fromfile(file, _stored_dtype(layout), values)
        return _rescale(_unpack(stored, layout), piece)
    if piece.path not in cache:
        cache.clear()
        cache[piece.path] = _decode_file(piece)
    return cache[piece.path][piece.frame]


def _decode_file(piece: Slice) -> np.ndarray:
    """All frames of a compressed file in HU; every frame has the first one's rescale (see _check_frames)."""
    layout = piece.layout
    shape = (layout.frames, layout.rows, layout.columns)
    if layout.transfer_syntax == DEFLATED:
        return _rescale(_unpack(_stored_by_pydicom(piece), layout), piece).reshape(shape)
    check_letters(piece.path)
    with captured_native_output() as native:
        try:
            image = sitk.ReadImage(str(piece.path), imageIO="GDCMImageIO")
            return sitk.GetArrayFromImage(image).reshape(shape)
        except (RuntimeError, ValueError) as error:
            failure = error
    if layout.transfer_syntax == RLE:  # GDCM does not know RLE with 8 bits or fewer stored in more
        return _rescale(_unpack(_stored_by_pydicom(piece), layout), piece).reshape(shape)
    failure.add_note(native.text)
    raise InputRefused(
        f"The pixels of {piece.path.name} could not be decoded ({_codec_name(layout.transfer_syntax)}, "
        f"{layout.stored} bits): the file is damaged or its encoding is unusual.",
        hint="Export the series uncompressed, or decompress it first, e.g. with gdcmconv --raw.",
        code="codec-failed",
    ) from failure


def _stored_by_pydicom(piece: Slice) -> np.ndarray:
    """The stored values, flat, of what pydicom decodes with numpy alone."""
    layout = piece.layout
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds = pydicom.dcmread(piece.path)
            if layout.transfer_syntax == DEFLATED:
                count = layout.frames * layout.rows * layout.columns
                return np.frombuffer(ds.PixelData, _stored_dtype(layout), count)
            return ds.pixel_array.astype(_stored_dtype(layout)).ravel()
    except Exception as error:  # pydicom answers broken bytes with nearly every type of exception
        raise InputRefused(
            f"The pixels of {piece.path.name} could not be decoded ({_codec_name(layout.transfer_syntax)}): "
            "the file is damaged or cut off.",
            hint="Copy the series again from its source.",
            code="codec-failed",
        ) from error


def _stored_dtype(layout: PixelLayout) -> np.dtype:
    order = ">" if layout.transfer_syntax == EXPLICIT_BIG_ENDIAN else "<"
    return np.dtype(f"{order}u{layout.allocated // 8}")


def _unpack(stored: np.ndarray, layout: PixelLayout) -> np.ndarray:
    """int64 values of the stored bits: what lies above or below them (old overlays) is dropped."""
    values = stored.astype(np.int64).reshape(-1, layout.rows, layout.columns)
    values = (values >> (layout.high + 1 - layout.stored)) & ((1 << layout.stored) - 1)
    if layout.signed:
        sign = 1 << (layout.stored - 1)
        values = (values ^ sign) - sign
    return values[0] if len(values) == 1 else values


def _rescale(values: np.ndarray, piece: Slice) -> np.ndarray:
    if piece.slope.is_integer() and piece.intercept.is_integer():
        return values * int(piece.slope) + int(piece.intercept)
    return values * piece.slope + piece.intercept


def _compact(values: np.ndarray) -> np.ndarray:
    """The smallest of int16, int32, int64 that holds the values; float32 for fractions of HU."""
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    low, high = int(values.min()), int(values.max())
    for dtype in (np.int16, np.int32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return values.astype(dtype)
    return values


def _check_frames(slices: Sequence[Slice]) -> None:
    """GDCM applies the first frame's rescale to all frames of a compressed file: refuse where they differ."""
    first: dict[Path, Slice] = {}
    for piece in slices:
        other = first.setdefault(piece.path, piece)
        same = (piece.slope, piece.intercept) == (other.slope, other.intercept)
        if piece.layout.extent.offset is None and not same:
            raise InputRefused(
                f"The frames of {piece.path.name} are compressed and have different rescales "
                f"(slope {other.slope:g} and {piece.slope:g}); they cannot be read rightly.",
                hint="Decompress the file first, e.g. with gdcmconv --raw, or export single slices.",
                code="enhanced-rescale",
            )
