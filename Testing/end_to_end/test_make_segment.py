"""What ``make segment`` runs, as a user runs it: a process with options and an environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from helpers.sample_ct import sample_ct

from harness.segment import SAMPLE_CT

pytestmark = pytest.mark.needs_torch

ROOT = Path(__file__).resolve().parents[2]
ENDINGS = (".seg.nrrd", ".report.json", ".preview.png")


@pytest.fixture(scope="module")
def ct() -> sitk.Image:
    """A small generated CT, stored obliquely."""
    volume = sample_ct((48, 40, 32))
    image = sitk.GetImageFromArray(volume.array)
    image.SetSpacing(volume.grid.spacing)
    image.SetOrigin((12.5, -30.0, 400.0))
    image.SetDirection((0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0))
    return image


@pytest.fixture
def segment(tmp_path, small_model):
    """Run the program in an empty folder; gives the finished process."""

    def run(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {
            name: value for name, value in os.environ.items() if name not in ("CT", "OUT", "WEIGHTS")
        }
        environment |= {
            "PYTHONPATH": os.pathsep.join([str(ROOT / "Testing"), str(ROOT / "IUINetSegmentation")])
        }
        environment |= {"WEIGHTS": str(small_model), "DEVICE": "cpu", **variables}
        command = [sys.executable, "-m", "harness.segment", *options]
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )

    return run


def test_a_ct_becomes_three_files_and_a_table(segment, ct, tmp_path):
    path = tmp_path / "Lékař 中文 ü.nii.gz"
    sitk.WriteImage(ct, path)
    out = tmp_path / "my results é"
    done = segment(CT=str(path), OUT=str(out))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    files = {file.name for file in out.iterdir()}
    (name,) = {file.removesuffix(ending) for file in files for ending in ENDINGS if file.endswith(ending)}
    assert files == {name + ending for ending in ENDINGS}
    for file in files:
        assert str(out / file) in done.stdout
    report = json.loads((out / f"{name}.report.json").read_text(encoding="utf-8"))
    found = {organ["name"]: organ for organ in report["organs"] if organ["found"]}
    assert found
    for organ in found:
        assert organ in done.stdout
    assert "ml" in done.stdout
    assert (out / f"{name}.preview.png").read_bytes().startswith(b"\x89PNG")
    labels = sitk.ReadImage(out / f"{name}.seg.nrrd")
    assert labels.GetSize() == ct.GetSize()
    assert np.allclose(labels.GetOrigin(), ct.GetOrigin())
    assert np.allclose(labels.GetDirection(), ct.GetDirection())
    voxels = np.bincount(sitk.GetArrayFromImage(labels).ravel(), minlength=14)
    assert {organ["label"]: organ["voxels"] for organ in found.values()} == {
        label: count for label, count in enumerate(voxels.tolist()) if label and count
    }


def test_without_a_ct_the_shipped_sample_is_segmented(segment, tmp_path):
    done = segment()
    assert done.returncode == 0, done.stderr
    files = {f"sample-ct{ending}" for ending in ENDINGS}
    assert {file.name for file in (tmp_path / "out").iterdir()} == files
    assert f"generated CT {SAMPLE_CT}\n" in done.stdout
    sizes = [sitk.ReadImage(path).GetSize() for path in (SAMPLE_CT, tmp_path / "out" / "sample-ct.seg.nrrd")]
    assert sizes[0] == sizes[1]


def test_its_own_earlier_files_are_replaced_and_nothing_else(segment, ct, tmp_path):
    path, out = tmp_path / "scan.nrrd", tmp_path / "out"
    sitk.WriteImage(ct, path)
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    (out / "scan.report.json").write_text("old")
    done = segment("--ct", str(path), "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert (out / "notes.txt").read_text() == "mine"
    assert (out / "scan.report.json").read_text() != "old"
    assert {file.name for file in out.iterdir()} == {"notes.txt", *(f"scan{ending}" for ending in ENDINGS)}


class TestRefusals:
    """One line that says what is wrong, one that says what to do, the exit status, and no file."""

    @pytest.fixture
    def refused(self, segment, tmp_path):
        def run(status: int, **variables: str) -> str:
            done = segment(OUT=str(tmp_path / "out"), **variables)
            assert done.returncode == status, done.stderr
            lines = done.stderr.splitlines()
            assert len(lines) == 2, done.stderr
            assert lines[0].startswith("error[")
            assert lines[1].startswith("hint: ")
            assert not list((tmp_path / "out").glob("*"))
            return lines[0]

        return run

    @pytest.fixture
    def scan(self, ct, tmp_path) -> str:
        """The small CT as a file."""
        sitk.WriteImage(ct, tmp_path / "scan.nrrd")
        return str(tmp_path / "scan.nrrd")

    def test_a_ct_that_is_not_there(self, refused, tmp_path):
        assert "none.nrrd" in refused(3, CT=str(tmp_path / "none.nrrd"))

    def test_a_file_that_is_no_image(self, refused, tmp_path):
        (tmp_path / "text.nrrd").write_text("This is no image.")
        refused(3, CT=str(tmp_path / "text.nrrd"))

    def test_values_that_do_not_look_like_ct(self, refused, ct, tmp_path):
        noise = np.random.default_rng(0).random((32, 40, 48), dtype=np.float32)
        sitk.WriteImage(sitk.GetImageFromArray(noise), tmp_path / "noise.nrrd")
        refused(3, CT=str(tmp_path / "noise.nrrd"))

    def test_a_place_that_a_person_should_decide_on(self, refused, ct, tmp_path):
        sitk.WriteImage(ct, tmp_path / "codes.nii")
        data = bytearray((tmp_path / "codes.nii").read_bytes())
        data[252:256] = bytes(4)  # qform and sform codes: no orientation in the file
        (tmp_path / "codes.nii").write_bytes(data)
        assert "no-orientation" in refused(3, CT=str(tmp_path / "codes.nii"))

    def test_a_model_that_is_not_there(self, refused, scan, tmp_path):
        refused(4, CT=scan, WEIGHTS=str(tmp_path / "none.safetensors"))

    def test_a_device_that_is_not_there(self, refused, scan):
        refused(5, CT=scan, DEVICE="cuda:7")

    def test_a_wrong_option(self, segment):
        done = segment("--outt", "x")
        assert done.returncode == 2
        assert done.stderr.startswith("error[usage]: ")
        assert len(done.stderr.splitlines()) == 2

    def test_a_result_is_never_written_over_the_ct(self, segment, ct, tmp_path):
        path = tmp_path / "scan.seg.nrrd"
        sitk.WriteImage(ct, path)
        link = tmp_path / "scan.nrrd"
        link.symlink_to(path)
        before = path.read_bytes()
        done = segment(CT=str(link), OUT=str(tmp_path))
        assert done.returncode == 2, done.stderr
        assert path.read_bytes() == before
