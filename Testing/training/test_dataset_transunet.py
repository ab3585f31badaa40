"""TransUNet's preprocessed folder: read as it is, with what it cannot know said, and nothing in mm."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import h5py
from prepare import main
from training.evaluation_factory import random_model, results_of, run

from iuinet.labels import ORGANS
from pipeline.dataset.organs import label_maps
from pipeline.dataset.prepared import open_prepared
from pipeline.dataset.splits import choose_split
from pipeline.generated.phantom import make_sample

NUMBERS = label_maps()["transunet"]
SLICES = ("0005", "0006")
VOLUMES = ("0001",)


def stacks(case: str, size: tuple[int, int, int] = (40, 40, 30)) -> tuple[np.ndarray, np.ndarray]:
    """Image and labels of a generated case as the preprocessing stores them: (slices, columns, rows)."""
    sample = make_sample(int(case), size)
    lookup = np.zeros(256, np.uint8)
    for organ in ORGANS:
        lookup[organ.label] = NUMBERS.get(organ.name, 0)
    image = ((sample.volume.array.astype(np.float32).clip(-125, 275) + 125) / 400).astype(np.float32)
    # The sample's axes are LPS; the files have the second axis flipped, and both in plane exchanged.
    return tuple(array.transpose(0, 2, 1) for array in (image, lookup[sample.labels]))


def write_folder(root: Path) -> Path:
    """A folder with two training cases in slices and a test case in one file."""
    for case in SLICES:
        image, label = stacks(case)
        (root / "train_npz").mkdir(parents=True, exist_ok=True)
        for k in range(len(image)):
            np.savez(root / f"train_npz/case{case}_slice{k:03d}.npz", image=image[k], label=label[k])
    (root / "test_vol_h5").mkdir(parents=True, exist_ok=True)
    for case in VOLUMES:
        image, label = stacks(case)
        with h5py.File(root / f"test_vol_h5/case{case}.npy.h5", "w") as file:
            file["image"], file["label"] = image, label
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("transunet")
    raw = write_folder(folder / "Synapse")
    assert main([str(raw), "--out", str(folder / "prepared"), "--size", "32", "--workers", "1"]) == 0
    return open_prepared(folder / "prepared")


def test_slices_become_volumes_in_their_place_in_the_patient(data):
    assert {case.id for case in data.cases} == {*SLICES, *VOLUMES} and not data.millimetres
    assert {organ["name"]: organ["label"] for organ in data.organs} == NUMBERS
    for case in (*SLICES, *VOLUMES):
        sample = make_sample(int(case), (40, 40, 30))
        volume, labels = data.native(case)
        assert np.allclose(np.diag(volume.grid.direction), (1, -1, 1)), (
            "so the patient's left is to the right"
        )
        # Against the sample's LPS axes the rows run backwards.
        assert np.array_equal(labels[:, ::-1] == NUMBERS["liver"], sample.labels == 6)
        assert np.allclose(volume.array[:, ::-1], sample.volume.array.clip(-125, 275), atol=0.01)
    split = choose_split(data, "transunet", partial=True)
    assert split.train == SLICES and split.test == VOLUMES


def test_what_the_files_cannot_tell_is_said(tmp_path, capfd):
    assert main([str(write_folder(tmp_path / "raw")), "--check-only", "--workers", "1"]) == 0
    said = capfd.readouterr().out
    assert "hold no spacing: nothing is measured in mm or ml" in said and "hold no directions" in said
    assert "3 cases to use" in said and " ml" not in said.split("checked")[1]


def test_nothing_in_millimetres_is_in_any_output(data, tmp_path, capfd):
    model, out = random_model(tmp_path / "m.safetensors", 3, ("liver", "gallbladder")), tmp_path / "out"
    assert run("--data", data.folder, "--weights", model, "--subset", "all", "--out", out) == 0
    said = capfd.readouterr().out
    table = said[said.index("\nm\n") : said.index("WARNING")]
    assert "DSC" in table and "mm" not in table and "NSD" not in table
    results = results_of(out)
    assert any("tells no size of its voxels" in sentence for sentence in results["warnings"])
    for row in (*results["rows"], *({entry["metric"]: 0} for entry in results["summary"])):
        assert not [key for key in row if key.endswith(("_mm", "_ml")) or key == "nsd"]
    for name in ("cases.csv", "summary.csv"):
        with open(out / name, encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
        assert not [key for key in lines[0] if key.endswith(("_mm", "_ml"))]
        assert not [line for line in lines if str(line.get("metric", "")).endswith(("_mm", "_ml"))]
    page = (out / "index.html").read_text(encoding="utf-8")
    assert (
        "HD95" not in page.replace("HD95 and", "")
        and " mm</text>" not in page
        and " ml" not in page.split("<main>")[1].replace("Volume error ml", "")
    )
    assert run("--data", data.folder, "--weights", model, "--subset", "all", "--out", tmp_path / "b",
               "--metric-convention", "transunet") == 0  # fmt: skip
    assert any(row["hd95_voxels"] is not None for row in results_of(tmp_path / "b")["rows"])


def test_no_scan_is_widened_to_a_body_where_a_voxel_has_no_size(data, tmp_path):
    scores = {}
    for name, smallest in (("said", {"smallest_mm": [0, 0, 0]}), ("unsaid", {})):
        second, out = {"organs": ["liver"], "margin_mm": 5, **smallest}, tmp_path / name
        path, organs = tmp_path / f"{name}.safetensors", ("liver", "gallbladder")
        model = random_model(path, 3, organs, second_pass=second)
        assert run("--data", data.folder, "--weights", model, "--subset", "all", "--out", out) == 0
        scores[name] = [row["dsc"] or 0 for row in results_of(out)["rows"]]
    assert scores["said"] == pytest.approx(scores["unsaid"], abs=1e-3) and any(scores["said"])


def test_damaged_folders_are_refused_by_name(tmp_path, capfd, monkeypatch):
    raw = write_folder(tmp_path / "raw")
    command = [str(raw), "--check-only", "--workers", "1"]

    def refused() -> str:
        assert main(command) == 3
        return capfd.readouterr().out

    hidden = raw / "train_npz/case0005_slice007.npz"
    whole = hidden.read_bytes()
    hidden.unlink()
    assert "lacks 1 of its slices, such as number 7" in refused()
    hidden.write_bytes(whole[:200])
    assert "case0005::image cannot be read" in refused()
    image, label = stacks("0005")
    np.savez(hidden, image=image[7] * 400 - 125, label=label[7])
    assert "not from 0 to 1" in refused()
    hidden.write_bytes(whole)
    image, label = stacks("0006")
    for k in range(len(image)):  # mirrored: the patient's left and right exchanged
        np.savez(raw / f"train_npz/case0006_slice{k:03d}.npz", image=image[k][::-1], label=label[k][::-1])
    assert "does not lie on the patient's right of" in refused()
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert "pip install iuinet[train]" in refused()
