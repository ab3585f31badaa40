"""evaluate.py as its users call it, on small prepared cases with small real models."""

from __future__ import annotations

import csv
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.waiting import communicate, wait_until

pytest.importorskip("torch", reason="torch is not installed here")

import evaluate
import torch
from training.evaluation_factory import (
    CASES,
    SIZE,
    SUBSET,
    random_model,
    results_of,
    run,
    small_models,
    training_on,
)

from iuinet.boxes import whole
from iuinet.geometry import canonical_axes, to_canonical
from iuinet.inference import Segmenter
from iuinet.reading import read_volume
from iuinet.weights import resolve
from pipeline.evaluation.segmenters import Model

TEST = CASES[1:]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("evaluate")


@pytest.fixture(scope="module")
def data(training_data):
    return training_data


@pytest.fixture(scope="module")
def models(place, data) -> dict[str, Path]:
    return small_models(place, data)


@pytest.fixture(scope="module")
def done(place, data, models) -> Path:
    """A whole evaluation of two seeds."""
    out = place / "done"
    assert run("--data", data.folder, "--weights", models["one"], models["two"], "--out", out) == 0
    return out


def test_every_output_is_there(done):
    assert {"results.json", "cases.csv", "summary.csv", "labels", "parts"} <= {p.name for p in done.iterdir()}
    results = results_of(done)
    assert [model["name"] for model in results["models"]] == ["run-seed1", "run-seed2"]
    assert results["data"]["cases"] == list(TEST) and results["data"]["split"] == "mine"
    with open(done / "cases.csv", encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(results["rows"]) == 2 * len(TEST) * 4 * 3
    assert {line["convention"] for line in lines} == {"iuinet"}
    with open(done / "summary.csv", encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(results["summary"]) == 2 * 3 * 5 * 7


def test_the_label_maps_are_the_products(done, data, models):
    segmenter = Segmenter(resolve(models["one"]), "cpu")
    for case in ("c2", "c3"):
        volume, _ = data.native(case)
        kept = read_volume(done / "labels" / "run-seed1" / f"{case}.nii.gz")
        expected = segmenter(volume).labels
        assert np.array_equal(kept.array, np.where(expected > 0, expected - 100, 0)), "the data's own ids"
        assert np.allclose(kept.grid.index_to_lps(), volume.grid.index_to_lps(), atol=1e-3)


def test_the_scores_are_those_of_the_label_maps(done, data):
    rows = {(r["model"], r["case"], r["organ"], r["grid"]): r for r in results_of(done)["rows"]}
    for case in ("c1", "c2"):
        volume, reference = data.native(case)
        labels = read_volume(done / "labels" / "run-seed2" / f"{case}.nii.gz").array
        for organ, number in (("liver", 6), ("gallbladder", 4), ("inferior vena cava", 9)):
            a, b = labels == number, reference == number
            row = rows["run-seed2", case, organ, "native"]
            if a.any() and b.any():
                assert row["dsc"] == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()), abs=1e-6)
            error = (int(a.sum()) - int(b.sum())) * volume.grid.voxel_volume_ml
            assert row["state"] == "absent" or row["volume_error_ml"] == pytest.approx(error, abs=1e-5)
    assert rows["run-seed1", "c1", "gallbladder", "native"]["state"] in ("extra", "absent")
    assert rows["run-seed1", "c2", "gallbladder", "ceiling"]["dsc"] == rows["run-seed2", "c2", "gallbladder",
                                                                            "ceiling"]["dsc"]  # fmt: skip


def test_scores_at_the_networks_size_are_those_of_its_own_labels(done, data, models):
    model = Model(resolve(models["one"]), "cpu")
    image, reference = data.arrays("c2")
    volume, _ = data.native("c2")
    array = to_canonical(volume.array, canonical_axes(volume.grid.direction))
    x = model.prepare(array, whole(array.shape), lambda: None)
    with torch.inference_mode():
        channels = model.net(x)[0][0].argmax(0).numpy().astype(np.uint8)
    channels = model.clean(channels, True)[0]
    liver = [organ.name for organ in model.organs].index("liver") + 1
    a, b = channels == liver, reference.numpy() == 6
    (row,) = (
        r
        for r in results_of(done)["rows"]
        if (r["model"], r["case"], r["organ"], r["grid"]) == ("run-seed1", "c2", "liver", "network")
    )
    assert row["dsc"] == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()), abs=1e-6)
    assert image.shape == a.shape == (SIZE,) * 3


def test_seeds_and_tests_are_in_the_document(done):
    results = results_of(done)
    (seeds,) = (
        e for e in results["seeds"] if (e["grid"], e["organ"], e["metric"]) == ("native", "mean", "dsc")
    )
    assert seeds["group"] == "run" and seeds["models"] == ["run-seed1", "run-seed2"]
    tests = [
        e for e in results["paired"] if (e["grid"], e["organ"], e["metric"]) == ("native", "mean", "dsc")
    ]
    assert len(tests) == 1 and all(e["cases"] == 7 and e["p_holm"] >= e["p"] for e in tests)


