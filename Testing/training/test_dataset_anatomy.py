"""Renumbered, mirrored and swapped labels are refused, by the anatomy of the whole set or of a case."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("torch", reason="torch is not installed here")

import phantom
from prepare import main
from training.dataset_files import write
from training.test_dataset_checks import findings

from iuinet.labels import ORGANS
from pipeline.dataset.organs import label_maps
from pipeline.dataset.prepared import open_prepared

CASES = ("0001", "0002", "0003")
IDS = {organ.name: organ.label for organ in ORGANS}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """Three generated cases of the official set, small."""
    folder = tmp_path_factory.mktemp("anatomy") / "raw"
    command = [
        "--synapse",
        str(folder),
        "--matrix",
        "64",
        "--testing",
        "0",
        "--pairs",
        "0",
        "--cases",
        *CASES,
    ]
    assert phantom.main(command) == 0
    return folder


@pytest.fixture
def raw(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "raw")


def change(raw: Path, how: Callable[[np.ndarray], np.ndarray], cases=CASES) -> None:
    """Write the cases' label maps anew, on their grids."""
    for case in cases:
        (path,) = raw.rglob(f"label{case}.nii.gz")
        image = sitk.ReadImage(str(path))
        array = np.ascontiguousarray(how(sitk.GetArrayFromImage(image)))
        write(path, array, image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def renumbered(numbers: dict[str, int]) -> Callable[[np.ndarray], np.ndarray]:
    lookup = np.zeros(256, np.uint8)
    for name, label in numbers.items():
        lookup[IDS[name]] = label
    return lambda labels: lookup[labels]


def swapped(one: str, other: str) -> Callable[[np.ndarray], np.ndarray]:
    return renumbered({**IDS, one: IDS[other], other: IDS[one]})


def refusals(raw: Path, *options: str) -> dict[tuple[str, str], str]:
    """What is refused: (code, case) -> what."""
    found = [one for one in findings(raw, "--partial", *options) if one["severity"] == "refused"]
    return {(one["code"], one["case"]): one["what"] for one in found}


def test_good_labels_have_no_such_finding(raw):
    assert refusals(raw) == {}


@pytest.mark.parametrize("name", ["transunet", "paddleseg"])
def test_another_order_of_the_organs_is_refused_unless_it_is_named(raw, tmp_path, name):
    change(raw, renumbered(label_maps()[name]))
    found = refusals(raw)
    assert ("label-order", "") in found and "liver is smaller" in found["label-order", ""]
    assert refusals(raw, "--label-map", name) == {}
    out = tmp_path / "out"
    command = [
        str(raw),
        "--out",
        str(out),
        "--partial",
        "--size",
        "32",
        "--workers",
        "1",
        "--label-map",
        name,
    ]
    assert main(command) == 0
    data = open_prepared(out)
    assert {organ["name"]: organ["label"] for organ in data.organs} == label_maps()[name]
    assert data.labelled == tuple(organ["name"] for organ in data.organs), "all eight of its table"
    assert np.count_nonzero(data.native("0001")[1] == label_maps()[name]["liver"]) > 1000


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mirrored_set_is_refused_once_and_a_mirrored_case_by_its_name(raw, axis):
    change(raw, lambda labels: np.flip(labels, axis))
    found = refusals(raw)
    assert found and {case for _, case in found} == {""} and {code for code, _ in found} == {"sides"}
    change(raw, lambda labels: np.flip(labels, axis), CASES[1:])
    found = refusals(raw)
    assert found and {case for _, case in found} == {"0001"}
    assert refusals(raw, "--exclude", "0001") == {}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("right kidney", "left kidney"),
        ("liver", "spleen"),
        ("liver", "pancreas"),
        ("right adrenal gland", "left adrenal gland"),
    ],
)
def test_swapped_organs_of_one_case_are_refused(raw, one, other):
    change(raw, swapped(one, other), CASES[:1])
    assert {case for _, case in refusals(raw)} == {"0001"}


def test_what_the_scan_cuts_or_nobody_labelled_is_not_judged(raw):
    """A slab through the top shows the dome alone: its liver is no small liver."""

    def slab(labels: np.ndarray) -> np.ndarray:
        only = np.where(np.isin(labels, (IDS["liver"], IDS["spleen"])), labels, 0).astype(np.uint8)
        k = np.flatnonzero((only == IDS["liver"]).any((1, 2)))
        only[: k[-1] - 2][only[: k[-1] - 2] == IDS["liver"]] = 0
        only[k[-1] - 2 :, 0, 0] = IDS["liver"]  # it touches the side of the scan
        return only

    change(raw, slab)
    assert refusals(raw) == {}
    names = [one["value"] for one in findings(raw, "--partial") if one["code"] == "organ-in-no-case"]
    assert names and "pancreas" in names[0] and "liver" not in names[0]
    (raw / "organs.toml").write_text('labelled = ["liver", "spleen"]\n')
    assert not [one for one in findings(raw, "--partial") if one["code"] == "organ-in-no-case"]
