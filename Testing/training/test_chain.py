"""From the official folder layout to a segmented scan: the commands of ``make train-demo``, only smaller."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import SimpleITK as sitk

from iuinet.weights import resolve

ROOT = Path(__file__).resolve().parents[2]
SMALL = [
    *("--matrix", "64", "--pairs", "8", "--size", "32", "--workers", "2", "--without-slicer", "--set"),
    *("network.width=4", "network.blocks=[1,1,1]", "network.size=32"),
    *("run.threads=1", "phases.pre-train.epochs=1", "phases.train.epochs=2"),
    *("run.validate_every=1", "data.organs=paper3", "loss.class_weights={}"),
]


def demo(folder: Path) -> subprocess.CompletedProcess:
    words = [sys.executable, "Training/demo.py", "--folder", str(folder), *SMALL]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def chain(tmp_path_factory) -> tuple[Path, str]:
    """The demonstration's folder, and what it said."""
    folder = tmp_path_factory.mktemp("chain") / "demo"
    done = demo(folder)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return folder, done.stdout


def test_every_step_leaves_what_the_next_one_needs(chain):
    folder, said = chain
    assert [f"== {n} of 6" in said for n in range(1, 7)] == [True] * 6
    epochs = (folder / "training" / "epochs.csv").read_text().splitlines()
    assert len(epochs) == 4, "a row of pre-training, two of training"
    results = json.loads((folder / "evaluation" / "results.json").read_text())
    assert len(results["data"]["cases"]) == 12 and results["data"]["split"] == "transunet-inner"
    assert "<html" in (folder / "evaluation" / "index.html").read_text()[:500]
    assert "voxels are the same" in said


def test_the_model_knows_where_it_comes_from(chain):
    folder, _ = chain
    found = resolve(folder / "model" / "demo-1.safetensors")
    assert [organ["name"] for organ in found.document["organs"]] == ["liver", "spleen", "stomach"]
    assert [organ["label"] for organ in found.document["organs"]] == [6, 1, 7]
    data = found.document["training"]["data"]
    assert data["name"] == "synapse-generated" and data["atlases"] == "train"
    assert not set(data["train"]) & set(data["test"]) and found.document["metrics"]
    listed = json.loads((folder / "model" / "manifest.json").read_text())["models"]
    assert [(entry["id"], entry["sha256"]) for entry in listed] == [("demo", found.sha256)]


def test_the_segmentation_lies_on_its_scan(chain):
    folder, _ = chain
    scan = sitk.ReadImage(str(folder / "Abdomen" / "RawData" / "Testing" / "img" / "img0061.nii.gz"))
    found = sitk.ReadImage(str(folder / "segmented" / "img0061.seg.nrrd"))
    assert found.GetSize() == scan.GetSize()
    assert np.allclose(found.GetOrigin(), scan.GetOrigin(), atol=1e-3)
    assert np.allclose(found.GetDirection(), scan.GetDirection(), atol=1e-6)
