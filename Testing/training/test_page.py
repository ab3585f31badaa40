"""The page of an evaluation: complete, self-contained, and safe with whatever texts and gaps results have."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed here")

from helpers.sample_ct import CHALLENGE
from training.page_factory import CASES, MODELS, Reader, make_results, make_scans

from iuinet.errors import InputRefused
from pipeline.evaluation import pictures
from pipeline.evaluation.document import Results
from pipeline.evaluation.metrics import Rules, score_labels
from pipeline.evaluation.page import page, write_page
from pipeline.evaluation.statistics import summarise

EVIL = '</title><script>alert("x")</script>&\'<b>'


@pytest.fixture(scope="module")
def scans() -> dict[tuple[str, str], tuple]:
    return make_scans()


@pytest.fixture(scope="module")
def results(scans) -> dict[str, Any]:
    return make_results(scans)


@pytest.fixture(scope="module")
def text(results, scans) -> str:
    return page(results, lambda model, case: scans[model, case])


def test_the_page_is_written_and_replaces_an_earlier_one(tmp_path, results, scans, text):
    path = tmp_path / "index.html"
    path.write_text("before", encoding="utf-8")
    write_page(path, results, lambda model, case: scans[model, case])
    assert path.read_text(encoding="utf-8") == text and [p.name for p in tmp_path.iterdir()] == ["index.html"]


def test_it_is_well_formed_and_its_drawings_are_xml(text):
    Reader(text)
    drawings = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert len(drawings) > 100
    for drawing in drawings:
        ElementTree.fromstring(drawing)
        assert not re.search(r'"[^"]*(nan|inf)\b', re.sub(r"<(title|text).*?</\1>|data:[^\"]*", "", drawing))


def test_it_needs_nothing_from_elsewhere(text):
    reader = Reader(text)
    assert not {name for name, _ in reader.elements} & {"script", "link", "iframe", "img", "object"}
    addresses = [a[key] for _, a in reader.elements for key in ("href", "src", "xlink:href") if key in a]
    assert addresses and all(address.startswith(("#", "data:image/png;base64,")) for address in addresses)
    assert {address[1:] for address in addresses if address[0] == "#"} <= set(reader.ids)
    assert not re.search(r"https?:|@import|url\(", text)
    assert len(text) < 3_000_000


def test_the_main_things_are_said(results, text):
    said = Reader(text).text
    assert (
        text.index(results["data"]["statement"]) < text.index(results["warnings"][0]) < text.index("<table")
    )
    summary = {(e["model"], e["grid"], e["organ"], e["metric"]): e for e in results["summary"]}
    for grid in ("native", "network", "ceiling"):
        assert f"{summary['run-seed2', grid, 'liver', 'hd95_mm']['mean']:.1f}" in said
        assert f"{summary['run-seed2', grid, 'liver', 'dsc']['mean']:.3f}" in said
    for words in (
        "urinary bladder",
        "9.8.7",
        "2026-01-02",
        "f" * 64,
        "a" * 64,
        "the larger of two",
        "Wilcoxon",
    ):
        assert words in said
    assert "our own rules" in said and "absent in both is left out" in said
    assert "mean ± standard deviation of 2 models (run-seed1, run-seed2)" in said


def test_every_organ_has_scores_dots_and_pictures(results, text):
    reader = Reader(text)
    labels = [a.get("aria-label", "") for a in reader.all("svg")]
    for organ in CHALLENGE:
        panels = [
            label for label in labels if label.startswith(f"{organ.name}: volume errors of 4 cases, mean")
        ]
        assert len(panels) == len(MODELS)
        for kind in ("best", "median", "worst"):
            wanted = f"outlines of the {organ.name} in the reference and in the result ({kind} case"
            assert any(wanted in label for label in labels)
    rows = [row for row in results["rows"] if row["grid"] == "native" and row["state"] != "absent"]
    assert text.count('class="dot"') + text.count('class="failed"') == 3 * len(rows)
    assert text.count('class="failed"') == 3 * len(MODELS) * len(CASES), "the gallbladder, in three plots"


def test_it_can_be_used_without_eyes_and_mouse(text):
    reader = Reader(text)
    assert reader.all("html")[0]["lang"] == "en" and len(reader.all("h1")) == len(reader.all("main")) == 1
    assert all(drawing["role"] == "img" and drawing["aria-label"] for drawing in reader.all("svg"))
    assert all(head["scope"] in ("row", "col", "colgroup") for head in reader.all("th"))
    assert len(reader.all("caption")) == len(reader.all("table"))
    frames = [a for a in reader.all("div") if a.get("class") == "scroll" and "role" in a]
    assert len(frames) == len(reader.all("table")) and all(a["tabindex"] == "0" for a in frames)


def test_failures_are_listed_with_their_volumes(text, results):
    part = text[text.index('<section id="failures"') :]
    part = Reader(part[: part.index("</section>") + len("</section>")]).text
    missed = [r for r in results["rows"] if r["grid"] == "native" and r["state"] == "missed"]
    assert len(missed) == 8 and "8 failures" in part
    assert all(row["case"] in part and f"{row['reference_ml']:.1f}" in part for row in missed)


def test_texts_of_the_results_are_escaped(results, scans):
    names = {MODELS[0]: EVIL, MODELS[1]: MODELS[1], "liver": f"liver{EVIL}", "0001": f"1{EVIL}"}

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {names.get(key, key): renamed(part) for key, part in value.items()}
        if isinstance(value, (list, tuple)):
            return [renamed(part) for part in value]
        return names.get(value, value) if isinstance(value, str) else value

    evil = renamed(results)
    evil["warnings"] = evil["data"]["statement"] = evil["software"] = evil["data"]["split"] = EVIL
    evil["warnings"] = [EVIL]
    evil["models"][0] |= {"not_scored": [EVIL], "training": {"recipe": {EVIL: EVIL}, "data": {"name": EVIL}}}
    before = {value: key for key, value in names.items()}
    text = page(evil, lambda model, case: scans[before[model], before.get(case, case)])
    reader = Reader(text)
    assert not reader.all("script") and not reader.all("b") and text.count("</title>") > 1
    assert "<script" not in text and EVIL in reader.text


def changed(results: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {**copy.deepcopy(results), **parts}


def test_values_may_be_null_or_missing(results, scans):
    empty = changed(results, warnings=[], definitions={}, seeds=[], paired=[])
    for row in empty["rows"]:
        row |= dict.fromkeys(("dsc", "hd95_mm", "assd_mm", "nsd", "volume_error_percent"))
    for entry in empty["summary"]:
        entry |= dict.fromkeys(("mean", "sd", "median", "low", "high"))
    said = Reader(page(empty, lambda model, case: scans[model, case]))
    assert "None" not in said.text and "nan" not in said.text.split()
    # The bare bones of the format, as a document of another program may have them.
    bare = {"models": [{"name": "m"}], "organs": [{"name": "liver", "label": 6}], "data": {"cases": ["c"]}}
    said = Reader(page({**bare, "rows": [], "summary": []}, lambda model, case: None)).text
    assert "None" not in said and "not stated" in said
    assert Reader(page({}, lambda model, case: None)).text


def test_one_case_and_one_organ(results, scans):
    organ, case, model = "liver", "0002", MODELS[0]
    rows = [r for r in results["rows"] if (r["organ"], r["case"], r["model"]) == (organ, case, model)]
    one = changed(results, rows=rows, summary=summarise(rows, [model], [organ]), seeds=[], paired=[])
    one["organs"] = [entry for entry in one["organs"] if entry["name"] == organ]
    one["data"]["cases"], one["models"] = [case], one["models"][:1]
    said = Reader(page(one, lambda model, case: scans[model, case])).text
    assert "1 test case" in said and "Only: 0002" in said and "95 % interval –" in said
    assert "Mean DSC, scan's own grid" in said and "Models side by side" not in said
    assert "No organ was missed" in said


def test_an_organ_that_no_reference_holds(results, scans):
    """It was found all the same: failures without a reference's outline, and no agreement in per cent."""
    empty = {key: (volume, np.zeros_like(ref), labels) for key, (volume, ref, labels) in scans.items()}
    rows = []
    for (model, case), (volume, reference, labels) in empty.items():
        scores = score_labels(labels, reference, {"liver": 6}, volume.grid.spacing[::-1])
        rows.append({"model": model, "case": case, "organ": "liver", "grid": "native", **scores["liver"]})
    none = changed(results, rows=rows, summary=summarise(rows, MODELS, ["liver"]), seeds=[], paired=[])
    text = page(none, lambda model, case: empty[model, case])
    said = Reader(text).text
    assert "found, but not in the reference" in said and "8 failures" in said
    assert 'class="result"' in text and 'class="reference"' not in text
    nobody = page(none, lambda model, case: (empty[model, case][0], None, empty[model, case][2]))
    assert nobody == text


