"""The page of an evaluation: one HTML file to look at, to send and to print.

It needs no network, no script and no other file: style, plots and pictures are inside. Every text of the
results is escaped (``page_markup.tag``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from iuinet.files import atomic

from . import page_figures, page_tables, page_text
from .page_markup import Markup, tag
from .page_results import Found
from .pictures import LookUp

STYLE = Path(__file__).with_name("page.css")
# A page that may load nothing cannot tell anybody that it was opened, whatever a case is called.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def write_page(path: Path, results: dict[str, Any], look_up: LookUp) -> None:
    """Write the page, complete or not at all; an earlier one is replaced.

    results: the document of ``document.build``; values that do not exist may be null or missing.
    look_up(model, case): CT, reference and result (uint8 with the organs' labels) on the native grid. It is
    called once for each model and case that has a picture; an InputRefused of it is said in their place.
    Raises OutputError.
    """
    text = page(results, look_up)
    with atomic(path, overwrite=True) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")


def page(results: dict[str, Any], look_up: LookUp) -> str:
    """The page's text."""
    found = Found(results)
    parts = [
        ("Models side by side", "models", page_tables.comparison(found)),
        ("Organs", "organs", page_tables.organs(found)),
        ("Plots", "plots", page_figures.plots(found)),
        ("Failures", "failures", page_tables.failures(found)),
        ("Pictures", "pictures", page_figures.pictures(found, look_up)),
        ("Seeds", "seeds", page_tables.seeds(found)),
        ("Differences", "differences", page_tables.paired(found)),
        ("Every case", "cases", page_tables.cases(found)),
        ("Method", "method", page_text.method(found)),
        ("Provenance", "provenance", page_text.provenance(found)),
    ]
    parts = [part for part in parts if part[2]]
    links = [tag("li", tag("a", title, href=f"#{anchor}")) for title, anchor, _ in parts]
    body = tag(
        "body",
        page_text.head(found),
        tag("nav", tag("ul", links), aria_label="Contents"),
        tag("main", [content for _, _, content in parts]),
    )
    return f"<!DOCTYPE html>\n{tag('html', _head(page_text.title_of(found)), body, lang='en')}\n"


def _head(title: str) -> Markup:
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{title} – evaluation"),
        tag("style", Markup(STYLE.read_text(encoding="utf-8"))),
    )
