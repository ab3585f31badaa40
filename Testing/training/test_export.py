"""From a training run to a model file that the program loads, and the scores it is judged by."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import export
import torch
from evaluation.cases import as_volume
from evaluation.scores import dice, mean_scores, misplaced
from fitting.options import Options
from fitting.state import CHECKPOINT, Average, read_average, save_state
from synthesis import ORGANS, Sample, generate
from synthesis.view import View
from training.small_anatomy import small_anatomy

from iuinet.model import load_model
from iuinet.network import IUINet
from iuinet.weights import read_manifest, resolve

CARD = {
    "id": "test-model",
    "version": "1.0",
    "license": "Apache-2.0",
    "training": {"data": "none"},
    "attributions": [],
    "intended_use": "Tests only.",
}
OPTIONS = Options(size=32, stages=((32, 3),))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    """A run folder with a checkpoint of random weights."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    net = IUINet(OPTIONS.network)
    average = Average(net, OPTIONS.average)
    optimiser = torch.optim.Adam(net.parameters())
    save_state(folder, net, average, optimiser, 3, OPTIONS)
    return folder


def test_an_exported_model_gives_the_same_logits(run, tmp_path):
    export.export(run / CHECKPOINT, tmp_path / "m.safetensors", CARD, {})
    net = IUINet(OPTIONS.network).eval().requires_grad_(False)
    net.load_state_dict(read_average(run / CHECKPOINT)[0])
    loaded, document = load_model(tmp_path / "m.safetensors")
    x = torch.rand(1, 1, 32, 32, 32)
    with torch.inference_mode():
        expected, logits = net(x)[0], loaded(x)[0]
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name]), name
    # Equal weights at other addresses in memory: processors may add up in another order.
    assert torch.allclose(expected, logits, atol=1e-4)
    assert torch.equal(expected.argmax(1), logits.argmax(1))
    assert [organ["name"] for organ in document["organs"]] == list(ORGANS)
    assert document["preprocessing"] == {"orientation": "LPS", "size": 32, "window": [-125.0, 275.0]}


def test_the_command_enters_the_model_into_the_list(run, tmp_path, monkeypatch):
    card = tmp_path / "card.json"
    card.write_text(json.dumps(CARD))
    for _ in range(2):  # an export takes the place of the one before
        assert export.main(["--run", str(run), "--card", str(card), "--out", str(tmp_path), "--default"]) == 0
    manifest = read_manifest(tmp_path / "manifest.json")
    assert manifest["default"] == "test-model" and len(manifest["models"]) == 1
    monkeypatch.setenv("IUINET_WEIGHTS_INDEX", str(tmp_path / "manifest.json"))
    assert resolve().id == "test-model"


def test_the_metrics_are_means_over_cases():
    cases = [
        {"group": "a", "dice": {"liver": 0.9}},
        {"group": "a", "dice": {"liver": 0.7, "spleen": 0.5}},
        {"group": "b"},
    ]
    summary = export.summary({"cases": cases})
    assert summary == {"dice": {"a": {"liver": 0.8, "spleen": 0.5}}, "cases": {"a": 2}}


def test_dice_counts_what_is_known():
    truth = np.zeros((4, 10, 10), np.uint8)
    truth[:2] = 6
    truth[3] = 255
    labels = np.zeros_like(truth)
    labels[1:] = 6
    assert dice(labels, truth, {"liver": 6, "spleen": 1}) == {"liver": pytest.approx(2 * 100 / (200 + 200))}
    with pytest.raises(ValueError, match="shape"):
        dice(labels[1:], truth, {"liver": 6})
    assert mean_scores([{"liver": 1.0}, {"liver": 0.5, "spleen": 0.2}]) == {"liver": 0.75, "spleen": 0.2}


def test_a_mirrored_body_is_noticed():
    ids = {name: number for number, name in enumerate(ORGANS, start=1)}
    labels = np.zeros((4, 10, 20), np.uint8)
    labels[:, :, 2:6], labels[:, :, 15:18] = ids["liver"], ids["spleen"]
    assert misplaced(labels, ids) == []
    assert misplaced(labels[:, :, ::-1], ids) == ["the liver is not to the right of the spleen"]


def test_a_generated_scan_is_a_volume_of_its_field_of_view():
    view = View((0.0, 20.0, 20.0), (192.0, 276.0, 340.0))
    sample = generate(small_anatomy(), 1, 32, view=view)
    assert dataclasses.is_dataclass(sample) and isinstance(sample, Sample)
    volume = as_volume(sample, "x")
    assert volume.grid.spacing == pytest.approx((10.0, 8.0, 6.0))
    assert volume.grid.shape == volume.array.shape and volume.array.dtype == np.int16
    assert volume.grid.origin == pytest.approx((25.0, 24.0, 3.0))
