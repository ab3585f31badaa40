"""What was found among raw data, whatever its layout, and what is wrong with it: for people and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

UNKNOWN = 255  # the label of voxels whose organ is not known: never trained, never scored
OFFICIAL = "synapse"
NNUNET = "nnunet"
TRANSUNET = "transunet"
GENERATED = "synapse-generated"  # the same layout and ids, made by phantom.py: never to be taken for patients
REFUSED, WARNING = "refused", "warning"
_WIDTH = 110
_GROUPED = 5  # so many findings of one kind are listed one by one; of more there are examples
_EXAMPLES = 3


@dataclass(frozen=True)
class Finding:
    """One fault of the data.

    severity: REFUSED (nothing is prepared) or WARNING. code: short, stable. case: id of a case, a pair or
    a folder, "" for the whole. what, value, todo: a sentence, the offending value, what to do about it.
    left_out: whether the case is therefore not prepared although nothing is refused.
    """

    severity: str
    code: str
    case: str
    what: str
    value: str
    todo: str
    left_out: bool = False


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

    layout: OFFICIAL, NNUNET or TRANSUNET. organs: {"name", "label"[, "color", "terminology", "pieces"]} each.
    ignore: value in the label files that means unknown, None if there is none. notes: for the user to read.
    labelled: names of the organs that the label files show where there are any; None for all. clipped, air:
    see ``organs.Declared``. millimetres: whether the files tell the voxels' size.
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
    labelled: tuple[str, ...] | None = None
    clipped: tuple[float, float] | None = None
    air: float | None = None
    millimetres: bool = True

    @property
    def labels(self) -> dict[str, int]:
        """The labels of the organs that the set labels, by name."""
        chosen = (one for one in self.organs if self.labelled is None or one["name"] in self.labelled)
        return {organ["name"]: organ["label"] for organ in chosen}

    def declared(self) -> list[str]:
        """What the set says of itself, as sentences."""
        told = []
        if self.labelled is not None:
            told.append(f"Only these organs are labelled, by its file of organs: {', '.join(self.labelled)}.")
        if self.clipped is not None:
            low, high = self.clipped
            told.append(f"By its file of organs the images end at {low:g} and {high:g} HU.")
        return told


def is_excluded(case: str, patterns: Iterable[str]) -> bool:
    """Whether an id is one of the given ids or patterns such as ``0005-*``."""
    return any(fnmatchcase(case, pattern) for pattern in patterns)


def without_excluded(findings: Iterable[Finding], patterns: Sequence[str]) -> list[Finding]:
    """The findings about what is not excluded, refused ones first."""
    kept = [one for one in findings if not (one.case and is_excluded(one.case, patterns))]
    return sorted(kept, key=lambda one: one.severity != REFUSED)


def print_table(findings: Sequence[Finding], say: Callable[[str], None]) -> None:
    """One block per kind of finding: what it is, the cases with their values, what to do."""
    kinds: dict[tuple[str, str, str, str], list[Finding]] = {}
    for finding in findings:
        kinds.setdefault((finding.severity, finding.code, finding.what, finding.todo), []).append(finding)
    for (severity, _, what, todo), members in kinds.items():
        left_out = " (left out)" if members[0].left_out else ""
        count = f" ({len(members)} cases)" if len(members) > 1 else ""
        say(f"{severity.upper()}{left_out}: {what}{count}")
        for line in _cases(members, severity):
            say(line)
        say(textwrap.fill(f"-> {todo}", _WIDTH, initial_indent="    ", subsequent_indent="       "))


def _cases(members: Sequence[Finding], severity: str) -> list[str]:
    """Each of a few; of many some examples, and the names of all that are not used."""
    if len(members) <= _GROUPED:
        width = max(len(one.case) for one in members)
        rows = [f"{one.case:<{width}}  {one.value}".strip() for one in members]
        return [line for row in rows for line in _wrapped(row)]
    examples = [f"{one.case}: {one.value}" if one.value else one.case for one in members[:_EXAMPLES]]
    lines = _wrapped(f"such as {'; '.join(examples)}")
    if severity == REFUSED or members[0].left_out:
        return lines + _wrapped(f"all of them: {' '.join(one.case for one in members)}")
    return [*lines, *_wrapped(f"and {len(members) - len(examples)} more (all of them: --json)")]


def _wrapped(text: str) -> list[str]:
    whole = {"break_on_hyphens": False, "break_long_words": False}
    return textwrap.wrap(text, _WIDTH, initial_indent="    ", subsequent_indent="    ", **whole)
