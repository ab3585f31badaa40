"""The bytes behind a header: as many as it promises, checked to the end, and not one more.

A stream that is cut, damaged (its own checksum says so) or longer than promised is refused, and memory is
taken only for what a file of this length can hold. One byte too many is as bad as one too few: something may
have moved all voxels. Only after the end of a compressed stream, which its checksum proves, may fewer than
512 zero bytes follow, with which tapes and archives fill their blocks.
Formats: RFC 1950 (zlib), 1951 (deflate), 1952 (gzip: several members make one stream), bzip2.
"""

from __future__ import annotations

import bz2
import math
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from iuinet.errors import InputRefused
from iuinet.memory import free_memory

from .declared import COPY_AGAIN

RAW, DEFLATE, BZIP2, TEXT = "raw", "deflate", "bzip2", "text"  # deflate: in a gzip or zlib wrapper
GZIP_MAGIC, BZIP2_MAGIC = b"\x1f\x8b", b"BZh"
# Most bytes that one byte of a file can become: deflate codes 258 bytes in 2 bits, bzip2 46 MB in 40 bytes,
# and a number takes a digit and a blank.
EXPANSION = {RAW: 1.0, DEFLATE: 1040.0, BZIP2: 1.2e6}
PADDING_BYTES = 512
_CHUNK, _STORED_CHUNK = 1 << 20, 1 << 18  # decoded and compressed bytes at once: quickest by measurement
_ANY_WRAPPER = 47  # for zlib: a window of 32 kB, gzip or zlib by the first bytes
_LETTERS = 32  # of a number in a text encoding


class Stream:
    """The decoded bytes of an open file from a place on, which is given in bytes.

    Its methods raise InputRefused "file-cut" for a file that is cut short or damaged, "file-damaged" for one
    that is too long.
    """

    def __init__(self, file: BinaryIO, encoding: str = RAW, start: int = 0) -> None:
        self.encoding, self._file = encoding, file
        length = os.fstat(file.fileno()).st_size
        file.seek(min(start, length))
        self.stored = max(0, length - start)
        self._codec = self._new_codec()
        self._waiting = b""
        self._taken = 0

    def read(self, count: int) -> bytes:
        """Exactly so many bytes."""
        self.check_claim(count)
        buffer = bytearray(count)
        self.fill(memoryview(buffer))
        return bytes(buffer)

    def check_claim(self, count: int) -> None:
        """Refuse a promise of bytes that a file of this length cannot hold, before memory is taken for it."""
        if self._taken + count > EXPANSION[self.encoding] * self.stored:
            there = f"{self.stored} compressed" if self.encoding != RAW else str(self.stored)
            raise self.cut(f"{there} of {self._taken + count} bytes are there")

    def fill(self, view: memoryview) -> None:
        """Fill the buffer. view: bytes that can be written to."""
        done = 0
        while done < len(view):
            block = self._next(min(len(view) - done, _CHUNK))
            if not block:
                raise self.cut(f"{self._taken} of {self._taken + len(view) - done} bytes are there")
            view[done : done + len(block)] = block
            done += len(block)

    def finish(self) -> None:
        """Check the rest: the stream's checksum, and that nothing follows the voxels."""
        if self._next(1):
            raise self.surplus()
        after = self._waiting + self._file.read(PADDING_BYTES)
        if len(after) >= PADDING_BYTES or after.strip(b"\0"):
            raise self.surplus()

    def _next(self, most: int) -> bytes:
        """The next bytes, at most so many; none at the end."""
        if self._codec is None:
            block = self._file.read(most)
        else:
            try:
                block = self._decode(most)
            except (zlib.error, OSError, ValueError) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise  # the drive's, not bzip2's
                raise self.cut("its compressed data are damaged") from error
        self._taken += len(block)
        return block

    def _decode(self, most: int) -> bytes:
        while True:
            if self._codec.eof and not self._next_member():
                return b""
            fresh = b""
            if getattr(self._codec, "needs_input", True):  # bzip2 may still hold some
                fresh = self._waiting or self._file.read(_STORED_CHUNK)
            block = self._codec.decompress(fresh, most)
            tail = getattr(self._codec, "unconsumed_tail", b"")
            self._waiting = self._codec.unused_data if self._codec.eof else tail
            if block:
                return block
            if not fresh and not self._codec.eof:
                raise self.cut("its compressed data end too early")

    def _next_member(self) -> bool:
        """Whether another compressed stream follows the one that has ended."""
        if len(self._waiting) < PADDING_BYTES:
            self._waiting += self._file.read(_STORED_CHUNK)
        magic = GZIP_MAGIC if self.encoding == DEFLATE else BZIP2_MAGIC
        if not self._waiting.startswith(magic):
            return False
        self._codec = self._new_codec()
        return True

    def _new_codec(self) -> zlib._Decompress | bz2.BZ2Decompressor | None:
        if self.encoding == DEFLATE:
            return zlib.decompressobj(_ANY_WRAPPER)
        return bz2.BZ2Decompressor() if self.encoding == BZIP2 else None

    def cut(self, how: str) -> InputRefused:
        """The refusal."""
        name = Path(self._file.name).name
        return InputRefused(f"{name} is cut off or damaged: {how}.", hint=COPY_AGAIN, code="file-cut")

    def surplus(self) -> InputRefused:
        """The refusal of bytes that nothing accounts for."""
        name = Path(self._file.name).name
        return InputRefused(
            f"{name} holds more than the voxels that its header promises: the header is damaged, or the file "
            "was added to.",
            hint=COPY_AGAIN,
            code="file-damaged",
        )


