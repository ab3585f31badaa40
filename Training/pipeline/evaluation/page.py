"""The page of an evaluation: one HTML file to look at, to send and to print.

It needs no network, no script and no other file: style, plots and pictures are inside. ``page.html`` holds
its words and escapes every text of the results; what stands in its tables and figures is put together here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from .document import CEILING, DSC, FAILURES, NATIVE, NETWORK, Column, Results, Shade
from .pictures import LookUp, Shown, models_shown, overlays
from .plots import agreement_plot, dot_plot
from .statistics import FEWEST_CASES, MEAN
from .tables import write_text

MISSING = "–"
MOST_FAILURES = 30  # that are listed unfolded
MANY = 4  # models, from which on what belongs to single models is folded
_SIGNIFICANT = 0.05
_SIZES = {"reference_ml": "Reference ml", "volume_ml": "Found ml"}
_SWATCH = Markup('<span><i class="swatch" style="background:{}" aria-hidden="true"></i>{}</span>')
_STRONG, _BAD = Markup("<strong>{}</strong>"), Markup('<strong class="bad">{}</strong>')
_SMALL = Markup("<span>{}<small>{}</small></span>")


@dataclass(frozen=True)
class Table:
    """The first cell of each line is its header; texts are escaped unless they are Markup.

    groups: headings above the heads, with the columns that each spans. last_is_total: whether the last line
    is set apart. kind: its classes in the style.
    """

    caption: str
    heads: Sequence[str]
    lines: Sequence[Sequence[object]]
    groups: Sequence[tuple[str, int]] = ()
    last_is_total: bool = False
    kind: str = "numbers"


def write_page(path: Path, document: dict[str, Any], look_up: LookUp) -> None:
    """Write the page, complete or not at all; an earlier one is replaced.

    document: of ``document.build``; values that do not exist may be null or missing.
    look_up(model, case): CT, reference and result (uint8 with the organs' labels) on the native grid. It is
    called once for each model and case that has a picture; an InputRefused of it is reported in their place.
    Raises: OutputError where the file cannot be written.
    """
    write_text(path, page(document, look_up))


def page(document: dict[str, Any], look_up: LookUp) -> str:
    """The page's text."""
    results = Results(document)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "interval": interval, "name_of": name_of, "json": json.dumps}
    environment.filters |= {"taken": _taken, "selected": _selected}
    return environment.get_template("page.html").render(
        results=results,
        document=document,
        data=results.data,
        names=results.names,
        models=results.models,
        many=MANY,
        most_failures=MOST_FAILURES,
        fewest_cases=FEWEST_CASES,
        side_by_side=_side_by_side(results) if len(results.names) > 1 else [],
        organs={name: _organs(results, name) for name in results.names},
        plots={name: drawn for name in results.names if (drawn := _plots(results, name))},
        failures=_failures(results),
        pictures={name: _by_organ(overlays(results, name, look_up)) for name in models_shown(results)},
        seeds=_seeds(results),
        paired=_paired(results),
        cases={model["name"]: _cases(results, model) for model in results.models},
    )


# Cells ---------------------------------------------------------------------------------------------------


def number(value: float | None, form: str = ".3f") -> str:
    """A number for people; a dash where there is none. form: of ``format``, "+" for a true sign."""
    if not isinstance(value, (int, float)) or value != value:  # None, undefined in page.html, NaN
        return MISSING
    text = format(value, form)
    return "0" if text.strip("+-0.") == "" and text.startswith(("-", "+")) else text.replace("-", "−")


def name_of(organ: Shade | None) -> Markup | str:
    """An organ's name after a field of its colour; None for all organs together."""
    return _SWATCH.format(organ.css, organ.name) if organ else "Mean"


def interval(entry: dict[str, Any], column: Column = DSC, form: str = "", between: str = "–") -> str:
    """The 95 % interval. form: instead of the column's."""
    if entry.get("low") is None or entry.get("high") is None:
        return MISSING
    low, high = (number(entry[end], form or column.form) for end in ("low", "high"))
    return f"{low} {between} {high}"


def _mean(entry: dict[str, Any], column: Column = DSC) -> str:
    return number(entry.get("mean"), column.form)


