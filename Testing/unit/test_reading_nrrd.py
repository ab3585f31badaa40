"""NRRD files: read as ITK and pynrrd read sound ones; a question or a refusal where they are not."""

from __future__ import annotations

import bz2
import gzip
import os
import tracemalloc
from pathlib import Path

import nrrd
import numpy as np
import pytest
from helpers.dicom_factory import body_volume
from helpers.reading_helpers import assert_as_itk_reads, orientations, question, refusal

from iuinet.errors import InputRefused
from iuinet.reading import read_volume

PLACE = {
    "space": "left-posterior-superior",
    "space directions": "(0.8,0,0) (0,0.7,0) (0,0,2.5)",
    "space origin": "(-120,-90,40)",
    "kinds": "domain domain domain",
}
PACKED = {
    "raw": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "text": lambda data: "\n".join(map(str, np.frombuffer(data, "<i2"))).encode(),
}
TYPES = {
    "i1": "signed char",
    "u1": "uchar",
    "i2": "short",
    "u2": "unsigned short",
    "i4": "int32",
    "u4": "uint",
    "i8": "long long int",
    "u8": "uint64_t",
    "f4": "float",
    "f8": "double",
}


def made(path: Path, data: bytes | None = None, **fields: str | None) -> Path:
    """An NRRD file of a short volume; fields, with _ for a blank, replace those of the header, None drops."""
    array = body_volume()
    data = array.astype("<i2").tobytes() if data is None else data
    head = {
        "type": "short",
        "dimension": "3",
        "sizes": " ".join(map(str, array.shape[::-1])),
        "endian": "little",
        "encoding": "raw",
        **PLACE,
        **{name.replace("_", " "): value for name, value in fields.items()},
    }
    lines = [f"{name}: {value}" for name, value in head.items() if value is not None]
    path.write_bytes("\n".join(["NRRD0004", "# comment", *lines, "who:=Ö = x", "", ""]).encode() + data)
    return path


def detached(path: Path, data_file: str, data: bytes | None = None, **fields: str | None) -> Path:
    """A header whose voxels lie in another file."""
    data = body_volume().astype("<i2").tobytes() if data is None else data
    (path.parent / data_file).parent.mkdir(exist_ok=True)
    (path.parent / data_file).write_bytes(data)
    return made(path, b"", **{"data_file": data_file, **fields})


# What is read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("endian", ["little", "big"])
@pytest.mark.parametrize("dtype", TYPES)
def test_numbers_are_read_as_itk_and_pynrrd_read_them(tmp_path: Path, dtype: str, endian: str) -> None:
    array = (body_volume() % 100).astype(np.dtype(dtype).newbyteorder(endian))
    path = made(tmp_path / "scan.nrrd", array.tobytes(), type=TYPES[dtype], endian=endian)
    read = assert_as_itk_reads(path)
    np.testing.assert_array_equal(read.array.T, nrrd.read(str(path))[0])
    assert read.array.dtype == dtype and read.notes == ()


@pytest.mark.parametrize("space", ["left-posterior-superior", "RAS", "left-anterior-superior"])
def test_all_48_storage_orders_are_read_as_itk_reads_them(tmp_path: Path, space: str) -> None:
    for direction in orientations():
        vectors = (direction * (0.8, 0.7, 2.5)).T
        text = " ".join(f"({', '.join(map(repr, map(float, vector)))})" for vector in vectors)
        assert_as_itk_reads(made(tmp_path / "scan.nrrd", space=space, space_directions=text))


@pytest.mark.parametrize("encoding", PACKED)
@pytest.mark.parametrize("attached", [True, False], ids=["attached", "detached"])
def test_every_encoding_is_read(tmp_path: Path, encoding: str, attached: bool) -> None:
    data = PACKED[encoding](body_volume().astype("<i2").tobytes())
    if attached:
        path = made(tmp_path / "scan.nrrd", data, encoding=encoding)
    else:
        path = detached(tmp_path / "scan.nhdr", "voxels/Lékař ü.raw", data, encoding=encoding)
    np.testing.assert_array_equal(read_volume(path).array, body_volume())


