"""The page's figures: dots of every case, agreement of volumes, and the pictures of chosen cases."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from .page_markup import Markup, folded, number, section, tag
from .page_results import CEILING, FAILURES, Column, Found
from .page_tables import MANY, name_of
from .pictures import LookUp, Shown, choose, draw, models_shown
from .plots import Dot, Lane, Pair, agreement_plot, dot_plot


def plots(found: Found) -> Markup | None:
    """Each model's plots; those of many models are folded. None if there is nothing to draw."""
    parts = []
    for name in found.names:
        drawn = [_dots(found, name, column) for column in (found.columns[0], found.distance) if column]
        drawn = [figure for figure in (*drawn, _agreement(found, name)) if figure]
        if drawn and len(found.names) > 1:
            drawn = [folded(name, drawn, open_=len(found.names) < MANY)]
        parts += drawn
    return section("Plots", "plots", parts) if parts else None


def _dots(found: Found, model: str, column: Column) -> Markup | None:
    lanes = []
    for organ in found.organs_of(model):
        rows = [row for row in found.rows(model, organ.name) if row.get(column.metric) is not None]
        dots = [_dot(row, column) for row in rows]
        ceiling = found.summary(model, organ.name, column.metric, CEILING).get("mean")
        lanes.append(Lane(organ.name, organ.css, dots, ceiling))
    title = f"{model}: {column.title} of each case and organ, on the scan's own grid"
    axis = f"{column.title}, logarithmic" if not column.high_is_good else column.title
    drawn = dot_plot(title, axis, lanes, logarithmic=not column.high_is_good)
    if drawn is None:
        return None
    said = (
        f"{column.title} of {model} on the scan's own grid: a dot per case, a cross for an organ that was "
        "missed or invented, a bar at the median, an open triangle at the mean ceiling."
    )
    return tag("figure", tag("div", drawn, class_="scroll"), tag("figcaption", said))


def _dot(row: dict[str, Any], column: Column) -> Dot:
    failed = row.get("state") in FAILURES
    text = f"{row['case']}: {number(row[column.metric], column.form.lstrip('+'))}"
    return Dot(row[column.metric], f"{text} ({row['state']})" if failed else text, failed)


def _agreement(found: Found, model: str) -> Markup | None:
    panels = []
    for organ in found.organs_of(model):
        pairs = [
            Pair(row["case"], row["volume_ml"], row["reference_ml"])
            for row in found.rows(model, organ.name)
            if row.get("state") != "absent" and None not in (row.get("volume_ml"), row.get("reference_ml"))
        ]
        panels.append(agreement_plot(organ.name, organ.css, pairs))
    if not any(panels):
        return None
    said = (
        f"Volumes of {model} against the reference (Bland and Altman): the error in ml over the mean of both "
        "volumes. Dashed: the mean error; dotted: the 95 % limits of agreement, from 3 cases on."
    )
    return tag("figure", tag("div", panels, class_="panels"), tag("figcaption", said))


def pictures(found: Found, look_up: LookUp) -> Markup | None:
    """Best, median and worst case of each organ, of as many models as a page can hold."""
    names = models_shown(found)
    parts = []
    for name in names:
        shown = draw(choose(found, name), look_up)
        groups = [_organ(list(group)) for _, group in groupby(shown, key=lambda one: one.choice.organ)]
        parts.append(folded(name, groups, open_=name == names[0]) if len(names) > 1 else groups)
    if not any(parts):
        return None
    left_out = [name for name in found.names if name not in names]
    more = None
    if left_out:
        more = f"To keep the page small, there are no pictures of {', '.join(left_out)}."
    legend = tag(
        "p",
        "The ",
        tag("span", "result", class_="key result"),
        " is the solid line in the organ's colour, the ",
        tag("span", "reference", class_="key reference"),
        " the dashed white one. Axial sections, window 40/400 HU, the patient's right (R) on the left: the "
        "section with most of the organ, and the one with most voxels in which both differ. ",
        more,
        class_="note",
    )
    return section("Best, median and worst cases", "pictures", legend, parts)


def _organ(shown: Sequence[Shown]) -> Markup:
    heading = tag("h3", name_of(shown[0].choice.organ))
    return tag("div", heading, tag("div", [_case(one) for one in shown], class_="cases"), class_="organ")


def _case(one: Shown) -> Markup:
    row, kind = one.choice.row, one.choice.kind
    scores = f"DSC {number(row['dsc'])}"
    if row.get("hd95_mm") is not None and row.get("state") == "both":
        scores += f", HD95 {number(row['hd95_mm'], '.1f')} mm"
    state = row.get("state")
    marked = [" ", tag("strong", state, class_="bad")] if state in FAILURES else None
    title = tag("p", tag("strong", f"{kind.capitalize()}: {row['case']}"), " ", scores, marked)
    if not one.pictures:
        return tag("div", title, tag("p", one.refused or "There is nothing to show.", class_="note"))
    drawn = [tag("figure", picture, tag("figcaption", place)) for picture, place in one.pictures]
    return tag("div", title, tag("div", drawn, class_="pair"), class_="case")
