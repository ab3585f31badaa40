"""What was found among raw data, whatever its layout: pairs of an image and its labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from iuinet.errors import UsageError

from .findings import Finding

UNKNOWN = 255  # the label of voxels about which nobody knows: never trained, never scored
OFFICIAL = "synapse"
GENERATED = "synapse-generated"  # the same layout and ids, made by phantom.py: never to be taken for patients


@dataclass(frozen=True)
class Source:
    """One image with its labels. id, kind, atlas, image and label are those of ``prepared.Case``."""

    id: str
    kind: str
    atlas: str | None
    image: str
    label: str


@dataclass
class Found:
    """All that was found.

    layout: OFFICIAL, "nnunet" or "plain". organs: {"name", "label"[, "color", "terminology"]} each.
    ignore: value in the label files that means unknown, None if there is none. notes: for the user to read.
    """

    root: Path
    layout: str
    name: str
    organs: tuple[dict, ...]
    sources: list[Source]
    ignore: int | None = None
    splits: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def find_sources(raws: Sequence[Path], organs: Path | None, pairs: bool) -> Found:
    """Look through the raw folders or zip files for the official set, else for own data.

    organs: TOML file with organs, as ``own_organs`` describes it. pairs: whether registered pairs are
    looked for. Raises UsageError and InputRefused where there is nothing to use.
    """
    from .official import find_official
    from .own import find_own
    from .places import common_root, list_places

    root = common_root(raws)
    if len(raws) == 1 and (found := find_own(Path(raws[0]), organs)) is not None:
        return found
    found = find_official(root, list_places(raws, root), pairs, organs)
    if not found.sources and not found.findings:
        raise UsageError(
            f"no images with labels were found in {', '.join(str(raw) for raw in raws)}",
            hint="Give the folder or zip files of the Synapse abdomen set (img/img0001.nii.gz, "
            "label/label0001.nii.gz), a folder in nnU-Net's raw layout (dataset.json, imagesTr, "
            "labelsTr), or one with images/, labels/ and organs.toml.",
            code="no-data",
        )
    return found
