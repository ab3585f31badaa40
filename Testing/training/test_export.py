"""From a training run to a model that the program loads: file, list, and labels that are the checkpoint's."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("torch", reason="torch is not installed here")

import export
import prepare
import torch
from safetensors import safe_open
from training.dataset_files import body, write
from training.run_files import DATA, ORGANS, small_net, write_checkpoint

from iuinet import segment
from iuinet.errors import WeightsError
from iuinet.labels import NEUTRAL_COLOR, organs_of_model
from iuinet.reading import volume_from_image
from iuinet.weights import list_models, read_manifest, resolve
from iuinet.weights.load import load_model, save_model
from iuinet.weights.model_file import check_file, file_sha256
from iuinet.writing import image_on_grid
from pipeline.exporting.model import Trained, model_document, read_trained
from pipeline.exporting.model_card import model_card
from pipeline.exporting.verify import checkpoint_labels, verify
from pipeline.generated.phantom import make_sample

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "IUINetSegmentation" / "Resources" / "Weights" / "manifest.schema.json"
CARD = {
    "id": "test-model",
    "version": "1.0",
    "license": "CC-BY-4.0",
    "attributions": ["Made by a test."],
    "intended_use": "Tests only.",
}
NAMED = ["--id", "test-model", "--version", "1.0", "--license", "CC-BY-4.0"]


@pytest.fixture(scope="module", autouse=True)
def sample_once() -> Iterator[None]:
    """The generated CT that every export is compared on is always the same: draw it once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.exporting.verify.make_sample", functools.cache(make_sample))
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a best and a last checkpoint of random weights; the best has a moving average."""
    folder = tmp_path_factory.mktemp("runs") / "seed4"
    write_checkpoint(folder / "best.safetensors", small_net(0), small_net(1))
    write_checkpoint(folder / "last.safetensors", small_net(2), step=6)
    return folder


def refusal(capfd: pytest.CaptureFixture[str]) -> str:
    """The refusal's first line; the second must be its hint."""
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2 and lines[1].startswith("hint: "), lines
    return lines[0]


def write_model(checkpoint: Path, path: Path, card: dict) -> Trained:
    """Write a checkpoint as a model file, as export.py does; returns what was read."""
    trained = read_trained(checkpoint)
    save_model(path, trained.net(), model_document(trained, card, {}))
    return trained


# The model ----------------------------------------------------------------------------------------------


def test_an_exported_model_segments_as_the_moving_average_of_the_best_checkpoint(run, tmp_path):
    assert export.main(["--run", str(run), "--out", str(tmp_path), *NAMED]) == 0
    path = tmp_path / "test-model-1.0.safetensors"
    loaded, expected = load_model(path)[0].state_dict(), small_net(1).state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in expected.items())
    volume = make_sample(1, (48, 40, 32)).volume
    # Axes in another order than the network's: what the training calls canonical must be what inference does.
    turned = image_on_grid(volume.array, volume.grid)
    turned = sitk.DICOMOrient(turned, "RIP")
    result = segment(turned, path, "cpu", islands=False, accept_warnings=True)
    net, trained = small_net(1), read_trained(run / "best.safetensors")
    expected = checkpoint_labels(net, trained, volume_from_image(turned))
    labels = sitk.GetArrayFromImage(result.labels)
    assert set(np.unique(labels)) > {0} and set(np.unique(labels)) <= {0, 6, 40}
    # Equal weights at other addresses in memory: sums may round differently, seen at ties alone.
    assert np.count_nonzero(labels != expected) <= 1e-4 * labels.size
    found = result.report["organs"]
    assert {organ["name"] for organ in found} == {"liver", "my own structure"}


def test_own_organs_keep_their_colour_and_get_no_codes(run, tmp_path):
    write_model(run / "best.safetensors", tmp_path / "m.safetensors", CARD)
    liver, own = organs_of_model(check_file(tmp_path / "m.safetensors").document)
    assert liver.terminology is not None and liver.color != NEUTRAL_COLOR
    assert (own.name, own.label, own.color, own.terminology) == ("my own structure", 40, (10, 200, 30), None)


