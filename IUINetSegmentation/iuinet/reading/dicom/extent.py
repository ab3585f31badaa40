"""Where the pixel bytes of a DICOM file lie, and whether all of them can be there.

GDCM is called only after every file has been looked at, so a cut file is found and named before any pixel is
decoded, and no memory is taken that a header merely claims. Encoding: DICOM PS3.5, section 7.1 (elements),
annex A.4 (encapsulated pixels) and A.5 (deflated).
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom.filereader import read_dataset

from iuinet.errors import InputRefused

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
PREAMBLE_BYTES = 128
MARK = b"DICM"
PIXEL_DATA = (0x7FE0, 0x0010)
FLOAT_PIXEL_DATA = ((0x7FE0, 0x0008), (0x7FE0, 0x0009))  # parametric maps, never CT
ITEM, SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE0DD)
UNDEFINED_LENGTH = 0xFFFFFFFF
HEADER_BYTES = 1 << 24  # of a deflated file: what is inflated to look for its header
TRAILING_BYTES = 1 << 20  # of a deflated file: what may follow its pixels (signatures, padding)
CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class PixelExtent:
    """offset, length: bytes of the plain pixel values in the file; both None where they are encoded.

    floating: the pixels are floats, as no CT image has them.
    deflated_from: where the deflated part of the file starts; ``offset`` counts inflated bytes from there.
    fragments, first_fragment: of encoded pixels, how many pieces there are, and where the first one lies.
    """

    offset: int | None
    length: int | None
    floating: bool = False
    deflated_from: int | None = None
    fragments: int = 0
    first_fragment: int | None = None


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


def inflated_header(file: BinaryIO) -> tuple[BinaryIO, int, int] | None:
    """The header of a deflated file as a plain DICOM file in memory; None for every other file.

    Returns also how many bytes of it stand before the inflated ones, and where the deflated ones start.
    pydicom would inflate all that the file holds, however much it is.

    >>> inflated_header(io.BytesIO(bytes(128) + b"DICM")) is None
    True
    """
    head = file.read(PREAMBLE_BYTES + len(MARK))
    if head.endswith(MARK):
        meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag.group != 2)
        start = file.tell()
        if str(meta.get("TransferSyntaxUID", "")) == DEFLATED:
            syntax = EXPLICIT_LITTLE_ENDIAN.encode() + b"\0"
            head += struct.pack("<2H2sH", 0x0002, 0x0010, b"UI", len(syntax)) + syntax
            return io.BytesIO(head + b"".join(_inflate(file, HEADER_BYTES))), len(head), start
    file.seek(0)
    return None


def find_pixels(file: BinaryIO, path: Path, transfer_syntax: str) -> PixelExtent:
    """Looks at the element at which the header reader stopped.

    Raises: InputRefused "file-cut" where the file ends before its pixels do.

    >>> element = struct.pack("<2H2s2xI", 0x7FE0, 0x0010, b"OW", 4) + bytes(4)
    >>> find_pixels(io.BytesIO(element), Path("ct.dcm"), DEFLATED).offset
    12
    """
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
        return _walk_fragments(file, path)
    offset, size = file.tell(), _size(file)
    if transfer_syntax != DEFLATED and size - offset < length:
        raise cut_off(path, f"{max(0, size - offset)} of {length} bytes of pixels are there")
    return PixelExtent(offset, length)


def read_deflated(path: Path, extent: PixelExtent) -> bytes:
    """The pixel bytes of a deflated file; no more is inflated than its header names.

    Raises: InputRefused "file-cut".

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "ct.dcm"
    ...     _ = path.write_bytes(zlib.compress(b"headpixels", wbits=-15))
    ...     read_deflated(path, PixelExtent(4, 6, deflated_from=0))
    b'pixels'
    """
    kept = bytearray()
    with open(path, "rb") as file:
        file.seek(extent.deflated_from)
        try:
            for chunk in _inflate(file, extent.offset + extent.length + TRAILING_BYTES, to_the_end=True):
                kept += chunk
        except (EOFError, zlib.error) as error:
            raise cut_off(path, "its deflated data end too early or are damaged") from error
    if len(kept) < extent.offset + extent.length:
        there = max(0, len(kept) - extent.offset)
        raise cut_off(path, f"{there} of {extent.length} bytes of pixels are there")
    return bytes(kept[extent.offset : extent.offset + extent.length])


def _inflate(file: BinaryIO, limit: int, to_the_end: bool = False) -> Iterator[bytes]:
    """At most ``limit`` bytes, in pieces. to_the_end: EOFError where the stream has none before that."""
    stream, count, data = zlib.decompressobj(-zlib.MAX_WBITS), 0, b""
    while count < limit and not stream.eof:
        data = stream.unconsumed_tail or file.read(CHUNK_BYTES)
        piece = stream.decompress(data, min(CHUNK_BYTES * 16, limit - count))
        if not data and not piece:
            break
        count += len(piece)
        yield piece
    if to_the_end and not stream.eof:
        raise EOFError


def _walk_fragments(file: BinaryIO, path: Path) -> PixelExtent:
    """Of encapsulated pixels, whose first item is a table of offsets."""
    size, items, first = _size(file), 0, None
    while True:
        head = file.read(8)
        if len(head) < 8:
            raise cut_off(path, "its compressed pixels have no end")
        group, element, length = struct.unpack("<2HI", head)
        if (group, element) == SEQUENCE_END:
            return PixelExtent(None, None, fragments=max(0, items - 1), first_fragment=first)
        if (group, element) != ITEM or file.tell() + length > size:
            raise cut_off(path, "its compressed pixels have no end")
        first = file.tell() if items == 1 else first
        items += 1
        file.seek(length, os.SEEK_CUR)


def _size(file: BinaryIO) -> int:
    here = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(here)
    return size
