"""Holds what was found against what is known: rules for the official set, and rules for all data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from iuinet.geometry import canonical_grid
from iuinet.volume import Grid

from .facts import Facts, grid_from_json
from .findings import OFFICIAL, REFUSED, TRANSUNET, WARNING, Finding, Found, Source
from .plausibility import check_anatomy
from .synapse import check_case, check_ids, check_pair, declares_itself, ids, official_facts

# Corners of image and labels further apart than this (mm) are named; further than half a voxel, refused.
SAME_PLACE_MM = 0.1
# A spacing is unusual that is so many times the median, or a part of it: in plane, in plane, between slices,
# which differ more from one protocol to the next. Of fewer cases none is usual.
_UNUSUAL, _FEWEST = np.array([2.0, 2.0, 4.0]), 3
_OUT = "Correct the file, or leave the case out with --exclude."
_AGAIN = "Download or export the file again, or leave the case out with --exclude."


def check_all(
    found: Found, facts: Mapping[str, Facts], exclude: Sequence[str], partial: bool
) -> list[Finding]:
    """Everything that is wrong with the sources. facts: by the id of the source.

    exclude: ids and patterns that are left out by hand, and so not missed.
    partial: missing official cases are only a warning.
    """
    findings = list(found.findings)
    official = found.layout == OFFICIAL
    if official:
        cases = [one.id for one in found.sources if one.kind == "case"]
        findings += check_ids(cases, exclude, partial or declares_itself(found))
        findings += _pairs_missing(found)
        findings += _pairs_elsewhere(found, facts)
    for source in found.sources:
        findings += _check(source, facts[source.id], found, official)
    return [*findings, *_check_spacings(found, facts), *check_anatomy(found, facts)]


def _check_spacings(found: Found, facts: Mapping[str, Facts]) -> Iterator[Finding]:
    """Cases whose voxels have another size than most: a lost or wrong spacing, or another kind of scan."""
    cases = [source.id for source in found.sources if source.kind == "case" and not facts[source.id].error]
    grids = {case: canonical_grid(grid_from_json(facts[case].grid)) for case in cases}
    if len(grids) < _FEWEST:
        return
    usual = np.median([grid.spacing for grid in grids.values()], axis=0)
    for case, grid in grids.items():
        ratio = np.array(grid.spacing) / usual
        if (np.maximum(ratio, 1 / ratio) > _UNUSUAL).any():
            words = [" x ".join(f"{step:.3g}" for step in steps) for steps in (grid.spacing, usual)]
            what = "The voxels are of another size than those of most cases"
            value, todo = f"{words[0]} mm; in the middle {words[1]} mm", "Look at the case and its header."
            yield Finding(WARNING, "spacing-outlier", case, what, value, todo)


def _pairs_missing(found: Found) -> Iterator[Finding]:
    pairs = sum(source.kind == "pair" for source in found.sources)
    if 0 < pairs < (expected := official_facts()["pairs"]):
        value = f"{pairs} of {expected}"
        todo = "Unpack the whole of Reg-Training-Testing.zip, or go on with fewer."
        yield Finding(WARNING, "missing-pairs", "", "Not all registered pairs are there", value, todo)
    known = {*ids(official_facts()["training"])}
    for source in found.sources:
        if source.kind == "pair" and source.atlas not in known:
            what, todo = "A registered pair comes from no labelled case", "Use the official archive."
            yield Finding(REFUSED, "unknown-id", source.id, what, str(source.atlas), todo)


def _pairs_elsewhere(found: Found, facts: Mapping[str, Facts]) -> Iterator[Finding]:
    """All pairs moved onto one test scan should lie on its grid: those unlike the first are named."""
    first: dict[str, Grid] = {}
    for source in found.sources:
        if source.kind != "pair" or facts[source.id].error:
            continue
        grid = grid_from_json(facts[source.id].grid)
        other = first.setdefault(source.id.split("-")[1], grid)
        if other.size != grid.size or corners_apart_mm(other, grid) > SAME_PLACE_MM:
            what = "A registered pair lies on another grid than others of the same test scan"
            yield Finding(WARNING, "pair-grid", source.id, what, _size(grid), "Look at the pair.")


def _check(source: Source, facts: Facts, found: Found, official: bool) -> list[Finding]:
    if facts.error:
        text, todo = facts.error["message"], f"{facts.error['hint']} Or leave the case out with --exclude."
        return [Finding(REFUSED, facts.error["code"], source.id, "A file cannot be read", text, todo)]
    findings = [*_check_labels(source, facts, found), *_check_geometry(source, facts)]
    findings += _check_values(source, facts, found)
    if official and not any(one.severity == REFUSED for one in findings):
        check = check_pair if source.kind == "pair" else check_case
        findings += check(source.id, facts, found.labels)
    return findings


def _check_labels(source: Source, facts: Facts, found: Found) -> Iterator[Finding]:
    if facts.odd_values:
        value = ", ".join(f"{value:g}" for value in facts.odd_values)
        what = "Labels are not whole numbers from 0 to 255"
        yield Finding(REFUSED, "label-values", source.id, what, value, _OUT)
        return
    known = {0, found.ignore, *(organ["label"] for organ in found.organs)}
    unknown = sorted(set(facts.voxels) - known)
    if unknown:
        value = ", ".join(map(str, unknown[:10]))
        what = "Labels hold numbers that belong to no organ"
        if found.layout == OFFICIAL:
            low, high = official_facts()["labels"]
            what = f"Labels hold other numbers than {low} to {high}"
        yield Finding(REFUSED, "label-values", source.id, what, value, _OUT)
    elif others := sorted(set(facts.voxels) - {0, found.ignore, *found.labels.values()}):
        what = "Labels hold organs that the set is said not to label"
        names = {organ["label"]: organ["name"] for organ in found.organs}
        value, todo = ", ".join(names[label] for label in others), "Correct the list of labelled organs."
        yield Finding(REFUSED, "label-unlabelled", source.id, what, value, todo)
    elif source.kind == "case" and not set(facts.voxels) - {0, found.ignore}:
        yield Finding(REFUSED, "no-organ", source.id, "No voxel has a label", "", _OUT)


def _check_geometry(source: Source, facts: Facts) -> Iterator[Finding]:
    image, label = grid_from_json(facts.grid), grid_from_json(facts.label_grid)
    apart, half_voxel = corners_apart_mm(image, label), min(*image.spacing, *label.spacing) / 2
    if image.size != label.size and apart > half_voxel:
        what = "Image and labels differ in size, and do not show the same box"
        value = f"{_size(image)} and {_size(label)}, {apart:.3g} mm apart"
        yield Finding(REFUSED, "size-differs", source.id, what, value, _AGAIN)
        return
    if image.size != label.size:
        what = "Image and labels have voxels of different sizes"
        todo = "Nothing has to be done: scores are on the labels' own grid."
        yield Finding(WARNING, "size-differs", source.id, what, f"{_size(image)} and {_size(label)}", todo)
    if apart > half_voxel:
        what = "Image and labels lie at different places"
        yield Finding(REFUSED, "place-differs", source.id, what, f"{apart:.3g} mm apart", _OUT)
    elif apart > SAME_PLACE_MM:
        what = f"Image and labels lie more than {SAME_PLACE_MM} mm, but less than half a voxel, apart"
        todo = "Nothing has to be done: the image's place is taken."
        yield Finding(WARNING, "place-differs", source.id, what, f"{apart:.3g} mm", todo)


def corners_apart_mm(one: Grid, other: Grid) -> float:
    """The largest distance between the same corners of two grids, mm.

    Corners are the centres of corner voxels; for grids of different sizes those of the boxes that they fill.
    """
    beyond = 0.0 if one.size == other.size else 0.5
    return float(np.linalg.norm(_corners(one, beyond) - _corners(other, beyond), axis=1).max())


def _corners(grid: Grid, beyond: float) -> np.ndarray:
    """(8, 3) LPS mm: so many voxels beyond the centres of the corner voxels."""
    ends = [(-beyond, size - 1 + beyond) for size in grid.size]
    corners = np.array([[i, j, k, 1] for i in ends[0] for j in ends[1] for k in ends[2]])
    return (corners @ grid.index_to_lps().T)[:, :3]


def _check_values(source: Source, facts: Facts, found: Found) -> Iterator[Finding]:
    official = found.layout == OFFICIAL
    if source.kind == "pair":
        return  # what lies outside a warped scan is filled with all kinds of values
    if facts.not_numbers:
        what = "The image holds voxels that are not numbers (taken as air)"
        yield Finding(WARNING, "not-numbers", source.id, what, str(facts.not_numbers), "Look at the image.")
    low, high = found.clipped or (facts.least, facts.most)
    # TransUNet's released files go a little beyond what its own text says.
    if found.layout != TRANSUNET and not (low <= facts.least and facts.most <= high):
        what = "The image holds values beyond those that it is said to be clipped to"
        value, todo = f"{facts.least:g} to {facts.most:g}", "Correct what the file of organs says is clipped."
        yield Finding(REFUSED, "not-clipped", source.id, what, value, todo)
    if not facts.looks_like_hu:
        what = "The image's values do not look like Hounsfield units (0.1st and 99.9th percentile)"
        value = f"{facts.lowest:g} to {facts.highest:g}"
        severity = REFUSED if official else WARNING
        todo = _OUT if official else "Go on only if you know why: the window is in Hounsfield units."
        yield Finding(severity, "not-hu", source.id, what, value, todo)


def _size(grid: Grid) -> str:
    return "x".join(map(str, grid.size))
