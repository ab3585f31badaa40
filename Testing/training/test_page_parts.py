"""Parts of the page by themselves: outlines, PNGs, plots, numbers."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed here")

from evaluation.page_markup import Markup, number, tag
from evaluation.page_outlines import outline
from evaluation.page_png import grey_png
from evaluation.plots import Dot, Lane, Pair, agreement, agreement_plot, dot_plot


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


def test_markup_escapes_what_is_no_markup():
    made = tag("p", "<&", Markup("<i>x</i>"), ["a", None, 1], class_='a"b', data_x=None, font_size=1.23456789)
    assert made == '<p class="a&quot;b" font-size="1.2346">&lt;&amp;<i>x</i>a1</p>'


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [(None, ".3f", "–"), (float("nan"), ".3f", "–"), (-1.25, "+.1f", "−1.2"), (0.5, "+.1f", "+0.5"),
     (-0.0001, ".2f", "0"), (0, "d", "0"), (12, "d", "12")],
)  # fmt: skip
def test_numbers_for_people(value, form, text):
    assert number(value, form) == text
