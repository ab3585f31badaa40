"""Says beside a label map what its numbers mean: one file each for ITK-SNAP, Slicer and programs.

A NIfTI, NRRD or MetaImage file holds numbers only. ``organs.nii.gz`` gets ``organs.labels.txt`` (ITK-SNAP:
Segmentation, Import Label Descriptions), ``organs.labels.ctbl`` (Slicer: a colour table, to be loaded first
and chosen for the label map) and ``organs.labels.json`` (id, name, colour, codes).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from .labels import Organ

MAPS = (".nii.gz", ".nrrd", ".mha")  # formats of label maps, which hold no names
SEGMENTATION = ".seg.nrrd"  # holds its own


def description_paths(path: str | os.PathLike) -> list[Path]:
    """Where the descriptions of a label map belong; none for a file that holds its own.

    >>> [path.name for path in description_paths("organs.nii.gz")]
    ['organs.labels.txt', 'organs.labels.ctbl', 'organs.labels.json']
    >>> description_paths("organs.seg.nrrd")
    []
    """
    path = Path(path)
    name = path.name.lower()
    ending = next((ending for ending in MAPS if name.endswith(ending)), "")
    if not ending or name.endswith(SEGMENTATION):
        return []
    stem = path.name[: -len(ending)]
    return [path.with_name(f"{stem}.labels{kind}") for kind in WRITERS]


def description_text(organs: Sequence[Organ], path: str | os.PathLike) -> str:
    """The text of one description, by the ending of its name.

    >>> print(description_text([Organ("liver", 6, (221, 130, 101))], "a.labels.ctbl"), end="")
    # Color table of IUINet: number, name, red, green, blue, opacity
    0 background 0 0 0 0
    6 liver 221 130 101 255
    """
    return WRITERS[Path(path).suffix](organs)


def _snap(organs: Sequence[Organ]) -> str:
    """ITK-SNAP's label descriptions: number, red, green, blue, opacity, visible, mesh visible, "name"."""
    lines = ["# ITK-SnAP Label Description File", "# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL"]
    lines.append(f'{0:5d}     0    0    0     0    0   0  "Clear Label"')
    for organ in organs:
        red, green, blue = organ.color
        name = _line(organ.name).replace('"', "'")
        lines.append(f'{organ.label:5d}  {red:4d} {green:4d} {blue:4d}     1    1   1  "{name}"')
    return "\n".join(lines) + "\n"


def _color_table(organs: Sequence[Organ]) -> str:
    """Slicer's colour table; it reads the underscores in names as the spaces that they stand for."""
    lines = ["# Color table of IUINet: number, name, red, green, blue, opacity", "0 background 0 0 0 0"]
    for organ in organs:
        name = "_".join(_line(organ.name).split())
        lines.append(f"{organ.label} {name} {' '.join(map(str, organ.color))} 255")
    return "\n".join(lines) + "\n"


def _json(organs: Sequence[Organ]) -> str:
    """Everything that is known of the labels."""
    entries = [
        {
            "label": organ.label,
            "name": organ.name,
            "color": list(organ.color),
            "terminology": asdict(organ.terminology) if organ.terminology else None,
        }
        for organ in organs
    ]
    return json.dumps({"organs": entries}, indent=2, ensure_ascii=False) + "\n"


def _line(name: str) -> str:
    """A name, which is the model's, on one line."""
    return " ".join(name.split())


WRITERS: dict[str, Callable[[Sequence[Organ]], str]] = {
    ".txt": _snap,
    ".ctbl": _color_table,
    ".json": _json,
}