def _spread(entry: dict[str, Any], column: Column = DSC) -> Markup | str:
    """Mean and, in small, the standard deviation."""
    if entry.get("mean") is None or entry.get("sd") is None:
        return _mean(entry, column)
    return _SMALL.format(_mean(entry, column), f" ± {number(entry['sd'], column.form.lstrip('+'))}")


def _p_value(value: float | None) -> str:
    """A p as papers give it."""
    return "< 0.001" if value is not None and value < 0.001 else number(value)


def _taken(training: Any, checkpoint: str | None) -> str:
    """Where in its training a model's weights were taken."""
    if not isinstance(training, dict) or training.get("step") is None:
        return ""
    name = checkpoint or training.get("checkpoint") or ""
    return (
        f"{name} (step {training['step']}, epoch {training.get('epoch')} of {training.get('phase')})".strip()
    )


def _selected(selection: Any, checkpoint: str | None) -> str:
    """What chose the weights, in words."""
    if not isinstance(selection, dict):
        return ""
    dsc = (
        f"a mean DSC of {number(selection.get('dsc'), '.4f')} in epoch {selection.get('epoch')} of the phase"
    )
    if checkpoint == "last":
        return f"nothing; the selection cases decided on its learning rate or length (best: {dsc})"
    return f"{dsc}, on the selection cases"


# Tables --------------------------------------------------------------------------------------------------


def _side_by_side(results: Results) -> list[Table]:
    """All models in the mean, and the DSC of each organ."""
    lines = []
    for organ in [*results.organs, None]:
        values = [_mean(results.summary(name, organ.name if organ else MEAN)) for name in results.names]
        best = max((value for value in values if value != MISSING), default=None)
        lines.append([name_of(organ), *(_STRONG.format(v) if v == best else v for v in values)])
    caption = "DSC on the scan's own grid; the highest of each line in bold, "
    caption += "whether or not the difference is more than chance"
    heads = ["Organ", *results.names]
    whole = _scores(results, "Mean over the organs", "Model", [(name, name, MEAN) for name in results.names])
    return [whole, Table(caption, heads, lines, last_is_total=True, kind="numbers compared")]


def _organs(results: Results, model: str) -> Table:
    lines = [(name_of(organ), model, organ.name) for organ in results.organs_of(model)]
    lines.append((name_of(None), model, MEAN))
    caption = f"{model}: mean ± standard deviation over cases"
    return _scores(results, caption, "Organ", lines, last_is_total=True)


def _scores(
    results: Results, caption: str, head: str, lines: Sequence[tuple[object, str, str]], **options: bool
) -> Table:
    """All metrics, on the native grid, at the network's size, and the ceiling. lines: head, model, organ."""
    shown: list[tuple[str, str, Column, str, Callable]] = []  # group, head, column, grid, how it is written
    for column in results.columns:
        if column in (DSC, results.distance):
            shown.append((column.title, "own grid", column, NATIVE, _spread))
            if column is DSC:
                shown.append((column.title, "95 % interval", column, NATIVE, interval))
            shown += [(column.title, grid, column, grid, _mean) for grid in (NETWORK, CEILING)]
        else:
            shown.append(("Scan's own grid", column.title, column, NATIVE, _mean))
    cells = []
    for first, model, organ in lines:
        line = [write(results.summary(model, organ, c.metric, grid), c) for _, _, c, grid, write in shown]
        dsc = results.summary(model, organ)
        failures = number(dsc.get("failures"), "d")
        failures = _BAD.format(failures) if dsc.get("failures") else failures
        cells.append([first, *line, number(dsc.get("cases"), "d"), failures])
    groups = [(group, len(list(columns))) for group, columns in groupby(group for group, *_ in shown)]
    heads = [head, *(title for _, title, *_ in shown), "Cases", "Failures"]
    return Table(caption, heads, cells, [("", 1), *groups, ("", 2)], kind="numbers scores", **options)


def _seeds(results: Results) -> list[Table]:
    """Mean and standard deviation over models of one recipe, a table per group."""
    entries = {
        (entry["group"], entry["organ"], entry["metric"]): entry
        for entry in results.document.get("seeds") or ()
        if entry["grid"] == NATIVE
    }
    tables = []
    for group, models in {group: entry["models"] for (group, _, _), entry in entries.items()}.items():
        lines = []
        for organ in [*results.organs, None]:
            key = organ.name if organ else MEAN
            if any((group, key, column.metric) in entries for column in results.columns):
                cells = [_spread(entries.get((group, key, c.metric), {}), c) for c in results.columns]
                lines.append([name_of(organ), *cells])
        caption = f"{group}: mean ± standard deviation of {len(models)} models ({', '.join(models)})"
        heads = ["Organ", *(column.title for column in results.columns)]
        tables.append(Table(caption, heads, lines, last_is_total=True))
    return tables


