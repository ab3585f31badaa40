"""Reads NRRD (.nrrd, and .nhdr with its data file).

Rules: Teem's "Definition of NRRD File Format", versions 1 to 5. No package is needed: 3D Slicer, which brings
none for it, reads the sample CT by this file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from iuinet.errors import InputRefused
from iuinet.volume import Doubt, Volume

from . import declared
from .declared import (
    HEADER_BYTES,
    check_text,
    check_unit,
    damaged,
    no_orientation,
    no_origin,
    no_spacing,
    number,
    shown,
)
from .placement import grid_from_matrix
from .streams import BZIP2, DEFLATE, RAW, TEXT, Part, read_parts

ENCODINGS = {
    **dict.fromkeys(("raw",), RAW),
    **dict.fromkeys(("gzip", "gz"), DEFLATE),
    **dict.fromkeys(("bzip2", "bz2"), BZIP2),
    **dict.fromkeys(("txt", "text", "ascii"), TEXT),
}
NAMES_OF_TYPES = {
    "i1": "signed char, int8, int8_t",
    "u1": "uchar, unsigned char, uint8, uint8_t",
    "i2": "short, short int, signed short, signed short int, int16, int16_t",
    "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
    "i4": "int, signed int, int32, int32_t",
    "u4": "uint, unsigned int, uint32, uint32_t",
    "i8": "longlong, long long, long long int, signed long long, signed long long int, int64, int64_t",
    "u8": "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t",
    "f4": "float",
    "f8": "double",
}
TYPES = {name: code for code, names in NAMES_OF_TYPES.items() for name in names.split(", ")}
TO_LPS = {  # what makes the axes of a space point to the left, the back and the head
    **dict.fromkeys(("left-posterior-superior", "lps"), (1, 1, 1)),
    **dict.fromkeys(("right-anterior-superior", "ras"), (-1, -1, 1)),
    **dict.fromkeys(("left-anterior-superior", "las"), (1, -1, 1)),
}
TIMELESS = {"rast": "ras", "last": "las", "lpst": "lps"}
OF_NO_PATIENT = ("scanner-xyz", "3d-right-handed", "3d-left-handed")
SCALAR_KINDS = ("domain", "space", "time", "list", "point", "none", "???", "scalar")
VECTOR = re.compile(r"\(([^()]*)\)|none")
END_OF_HEADER = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True)
class Axis:
    """One axis of the array. vector: step along it in the file's space, None where it is no direction.

    spacing: where the file gives no vectors. unit: of that, or of the samples along the axis.
    """

    size: int
    kind: str
    vector: np.ndarray | None
    spacing: float | None
    unit: str


def read_nrrd(path: Path, name: str) -> Volume:
    """The volume in an NRRD file.

    Raises: InputRefused, its codes as in ``declared``, ``placement`` and ``streams``, and "unknown-format"
    for an encoding that is not read.

    >>> sample = Path(__file__).parents[2] / "Resources/Sample/sample-ct.nrrd"
    >>> read_nrrd(sample, "ct").grid.spacing[2] > 0
    True
    """
    fields, start = _read_header(path)
    axes = _spatial_axes(_axes(path, fields))
    matrix, notes, doubts = _place(path, fields, axes)
    size = tuple(axis.size for axis in axes)
    grid = grid_from_matrix(path, size, matrix)
    encoding = _encoding(path, fields)
    dtype = _dtype(path, fields, encoding)
    array = read_parts([_part(path, fields, encoding, start)], dtype, size[::-1])
    notes += [doubt.message for doubt in doubts]
    return Volume(array, grid, name, None, tuple(notes), tuple(doubts))


def _read_header(path: Path) -> tuple[dict[str, str], int]:
    """The fields that say something of the voxels, and how many bytes the header has."""
    with open(path, "rb") as file:
        head = file.read(HEADER_BYTES)
    end = END_OF_HEADER.search(head)
    if end is None and len(head) == HEADER_BYTES:
        raise damaged(path, "it does not end")
    head = head[: end.end()] if end else head
    check_text(path, head)
    first, *lines = head.decode("utf-8", "surrogateescape").split("\n")
    if not re.fullmatch(r"NRRD000[1-5]", first.rstrip()):
        raise damaged(path, f"its first line is {shown(first.rstrip())!r}, not NRRD0001 to NRRD0005")
    fields: dict[str, str] = {}
    for line in filter(str.strip, lines):
        if line.startswith("#") or ":=" in line:
            continue  # a comment, or a note of whoever wrote it
        name, colon, value = line.partition(":")
        name = re.sub("^(data|line|byte) ?", r"\1 ", name.strip().lower())
        if not colon or name in fields:
            raise damaged(path, f"the line {shown(line)!r} is no field, or one that was there already")
        fields[name] = value.strip()
    missing = {"type", "dimension", "sizes", "encoding"} - set(fields)
    if missing:
        raise damaged(path, f"it has no {' and no '.join(sorted(missing))}")
    return fields, len(head)


def _whole(path: Path, fields: Mapping[str, str], name: str) -> list[int]:
    """Whole numbers; one 0 for a field that is not there."""
    words = fields.get(name, "0").split()
    if not words or not all(re.fullmatch(r"-?\d{1,15}", word) for word in words):
        raise damaged(path, f"its {name} is {shown(fields[name])!r}")
    return [int(word) for word in words]


def _vectors(path: Path, fields: Mapping[str, str], name: str) -> list[np.ndarray | None]:
    if VECTOR.sub("", fields[name]).strip():
        raise damaged(path, f"its {name} is {shown(fields[name])!r}")
    found = [match[1] for match in VECTOR.finditer(fields[name])]
    return [text if text is None else np.array([number(word) for word in text.split(",")]) for text in found]


def _words(text: str) -> list[str]:
    """Words with blanks between them, or in quotation marks."""
    return [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|([^\s"]+)', text.lower())]


def _axes(path: Path, fields: Mapping[str, str]) -> list[Axis]:
    sizes = _whole(path, fields, "sizes")
    declared.check_sizes(path, sizes)
    count = len(sizes)
    columns: list[list] = [sizes]
    for name, read, default in (
        ("kinds", lambda: _words(fields["kinds"]), "domain"),
        ("space directions", lambda: _vectors(path, fields, "space directions"), None),
        ("spacings", lambda: [number(word) for word in fields["spacings"].split()], None),
        ("units", lambda: _words(fields["units"]), ""),
    ):
        values = read() if name in fields else [default] * count
        if _whole(path, fields, "dimension") != [count] or len(values) != count:
            axes = shown(fields["dimension"])
            raise damaged(path, f"it has {axes} axes, {count} sizes and {len(values)} {name}")
        columns.append(values)
    return [Axis(*row) for row in zip(*columns, strict=True)]


def _spatial_axes(axes: list[Axis]) -> list[Axis]:
    """The three axes of the scan. Others are left out if they have one voxel, which moves no voxel."""
    directed = any(axis.vector is not None for axis in axes)
    while len(axes) > 3:
        single = [n for n, axis in enumerate(axes) if axis.size == 1]
        # Rather one that is no direction in space, such as a list, else the last one.
        single = [n for n in single if directed and axes[n].vector is None] or single
        if not single:
            break
        axes = [axis for n, axis in enumerate(axes) if n != single[-1]]
    for axis in axes:
        if axis.kind not in SCALAR_KINDS and axis.size > 1:
            others = [other.size for other in axes if other is not axis]
            declared.check_kind(others, axis.size, f"vector, {shown(axis.kind)}")
    declared.check_kind([axis.size for axis in axes], 1, "")
    return axes


def _place(
    path: Path, fields: Mapping[str, str], axes: list[Axis]
) -> tuple[np.ndarray, list[str], list[Doubt]]:
    for unit in [*_words(fields.get("space units", "")), *(axis.unit for axis in axes)]:
        check_unit(path, unit)
    matrix, notes, doubts = np.eye(4), [], []
    if "space directions" in fields:
        missing = np.full(3, np.nan)
        vectors = [missing if axis.vector is None else _in_space(path, axis.vector) for axis in axes]
        matrix[:3, :3] = np.column_stack(vectors)
        if "space origin" in fields:
            origin = _vectors(path, fields, "space origin")
            if len(origin) != 1 or origin[0] is None:
                raise damaged(path, f"its space origin is {shown(fields['space origin'])!r}")
            matrix[:3, 3] = _in_space(path, origin[0])
        else:
            notes.append(no_origin(path))
    elif "spacings" in fields:
        matrix[:3, :3] = np.diag([axis.spacing for axis in axes])
    else:
        doubts.append(no_spacing(path))
    space = fields.get("space", "").lower()
    name = TIMELESS.get(space, space.removesuffix("-time"))
    if name in TO_LPS:
        matrix[:3] *= np.array(TO_LPS[name])[:, None]
    elif not name or name in OF_NO_PATIENT:
        doubts.append(no_orientation(path))
    else:
        raise damaged(path, f"its space {shown(space)!r} is none of the format's")
    return matrix, notes, doubts


def _in_space(path: Path, vector: np.ndarray) -> np.ndarray:
    """A vector of the file's space without its coordinate of time."""
    if len(vector) not in (3, 4) or (len(vector) == 4 and vector[3] != 0):
        raise damaged(path, f"a direction or place has {len(vector)} coordinates, where 3 belong")
    return vector[:3]


