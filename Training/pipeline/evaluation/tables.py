"""Results as tables: one that is printed, and CSV files for whatever people do their own statistics with."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from iuinet.files import atomic

from .metrics import IN_MM, TRANSUNET
from .statistics import ABSOLUTE, FEWEST_CASES, MEAN

# Title, grid, metric, format.
_COLUMNS = (
    ("DSC", "native", "dsc", "{:.3f}"),
    ("HD95 mm", "native", "hd95_mm", "{:.1f}"),
    ("HD95 voxels", "native", "hd95_voxels", "{:.1f}"),
    ("NSD", "native", "nsd", "{:.3f}"),
    ("|volume error| %", "native", ABSOLUTE, "{:.1f}"),
    ("DSC network", "network", "dsc", "{:.3f}"),
    ("DSC ceiling", "ceiling", "dsc", "{:.3f}"),
)
_NAME_WIDTH = 26
_ROW_KEYS = ("model", "case", "organ", "grid", "state", "dsc", "hd95_mm", "hd95_voxels", "assd_mm", "nsd")
_VOLUME_KEYS = ("volume_ml", "reference_ml", "volume_error_ml", "volume_error_percent")
_SUMMARY_KEYS = ("model", "grid", "organ", "metric", "mean", "sd", "median", "low", "high")
_COUNT_KEYS = ("cases", "left_out", "failures")


def print_results(results: dict[str, Any], say: Callable[[str], None]) -> None:
    """One table per model, seeds and tests in the mean, and the warnings last, where they are seen."""
    data = results["data"]
    say("")
    cases = f"{len(data['cases'])} case{'s' * (len(data['cases']) != 1)}"
    say(f"{cases} ({data['subset']}) of {data['name']}. {data['statement']}".strip())
    summary = {(e["model"], e["grid"], e["organ"], e["metric"]): e for e in results["summary"]}
    metrics = {entry["metric"] for entry in results["summary"]}
    columns = [column for column in _COLUMNS if column[2] in metrics]
    marked = "  [rules of TransUNet, not comparable with ours]" if results["convention"] == TRANSUNET else ""
    for model in results["models"]:
        say("")
        say(f"{model['name']}{marked}")
        for sentence in model["standing"]:
            say(f"WARNING: {sentence}")
        say(" " * _NAME_WIDTH + "".join(f"   {title}" for title, *_ in columns) + "   failures")
        for organ in [*(organ["name"] for organ in results["organs"]), MEAN]:
            head = summary.get((model["name"], "native", organ, "dsc"))
            if head is None:
                continue
            line = organ.ljust(_NAME_WIDTH)
            for title, grid, metric, form in columns:
                value = summary[model["name"], grid, organ, metric]["mean"]
                line += ("-" if value is None else form.format(value)).rjust(len(title) + 3)
            failures = f"{head['failures']} of {head['cases']}" if organ != MEAN else str(head["failures"])
            say(line + failures.rjust(11))
        if model["not_scored"]:
            say(f"not scored, because the data do not hold them: {', '.join(model['not_scored'])}")
        if model["unlabelled"]:
            say(f"not scored, because the data do not label them: {', '.join(model['unlabelled'])}")
    for entry in _headline(results["seeds"]):
        say("")
        score = f"mean DSC {entry['mean']:.3f} ± {entry['sd']:.3f}"
        say(f"{entry['group']}: {score} over {len(entry['models'])} seeds")
    _print_tests(_headline(results["paired"]), say)
    said = {sentence for model in results["models"] for sentence in model["standing"]}
    for sentence in [one for one in results["warnings"] if one not in said]:
        say("")
        say(f"WARNING: {sentence}")


def _headline(entries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the mean DSC on the native grid."""
    return [e for e in entries if (e["organ"], e["grid"], e["metric"]) == (MEAN, "native", "dsc")]


def _print_tests(tests: Sequence[dict[str, Any]], say: Callable[[str], None]) -> None:
    if tests:
        say("")
        test = "Wilcoxon's signed-rank test with Holm's correction"
        say(f"Differences of the mean DSC (95 % interval), {test}:")
    for entry in tests:
        limits = "" if entry["low"] is None else f" ({entry['low']:+.3f} to {entry['high']:+.3f})"
        verdict = f"no test is possible with fewer than {FEWEST_CASES} cases"
        if entry["p"] is not None:
            verdict = f"p {entry['p']:.3g}, corrected {entry['p_holm']:.3g}"
        models = f"{entry['a']} - {entry['b']}"
        say(f"  {models}: {entry['difference']:+.3f}{limits}, {entry['cases']} cases, {verdict}")


# Files ---------------------------------------------------------------------------------------------------


def write_cases(path: Path, results: dict[str, Any]) -> None:
    """cases.csv: one line per model, case, organ and grid; ``exposure``: what the model knew of the case.

    ``standing``: that its weights are no training's result, such as those of an unfinished one.
    """
    exposure = {model["name"]: model["exposure"] for model in results["models"]}
    lines = ({**row, "exposure": exposure[row["model"]][row["case"]]} for row in results["rows"])
    _write(path, ("convention", *_ROW_KEYS, *_VOLUME_KEYS, "standing", "exposure"), lines, results)


def write_summary(path: Path, results: dict[str, Any]) -> None:
    """summary.csv: one line per model, grid, organ and metric; ``exposure``: such as "selection: 12"."""
    exposure = {model["name"]: _counted(model["exposure"].values()) for model in results["models"]}
    lines = ({**entry, "exposure": exposure[entry["model"]]} for entry in results["summary"])
    _write(path, ("convention", *_SUMMARY_KEYS, *_COUNT_KEYS, "standing", "exposure"), lines, results)


def _counted(kinds: Iterable[str]) -> str:
    kinds = [kind for kind in kinds if kind]
    return "; ".join(f"{kind}: {kinds.count(kind)}" for kind in dict.fromkeys(kinds))


def _write(path: Path, keys: Sequence[str], lines: Iterable[dict[str, Any]], results: dict[str, Any]) -> None:
    # Without a known size of voxels there is nothing in mm, and then no empty column either.
    absent = {key for key in IN_MM if not any(key in row for row in results["rows"])}
    keys = [key for key in keys if key not in absent]
    standing = {model["name"]: " ".join(model["standing"]) for model in results["models"]}
    common = {"convention": results["convention"]}
    write_csv(path, keys, ({**common, **line, "standing": standing[line["model"]]} for line in lines))


def write_csv(path: Path, keys: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """The rows' values of these keys; what does not exist is left empty. Raises: OutputError."""
    text = io.StringIO()
    writer = csv.DictWriter(text, keys, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def write_text(path: Path, text: str) -> None:
    """A text file in the place of an earlier one. Raises: OutputError."""
    with atomic(path, overwrite=True) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")