def test_other_encodings_are_named(tmp_path: Path) -> None:
    refusal(made(tmp_path / "scan.nrrd", encoding="hex"), "unknown-format", "'hex'")


def test_skipped_bytes_and_lines_are_skipped(tmp_path: Path) -> None:
    voxels = body_volume().astype("<i2").tobytes()
    for skip, data in (
        ({"byte_skip": "7"}, b"7 bytes" + voxels),
        ({"byte_skip": "-1"}, os.urandom(1000) + voxels),
        ({"line_skip": "2"}, b"one\ntwo\n" + voxels),
        ({"lineskip": "1", "byteskip": "1"}, b"one\n2" + voxels),
    ):
        path = detached(tmp_path / "scan.nhdr", "scan.raw", data, **skip)
        np.testing.assert_array_equal(read_volume(path).array, body_volume())
    refusal(detached(tmp_path / "scan.nhdr", "scan.raw", byte_skip="9" * 15), "file-cut")


@pytest.mark.parametrize("first", [True, False])
def test_an_axis_of_one_that_is_no_direction_is_dropped(tmp_path: Path, first: bool) -> None:
    def four(one: str, three: str) -> str:
        return f"{one} {three}" if first else f"{three} {one}"

    for kind in ("list", "vector", "???"):
        path = made(
            tmp_path / "scan.nrrd",
            dimension="4",
            sizes=four("1", "28 24 12"),
            kinds=four(kind, PLACE["kinds"]),
            space_directions=four("none", PLACE["space directions"]),
            units=four('"s"', '"mm" "mm" "mm"'),
        )
        read = read_volume(path)
        np.testing.assert_array_equal(read.array, body_volume())
        assert read.grid.spacing == (0.8, 0.7, 2.5) and read.notes == ()


def test_axes_that_are_no_direction_and_longer_are_refused(tmp_path: Path) -> None:
    for kind, code in (
        ("list", "four-dimensional"),
        ("vector", "vector-pixels"),
        ("RGB-color", "vector-pixels"),
    ):
        path = made(
            tmp_path / "scan.nrrd",
            dimension="4",
            sizes="3 28 24 4",
            kinds=f"{kind} domain domain domain",
            space_directions="none " + PLACE["space directions"],
        )
        refusal(path, code)


# What a person is asked ----------------------------------------------------------------------------------


def test_a_file_that_does_not_say_where_left_is_is_a_question(tmp_path: Path) -> None:
    for fields in ({"space": None, "space_dimension": "3"}, {"space": "scanner-xyz"}):
        question(read_volume(made(tmp_path / "scan.nrrd", **fields)), "no-orientation")
    path = made(
        tmp_path / "scan.nrrd", space=None, space_directions=None, space_origin=None, spacings="0.8 0.7 2.5"
    )
    volume = read_volume(path)
    question(volume, "no-orientation")
    assert volume.grid.spacing == (0.8, 0.7, 2.5)


# What is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "x" * 2000},
        {"type": None},
        {"kinds": "y" * 5000},
        {"space": "z" * 5000},
        {"space_origin": "0" * 5000},
        {"space_origin": "(0,0)"},
        {"space_origin": "(0,0,0) (1,1,1)"},
        {"space_origin": "none"},
        {"space_directions": "(1,0,0) (0,1,0)"},
        {"space_directions": "(1,0,0) (0,1,0) (0,0,1"},
        {"endian": None},
        {"endian": "middle"},
        {"dimension": "4"},
        {"dimension": "9" * 5000},
        {"sizes": "28 24"},
        {"sizes": "28 24 1e1"},
        {"sizes": "27 24 12"},
        {"byte_skip": "-2"},
        {"line_skip": "many"},
        {"conte\0\0": "x"},
        {"no field": "x\nwithout colon"},
        {"no field": "x\nsizes: 28 24 12"},
    ],
    ids=lambda fields: f"{fields}"[:50],
)
def test_a_damaged_header_is_refused(tmp_path: Path, fields: dict[str, str | None]) -> None:
    refusal(made(tmp_path / "scan.nrrd", **fields), "file-damaged", "scan.nrrd")


