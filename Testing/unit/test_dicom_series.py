"""The one clear CT is found in a folder as archives export them; where it is not clear, the user is asked."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
from helpers.dicom_factory import PATIENT_NAME, body_volume, write_series
from helpers.reading_helpers import refusal
from pydicom.dataset import Dataset
from pydicom.uid import BasicTextSRStorage, MediaStorageDirectoryStorage, SecondaryCaptureImageStorage

from iuinet.reading import read_volume

UID = "1.2.826.0.1.3680043.8.498.1001"
OTHER_UID = "1.2.826.0.1.3680043.8.498.2002"
END, OTHER_END = "ending in 3.8.498.1001", "ending in 3.8.498.2002"
CORONAL = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])


@pytest.fixture
def volume() -> np.ndarray:
    return body_volume()


def write_localizer(folder: Path, series_uid: str) -> None:
    def mark(ds: Dataset, k: int) -> None:
        ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    shape = (2, 30, 30)
    write_series(
        folder,
        body_volume(shape),
        direction=CORONAL,
        series_uid=series_uid,
        name="SCOUT{}".format,
        edit=mark,
    )


def test_a_localizer_inside_the_series_is_left_out(tmp_path: Path, volume: np.ndarray) -> None:
    write_series(tmp_path, volume, series_uid=UID)
    write_localizer(tmp_path, UID)
    read = read_volume(tmp_path)
    np.testing.assert_array_equal(read.array, volume)
    assert "12 slices of 28 x 24, 2.5 mm apart" in read.notes[0]
    assert "CT localizer, 2 slices of 30 x 30" in read.notes[0]


def test_an_unmarked_picture_of_another_view_is_left_out(tmp_path: Path, volume: np.ndarray) -> None:
    write_series(tmp_path, volume, series_uid=UID)
    write_series(tmp_path / "x", volume[:1], direction=CORONAL, series_uid=UID)
    np.testing.assert_array_equal(read_volume(tmp_path).array, volume)


def test_the_one_clear_ct_is_taken_and_the_notes_say_so(tmp_path: Path, volume: np.ndarray) -> None:
    write_series(tmp_path / "ct", volume, series_uid=UID)
    write_localizer(tmp_path / "scout", OTHER_UID)
    write_series(tmp_path / "mr", body_volume((40, 24, 28)), modality="MR")
    write_series(tmp_path / "reformat", body_volume((20, 24, 28)), direction=CORONAL)
    write_series(tmp_path / "short", body_volume((5, 24, 28)))
    read = read_volume(tmp_path)
    np.testing.assert_array_equal(read.array, volume)
    assert read.modality == "CT"
    (note,) = read.notes
    assert note.startswith(
        "Taken: series 2 (CT, 12 slices of 28 x 24, 2.5 mm apart), UID ending in 3.8.498.1001."
    )
    assert "MR, 40 slices" in note and "CT, 5 slices" in note


def test_two_equally_plausible_ct_series_are_listed(tmp_path: Path, volume: np.ndarray) -> None:
    write_series(tmp_path / "thick", volume, series_uid=UID)
    write_series(tmp_path / "thin", body_volume((24, 24, 28)), spacing=(0.8, 0.7, 1.25), series_uid=OTHER_UID)
    error = refusal(tmp_path, "several-series", END, OTHER_END, "24 slices of 28 x 24, 1.25 mm apart")
    assert UID not in error.message, "a whole UID leads to the patient"
    assert "--series" in error.hint


def test_a_series_uid_for_each_slice_is_said_so(tmp_path: Path, volume: np.ndarray) -> None:
    write_series(tmp_path, volume, edit=lambda ds, k: setattr(ds, "SeriesInstanceUID", f"{UID}.{k}"))
    error = refusal(tmp_path, "several-series", "Each of the 12 images has a series UID of its own")
    assert "SeriesInstanceUID" in error.hint


@pytest.mark.parametrize(
    "series", [UID, "1.2.826.0.1.3680043.8.498.1", "1001"], ids=["whole", "start", "end"]
)
def test_a_series_is_chosen_by_its_uid_or_a_part(tmp_path: Path, volume: np.ndarray, series: str) -> None:
    write_series(tmp_path / "a", volume, series_uid=UID)
    write_series(tmp_path / "b", body_volume(seed=1), series_uid=OTHER_UID)
    np.testing.assert_array_equal(read_volume(tmp_path, series).array, volume)


def test_a_series_that_is_no_ct_can_be_asked_for(tmp_path: Path, volume: np.ndarray) -> None:
    write_series(tmp_path / "ct", volume, series_uid=UID)
    write_series(tmp_path / "mr", body_volume(seed=1), series_uid=OTHER_UID, modality="MR")
    assert read_volume(tmp_path).modality == "CT"
    assert read_volume(tmp_path, "2002").modality == "MR"


def test_the_ends_of_uids_in_a_list_are_long_enough_to_choose_by(tmp_path: Path, volume: np.ndarray) -> None:
    alike = ["1.2.826.1.3680043.8.498.1001", "1.2.826.2.3680043.8.498.1001", "1.2.3.4"]
    for number, uid in enumerate(alike):
        write_series(tmp_path / str(number), body_volume(seed=number), series_uid=uid)
    error = refusal(tmp_path, "several-series")
    ends = re.findall(r"ending in ([0-9.]*[0-9])", error.message)
    assert len(ends) == 3 and not set(alike[:2]) & set(ends)
    read = [read_volume(tmp_path, end).array for end in sorted(ends)]
    assert len({array.tobytes() for array in read}) == 3


def test_an_unknown_or_ambiguous_series_is_refused_with_the_list(tmp_path: Path, volume: np.ndarray) -> None:
    write_series(tmp_path / "a", volume, series_uid=UID)
    write_series(tmp_path / "b", volume, series_uid=OTHER_UID)
    refusal(tmp_path, "series-unknown", "9999", END, OTHER_END, series="9999")
    refusal(tmp_path, "series-ambiguous", END, OTHER_END, series="1.2.826")


def test_series_without_uid_are_told_apart_by_their_number(tmp_path: Path, volume: np.ndarray) -> None:
    for number, modality in ((1, "CT"), (2, "MR")):

        def strip(ds: Dataset, k: int, number: int = number) -> None:
            ds.SeriesInstanceUID, ds.SeriesNumber, ds.StudyInstanceUID = "", number, "1.2"

        write_series(tmp_path / modality, volume, modality=modality, edit=strip)
    np.testing.assert_array_equal(read_volume(tmp_path).array, volume)


def test_one_file_stands_for_its_series_in_its_folder(tmp_path: Path, volume: np.ndarray) -> None:
    folder = tmp_path / "scan"
    files = write_series(folder, volume, series_uid=UID)
    write_series(folder, body_volume(seed=1), series_uid=OTHER_UID, name="other{}".format)
    read = read_volume(files[7])
    np.testing.assert_array_equal(read.array, volume)
    assert read.name == "scan"


def test_only_an_mr_series_is_read_and_says_what_it_is(tmp_path: Path, volume: np.ndarray) -> None:
    write_series(tmp_path, volume, modality="MR")
    assert read_volume(tmp_path).modality == "MR"


@pytest.mark.parametrize("name", ["{:d}", "1.2.840.{:d}", "IM{:d}.IMA", "Čí 中文 ü {:d}.dcm"], ids=str)
def test_names_of_files_and_folders_are_free(tmp_path: Path, volume: np.ndarray, name: str) -> None:
    folder = tmp_path / "Lékař 中文 ü"
    write_series(folder, volume, name=name.format)
    read = read_volume(folder)
    np.testing.assert_array_equal(read.array, volume)
    assert read.name == "Lékař 中文 ü"


def test_files_in_subfolders_belong_to_the_scan(tmp_path: Path, volume: np.ndarray) -> None:
    write_series(tmp_path, volume, name=lambda k: f"part{k % 3}-{k}.dcm")
    for k in range(len(volume)):
        (tmp_path / f"part {k % 3}").mkdir(exist_ok=True)
        (tmp_path / f"part{k % 3}-{k}.dcm").rename(tmp_path / f"part {k % 3}" / str(k))
    np.testing.assert_array_equal(read_volume(tmp_path).array, volume)


def test_old_files_without_preamble_are_read(tmp_path: Path, volume: np.ndarray) -> None:
    for file in write_series(tmp_path, volume, transfer_syntax="1.2.840.10008.1.2"):
        data = file.read_bytes()
        meta = 132 + 12 + int.from_bytes(data[140:144], "little")
        file.write_bytes(data[meta:])
    np.testing.assert_array_equal(read_volume(tmp_path).array, volume)


def test_foreign_files_are_passed_over(tmp_path: Path, volume: np.ndarray) -> None:
    write_series(tmp_path, volume)
    (tmp_path / "README").write_text("nothing to see here\n" * 20)
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
    (tmp_path / "viewer.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    (tmp_path / ".DS_Store").write_bytes(b"")
    (tmp_path / "._IM0000.dcm").write_bytes(b"\0\5\x16\7")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")

    def report(ds: Dataset, k: int) -> None:
        del ds.Rows, ds.Columns, ds.PixelData
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage

    def directory(ds: Dataset, k: int) -> None:
        report(ds, k)
        ds.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
        del ds.SOPClassUID

    def capture(ds: Dataset, k: int) -> None:
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
        del ds.ImagePositionPatient, ds.ImageOrientationPatient, ds.PixelSpacing

    write_series(tmp_path, volume[:1], modality="SR", name=lambda k: "report.dcm", edit=report)
    write_series(tmp_path, volume[:1], name=lambda k: "DICOMDIR", edit=directory)
    write_series(tmp_path, volume[:1], modality="OT", name=lambda k: "screen.dcm", edit=capture)
    np.testing.assert_array_equal(read_volume(tmp_path).array, volume)


def test_no_patient_name_leaves_the_header(tmp_path: Path, volume: np.ndarray) -> None:
    files = write_series(tmp_path, volume)
    assert str(pydicom.dcmread(files[0]).PatientName) == PATIENT_NAME
    write_localizer(tmp_path, OTHER_UID)
    read = read_volume(tmp_path)
    assert read.name == tmp_path.name
    assert not {"Secret", "4711"} & set(" ".join([read.name, *read.notes]).replace("^", " ").split())


def test_a_scan_of_the_data_folder_is_taken_whole(data_folder: Path) -> None:
    read = read_volume(data_folder / "ct" / "CRLM-CT-1004")
    assert (read.array.shape, read.array.dtype) == ((41, 512, 512), np.int16)
    assert (read.array.min(), read.modality, read.name) == (-3024, "CT", "CRLM-CT-1004")
    np.testing.assert_allclose(read.grid.spacing, (0.796875, 0.796875, 5))
    np.testing.assert_allclose(read.grid.origin, (-198.199997, -204, -375))


def test_the_jpeg_2000_slab_without_series_uid_is_read(data_folder: Path) -> None:
    read = read_volume(data_folder / "ct" / "TotalSegmentator-slab" / "dicom")
    assert (read.array.shape, read.array.min()) == ((20, 512, 512), -1024)
    np.testing.assert_allclose(read.grid.spacing, (0.9765625, 0.9765625, 2))


def test_two_patients_in_one_folder_are_listed(data_folder: Path) -> None:
    refusal(data_folder / "ct", "several-series", "51 slices", "41 slices")
