"""Where the pixel bytes of a DICOM file lie, and whether all of them are there.

GDCM is asked only after every file has been looked at, so a cut file is found and named before any
pixel is decoded. Encoding: DICOM PS3.5, section 7.1 (elements) and annex A.4 (encapsulated pixels).
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .errors import InputRefused

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


def find_pixels(file: BinaryIO, path: Path, transfer_syntax: str) -> PixelExtent:
    """Looks at the element at which the header reader stopped.

    InputRefused "file-cut" where the file ends before its pixels do.
    """
    if transfer_syntax == DEFLATED:  # the header reader has already inflated the whole file
        return PixelExtent(None, None)
    order = ">" if transfer_syntax == EXPLICIT_BIG_ENDIAN else "<"
    head = file.read(12)
    tag = struct.unpack(order + "2H", head[:4]) if len(head) == 12 else None
    if tag in FLOAT_PIXEL_DATA:
        return PixelExtent(None, None, floating=True)
    if tag != PIXEL_DATA:
        raise _cut(path, "it ends before the pixels")
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    if not explicit:
        file.seek(-4, os.SEEK_CUR)
    (length,) = struct.unpack(order + "I", head[8:12] if explicit else head[4:8])
    if length == UNDEFINED_LENGTH:
        _walk_fragments(file, path)
        return PixelExtent(None, None)
    offset, size = file.tell(), os.fstat(file.fileno()).st_size
    if size - offset < length:
        raise _cut(path, f"{max(0, size - offset)} of {length} bytes of pixels are there")
    return PixelExtent(offset, length)


def _walk_fragments(file: BinaryIO, path: Path) -> None:
    size = os.fstat(file.fileno()).st_size
    while True:
        head = file.read(8)
        if len(head) < 8:
            raise _cut(path, "its compressed pixels have no end")
        group, element, length = struct.unpack("<2HI", head)
        if (group, element) == SEQUENCE_END:
            return
        if (group, element) != ITEM or file.tell() + length > size:
            raise _cut(path, "its compressed pixels have no end")
        file.seek(length, os.SEEK_CUR)


def _cut(path: Path, how: str) -> InputRefused:
    return InputRefused(
        f"The DICOM file {path.name} is cut off or damaged: {how}.",
        hint="Copy the series again from its source.",
        code="file-cut",
    )
