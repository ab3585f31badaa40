"""MetaImage files: read as ITK reads sound ones; a question or a refusal where they are not."""

from __future__ import annotations

import gzip
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers.dicom_factory import body_volume
from helpers.reading_helpers import assert_as_itk_reads, orientations, refusal

from iuinet.reading import read_volume

VOXELS = body_volume().astype("<i2").tobytes()
TYPES = {
    "i1": "MET_CHAR",
    "u1": "MET_UCHAR",
    "i2": "MET_SHORT",
    "u2": "MET_USHORT",
    "i4": "MET_INT",
    "u4": "MET_UINT",
    "i8": "MET_LONG_LONG",
    "u8": "MET_ULONG_LONG",
    "f4": "MET_FLOAT",
    "f8": "MET_DOUBLE",
}


def made(path: Path, data: bytes = VOXELS, end: str = "\n", **fields: object) -> Path:
    """A MetaImage file of a short volume; fields replace those of the header, None drops one."""
    head = {
        "ObjectType": "Image",
        "NDims": 3,
        "BinaryData": True,
        "BinaryDataByteOrderMSB": False,
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "Offset": "-120 -90 40",
        "ElementSpacing": "0.8 0.7 2.5",
        "DimSize": "28 24 12",
        "ElementType": "MET_SHORT",
        "who[0]": "a note = of whoever wrote it",
        **fields,
    }
    head["ElementDataFile"] = head.pop("ElementDataFile", "LOCAL")
    text = end.join(f"{name} = {value}" for name, value in head.items() if value is not None)
    path.write_bytes((text + end).encode() + data)
    return path


def compressed(path: Path, data: bytes, **fields: object) -> Path:
    return made(path, data, CompressedData=True, **fields)


# What is read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("msb", [False, True])
@pytest.mark.parametrize("dtype", TYPES)
def test_numbers_are_read_as_itk_reads_them(tmp_path: Path, dtype: str, msb: bool) -> None:
    array = (body_volume() % 100).astype(np.dtype(dtype).newbyteorder(">" if msb else "<"))
    path = tmp_path / "scan.mha"
    made(path, array.tobytes(), ElementType=TYPES[dtype], BinaryDataByteOrderMSB=msb)
    assert assert_as_itk_reads(path).array.dtype == dtype


def test_all_48_storage_orders_are_read_as_itk_reads_them(tmp_path: Path) -> None:
    for direction in orientations():
        matrix = " ".join(f"{value:g}" for value in direction.T.ravel())
        assert_as_itk_reads(made(tmp_path / "scan.mha", TransformMatrix=matrix))


def test_other_spellings_are_read(tmp_path: Path) -> None:
    fields = {
        "Offset": None,
        "TransformMatrix": None,
        "Position": "1 2 3",
        "Orientation": "0 1 0 1 0 0 0 0 -1",
    }
    for end in ("\n", "\r\n"):
        read = assert_as_itk_reads(made(tmp_path / "scan.mha", end=end, **fields))
        assert read.grid.origin == (1, 2, 3) and read.notes == ()


def test_compressed_voxels_are_read_with_and_without_their_length(tmp_path: Path) -> None:
    for data in (zlib.compress(VOXELS), gzip.compress(VOXELS)):
        for size in (None, len(data), 0):
            path = compressed(tmp_path / "scan.mha", data, CompressedDataSize=size)
            np.testing.assert_array_equal(read_volume(path).array, body_volume())


def test_a_header_before_the_voxels_is_passed_over(tmp_path: Path) -> None:
    for size in (100, -1):
        (tmp_path / "scan.raw").write_bytes(bytes(range(100)) + VOXELS)
        path = made(tmp_path / "scan.mhd", b"", HeaderSize=size, ElementDataFile="scan.raw")
        np.testing.assert_array_equal(assert_as_itk_reads(path).array, body_volume())


def test_slices_in_files_of_their_own_are_read(tmp_path: Path) -> None:
    names = [f"slice{k:03d}.raw" for k in range(12)]
    for name, plane in zip(names, body_volume(), strict=True):
        (tmp_path / name).write_bytes(plane.astype("<i2").tobytes())
    listed = made(
        tmp_path / "list.mhd", "".join(f"{name}\n" for name in names).encode(), ElementDataFile="LIST"
    )
    counted = made(tmp_path / "pattern.mhd", b"", ElementDataFile="slice%03d.raw 0 11 1")
    for path in (listed, counted):
        np.testing.assert_array_equal(assert_as_itk_reads(path).array, body_volume())
    short = made(tmp_path / "short.mhd", "\n".join(names[1:]).encode(), ElementDataFile="LIST")
    refusal(short, "file-damaged", "11 files for 12 slices")
    (tmp_path / names[3]).write_bytes(VOXELS[:100])
    refusal(listed, "file-cut", names[3])


def test_voxels_as_text_are_read(tmp_path: Path) -> None:
    data = " ".join(map(str, body_volume().ravel())).encode()
    np.testing.assert_array_equal(
        read_volume(made(tmp_path / "scan.mha", data, BinaryData=False)).array, body_volume()
    )


def test_a_file_without_orientation_asks(tmp_path: Path) -> None:
    volume = read_volume(made(tmp_path / "scan.mha", TransformMatrix=None))
    assert [doubt.code for doubt in volume.doubts] == ["no-orientation"]
    assert volume.notes == (volume.doubts[0].message,)