def take_array(stream: Stream, dtype: np.dtype, shape: Sequence[int]) -> np.ndarray:
    """The voxels at the stream's place, which must be its last bytes; in the computer's byte order.

    Raises: InputRefused "file-cut", "file-damaged"; MemoryError where they do not fit into the free memory.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "voxels.raw")
    ...     _ = path.write_bytes(bytes([0, 1, 0, 2]))
    ...     with open(path, "rb") as file:
    ...         take_array(Stream(file), np.dtype(">u2"), (1, 1, 2)).tolist()
    [[[1, 2]]]
    """
    stream.check_claim(math.prod(shape) * dtype.itemsize)
    array = _empty(dtype, shape)
    stream.fill(memoryview(array.reshape(-1).view(np.uint8)))
    stream.finish()
    return _native(array)


@dataclass(frozen=True)
class Part:
    """A file, or what of it comes after a place, with an equal share of the voxels.

    start: in bytes; None where the voxels are the file's last bytes, whatever comes before.
    """

    path: Path
    encoding: str = RAW
    start: int | None = 0


def read_parts(parts: Sequence[Part], dtype: np.dtype, shape: Sequence[int]) -> np.ndarray:
    """The voxels in one file or in several, one after the other.

    shape: (k, j, i).
    Raises: as ``take_array``.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "voxels.raw")
    ...     _ = path.write_bytes(zlib.compress(bytes([1, 2])))
    ...     read_parts([Part(path, DEFLATE)], np.dtype("u1"), (1, 1, 2)).tolist()
    [[[1, 2]]]
    """
    if parts[0].encoding == TEXT:
        return _read_text(parts[0], dtype, shape)
    share = math.prod(shape) * dtype.itemsize // len(parts)
    for part in parts:  # all of them, before memory is taken
        with open(part.path, "rb") as file:
            _stream(file, part, share).check_claim(share)
    array = _empty(dtype, shape)
    view = memoryview(array.reshape(-1).view(np.uint8))
    for index, part in enumerate(parts):
        with open(part.path, "rb") as file:
            stream = _stream(file, part, share)
            stream.fill(view[index * share : (index + 1) * share])
            stream.finish()
    return _native(array)


def _stream(file: BinaryIO, part: Part, share: int) -> Stream:
    start = part.start
    if start is None:
        start = max(0, os.fstat(file.fileno()).st_size - share)
    return Stream(file, part.encoding, start)


def _read_text(part: Part, dtype: np.dtype, shape: Sequence[int]) -> np.ndarray:
    count = math.prod(shape)
    with open(part.path, "rb") as file:
        stream = Stream(file, RAW, part.start or 0)
        stream.check_claim(2 * count - 1)
        if stream.stored > _LETTERS * count:
            raise stream.surplus()
        words = stream.read(stream.stored).split()
    if len(words) != count:
        raise stream.cut(f"{len(words)} of {count} numbers are there")
    try:
        return np.array(words).astype(dtype.newbyteorder("=")).reshape(shape)
    except (ValueError, OverflowError) as error:
        raise stream.cut("it holds what is no number") from error


def _empty(dtype: np.dtype, shape: Sequence[int]) -> np.ndarray:
    needed, free = math.prod(shape) * dtype.itemsize, free_memory()
    if free is not None and needed > free:
        raise MemoryError(f"{needed} bytes")
    return np.empty(shape, dtype)


def _native(array: np.ndarray) -> np.ndarray:
    if array.dtype.isnative:
        return array
    return array.byteswap(inplace=True).view(array.dtype.newbyteorder("="))
