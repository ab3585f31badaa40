"""The official set is found whatever its root; what is not it or is there twice is told apart."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed here")

from prepare import main
from training.dataset_files import FEW, body, write, write_case, write_set

from iuinet.errors import UsageError
from pipeline.dataset.preparing import find_sources

IDS = {*FEW, "0001-0061", "0005-0062"}


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    return write_set(tmp_path_factory.mktemp("raw") / "Abdomen")


def find(*raws: Path, pairs: bool = True):
    return find_sources(raws, None, pairs)


def ids(found) -> set[str]:
    assert not found.findings
    return {source.id for source in found.sources}


def test_folders_are_found_at_any_depth(raw):
    assert ids(find(raw)) == ids(find(raw.parent)) == ids(find(raw / "RawData", raw / "RegData")) == IDS
    pair = next(source for source in find(raw).sources if source.id == "0005-0062")
    assert (pair.kind, pair.atlas) == ("pair", "0005")
    assert pair.image == "RegData/Training-Testing/img/0062/img0005-0062.nii.gz"


def test_pairs_are_left_out_on_demand_and_it_is_said(raw):
    found = find(raw, pairs=False)
    assert ids(found) == set(FEW)
    assert "2 registered pairs are not used" in " ".join(found.notes)


@pytest.mark.parametrize("place", ["Abdomen/RawData", "RawData/RawData", "mirror"])
def test_the_root_of_the_archive_does_not_matter(raw, tmp_path, place):
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(raw / "RawData", tmp_path / place)
    shutil.copytree(raw / "RegData/Training-Testing", tmp_path / "Training-Testing")
    assert ids(find(tmp_path)) == IDS


def test_a_zip_file_is_refused_with_how_to_unzip_it(tmp_path):
    (tmp_path / "RawData.zip").write_bytes(b"PK")
    with pytest.raises(UsageError, match=r"RawData\.zip is a zip file") as refused:
        find(tmp_path / "RawData.zip")
    assert refused.value.code == "zip" and "unzip RawData.zip -d RawData" in refused.value.hint


def test_a_folder_of_zip_files_alone_is_refused_with_what_to_unzip(tmp_path, capfd):
    """So it is after Abdomen.zip, which holds zip files, was unzipped."""
    for name in ("RawData", "Reg-Training-Testing"):
        (tmp_path / f"{name}.zip").write_bytes(b"PK")
    assert main([str(tmp_path), "--check-only"]) == 2
    error, hint = capfd.readouterr().err.splitlines()
    assert error.startswith("error[no-data]") and "unzip RawData.zip, Reg-Training-Testing.zip" in hint


def test_zip_files_beside_the_cases_are_named(raw, tmp_path):
    shutil.copytree(raw / "RawData", tmp_path / "RawData")
    (tmp_path / "Reg-Training-Testing.zip").write_bytes(b"PK")
    found = find(tmp_path)
    assert ids(found) == set(FEW)
    assert any("Zip files are not read: Reg-Training-Testing.zip" in note for note in found.notes)


def test_test_scans_without_labels_and_the_other_registration_are_ignored_with_a_line_each(raw, tmp_path):
    shutil.copytree(raw, tmp_path / "a")
    image, labels = body(60)
    write(tmp_path / "a/RawData/Testing/img/img0061.nii.gz", image)
    write(tmp_path / "a/RegData/Training-Training/label/0002/label0001-0002.nii.gz", labels)
    (tmp_path / "a/RawData/Training/img/._img0001.nii.gz").write_bytes(b"Finder")
    found = find(tmp_path)
    assert ids(found) == IDS
    assert sum("test scans" in note for note in found.notes) == 1
    assert sum("Training-Training" in note for note in found.notes) == 1


@pytest.mark.parametrize("word", ["averaged-training-images", "Cervix"])
def test_other_sets_of_the_project_are_refused_with_the_reason(raw, tmp_path, word, capfd):
    shutil.copytree(raw, tmp_path / "a")
    image, labels = body(30)
    write(tmp_path / "a" / word / "img/img0001.nii.gz", image)
    write(tmp_path / "a" / word / "label/label0001.nii.gz", labels)
    command = [str(tmp_path), "--check-only", "--partial", "--workers", "1"]
    assert main(command) == 3
    out = capfd.readouterr().out
    assert word in out and "not the" in out
    assert main([*command, "--exclude", word]) == 0


def test_averaged_images_alone_are_refused(tmp_path, capfd):
    write(tmp_path / "x/DET0000101_avg.nii.gz", body(20)[0])
    assert main([str(tmp_path), "--check-only", "--workers", "1"]) == 3
    assert "averaged" in capfd.readouterr().out


def test_a_copy_is_used_once_and_another_file_of_that_id_is_refused(raw, tmp_path):
    shutil.copytree(raw / "RawData", tmp_path / "RawData")
    shutil.copytree(raw / "RawData", tmp_path / "a copy")
    found = find(tmp_path)
    assert {one.severity for one in found.findings} == {"warning"} and len(found.findings) == 2 * len(FEW)
    assert all(source.image.startswith("RawData/") for source in found.sources), "the first is used"
    write_case(tmp_path / "RawData/old", "0005", folder="Training", origin=(0, 0, 0))
    found = find(tmp_path)
    refused = [one for one in found.findings if one.severity == "refused"]
    assert {one.case for one in refused} == {"0005"} and refused[0].code == "duplicate"


def test_a_pair_in_the_folder_of_another_case_and_a_case_without_labels_are_named(tmp_path):
    write_set(tmp_path, ("0001", "0005"), ("0001-0061",))
    folder = tmp_path / "RegData/Training-Testing"
    for kind in ("img", "label"):
        (folder / kind / "0061").rename(folder / kind / "0062")
    (tmp_path / "RawData/Training/label/label0005.nii.gz").unlink()
    codes = {(one.case, one.code) for one in find(tmp_path).findings}
    assert codes == {("0001-0061", "misplaced"), ("0005", "incomplete")}


def test_a_link_that_leads_back_is_walked_once(raw, tmp_path):
    shutil.copytree(raw, tmp_path / "a")
    (tmp_path / "a/loop").symlink_to(tmp_path / "a")
    assert ids(find(tmp_path)) == IDS


def test_nothing_to_use_is_said(tmp_path, capfd):
    assert main([str(tmp_path), "--check-only"]) == 2
    assert "error[no-data]" in capfd.readouterr().err
    with pytest.raises(UsageError, match="does not exist"):
        find(tmp_path / "absent")
