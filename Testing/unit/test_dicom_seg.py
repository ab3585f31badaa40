"""A DICOM SEG has every voxel on the image it was drawn on, and of the patient what DICOM demands alone."""

from __future__ import annotations

from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from helpers.dicom_factory import body_volume, feet_first, oblique, write_enhanced, write_series
from pydicom.pixels import pixel_array

from iuinet import __version__
from iuinet.dicom_seg import check_dicom_seg, write_dicom_seg
from iuinet.errors import InputRefused, OutputError, UsageError
from iuinet.labels import ORGANS, Organ
from iuinet.reading import read_volume
from iuinet.volume import Volume

SHAPE = (12, 24, 28)
REPORT = {"weights": {"id": "toy", "version": "1.2", "sha256": "ab" * 32}}


def labels_of(volume: Volume) -> np.ndarray:
    """Spleen, both kidneys, liver and the veins in blobs without any symmetry; two slices stay empty."""
    labels = np.zeros(volume.array.shape, np.uint8)
    for number, label in enumerate((1, 2, 3, 6, 10)):
        labels[1 + number : 6 + number, 2 + 3 * number : 9 + 2 * number, 3 + number : 20 - number] = label
    return labels


def written(tmp_path: Path, volume: Volume, labels: np.ndarray, organs=ORGANS) -> pydicom.Dataset:
    """The file, as pydicom reads it."""
    path = tmp_path / "Ergebnis ü.dcm"
    write_dicom_seg(path, labels, organs, volume, REPORT)
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == [path.name]
    return pydicom.dcmread(path)


