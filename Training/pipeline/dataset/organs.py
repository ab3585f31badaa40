"""The organs of a data set: their table, subsets by name, and the way from raw label ids to channels.

The numbers of the labels come with the data. A TOML file may add what those do not tell:

[[organs]]
name = "liver"                                 # as the data call it
color = [221, 130, 101]                        # optional: red, green, blue
terminology = {type = {scheme = "SCT", value = "10200004", meaning = "Liver"}}   # optional, as in organs.json
pieces = "largest"                             # optional: one piece, so that a result keeps only the largest;
                                               # "all" (usual for own data): all that the network finds

[splits.mine]                                  # optional: own splits
train = ["case a"]
validation = ["case b"]
test = ["case c"]
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import normalize

import torch

from iuinet.errors import UsageError, WeightsError
from iuinet.labels import organs_of_model, plain_name

from .findings import UNKNOWN

if TYPE_CHECKING:
    from .prepared import PreparedData

Splits = dict[str, dict[str, list[str]]]  # name -> "train", "validation", "test" -> ids
PARTS = ("train", "validation", "test")
_KEYS = {"name", *(_OPTIONAL := ("color", "terminology", "pieces"))}
_EXAMPLE = (
    'For example: [[organs]], then on lines of their own name = "liver" and color = [221, 130, 101]. '
    "The numbers of the labels come with the data."
)


# Choosing organs ----------------------------------------------------------------------------------------


@cache
def subsets() -> dict[str, list[str]]:
    """Names of organs by the name of a subset: organs.toml."""
    return tomllib.loads(Path(__file__).with_name("organs.toml").read_text(encoding="utf-8"))


def organ_names(data: PreparedData, chosen: str | Sequence[str]) -> tuple[str, ...]:
    """The organs of a choice as the data call them, in the order of the choice.

    chosen: a subset ("paper3", "transunet8", "all13"), "all" for all that the data hold, one name, several in
    one text with commas, or a sequence of names; case does not matter.
    Raises: UsageError "unknown-organ" for what the data do not hold, and for an organ chosen twice.
    """
    known = {plain_name(organ["name"]): organ["name"] for organ in data.organs}
    if isinstance(chosen, str):
        if chosen == "all":
            return tuple(known.values())
        names = subsets().get(chosen) or [name.strip() for name in chosen.split(",") if name.strip()]
    else:
        names = list(chosen)
    hint = f"The data hold: {', '.join(known.values())}. Subsets: {', '.join(subsets())}, all."
    unknown = [name for name in names if plain_name(name) not in known]
    if unknown:
        raise UsageError(f"the data hold no organ {', '.join(unknown)}", hint=hint, code="unknown-organ")
    found = tuple(known[plain_name(name)] for name in names)
    if not found or len(set(found)) < len(found):
        raise UsageError("no organ is chosen, or one is chosen twice", hint=hint, code="unknown-organ")
    return found


def channel_lookup(data: PreparedData, names: Sequence[str]) -> torch.Tensor:
    """uint8 (256,): raw label id -> channel. 0 is background and all that is not chosen, n the nth name;
    255 (unknown) stays 255.

    Raises: UsageError "unknown-organ" as ``organ_names`` does.
    """
    labels = {organ["name"]: organ["label"] for organ in data.organs}
    lookup = torch.zeros(256, dtype=torch.uint8)
    for channel, name in enumerate(organ_names(data, names), start=1):
        lookup[labels[name]] = channel
    lookup[UNKNOWN] = UNKNOWN
    return lookup


# The table ----------------------------------------------------------------------------------------------


def checked(organs: tuple[dict, ...]) -> tuple[dict, ...]:
    """The organs in the order of their labels.

    Raises: UsageError "organs" for what cannot be an organ.
    """
    names, labels = set(), set()
    for organ in organs:
        name, label = organ["name"], organ["label"]
        if not name.strip() or not name.isprintable():
            raise _wrong(f"an organ has the name {name!r}, which is not a text")
        if type(label) is not int or not 1 <= label < UNKNOWN:
            limits = f"1 to {UNKNOWN - 1}"
            raise _wrong(f"{name!r} has the label {label!r}, which is not a whole number from {limits}")
        if plain_name(name) in names or label in labels:
            raise _wrong(f"the name {name!r} or its label {label} is given twice")
        names.add(plain_name(name))
        labels.add(label)
    return tuple(sorted(organs, key=lambda organ: organ["label"]))


def _wrong(text: str) -> UsageError:
    hint = f"Labels run from 1 to {UNKNOWN - 1} (0: background, {UNKNOWN}: unknown), "
    return UsageError(text, hint=hint + "each name and label once.", code="organs")


def complete(table: tuple[dict, ...], path: Path) -> tuple[tuple[dict, ...], Splits]:
    """The table with the colours and codes of a file of organs, and the file's splits.

    Raises: UsageError "organs-file" for a wrong entry of the file, "organs" for one that the table lacks.
    """
    entries, splits = _read(path)
    by_name = {plain_name(organ["name"]): dict(organ) for organ in table}
    for entry in entries:
        organ = by_name.get(plain_name(str(entry.get("name", ""))))
        if organ is None:
            raise UsageError(
                f"the data hold no organ {entry.get('name')!r}, which {path} names",
                hint=f"The data hold: {', '.join(one['name'] for one in table)}.",
                code="organs",
            )
        organ.update({key: entry[key] for key in _OPTIONAL if key in entry})
        try:
            organs_of_model({"organs": [organ]})
        except WeightsError as error:
            reason = error.message.split(": ", 1)[-1]
            raise UsageError(
                f"the color, terminology or pieces of {organ['name']!r} make no sense: {reason}",
                hint="color = [red, green, blue] from 0 to 255; terminology as in iuinet/organs.json; pieces "
                '= "largest" or "all".',
                code="organs",
            ) from error
    return tuple(by_name.values()), splits


def _read(path: Path) -> tuple[list[dict], Splits]:
    """Organs and splits of a file of organs."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise _refused(path, f"cannot be read: {reason}") from error
    entries = document.get("organs", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _refused(path, "has organs that are not tables")
    odd = sorted(set(document) - {"organs", "splits"})
    odd += [f"organs.{key}" for entry in entries for key in sorted(set(entry) - _KEYS)]
    if odd:
        raise _refused(path, f"has {odd[0]!r}, which is not understood")
    return entries, _splits(document.get("splits", {}), path)


def _splits(splits: dict, path: Path) -> Splits:
    found = {}
    for name, parts in splits.items():
        it = f"has the split {name!r}"
        if not isinstance(parts, dict) or set(parts) - set(PARTS) or not parts.get("train"):
            raise _refused(path, f"{it} without train, or with other lists than {', '.join(PARTS)}")
        lists = all(isinstance(ids, list) for ids in parts.values())
        if not lists or not all(isinstance(one, str) for ids in parts.values() for one in ids):
            raise _refused(path, f"{it} with something that is not a list of case names")
        found[name] = {part: [normalize("NFC", one) for one in parts.get(part, [])] for part in PARTS}
    return found


def _refused(path: Path, what: str) -> UsageError:
    return UsageError(f"the file of organs {path} {what}", hint=_EXAMPLE, code="organs-file")