def _encoding(path: Path, fields: Mapping[str, str]) -> str:
    encoding = fields["encoding"].lower()
    if encoding not in ENCODINGS:
        raise InputRefused(
            f"The encoding of {path.name}, {shown(fields['encoding'])!r}, is none of those that are read.",
            hint="Save the volume with the encoding raw or gzip.",
            code="unknown-format",
        )
    return ENCODINGS[encoding]


def _dtype(path: Path, fields: Mapping[str, str], encoding: str) -> np.dtype:
    name = " ".join(fields["type"].lower().split())
    if name not in TYPES:
        raise damaged(path, f"its type {shown(fields['type'])!r} is none of the format's numbers")
    dtype = np.dtype(TYPES[name])
    if dtype.itemsize == 1 or encoding == TEXT:
        return dtype
    endian = fields.get("endian", "").lower()
    if endian not in ("little", "big"):
        raise damaged(path, "it does not say whether its numbers are little or big endian")
    return dtype.newbyteorder(endian)


def _part(path: Path, fields: Mapping[str, str], encoding: str, start: int) -> Part:
    """Where the voxels are."""
    if "data file" in fields:
        if re.match(r"list\b", fields["data file"], re.IGNORECASE) or "%" in fields["data file"]:
            raise InputRefused(
                f"The voxels of {path.name} lie in several files ({shown(fields['data file'])}).",
                hint="Save the volume as one file.",
                code="unknown-format",
            )
        path, start = declared.file_beside(path, fields["data file"]), 0
    lines, skipped = (_whole(path, fields, name)[0] for name in ("line skip", "byte skip"))
    if lines < 0 or skipped < -1 or (skipped and encoding != RAW):
        raise damaged(path, f"it asks to skip {lines} lines and {skipped} bytes")
    if skipped == -1:
        return Part(path, encoding, None)
    with open(path, "rb") as file:
        file.seek(start)
        for _ in range(lines):
            if not file.readline(HEADER_BYTES):
                break
        return Part(path, encoding, file.tell() + skipped)
