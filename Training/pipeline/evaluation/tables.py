"""Results as tables: one that is printed, and CSV files for whatever people do their own statistics with."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from iuinet.files import atomic

from .metrics import TRANSUNET
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
    say(f"{len(data['cases'])} cases ({data['subset']}) of {data['name']}. {data['statement']}".strip())
    summary = {(e["model"], e["grid"], e["organ"], e["metric"]): e for e in results["summary"]}
    metrics = {entry["metric"] for entry in results["summary"]}
    columns = [column for column in _COLUMNS if column[2] in metrics]
    for model in results["models"]:
        say("")
        say(f"{model['name']}{_marked(results)}")
        say(
            "".ljust(_NAME_WIDTH)
            + "".join(title.rjust(len(title) + 3) for title, *_ in columns)
            + "   failures"
        )
        for organ in [*(organ["name"] for organ in results["organs"]), MEAN]:
            head = summary.get((model["name"], "native", organ, "dsc"))
            if head is None:
                continue
            cells = [
                _cell(summary[model["name"], grid, organ, metric]["mean"], form).rjust(len(title) + 3)
                for title, grid, metric, form in columns
            ]
            failures = f"{head['failures']} of {head['cases']}" if organ != MEAN else str(head["failures"])
            say(organ.ljust(_NAME_WIDTH) + "".join(cells) + failures.rjust(11))
        if model["not_scored"]:
            say(f"not scored, because the data do not hold them: {', '.join(model['not_scored'])}")
    _print_seeds(results, say)
    _print_tests(results, say)
    for sentence in results["warnings"]:
        say("")
        say(f"WARNING: {sentence}")


def _print_seeds(results: dict[str, Any], say: Callable[[str], None]) -> None:
    for entry in results["seeds"]:
        if (entry["organ"], entry["grid"], entry["metric"]) == (MEAN, "native", "dsc"):
            say("")
            say(
                f"{entry['group']}: mean DSC {entry['mean']:.3f} ± {entry['sd']:.3f} "
                f"over {len(entry['models'])} seeds"
            )


def _print_tests(results: dict[str, Any], say: Callable[[str], None]) -> None:
    tests = [
        entry
        for entry in results["paired"]
        if (entry["organ"], entry["grid"], entry["metric"]) == (MEAN, "native", "dsc")
    ]
    if tests:
        say("")
        say(
            "Differences of the mean DSC (95 % interval), Wilcoxon's signed-rank test with Holm's correction:"
        )
    for entry in tests:
        limits = "" if entry["low"] is None else f" ({entry['low']:+.3f} to {entry['high']:+.3f})"
        verdict = (
            f"p {entry['p']:.3g}, corrected {entry['p_holm']:.3g}"
            if entry["p"] is not None
            else (f"no test is possible with fewer than {FEWEST_CASES} cases")
        )
        models = f"{entry['a']} - {entry['b']}"
        say(f"  {models}: {entry['difference']:+.3f}{limits}, {entry['cases']} cases, {verdict}")


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _marked(results: dict[str, Any]) -> str:
    return "  [rules of TransUNet, not comparable with ours]" if results["convention"] == TRANSUNET else ""


# Files ---------------------------------------------------------------------------------------------------


def write_cases(path: Path, results: dict[str, Any]) -> None:
    """cases.csv: one line per model, case, organ and grid; ``exposure``: what the model knew of the case."""
    exposure = {model["name"]: model["exposure"] for model in results["models"]}
    lines = ({**row, "exposure": exposure[row["model"]][row["case"]]} for row in results["rows"])
    _write(path, ("convention", *_ROW_KEYS, *_VOLUME_KEYS, "exposure"), lines, results)


def write_summary(path: Path, results: dict[str, Any]) -> None:
    """summary.csv: one line per model, grid, organ and metric; ``exposure``: such as "selection: 12"."""
    exposure = {model["name"]: _counted(model["exposure"].values()) for model in results["models"]}
    lines = ({**entry, "exposure": exposure[entry["model"]]} for entry in results["summary"])
    _write(path, ("convention", *_SUMMARY_KEYS, *_COUNT_KEYS, "exposure"), lines, results)


def _counted(kinds: Iterable[str]) -> str:
    kinds = [kind for kind in kinds if kind]
    return "; ".join(f"{kind}: {kinds.count(kind)}" for kind in dict.fromkeys(kinds))


def _write(path: Path, keys: Sequence[str], lines: Iterable[dict[str, Any]], results: dict[str, Any]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, keys, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({"convention": results["convention"], **line} for line in lines)
    with atomic(path, overwrite=True) as draft:
        draft.write_text(text.getvalue(), encoding="utf-8", newline="\n")
