"""A grey PNG from an array, as a data URI: a page needs no drawing library for its pictures."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_UP = 2  # PNG filter: each row as its difference from the row above (PNG specification 9.2)


def grey_png(pixels: np.ndarray) -> bytes:
    """PNG file of uint8 (rows, columns), 8-bit grey. Raises ValueError for an empty or another array."""
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or not pixels.size:
        raise ValueError(f"{pixels.dtype} {pixels.shape} is no grey picture")
    rows, columns = pixels.shape
    # uint8 wraps around, which is what the filter asks for.
    differences = np.diff(pixels, axis=0, prepend=np.zeros((1, columns), np.uint8))
    filtered = np.concatenate([np.full((rows, 1), _UP, np.uint8), differences], axis=1)
    header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    data = zlib.compress(filtered.tobytes(), 9)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def data_uri(pixels: np.ndarray) -> str:
    """The same as text for an image's address."""
    return "data:image/png;base64," + base64.b64encode(grey_png(pixels)).decode("ascii")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