def test_many_models_keep_the_page_small(results, scans):
    names = [f"m{number}" for number in range(5)]
    many = changed(results, seeds=[], paired=[], rows=[], summary=[])
    many["models"] = [{**results["models"][0], "name": name} for name in names]
    for name in names:
        for part in ("rows", "summary"):
            many[part] += [{**e, "model": name} for e in results[part] if e["model"] == MODELS[0]]
    asked = []

    def look_up(model: str, case: str) -> tuple:
        asked.append((model, case))
        return scans[MODELS[0], case]

    text = page(many, look_up)
    assert len(text) < 5_000_000 and len(asked) == len(set(asked))
    assert {model for model, _ in asked} == {"m0", "m1", "m2"}
    assert "there are no pictures of m3, m4." in Reader(text).text


def test_a_scan_that_is_gone_costs_its_pictures_only(results, scans):
    def look_up(model: str, case: str) -> tuple:
        if case == "0001":
            raise InputRefused("the scan of 0001 is gone", hint="Bring it back.", code="gone")
        return scans[model, case]

    text = page(results, look_up)
    assert "the scan of 0001 is gone" in Reader(text).text and "data:image/png" in text


def test_rules_of_transunet_have_columns_of_their_own(results, scans):
    rules = Rules("transunet")
    rows = []
    for (model, case), (volume, reference, labels) in scans.items():
        scores = score_labels(labels, reference, {"liver": 6}, volume.grid.spacing[::-1], rules=rules)
        rows.append({"model": model, "case": case, "organ": "liver", "grid": "native", **scores["liver"]})
    summary = summarise(rows, MODELS, ["liver"])
    theirs = changed(results, rows=rows, summary=summary, convention="transunet", definitions={})
    said = Reader(page(theirs, lambda model, case: scans[model, case])).text
    assert (
        "HD95 voxels" in said and "NSD" not in said.replace("NSD 0", "") and "the rules of TransUNet" in said
    )


def test_the_best_median_and_worst_case_are_those_by_dsc(results):
    chosen = pictures.choose(Results(results), MODELS[1])
    for organ in CHALLENGE:
        rows = [
            (row["dsc"], row["case"])
            for row in results["rows"]
            if (row["model"], row["organ"], row["grid"]) == (MODELS[1], organ.name, "native")
        ]
        shown = {one.kind: one.row["dsc"] for one in chosen if one.organ.name == organ.name}
        values = sorted(value for value, _ in rows)
        assert shown == {"best": values[-1], "median": values[1], "worst": values[0]}


def test_the_document_can_come_from_its_file(results, scans, text):
    again = json.loads(json.dumps(results))
    assert page(again, lambda model, case: scans[model, case]) == text


def test_the_style_stands_beside_the_code():
    style = (Path(pictures.__file__).parent / "page.css").read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in style and "@media print" in style and "</" not in style
