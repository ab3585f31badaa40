"""Labels that cannot be, by what is so in nearly every body: which organ is the largest, who lies where.

Renumbered, mirrored and swapped labels have whole numbers and good geometry; only anatomy tells. What is
judged are organs that the set labels and that no side of the scan cuts. What most cases have wrong is a fault
of the set, and said once; else the cases are named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from iuinet.labels import organ_by_name, plain_name
from iuinet.report import out_of_order

from .facts import Facts, grid_from_json
from .findings import REFUSED, WARNING, Finding, Found

LARGEST_ORGAN = "liver"
# Of one case these prove nothing: a sick spleen and a full stomach can be larger.
MAY_BE_LARGER = ("spleen", "stomach")
# Along LPS axes (to the left, to the back, to the head): the first lies before the second.
ORDERS = (
    (0, "liver", "spleen"),
    (0, "right kidney", "left kidney"),
    (0, "right adrenal gland", "left adrenal gland"),
    (1, "liver", "right kidney"),
    (1, "stomach", "left kidney"),
    (2, "right kidney", "liver"),
    (2, "left kidney", "spleen"),
)
_WORDS = ("on the patient's right of", "in front of", "below")
_TODO = (
    "Compare the numbers with the set's own table, and the side with the image. TransUNet's nine classes are "
    "read with --label-map transunet; other wrong files have to be corrected, or left out with --exclude."
)


def check_anatomy(found: Found, facts: Mapping[str, Facts]) -> list[Finding]:
    """What is wrong with the labels of the cases (not of pairs, which are warped). facts: by id."""
    cases = {
        source.id: facts[source.id]
        for source in found.sources
        if source.kind == "case" and not facts[source.id].error and not facts[source.id].odd_values
    }
    labels = {plain_name(name): label for name, label in found.labels.items()}
    unit = "ml" if found.millimetres else "thousand voxels"
    return [*_sizes(cases, labels, unit), *_places(cases, labels), *_in_no_case(cases, found)]


def _sizes(cases: Mapping[str, Facts], labels: Mapping[str, int], unit: str) -> Iterator[Finding]:
    others = [name for name in labels if organ_by_name(name) and name != LARGEST_ORGAN]
    volumes = {case: _millilitres(one, labels) for case, one in cases.items() if _whole(one, labels)}
    for name in others:
        both = {case: ml for case, ml in volumes.items() if ml.get(name)}
        wrong = [case for case, ml in both.items() if ml[name] > ml[LARGEST_ORGAN]]
        what = f"The {LARGEST_ORGAN} is smaller than the {name}"
        if 2 * len(wrong) > len(both) and (len(both) > 1 or name not in MAY_BE_LARGER):
            sizes = [f"{median(ml[key] for ml in both.values()):.0f} {unit}" for key in (LARGEST_ORGAN, name)]
            value = f"in {len(wrong)} of {len(both)} cases; in the middle {' and '.join(sizes)}"
            yield Finding(REFUSED, "label-order", _only(both), what, value, _TODO)
        elif name not in MAY_BE_LARGER:
            for case in wrong:
                value = f"{both[case][LARGEST_ORGAN]:.0f} and {both[case][name]:.0f} {unit}"
                yield Finding(REFUSED, "label-order", case, what, value, _TODO)


def _whole(one: Facts, labels: Mapping[str, int]) -> bool:
    """Whether the case shows the whole of the organ that should be the largest."""
    label = labels.get(LARGEST_ORGAN)
    return bool(one.voxels.get(label)) and label not in one.edges


def _millilitres(one: Facts, labels: Mapping[str, int]) -> dict[str, float]:
    voxel_ml = grid_from_json(one.label_grid).voxel_volume_ml
    return {name: one.voxels.get(label, 0) * voxel_ml for name, label in labels.items()}


def _places(cases: Mapping[str, Facts], labels: Mapping[str, int]) -> Iterator[Finding]:
    for axis, first, second in ORDERS:
        if first not in labels or second not in labels:
            continue
        pair, judged = (labels[first], labels[second]), []
        for case, one in cases.items():
            if all(one.voxels.get(label) and label not in one.edges for label in pair):
                judged.append(case)
        wrong = [case for case in judged if _is_wrong(cases[case], axis, (first, second), pair)]
        what = f"The {first} does not lie {_WORDS[axis]} the {second}"
        if len(judged) > 1 and 2 * len(wrong) > len(judged):
            value = f"in {len(wrong)} of {len(judged)} cases"
            yield Finding(REFUSED, "sides", "", what, value, _TODO)
        else:
            yield from (Finding(REFUSED, "sides", case, what, "", _TODO) for case in wrong)


def _is_wrong(one: Facts, axis: int, names: tuple[str, str], pair: tuple[int, int]) -> bool:
    places = {name: one.centres[label][axis] for name, label in zip(names, pair, strict=True)}
    return bool(out_of_order(places, [names]))


def _only(cases: Sequence[str]) -> str:
    """The case where there is no other, so that leaving it out ends the finding."""
    return next(iter(cases)) if len(cases) == 1 else ""


def _in_no_case(cases: Mapping[str, Facts], found: Found) -> Iterator[Finding]:
    """Organs of the table that no case shows: most likely nobody labelled them."""
    absent = [
        name for name, label in found.labels.items() if not any(c.voxels.get(label) for c in cases.values())
    ]
    if absent and cases:
        what = "No case holds organs that the set is said to label"
        todo = "They count as absent. If nobody labelled them, a file of organs says so: labelled = [...]."
        yield Finding(WARNING, "organ-in-no-case", "", what, ", ".join(absent), todo)