def _paired(results: Results) -> list[Table]:
    """Tests between models: in the mean, and of the DSC of single organs."""
    entries = [entry for entry in results.document.get("paired") or () if entry["grid"] == NATIVE]
    columns = {column.metric: column for column in results.columns}
    whole = [_test(e, columns[e["metric"]]) for e in entries if e["organ"] == MEAN and e["metric"] in columns]
    single = [_test(e, DSC, e["organ"]) for e in entries if e["organ"] != MEAN and e["metric"] == DSC.metric]
    heads = ["Metric", "Difference", "95 % interval", "p", "Corrected p", "Cases"]
    tables = [Table("Mean over the organs", ["Models", *heads], whole)] if entries else []
    return [*tables, Table("Single organs, DSC", ["Models", "Organ", *heads], single)] if single else tables


def _test(entry: dict[str, Any], column: Column, *organ: str) -> list[object]:
    form = "+" + column.form.lstrip("+")
    corrected = _p_value(entry.get("p_holm"))
    if entry.get("p_holm") is not None and entry["p_holm"] < _SIGNIFICANT:
        corrected = _STRONG.format(corrected)
    cells = [column.title, number(entry["difference"], form), interval(entry, column, form, "to")]
    cells += [_p_value(entry.get("p")), corrected, entry["cases"]]
    return [f"{entry['a']} − {entry['b']}", *organ, *cells]


def _failures(results: Results) -> Table | None:
    """Every organ that was missed, or found where there is none."""
    words = {"missed": "missed", "extra": "found, but not in the reference"}
    rows = results.failures()
    sizes = {key: head for key, head in _SIZES.items() if any(key in row for row in rows)}
    lines = [
        [
            *(row[key] for key in ("model", "case", "organ")),
            words[row["state"]],
            *(number(row.get(key), ".1f") for key in sizes),
        ]
        for row in rows
    ]
    heads = ["Model", "Case", "Organ", "What happened", *sizes.values()]
    caption = f"{len(rows)} failure{'s' * (len(rows) != 1)} on the scan's own grid"
    return Table(caption, heads, lines, kind="words") if rows else None


def _cases(results: Results, model: dict[str, Any]) -> Table:
    """Each case's DSC per organ."""
    name, known = model["name"], model.get("exposure") or {}
    organs = results.organs_of(name)
    lines = []
    for case in results.cases:
        rows = [results.row(name, organ.name, case) for organ in organs]
        if any(rows):
            head = _SMALL.format(case, f" ({known[case]})") if known.get(case) else case
            lines.append([head, *map(_score, rows)])
    return Table(f"{name}: DSC on the scan's own grid", ["Case", *(organ.name for organ in organs)], lines)


def _score(row: dict[str, Any] | None) -> Markup | str:
    if row is None:
        return MISSING
    return _BAD.format(row["state"]) if row.get("state") in FAILURES else number(row.get("dsc"))


# Plots ---------------------------------------------------------------------------------------------------


def _plots(results: Results, model: str) -> list[tuple[str, list[Markup]]]:
    """What they show, and the drawings."""
    figures = []
    for column in (results.columns[0], results.distance):
        if column and (drawn := dot_plot(results, model, column)):
            caption = (
                f"{column.title} of {model} on the scan's own grid: a dot per case, a cross for an organ "
                "that was missed or invented, a bar at the median, an open triangle at the mean ceiling."
            )
            figures.append((caption, [drawn]))
    panels = [
        agreement_plot(model, organ, results.rows(model, organ.name)) for organ in results.organs_of(model)
    ]
    if any(panels):
        caption = (
            f"Volumes of {model} against the reference (Bland and Altman): the error in ml over the mean of "
            "both volumes. Dashed: the mean error; dotted: the 95 % limits of agreement, from 3 cases on."
        )
        figures.append((caption, [panel for panel in panels if panel]))
    return figures


def _by_organ(shown: Sequence[Shown]) -> list[list[Shown]]:
    return [list(group) for _, group in groupby(shown, key=lambda one: one.organ)]
