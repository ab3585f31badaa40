"""Image files: small good ones, how each format is damaged, and whether what was read can be true.

A damaged file is READ WRONGLY if it is accepted without a question although a length, a checksum, a second
place or a rule of the format in it contradicts what was read, or if ITK (for DICOM: GDCM inside it) reads
other voxels or another place from the same bytes. What no reader can know, such as a flipped bit in plain
voxels, is undetectable.
"""

from __future__ import annotations

import gzip
import random
import struct
import tempfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.uid import UID

from iuinet.checks import NOTE, check_volume
from iuinet.errors import IUINetError
from iuinet.reading import read_volume
from iuinet.volume import Grid, Volume

from . import contradictions
from .children import REFUSED, RIGHT, UNDETECTABLE, WRONG, Report
from .damage import BY_CHANCE, IN_TEXT, Damage, field, in_head

SPACING, ORIGIN, SHAPE = (4.0, 3.5, 5.0), (-31.0, -22.5, 101.0), (12, 14, 16)
PLACE_TOLERANCE = 0.05  # voxels, at the corners
Files = dict[str, bytes]


@dataclass(frozen=True)
class Kind:
    """One way to store a scan. files: a good one. opened: what is given to the reader, "" for the folder."""

    name: str
    files: Files
    opened: str
    damages: Mapping[str, tuple[Damage, ...]]  # by the name of the file that is damaged, "*" for any

    def damaged(self, rng: random.Random) -> Files:
        """The files with one of them damaged once, or twice now and then."""
        files = dict(self.files)
        name = rng.choice(sorted(self.damages))
        damages = self.damages[name]
        name = rng.choice(sorted(files)) if name == "*" else name
        for _ in range(rng.choice((1, 1, 1, 2))):
            files[name] = rng.choice(damages)(rng, files[name]) or b"\0"
        return files


def read_case(kind: Kind, files: Files, truth: Volume) -> Callable[[Report], None]:
    """The work of a child: read the files, and judge."""

    def work(report: Report) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name, data in files.items():
                Path(folder, name).write_bytes(data)
            path = Path(folder, kind.opened)
            try:
                volume = read_volume(path)
            except IUINetError as error:
                report(REFUSED, error.code)
                return
            questions = [finding.code for finding in check_volume(volume) if finding.severity != NOTE]
            if questions:
                report(REFUSED, f"asked: {questions[0]}")
                return
            _judge(kind, files, path, volume, truth, report)

    return work


def _judge(kind: Kind, files: Files, path: Path, volume: Volume, truth: Volume, report: Report) -> None:
    same = np.array_equal(volume.array, truth.array) and _apart(volume.grid, truth.grid) < PLACE_TOLERANCE
    if not same and (why := contradictions.find(kind.name, files, volume)):
        report(WRONG, why)
        return
    if same and (volume.notes or not contradictions.find(kind.name, files, volume)):
        report(RIGHT)
        return
    report(UNDETECTABLE)
    second = _second_reader(path)  # which may refuse, or end the process: then it has no say
    if second is None:
        return
    if len(second.array) < len(volume.array):  # GDCM left out a slice that can be read
        return
    if second.array.shape != volume.array.shape:
        report(WRONG, f"shape {volume.array.shape}, ITK {second.array.shape}")
    elif not np.array_equal(second.array, volume.array, equal_nan=True):
        many = np.count_nonzero(second.array != volume.array)
        report(WRONG, f"{many} of {volume.array.size} voxels are others for ITK")
    elif (far := _apart(volume.grid, second.grid)) > PLACE_TOLERANCE:
        report(WRONG, f"ITK places a corner {far:.2f} voxels away")


def _apart(one: Grid, other: Grid) -> float:
    """The largest distance between the same corners, in steps of the finer grid; infinite for other sizes."""
    if tuple(one.size) != tuple(other.size):
        return np.inf
    corners = np.stack(np.meshgrid(*((0, n - 1) for n in one.size), [1], indexing="ij"), -1).reshape(-1, 4)
    apart = corners @ (_affine(one) - _affine(other)).T
    far = float(np.abs(apart).max() / min(*one.spacing, *other.spacing))
    return far if np.isfinite(far) else np.inf


def _affine(grid: Grid) -> np.ndarray:
    """3 x 4: from indices (i, j, k, 1) to LPS, mm."""
    return np.column_stack([np.asarray(grid.direction) * grid.spacing, grid.origin])


