"""A run's report in the panel's words: what was found, what to look at, and a table that can be copied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slicer.i18n import tr as _

from iuinet.report import millilitres_text

COLUMNS = 4


def header() -> tuple[str, ...]:
    """The table's columns; a function, since the language is known only when Slicer runs."""
    return (_("Organ"), _("ml"), _("Mean HU"), _("Remarks"))


def headline(report: Mapping[str, Any], seconds: float) -> str:
    """What was found and what was not, how long it took and where, and that it has to be checked."""
    organs = report["organs"]
    missing = [organ["name"] for organ in organs if not organ["found"]]
    if len(missing) == len(organs):
        return _("Nothing was found. Is this the right body region?")
    device = _("the CPU") if report["device"] == "cpu" else report["device"]
    lines = [
        _("{found} of {all} structures found in {seconds:.0f} s on {device}.").format(
            found=len(organs) - len(missing), all=len(organs), seconds=seconds, device=device
        )
    ]
    if missing:
        lines.append(_("Not found: {names}.").format(names=", ".join(missing)))
    lines += [f"⚠ {remark['message']}" for remark in report["plausibility"]]
    lines += [f"⚠ {check['message']}" for check in report["checks"] if check["severity"] == "warning"]
    lines += report["fallbacks"]
    lines.append(_("Check before use; not a diagnosis."))
    return "\n".join(lines)


def rows(report: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """One row for each organ that was found."""
    return [
        (
            organ["name"],
            millilitres_text(organ["millilitres"]),
            "" if organ["mean_hu"] is None else f"{organ['mean_hu']:.0f}",
            "; ".join(_remarks(organ)),
        )
        for organ in report["organs"]
        if organ["found"]
    ]


def as_text(report: Mapping[str, Any]) -> str:
    """The table for the clipboard: cells by tabulators, ready for a spreadsheet."""
    return "\n".join("\t".join(cells) for cells in [header(), *rows(report)])


def _remarks(organ: Mapping[str, Any]) -> list[str]:
    found = []
    if organ["touches_edge"]:
        found.append(
            _("incomplete: cut by the scan's edge ({sides})").format(sides=", ".join(organ["edges"]))
        )
    if organ["low_confidence"]:
        found.append(_("low confidence"))
    return found
