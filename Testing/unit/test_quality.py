"""What is said beside an organ follows from its measurement on real scans, and is the same everywhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from helpers.model_factory import document, entry, write_model

from iuinet.quality import LEAST, RELIABLE, WORDS, Quality, by_verdict, for_summary, qualities, verdicts_of
from iuinet.report import report_table
from iuinet.weights import find_entry, resolve


def judged(**measured: object) -> Quality:
    metrics = {"real_scans": {"organs": {"Liver": measured}}}  # as a data set may write it
    return qualities(document(metrics=metrics))["liver"]


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        ((14, 0.85, 0.5), "usable"),
        ((14, 0.8499, 0.8), "correct"),
        ((14, 0.95, 0.4999), "correct"),  # one scan on which it went wrong
        ((4, 0.95, 0.9), "correct"),  # four scans are few
        ((14, 0.5, 0.0), "correct"),
        ((14, 0.4999, 0.4), "sketch"),
        ((1, 0.0, 0.0), "sketch"),
    ],
)
def test_the_line_decides(measured, verdict):
    found = judged(**dict(zip(("cases", "median", "worst"), measured, strict=True)))
    assert (found.verdict, found.cases) == (verdict, measured[0])


def test_the_lower_of_median_and_mean_counts():
    assert judged(cases=14, median=0.51, mean=0.499, worst=0.0).verdict == "sketch"
    assert judged(cases=14, median=0.49, mean=0.53, worst=0.4).verdict == "sketch"
    assert judged(cases=14, median=0.9, mean=0.85, worst=0.5) == Quality("usable", 14, 0.9, 0.5)


@pytest.mark.parametrize(
    "change",
    [
        {"cases": 0},
        {"cases": "14"},
        {"median": None},
        {"median": 93.0},
        {"median": float("nan")},
        {"mean": "0.9"},
        {"mean": 0.7},
        {"worst": 0.99},
        {"worst": True},
    ],
)
def test_a_measurement_that_makes_no_sense_is_none(change):
    assert judged(**{"cases": 14, "median": 0.9, "worst": 0.8, **change}) == Quality()


@pytest.mark.parametrize("metrics", [None, [], {"dice": {"real slab": {"liver": 0.99}}}, {"real_scans": [1]}])
def test_other_numbers_are_no_measurement_on_real_scans(metrics):
    assert qualities(document(metrics=metrics)) == {"liver": Quality()}


def test_every_verdict_has_words_and_the_lines_are_in_order():
    assert [*LEAST, "not-measured"] == list(WORDS) and set(RELIABLE) < set(WORDS)
    medians = [least[0] for least in LEAST.values()]
    assert medians == sorted(medians, reverse=True) and LEAST["correct"][0] == 0.5 and not medians[-1]


# The model that ships -----------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["default", "id", "file", "a copy"])
def test_the_shipped_models_organs_are_judged_by_the_real_scans_however_it_is_named(by, tmp_path):
    path = find_entry("starter-tiny").path
    copy = Path(shutil.copy(path, tmp_path / "mine.safetensors")) if by == "a copy" else path
    weights = {"default": None, "id": "starter-tiny"}.get(by, copy)
    assert by_verdict(qualities(resolve(weights).document)) == {
        "usable": ["spleen", "right kidney", "left kidney", "liver"],
        "correct": ["gallbladder", "stomach", "aorta"],
        "sketch": ["pancreas"],
        "not-measured": [
            *("esophagus", "inferior vena cava", "portal and splenic veins"),
            *("right adrenal gland", "left adrenal gland"),
        ],
    }
    assert "s0327" in json.dumps(resolve(weights).document["sources"])
    assert resolve(weights).document["license"] != "Apache-2.0"


def test_a_list_speaks_of_its_own_file_only(tmp_path, monkeypatch):
    mine, other = write_model(tmp_path / "mine.safetensors"), tmp_path / "other.safetensors"
    write_model(other, license="MIT", id="other")
    good = {"organs": {"liver": {"cases": 9, "median": 0.9, "worst": 0.8}}}
    listed = entry(mine, metrics={"real_scans": good}, license="Weights: MIT")
    (tmp_path / "list.json").write_text(json.dumps({"format": 1, "default": "toy", "models": [listed]}))
    monkeypatch.setenv("IUINET_WEIGHTS_INDEX", str(tmp_path / "list.json"))
    assert qualities(resolve(mine).document)["liver"].verdict == "usable"
    assert resolve(mine).document["license"] == "Weights: MIT"
    assert qualities(resolve(other).document)["liver"].verdict == "not-measured"
    assert resolve(other).document["license"] == "MIT"
    (tmp_path / "list.json").write_text("broken")  # a file works without a list, and says what it says itself
    assert qualities(resolve(mine).document)["liver"].verdict == "not-measured"


# What a report says -------------------------------------------------------------------------------------


def organ(name: str, quality: str, found: bool = True) -> dict:
    numbers = {"millilitres": 20.0, "mean_hu": 40.0, "touches_edge": False, "low_confidence": False}
    return {"name": name, "found": found, "quality": quality, **numbers}


def test_the_table_says_it_beside_the_organ_and_marks_what_nobody_may_rely_on():
    organs = [organ(verdict, verdict) for verdict in WORDS]
    lines = report_table({"organs": organs, "checks": [], "plausibility": [], "fallbacks": []}).splitlines()
    ends = [line.split("40  ")[1] for line in lines[2:]]
    assert ends == [
        *("usable after a look", "to be corrected", "! a sketch, not to be used"),
        "! not measured on real scans",
    ]


def test_a_summary_names_no_sketch_and_nothing_unmeasured():
    organs = [*(organ(verdict, verdict) for verdict in WORDS), organ("absent", "usable", found=False)]
    assert for_summary(organs) == ["usable", "correct"]
    assert verdicts_of({"organs": [*organs, {"name": "old"}]})["old"] == "not-measured"