def test_the_model_file_says_of_each_organ_whether_it_is_one_piece(run, tmp_path):
    write_model(run / "best.safetensors", tmp_path / "m.safetensors", CARD)
    weights = check_file(tmp_path / "m.safetensors")
    assert [organ["pieces"] for organ in weights.document["organs"]] == ["largest", "all"]
    card = model_card(weights)
    assert "All pieces are kept of my own structure." in card


def test_the_document_says_what_the_checkpoint_knows(run, tmp_path):
    card = {**CARD, "training": {"data": "As the card says it.", "notes": "One run."}, "limits": ["Small."]}
    write_model(run / "last.safetensors", tmp_path / "m.safetensors", card)
    document = check_file(tmp_path / "m.safetensors").document
    training = document["training"]
    assert document["preprocessing"] == {"orientation": "LPS", "size": 32, "window": [-125.0, 275.0]}
    assert training["data"] == DATA and training["description"] == "As the card says it."
    assert (training["seed"], training["step"], training["checkpoint"]) == (4, 6, "last")
    assert training["revision"] == "c0ffee" and training["selection"] == {"dsc": 0.5, "epoch": 2}
    assert document["limits"] == ["Small."]


def test_names_of_own_cases_are_counted_and_not_told(tmp_path):
    data = {**DATA, "name": "mine", "train": ["Doe John", "0002"], "test": ["0003"]}
    write_checkpoint(tmp_path / "best.safetensors", small_net(), data=data)
    write_model(tmp_path / "best.safetensors", tmp_path / "m.safetensors", CARD)
    said = check_file(tmp_path / "m.safetensors").document["training"]["data"]
    assert (said["train"], said["validation"], said["test"]) == (2, 1, 1)
    assert b"Doe" not in (tmp_path / "m.safetensors").read_bytes()


# Verification -------------------------------------------------------------------------------------------


def test_a_file_with_other_weights_or_labels_is_noticed(run, tmp_path):
    path = tmp_path / "m.safetensors"
    trained = write_model(run / "best.safetensors", path, CARD)
    (sentence,) = verify(path, trained)
    assert f"all {96 * 80 * 64:,} voxels are the same" in sentence
    write_model(run / "last.safetensors", path, CARD)
    with pytest.raises(WeightsError) as refused:
        verify(path, trained)
    assert refused.value.code == "export-differs" and " of 491,520 voxels" in refused.value.message
    swapped = [{**organ, "label": label} for organ, label in zip(ORGANS, (40, 6), strict=True)]
    write_checkpoint(tmp_path / "best.safetensors", small_net(1), organs=swapped)
    write_model(tmp_path / "best.safetensors", path, CARD)
    with pytest.raises(WeightsError):
        verify(path, trained)


