"""Licence, source and exposure of what a model has seen, written by the export from what the run recorded."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

pytest.importorskip("torch", reason="torch is not installed here")

import export
from training.run_files import DATA, small_net, write_checkpoint

from iuinet.weights.model_file import read_document
from pipeline.exporting.sources import MAPS, PAIRS, SCANS, licence_of, sources_of

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "IUINetSegmentation" / "Resources" / "Weights" / "manifest.schema.json"
BTCV = "Weights: CC-BY-4.0; trained in part on BTCV (syn3193805), whose own terms apply"
SYNTHETIC = {"name": "synthetic", "split": "none", "train": ["s0327", "spl"]}
COUNTED, PAIRED = {**SYNTHETIC, "train": 3}, DATA | {"pretrain": 360}
OF_MAPS = [("TotalSegmentator", MAPS, ["s0327"]), ("SPL", MAPS, ["spl"])]
NUMBERED = COUNTED | {"fingerprint": "a"}
MADE = {"anatomies": ["s0327", "label0061"], "fingerprint": "a"}
MADE_OF = [("BTCV", MAPS, ["label0061"]), ("TotalSegmentator", MAPS, ["s0327"])]
MIXED = DATA | {"name": "clinic", "train": 7, "validation": 0, "synthetic": MADE}


def seen(training: dict) -> list[tuple]:
    return [(one["name"].split(" ")[0], one["seen"], one["cases"]) for one in sources_of(training)]


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        ({"data": DATA}, [("BTCV", SCANS, ["0001", "0005", "0006"])]),
        ({"data": DATA, "selection": None}, [("BTCV", SCANS, ["0005", "0006"])]),
        ({"data": PAIRED, "selection": None}, [("BTCV", SCANS, ["0005", "0006"]), ("BTCV", PAIRS, 360)]),
        ({"data": SYNTHETIC}, OF_MAPS),
        ({"data": DATA | {"name": "clinic", "train": 7, "validation": 2}}, [("clinic", SCANS, 9)]),
        ({"data": DATA | {"generated": True}}, [("generated", SCANS, ["0005", "0006"])]),
        ({"data": COUNTED}, [("unnamed", MAPS, 3)]),
        (
            {"data": MIXED},
            [("clinic", SCANS, 7), *MADE_OF],
        ),
        (
            {"data": SYNTHETIC, "start": {"trained_on": DATA | {"train": ["0009"]}, "start": None}},
            [*OF_MAPS, ("BTCV", SCANS, ["0001", "0009"])],
        ),
        (
            {"data": DATA, "start": {"trained_on": COUNTED, "sources": sources_of({"data": SYNTHETIC})}},
            [("BTCV", SCANS, ["0001", "0005", "0006"]), *OF_MAPS],
        ),
        # Maps of which only the number was recorded are the named ones of the same fingerprint.
        (
            {"data": MIXED, "start": {"trained_on": NUMBERED, "start": None}},
            [("clinic", SCANS, 7), *MADE_OF],
        ),
        (
            {"data": SYNTHETIC | {"fingerprint": "a"}, "start": {"trained_on": NUMBERED}},
            OF_MAPS,
        ),
        (
            {"data": MIXED, "start": {"trained_on": COUNTED | {"fingerprint": "b"}, "start": None}},
            [("clinic", SCANS, 7), *MADE_OF, ("unnamed", MAPS, 3)],
        ),
    ],
)  # fmt: skip
def test_everything_that_a_model_and_those_before_it_saw_is_listed(training, expected):
    assert seen(training) == expected


@pytest.mark.parametrize(
    ("weights", "data", "licence"),
    [
        ("CC-BY-4.0", DATA, BTCV),
        ("CC-BY-4.0", DATA | {"synthetic": {"anatomies": ["s0327", "spl"]}}, BTCV),
        (BTCV, DATA, BTCV),
        ("CC-BY-4.0", DATA | {"name": "clinic"}, "CC-BY-4.0"),
        ("CC-BY-4.0", {**SYNTHETIC, "train": ["s0327"]}, "CC-BY-4.0"),
        (
            "Apache-2.0",
            SYNTHETIC,
            "Weights: Apache-2.0; made with TotalSegmentator dataset (CC BY 4.0, as quoted second-hand) and "
            "SPL Abdominal Atlas (3D Slicer License), whose own terms apply",
        ),
    ],
)
def test_the_licence_names_what_has_terms_of_its_own(weights, data, licence):
    assert licence_of(weights, sources_of({"data": data})) == licence


def test_an_export_writes_them_into_file_list_and_card_by_itself(tmp_path):
    start = {"id": "a", "version": "1", "sha256": "a" * 64, "trained_on": SYNTHETIC, "start": None}
    write_checkpoint(tmp_path / "run/best.safetensors", small_net(), start=start)
    words = ["--id", "m", "--version", "1", "--license", "CC-BY-4.0"]
    assert export.main(["--run", str(tmp_path / "run"), "--out", str(tmp_path / "out"), *words]) == 0
    listed = json.loads((tmp_path / "out/manifest.json").read_text())
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(listed)
    document = read_document(tmp_path / "out/m-1.safetensors")
    assert document["license"] == listed["models"][0]["license"] == BTCV
    assert document["sources"] == listed["models"][0]["sources"]
    card = (tmp_path / "out/m-1.md").read_text(encoding="utf-8")
    assert BTCV in card and "Seen: BTCV (syn3193805), scans and labels: 0001, 0005, 0006." in card
    assert "Seen: SPL Abdominal Atlas, label maps, for synthetic CT: spl." in card
    first = card.splitlines()[2]
    assert first == "* **⚠ Not measured on real scans**: liver, my own structure"


def test_the_shipped_list_says_what_the_shipped_model_has_seen():
    model = json.loads(SCHEMA.with_name("manifest.json").read_text(encoding="utf-8"))["models"][0]
    real, *maps = model["sources"]
    assert (real["name"], len(real["cases"]), real["own_terms"]) == ("BTCV (syn3193805)", 14, True)
    data = {**SYNTHETIC, "train": ["s0327", "s0328", "spl"]}
    assert maps == sources_of({"data": data})
    document = read_document(SCHEMA.with_name(model["file"]))
    assert sources_of(document["training"]) == model["sources"]
    assert model["license"] == licence_of("CC-BY-4.0", model["sources"]) == BTCV
