"""The facts about a model that no training run knows: what it may be used for, and how good it is.

Name, licence and intended use come from a card file (TOML or JSON) and options; a licence is never made up:
without one there is no export. Metrics come from what evaluate.py wrote: means per organ and group of cases.
A group is named for its data, split and grid, since a mean without these says nothing.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from statistics import mean, median
from typing import Any

from iuinet.errors import UsageError
from iuinet.weights import PLAIN_NAME
from pipeline.evaluation.candidates import CROSS_VALIDATION

from .model import Trained

# Field -> its kind; a list holds sentences. The table "training" holds words on how the model came about,
# "second_pass" (organs, margin_mm, and smallest_mm or its default) says that the network was trained on such
# boxes, too.
FIELDS: dict[str, type] = {
    **dict.fromkeys(("id", "version", "license", "name", "description", "intended_use"), str),
    **dict.fromkeys(("attributions", "limits", "not_measured"), list),
    **dict.fromkeys(("training", "second_pass"), dict),
}
REQUIRED = ("id", "version", "license")
DEFAULTS = {"attributions": [], "intended_use": "Research, not for clinical use."}
# Metric in results.json -> key in the document; the first is what lists of models show.
METRICS = {"dsc": "dice", "hd95_mm": "hd95_mm", "assd_mm": "assd_mm", "nsd": "nsd"}
GRIDS = ("native", "network")  # "ceiling" says what the grid allows, nothing about a model
_EXAMPLE = "A card is a TOML or JSON file with id, version, license; options such as --license go before it."
_MEASURE = "Make it with Training/evaluate.py."


def read_card(path: Path | None, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A card's fields, checked and with defaults. changes: fields from the command; None is no change.

    Raises: UsageError "card" for a file that cannot be read or has a wrong or unknown field,
    "card-incomplete" if id, version or licence are missing.
    """
    card = _read(path) if path else {}
    card |= {key: value for key, value in (changes or {}).items() if value is not None}
    for key, value in card.items():
        _check(key, value)
    missing = [key for key in REQUIRED if not card.get(key)]
    if missing:
        raise UsageError(
            f"the model has no {' and no '.join(missing)}",
            hint="Give it in the card or as --" + ", --".join(missing) + ". A licence is never made up.",
            code="card-incomplete",
        )
    for key in ("id", "version"):
        if not PLAIN_NAME.fullmatch(card[key]):
            raise UsageError(
                f"the {key} {card[key]!r} is not a plain name",
                hint="Use letters, digits, dots, hyphens and underscores, such as abdomen-13.",
                code="card",
            )
    return {**DEFAULTS, **card}


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        card = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
        if not isinstance(card, dict):
            raise ValueError("it is not a table")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"the card {path} cannot be read: {reason}", hint=_EXAMPLE, code="card") from error
    return card


def _check(key: str, value: Any) -> None:
    if key not in FIELDS:
        near = difflib.get_close_matches(key, [*FIELDS, "licence"], 1)
        hint = f"Did you mean {'license' if near == ['licence'] else near[0]}?" if near else _EXAMPLE
        raise UsageError(f"a card has no field {key!r}", hint=hint, code="card")
    good = isinstance(value, FIELDS[key])
    if good and FIELDS[key] is list:
        good = all(isinstance(item, str) and item for item in value)
    if not good:
        kind = {str: "a text", list: "a list of sentences", dict: "a table"}[FIELDS[key]]
        raise UsageError(f"the card's {key} is {value!r}, not {kind}", hint=_EXAMPLE, code="card")


# How good it is -----------------------------------------------------------------------------------------