def test_what_the_models_knew_of_the_cases_is_said_everywhere(done, place, data, models, capfd):
    assert "SELECTED" in " ".join(results_of(done)["warnings"]) and "c1" in results_of(done)["warnings"][0]
    out = place / "known"
    command = ("--data", data.folder, "--weights", models["one"], models["few"], "--split", "mine")
    assert run(*command, "--subset", "all", "--out", out) == 2
    refused = capfd.readouterr().err
    assert "error[case-seen]: run-seed1 was TRAINED on 1 of 8 evaluated cases (c0)" in refused
    assert "--allow-seen" in refused and not (out / "results.json").exists()
    assert run(*command, "--subset", "all", "--out", out, "--allow-seen") == 0
    said = capfd.readouterr().out
    assert said.index("WARNING: run-seed1 was TRAINED") < said.index("HD95 mm"), "at its table"
    assert "WARNING: run-seed1 was TRAINED on 1 of 8 evaluated cases (c0)" in said
    assert "WARNING: three does not state its training cases" in said
    results = results_of(out)
    assert results["models"][0]["exposure"] == {
        "c0": "training",
        "c1": "selection",
        **dict.fromkeys(TEST[1:], ""),
    }
    assert all(sentence in said for sentence in results["warnings"]) and len(results["warnings"]) == 3
    text = (out / "cases.csv").read_text(encoding="utf-8")
    assert re.search(r"run-seed1,c0,liver,native.*,training\n", text)
    rows = [line for line in text.splitlines() if line.startswith("iuinet,run-")]
    assert rows and all("was TRAINED on 1 of 8" in row for row in rows)
    assert '<p class="warning">run-seed1 was TRAINED' in (out / "index.html").read_text(encoding="utf-8")
    assert "training: 1; selection: 1" in (out / "summary.csv").read_text(encoding="utf-8")
    # A model of three organs is scored on them, and its ceiling is that of three organs.
    assert {r["organ"] for r in results["rows"] if r["model"] == "three"} == set(SUBSET)


def test_a_model_file_without_case_names_is_known_by_its_split(place, data, capfd):
    training = training_on(data)
    training["data"] |= {"train": 1, "validation": 1, "test": 7}
    model = random_model(place / "public.safetensors", 5, ("liver",), training)
    out = place / "public"
    command = ("--data", data.folder, "--weights", model, "--subset", "train", "--out", out)
    assert run(*command) == 2
    assert "public was TRAINED on all 1 evaluated cases" in capfd.readouterr().err
    assert run(*command, "--allow-seen") == 0
    assert "public was TRAINED on all 1 evaluated cases" in capfd.readouterr().out


def test_finished_results_are_kept_and_damaged_ones_computed_again(done, data, models, capfd):
    before = results_of(done)
    part = done / "parts" / "run-seed1" / "c3.json"
    part.write_text(part.read_text(encoding="utf-8")[:100], encoding="utf-8")
    command = ("--data", data.folder, "--weights", models["one"], models["two"], "--out", done)
    assert run(*command) == 0
    assert "13 results are kept from before, 1 are to be computed." in capfd.readouterr().out
    assert results_of(done) == before


def test_another_model_or_setting_computes_results_again(place, data, capfd):
    model, out = place / "changing.safetensors", place / "changing"
    command = ("--data", data.folder, "--weights", model, "--split", "mine", "--out", out)

    def computed(*options: object) -> int:
        assert run(*command, "--subset", "validation", *options) == 0
        return "   1 of 1  changing  c1" in capfd.readouterr().out

    random_model(model, 1, ("liver",))
    assert computed() and not computed()
    assert computed("--tolerance", 2) and computed("--all-pieces") and computed()
    before = results_of(out)["models"][0]["sha256"]
    random_model(model, 2, ("liver",))
    assert computed() and results_of(out)["models"][0]["sha256"] != before


def test_an_interrupted_evaluation_goes_on(place, data, models):
    out = place / "interrupted"
    script = Path(evaluate.__file__)
    command = [sys.executable, str(script), "--data", str(data.folder), "--weights", str(models["one"])]
    command += ["--out", str(out), "--device", "cpu", "--workers", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: list(out.glob("parts/*/*.json")) or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    _, errors = communicate(process)
    assert process.returncode == 6 and errors.startswith("error[cancelled]: ")
    assert not (out / "results.json").exists() and not list(out.rglob(".iuinet-*"))
    kept = len(list(out.glob("parts/*/*.json")))
    assert 1 <= kept < len(TEST)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith(f"{kept} results are kept from before")
