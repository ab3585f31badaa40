"""Parts of the page by themselves: outlines, plots, numbers."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed here")

from pipeline.evaluation.document import DSC, HD95, Results
from pipeline.evaluation.page import number
from pipeline.evaluation.pictures import outline
from pipeline.evaluation.plots import agreement, agreement_plot, dot_plot


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


def results_of(*values: float, metric: str = "dsc", **more: object) -> Results:
    """One model's scores on the liver, and their ceiling."""
    cases = [f"c{number}" for number in range(len(values))]
    head = {"model": "m", "organ": "liver", "grid": "native"}
    rows = [{**head, "case": case, metric: value, **more} for case, value in zip(cases, values, strict=True)]
    ceiling = {**head, "grid": "ceiling", "metric": metric, "mean": max(values, default=None)}
    organs = [{"name": "liver", "label": 6}]
    document = {"models": [{"name": "m"}], "organs": organs, "data": {"cases": cases}, "rows": rows}
    return Results({**document, "summary": [ceiling]})


def test_limits_of_agreement():
    mean, low, high = agreement(np.array([1, 2, 3, 6]))
    assert mean == 3 and (low, high) == pytest.approx((3 - 1.96 * 2.160247, 3 + 1.96 * 2.160247))
    assert agreement(np.array([1, 2])) is None


def test_a_single_case_has_a_plot_of_its_volume_and_none_has_not():
    results = results_of(0.0, volume_ml=0.0, reference_ml=0.0)
    (organ,) = results.organs
    assert "volume errors of 1 cases" in agreement_plot("m", organ, results.rows("m", "liver"))
    assert agreement_plot("m", organ, []) is None


@pytest.mark.parametrize("value", [0.0, 0.5, 0.999, 1.0, 250.0, 5000.0])
def test_every_dot_lies_inside_its_plot(value):
    for column in (DSC, HD95) if value <= 1 else (HD95,):
        text = dot_plot(results_of(value, metric=column.metric), "m", column)
        drawing = ElementTree.fromstring(text)
        width, height = map(float, drawing.get("viewBox").split()[2:])
        (dot,) = (group for group in drawing.iter("g") if group.get("class") == "dot")
        (mark,) = dot.iter("use")
        assert 160 < float(mark.get("x")) < width and 0 < float(mark.get("y")) < height
        assert not any("$" in text.text for text in drawing.iter("text")), "numbers, not formulas"
        assert dot.find("title").text == f"c0: {value:{column.form}}"
    assert dot_plot(results_of(), "m", DSC) is None


def test_a_plot_takes_the_pages_colours_and_shows_failures():
    text = dot_plot(results_of(0.5, 0.0, state="missed"), "m", DSC)
    assert text.count('class="failed"') == 2 and "c1: 0.000 (missed)" in text
    assert "var(--ink)" in text and "var(--bad)" in text and "#0" not in text


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [(None, ".3f", "–"), (float("nan"), ".3f", "–"), (-1.25, "+.1f", "−1.2"), (0.5, "+.1f", "+0.5"),
     (-0.0001, ".2f", "0"), (0, "d", "0"), (12, "d", "12")],
)  # fmt: skip
def test_numbers_for_people(value, form, text):
    assert number(value, form) == text
