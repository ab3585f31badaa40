"""The page and the table of a cohort: outliers are seen, and a browser shows, sorts and filters them."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from iuinet.cohorts.figures import figures_of
from iuinet.cohorts.page import write_page
from iuinet.cohorts.source import Odd
from iuinet.cohorts.table import write_table
from iuinet.weights.model_file import Weights

CASES = 1500
SMALL, EMPTY = "case-00000000aa", "case-00000000bb"
NASTY = "</script><img src=x onerror=document.title='broken'>"
WEIGHTS = Weights(Path(), "toy", "1", "ab", {})
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def report_of(case: str, volumes: dict[str, float]) -> dict:
    """A report with these organs, ml."""
    sure = {"margin": 0.9, "low_confidence": False, "components": None, "quality": "usable"}
    whole = {"mean_hu": 50.0, "std_hu": 9.0, "touches_edge": False, "edges": []}
    organs = [
        {"name": name, "found": value > 0, "millilitres": value, **sure, **whole}
        for name, value in volumes.items()
    ]
    return {
        **{"case": case, "iuinet": "1", "device": "cpu", "seconds": {"segmenting": 1.0}, "organs": organs},
        **{key: [] for key in ("checks", "plausibility", "fallbacks")},
        "weights": {"id": "toy", "version": "1", "sha256": "ab"},
        "input": {"size": [4, 4, 9], "spacing_mm": [1.0, 1.0, 5.0]},
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort of many cases, one with a liver of 200 ml, one without a spleen, one refused, one odd."""
    place = tmp_path_factory.mktemp("cohort")
    random = np.random.default_rng(0)
    volumes = {
        f"case-{number:010x}": {"liver": random.normal(1500, 200), "spleen": random.normal(200, 30)}
        for number in range(0x1000, 0x1000 + CASES - 2)
    }
    volumes |= {SMALL: {"liver": 200.0, "spleen": 190.0}, EMPTY: {"liver": 1490.0, "spleen": 0.0}}
    for case, organs in volumes.items():
        (place / case).mkdir()
        (place / case / f"{case}.report.json").write_text(json.dumps(report_of(case, organs)))
    figures = figures_of(place, sorted(volumes))
    ended = [
        {"case": "case-00000000cc", "state": "refused", "code": "nasty", "message": NASTY, "hint": "No."}
    ]
    odd = [("odd-00000000dd", Odd("/Doe", "", "link", "a link"))]
    write_table(place, figures, ended, odd)
    write_page(place, figures, ended, odd, WEIGHTS)
    return place


def test_an_outlier_and_a_missing_organ_are_doubts(folder: Path) -> None:
    with open(folder / "organs.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * CASES + 2
    strange = {(row["case"], row["organ"]) for row in rows if row["outlier"] == "True"}
    assert (SMALL, "liver") in strange and len(strange) < 0.01 * CASES
    doubts = {row["case"]: row["doubts"] for row in rows if row["doubts"]}
    assert doubts[SMALL].startswith("liver of 200 ml, far below the others (median 1")
    assert doubts[EMPTY] == f"no spleen, which {CASES - 1} of {CASES} cases have"


class Addresses(HTMLParser):
    """What a page loads or leads to, before its program runs."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [value for name, value in attributes if name in ("src", "href") and value]


def test_the_page_loads_nothing_and_no_text_leaves_its_place(folder: Path) -> None:
    text = (folder / "index.html").read_text(encoding="utf-8")
    page = Addresses()
    page.feed(text)
    assert not page.found and page.tags.count("script") == 1 and "img" not in page.tags
    assert "default-src 'none'" in text and not re.search(r"https?://", text) and "Doe" not in text


def test_of_too_many_cases_those_stay_that_need_a_look(folder: Path, tmp_path: Path) -> None:
    figures = figures_of(folder, sorted(path.name for path in folder.glob("case-*")))
    write_page(tmp_path, figures, [], [], WEIGHTS, most=10)
    data = json.loads(re.search(r"^const data = (.*);$", (tmp_path / "index.html").read_text(), re.M)[1])
    assert len(data["cases"]) == 10 and data["total"] == CASES
    assert {SMALL, EMPTY} <= {case["id"] for case in data["cases"]}


@pytest.fixture(scope="module")
def shown(folder: Path):
    """What Chromium shows of the page with something after # in its address."""
    if BROWSER is None:
        pytest.skip("no Chromium is installed")

    def show(view: str = "") -> str:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"]
        address = (folder / "index.html").as_uri() + view
        command = [BROWSER, *flags, f"--user-data-dir={folder}/browser", address]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    return show


def cards(page: str) -> list[str]:
    return re.findall(r'<div class="card[^"]*">.*?(case-[0-9a-f]{10})', page)


def test_a_browser_shows_failures_and_doubts_first(shown) -> None:
    page = shown()
    assert cards(page)[0] == "case-00000000cc" and {SMALL, EMPTY} <= set(cards(page)[1:20])
    assert len(cards(page)) == 60 and f"{CASES + 1} of {CASES + 1} cases" in page
    assert "<title>IUINet cohort</title>" in page and "&lt;/script&gt;" in page
    assert page.count("<canvas") == 2 and "1 of 26" in page


def test_a_browser_sorts_filters_and_turns_the_pages(shown) -> None:
    page = shown("#organ=0&sort=small&state=done")
    assert cards(page)[0] == SMALL and "liver 200 ml, z -" in page
    page = shown("#text=no spleen&state=doubtful")
    assert cards(page) == [EMPTY] and f"1 of {CASES + 1} cases" in page
    assert "26 of 26" in shown("#page=99")
