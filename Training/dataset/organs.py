"""Organ subsets by name, and the way from raw label ids to a network's channels."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from iuinet.errors import UsageError

from .sources import UNKNOWN

if TYPE_CHECKING:
    from .prepared import PreparedData


@cache
def subsets() -> dict[str, list[str]]:
    """Names of organs by the name of a subset: organs.toml."""
    return tomllib.loads(Path(__file__).with_name("organs.toml").read_text(encoding="utf-8"))


def organ_names(data: PreparedData, chosen: str | Sequence[str]) -> tuple[str, ...]:
    """The organs of a choice as the data call them, in the order of the choice.

    chosen: a subset ("paper3", "transunet8", "all13"), "all" for all that the data hold, one name, several in
    one text with commas, or a sequence of names; case does not matter. Raises UsageError "unknown-organ" for
    what the data do not hold, and for an organ chosen twice.
    """
    known = {_plain(organ["name"]): organ["name"] for organ in data.organs}
    if isinstance(chosen, str):
        if chosen == "all":
            return tuple(known.values())
        names = subsets().get(chosen) or [name.strip() for name in chosen.split(",") if name.strip()]
    else:
        names = list(chosen)
    hint = f"The data hold: {', '.join(known.values())}. Subsets: {', '.join(subsets())}, all."
    unknown = [name for name in names if _plain(name) not in known]
    if unknown:
        raise UsageError(f"the data hold no organ {', '.join(unknown)}", hint=hint, code="unknown-organ")
    found = tuple(known[_plain(name)] for name in names)
    if not found or len(set(found)) < len(found):
        raise UsageError("no organ is chosen, or one is chosen twice", hint=hint, code="unknown-organ")
    return found


def channel_lookup(data: PreparedData, names: Sequence[str]) -> torch.Tensor:
    """uint8 (256,): raw label id -> channel. 0 is background and all that is not chosen, n the nth name;
    255 (unknown) stays 255. Raises UsageError "unknown-organ"."""
    labels = {organ["name"]: organ["label"] for organ in data.organs}
    lookup = torch.zeros(256, dtype=torch.uint8)
    for channel, name in enumerate(organ_names(data, names), start=1):
        lookup[labels[name]] = channel
    lookup[UNKNOWN] = UNKNOWN
    return lookup


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())
