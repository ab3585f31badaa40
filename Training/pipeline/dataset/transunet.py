"""Finds TransUNet's preprocessed copy of the Synapse set, and says what such files cannot tell."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from .findings import OFFICIAL, REFUSED, TRANSUNET, Finding, Found, Source
from .organs import ORGANS_FILE, checked, complete, label_maps
from .transunet_files import HIGH, LOW, PARTS, SLICE, VOLUME

NAME = f"{OFFICIAL}-{TRANSUNET}"
NOTES = (
    "This is TransUNet's preprocessed folder: eight organs, images clipped to -125 to 275 HU.",
    "Its files hold no spacing: nothing is measured in mm or ml, and voxels are taken for cubes.",
    "Its files hold no directions: those of the released files are taken; only anatomy is checked.",
)


def find_transunet(root: Path, places: list[str], organs: Path | None, label_map: str) -> Found | None:
    """The cases among the places, None where there are none. label_map: of ``organs.label_maps``."""
    folders: dict[str, set[str]] = defaultdict(set)
    for place in places:
        folder, _, name = place.rpartition("/")
        if match := SLICE.fullmatch(name) or VOLUME.fullmatch(name):
            folders[match["id"]].add(f"{folder}/case{match['id']}".lstrip("/"))
    if not folders:
        return None
    numbers = label_maps()[label_map]
    table = checked(tuple({"name": name, "label": label} for name, label in numbers.items()))
    found = Found(root, TRANSUNET, NAME, table, [], notes=list(NOTES), millimetres=False)
    found.clipped, found.air = (LOW, HIGH), LOW
    if organs or (root / ORGANS_FILE).is_file():
        found.organs, declared = complete(table, organs or root / ORGANS_FILE)
        found.labelled, found.splits = declared.labelled, declared.splits
    for case, stems in sorted(folders.items()):
        first, *others = sorted(stems)
        if others:
            what, todo = "Two places hold the same case", "Give one of them."
            found.findings.append(
                Finding(REFUSED, "duplicate", case, what, " and ".join(sorted(stems)), todo)
            )
        else:
            found.sources.append(Source(case, "case", None, *(f"{first}::{part}" for part in PARTS)))
    return found
