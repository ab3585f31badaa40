"""What a model knew of a case is told from its own statement, the worst of it first."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("torch", reason="torch is not installed here")

from iuinet.errors import UsageError
from pipeline.evaluation.exposure import (
    MAPS,
    exposure,
    other_data,
    refuse_seen,
    resolved,
    trained_on,
    warnings,
    worst,
)

DATA = {
    "name": "synapse",
    "split": "transunet",
    "train": ["0005"],
    "validation": ["0001"],
    "test": ["0001", "0002"],
    "pretrain": 0,
    "atlases": "train18",
}


def training(**changes: object) -> dict:
    selection = changes.pop("selection", {"dsc": 0.9, "epoch": 7})
    return {"data": {**DATA, **changes}, "selection": selection}


SYNTHETIC = {"name": "synthetic", "split": "none", "train": 3}
MADE = "synthesis"
KNOWN = ["training", "selection"]
LEARNT = "predecessor's training"


def started(data: object, **more: object) -> dict:
    """A training that went on from a model that was trained on other data."""
    return {**training(), "start": {"id": "m", "trained_on": data, **more}}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (training(), ["training", "selection", ""]),
        (training(selection=None), ["training", "", ""]),
        (training(pretrain=360), ["training", "selection", ""]),
        (training(pretrain=600, atlases="all30"), ["training", "pre-training", "pre-training"]),
        (training(atlases="all30"), ["training", "selection", ""]),
        (training(train=18), ["not stated"] * 3),
        ({"data": "Synthetic CT alone."}, ["not stated"] * 3),
        (started(training(train=["0002"])["data"]), ["training", "selection", LEARNT]),
        (started(DATA, start=started({**DATA, "train": ["0002"]})["start"]), [*KNOWN, LEARNT]),
        (started(SYNTHETIC), ["training", "selection", ""]),
        ({"data": SYNTHETIC}, [""] * 3),
        (started(DATA | {"pretrain": 9, "atlases": "all30"}), ["training", "pre-training", "pre-training"]),
        (started(None), ["training", "selection", "not stated"]),
        ({}, ["not stated"] * 3),
        ({"sources": [{"seen": MAPS, "cases": ["label0001", "s0002"]}]}, ["not stated", MADE, "not stated"]),
        (training(train=18, synthetic={"anatomies": ["synapse-0002"]}), ["not stated", "not stated", MADE]),
        (started(SYNTHETIC, sources=[{"seen": MAPS, "cases": ["0002"]}]), ["training", "selection", MADE]),
    ],
)
def test_a_case_is_known_by_the_worst_use_that_was_made_of_it(said, expected):
    assert [exposure(said, case) for case in ("0005", "0001", "0002")] == expected


def test_the_worst_exposure_counts():
    assert worst(["", "selection", "training"]) == "training"
    assert worst(["", "not stated"]) == "not stated" and worst(["", ""]) == ""


def test_the_warnings_name_the_cases():
    found = warnings("m", {"0005": "training", "0001": "selection", "0002": "selection", "0003": ""})
    assert len(found) == 2
    assert found[0].startswith("m was TRAINED on 1 of 4 evaluated cases (0005): ")
    assert found[1].startswith("m was SELECTED by its scores on 2 of 4 evaluated cases (0001, 0002): ")
    assert warnings("m", {"0001": "", "0002": ""}) == []
    assert "all 2 evaluated cases" in warnings("m", {"1": "pre-training", "2": "pre-training"})[0]


@pytest.mark.parametrize("kind", ["training", LEARNT, "pre-training", "synthesis"])
def test_a_model_is_not_scored_on_what_it_has_seen(kind):
    with pytest.raises(UsageError) as refused:
        refuse_seen("m", {"0001": "", "0002": kind, "0003": "selection"})
    assert refused.value.code == "case-seen" and "(0002)" in refused.value.message
    assert "SELECTED" not in refused.value.message and "--allow-seen" in refused.value.hint
    refuse_seen("m", {"0001": "", "0002": "selection", "0003": "not stated"})


def test_ids_of_other_data_are_doubted():
    assert "which may mean another patient" in other_data("m", training(), "clinic")[0]
    assert other_data("m", training(), "synapse") == [] == other_data("m", {}, "clinic")


def test_mere_numbers_of_cases_stay_unstated_for_other_data():
    """Where the data at hand are the training's own, the split tells the cases: see test_evaluate.py."""
    data = SimpleNamespace(fingerprint="b")
    said = training(train=18, fingerprint="a")
    assert resolved(said, data) == said and trained_on(resolved(said, data)) is None
    assert resolved(None, data) == {}
