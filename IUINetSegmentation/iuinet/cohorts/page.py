"""The page of a cohort: one HTML file that a browser opens from the disk, whole but for the pictures.

Failures and doubts stand first. The file holds the numbers as JSON, and ``page.html`` beside this file what
shows them. The pictures are those of the cases' folders and are loaded when they are scrolled to.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from iuinet.errors import whole_sentence
from iuinet.files import atomic
from iuinet.weights.model_file import Weights

from .figures import Figures, doubts_of
from .ledger import DONE, STATES
from .source import Odd

FILE = "index.html"
MOST = 20_000  # cases that a browser still handles at once; of more, those that need a look
_TEMPLATE = Path(__file__).with_name("page.html")
_PLACE = "/*DATA*/null"


def write_page(
    folder: Path,
    figures: Figures,
    ended: Sequence[Mapping[str, Any]],
    odd: Sequence[tuple[str, Odd]],
    weights: Weights,
    most: int = MOST,
) -> None:
    """Write the page anew. ended, odd: as of ``table.write_table``. most: cases in it at most.

    Raises: OutputError.

    >>> write_page(Path("results"), figures, [], [], weights)  # doctest: +SKIP
    """
    total = len(ended) + len(figures.cases)
    data = {
        "model": f"{weights.id} {weights.version}",
        "time": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "states": list(STATES),
        "total": total,
        "organs": [
            {"name": name, "found": one.found, "cases": one.cases, "median": one.median, "mad": one.mad}
            for name, one in figures.spreads.items()
        ],
        "cases": heapq.nsmallest(most, _entries(figures, ended), key=_grave),
        "odd": [{"id": name, "message": whole_sentence(one.message)} for name, one in odd[:most]],
        "oddTotal": len(odd),
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # In a script nothing is escaped: only what would end it, or begin a comment, must not stand there.
    text = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    page = _TEMPLATE.read_text(encoding="utf-8").replace(_PLACE, text)
    with atomic(folder / FILE, overwrite=True) as draft:
        draft.write_text(page, encoding="utf-8", newline="\n")


def _entries(figures: Figures, ended: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for one in ended:
        words = [whole_sentence(one.get(key, "")) for key in ("message", "hint")]
        yield {
            "id": one["case"],
            "state": one["state"],
            "code": one.get("code", ""),
            "why": " ".join(words).strip(),
        }
    for case, report in figures.reports():
        yield {
            "id": case,
            "state": DONE,
            "doubts": doubts_of(report, figures.spreads),
            "picture": (figures.folder / case / f"{case}.thumb.jpg").exists(),
            "ml": [organ["millilitres"] if organ["found"] else None for organ in report["organs"]],
        }


def _grave(entry: Mapping[str, Any]) -> tuple[int, int, str]:
    """Order on the page: what failed, by state, then most doubts first."""
    return STATES.index(entry["state"]), -len(entry.get("doubts", ())), entry["id"]