def read_metrics(path: Path, trained: Trained, identifier: str, name: str | None = None) -> dict[str, Any]:
    """The metrics of a model in a results file: {"dice": {group: {organ: mean}}, "cases": {group: n}, ...}.

    identifier: the model's id. name: of the model in the results; None for the one that is this checkpoint.
    Raises: UsageError "results" where they cannot be read, or are of no such model.
    """
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        if results["format"] == 1:
            return summary_of_cases(results["cases"])
        name = _name_in_results(results["models"], trained, identifier, name)
        return summary_of_results(results, name, trained.document["data"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, UsageError):
            raise
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        reason = error.strerror if isinstance(error, OSError) else reason
        text = f"the results {path} cannot be read: {reason}"
        raise UsageError(text, hint=_MEASURE, code="results") from error


def summary_of_results(results: Mapping, name: str, data: Mapping) -> dict[str, Any]:
    """{"dice": {group: {organ: mean}}, "cases": {group: n}, "hd95_mm": ..., "statements": {group: text}}.

    results: as evaluate.py writes them, format 2. name: of one of their models. data: what the checkpoint
    says of its own, to know how far the cases were seen.
    """
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
        text = f"the results say nothing about the overlap of the model {name!r}"
        raise UsageError(text, hint=_MEASURE, code="results")
    convention = results.get("convention", "iuinet")
    if convention == "iuinet" and (real := _real_scans(results, name)):
        summary["real_scans"] = real
    return summary if convention == "iuinet" else {**summary, "convention": convention}


def _real_scans(results: Mapping, name: str) -> dict[str, Any]:
    """What ``iuinet.quality`` judges a model by: scores on real scans that it had not met; {} without any.

    What it was trained on, or chosen by, or may have seen says nothing of a new patient.
    """
    about = results["data"]
    model = next(model for model in results["models"] if model["name"] == name)
    new = {case for case, kind in (model.get("exposure") or {}).items() if not kind}
    if about.get("generated") or not new:
        return {}
    scores: dict[str, list[float]] = {}
    for row in results["rows"]:
        mine = (row["model"], row["grid"]) == (name, "native") and row["case"] in new
        if mine and row.get("dsc") is not None:
            scores.setdefault(row["organ"], []).append(row["dsc"])
    organs = {
        organ: {
            "cases": len(dsc),
            **{name: round(of(dsc), 4) for name, of in (("median", median), ("mean", mean), ("worst", min))},
        }
        for organ, dsc in scores.items()
    }
    said = f"{len(new)} cases of {about['name']} that it had not seen"
    if model.get("kind") == CROSS_VALIDATION:
        said += ", cross-validated: of models of its recipe, each on the cases kept from it"
    return {"data": said, "grid": "native", "organs": organs} if organs else {}


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


def _name_in_results(models: list[Mapping], trained: Trained, identifier: str, wanted: str | None) -> str:
    """The name of the model in the results: never a guess, since a number of another model would be a lie.

    A run goes on after it was measured, and a model is exported again: the checkpoint's SHA-256 tells, or the
    model's id together with its step; the run's name alone does not.
    """
    this = (identifier, trained.document["step"])
    for model in models:
        its = (model.get("id"), (model.get("training") or {}).get("step"))
        same = model.get("sha256") == trained.sha256 or its == this
        if model["name"] == wanted if wanted is not None else same:
            return model["name"]
    names = ", ".join(model["name"] for model in models) or "there is none"
    text = f"the results are not of this checkpoint of {trained.run}"
    if wanted is not None:
        text = f"the results hold no model {wanted!r}"
    hint = f"Measure it with Training/evaluate.py, or choose one with --results-model: {names}."
    raise UsageError(text, hint=hint, code="results")


def _statement(about: Mapping, cases: set[str], data: Mapping) -> str:
    """What the results say of their cases, and how many of these the training has seen itself."""
    sentences = [about["statement"]] if about.get("statement") else []
    if about["name"] == data.get("name"):
        for part, done in (("train", "trained"), ("validation", "selected")):
            seen = len(cases & set(data.get(part) or ()))
            if seen:
                sentences.append(f"{seen} of these {len(cases)} cases {done} this model.")
    return " ".join(sentences)
