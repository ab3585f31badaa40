"""What NIfTI, NRRD and MetaImage files declare themselves, read before ITK reads them.

ITK is too lenient: it reads a cut NIfTI file as if the rest were zero, and turns a zero, negative or
non-finite spacing into 1 mm with a warning or without one. So spacing and length are looked at here.
Formats: nifti1.h of the NIfTI DFWG, Teem's NRRD format page, MetaIO's documentation.
"""

from __future__ import annotations

import gzip
import math
import re
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from iuinet.errors import InputRefused

GZIP_MAGIC = b"\x1f\x8b"
NIFTI1_BYTES, NIFTI2_BYTES = 348, 540
TEXT_HEADER_BYTES = 65536
CHUNK_BYTES = 1 << 22
SPACING_TOLERANCE = 0.01  # between the two spacings that a NIfTI header may hold
COPY_AGAIN = "Copy or export the file again from its source."


def inspect_file(path: Path, ending: str) -> list[str]:
    """Checks the header; notes for the user. ``ending``: lower case, one of reading.READERS.

    A header that is not understood passes: ITK then refuses the file.
    Raises: InputRefused "file-cut", "file-damaged", "bad-spacing", "no-image-data", "unknown-format".

    >>> sample = Path(__file__).parents[2] / "Resources/Sample/sample-ct.nrrd"
    >>> inspect_file(sample, ".nrrd")
    []
    """
    if ending in (".nii", ".nii.gz"):
        return _inspect_nifti(path)
    with open(path, "rb") as file:
        head = file.read(TEXT_HEADER_BYTES)
    if ending in (".nrrd", ".nhdr"):
        return _inspect_nrrd(path, re.split(rb"\r?\n\r?\n", head, maxsplit=1)[0].decode("latin-1"))
    return _inspect_meta(path, head.decode("latin-1"))


def _inspect_nifti(path: Path) -> list[str]:
    with open(path, "rb") as plain:
        zipped = plain.read(2) == GZIP_MAGIC
        if zipped and path.suffix.lower() == ".nii":
            raise InputRefused(
                f"{path.name} is compressed although its ending says otherwise.",
                hint=f"Rename it to {path.name}.gz.",
                code="file-damaged",
            )
        plain.seek(0)
        try:
            file = gzip.GzipFile(fileobj=plain) if zipped else plain
            head = file.read(NIFTI1_BYTES)
            order = _nifti_byte_order(path, head)
            if order is None:
                return []
            data_bytes, notes = _nifti_header(path, head, order)
            present = len(head) + _rest(file)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise _cut(path, "its compressed data end too early or are damaged") from error
    if present < data_bytes:
        raise _cut(path, f"{present} of {data_bytes} bytes are there")
    return notes


def _nifti_byte_order(path: Path, head: bytes) -> str | None:
    """For struct; None where this is not a NIfTI header. The first field is the header's own length."""
    if len(head) < NIFTI1_BYTES:
        return None
    for order in "<>":
        (length,) = struct.unpack_from(order + "i", head)
        if length == NIFTI1_BYTES:
            return order
        if length == NIFTI2_BYTES:
            raise InputRefused(
                f"{path.name} is a NIfTI-2 file, which cannot be read.",
                hint="Save it as NIfTI-1 or NRRD.",
                code="unknown-format",
            )
    return None


def _nifti_header(path: Path, head: bytes, order: str) -> tuple[int, list[str]]:
    """Bytes that the whole file must have, and notes. Byte offsets of the fields: nifti1.h."""

    def get(offset: int, kind: str) -> tuple[float, ...]:
        return struct.unpack_from(order + kind, head, offset)

    axes, *sizes = get(40, "8h")
    shape = sizes[: max(0, min(7, axes))]
    _check_sizes(path, shape)
    spacing = get(76, "8f")[1 : 1 + min(3, len(shape))]
    _check_spacing(path, spacing)
    (bits,), (start,), (sform_code,) = get(72, "h"), get(108, "f"), get(254, "h")
    notes = []
    if sform_code > 0 and len(spacing) == 3:
        rows = get(280, "12f")
        affine = [math.hypot(rows[axis], rows[axis + 4], rows[axis + 8]) for axis in range(3)]
        if any(abs(a - s) > SPACING_TOLERANCE * s for a, s in zip(affine, spacing, strict=True)):
            both = f"{_mm(spacing)} and {_mm(affine)}"
            notes.append(f"The file gives two spacings, {both}; the first was taken.")
    first = int(start) if math.isfinite(start) else 0
    return first + math.prod(shape) * bits // 8, notes