def _second_reader(path: Path) -> Volume | None:
    """What ITK reads, None where it refuses."""
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        if path.is_dir():
            reader = sitk.ImageSeriesReader()
            series = reader.GetGDCMSeriesIDs(str(path))
            names = [reader.GetGDCMSeriesFileNames(str(path), one) for one in series]
            if not names:
                return None
            reader.SetFileNames(max(names, key=len))
            if _is_rescaled_otherwise(names):
                return None
            image = reader.Execute()
        else:
            image = sitk.ReadImage(str(path))
    except RuntimeError:
        return None
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[..., 0]
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        return None
    direction = np.array(image.GetDirection()).reshape(3, 3)
    grid = Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), direction)
    return Volume(sitk.GetArrayFromImage(image), grid, "second", None, ())


def _is_rescaled_otherwise(series: list[tuple[str, ...]]) -> bool:
    """GDCM in ITK applies one rescale to all frames of a file, and none where it does not know the class."""
    found = pydicom.dcmread(max(series, key=len)[0], force=True, stop_before_pixels=True)
    frames = found.get("PerFrameFunctionalGroupsSequence") or []
    rescales = {str(frame.get("PixelValueTransformationSequence")) for frame in frames}
    return bool(frames) and (len(rescales) > 1 or not UID(str(found.get("SOPClassUID"))).keyword)


# Good files ---------------------------------------------------------------------------------------------


def truth() -> Volume:
    """A body in air, int16, with a slanted noise, so that no two places are alike."""
    k, j, i = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    radius = np.hypot((j - 6.5) / 6, (i - 7.5) / 7)
    noise = np.random.default_rng(0).integers(-15, 15, SHAPE)
    body = np.select([radius < 0.8, radius < 1.0], [60 + 3 * k, -100 + 0 * k], -1000) + noise
    return Volume(body.astype(np.int16), Grid(SHAPE[::-1], SPACING, ORIGIN), "truth", None, ())


def volume_kinds() -> list[Kind]:
    """NIfTI, NRRD and MetaImage, plain and compressed."""
    voxels = truth().array.astype("<i2").tobytes()
    nifti = _nifti_header() + voxels
    fields = field(_NIFTI_FIELDS)
    zipped_nifti: tuple[Damage, ...] = (
        *BY_CHANCE,
        _inside_gzip(fields),
        _inside_gzip(fields),
        _inside_gzip(_any),
    )
    kinds = [
        Kind(
            "NIfTI",
            {"a.nii": nifti},
            "a.nii",
            {"a.nii": (*BY_CHANCE, in_head(352, BY_CHANCE), fields, fields)},
        ),
        Kind("NIfTI gz", {"a.nii.gz": _zip(nifti)}, "a.nii.gz", {"a.nii.gz": zipped_nifti}),
    ]
    for name, encoding, data in (("NRRD", "raw", voxels), ("NRRD gz", "gzip", _zip(voxels))):
        header = _NRRD.format(encoding=encoding).encode()
        text = in_head(len(header), IN_TEXT)
        files = {"a.nrrd": header + b"\n" + data}
        kinds.append(
            Kind(name, files, "a.nrrd", {"a.nrrd": (*BY_CHANCE, text, text, in_head(len(header), BY_CHANCE))})
        )
        detached = {"a.nhdr": header + f"data file: b.{encoding}\n".encode(), f"b.{encoding}": data}
        kinds.append(
            Kind(
                f"{name} detached",
                detached,
                "a.nhdr",
                {"a.nhdr": (*IN_TEXT, *BY_CHANCE), f"b.{encoding}": BY_CHANCE},
            )
        )
    zipped = zlib.compress(voxels)
    for name, data, extra in (
        ("MetaImage", voxels, "CompressedData = False\n"),
        ("MetaImage z", zipped, f"CompressedData = True\nCompressedDataSize = {len(zipped)}\n"),
    ):
        header = _META.format(compression=extra).encode()
        local = header + b"ElementDataFile = LOCAL\n"
        text = in_head(len(local), IN_TEXT)
        kinds.append(
            Kind(
                name,
                {"a.mha": local + data},
                "a.mha",
                {"a.mha": (*BY_CHANCE, text, text, in_head(len(local), BY_CHANCE))},
            )
        )
        files = {"a.mhd": header + b"ElementDataFile = b.raw\n", "b.raw": data}
        damages: dict[str, tuple[Damage, ...]] = {"a.mhd": (*IN_TEXT, *BY_CHANCE), "b.raw": tuple(BY_CHANCE)}
        kinds.append(Kind(f"{name} detached", files, "a.mhd", damages))
    return kinds


