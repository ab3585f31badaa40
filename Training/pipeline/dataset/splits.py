"""Which cases train, select and test, and which registered pairs pre-train: by name, and with what it means.

``splits.toml`` holds the official lists. Five folds are computed from the ids alone, so that the same
cases make the same folds everywhere.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from iuinet.errors import UsageError

from .findings import GENERATED, OFFICIAL, TRANSUNET

if TYPE_CHECKING:
    from .prepared import PreparedData

FOLDS = 5
# "train18" is what "train" is called for the split transunet: atlases of the training cases only.
ATLASES = ("train18", "train", "all30")

_SHARED = "Selection and test share the same cases, so that scores are optimistic."
_NO_SELECTION = "No case selects, and the test cases are seen by nothing but the test."
_OWN_SELECTION = "Selection has cases of its own, and the test cases are seen by nothing but the test."


@dataclass(frozen=True)
class Split:
    """Ids of cases (train, validation, test) and of registered pairs (pretrain).

    atlases: "train18" (the 18 of the split transunet), "train" (the split's own training cases) or "all30".
    statement: what a reader of a score must know.
    """

    name: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    pretrain: tuple[str, ...]
    atlases: str
    statement: str


@cache
def _table() -> dict:
    return tomllib.loads(Path(__file__).with_name("splits.toml").read_text(encoding="utf-8"))


def slices_per_case() -> dict[str, int]:
    """Number of slices of each official labelled case."""
    return dict(_table()["slices"])


def choose_split(data: PreparedData, name: str, atlases: str = "train18", partial: bool = False) -> Split:
    """A split by its name.

    name: "transunet" (18 to train; the 12 others select and test), "transunet-inner" (15 / 3 / 12), "fold-0"
    to "fold-4", "all" (all train, none is left), or a split that came with own data.
    atlases: "train18" or "train" (pairs made from the split's training cases), or "all30" (every pair).
    partial: go on without cases that are missing.
    Raises: UsageError "unknown-split", "unknown-atlases", "missing-cases", "empty-split", "split-overlap".
    """
    if atlases not in ATLASES:
        hint = f"Choose from {', '.join(ATLASES)}."
        raise UsageError(f"{atlases!r} is not a choice of atlases", hint=hint, code="unknown-atlases")
    present = {case.id for case in data.cases if case.kind == "case"}
    parts, meaning = _parts(data, name, present)
    both = sorted(set(parts[0]) & {*parts[1], *parts[2]})
    if both:
        raise UsageError(
            f"the split {name!r} trains on cases that it also selects or tests with: {', '.join(both)}",
            hint="Correct the split that came with the data.",
            code="split-overlap",
        )
    wanted = list(dict.fromkeys(case for ids in parts for case in ids))
    missing = [case for case in wanted if case not in present]
    if missing and not partial:
        raise UsageError(
            f"{len(missing)} of {len(wanted)} cases of the split {name!r} are not in the prepared data: "
            f"{', '.join(missing)}",
            hint="Prepare them too, or allow a partial split: its scores are not comparable with others.",
            code="missing-cases",
        )
    train, validation, test = (tuple(case for case in ids if case in present) for ids in parts)
    if not train:
        text = f"the split {name!r} has no case to train on"
        raise UsageError(text, hint="Prepare more cases.", code="empty-split")
    pairs, kind = _pairs(data, set(train), atlases, name)
    sentences = [meaning, _about_pairs(pairs, kind, (train, validation, test), data)]
    if missing:
        count = f"{len(missing)} of {len(wanted)}"
        sentences.append(f"Incomplete: {count} cases are missing; scores are not comparable.")
    return Split(name, train, validation, test, pairs, kind, " ".join(s for s in sentences if s))


def is_official(data: PreparedData) -> bool:
    """Whether these are the Synapse set's ids, of patients or generated."""
    return data.name in (OFFICIAL, GENERATED, f"{OFFICIAL}-{TRANSUNET}")


def split_names(data: PreparedData) -> tuple[str, ...]:
    """The splits that these data have."""
    official = ("transunet", "transunet-inner") if is_official(data) else ()
    folds = tuple(f"fold-{number}" for number in range(FOLDS))
    return tuple(dict.fromkeys([*data.splits, *official, *folds, "all"]))


def folds(ids: Iterable[str]) -> list[tuple[str, ...]]:
    """The ids in disjoint groups of equal size (or one more), decided by the ids' hashes alone."""
    shuffled = sorted(ids, key=lambda case: hashlib.sha256(case.encode()).digest())
    return [tuple(sorted(shuffled[start::FOLDS])) for start in range(FOLDS)]


def _parts(data: PreparedData, name: str, present: set[str]) -> tuple[tuple[Sequence[str], ...], str]:
    """Train, validation and test ids whether they are there or not, and what the split means."""
    official = is_official(data)
    if name in data.splits:
        own = data.splits[name]
        shared = set(own["validation"]) & set(own["test"])
        words = _SHARED if shared else _OWN_SELECTION if own["validation"] else _NO_SELECTION
        meaning = f"A split that came with the data. {words}"
        return (own["train"], own["validation"], own["test"]), meaning
    if official and name in ("transunet", "transunet-inner"):
        train, test = _table()["transunet"]["train"], _table()["transunet"]["test"]
        if name == "transunet":
            return (train, test, test), f"The 18/12 split of TransUNet. {_SHARED}"
        selection = _table()["transunet-inner"]["validation"]
        rest = [case for case in train if case not in selection]
        return (rest, sorted(selection), test), f"The 12 test cases of TransUNet's split. {_OWN_SELECTION}"
    everything = sorted(slices_per_case()) if official else sorted(present)
    if name == "all":
        return (everything, (), ()), "All cases train: no case is left to select or to test on."
    if name in [f"fold-{number}" for number in range(FOLDS)]:
        held_out = folds(everything)[int(name[-1])]
        train = [case for case in everything if case not in held_out]
        return (train, held_out, held_out), f"One of five folds over all {len(everything)} cases. {_SHARED}"
    hint = f"Choose from {', '.join(split_names(data))}."
    raise UsageError(f"these data have no split {name!r}", hint=hint, code="unknown-split")


def _pairs(data: PreparedData, train: set[str], atlases: str, name: str) -> tuple[tuple[str, ...], str]:
    pairs = [case for case in data.cases if case.kind == "pair"]
    if atlases == "all30":
        return tuple(case.id for case in pairs), atlases
    kind = "train18" if name == "transunet" and is_official(data) else "train"
    return tuple(case.id for case in pairs if case.atlas in train), kind


def _about_pairs(
    pairs: Sequence[str], kind: str, parts: tuple[Sequence[str], ...], data: PreparedData
) -> str:
    """What pre-training has to do with the cases that are held out. parts: train, validation, test."""
    if not pairs:
        return ""
    train, validation, test = map(set, parts)
    held_out = (validation | test) - train
    atlases = {case.id: case.atlas for case in data.cases if case.kind == "pair"}
    seen = sorted({atlases[pair] for pair in pairs} & held_out)
    if seen:
        return (
            f"Pre-training ({kind}) sees warped copies of {len(seen)} selection or test cases with their "
            "labels: scores are not those of unseen patients."
        )
    sentence = f"Pre-training ({kind}, {len(pairs)} pairs) sees no selection or test case in its pairs"
    if not validation:
        return f"{sentence}."
    too = ", which are test cases too" if validation & test else ""
    return (
        f"{sentence}; what is chosen of it (learning rate, length, best weights) is chosen by scores on the "
        f"selection cases{too}."
    )
