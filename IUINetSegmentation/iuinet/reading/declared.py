"""What a header declares, held against what a CT is; shared by the readers of NIfTI, NRRD and MetaImage.

Every value may be anything at all: the header comes from the file of a stranger.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from iuinet.errors import InputRefused
from iuinet.volume import Doubt

HEADER_BYTES = 1 << 20  # of a text header; those that programs write have some thousand
COPY_AGAIN = "Copy or export the file again from its source."
TRUE_SIZE = "Export the volume again with its true voxel size."
_SHOWN = 40  # letters of a header's value that a message repeats


def damaged(path: Path, how: str, code: str = "file-damaged", hint: str = COPY_AGAIN) -> InputRefused:
    """The refusal of a file whose header cannot be right.

    >>> damaged(Path("ct.nrrd"), "it has no sizes").message
    'The header of ct.nrrd is damaged: it has no sizes.'
    """
    return InputRefused(f"The header of {path.name} is damaged: {how}.", hint=hint, code=code)


def shown(value: object) -> str:
    """A header's value for a message: short, and without letters that a terminal would obey.

    >>> shown("gzip\\x1b[2J" + 1000 * "!")
    'gzip?[2J!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!...'
    """
    text = "".join(letter if letter.isprintable() else "?" for letter in str(value)[: _SHOWN + 1])
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def number(text: str) -> float:
    """NaN for what is no number. Python's float knows no locale, unlike C's, but more digits and 1_000.

    >>> number("2.5"), number("2,5"), number("1_0")
    (2.5, nan, nan)
    """
    try:
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan


def check_text(path: Path, header: bytes) -> None:
    """Raises: InputRefused "file-damaged" for a text header with bytes that are no text.

    >>> check_text(Path("ct.nrrd"), b"NRRD0004\\n")
    """
    if re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]", header):
        raise damaged(path, "it holds bytes that are no text")


def numbers(path: Path, field: str, text: str, count: int) -> list[float]:
    """So many finite numbers, with blanks between them.

    Raises: InputRefused "file-damaged".

    >>> numbers(Path("ct.mha"), "Offset", "1 2.5 3", 3)
    [1.0, 2.5, 3.0]
    """
    found = [number(word) for word in text.split()]
    if len(found) != count or not all(map(math.isfinite, found)):
        raise damaged(path, f"its {field} is {shown(text)!r}, where {count} numbers belong")
    return found


def check_sizes(path: Path, sizes: Sequence[float]) -> None:
    """Voxels along each axis. Raises: InputRefused "no-image-data" for an axis without voxels.

    >>> check_sizes(Path("ct.nii"), (512, 512, 90))
    """
    if not sizes or not all(size >= 1 for size in sizes):
        raise InputRefused(
            f"{path.name} holds no image data: its size is {' x '.join(f'{n:g}' for n in sizes)} voxels.",
            hint=COPY_AGAIN,
            code="no-image-data",
        )


def check_spacing(path: Path, spacing: Sequence[float]) -> None:
    """Raises: InputRefused "bad-spacing" for a voxel size that is not finite and positive.

    >>> check_spacing(Path("ct.nii"), (0.8, 0.8, 2.5))
    """
    if not all(math.isfinite(value) and value > 0 for value in spacing):
        raise InputRefused(
            f"The spacing in {path.name} is {mm(spacing)}; it must be positive on every axis.",
            hint=TRUE_SIZE,
            code="bad-spacing",
        )


def check_unit(path: Path, unit: str) -> None:
    """Raises: InputRefused "bad-spacing" for a unit of length that is named and is not the millimetre.

    >>> check_unit(Path("ct.nrrd"), "mm")
    """
    if unit.strip().lower() not in ("", "?", "???", "none", "mm", "millimeter", "millimeters", "millimetre"):
        raise InputRefused(
            f"The unit of length in {path.name} is {shown(unit)!r}; millimetres are needed.",
            hint="Export the volume again in millimetres.",
            code="bad-spacing",
        )


def check_kind(size: Sequence[int], components: int, pixel_type: str) -> None:
    """Three axes, or a fourth of length 1, and one real number per voxel.

    Raises: InputRefused "two-dimensional", "four-dimensional", "vector-pixels".

    >>> check_kind((512, 512, 90), 1, "int16")
    """
    shape = " x ".join(map(str, size))
    if len(size) < 3:
        raise InputRefused(
            f"The image is a single picture ({shape}); a CT volume has three axes.",
            hint="Give the whole series.",
            code="two-dimensional",
        )
    if len(size) > 3 and (len(size) > 4 or size[3] != 1):
        raise InputRefused(
            f"The image has {len(size)} axes ({shape}); a CT volume has three.",
            hint="Save one time point or phase as a volume of its own.",
            code="four-dimensional",
        )
    if components != 1 or any(word in pixel_type for word in ("vector", "complex", "label")):
        raise InputRefused(
            f"Each voxel holds {components} values ({pixel_type}); a CT has one number per voxel.",
            hint="Give the CT itself, not a colour image, a vector field or a complex one.",
            code="vector-pixels",
        )


def no_spacing(path: Path) -> Doubt:
    """The question that a file without a voxel size asks.

    >>> no_spacing(Path("ct.nrrd")).code
    'no-spacing'
    """
    message = f"{path.name} gives no spacing: taken as 1 mm, so volumes in ml may be wrong."
    return Doubt("no-spacing", message, TRUE_SIZE)


def no_origin(path: Path) -> str:
    """The note on a file that does not say where the first voxel lies: nothing is measured by it.

    >>> no_origin(Path("ct.mha"))
    'ct.mha does not say where the scan lies; its first voxel was taken as the origin.'
    """
    return f"{path.name} does not say where the scan lies; its first voxel was taken as the origin."


def no_orientation(path: Path) -> Doubt:
    """The question that a file asks which does not say where left, front and head are.

    >>> no_orientation(Path("ct.nii")).code
    'no-orientation'
    """
    message = (
        f"{path.name} does not say how the scan lies in the patient: its axes were taken as pointing to the "
        "left, the back and the head, so left and right may be exchanged."
    )
    return Doubt("no-orientation", message, "Export the volume again with its orientation.")


def mm(values: Sequence[float]) -> str:
    """Lengths for a message.

    >>> mm((0.8, 0.8, 2.5))
    '0.8 x 0.8 x 2.5 mm'
    """
    return " x ".join(f"{value:.4g}" for value in values) + " mm"


def file_beside(path: Path, name: str) -> Path:
    """The data file that a header names: in the header's folder or below it, nowhere else.

    Raises: InputRefused "data-file" for another place, "file-damaged" where it is missing.

    >>> file_beside(Path("scans/ct.mhd"), "../ct.raw")
    Traceback (most recent call last):
    iuinet.errors.InputRefused: ct.mhd names the data file '../ct.raw', which is not a file beside it.
    """
    parts = {*PurePosixPath(name).parts, *PureWindowsPath(name).parts}
    rooted = PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor
    if rooted or ".." in parts or re.search(r"[%\x00-\x1f]", name):
        raise InputRefused(
            f"{path.name} names the data file {shown(name)!r}, which is not a file beside it.",
            hint="Put both files into one folder, and name the data file alone in the header.",
            code="data-file",
        )
    beside = path.parent / name
    if not beside.is_file():
        raise damaged(path, f"a file that belongs to it is missing ({shown(name)})")
    return beside
