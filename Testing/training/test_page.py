"""The page of an evaluation: complete, self-contained, and safe with whatever texts and gaps results have."""

from __future__ import annotations

import copy
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed here")

from evaluation import overlays
from evaluation.comparison import paired_tests
from evaluation.metrics import Rules, score_labels
from evaluation.page import page, write_page
from evaluation.page_outlines import outline
from evaluation.page_png import grey_png
from evaluation.page_results import Found
from evaluation.plots import Dot, Lane, Pair, agreement, agreement_plot, dot_plot
from evaluation.summary import over_seeds, summarise

from iuinet.errors import InputRefused
from iuinet.labels import ORGANS
from iuinet.sample import make_sample

CASES = ("0001", "0002", "0003", "0004")
MODELS = ("run-seed1", "run-seed2")
VOID = {"meta"}
EVIL = '</title><script>alert("x")</script>&\'<b>'


class Reader(HTMLParser):
    """Holds a page against what HTML asks for: every element closed, in order; ids once; texts collected."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open
        self.ids = [attributes["id"] for _, attributes in self.elements if "id" in attributes]
        assert len(self.ids) == len(set(self.ids))

    def handle_starttag(self, name: str, attributes: list) -> None:
        assert len(attributes) == len({key for key, _ in attributes})
        self.elements.append((name, dict(attributes)))
        if name not in VOID:
            self.open.append(name)

    def handle_startendtag(self, name: str, attributes: list) -> None:
        self.elements.append((name, dict(attributes)))

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    def all(self, name: str) -> list[dict[str, str]]:
        return [attributes for element, attributes in self.elements if element == name]


def shifted(labels: np.ndarray, step: int) -> np.ndarray:
    """A result that is off by some voxels, without the gallbladder."""
    moved = np.roll(labels, step, axis=2)
    return np.where(moved == 4, 0, moved).astype(np.uint8)


@pytest.fixture(scope="module")
def scans() -> dict[tuple[str, str], tuple]:
    found = {}
    for seed, case in enumerate(CASES):
        sample = make_sample(seed=seed, size=(40, 36, 30))
        for step, model in enumerate(MODELS, start=1):
            found[model, case] = sample.volume, sample.labels, shifted(sample.labels, step)
    return found


@pytest.fixture(scope="module")
def results(scans) -> dict[str, Any]:
    """A document as evaluate.py makes it, from real scores. The ceiling is the reference itself."""
    organs = {organ.name: organ.label for organ in ORGANS}
    rows = []
    for (model, case), (volume, reference, labels) in scans.items():
        for grid, map_ in (("native", labels), ("network", labels), ("ceiling", reference)):
            scores = score_labels(map_, reference, organs, volume.grid.spacing[::-1])
            rows += [{"model": model, "case": case, "organ": o, "grid": grid, **s} for o, s in scores.items()]
    summary = summarise(rows, MODELS, list(organs))
    own = [(model, [row for row in rows if row["model"] == model]) for model in MODELS]
    return {
        "format": 2,
        "software": "9.8.7",
        "convention": "iuinet",
        "tolerance_mm": Rules().tolerance_mm,
        "largest_piece_only": True,
        "created": "2026-01-02",
        "warnings": ["run-seed1 was SELECTED by its scores on all 4 evaluated cases"],
        "definitions": {"hd95_mm": "the larger of two"},
        "data": {
            "name": "Synapse",
            "fingerprint": "f" * 64,
            "split": "transunet",
            "statement": "Selection and test share the cases.",
            "subset": "test",
            "cases": list(CASES),
        },
        "organs": [{"name": o.name, "label": o.label, "color": list(o.color)} for o in ORGANS],
        "models": [
            {
                "name": model,
                "kind": "model",
                "sha256": "a" * 64,
                "training": {"seed": 1, "recipe": {"a": 1}, "data": {"train": ["0005"], "validation": 3}},
                "size": 128,
                "exposure": dict.fromkeys(CASES, "selection"),
                "not_scored": ["urinary bladder"],
            }
            for model in MODELS
        ],
        "rows": rows,
        "summary": summary,
        "seeds": over_seeds(summary, [("run", MODELS)]),
        "paired": paired_tests(own, [], list(organs)),
    }


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
    for organ in ORGANS:
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
    assert "found, but not in the reference" in Reader(text).text
    assert 'class="result"' in text and 'class="reference"' not in text
    nobody = page(none, lambda model, case: (empty[model, case][0], None, empty[model, case][2]))
    assert nobody == text


def test_many_models_keep_the_page_small(results, scans):
    names = [f"m{number}" for number in range(9)]
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
    assert {model for model, _ in asked} == {"m0", "m1"}
    assert "there are no pictures of m2, m3, m4, m5, m6, m7, m8" in Reader(text).text


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
    chosen = overlays.choose(Found(results), MODELS[1])
    for organ in ORGANS:
        rows = [
            (row["dsc"], row["case"])
            for row in results["rows"]
            if (row["model"], row["organ"], row["grid"]) == (MODELS[1], organ.name, "native")
        ]
        shown = {one.kind: one.row["dsc"] for one in chosen if one.organ.name == organ.name}
        values = sorted(value for value, _ in rows)
        assert shown == {"best": values[-1], "median": values[1], "worst": values[0]}


# Parts ---------------------------------------------------------------------------------------------------


def area(path: str) -> float:
    """Signed area that path data encloses: holes count against."""
    total = 0.0
    for loop in filter(None, path.split("M")):
        points = [tuple(map(float, pair.split())) for pair in loop.rstrip("Z").split("L")]
        following = points[1:] + points[:1]
        total += sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(points, following, strict=True)) / 2
    return total


def test_outlines_enclose_their_mask():
    assert outline(np.zeros((3, 3), bool)) == ""
    disc = np.hypot(*np.mgrid[-20:21, -20:21]) < 15.3
    assert area(outline(disc)) == pytest.approx(disc.sum(), rel=0.02)
    ring = disc & ~(np.hypot(*np.mgrid[-20:21, -20:21]) < 7.2)
    assert outline(ring).count("M") == 2 and area(outline(ring)) == pytest.approx(ring.sum(), rel=0.03)
    square = np.zeros((6, 5), bool)
    square[0:3, 0:4] = True  # at the picture's edge
    xs, ys = zip(*(map(float, p.split()) for p in outline(square)[1:-1].split("L")), strict=True)
    assert (min(xs), max(xs), min(ys), max(ys)) == (0, 4, 0, 3)
    touching = np.eye(2, dtype=bool)
    assert outline(touching).count("M") == 2


def test_pngs_are_read_back_by_another_library():
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(1).integers(0, 256, (9, 13), dtype=np.uint8)
    assert np.array_equal(np.asarray(image.open(io.BytesIO(grey_png(pixels)))), pixels)
    with pytest.raises(ValueError):
        grey_png(pixels.astype(float))


def test_limits_of_agreement():
    pairs = [Pair(str(n), 100 + error, 100) for n, error in enumerate((1, 2, 3, 6))]
    mean, low, high = agreement(pairs)
    assert mean == 3 and (low, high) == pytest.approx((3 - 1.96 * 2.160247, 3 + 1.96 * 2.160247))
    assert agreement(pairs[:2]) is None and agreement_plot("liver", "red", []) is None
    assert agreement_plot("liver", "red", [Pair("a", 0.0, 0.0)]), "a single case has a plot"


@pytest.mark.parametrize("value", [0.0, 0.5, 0.999, 1.0, 250.0, 5000.0])
def test_every_dot_lies_inside_its_plot(value):
    for logarithmic in (True, False) if value <= 1 else (True,):
        drawing = ElementTree.fromstring(
            dot_plot("t", "a", [Lane("liver", "red", [Dot(value, "c")], value)], logarithmic)
        )
        width, height = map(float, drawing.get("viewBox").split()[2:])
        (dot,) = drawing.iter("circle")
        assert 160 < float(dot.get("cx")) < width and 0 < float(dot.get("cy")) < height
    assert dot_plot("t", "a", [Lane("liver", "red", [])]) is None


def test_the_document_can_come_from_its_file(results, scans, text):
    again = json.loads(json.dumps(results))
    assert page(again, lambda model, case: scans[model, case]) == text


def test_the_style_stands_beside_the_code():
    style = (Path(overlays.__file__).parent / "page.css").read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in style and "@media print" in style and "</" not in style
