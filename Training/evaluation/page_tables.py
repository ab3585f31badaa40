"""The page's tables: models side by side, organs, seeds, paired tests, failures, and every case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .page_markup import MISSING, Markup, folded, number, section, table, tag
from .page_results import CEILING, DSC, NATIVE, NETWORK, Column, Found, Shade
from .statistics import FEWEST_CASES, MEAN

MOST_FAILURES = 30  # that are listed unfolded
MANY = 4  # models, from which on tables of single models are folded
SCORES = "numbers scores"  # class of the tables whose first numbers are the headline
_SIGNIFICANT = 0.05


def name_of(organ: Shade) -> Markup:
    """An organ's name after a field of its colour."""
    return tag(
        "span", tag("i", class_="swatch", style=f"background:{organ.css}", aria_hidden="true"), organ.name
    )


def spread(entry: dict[str, Any], column: Column = DSC) -> Markup:
    """Mean and, in small, the standard deviation."""
    mean = number(entry.get("mean"), column.form)
    if entry.get("mean") is None or entry.get("sd") is None:
        return tag("span", mean)
    return tag("span", mean, tag("small", f" ± {number(entry['sd'], column.form.lstrip('+'))}"))


def interval(entry: dict[str, Any], column: Column = DSC) -> str:
    """The 95 % interval."""
    if entry.get("low") is None or entry.get("high") is None:
        return MISSING
    return f"{number(entry['low'], column.form)} – {number(entry['high'], column.form)}"


def comparison(found: Found) -> Markup | None:
    """All models side by side in the mean, and the DSC of each organ; None for a single model."""
    if len(found.names) < 2:
        return None
    lines = [[name, *_cells(found, name, MEAN)] for name in found.names]
    whole = table("Mean over the organs", ["Model", *_heads(found)], lines, _groups(found), class_=SCORES)
    lines = []
    for organ in [*found.organs, None]:
        key = organ.name if organ else MEAN
        entries = [found.summary(name, key) for name in found.names]
        values = [entry.get("mean") for entry in entries]
        best = max((round(value, 3) for value in values if value is not None), default=None)
        cells = [
            tag("strong" if value is not None and round(value, 3) == best else "span", number(value))
            for value in values
        ]
        lines.append([name_of(organ) if organ else "Mean", *cells])
    organs = table(
        "DSC on the scan's own grid; the highest of each line in bold, whether or not the difference is "
        "more than chance",
        ["Organ", *found.names],
        lines,
        last_is_total=True,
        class_="numbers compared",
    )
    return section("Models side by side", "models", whole, organs)


def organs(found: Found) -> Markup:
    """A table per model: each organ's scores on the native grid, at the network's size, and the ceiling."""
    parts = []
    for model in found.models:
        name = model["name"]
        lines = [[name_of(organ), *_cells(found, name, organ.name)] for organ in found.organs_of(name)]
        lines.append(["Mean", *_cells(found, name, MEAN)])
        heads = ["Organ", *_heads(found)]
        whole = table(
            f"{name}: mean ± standard deviation over cases", heads, lines, _groups(found), True, SCORES
        )
        unknown = model.get("not_scored")
        note = f"Not scored, because the data do not hold them: {', '.join(unknown)}." if unknown else None
        content = [whole, tag("p", note, class_="note") if note else None]
        parts.append(folded(name, content) if len(found.names) >= MANY else content)
    return section(
        "Organs",
        "organs",
        tag(
            "p",
            "The headline is the scan's own grid, where a result is used. Scores at the network's size are "
            "of another, coarser grid. The ceiling is the reference itself, resized to the network's size "
            "and back: a network that gives the resized reference perfectly scores exactly this.",
            class_="note",
        ),
        parts,
    )


def _beside(found: Found) -> list[Column]:
    """Metrics that are told on all three grids."""
    return [DSC, *([found.distance] if found.distance else [])]


def _alone(found: Found) -> list[Column]:
    """Metrics that are told on the native grid only."""
    return [column for column in found.columns if column not in _beside(found)]


def _heads(found: Found) -> list[str]:
    heads = []
    for column in _beside(found):
        heads += ["own grid", *(["95 % interval"] if column is DSC else []), "network", "ceiling"]
    return [*heads, *(column.title for column in _alone(found)), "Cases", "Failures"]


def _groups(found: Found) -> list[tuple[str, int]]:
    beside = [(column.title, 4 if column is DSC else 3) for column in _beside(found)]
    return [("", 1), *beside, ("Scan's own grid", len(_alone(found))), ("", 2)]


def _cells(found: Found, model: str, organ: str) -> list[object]:
    cells: list[object] = []
    for column in _beside(found):
        entry = found.summary(model, organ, column.metric)
        cells += [spread(entry, column), *([interval(entry)] if column is DSC else [])]
        for grid in (NETWORK, CEILING):
            cells.append(number(found.summary(model, organ, column.metric, grid).get("mean"), column.form))
    for column in _alone(found):
        cells.append(number(found.summary(model, organ, column.metric).get("mean"), column.form))
    head = found.summary(model, organ)
    failures = head.get("failures")
    marked = tag("strong", failures, class_="bad") if failures else number(failures, "d")
    return [*cells, number(head.get("cases"), "d"), marked]


