"""What a model is called, may be used for and stands on: the facts that no training run knows.

They come from a card file (TOML or JSON) and options. Everything else, such as data, split and recipe, comes
from the checkpoint. A licence is never made up: without one there is no export.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iuinet.errors import UsageError
from iuinet.weights import PLAIN_NAME

# Field -> its kind; a list holds sentences. The table "training" holds words on how the model came about,
# "second_pass" (organs, margin_mm) says that the network was trained on such boxes, too: ``iuinet.refine``.
FIELDS: dict[str, type] = {
    "id": str,
    "version": str,
    "license": str,
    "name": str,
    "description": str,
    "intended_use": str,
    "attributions": list,
    "limits": list,
    "not_measured": list,
    "training": dict,
    "second_pass": dict,
}
REQUIRED = ("id", "version", "license")
DEFAULTS = {"attributions": [], "intended_use": "Research, not for clinical use."}
_EXAMPLE = "A card is a TOML or JSON file with id, version, license; options such as --license go before it."


def read_card(path: Path | None, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A card's fields, checked and with defaults. changes: fields from the command; None is no change.

    Raises UsageError "card" for a file that cannot be read or has a wrong or unknown field,
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
                f"the {key} {card[key]!r} is no plain name",
                hint="Use letters, digits, dots, hyphens and underscores, such as abdomen-13.",
                code="card",
            )
    return {**DEFAULTS, **card}


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        card = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
        if not isinstance(card, dict):
            raise ValueError("it is no table")
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
