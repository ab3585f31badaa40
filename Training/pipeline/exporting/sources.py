"""Licence, source and exposure of everything that a model has seen, from what its trainings recorded.

A training's "data" and those of the models that it started from name sets, cases and label maps; sources.toml
says whose they are. ``export.py`` puts the answer into the model's document, card and list by itself.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.evaluation.exposure import MAPS, is_synthetic

SCANS, PAIRS = "scans and labels", "registered pairs, for pre-training"
_UNKNOWN = "not known to this program; its own terms apply"


@cache
def _known() -> list[dict[str, Any]]:
    text = Path(__file__).with_name("sources.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["source"]


def sources_of(training: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Everything that a training and the models before it have seen, each source and kind of use once.

    training: a model's, as its document has it. Each has "name", "source", "licence", "seen" (SCANS, PAIRS or
    MAPS), "own_terms", and "cases": ids of cases or maps, or their mere number where ids are secret.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for source in _all(training, {}):
        before = found.setdefault((source["name"], source["seen"]), source)
        if before is not source:
            before["cases"] = _together(before["cases"], source["cases"])
    return list(found.values())


def _all(training: Mapping[str, Any], named: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """named: label maps of the trainings that came later, by the maps' fingerprint."""
    data = training.get("data") if isinstance(training.get("data"), Mapping) else {}
    synthetic = data.get("synthetic") or {}
    if is_synthetic(data):
        synthetic = {"anatomies": data.get("train"), "fingerprint": data.get("fingerprint")}
    elif data.get("generated"):
        yield _source("generated CT", SCANS, data.get("train"), "this program", "none needed: no patient's")
    elif data:
        known = next((one for one in _known() if one.get("data") == data.get("name")), {})
        name = known.get("name", str(data.get("name")))
        cases = data.get("train")
        if training.get("selection", True) is not None:  # what chose the weights was seen, too
            cases = _together(cases, data.get("validation") or [])
        said = known.get("source", ""), known.get("licence", _UNKNOWN), known
        yield _source(name, SCANS, cases, *said)
        if data.get("pretrain"):
            yield _source(name, PAIRS, data["pretrain"], *said)
    maps, fingerprint = synthetic.get("anatomies"), synthetic.get("fingerprint")
    if not isinstance(maps, list):  # older records tell only how many
        maps = named.get(fingerprint, maps)
    elif fingerprint:
        named = {**named, fingerprint: maps}
    yield from _of_maps(maps)
    start = training.get("start")
    if isinstance(start, Mapping):
        # Its list may know more than its record, such as the maps whose mere number the record has.
        told = start.get("sources") or []
        yield from (dict(one) for one in told)
        if not told:
            yield from _all({"data": start.get("trained_on"), "start": start.get("start")}, named)


def _of_maps(names: Any) -> Iterable[dict[str, Any]]:
    """The sources of label maps. names: a list, or their mere number."""
    if not isinstance(names, list):
        if names:
            yield _source("unnamed label maps", MAPS, names, "", _UNKNOWN)
        return
    rest = list(names)
    for known in _known():
        own = [name for name in rest if re.fullmatch(known["label_maps"], name)]
        rest = [name for name in rest if name not in own]
        if own:
            yield _source(known["name"], MAPS, own, known["source"], known["licence"], known)
    if rest:
        yield _source(", ".join(rest), MAPS, rest, "", _UNKNOWN)


def _source(
    name: str, seen: str, cases: Any, source: str, licence: str, known: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    cases = sorted(cases) if isinstance(cases, list | tuple) else int(cases or 0)
    terms = bool((known or {}).get("own_terms"))
    return {
        "name": name,
        "source": source,
        "licence": licence,
        "seen": seen,
        "cases": cases,
        "own_terms": terms,
    }


def _together(one: Any, other: Any) -> Any:
    """Ids of both; their number where either is a mere number, at most counted twice."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return sorted({*one, *other})
    return sum(len(part) if isinstance(part, list | tuple) else int(part or 0) for part in (one, other))


def licence_of(weights: str, sources: Sequence[Mapping[str, Any]]) -> str:
    """The licence as it stands in document, card and list. weights: what the maker gives the weights.

    Sources whose terms are not settled are named, or, where there are none, those with another licence.
    """
    weights = weights.removeprefix("Weights: ").partition("; ")[0]  # of an earlier export
    named, how = [one["name"] for one in sources if one.get("own_terms")], "trained in part on"
    if not named:
        how = "made with"
        others = [one for one in sources if one["source"] and not _same(one["licence"], weights)]
        named = [f"{one['name']} ({one['licence']})" for one in others]
    named = list(dict.fromkeys(named))
    if not named:
        return weights
    listed = " and ".join(part for part in (", ".join(named[:-1]), named[-1]) if part)
    return f"Weights: {weights}; {how} {listed}, whose own terms apply"


def _same(licence: str, weights: str) -> bool:
    plain = [re.sub(r"[^a-z0-9]", "", text.lower()) for text in (licence, weights)]
    return plain[0].startswith(plain[1])


def sentences(sources: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a card says of them."""
    lines = []
    for one in sources:
        listed = isinstance(one["cases"], list)
        cases = ", ".join(one["cases"]) if listed else f"{one['cases']} whose names are not told"
        source = f" {one['source']}." if one["source"] else ""
        lines.append(f"Seen: {one['name']}, {one['seen']}: {cases}.{source} Licence: {one['licence']}.")
    return lines
