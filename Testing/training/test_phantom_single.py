"""Single generated scans with their labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("torch", reason="torch is not installed here")

import phantom
from helpers.sample_ct import shipped

from harness.segment import SAMPLE_CT
from iuinet.reading import read_volume


def test_a_procedural_pair_lies_on_one_grid(tmp_path, capfd):
    assert phantom.main([str(tmp_path), "--size", "32", "--seed", "3"]) == 0
    ct, labels = (read_volume(Path(line)) for line in capfd.readouterr().out.split())
    assert ct.array.shape == labels.array.shape == (32, 32, 32)
    assert ct.grid.spacing == pytest.approx(labels.grid.spacing)
    assert ct.array.min() < -500 and 6 in labels.array


def test_the_shipped_sample_is_what_the_command_writes(tmp_path):
    path = tmp_path / "new" / "sample-ct.nrrd"
    assert phantom.main(["--sample", str(path)]) == 0
    written, sample = read_volume(path), shipped()
    assert written.grid.size == sample.grid.size
    assert np.array_equal(written.grid.index_to_lps(), sample.grid.index_to_lps())
    assert not (sample.array % phantom.SAMPLE_STEP_HU).any()
    # Another numpy or processor gives a few voxels another value: 4 were seen, one of them two steps away.
    away = np.abs(written.array - sample.array)
    assert away.max() <= 2 * phantom.SAMPLE_STEP_HU and np.count_nonzero(away) < 2e-5 * away.size


def test_the_shipped_sample_is_small_and_says_that_it_shows_no_patient():
    assert SAMPLE_CT.stat().st_size <= 1_000_000
    assert "no patient" in sitk.ReadImage(SAMPLE_CT).GetMetaData("note")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["OUT", "--size", "4"], "option"),
        (["OUT", "--pairs", "4"], "option"),
        (["OUT", "--own", "OUT"], "folder"),
        (["--sample", "OUT"], "option"),
        (["--sample", "OUT", "--size", "32"], "option"),
        ([], "folder"),
        (["OUT", "--seed", "x"], "usage"),
        (["--synapse", "OUT", "--cases", "0011"], "cases"),
        (["--synapse", "OUT", "--cases", "0001", "0001"], "cases"),
        (["--synapse", "OUT", "--testing", "21"], "testing"),
        (["--synapse", "OUT", "--cases", "0001", "--pairs", "5"], "pairs"),
        (["--synapse", "OUT", "--pairs", "1", "--testing", "0"], "pairs"),
    ],
)
def test_what_does_not_fit_together_is_refused_before_anything_is_written(tmp_path, capfd, words, code):
    out = tmp_path / "out"
    assert phantom.main([str(out) if word == "OUT" else word for word in words]) == 2
    error, hint = capfd.readouterr().err.splitlines()
    assert error.startswith(f"error[{code}]: ") and hint.startswith("hint: ")
    assert not out.exists()
