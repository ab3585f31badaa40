"""What is known about the Synapse/BTCV abdomen set alone: ids, sizes, spacings, organs, registered pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from iuinet.volume import Grid

from .facts import Facts, grid_from_json
from .findings import REFUSED, WARNING, Finding, is_excluded
from .official import facts as official_facts
from .official import ids
from .splits import slices_per_case

_IDENTITY_MM = 1e-3
_OFFICIAL = "Use the official download (Synapse, syn3193805), or leave the case out with --exclude."
_LOOK = "Look at the case; --exclude leaves it out."


def check_ids(cases: Sequence[str], exclude: Sequence[str], partial: bool) -> Iterator[Finding]:
    """Ids that are not the official ones, and official ones that are missing."""
    known = set(ids(official_facts()["training"]))
    gap = [case for case in cases if "0011" <= case <= "0020"]
    for case in gap:
        what = "The official set has no cases 0011-0020: this is a renumbered mirror"
        todo = (
            "Use the official download: in the mirror 0011-0030 are other patients than officially, so that "
            "splits would mix training and test cases, and its positions are lost."
        )
        yield Finding(REFUSED, "renumbered", case, what, "", todo)
    for case in sorted(set(cases) - known - set(gap)):
        yield Finding(
            REFUSED, "unknown-id", case, "The official set has no labelled case of this id", "", _OFFICIAL
        )
    missing = [case for case in sorted(known - set(cases)) if not is_excluded(case, exclude)]
    if missing:
        severity = WARNING if partial else REFUSED
        todo = (
            "Splits leave them out."
            if partial
            else "Unpack the whole of RawData, or go on without them: --partial."
        )
        what = f"Official cases are missing ({len(missing)} of {len(known)})"
        yield Finding(severity, "missing-cases", "", what, ", ".join(missing), todo)


def check_case(case: str, facts: Facts, organs: dict[str, int], generated: bool = False) -> Iterator[Finding]:
    """One labelled case against the official facts. organs: label of each name.

    generated: made by phantom.py, whose scans may have fewer slices.
    """
    grid = grid_from_json(facts.grid)
    known = official_facts()
    if all(abs(step - 1) < _IDENTITY_MM for step in grid.spacing):
        what = "Its voxels are said to be 1 mm cubes: the positions were lost, as in a known mirror"
        yield Finding(REFUSED, "identity", case, what, _size(grid), _OFFICIAL)
        return
    slices = slices_per_case().get(case)
    if slices not in (None, grid.size[2]):
        what = "The number of slices is not the official one"
        severity, todo = (WARNING, _LOOK) if generated else (REFUSED, _OFFICIAL)
        yield Finding(severity, "slices", case, what, f"{grid.size[2]} instead of {slices}", todo)
    plane = known["plane"]
    if grid.size[:2] != (plane, plane):
        what = f"Slices are not {plane} x {plane}"
        yield Finding(WARNING, "plane", case, what, _size(grid), _LOOK)
    yield from _check_ranges(case, grid)
    share = _foreground(facts)
    low, high = known["case"]["foreground"]
    if not low <= share <= high:
        what = f"The share of labelled voxels is not between {low:.1%} and {high:.0%}"
        yield Finding(WARNING, "foreground", case, what, f"{share:.1%}", _LOOK)
    absent = [name for name in known["case"]["organs"] if not facts.voxels.get(organs[name])]
    if absent:
        yield Finding(
            WARNING,
            "organ-absent",
            case,
            "Organs that everybody has are not labelled",
            ", ".join(absent),
            _LOOK,
        )


def _check_ranges(case: str, grid: Grid) -> Iterator[Finding]:
    known, field = official_facts(), [n * step for n, step in zip(grid.size, grid.spacing, strict=True)]
    for what, value, (low, high) in (
        ("The spacing in plane", max(grid.spacing[:2]), known["spacing_in_plane"]),
        ("The distance of slices", grid.spacing[2], known["spacing_of_slices"]),
        ("The field of view in plane", max(field[:2]), known["field_in_plane"]),
        ("The length of the scan", field[2], known["field_of_slices"]),
    ):
        slack = known["range_tolerance"]
        if not low * (1 - slack) <= value <= high * (1 + slack):
            text = f"{what} is outside the official range of {low} to {high} mm"
            yield Finding(WARNING, "range", case, text, f"{value:.4g} mm", _LOOK)


def check_pair(pair: str, facts: Facts, organs: dict[str, int]) -> Iterator[Finding]:
    """A registered pair that is empty or grossly deformed is left out; one finding with the first reason."""
    grid, rules = grid_from_json(facts.grid), official_facts()["pair"]
    reason = None
    share, (low, high) = _foreground(facts), rules["foreground"]
    voxels = float(grid.size[0] * grid.size[1] * grid.size[2])
    if facts.empty_slices > rules["empty_slices"] * grid.size[2]:
        reason = "most slices are empty", f"{facts.empty_slices} of {grid.size[2]}"
    elif facts.zeros + facts.not_numbers > rules["filling"] * voxels:
        reason = "most voxels are filling", f"{(facts.zeros + facts.not_numbers) / voxels:.0%}"
    elif not low <= share <= high:
        reason = f"the share of labelled voxels is not between {low:.1%} and {high:.0%}", f"{share:.2%}"
    else:
        for name, (least, most) in rules["millilitres"].items():
            volume = facts.voxels.get(organs[name], 0) * grid.voxel_volume_ml
            if not least <= volume <= most:
                reason = (
                    f"an organ is absent or has a size that nobody has ({least} to {most} ml)",
                    f"{name} {volume:.0f} ml",
                )
                break
    if reason:
        todo = "Nothing has to be done: the pair is not used. It is no good example of a body."
        yield Finding(
            WARNING,
            "deformed",
            pair,
            f"A registered pair is grossly deformed or empty: {reason[0]}",
            reason[1],
            todo,
            left_out=True,
        )


def _foreground(facts: Facts) -> float:
    total = sum(facts.voxels.values())
    return (total - facts.voxels.get(0, 0)) / max(1, total)


def _size(grid: Grid) -> str:
    return (
        f"{'x'.join(map(str, grid.size))} voxels of {' x '.join(f'{step:.4g}' for step in grid.spacing)} mm"
    )
