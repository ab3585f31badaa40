"""Reads MetaImage (.mha, and .mhd with its data file or files).

Fields: MetaIO's documentation, https://itk.org/Wiki/ITK/MetaIO/Documentation. What the voxels mean is held
against it; what only describes them, such as Modality or Comment, is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from iuinet.errors import InputRefused
from iuinet.volume import Doubt, Volume

from .declared import (
    HEADER_BYTES,
    check_kind,
    check_sizes,
    check_spacing,
    check_text,
    check_unit,
    damaged,
    file_beside,
    no_orientation,
    no_origin,
    no_spacing,
    number,
    numbers,
    shown,
)
from .placement import grid_from_matrix
from .streams import DEFLATE, RAW, TEXT, Part, read_parts

TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",  # 4 bytes on every computer
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
YES, NO = ("true", "t", "1"), ("false", "f", "0")
FIELD = re.compile(r"\s*([^=]+?)\s*=[ \t]*(.*?)\s*")
DATA_FILE = re.compile(rb"^[ \t]*ElementDataFile[ \t]*=[ \t]*([^\r\n]*?)[ \t]*\r?(?:\n|\Z)", re.MULTILINE)
PATTERN = re.compile(r"([^%]*)%(0?)(\d?)d([^%]*?)\s+(\d{1,6})\s+(\d{1,6})\s+(\d{1,6})")


def read_metaimage(path: Path, name: str) -> Volume:
    """The volume in a MetaImage file.

    Raises: InputRefused, its codes as in ``declared``, ``placement`` and ``streams``, and "unknown-format"
    for values that MetaIO would have to convert.

    >>> import tempfile
    >>> head = "ObjectType = Image\\nNDims = 3\\nDimSize = 2 1 1\\nElementSpacing = 1 1 3\\n"
    >>> head += "TransformMatrix = 1 0 0 0 1 0 0 0 1\\nElementType = MET_UCHAR\\nElementDataFile = LOCAL\\n"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "ct.mha")
    ...     _ = path.write_bytes(head.encode() + bytes([7, 8]))
    ...     read_metaimage(path, "ct").array.tolist()
    [[[7, 8]]]
    """
    fields, data_file, start = _read_header(path)
    size = _size(path, fields)
    _check_values(path, fields)
    matrix, spacing, notes, doubts = _place(path, fields, len(fields["DimSize"].split()))
    grid = grid_from_matrix(path, size, matrix, spacing)
    dtype = np.dtype(TYPES[fields["ElementType"]])
    order = _first(fields, "BinaryDataByteOrderMSB", "ElementByteOrderMSB")
    dtype = dtype.newbyteorder(">" if order and _true(path, fields, order) else "<")
    parts = _parts(path, fields, data_file, start, size[2])
    array = read_parts(parts, dtype, size[::-1])
    notes += [doubt.message for doubt in doubts]
    return Volume(array, grid, name, None, tuple(notes), tuple(doubts))


def _read_header(path: Path) -> tuple[dict[str, str], str, int]:
    """The fields, what ElementDataFile says, and how many bytes they take, for it is always the last one."""
    with open(path, "rb") as file:
        head = file.read(HEADER_BYTES)
    last = DATA_FILE.search(head)
    fields: dict[str, str] = {}
    if last is not None:
        check_text(path, head[: last.end()])
        for line in head[: last.start()].decode("utf-8", "surrogateescape").split("\n"):
            field = FIELD.fullmatch(line.rstrip("\r"))
            if field is None:
                if line.strip():
                    raise damaged(path, f"the line {shown(line)!r} is no field")
                continue
            if fields.setdefault(*field.groups()) != field[2]:
                raise damaged(path, f"it gives two values for {shown(field[1])}")
    axes = len(fields.get("DimSize", "").split())
    if last is None or not last[1] or not axes or fields.get("NDims") != str(axes):
        raise damaged(path, "its size, number of axes or data file is missing")
    return fields, last[1].decode("utf-8", "surrogateescape"), last.end()


def _size(path: Path, fields: Mapping[str, str]) -> tuple[int, int, int]:
    sizes = [number(word) for word in fields["DimSize"].split()]
    check_sizes(path, sizes)
    if max(sizes) > 1e9 or any(size != int(size) for size in sizes):
        raise damaged(path, f"its size is {shown(fields['DimSize'])!r}")
    kind = fields.get("ElementType", "")
    channels = fields.get("ElementNumberOfChannels", "1")
    check_kind([int(size) for size in sizes], int(channels) if channels.isdecimal() else 0, kind)
    if kind not in TYPES:
        raise damaged(path, f"its type {shown(kind)!r} is none of the format's numbers")
    return tuple(int(size) for size in sizes[:3])  # type: ignore[return-value]


def _check_values(path: Path, fields: Mapping[str, str]) -> None:
    check_unit(path, fields.get("DistanceUnits", ""))
    slope = number(fields.get("ElementToIntensityFunctionSlope", "1"))
    offset = number(fields.get("ElementToIntensityFunctionOffset", "0"))
    if (slope, offset) != (1, 0):
        raise InputRefused(
            f"The values in {path.name} are to be scaled by {slope:g} and moved by {offset:g}.",
            hint="Save the volume with its values in Hounsfield units.",
            code="unknown-format",
        )


@np.errstate(all="ignore")  # what overflows is refused
def _place(
    path: Path, fields: Mapping[str, str], axes: int
) -> tuple[np.ndarray, list[float], list[str], list[Doubt]]:
    matrix, spacing, notes, doubts = np.eye(4), [1.0] * 3, [], []
    name = _first(fields, "TransformMatrix", "Rotation", "Orientation")
    if name is None:
        doubts.append(no_orientation(path))  # the format has a default, which says nothing of the patient
    else:
        # Row n of the text is the direction of axis n.
        rows = np.reshape(numbers(path, name, fields[name], axes * axes), (axes, axes))
        matrix[:3, :3] = rows[:3, :3].T
    name = _first(fields, "Offset", "Position", "Origin")
    if name is None:
        notes.append(no_origin(path))
    else:
        matrix[:3, 3] = numbers(path, name, fields[name], axes)[:3]
    name = _first(fields, "ElementSpacing", "ElementSize")
    if name is None:
        doubts.append(no_spacing(path))
    else:
        spacing = [number(word) for word in fields[name].split()]
        if len(spacing) != axes:
            raise damaged(path, f"its {name} is {shown(fields[name])!r}, where {axes} numbers belong")
        spacing = spacing[:3]
        check_spacing(path, spacing)
        matrix[:3, :3] *= spacing
    return matrix, spacing, notes, doubts


def _first(fields: Mapping[str, str], *names: str) -> str | None:
    """The name under which a field is given."""
    return next((name for name in names if name in fields), None)


def _true(path: Path, fields: Mapping[str, str], name: str, default: str = "False") -> bool:
    """Of a field that says yes or no; MetaIO looks at the first letter alone and takes any other for no."""
    text = fields.get(name, default).lower()
    if text not in YES + NO:
        raise damaged(path, f"its {name} is {shown(text)!r}, where True or False belongs")
    return text in YES


# The files with the voxels ---------------------------------------------------------------------------------


def _parts(path: Path, fields: Mapping[str, str], data_file: str, start: int, slices: int) -> list[Part]:
    encoding = RAW if _true(path, fields, "BinaryData", "True") else TEXT
    if _true(path, fields, "CompressedData"):
        encoding = DEFLATE
    skipped = int(numbers(path, "HeaderSize", fields.get("HeaderSize", "0"), 1)[0])
    if skipped < -1 or (skipped and encoding != RAW):
        raise damaged(path, f"its HeaderSize is {skipped}")
    if data_file.lower() == "local":
        files, first = [path], start
    else:
        files, first = _files_beside(path, data_file, start, slices), 0
    parts = [Part(file, encoding, None if skipped == -1 else first + skipped) for file in files]
    if encoding != RAW and len(parts) > 1:
        raise damaged(path, "its slices lie in several files, which are said to be compressed or text")
    _check_compressed_size(path, fields, parts[0])
    return parts


def _check_compressed_size(path: Path, fields: Mapping[str, str], part: Part) -> None:
    """What is said of the compressed bytes is all of them; 0 where it was not known."""
    promised = number(fields.get("CompressedDataSize", "0"))
    present = part.path.stat().st_size - (part.start or 0)
    if part.encoding == DEFLATE and promised not in (0, present):
        raise damaged(path, f"{promised:g} bytes of compressed voxels are promised, {present} are there")


def _files_beside(path: Path, data_file: str, start: int, slices: int) -> list[Path]:
    """One file; or one for each slice, as a list of names after the header or a pattern with numbers."""
    words = data_file.split()
    if words[0] == "LIST":
        with open(path, "rb") as file:
            file.seek(start)
            lines = file.read(HEADER_BYTES).decode("utf-8", "surrogateescape").splitlines()
        names = [line.strip() for line in lines if line.strip()]
        dimension = words[1] if len(words) > 1 else "2"
    elif pattern := PATTERN.fullmatch(" ".join(words[:4])):
        before, zero, width, after, *span = pattern.groups()
        low, high, step = map(int, span)
        names = [f"{before}{n:{zero}{width or 1}d}{after}" for n in range(low, high + 1, max(1, step))]
        dimension = words[4] if len(words) > 4 else "2"
    else:
        return [file_beside(path, data_file)]
    if dimension != "2" or len(names) != slices:
        raise damaged(path, f"it names {len(names)} files for {slices} slices")
    return [file_beside(path, name) for name in names]
