"""evaluate.py on runs of train.py: their best weights, their split, their statement, one group of seeds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import export
from helpers.sample_ct import CHALLENGE
from training.evaluation_factory import SUBSET, results_of, run, training_on
from training.run_files import small_net, write_checkpoint

from iuinet.inference import Segmenter
from iuinet.reading import read_volume
from iuinet.weights import resolve
from iuinet.weights.load import save_model

TABLE = [{"name": organ.name, "label": organ.label} for organ in CHALLENGE if organ.name in SUBSET]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("evaluate-runs")


@pytest.fixture(scope="module")
def data(training_data):
    return training_data


@pytest.fixture(scope="module")
def runs(place, data) -> list[Path]:
    """Two seeds of one recipe; the second kept no moving average and has no best checkpoint."""
    folders = [place / "runs" / f"small-seed{seed}" for seed in (1, 2)]
    for seed, folder in enumerate(folders, start=1):
        said = training_on(data, seed)
        net, average = (small_net(10 * seed + n, len(TABLE)) for n in (0, 1))
        selection = said["selection"] if seed == 1 else None
        name = "best.safetensors" if seed == 1 else "last.safetensors"
        facts = {"recipe": said["recipe"], "data": said["data"], "seed": seed, "selection": selection}
        write_checkpoint(folder / name, net, average if seed == 1 else None, organs=TABLE, **facts)
    return folders


def test_runs_are_measured_by_their_best_weights_on_their_own_split(place, data, runs, capfd):
    out = place / "out"
    assert run("--data", data.folder, "--run", *runs, "--out", out) == 0
    said = capfd.readouterr().out
    results = results_of(out)
    assert [model["name"] for model in results["models"]] == ["small-seed1", "small-seed2"]
    assert results["data"]["split"] == "mine" and results["data"]["statement"] in said
    first, second = results["models"]
    assert first["sha256"] == hashlib.sha256((runs[0] / "best.safetensors").read_bytes()).hexdigest()
    # Only the first one's weights were chosen by scores, and so by those of the case c1.
    assert (first["exposure"]["c1"], second["exposure"]["c1"]) == ("selection", "")
    assert {entry["group"] for entry in results["seeds"]} == {"small"}
    assert not list(out.rglob("*.safetensors")), "the model files were for this evaluation only"

    net = small_net(11, len(TABLE))  # the moving average
    plain = {"format": 1, "id": "plain", "version": "1", "organs": TABLE, "training": {}, "metrics": {}}
    plain |= {"preprocessing": {"orientation": "LPS", "size": 32, "window": [-125, 275]}, "license": "none"}
    save_model(place / "plain.safetensors", net, plain)
    expected = Segmenter(resolve(place / "plain.safetensors"), "cpu")(data.native("c3")[0]).labels
    kept = read_volume(out / "labels" / "small-seed1" / "c3.nii.gz").array
    assert len(np.unique(expected)) > 2 and np.array_equal(kept, expected)


def test_a_run_that_went_on_is_measured_again(place, data, runs, capfd):
    out = place / "again"
    command = ("--data", data.folder, "--run", runs[1], "--subset", "validation", "--out", out)
    assert run(*command) == 0 and run(*command) == 0
    assert "1 results are kept from before, 0 are to be computed" in capfd.readouterr().out
    said = training_on(data, 2)
    write_checkpoint(
        runs[1] / "last.safetensors",
        small_net(7, len(TABLE)),
        organs=TABLE,
        recipe=said["recipe"],
        data=said["data"],
    )
    assert run(*command) == 0
    assert "kept from before" not in capfd.readouterr().out
    text = json.dumps(results_of(out))
    for folder in (place, data.folder.parent):
        assert str(folder) not in text, "results can be given to others"


def test_a_folder_without_checkpoint_is_refused(place, data, tmp_path, capfd):
    assert run("--data", data.folder, "--run", tmp_path, "--out", place / "none") == 4
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2 and lines[0].startswith("error[checkpoint-missing]: ")


# What a run's weights are ------------------------------------------------------------------------------


def write_run(folder: Path, data, finished: bool, phase: str = "train", schedule: str = "cosine") -> Path:
    """A run of two phases, pre-training and training; its best weights are of the phase."""
    said = training_on(data, 1)
    phases = [{"name": "pre-train", "data": "pairs"}, {"name": "train", "data": "cases"}]
    recipe = said["recipe"] | {"phases": [one | {"schedule": schedule} for one in phases]}
    facts = {"recipe": recipe, "data": said["data"], "seed": 1, "selection": said["selection"]}
    common = {"organs": TABLE, **facts}
    write_checkpoint(folder / "best.safetensors", small_net(5, len(TABLE)), phase=phase, **common)
    progress = {"finished": finished, "step": 9}
    last = small_net(6, len(TABLE))
    write_checkpoint(folder / "last.safetensors", last, phase="train", step=9, progress=progress, **common)
    return folder


def test_unfinished_trainings_and_pre_trainings_are_named_above_every_number(place, data, tmp_path, capfd):
    unfinished = write_run(tmp_path / "unfinished", data, finished=False, phase="pre-train")
    out = tmp_path / "out"
    assert run("--data", data.folder, "--run", unfinished, "--subset", "validation", "--out", out) == 0
    said = capfd.readouterr().out
    table = said[said.index("\nunfinished\n") :]
    place_of_it = "(step 4, in epoch 2 of the phase pre-train)"
    for word in ("UNFINISHED training", "PRE-TRAINING alone"):
        assert table.index(word) < table.index("DSC") and place_of_it in table
        assert any(word in sentence for sentence in results_of(out)["warnings"])
        page = (out / "index.html").read_text(encoding="utf-8")
        first = page.index("Read this before the numbers")
        assert first < page.index(word) < page.index('class="tiles"')
        for name in ("cases.csv", "summary.csv"):
            lines = (out / name).read_text(encoding="utf-8").splitlines()
            assert all(word in line for line in lines[1:])
    named = ["--id", "m", "--version", "1", "--license", "CC-BY-4.0", "--results", str(out / "results.json")]
    assert export.main(["--run", str(unfinished), "--out", str(tmp_path / "model"), *named]) == 0
    assert "WARNING: this model comes from an UNFINISHED training" in capfd.readouterr().out
    card = (tmp_path / "model" / "m-1.md").read_text(encoding="utf-8")
    measured = card[card.index("## Measured") :]
    assert measured.index("UNFINISHED") < measured.index("| organ |") and "PRE-TRAINING" in measured
    # The exported file still says it when it is measured.
    file, again = tmp_path / "model" / "m-1.safetensors", tmp_path / "again"
    assert run("--data", data.folder, "--weights", file, "--subset", "validation", "--out", again) == 0
    assert any("UNFINISHED" in sentence for sentence in results_of(again)["warnings"])


def test_a_finished_training_is_not_accused(place, data, tmp_path):
    finished, out = write_run(tmp_path / "finished", data, finished=True), tmp_path / "out"
    assert run("--data", data.folder, "--run", finished, "--subset", "validation", "--out", out) == 0
    assert results_of(out)["models"][0]["standing"] == []


def test_the_last_weights_of_a_run_can_be_measured(place, data, tmp_path, capfd):
    folder, out = write_run(tmp_path / "run", data, finished=True), tmp_path / "out"
    found = {}
    for which in ("best", "last"):
        command = ("--data", data.folder, "--run", folder, "--which", which, "--out", out)
        assert run(*command, "--subset", "validation") == 0
        found[which] = results_of(out)["models"][0]
        expected = hashlib.sha256((folder / f"{which}.safetensors").read_bytes()).hexdigest()
        assert found[which]["sha256"] == expected and found[which]["checkpoint"] == which
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "last (step 9, epoch 2 of train)" in page and "{&#34;dsc" not in page
    assert found["best"]["exposure"] == {"c1": "selection"}
    assert found["last"]["exposure"] == {"c1": ""}, "scores chose nothing of the last weights"
    folder = write_run(tmp_path / "plateau", data, finished=True, schedule="plateau")
    command = ("--data", data.folder, "--run", folder, "--which", "last", "--out", tmp_path / "plateau-out")
    assert run(*command, "--subset", "validation") == 0
    model = results_of(tmp_path / "plateau-out")["models"][0]
    assert model["exposure"] == {"c1": "selection"}, "they decided on its learning rate"
    assert "nothing; the selection cases decided" in (tmp_path / "plateau-out/index.html").read_text("utf-8")
    (folder / "best.safetensors").unlink()
    assert run("--data", data.folder, "--run", folder, "--which", "best", "--out", tmp_path / "none") == 4
    assert "best.safetensors" in capfd.readouterr().err
