"""The generated set in the official layout: what real files have, it has."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import phantom
import SimpleITK as sitk

from iuinet.console import Console
from iuinet.reading import read_volume
from pipeline.dataset.raw_files import list_files
from pipeline.dataset.synapse import find_synapse
from pipeline.generated.bodies import draw_scan
from pipeline.generated.synapse import Settings, plan, write_set

# Numbers of slices as public lists of the real set give them.
SLICES = {"0001": 147, "0003": 198, "0022": 89, "0025": 85, "0036": 184, "0040": 195}
LABELLED = [f"{number:04d}" for number in (*range(1, 11), *range(21, 41))]
CASES = ("0001", "0003", "0022")


@pytest.fixture(scope="module")
def small_set(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("synapse") / "set"
    jobs = plan(folder, Settings(matrix=64), CASES, testing=2, pairs=4)
    assert write_set(jobs, folder, workers=1, console=Console(silent=True)) == 9
    return folder


def place(labels, label: int) -> np.ndarray:
    """LPS millimetres of the middle of a label, by the file's own header."""
    index = np.argwhere(labels.array == label).mean(0)[::-1]
    return (labels.grid.index_to_lps() @ [*index, 1])[:3]


def test_files_have_the_official_names(small_set):
    found = {str(path.relative_to(small_set)) for path in small_set.rglob("*.nii.gz")}
    pairs = [("0001", "0061"), ("0003", "0062"), ("0022", "0061"), ("0001", "0062")]
    expected = {f"RawData/Training/{kind}/{kind}{case}.nii.gz" for case in CASES for kind in ("img", "label")}
    expected |= {f"RawData/Testing/img/img{case}.nii.gz" for case in ("0061", "0062")}
    for moving, fixed in pairs:
        for kind in ("img", "label"):
            expected.add(f"RegData/Training-Testing/{kind}/{fixed}/{kind}{moving}-{fixed}.nii.gz")
    assert found == expected
    seen = find_synapse(small_set, list_files([small_set], small_set), pairs=True, organs=None)
    assert not seen.findings
    assert {source.id for source in seen.sources} == {*CASES, *(f"{one}-{two}" for one, two in pairs)}


@pytest.mark.parametrize("case", CASES)
def test_a_case_is_what_a_reader_expects(small_set, case):
    image, labels = (
        sitk.ReadImage(str(small_set / f"RawData/Training/{kind}/{kind}{case}.nii.gz"))
        for kind in ("img", "label")
    )
    assert image.GetPixelID() == sitk.sitkInt16 and labels.GetPixelID() == sitk.sitkUInt8
    assert image.GetSize() == labels.GetSize() == (64, 64, SLICES[case])
    for geometry in ("GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(image, geometry)() == pytest.approx(getattr(labels, geometry)())
    assert 2.5 <= round(image.GetSpacing()[2], 4) <= 5.0
    assert 275 <= image.GetSpacing()[0] * 64 <= 502
    hu, organs = sitk.GetArrayViewFromImage(image), sitk.GetArrayViewFromImage(labels)
    assert hu.min() < -900 and 200 < hu.max() < 3072
    missing = set(range(14)) - set(np.unique(organs).tolist())
    assert missing <= {2, 4} and organs.max() == 13  # a right kidney or gallbladder may be out
    assert 90 < np.median(hu[organs == 6]) < 150  # a portal venous liver
    assert 40 < np.median(hu[(organs == 1)]) < 200


@pytest.mark.parametrize("case", CASES)
def test_organs_lie_on_their_sides_by_the_header(small_set, case):
    labels = read_volume(small_set / f"RawData/Training/label/label{case}.nii.gz")
    spleen, right, left, liver = (place(labels, label) for label in (1, 2, 3, 6))
    assert right[0] < left[0] and liver[0] < spleen[0]  # x runs to the patient's left
    assert place(labels, 8)[1] > place(labels, 7)[1]  # the aorta is behind the stomach
    assert liver[2] > right[2]  # z runs to the head


def test_all_scans_of_the_set_are_within_the_official_ranges_and_differ():
    scans = {case: draw_scan(case, seed=0) for case in (*LABELLED, *(f"{n:04d}" for n in range(61, 81)))}
    assert {case: scans[case].slices for case in SLICES} == SLICES
    for scan in scans.values():
        columns, rows, slices = scan.file_grid(512).spacing
        assert 0.54 - 1e-9 <= columns == rows <= 0.98 + 1e-9
        assert 2.5 - 1e-9 <= slices <= 5.0
        assert 280 - 1e-6 <= scan.slices * slices <= 650 and 85 <= scan.slices <= 198
    grids = [scan.file_grid(512) for scan in scans.values()]
    assert len({tuple(np.diag(grid.direction)) for grid in grids}) == 3
    assert len({grid.origin for grid in grids}) == len(grids)
    absent = [scan.absent for scan in scans.values()]
    assert any("gallbladder" in one for one in absent) and absent.count(()) > 25


def test_six_hundred_different_pairs_are_possible(tmp_path):
    jobs = [job for job in plan(tmp_path, Settings(), (), 20, 600) if job.fixed]
    assert len({(job.case, job.fixed) for job in jobs}) == 600
    first = jobs[:40]
    assert len({job.case for job in first}) == 30 and len({job.fixed for job in first}) == 20


def test_a_case_of_full_size_passes_every_check_of_the_official_set(tmp_path, capfd):
    import prepare

    words = ["--synapse", str(tmp_path / "set"), "--cases", "0025", "--testing", "0", "--pairs", "0"]
    assert phantom.main([*words, "--workers", "1"]) == 0
    image = sitk.ImageFileReader()
    image.SetFileName(str(tmp_path / "set/RawData/Training/img/img0025.nii.gz"))
    image.ReadImageInformation()
    assert image.GetSize() == (512, 512, 85)
    report = tmp_path / "findings.json"
    check = [str(tmp_path / "set"), "--check-only", "--partial", "--workers", "1", "--json", str(report)]
    assert prepare.main(check) == 0
    assert [one["code"] for one in json.loads(report.read_text())["findings"]] == ["missing-cases"]
