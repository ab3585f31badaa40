"""Finds the Synapse/BTCV abdomen set by the names of its files, whatever the root of its archives."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from functools import cache
from pathlib import Path

from iuinet.labels import ORGANS

from .findings import REFUSED, WARNING, Finding
from .own_organs import complete, read_organs
from .places import MARK, same_content
from .sources import OFFICIAL, Found, Source

_ENDING = r"\.nii(?:\.gz)?$"
CASE = re.compile(r"(?:^|/)(?P<kind>img|label)/(?P<word>img|label)(?P<id>\d{4})" + _ENDING)
PAIR = re.compile(
    r"(?:^|/)(?P<set>Training-Testing|Training-Training)/(?P<kind>img|label)/(?P<folder>\d{4})/"
    r"(?P<word>img|label)(?P<moving>\d{4})-(?P<fixed>\d{4})" + _ENDING
)
_AVERAGED = re.compile(r"(?:^|/)DET\d+[^/]*_avg" + _ENDING, re.IGNORECASE)
Places = dict[str, dict[str, list[str]]]  # id -> "img" or "label" -> where


@cache
def facts() -> dict:
    """What is known about the set: official.toml."""
    return tomllib.loads(Path(__file__).with_name("official.toml").read_text(encoding="utf-8"))


def ids(ranges: list[str]) -> tuple[str, ...]:
    """The case ids of ranges such as "0021-0040"."""
    ends = [tuple(map(int, text.split("-"))) for text in ranges]
    return tuple(f"{number:04d}" for low, high in ends for number in range(low, high + 1))


def find_official(root: Path, places: list[str], pairs: bool, organs: Path | None) -> Found:
    """Cases and, if wanted, registered pairs of the set among places."""
    found = Found(root, OFFICIAL, facts()["name"], (), [])
    table = tuple({"name": organ.name, "label": organ.label} for organ in ORGANS)
    found.organs = complete(table, read_organs(organs).organs) if organs else table
    places = _without_other_sets(places, found)
    cases, registered, unused = _sorted_out(places, found)
    testing = set(ids(facts()["testing"]))
    unlabelled = [case for case in cases if case in testing and "label" not in cases[case]]
    for case in unlabelled:
        del cases[case]
    if unlabelled:
        found.notes.append(f"{len(unlabelled)} test scans without labels (0061-0080) are not used.")
    if unused:
        found.notes.append(
            f"{unused} files of Training-Training are not used: pre-training takes Training-Testing."
        )
    if registered and not pairs:
        found.notes.append(f"{len(registered)} registered pairs are not used (--no-pairs).")
    elif not registered and pairs:
        found.notes.append(
            "No registered pairs were found (RegData/Training-Testing): there is no pre-training."
        )
    _collect(cases, "case", found)
    if pairs:
        _collect(registered, "pair", found)
    return found


def _without_other_sets(places: list[str], found: Found) -> list[str]:
    """Leave out what belongs to other sets of the project, with one finding for each of their folders."""
    kept, seen = [], {}
    for place in places:
        parts = [found.root.name, *place.replace(MARK, "/").split("/")]
        for other in facts()["other"]:
            word = other["folder"]
            folder = next((part for part in parts[:-1] if part.lower().startswith(word)), None)
            if folder is None and word == "averaged" and _AVERAGED.search(place):
                folder = parts[-2]
            if folder is not None:
                seen.setdefault((folder, other["what"]), place)
                break
        else:
            kept.append(place)
    for (folder, what), place in seen.items():
        todo = "Give prepare.py the abdomen's RawData and RegData alone, or leave it out with --exclude."
        found.findings.append(Finding(REFUSED, "other-set", folder, what, place, todo))
    return kept


def _sorted_out(places: list[str], found: Found) -> tuple[Places, Places, int]:
    """Cases, registered pairs, and the number of files of a registration that is not used."""
    cases: Places = defaultdict(lambda: defaultdict(list))
    registered: Places = defaultdict(lambda: defaultdict(list))
    unused = 0
    for place in places:
        path = place.replace(MARK, "/")
        if match := PAIR.search(path):
            if match["set"] == "Training-Training":
                unused += 1
                continue
            pair = f"{match['moving']}-{match['fixed']}"
            if match["folder"] != match["fixed"] or match["kind"] != match["word"]:
                found.findings.append(_misplaced(pair, place))
            else:
                registered[pair][match["kind"]].append(place)
        elif match := CASE.search(path):
            if match["kind"] != match["word"]:
                found.findings.append(_misplaced(match["id"], place))
            else:
                cases[match["id"]][match["kind"]].append(place)
    return cases, registered, unused


def _misplaced(case: str, place: str) -> Finding:
    what = "A file lies in the folder of another kind or case"
    return Finding(REFUSED, "misplaced", case, what, place, "Unpack the official archive again.")


def _collect(places: Places, kind: str, found: Found) -> None:
    """One source for each id that has an image and labels, one finding for each that lacks one."""
    for case in sorted(places):
        missing = {"img": "image", "label": "label file"}
        absent = [missing[word] for word in missing if word not in places[case]]
        if absent:
            there = next(iter(places[case].values()))[0]
            what = f"The {absent[0]} is missing"
            todo = "Unpack the official archive again, or leave the case out with --exclude."
            found.findings.append(Finding(REFUSED, "incomplete", case, what, f"there is only {there}", todo))
            continue
        image, label = (_the_one(case, places[case][word], found) for word in ("img", "label"))
        found.sources.append(Source(case, kind, case.split("-")[0] if kind == "pair" else None, image, label))


def _the_one(case: str, places: list[str], found: Found) -> str:
    """The first of several places; they must hold the same bytes."""
    first, *others = places
    for other in others:
        if same_content(found.root, first, other):
            what, todo = "The same file is there twice; the first is used", "Nothing has to be done."
            severity = WARNING
        else:
            what, todo = (
                "Two different files claim the same id",
                "Remove the one that is not the official file.",
            )
            severity = REFUSED
        found.findings.append(Finding(severity, "duplicate", case, what, f"{first} and {other}", todo))
    return first
