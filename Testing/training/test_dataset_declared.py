"""What a set says of itself: organs that it does not label, clipped images; and labels on their own grid."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import torch
from prepare import main
from training.dataset_files import LIVER, ORIGIN, SPACING, SPLEEN, body, write
from training.evaluation_factory import random_model, results_of, run
from training.test_dataset_own import refused, write_own

from iuinet.errors import UsageError
from iuinet.geometry import canonical_axes, to_canonical
from iuinet.inference import Segmenter
from iuinet.options import Options
from iuinet.reading import read_volume
from iuinet.weights import resolve
from pipeline.dataset.arrays import resize_labels
from pipeline.dataset.organs import organ_names
from pipeline.dataset.prepared import open_prepared
from pipeline.dataset.splits import choose_split, slices_per_case

CONFIG = Path(__file__).resolve().parents[2] / "Training/config"

CASES = ("0005", "0027", "0028")
FOUR = 'labelled = ["aorta", "Liver", "spleen", "stomach"]\n'
CLIPPED = "clipped = [-125, 275]\nair = -125\n"


def coarse(image: np.ndarray) -> np.ndarray:
    """The mean of each two by two voxels in plane, clipped as TransUNet's preprocessing does."""
    k, j, i = image.shape
    return image.clip(-125, 275).reshape(k, j // 2, 2, i // 2, 2).mean((2, 4)).astype(np.int16)


def write_copy(root: Path, organs: str = FOUR + CLIPPED) -> Path:
    """Three cases as the copy that circulates: coarse clipped images, fine labels, labels without image."""
    for case in CASES:
        image, labels = body(slices_per_case()[case], int(case))
        origin = (ORIGIN[0] + SPACING[0] / 2, ORIGIN[1] + SPACING[1] / 2, ORIGIN[2])
        spacing = (SPACING[0] * 2, SPACING[1] * 2, SPACING[2])
        write(root / f"img/img{case}.nii.gz", coarse(image), spacing=spacing, origin=origin)
        write(root / f"label/label{case}.nii.gz", labels)
    write(root / "label/label0001.nii.gz", body(147)[1])
    (root / "organs.toml").write_text(organs)
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("declared")
    raw = write_copy(folder / "raw")
    assert main([str(raw), "--out", str(folder / "prepared"), "--size", "32", "--workers", "1"]) == 0
    return open_prepared(folder / "prepared")


def test_such_a_copy_is_read_and_what_it_lacks_is_named(tmp_path, capfd):
    raw = write_copy(tmp_path / "raw")
    assert main([str(raw), "--check-only", "--workers", "1"]) == 0
    said = capfd.readouterr().out
    assert "Only these organs are labelled, by its file of organs: spleen, liver, stomach, aorta." in said
    assert "WARNING (left out): Labels have no image\n    0001" in said
    assert "Image and labels have voxels of different sizes (3 cases)" in said
    assert "0 refused" in said and "3 cases to use" in said
    (raw / "organs.toml").unlink()
    assert main([str(raw), "--check-only", "--workers", "1"]) == 3, "then it is held for the download"
    said = capfd.readouterr().out
    assert "REFUSED: The image is missing\n    0001" in said and "REFUSED: Official cases are missing" in said


def test_the_checks_of_a_ct_know_what_stands_for_air(tmp_path, capfd):
    raw = write_copy(tmp_path / "raw", FOUR + CLIPPED.replace("-125", "-30"))
    for case in CASES:
        path = raw / f"img/img{case}.nii.gz"
        volume = read_volume(path)
        write(path, volume.array.clip(-30, 275), volume.grid.spacing, volume.grid.origin)
    assert main([str(raw), "--check-only", "--workers", "1"]) == 0
    (raw / "organs.toml").write_text(FOUR)
    assert main([str(raw), "--check-only", "--workers", "1"]) == 3
    assert "do not look like Hounsfield units" in capfd.readouterr().out


def test_labels_are_prepared_from_their_own_grid(data):
    case = data.case("0005")
    assert case.grid.size == (20, 20, 117) and case.label_grid.size == (40, 40, 117)
    volume, labels = data.native("0005")
    assert volume.array.shape == (117, 20, 20) and labels.shape == (117, 40, 40)
    canonical = to_canonical(labels, canonical_axes(case.label_grid.direction))
    expected = resize_labels(np.ascontiguousarray(canonical), (32,) * 3)
    assert torch.equal(data.arrays("0005")[1], expected)


def test_another_box_is_refused_also_with_voxels_of_another_size(tmp_path, capfd):
    raw = write_copy(tmp_path / "raw")
    write(raw / "label/label0005.nii.gz", body(117)[1], origin=(ORIGIN[0] + 9, *ORIGIN[1:]))
    assert main([str(raw), "--check-only", "--workers", "1"]) == 3
    said = capfd.readouterr().out
    assert "REFUSED: Image and labels differ in size, and do not show the same box" in said and "9 mm" in said


def test_an_organ_that_is_not_labelled_is_neither_chosen_nor_taken_for_absent(data):
    assert data.labelled == ("spleen", "liver", "stomach", "aorta") and len(data.organs) == 13
    assert organ_names(data, "all") == data.labelled
    with pytest.raises(UsageError) as caught:
        organ_names(data, "all13")
    assert caught.value.code == "organ-unlabelled" and "right kidney" in caught.value.message
    assert organ_names(data, "paper3") == ("liver", "spleen", "stomach")


def test_scores_are_on_the_labels_grid_and_of_labelled_organs_alone(data, tmp_path, capfd):
    organs = ("liver", "spleen", "pancreas", "spinal cord")
    model, out = random_model(tmp_path / "m.safetensors", 3, organs), tmp_path / "out"
    assert run("--data", data.folder, "--weights", model, "--subset", "all", "--out", out) == 0
    said = capfd.readouterr().out
    assert "not scored, because the data do not label them: pancreas" in said
    assert "not scored, because the data do not hold them: spinal cord" in said
    results = results_of(out)
    assert {row["organ"] for row in results["rows"]} == {"liver", "spleen"}
    assert results["models"][0]["unlabelled"] == ["pancreas"]
    assert any("does not label" in text and "pancreas" in text for text in results["warnings"])
    assert "because the data do not label them: pancreas" in (out / "index.html").read_text(encoding="utf-8")
    with open(out / "cases.csv", encoding="utf-8", newline="") as file:
        assert {line["organ"] for line in csv.DictReader(file)} == {"liver", "spleen"}
    volume, reference = data.native("0027")
    found = Segmenter(resolve(model), "cpu")(volume, Options()).labels
    fine = found.repeat(2, axis=1).repeat(2, axis=2)
    for organ, label in (("liver", LIVER), ("spleen", SPLEEN)):
        a, b = fine == 100 + label, reference == label
        (row,) = (
            r for r in results["rows"] if (r["case"], r["organ"], r["grid"]) == ("0027", organ, "native")
        )
        expected = 2 * (a & b).sum() / (a.sum() + b.sum()) if a.any() else 0
        assert row["dsc"] == pytest.approx(expected, abs=1e-6)
        assert row["reference_ml"] == pytest.approx(b.sum() * np.prod(SPACING) / 1000, abs=1e-4)
    kept = read_volume(out / "labels" / "m" / "0027.nii.gz")
    assert kept.array.shape == reference.shape
    assert np.allclose(kept.grid.index_to_lps(), data.case("0027").label_grid.index_to_lps(), atol=1e-3)


def test_its_own_splits_are_kept(tmp_path):
    split = '[splits.mine]\ntrain = ["0005"]\ntest = ["0027"]\n'
    raw, out = write_copy(tmp_path / "raw", FOUR + CLIPPED + split), tmp_path / "out"
    assert main([str(raw), "--out", str(out), "--size", "16", "--workers", "1"]) == 0
    assert choose_split(open_prepared(out), "mine").test == ("0027",)


def test_the_file_of_organs_of_the_real_copy_holds_each_case_out_once(tmp_path):
    raw = write_copy(tmp_path / "raw", (CONFIG / "organs/synapse-14.toml").read_text(encoding="utf-8"))
    assert main([str(raw), "--out", str(tmp_path / "prepared"), "--size", "32", "--workers", "1"]) == 0
    splits = open_prepared(tmp_path / "prepared").splits
    folds = [splits[f"real-{number}"] for number in range(5)]
    held_out = [case for fold in folds for case in fold["test"]]
    assert held_out == sorted(set(held_out)) and len(held_out) == 14
    assert all(sorted(fold["train"] + fold["test"]) == held_out for fold in folds)
    (real, *_) = resolve("starter-tiny").document["sources"]
    assert real["cases"] == held_out, "what the shipped model was trained on"


def test_a_window_beyond_the_clipped_values_is_said(data, tmp_path):
    model = random_model(tmp_path / "wide.safetensors", 3, ("liver",), window=(-160, 240))
    out = tmp_path / "out"
    assert run("--data", data.folder, "--weights", model, "--subset", "all", "--out", out) == 0
    assert any("clipped to -125 to 275 HU, within the window" in text for text in results_of(out)["warnings"])


@pytest.mark.parametrize(
    ("organs", "word"),
    [
        (FOUR.replace("aorta", "heart"), "'heart'"),
        ("labelled = []\n", "labelled"),
        ('labelled = "liver"\n', "labelled"),
        ("clipped = [275, -125]\n", "clipped"),
        ("clipped = 275\n", "clipped"),
        ('air = "low"\n', "air"),
        ("labeled = []\n", "'labeled'"),
    ],
)
def test_a_wrong_declaration_is_refused(tmp_path, capfd, organs, word):
    raw = write_copy(tmp_path / "raw", organs)
    assert main([str(raw), "--check-only", "--workers", "1"]) == 2
    answer = capfd.readouterr().err
    assert word in answer and len(answer.splitlines()) == 2


def test_declarations_that_the_files_contradict_are_refused(tmp_path, capfd):
    raw = write_copy(tmp_path / "raw", FOUR.replace('"aorta", ', "") + CLIPPED.replace("275", "200"))
    image, _ = body(117, 5)
    image[50:60, 10:14, 10:14] = 250
    write(raw / "img/img0005.nii.gz", image.clip(-125, 275))
    assert main([str(raw), "--check-only", "--workers", "1"]) == 3
    said = capfd.readouterr().out
    assert (
        "REFUSED: Labels hold organs that the set is said not to label (3 cases)" in said and "aorta" in said
    )
    assert "REFUSED: The image holds values beyond those that it is said to be clipped to\n    0005" in said


def test_own_data_declare_it_in_the_same_file(tmp_path, capfd):
    raw = write_own(
        tmp_path / "raw",
        organs='labelled = ["liver", "tumour"]\n',
        labels={"liver": 6, "tumour": 1, "cyst": 9},
    )
    out = tmp_path / "prepared"
    assert main([str(raw), "--out", str(out), "--size", "16", "--workers", "1"]) == 0
    assert open_prepared(out).labelled == ("tumour", "liver")
    (raw / "organs.toml").write_text('labelled = ["liver"]\n')
    assert "said not to label" in refused(raw, capfd)
