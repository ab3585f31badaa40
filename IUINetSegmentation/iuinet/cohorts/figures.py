"""The results of a cohort in numbers, read from the cases' reports, each organ's volume against the others'.

A volume is an outlier where its robust z is beyond OUTLIER: the distance from the cohort's median in units of
the median absolute deviation, scaled to be the standard deviation of a normal distribution (Iglewicz and
Hoaglin, How to Detect and Handle Outliers, 1993: 0.6745 (x - median) / MAD, and 3.5 as the limit).
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

OUTLIER = 3.5
ENOUGH = 8  # volumes from which on a distribution says something
USUAL = 0.8  # share of cases in which an organ is found, from which on its absence is a doubt
_SCALE = 0.6745


@dataclass(frozen=True)
class Spread:
    """An organ in the cohort. found: in how many of how many cases. median, mad: ml."""

    found: int
    cases: int
    median: float
    mad: float

    def z(self, millilitres: float) -> float | None:
        """The robust z of a volume; None where too little is known.

        >>> round(Spread(20, 20, 1500.0, 150.0).z(200.0), 1)
        -5.8
        """
        if self.found < ENOUGH or self.mad <= 0:
            return None
        return _SCALE * (millilitres - self.median) / self.mad

    @property
    def is_usual(self) -> bool:
        """Whether nearly every scan shows the organ."""
        return self.cases >= ENOUGH and self.found >= USUAL * self.cases


@dataclass
class Figures:
    """spreads: by organ, in the model's order. reports(): those of all cases, one by one, from the disk."""

    folder: Path
    cases: Sequence[str]
    spreads: dict[str, Spread] = field(default_factory=dict)

    def reports(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Case and report; a case without a report that can be read is left out."""
        for case in self.cases:
            try:
                text = (self.folder / case / f"{case}.report.json").read_text(encoding="utf-8")
                yield case, json.loads(text)
            except (OSError, ValueError):
                continue


def figures_of(folder: Path, cases: Sequence[str]) -> Figures:
    """Read all reports once for the organs' distributions; nothing else of them is kept.

    >>> figures_of(Path("results"), []).spreads
    {}
    """
    figures = Figures(folder, cases)
    volumes: dict[str, array] = {}
    seen: dict[str, int] = {}
    for _, report in figures.reports():
        for organ in report["organs"]:
            kept = volumes.setdefault(organ["name"], array("d"))
            seen[organ["name"]] = seen.get(organ["name"], 0) + 1
            if organ["found"]:
                kept.append(organ["millilitres"])
    for name, kept in volumes.items():
        median = float(np.median(kept)) if kept else 0.0
        mad = float(np.median(np.abs(np.asarray(kept) - median))) if kept else 0.0
        figures.spreads[name] = Spread(len(kept), seen[name], median, mad)
    return figures


def doubts_of(report: Mapping[str, Any], spreads: Mapping[str, Spread]) -> list[str]:
    """What a person should look at in a case, the gravest first; in words.

    >>> organ = {"name": "liver", "found": True, "millilitres": 200.0, "low_confidence": False}
    >>> report = {"organs": [organ], "checks": [], "plausibility": [], "fallbacks": []}
    >>> doubts_of(report, {"liver": Spread(20, 20, 1500.0, 150.0)})
    ['liver of 200 ml, far below the others (median 1500 ml)']
    """
    return [*_strange_volumes(report["organs"], spreads), *_remarks(report)]


def _strange_volumes(organs: Iterable[Mapping[str, Any]], spreads: Mapping[str, Spread]) -> Iterator[str]:
    for organ in organs:
        spread = spreads[organ["name"]]
        if not organ["found"]:
            if spread.is_usual:
                yield f"no {organ['name']}, which {spread.found} of {spread.cases} cases have"
            continue
        z = spread.z(organ["millilitres"])
        if z is not None and abs(z) > OUTLIER:
            side = "above" if z > 0 else "below"
            volume, median = organ["millilitres"], spread.median
            yield f"{organ['name']} of {volume:.3g} ml, far {side} the others (median {median:.4g} ml)"


def _remarks(report: Mapping[str, Any]) -> Iterator[str]:
    """What the case's own report warns of."""
    for remark in report["plausibility"]:
        yield remark["message"].rstrip(".")
    for check in report["checks"]:
        if check["severity"] == "warning":
            yield check["message"].rstrip(".")
    unsure = [organ["name"] for organ in report["organs"] if organ["found"] and organ["low_confidence"]]
    if unsure:
        yield f"low confidence: {', '.join(unsure)}"
    yield from report["fallbacks"]
