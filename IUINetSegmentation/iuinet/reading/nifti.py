"""Reads NIfTI-1 and NIfTI-2 in one file (.nii, .nii.gz): nibabel knows the header, the rest is counted here.

Rules of nifti1.h (NIfTI DFWG): the sform (METHOD 3) and the qform (METHOD 2) each say where the scan lies. As
in nibabel and FSL, the sform has the say where its code is positive; ITK, and so 3D Slicer, takes the qform
instead if only the qform is in the scanner's coordinates. Where the two differ, a person is asked.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from iuinet.errors import InputRefused
from iuinet.volume import Doubt, Grid, Volume

from .declared import check_kind, check_sizes, check_spacing, damaged, mm, no_orientation
from .placement import difference, grid_from_matrix, is_same_place, usable
from .streams import DEFLATE, GZIP_MAGIC, RAW, Stream, take_array

MAGIC = {348: (344, b"n+1\0"), 540: (4, b"n+2\0\r\n\x1a\n")}  # by the header's length: place and word
EXTENSION_MARK_BYTES = 4  # between the header and what may follow it
MOST_EXTENSION_BYTES = 1 << 26
MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # of xyzt_units: unknown, metre, mm, micron
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
ONE_PLACE = "Write the one true place into the file; or, if that of the sform is the true one, go on."


def read_nifti(path: Path, name: str) -> Volume:
    """The volume in a .nii or .nii.gz file, whatever other files lie beside it.

    Raises: InputRefused, its codes as in ``declared``, ``placement`` and ``streams``.

    >>> import tempfile, nibabel
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "ct.nii.gz")
    ...     nibabel.save(nibabel.Nifti1Image(np.zeros((4, 3, 2), np.int16), np.eye(4)), path)
    ...     read_nifti(path, "ct").array.shape
    (2, 3, 4)
    """
    with open(path, "rb") as file:
        zipped = file.read(2) == GZIP_MAGIC
        if zipped and path.suffix.lower() == ".nii":
            raise InputRefused(
                f"{path.name} is compressed although its ending says otherwise.",
                hint=f"Rename it to {path.name}.gz.",
                code="file-damaged",
            )
        stream = Stream(file, DEFLATE if zipped else RAW)
        header = _read_header(path, stream)
        size = _size(path, header)
        dtype = _dtype(path, header, size)
        grid, doubts = _place(path, header, size)
        array = take_array(stream, dtype, size[::-1])
    notes = tuple(doubt.message for doubt in doubts)
    return Volume(_scaled(path, array, header), grid, name, None, notes, tuple(doubts))


def _nibabel() -> ModuleType:
    """Only files need it, so that Slicer, which reads its volumes itself, does without."""
    try:
        import nibabel
    except ImportError as error:
        raise InputRefused(
            "NIfTI files are read with the package nibabel, which is not installed.",
            hint="Install it with 'pip install nibabel', or load the file in 3D Slicer.",
            code="no-nibabel",
        ) from error
    return nibabel


def _read_header(path: Path, stream: Stream) -> Any:
    """nibabel's header; the stream is then at the first voxel."""
    first = stream.read(4)
    lengths = {order: int.from_bytes(first, word) for order, word in (("<", "little"), (">", "big"))}
    order = next((order for order, length in lengths.items() if length in MAGIC), None)
    if order is None:
        raise damaged(path, f"its length is given as {lengths['<']} bytes, where NIfTI has 348 or 540")
    length = lengths[order]
    block = first + stream.read(length - 4)
    place, magic = MAGIC[length]
    if block[place : place + len(magic)] != magic:
        if block[place : place + 4] == b"ni1\0":
            how = "it says that the voxels lie in another file (.img)"
            raise damaged(path, how, hint="Convert the pair of .hdr and .img to one .nii file.")
        raise damaged(path, f"its magic word is not {magic[:3].decode()}, so it is no NIfTI file")
    nibabel = _nibabel()
    kind = nibabel.Nifti1Header if length == 348 else nibabel.Nifti2Header
    header = kind(block, endianness=order, check=False)
    start = float(header["vox_offset"])
    least = length + EXTENSION_MARK_BYTES
    if not (least <= start <= least + MOST_EXTENSION_BYTES and start == int(start)):
        raise damaged(path, f"its voxels begin at byte {start:g}, where {least} is the first possible")
    stream.read(int(start) - length)
    return header


def _size(path: Path, header: Any) -> tuple[int, int, int]:
    axes, *sizes = (int(n) for n in header["dim"])
    if not 1 <= axes <= 7:
        raise damaged(path, f"it has {axes} axes, where NIfTI has 1 to 7")
    sizes = sizes[:axes]
    check_sizes(path, sizes)
    check_spacing(path, [float(value) for value in header["pixdim"][1 : 1 + min(3, axes)]])
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    if len(sizes) == 5 and sizes[3] == 1:  # where NIfTI puts the components of a voxel
        check_kind(sizes[:3], sizes[4], "vector")
    check_kind(sizes, 1, "")
    return tuple(sizes)  # type: ignore[return-value]


