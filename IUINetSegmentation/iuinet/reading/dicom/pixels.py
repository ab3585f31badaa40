"""From the stored pixels of a DICOM slice to Hounsfield units.

Plain pixels are unpacked here, compressed ones by GDCM (inside SimpleITK), one file at a time. Reading
a whole series through ITK instead would be wrong in two measured ways: it forces every slice into the
pixel type of the first (a rescale slope of 0.5 on another slice is cut to whole numbers), and 32 bits
allocated with 20 stored become wrong values without any message. GDCM also turns MONOCHROME1 round, though
that element speaks of the display alone (PS3.3 C.7.6.3.1.2), gives all frames the first one's rescale, and
none where it does not know the class of the file. So it gets the bare pixels, and the rescale is done here.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from scipy import ndimage

from iuinet.errors import InputRefused
from iuinet.files import check_letters
from iuinet.leftovers import PrivateFolder, no_place
from iuinet.memory import free_memory
from iuinet.native_output import captured_native_output

from .extent import DEFLATED, EXPLICIT_BIG_ENDIAN, read_deflated
from .header import PixelLayout, Slice
from .layout import RLE, codec_name

AIR = -1000  # HU, what padding becomes
LEVELS = (5, 50, 95)  # percentiles by which a slice is compared with its neighbours,
SAMPLED = 4  # on every so many rows and columns
MOVED_HU = 200.0  # more than two neighbouring slices of a body differ in these, padding apart
FAR_HU = 5000.0  # and more than any two slices do
BRIGHTEST = 3000  # HU; above it no tissue, so padding with such a value is padding wherever it lies


def decode(slices: Sequence[Slice]) -> np.ndarray:
    """(slices, rows, columns) in HU, in the given order; int16 where the values fit, else wider.

    Slices may differ in rescale and encoding.
    Raises: InputRefused "codec-failed", "file-cut", which name the file, "bad-rescale" for a slice that is
    far brighter or darker than those beside it, "too-large".

    >>> from pydicom.data import get_testdata_file
    >>> from iuinet.reading.dicom.header import read_slices
    >>> decode(read_slices(Path(get_testdata_file("CT_small.dcm")))).shape
    (1, 128, 128)
    """
    _check_memory(slices)
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
    _check_outliers(slices, array)
    return array


def _check_memory(slices: Sequence[Slice]) -> None:
    """Compressed pixels take what their headers claim, not what the files hold."""
    first, free = slices[0].layout, free_memory()
    needed = len(slices) * first.rows * first.columns * np.dtype(np.int16).itemsize
    if free is not None and needed > free:
        raise InputRefused(
            f"The series needs {needed / 1e9:.1f} GB of memory ({len(slices)} slices of {first.columns} x "
            f"{first.rows}), but {free / 1e9:.1f} GB are free.",
            hint="Close other programs, or export a part of the series.",
            code="too-large",
        )


def _check_outliers(slices: Sequence[Slice], array: np.ndarray) -> None:
    """A slice that its own rescale moves away from its neighbours, which the others' rescale would not."""
    rescales = [(piece.slope, piece.intercept) for piece in slices]
    (slope, intercept), count = Counter(rescales).most_common(1)[0]
    levels = np.array([np.percentile(plane[::SAMPLED, ::SAMPLED], LEVELS) for plane in array])
    usual = np.array([n for n, rescale in enumerate(rescales) if rescale == (slope, intercept)])
    middle = np.median(levels, axis=0)
    for n, piece in enumerate(slices):
        beside = levels[usual[np.argmin(np.abs(usual - n))]]
        as_others = (levels[n] - piece.intercept) / piece.slope * slope + intercept
        off, off_as_others = (np.abs(level - beside).max() for level in (levels[n], as_others))
        moved = 2 * count > len(slices) and off > off_as_others + MOVED_HU
        if moved or np.abs(levels[n] - middle).min() > FAR_HU:
            raise InputRefused(
                f"The values of {piece.label} lie {off:.0f} HU away from those of the slices beside it: its "
                f"rescale (slope {piece.slope:g}, intercept {piece.intercept:g}) is wrong or its pixels are.",
                hint="Copy or export the series again from its source.",
                code="bad-rescale",
            )


