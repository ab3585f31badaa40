"""What a model's own measurements on real scans allow to say of each of its organs.

One rule for all who show a result: panel, command, report, preview and cards. It reads ``metrics.real_scans``
of the model's document: {"data": what was measured on, "organs": {name: {"cases", "median", "mean",
"worst"}}}, the DSC on the scans' own grids, of scans that the model had not seen, against labels by people
(the mean may be missing). Needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .labels import plain_name

USABLE, CORRECT, SKETCH, UNMEASURED = "usable", "correct", "sketch", "not-measured"
# What each verdict takes: median and mean DSC, worst DSC, and cases, at least. From the best down, the first
# that fits.
# Choices, not calibrated on anybody's work: at .85 edges need a look, under .5 more is wrong than right.
LEAST = {USABLE: (0.85, 0.5, 5), CORRECT: (0.5, 0.0, 1), SKETCH: (0.0, 0.0, 1)}
WORDS = {
    USABLE: "usable after a look",
    CORRECT: "to be corrected",
    SKETCH: "a sketch, not to be used",
    UNMEASURED: "not measured on real scans",
}
RELIABLE = (USABLE, CORRECT)  # all others are shown apart: no reader may take them for found like these


@dataclass(frozen=True)
class Quality:
    """An organ's verdict, and what is behind it. median, worst: DSC, None where nothing was measured."""

    verdict: str = UNMEASURED
    cases: int = 0
    median: float | None = None
    worst: float | None = None


def qualities(document: Mapping[str, Any]) -> dict[str, Quality]:
    """The quality of each of a model's organs, in their order. document: the model's, see ``model_file``.

    A measurement that makes no sense counts as none.

    >>> metrics = {"real_scans": {"organs": {"liver": {"cases": 14, "median": 0.94, "worst": 0.9}}}}
    >>> found = qualities({"organs": [{"name": "liver"}, {"name": "veins"}], "metrics": metrics})
    >>> found["liver"].verdict, found["veins"].verdict
    ('usable', 'not-measured')
    """
    part: Any = document
    for key in ("metrics", "real_scans", "organs"):
        part = part.get(key) if isinstance(part, Mapping) else None
    measured = {plain_name(name): one for name, one in part.items()} if isinstance(part, Mapping) else {}
    names = [organ["name"] for organ in document.get("organs", ())]
    return {name: _judged(measured.get(plain_name(name))) for name in names}


def _judged(measured: Any) -> Quality:
    if not isinstance(measured, Mapping):
        return Quality()
    cases, median, worst = (measured.get(key) for key in ("cases", "median", "worst"))
    mean = measured.get("mean", median)
    numbers = all(type(value) in (int, float) and 0 <= value <= 1 for value in (median, mean, worst))
    if not numbers or type(cases) is not int or cases < 1 or worst > min(median, mean):
        return Quality()
    found = (min(median, mean), worst, cases)
    verdict = next(
        name for name, least in LEAST.items() if all(a >= b for a, b in zip(found, least, strict=True))
    )
    return Quality(verdict, cases, median, worst)


def by_verdict(found: Mapping[str, Quality]) -> dict[str, list[str]]:
    """The organs of each verdict that there is, from the best down: what a card says first.

    >>> by_verdict({"veins": Quality(), "liver": Quality("usable", 14, 0.94, 0.9)})
    {'usable': ['liver'], 'not-measured': ['veins']}
    """
    groups = {verdict: [name for name, one in found.items() if one.verdict == verdict] for verdict in WORDS}
    return {verdict: names for verdict, names in groups.items() if names}


def verdicts_of(report: Mapping[str, Any]) -> dict[str, str]:
    """Each organ's verdict in a report; an organ without one, as in reports of old, counts as not measured.

    >>> verdicts_of({"organs": [{"name": "liver", "quality": "usable"}, {"name": "veins"}]})
    {'liver': 'usable', 'veins': 'not-measured'}
    """
    return {organ["name"]: organ.get("quality", UNMEASURED) for organ in report["organs"]}


def for_summary(organs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The organs of a report that a summary may name: found, and measured to be more than a sketch.

    >>> for_summary([{"name": "liver", "found": True, "quality": "usable"}, {"name": "veins", "found": True}])
    ['liver']
    """
    return [one["name"] for one in organs if one["found"] and one.get("quality") in RELIABLE]