def seeds(found: Found) -> Markup | None:
    """Mean and standard deviation over models of one recipe; None where there is no group."""
    entries = {
        (entry["group"], entry["organ"], entry["metric"]): entry
        for entry in found.results.get("seeds") or ()
        if entry["grid"] == NATIVE
    }
    members = {group: entry["models"] for (group, _, _), entry in entries.items()}
    tables = []
    for group, models in members.items():
        lines = []
        for organ in [*found.organs, None]:
            key = organ.name if organ else MEAN
            if any((group, key, column.metric) in entries for column in found.columns):
                cells = [spread(entries.get((group, key, c.metric), {}), c) for c in found.columns]
                lines.append([name_of(organ) if organ else "Mean", *cells])
        caption = f"{group}: mean ± standard deviation of {len(models)} models ({', '.join(models)})"
        heads = ["Organ", *(column.title for column in found.columns)]
        tables.append(table(caption, heads, lines, last_is_total=True))
    if not tables:
        return None
    note = "How much the same recipe varies from one random seed to another, on the scan's own grid."
    return section("Seeds", "seeds", tag("p", note, class_="note"), tables)


def paired(found: Found) -> Markup | None:
    """Tests between models: in the mean, and folded those of single organs; None where there is no pair."""
    entries = [entry for entry in found.results.get("paired") or () if entry["grid"] == NATIVE]
    if not entries:
        return None
    columns = {column.metric: column for column in found.columns}
    of_mean = [e for e in entries if e["organ"] == MEAN and e["metric"] in columns]
    single = [e for e in entries if e["organ"] != MEAN and e["metric"] == DSC.metric]
    note = (
        "Differences are first minus second, over the cases of both, with a 95 % bootstrap interval. "
        "p is of Wilcoxon's signed-rank test, two-sided; the corrected p (Holm) is the one to read. "
        f"With fewer than {FEWEST_CASES} cases no test is possible. A test tells of these models and these "
        "cases: not of other seeds, nor of other hospitals."
    )
    heads = ["Models", "Metric", "Difference", "95 % interval", "p", "Corrected p", "Cases"]
    whole = table("Mean over the organs", heads, [_test(entry, columns) for entry in of_mean])
    heads[1:2] = ["Organ", "Metric"]
    organs = [_test(entry, columns, with_organ=True) for entry in single]
    more = folded("Single organs, DSC", table("Single organs", heads, organs)) if organs else None
    return section("Differences between models", "differences", tag("p", note, class_="note"), whole, more)


def _test(entry: dict[str, Any], columns: dict[str, Column], with_organ: bool = False) -> list[object]:
    column = columns[entry["metric"]]
    form = "+" + column.form.lstrip("+")
    corrected = p_value(entry.get("p_holm"))
    if entry.get("p_holm") is not None and entry["p_holm"] < _SIGNIFICANT:
        corrected = tag("strong", corrected)
    middle = [entry["organ"]] if with_organ else []
    cells = [column.title, number(entry["difference"], form), _limits(entry, form), p_value(entry.get("p"))]
    return [f"{entry['a']} − {entry['b']}", *middle, *cells, corrected, entry["cases"]]


def _limits(entry: dict[str, Any], form: str) -> str:
    if entry.get("low") is None:
        return MISSING
    return f"{number(entry['low'], form)} to {number(entry['high'], form)}"


def p_value(value: float | None) -> str:
    """A p as papers give it."""
    if value is None:
        return MISSING
    return "< 0.001" if value < 0.001 else number(value)


def failures(found: Found) -> Markup:
    """Every organ that was missed, or found where there is none."""
    rows = found.failures()
    if not rows:
        note = "No organ was missed, and none was found where the reference has none."
        return section("Failures", "failures", tag("p", note))
    told = {"missed": "missed", "extra": "found, but not in the reference"}
    lines = [
        [
            row["model"],
            row["case"],
            row["organ"],
            told[row["state"]],
            number(row.get("reference_ml"), ".1f"),
            number(row.get("volume_ml"), ".1f"),
        ]
        for row in rows
    ]
    heads = ["Model", "Case", "Organ", "What happened", "Reference ml", "Found ml"]
    count = f"{len(rows)} failure{'s' * (len(rows) != 1)}"
    whole = table(f"{count} on the scan's own grid", heads, lines, class_="words")
    return section("Failures", "failures", whole if len(rows) <= MOST_FAILURES else folded(count, whole))


def cases(found: Found) -> Markup:
    """Each case's DSC per organ, a folded table per model."""
    parts = []
    for model in found.models:
        name = model["name"]
        shades = found.organs_of(name)
        known: dict[str, str] = model.get("exposure") or {}
        scored = [case for case in found.cases if any(found.row(name, o.name, case) for o in shades)]
        lines = [
            [
                tag("span", case, tag("small", f" ({known[case]})") if known.get(case) else None),
                *(_score(found.row(name, organ.name, case)) for organ in shades),
            ]
            for case in scored
        ]
        caption = f"{name}: DSC on the scan's own grid"
        parts.append(folded(name, table(caption, ["Case", *(organ.name for organ in shades)], lines)))
    note = "More metrics of every case, organ and grid are in cases.csv and results.json beside this page."
    return section("Every case", "cases", parts, tag("p", note, class_="note"))


def _score(row: dict[str, Any] | None) -> object:
    if row is None:
        return MISSING
    if row.get("state") in ("missed", "extra"):
        return tag("strong", row["state"], class_="bad")
    return number(row.get("dsc"))


def plain_table(caption: str, pairs: Sequence[tuple[str, object]]) -> Markup:
    """Names and what they stand for, for provenance and definitions."""
    return table(caption, ["What", "Value"], [list(pair) for pair in pairs], class_="words facts")
