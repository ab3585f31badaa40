"""What in a file says that it cannot have been read as it was: lengths, checksums, a second place, rules.

Written apart from the product's readers, from the formats' own pages, and only for the forms that the cases
take: one small volume, and slices of one size.
"""

from __future__ import annotations

import gzip
import io
import math
import re
import struct
import warnings
import zlib
from collections.abc import Mapping

import numpy as np
import pydicom

from iuinet.volume import Volume

_HALF_VOXEL = 0.5
_KNOWN_TYPES = {2: 8, 4: 16, 8: 32, 16: 32, 64: 64, 256: 8, 512: 16, 768: 32, 1024: 64, 1280: 64}  # nifti1.h


def find(kind: str, files: Mapping[str, bytes], volume: Volume) -> str:
    """The first contradiction in words, "" for none."""
    if kind.startswith("NIfTI"):
        return _nifti(next(iter(files.values())), volume)
    if kind.startswith("NRRD"):
        return _text_header(files, volume, b"\n\n", re.search(rb"^encoding: *(\S+)", _head(files), re.M))
    if kind.startswith("MetaImage"):
        marked = re.search(rb"^CompressedData *= *(\S+)", _head(files), re.M)
        return _text_header(
            files, volume, b"LOCAL\n", marked if marked and marked[1].lower() == b"true" else None
        )
    return _dicom(files)


# NIfTI --------------------------------------------------------------------------------------------------


def _nifti(data: bytes, volume: Volume) -> str:
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            return f"the compressed data are damaged: {error}"
    order = next((order for order in "<>" if struct.unpack_from(order + "i", data)[0] == 348), None)
    if order is None:
        return "the header's own length is not 348"

    def get(offset: int, kind: str) -> tuple:
        return struct.unpack_from(order + kind, data, offset)

    if data[344:348] != b"n+1\0":
        return f"the magic word is {data[344:348]!r}"
    axes, *sizes = get(40, "8h")
    if not 1 <= axes <= 7 or any(size < 1 for size in sizes[:axes]):
        return f"dim is {axes}, {sizes}"
    (number, bits), (start,) = get(70, "2h"), get(108, "f")
    if _KNOWN_TYPES.get(number) != bits:
        return f"type {number} has not {bits} bits"
    if not start >= 352 or start != int(start):
        return f"vox_offset is {start}"
    due = int(start) + math.prod(sizes[:axes]) * bits // 8
    if len(data) != due:
        return f"{len(data)} bytes where {due} are due"
    return _nifti_places(get, volume)


def _nifti_places(get, volume: Volume) -> str:
    (q_code, s_code), spacing = get(252, "2h"), get(76, "8f")
    if q_code <= 0 and s_code <= 0:
        return "no orientation at all"
    places = []
    if q_code > 0:
        places.append(_quaternion(get(256, "6f"), spacing))
    if s_code > 0:
        places.append(np.array(get(280, "12f")).reshape(3, 4))
        length = np.linalg.norm(places[-1][:, :3], axis=0)
        if not np.allclose(length, np.abs(spacing[1:4]), rtol=0.011):
            return f"pixdim {spacing[1:4]}, the place says {length}"
    if len(places) == 2 and all(np.isfinite(place).all() for place in places):
        corners = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)], float)
        corners[:, :3] *= np.array(volume.grid.size) - 1
        apart = np.abs(corners @ (places[0] - places[1]).T).max()
        if apart > _HALF_VOXEL * max(volume.grid.spacing):
            return f"two places {apart:.1f} mm apart"
    return ""


def _quaternion(values: tuple[float, ...], spacing: tuple[float, ...]) -> np.ndarray:
    """Method 2 of nifti1.h."""
    b, c, d, *offset = values
    a = math.sqrt(max(0.0, 1 - (b * b + c * c + d * d)))
    rotation = np.array([
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ])  # fmt: skip
    scale = np.array([spacing[1], spacing[2], spacing[3] * (-1 if spacing[0] == -1 else 1)])
    return np.column_stack([rotation * scale, offset])


# NRRD and MetaImage -------------------------------------------------------------------------------------


def _head(files: Mapping[str, bytes]) -> bytes:
    return files[sorted(files)[0]][:4096]


def _text_header(files: Mapping[str, bytes], volume: Volume, end: bytes, packed: re.Match | None) -> str:
    """Length and checksum of the voxels, which follow the header or are the other file."""
    data = files[sorted(files)[-1]] if len(files) == 2 else files[sorted(files)[0]].partition(end)[2]
    if packed and packed[1].lower() in (b"gzip", b"gz"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            return f"the compressed data are damaged: {error}"
    elif packed and packed[1].lower() == b"true":
        inflater = zlib.decompressobj()
        try:
            data = inflater.decompress(data)
        except zlib.error as error:
            return f"the compressed data are damaged: {error}"
        if not inflater.eof or inflater.unused_data:
            return "the compressed data do not end where the file does"
    due = volume.array.nbytes
    return f"{len(data)} bytes of voxels where {due} are due" if len(data) != due else ""


# DICOM --------------------------------------------------------------------------------------------------


def _dicom(files: Mapping[str, bytes]) -> str:
    """Slices of the largest series that do not belong together, or whose pixels have another length."""
    slices = []
    for data in files.values():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                slices.append(pydicom.dcmread(io.BytesIO(data), force=True))
            except Exception:  # whatever pydicom cannot read says nothing here
                continue
    series = [str(ds.get("SeriesInstanceUID")) for ds in slices]
    slices = [ds for ds, uid in zip(slices, series, strict=True) if uid == max(series, key=series.count)]
    for word in (
        "Rows",
        "Columns",
        "BitsAllocated",
        "BitsStored",
        "PixelRepresentation",
        "PhotometricInterpretation",
    ):
        if len({str(ds.get(word)) for ds in slices}) > 1:
            return f"{word} differs between the slices"
    for ds in slices:
        pixels = ds.get("PixelData")
        if pixels is None or ds.file_meta.get("TransferSyntaxUID", pydicom.uid.RLELossless).is_compressed:
            continue
        due = int(ds.Rows) * int(ds.Columns) * int(ds.BitsAllocated) // 8 * int(ds.get("NumberOfFrames") or 1)
        if len(pixels) != due + due % 2:
            return f"{len(pixels)} bytes of pixels where {due} are due"
    return ""
