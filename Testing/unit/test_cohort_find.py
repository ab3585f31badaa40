"""Cases are found by headers, whatever lies beside them, and are read without their names."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from helpers.dicom_factory import body_volume, write_series
from pydicom import Dataset

from iuinet.cohorts.find import Finder
from iuinet.cohorts.linked import link_files
from iuinet.cohorts.names import Names
from iuinet.cohorts.source import Odd, Source
from iuinet.errors import InputRefused, UsageError
from iuinet.reading import read_volume

VOLUME = body_volume((12, 24, 28))


def find(where: Path) -> Finder:
    finder = Finder(where / "out")
    finder.search(where)
    return finder


def codes(finder: Finder) -> list[str]:
    return sorted(one.code for one in finder.odd)


def read(source: Source, folder: Path):
    """What a worker reads."""
    path, _ = link_files(source, folder)
    return read_volume(path, source.uid)


def test_two_series_in_one_folder_are_two_cases_each_read_alone(tmp_path: Path) -> None:
    write_series(tmp_path / "in", VOLUME, name="a{}.dcm".format)
    write_series(tmp_path / "in", VOLUME + 50, name="b{}.dcm".format)
    found = find(tmp_path / "in").sources
    assert len(found) == 2 and all(source.shared for source in found)
    means = sorted(float(read(one, tmp_path / f"l{n}").array.mean()) for n, one in enumerate(found))
    assert means == pytest.approx([VOLUME.mean(), VOLUME.mean() + 50], abs=0.01)


def test_scans_whose_uids_were_emptied_are_cases_of_their_own(tmp_path: Path) -> None:
    def emptied(ds: Dataset, k: int) -> None:
        ds.SeriesInstanceUID = ds.StudyInstanceUID = ""
        ds.SeriesNumber = None

    for number in range(3):
        write_series(tmp_path / "in" / str(number), VOLUME + 50 * number, edit=emptied)
    found = find(tmp_path / "in").sources
    assert len(found) == 3 and not any(source.uid for source in found)
    means = sorted(float(read(one, tmp_path / f"l{n}").array.mean()) for n, one in enumerate(found))
    assert means == pytest.approx([VOLUME.mean() + 50 * number for number in range(3)], abs=0.01)


def test_a_series_in_two_folders_is_one_case_and_a_copy_of_it_is_none(tmp_path: Path) -> None:
    files = write_series(tmp_path / "in" / "first", VOLUME)
    (tmp_path / "in" / "second").mkdir()
    for path in files[6:]:
        path.rename(tmp_path / "in" / "second" / path.name)
    (source,) = find(tmp_path / "in").sources
    assert read(source, tmp_path / "links").array.shape == VOLUME.shape
    (tmp_path / "in" / "zcopy").mkdir()
    for path in files[:6]:
        (tmp_path / "in" / "zcopy" / path.name).write_bytes(path.read_bytes())
    again = find(tmp_path / "in")
    assert again.sources == [source] and codes(again) == ["copy"]


def test_a_damaged_slice_refuses_its_case_and_names_no_file(tmp_path: Path) -> None:
    files = write_series(tmp_path / "Doe^Jane", VOLUME, name="Doe{:03d}.dcm".format)
    files[4].write_bytes(files[4].read_bytes()[:200])
    (source,) = find(tmp_path / "Doe^Jane").sources
    with pytest.raises(InputRefused) as caught:
        read(source, tmp_path / "links")
    assert "a-000004.dcm" in caught.value.message and "Doe" not in caught.value.text


def test_what_is_named_unlike_the_slices_takes_nothing_from_them(tmp_path: Path) -> None:
    write_series(tmp_path / "in", VOLUME)
    (tmp_path / "in" / "stray.dcm").write_bytes(b"")
    (tmp_path / "in" / "notes.txt").write_text("Doe", encoding="utf-8")
    (source,) = find(tmp_path / "in").sources
    volume = read(source, tmp_path / "links")
    assert (
        volume.array.shape == VOLUME.shape
        and "-000013.dcm" in volume.notes[0]
        and "stray" not in volume.notes[0]
    )


def test_a_header_finds_its_voxels_in_another_file(tmp_path: Path) -> None:
    header = "ObjectType = Image\nNDims = 3\nDimSize = 4 3 2\nElementSpacing = 1 1 2\n"
    text = (
        f"{header}TransformMatrix = 1 0 0 0 1 0 0 0 1\nElementType = MET_SHORT\nElementDataFile = Doe.raw\n"
    )
    (tmp_path / "Doe.mhd").write_text(text, encoding="ascii")
    (tmp_path / "Doe.raw").write_bytes(bytes(48))
    path, names = link_files(Source((str(tmp_path / "Doe.mhd"),)), tmp_path / "links")
    assert read_volume(path).array.shape == (2, 3, 4) and names == ("Doe.raw",)


def test_segmentations_packed_files_and_links_are_odd_and_the_output_is_left_out(tmp_path: Path) -> None:
    where = tmp_path / "in"
    for folder in (where / "out", where / "sub"):
        folder.mkdir(parents=True)
    for name in ("ct.nii.gz", "map.nii.gz", "map.labels.json", "a.seg.nrrd", "scans.zip", "out/b.nii.gz"):
        (where / name).write_bytes(b"x")
    (where / "segments.nrrd").write_bytes(b"NRRD0004\nSegment0_ID:=Segment_1\n")
    (where / "loop").symlink_to(where)
    found = find(where)
    assert [Path(source.places[0]).name for source in found.sources] == ["ct.nii.gz"]
    assert codes(found) == ["empty-folder", "link", "packed", *["segmentation"] * 3]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_is_closed_is_odd(tmp_path: Path) -> None:
    (tmp_path / "in" / "closed").mkdir(parents=True)
    (tmp_path / "in" / "closed").chmod(0)
    assert codes(find(tmp_path / "in")) == ["folder-unreadable"]


def test_a_list_names_files_and_folders_from_where_it_lies(tmp_path: Path) -> None:
    write_series(tmp_path / "study", VOLUME)
    (tmp_path / "ct.nii").write_bytes(b"x")
    rows = ["ct.nii", "study", str(tmp_path / "study" / "IM0003.dcm"), "./ct.nii", "absent.nii", ""]
    with open(tmp_path / "list.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["who", "path"], *(["Doe", row] for row in rows)])
    finder = Finder(tmp_path / "out")
    finder.search(tmp_path / "list.csv")
    assert len(finder.sources) == 2 and codes(finder) == ["not-found"]


@pytest.mark.parametrize(("text", "code"), [("name\nct.nii\n", "no-path-column"), ("", "no-path-column")])
def test_a_list_without_paths_is_refused(text: str, code: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        Finder(tmp_path / "out").search(tmp_path / "list.csv")
    assert caught.value.code == code


def test_ids_stay_when_more_is_found_and_the_mapping_is_for_its_owner(tmp_path: Path) -> None:
    first, second = Source(("/b/Doe.nii",)), Source(("/a/Roe",), "1.2.3")
    names = Names(tmp_path)
    names.learn([first, Odd("/c", "", "link", "a link")])
    kept = names.id_of(first)
    again = Names(tmp_path)
    again.learn([second, first])
    assert again.id_of(first) == kept != again.id_of(second)
    path = tmp_path / "mapping.csv"
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("case,path,series\nDoe,/a,\n", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        Names(tmp_path)
    assert caught.value.code == "mapping"
    assert "Doe" not in repr([first, second, *again._ids.values()])
