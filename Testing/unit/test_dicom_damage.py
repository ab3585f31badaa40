"""Cut, empty, damaged and locked DICOM files are refused by name before a pixel is decoded."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.dicom_factory import body_volume, write_series
from helpers.reading_helpers import read_as_nobody, refusal
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from iuinet.errors import OutputError
from iuinet.reading import read_volume

SYNTAXES = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "jpeg-2000": JPEG2000Lossless,
    "rle": RLELossless,
    "deflated": DeflatedExplicitVRLittleEndian,
}
DAMAGED = ("file-cut", "file-damaged")  # which of the two depends on where the cut falls


@pytest.fixture(params=SYNTAXES)
def files(request: pytest.FixtureRequest, tmp_path: Path) -> list[Path]:
    return write_series(tmp_path, body_volume((6, 24, 28)), transfer_syntax=SYNTAXES[request.param])


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.3, 0.5, 0.9, 0.999])
def test_a_cut_file_is_named(tmp_path: Path, files: list[Path], share: float) -> None:
    data = files[3].read_bytes()
    files[3].write_bytes(data[: int(len(data) * share)])
    assert "Copy the series again" in refusal(tmp_path, DAMAGED, "IM0003.dcm").hint


def test_a_file_that_lacks_its_last_bytes_is_named(tmp_path: Path, files: list[Path]) -> None:
    files[3].write_bytes(files[3].read_bytes()[:-3])
    refusal(tmp_path, DAMAGED, "IM0003.dcm")


@pytest.mark.parametrize("name", ["IM0003.dcm", "IM0003", "1.2.840.3"])
def test_an_empty_file_is_named(tmp_path: Path, name: str) -> None:
    files = write_series(tmp_path, body_volume((6, 24, 28)))
    files[3].unlink()
    (tmp_path / name).touch()
    refusal(tmp_path, "file-empty", name)


@pytest.mark.parametrize("junk", [b"\0" * 60, b"<html>not found</html>" * 20], ids=["zeros", "web-page"])
def test_a_file_that_is_only_named_dicom_is_refused(tmp_path: Path, junk: bytes) -> None:
    files = write_series(tmp_path, body_volume((6, 24, 28)))
    files[3].write_bytes(junk)
    refusal(tmp_path, "file-damaged", "IM0003.dcm")


def test_too_few_pixels_for_the_size_in_the_header_are_refused(tmp_path: Path) -> None:
    write_series(
        tmp_path, body_volume((6, 24, 28)), edit=lambda ds, k: setattr(ds, "PixelData", ds.PixelData[:-100])
    )
    refusal(tmp_path, "file-cut", "IM0000.dcm", "1244 of 1344 bytes")


# Files that are no part of the scan ------------------------------------------------------------------------


def write_capture(path: Path, edit: Callable[[Dataset], None]) -> None:
    """A screen shot of another series, with something odd."""

    def change(ds: Dataset, k: int) -> None:
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
        del ds.ImagePositionPatient, ds.ImageOrientationPatient, ds.PixelSpacing
        edit(ds)

    write_series(path.parent, body_volume((1, 24, 28)), modality="OT", name=lambda k: path.name, edit=change)


def give_text(ds: Dataset) -> None:
    ds[0x00280030] = RawDataElement(Tag(0x00280030), "DS", 4, b"N/A ", 0, False, True)


def empty_position(ds: Dataset) -> None:
    ds[0x00200032] = RawDataElement(Tag(0x00200032), "DS", 2, b"\\\\", 0, False, True)


def mismatch_groups(ds: Dataset) -> None:
    ds.NumberOfFrames, ds.PixelData = 2, ds.PixelData * 2
    ds.PerFrameFunctionalGroupsSequence = [Dataset()] * 3


ODD = {
    "spacing-text": give_text,
    "empty-position": empty_position,
    "no-pixels": lambda ds: delattr(ds, "PixelData"),
    "short-pixels": lambda ds: setattr(ds, "NumberOfFrames", 100_000),
    "no-frames": lambda ds: setattr(ds, "NumberOfFrames", 0),
    "groups": mismatch_groups,
    "overflow": lambda ds: setattr(ds, "RescaleIntercept", "1e300"),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("series", [None, "1.2.3"])
def test_an_odd_file_of_another_series_is_left_out(tmp_path: Path, odd: str, series: str | None) -> None:
    write_series(tmp_path, body_volume(), series_uid="1.2.3")
    write_capture(tmp_path / "Z.dcm", ODD[odd])
    read = read_volume(tmp_path, series)
    np.testing.assert_array_equal(read.array, body_volume())
    (note,) = read.notes
    assert "Z.dcm" in note and "no part of the scan" in note


def test_a_cut_file_and_an_empty_one_of_another_kind_are_left_out_with_a_note(tmp_path: Path) -> None:
    write_series(tmp_path, body_volume())
    write_capture(tmp_path / "Z.dcm", lambda ds: None)
    (tmp_path / "Z.dcm").write_bytes((tmp_path / "Z.dcm").read_bytes()[:-500])
    (tmp_path / "empty.dcm").touch()
    read = read_volume(tmp_path)
    np.testing.assert_array_equal(read.array, body_volume())
    assert "Z.dcm" in read.notes[0] and "empty.dcm" in read.notes[0]


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_file_of_the_scan_is_named(tmp_path: Path, odd: str) -> None:
    write_series(tmp_path, body_volume(), edit=lambda ds, k: ODD[odd](ds) if k == 11 else None)
    refusal(tmp_path, ("file-cut", "file-damaged", "pixel-layout", "bad-number"), "IM0011.dcm")


def test_a_ct_of_which_nothing_can_be_read_is_not_passed_over_for_a_smaller_one(tmp_path: Path) -> None:
    write_series(tmp_path / "small", body_volume((10, 24, 28)))
    write_series(
        tmp_path / "large", body_volume((20, 24, 28)), edit=lambda ds, k: setattr(ds, "NumberOfFrames", -1)
    )
    refusal(tmp_path, "pixel-layout", "-1 frames")


@pytest.mark.parametrize("name", ["IM{:04d}.dcm", "IM{:04d}", "1.2.840.{:d}", "0000A{:03X}"])
def test_top_slices_do_not_vanish_with_their_mark(tmp_path: Path, name: str) -> None:
    top = write_series(tmp_path, body_volume(), name=name.format)[-4:]
    for file in top:
        data = bytearray(file.read_bytes())
        data[128] ^= 1
        file.write_bytes(data)
    error = refusal(tmp_path, "file-damaged")
    assert any(file.name in error.message for file in top)


@pytest.mark.parametrize(
    "keyword", ["InstanceNumber", "SeriesNumber", "AcquisitionNumber", "KVP", "SliceThickness"]
)
def test_odd_text_in_an_element_that_is_only_shown_stops_nothing(tmp_path: Path, keyword: str) -> None:
    def change(ds: Dataset, k: int) -> None:
        tag = Tag(tag_for_keyword(keyword))
        ds[tag] = RawDataElement(tag, dictionary_VR(tag), 4, b"n,a ", 0, False, True)

    write_series(tmp_path, body_volume(), edit=change)
    np.testing.assert_array_equal(read_volume(tmp_path).array, body_volume())


@pytest.mark.parametrize("at", [165, 180, 190])
def test_a_slice_whose_file_header_is_garbled_does_not_vanish(tmp_path: Path, at: int) -> None:
    file = write_series(tmp_path, body_volume())[-1]
    data = file.read_bytes()
    file.write_bytes(data[:at] + data[at - 20 :])
    refusal(tmp_path, ("file-cut", "file-damaged"), "IM0011.dcm")


def test_a_packed_slice_beside_the_others_is_missed(tmp_path: Path) -> None:
    last = write_series(tmp_path, body_volume())[-1]
    (tmp_path / f"{last.name}.gz").write_bytes(gzip.compress(last.read_bytes()))
    last.unlink()
    refusal(tmp_path, "file-damaged", "IM0011.dcm.gz", "packed")


def test_a_decimal_comma_is_named(tmp_path: Path) -> None:
    files = write_series(tmp_path, body_volume())
    for file in files:
        file.write_bytes(file.read_bytes().replace(b"0.700000\\0.800000", b"0,700000\\0,800000"))
    error = refusal(tmp_path, "decimal-comma", "IM0000.dcm", "0,700000", "comma")
    assert "decimal point" in error.hint


def test_compressed_pixels_leave_nothing_and_a_missing_place_for_them_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_series(tmp_path / "ct", body_volume((6, 24, 28)), transfer_syntax=JPEGLSLossless)
    (tmp_path / "place").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "place"))
    read_volume(tmp_path / "ct")
    assert not list((tmp_path / "place").iterdir())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(OutputError, match="nothing can be stored in"):
        read_volume(tmp_path / "ct")


# What a header claims --------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize("claim", [100_000, 100_000_000])
def test_a_claim_of_many_frames_is_refused_at_once(tmp_path: Path, claim: int, syntax: str) -> None:
    write_series(
        tmp_path,
        body_volume((2, 24, 28)),
        transfer_syntax=syntax,
        edit=lambda ds, k: setattr(ds, "NumberOfFrames", claim),
    )
    start = time.process_time()
    refusal(tmp_path, ("file-cut", "bad-number"), "IM0000.dcm")
    assert time.process_time() - start < 1


@pytest.mark.parametrize("where", ["pixels", "header", "behind"])
def test_a_deflated_bomb_takes_little_memory(tmp_path: Path, where: str) -> None:
    """Half a gigabyte of zeros in half a megabyte."""
    count = 1 << 29
    (file,) = write_series(tmp_path, body_volume((1, 24, 28)), transfer_syntax=DeflatedExplicitVRLittleEndian)
    data = file.read_bytes()
    start = 132 + 12 + int.from_bytes(data[140:144], "little")
    plain = zlib.decompress(data[start:], wbits=-15)
    at = plain.index(bytes.fromhex("e07f1000"))
    if where == "pixels":
        plain = plain[: at + 8] + count.to_bytes(4, "little") + plain[at + 12 :]
    elif where == "header":
        plain = plain[:at] + bytes.fromhex("cb7f1010") + b"OB\0\0" + count.to_bytes(4, "little")
    deflate = zlib.compressobj(9, wbits=-15)
    packed = [deflate.compress(plain), *(deflate.compress(bytes(1 << 20)) for _ in range(count >> 20))]
    file.write_bytes(data[:start] + b"".join([*packed, deflate.flush()]))
    tracemalloc.start()
    try:
        refusal(tmp_path, ("file-cut", "pixel-layout"), file.name)
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("keyword", ["Rows", "Columns"])
@pytest.mark.parametrize("syntax", [*SYNTAXES.values(), JPEGLSLossless], ids=[*SYNTAXES, "jpeg-ls"])
def test_more_pixels_than_the_header_says_are_refused(tmp_path: Path, syntax: str, keyword: str) -> None:
    write_series(
        tmp_path,
        body_volume((6, 24, 28)),
        transfer_syntax=syntax,
        edit=lambda ds, k: setattr(ds, keyword, 16),
    )
    refusal(tmp_path, ("pixel-layout", "codec-failed"), "IM0000.dcm")


def test_a_folder_without_dicom_is_refused(tmp_path: Path) -> None:
    refusal(tmp_path, "no-dicom", tmp_path.name, "is empty")
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    refusal(tmp_path, "no-dicom", tmp_path.name, "2 other files")


def test_a_folder_of_packed_files_asks_to_unpack_them(tmp_path: Path) -> None:
    for file in write_series(tmp_path, body_volume((6, 24, 28))):
        Path(f"{file}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    assert "Unpack" in refusal(tmp_path, "no-dicom", "6 packed files", "IM0000.dcm.gz").hint


def test_a_folder_that_holds_only_a_link_to_a_folder_says_so(tmp_path: Path) -> None:
    write_series(tmp_path / "series", body_volume((6, 24, 28)))
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "series").symlink_to(tmp_path / "series")
    assert "link" in refusal(tmp_path / "study", "no-dicom", "link to a folder (series)").hint
    write_series(tmp_path / "study", body_volume())
    assert read_volume(tmp_path / "study").notes == ("The link to the folder series was not followed.",)


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs permissions as on Unix")
def test_a_file_without_read_permission_is_named(open_folder: Path) -> None:
    files = write_series(open_folder, body_volume((6, 24, 28)))
    files[2].chmod(0)
    code, message, hint = read_as_nobody(open_folder)
    assert (code, message) == ("no-permission", "There is no permission to read IM0002.dcm.")
    assert "access" in hint


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs permissions as on Unix")
def test_a_folder_without_read_permission_is_named(open_folder: Path) -> None:
    closed = open_folder / "closed"
    write_series(closed, body_volume((6, 24, 28)))
    closed.chmod(0)
    assert read_as_nobody(closed)[:2] == ["no-permission", "There is no permission to read closed."]
    assert read_as_nobody(open_folder)[:2] == ["no-permission", "There is no permission to read closed."]
