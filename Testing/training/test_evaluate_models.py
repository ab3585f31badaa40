"""evaluate.py with other rules and folds, and what it refuses."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import torch
from training.evaluation_factory import (
    CASES,
    SUBSET,
    random_model,
    results_of,
    run,
    small_models,
    training_on,
)

from iuinet.inference import Segmenter
from iuinet.options import Options
from iuinet.reading import read_volume
from iuinet.volume import Grid, Volume
from iuinet.weights import resolve
from iuinet.weights.model_file import check_file
from pipeline.evaluation.segmenters import segmenter


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("evaluate-models")


@pytest.fixture(scope="module")
def data(training_data):
    return training_data


@pytest.fixture(scope="module")
def models(place, data) -> dict[str, Path]:
    return small_models(place, data)


def test_transunets_rules_are_marked_in_every_output(place, data, models, capfd):
    out = place / "transunet"
    command = ("--data", data.folder, "--weights", models["few"], "--split", "mine", "--out", out)
    assert run(*command, "--metric-convention", "transunet") == 0
    said = capfd.readouterr().out
    assert "three  [rules of TransUNet, not comparable with ours]" in said
    assert "WARNING: Scored by the rules of TransUNet" in said and "HD95 voxels" in said and "mm" not in said
    results = results_of(out)
    assert results["convention"] == "transunet" and "TransUNet" in results["warnings"][0]
    assert all(row["hd95_mm"] is None and row["dsc"] is not None for row in results["rows"])
    for name in ("cases.csv", "summary.csv"):
        with open(out / name, encoding="utf-8", newline="") as file:
            assert {line["convention"] for line in csv.DictReader(file)} == {"transunet"}


def test_scores_at_the_networks_size_are_the_volumes_where_more_was_seen(two_pass_model, monkeypatch):
    model = segmenter(check_file(two_pass_model), "cpu")
    model.second_pass = replace(model.second_pass, smallest_mm=(0.0, 0.0, 64.0))
    logits = torch.zeros(14, 32, 32, 32)
    logits[1, :, :, 8:24] = 1  # the volume's half of what was seen
    monkeypatch.setattr(model, "run", lambda *_: (logits, []))
    model(Volume(np.zeros((32, 32, 32), np.int16), Grid((32, 32, 32), (1.0, 1.0, 1.0))), Options(fast=True))
    assert (model.at_network_size(islands=False) == model.organs[0].label).all()


def test_transunets_rules_keep_all_pieces_as_the_published_code_does(place, data, models):
    out = place / "transunet-pieces"
    command = ("--data", data.folder, "--weights", models["few"], "--split", "mine", "--out", out)
    assert run(*command, "--subset", "validation", "--metric-convention", "transunet") == 0
    volume, _ = data.native("c1")
    found = Segmenter(resolve(models["few"]), "cpu")(volume, Options(islands=False)).labels
    kept = read_volume(out / "labels" / "three" / "c1.nii.gz").array
    assert np.array_equal(kept, np.where(found > 0, found - 100, 0))
    assert results_of(out)["largest_piece_only"] is False and "All pieces" in results_of(out)["warnings"][0]


def test_folds_are_pooled_each_case_by_the_fold_that_held_it_out(place, data, capfd):
    folds = [
        random_model(place / f"cv-fold{n}.safetensors", 10 + n, SUBSET, training_on(data, split=f"fold-{n}"))
        for n in range(5)
    ]
    out = place / "folds"
    assert run("--data", data.folder, "--weights", *folds, "--cross-validation", "--out", out) == 0
    results = results_of(out)
    (model,) = results["models"]
    assert model["name"] == "cv-cross-validation" and model["members"] == 5
    assert sorted(results["data"]["cases"]) == list(CASES)
    held_out = {
        c: f"cv-fold{n}" for n in range(5) for c in training_on(data, split=f"fold-{n}")["data"]["test"]
    }
    assert model["folds"] == held_out
    assert set(model["exposure"].values()) == {"selection"}
    case, fold = next(iter(held_out.items()))
    expected = Segmenter(resolve(place / f"{fold}.safetensors"), "cpu")(data.native(case)[0]).labels
    kept = read_volume(out / "labels" / model["name"] / f"{case}.nii.gz").array
    assert np.array_equal(kept, np.where(expected > 0, expected - 100, 0))
    capfd.readouterr()
    assert (
        run("--data", data.folder, "--weights", folds[0], folds[0], "--cross-validation", "--out", out) == 2
    )
    assert "both held out the case" in capfd.readouterr().err


def test_a_model_of_generated_ct_alone_names_no_split(place, data, capfd):
    """Its training says "none", which is the name of no split of these data."""
    training = {"data": {"name": "synthetic", "split": "none"}}
    model, out = random_model(place / "synthetic.safetensors", 3, SUBSET, training), place / "synthetic"
    command = ("--data", data.folder, "--weights", model, "--out", out)
    assert run(*command) == 2 and "do not say which split" in capfd.readouterr().err
    assert run(*command, "--subset", "all", "--no-keep-labels") == 0
    assert results_of(out)["data"]["cases"] == list(CASES)


def test_labels_are_removed_when_they_are_not_wanted(place, data, models):
    out = place / "no-labels"
    command = ("--data", data.folder, "--weights", models["few"], "--split", "mine", "--subset", "validation")
    assert run(*command, "--no-keep-labels", "--all-pieces", "--out", out) == 0
    assert not (out / "labels").exists() and results_of(out)["largest_piece_only"] is False


def test_organs_that_the_data_do_not_hold_are_named_and_not_scored(place, data, capfd):
    model, out = random_model(place / "cord.safetensors", 6, ("spinal cord", "liver")), place / "cord"
    command = ("--data", data.folder, "--split", "mine", "--subset", "validation", "--out", out)
    assert run(*command, "--weights", model) == 0
    assert "not scored, because the data do not hold them: spinal cord" in capfd.readouterr().out
    assert {row["organ"] for row in results_of(out)["rows"]} == {"liver"}
    assert not np.isin(read_volume(out / "labels" / "cord" / "c1.nii.gz").array, (0, 6), invert=True).any()
    alone = random_model(place / "alone.safetensors", 6, ("spinal cord",))
    assert run(*command, "--weights", alone) == 2
    assert "error[no-organ]: alone finds spinal cord" in capfd.readouterr().err


# Refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status", "code", "word"),
    [
        ("--data {data}", 2, "usage", "no model is named"),
        ("--weights {one}", 2, "usage", "no data are named"),
        ("--data {out} --weights {one}", 3, "not-prepared", "holds no prepared data"),
        ("--data {data} --weights no-such-id", 4, "weights-unknown", "no-such-id"),
        ("--data {data} --weights {few}", 2, "split-unknown", "three: none"),
        ("--data {data} --weights {one} --split no", 2, "unknown-split", "'no'"),
        ("--data {data} --weights {one} --tolerance 0", 2, "usage", "0.0 is not a tolerance"),
        ("--data {data} --weights {one} --tolerance nan", 2, "usage", "nan is not a tolerance"),
        ("--data {data} --weights {one} --out {one}", 2, "usage", "is a file"),
        ("--data {data} --weights {one} --out {one}/below", 1, "no-output-folder", "below"),
        ("--data {data} --weights {one} --nonsense", 2, "usage", "--nonsense"),
        ("--data {data} --weights {one} --cross-validation", 2, "cross-validation", "only fold"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_two_lines(
    arguments, status, code, word, data, models, tmp_path, capfd
):
    names = {"data": data.folder, "out": tmp_path / "out", **models}
    arguments += "" if "--out" in arguments else " --out {out}"
    assert run(*(word.format(**names) for word in arguments.split())) == status
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2 and lines[0].startswith(f"error[{code}]: ") and lines[1].startswith("hint: ")
    assert word in lines[0]
    assert not list(tmp_path.rglob("results.json"))
