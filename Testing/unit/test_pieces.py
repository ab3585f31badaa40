"""Whether an organ is one piece is the model's word, organ by organ; the user may overrule it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from helpers.sample_ct import sample_ct
from scipy import ndimage

from iuinet.boxes import whole
from iuinet.cli import main
from iuinet.errors import UsageError, WeightsError
from iuinet.inference import Segmenter
from iuinet.inference.second_pass import SecondPass
from iuinet.islands import keep_largest_components
from iuinet.labels import ALL, LARGEST, ORGANS, organs_of_model
from iuinet.options import Options
from iuinet.weights.load import load_model, save_model
from iuinet.weights.model_file import check_file
from iuinet.writing import image_on_grid

NEIGHBOURS = np.ones((3, 3, 3))
OWN = "lesions"  # what stands in the place of the first organ of the table


@pytest.fixture(scope="module")
def own_model(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model as another table has it: one own organ, and a liver of which all pieces are kept."""
    net, document = load_model(small_model)
    organs = [dict(entry) for entry in document["organs"]]
    organs[0] |= {"name": OWN}
    next(entry for entry in organs if entry["name"] == "liver")["pieces"] = ALL
    path = tmp_path_factory.mktemp("pieces") / "own.safetensors"
    save_model(path, net, {**document, "id": "own", "organs": organs})
    return path


@pytest.fixture(scope="module")
def scan():
    return sample_ct((40, 36, 28))


def pieces(labels: np.ndarray) -> dict[int, int]:
    """How many pieces each label has."""
    found = {organ.label: ndimage.label(labels == organ.label, NEIGHBOURS)[1] for organ in ORGANS}
    return {label: count for label, count in found.items() if count}


def test_the_table_says_it_the_model_says_other_and_own_organs_keep_all():
    entries = [
        {"name": "Spleen", "label": 1},
        {"name": "liver", "label": 2, "pieces": ALL},
        {"name": "kidneys", "label": 3},
        {"name": "left lung", "label": 4, "pieces": LARGEST},
    ]
    assert [organ.pieces for organ in organs_of_model({"organs": entries})] == [LARGEST, ALL, ALL, LARGEST]
    assert {organ.pieces for organ in ORGANS} == {LARGEST}
    for wrong in ("some", 1, None, True):
        with pytest.raises(WeightsError) as caught:
            organs_of_model({"id": "m", "organs": [{"name": "liver", "label": 6, "pieces": wrong}]})
        assert caught.value.code == "weights-metadata" and repr(wrong) in caught.value.message


@pytest.mark.needs_torch
def test_inference_obeys_the_models_word_for_each_organ(own_model: Path, small_model: Path, scan):
    own, shipped = (Segmenter(check_file(path), "cpu") for path in (own_model, small_model))
    raw = own(scan, Options(islands=False)).labels
    before = pieces(raw)
    assert before[1] > 1 and before[6] > 1 and max(before.values()) > 1, "the random model must scatter"
    said = own(scan)
    assert pieces(said.labels) == {label: before[label] if label in (1, 6) else 1 for label in before}
    assert OWN not in said.components and "liver" not in said.components
    assert said.components["right kidney"] == before.get(2, 0)
    cleaned = keep_largest_components(raw, range(1, 14))[0]
    assert np.array_equal(own(scan, Options(islands=LARGEST)).labels, cleaned)
    assert np.array_equal(shipped(scan).labels, cleaned), "a model without the field is as it was"


@pytest.mark.needs_torch
def test_the_command_can_keep_all_pieces_or_the_largest(own_model: Path, scan, tmp_path: Path, capfd):
    ct = tmp_path / "ct.nrrd"
    sitk.WriteImage(image_on_grid(scan.array, scan.grid), str(ct))
    found = {}
    for words in ((), ("--pieces", "all"), ("--pieces", "largest")):
        out = tmp_path / f"{'-'.join(words)}.nii.gz"
        command = ["segment", str(ct), "--weights", str(own_model), "--device", "cpu", "--accept-warnings"]
        assert main([*command, "-o", str(out), *words]) == 0
        found[words] = pieces(sitk.GetArrayFromImage(sitk.ReadImage(str(out))))
    usual, every, largest = found.values()
    assert set(largest.values()) == {1} and usual[6] == every[6] > 1
    assert sum(largest.values()) < sum(usual.values()) < sum(every.values())
    capfd.readouterr()
    assert main(["segment", str(ct), "--pieces", "some"]) == 2
    assert "'some' is none of all, largest" in capfd.readouterr().err
    with pytest.raises(UsageError, match="'some'"):
        Options(islands="some")


@pytest.mark.needs_torch
def test_the_second_look_does_not_lose_a_piece_of_an_organ_that_has_several():
    import torch

    labels = np.zeros((20, 20, 20), np.uint8)
    labels[4:8, 4:8, 2:6] = labels[4:7, 4:8, 14:18] = 1
    logits = 10 * torch.eye(2)[torch.from_numpy(labels).long()].permute(3, 0, 1, 2)
    document = {"organs": [{"name": "kidneys", "label": 1}], "preprocessing": {}}
    document["preprocessing"]["second_pass"] = {"organs": ["kidneys"], "margin_mm": 0}
    box = SecondPass.of_model(document).box(logits, whole((20, 20, 20)), (1.0, 1.0, 1.0))
    assert [(part.start, part.stop) for part in box] == [(4, 8), (4, 8), (2, 18)]
    document["organs"][0]["pieces"] = LARGEST
    box = SecondPass.of_model(document).box(logits, whole((20, 20, 20)), (1.0, 1.0, 1.0))
    assert [(part.start, part.stop) for part in box] == [(4, 8), (4, 8), (2, 6)]