@pytest.mark.parametrize("origin", ["(nan,0,0)", "(0,inf,0)", "(0,9_0,0)"])
def test_a_place_that_is_nowhere_is_refused(tmp_path: Path, origin: str) -> None:
    refusal(made(tmp_path / "scan.nrrd", space_origin=origin), "bad-place")


def test_another_first_line_is_refused(tmp_path: Path) -> None:
    path = made(tmp_path / "scan.nrrd")
    path.write_bytes(b"NRRD00%n" + path.read_bytes()[8:])
    refusal(path, "file-damaged", "first line")
    path.write_bytes(b"NRRD0004\n" + b"x" * (1 << 21))
    refusal(path, "file-damaged", "does not end")


@pytest.mark.parametrize("field", ["space_units", "units"])
def test_other_units_than_millimetres_are_refused(tmp_path: Path, field: str) -> None:
    assert read_volume(made(tmp_path / "scan.nrrd", **{field: '"mm" "mm" "mm"'})).notes == ()
    refusal(made(tmp_path / "scan.nrrd", **{field: '"cm" "cm" "cm"'}), "bad-spacing", "'cm'")


def test_a_wrong_checksum_is_seen(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(body_volume().astype("<i2").tobytes()))
    data[-6] ^= 1
    refusal(made(tmp_path / "scan.nrrd", bytes(data), encoding="gzip"), "file-cut", "damaged")
    data = bytearray(bz2.compress(body_volume().astype("<i2").tobytes()))
    data[-6] ^= 1
    refusal(made(tmp_path / "scan.nrrd", bytes(data), encoding="bzip2"), "file-cut", "damaged")


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.99])
@pytest.mark.parametrize("encoding", PACKED)
def test_cut_voxels_are_refused_in_every_encoding(tmp_path: Path, encoding: str, keep: float) -> None:
    data = PACKED[encoding](body_volume().astype("<i2").tobytes())
    path = made(tmp_path / "scan.nrrd", data[: int(keep * len(data))], encoding=encoding)
    refusal(path, "file-cut", "scan.nrrd")


def test_text_that_is_no_number_or_too_large_is_refused(tmp_path: Path) -> None:
    data = PACKED["text"](body_volume().astype("<i2").tobytes())
    for wrong in (b"x", b"99999", b"1.5"):
        path = made(tmp_path / "scan.nrrd", data[: data.rindex(b"\n") + 1] + wrong, encoding="text")
        refusal(path, ("file-cut", "file-damaged"), "no number")


@pytest.mark.parametrize("encoding", ["raw", "gzip", "text"])
def test_no_memory_is_taken_for_what_a_header_claims(tmp_path: Path, encoding: str) -> None:
    path = made(
        tmp_path / "scan.nrrd", PACKED[encoding](bytes(1000)), sizes="2000 2000 600", encoding=encoding
    )
    tracemalloc.start()
    try:
        refusal(path, "file-cut", "bytes are there")
        assert tracemalloc.get_traced_memory()[1] < 1e7
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "name", ["../scan.raw", "%s%n%x", "/etc/hostname", r"C:\scan.raw", r"..\scan.raw", "a/../../scan.raw"]
)
def test_a_data_file_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "scan.raw").write_bytes(body_volume().astype("<i2").tobytes())
    refusal(made(folder / "scan.nhdr", b"", data_file=name), ("data-file", "unknown-format"))


def test_several_data_files_are_named_as_such(tmp_path: Path) -> None:
    for name in ("LIST", "slice%03d.raw 0 11 1"):
        with pytest.raises(InputRefused, match="several files") as caught:
            read_volume(made(tmp_path / "scan.nhdr", b"", data_file=name))
        assert caught.value.code == "unknown-format"