def test_an_export_that_is_refused_leaves_what_was_there(run, tmp_path, capfd, monkeypatch):
    arguments = ["--run", str(run), "--out", str(tmp_path), *NAMED]
    other = read_trained(run / "last.safetensors")
    with monkeypatch.context() as patch:
        patch.setattr(export, "save_model", lambda path, net, about: save_model(path, other.net(), about))
        assert export.main(arguments) == 4
        assert refusal(capfd).startswith("error[export-differs]: the exported file and the checkpoint differ")
        assert list(tmp_path.iterdir()) == []
    assert export.main(arguments) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(export, "save_model", lambda path, net, about: save_model(path, other.net(), about))
    assert export.main([*arguments, "--round"]) == 4
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_rounded_weights_are_exact_in_half_the_size_and_the_change_is_told(run, tmp_path, capfd):
    assert export.main(["--run", str(run), "--out", str(tmp_path), *NAMED, "--round"]) == 0
    said = re.search(r"gave another label to ([\d,]+) of 491,520 voxels", capfd.readouterr().out)
    assert int(said[1].replace(",", "")) > 0
    assert said[0] in (tmp_path / "test-model-1.0.md").read_text(encoding="utf-8").replace("\n", " ")
    trained = read_trained(run / "best.safetensors")
    path = tmp_path / "test-model-1.0.safetensors"
    with safe_open(path, framework="pt") as file:
        dtypes = {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    assert "F32" not in dtypes and path.stat().st_size < 7e6
    loaded = load_model(path)[0].state_dict()
    for name, tensor in trained.tensors.items():
        assert torch.equal(tensor.half().float(), loaded[name])


def test_the_start_can_keep_a_share_of_the_weights(run, tmp_path, capfd):
    first = write_model(run / "last.safetensors", tmp_path / "first.safetensors", CARD)
    start = {"id": "first", "version": "1", "sha256": file_sha256(tmp_path / "first.safetensors")}
    write_checkpoint(tmp_path / "more" / "last.safetensors", small_net(3), start=start)
    command = [
        "--run",
        str(tmp_path / "more"),
        "--out",
        str(tmp_path / "out"),
        *NAMED,
        "--keep-start",
        "0.25",
    ]
    assert export.main([*command, "--start", str(tmp_path / "first.safetensors")]) == 0
    model = tmp_path / "out" / "test-model-1.0.safetensors"
    loaded, ends = load_model(model)[0].state_dict(), (first.tensors, small_net(3).state_dict())
    for name, tensor in loaded.items():
        torch.testing.assert_close(tensor, 0.25 * ends[0][name] + 0.75 * ends[1][name])
    assert (
        check_file(model)
        .document["training"]["weights"]
        .endswith("75% of it and 25% of the model it started from")
    )

    capfd.readouterr()
    write_model(run / "best.safetensors", tmp_path / "other.safetensors", CARD)
    assert export.main([*command, "--start", str(tmp_path / "other.safetensors")]) == 2
    assert "did not start from all the weights of other.safetensors, but from first 1" in refusal(capfd)
    assert check_file(model)  # is still there


def test_weights_that_half_precision_does_not_hold_are_refused(tmp_path, capfd):
    net = small_net()
    with torch.no_grad():
        next(net.parameters()).flatten()[0] = 1e6
    write_checkpoint(tmp_path / "best.safetensors", net)
    assert export.main(["--run", str(tmp_path), "--out", str(tmp_path / "out"), *NAMED, "--round"]) == 4
    assert refusal(capfd).startswith("error[half-overflow]")


def test_the_labels_are_compared_on_prepared_cases(tmp_path):
    for case in ("0001", "0002", "0003"):
        image, labels = body(24, int(case), 40)
        labels[labels != 6] = 0
        direction = np.diag([-1.0, 1.0, -1.0]) if case == "0001" else None
        write(tmp_path / f"raw/imagesTr/{case}_0000.nii.gz", image, direction=direction)
        write(tmp_path / f"raw/labelsTr/{case}.nii.gz", labels, direction=direction)
    (tmp_path / "raw/dataset.json").write_text('{"labels": {"background": 0, "liver": 6}}')
    prepared = tmp_path / "prepared"
    assert (
        prepare.main([str(tmp_path / "raw"), "--out", str(prepared), "--size", "32", "--workers", "1"]) == 0
    )
    write_checkpoint(tmp_path / "run/best.safetensors", small_net(3))
    command = [sys.executable, str(ROOT / "Training/export.py"), "--run", str(tmp_path / "run")]
    command += ["--out", str(tmp_path / "out"), *NAMED, "--data", str(prepared), "--cases", "1"]
    paths = os.pathsep.join(sys.path)
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths})
    assert done.returncode == 0, done.stderr
    sentence = f"compared with the checkpoint's on 1 case of raw: all {24 * 40 * 40:,} voxels are the same"
    assert sentence in done.stdout
    assert sentence in (tmp_path / "out/test-model-1.0.md").read_text()