def _dtype(path: Path, header: Any, size: tuple[int, int, int]) -> np.dtype:
    codes = _nibabel().nifti1.data_type_codes
    code = int(header["datatype"])
    try:
        dtype, label = np.dtype(codes.dtype[code]), codes.label[code]
    except KeyError:
        raise damaged(path, f"it gives the unknown type of number {code}") from None
    check_kind(size, len(dtype.names or "1"), label)
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise InputRefused(
            f"The voxels of {path.name} are of type {label}, which no CT has.",
            hint="Save the CT with whole numbers or with single precision.",
            code="pixel-type",
        )
    if int(header["bitpix"]) != dtype.itemsize * 8:
        raise damaged(path, f"it gives the type {label} and {int(header['bitpix'])} bits for each number")
    return dtype.newbyteorder(header.endianness)


def _scaled(path: Path, array: np.ndarray, header: Any) -> np.ndarray:
    """slope * x + intercept; a slope of 0 means that the values are not scaled, and voids the intercept."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or not np.isfinite(slope) or (slope, intercept) == (1, 0):
        return array
    if not np.isfinite(intercept):
        raise damaged(path, f"its values are to be scaled with the intercept {intercept:g}")
    scaled = np.empty(array.shape, np.float64 if array.dtype == np.float64 else np.float32)
    for k, plane in enumerate(array):
        scaled[k] = plane.astype(np.float64) * slope + intercept
    return scaled


# Where the scan lies ---------------------------------------------------------------------------------------


@np.errstate(all="ignore")  # what overflows is no place
def _place(path: Path, header: Any, size: tuple[int, int, int]) -> tuple[Grid, list[Doubt]]:
    unit = int(header["xyzt_units"]) & 7
    if unit not in MM_PER_UNIT:
        raise damaged(path, f"its unit of length has the unknown number {unit}")
    scale = np.diag([MM_PER_UNIT[unit]] * 3 + [1.0])
    pixels = scale @ np.diag([*(float(value) for value in header["pixdim"][1:4]), 1.0])
    given = {name: scale @ matrix for name, matrix in _matrices(header).items()}
    if not given:
        return grid_from_matrix(path, size, pixels), [no_orientation(path)]
    sound = {name: matrix for name, matrix in given.items() if usable(matrix)}
    if not sound:
        raise InputRefused(
            f"The place of the scan in {path.name} ({' and '.join(given)}) is broken.",
            hint="Export the volume again with its true place.",
            code="bad-place",
        )
    taken = next(iter(sound))
    matrix, doubts = sound[taken], []
    if len(sound) < len(given):
        broken = next(name for name in given if name not in sound)
        sentence = f"The {broken} of {path.name} is broken; the place of its {taken} was taken."
        doubts.append(Doubt("two-places", sentence, ONE_PLACE))  # what else is wrong in this header?
    if len(sound) == 2:
        doubts += _two_places(path, size, matrix, sound["qform"])
    elif taken == "sform":
        doubts += _two_spacings(path, size, matrix, np.diag(pixels)[:3])
    return grid_from_matrix(path, size, matrix, np.diag(pixels)[:3].tolist()), doubts


def _matrices(header: Any) -> dict[str, np.ndarray]:
    """Those that the header holds, the one with the say first; LPS, in the file's unit of length."""
    found = {}
    if header["sform_code"] > 0:
        found["sform"] = RAS_TO_LPS @ header.get_sform().astype(np.float64)
    if header["qform_code"] > 0:
        straight = header.copy()
        # nifti1.h: whatever is not negative means 1, and 0 is common.
        straight["pixdim"][0] = -1 if straight["pixdim"][0] < 0 else 1
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found["qform"] = RAS_TO_LPS @ straight.get_qform().astype(np.float64)
        except ValueError:  # no unit quaternion
            found["qform"] = np.full((4, 4), np.nan)
    return found


def _two_places(path: Path, size: tuple[int, int, int], sform: np.ndarray, qform: np.ndarray) -> list[Doubt]:
    if is_same_place(size, sform, qform):
        return []
    message = (
        f"{path.name} gives two places for the scan, {difference(size, sform, qform)}: the sform with voxels "
        f"of {_voxel(sform)} and the qform with {_voxel(qform)}. The sform was taken."
    )
    return [Doubt("two-places", message, ONE_PLACE)]


def _two_spacings(
    path: Path, size: tuple[int, int, int], sform: np.ndarray, pixels: np.ndarray
) -> list[Doubt]:
    other = sform.copy()
    other[:3, :3] *= pixels / np.linalg.norm(sform[:3, :3], axis=0)
    if is_same_place(size, sform, other):
        return []
    message = (
        f"{path.name} gives two spacings, {mm(pixels)} (pixdim) and {_voxel(sform)} (sform). That of the "
        "sform was taken; if it is wrong, so are all volumes in ml."
    )
    return [Doubt("two-spacings", message, ONE_PLACE)]


def _voxel(matrix: np.ndarray) -> str:
    return mm(np.linalg.norm(matrix[:3, :3], axis=0))