def _rest(file: BinaryIO) -> int:
    """Bytes to the end; for gzip this also compares the checksum."""
    if isinstance(file, gzip.GzipFile):
        return sum(len(chunk) for chunk in iter(lambda: file.read(CHUNK_BYTES), b""))
    here = file.tell()
    return file.seek(0, 2) - here


def _inspect_nrrd(path: Path, header: str) -> list[str]:
    fields = dict(re.findall(r"^([a-z ]+):=?\s*(.*?)\s*$", header.lower(), re.MULTILINE))
    _check_sizes(path, [_float(text) for text in fields.get("sizes", "").split()])
    if fields.get("dimension") != "3":
        return []  # refused with a reason of its own once ITK has named the axes
    number = r"[^\s,()]+"
    if "space directions" in fields:
        vectors = re.findall(r"none|\(([^)]*)\)", fields["space directions"])
        spacing = [math.hypot(*map(_float, re.findall(number, vector))) for vector in vectors]
    elif "spacings" in fields:
        spacing = [_float(text) for text in fields["spacings"].split()]
    else:
        return [f"{path.name} gives no spacing: taken as 1 mm, so volumes in ml may be wrong."]
    _check_spacing(path, spacing)
    return []


def _inspect_meta(path: Path, head: str) -> list[str]:
    fields = dict(
        re.findall(r"^\s*(\w+)\s*=[ \t]*(.*?)\s*$", head.split("ElementDataFile", 1)[0], re.MULTILINE)
    )
    sizes = [_float(text) for text in fields.get("DimSize", "").split()]
    data_file = re.search(r"^\s*ElementDataFile\s*=\s*[ -~\x80-\xff]+\r?$", head, re.MULTILINE)
    if data_file is None or not sizes or fields.get("NDims") != str(len(sizes)):
        # ITK does not refuse all of these: some end the whole process.
        raise InputRefused(
            f"The header of {path.name} is damaged: its size, number of axes or data file is missing.",
            hint=COPY_AGAIN,
            code="file-damaged",
        )
    _check_sizes(path, sizes)
    text = fields.get("ElementSpacing", fields.get("ElementSize"))
    if text is None:
        return [f"{path.name} gives no spacing: taken as 1 mm, so volumes in ml may be wrong."]
    _check_spacing(path, [_float(word) for word in text.split()[:3]])
    return []


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _check_spacing(path: Path, spacing: list[float] | tuple[float, ...]) -> None:
    if all(math.isfinite(value) and value > 0 for value in spacing):
        return
    raise InputRefused(
        f"The spacing in {path.name} is {_mm(spacing)}; it must be positive on every axis.",
        hint="Export the volume again with its true voxel size.",
        code="bad-spacing",
    )


def _check_sizes(path: Path, sizes: list[int] | list[float]) -> None:
    """Refuses an axis without voxels."""
    if all(size >= 1 for size in sizes):
        return
    raise InputRefused(
        f"{path.name} holds no image data: its size is {' x '.join(f'{size:g}' for size in sizes)} voxels.",
        hint=COPY_AGAIN,
        code="no-image-data",
    )


def _mm(spacing: list[float] | tuple[float, ...]) -> str:
    return " x ".join(f"{value:.4g}" for value in spacing) + " mm"


def _cut(path: Path, how: str) -> InputRefused:
    return InputRefused(f"{path.name} is cut off or damaged: {how}.", hint=COPY_AGAIN, code="file-cut")
