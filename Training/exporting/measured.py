"""A model's metrics for its document: means per organ and group of cases, out of what evaluate.py wrote.

A group is named for its data, split and grid, since a mean without these says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iuinet.errors import UsageError

# Metric in results.json -> key in the document; the first is what lists of models show.
METRICS = {"dsc": "dice", "hd95_mm": "hd95_mm", "assd_mm": "assd_mm", "nsd": "nsd"}
GRIDS = ("native", "network")  # "ceiling" says what the grid allows, nothing about a model
_MEASURE = "Make it with Training/evaluate.py."


@dataclass(frozen=True)
class Known:
    """What tells a model in the results: the run's name and the checkpoint's SHA-256, or its id and step.

    A run goes on after it was measured, and a model is exported again: a name alone does not tell.
    """

    run: str = ""
    sha256: str = ""
    id: str = ""
    step: int | None = None

    def is_it(self, model: Mapping) -> bool:
        """Whether an entry of the results is of these very weights."""
        if self.sha256 and model.get("sha256") == self.sha256:
            return True
        step = (model.get("training") or {}).get("step")
        return bool(self.id) and model.get("id") == self.id and step == self.step


NOTHING_KNOWN = Known()


def read_metrics(
    path: Path, model: str | None = None, known: Known = NOTHING_KNOWN, data: Mapping | None = None
) -> dict[str, Any]:
    """The metrics of one model in a results file; see ``summary_of_results``. Raises UsageError "results"."""
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        if results["format"] == 1:
            return summary_of_cases(results["cases"])
        return summary_of_results(results, model, known, data or {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, UsageError):
            raise
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        reason = error.strerror if isinstance(error, OSError) else reason
        raise UsageError(
            f"the results {path} cannot be read: {reason}", hint=_MEASURE, code="results"
        ) from error


def summary_of_results(results: Mapping, model: str | None, known: Known, data: Mapping) -> dict[str, Any]:
    """{"dice": {group: {organ: mean}}, "cases": {group: n}, "hd95_mm": ..., "statements": {group: text}}.

    results: as evaluate.py writes them, format 2. model: name of one of their models; None for the one
    that is known to be this one. data: the checkpoint's own, to tell how far the cases were seen.
    """
    name = _choose(results["models"], model, known)
    about = results["data"]
    summary: dict[str, Any] = {"dice": {}, "cases": {}}
    for grid in GRIDS:
        group = " ".join(word for word in (about["name"], about["split"], about["subset"]) if word)
        group = f"{group}, {grid} grid"
        rows = [row for row in results["summary"] if (row["model"], row["grid"]) == (name, grid)]
        for row in rows:
            key = METRICS.get(row["metric"])
            # "" and "mean" stand for all organs together.
            if key and row["organ"] not in ("", "mean") and row["mean"] is not None:
                means = summary.setdefault(key, {}).setdefault(group, {})
                means[row["organ"]] = round(row["mean"], 4)
        if group in summary["dice"]:
            cases = {row["case"] for row in results["rows"] if (row["model"], row["grid"]) == (name, grid)}
            summary["cases"][group] = len(cases)
            summary.setdefault("statements", {})[group] = _statement(about, cases, data)
    if not summary["dice"]:
        raise UsageError(
            f"the results say nothing about the overlap of the model {name!r}", hint=_MEASURE, code="results"
        )
    convention = results.get("convention", "iuinet")
    return summary if convention == "iuinet" else {**summary, "convention": convention}


def summary_of_cases(cases: list[dict]) -> dict[str, Any]:
    """The same for the measurement on generated CT (format 1): mean DSC per group of cases and organ."""
    groups = dict.fromkeys(case["group"] for case in cases if "dice" in case)
    summary: dict[str, Any] = {"dice": {}, "cases": {}}
    for group in groups:
        scores = [case["dice"] for case in cases if case["group"] == group and "dice" in case]
        organs = dict.fromkeys(organ for score in scores for organ in score)
        known = {organ: [score[organ] for score in scores if organ in score] for organ in organs}
        summary["dice"][group] = {organ: round(sum(v) / len(v), 3) for organ, v in known.items()}
        summary["cases"][group] = sum(case["group"] == group for case in cases)
    return summary


def _choose(models: list[Mapping], wanted: str | None, known: Known) -> str:
    """The name of the model in the results: never a guess, since a number of another model would be a lie."""
    for model in models:
        if model["name"] == wanted if wanted is not None else known.is_it(model):
            return model["name"]
    names = ", ".join(model["name"] for model in models) or "there is none"
    raise UsageError(
        f"the results hold no model {wanted!r}"
        if wanted is not None
        else f"the results are not of this checkpoint of {known.run}",
        hint=f"Measure it with Training/evaluate.py, or choose one with --results-model: {names}.",
        code="results",
    )


def _statement(about: Mapping, cases: set[str], data: Mapping) -> str:
    """What the results say of their cases, and how many of these the training has seen itself."""
    sentences = [about["statement"]] if about.get("statement") else []
    if about["name"] == data.get("name"):
        for part, done in (("train", "trained"), ("validation", "selected")):
            seen = len(cases & set(data.get(part) or ()))
            if seen:
                sentences.append(f"{seen} of these {len(cases)} cases {done} this model.")
    return " ".join(sentences)