def dicom_kinds() -> list[Kind]:
    """A folder of slices by transfer syntax, and one Enhanced file. Written by the tests' own factory."""
    from helpers.dicom_factory import write_enhanced, write_series
    from pydicom.uid import (
        DeflatedExplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        JPEG2000Lossless,
        JPEGLSLossless,
        RLELossless,
    )

    array, kinds = truth().array, []
    syntaxes = {
        "DICOM explicit": ExplicitVRLittleEndian,
        "DICOM implicit": ImplicitVRLittleEndian,
        "DICOM deflated": DeflatedExplicitVRLittleEndian,
        "DICOM RLE": RLELossless,
        "DICOM JPEG-LS": JPEGLSLossless,
        "DICOM JPEG 2000": JPEG2000Lossless,
    }
    head: tuple[Damage, ...] = (in_head(1400, BY_CHANCE), in_head(1400, IN_TEXT[:3]), *BY_CHANCE)
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, syntax) in enumerate(syntaxes.items()):
            place = Path(folder, str(number))
            write_series(place, array, spacing=SPACING, origin=ORIGIN, transfer_syntax=syntax, bits=(16, 16))
            files = {path.name: path.read_bytes() for path in sorted(place.iterdir())}
            kinds.append(Kind(name, files, "", {"*": head}))
        path = write_enhanced(
            Path(folder, "e", "a.dcm"), array, spacing=SPACING, origin=ORIGIN, intercept=-1200.0
        )
        kinds.append(Kind("DICOM Enhanced", {"a.dcm": path.read_bytes()}, "", {"a.dcm": head}))
    return kinds


def _any(rng: random.Random, data: bytes) -> bytes:
    return rng.choice(BY_CHANCE)(rng, data)


def _zip(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def _inside_gzip(damage: Damage) -> Damage:
    """The content is damaged, the compression around it is whole: a header that lies."""

    def inside(rng: random.Random, data: bytes) -> bytes:
        try:
            return _zip(damage(rng, gzip.decompress(data)))
        except (OSError, EOFError, zlib.error):
            return data

    return inside


# Offsets and kinds of the fields of nifti1.h.
_NIFTI_FIELDS = (
    (0, "<i"), *((40 + 2 * n, "<h") for n in range(8)), (70, "<h"), (72, "<h"),
    *((76 + 4 * n, "<f") for n in range(8)), (108, "<f"), (112, "<f"), (116, "<f"), (123, "<B"),
    (252, "<h"), (254, "<h"), *((256 + 4 * n, "<f") for n in range(6)),
    *((280 + 4 * n, "<f") for n in range(12)),    (344, "<B"), (345, "<B"), (346, "<B"),
)  # fmt: skip


def _nifti_header() -> bytes:
    """NIfTI-1 with the same place in qform and sform; NIfTI counts to the left and the front as negative."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *SHAPE[::-1], 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 4, 16)
    struct.pack_into("<8f", header, 76, 1, *SPACING, 0, 0, 0, 0)
    struct.pack_into("<3f", header, 108, 352, 1, 0)
    struct.pack_into("<B", header, 123, 2)
    struct.pack_into("<2h", header, 252, 1, 1)
    x, y, z = -ORIGIN[0], -ORIGIN[1], ORIGIN[2]
    struct.pack_into("<6f", header, 256, 0, 0, 1, x, y, z)
    rows = (-SPACING[0], 0, 0, x, 0, -SPACING[1], 0, y, 0, 0, SPACING[2], z)
    struct.pack_into("<12f", header, 280, *rows)
    header[344:348] = b"n+1\0"
    return bytes(header)


_NRRD = f"""NRRD0004
type: int16
dimension: 3
space: left-posterior-superior
sizes: {" ".join(map(str, SHAPE[::-1]))}
space directions: ({SPACING[0]},0,0) (0,{SPACING[1]},0) (0,0,{SPACING[2]})
kinds: domain domain domain
endian: little
encoding: {{encoding}}
space origin: ({",".join(map(str, ORIGIN))})
"""

_META = f"""ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
{{compression}}TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = {" ".join(map(str, ORIGIN))}
CenterOfRotation = 0 0 0
AnatomicalOrientation = RAI
ElementSpacing = {" ".join(map(str, SPACING))}
DimSize = {" ".join(map(str, SHAPE[::-1]))}
ElementType = MET_SHORT
"""
