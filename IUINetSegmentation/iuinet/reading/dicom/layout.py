"""Whether the pixels of a DICOM series can be decoded, judged from the headers before any pixel is."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence

import pydicom

from iuinet.errors import InputRefused

from .extent import DEFLATED, EXPLICIT_BIG_ENDIAN, EXPLICIT_LITTLE_ENDIAN, cut_off
from .header import Slice

RLE = "1.2.840.10008.1.2.5"
PLAIN = frozenset({"", "1.2.840.10008.1.2", EXPLICIT_LITTLE_ENDIAN, EXPLICIT_BIG_ENDIAN})
COMPRESSED = frozenset(
    {RLE, DEFLATED}
    | {f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70)}  # JPEG: baseline, extended, lossless (2)
    | {f"1.2.840.10008.1.2.4.{n}" for n in (80, 81, 90, 91)}  # JPEG-LS (2), JPEG 2000 (2)
)
GREY = ("MONOCHROME1", "MONOCHROME2")
LARGEST_INTERCEPT = 1e5  # HU; with 16 bits stored the offset is 32768 at most
CODESTREAM_BYTES = 1 << 16  # of a compressed frame, in which its size stands
JPEG_2000_SIZE = b"\xff\x4f\xff\x51"


def codec_name(transfer_syntax: str) -> str:
    """The standard's name of the encoding, or its number where it is unknown.

    >>> codec_name("1.2.840.10008.1.2.5")
    'RLE Lossless'
    """
    return pydicom.uid.UID(transfer_syntax).name or "none"


def check_layout(slices: Sequence[Slice]) -> None:
    """Refuses what cannot be decoded, from the headers alone.

    Raises: InputRefused "codec-missing", "vector-pixels", "pixel-layout", "bad-rescale", "slices-mixed",
    "file-cut".

    >>> from pydicom.data import get_testdata_file
    >>> from iuinet.reading.dicom.header import Path, read_slices
    >>> check_layout(read_slices(Path(get_testdata_file("CT_small.dcm"))))
    """
    for piece in slices:
        layout = piece.layout
        if layout.transfer_syntax not in PLAIN | COMPRESSED:
            raise InputRefused(
                f"{piece.path.name} is encoded as {codec_name(layout.transfer_syntax)}, "
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
        sane = piece.slope > 0 and abs(piece.intercept) <= LARGEST_INTERCEPT
        if not sane or layout.has_modality_table:
            table = " and a look-up table" if layout.has_modality_table else ""
            raise InputRefused(
                f"The rescale of {piece.label} does not give Hounsfield units: slope {piece.slope:g}, "
                f"intercept {piece.intercept:g}{table}.",
                hint="Export the original CT images from the scanner or the archive.",
                code="bad-rescale",
            )
    _check_alike(slices)
    _check_rle_length(slices[0])


def _check_alike(slices: Sequence[Slice]) -> None:
    """One scanner stores all slices of a scan with the same bits and sign: another one is damaged."""
    kinds = [(piece.layout.stored, piece.layout.signed) for piece in slices]
    usual = Counter(kinds).most_common(1)[0][0]
    for piece, kind in zip(slices, kinds, strict=True):
        if kind != usual:
            words = [f"{bits} {'signed' if signed else 'unsigned'} bits" for bits, signed in (kind, usual)]
            raise InputRefused(
                f"The slices of the series differ: {piece.label} stores {words[0]}, the others {words[1]}.",
                hint="Copy or export the series again from its source.",
                code="slices-mixed",
            )


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
    length, needed = layout.extent.length, layout.frames * layout.frame_bits // 8
    if length is None:
        _check_codestream(piece)
        return
    if length < needed:
        raise cut_off(piece.path, f"{length} of {needed} bytes of pixels are there")
    if length - needed >= min(layout.rows, layout.columns) * layout.allocated // 8 + needed % 2:
        pixels = f"{layout.columns} x {layout.rows} pixels of {layout.allocated} bits need {needed}"
        raise _misfit(f"pixels of {piece.path.name}", f"{length} bytes are there, but {pixels}")


def _check_codestream(piece: Slice) -> None:
    """The size that the compressed pixels name themselves; GDCM takes memory for what the header claims."""
    layout = piece.layout
    if layout.extent.first_fragment is None:
        raise cut_off(piece.path, "it holds no compressed pixels")
    if layout.transfer_syntax not in COMPRESSED - {DEFLATED}:
        raise InputRefused(
            f"The pixels of {piece.path.name} are compressed, but its header says "
            f"{codec_name(layout.transfer_syntax)}.",
            hint="Copy or export the series again from its source.",
            code="codec-failed",
        )
    with open(piece.path, "rb") as file:
        file.seek(layout.extent.first_fragment)
        size = _codestream_size(file.read(CODESTREAM_BYTES))
    if size not in (None, (layout.columns, layout.rows)):
        how = f"they are {size[0]} x {size[1]}, but the header says {layout.columns} x {layout.rows}"
        raise _misfit(f"compressed pixels of {piece.path.name}", how)


def _check_rle_length(piece: Slice) -> None:
    """RLE (PS3.5 annex G) names no size, and GDCM stops when it has enough. One file stands for all alike."""
    layout = piece.layout
    if layout.transfer_syntax != RLE or layout.extent.first_fragment is None:
        return
    with open(piece.path, "rb") as file:
        file.seek(layout.extent.first_fragment - 4)
        data = file.read(int.from_bytes(file.read(4), "little"))
    first, second = (int.from_bytes(data[n : n + 4], "little") for n in (4, 8))
    segment = data[first : second or None]
    at = count = 0
    while at < len(segment):
        run = segment[at]
        count += run + 1 if run < 128 else (257 - run) % 129  # 128 stands for nothing
        at += run + 2 if run < 128 else 1 + (run > 128)
    needed = layout.rows * layout.columns
    if not needed <= count < needed + min(layout.rows, layout.columns):
        how = f"they are {count}, but {layout.columns} x {layout.rows} are {needed}"
        raise _misfit(f"compressed pixels of {piece.path.name}", how)


def _misfit(what: str, how: str) -> InputRefused:
    """The refusal of pixels that are not those of their header."""
    return InputRefused(
        f"The {what} do not fit its header: {how}.",
        hint="Copy or export the series again from its source.",
        code="pixel-layout",
    )


def _codestream_size(head: bytes) -> tuple[int, int] | None:
    """Columns, rows in the header of JPEG and JPEG-LS (ITU-T T.81 B.2.2) or JPEG 2000 (T.800 A.5.1)."""
    start = head.find(JPEG_2000_SIZE)
    if start >= 0 and len(head) >= start + 24:
        right, bottom, left, top = struct.unpack_from(">4I", head, start + 8)
        return right - left, bottom - top
    at = 2
    while head.startswith(b"\xff\xd8") and at + 9 <= len(head) and head[at] == 0xFF:
        if head[at + 1] == 0xF7 or (0xC0 <= head[at + 1] <= 0xCF and head[at + 1] not in (0xC4, 0xC8, 0xCC)):
            rows, columns = struct.unpack_from(">2H", head, at + 5)
            return columns, rows
        at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return None