# The list -----------------------------------------------------------------------------------------------


def test_the_model_is_found_by_its_id_in_a_list_that_the_schema_takes(run, tmp_path, monkeypatch):
    for arguments in (NAMED, ["--id", "other", *NAMED[2:]], NAMED):  # the third takes the first's place
        url = ["--url", "https://example.org/m.safetensors"]
        assert export.main(["--run", str(run), "--out", str(tmp_path), *arguments, *url]) == 0
    manifest = read_manifest(tmp_path / "manifest.json")
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(manifest)
    assert [model["id"] for model in manifest["models"]] == ["test-model", "other"]
    assert manifest["default"] == "test-model" and manifest["models"][0]["preset"] == "tiny"
    assert (
        export.main(["--run", str(run), "--out", str(tmp_path), "--default", "--id", "other", *NAMED[2:]])
        == 0
    )
    monkeypatch.setenv("IUINET_WEIGHTS_INDEX", str(tmp_path / "manifest.json"))
    assert resolve().id == "other" and resolve("test-model").version == "1.0"
    assert [entry.organs for entry in list_models()] == [("liver", "my own structure")] * 2


def test_a_list_elsewhere_needs_an_address_and_a_broken_one_is_left_alone(run, tmp_path, capfd):
    out, listed = tmp_path / "out", tmp_path / "list" / "manifest.json"
    listed.parent.mkdir()
    arguments = ["--run", str(run), "--out", str(out), *NAMED, "--manifest", str(listed)]
    assert export.main(arguments) == 2 and refusal(capfd).startswith("error[manifest-place]")
    assert export.main([*arguments, "--url", "https://example.org/m.safetensors"]) == 0
    capfd.readouterr()
    listed.write_text('{"format": 1, "models": [')
    assert export.main([*arguments, "--url", "https://example.org/m.safetensors"]) == 4
    assert refusal(capfd).startswith("error[weights-list]")
    assert listed.read_text() == '{"format": 1, "models": ['


# Refusals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (["--id", "a", "--version", "1"], 2, "card-incomplete"),
        (["--id", "../a", "--version", "1", "--license", "x"], 2, "card"),
        ([*NAMED, "--card", "missing.toml"], 2, "card"),
        ([*NAMED, "--results", "missing.json"], 2, "results"),
        ([*NAMED, "--data", "nowhere"], 3, "not-prepared"),
        ([*NAMED, "--which", "worst"], 2, "usage"),
        ([*NAMED, "--cases", "0"], 2, "usage"),
    ],
)
def test_a_wrong_command_is_two_lines_and_leaves_nothing(run, tmp_path, capfd, arguments, status, code):
    out = tmp_path / "out"
    assert export.main(["--run", str(run), "--out", str(out), *arguments]) == status
    assert refusal(capfd).startswith(f"error[{code}]: ")
    assert not out.exists()


def test_a_run_without_what_is_asked_for_is_refused(tmp_path, capfd):
    empty, last = tmp_path / "empty", tmp_path / "last"
    write_checkpoint(last / "last.safetensors", small_net())
    out = ["--out", str(tmp_path / "out"), *NAMED]
    assert export.main(["--run", str(empty), *out]) == 4
    assert refusal(capfd).startswith("error[checkpoint-missing]")
    assert export.main(["--run", str(last), "--which", "best", *out]) == 4
    assert "best.safetensors" in refusal(capfd)
    net = torch.nn.Linear(2, 2)  # such as a peer of compare.py
    net.config = small_net().config
    write_checkpoint(last / "last.safetensors", net)
    assert export.main(["--run", str(last), *out]) == 4
    assert "holds no IUINet" in refusal(capfd)


def test_a_folder_that_cannot_be_made_is_refused(run, tmp_path, capfd):
    (tmp_path / "file").write_text("x")
    assert export.main(["--run", str(run), "--out", str(tmp_path / "file" / "out"), *NAMED]) == 2
    assert refusal(capfd).startswith("error[output-no-folder]")
