"""A file that lies uncompressed within another file, so that a zip in a zip is read where it is.

The challenge's Abdomen.zip (39 GB) is said to hold further zip files. A stored (uncompressed) one is a
stretch of bytes of the outer file; a compressed one would have to be unpacked anew for every jump, and is
refused instead. Layout of the local header: APPNOTE.TXT of PKWARE, 4.3.7.
"""

from __future__ import annotations

import io
import struct
import zipfile
from typing import BinaryIO

from iuinet.errors import InputRefused

_LOCAL_HEADER = 30  # bytes before the name
_LOCAL_MAGIC = b"PK\x03\x04"


class Window(io.RawIOBase):
    """Bytes start to start + length of a seekable file, as a file of their own."""

    def __init__(self, file: BinaryIO, start: int, length: int) -> None:
        super().__init__()
        self._file, self._start, self._length, self._position = file, start, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        if base + offset < 0:
            raise ValueError("a place before the start of the file")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:
        wanted = min(len(buffer), max(0, self._length - self._position))
        self._file.seek(self._start + self._position)
        data = self._file.read(wanted)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def open_inner_zip(outer: zipfile.ZipFile, member: str, shown: str) -> zipfile.ZipFile:
    """The zip file that is a stored member of another. shown: how messages name it.

    Raises InputRefused "nested-zip" for a compressed member, "zip-damaged" for one that is no zip.
    """
    info = outer.getinfo(member)
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        raise InputRefused(
            f"{shown} is a compressed zip file within a zip file, which cannot be read where it is.",
            hint=f"Unpack the outer file, so that {member} lies beside it, and give that folder.",
            code="nested-zip",
        )
    file = outer.fp
    file.seek(info.header_offset)
    head = file.read(_LOCAL_HEADER)
    if head[:4] != _LOCAL_MAGIC or len(head) < _LOCAL_HEADER:
        raise damaged_zip(shown)
    name_length, extra_length = struct.unpack("<HH", head[26:30])
    start = info.header_offset + _LOCAL_HEADER + name_length + extra_length
    try:
        return zipfile.ZipFile(io.BufferedReader(Window(file, start, info.file_size)))
    except zipfile.BadZipFile as error:
        raise damaged_zip(shown) from error


def damaged_zip(shown: str) -> InputRefused:
    """What to say about a zip file that cannot be read."""
    return InputRefused(
        f"The zip file {shown} is damaged or incomplete.",
        hint="Download it again, and compare its size with the one on the download page.",
        code="zip-damaged",
    )
