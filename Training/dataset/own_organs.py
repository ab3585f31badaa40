"""Organs of own data from a TOML file: what the labels are called, and where wanted colours and codes.

[[organs]]
name = "liver"
label = 1
color = [221, 130, 101]                        # optional: red, green, blue
terminology = {type = {scheme = "SCT", value = "10200004", meaning = "Liver"}}   # optional, as in organs.json

ignore = 255                                   # optional, before the first table: the label for "unknown"
[splits.mine]                                  # optional: own splits
train = ["case a"]
validation = ["case b"]
test = ["case c"]
"""

from __future__ import annotations

import tomllib
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from iuinet.errors import UsageError, WeightsError
from iuinet.labels import organs_of_model

from .sources import UNKNOWN

_KEYS = {"name", "label", "color", "terminology"}
_EXAMPLE = 'For example: [[organs]], then on lines of their own name = "liver" and label = 1.'
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class OrganFile:
    """What such a file says."""

    organs: tuple[dict, ...]
    ignore: int | None
    splits: dict[str, dict[str, list[str]]]


def read_organs(path: Path) -> OrganFile:
    """Read a file of organs. Raises UsageError that names the file and the entry."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise _refused(path, f"cannot be read: {reason}") from error
    unknown = set(document) - {"organs", "ignore", "splits"}
    if unknown:
        raise _refused(path, f"has {sorted(unknown)[0]!r}, which is not understood")
    entries = document.get("organs")
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise _refused(path, "lists no organs")
    for entry in entries:
        if set(entry) - _KEYS:
            raise _refused(
                path, f"has {sorted(set(entry) - _KEYS)[0]!r} in an organ, which is not understood"
            )
    ignore = document.get("ignore")
    if ignore is not None and (type(ignore) is not int or ignore < 1):
        raise _refused(path, f"has ignore = {ignore!r}, which is no positive whole number")
    return OrganFile(tuple(entries), ignore, _splits(document.get("splits", {}), path))


def _splits(splits: dict, path: Path) -> dict[str, dict[str, list[str]]]:
    found = {}
    for name, parts in splits.items():
        if not isinstance(parts, dict) or set(parts) - set(PARTS) or not parts.get("train"):
            raise _refused(
                path, f"has the split {name!r} without train, or with other lists than {', '.join(PARTS)}"
            )
        if not all(
            isinstance(ids, list) and all(isinstance(one, str) for one in ids) for ids in parts.values()
        ):
            raise _refused(path, f"has the split {name!r} with something that is no list of case names")
        found[name] = {
            part: [unicodedata.normalize("NFC", one) for one in parts.get(part, [])] for part in PARTS
        }
    return found


def complete(table: tuple[dict, ...], entries: tuple[dict, ...]) -> tuple[dict, ...]:
    """A table with the colours and codes of entries of the same name; labels come from the table.

    Raises UsageError for an entry that the table does not know, or that gives it another label.
    """
    by_name = {_plain(organ["name"]): dict(organ) for organ in table}
    for entry in entries:
        organ = by_name.get(_plain(str(entry.get("name", ""))))
        if organ is None or entry.get("label", organ["label"]) != organ["label"]:
            known = ", ".join(f"{one['name']} = {one['label']}" for one in table)
            raise UsageError(
                f"the data hold no organ {entry.get('name')!r} with the label {entry.get('label')}",
                hint=f"The data hold: {known}.",
                code="organs",
            )
        organ.update({key: entry[key] for key in ("color", "terminology") if key in entry})
    return checked(tuple(by_name.values()))


def checked(organs: tuple[dict, ...]) -> tuple[dict, ...]:
    """The organs in the order of their labels. Raises UsageError for what no organ can be."""
    names, labels = set(), set()
    for organ in organs:
        name, label = organ.get("name"), organ.get("label")
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise _wrong(f"an organ has the name {name!r}, which is no text")
        if type(label) is not int or not 1 <= label < UNKNOWN:
            raise _wrong(
                f"{name!r} has the label {label!r}, which is no whole number from 1 to {UNKNOWN - 1}"
            )
        if _plain(name) in names or label in labels:
            raise _wrong(f"the name {name!r} or its label {label} is given twice")
        names.add(_plain(name))
        labels.add(label)
    for organ in organs:
        try:
            organs_of_model({"organs": [organ]})
        except WeightsError as error:
            reason = error.message.split(": ", 1)[-1]
            raise UsageError(
                f"the color or terminology of {organ['name']!r} makes no sense: {reason}",
                hint="color = [red, green, blue] from 0 to 255; terminology as in iuinet/organs.json.",
                code="organs",
            ) from error
    return tuple(sorted(organs, key=lambda organ: organ["label"]))


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())


def _wrong(text: str) -> UsageError:
    hint = (
        f"Labels run from 1 to {UNKNOWN - 1} (0: background, {UNKNOWN}: unknown), each name and label once."
    )
    return UsageError(text, hint=hint, code="organs")


def _refused(path: Path, what: str) -> UsageError:
    return UsageError(f"the file of organs {path} {what}", hint=_EXAMPLE, code="organs-file")