# What is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_cut_streams_are_refused_whatever_length_the_header_gives(tmp_path: Path, keep: float) -> None:
    data = zlib.compress(VOXELS)
    data = data[: int(keep * len(data))]
    (tmp_path / "scan.zraw").write_bytes(data)
    refusal(compressed(tmp_path / "scan.mhd", b"", ElementDataFile="scan.zraw"), "file-cut", "scan.zraw")
    refusal(compressed(tmp_path / "scan.mha", data, CompressedDataSize=len(data)), "file-cut", "scan.mha")


def test_a_wrong_length_of_the_compressed_voxels_is_refused(tmp_path: Path) -> None:
    for size in (1, 10_000_000, -1, "nan"):
        path = compressed(tmp_path / "scan.mha", zlib.compress(VOXELS), CompressedDataSize=size)
        refusal(path, "file-damaged", "scan.mha")


def test_the_scan_that_was_read_before_never_shows(tmp_path: Path) -> None:
    """In a process of its own, many times: what was freed is what the next array is made of."""
    made(tmp_path / "whole.mha")
    data = zlib.compress(VOXELS)
    compressed(tmp_path / "one.mha", data, CompressedDataSize=1)
    compressed(tmp_path / "cut.mha", data[: len(data) // 2], CompressedDataSize=len(data) // 2)
    code = (
        "import sys; from iuinet.errors import InputRefused; from iuinet.reading import read_volume\n"
        "for path in sys.argv[2:] * 20:\n"
        "    read_volume(sys.argv[1])\n"
        "    try: print(path, read_volume(path).array.shape)\n"
        "    except InputRefused: pass\n"
    )
    paths = [str(tmp_path / name) for name in ("whole.mha", "one.mha", "cut.mha")]
    done = subprocess.run([sys.executable, "-c", code, *paths], check=True, capture_output=True, text=True)
    assert done.stdout == ""


def test_a_wrong_checksum_is_seen(tmp_path: Path) -> None:
    data = bytearray(zlib.compress(VOXELS))
    data[-1] ^= 1
    refusal(compressed(tmp_path / "scan.mha", bytes(data)), "file-cut", "damaged")


@pytest.mark.parametrize(
    "name",
    [
        "%s%n%x",
        "%n%n%n%n",
        "%s",
        "%d",
        "%1$n 0 11 1",
        "%n 0 11 1",
        "../scan.raw",
        "/etc/hostname",
        r"C:\a.raw",
    ],
)
def test_a_data_file_elsewhere_or_with_the_letters_of_printf_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "scan.raw").write_bytes(VOXELS)
    for ending in ("mhd", "mha"):
        refusal(made(folder / f"scan.{ending}", b"", ElementDataFile=name), "data-file", f"scan.{ending}")


@pytest.mark.parametrize(
    "fields",
    [
        {"ElementType": "MET_" + "x" * 5000},
        {"ElementType": None},
        {"NDims": "3" * 5000},
        {"DimSize": "28 24"},
        {"DimSize": "28.5 24 12"},
        {"DimSize": "28 24 11"},
        {"DimSize": "27 24 12"},
        {"TransformMatrix": "1 0 0 0 1 0 0 0"},
        {"TransformMatrix": "1 0 0 0 1 0 0 0 nan"},
        {"Offset": "1 2"},
        {"Offset": "1 2 inf"},
        {"ElementSpacing": "1 1"},
        {"HeaderSize": "-2"},
        {"HeaderSize": "x"},
        {"NDims ": "4"},
        {"Compr\0\0\0": "x"},
        {"BinaryDataByteOrderMSB": "False\vCompressedData = True"},
        {"BinaryDataByteOrderMSB": "False\u2028CompressedData = True"},
    ],
    ids=lambda fields: f"{fields}"[:50],
)
def test_a_damaged_header_is_refused(tmp_path: Path, fields: dict[str, object]) -> None:
    refusal(made(tmp_path / "scan.mha", **fields), "file-damaged", "scan.mha")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"DimSize": "28 24 inf"}, "file-damaged"),
        ({"DimSize": "28 24 nan"}, "no-image-data"),
        ({"DimSize": "28 24 -12"}, "no-image-data"),
        ({"ElementNumberOfChannels": "3"}, "vector-pixels"),
        ({"ElementType": "MET_SHORT_ARRAY", "ElementNumberOfChannels": "2"}, "vector-pixels"),
        ({"TransformMatrix": "1 0 0 0 1 0 0 0.1 1"}, "sheared-axes"),
        ({"TransformMatrix": "1 0 0 0 1 0 0 1 0"}, "bad-place"),
        ({"TransformMatrix": "0 0 0 0 0 0 0 0 0"}, "bad-spacing"),
        ({"DistanceUnits": "cm"}, "bad-spacing"),
        ({"ElementToIntensityFunctionSlope": "0.5"}, "unknown-format"),
        ({"ElementToIntensityFunctionOffset": "-1024"}, "unknown-format"),
    ],
    ids=str,
)
def test_what_the_fields_mean_is_held_against_a_ct(
    tmp_path: Path, fields: dict[str, object], code: str
) -> None:
    refusal(made(tmp_path / "scan.mha", **fields), code)


@pytest.mark.parametrize("data", [VOXELS[:1000], zlib.compress(VOXELS[:1000])], ids=["raw", "compressed"])
def test_no_memory_is_taken_for_what_a_header_claims(tmp_path: Path, data: bytes) -> None:
    path = made(tmp_path / "scan.mha", data, CompressedData=data != VOXELS[:1000], DimSize="2000 2000 600")
    tracemalloc.start()
    try:
        refusal(path, "file-cut", "bytes are there")
        assert tracemalloc.get_traced_memory()[1] < 1e7
    finally:
        tracemalloc.stop()
