"""The official set is found whatever its root and archive; what is not it or is there twice is told apart."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed here")

from dataset.places import on_disk, sha256_of
from dataset.prepared import open_prepared
from dataset.sources import find_sources
from prepare import main
from training.dataset_files import FEW, body, write, write_case, write_set, zip_folder

from iuinet.errors import InputRefused, UsageError

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


@pytest.mark.parametrize("prefix", ["", "RawData/", "RawData/RawData/", "Abdomen/RawData/"])
def test_zip_files_are_read_whatever_their_root(raw, tmp_path, prefix):
    one = zip_folder(raw / "RawData", tmp_path / "RawData.zip", prefix)
    two = zip_folder(raw / "RegData", tmp_path / "Reg-Training-Testing.zip")
    assert ids(find(one, two)) == ids(find(tmp_path)) == IDS
    source = find(one, two).sources[0]
    assert source.image == f"RawData.zip::{prefix}Training/img/img0001.nii.gz"
    with on_disk(tmp_path, source.image) as (path, sha256):
        assert path.read_bytes() == (raw / "RawData/Training/img/img0001.nii.gz").read_bytes()
    assert not path.exists(), "the copy stays behind"
    assert sha256 == sha256_of(raw, "RawData/Training/img/img0001.nii.gz")


def test_stored_zip_files_within_a_zip_file_are_read_where_they_are(raw, tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    zip_folder(raw / "RawData", inner / "RawData.zip", "RawData/")
    zip_folder(raw / "RegData", inner / "Reg-Training-Testing.zip")
    outer = zip_folder(inner, tmp_path / "Abdomen.zip", compression=zipfile.ZIP_STORED)
    shutil.rmtree(inner)
    found = find(outer)
    assert ids(found) == IDS
    assert found.sources[0].image == "Abdomen.zip::RawData.zip::RawData/Training/img/img0001.nii.gz"
    with on_disk(tmp_path, found.sources[0].image) as (path, _):
        assert path.read_bytes() == (raw / "RawData/Training/img/img0001.nii.gz").read_bytes()


def test_a_compressed_zip_file_within_a_zip_file_is_refused_with_what_to_unpack(raw, tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    zip_folder(raw / "RawData", inner / "RawData.zip")
    outer = zip_folder(inner, tmp_path / "Abdomen.zip")
    with pytest.raises(InputRefused, match=r"Abdomen\.zip::RawData\.zip") as refused:
        find(outer)
    assert refused.value.code == "nested-zip" and "RawData.zip" in refused.value.hint


def test_a_cut_zip_file_is_refused(raw, tmp_path, capfd):
    archive = zip_folder(raw / "RawData", tmp_path / "RawData.zip")
    archive.write_bytes(archive.read_bytes()[:-500])
    assert main([str(archive), "--check-only", "--workers", "1"]) == 3
    assert "error[zip-damaged]: The zip file RawData.zip" in capfd.readouterr().err


def test_a_damaged_member_is_a_finding_of_its_case(raw, tmp_path, capfd):
    archive = zip_folder(raw / "RawData", tmp_path / "RawData.zip", compression=zipfile.ZIP_STORED)
    with zipfile.ZipFile(archive) as file:
        start = file.getinfo("Training/img/img0005.nii.gz").header_offset
    data = bytearray(archive.read_bytes())
    data[start + 2000 : start + 2100] = bytes(100)
    archive.write_bytes(data)
    report = tmp_path / "report.json"
    command = [str(archive), "--check-only", "--partial", "--workers", "1", "--json", str(report)]
    assert main(command) == 3
    findings = json.loads(report.read_text())["findings"]
    assert [f["case"] for f in findings if f["severity"] == "refused"] == ["0005"]
    assert main([*command, "--exclude", "0005"]) == 0


def test_an_encrypted_zip_file_is_refused_in_plain_words(raw, tmp_path, capfd):
    archive = zip_folder(raw / "RawData", tmp_path / "RawData.zip")
    data = bytearray(archive.read_bytes())
    for magic, flags in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):  # where the flags stand
        at = data.find(magic)
        while at >= 0:
            data[at + flags] |= 1
            at = data.find(magic, at + 4)
    archive.write_bytes(data)
    assert main([str(archive), "--check-only", "--partial", "--workers", "1"]) == 3
    assert "encrypted" in capfd.readouterr().out


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


def test_a_copy_beside_its_archive_is_used_once_and_another_file_of_that_id_is_refused(raw, tmp_path):
    shutil.copytree(raw / "RawData", tmp_path / "RawData")
    zip_folder(raw / "RawData", tmp_path / "RawData.zip")
    found = find(tmp_path)
    assert {one.severity for one in found.findings} == {"warning"} and len(found.findings) == 2 * len(FEW)
    assert all("::" not in source.image for source in found.sources), "the folder comes first"
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


def test_prepared_from_zip_files_is_what_is_prepared_from_folders(raw, tmp_path, capfd):
    zip_folder(raw / "RawData", tmp_path / "RawData.zip")
    zip_folder(raw / "RegData", tmp_path / "Reg.zip")
    options = ["--size", "16", "--partial", "--workers", "1"]
    assert main([str(raw), "--out", str(tmp_path / "one"), *options]) == 0
    zips = [str(tmp_path / name) for name in ("RawData.zip", "Reg.zip")]
    assert main([*zips, "--out", str(tmp_path / "two"), *options]) == 0
    one, two = (open_prepared(tmp_path / name) for name in ("one", "two"))
    assert one.fingerprint == two.fingerprint and {case.id for case in one.cases} == IDS
    for case in one.cases:
        for first, second in zip(one.arrays(case.id), two.arrays(case.id), strict=True):
            assert first.equal(second)
        volumes, labels = zip(*(data.native(case.id) for data in (one, two)), strict=True)
        assert np.array_equal(volumes[0].array, volumes[1].array) and np.array_equal(*labels)
    assert not (tmp_path / "two/work").exists()