def masks(seg: pydicom.Dataset, place_of: dict[object, int], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Each segment's voxels by its name, put where the file says that each frame was drawn.

    place_of: number of the slice, by the image's UID (a file per slice) or the source frame's number.
    """
    names = {segment.SegmentNumber: segment.SegmentLabel for segment in seg.SegmentSequence}
    found = {name: np.zeros(shape, bool) for name in names.values()}
    frames = pixel_array(seg).reshape(-1, seg.Rows, seg.Columns)
    for frame, groups in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        (source,) = groups.DerivationImageSequence[0].SourceImageSequence
        key = source.get("ReferencedFrameNumber", source.ReferencedSOPInstanceUID)
        name = names[groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber]
        found[name][place_of[key]] = frame
    return found


@pytest.mark.parametrize("direction", [np.eye(3), feet_first(), oblique()], ids=["plain", "feet", "oblique"])
def test_every_voxel_lies_on_its_image_and_in_its_place(tmp_path, direction):
    def name(k: int) -> str:  # the files come in another order than the slices
        return f"{(k * 7) % SHAPE[0]:02d}.dcm"

    files = write_series(tmp_path / "ct", body_volume(SHAPE), direction=direction, name=name)
    volume = read_volume(tmp_path / "ct")
    labels = labels_of(volume)
    seg = written(tmp_path, volume, labels)
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
    place = {one.SOPInstanceUID: k for k, one in enumerate(headers)}
    if volume.slices[0][0] != files[0]:  # the reader turned the stack
        place = {uid: len(files) - 1 - k for uid, k in place.items()}
    for organ, mask in masks(seg, place, labels.shape).items():
        label = next(one.label for one in ORGANS if one.name == organ)
        assert mask.any() and np.array_equal(mask, labels == label), organ
    (series,) = seg.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == headers[0].SeriesInstanceUID
    uids = {one.ReferencedSOPInstanceUID for one in series.ReferencedInstanceSequence}
    assert uids == {one.SOPInstanceUID for one in headers}
    assert (seg.FrameOfReferenceUID, seg.StudyInstanceUID) == (
        headers[0].FrameOfReferenceUID,
        headers[0].StudyInstanceUID,
    )
    assert seg.SeriesInstanceUID != headers[0].SeriesInstanceUID and seg.SeriesNumber == 102
    # The same by highdicom's own reader, in space instead of by references.
    again = highdicom.seg.segread(tmp_path / "Ergebnis ü.dcm").get_volume(combine_segments=True)
    corner = again.map_reference_to_indices(np.array([volume.grid.index_to_lps()[:3, 3]]))
    assert np.allclose(corner, np.round(corner), atol=1e-3)
    assert np.count_nonzero(again.array) == np.count_nonzero(labels)


def test_names_codes_and_colours_are_those_of_the_table_and_a_machine_is_named(tmp_path):
    write_series(tmp_path / "ct", body_volume(SHAPE))
    volume = read_volume(tmp_path / "ct")
    seg = written(tmp_path, volume, labels_of(volume))
    organs = [organ for organ in ORGANS if organ.label in (1, 2, 3, 6, 10)]
    assert [one.SegmentNumber for one in seg.SegmentSequence] == [1, 2, 3, 4, 5]
    for segment, organ in zip(seg.SegmentSequence, organs, strict=True):
        kind, terms = segment.SegmentedPropertyTypeCodeSequence[0], organ.terminology
        assert segment.SegmentLabel == organ.name
        assert (kind.CodeValue, kind.CodeMeaning) == (terms.type.value, terms.type.meaning)
        assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "123037004"
        sides = kind.get("SegmentedPropertyTypeModifierCodeSequence", [])
        assert [side.CodeMeaning for side in sides] == ([terms.modifier.meaning] if terms.modifier else [])
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        assert segment.SegmentAlgorithmName == "IUINet toy 1.2"
    lab = [segment.RecommendedDisplayCIELabValue for segment in seg.SegmentSequence]
    rgb = [highdicom.color.CIELabColor.from_dicom_value(value).to_rgb() for value in lab]
    assert np.allclose(rgb, [organ.color for organ in organs], atol=1)
    assert seg.DeviceSerialNumber == "ab" * 32 and seg.SoftwareVersions == __version__
    assert (seg.Modality, seg.SegmentationType) == ("SEG", "BINARY")


def test_frames_of_an_enhanced_file_are_found_in_any_order(tmp_path):
    order = [5, 0, 11, 3, 8, 1, 10, 2, 7, 4, 9, 6]
    (tmp_path / "ct").mkdir()
    write_enhanced(tmp_path / "ct" / "all.dcm", body_volume(SHAPE), order=order)
    volume = read_volume(tmp_path / "ct")
    labels = labels_of(volume)
    seg = written(tmp_path, volume, labels)
    place = {number: k for number, k in enumerate(order, start=1)}
    for organ, mask in masks(seg, place, labels.shape).items():
        label = next(one.label for one in ORGANS if one.name == organ)
        assert np.array_equal(mask, labels == label), organ


def test_an_organ_without_codes_is_tissue_with_its_name(tmp_path):
    write_series(tmp_path / "ct", body_volume(SHAPE))
    volume = read_volume(tmp_path / "ct")
    labels = (labels_of(volume) == 6).astype(np.uint8) * 200
    seg = written(tmp_path, volume, labels, [Organ("appendix\\coecum" + "x" * 80, 200)])
    (segment,) = seg.SegmentSequence
    assert segment.SegmentLabel.startswith("appendix coecum") and len(segment.SegmentLabel) == 64
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Tissue"


def private(header: pydicom.Dataset, k: int) -> None:
    """What a series may say of a patient, and no SEG needs."""
    header.PatientAddress, header.OtherPatientIDs = "Nowhere 1", "OTHER"
    header.OperatorsName, header.InstitutionName = "Operator^Secret", "Secret Hospital"
    header.ProtocolName, header.ImageComments = "secret protocol", "secret comment"
    header.PatientComments, header.AdditionalPatientHistory = "secret remark", "secret history"
    header.StudyDescription, header.PatientWeight = "secret study", 77.25
    header.RequestingPhysician = "Requesting^Secret"
    header.add_new(0x00091001, "LO", "secret private")


def test_of_the_patient_it_holds_what_dicom_demands_and_no_more(tmp_path):
    write_series(tmp_path / "ct", body_volume(SHAPE), edit=private)
    volume = read_volume(tmp_path / "ct")
    seg = written(tmp_path, volume, labels_of(volume))
    assert (str(seg.PatientName), seg.PatientID) == ("Secret^Name", "4711")  # one patient, one study
    content = (tmp_path / "Ergebnis ü.dcm").read_bytes()
    for text in (b"Nowhere", b"OTHER", b"Operator", b"Hospital", b"protocol", b"comment", b"Requesting"):
        assert text not in content, text
    assert b"secret" not in content and b"77.25" not in content


def test_a_series_without_any_patient_data_gives_a_seg_without(tmp_path):
    def anonymous(header: pydicom.Dataset, k: int) -> None:
        del header.PatientName, header.PatientID, header.SeriesNumber

    write_series(tmp_path / "ct", body_volume(SHAPE), edit=anonymous)
    volume = read_volume(tmp_path / "ct")
    seg = written(tmp_path, volume, labels_of(volume))
    assert not seg.PatientName and not seg.PatientID and seg.SeriesNumber == 100


@pytest.mark.parametrize("keyword", ["FrameOfReferenceUID", "StudyInstanceUID"])
def test_a_series_that_cannot_be_referred_to_is_refused_by_name(tmp_path, keyword):
    def without(header: pydicom.Dataset, k: int) -> None:
        if k == 3:
            delattr(header, keyword)

    write_series(tmp_path / "ct", body_volume(SHAPE), edit=without)
    volume = read_volume(tmp_path / "ct")
    with pytest.raises(InputRefused, match=keyword) as caught:
        write_dicom_seg(tmp_path / "a.dcm", labels_of(volume), ORGANS, volume, REPORT)
    assert caught.value.code == "seg-source" and not (tmp_path / "a.dcm").exists()


def test_what_cannot_become_a_seg_is_refused_and_nothing_is_left(tmp_path, monkeypatch):
    write_series(tmp_path / "ct", body_volume(SHAPE))
    volume = read_volume(tmp_path / "ct")
    labels = labels_of(volume)
    path = tmp_path / "a.dcm"
    with pytest.raises(OutputError) as caught:
        write_dicom_seg(path, labels * 0, ORGANS, volume, REPORT)
    assert caught.value.code == "seg-empty"
    with pytest.raises(UsageError) as caught:
        write_dicom_seg(path, labels, ORGANS, Volume(volume.array, volume.grid), REPORT)
    assert caught.value.code == "seg-without-dicom"
    path.write_text("precious")
    with pytest.raises(UsageError) as caught:
        write_dicom_seg(path, labels, ORGANS, volume, REPORT)
    assert caught.value.code == "output-exists" and path.read_text() == "precious"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError) as caught:
        check_dicom_seg()
    assert caught.value.code == "no-highdicom" and "iuinet[dicomseg]" in caught.value.hint
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.dcm", "ct"]
