"""The organs of a data set: their table, subsets by name, and the way from raw label ids to channels.

The numbers of the labels come with the data. A TOML file may add what those do not tell:

labelled = ["liver", "spleen"]  # optional: where the others are is unknown, and not that nobody has them
clipped = [-125, 275]           # optional: lowest and highest HU that the images still hold
air = -125                      # optional: what stands for air in them

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
ORGANS_FILE = "organs.toml"
PARTS = ("train", "validation", "test")
_KEYS = {"name", *(_OPTIONAL := ("color", "terminology", "pieces"))}
_TOP = ("organs", "splits", "labelled", "clipped", "air")
_EXAMPLE = (
    'For example: [[organs]], then on lines of their own name = "liver" and color = [221, 130, 101]. '
    "The numbers of the labels come with the data."
)


@dataclass(frozen=True)
class Declared:
    """What a set says of itself, as above; None where it says nothing. labelled: as the table names them."""

    splits: Splits = field(default_factory=dict)
    labelled: tuple[str, ...] | None = None
    clipped: tuple[float, float] | None = None
    air: float | None = None


# Choosing organs ----------------------------------------------------------------------------------------


@cache
def subsets() -> dict[str, list[str]]:
    """Names of organs by the name of a subset: organs.toml."""
    return tomllib.loads(Path(__file__).with_name("organs.toml").read_text(encoding="utf-8"))


@cache
def label_maps() -> dict[str, dict[str, int]]:
    """Numbers of the organs by the name of a copy of the Synapse set: labelmaps.toml."""
    return tomllib.loads(Path(__file__).with_name("labelmaps.toml").read_text(encoding="utf-8"))


def organ_names(
    data: PreparedData, chosen: str | Sequence[str], elsewhere: Sequence[str] = ()
) -> tuple[str, ...]:
    """The organs of a choice as the data call them, in the order of the choice.

    chosen: a subset ("paper3", "transunet8", "all13"), "all" for all that the data label, one name, several
    in one text with commas, or a sequence of names; case does not matter.
    elsewhere: organs that other data of the same training label; they can be chosen too.
    Raises: UsageError "unknown-organ" for what the data do not hold, and for an organ chosen twice;
    "organ-unlabelled" for one that they do not label, since a network would learn that nobody has it.
    """
    known = {plain_name(name): name for name in (*elsewhere, *(organ["name"] for organ in data.organs))}
    labelled = {plain_name(name) for name in (*data.labelled, *elsewhere)}
    if isinstance(chosen, str):
        if chosen == "all":
            own = [plain_name(organ["name"]) for organ in data.organs]
            return tuple(known[name] for name in dict.fromkeys([*own, *known]) if name in labelled)
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
    unlabelled = [name for name in found if plain_name(name) not in labelled]
    if unlabelled:
        raise UsageError(
            f"the data do not label {', '.join(unlabelled)}: nothing would teach a network where they are",
            hint=f"Choose from what they label, with data.organs: {', '.join(data.labelled)}.",
            code="organ-unlabelled",
        )
    return found


def channel_lookup(data: PreparedData, names: Sequence[str]) -> torch.Tensor:
    """uint8 (256,): raw label id -> channel. 0 is background and all that is not chosen, n the nth name;
    255 (unknown) stays 255.

    Raises: UsageError "unknown-organ" as ``organ_names`` does.
    """
    labels = {organ["name"]: organ["label"] for organ in data.organs}
    return lookup_of(labels, organ_names(data, names))


def lookup_of(labels: Mapping[str, int], names: Sequence[str]) -> torch.Tensor:
    """The same from raw label ids by organ; a name that these do not have has no voxels."""
    numbers = {plain_name(name): label for name, label in labels.items()}
    lookup = torch.zeros(256, dtype=torch.uint8)
    for channel, name in enumerate(names, start=1):
        if plain_name(name) in numbers:
            lookup[numbers[plain_name(name)]] = channel
    lookup[UNKNOWN] = UNKNOWN
    return lookup


def shown_classes(labelled: Sequence[str], names: Sequence[str]) -> torch.Tensor | None:
    """bool (classes,): background, and which of the names are labelled; None where all are."""
    known = {plain_name(name) for name in labelled}
    shown = [True, *(plain_name(name) in known for name in names)]
    return None if all(shown) else torch.tensor(shown)


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


def complete(table: tuple[dict, ...], path: Path) -> tuple[tuple[dict, ...], Declared]:
    """The table with the colours and codes of a file of organs, and what else the file declares.

    Raises: UsageError "organs-file" for a wrong entry of the file, "organs" for one that the table lacks.
    """
    entries, declared = _read(path)
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
    if declared.labelled is not None:
        wrong = [name for name in declared.labelled if plain_name(name) not in by_name]
        if wrong:
            raise _refused(path, f"has labelled = {wrong}, which are no organs of the data")
        named = {plain_name(name) for name in declared.labelled}
        names = tuple(organ["name"] for key, organ in by_name.items() if key in named)
        declared = replace(declared, labelled=names)
    return tuple(by_name.values()), declared


def _read(path: Path) -> tuple[list[dict], Declared]:
    """Organs of a file of organs, and what it declares."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise _refused(path, f"cannot be read: {reason}") from error
    entries = document.get("organs", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _refused(path, "has organs that are not tables")
    odd = sorted(set(document) - set(_TOP))
    odd += [f"organs.{key}" for entry in entries for key in sorted(set(entry) - _KEYS)]
    if odd:
        raise _refused(path, f"has {odd[0]!r}, which is not understood")
    return entries, _declared(document, path)


def _declared(document: dict, path: Path) -> Declared:
    labelled, clipped, air = (document.get(key) for key in ("labelled", "clipped", "air"))
    lists = [one if isinstance(one, list) else [] for one in (labelled, clipped)]
    if labelled is not None and not (lists[0] and all(isinstance(name, str) for name in lists[0])):
        raise _refused(path, f"has labelled = {labelled!r}, which is not a list of names")
    pair = lists[1] if len(lists[1]) == 2 and all(map(_is_number, lists[1])) else [0, 0]
    if clipped is not None and not pair[0] < pair[1]:
        raise _refused(path, f"has clipped = {clipped!r}, which is not a lowest and a highest HU")
    if air is not None and not _is_number(air):
        raise _refused(path, f"has air = {air!r}, which is not a number of HU")
    return Declared(
        _splits(document.get("splits", {}), path),
        None if labelled is None else tuple(labelled),
        None if clipped is None else tuple(map(float, clipped)),
        None if air is None else float(air),
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e5


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
