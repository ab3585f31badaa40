"""The organs: label ids, names, colours and SNOMED CT codes, for every layer that shows or writes them.

``organs.json`` is the one table. Its colours are those that Slicer recommends (liver, spleen, esophagus,
pancreas) wherever these can be told apart: Slicer gives both sides of a paired organ one colour, the stomach
and the aorta nearly the liver's, and the gallbladder one too dark on a scan; these have colours of their own.
A model brings a list of its own organs, in the order of its channels;
what it leaves out about an organ that the table knows is taken from the table, and nothing is invented
for one that the table does not know. Needs no torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import UsageError, WeightsError

# Names of Slicer's own vocabularies. They hold all codes of the table but that of the portal and splenic
# veins together; Slicer reads the codes from the segment, and needs no list for that.
CONTEXT = "Segmentation category and type - DICOM master list"
REGION_CONTEXT = "Anatomic codes - DICOM master list"
NEUTRAL_COLOR = (170, 170, 170)  # for an organ whose colour neither the model nor the table holds
# Whether an organ is one piece, so that what a network finds apart from it is a mistake, or may be several.
LARGEST, ALL = "largest", "all"
OURS = "IUINet.Organ"  # tag of the segments that IUINet made
ALGORITHM = "IUINet"  # what made a segment, where the model is not known


@dataclass(frozen=True)
class Code:
    """A term of a vocabulary, such as SCT 10200004 "Liver"."""

    scheme: str
    value: str
    meaning: str

    def __post_init__(self) -> None:
        for text in (self.scheme, self.value, self.meaning):
            # The first four separate terms in Slicer's texts, where nothing can be escaped.
            if not isinstance(text, str) or not text or any(sign in text for sign in "~^|&\r\n"):
                raise ValueError(f"{text!r} cannot be part of a term")

    def __str__(self) -> str:
        return f"{self.scheme}^{self.value}^{self.meaning}"


ANATOMICAL_STRUCTURE = Code("SCT", "123037004", "Anatomical Structure")


@dataclass(frozen=True)
class Terminology:
    """What a segment shows, in codes. modifier: its side. note: what a reader of the codes should know."""

    type: Code
    modifier: Code | None = None
    category: Code = ANATOMICAL_STRUCTURE
    note: str = ""


@dataclass(frozen=True)
class Organ:
    """One structure. label: its number in label maps, 1 to 255. color: red, green, blue, 0 to 255.

    pieces: LARGEST for an organ that is one piece, of which only the largest is kept; ALL for others, such
    as "kidneys" or "lesions".
    """

    name: str
    label: int
    color: tuple[int, int, int] = NEUTRAL_COLOR
    terminology: Terminology | None = None
    pieces: str = ALL

    @property
    def id(self) -> int:
        """The label, by the name that label tables use."""
        return self.label


def terminology_entry(organ: Organ) -> str:
    """Slicer's text for the organ's codes, "" for an organ without codes.

    Seven parts: vocabulary, category, type, its modifier, and the region's vocabulary, term and modifier,
    which stay empty because an organ implies its region.

    >>> terminology_entry(organ_by_name("liver")).split("~")[2]
    'SCT^10200004^Liver'
    """
    terms = organ.terminology
    if terms is None:
        return ""
    modifier = str(terms.modifier or "^^")
    return "~".join([CONTEXT, str(terms.category), str(terms.type), modifier, REGION_CONTEXT, "^^", "^^"])


def segment_tags(organ: Organ, algorithm: str = ALGORITHM) -> dict[str, str]:
    """What is said of an organ's segment beside its name and colour, as Slicer keeps it.

    That a machine made it, and which one (DICOM PS3.3 C.8.20.4: Segment Algorithm Type and Name), goes into
    the DICOM segmentation that Slicer exports; without that Slicer writes MANUAL.

    >>> segment_tags(organ_by_name("liver"), "IUINet starter 1.0")["DICOM.SegmentAlgorithmName"]
    'IUINet starter 1.0'
    """
    entry = terminology_entry(organ)
    tags = {"TerminologyEntry": entry} if entry else {}
    machine = {"DICOM.SegmentAlgorithmType": "AUTOMATIC", "DICOM.SegmentAlgorithmName": algorithm}
    return tags | machine | {OURS: organ.name}


def organ_by_name(name: str) -> Organ | None:
    """The table's organ of this name, whatever its case; None for one that the table does not know.

    >>> organ_by_name("Liver").label
    6
    """
    return _BY_NAME.get(plain_name(name))


def organs_of_model(document: Mapping[str, Any]) -> tuple[Organ, ...]:
    """A model's organs in the order of its channels 1, 2, ... (0 is the background).

    document: the model's JSON document; each entry of its "organs" has a name and a label, and may have a
    color [red, green, blue], a terminology as in organs.json, and pieces ("largest" or "all"; without it an
    organ of the table is one piece, and all pieces of any other are kept).
    Raises: WeightsError for a colour, terms or pieces that make no sense.

    >>> [organ.label for organ in organs_of_model({"organs": [{"name": "liver", "label": 1}]})]
    [1]
    """
    try:
        return tuple(_organ(entry) for entry in document["organs"])
    except (KeyError, TypeError, ValueError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise WeightsError(
            f"the organs of the model {document.get('id', '')!r} cannot be read: {reason}",
            hint="Export the model again with Training/export.py.",
            code="weights-metadata",
        ) from error


def select(organs: Iterable[Organ], names: Sequence[str]) -> tuple[Organ, ...]:
    """The organs of these names, whatever their case, in the order of the organs.

    Raises: UsageError "unknown-organ", which lists those that can be chosen, or "no-organ".

    >>> [organ.name for organ in select(ORGANS, ["Liver", "spleen"])]
    ['spleen', 'liver']
    """
    organs = tuple(organs)
    known = {plain_name(organ.name) for organ in organs}
    unknown = [name for name in names if plain_name(name) not in known]
    hint = f"Choose from: {', '.join(organ.name for organ in organs)}."
    if unknown:
        listed = ", ".join(repr(name) for name in unknown)
        raise UsageError(f"the model knows no organ {listed}", hint=hint, code="unknown-organ")
    if not names:
        raise UsageError("no organ is chosen", hint=hint, code="no-organ")
    wanted = {plain_name(name) for name in names}
    return tuple(organ for organ in organs if plain_name(organ.name) in wanted)


def plain_name(name: str) -> str:
    """An organ's name as names are compared: without regard to case and spacing.

    >>> plain_name("Left  Kidney")
    'left kidney'
    """
    return " ".join(name.casefold().split())


def _organ(entry: Mapping[str, Any]) -> Organ:
    """An organ from a model's list, completed from the table where the name is known."""
    known = organ_by_name(entry["name"]) or Organ(entry["name"], entry["label"])
    color, terms, pieces = entry.get("color"), entry.get("terminology"), entry.get("pieces", known.pieces)
    if pieces not in (LARGEST, ALL):
        raise ValueError(f"the pieces {pieces!r} of {entry['name']!r} are neither {LARGEST!r} nor {ALL!r}")
    return Organ(
        entry["name"],
        entry["label"],
        known.color if color is None else _color(color),
        known.terminology if terms is None else _terminology(terms),
        pieces,
    )


def _color(value: Sequence[int]) -> tuple[int, int, int]:
    if len(value) != 3 or not all(type(part) is int and 0 <= part <= 255 for part in value):
        raise ValueError(f"the color {value} is not red, green and blue from 0 to 255")
    return tuple(value)


def _terminology(entry: Mapping[str, Any]) -> Terminology:
    return Terminology(
        type=Code(**entry["type"]),
        modifier=Code(**entry["modifier"]) if "modifier" in entry else None,
        category=Code(**entry["category"]) if "category" in entry else ANATOMICAL_STRUCTURE,
        note=entry.get("note", ""),
    )


def _read_table() -> tuple[Organ, ...]:
    text = Path(__file__).with_name("organs.json").read_text(encoding="utf-8")
    return tuple(
        Organ(
            entry["name"],
            entry["label"],
            _color(entry["color"]),
            _terminology(entry["terminology"]),
            LARGEST,  # each of them is one piece in whoever has it
        )
        for entry in json.loads(text)["organs"]
    )


# The organs of the challenge "Beyond the Cranial Vault" (Synapse), in the order of their label ids.
ORGANS = _read_table()
_BY_NAME = {plain_name(organ.name): organ for organ in ORGANS}
