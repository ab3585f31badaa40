"""The example of own data: two organs in nnU-Net's raw layout, of which the program knows one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import phantom

from iuinet.labels import organ_by_name
from iuinet.reading import read_volume
from pipeline.dataset.prepared import open_prepared
from pipeline.dataset.preparing import find_sources

COUNT = 4


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("own") / "data"
    words = ["--own", str(folder), "--count", str(COUNT), "--size", "48", "--workers", "1"]
    assert phantom.main(words) == 0
    return folder


def test_prepared_data_remember_that_no_patient_is_in_them(own, tmp_path):
    import prepare

    assert prepare.main([str(own), "--out", str(tmp_path / "p"), "--size", "16", "--workers", "1"]) == 0
    assert open_prepared(tmp_path / "p").generated


def test_the_folder_is_read_as_own_data_with_colours_and_a_split(own):
    found = find_sources([own], None, pairs=True)
    assert (found.layout, len(found.sources), found.findings) == ("nnunet", COUNT, [])
    liver, lung = found.organs
    assert (liver["name"], liver["label"], lung["name"], lung["label"]) == ("liver", 1, "lung", 2)
    assert "color" not in liver and len(lung["color"]) == 3
    assert organ_by_name("lung") is None and organ_by_name("liver") is not None
    parts = found.splits["example"]
    cases = [case for part in ("train", "validation", "test") for case in parts[part]]
    assert sorted(cases) == [source.id for source in found.sources] and all(parts.values())


def test_labels_lie_on_liver_and_lungs(own):
    for number in range(COUNT):
        image = read_volume(own / f"imagesTr/body_{number:03d}_0000.nii.gz")
        labels = read_volume(own / f"labelsTr/body_{number:03d}.nii.gz")
        assert np.allclose(image.grid.index_to_lps(), labels.grid.index_to_lps())
        assert set(np.unique(labels.array)) == {0, 1, 2}
        assert np.median(image.array[labels.array == 1]) > 0
        assert -950 < np.median(image.array[labels.array == 2]) < -600
        heights = [np.argwhere(labels.array == label)[:, 0].mean() for label in (1, 2)]
        assert heights[0] < heights[1]  # slices run to the head
    directions = {tuple(np.diag(read_volume(path).grid.direction)) for path in own.glob("imagesTr/*")}
    assert len(directions) == 2


def test_the_description_is_nnunets(own):
    document = json.loads((own / "dataset.json").read_text())
    assert document["labels"] == {"background": 0, "liver": 1, "lung": 2}
    assert document["channel_names"] == {"0": "CT"} and document["numTraining"] == COUNT


def test_a_second_call_adds_what_is_missing(own):
    path = own / "labelsTr" / "body_001.nii.gz"
    before, other = path.read_bytes(), (own / "labelsTr" / "body_000.nii.gz").stat().st_mtime_ns
    path.unlink()
    assert phantom.main(["--own", str(own), "--count", str(COUNT), "--size", "48", "--workers", "1"]) == 0
    assert path.read_bytes() == before
    assert (own / "labelsTr" / "body_000.nii.gz").stat().st_mtime_ns == other
