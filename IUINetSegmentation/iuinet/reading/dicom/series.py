"""Which of the images in a folder are the scan: groups headers into stacks and picks the one CT.

A stack is what could be one volume: the same series, size and orientation. A folder as it comes from an
archive also holds localizers, reports, screen shots and reformats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iuinet.errors import InputRefused

from .grid import normal_of
from .header import Slice

SAME_DIRECTION = 1e-3  # largest difference of a component of the axes within one stack
SAME_PIXEL = 1e-3  # relative difference of the pixel spacing within one stack
OTHER_VIEW = 0.9  # cosine between normals under which two stacks are different views, not one damaged one
AXIAL = 0.5  # the normal's share along the body from which a stack counts as axial
FEW_SLICES = 5  # fewer never make a scan of an abdomen
SHORT_MM = 20.0  # nor does a shorter one
COMPETING = 0.5  # a stack at least this share as long as the longest is another plausible choice
_UID_END = 12  # letters
LISTED = 8  # series named in one message


@dataclass(frozen=True)
class Stack:
    """Slices of one series that are alike in size and orientation, in the order they were found."""

    slices: tuple[Slice, ...]

    @property
    def first(self) -> Slice:
        return self.slices[0]

    @property
    def is_localizer(self) -> bool:
        return any("LOCALIZER" in word or "SCOUT" in word for word in self.first.image_type)

    @property
    def normal(self) -> np.ndarray:
        return np.zeros(3) if self.first.orientation is None else normal_of(self.first.orientation)

    @property
    def places(self) -> np.ndarray:
        """Distinct positions along the normal, mm, sorted; empty where the headers hold none."""
        known = [piece.position for piece in self.slices if piece.position is not None]
        return np.unique(np.round(np.array(known) @ self.normal, 2)) if known else np.empty(0)

    @property
    def length(self) -> float:
        return float(np.ptp(self.places)) if len(self.places) else 0.0

    def describe(self) -> str:
        """For lists: number, kind, slices, size and step; the free text of the series is left out."""
        kind = f"{self.first.modality or 'unknown kind'}{' localizer' if self.is_localizer else ''}"
        count = f"{len(self.slices)} slice{'s' if len(self.slices) > 1 else ''}"
        size = f"{self.first.layout.columns} x {self.first.layout.rows}"
        step = f", {np.median(np.diff(self.places)):.4g} mm apart" if len(self.places) > 1 else ""
        return f"series {self.first.series_number or '?'} ({kind}, {count} of {size}{step})"


def choose_stack(slices: Sequence[Slice], series: str | None) -> tuple[Stack, list[str]]:
    """The one stack to segment, and notes on what was left out.

    series: a series UID, or the start or the end of one.
    Raises: InputRefused "series-unknown", "series-ambiguous", "several-series", "slices-mixed".

    >>> from pydicom.data import get_testdata_file
    >>> from iuinet.reading.dicom.header import Path, read_slices
    >>> stack, notes = choose_stack(read_slices(Path(get_testdata_file("CT_small.dcm"))), None)
    >>> stack.describe()
    'series 1 (CT, 1 slice of 128 x 128)'
    """
    stacks = _group(slices)
    wanted = _named(stacks, series) if series else stacks
    best = min(_rank(stack) for stack in wanted)
    rivals = [stack for stack in wanted if _rank(stack) == best]
    longest = max(stack.length for stack in rivals)
    rivals = [stack for stack in rivals if stack.length >= COMPETING * longest]
    _check_one_each(rivals)
    if len({stack.first.series_key for stack in rivals}) > 1:
        raise InputRefused(
            f"The folder holds {len(rivals)} series that could be meant: {_listed(rivals, among=stacks)}.",
            hint="Choose one with --series and its UID or the end of it, "
            "or give a folder that holds one series.",
            code="several-series",
        )
    chosen = max(rivals, key=lambda stack: len(stack.slices))
    _check_mixed(chosen, [stack for stack in stacks if stack.first.series_key == chosen.first.series_key])
    left = [stack for stack in stacks if stack is not chosen]
    return chosen, _notes(chosen, left)


def _check_one_each(rivals: Sequence[Stack]) -> None:
    """Some anonymisers write a new series UID into every file: then no series has more than one slice."""
    if len(rivals) > FEW_SLICES and all(len(stack.slices) == 1 for stack in rivals):
        one, other = rivals[0].first, rivals[1].first
        raise InputRefused(
            f"Each of the {len(rivals)} images has a series UID of its own, such as {one.label} and "
            f"{other.label}, so nothing says which of them are one scan.",
            hint="Export the series again so that all its images share one SeriesInstanceUID.",
            code="several-series",
        )


def _group(slices: Sequence[Slice]) -> list[Stack]:
    """Stacks in the order of their first file."""
    stacks: list[list[Slice]] = []
    for piece in slices:
        home = next((stack for stack in stacks if _belongs(piece, stack[0])), None)
        if home is None:
            stacks.append([piece])
        else:
            home.append(piece)
    return [Stack(tuple(stack)) for stack in stacks]


def _belongs(piece: Slice, other: Slice) -> bool:
    def kind(one: Slice) -> tuple[object, ...]:
        size = (one.layout.rows, one.layout.columns)
        return one.series_key, one.modality, size, one.orientation is None, one.pixel_spacing is None

    if kind(piece) != kind(other):
        return False
    axes = piece.orientation or (), other.orientation or ()
    pixels = piece.pixel_spacing or (), other.pixel_spacing or ()
    return np.allclose(*axes, rtol=0, atol=SAME_DIRECTION) and np.allclose(*pixels, rtol=SAME_PIXEL, atol=0)


def _rank(stack: Stack) -> int:
    """0 for an axial CT scan, then CT reformats, other CT images, scans that are not CT, the rest."""
    scan = len(stack.places) >= FEW_SLICES and stack.length >= SHORT_MM and not stack.is_localizer
    if stack.first.modality == "CT":
        if scan:
            return 0 if abs(stack.normal[2]) >= AXIAL else 1
        return 4 if stack.is_localizer else 2
    return 3 if scan else 5


def _named(stacks: Sequence[Stack], series: str) -> list[Stack]:
    uids = sorted({stack.first.series_uid for stack in stacks})
    found = [uid for uid in uids if uid == series]
    found = found or [uid for uid in uids if fits_series(uid, series)]
    if not found:
        raise InputRefused(
            f"The folder holds no series {series}. It holds {_listed(stacks, among=stacks)}.",
            hint="Give --series the end of a UID of the list.",
            code="series-unknown",
        )
    if len(found) > 1:
        fitting = [stack for stack in stacks if stack.first.series_uid in found]
        raise InputRefused(
            f"{len(found)} series fit {series}: {_listed(fitting, among=stacks)}.",
            hint="Give --series more digits of the UID.",
            code="series-ambiguous",
        )
    return [stack for stack in stacks if stack.first.series_uid == found[0]]


def fits_series(uid: str, series: str) -> bool:
    """Whether what a user typed names this UID: the start or the end of it.

    >>> fits_series("1.2.840.77", "840.77")
    True
    """
    return uid.startswith(series) or uid.endswith(series)


def _check_mixed(chosen: Stack, same_series: Sequence[Stack]) -> None:
    """Images of the same view with another size, spacing or angle are slices of one damaged scan."""
    for stack in same_series:
        if stack is chosen or stack.is_localizer or stack.first.orientation is None:
            continue
        if abs(stack.normal @ chosen.normal) < OTHER_VIEW:
            continue
        raise InputRefused(
            f"The slices of the series differ: {_plane(stack.first)}, but {_plane(chosen.first)}.",
            hint="Export each reconstruction as a series of its own.",
            code="slices-mixed",
        )


def _plane(piece: Slice) -> str:
    size = f"{piece.layout.columns} x {piece.layout.rows}"
    spacing = " x ".join(f"{x:.4g}" for x in piece.pixel_spacing[::-1]) if piece.pixel_spacing else "unknown"
    axes = ", ".join(f"{x:.4g}" for x in piece.orientation or ())
    return f"{piece.label} has {size} pixels of {spacing} mm along ({axes})"


def _notes(chosen: Stack, left: Sequence[Stack]) -> list[str]:
    if not left:
        return []
    tail = f", {_uid_end(chosen, (chosen, *left))}" if chosen.first.series_uid else ""
    return [f"Taken: {chosen.describe()}{tail}. Left out: {_listed(left)}."]


def _uid_end(stack: Stack, among: Sequence[Stack]) -> str:
    """As much of a series' UID as --series needs to find it: the whole one would lead to the patient."""
    uid, others = stack.first.series_uid, {other.first.series_uid for other in among}
    if not uid:
        return "without a UID"
    lengths = range(_UID_END, len(uid))
    ends = (uid[-n:] for n in lengths if sum(fits_series(other, uid[-n:]) for other in others) == 1)
    return f"UID ending in {next(ends, uid)}"


def _listed(stacks: Sequence[Stack], among: Sequence[Stack] = ()) -> str:
    """The stacks in words; among: all that there are, where a user should choose by the UID."""
    named = [
        stack.describe() + (f" {_uid_end(stack, among)}" if among else "")
        for stack in sorted(stacks, key=lambda stack: -len(stack.slices))[:LISTED]
    ]
    more = len(stacks) - len(named)
    return "; ".join(named) + (f"; and {more} more" if more > 0 else "")