def _decode_slice(piece: Slice, cache: dict[Path, np.ndarray]) -> np.ndarray:
    """Rows x columns in HU. ``cache`` keeps the frames of the last file that is decoded as a whole."""
    layout = piece.layout
    plain = layout.extent.offset is not None
    if plain and layout.transfer_syntax != DEFLATED:
        values = layout.rows * layout.columns
        with open(piece.path, "rb") as file:
            file.seek(layout.extent.offset + piece.frame * values * layout.allocated // 8)
            stored = np.fromfile(file, _word_dtype(layout), values).reshape(layout.rows, layout.columns)
    else:
        if piece.path not in cache:
            cache.clear()
            shape = (layout.frames, layout.rows, layout.columns)
            cache[piece.path] = (_inflate if plain else _decompress)(piece)[: math.prod(shape)].reshape(shape)
        stored = cache[piece.path][piece.frame]
    stored = stored.astype(np.int64)
    words = _with_sign(stored, layout.signed, layout.allocated) if plain else stored
    return _hounsfield(words, _unpack(stored, layout) if plain else stored, piece)


def _inflate(piece: Slice) -> np.ndarray:
    return np.frombuffer(read_deflated(piece.path, piece.layout.extent), _word_dtype(piece.layout))


def _decompress(piece: Slice) -> np.ndarray:
    """The stored values of all frames, flat."""
    layout = piece.layout
    try:
        with PrivateFolder() as folder:
            values = _by_gdcm(_write_bare(piece, folder / "pixels.dcm"))
        if values.size == layout.frames * layout.rows * layout.columns:
            return values.ravel()
        failure = RuntimeError(f"{values.shape} values")
    except RuntimeError as error:
        failure = error
    if layout.transfer_syntax == RLE and layout.stored <= 8:  # GDCM does not know RLE with so few bits
        return _rle_by_pydicom(piece)
    raise InputRefused(
        f"The pixels of {piece.path.name} could not be decoded ({codec_name(layout.transfer_syntax)}, "
        f"{layout.stored} bits): the file is damaged or its encoding is unusual.",
        hint="Export the series uncompressed, or decompress it first, e.g. with gdcmconv --raw.",
        code="codec-failed",
    ) from failure


def _by_gdcm(path: Path) -> np.ndarray:
    check_letters(path)
    with captured_native_output() as native:
        try:
            return sitk.GetArrayFromImage(sitk.ReadImage(str(path), imageIO="GDCMImageIO"))
        except RuntimeError as error:
            failure = error
    failure.add_note(native.text)
    raise failure


def _write_bare(piece: Slice, path: Path) -> Path:
    """The compressed pixels alone, in a file that GDCM neither turns round nor rescales, without a name."""
    source = pydicom.dcmread(piece.path, specific_tags=["PixelData"])
    bare, layout = pydicom.Dataset(), piece.layout
    bare.file_meta = pydicom.dataset.FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = layout.transfer_syntax
    bare.SOPClassUID = bare.file_meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    bare.SOPInstanceUID = bare.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    bare.SamplesPerPixel, bare.PhotometricInterpretation = 1, "MONOCHROME2"
    bare.Rows, bare.Columns, bare.NumberOfFrames = layout.rows, layout.columns, layout.frames
    bare.BitsAllocated, bare.BitsStored, bare.HighBit = layout.allocated, layout.stored, layout.high
    bare.PixelRepresentation = int(layout.signed)
    bare["PixelData"] = source["PixelData"]
    try:
        bare.save_as(path, enforce_file_format=True)
    except OSError as error:
        raise no_place(path.parent, error) from error
    return path


def _rle_by_pydicom(piece: Slice) -> np.ndarray:
    """The same by pydicom, with numpy alone."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            words = pydicom.dcmread(piece.path).pixel_array.astype(_word_dtype(piece.layout)).ravel()
            return _unpack(words.astype(np.int64), piece.layout)
    except Exception as error:  # pydicom answers broken bytes with nearly every type of exception
        raise InputRefused(
            f"The pixels of {piece.path.name} could not be decoded ({codec_name(RLE)}): "
            "the file is damaged or cut off.",
            hint="Copy the series again from its source.",
            code="codec-failed",
        ) from error


def _word_dtype(layout: PixelLayout) -> np.dtype:
    order = ">" if layout.transfer_syntax == EXPLICIT_BIG_ENDIAN else "<"
    return np.dtype(f"{order}u{layout.allocated // 8}")


def _hounsfield(words: np.ndarray, stored: np.ndarray, piece: Slice) -> np.ndarray:
    """HU of one slice; declared padding becomes air where it is brighter.

    words: with the bits above and below the stored ones, which padding may fill too.
    """
    layout = piece.layout
    values = _rescale(stored, piece)
    if not _padding_matters(piece):
        return values
    low, high = _padding_range(layout.padding, layout.signed, layout.allocated)
    padded = np.any([(part >= low) & (part <= high) for part in (words, stored)], axis=0)
    if low == high:
        padded |= stored == _unpack(np.array(low & ((1 << layout.allocated) - 1)), layout)
    padded &= values > AIR
    # A value that tissue can have is padding only where it reaches the edge of the picture.
    pieces, _ = ndimage.label(padded & (values <= BRIGHTEST))
    edge = np.unique(np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]]))
    padded &= (values > BRIGHTEST) | (np.isin(pieces, edge) & (pieces > 0))
    return np.where(padded, AIR, values)


def _padding_matters(piece: Slice) -> bool:
    """Whether padding is declared whose value would not be air already."""
    layout = piece.layout
    if layout.padding is None:
        return False
    low, high = _padding_range(layout.padding, layout.signed, layout.allocated)
    fits = -(1 << (layout.stored - 1)) <= low and high < 1 << (layout.stored - int(layout.signed))
    return not fits or high * piece.slope + piece.intercept > AIR


def _padding_range(words: tuple[int, int], signed: bool, bits: int) -> tuple[int, int]:
    ends = [int(_with_sign(np.array(word & ((1 << bits) - 1)), signed, bits)) for word in words]
    return min(ends), max(ends)


def _with_sign(words: np.ndarray, signed: bool, bits: int) -> np.ndarray:
    sign = 1 << (bits - 1) if signed else 0
    return (words ^ sign) - sign


def _unpack(stored: np.ndarray, layout: PixelLayout) -> np.ndarray:
    """Values of the stored bits (int64): what lies above or below them (old overlays) is dropped."""
    values = (stored >> (layout.high + 1 - layout.stored)) & ((1 << layout.stored) - 1)
    return _with_sign(values, layout.signed, layout.stored)


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
