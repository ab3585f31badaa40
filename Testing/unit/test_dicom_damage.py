"""Cut, empty, damaged and locked DICOM files are refused by name before a pixel is decoded."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.dicom_factory import body_volume, write_series
from helpers.reading_helpers import read_as_nobody, refusal
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

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


def test_a_folder_without_dicom_is_refused(tmp_path: Path) -> None:
    refusal(tmp_path, "no-dicom", tmp_path.name, "is empty")
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    refusal(tmp_path, "no-dicom", tmp_path.name, "2 other files")


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
